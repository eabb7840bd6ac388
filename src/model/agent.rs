//! What an agent and the server say to each other: the bodies of the agent's calls.

use jiff::Timestamp;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::JobState;

/// Where an agent runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Environment {
    /// In an installer's post script, before the first boot of what it installed.
    Installer,
    /// In an image that runs from memory.
    Live,
    /// In the system on the disk.
    Installed,
}

/// What an agent says when it asks for work.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AgentReport {
    pub environment: Environment,
    /// Changes with each boot of the machine: `/proc/sys/kernel/random/boot_id`.
    #[schemars(length(min = 1, max = 64))]
    pub boot: String,
    /// The job it has begun and not ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<Uuid>,
    /// How long the server may hold the answer back until there is work, in seconds.
    #[serde(default)]
    #[schemars(range(max = 60))]
    pub wait_seconds: u32,
}

/// The next order for an agent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "do", rename_all = "snake_case")]
pub enum JobOffer {
    /// Run this job, or go on with it.
    Run(Box<JobWork>),
    /// Boot anew: the next step is in another boot environment.
    Reboot { reason: String },
}

/// A job with everything that is needed to run it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct JobWork {
    pub id: Uuid,
    pub task: String,
    pub stage: String,
    pub state: JobState,
    /// Counts the runs of this step, from 1.
    pub attempt: u32,
    /// What runs the scripts: an absolute path.
    pub interpreter: String,
    /// Files to write and scripts to run, in this order.
    pub files: Vec<JobFile>,
    /// How long the job may run, in seconds.
    pub timeout_seconds: u32,
    /// Bytes of its log that the server has: where the next piece begins.
    pub log_bytes: u64,
}

/// One rendered template of a task.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct JobFile {
    pub name: String,
    /// Where to write it: absolute, or relative to the job's directory. A script has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    pub body: String,
}

/// What an agent says of a job: that it runs, or how it ended. Give `state`, or `exit` alone and the
/// state follows from it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct JobReport {
    /// Refuse the report unless the job is in this state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expect: Option<JobState>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "reported_states")]
    pub state: Option<JobState>,
    /// The exit code of the script that ended it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit: Option<i32>,
    /// Why it ended, where the exit code does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub reason: Option<String>,
}

/// The states that an agent may set.
fn reported_states(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "string", "enum": ["running", "finished", "failed", "incomplete"]})
}

/// How far a job's log is written, and how the job stands: the answer to each piece of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LogEnd {
    /// Bytes that the server has: where the next piece begins.
    pub bytes: u64,
    /// A job that is not open any more was ended by the server: its script is not wanted any longer.
    pub state: JobState,
}

/// A fresh token for the agent that asked with one about to expire.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TokenGrant {
    pub token: String,
    pub expires_at: Timestamp,
}
