//! Documents that a machine was served during a run.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// A document that a machine was served during a run: a boot script, an answer file, a file of a task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ServedDocument {
    /// The path without the capability: `boot.ipxe`, `preseed.cfg`; for a task `tasks/STAGE/TASK/NAME`.
    pub path: String,
    /// SHA-256 of the kept text, in hex; none if the text is not kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// Length of the text that was served, in bytes.
    pub bytes: u64,
    /// When the document was first served in this boot attempt or job.
    pub served_at: Timestamp,
    pub machine: Uuid,
    /// The boot attempt in which the document was served.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt: Option<Uuid>,
    /// The job that the file belongs to, for a file of a task.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<Uuid>,
    /// Whether the machine was served secrets that the kept text shows as `(sealed)`.
    pub covered: bool,
    /// Why the text is not kept.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub note: String,
}

/// The documents of a run by path; documents of one path are in the order in which they were served.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ServedDocuments {
    pub items: Vec<ServedDocument>,
}
