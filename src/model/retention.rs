//! How long history is kept, and the report of pruning.

use jiff::{SignedDuration, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{World, settings};

/// For each kind of history, how long and how much of it is kept, as the settings of the same names say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    pub runs: RetentionBounds,
    pub jobs: RetentionBounds,
    pub logs: RetentionBounds,
    pub documents: RetentionBounds,
    pub events: RetentionBounds,
    /// Bytes of all events.
    pub event_bytes: Option<u64>,
    /// Audit events that outlived the others of their time.
    pub audit: RetentionBounds,
}

/// Bounds on one kind of history; `None` means no bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetentionBounds {
    pub days: Option<u64>,
    /// Most items that are kept; for documents and logs, most bytes on disk.
    pub most: Option<u64>,
}

impl Retention {
    /// Reads the bounds from the settings.
    pub fn of(world: &World) -> Self {
        let number = |name: &str| world.setting(name).as_u64();
        // A setting that cannot be read has its default.
        let most = |name: &str| number(name).or_else(|| settings::default(name).as_u64());
        let bounds = |days: &str, name: &str| RetentionBounds { days: number(days), most: most(name) };
        Retention {
            runs: bounds(settings::RUNS_KEPT_DAYS, settings::RUNS_KEPT_MAX),
            jobs: bounds(settings::JOBS_KEPT_DAYS, settings::JOBS_KEPT_MAX),
            logs: bounds(settings::LOGS_KEPT_DAYS, settings::LOGS_KEPT_BYTES),
            documents: bounds(settings::DOCUMENTS_KEPT_DAYS, settings::DOCUMENTS_KEPT_BYTES),
            events: bounds(settings::EVENTS_KEPT_DAYS, settings::EVENTS_KEPT_MAX),
            event_bytes: most(settings::EVENTS_KEPT_BYTES),
            audit: bounds(settings::AUDIT_KEPT_DAYS, settings::AUDIT_KEPT_MAX),
        }
    }
}

impl RetentionBounds {
    /// Everything that ended before this time is too old; none if there is no bound on age.
    pub fn cutoff(&self, now: Timestamp) -> Option<Timestamp> {
        let hours = i64::try_from(self.days?).ok()?.checked_mul(24)?;
        now.checked_sub(SignedDuration::from_hours(hours)).ok()
    }
}

/// What pruning deletes of one kind of history.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PrunedKind {
    /// `runs`, `contents`, `jobs`, `logs`, `documents`, `events` or `audit`.
    pub kind: String,
    /// Number of items; for logs, the number of jobs.
    pub count: u64,
    /// Size in bytes; 0 for runs and contents. For documents the size of the compressed texts: a text that
    /// several runs share counts once per run.
    pub bytes: u64,
    /// When the oldest item ended or was written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oldest: Option<Timestamp>,
    /// The settings that bound this kind of history, with their values.
    pub settings: std::collections::BTreeMap<String, Value>,
}

/// Whether pruning deletes or only reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PruneMode {
    /// Pruning only reports what would be deleted.
    DryRun,
    Delete,
}

/// The report of pruning.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HistoryPruneReport {
    /// Whether this was a dry run, which deletes nothing.
    pub dry_run: bool,
    /// Whether everything that is due was deleted. If false, prune again.
    pub complete: bool,
    pub items: Vec<PrunedKind>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_counted_back_from_now_and_without_them_age_does_not_count() {
        let now: Timestamp = "2026-03-31T12:00:00Z".parse().unwrap();
        let bounds = RetentionBounds { days: Some(30), most: None };
        assert_eq!(bounds.cutoff(now), Some("2026-03-01T12:00:00Z".parse().unwrap()));
        assert_eq!(RetentionBounds { days: None, ..bounds }.cutoff(now), None);
    }

    #[test]
    fn a_fresh_server_has_bounds_on_numbers_and_none_on_age() {
        let retention = Retention::of(&World::default());
        assert_eq!(retention.events, RetentionBounds { days: None, most: Some(2_000_000) });
        assert_eq!(retention.jobs, RetentionBounds { days: None, most: Some(50_000) });
        assert_eq!(retention.logs, RetentionBounds { days: None, most: Some(4 << 30) });
        assert_eq!((retention.event_bytes, retention.audit.most), (Some(2 << 30), Some(200_000)));
        assert_eq!(retention.documents.most, Some(1 << 30));
    }
}
