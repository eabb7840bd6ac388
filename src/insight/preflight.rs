//! The check before a run begins: every document and script of it is rendered and read, and everything that
//! would stop it is told at once. It changes nothing. `lints` has the checks. Start at
//! [`Insight::preflight`].
//!
//! None of the work is done with the world locked: the parts of the run are looked up in a copy of the
//! content of the machine's channel, in a lane.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::sync::Arc;

use serde_json::json;
use uuid::Uuid;

use crate::catalog::content_copy::ContentBasis;
use crate::catalog::params::SecretMode;
use crate::catalog::rendering::{BootContext, RenderPurpose, task_file_path, task_file_text};
use crate::catalog::usable;
use crate::insight::Insight;
use crate::insight::lints::answers::{self, AnswerParams};
use crate::insight::lints::documents::{self, DocumentText};
use crate::insight::preview::no_attempt;
use crate::kernel::{Caller, Error};
use crate::model::{
    Bootenv, BootenvKind, Mac, Machine, Problem, RefusalCode, Run, RunStep, Stage, StepKind, Stored, Task,
    World,
};
use crate::netboot::decide::namespace::ScriptKind;
use crate::netboot::documents::BootDocument;
use crate::objects::lanes::WorkFlag;
use crate::render::{ProblemKind, RenderInput, RenderProblem, RenderedText};

/// Most documents that are rendered for one run.
const DOCUMENTS_MAX: usize = 512;
/// Most faults that are listed.
const FAULTS_MAX: usize = 64;
/// Most tasks of one stage that are looked at, with those that they need.
const TASKS_MAX: usize = 1024;

/// The steps that are checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PreflightScope {
    /// A workflow, or the machine's own, or the setting `default_workflow`.
    Workflow(Option<String>),
    /// The machine's own workflow, if no run is open.
    NextStart,
    /// The workflow of the machine's last run.
    LastWorkflow,
    /// The steps of the machine's run that are still to come.
    StepsToCome,
}

/// A stage of the run, with the bootenv that the machine is in.
pub(super) struct RunPlace {
    stage: Arc<Stored<Stage>>,
    pub(super) bootenv: Option<Arc<Stored<Bootenv>>>,
    /// Whether the machine boots here.
    pub(super) boots: bool,
    pub(super) tasks: Vec<Arc<Stored<Task>>>,
}

/// What a check has found.
#[derive(Debug)]
pub struct PreflightReport {
    pub faults: Vec<Problem>,
    /// What was checked.
    pub basis: ContentBasis,
}

/// What is checked.
pub(super) struct RunParts {
    pub(super) machine: Arc<Stored<Machine>>,
    pub(super) places: Vec<RunPlace>,
    /// What the content alone tells.
    pub(super) found: Vec<Problem>,
}

/// The faults so far, each once.
#[derive(Default)]
struct PreflightFaults {
    found: Vec<Problem>,
    documents: usize,
}

impl PreflightFaults {
    fn add(&mut self, fault: Problem) {
        if self.found.len() < FAULTS_MAX && !self.found.contains(&fault) {
            self.found.push(fault);
        }
    }

    /// Notes a render: the text, or its fault.
    fn note(&mut self, rendered: Result<RenderedText, RenderProblem>) -> Result<Option<RenderedText>, Error> {
        self.documents += 1;
        match rendered {
            Ok(rendered) => Ok(Some(rendered)),
            Err(problem) if problem.kind == ProblemKind::Busy => Err(Error::Busy(problem.to_string())),
            Err(problem) => {
                self.add(Problem::from(&problem));
                Ok(None)
            }
        }
    }

    /// Adds what the lints find in a document.
    fn read(&mut self, place: &str, text: &str) {
        document_faults(place, text).for_each(|fault| self.add(fault));
    }
}

/// The faults of a document, with their lines in it.
pub(super) fn document_faults<'a>(place: &'a str, text: &str) -> impl Iterator<Item = Problem> + use<'a> {
    documents::faults(&DocumentText { path: place, text }).into_iter().map(move |(line, what)| {
        let fault = Problem::new("", what).coded(RefusalCode::BadDocument);
        Problem { template: Some(place.to_owned()), line: u32::try_from(line).ok(), ..fault }
    })
}

