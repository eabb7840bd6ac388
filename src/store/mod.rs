//! Where objects, events and job logs are kept.
//!
//! A write is a [`Changeset`]: everything one use case changes, with what it was decided on and the events
//! that say so, committed in one transaction or not at all. Whoever decides about other objects looks at them
//! through a [`TrackedWorld`], which notes what was looked at. Reads of objects come from the [`World`] in
//! memory, which the store brings up to date in the order of its commits; only events and job logs are read
//! from the database.

#[cfg(test)]
mod conformance;
mod hold;
mod monitored;
mod records;
#[cfg(test)]
mod records_conformance;
mod sql;
mod sqlite;
mod tracked_world;

use std::net::Ipv4Addr;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use uuid::Uuid;

use crate::model::{Event, EventKind, Kind, Mac, NewEvent, Object, ServedDocument, World};
pub use hold::WriterHold;
pub use monitored::{FREE_BYTES_MIN, MonitoredStore, StoreOutage};
pub use records::{DocumentUsage, EventCut, KeptDocument, OldEvents, RUN_DOCUMENTS_MAX, RunDocuments};
pub use sqlite::{DamagedRow, OpenError, SqliteStore};
pub use tracked_world::{ScannedKind, TableSnapshot, TrackedWorld};

/// Most events one query returns.
pub const EVENTS_MAX: u32 = 1000;
/// Most bytes the log of one job may have.
pub const LOG_BYTES_MAX: u64 = 64 << 20;
/// Most bytes one read of a log returns.
pub const LOG_READ_BYTES_MAX: u32 = 1 << 20;

/// Everything one use case changes, and what it was decided on.
#[derive(Debug, Default, Clone)]
pub struct Changeset {
    /// What the decision looked at besides the objects it writes: refused as stale when any of it has
    /// changed.
    pub reads: Vec<ChangesetRead>,
    pub writes: Vec<ChangesetWrite>,
    pub events: Vec<NewEvent>,
}

/// Something of the world that a decision looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChangesetRead {
    /// The object with a key: the version it had ([`World::version`]); none where there was no object.
    Row { kind: Kind, key: Arc<str>, version: Option<u64> },
    /// The specs of all objects of a kind: [`World::spec_generation`].
    Specs { kind: Kind, generation: u64 },
    /// All objects of a kind with their statuses: [`World::generation`].
    Table { kind: Kind, generation: u64 },
}

/// One change to one object.
#[derive(Debug, Clone)]
pub enum ChangesetWrite {
    /// An object that must not exist yet.
    Create(Object),
    /// The next version of an object, which is its next revision or its next status: refused unless the
    /// version of the stored one is exactly one below it.
    Update(Object),
    /// Refused unless the stored version is this one. The revision is that of the tombstone.
    Delete { kind: Kind, key: String, version: u64, revision: u64 },
}

impl Changeset {
    pub fn create(mut self, object: Object) -> Self {
        self.writes.push(ChangesetWrite::Create(object));
        self
    }

    pub fn update(mut self, object: Object) -> Self {
        self.writes.push(ChangesetWrite::Update(object));
        self
    }

    pub fn delete(mut self, object: &Object) -> Self {
        let (kind, key, version) = (object.kind(), object.key().to_owned(), object.version());
        self.writes.push(ChangesetWrite::Delete { kind, key, version, revision: object.revision() });
        self
    }

    /// Adds what the decision looked at.
    pub fn with_reads(mut self, reads: impl IntoIterator<Item = ChangesetRead>) -> Self {
        self.reads.extend(reads);
        self
    }

    pub fn event(mut self, event: NewEvent) -> Self {
        self.events.push(event);
        self
    }
}

