//! Decides the results of a group of changesets in memory. Only the writer writes, so the world and the
//! earlier changesets of the group contain every reason for a refusal. The database then needs few
//! statements, and a refused changeset has not touched it.
//!
//! Start at [`ChangesetGroup::add`].

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use jiff::Timestamp;
use rusqlite::Result;

use super::changeset::{EncodedChangeset, EncodedWrite, UniqueValue};
use super::events;
use super::lease_log::{self, LeaseLog, LogEntry};
use super::rows::{NumberedWrite, RowWriter};
use crate::model::{Epoch, Kind, Tombstone, World};
use crate::store::{ChangesetRead, ChangesetWrite, StoreError};

/// The holders of the unique values of damaged rows: by kind, index and value.
pub(super) type DamagedHolders = HashMap<(Kind, String, String), String>;

/// The accepted changesets of one transaction.
pub(super) struct ChangesetGroup<'g> {
    world: &'g World,
    damaged: &'g DamagedHolders,
    rows: UndoMap<(Kind, &'g str), GroupRow<'g>>,
    /// The holders of values whose holder differs from the one in the world.
    holders: UndoMap<(Kind, &'static str, String), Option<&'g str>>,
    events: Vec<&'g events::EncodedEvent>,
    /// The number of the last commit, in the world or in the group.
    last_commit: u64,
}

/// Numbers and times for writing a group.
pub(super) struct GroupStamp {
    /// The number of the group's first event.
    pub(super) first_seq: u64,
    /// The epoch that begins with the group, if one does.
    pub(super) begins: Option<Epoch>,
    /// The time of deletions in the group.
    pub(super) time: Timestamp,
}

/// What the writer keeps in memory about rows, after a group is on disk.
#[derive(Default)]
pub(super) struct GroupChange {
    pub(super) trail: lease_log::LeaseLogChange,
    /// The commit up to which tombstones were pruned.
    pub(super) pruned_upto: Option<u64>,
}

/// A change of one stored object.
#[derive(Clone, Copy)]
struct GroupRow<'g> {
    last: &'g EncodedWrite,
    /// The commit of the change.
    commit: u64,
    /// Whether the database has a row of the object.
    stored: bool,
    /// Whether the row in the database must be deleted even if a new row replaces it, so that everything that
    /// depends on it is deleted too.
    clear: bool,
}

impl<'g> ChangesetGroup<'g> {
    pub(super) fn new(world: &'g World, damaged: &'g DamagedHolders) -> Self {
        let (rows, holders, last_commit) = (UndoMap::default(), UndoMap::default(), world.commits.commit());
        ChangesetGroup { world, damaged, rows, holders, events: Vec::new(), last_commit }
    }

    /// Adds a changeset, whole or not at all. Returns the number of its commit; a changeset that writes no
    /// object gets the number of the last commit.
    ///
    /// # Errors
    /// [`StoreError::Stale`], [`StoreError::Taken`].
    pub(super) fn add(&mut self, changeset: &'g EncodedChangeset) -> Result<u64, StoreError> {
        let done = self.check_reads(&changeset.reads);
        let done = done.and_then(|()| self.write_all(changeset)).and_then(|moved| self.claim_all(&moved));
        if let Err(refused) = done {
            self.rows.take_back();
            self.holders.take_back();
            return Err(refused);
        }
        self.rows.keep();
        self.holders.keep();
        self.events.extend(&changeset.events);
        self.last_commit = self.next_commit(changeset);
        Ok(self.last_commit)
    }

    /// The number that a changeset will get when it is added.
    fn next_commit(&self, changeset: &EncodedChangeset) -> u64 {
        self.last_commit.saturating_add(u64::from(!changeset.writes.is_empty()))
    }

    /// The number of the first commit of the group, if it has one.
    pub(super) fn first_commit(&self) -> Option<u64> {
        let last = self.world.commits.commit();
        (self.last_commit > last).then(|| last.saturating_add(1))
    }

    /// Whether the group has nothing to write.
    pub(super) fn is_empty(&self) -> bool {
        self.rows.map.is_empty() && self.events.is_empty()
    }

