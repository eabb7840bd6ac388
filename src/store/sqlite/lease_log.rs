//! The rows of leases: only ever added, so that what is written together stands together on the disk. The
//! last row of a key counts; the others and the marks of deleted leases are swept up from the old end.
//!
//! Here is what the writer knows of the rows; `group` asks [`LeaseLog::sweep`] what to move and to delete.

use std::collections::VecDeque;

use crate::model::{Kind, World};

/// The kind whose rows are kept so.
pub(super) const KIND: Kind = Kind::Lease;
/// Rows that do not count, beyond as many as do, before they are swept up.
const SPARE_MAX: usize = 4096;
/// Rows that are swept for one that is added: more than one, so that the trail does not grow.
const SWEEP_FACTOR: usize = 2;
/// Version of a row that says its lease is gone.
pub(super) const GONE: u64 = 0;

/// One row.
#[derive(Clone)]
pub(super) struct LogEntry {
    pub(super) n: u64,
    pub(super) key: Box<str>,
    /// None for a row that cannot be read: it is moved along as it is.
    pub(super) version: Option<u64>,
}

/// All rows, the oldest first.
#[derive(Default)]
pub(super) struct LeaseLog {
    steps: VecDeque<LogEntry>,
}

/// What one group does to the trail, once it is on disk.
#[derive(Default)]
pub(super) struct LeaseLogChange {
    /// So many of the oldest rows go.
    swept: usize,
    /// The numbers that those of them which still count get anew.
    pub(super) moved: Vec<(u64, u64)>,
    added: Vec<LogEntry>,
}

impl LeaseLog {
    pub(super) fn new(steps: VecDeque<LogEntry>) -> Self {
        LeaseLog { steps }
    }

    /// Decides what a group sweeps that adds so many rows; `is_written` tells their keys.
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

    /// The number for a row that is added after all in `change`.
    pub(super) fn next(&self, change: &LeaseLogChange) -> u64 {
        change.added.last().or_else(|| self.steps.back()).map_or(1, |last| last.n.saturating_add(1))
    }

    /// The first number that stays, where some are swept.
    pub(super) fn keeps_from(&self, change: &LeaseLogChange) -> Option<u64> {
        let last = self.steps.get(change.swept.checked_sub(1)?)?;
        Some(last.n.saturating_add(1))
    }

    /// What was decided is on disk.
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
