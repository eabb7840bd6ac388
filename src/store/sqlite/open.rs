//! Finds the database file, has its tables migrated (`migrations`), and opens connections to it.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::OpenFlags;
use sqlx::migrate::{MigrateError, Migration};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection, SqlitePool};

use super::load::{self, LoadedWorld};
use super::migrations::{migrate, migrations};
use crate::model::LOCK_FILE;

pub(super) const DATABASE_FILE: &str = "metalwright.db";
const READERS_MAX: u32 = 4;
/// Longest wait of a reader for a connection.
const READER_WAIT_MAX: Duration = Duration::from_secs(20);
/// Pages in the write-ahead log at which the writer itself makes a checkpoint, if `checkpoints` did not keep
/// up.
const WAL_PAGES_MAX: u32 = 1000;
/// Memory of the writer for pages of the database.
const WRITER_CACHE_KIB: i32 = 16 << 10;
/// Statements kept prepared on a connection.
const STATEMENTS_MAX: usize = 128;

/// Options of opening that tests change.
#[derive(Clone)]
pub(super) struct StoreSetup {
    /// In the order of their versions.
    pub(super) migrations: Vec<Migration>,
    /// How long to wait for another process that holds the database, such as a backup.
    pub(super) busy_timeout: Duration,
    /// Most pages of the database, to simulate a full disk.
    pub(super) pages_max: Option<u32>,
    /// Time between log lines that say that a migration is still running.
    pub(super) reminder: Duration,
}

impl Default for StoreSetup {
    fn default() -> Self {
        StoreSetup {
            migrations: migrations(),
            busy_timeout: Duration::from_secs(5),
            pages_max: None,
            reminder: Duration::from_secs(10),
        }
    }
}

/// Why the store could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("cannot use {}{}", path.display(), what_to_do(source))]
    File { path: PathBuf, source: io::Error },
    #[error("{} is in use by another server: stop that one, or name another directory", path.display())]
    InUse { path: PathBuf },
    #[error(
        "{} was written by a later version (its schema is {found}, this version knows {known}): \
         run that version, or restore a backup",
        path.display()
    )]
    Later { path: PathBuf, found: i64, known: usize },
    #[error("cannot bring {} up to date: {source}", path.display())]
    Migrate { path: PathBuf, source: MigrateError },
    #[error("cannot read {}: {source}", path.display())]
    Database { path: PathBuf, source: sqlx::Error },
    #[error("cannot read {}: {reason}", path.display())]
    Unreadable { path: PathBuf, reason: String },
}

/// The hint that follows the message about a file that cannot be used, if there is one.
fn what_to_do(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::ReadOnlyFilesystem => {
            ", because its file system is read-only: see the kernel's log for the reason, repair it, \
             mount it for writing, and start again"
        }
        _ => "",
    }
}

pub(super) fn unreadable(path: PathBuf, reason: &impl std::fmt::Display) -> OpenError {
    OpenError::Unreadable { path, reason: format!("{reason:#}") }
}

/// A migrated database, with its content.
pub(super) struct OpenedDatabase {
    pub(super) loaded: LoadedWorld,
    pub(super) last_seq: u64,
    pub(super) writer: WriterConnection,
    pub(super) readers: SqlitePool,
    pub(super) lock: File,
}

/// A connection that runs statements on the caller's thread: one for writing, and one for checkpoints. After
/// a failure it is opened again: SQLite may have rolled back on its own, and nothing that was begun may
/// remain.
pub(super) struct WriterConnection {
    path: PathBuf,
    setup: StoreSetup,
    connection: Option<rusqlite::Connection>,
}

impl WriterConnection {
    /// Another connection to the same database.
    pub(super) fn another(&self) -> WriterConnection {
        WriterConnection { path: self.path.clone(), setup: self.setup.clone(), connection: None }
    }

    pub(super) fn get(&mut self) -> rusqlite::Result<&rusqlite::Connection> {
        let connection = match self.connection.take() {
            Some(connection) => connection,
            None => self.connect()?,
        };
        Ok(self.connection.insert(connection))
    }

