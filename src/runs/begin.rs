//! Plans of actions that take the present content: a run that begins, or that goes on with other content.
//!
//! The content is that of the machine's channel. What such a plan costs depends on the content, so it is
//! made in a lane from copies ([`Catalog::content_for`]), without the world's lock. The plan says what it
//! read: the commit is refused as stale if any of it has changed, and the plan is made anew. Start at
//! [`Runs::plan`].
//!
//! [`Catalog::content_for`]: crate::catalog::Catalog::content_for

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use uuid::Uuid;

use crate::catalog::content_copy::{ContentBasis, content_reads};
use crate::catalog::keeping::{ContentOwner, KeptContent};
use crate::catalog::params::{self, ParamSubject};
use crate::catalog::usable;
use crate::kernel::{Caller, ChangesetRead, Error};
use crate::model::{
    BootenvKind, ContentView, LeftOut, Machine, Problem, RefusalCode, Run, RunArtifact, RunStep, StepKind,
    StopBefore, Stored, World,
};
use crate::objects::lanes::WorkFlag;
use crate::runs::Runs;
use crate::runs::actions::{RunAction, check_reason};
use crate::runs::flow::expand::step_digest;
use crate::runs::flow::{RunStart, StepReference, expand};
use crate::runs::generated_params::{GeneratedParams, ParamGenerator};
use crate::runs::machine_change::MachineChange;
use crate::runs::refusals::refusal;

/// The boolean param that makes a run a rehearsal.
pub const REHEARSE: &str = "rehearse";

/// What a plan is made from, copied out of the world.
#[derive(Debug)]
pub(super) struct PlanRequest {
    caller: Caller,
    action: RunAction,
    moving: MachineChange,
    /// What the machine's run has kept, if it goes on.
    kept: World,
    /// What was checked before, if anything was.
    checked: Option<ContentBasis>,
}

/// An action that can be carried out on a machine.
#[derive(Debug)]
pub(super) struct PlannedAction {
    moving: MachineChange,
    plan: RunPlan,
}

#[derive(Debug)]
struct RunPlan {
    work: PlannedWork,
    kept: KeptContent,
    /// Params that the machine gets with the run.
    generated: GeneratedParams,
    reads: Vec<ChangesetRead>,
}

#[derive(Debug)]
enum PlannedWork {
    Begin(RunStart, Box<Run>),
    /// Take these steps, and try again.
    Refresh(Vec<RunStep>),
}

/// The options of a start.
#[derive(Clone, Copy, Debug)]
struct StartOptions<'a> {
    /// `None` for the machine's own workflow, or the setting `default_workflow`.
    workflow: Option<&'a str>,
    reason: &'a str,
    from: Option<&'a StepReference>,
    stop_before: Option<&'a StepReference>,
}

impl PlannedAction {
    /// Changes the machine as planned. `None` if kept content was deleted meanwhile: plan again.
    pub(super) fn carry_out(self, (caller, world): (&Caller, &World)) -> Option<MachineChange> {
        let PlannedAction { mut moving, plan: RunPlan { work, kept, generated, reads } } = self;
        moving.keep(world, (&kept, reads))?;
        moving.add_generated(caller, generated);
        match work {
            PlannedWork::Begin(beginning, run) => moving.begin_run((caller, world), (beginning, *run)),
            PlannedWork::Refresh(steps) => {
                moving.refresh_run((caller, world), (steps, &kept));
                moving.flow((caller, world), |flow| flow.retry());
            }
        }
        moving.forget_step_faults();
        Some(moving)
    }
}

impl Runs {
    /// Plans an action on a machine. `None` if a run that begins now would have other content than was
    /// checked, or another machine.
    ///
    /// # Errors
    /// [`Error::Conflict`] with everything that prevents it, [`Error::Invalid`] for a workflow or step that
    /// does not exist, [`Error::NotFound`], [`Error::Busy`] if it was not done in time.
    pub(super) async fn plan(
        self: &Arc<Self>,
        caller: &Caller,
        key: &str,
        (action, checked): (&RunAction, Option<&ContentBasis>),
        is_held: bool,
    ) -> Result<Option<PlannedAction>, Error> {
        let request = self.plan_request(caller, key, (action, checked))?;
        let runs = Arc::clone(self);
        match is_held {
            true => self.plans.run_at_once(move || runs.make_plan(request, &WorkFlag::default())).await?,
            false => self.plans.run_in_pieces(move |flag| runs.make_plan(request, flag)).await?,
        }
    }

