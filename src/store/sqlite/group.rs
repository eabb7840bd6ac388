//! Decides the result of a group of changesets in memory. The writer is the only one who writes, so the
//! world and the earlier changesets of the group tell everything that a changeset can be refused for. What is
//! left for the database is few statements, and a refused changeset has touched nothing.
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

/// Whose the unique values are that damaged rows hold: by kind, index and value.
pub(super) type DamagedHolders = HashMap<(Kind, String, String), String>;

/// The changesets of one transaction that were not refused.
pub(super) struct ChangesetGroup<'g> {
    world: &'g World,
    damaged: &'g DamagedHolders,
    rows: UndoMap<(Kind, &'g str), GroupRow<'g>>,
    /// Who holds a value, where that is not as in the world.
    holders: UndoMap<(Kind, &'static str, String), Option<&'g str>>,
    events: Vec<&'g events::EncodedEvent>,
    /// The number of the last commit, in the world or in the group.
    last_commit: u64,
}

/// What a group is written with besides its changesets.
pub(super) struct GroupStamp {
    /// The number of its first event.
    pub(super) first_seq: u64,
    /// The epoch that begins with it.
    pub(super) begins: Option<Epoch>,
    /// When it deletes what it deletes.
    pub(super) time: Timestamp,
}

/// What became of the rows of a group that are on disk.
#[derive(Default)]
pub(super) struct GroupChange {
    pub(super) trail: lease_log::LeaseLogChange,
    /// The commit up to which tombstones are gone.
    pub(super) pruned_upto: Option<u64>,
}

/// The change of one stored object.
#[derive(Clone, Copy)]
struct GroupRow<'g> {
    last: &'g EncodedWrite,
    /// The commit of that write.
    commit: u64,
    /// Whether the database has a row of it.
    stored: bool,
    /// Whether the row that is in the database has to go, even where another takes its place: what hangs on
    /// it goes with it.
    clear: bool,
}

impl<'g> ChangesetGroup<'g> {
    pub(super) fn new(world: &'g World, damaged: &'g DamagedHolders) -> Self {
        let (rows, holders, last_commit) = (UndoMap::default(), UndoMap::default(), world.commits.commit());
        ChangesetGroup { world, damaged, rows, holders, events: Vec::new(), last_commit }
    }

    /// Adds a changeset, or nothing of it. Gives the number of its commit; one that writes no object has that
    /// of the last.
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

    /// The number that a changeset has when it is added.
    fn next_commit(&self, changeset: &EncodedChangeset) -> u64 {
        self.last_commit.saturating_add(u64::from(!changeset.writes.is_empty()))
    }

    /// The number of the first commit of the group, if it has one.
    pub(super) fn first_commit(&self) -> Option<u64> {
        let last = self.world.commits.commit();
        (self.last_commit > last).then(|| last.saturating_add(1))
    }

    /// Whether there is nothing to write.
    pub(super) fn is_empty(&self) -> bool {
        self.rows.map.is_empty() && self.events.is_empty()
    }

    /// Writes it all, and returns what that does to the trail of leases and to the tombstones.
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

    /// What is kept of the objects that are gone in the end.
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

    /// A row for each object that changed, deleted ones included.
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
                version: Some(write.version().unwrap_or(lease_log::GONE)),
            });
        }
        if let Some(first) = trail.keeps_from(&change) {
            to.cut_trail(first)?;
        }
        Ok(change)
    }

    /// What a changeset was decided on is as it was: in the world, and in the group so far.
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

    /// The version of an object after what the group has so far.
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

    /// Checks versions and gives up values; returns what is to be looked at for values to be claimed.
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

    /// Frees what the object held before, unless that stays as it is; returns whether it does not.
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

    /// What the objects hold in the end must be free by now, or theirs.
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

/// A map whose last changes can be taken back.
struct UndoMap<K, V> {
    map: BTreeMap<K, V>,
    /// What the changes since the last `keep` replaced.
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
