//! The store in one SQLite file, in the server's own process.
//!
//! `open` finds the file, `migrations` migrates it, `load` reads the world, and `writer` puts changesets into
//! groups.
//! `changeset` encodes one of them, `group` decides the results, and `rows` writes. `lease_log` keeps track
//! of the rows of leases, and `checkpoints` keeps the write-ahead log short. `events`, `audit`, `log` and
//! `documents` are read from the database when needed. `whole` is about the file as a whole, `repair` about
//! rows that cannot be read.

mod audit;
mod changeset;
mod checkpoints;
mod documents;
mod event_sizes;
mod events;
mod group;
mod lease_log;
mod load;
mod log;
#[cfg(test)]
mod migration_tests;
mod migrations;
mod open;
mod repair;
mod rows;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tombstone_tests;
#[cfg(test)]
mod trail_tests;
mod whole;
mod writer;

use std::collections::HashSet;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{SendError, SyncSender};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard};

use futures_util::future::BoxFuture;
use sqlx::SqlitePool;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use uuid::Uuid;

use crate::model::{Event, Kind, ServedDocument, World};
use crate::store::{
    Changeset, DocumentUsage, EventCut, EventQuery, EventRead, KeptDocument, OldEvents, Store, StoreError,
    WriterHold,
};

pub use load::DamagedRow;
pub use open::OpenError;

use event_sizes::EventSizes;
use writer::{WriterJob, WriterOutcome, WriterWork};

/// The whole state of Metalwright, in `metalwright.db`.
pub struct SqliteStore {
    world: Arc<RwLock<World>>,
    damaged: Vec<DamagedRow>,
    damaged_keys: Arc<HashSet<(Kind, String)>>,
    data_dir: PathBuf,
    readers: SqlitePool,
    committed: watch::Receiver<u64>,
    shown: watch::Receiver<u64>,
    writer: Mutex<Option<WriterHandle>>,
    event_sizes: EventSizes,
    /// The temporary folder of the store, which is deleted with it.
    #[cfg(test)]
    folder: std::sync::OnceLock<tempfile::TempDir>,
    /// Held as long as the store is open: a second server would read outdated objects without noticing.
    _lock: File,
}

/// The queue of the writer task, until the store is closed.
struct WriterHandle {
    queue: mpsc::Sender<WriterJob>,
    task: JoinHandle<()>,
}

impl SqliteStore {
    /// Opens the database in `data_dir`, creates both if they are missing, migrates the database to this
    /// version and reads the world.
    ///
    /// # Errors
    /// The directory cannot be used, another server has it open, a later version wrote it, or the database
    /// cannot be read.
    pub async fn open(data_dir: &Path) -> Result<Arc<SqliteStore>, OpenError> {
        Self::open_with(data_dir, &open::StoreSetup::default()).await
    }

    async fn open_with(data_dir: &Path, setup: &open::StoreSetup) -> Result<Arc<SqliteStore>, OpenError> {
        let opened = open::open(data_dir, setup).await?;
        let (shown_tx, shown) = watch::channel(opened.loaded.world.commits.commit());
        let world = Arc::new(RwLock::new(opened.loaded.world));
        let (committed_tx, committed) = watch::channel(opened.last_seq);
        let (queue, jobs) = mpsc::channel(writer::QUEUE_MAX);
        let writer = writer::StoreWriter {
            connection: opened.writer,
            world: Arc::clone(&world),
            damaged_holders: opened.loaded.damaged_holders,
            trail: opened.loaded.trail,
            committed: committed_tx,
            shown: shown_tx,
            next_epoch: Some(Uuid::new_v4()),
        };
        // The writer has a thread of its own: a task would wait for its turn on the sender's worker.
        let task = tokio::task::spawn_blocking(move || writer.run(jobs));
        let damaged = opened.loaded.damaged;
        Ok(Arc::new(SqliteStore {
            world,
            damaged_keys: Arc::new(damaged.iter().map(|row| (row.kind, row.key.clone())).collect()),
            damaged,
            readers: opened.readers,
            committed,
            shown,
            data_dir: data_dir.to_owned(),
            writer: Mutex::new(Some(WriterHandle { queue, task })),
            event_sizes: EventSizes::default(),
            #[cfg(test)]
            folder: std::sync::OnceLock::new(),
            _lock: opened.lock,
        }))
    }

    /// A new store in a temporary folder, in memory if there is a file system for that.
    #[cfg(test)]
    pub async fn open_in_a_new_folder() -> Arc<SqliteStore> {
        let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
        let store = Self::open(folder.path()).await.unwrap();
        store.folder.set(folder).unwrap();
        store
    }

    /// The number of the newest migration that this version knows.
    pub fn newest_schema() -> u64 {
        migrations::migrations().len() as u64
    }

    /// Keeps servers from a data directory as long as the file is held.
    ///
    /// # Errors
    /// A server runs on it, or the file cannot be made.
    pub fn lock(data_dir: &Path) -> Result<File, OpenError> {
        open::lock(data_dir)
    }

