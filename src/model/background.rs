//! The status of the server's background work, as the API shows it.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// All background work, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BackgroundStatus {
    pub items: Vec<BackgroundWork>,
}

/// One piece of background work and its last round.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BackgroundWork {
    /// `deadlines`, `lease-expiry` …
    pub name: String,
    /// What a round does.
    pub about: String,
    /// Seconds from one round to the next; 0 if rounds only begin when `nudged_by` happens.
    pub period_seconds: u64,
    /// What starts a round early; empty if nothing does.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub nudged_by: String,
    /// Whether a round is under way.
    pub running: bool,
    /// Rounds that have ended since the start.
    pub rounds: u64,
    /// Rounds that failed since the start.
    pub failures: u64,
    /// The last round that has ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<BackgroundRound>,
    /// The last round that failed, although later ones may have succeeded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_failure: Option<BackgroundRound>,
}

/// One round of background work.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BackgroundRound {
    pub started_at: Timestamp,
    pub duration_ms: u64,
    pub ok: bool,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
}
