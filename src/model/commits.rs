//! The order of commits: the number of the last commit, when which objects were deleted, and whether a commit
//! number that a reader holds belongs to this database.
//!
//! Each changeset that writes objects is a commit and gets the next number. Start at [`CommitHistory`].
//! `world` finds the objects that were written after a commit; see `docs/adr/0023`.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use jiff::{SignedDuration, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{GrowingMap, Kind};

/// Most tombstones that are kept. Beyond that the oldest eighth is pruned at once.
pub const TOMBSTONES_MAX: usize = 65_536;
const TOMBSTONES_KEPT: usize = TOMBSTONES_MAX - TOMBSTONES_MAX / 8;
/// Age up to which a tombstone is kept for certain.
pub const TOMBSTONE_AGE_MAX: SignedDuration = SignedDuration::from_hours(7 * 24);
/// How long tombstones may exceed that age, so that several are pruned together.
const TOMBSTONE_AGE_SPARE: SignedDuration = SignedDuration::from_hours(1);
/// Most epochs that are kept.
pub const EPOCHS_MAX: usize = 1000;

/// The number of the commit that wrote an object. It is 0 until the store sets it, when the commit is on
/// disk. All marks compare as equal, because objects are compared by content.
#[derive(Debug, Default)]
pub struct CommitMark(AtomicU64);

impl CommitMark {
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    pub fn set(&self, commit: u64) {
        self.0.store(commit, Ordering::Relaxed);
    }
}

impl Clone for CommitMark {
    fn clone(&self) -> Self {
        CommitMark(AtomicU64::new(self.get()))
    }
}

impl PartialEq for CommitMark {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

/// Where a reader stands in the order of commits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ReadPosition {
    /// The last commit whose writes the reader has seen.
    pub commit: u64,
    /// The epoch in which the reader got that number.
    pub epoch: Uuid,
}

/// A period in the life of a database: from the first commit of one server process to the first commit of the
/// next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Epoch {
    pub first_commit: u64,
    pub id: Uuid,
}

/// An object that was deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tombstone {
    pub commit: u64,
    pub kind: Kind,
    pub key: Arc<str>,
    /// The last revision of the object.
    pub revision: u64,
    pub time: Timestamp,
}

/// What a commit did to an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ObjectChangeKind {
    /// The commit created or changed the object.
    Written,
    Deleted,
}

/// The last change of an object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ObjectChange {
    /// The commit that made it.
    pub commit: u64,
    pub kind: Kind,
    /// The `{ref}` of its URL: an id, a name, or an address.
    pub key: String,
    /// The present revision of the object, or its last one if it was deleted.
    pub revision: u64,
    pub what: ObjectChangeKind,
}

/// The place of a change in the order: by commit, then kind, then key.
pub type ChangePlace = (u64, Kind, Arc<str>);

/// Why a reader cannot continue and has to read everything again.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadAgain {
    #[error(
        "the last commit is {present}, which is before {after}: the database was restored from an \
         earlier state; read everything again"
    )]
    Future { after: u64, present: u64 },
    #[error(
        "{after} belongs to an earlier state of the database, which was restored from a \
         backup: read everything again"
    )]
    OtherEpoch { after: u64 },
    #[error("deletions are known from commit {known_from} on, which is after {after}: read everything again")]
    TooOld { after: u64, known_from: u64 },
}

/// The number of the last commit, the tombstones and the epochs of a database.
#[derive(Clone, Debug, Default)]
pub struct CommitHistory {
    commit: u64,
    /// All epochs, the oldest first.
    epochs: Vec<Epoch>,
    tombstones: BTreeMap<ChangePlace, (u64, Timestamp)>,
    /// The commit of the newest tombstone of each object that does not exist now.
    deleted: BTreeMap<Kind, GrowingMap<Arc<str>, u64>>,
    /// The commit up to which tombstones were pruned.
    pruned_upto: u64,
}

impl CommitHistory {
    /// The history as the store read it from disk: epochs and tombstones, the oldest first.
    pub fn restore(commit: u64, epochs: Vec<Epoch>, pruned_upto: u64) -> Self {
        let commit = commit.max(pruned_upto);
        CommitHistory { commit, epochs, pruned_upto, ..CommitHistory::default() }
    }

    /// The number of the last commit.
    pub fn commit(&self) -> u64 {
        self.commit
    }

    pub fn position(&self) -> ReadPosition {
        let epoch = self.epochs.last().map(|epoch| epoch.id).unwrap_or_default();
        ReadPosition { commit: self.commit, epoch }
    }

