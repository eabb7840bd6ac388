//! The actions of operators on a machine's run: start, restart, pause, resume, retry, skip, mark as done,
//! cancel, arm, disarm. `refusals` says why an action is not possible now, `begin` plans those that take
//! content.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::catalog::content_copy::ContentBasis;
use crate::kernel::{Caller, Error, STALE_RETRIES_MAX};
use crate::model::{Machine, Problem, RefusalCode, StopBefore, Stored, World};
use crate::runs::Runs;
use crate::runs::flow::OperatorNote;
pub use crate::runs::flow::StepReference;
use crate::runs::machine_change::MachineChange;
use crate::runs::refusals::{is_begun, refusal, refuse_later, refuse_skip};

/// Longest reason of an operator, in bytes.
pub const REASON_BYTES_MAX: usize = 512;

/// Longest time that a plan may have taken if it is to be made anew while the writer is held.
const HELD_PLAN_MAX: Duration = Duration::from_millis(100);

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
    /// Whether the action takes the present content: for a run that begins, or for the steps to come.
    pub fn takes_content(&self) -> bool {
        matches!(self, RunAction::Start { .. } | RunAction::Restart { .. } | RunAction::RetryRefreshed)
    }

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

/// The check of a run before it begins.
#[derive(Clone, Debug)]
pub struct RunCheck {
    /// What was checked.
    pub basis: ContentBasis,
    pub accepted: AcceptedFaults,
}

impl Runs {
    /// Carries out an action and returns the machine afterwards.
    ///
    /// # Errors
    /// [`Error::Conflict`] with the reason if the action is not possible now, [`Error::Invalid`] if the named
    /// workflow or step does not exist or the reason is not valid, [`Error::NotFound`].
    pub async fn act(
        self: &Arc<Self>,
        caller: &Caller,
        machine: &str,
        action: &RunAction,
    ) -> Result<Arc<Stored<Machine>>, Error> {
        let done = self.act_checked(caller, machine, (action, None)).await?;
        done.ok_or_else(|| Error::not_found::<Machine>(machine))
    }

    /// Like [`Runs::act`], for an action that was checked. The run's record says which faults were accepted.
    /// `None`, and nothing is done, if what was checked has changed.
    ///
    /// # Errors
    /// Those of [`Runs::act`].
    pub async fn act_checked(
        self: &Arc<Self>,
        caller: &Caller,
        machine: &str,
        (action, check): (&RunAction, Option<&RunCheck>),
    ) -> Result<Option<Arc<Stored<Machine>>>, Error> {
        let key = self.kernel.find::<Machine>(caller, machine)?.key.clone();
        if !action.takes_content() {
            let change = |world: &World, moving: &mut MachineChange| act_on(caller, world, (moving, action));
            return Ok(Some(self.move_machine(caller, &key, change).await?.0));
        }
        let (basis, mut took) = (check.map(|check| &check.basis), Duration::ZERO);
        for attempt in 0..STALE_RETRIES_MAX {
            // The writer waits for a holder for a short time only, and everybody waits for the writer.
            let hold = if took > HELD_PLAN_MAX { None } else { self.kernel.hold_for(attempt).await? };
            let begun = Instant::now();
            let planned = self.plan(caller, &key, (action, basis), hold.is_some()).await?;
            let Some(planned) = planned else { return Ok(None) };
            took = begun.elapsed();
            let moving = self.kernel.read(|world| planned.carry_out((caller, world)));
            let Some(mut moving) = moving else { continue };
            check.iter().for_each(|check| moving.note_accepted(caller, &check.accepted));
            if let Some(machine) = self.commit_held(caller, moving, hold).await? {
                return Ok(Some(machine));
            }
        }
        Err(Error::Busy(format!("machine {key} or its content is being changed all the time; try again")))
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
    pub async fn try_out(
        self: &Arc<Self>,
        caller: &Caller,
        machine: &str,
        action: &RunAction,
    ) -> Result<Arc<Stored<Machine>>, Error> {
        let before = self.kernel.find::<Machine>(caller, machine)?;
        let commit = before.commit.get();
        let tried = match action.takes_content() {
            true => {
                let planned = self.plan(caller, &before.key, (action, None), false).await?;
                planned.and_then(|planned| self.kernel.read(|world| planned.carry_out((caller, world))))
            }
            false => Some(self.kernel.read(|world| {
                let mut moving = MachineChange::new(before, world, caller.now);
                act_on(caller, world, (&mut moving, action)).map(|()| moving)
            })?),
        };
        let moving = tried.ok_or_else(|| Error::Busy("what the run has kept is being deleted".to_owned()))?;
        // Nothing is written: the object is as old as before.
        moving.machine.commit.set(commit);
        Ok(Arc::new(moving.machine))
    }
}

/// Carries out an action that takes no content.
fn act_on(
    caller: &Caller,
    world: &World,
    (moving, action): (&mut MachineChange, &RunAction),
) -> Result<(), Error> {
    let by = caller.actor.to_string();
    if let Some(refused) = refusal(action, moving, world) {
        return Err(refused);
    }
    match action {
        // `begin` plans these.
        RunAction::Start { .. } | RunAction::Restart { .. } | RunAction::RetryRefreshed => {}
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
        RunAction::Cancel => moving.flow((caller, world), |flow| flow.cancel(&by)),
        RunAction::Arm => moving.flow((caller, world), |flow| flow.arm()),
        RunAction::Disarm => {
            moving.flow((caller, world), |flow| flow.withdraw_arming(&format!("disarmed by {by}")));
        }
    }
    if matches!(action, RunAction::Retry | RunAction::MarkDone { .. }) {
        moving.forget_step_faults();
    }
    Ok(())
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
