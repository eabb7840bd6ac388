//! Why an action of an operator is not possible now. Pure; `actions` uses it.

use crate::kernel::Error;
use crate::model::{MachineState, MachineStatus, PresentRun, RefusalCode, StepKind, World};
use crate::runs::actions::RunAction;
use crate::runs::flow::{Position, step};
use crate::runs::machine_change::MachineChange;

/// Why an action is not possible now; none if it is.
pub fn refusal(action: &RunAction, moving: &MachineChange, world: &World) -> Option<Error> {
    let (machine, place) = (&moving.machine, moving.position(world));
    let (name, status) = (&machine.spec.name, &machine.status);
    if machine.spec.locked && action.is_onwards() {
        let why = format!("machine `{name}` is locked; unlock it first");
        return Some(Error::Conflict(RefusalCode::Locked, why));
    }
    if matches!(action, RunAction::Restart { .. }) {
        return refuse_restart(name, place);
    }
    match status.run.as_ref().filter(|run| run.ended_at.is_none()) {
        None if matches!(action, RunAction::Start { .. }) => None,
        None => {
            let why = format!("machine `{name}` has no workflow under way; `start` begins one");
            Some(Error::Conflict(RefusalCode::NoRun, why))
        }
        Some(_) if matches!(action, RunAction::Start { .. }) && status.state == MachineState::Failed => None,
        Some(run) if matches!(action, RunAction::Start { .. }) => {
            let (of, at) = (&run.workflow, status.cursor);
            let why = format!(
                "workflow `{of}` is under way at step {at} ({}); `cancel` ends it, `restart` begins it again",
                status.reason
            );
            Some(Error::Conflict(RefusalCode::RunUnderWay, why))
        }
        Some(run) => {
            refuse_in_state(action, run, place).map(|why| Error::Conflict(RefusalCode::WrongState, why))
        }
    }
}

/// Why the state of the run that is under way does not allow an action.
fn refuse_in_state(action: &RunAction, run: &PresentRun, place: Position<'_>) -> Option<String> {
    let status = place.status;
    match action {
        RunAction::Pause { .. } if run.paused => Some("it is paused already".to_owned()),
        RunAction::Pause { .. } if status.state == MachineState::Failed => {
            Some("the run has failed: there is nothing to pause".to_owned())
        }
        RunAction::Resume if !run.paused && run.stop_before.is_none() => Some("it is not paused".to_owned()),
        // No step has begun with the previous content.
        RunAction::RetryRefreshed if waits_for_a_beginning(place) => None,
        RunAction::Retry | RunAction::RetryRefreshed => refuse_retry(run, status),
        RunAction::MarkDone { .. } => refuse_mark_done(place),
        RunAction::Arm => refuse_arming(place),
        RunAction::Disarm if status.armed_until.is_none() => Some("it is not armed".to_owned()),
        _ => None,
    }
}

fn refuse_restart(name: &str, at: Position<'_>) -> Option<Error> {
    let status = at.status;
    match &status.run {
        None => {
            let why = format!("machine `{name}` has had no run; `start` begins one");
            Some(Error::Conflict(RefusalCode::NoRun, why))
        }
        Some(run) if run.ended_at.is_none() && step::boot_under_way(at) => {
            let why =
                format!("a boot is under way ({}); wait for its end, or `cancel` the run", status.reason);
            Some(Error::Conflict(RefusalCode::WrongState, why))
        }
        Some(_) => None,
    }
}

fn refuse_retry(run: &PresentRun, status: &MachineStatus) -> Option<String> {
    match status.state {
        MachineState::Failed => None,
        MachineState::Held if !run.paused => None,
        MachineState::Held => Some("it is paused; `resume` goes on".to_owned()),
        _ => Some(format!("no step has failed or is held: {}", status.reason)),
    }
}

/// Why the present step cannot be passed over; none if it can.
pub fn refuse_skip(at: Position<'_>) -> Option<String> {
    let (status, step) = (at.status, at.step());
    let is_task = step.is_some_and(|step| step.kind == StepKind::Task);
    match step.map(|step| step.kind) {
        _ if !is_task && step::boot_under_way(at) => {
            let why = "`mark-done` says that it is done, `cancel` ends the run";
            Some(format!("a boot is under way ({}); {why}", status.reason))
        }
        None | Some(StepKind::Stage) => Some(nothing_there(status, "name the task to skip")),
        Some(StepKind::Bootenv | StepKind::Task) => None,
    }
}

fn refuse_mark_done(at: Position<'_>) -> Option<String> {
    let status = at.status;
    match at.step().map(|step| step.kind) {
        _ if step::boot_is_open(status, at.steps) => None,
        None | Some(StepKind::Stage) => Some(nothing_there(status, "`resume` goes on")),
        Some(StepKind::Bootenv | StepKind::Task) => None,
    }
}

fn nothing_there(status: &MachineStatus, what: &str) -> String {
    format!("the run is at step {}, which has nothing to do; {what}", status.cursor)
}

/// Why a later step cannot be passed over; none if it can.
pub fn refuse_later(step: u32, at: Position<'_>) -> Option<String> {
    let found = at.steps.get(step as usize)?;
    match found.kind {
        StepKind::Task if found.state.is_over() => Some(format!("{} is over already", found.label(step))),
        StepKind::Task => None,
        StepKind::Stage | StepKind::Bootenv => {
            let why = "only a task can be skipped before the run has come to it";
            Some(format!("{} is not a task: {why}", found.label(step)))
        }
    }
}

/// Whether the present step has begun, and is not only waited for.
pub fn is_begun(at: Position<'_>) -> bool {
    at.status.job.is_some() || step::is_booting(at.status, at.steps)
}

/// Whether the run waits for a power-on or an agent, and no job or boot of its step has begun.
fn waits_for_a_beginning(at: Position<'_>) -> bool {
    let status = at.status;
    let paused = status.run.as_ref().is_some_and(|run| run.paused);
    status.state == MachineState::Waiting && !paused && !is_begun(at) && !step::boot_under_way(at)
}

fn refuse_arming(at: Position<'_>) -> Option<String> {
    let status = at.status;
    let step = at.step().filter(|step| step.kind == StepKind::Bootenv);
    let bootenv = step.and_then(|step| at.content.bootenv(&step.name));
    match status.run.as_ref() {
        Some(run) if run.paused => Some("it is paused; `resume` goes on, and arms it".to_owned()),
        _ if !bootenv.is_some_and(|bootenv| bootenv.spec.is_destructive()) => {
            Some("its next step is not a destructive boot: there is nothing to arm it for".to_owned())
        }
        _ if step::is_booting(status, at.steps) => {
            Some("the boot is under way: it needs no arming".to_owned())
        }
        _ if status.state == MachineState::Failed => Some("the boot failed; `retry` arms it".to_owned()),
        _ => None,
    }
}
