//! What operators do to a machine's run: start, pause, resume, retry, cancel, arm, disarm.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use uuid::Uuid;

use crate::catalog::keeping::Keep;
use crate::catalog::params::{self, Of};
use crate::catalog::usable;
use crate::kernel::secrets::Secrets;
use crate::kernel::{Caller, Error};
use crate::model::{
    BootenvKind, ContentView, LeftOut, Machine, MachineState, Run, RunArtifact, START_REASON_CHARS_MAX, Step,
    StepKind, StepState, Stored, World,
};
use crate::runs::Runs;
use crate::runs::flow::expand::step_digest;
use crate::runs::flow::{Position, expand, step};
use crate::runs::machine_change::Moving;

/// The boolean param that makes a run a rehearsal.
pub const REHEARSE: &str = "rehearse";

/// What an operator wants of a machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Run this workflow, or the machine's own, or the setting `default_workflow`.
    Start {
        workflow: Option<String>,
        /// Why, for the record.
        reason: String,
    },
    /// Let the running job end, and hand out no other.
    Pause,
    Resume,
    /// Go on at the step that failed or was held, with the content that was kept.
    Retry,
    /// The same, with the content and the values of now for the steps that are still to come.
    RetryRefreshed,
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
        action: &Action,
    ) -> Result<Arc<Stored<Machine>>, Error> {
        let moved = self
            .move_machine(caller, machine, |world, moving| self.act_on(caller, world, (moving, action)))
            .await?;
        Ok(moved.0)
    }

    fn act_on(
        &self,
        caller: &Caller,
        world: &World,
        (moving, action): (&mut Moving, &Action),
    ) -> Result<(), Error> {
        let by = caller.actor.to_string();
        if let Some(reason) = refusal(action, moving, world) {
            return Err(Error::Conflict(reason));
        }
        match action {
            Action::Start { workflow, reason } => {
                return self.start(caller, world, (moving, workflow.as_deref(), reason));
            }
            Action::Pause => moving.flow((caller, world), |flow| flow.pause(&by)),
            Action::Resume => moving.flow((caller, world), |flow| flow.resume()),
            Action::Retry => moving.flow((caller, world), |flow| flow.retry()),
            Action::RetryRefreshed => {
                self.refresh(caller, world, moving)?;
                moving.flow((caller, world), |flow| flow.retry());
            }
            Action::Cancel => moving.flow((caller, world), |flow| flow.cancel(&by)),
            Action::Arm => moving.flow((caller, world), |flow| flow.arm()),
            Action::Disarm => moving.flow((caller, world), |flow| flow.disarm_by(&by)),
        }
        if matches!(action, Action::Retry | Action::RetryRefreshed) {
            moving.machine.faults.retain(|fault| !fault.pointer.starts_with("/status/steps"));
        }
        Ok(())
    }

    fn start(
        &self,
        caller: &Caller,
        world: &World,
        (moving, named, reason): (&mut Moving, Option<&str>, &str),
    ) -> Result<(), Error> {
        if reason.chars().count() > START_REASON_CHARS_MAX {
            let what = format!("at most {START_REASON_CHARS_MAX} characters");
            return Err(Error::invalid("/reason", what));
        }
        let machine = &moving.machine;
        let workflow = named_workflow(machine, world, named)?;
        let mut steps = expand(&workflow, world).map_err(|problems| not_usable(&workflow, problems))?;
        match usable::problems(&machine.spec, &steps, world) {
            problems if problems.is_empty() => {}
            problems => return Err(not_usable(&workflow, problems)),
        }
        add_param_digests((machine, world), &mut steps, &self.kernel.secrets);
        let before = ContentView::from(world);
        let keep = Keep { machine: &machine.spec, steps: &steps, before };
        let kept = self.catalog.keep((world, caller.now), keep);
        let mut run = Run {
            machine: machine.key.parse().unwrap_or_default(),
            machine_name: machine.spec.name.clone(),
            macs: machine.spec.macs.clone(),
            rehearse: rehearses(&machine.spec, &steps, world),
            artifacts: artifacts(&machine.spec, &steps, world),
            steps,
            workflow,
            reason: reason.to_owned(),
            started_by: caller.actor.to_string(),
            started_at: caller.now,
            ended_at: None,
            result: None,
            seconds: None,
            content: None,
            values: None,
            former_content: Vec::new(),
            attempts: Vec::new(),
            jobs: Vec::new(),
            documents: Vec::new(),
            entries: Vec::new(),
            left_out: LeftOut::default(),
        };
        kept.name_in(&mut run);
        moving.machine.faults.retain(|fault| !fault.pointer.starts_with("/status/steps"));
        moving.begin_run((caller, world), (Uuid::now_v7(), run), kept);
        Ok(())
    }

    /// Takes the content and the values of now for the steps that are still to come.
    fn refresh(&self, caller: &Caller, world: &World, moving: &mut Moving) -> Result<(), Error> {
        let (machine, cursor) = (&moving.machine, moving.machine.status.cursor as usize);
        let mut steps = moving.steps().to_vec();
        let mut missing = Vec::new();
        for step in steps.iter_mut().skip(cursor).filter(|step| step.state != StepState::Done) {
            match step_digest(step, world) {
                Some(digest) => step.digest = digest,
                None => missing.push(format!("`{}` does not exist any more", step.name)),
            }
        }
        let coming: Vec<Step> = steps.iter().skip(cursor).cloned().collect();
        missing.extend(usable::problems(&machine.spec, &coming, world));
        if !missing.is_empty() {
            let workflow = moving.run().map_or("", |run| run.workflow.as_str());
            return Err(not_usable(workflow, missing));
        }
        add_param_digests(
            (machine, world),
            steps.get_mut(cursor..).unwrap_or_default(),
            &self.kernel.secrets,
        );
        let before = moving.position(world).content;
        let keep = Keep { machine: &machine.spec, steps: &steps, before };
        let kept = self.catalog.keep((world, caller.now), keep);
        moving.refresh_run((caller, world), (steps, kept));
        Ok(())
    }
}

