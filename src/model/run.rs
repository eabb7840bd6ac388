//! Runs: one start of a workflow on one machine, from `start` to the end, and its record.

use std::sync::Arc;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{BootAttempt, BootResult, Job, JobState, Kind, Mac, NoStatus, Noun, Object, Problem, Stored};

/// Most boot attempts in the record of one run. The newest are kept.
const ATTEMPTS_MAX: usize = 256;
/// Most jobs in the record of one run. The newest are kept.
const JOBS_MAX: usize = 4096;
/// Most entries in the record of one run. The newest are kept.
const ENTRIES_MAX: usize = 1024;
/// Most digests of earlier content of one run. The newest are kept.
const FORMER_CONTENT_MAX: usize = 64;
/// Longest text of an entry, in characters.
const ENTRY_CHARS_MAX: usize = 1000;

/// What kind of thing a step is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum StepKind {
    Stage,
    Bootenv,
    Task,
}

/// The state of a step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum StepState {
    #[default]
    Pending,
    Running,
    Done,
    Failed,
    /// An operator passed over the step; `note` has the reason.
    Skipped,
}

impl StepState {
    /// Whether nothing is left to do at the step.
    pub fn is_over(self) -> bool {
        matches!(self, StepState::Done | StepState::Skipped)
    }
}

/// One step of a run. The list of steps is fixed when the run begins.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RunStep {
    pub kind: StepKind,
    /// Name of the stage, bootenv or task.
    pub name: String,
    /// The stage the step belongs to.
    pub stage: String,
    /// SHA-256 of the content that the step was made from.
    pub digest: String,
    /// SHA-256 of the values of all params in the step's stage. Values of secret params enter as hashes with
    /// the server's key.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub params: String,
    #[serde(default)]
    pub state: StepState,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub note: String,
    /// When the step last began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Timestamp>,
    /// When the step last ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
    /// How long the step took, from beginning to end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seconds: Option<i64>,
}

impl RunStep {
    /// A step of a stage that has not begun, without its digests.
    pub fn pending(kind: StepKind, (name, stage): (&str, &str)) -> Self {
        RunStep {
            kind,
            name: name.to_owned(),
            stage: stage.to_owned(),
            digest: String::new(),
            params: String::new(),
            state: StepState::Pending,
            note: String::new(),
            started_at: None,
            ended_at: None,
            seconds: None,
        }
    }

    /// A name of the step for people: `step 3 (task users of look)`.
    pub fn label(&self, index: u32) -> String {
        let RunStep { name, stage, .. } = self;
        match self.kind {
            StepKind::Stage => format!("step {index} (stage {name})"),
            StepKind::Bootenv => format!("step {index} (bootenv {name} of {stage})"),
            StepKind::Task => format!("step {index} (task {name} of {stage})"),
        }
    }

    /// Sets the state and the note, and the times that follow.
    pub fn mark(&mut self, state: StepState, note: impl Into<String>, now: Timestamp) {
        let before = std::mem::replace(&mut self.state, state);
        self.note = note.into();
        match state {
            StepState::Pending => (self.started_at, self.ended_at, self.seconds) = (None, None, None),
            StepState::Running => {
                if before != StepState::Running {
                    self.started_at = Some(now);
                }
                (self.ended_at, self.seconds) = (None, None);
            }
            StepState::Done | StepState::Failed | StepState::Skipped => {
                // For a step that an earlier version began, the time is unknown.
                if before != StepState::Running {
                    self.started_at.get_or_insert(now);
                }
                self.ended_at = Some(now);
                self.seconds = self.started_at.map(|started| now.duration_since(started).as_secs());
            }
        }
    }
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RunResult {
    Complete,
    Cancelled,
    /// A later `start` replaced the run.
    Superseded,
}

impl RunResult {
    pub const ALL: [RunResult; 3] = [RunResult::Complete, RunResult::Cancelled, RunResult::Superseded];

    pub fn as_str(self) -> &'static str {
        match self {
            RunResult::Complete => "complete",
            RunResult::Cancelled => "cancelled",
            RunResult::Superseded => "superseded",
        }
    }
}

/// An artifact that a bootenv of the run boots from, as it was at the start.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RunArtifact {
    pub name: String,
    /// SHA-256 over the artifact's files; none for a mirror.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
}

