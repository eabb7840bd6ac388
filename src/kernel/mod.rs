//! The base of all houses: the store, the clock, the queue of events, the addresses of the server, and the
//! key of secrets. Only the kernel calls the store.
//!
//! [`Kernel::read`] gives a decision the world of all objects; [`Kernel::commit`] and [`Kernel::change`]
//! write; [`Kernel::note`] queues an event without waiting. [`Caller`] is who asks and with which rights,
//! [`Error`] is why a use case failed. The rules for objects, and everything about machines, belong to the
//! houses.

mod caller;
pub mod changeset;
mod endpoints;
mod error;
pub mod event_queue;
mod feed;
mod history;
mod keeping;
mod look;
pub mod permissions;
pub mod scope;
pub mod scope_areas;
pub mod secrets;
mod store_health;
#[cfg(test)]
pub mod testing;
mod visible_events;

pub use caller::{Actor, Caller};
pub use changeset::*;
pub use endpoints::ServerEndpoints;
pub use error::Error;
pub use feed::EventFeed;
pub use visible_events::EventBatch;

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use jiff::Timestamp;
use tokio::sync::mpsc;
use uuid::Uuid;

use crate::model::{Event, HasTable, Kind, NewEvent, Noun, RefusalCode, Stored, Table, World};
use crate::store::{MonitoredStore, SharedStore};
use look::WorldLook;
use secrets::SecretKey;

/// Most retries of a change by the server when other writers changed the object meanwhile.
pub const STALE_RETRIES_MAX: usize = 16;

/// Tries without the writer's hold. A change that was overtaken that often is decided while nothing else is
/// written.
const FREE_TRIES_MAX: usize = 3;

/// The store, the clock and everything else that all houses share.
pub struct Kernel {
    /// The monitored store, for everything except `store_health`.
    store: SharedStore,
    monitor: Arc<MonitoredStore>,
    /// The key that seals secret params.
    pub secrets: SecretKey,
    /// What did not open with it at the start.
    shut: Vec<secrets::SealedValue>,
    pub endpoints: ServerEndpoints,
    queue: mpsc::Sender<NewEvent>,
    /// Number of events that were dropped because too many waited.
    pub notes_dropped: AtomicU64,
    #[cfg(test)]
    pub looks: look::LookMeter,
}

impl std::fmt::Debug for Kernel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Kernel")
    }
}

impl Kernel {
    /// Builds the kernel on a store. Also returns the receiving end of its queue of events.
    pub fn new(
        store: SharedStore,
        secrets: SecretKey,
        endpoints: ServerEndpoints,
    ) -> (Arc<Self>, event_queue::EventQueue) {
        let (queue, notes) = mpsc::channel(event_queue::NOTES_MAX);
        let shut = keeping::shut_values(&store.world(), &secrets);
        let monitor = MonitoredStore::new(store);
        let kernel = Kernel {
            store: Arc::clone(&monitor) as SharedStore,
            monitor,
            secrets,
            shut,
            endpoints,
            queue,
            notes_dropped: AtomicU64::default(),
            #[cfg(test)]
            looks: look::LookMeter::default(),
        };
        (Arc::new(kernel), event_queue::EventQueue(notes))
    }

    /// Watches commits: the number of the last event.
    pub fn committed(&self) -> tokio::sync::watch::Receiver<u64> {
        self.store.committed()
    }

    /// Watches commits that changed objects: the number of the last commit that the world shows.
    pub fn commits(&self) -> tokio::sync::watch::Receiver<u64> {
        self.store.commits()
    }

    /// The present time, used for all decisions.
    pub fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    /// Reads all objects, as of the last commit. Commits wait for `look`, so it must only decide or copy. It
    /// must not read again: it would wait for a commit that waits for it.
    pub fn read<T>(&self, look: impl FnOnce(&World) -> T) -> T {
        let _look = WorldLook::begin();
        self.measured(|| look(&self.store.world()))
    }

    /// In tests, what a look takes is measured.
    #[cfg(test)]
    fn measured<T>(&self, look: impl FnOnce() -> T) -> T {
        self.looks.measure(look)
    }

    #[cfg(not(test))]
    fn measured<T>(&self, look: impl FnOnce() -> T) -> T {
        look()
    }

    /// Like [`Kernel::read`], for a decision that depends on other objects than the written one. Also returns
    /// what was read, for the changeset.
    pub fn read_tracked<T>(&self, look: impl FnOnce(&TrackedWorld<'_>) -> T) -> (T, Vec<ChangesetRead>) {
        self.read(|world| {
            let tracked = TrackedWorld::new(world);
            let decided = look(&tracked);
            (decided, tracked.into_reads())
        })
    }

    /// The object that a caller refers to; see [`Caller::find`].
    ///
    /// # Errors
    /// [`Error::NotFound`] if there is no such object, or the caller may not read it.
    pub fn find<T: Noun>(&self, caller: &Caller, reference: &str) -> Result<Arc<Stored<T>>, Error>
    where
        World: HasTable<T>,
    {
        self.read(|world| caller.find::<T>(world, reference).cloned())
    }

    /// The object with a key, for the server's own work: permissions are not checked.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub fn get<T: Noun>(&self, key: &str) -> Result<Arc<Stored<T>>, Error>
    where
        World: HasTable<T>,
    {
        let found = self.read(|world| {
            let table: &Table<T> = world.table();
            table.get(key).cloned()
        });
        found.ok_or_else(|| Error::not_found::<T>(key))
    }

    /// The number of objects of each kind, in the order of `Kind::ALL`.
    pub fn counts(&self) -> [usize; Kind::ALL.len()] {
        self.read(|world| Kind::ALL.map(|kind| world.count(kind)))
    }

    /// Events that wait in the queue.
    pub fn queued_events(&self) -> u64 {
        self.queue.max_capacity().saturating_sub(self.queue.capacity()) as u64
    }

    /// The number of the last commit, and the number of tombstones.
    pub fn commit_counts(&self) -> (u64, usize) {
        self.read(|world| (world.commits.commit(), world.commits.tombstones()))
    }

    /// Commits a changeset, whole or not at all.
    ///
    /// # Errors
    /// Those of the store; a stale changeset is an [`Error::Conflict`].
    pub async fn commit(&self, changeset: Changeset) -> Result<Vec<Event>, Error> {
        Ok(self.try_commit(changeset).await?)
    }

    /// Like [`Kernel::commit`], for callers that decide again if the changeset was stale.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn try_commit(&self, changeset: Changeset) -> Result<Vec<Event>, StoreError> {
        self.store.commit(changeset).await
    }