/// Why an action cannot be done now.
fn refusal(action: &Action, moving: &Moving, world: &World) -> Option<String> {
    let machine = &moving.machine;
    let (name, status) = (&machine.spec.name, &machine.status);
    let run = status.run.as_ref().filter(|run| run.ended_at.is_none());
    let retries = matches!(action, Action::Retry | Action::RetryRefreshed);
    let onwards = retries || matches!(action, Action::Start { .. } | Action::Resume | Action::Arm);
    if machine.spec.locked && onwards {
        return Some(format!("machine `{name}` is locked; unlock it first"));
    }
    let Some(run) = run else {
        let starts = matches!(action, Action::Start { .. });
        return (!starts).then(|| format!("machine `{name}` has no workflow under way; `start` begins one"));
    };
    let (of, at) = (&run.workflow, status.cursor);
    match action {
        Action::Start { .. } if status.state == MachineState::Failed => None,
        Action::Start { .. } => {
            Some(format!("workflow `{of}` is under way at step {at} ({}); `cancel` ends it", status.reason))
        }
        Action::Pause if run.paused => Some("it is paused already".to_owned()),
        Action::Pause if status.state == MachineState::Failed => {
            Some("the run has failed: there is nothing to pause".to_owned())
        }
        Action::Resume if !run.paused => Some("it is not paused".to_owned()),
        // Nothing is under way that would have begun with the content before.
        Action::RetryRefreshed if waits_for_a_beginning(moving.position(world)) => None,
        Action::Retry | Action::RetryRefreshed => match status.state {
            MachineState::Failed => None,
            MachineState::Held if !run.paused => None,
            MachineState::Held => Some("it is paused; `resume` goes on".to_owned()),
            _ => Some(format!("no step has failed or is held: {}", status.reason)),
        },
        Action::Arm => refuse_arming(moving.position(world)),
        Action::Disarm if status.armed_until.is_none() => Some("it is not armed".to_owned()),
        _ => None,
    }
}

