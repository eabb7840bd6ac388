//! The store of objects, events and job logs.
//!
//! A write is a [`Changeset`]: everything that one use case changes, what the decision read, and the events
//! about it. It is committed in one transaction, whole or not at all. A decision that depends on other
//! objects reads them through a [`TrackedWorld`], which records what was read. Objects are read from the
//! [`World`] in memory, which the store updates in the order of its commits. Only events and job logs are
//! read from the database.

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
use std::path::PathBuf;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use uuid::Uuid;

use crate::model::{Event, EventKind, Kind, Mac, NewEvent, Object, ServedDocument, World};
pub use hold::WriterHold;
pub use monitored::{FREE_BYTES_MIN, MonitoredStore, StoreOutage};
pub use records::{DocumentUsage, EventCut, KeptDocument, OldEvents, RUN_DOCUMENTS_MAX, RunDocuments};
pub use sqlite::{DamagedRow, OpenError, SqliteStore};
pub use tracked_world::{TableSnapshot, TrackedWorld};

/// Most events one query returns.
pub const EVENTS_MAX: u32 = 1000;
/// Most bytes of data that one read of events returns; the event that reaches it is the last one.
pub const EVENT_READ_BYTES_MAX: usize = 8 << 20;
/// Most bytes the log of one job may have.
pub const LOG_BYTES_MAX: u64 = 64 << 20;
/// Most bytes that one read of a log returns.
pub const LOG_READ_BYTES_MAX: u32 = 1 << 20;

/// Everything that one use case changes, and what the decision read.
#[derive(Debug, Default, Clone)]
pub struct Changeset {
    /// What the decision read besides the objects that it writes. If any of it has changed, the changeset is
    /// refused as stale.
    pub reads: Vec<ChangesetRead>,
    pub writes: Vec<ChangesetWrite>,
    pub events: Vec<NewEvent>,
}

/// A part of the world that a decision read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChangesetRead {
    /// The object with a key, and the version that it had ([`World::version`]); none if there was no object.
    Row { kind: Kind, key: Arc<str>, version: Option<u64> },
    /// The specs of all objects of a kind, by [`World::spec_generation`].
    Specs { kind: Kind, generation: u64 },
    /// All objects of a kind with their statuses, by [`World::generation`].
    Table { kind: Kind, generation: u64 },
}

/// One change to one object.
#[derive(Debug, Clone)]
pub enum ChangesetWrite {
    /// An object that must not exist yet.
    Create(Object),
    /// The next version of an object: its next revision or its next status. Refused unless the stored version
    /// is exactly one below it.
    Update(Object),
    /// Refused unless this is the stored version. The tombstone gets the revision.
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

    /// Adds what the decision read.
    pub fn with_reads(mut self, reads: impl IntoIterator<Item = ChangesetRead>) -> Self {
        self.reads.extend(reads);
        self
    }

    pub fn event(mut self, event: NewEvent) -> Self {
        self.events.push(event);
        self
    }
}

/// Why a changeset was not committed. Nothing of it was written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The object has another version than the writer saw, or was deleted, or exists already; or something
    /// that the decision read has changed. For a whole table the key is `*`.
    #[error("{kind} {key} was changed by somebody else")]
    Stale { kind: Kind, key: String },
    /// Another object holds a value that no two objects of the kind may share.
    #[error("{index} {value} belongs to {kind} {holder}")]
    Taken { kind: Kind, index: String, value: String, holder: String },
    /// The stored object cannot be read. It is not overwritten either.
    #[error("{kind} {key} is damaged in the database: restore it from a backup")]
    Damaged { kind: Kind, key: String },
    /// The next start could not read the object, so it is not written.
    #[error("{kind} {key} could not be read back: {why}")]
    Unreadable { kind: Kind, key: String, why: String },
    /// A piece of a log begins beyond the end of the log.
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

/// The events to read.
#[derive(Debug, Clone, Default)]
pub struct EventQuery {
    /// Only events after this number.
    pub after: u64,
    /// Only events before this number: the next page when reading newest first.
    pub before: Option<u64>,
    /// Only events at or after this time.
    pub since: Option<jiff::Timestamp>,
    /// Only events before this time.
    pub until: Option<jiff::Timestamp>,
    /// A kind, or `machine.*` for all kinds of a noun.
    pub kind: Option<String>,
    /// Only these kinds; all if empty.
    pub kinds: &'static [EventKind],
    /// No events about objects of these kinds.
    pub hidden: Vec<Kind>,
    pub subject: Option<String>,
    pub attempt: Option<Uuid>,
    /// Only events that this request of the API brought about.
    pub request_id: Option<String>,
    /// Only events that the holder of a token caused: `token:admin`; `token:*` for all holders.
    pub actor: Option<String>,
    /// Only events with which leases begin or end ([`EventKind::LEASE`]), of one address or client.
    pub lease: Option<LeaseOf>,
    /// Most events to return. 0 and all larger values mean [`EVENTS_MAX`].
    pub limit: u32,
    pub newest_first: bool,
}