    /// Writes the group. Returns the effect on the trail of leases and on the tombstones.
    pub(super) fn write(
        &self,
        to: &RowWriter<'_>,
        stamp: &GroupStamp,
        trail: &LeaseLog,
    ) -> Result<GroupChange> {
        let mut change = GroupChange::default();
        let rows: Vec<_> = self.rows.map.iter().collect();
        for rows in rows.chunk_by(|(before, _), (row, _)| before.0 == row.0) {
            let Some(((kind, _), _)) = rows.first() else { continue };
            if *kind == lease_log::KIND {
                change.trail = self.add_to_trail(to, rows, trail)?;
                continue;
            }
            let gone: Vec<&str> =
                rows.iter().filter(|(_, row)| row.clear).map(|((_, key), _)| *key).collect();
            let put = rows.iter().map(|(_, row)| (row.last, row.commit));
            let put: Vec<NumberedWrite<'_>> = put.filter(|(write, _)| write.version().is_some()).collect();
            to.delete(*kind, &gone)?;
            to.put(*kind, &put)?;
        }
        let tombstones = self.tombstones(stamp.time);
        change.pruned_upto = self.world.commits.prunable(stamp.time, tombstones.len());
        change.pruned_upto.map_or(Ok(()), |upto| to.prune_tombstones(upto))?;
        to.add_tombstones(&tombstones)?;
        stamp.begins.map_or(Ok(()), |epoch| to.add_epoch(epoch))?;
        to.add_events(&self.events, stamp.first_seq)?;
        Ok(change)
    }

    /// The tombstones of the objects that are deleted in the end.
    fn tombstones(&self, time: Timestamp) -> Vec<Tombstone> {
        let gone = self.rows.map.iter().filter_map(|((kind, key), row)| match row.last.write {
            ChangesetWrite::Delete { revision, .. } => {
                let key = self.world.held_key(*kind, key).cloned().unwrap_or_else(|| Arc::from(*key));
                Some(Tombstone { commit: row.commit, kind: *kind, key, revision, time })
            }
            _ => None,
        });
        gone.collect()
    }