    fn plan_request(
        &self,
        caller: &Caller,
        key: &str,
        (action, checked): (&RunAction, Option<&ContentBasis>),
    ) -> Result<PlanRequest, Error> {
        let before = self.kernel.get::<Machine>(key)?;
        let (moving, kept) = self.kernel.read(|world| {
            let moving = MachineChange::new(before, world, caller.now);
            match refusal(action, &moving, world) {
                Some(refused) => Err(refused),
                None => {
                    let goes_on = moving.run().filter(|_| *action == RunAction::RetryRefreshed);
                    let kept = goes_on.map(|run| ContentView::kept_pieces(world, run)).unwrap_or_default();
                    Ok((moving, kept))
                }
            }
        })?;
        let (caller, action, checked) = (caller.clone(), action.clone(), checked.cloned());
        Ok(PlanRequest { caller, action, moving, kept, checked })
    }

    /// Blocks.
    fn make_plan(&self, request: PlanRequest, flag: &WorkFlag) -> Result<Option<PlannedAction>, Error> {
        let content = self.catalog.content_for(&request.moving.machine.spec)?;
        let planner =
            RunPlanner { runs: self, request: &request, flag, generator: ParamGenerator::default() };
        let plan = planner.plan_on(&content)?;
        let is_as_checked = request.checked.as_ref().is_none_or(|checked| {
            checked.machine.revision == request.moving.machine.revision
                && (checked.content.content_spec_generations() == content.content_spec_generations()
                    || planner.plan_on(&checked.content).is_ok_and(|was| was.kept.is_same(&plan.kept)))
        });
        Ok(is_as_checked.then_some(PlannedAction { moving: request.moving, plan }))
    }
}

/// Makes plans for one request.
struct RunPlanner<'p> {
    runs: &'p Runs,
    request: &'p PlanRequest,
    flag: &'p WorkFlag,
    generator: ParamGenerator,
}