/// Events that were read.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct EventRead {
    pub events: Vec<Event>,
    /// The data of the events, in bytes.
    pub bytes: usize,
    /// Whether a bound ended it: the limit of the query or [`EVENT_READ_BYTES_MAX`]. More may follow.
    pub is_cut: bool,
}

/// The address or client whose leases are meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeaseOf {
    Address(Ipv4Addr),
    Mac(Mac),
}

/// The database. Only one server process writes to it.
pub trait Store: Send + Sync + 'static {
    /// The snapshot of all objects as of the last commit. Cheap; hold it no longer than one decision takes.
    fn world(&self) -> std::sync::RwLockReadGuard<'_, World>;

    /// Commits a changeset. When this returns, all of it is on disk and in the world. Within a changeset,
    /// values are released before others are claimed, so that one changeset can move a MAC address from one
    /// machine to another. The commit continues when the caller stops waiting for it.
    ///
    /// # Errors
    /// [`StoreError::Stale`], [`StoreError::Taken`], [`StoreError::Damaged`], [`StoreError::Failed`] or
    /// [`StoreError::Closed`]. Nothing was written then.
    fn commit(&self, changeset: Changeset) -> BoxFuture<'_, Result<Vec<Event>, StoreError>>;

    /// Holds the writer after it has finished all jobs that were queued before. A decision that was overtaken
    /// several times can then be made while nothing else is written.
    ///
    /// # Errors
    /// [`StoreError::Closed`].
    fn hold(&self) -> BoxFuture<'_, Result<WriterHold, StoreError>>;

    /// Events in the order of their numbers. The numbers have no gaps except at the oldest end, where only
    /// audit events are left. A damaged event is returned with `{"damaged": WHY}` as its data, so a read that
    /// is not cut is the last one.
    ///
    /// # Errors
    /// [`StoreError::Failed`].
    fn read_events(&self, query: EventQuery) -> BoxFuture<'_, Result<EventRead, StoreError>>;

    /// The events of [`Store::read_events`] alone, for few or small ones.
    ///
    /// # Errors
    /// [`StoreError::Failed`].
    fn events(&self, query: EventQuery) -> BoxFuture<'_, Result<Vec<Event>, StoreError>> {
        Box::pin(async move { Ok(self.read_events(query).await?.events) })
    }

    /// Writes a piece of a job's log at `offset`. Bytes that the log has already are skipped, so a repeated
    /// call changes nothing. Returns the length of the log.
    ///
    /// # Errors
    /// [`StoreError::LogGap`] if `offset` is beyond the end, [`StoreError::LogFull`] if the log would become
    /// too long, [`StoreError::Stale`] if there is no such job, [`StoreError::Failed`].
    fn write_log(&self, job: Uuid, offset: u64, bytes: Vec<u8>) -> BoxFuture<'_, Result<u64, StoreError>>;

    /// At most `bytes_max` (and [`LOG_READ_BYTES_MAX`]) bytes of a job's log from `offset`; empty at the end.
    ///
    /// # Errors
    /// [`StoreError::Failed`].
    fn read_log(&self, job: Uuid, offset: u64, bytes_max: u32) -> BoxFuture<'_, Result<Vec<u8>, StoreError>>;

    /// Deletes the oldest events beyond the newest `keep`, a bounded number per call. Returns how many were
    /// deleted; call again until it is 0. Audit events ([`EventKind::AUDIT`], and what was done with a token)
    /// are set aside: they can still be read.
    ///
    /// # Errors
    /// [`StoreError::Failed`].
    fn prune_events(&self, keep: u64) -> BoxFuture<'_, Result<u64, StoreError>>;

    /// The oldest events, up to a cut. They never include the newest event.
    ///
    /// # Errors
    /// [`StoreError::Failed`].
    fn old_events(&self, cut: EventCut) -> BoxFuture<'_, Result<OldEvents, StoreError>>;

    /// The oldest of the audit events that were set aside, up to a cut by number and time, and the number of
    /// the last of them. `newer` is not counted.
    ///
    /// # Errors
    /// [`StoreError::Failed`].
    fn old_audit_events(&self, cut: EventCut) -> BoxFuture<'_, Result<(OldEvents, u64), StoreError>>;

    /// Deletes the audit events that were set aside up to a number, a bounded number at a time; returns how
    /// many. Call again until it is 0.
    ///
    /// # Errors
    /// [`StoreError::Failed`].
    fn prune_audit_events(&self, upto: u64) -> BoxFuture<'_, Result<u64, StoreError>>;

    /// The length of each job's log, in bytes; jobs without one are left out.
    ///
    /// # Errors
    /// [`StoreError::Failed`].
    fn log_sizes(&self) -> BoxFuture<'_, Result<Vec<(Uuid, u64)>, StoreError>>;

    /// Records documents that were served. A document that is recorded already for the same attempt or job is
    /// skipped, and so is one beyond [`RUN_DOCUMENTS_MAX`]. Returns by how many bytes the kept texts grew.
    ///
    /// # Errors
    /// [`StoreError::Failed`].
    fn keep_documents(&self, documents: Vec<KeptDocument>) -> BoxFuture<'_, Result<u64, StoreError>>;

    /// The documents of a run, by path and then by time.
    ///
    /// # Errors
    /// [`StoreError::Failed`].
    fn served_documents(&self, run: Uuid) -> BoxFuture<'_, Result<Vec<ServedDocument>, StoreError>>;

    /// The compressed text with this digest, if it is kept.
    ///
    /// # Errors
    /// [`StoreError::Failed`].
    fn document_content(&self, digest: String) -> BoxFuture<'_, Result<Option<Vec<u8>>, StoreError>>;

    /// The documents that exist, by run.
    ///
    /// # Errors
    /// [`StoreError::Failed`].
    fn document_usage(&self) -> BoxFuture<'_, Result<DocumentUsage, StoreError>>;

    /// Deletes the texts of the documents of these runs, except texts that other runs share. The records of
    /// which documents were served stay. Returns the freed bytes. All of it is one transaction, so the caller
    /// bounds the number of runs.
    ///
    /// # Errors
    /// [`StoreError::Failed`].
    fn prune_documents(&self, runs: Vec<Uuid>) -> BoxFuture<'_, Result<u64, StoreError>>;

    /// Like [`Store::prune_documents`], and deletes the records of documents too, because the runs are
    /// deleted.
    ///
    /// # Errors
    /// [`StoreError::Failed`].
    fn forget_documents(&self, runs: Vec<Uuid>) -> BoxFuture<'_, Result<u64, StoreError>>;

    /// Deletes the logs of jobs and keeps the jobs. The caller bounds the number of jobs.
    ///
    /// # Errors
    /// [`StoreError::Failed`].
    fn prune_logs(&self, jobs: Vec<Uuid>) -> BoxFuture<'_, Result<u64, StoreError>>;

    /// Writes a snapshot of the database, as of one commit, to a file that is made for its owner only. Nobody
    /// who writes meanwhile waits for it.
    ///
    /// # Errors
    /// [`StoreError::Failed`].
    fn snapshot(&self, into: PathBuf) -> BoxFuture<'_, Result<(), StoreError>>;

    /// What is wrong with the file of the database; nothing where it is whole. Reads all of it.
    ///
    /// # Errors
    /// [`StoreError::Failed`].
    fn integrity(&self) -> BoxFuture<'_, Result<Vec<String>, StoreError>>;

    /// Rows that could not be read when the store was opened. They are in the database still, and their keys
    /// and unique values stay taken.
    fn damaged(&self) -> &[DamagedRow];

    /// Writes to disk without changing anything, to find out whether writes succeed.
    ///
    /// # Errors
    /// [`StoreError::Failed`].
    fn probe(&self) -> BoxFuture<'_, Result<(), StoreError>>;

    /// Free bytes on the disk of the database.
    ///
    /// # Errors
    /// The file system did not answer.
    fn free_bytes(&self) -> std::io::Result<u64>;

    /// The number of the last event of each commit, as commits happen.
    fn committed(&self) -> tokio::sync::watch::Receiver<u64>;

    /// The number of each commit, as soon as the world shows it. Each changeset that writes objects is a
    /// commit; see [`CommitHistory`](crate::model::CommitHistory).
    fn commits(&self) -> tokio::sync::watch::Receiver<u64>;

    /// Ends the writer, after the queued jobs are done.
    fn close(&self) -> BoxFuture<'_, ()>;
}

/// The store, as the rest of the program uses it.
pub type SharedStore = Arc<dyn Store>;
