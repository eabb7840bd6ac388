//! A job: one run of one task on one machine.

use std::sync::Arc;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Kind, NoStatus, Noun, Object, Stored};

/// The state of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum JobState {
    /// The server handed it out; the agent has not reported its beginning yet.
    Created,
    Running,
    Finished,
    Failed,
    /// The task asks to be run again, after a reboot or at once.
    Incomplete,
    Cancelled,
    /// The agent called again without the job.
    Lost,
}

impl JobState {
    pub fn is_open(self) -> bool {
        matches!(self, JobState::Created | JobState::Running)
    }
}

/// What the agent does after the job, by the job's exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AfterJob {
    Stop,
    PowerOff,
    Reboot,
}

/// How a job ended, by the exit code of its script.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JobEnd {
    pub state: JobState,
    pub after: Option<AfterJob>,
}

/// The meaning of a script's exit code. Exit codes are values, not bits.
pub fn ended_by_exit(exit: i32) -> JobEnd {
    let (state, after) = match exit {
        0 => (JobState::Finished, None),
        16 => (JobState::Finished, Some(AfterJob::Stop)),
        32 => (JobState::Finished, Some(AfterJob::PowerOff)),
        64 => (JobState::Finished, Some(AfterJob::Reboot)),
        128 => (JobState::Incomplete, None),
        144 => (JobState::Incomplete, Some(AfterJob::Stop)),
        160 => (JobState::Incomplete, Some(AfterJob::PowerOff)),
        192 => (JobState::Incomplete, Some(AfterJob::Reboot)),
        _ => (JobState::Failed, None),
    };
    JobEnd { state, after }
}

/// One run of one task on one machine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Job {
    pub machine: Uuid,
    pub run: Uuid,
    /// Index of the job's step in the run.
    pub step: u32,
    pub stage: String,
    pub task: String,
    pub state: JobState,
    /// The exit code of the script that ended the job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit: Option<i32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<AfterJob>,
    /// Why the job ended in its state.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// Which attempt of this step the job is, from 1.
    pub attempt: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
    /// When the job fails if it is still open.
    pub deadline: Timestamp,
    /// Size of the job's log, in bytes.
    #[serde(default)]
    pub log_bytes: u64,
    /// When the job's log was pruned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log_pruned_at: Option<Timestamp>,
    /// SHA-256 of everything that was rendered for the job.
    pub digest: String,
}

impl Noun for Job {
    const KIND: Kind = Kind::Job;
    const IS_HISTORY: bool = true;
    type Status = NoStatus;

    fn key(&self) -> Option<String> {
        None
    }

    fn object(stored: Arc<Stored<Self>>) -> Object {
        Object::Job(stored)
    }
}
