//! Expands a workflow's stages to the flat list of steps of a run.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::model::{
    Bootenv, ContentView, Problem, RunStep, Stage, StepKind, Task, Template, World, sha256_hex,
};

use super::STEPS_MAX;

/// Most problems that are listed for one workflow.
const PROBLEMS_MAX: usize = 64;
/// Longest chain of prerequisites.
const PREREQUISITE_DEPTH_MAX: usize = 32;

/// The steps of a run of `workflow`, with the digests of the present content. Each stage is a step. A bootenv
/// is a step if it differs from the previous one. Prerequisites come before the task that names them, once
/// per boot.
///
/// # Errors
/// Everything that is missing or circular, all at once, each with a pointer into the object that names it;
/// that the work was given up.
pub fn expand<'a>(
    workflow: &str,
    world: &'a World,
    is_given_up: &'a dyn Fn() -> bool,
) -> Result<Vec<RunStep>, Vec<Problem>> {
    let mut expansion = RunExpansion { is_given_up, ..RunExpansion::new(world) };
    match world.workflows.get(workflow) {
        None => expansion.fault("", format!("there is no workflow `{workflow}`")),
        Some(found) => {
            for (i, name) in found.spec.stages.iter().enumerate() {
                match world.stages.get(name) {
                    Some(stage) => expansion.stage(&stage.spec),
                    None => expansion.fault(
                        format!("/stages/{i}"),
                        format!("workflow `{workflow}` names the stage `{name}`, which does not exist"),
                    ),
                }
            }
        }
    }
    expansion.finish()
}

struct RunExpansion<'a> {
    world: &'a World,
    steps: Vec<RunStep>,
    problems: Vec<Problem>,
    bootenv: Option<&'a str>,
    stage: &'a str,
    /// Tasks of the present boot.
    in_this_boot: BTreeSet<&'a str>,
    /// A digest covers all of an object and its templates, so each digest is computed once, however often it
    /// is used.
    stage_digests: BTreeMap<&'a str, String>,
    task_digests: BTreeMap<&'a str, String>,
    /// Whether nobody waits for the result any more.
    is_given_up: &'a dyn Fn() -> bool,
}

impl<'a> RunExpansion<'a> {
    fn new(world: &'a World) -> Self {
        RunExpansion {
            world,
            steps: Vec::new(),
            problems: Vec::new(),
            bootenv: None,
            stage: "",
            in_this_boot: BTreeSet::new(),
            stage_digests: BTreeMap::new(),
            task_digests: BTreeMap::new(),
            is_given_up: &|| false,
        }
    }

    fn fault(&mut self, pointer: impl Into<String>, message: String) {
        let problem = Problem::new(pointer, message);
        if self.problems.len() < PROBLEMS_MAX && !self.problems.contains(&problem) {
            self.problems.push(problem);
        }
    }

    fn push(&mut self, kind: StepKind, name: &str, digest: String) {
        if self.steps.len() < STEPS_MAX {
            self.steps.push(RunStep { digest, ..RunStep::pending(kind, (name, self.stage)) });
        } else {
            self.fault("/stages", format!("the workflow has more than {STEPS_MAX} steps"));
        }
    }

    fn stage(&mut self, stage: &'a Stage) {
        if (self.is_given_up)() {
            return self.fault("", "nobody waits for it any more".to_owned());
        }
        self.stage = &stage.name;
        let digest = self.stage_digests.entry(&stage.name).or_insert_with(|| digest(stage, [])).clone();
        self.push(StepKind::Stage, &stage.name, digest);
        if let Some(name) = stage.bootenv.as_deref()
            && self.bootenv != Some(name)
        {
            self.boot(name);
        }
        for task in &stage.tasks {
            self.task(task, &mut Vec::new());
        }
    }

    fn boot(&mut self, name: &'a str) {
        self.bootenv = Some(name);
        self.in_this_boot.clear();
        let Some(bootenv) = self.world.bootenvs.get(name) else {
            let message = format!("stage `{}` names the bootenv `{name}`, which does not exist", self.stage);
            return self.fault("/bootenv", message);
        };
        let digest = self.bootenv_digest(&bootenv.spec);
        self.push(StepKind::Bootenv, name, digest);
    }

    fn bootenv_digest(&mut self, bootenv: &'a Bootenv) -> String {
        let templates =
            bootenv.templates.iter().map(|t| (t.template.as_deref(), own_text(&t.inline, t.verbatim)));
        let used = self.templates(&format!("bootenv `{}`", bootenv.name), templates);
        digest(bootenv, used)
    }