impl RunPlanner<'_> {
    /// Plans on a copy of the content.
    fn plan_on(&self, content: &World) -> Result<RunPlan, Error> {
        match &self.request.action {
            RunAction::Start { workflow, reason, stop_before } => {
                let (workflow, stop_before) = (workflow.as_deref(), stop_before.as_ref());
                self.begin(content, StartOptions { workflow, reason, from: None, stop_before })
            }
            RunAction::Restart { from, reason, stop_before } => {
                let last = self.machine().status.run.as_ref();
                let workflow = Some(last.map_or("", |run| run.workflow.as_str()));
                let (from, stop_before) = (from.as_ref(), stop_before.as_ref());
                self.begin(content, StartOptions { workflow, reason, from, stop_before })
            }
            _ => self.refresh(content),
        }
    }

    fn machine(&self) -> &Stored<Machine> {
        &self.request.moving.machine
    }

    /// The machine with the params that are made for it, and those params.
    fn machine_with_generated(
        &self,
        content: &World,
        steps: &[RunStep],
    ) -> Result<(Stored<Machine>, GeneratedParams), Error> {
        let mut machine = self.machine().clone();
        let key = &self.runs.kernel.secrets;
        let generated = self.generator.params(content, (&machine, steps), key)?;
        machine.spec.params.extend(generated.clone());
        Ok((machine, generated))
    }

    /// A run with the present content.
    fn begin(&self, content: &World, begin: StartOptions<'_>) -> Result<RunPlan, Error> {
        check_reason(begin.reason)?;
        let machine = self.machine();
        let workflow = named_workflow(begin.workflow, machine, content)?;
        let steps = expand(&workflow, content, &|| self.flag.is_given_up());
        let mut steps = steps.map_err(|problems| not_usable(&workflow, problems))?;
        let from_step = begin.from.map(|from| from.find(&steps, 0)).transpose();
        let from_step = from_step.map_err(|why| Problem::new("/from", why).coded(RefusalCode::NotFound))?;
        let stop = begin.stop_before.map(|stop| stop.find(&steps, from_step.unwrap_or(0))).transpose();
        let stop = stop.map_err(|why| Problem::new("/stop_before", why).coded(RefusalCode::NotFound))?;
        let (machine, generated) = self.machine_with_generated(content, &steps)?;
        match usable::problems(&machine.spec, &steps, content, &|| self.flag.is_given_up()) {
            problems if problems.is_empty() => {}
            problems => return Err(not_usable(&workflow, problems)),
        }
        self.add_param_digests((&machine, content), &mut steps);
        let keep = ContentOwner { machine: &machine.spec, steps: &steps, before: content.into() };
        let kept = self.runs.catalog.keep((content, self.request.caller.now), keep);
        let mut run = new_run((&machine, content), (workflow, steps), &self.request.caller);
        run.reason = begin.reason.trim().to_owned();
        kept.name_in(&mut run);
        let stop_before = stop.map(|step| StopBefore { step, reason: String::new() });
        let beginning = RunStart { id: Uuid::now_v7(), from_step, stop_before };
        let work = PlannedWork::Begin(beginning, Box::new(run));
        Ok(RunPlan { work, kept, generated, reads: content_reads(content).collect() })
    }

    /// The present content and values for the remaining steps.
    fn refresh(&self, content: &World) -> Result<RunPlan, Error> {
        let (machine, run) = (self.machine(), self.request.moving.run());
        let cursor = machine.status.cursor as usize;
        let mut steps = self.request.moving.steps().to_vec();
        let (mut missing, mut known) = (Vec::new(), BTreeMap::new());
        let to_come = steps.iter_mut().skip(cursor).filter(|step| !step.state.is_over());
        for step in to_come.take_while(|_| !self.flag.is_given_up()) {
            let digest = known.entry((step.kind, step.name.clone()));
            match digest.or_insert_with(|| step_digest(step, content)) {
                Some(digest) => step.digest.clone_from(digest),
                None => missing.push(format!("`{}` does not exist any more", step.name)),
            }
        }
        let coming = steps.get_mut(cursor..).unwrap_or_default();
        let (machine, generated) = self.machine_with_generated(content, coming)?;
        missing.extend(usable::problems(&machine.spec, coming, content, &|| self.flag.is_given_up()));
        if !missing.is_empty() {
            return Err(not_usable(run.map_or("", |run| run.workflow.as_str()), missing));
        }
        self.add_param_digests((&machine, content), coming);
        let kept = ContentView::of_run(&self.request.kept, run);
        let before = if kept.is_kept() { kept } else { content.into() };
        let keep = ContentOwner { machine: &machine.spec, steps: &steps, before };
        let kept = self.runs.catalog.keep((content, self.request.caller.now), keep);
        let reads = content_reads(content).collect();
        Ok(RunPlan { work: PlannedWork::Refresh(steps), kept, generated, reads })
    }

    /// Sets on each step the digest of its present params. A value that cannot be opened is reported when it
    /// is used.
    fn add_param_digests(&self, (machine, content): (&Stored<Machine>, &World), steps: &mut [RunStep]) {
        let mut known: BTreeMap<String, String> = BTreeMap::new();
        for step in steps.iter_mut().take_while(|_| !self.flag.is_given_up()) {
            let digest = known.entry(step.stage.clone()).or_insert_with(|| {
                let stage = content.stages.get(&step.stage).map(|stage| &stage.spec);
                let of = ParamSubject { machine: Some(machine), stage };
                params::digest(content.into(), of, &self.runs.kernel.secrets).unwrap_or_default()
            });
            step.params.clone_from(digest);
        }
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
    let params = usable::params(world, (machine, stage.map(|stage| &stage.spec)), REHEARSE);
    matches!(params.get(REHEARSE), Ok(Some(found)) if found.value.as_bool() == Some(true))
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
