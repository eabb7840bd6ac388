//! The documents that cannot be rendered after an object of content was written: of some machines that use
//! it, so that its author learns it at once and not from a console. It is looked for after the write, in the
//! turns of previews and within a bound of time, so nobody waits for it but the writer.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::SignedDuration;
use serde_json::json;
use uuid::Uuid;

use crate::catalog::params::{self, SecretMode};
use crate::catalog::reach::reaches;
use crate::catalog::rendering::{BootContext, RenderPurpose, task_file_text};
use crate::insight::Insight;
use crate::insight::preview::no_attempt;
use crate::kernel::Caller;
use crate::model::{
    BootTemplate, Bootenv, GLOBAL_PROFILE, Kind, Machine, Problem, RefusalCode, Stage, Stored, Task,
    TaskTemplate, TemplateText, World,
};
use crate::netboot::documents::BootDocument;
use crate::render::{ProblemKind, RenderProblem, RenderedText};

/// Most machines that are looked at, and most of them with the same workflow and profiles.
const MACHINES_MAX: usize = 8;
const ALIKE_MAX: usize = 2;
/// Most documents that are rendered.
const RENDERS_MAX: usize = 32;
/// Most problems that are told, and most machines that are named with one.
const PROBLEMS_MAX: usize = 8;
const NAMED_MAX: usize = 4;
/// How long is looked, and how long the writer waits for it.
const LOOK_TIME_MAX: SignedDuration = SignedDuration::from_secs(2);
const WAIT_MAX: Duration = Duration::from_secs(5);

/// The kinds after whose writes documents are looked at.
const CHECKED: [Kind; 5] = [Kind::Template, Kind::Param, Kind::Profile, Kind::Bootenv, Kind::Task];

/// The object that was written.
#[derive(Clone, Debug)]
struct WrittenObject {
    kind: Kind,
    key: String,
}

impl WrittenObject {
    /// The object; of an override, the object that it changes.
    fn of(world: &World, (kind, key): (Kind, &str)) -> Self {
        let target = world.overrides.get(key).filter(|_| kind == Kind::Override);
        match target.map(|row| &row.spec.target) {
            Some(target) => WrittenObject { kind: target.kind.kind(), key: target.name.clone() },
            None => WrittenObject { kind, key: key.to_owned() },
        }
    }
}

/// A stage of a workflow that uses the object, with what is rendered in it.
struct AffectedStage {
    stage: Arc<Stored<Stage>>,
    bootenv: Option<Arc<Stored<Bootenv>>>,
    files: Vec<BootTemplate>,
    task_files: Vec<(Arc<Stored<Task>>, TaskTemplate)>,
}

/// A machine that uses the object.
struct AffectedMachine {
    machine: Arc<Stored<Machine>>,
    /// The content of its channel.
    content: Arc<World>,
    stages: Vec<AffectedStage>,
}

/// A problem, and the documents that have it.
struct BrokenDocument {
    problem: RenderProblem,
    document: String,
    machines: Vec<String>,
}

impl Insight {
    /// What cannot be rendered now that an object was written: the problem, the document, the machines. Empty
    /// if nothing was found, or nothing could be looked at in time.
    pub async fn broken_by(self: &Arc<Self>, caller: &Caller, (kind, key): (Kind, &str)) -> Vec<Problem> {
        let written = self.kernel.read(|world| WrittenObject::of(world, (kind, key)));
        let is_asked = CHECKED.contains(&written.kind) && caller.sees_some(Kind::Machine);
        if !is_asked || self.kernel.read(|world| world.machines.is_empty()) {
            return Vec::new();
        }
        let (insight, caller) = (Arc::clone(self), caller.clone());
        let looking = self.catalog.render_preview(move || insight.look_at_documents(&caller, &written));
        match tokio::time::timeout(WAIT_MAX, looking).await {
            Ok(Ok(found)) => found.iter().map(shown).collect(),
            _ => Vec::new(),
        }
    }

