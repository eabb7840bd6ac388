//! A document that a machine was served under a run.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// A document that a machine was served under a run: a boot script, an answer file, a file of a task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ServedDocument {
    /// The path without the capability: `boot.ipxe`, `preseed.cfg`; of a task, `tasks/STAGE/TASK/NAME`.
    pub path: String,
    /// SHA-256 of the text that is kept, in hex; none where it is not kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// Length of the text that was served, in bytes.
    pub bytes: u64,
    /// When it was first served in that attempt or job.
    pub served_at: Timestamp,
    pub machine: Uuid,
    /// The boot attempt that it was served in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt: Option<Uuid>,
    /// The job that a file of a task belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<Uuid>,
    /// Whether the machine was served secrets that stand as `(sealed)` in the text that is kept.
    pub covered: bool,
    /// Why the text is not kept.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub note: String,
}

/// The documents of a run, by path; of one path, in the order in which they were served.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ServedDocuments {
    pub items: Vec<ServedDocument>,
}