impl Insight {
    /// Everything that would stop a run of a machine, as far as content, params and files tell. Empty if
    /// nothing would.
    ///
    /// # Errors
    /// [`Error::NotFound`]; [`Error::Busy`] if it was not done in time.
    pub async fn preflight(
        self: &Arc<Self>,
        caller: &Caller,
        (machine, scope): (&str, &PreflightScope),
    ) -> Result<PreflightReport, Error> {
        let (machine, run) = self.kernel.read(|world| {
            let machine = caller.find::<Machine>(world, machine)?;
            let run = machine.status.run.as_ref().and_then(|run| world.runs.get(&run.id.to_string()));
            Ok::<_, Error>((Arc::clone(machine), run.cloned()))
        })?;
        let (insight, scope) = (Arc::clone(self), scope.clone());
        let checking = self.preflights.run_in_pieces(move |flag| {
            let content = match insight.catalog.content_for(&machine.spec) {
                Ok(content) => content,
                Err(refused) => {
                    let fault = Problem::new("/channel", refused.to_string()).coded(RefusalCode::NotReady);
                    let basis = ContentBasis { content: insight.catalog.content(), machine };
                    return Ok(PreflightReport { faults: vec![fault], basis });
                }
            };
            let outline = RunOutline { content: &content, machine: &machine, run: run.as_deref() };
            let faults = match outline.parts(&scope, flag) {
                Some(parts) => insight.look_over((&parts, &content), flag)?,
                None => Vec::new(),
            };
            Ok(PreflightReport { faults, basis: ContentBasis { content, machine } })
        });
        checking.await?
    }

    /// Renders and reads everything. Blocks.
    fn look_over(
        &self,
        (parts, content): (&RunParts, &Arc<World>),
        flag: &WorkFlag,
    ) -> Result<Vec<Problem>, Error> {
        let mut faults = PreflightFaults::default();
        parts.found.iter().for_each(|fault| faults.add(fault.clone()));
        for place in &parts.places {
            let boot = self.hypothetical_boot((&parts.machine, content), place);
            if place.boots {
                self.check_boot(&boot, &mut faults)?;
            }
            // Only the task and the job differ from one task of a place to the next.
            let mut input = None;
            for task in &place.tasks {
                if flag.is_given_up() || faults.documents >= DOCUMENTS_MAX {
                    return Ok(faults.found);
                }
                let input = input.get_or_insert_with(|| self.catalog.input(&boot, SecretMode::Rehearsed));
                match input {
                    Ok(input) => self.check_task((&boot, input), task, &mut faults)?,
                    Err(problem) => faults.add(Problem::from(&*problem)),
                }
            }
        }
        Ok(faults.found)
    }

    /// The boot that the machine would be in at a place of its run.
    pub(super) fn hypothetical_boot(
        &self,
        (machine, content): (&Arc<Stored<Machine>>, &Arc<World>),
        place: &RunPlace,
    ) -> BootContext {
        let api = self.kernel.endpoints.api.map(|api| api.ip()).filter(|ip| !ip.is_unspecified());
        BootContext {
            machine: Some(Arc::clone(machine)),
            bootenv: place.bootenv.clone(),
            stage: Some(Arc::clone(&place.stage)),
            run: None,
            channel_content: content.is_derived().then(|| Arc::clone(content)),
            attempt: Some(no_attempt()),
            facing: self.catalog.facing(api.unwrap_or(Ipv4Addr::LOCALHOST.into())),
            agent_token: None,
            purpose: RenderPurpose::Preview,
        }
    }

