//! The rows of a transaction. Each statement is prepared once on the connection and runs for one row after
//! the other.

use rusqlite::{CachedStatement, Connection, Result, params};

use super::changeset::EncodedWrite;
use super::{events, integer, lease_log};
use crate::model::{EPOCHS_MAX, Epoch, Kind, Tombstone};
use crate::store::sql;

/// A write with the number of its commit.
pub(super) type NumberedWrite<'g> = (&'g EncodedWrite, u64);

/// Writes rows on a connection that has an open transaction.
pub(super) struct RowWriter<'c>(pub(super) &'c Connection);

impl RowWriter<'_> {
    /// Deletes rows, and everything that depends on them.
    pub(super) fn delete(&self, kind: Kind, keys: &[&str]) -> Result<()> {
        self.each(keys, &format!("DELETE FROM {kind} WHERE key = ?1"), |delete, key| delete.execute([key]))
    }

    /// Inserts or updates the rows of objects.
    pub(super) fn put(&self, kind: Kind, writes: &[NumberedWrite<'_>]) -> Result<()> {
        let sql = format!(
            "INSERT INTO {kind} (key, revision, document, held, commit_number) VALUES (?1, ?2, ?3, ?4, ?5) \
             ON CONFLICT (key) DO UPDATE SET revision = excluded.revision, document = excluded.document, \
             held = excluded.held, commit_number = excluded.commit_number"
        );
        self.each(writes, &sql, |put, (write, commit)| {
            let revision = integer(write.version().unwrap_or_default());
            put.execute(params![write.id().1, revision, write.document, write.held, integer(*commit)])
        })
    }

    /// Appends rows to the log of leases, numbered from `first`.
    pub(super) fn add_to_trail(&self, writes: &[NumberedWrite<'_>], first: u64) -> Result<()> {
        let sql = format!(
            "INSERT INTO {} (n, key, revision, document, held, commit_number) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            lease_log::KIND
        );
        let numbered: Vec<_> = (first..).zip(writes).collect();
        self.each(&numbered, &sql, |add, (n, (write, commit))| {
            let revision = integer(write.version().unwrap_or(lease_log::DELETED_VERSION));
            let (n, commit) = (integer(*n), integer(*commit));
            add.execute(params![n, write.id().1, revision, write.document, write.held, commit])
        })
    }

    /// Appends rows of the log again, unchanged, with new numbers.
    pub(super) fn move_along(&self, moved: &[(u64, u64)]) -> Result<()> {
        let kind = lease_log::KIND;
        let sql = format!(
            "INSERT INTO {kind} (n, key, revision, document, held, commit_number) \
             SELECT ?2, key, revision, document, held, commit_number FROM {kind} WHERE n = ?1"
        );
        self.each(moved, &sql, |copy, (old, new)| copy.execute([integer(*old), integer(*new)]))
    }

    /// Deletes the rows of the log before `first`.
    pub(super) fn cut_trail(&self, first: u64) -> Result<()> {
        self.each(&[first], &format!("DELETE FROM {} WHERE n < ?1", lease_log::KIND), |cut, first| {
            cut.execute([integer(*first)])
        })
    }

    /// Adds the tombstones of deleted objects.
    pub(super) fn add_tombstones(&self, tombstones: &[Tombstone]) -> Result<()> {
        self.each(tombstones, sql::ADD_TOMBSTONE, |add, of| {
            let (commit, revision) = (integer(of.commit), integer(of.revision));
            add.execute(params![commit, of.kind.as_str(), &*of.key, revision, of.time.as_microsecond()])
        })
    }

    /// Deletes the tombstones up to a commit, and records that commit.
    pub(super) fn prune_tombstones(&self, upto: u64) -> Result<()> {
        let upto = integer(upto);
        for statement in [sql::PRUNE_TOMBSTONES, sql::SET_PRUNED] {
            self.0.prepare_cached(statement)?.execute([upto])?;
        }
        Ok(())
    }

    /// Adds an epoch, and deletes the oldest one beyond the bound.
    pub(super) fn add_epoch(&self, epoch: Epoch) -> Result<()> {
        let (first, id) = (integer(epoch.first_commit), epoch.id.simple().to_string());
        self.0.execute(sql::ADD_EPOCH, params![first, id])?;
        self.0.execute(sql::PRUNE_EPOCHS, [EPOCHS_MAX as i64]).map(drop)
    }

    /// Adds events, numbered from `seq`, and the keys they are looked up by.
    pub(super) fn add_events(&self, events: &[&events::EncodedEvent], seq: u64) -> Result<()> {
        let sql = "INSERT INTO event (seq, time, kind, subject, actor, attempt, request_id, data) \
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
        let numbered: Vec<_> = (seq..).zip(events).collect();
        self.each(&numbered, sql, |add, (seq, event)| event.add(add, *seq))?;
        let sql = "INSERT INTO event_key (part, key, event_kind, event) VALUES (?1, ?2, ?3, ?4)";
        self.each(&numbered, sql, |add, (seq, event)| event.add_keys(add, *seq))
    }

    fn each<T>(
        &self,
        rows: &[T],
        sql: &str,
        execute: impl Fn(&mut CachedStatement<'_>, &T) -> Result<usize>,
    ) -> Result<()> {
        if rows.is_empty() {
            return Ok(());
        }
        let mut statement = self.0.prepare_cached(sql)?;
        rows.iter().try_for_each(|row| execute(&mut statement, row).map(drop))
    }
}
