//! What a machine was served in its last run, against what it would be served now. The texts of before are
//! those that the records keep, with secrets covered; the present ones are rendered in the same way, from
//! the present content, with the time of that run. Start at [`Insight::document_diff`]; `fleet_diff` groups
//! the differences of many machines.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::SignedDuration;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::json;
use similar::TextDiff;
use uuid::Uuid;

use crate::catalog::params::SecretMode;
use crate::catalog::rendering::{BootContext, RenderPurpose, task_file_text};
use crate::insight::Insight;
use crate::insight::preview::no_attempt;
use crate::kernel::{Caller, Error};
use crate::model::{BootAttempt, Machine, Problem, Run, ServedDocument, StepKind, Stored, Task, World};
use crate::netboot::decide::namespace::ScriptKind;
use crate::netboot::documents::BootDocument;
use crate::records::documents::REDACTED;
use crate::render::{ProblemKind, RenderProblem, RenderedText};

/// Most documents of one run that are compared.
const COMPARED_MAX: usize = 512;
/// Longest difference of one file, in bytes; what is longer is cut.
const DIFF_BYTES_MAX: usize = 64 << 10;
/// Unchanged lines that are shown around a change.
const CONTEXT_LINES: usize = 3;
/// Longest time to compare the documents of one machine, and what is said then.
const COMPARE_TIME_MAX: SignedDuration = SignedDuration::from_secs(20);
const TOO_LONG: &str = "the documents take longer than 20 seconds to render; try again";
/// Longest time to look for a short difference.
const DIFF_TIME_MAX: Duration = Duration::from_millis(500);

/// How a document that a machine was served relates to what it would get now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DocumentChange {
    Same,
    Differs,
    /// There is no such file any more.
    Gone,
    /// It cannot be rendered now: `note` says why.
    Fails,
    /// The text of before is not kept: `note` says why.
    NotKept,
}

/// One document that a machine was served, against the present one.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct ComparedDocument {
    /// The path without the capability: `preseed.cfg`; for a task `tasks/STAGE/TASK/NAME`.
    pub path: String,
    pub change: DocumentChange,
    /// SHA-256 of the text that is kept, in hex.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub served: Option<String>,
    /// SHA-256 of the present text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub now: Option<String>,
    /// The difference in the unified format.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub diff: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub note: String,
}

impl ComparedDocument {
    fn of(path: &str, change: DocumentChange) -> Self {
        ComparedDocument {
            path: path.to_owned(),
            change,
            served: None,
            now: None,
            diff: String::new(),
            note: String::new(),
        }
    }

    /// Whether the machine would get something else.
    pub fn is_change(&self) -> bool {
        matches!(self.change, DocumentChange::Differs | DocumentChange::Gone | DocumentChange::Fails)
    }
}

/// The documents of a machine's last run, against the present ones.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct MachineDiff {
    /// The name of the machine.
    pub machine: String,
    /// The run whose documents are compared; none if the machine has had none.
    pub run: Option<Uuid>,
    /// Whether the machine would get something else now.
    pub differs: bool,
    /// By path.
    pub documents: Vec<ComparedDocument>,
}

/// A document that is compared: the last one at its path, with its text.
#[derive(Clone, Debug)]
struct ServedText {
    served: ServedDocument,
    /// The text, or why there is none.
    text: Result<String, String>,
}

/// A machine and its last run.
#[derive(Clone, Debug)]
struct LastRun {
    machine: Arc<Stored<Machine>>,
    run: Arc<Stored<Run>>,
}

impl Insight {
    /// Compares what a machine was served in its last run with what it would be served now.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Busy`], or the database failed.
    pub async fn document_diff(
        self: &Arc<Self>,
        caller: &Caller,
        reference: &str,
    ) -> Result<MachineDiff, Error> {
        let machine = self.kernel.find::<Machine>(caller, reference)?;
        self.diff_of(caller, &machine).await
    }

    /// The same of a machine that the caller may see.
    pub(super) async fn diff_of(
        self: &Arc<Self>,
        caller: &Caller,
        machine: &Arc<Stored<Machine>>,
    ) -> Result<MachineDiff, Error> {
        let name = machine.spec.name.clone();
        let run = machine.status.run.as_ref().map(|run| run.id.to_string());
        let run = run.and_then(|run| self.kernel.read(|world| world.runs.get(&run).cloned()));
        let Some(run) = run else {
            return Ok(MachineDiff { machine: name, run: None, differs: false, documents: Vec::new() });
        };
        let id = run.key.parse().ok();
        let texts = self.served_texts(caller, &run).await?;
        let last = LastRun { machine: Arc::clone(machine), run };
        let insight = Arc::clone(self);
        let compared = self.catalog.render_preview(move || insight.compare(&last, &texts)).await??;
        let differs = compared.iter().any(ComparedDocument::is_change);
        Ok(MachineDiff { machine: name, run: id, differs, documents: compared })
    }