    /// Checks the files, the documents and the answers of one boot.
    fn check_boot(&self, boot: &BootContext, faults: &mut PreflightFaults) -> Result<(), Error> {
        let Some(bootenv) = boot.bootenv.as_ref().filter(|bootenv| bootenv.spec.kind != BootenvKind::Local)
        else {
            return Ok(());
        };
        for absent in self.netboot.absent_files(boot) {
            let what = format!("bootenv `{}`: {absent}", bootenv.key);
            faults.add(Problem::new("", what).coded(RefusalCode::MissingFile));
        }
        if let Err(problem) = self.netboot.rendered_files(boot) {
            faults.note(Err(problem))?;
        }
        let script = boot.files().map(|_| BootDocument::BootScript(ScriptKind::Ipxe));
        let files = boot.templates().iter().map(|file| BootDocument::File(file.clone()));
        let mut read = BTreeSet::new();
        let mut sources = Vec::new();
        for document in script.into_iter().chain(files) {
            if faults.documents >= DOCUMENTS_MAX {
                break;
            }
            let rendered = self.netboot.render_document(boot, &document, SecretMode::Rehearsed);
            let Some(rendered) = faults.note(rendered)? else { continue };
            read.extend(rendered.provenance.params.iter().map(|param| param.name.clone()));
            if let BootDocument::File(file) = &document {
                faults.read(&format!("{}/{}", bootenv.key, file.path), &rendered.text);
                sources.push(rendered.text);
            }
        }
        if let Some(fault) = self.no_package_source(boot, &sources) {
            faults.add(fault);
        }
        // A fault of the params was told by the render.
        let Ok(input) = self.catalog.input(boot, SecretMode::Rehearsed) else { return Ok(()) };
        let answers = AnswerParams { params: &input.params, read: &read };
        answers::faults(&answers).into_iter().for_each(|fault| faults.add(fault));
        Ok(())
    }

    /// A kickstart that installs from the artifact it booted, in which there is no repository.
    fn no_package_source(&self, boot: &BootContext, texts: &[String]) -> Option<Problem> {
        let name = &boot.files()?.artifact;
        let base = format!("{}/artifacts/{name}", boot.facing.http);
        let line = texts.iter().flat_map(|text| text.lines()).find(|line| {
            let url = line.split_whitespace().find_map(|word| word.strip_prefix("--url="));
            line.starts_with("url ") && url.is_some_and(|url| url.trim_matches(['\'', '"']) == base)
        });
        line?;
        let is_bare = self.kernel.read(|world| {
            let artifact = world.artifacts.get(name).filter(|artifact| !artifact.spec.is_mirror());
            artifact.is_some_and(|artifact| artifact.status.repositories.is_empty())
        });
        let what = format!(
            "there is nothing to install packages from: artifact {name} holds no repository. Set the \
             mirror's param (`rocky_mirror`), name a repository that is an `install_source` in \
             `repositories`, or add the whole tree of the medium as the artifact"
        );
        is_bare.then(|| Problem::new("/params/repositories", what).coded(RefusalCode::NoPackageSource))
    }

    /// Renders the files and scripts of a task.
    fn check_task(
        &self,
        (boot, input): (&BootContext, &RenderInput),
        task: &Stored<Task>,
        faults: &mut PreflightFaults,
    ) -> Result<(), Error> {
        let mut input = input.clone();
        input.variables.insert("task".into(), json!({"name": task.key}));
        input.variables.insert("job".into(), json!({"id": Uuid::nil()}));
        let engine = self.catalog.engine_for(boot);
        for template in &task.spec.templates {
            let of = (task.key.as_str(), template);
            if let Err(problem) = task_file_path(&engine, of, &input) {
                faults.note(Err(problem))?;
            }
            if let Some(rendered) = faults.note(task_file_text(&engine, of, &input))? {
                faults.read(&format!("{}/{}", task.key, template.name), &rendered.text);
            }
        }
        Ok(())
    }
}

/// The machine. One that is known by something else than a MAC has one when it boots; until then, an
/// example stands for it.
fn with_mac(machine: &Arc<Stored<Machine>>) -> Arc<Stored<Machine>> {
    if !machine.spec.macs.is_empty() {
        return Arc::clone(machine);
    }
    let mut known = (**machine).clone();
    known.spec.macs.push(Mac([2, 0, 0, 0, 0, 0]));
    Arc::new(known)
}

/// What a run would consist of, in a copy of the content.
pub(super) struct RunOutline<'a> {
    pub(super) content: &'a World,
    pub(super) machine: &'a Arc<Stored<Machine>>,
    /// The machine's last run.
    pub(super) run: Option<&'a Stored<Run>>,
}