/// A boot attempt during the run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RunAttempt {
    pub id: Uuid,
    /// Counts the machine's attempts, from 1.
    pub number: u64,
    /// The bootenv that the machine was told to boot; none for the local disk.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bootenv: Option<String>,
    /// Index of the step that the attempt belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<u32>,
    pub started_at: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kernel_fetched_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<BootResult>,
}

/// A job of the run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RunJob {
    pub id: Uuid,
    /// Index of its step.
    pub step: u32,
    pub task: String,
    /// Which attempt of this step the job is, from 1.
    pub attempt: u32,
    pub state: JobState,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit: Option<i32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
    /// SHA-256 of everything that was rendered for the job.
    pub digest: String,
}

/// Something that happened to the run. Entries are added and never changed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RunEntry {
    pub at: Timestamp,
    /// The kind of event: `run.started`, `run.failed`, `machine.armed`.
    pub what: String,
    /// Who or what caused it: `token:admin`, `machine:0192…`, `server`.
    pub by: String,
    /// Index of the step that was next or running.
    pub step: u32,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub text: String,
}

/// How many items were dropped from the record because it became too long.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LeftOut {
    #[serde(default)]
    pub attempts: u64,
    #[serde(default)]
    pub jobs: u64,
    #[serde(default)]
    pub entries: u64,
}

impl LeftOut {
    fn is_nothing(&self) -> bool {
        *self == LeftOut::default()
    }
}

/// One start of a workflow on one machine. A run ends as `complete` or `cancelled`, or when a later start
/// replaces it. Only the server writes runs, and it only adds to the record.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Run {
    /// The id of the machine.
    pub machine: Uuid,
    /// The machine's name when the run began.
    pub machine_name: String,
    /// The machine's MAC addresses when the run began.
    #[serde(default)]
    pub macs: Vec<Mac>,
    pub workflow: String,
    /// Who started the run: `token:admin`. Empty if unknown.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub started_by: String,
    /// The reason that the caller of `start` gave.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// Faults that the check before the run found, and that the caller of `start` accepted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub accepted: Vec<Problem>,
    /// A rehearsal: the installer is run up to its answer file and no disk is touched.
    #[serde(default)]
    pub rehearse: bool,
    pub started_at: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
    /// How the run ended; none while it is open, also while it is stopped at a step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<RunResult>,
    /// How long the run took, from start to end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seconds: Option<i64>,
    /// Index of the step that `restart` was told to begin at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from_step: Option<u32>,
    /// Digest of the content that the run keeps: an object of `contents`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<String>,
    /// Digest of the machine's own params and list of profiles: an object of `contents`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub values: Option<String>,
    /// Digests of the content and values that the run had before each `retry --refresh`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub former_content: Vec<String>,
    #[serde(default)]
    pub steps: Vec<RunStep>,
    #[serde(default)]
    pub artifacts: Vec<RunArtifact>,
    #[serde(default)]
    pub attempts: Vec<RunAttempt>,
    #[serde(default)]
    pub jobs: Vec<RunJob>,
    #[serde(default)]
    pub entries: Vec<RunEntry>,
    /// How many items were dropped from the record because it became too long.
    #[serde(default, skip_serializing_if = "LeftOut::is_nothing")]
    pub left_out: LeftOut,
}

/// The digests of the content that a run keeps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContentDigests {
    pub content: String,
    /// Digest of the machine's own values.
    pub values: String,
}

/// Adds an item, and drops the oldest item if the list exceeds its bound.
fn push_bounded<T>(list: &mut Vec<T>, item: T, (most, dropped): (usize, &mut u64)) {
    if list.len() >= most {
        list.remove(0);
        *dropped += 1;
    }
    list.push(item);
}

impl Run {
    pub fn is_open(&self) -> bool {
        self.ended_at.is_none()
    }

    /// Ends the run. A run that has ended stays as it is. If a later run replaces this one, its open jobs are
    /// cancelled.
    pub fn end(&mut self, result: RunResult, now: Timestamp) {
        if self.is_open() {
            for job in
                self.jobs.iter_mut().filter(|job| job.state.is_open() && result == RunResult::Superseded)
            {
                (job.state, job.ended_at) = (JobState::Cancelled, Some(now));
            }
            self.ended_at = Some(now);
            self.result = Some(result);
            self.seconds = Some(now.duration_since(self.started_at).as_secs());
        }
    }