/// Why a changeset was not done. Nothing of it was written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The object is at another version than the writer saw, or is gone, or exists already; or something
    /// that the changeset was decided on has changed. The key of a whole table is `*`.
    #[error("{kind} {key} was changed by somebody else")]
    Stale { kind: Kind, key: String },
    /// A value that no two objects of a kind may share is held by another.
    #[error("{index} {value} belongs to {kind} {holder}")]
    Taken { kind: Kind, index: String, value: String, holder: String },
    /// The stored object cannot be read, so it is not written over either.
    #[error("{kind} {key} is damaged in the database: restore it from a backup")]
    Damaged { kind: Kind, key: String },
    /// The object would be passed over at the next start, so it is not written.
    #[error("{kind} {key} could not be read again: {why}")]
    Unreadable { kind: Kind, key: String, why: String },
    /// A log was written at an offset beyond its end.
    #[error("the log has {bytes} bytes: write the next piece at that offset")]
    LogGap { bytes: u64 },
    /// A log would grow beyond [`LOG_BYTES_MAX`].
    #[error("the log has {bytes} bytes and may not have more than {LOG_BYTES_MAX}")]
    LogFull { bytes: u64 },
    /// The database refused or failed: disk full, read-only, damaged.
    #[error("the database failed: {0}")]
    Failed(String),
    /// The server is stopping.
    #[error("the store is closed")]
    Closed,
}

/// Which events to read.
#[derive(Debug, Clone, Default)]
pub struct EventQuery {
    /// Only events after this number.
    pub after: u64,
    /// Only events before this number: the next page when reading newest first.
    pub before: Option<u64>,
    /// A kind, or `machine.*` for all of a noun.
    pub kind: Option<String>,
    /// Only these kinds; none stands for all.
    pub kinds: &'static [EventKind],
    /// No events about objects of these kinds.
    pub hidden: Vec<Kind>,
    pub subject: Option<String>,
    pub attempt: Option<Uuid>,
    /// Only events that this request of the API brought about.
    pub request_id: Option<String>,
    /// Only the beginnings and ends of leases ([`EventKind::LEASE`]) of an address or of a client.
    pub lease: Option<LeaseOf>,
    /// At most so many; 0, like everything above it, stands for [`EVENTS_MAX`].
    pub limit: u32,
    pub newest_first: bool,
}

/// Whose leases.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeaseOf {
    Address(Ipv4Addr),
    Mac(Mac),
}