    /// The last document at each path, with its text.
    async fn served_texts(&self, caller: &Caller, run: &Stored<Run>) -> Result<Vec<ServedText>, Error> {
        let Ok(id) = run.key.parse::<Uuid>() else { return Ok(Vec::new()) };
        let mut last: BTreeMap<String, ServedDocument> = BTreeMap::new();
        for served in self.records.documents_of(caller, id).await? {
            let known = last.get(&served.path);
            if known.is_none_or(|known| known.served_at <= served.served_at) {
                last.insert(served.path.clone(), served);
            }
        }
        let mut texts = Vec::new();
        for served in last.into_values().take(COMPARED_MAX) {
            let asked = (served.path.as_str(), served.digest.as_deref());
            let text = match self.records.document(caller, id, asked).await {
                Ok(Some((_, text))) => Ok(text),
                Ok(None) => Err("it was pruned".to_owned()),
                Err(Error::Conflict(_, why)) => Err(why),
                Err(error) => return Err(error),
            };
            texts.push(ServedText { served, text });
        }
        Ok(texts)
    }

    /// Renders what is served at the same paths now, and compares. Blocks.
    fn compare(&self, last: &LastRun, texts: &[ServedText]) -> Result<Vec<ComparedDocument>, Error> {
        let content = self.catalog.content_for(&last.machine.spec);
        let content = content.unwrap_or_else(|_| self.catalog.content());
        let begun = self.kernel.now();
        let ends = begun.checked_add(COMPARE_TIME_MAX).unwrap_or(begun);
        let mut compared = Vec::with_capacity(texts.len());
        for served in texts {
            if self.kernel.now() > ends {
                return Err(Error::Busy(TOO_LONG.to_owned()));
            }
            let path = served.served.path.as_str();
            let text = match &served.text {
                Ok(text) => text,
                Err(why) => {
                    let note = why.clone();
                    compared.push(ComparedDocument {
                        note,
                        ..ComparedDocument::of(path, DocumentChange::NotKept)
                    });
                    continue;
                }
            };
            let found = match self.present_document(last, &served.served, &content) {
                None => ComparedDocument::of(path, DocumentChange::Gone),
                Some(Ok(now)) => compared_texts(path, (text, &now)),
                Some(Err(problem)) if problem.kind == ProblemKind::Busy => {
                    return Err(Error::Busy(problem.to_string()));
                }
                Some(Err(problem)) => {
                    let note = Problem::from(&problem).to_string();
                    ComparedDocument { note, ..ComparedDocument::of(path, DocumentChange::Fails) }
                }
            };
            compared.push(ComparedDocument { served: served.served.digest.clone(), ..found });
        }
        Ok(compared)
    }

    /// The document that would be served at a path now; none if there is none.
    fn present_document(
        &self,
        last: &LastRun,
        served: &ServedDocument,
        content: &Arc<World>,
    ) -> Option<Result<RenderedText, RenderProblem>> {
        if let Some(of_task) = served.path.strip_prefix("tasks/").filter(|_| served.job.is_some()) {
            return self.present_task_file(last, (served, of_task), content);
        }
        let boot = self.boot_of(last, served, content);
        if let Some(kind) = script_kind(&served.path) {
            let mode = SecretMode::Redacted;
            // A machine that is told to boot its disk is served the other script.
            let document = match &boot.bootenv {
                Some(_) => BootDocument::BootScript(kind),
                None => BootDocument::LocalScript(kind),
            };
            return Some(self.netboot.render_document(&boot, &document, mode));
        }
        let files = match self.netboot.rendered_files(&boot) {
            Ok(files) => files,
            Err(problem) => return Some(Err(problem)),
        };
        let file = files.into_iter().find(|(path, _)| *path == served.path).map(|(_, file)| file.clone())?;
        let holds_token = self.netboot.hands_out_token(&boot, &file);
        let boot = BootContext { agent_token: holds_token.then(|| REDACTED.to_owned()), ..boot };
        Some(self.netboot.render_document(&boot, &BootDocument::File(file), SecretMode::Redacted))
    }

    /// The boot in which a document was served, with the present content.
    fn boot_of(&self, last: &LastRun, served: &ServedDocument, content: &Arc<World>) -> BootContext {
        let LastRun { machine, run } = last;
        let present = machine.status.boot_attempt.as_ref();
        let told = run.spec.attempts.iter().find(|attempt| Some(attempt.id) == served.attempt);
        let attempt = match (present.filter(|present| Some(present.id) == served.attempt), told) {
            (Some(same), _) => same.clone(),
            (None, told) => BootAttempt {
                id: served.attempt.unwrap_or_default(),
                number: told.map_or(0, |told| told.number),
                bootenv: told.and_then(|told| told.bootenv.clone()),
                step: told.and_then(|told| told.step),
                mac: present.and_then(|present| present.mac),
                client_arch: present.and_then(|present| present.client_arch),
                server: present.and_then(|present| present.server),
                ..no_attempt()
            },
        };
        let step = attempt.step.and_then(|step| run.spec.steps.get(step as usize));
        let stage = step.map(|step| step.stage.as_str());
        let server = attempt.server.or_else(|| self.kernel.endpoints.api.map(|api| api.ip()));
        let server = server.filter(|server| !server.is_unspecified());
        // Without what it kept, the run has the present content; its time and its id stay.
        let mut plain = (**run).clone();
        (plain.spec.content, plain.spec.values) = (None, None);
        BootContext {
            machine: Some(Arc::clone(machine)),
            bootenv: attempt.bootenv.as_ref().and_then(|name| content.bootenvs.get(name)).cloned(),
            stage: stage.and_then(|name| content.stages.get(name)).cloned(),
            run: Some(Arc::new(plain)),
            channel_content: content.is_derived().then(|| Arc::clone(content)),
            facing: self.catalog.facing(server.unwrap_or(std::net::Ipv4Addr::LOCALHOST.into())),
            attempt: Some(attempt),
            agent_token: None,
            purpose: RenderPurpose::Preview,
        }
    }