    /// Whether a server was administered with the database of a directory: there are tokens in it.
    pub fn was_used(data_dir: &Path) -> bool {
        whole::has_tokens(&data_dir.join(open::DATABASE_FILE)).unwrap_or(false)
    }

    /// Number of the newest migration of a database, which is not opened otherwise.
    ///
    /// # Errors
    /// It cannot be read, or is none of ours.
    pub fn schema_of(data_dir: &Path) -> Result<u64, OpenError> {
        let path = data_dir.join(open::DATABASE_FILE);
        whole::schema(&path).map_err(|error| open::unreadable(path, &error))
    }

    /// Writes a snapshot of the database of a directory that nobody serves, whatever version wrote it; gives
    /// its schema.
    ///
    /// # Errors
    /// It cannot be read or written.
    pub async fn snapshot_of(data_dir: &Path, into: PathBuf) -> Result<u64, OpenError> {
        let database = data_dir.join(open::DATABASE_FILE);
        let path = database.clone();
        let done = blocking(move || {
            whole::snapshot(&database, &into)?;
            whole::schema(&into)
        });
        done.await.map_err(|error| open::unreadable(path, &error))
    }

    /// Moves the rows that cannot be read out of the database, into a new file of one JSON document a row,
    /// which is on the disk before they go. Followers of changes see them as deleted. To be called before
    /// anything is written; the rows count as damaged until the store is opened again. Gives how many there
    /// were.
    ///
    /// # Errors
    /// [`StoreError::Failed`].
    pub async fn set_aside(&self, into: PathBuf) -> Result<usize, StoreError> {
        let (database, damaged) = (self.data_dir.join(open::DATABASE_FILE), Arc::clone(&self.damaged_keys));
        let commit = self.world().commits.commit().saturating_add(1);
        blocking(move || repair::set_aside(&database, (&damaged, commit), &into)).await
    }

    fn queue(&self) -> Result<mpsc::Sender<WriterJob>, StoreError> {
        let writer = self.lock_writer();
        let queue = writer.as_ref().map(|writer| writer.queue.clone());
        queue.ok_or(StoreError::Closed)
    }

    async fn submit(&self, work: WriterWork) -> Result<WriterOutcome, StoreError> {
        let queue = self.queue()?;
        let (reply, outcome) = oneshot::channel();
        queue.send(WriterJob { work, reply }).await.map_err(|_| StoreError::Closed)?;
        drop(queue);
        outcome.await.unwrap_or(Err(StoreError::Closed))
    }

