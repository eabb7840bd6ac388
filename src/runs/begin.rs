//! The beginning of a run: its steps, what prevents it, and the content that it keeps. Also how a run takes
//! other content later. Start at [`Runs::begin`].

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

use crate::catalog::keeping::ContentOwner;
use crate::catalog::params::{self, ParamSubject};
use crate::catalog::usable;
use crate::kernel::secrets::SecretKey;
use crate::kernel::{Caller, Error};
use crate::model::{
    BootenvKind, ContentView, LeftOut, Machine, Problem, RefusalCode, Run, RunArtifact, RunStep, StepKind,
    StopBefore, Stored, World,
};
use crate::runs::Runs;
use crate::runs::flow::expand::step_digest;
use crate::runs::flow::{RunStart, StepReference, expand};
use crate::runs::machine_change::MachineChange;

/// The boolean param that makes a run a rehearsal.
pub const REHEARSE: &str = "rehearse";

/// The options of a start.
#[derive(Clone, Copy, Debug)]
pub struct StartOptions<'a> {
    /// `None` for the machine's own workflow, or the setting `default_workflow`.
    pub workflow: Option<&'a str>,
    pub reason: &'a str,
    pub from: Option<&'a StepReference>,
    pub stop_before: Option<&'a StepReference>,
}

