//! What every house stands on: the store, the clock, the queue of events, where the server is reached, and
//! the key of secrets. The only caller of the store.
//!
//! [`Kernel::world`] is the snapshot that decisions read; [`Kernel::commit`] and [`Kernel::change`] write;
//! [`Kernel::note`] queues an event that nobody waits for. [`Caller`] says who asks and what they may,
//! [`Error`] why something was not done. Which objects there may be, and what happens to machines, is left to
//! the houses.

mod caller;
mod endpoints;
mod error;
pub mod event_queue;
pub mod scope;
pub mod secrets;
pub mod store_health;

pub use caller::{Actor, Caller};
pub use endpoints::Endpoints;
pub use error::Error;

use std::sync::atomic::AtomicU64;
use std::sync::{Arc, RwLockReadGuard};

use jiff::Timestamp;
use tokio::sync::mpsc;
use uuid::Uuid;

use crate::events::Feed;
use crate::model::{Event, HasTable, Kind, NewEvent, Noun, Stored, Table, World};
use crate::store::{self, Changeset, EventQuery, SharedStore};
use secrets::Secrets;

/// How often a change of ours is tried again when somebody else changed the object meanwhile.
pub const STALE_RETRIES_MAX: usize = 16;

/// The store, the clock and what else all houses share.
pub struct Kernel {
    store: SharedStore,
    /// The key that secret params are sealed with.
    pub secrets: Secrets,
    pub endpoints: Endpoints,
    queue: mpsc::Sender<NewEvent>,
    /// Events that were dropped because too many waited.
    pub notes_dropped: AtomicU64,
    /// Whether the database takes writes.
    pub health: store_health::Health,
}

impl std::fmt::Debug for Kernel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Kernel")
    }
}

impl Kernel {
    /// The kernel on a store, and the queue that [`event_queue::run`] writes.
    pub fn new(
        store: SharedStore,
        secrets: Secrets,
        endpoints: Endpoints,
    ) -> (Arc<Self>, event_queue::Notes) {
        let (queue, notes) = mpsc::channel(event_queue::NOTES_MAX);
        let health = store_health::Health::default();
        let kernel = Kernel { store, secrets, endpoints, queue, notes_dropped: AtomicU64::default(), health };
        (Arc::new(kernel), notes)
    }

    /// The store itself, for tests of what is done without a server.
    #[cfg(test)]
    pub fn store(&self) -> &dyn store::Store {
        self.store.as_ref()
    }

    /// Tells of commits: the number of the last event.
    pub fn committed(&self) -> tokio::sync::watch::Receiver<u64> {
        self.store.committed()
    }

    /// The time all decisions are made at.
    pub fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    /// The snapshot of all objects. Do not hold it over an await.
    pub fn world(&self) -> RwLockReadGuard<'_, World> {
        self.store.world()
    }

    /// One object by its key or by `index:value`.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub fn find<T: Noun>(&self, reference: &str) -> Result<Arc<Stored<T>>, Error>
    where
        World: HasTable<T>,
    {
        let world = self.world();
        let table: &Table<T> = world.table();
        table.resolve(reference).cloned().ok_or_else(|| Error::not_found::<T>(reference))
    }

    /// How many objects of each kind there are, in the order of `Kind::ALL`.
    pub fn counts(&self) -> [usize; Kind::ALL.len()] {
        let world = self.world();
        Kind::ALL.map(|kind| world.count(kind))
    }

    /// Commits a changeset, whole or not at all.
    ///
    /// # Errors
    /// What the store says; one that was overtaken is [`Error::Conflict`].
    pub async fn commit(&self, changeset: Changeset) -> Result<Vec<Event>, Error> {
        Ok(self.saw_write(self.try_commit(changeset).await)?)
    }

    /// As [`Kernel::commit`], for those who begin again when they were overtaken.
    ///
    /// # Errors
    /// What the store says.
    pub async fn try_commit(&self, changeset: Changeset) -> Result<Vec<Event>, store::Error> {
        self.store.commit(changeset).await
    }

    /// Notes what came of a write to the store, for [`Health`](store_health::Health), and hands it on.
    ///
    /// # Errors
    /// Those of `done`.
    pub fn saw_write<T>(&self, done: Result<T, store::Error>) -> Result<T, store::Error> {
        self.health.saw(done.as_ref().err(), self.now());
        done
    }

    /// Changes an object of ours with `change`, which sees the newest revision and is called again when
    /// somebody else was quicker. It gives the events that say what was done.
    ///
    /// # Errors
    /// What `change` refuses, [`Error::NotFound`], or what the store says.
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
            let current = self.find::<T>(key)?;
            let mut next = current.next(now);
            let events = change(&mut next)?;
            let changeset =
                Changeset { events, ..Changeset::default() }.update(T::object(Arc::new(next.clone())));
            match self.try_commit(changeset).await {
                Ok(_) => return Ok(next),
                Err(store::Error::Stale { .. }) => continue,
                Err(other) => return Err(other.into()),
            }
        }
        Err(Error::Busy(format!("{} {key} is being changed by many at once; try again", T::KIND)))
    }

    /// Writes a piece of a job's log at `offset`; gives the log's length in bytes afterwards.
    ///
    /// # Errors
    /// `offset` is beyond the end, the log is full, or the database failed.
    pub async fn write_log(&self, job: Uuid, offset: u64, bytes: Vec<u8>) -> Result<u64, Error> {
        Ok(self.saw_write(self.store.write_log(job, offset, bytes).await)?)
    }

    /// Up to `bytes_max` of a job's log from `offset`.
    ///
    /// # Errors
    /// The database failed.
    pub async fn read_log(&self, job: Uuid, offset: u64, bytes_max: u32) -> Result<Vec<u8>, Error> {
        Ok(self.store.read_log(job, offset, bytes_max).await?)
    }

    /// Events by number.
    ///
    /// # Errors
    /// The database failed.
    pub async fn events(&self, query: EventQuery) -> Result<Vec<Event>, Error> {
        Ok(self.store.events(query).await?)
    }

    /// Events as they happen.
    pub fn feed(&self, query: EventQuery) -> Feed {
        Feed::new(Arc::clone(&self.store), query)
    }

    /// The number of the last event.
    pub fn last_event(&self) -> u64 {
        *self.store.committed().borrow()
    }

    /// What the store refused, in words that name things as people know them.
    pub fn refusal(&self, error: store::Error) -> Error {
        match error {
            store::Error::Taken { kind, index, value, holder } => {
                let holder = person_name(&self.world(), kind, &holder);
                Error::Conflict(format!("{index} {value} belongs to {kind} `{holder}`"))
            }
            other => other.into(),
        }
    }
}

/// What a person calls an object of which the key is known.
pub fn person_name(world: &World, kind: Kind, key: &str) -> String {
    match kind {
        Kind::Machine => world.machines.get(key).map_or_else(|| key.to_owned(), |row| row.spec.name.clone()),
        _ => key.to_owned(),
    }
}