    /// Renders the documents of some machines that use the object. Blocks.
    fn look_at_documents(&self, caller: &Caller, written: &WrittenObject) -> Vec<BrokenDocument> {
        let ends = self.kernel.now().checked_add(LOOK_TIME_MAX).unwrap_or(caller.now);
        let machines: Vec<Arc<Stored<Machine>>> =
            self.kernel.read(|world| caller.visible(&world.machines).cloned().collect());
        let mut broken: Vec<BrokenDocument> = Vec::new();
        let mut renders = 0;
        for affected in self.sample(&machines, written) {
            let machine = &affected.machine;
            for stage in &affected.stages {
                let boot = self.boot_in(&affected, stage);
                let mut note = |document: String, rendered: Result<RenderedText, RenderProblem>| {
                    if let Err(problem) = rendered
                        && concerns(&problem, written)
                    {
                        add(&mut broken, (problem, document), &machine.spec.name);
                    }
                };
                for file in &stage.files {
                    if renders >= RENDERS_MAX || self.kernel.now() > ends {
                        return broken;
                    }
                    renders += 1;
                    let document = BootDocument::File(file.clone());
                    let rendered = self.netboot.render_document(&boot, &document, SecretMode::Rehearsed);
                    note(file.path.clone(), rendered);
                }
                for (task, file) in &stage.task_files {
                    if renders >= RENDERS_MAX || self.kernel.now() > ends {
                        return broken;
                    }
                    renders += 1;
                    note(format!("{}/{}", task.key, file.name), self.task_file(&boot, task, file));
                }
            }
        }
        broken
    }

    /// Some machines that use the object, of different workflows and profiles first.
    fn sample(&self, machines: &[Arc<Stored<Machine>>], written: &WrittenObject) -> Vec<AffectedMachine> {
        let mut alike: BTreeMap<(String, &[String]), usize> = BTreeMap::new();
        let mut chosen = Vec::new();
        for machine in machines {
            let Ok(content) = self.catalog.content_for(&machine.spec) else { continue };
            let Some(workflow) = content.workflow_of(&machine.spec) else { continue };
            let seen = alike.entry((workflow.clone(), machine.spec.profiles.as_slice())).or_default();
            if *seen >= ALIKE_MAX {
                continue;
            }
            if written.kind == Kind::Profile && !has_profile(&content, &machine.spec, &written.key) {
                continue;
            }
            *seen += 1;
            let stages = affected_stages(&content, &workflow, written);
            if !stages.is_empty() {
                chosen.push(AffectedMachine { machine: Arc::clone(machine), content, stages });
            }
            if chosen.len() >= MACHINES_MAX {
                break;
            }
        }
        chosen
    }

    fn task_file(
        &self,
        boot: &BootContext,
        task: &Stored<Task>,
        file: &TaskTemplate,
    ) -> Result<RenderedText, RenderProblem> {
        let mut input = self.catalog.input(boot, SecretMode::Rehearsed)?;
        input.variables.insert("task".into(), json!({"name": task.key}));
        input.variables.insert("job".into(), json!({"id": Uuid::nil()}));
        task_file_text(&self.catalog.engine_for(boot), (task.key.as_str(), file), &input)
    }

    fn boot_in(&self, affected: &AffectedMachine, stage: &AffectedStage) -> BootContext {
        let AffectedMachine { machine, content, .. } = affected;
        let api = self.kernel.endpoints.api.map(|api| api.ip()).filter(|ip| !ip.is_unspecified());
        BootContext {
            machine: Some(Arc::clone(machine)),
            bootenv: stage.bootenv.clone(),
            stage: Some(Arc::clone(&stage.stage)),
            run: None,
            channel_content: content.is_derived().then(|| Arc::clone(content)),
            attempt: Some(no_attempt()),
            facing: self.catalog.facing(api.unwrap_or(std::net::Ipv4Addr::LOCALHOST.into())),
            agent_token: None,
            purpose: RenderPurpose::Preview,
        }
    }
}

fn has_profile(content: &World, machine: &Machine, profile: &str) -> bool {
    let global = [GLOBAL_PROFILE.to_owned()];
    let own = params::expand(content.into(), &machine.profiles).into_iter();
    own.chain(params::expand(content.into(), &global)).any(|found| found.name == profile)
}