    /// Adds a row to the trail for each lease that changed, including deleted ones.
    fn add_to_trail(
        &self,
        to: &RowWriter<'_>,
        rows: &[(&(Kind, &'g str), &GroupRow<'g>)],
        trail: &LeaseLog,
    ) -> Result<lease_log::LeaseLogChange> {
        let changed =
            |(_, row): &&(&(Kind, &'g str), &GroupRow<'g>)| row.clear || row.last.version().is_some();
        let changed = rows.iter().filter(changed).map(|(_, row)| (row.last, row.commit));
        let changed: Vec<NumberedWrite<'_>> = changed.collect();
        let mut change = trail.sweep(self.world, changed.len(), |key: &str| {
            self.rows.map.contains_key(&(lease_log::KIND, key))
        });
        to.move_along(&change.moved)?;
        let first = trail.next(&change);
        to.add_to_trail(&changed, first)?;
        for (n, (write, _)) in (first..).zip(changed) {
            let (_, key) = write.id();
            change.add(LogEntry {
                n,
                key: key.into(),
                version: Some(write.version().unwrap_or(lease_log::DELETED_VERSION)),
            });
        }
        if let Some(first) = trail.keeps_from(&change) {
            to.cut_trail(first)?;
        }
        Ok(change)
    }

    /// Checks that everything a changeset's decision read is unchanged, in the world and in the group so far.
    fn check_reads(&self, reads: &'g [ChangesetRead]) -> Result<(), StoreError> {
        for read in reads {
            let (kind, key, holds) = match read {
                ChangesetRead::Row { kind, key, version } => {
                    (*kind, &**key, self.version((*kind, key)) == *version)
                }
                ChangesetRead::Specs { kind, generation } => {
                    let holds = self.world.spec_generation(*kind) == *generation;
                    (
                        *kind,
                        "*",
                        holds && !self.written(*kind).any(|(key, row)| self.has_new_spec(*kind, key, row)),
                    )
                }
                ChangesetRead::Table { kind, generation } => {
                    let holds = self.world.generation(*kind) == *generation;
                    (*kind, "*", holds && self.written(*kind).next().is_none())
                }
            };
            if !holds {
                return Err(StoreError::Stale { kind, key: key.to_owned() });
            }
        }
        Ok(())
    }

    /// The version of an object after the writes of the group so far.
    fn version(&self, id: (Kind, &'g str)) -> Option<u64> {
        match self.rows.map.get(&id) {
            Some(row) => row.last.version(),
            None => self.world.version(id.0, id.1),
        }
    }

    /// The objects of a kind that the group has written so far.
    fn written(&self, kind: Kind) -> impl Iterator<Item = (&'g str, &GroupRow<'g>)> {
        let rows = self.rows.map.range((kind, "")..);
        rows.take_while(move |((of, _), _)| *of == kind).map(|((_, key), row)| (*key, row))
    }

    fn has_new_spec(&self, kind: Kind, key: &str, row: &GroupRow<'g>) -> bool {
        match (&row.last.write, self.world.object(kind, key)) {
            (ChangesetWrite::Create(now) | ChangesetWrite::Update(now), Some(before)) => {
                !now.has_spec_of(&before)
            }
            _ => true,
        }
    }

    /// Checks versions and releases unique values. Returns the objects that have values to claim.
    fn write_all(&mut self, changeset: &'g EncodedChangeset) -> Result<Vec<(Kind, &'g str)>, StoreError> {
        let (mut moved, commit) = (Vec::new(), self.next_commit(changeset));
        for write in &changeset.writes {
            let id @ (kind, key) = write.id();
            let present = self.rows.map.get(&id).copied();
            let version = self.version(id);
            if version != write.expected() {
                return Err(StoreError::Stale { kind, key: key.to_owned() });
            }
            let stored = present.map_or(version.is_some(), |row| row.stored);
            let goes = stored && matches!(write.write, ChangesetWrite::Delete { .. });
            let clear = goes || present.is_some_and(|row| row.clear);
            if self.give_up(write, present) {
                moved.push(id);
            }
            self.rows.set(id, GroupRow { last: write, commit, stored, clear });
        }
        Ok(moved)
    }

    /// Releases the previous unique values of an object, unless they stay the same. Returns whether they
    /// change.
    fn give_up(&mut self, write: &'g EncodedWrite, present: Option<GroupRow<'g>>) -> bool {
        let (kind, key) = write.id();
        let stored;
        let before: &[UniqueValue] = match present {
            Some(row) => &row.last.unique,
            None => {
                stored = self.world.object(kind, key).map(|object| object.unique()).unwrap_or_default();
                &stored
            }
        };
        if *before == write.unique {
            return false;
        }
        for (index, value) in before {
            if self.holder(kind, index, value) == Some(key) {
                self.holders.set((kind, *index, value.clone()), None);
            }
        }
        true
    }

    /// Checks that the values the objects have in the end are free now, or their own.
    fn claim_all(&mut self, moved: &[(Kind, &'g str)]) -> Result<(), StoreError> {
        for id @ (kind, key) in moved {
            let Some(row) = self.rows.map.get(id).copied() else { continue };
            for (index, value) in &row.last.unique {
                match self.holder(*kind, index, value) {
                    Some(holder) if holder == *key => {}
                    Some(holder) => {
                        let (index, value, holder) = ((*index).to_owned(), value.clone(), holder.to_owned());
                        return Err(StoreError::Taken { kind: *kind, index, value, holder });
                    }
                    None => self.holders.set((*kind, *index, value.clone()), Some(*key)),
                }
            }
        }
        Ok(())
    }

    fn holder(&self, kind: Kind, index: &'static str, value: &str) -> Option<&str> {
        if let Some(holder) = (!self.holders.map.is_empty())
            .then(|| self.holders.map.get(&(kind, index, value.to_owned())))
            .flatten()
        {
            return *holder;
        }
        self.world.holder(kind, index, value).or_else(|| {
            (!self.damaged.is_empty())
                .then(|| self.damaged.get(&(kind, index.to_owned(), value.to_owned())).map(String::as_str))
                .flatten()
        })
    }
}

/// A map whose latest changes can be undone.
struct UndoMap<K, V> {
    map: BTreeMap<K, V>,
    /// The values that the changes since the last `keep` replaced.
    before: Vec<(K, Option<V>)>,
}

impl<K, V> Default for UndoMap<K, V> {
    fn default() -> Self {
        UndoMap { map: BTreeMap::new(), before: Vec::new() }
    }
}

impl<K: Ord + Clone, V> UndoMap<K, V> {
    fn set(&mut self, key: K, value: V) {
        let before = self.map.insert(key.clone(), value);
        self.before.push((key, before));
    }

    fn keep(&mut self) {
        self.before.clear();
    }

    fn take_back(&mut self) {
        while let Some((key, before)) = self.before.pop() {
            match before {
                Some(value) => self.map.insert(key, value),
                None => self.map.remove(&key),
            };
        }
    }
}