    /// Adds a task after its prerequisites; `path` is the chain of tasks that led to it.
    fn task(&mut self, name: &'a str, path: &mut Vec<&'a str>) {
        let Some(task) = self.world.tasks.get(name).map(|task| &task.spec) else {
            let asker =
                path.last().map_or(format!("stage `{}`", self.stage), |task| format!("task `{task}`"));
            return self.fault("/tasks", format!("{asker} names the task `{name}`, which does not exist"));
        };
        if (self.is_given_up)() {
            return self.fault("", "nobody waits for it any more".to_owned());
        }
        if path.len() >= PREREQUISITE_DEPTH_MAX {
            let message = format!("the prerequisites of `{name}` go deeper than {PREREQUISITE_DEPTH_MAX}");
            return self.fault("/prerequisites", message);
        }
        path.push(name);
        for needed in &task.prerequisites {
            if path.contains(&needed.as_str()) {
                let circle = path.join(" → ");
                let message = format!("the prerequisite {circle} → {needed} goes in a circle");
                self.fault("/prerequisites", message);
            } else if !self.in_this_boot.contains(needed.as_str()) {
                self.task(needed, path);
            }
        }
        path.pop();
        self.in_this_boot.insert(name);
        let known = self.task_digests.get(name).cloned();
        let digest = known.unwrap_or_else(|| self.task_digest(task));
        self.task_digests.insert(name, digest.clone());
        self.push(StepKind::Task, name, digest);
    }

    fn task_digest(&mut self, task: &'a Task) -> String {
        let templates =
            task.templates.iter().map(|t| (t.template.as_deref(), own_text(&t.inline, t.verbatim)));
        let used = self.templates(&format!("task `{}`", task.name), templates);
        digest(task, used)
    }

    /// The stored templates that are used, directly or through others. `named` has the name of a stored
    /// template, or a text of the object itself.
    fn templates(
        &mut self,
        user: &str,
        named: impl Iterator<Item = (Option<&'a str>, Option<&'a str>)>,
    ) -> Vec<&'a Template> {
        let (mut used, mut seen) = (Vec::new(), BTreeSet::new());
        let mut open = Vec::new();
        for (template, inline) in named {
            open.extend(inline.into_iter().flat_map(|body| self.named_in(body)));
            let Some(name) = template else { continue };
            match self.world.templates.get(name) {
                Some(_) => open.push(name),
                None => self
                    .fault("/templates", format!("{user} names the template `{name}`, which does not exist")),
            }
        }
        while let Some(name) = open.pop() {
            if let Some(found) = self.world.templates.get(name)
                && seen.insert(name)
            {
                used.push(&found.spec);
                if !found.spec.verbatim {
                    open.extend(self.named_in(&found.spec.body));
                }
            }
        }
        used
    }

    /// What a body may include: its quoted pieces, among which are the names of all templates that it
    /// includes or extends, and the templates of those that are folders, if it takes templates from folders.
    /// A piece that is quoted for another reason only makes the digest more specific.
    fn named_in(&self, body: &'a str) -> Vec<&'a str> {
        let mut named: Vec<&'a str> = quoted(body).collect();
        if body.contains("include_from") {
            let content = ContentView::from(self.world);
            let folders =
                named.iter().map(|piece| piece.trim_end_matches('/')).filter(|folder| !folder.is_empty());
            let below: Vec<&'a str> = folders.flat_map(|folder| content.templates_below(folder)).collect();
            named.extend(below);
        }
        named
    }

    fn finish(self) -> Result<Vec<RunStep>, Vec<Problem>> {
        if self.problems.is_empty() { Ok(self.steps) } else { Err(self.problems) }
    }
}

/// The digest that a step would have with the present content; none if something it names does not exist.
pub fn step_digest(step: &RunStep, world: &World) -> Option<String> {
    let mut expansion = RunExpansion::new(world);
    match step.kind {
        StepKind::Stage => world.stages.get(&step.name).map(|stage| digest(&stage.spec, [])),
        StepKind::Task => world.tasks.get(&step.name).map(|task| expansion.task_digest(&task.spec)),
        StepKind::Bootenv => {
            world.bootenvs.get(&step.name).map(|bootenv| expansion.bootenv_digest(&bootenv.spec))
        }
    }
}

/// The text of an object's own that is a template.
fn own_text(inline: &Option<String>, verbatim: bool) -> Option<&str> {
    inline.as_deref().filter(|_| !verbatim)
}

/// The quoted pieces of a body.
fn quoted(body: &str) -> impl Iterator<Item = &str> {
    body.split('"').skip(1).chain(body.split('\'').skip(1))
}

/// SHA-256 over the canonical JSON of an object and the templates that it uses, in hex.
fn digest<'a>(spec: &impl Serialize, templates: impl IntoIterator<Item = &'a Template>) -> String {
    let templates: Map<String, Value> =
        templates.into_iter().map(|template| (template.name.clone(), digested(template))).collect();
    let document = serde_json::json!({ "object": spec, "templates": templates });
    sha256_hex(canonical(document).to_string())
}

/// A template as it counts in a digest.
fn digested(template: &Template) -> Value {
    match template.verbatim {
        true => json!({"verbatim": template.body}),
        false => template.body.clone().into(),
    }
}

/// The same value with the keys of all objects sorted.
fn canonical(value: Value) -> Value {
    match value {
        Value::Object(map) => {
            let mut pairs: Vec<(String, Value)> = map.into_iter().collect();
            pairs.sort_by(|a, b| a.0.cmp(&b.0));
            Value::Object(pairs.into_iter().map(|(key, value)| (key, canonical(value))).collect())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(canonical).collect()),
        other => other,
    }
}