    /// The file of a task that an agent would get now.
    fn present_task_file(
        &self,
        last: &LastRun,
        (served, path): (&ServedDocument, &str),
        content: &Arc<World>,
    ) -> Option<Result<RenderedText, RenderProblem>> {
        let steps = last.run.spec.steps.iter().filter(|step| step.kind == StepKind::Task);
        let mut names = steps.map(|step| (step.stage.as_str(), step.name.as_str()));
        let (stage, task) = names.find_map(|(stage, name)| {
            path.strip_prefix(&format!("{stage}/{name}/"))?;
            Some((stage, content.tasks.get(name)?))
        })?;
        let task: &Arc<Stored<Task>> = task;
        let name = path.strip_prefix(&format!("{stage}/{}/", task.key))?;
        let template = task.spec.templates.iter().find(|template| template.name == name)?;
        let boot = self.boot_of(last, served, content);
        let boot = BootContext { stage: content.stages.get(stage).cloned(), ..boot };
        let mut input = match self.catalog.input(&boot, SecretMode::Redacted) {
            Ok(input) => input,
            Err(problem) => return Some(Err(problem)),
        };
        input.variables.insert("task".into(), json!({"name": task.key}));
        input.variables.insert("job".into(), json!({"id": served.job}));
        let engine = self.catalog.engine_for(&boot);
        Some(task_file_text(&engine, (task.key.as_str(), template), &input))
    }
}

/// The loader's script at a path; none if it is another file.
fn script_kind(path: &str) -> Option<ScriptKind> {
    let name = path.rsplit('/').next().unwrap_or(path);
    match name {
        "boot.ipxe" => Some(ScriptKind::Ipxe),
        "grub.cfg" => Some(ScriptKind::Grub),
        _ => path.contains("pxelinux.cfg").then_some(ScriptKind::Pxelinux),
    }
}

fn compared_texts(path: &str, (served, now): (&str, &RenderedText)) -> ComparedDocument {
    let sha256 = Some(now.sha256.clone());
    if served == now.text {
        return ComparedDocument { now: sha256, ..ComparedDocument::of(path, DocumentChange::Same) };
    }
    let diff = unified(path, served, &now.text);
    ComparedDocument { now: sha256, diff, ..ComparedDocument::of(path, DocumentChange::Differs) }
}

/// The difference of two texts in the unified format, cut at a line.
fn unified(path: &str, served: &str, now: &str) -> String {
    let mut config = TextDiff::configure();
    let found = config.timeout(DIFF_TIME_MAX).diff_lines(served, now);
    let names = (format!("served/{path}"), format!("now/{path}"));
    let diff = found.unified_diff().context_radius(CONTEXT_LINES).header(&names.0, &names.1).to_string();
    let Some(cut) = diff.get(..DIFF_BYTES_MAX.min(diff.len())).filter(|cut| cut.len() < diff.len()) else {
        return diff;
    };
    let end = cut.rfind('\n').map_or(0, |end| end + 1);
    format!("{}… the rest is left out\n", cut.get(..end).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_is_unified_and_bounded() {
        assert_eq!(
            unified("a.cfg", "one\ntwo\n", "one\n2\n"),
            "--- served/a.cfg\n+++ now/a.cfg\n@@ -1,2 +1,2 @@\n one\n-two\n+2\n"
        );
        let long: String = (0..20_000).map(|number| format!("line {number}\n")).collect();
        let diff = unified("a.cfg", "", &long);
        assert!(diff.len() <= DIFF_BYTES_MAX + 64 && diff.ends_with("left out\n"), "{}", diff.len());
    }

    #[test]
    fn scripts_of_loaders_are_told_from_files_by_their_paths() {
        assert_eq!(script_kind("boot.ipxe"), Some(ScriptKind::Ipxe));
        assert_eq!(script_kind("grub/grub.cfg"), Some(ScriptKind::Grub));
        assert_eq!(script_kind("pxelinux.cfg/01-52-54-00-aa-00-01"), Some(ScriptKind::Pxelinux));
        assert_eq!(script_kind("preseed.cfg"), None);
    }
}