/// The database. One server process writes to it.
pub trait Store: Send + Sync + 'static {
    /// The snapshot of all objects, as of the last commit. Cheap; hold it no longer than one decision.
    fn world(&self) -> std::sync::RwLockReadGuard<'_, World>;

    /// Commits a changeset: all of it is on disk when this returns, and the world shows it. Within a
    /// changeset, values are given up before others are taken, so one changeset can move a MAC from a machine
    /// to another. The commit goes on when the caller stops waiting for it.
    ///
    /// # Errors
    /// [`StoreError::Stale`], [`StoreError::Taken`], [`StoreError::Damaged`],
    /// [`StoreError::Failed`] or [`StoreError::Closed`]; then nothing was written.
    fn commit(&self, changeset: Changeset) -> BoxFuture<'_, Result<Vec<Event>, StoreError>>;

    /// Holds the writer once it has done what was queued before, so that a decision that others overtake time
    /// and again is made while nothing changes.
    ///
    /// # Errors
    /// [`StoreError::Closed`].
    fn hold(&self) -> BoxFuture<'_, Result<WriterHold, StoreError>>;

    /// Events in the order of their numbers, which have no gaps but at the oldest end, where they are pruned.
    /// One that cannot be read is among them, with `{"damaged": WHY}` as its data: a page that has fewer than
    /// were asked for is the last one.
    ///
    /// # Errors
    /// [`StoreError::Failed`].
    fn events(&self, query: EventQuery) -> BoxFuture<'_, Result<Vec<Event>, StoreError>>;

    /// Writes a piece of a job's log at `offset`. Bytes that are there already are passed over, so a
    /// repeated call changes nothing. Returns the length of the log.
    ///
    /// # Errors
    /// [`StoreError::LogGap`] when `offset` is beyond the end, [`StoreError::LogFull`] when the log would
    /// become too long, [`StoreError::Stale`] when there is no such job, [`StoreError::Failed`].
    fn write_log(&self, job: Uuid, offset: u64, bytes: Vec<u8>) -> BoxFuture<'_, Result<u64, StoreError>>;

    /// Up to `bytes_max` (and [`LOG_READ_BYTES_MAX`]) of a job's log from `offset`; nothing at its end.
    ///
    /// # Errors
    /// [`StoreError::Failed`].
    fn read_log(&self, job: Uuid, offset: u64, bytes_max: u32) -> BoxFuture<'_, Result<Vec<u8>, StoreError>>;

    /// Deletes the oldest events beyond the newest `keep`, a bounded number at a time; returns how many. Call
    /// again until it is 0.
    ///
    /// # Errors
    /// [`StoreError::Failed`].
    fn prune_events(&self, keep: u64) -> BoxFuture<'_, Result<u64, StoreError>>;

    /// The oldest events, up to a cut. The newest event is never among them.
    ///
    /// # Errors
    /// [`StoreError::Failed`].
    fn old_events(&self, cut: EventCut) -> BoxFuture<'_, Result<OldEvents, StoreError>>;

    /// Records documents that were served. One that is recorded for the same attempt or job, and one beyond
    /// [`RUN_DOCUMENTS_MAX`], changes nothing. Returns the bytes by which the kept texts grew.
    ///
    /// # Errors
    /// [`StoreError::Failed`].
    fn keep_documents(&self, documents: Vec<KeptDocument>) -> BoxFuture<'_, Result<u64, StoreError>>;

    /// The documents of a run, by path and then by time.
    ///
    /// # Errors
    /// [`StoreError::Failed`].
    fn served_documents(&self, run: Uuid) -> BoxFuture<'_, Result<Vec<ServedDocument>, StoreError>>;

    /// The compressed text with a digest, where it is kept.
    ///
    /// # Errors
    /// [`StoreError::Failed`].
    fn document_content(&self, digest: String) -> BoxFuture<'_, Result<Option<Vec<u8>>, StoreError>>;

    /// What documents there are, by run.
    ///
    /// # Errors
    /// [`StoreError::Failed`].
    fn document_usage(&self) -> BoxFuture<'_, Result<DocumentUsage, StoreError>>;

    /// Deletes the texts of the documents of runs that no other run has; which documents there were stays.
    /// Returns the bytes that are free then. All of it is one transaction: the caller bounds how many runs.
    ///
    /// # Errors
    /// [`StoreError::Failed`].
    fn prune_documents(&self, runs: Vec<Uuid>) -> BoxFuture<'_, Result<u64, StoreError>>;

    /// As [`Store::prune_documents`], and deletes which documents there were: the runs themselves go.
    ///
    /// # Errors
    /// [`StoreError::Failed`].
    fn forget_documents(&self, runs: Vec<Uuid>) -> BoxFuture<'_, Result<u64, StoreError>>;

    /// Deletes the logs of jobs, which stay. The caller bounds how many jobs.
    ///
    /// # Errors
    /// [`StoreError::Failed`].
    fn prune_logs(&self, jobs: Vec<Uuid>) -> BoxFuture<'_, Result<u64, StoreError>>;

    /// Writes to the disk what changes nothing, to find out whether writes get there.
    ///
    /// # Errors
    /// [`StoreError::Failed`].
    fn probe(&self) -> BoxFuture<'_, Result<(), StoreError>>;

    /// Bytes that are free on the disk of the database.
    ///
    /// # Errors
    /// The disk cannot be asked.
    fn free_bytes(&self) -> std::io::Result<u64>;

    /// Numbers of the last event of each commit, as they happen.
    fn committed(&self) -> tokio::sync::watch::Receiver<u64>;

    /// Numbers of commits, as the world shows them. Each changeset that writes objects is one; see
    /// [`CommitHistory`](crate::model::CommitHistory).
    fn commits(&self) -> tokio::sync::watch::Receiver<u64>;

    /// Ends the writer after what is queued is done.
    fn close(&self) -> BoxFuture<'_, ()>;
}

/// The store as the rest of the program holds it.
pub type SharedStore = Arc<dyn Store>;
