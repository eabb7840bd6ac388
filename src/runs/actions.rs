//! What operators do to a machine's run: start, restart, pause, resume, retry, skip, mark as done, cancel,
//! arm, disarm. What cannot be done now is refused by `refusals`.

use std::sync::Arc;

use uuid::Uuid;

use crate::catalog::usable;
use crate::kernel::{Caller, Error};
use crate::model::{BootenvKind, Machine, Run, Step, StepKind, StopBefore, Stored, World};
use crate::runs::Runs;
pub use crate::runs::flow::StepReference;
use crate::runs::flow::{OperatorNote, expand};
use crate::runs::machine_change::MachineChange;
use crate::runs::refusals::{is_begun, refusal, refuse_later, refuse_skip};

/// The boolean param that makes a run a rehearsal.
pub const REHEARSE: &str = "rehearse";
/// Longest reason that an operator gives, in bytes.
pub const REASON_BYTES_MAX: usize = 512;

/// What an operator wants of a machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RunAction {
    /// Run this workflow, or the machine's own, or the setting `default_workflow`.
    Start {
        workflow: Option<String>,
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
    /// Go on at the step that failed or was held.
    Retry,
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
            RunAction::Start { .. } | RunAction::Restart { .. } | RunAction::Resume | RunAction::Retry => {
                true
            }
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
        let moved =
            self.move_machine(caller, &key, |world, moving| act(caller, world, (moving, action))).await?;
        Ok(moved.0)
    }
}

