//! Something that happened. Never edited.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

/// An event as it is stored and read. Its kinds are `<noun>.<what>`: `machine.updated`,
/// `dhcp.offered`, `boot.file_served`, `job.finished`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Event {
    /// One more than the event before it; readers resume from it.
    pub seq: u64,
    pub time: Timestamp,
    pub kind: String,
    /// What it is about: `machine:0192…`, `subnet:lan`.
    pub subject: String,
    /// Who did it: `token:admin`, `machine:0192…`, `server`.
    pub actor: String,
    /// The boot attempt it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt: Option<Uuid>,
    pub data: Value,
}

/// An event before it has a number.
#[derive(Clone, Debug, PartialEq)]
pub struct NewEvent {
    pub time: Timestamp,
    pub kind: String,
    pub subject: String,
    pub actor: String,
    pub attempt: Option<Uuid>,
    pub data: Value,
}
