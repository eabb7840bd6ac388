//! The store in one SQLite file, in the server's own process.
//!
//! `open` finds the file and brings it up to date, `load` reads the world, `writer` takes changesets into
//! groups, `changeset` is one of them, `group` decides what is done and `rows` writes it, `trail` knows where
//! leases are, `checkpoints` keeps the log short;
//! `events` and `log` are what is read from the database afterwards.

mod changeset;
mod checkpoints;
mod events;
mod group;
mod load;
mod log;
#[cfg(test)]
mod migration_tests;
mod open;
mod rows;
#[cfg(test)]
mod tests;
mod trail;
#[cfg(test)]
mod trail_tests;
mod writer;

use std::collections::HashSet;
use std::fs::File;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard};

use futures_util::future::BoxFuture;
use sqlx::SqlitePool;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use uuid::Uuid;

use crate::model::{Event, Kind, World};
use crate::store::{Changeset, Error, EventQuery, Store};

pub use load::Damaged;
pub use open::OpenError;

use writer::{Job, Outcome, Work};

/// All of Metalwright's state in `metalwright.db`.
pub struct SqliteStore {
    world: Arc<RwLock<World>>,
    damaged: Vec<Damaged>,
    damaged_keys: HashSet<(Kind, String)>,
    readers: SqlitePool,
    committed: watch::Receiver<u64>,
    writer: Mutex<Option<Writer>>,
    /// Held as long as the store is: a second server's world would go stale without a word.
    _lock: File,
}

/// The way to the writer task, until the store is closed.
struct Writer {
    queue: mpsc::Sender<Job>,
    task: JoinHandle<()>,
}

impl SqliteStore {
    /// Opens the database in `data_dir`, making both where they are missing, brings it up to this version
    /// and reads the world.
    ///
    /// # Errors
    /// The directory cannot be used, another server has it open, a later version wrote it, or the
    /// database cannot be read.
    pub async fn open(data_dir: &Path) -> Result<Arc<SqliteStore>, OpenError> {
        Self::open_with(data_dir, &open::Setup::default()).await
    }

    async fn open_with(data_dir: &Path, setup: &open::Setup) -> Result<Arc<SqliteStore>, OpenError> {
        let opened = open::open(data_dir, setup).await?;
        let world = Arc::new(RwLock::new(opened.loaded.world));
        let (committed_tx, committed) = watch::channel(opened.last_seq);
        let (queue, jobs) = mpsc::channel(writer::QUEUE_MAX);
        let writer = writer::Writer {
            connection: opened.writer,
            world: Arc::clone(&world),
            damaged_holders: opened.loaded.damaged_holders,
            trail: opened.loaded.trail,
            committed: committed_tx,
        };
        // A thread of its own: a task would wait for its turn on the worker of whoever sent the job.
        let task = tokio::task::spawn_blocking(move || writer.run(jobs));
        let damaged = opened.loaded.damaged;
        Ok(Arc::new(SqliteStore {
            world,
            damaged_keys: damaged.iter().map(|row| (row.kind, row.key.clone())).collect(),
            damaged,
            readers: opened.readers,
            committed,
            writer: Mutex::new(Some(Writer { queue, task })),
            _lock: opened.lock,
        }))
    }

    /// Rows that could not be read when the store was opened. They are in the database still, and their
    /// keys and unique values stay taken.
    pub fn damaged(&self) -> &[Damaged] {
        &self.damaged
    }

    /// Deletes the oldest events beyond the newest `keep`, a bounded number at a time; returns how many.
    /// Call again until it is 0.
    ///
    /// # Errors
    /// [`Error::Failed`].
    pub async fn prune_events(&self, keep: u64) -> Result<u64, Error> {
        Ok(self.submit(Work::Prune { keep }).await?.count)
    }

    async fn submit(&self, work: Work) -> Result<Outcome, Error> {
        let closed = || Error::Failed("the store is closed".into());
        let queue = self.lock_writer().as_ref().map(|writer| writer.queue.clone()).ok_or_else(closed)?;
        let (reply, outcome) = oneshot::channel();
        queue.send(Job { work, reply }).await.map_err(|_| closed())?;
        drop(queue);
        outcome.await.unwrap_or_else(|_| Err(closed()))
    }

    fn lock_writer(&self) -> std::sync::MutexGuard<'_, Option<Writer>> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Store for SqliteStore {
    fn world(&self) -> RwLockReadGuard<'_, World> {
        self.world.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn commit(&self, changeset: Changeset) -> BoxFuture<'_, Result<Vec<Event>, Error>> {
        Box::pin(async move {
            let changeset = changeset::encode(changeset, &self.damaged_keys)?;
            Ok(self.submit(Work::Changeset(changeset)).await?.events)
        })
    }

    fn events(&self, query: EventQuery) -> BoxFuture<'_, Result<Vec<Event>, Error>> {
        Box::pin(async move { events::read(&self.readers, &query).await.map_err(failed) })
    }

    fn write_log(&self, job: Uuid, offset: u64, bytes: Vec<u8>) -> BoxFuture<'_, Result<u64, Error>> {
        let piece = log::Piece { job, offset, bytes };
        Box::pin(async move { Ok(self.submit(Work::Log(piece)).await?.count) })
    }

    fn read_log(&self, job: Uuid, offset: u64, bytes_max: u32) -> BoxFuture<'_, Result<Vec<u8>, Error>> {
        Box::pin(async move { log::read(&self.readers, job, (offset, bytes_max)).await.map_err(failed) })
    }

    fn committed(&self) -> watch::Receiver<u64> {
        self.committed.clone()
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        let writer = self.lock_writer().take();
        Box::pin(async move {
            if let Some(Writer { queue, task }) = writer {
                drop(queue);
                if let Err(error) = task.await {
                    tracing::error!(%error, "the database writer did not end well");
                }
            }
            self.readers.close().await;
        })
    }
}

fn failed(error: sqlx::Error) -> Error {
    Error::Failed(error.to_string())
}

/// SQLite's integers are signed; nothing of ours counts beyond them.
fn integer(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
