//! The summary of a server, as the API shows it: machines by state, what needs somebody, the runs of a day,
//! the server's health, and what changed last. Each part is absent if its reader may not read what it is of.

use std::collections::BTreeMap;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{RivalStatus, StoreStatus, SubnetStatus};

/// What an overview needs, in one read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ServerSummary {
    pub at: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub machines: Option<FleetCounts>,
    /// What does not go on without a person, the most urgent first.
    pub needs: Vec<NeededAction>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runs: Option<RunSummary>,
    pub server: HealthSummary,
    /// What people did and what failed last, the newest first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recent: Option<Vec<RecentEvent>>,
}

/// How many machines there are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FleetCounts {
    pub total: u64,
    /// How many are in each state.
    pub states: BTreeMap<String, u64>,
    /// Those that may boot what erases disks.
    pub armed: u64,
    /// Those whose run is paused.
    pub paused: u64,
    pub locked: u64,
    /// Those that wait longer than usual.
    pub overdue: u64,
}

/// How urgent something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SummaryLevel {
    Ok,
    Info,
    Warn,
    Fail,
}

/// Objects that wait for a person, for one reason.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct NeededAction {
    /// `failed`, `asks`, `overdue`, `held`, `paused`, `armed`, `unknown_clients`, `artifacts`.
    pub kind: String,
    pub severity: SummaryLevel,
    pub count: u64,
    /// The list that has them: `machines`.
    pub list: String,
    /// The query of the list that shows them; empty for all.
    pub filter: String,
    /// Those that have waited longest.
    pub items: Vec<WaitingObject>,
}

/// An object that waits for a person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WaitingObject {
    /// The reference of the object, for its URL.
    #[serde(rename = "ref")]
    pub key: String,
    pub name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    #[serde(default)]
    pub reason: String,
}

/// How many runs began and how many ended, in a period.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RunCounts {
    pub started: u64,
    pub complete: u64,
    /// Those that have failed and stand, and those that ended after a failure.
    pub failed: u64,
    /// Those that were cancelled or replaced without a failure.
    pub cancelled: u64,
}

impl RunCounts {
    /// The share of complete runs among those that were completed or failed; none without any.
    pub fn success_rate(&self) -> Option<f64> {
        let all = self.complete + self.failed;
        (all > 0).then(|| self.complete as f64 / all as f64)
    }
}

/// The runs of the last 24 hours.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RunSummary {
    pub since: Timestamp,
    #[serde(flatten)]
    pub counts: RunCounts,
    /// All runs that are open now.
    pub open: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub success_rate: Option<f64>,
    /// The hours of the period, the oldest first.
    pub hours: Vec<RunHour>,
    /// The workflows with most runs.
    pub workflows: Vec<WorkflowSummary>,
}

/// The runs of an hour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RunHour {
    /// Its beginning.
    pub at: Timestamp,
    #[serde(flatten)]
    pub counts: RunCounts,
}

/// The runs of a workflow.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct WorkflowSummary {
    pub workflow: String,
    #[serde(flatten)]
    pub counts: RunCounts,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub success_rate: Option<f64>,
    /// Of the complete runs, from start to end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub median_seconds: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p95_seconds: Option<i64>,
}

/// How the server is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct HealthSummary {
    pub version: String,
    /// The worst level of the findings.
    pub status: SummaryLevel,
    pub findings: Vec<SummaryFinding>,
    pub store: StoreStatus,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dhcp: Option<DhcpSummary>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifacts: Option<ArtifactSummary>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub background: Option<BackgroundSummary>,
}

/// Something about the server that an operator has to look at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SummaryFinding {
    pub level: SummaryLevel,
    /// `store`, `data`, `render`, `access`, `dhcp`, `artifacts`, `background`.
    pub area: String,
    pub text: String,
}

/// How DHCP is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DhcpSummary {
    pub enabled: bool,
    /// Whether the sockets can be read.
    pub receives: bool,
    pub subnets: Vec<SubnetStatus>,
    /// Other servers that were heard and are not expected.
    pub rivals: Vec<RivalStatus>,
}

/// How the artifacts are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ArtifactSummary {
    pub total: u64,
    pub states: BTreeMap<String, u64>,
    /// Those that are not ready.
    pub items: Vec<UnreadyArtifact>,
}

/// An artifact that is not ready.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct UnreadyArtifact {
    pub name: String,
    pub state: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub percent: Option<u8>,
    #[serde(default)]
    pub reason: String,
}

/// How the work in the background is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BackgroundSummary {
    pub works: u64,
    /// Work whose last round failed, or that is late.
    pub items: Vec<TroubledWork>,
}

/// Work in the background that does not go well.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TroubledWork {
    pub name: String,
    /// `failed` or `late`.
    pub what: String,
    pub since: Timestamp,
    #[serde(default)]
    pub reason: String,
}

/// An event, in short.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RecentEvent {
    pub seq: u64,
    pub time: Timestamp,
    pub kind: String,
    pub subject: String,
    /// The name of the subject; its key if it is gone.
    pub name: String,
    pub actor: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// What changed, or why it failed; may be empty.
    pub text: String,
}