impl Runs {
    /// Begins a run with the present content.
    ///
    /// # Errors
    /// [`Error::Conflict`] with everything that prevents it, [`Error::Invalid`] for a workflow or step that
    /// does not exist.
    pub fn begin(
        &self,
        caller: &Caller,
        world: &World,
        (moving, begin): (&mut MachineChange, StartOptions<'_>),
    ) -> Result<(), Error> {
        let machine = &moving.machine;
        let workflow = named_workflow(begin.workflow, machine, world)?;
        let mut steps = expand(&workflow, world).map_err(|problems| not_usable(&workflow, problems))?;
        let from_step = begin.from.map(|from| from.find(&steps, 0)).transpose();
        let from_step = from_step.map_err(|why| Problem::new("/from", why).coded(RefusalCode::NotFound))?;
        let stop = begin.stop_before.map(|stop| stop.find(&steps, from_step.unwrap_or(0))).transpose();
        let stop = stop.map_err(|why| Problem::new("/stop_before", why).coded(RefusalCode::NotFound))?;
        match usable::problems(&machine.spec, &steps, world) {
            problems if problems.is_empty() => {}
            problems => return Err(not_usable(&workflow, problems)),
        }
        add_param_digests((machine, world), &mut steps, &self.kernel.secrets);
        let keep = ContentOwner { machine: &machine.spec, steps: &steps, before: ContentView::from(world) };
        let kept = self.catalog.keep((world, caller.now), keep);
        let mut run = new_run((machine, world), (workflow, steps), caller);
        run.reason = begin.reason.to_owned();
        kept.name_in(&mut run);
        let stop_before = stop.map(|step| StopBefore { step, reason: String::new() });
        moving.forget_step_faults();
        let beginning = RunStart { id: Uuid::now_v7(), from_step, stop_before };
        moving.begin_run((caller, world), (beginning, run), kept);
        Ok(())
    }

    /// Takes the present content and values for the remaining steps.
    ///
    /// # Errors
    /// [`Error::Conflict`] with everything that prevents it.
    pub fn refresh(&self, caller: &Caller, world: &World, moving: &mut MachineChange) -> Result<(), Error> {
        let (machine, cursor) = (&moving.machine, moving.machine.status.cursor as usize);
        let mut steps = moving.steps().to_vec();
        let mut missing = Vec::new();
        for step in steps.iter_mut().skip(cursor).filter(|step| !step.state.is_over()) {
            match step_digest(step, world) {
                Some(digest) => step.digest = digest,
                None => missing.push(format!("`{}` does not exist any more", step.name)),
            }
        }
        let coming: Vec<RunStep> = steps.iter().skip(cursor).cloned().collect();
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
        let keep = ContentOwner { machine: &machine.spec, steps: &steps, before };
        let kept = self.catalog.keep((world, caller.now), keep);
        moving.refresh_run((caller, world), (steps, kept));
        Ok(())
    }
}

fn new_run(
    (machine, world): (&Stored<Machine>, &World),
    (workflow, steps): (String, Vec<RunStep>),
    caller: &Caller,
) -> Run {
    Run {
        machine: machine.key.parse().unwrap_or_default(),
        machine_name: machine.spec.name.clone(),
        macs: machine.spec.macs.clone(),
        rehearse: rehearses(&machine.spec, &steps, world),
        artifacts: artifacts(&machine.spec, &steps, world),
        steps,
        workflow,
        reason: String::new(),
        accepted: Vec::new(),
        started_by: caller.actor.to_string(),
        started_at: caller.now,
        ended_at: None,
        result: None,
        seconds: None,
        from_step: None,
        content: None,
        values: None,
        former_content: Vec::new(),
        attempts: Vec::new(),
        jobs: Vec::new(),
        entries: Vec::new(),
        left_out: LeftOut::default(),
    }
}

fn named_workflow(named: Option<&str>, machine: &Stored<Machine>, world: &World) -> Result<String, Error> {
    match named {
        Some(named) if world.workflows.get(named).is_none() => {
            let what = format!("there is no workflow `{named}`");
            Err(Problem::new("/workflow", what).coded(RefusalCode::NotFound).into())
        }
        Some(named) => Ok(named.to_owned()),
        None => world.workflow_of(&machine.spec).ok_or_else(|| {
            let why = "has no workflow, and there is no setting `default_workflow`: name the one to start";
            Error::Conflict(RefusalCode::NotUsable, format!("machine `{}` {why}", machine.spec.name))
        }),
    }
}

fn not_usable(workflow: &str, problems: impl IntoIterator<Item = impl ToString>) -> Error {
    let problems: Vec<String> = problems.into_iter().map(|problem| problem.to_string()).collect();
    let why = format!("workflow `{workflow}` cannot be started: {}", problems.join("; "));
    Error::Conflict(RefusalCode::NotUsable, why)
}

/// Whether the param `rehearse` is true for the machine in the stage that installs.
fn rehearses(machine: &Machine, steps: &[RunStep], world: &World) -> bool {
    let mut boots = steps.iter().filter(|step| step.kind == StepKind::Bootenv);
    let install = boots.find(|step| {
        let bootenv = world.bootenvs.get(&step.name);
        bootenv.is_some_and(|bootenv| bootenv.spec.kind == BootenvKind::Install)
    });
    let stage = install.or(steps.first()).and_then(|step| world.stages.get(&step.stage));
    let params = usable::params(world, machine, stage.map(|stage| &stage.spec));
    matches!(params.get(REHEARSE), Ok(Some(found)) if found.value.as_bool() == Some(true))
}

/// Sets on each step the digest of its present params. A value that cannot be opened is reported when it is
/// used.
fn add_param_digests(
    (machine, world): (&Stored<Machine>, &World),
    steps: &mut [RunStep],
    secrets: &SecretKey,
) {
    let mut known: BTreeMap<String, String> = BTreeMap::new();
    for step in steps {
        let digest = known.entry(step.stage.clone()).or_insert_with(|| {
            let stage = world.stages.get(&step.stage).map(|stage| &stage.spec);
            params::digest(world.into(), ParamSubject { machine: Some(machine), stage }, secrets)
                .unwrap_or_default()
        });
        step.params.clone_from(digest);
    }
}

/// The artifacts from which the bootenvs of the steps boot the machine.
fn artifacts(machine: &Machine, steps: &[RunStep], world: &World) -> Vec<RunArtifact> {
    let boots = steps.iter().filter(|step| step.kind == StepKind::Bootenv);
    let files = boots.filter_map(|step| world.bootenvs.get(&step.name)?.spec.arches.get(&machine.arch));
    let names: BTreeSet<&str> = files.map(|files| files.artifact.as_str()).collect();
    names
        .into_iter()
        .map(|name: &str| {
            let sha256 = world.artifacts.get(name).and_then(|artifact| artifact.status.sha256.clone());
            RunArtifact { name: name.to_owned(), sha256 }
        })
        .collect()
}