    /// FULL: an address that a client was promised must survive a loss of power.
    fn connect(&self) -> rusqlite::Result<rusqlite::Connection> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = rusqlite::Connection::open_with_flags(&self.path, flags)?;
        connection.busy_timeout(self.setup.busy_timeout)?;
        connection.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
        connection.pragma_update(None, "foreign_keys", true)?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.pragma_update(None, "cache_size", -WRITER_CACHE_KIB)?;
        connection.pragma_update(None, "wal_autocheckpoint", WAL_PAGES_MAX)?;
        if let Some(pages) = self.setup.pages_max {
            connection.pragma_update(None, "max_page_count", pages)?;
        }
        Ok(connection)
    }

    pub(super) fn close(&mut self) {
        if let Some(connection) = self.connection.take()
            && let Err((_, error)) = connection.close()
        {
            tracing::warn!(%error, "a database connection could not be closed");
        }
    }
}

pub(super) async fn open(data_dir: &Path, setup: &StoreSetup) -> Result<OpenedDatabase, OpenError> {
    let path = data_dir.join(DATABASE_FILE);
    let lock = prepare_files(data_dir, &path)?;
    let database = |source| OpenError::Database { path: path.clone(), source };
    let whole =
        options(&path, setup).journal_mode(SqliteJournalMode::Wal).synchronous(SqliteSynchronous::Full);
    let mut connection = whole.connect().await.map_err(database)?;
    migrate(&mut connection, setup).await.map_err(|source| match source {
        MigrateError::VersionMissing(found) => {
            OpenError::Later { path: path.clone(), found, known: setup.migrations.len() }
        }
        source => OpenError::Migrate { path: path.clone(), source },
    })?;
    let writer = WriterConnection { path: path.clone(), setup: setup.clone(), connection: None };
    let readers = readers(&path, setup).await.map_err(database)?;
    let loaded = load::world(&readers).await.map_err(database)?;
    let last_seq = load::last_seq(&readers).await.map_err(database)?;
    connection.close().await.map_err(database)?;
    Ok(OpenedDatabase { loaded, last_seq, writer, readers, lock })
}

/// Creates missing files, readable by their owner only, and takes the lock.
///
/// The lock is a file of its own: closing any descriptor of the database would release SQLite's locks on it.
fn prepare_files(data_dir: &Path, database: &Path) -> Result<File, OpenError> {
    let refused = |path: &Path| {
        let path = path.to_owned();
        move |source| OpenError::File { path, source }
    };
    DirBuilder::new().recursive(true).mode(0o700).create(data_dir).map_err(refused(data_dir))?;
    let lock = lock(data_dir)?;
    if !database.exists() {
        open_private(database).map_err(refused(database))?;
    }
    let mode = std::fs::Permissions::from_mode(0o600);
    std::fs::set_permissions(database, mode).map_err(refused(database))?;
    Ok(lock)
}

/// Takes the lock, which is made where it is missing.
pub(super) fn lock(data_dir: &Path) -> Result<File, OpenError> {
    let path = data_dir.join(LOCK_FILE);
    let file = |source| OpenError::File { path: path.clone(), source };
    let lock = open_private(&path).map_err(file)?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => Err(OpenError::InUse { path: data_dir.to_owned() }),
        Err(TryLockError::Error(source)) => Err(file(source)),
    }
}

fn open_private(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).mode(0o600).open(path)
}

fn options(path: &Path, setup: &StoreSetup) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(false)
        .foreign_keys(true)
        .busy_timeout(setup.busy_timeout)
        .statement_cache_capacity(STATEMENTS_MAX)
        .disable_statement_logging()
}

async fn readers(path: &Path, setup: &StoreSetup) -> sqlx::Result<SqlitePool> {
    SqlitePoolOptions::new()
        .max_connections(READERS_MAX)
        .acquire_timeout(READER_WAIT_MAX)
        .idle_timeout(None)
        .max_lifetime(None)
        .connect_with(options(path, setup).read_only(true))
        .await
}
