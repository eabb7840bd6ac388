//! The bodies of the requests that an agent sends and of the answers that it gets.

use jiff::Timestamp;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::JobState;

/// Where an agent runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Environment {
    /// In the post script of an installer, before the installed system boots for the first time.
    Installer,
    /// In an image that runs from memory.
    Live,
    /// In the system on the disk.
    Installed,
}

/// The body with which an agent asks for work.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AgentReport {
    pub environment: Environment,
    /// The boot id of the running system, from `/proc/sys/kernel/random/boot_id`. It changes with each boot.
    #[schemars(length(min = 1, max = 64))]
    pub boot: String,
    /// The job that the agent has begun and not ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<Uuid>,
    /// How long the server may hold the answer back until there is work, in seconds.
    #[serde(default)]
    #[schemars(range(max = 60))]
    pub wait_seconds: u32,
}

/// The server's answer to an agent that asks for work.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "do", rename_all = "snake_case")]
pub enum JobOffer {
    /// Run this job, or continue it.
    Run(Box<JobWork>),
    /// Reboot: the next step is in another boot environment.
    Reboot { reason: String },
}

/// A job with everything that an agent needs to run it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct JobWork {
    pub id: Uuid,
    pub task: String,
    pub stage: String,
    pub state: JobState,
    /// Which attempt of this step the job is, from 1.
    pub attempt: u32,
    /// Absolute path of the program that runs the scripts.
    pub interpreter: String,
    /// Files to write and scripts to run, in this order.
    pub files: Vec<JobFile>,
    /// How long the job may run, in seconds.
    pub timeout_seconds: u32,
    /// Bytes of the job's log that the server has: the offset of the next piece.
    pub log_bytes: u64,
}

/// One rendered template of a task.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct JobFile {
    pub name: String,
    /// Where to write the file: absolute, or relative to the job's directory. Absent for a script.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    pub body: String,
}

/// An agent's report on a job: that the job runs, or how it ended. Give `state`, or give `exit` alone and the
/// state follows from it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct JobReport {
    /// The server refuses the report unless the job is in this state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expect: Option<JobState>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "reported_states")]
    pub state: Option<JobState>,
    /// The exit code of the script that ended the job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit: Option<i32>,
    /// Why the job ended, where the exit code does not tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub reason: Option<String>,
}

/// The states that an agent may set.
fn reported_states(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "string", "enum": ["running", "finished", "failed", "incomplete"]})
}

/// The answer to each piece of a log: how many bytes of the job's log the server has, and the job's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LogEnd {
    /// Bytes of the log that the server has: the offset of the next piece.
    pub bytes: u64,
    /// A state that is not open means that the server ended the job: the agent stops the script.
    pub state: JobState,
}

/// A fresh token for an agent whose token is about to expire.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TokenGrant {
    pub token: String,
    pub expires_at: Timestamp,
}

/// A new token for a machine's agent, which an operator puts on the machine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AgentTokenReissue {
    /// The id of the machine.
    pub machine: Uuid,
    /// Shown only once.
    pub token: String,
    /// When the token ends if the agent has not asked for work with it by then.
    pub first_use_by: Timestamp,
    /// The names of the tokens of this agent that were ended.
    pub ended: Vec<String>,
}