impl RunOutline<'_> {
    /// The parts of the run; none if there is no workflow, which the start itself refuses.
    pub(super) fn parts(&self, scope: &PreflightScope, flag: &WorkFlag) -> Option<RunParts> {
        let (content, machine) = (self.content, self.machine);
        let places = match scope {
            PreflightScope::StepsToCome => self.places_to_come(),
            PreflightScope::NextStart => {
                self.run.is_none_or(|run| !run.spec.is_open()).then_some(())?;
                workflow_places(content, &content.workflow_of(&machine.spec)?)?
            }
            PreflightScope::Workflow(Some(named)) => workflow_places(content, named)?,
            PreflightScope::Workflow(None) => workflow_places(content, &content.workflow_of(&machine.spec)?)?,
            PreflightScope::LastWorkflow => workflow_places(content, &machine.status.run.as_ref()?.workflow)?,
        };
        let mut steps = Vec::new();
        for place in &places {
            let stage = &place.stage.key;
            steps.push(RunStep::pending(StepKind::Stage, (stage, stage)));
            let bootenv = place.bootenv.as_ref().filter(|_| place.boots);
            steps.extend(bootenv.map(|bootenv| RunStep::pending(StepKind::Bootenv, (&bootenv.key, stage))));
            steps.extend(place.tasks.iter().map(|task| RunStep::pending(StepKind::Task, (&task.key, stage))));
        }
        let found = usable::problems(&machine.spec, &steps, content, &|| flag.is_given_up()).into_iter();
        let found = found.map(|what| Problem::new("", what).coded(RefusalCode::NotReady)).collect();
        Some(RunParts { machine: with_mac(machine), places, found })
    }

    /// The places of the run's steps that are still to come.
    fn places_to_come(&self) -> Vec<RunPlace> {
        let content = self.content;
        let steps = self.run.map_or(&[][..], |run| run.spec.steps.as_slice());
        let to_come = steps.iter().skip(self.machine.status.cursor as usize);
        let mut names: Vec<&String> =
            to_come.filter(|step| !step.state.is_over()).map(|step| &step.stage).collect();
        names.dedup();
        let stages = names.into_iter().filter_map(|name| content.stages.get(name));
        let places = stages.map(|stage| {
            let bootenv = stage.spec.bootenv.as_ref().and_then(|name| content.bootenvs.get(name)).cloned();
            let boots = bootenv.is_some();
            let tasks = tasks(content, &stage.spec.tasks);
            RunPlace { stage: Arc::clone(stage), bootenv, boots, tasks }
        });
        places.collect()
    }
}

/// The places of a workflow. What does not exist is left out: the start itself refuses it.
fn workflow_places(world: &World, workflow: &str) -> Option<Vec<RunPlace>> {
    let workflow = world.workflows.get(workflow)?;
    let mut places = Vec::new();
    let mut seen = BTreeSet::new();
    let mut inside: Option<Arc<Stored<Bootenv>>> = None;
    for stage in workflow.spec.stages.iter().filter_map(|name| world.stages.get(name)) {
        let own = stage.spec.bootenv.as_ref().and_then(|name| world.bootenvs.get(name));
        let boots = own.is_some_and(|own| inside.as_ref().is_none_or(|inside| inside.key != own.key));
        inside = own.cloned().or(inside);
        if seen.insert((stage.key.as_str(), inside.as_ref().map(|inside| inside.key.clone()))) {
            let tasks = tasks(world, &stage.spec.tasks);
            places.push(RunPlace { stage: Arc::clone(stage), bootenv: inside.clone(), boots, tasks });
        }
    }
    Some(places)
}

/// Tasks with those that they need and those that follow their failure, each once.
fn tasks(world: &World, names: &[String]) -> Vec<Arc<Stored<Task>>> {
    let mut open: Vec<&String> = names.iter().rev().collect();
    let (mut seen, mut found) = (BTreeSet::new(), Vec::new());
    while let Some(name) = open.pop().filter(|_| found.len() < TASKS_MAX) {
        let Some(task) = world.tasks.get(name).filter(|_| seen.insert(name)) else { continue };
        open.extend(task.spec.prerequisites.iter().chain(&task.spec.on_failure));
        found.push(Arc::clone(task));
    }
    found
}