    /// Replaces the content of the run.
    pub fn change_content(&mut self, to: &ContentDigests) {
        let before = self.content.replace(to.content.clone()).into_iter();
        let before = before.chain(self.values.replace(to.values.clone()));
        let news = before.filter(|digest| *digest != to.content && *digest != to.values);
        self.former_content.extend(news);
        let beyond = self.former_content.len().saturating_sub(FORMER_CONTENT_MAX);
        self.former_content.drain(..beyond);
    }

    /// Adds an entry.
    pub fn add_entry(&mut self, mut entry: RunEntry) {
        if entry.text.chars().count() > ENTRY_CHARS_MAX {
            entry.text = entry.text.chars().take(ENTRY_CHARS_MAX).collect();
        }
        push_bounded(&mut self.entries, entry, (ENTRIES_MAX, &mut self.left_out.entries));
    }

    /// Records a boot attempt, or updates a recorded one: its bootenv, its kernel, its result.
    pub fn note_attempt(&mut self, attempt: &BootAttempt) {
        let result = attempt.result;
        let noted = RunAttempt {
            id: attempt.id,
            number: attempt.number,
            bootenv: attempt.bootenv.clone(),
            step: attempt.step,
            started_at: attempt.started_at,
            kernel_fetched_at: attempt.kernel_fetched_at,
            ended_at: result.map(|_| attempt.seen_at),
            result,
        };
        match self.attempts.iter_mut().rev().find(|known| known.id == attempt.id) {
            Some(known) if known.result.is_none() => *known = noted,
            Some(_) => {}
            None => push_bounded(&mut self.attempts, noted, (ATTEMPTS_MAX, &mut self.left_out.attempts)),
        }
    }

    /// Records a job, or updates a recorded one.
    pub fn note_job(&mut self, id: Uuid, job: &Job) {
        let noted = RunJob {
            id,
            step: job.step,
            task: job.task.clone(),
            attempt: job.attempt,
            state: job.state,
            exit: job.exit,
            started_at: job.started_at,
            ended_at: job.ended_at,
            digest: job.digest.clone(),
        };
        match self.jobs.iter_mut().rev().find(|known| known.id == id) {
            Some(known) => *known = noted,
            None => push_bounded(&mut self.jobs, noted, (JOBS_MAX, &mut self.left_out.jobs)),
        }
    }
}

impl Noun for Run {
    const KIND: Kind = Kind::Run;
    const IS_HISTORY: bool = true;
    type Status = NoStatus;

    fn key(&self) -> Option<String> {
        None
    }

    fn object(stored: Arc<Stored<Self>>) -> Object {
        Object::Run(stored)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn run() -> Run {
        let body = json!({"machine": Uuid::nil(), "machine_name": "web1", "workflow": "w",
            "started_at": "2026-01-01T00:00:00Z"});
        serde_json::from_value(body).unwrap()
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).unwrap()
    }

    #[test]
    fn a_record_keeps_its_newest_entries_and_says_how_many_are_gone() {
        let mut run = run();
        for step in 0..ENTRIES_MAX as u32 + 3 {
            let (what, by, text) = ("run.retried".to_owned(), String::new(), "é".repeat(2000));
            run.add_entry(RunEntry { at: at(0), what, by, step, text });
        }
        assert_eq!((run.entries.len(), run.left_out.entries), (ENTRIES_MAX, 3));
        assert_eq!((run.entries[0].step, run.entries[0].text.chars().count()), (3, ENTRY_CHARS_MAX));
    }

    #[test]
    fn a_run_ends_once() {
        let mut run = run();
        run.started_at = at(0);
        run.end(RunResult::Complete, at(90));
        run.end(RunResult::Superseded, at(100));
        assert_eq!((run.result, run.seconds), (Some(RunResult::Complete), Some(90)));
    }

    #[test]
    fn a_step_has_the_time_it_took_and_begins_anew_when_it_is_tried_again() {
        let body = json!({"kind": "task", "name": "t", "stage": "s", "digest": ""});
        let mut step: RunStep = serde_json::from_value(body).unwrap();
        step.mark(StepState::Running, "", at(10));
        step.mark(StepState::Running, "", at(20));
        step.mark(StepState::Failed, "no disk", at(40));
        assert_eq!((step.seconds, step.note.as_str()), (Some(30), "no disk"));
        step.mark(StepState::Pending, "", at(50));
        assert_eq!((step.started_at, step.ended_at, step.seconds), (None, None, None));
    }
}