fn act(
    caller: &Caller,
    world: &World,
    (moving, action): (&mut MachineChange, &RunAction),
) -> Result<(), Error> {
    let by = caller.actor.to_string();
    if let Some(reason) = refusal(action, &moving.machine, world) {
        return Err(Error::Conflict(reason));
    }
    match action {
        RunAction::Start { workflow, stop_before } => {
            let workflow = named_workflow(workflow.as_deref(), &moving.machine, world)?;
            return begin(
                caller,
                world,
                (moving, Begin { workflow, from: None, stop_before: stop_before.as_ref() }),
            );
        }
        RunAction::Restart { from, stop_before } => {
            let workflow = moving.machine.status.run.as_ref().map(|run| run.workflow.clone());
            let workflow = workflow.unwrap_or_default();
            let (from, stop_before) = (from.as_ref(), stop_before.as_ref());
            return begin(caller, world, (moving, Begin { workflow, from, stop_before }));
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
        RunAction::Cancel => moving.flow((caller, world), |flow| flow.cancel(&by)),
        RunAction::Arm => moving.flow((caller, world), |flow| flow.arm()),
        RunAction::Disarm => moving.flow((caller, world), |flow| flow.disarm_by(&by)),
    }
    if matches!(action, RunAction::Retry | RunAction::MarkDone { .. }) {
        moving.forget_step_faults();
    }
    Ok(())
}

/// What an operator says of an action, checked.
fn note<'a>(by: &'a str, reason: &'a str) -> Result<OperatorNote<'a>, Error> {
    if reason.len() > REASON_BYTES_MAX {
        let bytes = reason.len();
        return Err(Error::invalid(
            "/reason",
            format!("{bytes} bytes, at most {REASON_BYTES_MAX} are admitted"),
        ));
    }
    if reason.chars().any(char::is_control) {
        return Err(Error::invalid("/reason", "one line of text, without control characters"));
    }
    Ok(OperatorNote { by, reason: reason.trim() })
}

/// As [`note`], with a reason that is not empty.
fn given_note<'a>(by: &'a str, reason: &'a str) -> Result<OperatorNote<'a>, Error> {
    match note(by, reason)? {
        note if note.reason.is_empty() => Err(Error::invalid("/reason", "say why: the run keeps the reason")),
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
    let status = &moving.machine.status;
    let step = before.map(|step| step.find(&status.steps, status.cursor)).transpose();
    match step.map_err(|why| Error::invalid("/before", why))? {
        Some(step) if step > status.cursor => {
            let stop = StopBefore { step, reason: note.reason.to_owned() };
            moving.flow((caller, world), |flow| flow.stop_before(stop, &by));
        }
        Some(step) if is_begun(&moving.machine) => {
            let why = "is under way; `pause` without a step lets it end";
            return Err(Error::Conflict(format!("step {step} {why}")));
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
    let status = &moving.machine.status;
    let step = step.map(|step| step.find(&status.steps, status.cursor)).transpose();
    let step = step.map_err(|why| Error::invalid("/step", why))?;
    match step.filter(|step| *step > status.cursor) {
        Some(later) => {
            if let Some(reason) = refuse_later(later, &moving.machine) {
                return Err(Error::Conflict(reason));
            }
            moving.flow((caller, world), |flow| flow.skip_later(later, note));
        }
        None => {
            if let Some(reason) = refuse_skip(&moving.machine) {
                return Err(Error::Conflict(reason));
            }
            moving.flow((caller, world), |flow| flow.skip(note));
            moving.forget_step_faults();
        }
    }
    Ok(())
}

/// How a run is to begin.
struct Begin<'a> {
    workflow: String,
    from: Option<&'a StepReference>,
    stop_before: Option<&'a StepReference>,
}

fn named_workflow(named: Option<&str>, machine: &Stored<Machine>, world: &World) -> Result<String, Error> {
    match named {
        Some(named) if world.workflows.get(named).is_none() => {
            Err(Error::invalid("/workflow", format!("there is no workflow `{named}`")))
        }
        Some(named) => Ok(named.to_owned()),
        None => own_workflow(machine, world).ok_or_else(|| {
            let why = "has no workflow, and there is no setting `default_workflow`: name the one to start";
            Error::Conflict(format!("machine `{}` {why}", machine.spec.name))
        }),
    }
}

fn begin(
    caller: &Caller,
    world: &World,
    (moving, begin): (&mut MachineChange, Begin<'_>),
) -> Result<(), Error> {
    let Begin { workflow, from, stop_before } = begin;
    let machine = &moving.machine;
    let steps = expand(&workflow, world).map_err(|problems| not_usable(&workflow, problems))?;
    let from_step = from.map(|from| from.find(&steps, 0)).transpose();
    let from_step = from_step.map_err(|why| Error::invalid("/from", why))?;
    let stop = stop_before.map(|stop| stop.find(&steps, from_step.unwrap_or(0))).transpose();
    let stop = stop.map_err(|why| Error::invalid("/stop_before", why))?;
    match usable::problems(&machine.spec, &steps, world) {
        problems if problems.is_empty() => {}
        problems => return Err(not_usable(&workflow, problems)),
    }
    let run = Run {
        id: Uuid::now_v7(),
        workflow,
        started_at: caller.now,
        ended_at: None,
        paused: false,
        pause_reason: String::new(),
        stop_before: stop.map(|step| StopBefore { step, reason: String::new() }),
        rehearse: rehearses(&machine.spec, &steps, world),
        from_step,
    };
    moving.forget_step_faults();
    moving.flow((caller, world), |flow| flow.start(run, steps));
    Ok(())
}

fn own_workflow(machine: &Stored<Machine>, world: &World) -> Option<String> {
    machine.spec.workflow.clone().or_else(|| world.setting("default_workflow").as_str().map(str::to_owned))
}

fn not_usable(workflow: &str, problems: impl IntoIterator<Item = impl ToString>) -> Error {
    let problems: Vec<String> = problems.into_iter().map(|problem| problem.to_string()).collect();
    Error::Conflict(format!("workflow `{workflow}` cannot be started: {}", problems.join("; ")))
}

/// The param `rehearse` is true for the machine in the stage that installs.
fn rehearses(machine: &Machine, steps: &[Step], world: &World) -> bool {
    let stage = steps
        .iter()
        .find(|step: &&Step| {
            let bootenv = world.bootenvs.get(&step.name);
            step.kind == StepKind::Bootenv && bootenv.is_some_and(|b| b.spec.kind == BootenvKind::Install)
        })
        .or(steps.first())
        .and_then(|step| world.stages.get(&step.stage));
    let params = usable::params(world, machine, stage.map(|stage| &stage.spec));
    matches!(params.get(REHEARSE), Ok(Some(found)) if found.value.as_bool() == Some(true))
}
