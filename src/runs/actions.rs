//! What operators do to a machine's run: start, restart, pause, resume, retry, skip, mark as done, cancel,
//! arm, disarm. What cannot be done now is refused by `refusals`.

use std::sync::Arc;

use crate::kernel::{Caller, Error};
use crate::model::{Machine, Problem, RefusalCode, StopBefore, Stored, World};
use crate::runs::Runs;
use crate::runs::begin::StartOptions;
use crate::runs::flow::OperatorNote;
pub use crate::runs::flow::StepReference;
use crate::runs::machine_change::MachineChange;
use crate::runs::refusals::{is_begun, refusal, refuse_later, refuse_skip};

/// Longest reason that an operator gives, in bytes.
pub const REASON_BYTES_MAX: usize = 512;

/// What an operator wants of a machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RunAction {
    /// Run this workflow, or the machine's own, or the setting `default_workflow`.
    Start {
        workflow: Option<String>,
        /// Why, for the run's record.
        reason: String,
        stop_before: Option<StepReference>,
    },
    /// Run the workflow of the last run anew, with the content there is now, from a step on.
    Restart {
        from: Option<StepReference>,
        stop_before: Option<StepReference>,
    },
    /// Let the running job end, and hand out no other; or do so before a step that is still to come.
    Pause {
        before: Option<StepReference>,
        reason: String,
    },
    Resume,
    /// Go on at the step that failed or was held, with the content that was kept.
    Retry,
    /// The same, with the content and the values of now for the steps that are still to come.
    RetryRefreshed,
    /// Pass over the present step, or a task that is still to come.
    Skip {
        step: Option<StepReference>,
        reason: String,
    },
    /// Go on as if the present step had ended well.
    MarkDone {
        reason: String,
    },
    Cancel,
    /// Allow the destructive boot that is next, once more.
    Arm,
    Disarm,
}

impl RunAction {
    /// The action moves the run on.
    pub fn is_onwards(&self) -> bool {
        match self {
            RunAction::Start { .. } | RunAction::Restart { .. } | RunAction::Resume => true,
            RunAction::Retry | RunAction::RetryRefreshed => true,
            RunAction::Skip { .. } | RunAction::MarkDone { .. } | RunAction::Arm => true,
            RunAction::Pause { .. } | RunAction::Cancel | RunAction::Disarm => false,
        }
    }
}

impl Runs {
    /// Does an action and returns the machine after it.
    ///
    /// # Errors
    /// [`Error::Conflict`] with the reason when it cannot be done now, [`Error::Invalid`] when the workflow
    /// or step that is named does not exist or a reason is not usable, [`Error::NotFound`].
    pub async fn act(
        &self,
        caller: &Caller,
        machine: &str,
        action: &RunAction,
    ) -> Result<Arc<Stored<Machine>>, Error> {
        let key = self.kernel.find::<Machine>(caller, machine)?.key.clone();
        let moved = self
            .move_machine(caller, &key, |world, moving| self.act_on(caller, world, (moving, action)))
            .await?;
        Ok(moved.0)
    }

    fn act_on(
        &self,
        caller: &Caller,
        world: &World,
        (moving, action): (&mut MachineChange, &RunAction),
    ) -> Result<(), Error> {
        let by = caller.actor.to_string();
        if let Some(refused) = refusal(action, moving, world) {
            return Err(refused);
        }
        match action {
            RunAction::Start { workflow, reason, stop_before } => {
                let begin = StartOptions {
                    workflow: workflow.as_deref(),
                    reason: note(&by, reason)?.reason,
                    from: None,
                    stop_before: stop_before.as_ref(),
                };
                return self.begin(caller, world, (moving, begin));
            }
            RunAction::Restart { from, stop_before } => {
                let workflow = moving.machine.status.run.as_ref().map(|run| run.workflow.clone());
                let workflow = workflow.unwrap_or_default();
                let (from, stop_before) = (from.as_ref(), stop_before.as_ref());
                let begin = StartOptions { workflow: Some(&workflow), reason: "", from, stop_before };
                return self.begin(caller, world, (moving, begin));
            }
            RunAction::Pause { before, reason } => {
                return pause(caller, world, moving, before.as_ref(), reason);
            }
            RunAction::Skip { step, reason } => return skip(caller, world, moving, step.as_ref(), reason),
            RunAction::MarkDone { reason } => {
                let note = given_note(&by, reason)?;
                moving.flow((caller, world), |flow| flow.mark_done(note));
            }
            RunAction::Resume => moving.flow((caller, world), |flow| flow.resume()),
            RunAction::Retry => moving.flow((caller, world), |flow| flow.retry()),
            RunAction::RetryRefreshed => {
                self.refresh(caller, world, moving)?;
                moving.flow((caller, world), |flow| flow.retry());
            }
            RunAction::Cancel => moving.flow((caller, world), |flow| flow.cancel(&by)),
            RunAction::Arm => moving.flow((caller, world), |flow| flow.arm()),
            RunAction::Disarm => moving.flow((caller, world), |flow| flow.disarm_by(&by)),
        }
        if matches!(action, RunAction::Retry | RunAction::RetryRefreshed | RunAction::MarkDone { .. }) {
            moving.forget_step_faults();
        }
        Ok(())
    }
}

