//! What operators do to a machine's run: start, pause, resume, retry, cancel, arm, disarm.

use std::sync::Arc;

use uuid::Uuid;

use crate::catalog::usable;
use crate::kernel::{Caller, Error};
use crate::model::{BootenvKind, Machine, MachineState, Run, Step, StepKind, Stored, World};
use crate::runs::Runs;
use crate::runs::flow::{expand, step};
use crate::runs::machine_change::MachineChange;

/// The boolean param that makes a run a rehearsal.
pub const REHEARSE: &str = "rehearse";

/// What an operator wants of a machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RunAction {
    /// Run this workflow, or the machine's own, or the setting `default_workflow`.
    Start {
        workflow: Option<String>,
    },
    /// Let the running job end, and hand out no other.
    Pause,
    Resume,
    /// Go on at the step that failed or was held.
    Retry,
    Cancel,
    /// Allow the destructive boot that is next, once more.
    Arm,
    Disarm,
}

impl Runs {
    /// Does an action and returns the machine after it.
    ///
    /// # Errors
    /// [`Error::Conflict`] with the reason when it cannot be done now, [`Error::Invalid`] when the
    /// workflow that is named does not exist, [`Error::NotFound`].
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
        RunAction::Start { workflow } => return start(caller, world, (moving, workflow.as_deref())),
        RunAction::Pause => moving.flow((caller, world), |flow| flow.pause(&by)),
        RunAction::Resume => moving.flow((caller, world), |flow| flow.resume()),
        RunAction::Retry => moving.flow((caller, world), |flow| flow.retry()),
        RunAction::Cancel => moving.flow((caller, world), |flow| flow.cancel(&by)),
        RunAction::Arm => moving.flow((caller, world), |flow| flow.arm()),
        RunAction::Disarm => moving.flow((caller, world), |flow| flow.disarm_by(&by)),
    }
    if *action == RunAction::Retry {
        moving.machine.faults.retain(|fault| !fault.pointer.starts_with("/status/steps"));
    }
    Ok(())
}

/// Why an action cannot be done now.
fn refusal(action: &RunAction, machine: &Stored<Machine>, world: &World) -> Option<String> {
    let (name, status) = (&machine.spec.name, &machine.status);
    let run = status.run.as_ref().filter(|run| run.ended_at.is_none());
    let onwards =
        matches!(action, RunAction::Start { .. } | RunAction::Resume | RunAction::Retry | RunAction::Arm);
    if machine.spec.locked && onwards {
        return Some(format!("machine `{name}` is locked; unlock it first"));
    }
    let Some(run) = run else {
        let starts = matches!(action, RunAction::Start { .. });
        return (!starts).then(|| format!("machine `{name}` has no workflow under way; `start` begins one"));
    };
    let (of, at) = (&run.workflow, status.cursor);
    match action {
        RunAction::Start { .. } if status.state == MachineState::Failed => None,
        RunAction::Start { .. } => {
            Some(format!("workflow `{of}` is under way at step {at} ({}); `cancel` ends it", status.reason))
        }
        RunAction::Pause if run.paused => Some("it is paused already".to_owned()),
        RunAction::Pause if status.state == MachineState::Failed => {
            Some("the run has failed: there is nothing to pause".to_owned())
        }
        RunAction::Resume if !run.paused => Some("it is not paused".to_owned()),
        RunAction::Retry => match status.state {
            MachineState::Failed => None,
            MachineState::Held if !run.paused => None,
            MachineState::Held => Some("it is paused; `resume` goes on".to_owned()),
            _ => Some(format!("no step has failed or is held: {}", status.reason)),
        },
        RunAction::Arm => refuse_arming(machine, world),
        RunAction::Disarm if status.armed_until.is_none() => Some("it is not armed".to_owned()),
        _ => None,
    }
}

fn refuse_arming(machine: &Stored<Machine>, world: &World) -> Option<String> {
    let status = &machine.status;
    let step = status.steps.get(status.cursor as usize).filter(|step| step.kind == StepKind::Bootenv);
    let bootenv = step.and_then(|step| world.bootenvs.get(&step.name));
    match status.run.as_ref() {
        Some(run) if run.paused => Some("it is paused; `resume` goes on, and arms it".to_owned()),
        _ if !bootenv.is_some_and(|bootenv| bootenv.spec.is_destructive()) => {
            Some("its next step is no destructive boot: there is nothing to arm it for".to_owned())
        }
        _ if step::is_booting(status) => Some("the boot is under way: it needs no arming".to_owned()),
        _ if status.state == MachineState::Failed => Some("the boot failed; `retry` arms it".to_owned()),
        _ => None,
    }
}

fn start(
    caller: &Caller,
    world: &World,
    (moving, named): (&mut MachineChange, Option<&str>),
) -> Result<(), Error> {
    let machine = &moving.machine;
    let workflow = match named {
        Some(named) if world.workflows.get(named).is_none() => {
            return Err(Error::invalid("/workflow", format!("there is no workflow `{named}`")));
        }
        Some(named) => named.to_owned(),
        None => own_workflow(machine, world).ok_or_else(|| {
            let why = "has no workflow, and there is no setting `default_workflow`: name the one to start";
            Error::Conflict(format!("machine `{}` {why}", machine.spec.name))
        })?,
    };
    let steps = expand(&workflow, world).map_err(|problems| not_usable(&workflow, problems))?;
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
        rehearse: rehearses(&machine.spec, &steps, world),
    };
    moving.machine.faults.retain(|fault| !fault.pointer.starts_with("/status/steps"));
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