    /// The number of tombstones.
    pub fn tombstones(&self) -> usize {
        self.tombstones.len()
    }

    /// Records that a commit is done: its number, and the epoch that begins with it, if one does.
    pub fn advance(&mut self, commit: u64, begins: Option<Epoch>) {
        self.commit = self.commit.max(commit);
        let known = self.epochs.last().copied();
        if let Some(epoch) = begins.filter(|epoch| known != Some(*epoch)) {
            self.epochs.push(epoch);
            let excess = self.epochs.len().saturating_sub(EPOCHS_MAX);
            self.epochs.drain(..excess);
        }
    }

    /// Records that an object was deleted.
    pub fn bury(&mut self, tombstone: Tombstone) {
        let Tombstone { commit, kind, key, revision, time } = tombstone;
        self.deleted.entry(kind).or_default().insert(Arc::clone(&key), commit);
        self.tombstones.insert((commit, kind, key), (revision, time));
    }

    /// Forgets the deletion of an object that was created again.
    pub fn revive(&mut self, kind: Kind, key: &str) {
        if let Some(deleted) = self.deleted.get_mut(&kind) {
            deleted.remove(key);
        }
    }

    /// The commit up to which tombstones have to be pruned, because they are too old or because `more` of
    /// them would exceed the bound.
    pub fn prunable(&self, now: Timestamp, more: usize) -> Option<u64> {
        let excess = self.tombstones.len().saturating_add(more).saturating_sub(TOMBSTONES_MAX);
        let by_number = (excess > 0).then(|| self.tombstones.len().saturating_sub(TOMBSTONES_KEPT));
        let last_by_number = by_number.and_then(|count| self.tombstones.keys().nth(count.checked_sub(1)?));
        let is_older = |time: Timestamp, age| now.duration_since(time) > age;
        let oldest = self.tombstones.values().next();
        let by_age = oldest.is_some_and(|(_, time)| is_older(*time, TOMBSTONE_AGE_MAX + TOMBSTONE_AGE_SPARE));
        let old = self.tombstones.iter().take_while(|(_, (_, time))| is_older(*time, TOMBSTONE_AGE_MAX));
        let last_by_age = if by_age { old.last().map(|(place, _)| place) } else { None };
        last_by_number.max(last_by_age).map(|(commit, ..)| *commit)
    }

    /// Drops the tombstones up to a commit, after the store deleted them from disk.
    pub fn prune(&mut self, upto: u64) {
        self.pruned_upto = self.pruned_upto.max(upto);
        while let Some(first) = self.tombstones.first_entry().filter(|entry| entry.key().0 <= upto) {
            let ((commit, kind, key), _) = first.remove_entry();
            if let Some(deleted) = self.deleted.get_mut(&kind)
                && deleted.get(&key) == Some(&commit)
            {
                deleted.remove(&key);
            }
        }
    }

    /// Whether a reader may continue after a commit: every deletion since then is known, and the number
    /// belongs to this database.
    ///
    /// # Errors
    /// [`ReadAgain`].
    pub fn check(&self, after: u64, epoch: Option<Uuid>) -> Result<(), ReadAgain> {
        if after > self.commit {
            return Err(ReadAgain::Future { after, present: self.commit });
        }
        if let Some(epoch) = epoch {
            let place = self.epochs.iter().position(|known| known.id == epoch);
            let place = place.ok_or(ReadAgain::OtherEpoch { after })?;
            // The server that gave this number was killed, and another server continued from an earlier
            // state.
            if self.epochs.get(place + 1).is_some_and(|next| after >= next.first_commit) {
                return Err(ReadAgain::OtherEpoch { after });
            }
        }
        if after < self.pruned_upto {
            return Err(ReadAgain::TooOld { after, known_from: self.pruned_upto });
        }
        Ok(())
    }

    /// Deletions of objects of the given kinds that do not exist now, after a place in the order.
    pub fn deletions(&self, after: &ChangePlace, kinds: &[Kind]) -> impl Iterator<Item = ObjectChange> {
        let rest = self.tombstones.range((Bound::Excluded(after.clone()), Bound::Unbounded));
        rest.filter(move |((commit, kind, key), _)| {
            kinds.contains(kind) && self.deleted.get(kind).and_then(|of| of.get(key)) == Some(commit)
        })
        .map(|((commit, kind, key), (revision, _))| ObjectChange {
            commit: *commit,
            kind: *kind,
            key: key.to_string(),
            revision: *revision,
            what: ObjectChangeKind::Deleted,
        })
    }
}