/// The stages of a workflow in which the object is used.
fn affected_stages(content: &World, workflow: &str, written: &WrittenObject) -> Vec<AffectedStage> {
    let stages = content.workflows.get(workflow).map(|row| row.spec.stages.as_slice()).unwrap_or_default();
    let (mut found, mut seen) = (Vec::new(), BTreeSet::new());
    for stage in stages.iter().filter_map(|name| content.stages.get(name)) {
        if !seen.insert(stage.key.as_str()) {
            continue;
        }
        let bootenv = stage.spec.bootenv.as_ref().and_then(|name| content.bootenvs.get(name)).cloned();
        let files = bootenv.iter().flat_map(|row| row.spec.templates.iter().map(move |file| (row, file)));
        let files = files.filter(|(row, file)| {
            let own = written.kind == Kind::Bootenv && row.key == written.key;
            own || uses(content, (file.template.as_deref(), file.inline.as_deref()), written)
        });
        let files: Vec<BootTemplate> = files.map(|(_, file)| file.clone()).collect();
        let tasks = stage.spec.tasks.iter().filter_map(|name| content.tasks.get(name));
        let task_files = tasks.flat_map(|row| row.spec.templates.iter().map(move |file| (row, file)));
        let task_files = task_files.filter(|(row, file)| {
            let own = written.kind == Kind::Task && row.key == written.key;
            own || uses(content, (file.template.as_deref(), file.inline.as_deref()), written)
        });
        let task_files: Vec<_> = task_files.map(|(row, file)| (Arc::clone(row), file.clone())).collect();
        if !(files.is_empty() && task_files.is_empty()) {
            found.push(AffectedStage { stage: Arc::clone(stage), bootenv, files, task_files });
        }
    }
    found
}

/// Whether a file of this template, or of this text, uses the object. A param or profile may be used by any.
fn uses(content: &World, (name, inline): (Option<&str>, Option<&str>), written: &WrittenObject) -> bool {
    match written.kind {
        Kind::Template => {
            let named: Vec<&str> = name.into_iter().collect();
            let texts: Vec<TemplateText<'_>> =
                inline.into_iter().map(|body| TemplateText { body, verbatim: false }).collect();
            reaches(content.into(), (&named, &texts), &written.key)
        }
        Kind::Param | Kind::Profile => true,
        _ => false,
    }
}

/// Whether a problem may come from the object that was written.
fn concerns(problem: &RenderProblem, written: &WrittenObject) -> bool {
    let is_named = problem.message.contains(&format!("`{}`", written.key));
    match (problem.kind, written.kind) {
        (ProblemKind::Busy, _) => false,
        (_, Kind::Template) => {
            let key = written.key.as_str();
            let on_the_way = problem.included_from.iter().any(|(name, _)| name == key);
            problem.template == key || on_the_way || is_named
        }
        (_, Kind::Param) => is_named,
        _ => true,
    }
}

fn add(broken: &mut Vec<BrokenDocument>, (problem, document): (RenderProblem, String), machine: &str) {
    let known = broken.iter_mut().find(|known| known.document == document && known.problem == problem);
    if let Some(known) = known {
        known.machines.push(machine.to_owned());
        return;
    }
    if broken.len() < PROBLEMS_MAX {
        broken.push(BrokenDocument { problem, document, machines: vec![machine.to_owned()] });
    }
}

fn shown(broken: &BrokenDocument) -> Problem {
    let named = broken.machines.iter().take(NAMED_MAX).cloned().collect::<Vec<_>>().join(", ");
    let more = broken.machines.len().saturating_sub(NAMED_MAX);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    let problem = Problem::from(&broken.problem);
    let what = format!("`{}` of {named}{more} cannot be rendered now: {}", broken.document, problem.message);
    Problem { message: what, ..problem }.coded(RefusalCode::Template)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(template: &str, included_from: &[(&str, u32)]) -> RenderProblem {
        let mut problem = RenderProblem::new(ProblemKind::Template, template, "Variable `x` is not defined.");
        problem.included_from =
            included_from.iter().map(|(name, line)| ((*name).to_owned(), *line)).collect();
        problem
    }

    #[test]
    fn a_problem_is_told_of_a_template_that_it_is_in_or_that_leads_to_it() {
        let written = WrittenObject { kind: Kind::Template, key: "net.ks".to_owned() };
        assert!(concerns(&problem("net.ks", &[]), &written));
        assert!(concerns(&problem("dns.ks", &[("net.ks", 3), ("base.ks", 1)]), &written));
        assert!(!concerns(&problem("disk.ks", &[("base.ks", 1)]), &written));
    }

    #[test]
    fn machines_with_the_same_problem_are_named_together() {
        let mut broken = Vec::new();
        for number in 1..=6 {
            add(&mut broken, (problem("net.ks", &[]), "ks.cfg".to_owned()), &format!("web{number}"));
        }
        assert_eq!(broken.len(), 1);
        let said = shown(&broken[0]).message;
        assert!(
            said.starts_with("`ks.cfg` of web1, web2, web3, web4 and 2 more cannot be rendered"),
            "{said}"
        );
    }
}
