//! Every text that the sample machines get on their way through their workflows.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Context, Result};
use serde_json::json;
use uuid::Uuid;

use super::samples::{SERVER, TestSite};
use super::{TEST_TIME, now};
use crate::catalog::params::SecretMode;
use crate::catalog::rendering::{BootContext, RenderPurpose, task_file_text};
use crate::insight::preview::no_attempt;
use crate::model::{Bootenv, Machine, Run, Stage, Stored};
use crate::netboot::decide::namespace::ScriptKind;
use crate::netboot::documents::BootDocument;
use crate::render::RenderProblem;

/// Most texts of one test.
const TEXTS_MAX: usize = 10_000;
/// The script of iPXE, which has the command line of the kernel.
const SCRIPT: &str = "boot.ipxe";

/// A text that a machine gets: `web1/install/preseed.cfg`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RenderedFile {
    pub(super) path: String,
    pub(super) text: String,
}

/// A text that could not be rendered.
#[derive(Debug)]
pub(super) struct RenderFault {
    path: String,
    problem: RenderProblem,
}

impl std::fmt::Display for RenderFault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: error: {}", self.path, self.problem)
    }
}

/// What was rendered, and what could not be.
#[derive(Debug, Default)]
struct TestTexts {
    files: BTreeMap<String, String>,
    faults: Vec<RenderFault>,
}

impl TestTexts {
    fn add(&mut self, path: String, text: Result<String, RenderProblem>) {
        if self.files.len() + self.faults.len() >= TEXTS_MAX {
            return;
        }
        match text {
            Ok(text) => {
                self.files.insert(path, text);
            }
            Err(problem) => self.faults.push(RenderFault { path, problem }),
        }
    }
}

/// Renders everything for every sample machine. Blocks.
///
/// # Errors
/// A machine has no workflow, or one that is not there.
pub(super) fn render_all(site: &TestSite) -> Result<(Vec<RenderedFile>, Vec<RenderFault>)> {
    let mut texts = TestTexts::default();
    for machine in &site.machines {
        let stages = stages_of(site, machine).with_context(|| {
            format!("the sample machine {} has no workflow that is there", machine.spec.name)
        })?;
        let mut bootenv = None;
        for stage in stages {
            let own = stage.spec.bootenv.as_deref();
            let own = own.and_then(|name| site.houses.kernel.read(|world| world.bootenvs.get(name).cloned()));
            let is_booted = own.is_some();
            bootenv = own.or(bootenv);
            let boot = boot(site, (machine, &stage), bootenv.as_ref())?;
            if is_booted {
                render_boot(site, &boot, &mut texts);
            }
            render_tasks(site, (&boot, &stage), &mut texts);
        }
    }
    let files = texts.files.into_iter().map(|(path, text)| RenderedFile { path, text }).collect();
    Ok((files, texts.faults))
}

fn stages_of(site: &TestSite, machine: &Stored<Machine>) -> Option<Vec<Arc<Stored<Stage>>>> {
    site.houses.kernel.read(|world| {
        let workflow = world.workflows.get(machine.spec.workflow.as_ref()?)?;
        Some(workflow.spec.stages.iter().filter_map(|name| world.stages.get(name).cloned()).collect())
    })
}

/// The boot of a machine into a stage, at the time of the test.
fn boot(
    site: &TestSite,
    (machine, stage): (&Arc<Stored<Machine>>, &Arc<Stored<Stage>>),
    bootenv: Option<&Arc<Stored<Bootenv>>>,
) -> Result<BootContext> {
    let run: Run = serde_json::from_value(json!({
        "machine": machine.key,
        "machine_name": machine.spec.name,
        "workflow": machine.spec.workflow,
        "started_at": TEST_TIME,
    }))?;
    Ok(BootContext {
        machine: Some(Arc::clone(machine)),
        bootenv: bootenv.cloned(),
        stage: Some(Arc::clone(stage)),
        run: Some(Arc::new(Stored::new(Uuid::nil().to_string(), run, now()?))),
        channel_content: None,
        attempt: Some(no_attempt()),
        facing: site.houses.catalog.facing(SERVER),
        agent_token: None,
        purpose: RenderPurpose::Preview,
    })
}

/// The folder of a stage's texts: `web1/install`.
fn folder_of(boot: &BootContext) -> String {
    let machine = boot.machine.as_ref().map(|machine| machine.spec.name.as_str()).unwrap_or_default();
    let stage = boot.stage.as_ref().map(|stage| stage.key.as_str()).unwrap_or_default();
    format!("{machine}/{stage}")
}

/// The script of the loader and the files of the bootenv.
fn render_boot(site: &TestSite, boot: &BootContext, texts: &mut TestTexts) {
    let (netboot, folder) = (&site.houses.netboot, folder_of(boot));
    if boot.files().is_some() {
        let script = BootDocument::BootScript(ScriptKind::Ipxe);
        let rendered = netboot.render_document(boot, &script, SecretMode::Redacted);
        texts.add(format!("{folder}/{SCRIPT}"), rendered.map(|rendered| rendered.text));
    }
    match netboot.rendered_files(boot) {
        Ok(files) => {
            for (path, file) in files {
                let document = BootDocument::File(file.clone());
                let rendered = netboot.render_document(boot, &document, SecretMode::Redacted);
                texts.add(format!("{folder}/{path}"), rendered.map(|rendered| rendered.text));
            }
        }
        Err(problem) => texts.add(folder, Err(problem)),
    }
}

/// The scripts and files of the stage's tasks.
fn render_tasks(site: &TestSite, (boot, stage): (&BootContext, &Stored<Stage>), texts: &mut TestTexts) {
    let (catalog, folder) = (&site.houses.catalog, folder_of(boot));
    for name in &stage.spec.tasks {
        let Some(task) = site.houses.kernel.read(|world| world.tasks.get(name).cloned()) else { continue };
        let engine = catalog.engine_for(boot);
        let mut input = match catalog.input(boot, SecretMode::Redacted) {
            Ok(input) => input,
            Err(problem) => {
                texts.add(format!("{folder}/tasks/{name}"), Err(problem));
                continue;
            }
        };
        input.variables.insert("task".into(), json!({"name": name}));
        input.variables.insert("job".into(), json!({"id": Uuid::nil()}));
        for template in &task.spec.templates {
            let rendered = task_file_text(&engine, (name, template), &input);
            let path = format!("{folder}/tasks/{name}/{}", template.name);
            texts.add(path, rendered.map(|rendered| rendered.text));
        }
    }
}
