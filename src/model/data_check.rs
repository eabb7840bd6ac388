//! What a check of everything that is stored comes to.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The file in the data directory that a running server keeps open and locked.
pub const LOCK_FILE: &str = "metalwright.lock";
/// Most findings of one check.
const FINDINGS_MAX: usize = 10_000;

/// What was looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CheckedPart {
    /// The file of the database.
    Database,
    /// Rows that decode, and values that no two objects share.
    Rows,
    /// Objects that are named by others.
    References,
    /// The files of artifacts, against their digests.
    Artifacts,
    /// The key, and what is sealed with it; certificates.
    Keys,
}

/// How much a finding matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FindingSeverity {
    /// Something is lost or broken.
    Error,
    /// Something is named that is not there, as it may be.
    Warning,
}

/// One thing that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DataFinding {
    pub part: CheckedPart,
    pub severity: FindingSeverity,
    /// What it is about: `machine:0192…`, `metalwright.db`.
    pub subject: String,
    /// What is wrong, and what to do.
    pub message: String,
}

/// What a check found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DataCheckReport {
    pub findings: Vec<DataFinding>,
    /// Whether there are more findings than are listed.
    pub more: bool,
    /// How many objects were looked at.
    pub objects: u64,
    /// How many sealed values were opened or tried.
    pub secrets: u64,
    /// Of how many artifacts the files were hashed.
    pub artifacts: u64,
}

impl DataCheckReport {
    pub fn error(&mut self, part: CheckedPart, (subject, message): (impl Into<String>, impl Into<String>)) {
        self.add(DataFinding {
            part,
            severity: FindingSeverity::Error,
            subject: subject.into(),
            message: message.into(),
        });
    }

    pub fn add(&mut self, finding: DataFinding) {
        match self.findings.len() < FINDINGS_MAX {
            true => self.findings.push(finding),
            false => self.more = true,
        }
    }

    /// How many findings are errors.
    pub fn errors(&self) -> usize {
        self.findings.iter().filter(|finding| finding.severity == FindingSeverity::Error).count()
    }
}