/// The run waits for a power-on or an agent, and no job or boot of its step has begun.
fn waits_for_a_beginning(at: Position<'_>) -> bool {
    let status = at.status;
    let paused = status.run.as_ref().is_some_and(|run| run.paused);
    let begun = status.job.is_some() || step::boot_is_past_kernel(at);
    status.state == MachineState::Waiting && !paused && !begun
}

fn refuse_arming(at: Position<'_>) -> Option<String> {
    let status = at.status;
    let step = at.step().filter(|step| step.kind == StepKind::Bootenv);
    let bootenv = step.and_then(|step| at.content.bootenv(&step.name));
    match status.run.as_ref() {
        Some(run) if run.paused => Some("it is paused; `resume` goes on, and arms it".to_owned()),
        _ if !bootenv.is_some_and(|bootenv| bootenv.spec.is_destructive()) => {
            Some("its next step is no destructive boot: there is nothing to arm it for".to_owned())
        }
        _ if step::is_booting(status, at.steps) => {
            Some("the boot is under way: it needs no arming".to_owned())
        }
        _ if status.state == MachineState::Failed => Some("the boot failed; `retry` arms it".to_owned()),
        _ => None,
    }
}

/// The workflow that `start` runs.
fn named_workflow(machine: &Stored<Machine>, world: &World, named: Option<&str>) -> Result<String, Error> {
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

fn own_workflow(machine: &Stored<Machine>, world: &World) -> Option<String> {
    let default = || world.setting("default_workflow").as_str().map(str::to_owned);
    machine.spec.workflow.clone().or_else(default)
}

fn not_usable(workflow: &str, problems: impl IntoIterator<Item = impl ToString>) -> Error {
    let problems: Vec<String> = problems.into_iter().map(|problem| problem.to_string()).collect();
    Error::Conflict(format!("workflow `{workflow}` cannot be started: {}", problems.join("; ")))
}

/// The param `rehearse` is true for the machine in the stage that installs.
fn rehearses(machine: &Machine, steps: &[Step], world: &World) -> bool {
    let installs = |step: &&Step| {
        let bootenv = world.bootenvs.get(&step.name);
        step.kind == StepKind::Bootenv && bootenv.is_some_and(|b| b.spec.kind == BootenvKind::Install)
    };
    let stage = steps.iter().find(installs).or(steps.first()).and_then(|step| world.stages.get(&step.stage));
    let params = usable::params(world, machine, stage.map(|stage| &stage.spec));
    matches!(params.get(REHEARSE), Ok(Some(found)) if found.value.as_bool() == Some(true))
}

/// Notes on each step which values its params have now. A value that cannot be opened is told when it is used.
fn add_param_digests((machine, world): (&Stored<Machine>, &World), steps: &mut [Step], secrets: &Secrets) {
    let mut known: BTreeMap<String, String> = BTreeMap::new();
    for step in steps {
        let digest = known.entry(step.stage.clone()).or_insert_with(|| {
            let stage = world.stages.get(&step.stage).map(|stage| &stage.spec);
            params::digest(world.into(), Of { machine: Some(machine), stage }, secrets).unwrap_or_default()
        });
        step.params.clone_from(digest);
    }
}

/// The artifacts that the bootenvs of the steps boot the machine from.
fn artifacts(machine: &Machine, steps: &[Step], world: &World) -> Vec<RunArtifact> {
    let boots = steps.iter().filter(|step| step.kind == StepKind::Bootenv);
    let files = boots.filter_map(|step| world.bootenvs.get(&step.name)?.spec.arches.get(&machine.arch));
    let names: BTreeSet<&str> = files.map(|files| files.artifact.as_str()).collect();
    let artifact = |name: &str| {
        let sha256 = world.artifacts.get(name).and_then(|artifact| artifact.status.sha256.clone());
        RunArtifact { name: name.to_owned(), sha256 }
    };
    names.into_iter().map(artifact).collect()
}
