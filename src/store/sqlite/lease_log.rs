//! The rows of leases form a log: rows are only appended, so that rows written together are together on disk.
//! The last row of a key counts. Older rows, and the marks of deleted leases, are swept from the old end.
//!
//! This module keeps the writer's list of the rows; `group` asks [`LeaseLog::sweep`] what to move and delete.

use std::collections::VecDeque;

use crate::model::{Kind, World};

/// The kind whose rows are stored this way.
pub(super) const KIND: Kind = Kind::Lease;
/// Most outdated rows, beyond the number of rows that count, before a sweep.
const SPARE_MAX: usize = 4096;
/// Rows that are swept per added row: more than one, so that the log does not grow.
const SWEEP_FACTOR: usize = 2;
/// The version of a row that marks its lease as deleted.
pub(super) const DELETED_VERSION: u64 = 0;

/// One row of the log.
#[derive(Clone)]
pub(super) struct LogEntry {
    pub(super) n: u64,
    pub(super) key: Box<str>,
    /// `None` for a row that cannot be read; a sweep moves it as it is.
    pub(super) version: Option<u64>,
}

/// All rows, the oldest first.
#[derive(Default)]
pub(super) struct LeaseLog {
    steps: VecDeque<LogEntry>,
}

/// The effect of one group on the log, once the group is on disk.
#[derive(Default)]
pub(super) struct LeaseLogChange {
    /// Number of the oldest rows that are deleted.
    swept: usize,
    /// The old and new numbers of swept rows that still count.
    pub(super) moved: Vec<(u64, u64)>,
    added: Vec<LogEntry>,
}

impl LeaseLog {
    pub(super) fn new(steps: VecDeque<LogEntry>) -> Self {
        LeaseLog { steps }
    }

    /// Decides what a group sweeps that adds so many rows; `is_written` tells whether the group writes a key.
    pub(super) fn sweep(
        &self,
        world: &World,
        added: usize,
        is_written: impl Fn(&str) -> bool,
    ) -> LeaseLogChange {
        let mut change = LeaseLogChange::default();
        let spare = self.steps.len().saturating_sub(world.count(KIND));
        if added == 0 || spare <= world.count(KIND).saturating_add(SPARE_MAX) {
            return change;
        }
        for step in self.steps.iter().take(added.saturating_mul(SWEEP_FACTOR)) {
            let counts = match step.version {
                None => true,
                Some(_) if is_written(&step.key) => false,
                Some(version) => world.version(KIND, &step.key) == Some(version),
            };
            change.swept += 1;
            if counts {
                let n = self.next(&change);
                change.moved.push((step.n, n));
                change.added.push(LogEntry { n, ..step.clone() });
            }
        }
        change
    }

    /// The number of a row that is appended after everything in `change`.
    pub(super) fn next(&self, change: &LeaseLogChange) -> u64 {
        change.added.last().or_else(|| self.steps.back()).map_or(1, |last| last.n.saturating_add(1))
    }

    /// The first number that remains, if some rows are swept.
    pub(super) fn keeps_from(&self, change: &LeaseLogChange) -> Option<u64> {
        let last = self.steps.get(change.swept.checked_sub(1)?)?;
        Some(last.n.saturating_add(1))
    }

    /// Applies a change that is on disk.
    pub(super) fn apply(&mut self, change: LeaseLogChange) {
        self.steps.drain(..change.swept.min(self.steps.len()));
        self.steps.extend(change.added);
    }
}

impl LeaseLogChange {
    pub(super) fn add(&mut self, step: LogEntry) {
        self.added.push(step);
    }
}
