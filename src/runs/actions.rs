//! The actions of operators on a machine's run: start, restart, pause, resume, retry, skip, mark as done,
//! cancel, arm, disarm. `refusals` says why an action is not possible now.

use std::sync::Arc;

use crate::kernel::{Caller, Error};
use crate::model::{Machine, Problem, RefusalCode, StopBefore, Stored, World};
use crate::runs::Runs;
use crate::runs::begin::StartOptions;
use crate::runs::flow::OperatorNote;
pub use crate::runs::flow::StepReference;
use crate::runs::machine_change::MachineChange;
use crate::runs::refusals::{is_begun, refusal, refuse_later, refuse_skip};

/// Longest reason of an operator, in bytes.
pub const REASON_BYTES_MAX: usize = 512;

/// An action on a machine's run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RunAction {
    /// Run this workflow, or the machine's own, or the setting `default_workflow`.
    Start {
        workflow: Option<String>,
        /// The reason, for the run's record.
        reason: String,
        stop_before: Option<StepReference>,
    },
    /// Run the workflow of the last run again, with the present content, from a step on.
    Restart {
        from: Option<StepReference>,
        /// Why, for the run's record.
        reason: String,
        stop_before: Option<StepReference>,
    },
    /// Let the running job end and hand out no other; or pause before a later step.
    Pause {
        before: Option<StepReference>,
        reason: String,
    },
    Resume,
    /// Continue at the step that failed or was held, with the kept content.
    Retry,
    /// The same, with the present content and values for the remaining steps.
    RetryRefreshed,
    /// Pass over the present step, or a later task.
    Skip {
        step: Option<StepReference>,
        reason: String,
    },
    /// Continue as if the present step had ended well.
    MarkDone {
        reason: String,
    },
    Cancel,
    /// Allow the next destructive boot, once more.
    Arm,
    Disarm,
}

impl RunAction {
    /// Whether the action lets the run continue.
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
    /// Carries out an action and returns the machine afterwards.
    ///
    /// # Errors
    /// [`Error::Conflict`] with the reason if the action is not possible now, [`Error::Invalid`] if the named
    /// workflow or step does not exist or the reason is not valid, [`Error::NotFound`].
    pub async fn act(
        &self,
        caller: &Caller,
        machine: &str,
        action: &RunAction,
    ) -> Result<Arc<Stored<Machine>>, Error> {
        self.act_accepting(caller, machine, (action, &AcceptedFaults::default())).await
    }

    /// Like [`Runs::act`]; the run's record says which faults were accepted.
    ///
    /// # Errors
    /// Those of [`Runs::act`].
    pub async fn act_accepting(
        &self,
        caller: &Caller,
        machine: &str,
        (action, accepted): (&RunAction, &AcceptedFaults),
    ) -> Result<Arc<Stored<Machine>>, Error> {
        let key = self.kernel.find::<Machine>(caller, machine)?.key.clone();
        let change = |world: &World, moving: &mut MachineChange| {
            self.act_on(caller, world, (moving, action))?;
            moving.note_accepted(caller, accepted);
            Ok(())
        };
        Ok(self.move_machine(caller, &key, change).await?.0)
    }

    /// Refuses an action that the machine's state does not allow.
    ///
    /// # Errors
    /// [`Error::Conflict`], [`Error::NotFound`].
    pub fn refuse_now(&self, caller: &Caller, machine: &str, action: &RunAction) -> Result<(), Error> {
        let before = self.kernel.find::<Machine>(caller, machine)?;
        self.kernel.read(|world| {
            let moving = MachineChange::new(before, world, caller.now);
            refusal(action, &moving, world).map_or(Ok(()), Err)
        })
    }

    /// The machine as it would be after an action, which is not carried out.
    ///
    /// # Errors
    /// Those of [`Runs::act`].
    pub fn try_out(
        &self,
        caller: &Caller,
        machine: &str,
        action: &RunAction,
    ) -> Result<Arc<Stored<Machine>>, Error> {
        let before = self.kernel.find::<Machine>(caller, machine)?;
        let commit = before.commit.get();
        self.kernel.read(|world| {
            let mut moving = MachineChange::new(before, world, caller.now);
            self.act_on(caller, world, (&mut moving, action))?;
            // Nothing is written: the object is as old as before.
            moving.machine.commit.set(commit);
            Ok(Arc::new(moving.machine))
        })
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
            RunAction::Restart { from, reason, stop_before } => {
                let workflow = moving.machine.status.run.as_ref().map(|run| run.workflow.clone());
                let workflow = workflow.unwrap_or_default();
                let (from, stop_before) = (from.as_ref(), stop_before.as_ref());
                let reason = note(&by, reason)?.reason;
                let begin = StartOptions { workflow: Some(&workflow), reason, from, stop_before };
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
            RunAction::Disarm => {
                moving.flow((caller, world), |flow| flow.withdraw_arming(&format!("disarmed by {by}")));
            }
        }
        if matches!(action, RunAction::Retry | RunAction::RetryRefreshed | RunAction::MarkDone { .. }) {
            moving.forget_step_faults();
        }
        Ok(())
    }
}

/// Faults in spite of which a run begins.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AcceptedFaults {
    pub faults: Vec<Problem>,
    /// Why, in one line.
    pub reason: String,
}

/// An operator's note on an action, checked.
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

/// Whether a reason is one line within its bound.
///
/// # Errors
/// [`Error::Invalid`].
pub fn check_reason(reason: &str) -> Result<(), Error> {
    note("", reason).map(drop)
}

/// Like [`note`], with a reason that is not empty.
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