    /// The hold of the writer for a change that was overtaken several times; none for the first tries. The
    /// writer waits for the holder for a bounded time, so slow work has to be done before.
    ///
    /// # Errors
    /// The store is closed.
    pub async fn hold_for(&self, attempt: usize) -> Result<Option<WriterHold>, Error> {
        match attempt {
            0..FREE_TRIES_MAX => Ok(None),
            _ => Ok(Some(self.store.hold().await?)),
        }
    }

    /// Like [`Kernel::try_commit`], through the hold if there is one.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn commit_with(
        &self,
        hold: Option<WriterHold>,
        changeset: Changeset,
    ) -> Result<Vec<Event>, StoreError> {
        match hold {
            Some(hold) => hold.commit(changeset).await,
            None => self.try_commit(changeset).await,
        }
    }

    /// Changes an object for the server itself. `change` gets the newest revision, and is called again if
    /// another writer was faster. It returns the events that describe the change.
    ///
    /// # Errors
    /// The refusal of `change`, [`Error::NotFound`], or an error of the store.
    pub async fn change<T: Noun>(
        &self,
        key: &str,
        now: Timestamp,
        mut change: impl FnMut(&mut Stored<T>) -> Result<Vec<NewEvent>, Error>,
    ) -> Result<Stored<T>, Error>
    where
        World: HasTable<T>,
    {
        for _ in 0..STALE_RETRIES_MAX {
            let current = self.get::<T>(key)?;
            let mut next = current.next_status(now);
            let events = change(&mut next)?;
            let next = Arc::new(next.numbered_after(&current, now));
            let changeset = Changeset { events, ..Changeset::default() }.update(T::object(Arc::clone(&next)));
            match self.try_commit(changeset).await {
                Ok(_) => return Ok(Arc::unwrap_or_clone(next)),
                Err(StoreError::Stale { .. }) => continue,
                Err(other) => return Err(other.into()),
            }
        }
        Err(Error::Busy(format!("{} {key} is being changed by many at once; try again", T::KIND)))
    }

    /// Writes a piece of a job's log at `offset`. Returns the log's length in bytes afterwards.
    ///
    /// # Errors
    /// `offset` is beyond the end, the log is full, or the database failed.
    pub async fn write_log(&self, job: Uuid, offset: u64, bytes: Vec<u8>) -> Result<u64, Error> {
        Ok(self.store.write_log(job, offset, bytes).await?)
    }

    /// At most `bytes_max` bytes of a job's log from `offset`.
    ///
    /// # Errors
    /// The database failed.
    pub async fn read_log(&self, job: Uuid, offset: u64, bytes_max: u32) -> Result<Vec<u8>, Error> {
        Ok(self.store.read_log(job, offset, bytes_max).await?)
    }

    /// Events by number, up to the bounds of the store.
    ///
    /// # Errors
    /// The database failed.
    pub async fn read_events(&self, query: EventQuery) -> Result<EventRead, Error> {
        Ok(self.store.read_events(query).await?)
    }

    /// Few or small events by number.
    ///
    /// # Errors
    /// The database failed.
    pub async fn events(&self, query: EventQuery) -> Result<Vec<Event>, Error> {
        Ok(self.store.events(query).await?)
    }

    /// Deletes the oldest events beyond the newest `keep`, a bounded number per call. Returns how many were
    /// deleted.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn prune_events(&self, keep: u64) -> Result<u64, Error> {
        Ok(self.store.prune_events(keep).await?)
    }

    /// A feed of events.
    pub fn feed(&self, query: EventQuery) -> EventFeed {
        EventFeed::new(Arc::clone(&self.store), query)
    }

    /// The number of the last event.
    pub fn last_event(&self) -> u64 {
        *self.store.committed().borrow()
    }

    /// Turns an error of the store into one that names objects as people know them. An object that the caller
    /// may not read is not named.
    pub fn refusal(&self, caller: &Caller, error: StoreError) -> Error {
        match error {
            StoreError::Taken { kind, index, value, holder } => self.read(|world| {
                if !caller.may_read(world, (kind, &holder)) {
                    return Error::Conflict(RefusalCode::Taken, permissions::hidden_conflict(kind));
                }
                let holder = TrackedWorld::untracked(world).label(kind, &holder);
                let why = format!("{index} {value} belongs to {kind} `{holder}`");
                Error::Conflict(RefusalCode::Taken, why)
            }),
            other => other.into(),
        }
    }
}