    fn work_on_details(&self, work: documents::Work) -> BoxFuture<'_, Result<u64, StoreError>> {
        Box::pin(async move { Ok(self.submit(WriterWork::Details(work)).await?.count) })
    }

    fn lock_writer(&self) -> std::sync::MutexGuard<'_, Option<WriterHandle>> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Store for SqliteStore {
    fn world(&self) -> RwLockReadGuard<'_, World> {
        self.world.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn commit(&self, changeset: Changeset) -> BoxFuture<'_, Result<Vec<Event>, StoreError>> {
        Box::pin(async move {
            let changeset = changeset::encode(changeset, &self.damaged_keys)?;
            Ok(self.submit(WriterWork::Changeset(changeset)).await?.events)
        })
    }

    fn hold(&self) -> BoxFuture<'_, Result<WriterHold, StoreError>> {
        Box::pin(async move {
            let held = self.submit(WriterWork::Hold).await?.held.ok_or(StoreError::Closed)?;
            let (queue, damaged) = (self.queue()?, Arc::clone(&self.damaged_keys));
            Ok(WriterHold::new(move |changeset| Box::pin(commit_held(changeset, held, queue, damaged))))
        })
    }

    fn prune_events(&self, keep: u64) -> BoxFuture<'_, Result<u64, StoreError>> {
        Box::pin(async move { Ok(self.submit(WriterWork::Prune { keep }).await?.count) })
    }

    fn old_audit_events(&self, cut: EventCut) -> BoxFuture<'_, Result<(OldEvents, u64), StoreError>> {
        Box::pin(async move { audit::old(&self.readers, cut).await.map_err(failed) })
    }

    fn prune_audit_events(&self, upto: u64) -> BoxFuture<'_, Result<u64, StoreError>> {
        Box::pin(async move { Ok(self.submit(WriterWork::PruneAudit { upto }).await?.count) })
    }

    fn log_sizes(&self) -> BoxFuture<'_, Result<Vec<(Uuid, u64)>, StoreError>> {
        Box::pin(async move { log::sizes(&self.readers).await.map_err(failed) })
    }

    fn old_events(&self, cut: EventCut) -> BoxFuture<'_, Result<OldEvents, StoreError>> {
        Box::pin(async move { events::old(&self.readers, &self.event_sizes, cut).await.map_err(failed) })
    }

    fn keep_documents(&self, documents: Vec<KeptDocument>) -> BoxFuture<'_, Result<u64, StoreError>> {
        self.work_on_details(documents::Work::Keep(documents))
    }

    fn served_documents(&self, run: Uuid) -> BoxFuture<'_, Result<Vec<ServedDocument>, StoreError>> {
        Box::pin(async move { documents::of_run(&self.readers, run).await.map_err(failed) })
    }

    fn document_content(&self, digest: String) -> BoxFuture<'_, Result<Option<Vec<u8>>, StoreError>> {
        Box::pin(async move { documents::content(&self.readers, &digest).await.map_err(failed) })
    }

    fn document_usage(&self) -> BoxFuture<'_, Result<DocumentUsage, StoreError>> {
        Box::pin(async move { documents::usage(&self.readers).await.map_err(failed) })
    }

    fn prune_documents(&self, runs: Vec<Uuid>) -> BoxFuture<'_, Result<u64, StoreError>> {
        self.work_on_details(documents::Work::PruneDocuments(runs))
    }

    fn forget_documents(&self, runs: Vec<Uuid>) -> BoxFuture<'_, Result<u64, StoreError>> {
        self.work_on_details(documents::Work::ForgetDocuments(runs))
    }

    fn prune_logs(&self, jobs: Vec<Uuid>) -> BoxFuture<'_, Result<u64, StoreError>> {
        self.work_on_details(documents::Work::PruneLogs(jobs))
    }

    fn snapshot(&self, into: PathBuf) -> BoxFuture<'_, Result<(), StoreError>> {
        let database = self.data_dir.join(open::DATABASE_FILE);
        Box::pin(blocking(move || whole::snapshot(&database, &into)))
    }

    fn integrity(&self) -> BoxFuture<'_, Result<Vec<String>, StoreError>> {
        let database = self.data_dir.join(open::DATABASE_FILE);
        Box::pin(blocking(move || whole::integrity(&database)))
    }

    fn damaged(&self) -> &[DamagedRow] {
        &self.damaged
    }

    fn probe(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(async move { self.submit(WriterWork::Probe).await.map(drop) })
    }

    fn free_bytes(&self) -> std::io::Result<u64> {
        let disk = nix::sys::statvfs::statvfs(&self.data_dir)?;
        Ok(disk.blocks_available().saturating_mul(disk.fragment_size()))
    }

    fn read_events(&self, query: EventQuery) -> BoxFuture<'_, Result<EventRead, StoreError>> {
        Box::pin(async move { events::read(&self.readers, &query).await.map_err(failed) })
    }

    fn write_log(&self, job: Uuid, offset: u64, bytes: Vec<u8>) -> BoxFuture<'_, Result<u64, StoreError>> {
        let piece = log::LogChunk { job, offset, bytes };
        Box::pin(async move { Ok(self.submit(WriterWork::Log(piece)).await?.count) })
    }

    fn read_log(&self, job: Uuid, offset: u64, bytes_max: u32) -> BoxFuture<'_, Result<Vec<u8>, StoreError>> {
        Box::pin(async move { log::read(&self.readers, job, (offset, bytes_max)).await.map_err(failed) })
    }

    fn committed(&self) -> watch::Receiver<u64> {
        self.committed.clone()
    }

    fn commits(&self) -> watch::Receiver<u64> {
        self.shown.clone()
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        let writer = self.lock_writer().take();
        Box::pin(async move {
            if let Some(WriterHandle { queue, task }) = writer {
                drop(queue);
                if let Err(error) = task.await {
                    tracing::error!(%error, "the database writer failed at its end");
                }
            }
            self.readers.close().await;
        })
    }
}

/// Sends the changeset of a hold to the writer that waits for it. If the writer no longer waits, it gets the
/// changeset like any other.
async fn commit_held(
    changeset: Changeset,
    held: SyncSender<WriterJob>,
    queue: mpsc::Sender<WriterJob>,
    damaged: Arc<HashSet<(Kind, String)>>,
) -> Result<Vec<Event>, StoreError> {
    let encoded = changeset::encode(changeset, &damaged)?;
    let first = encoded.writes.first().map_or((Kind::Setting, ""), changeset::EncodedWrite::id);
    // The writer stopped waiting at this moment and dropped the changeset: nothing of it was written.
    let lost = StoreError::Stale { kind: first.0, key: first.1.to_owned() };
    let (reply, outcome) = oneshot::channel();
    if let Err(SendError(job)) = held.send(WriterJob { work: WriterWork::Changeset(encoded), reply }) {
        queue.send(job).await.map_err(|_| StoreError::Closed)?;
    }
    drop(queue);
    Ok(outcome.await.unwrap_or(Err(lost))?.events)
}

/// Does work that takes long, on a connection and a thread of its own.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> anyhow::Result<T> + Send + 'static,
) -> Result<T, StoreError> {
    let done = tokio::task::spawn_blocking(work).await;
    let done = done.map_err(|error| StoreError::Failed(error.to_string()))?;
    done.map_err(|error| StoreError::Failed(format!("{error:#}")))
}

fn failed(error: sqlx::Error) -> StoreError {
    StoreError::Failed(error.to_string())
}

/// SQLite's integers are signed; no number of this program exceeds them.
fn integer(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