/// What an operator says of an action, checked.
fn note<'a>(by: &'a str, reason: &'a str) -> Result<OperatorNote<'a>, Error> {
    if reason.len() > REASON_BYTES_MAX {
        let bytes = reason.len();
        let what = format!("{bytes} bytes, at most {REASON_BYTES_MAX} are admitted");
        return Err(Problem::new("/reason", what).coded(RefusalCode::TooLarge).into());
    }
    if reason.chars().any(char::is_control) {
        let what = "one line of text, without control characters";
        return Err(Problem::new("/reason", what).coded(RefusalCode::Malformed).into());
    }
    Ok(OperatorNote { by, reason: reason.trim() })
}

/// As [`note`], with a reason that is not empty.
fn given_note<'a>(by: &'a str, reason: &'a str) -> Result<OperatorNote<'a>, Error> {
    match note(by, reason)? {
        note if note.reason.is_empty() => {
            let what = "say why: the run keeps the reason";
            Err(Problem::new("/reason", what).coded(RefusalCode::Missing).into())
        }
        note => Ok(note),
    }
}

fn pause(
    caller: &Caller,
    world: &World,
    moving: &mut MachineChange,
    before: Option<&StepReference>,
    reason: &str,
) -> Result<(), Error> {
    let by = caller.actor.to_string();
    let note = note(&by, reason)?;
    let cursor = moving.machine.status.cursor;
    let step = before.map(|step| step.find(moving.steps(), cursor)).transpose();
    match step.map_err(|why| Problem::new("/before", why).coded(RefusalCode::NotFound))? {
        Some(step) if step > cursor => {
            let stop = StopBefore { step, reason: note.reason.to_owned() };
            moving.flow((caller, world), |flow| flow.stop_before(stop, &by));
        }
        Some(step) if is_begun(moving.position(world)) => {
            let why = "is under way; `pause` without a step lets it end";
            return Err(Error::Conflict(RefusalCode::WrongState, format!("step {step} {why}")));
        }
        _ => moving.flow((caller, world), |flow| flow.pause(note)),
    }
    Ok(())
}

fn skip(
    caller: &Caller,
    world: &World,
    moving: &mut MachineChange,
    step: Option<&StepReference>,
    reason: &str,
) -> Result<(), Error> {
    let by = caller.actor.to_string();
    let note = given_note(&by, reason)?;
    let cursor = moving.machine.status.cursor;
    let step = step.map(|step| step.find(moving.steps(), cursor)).transpose();
    let step = step.map_err(|why| Problem::new("/step", why).coded(RefusalCode::NotFound))?;
    match step.filter(|step| *step > cursor) {
        Some(later) => {
            if let Some(reason) = refuse_later(later, moving.position(world)) {
                return Err(Error::Conflict(RefusalCode::WrongState, reason));
            }
            moving.flow((caller, world), |flow| flow.skip_later(later, note));
        }
        None => {
            if let Some(reason) = refuse_skip(moving.position(world)) {
                return Err(Error::Conflict(RefusalCode::WrongState, reason));
            }
            moving.flow((caller, world), |flow| flow.skip(note));
            moving.forget_step_faults();
        }
    }
    Ok(())
}
