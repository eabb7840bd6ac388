//! The server's data as a whole: backups of it while the server runs, and the check of everything that is
//! stored.
//!
//! Start at [`Maintenance::begin_backup`] and [`Maintenance::check`]. The file of a backup is `archive`'s;
//! what is done with a data directory that nobody serves is the server's.

pub mod backup;
mod check;
mod references;
#[cfg(test)]
mod tests;

pub use check::ArtifactCheck;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicI64;

use tokio::sync::Semaphore;

use crate::artifacts::Artifacts;
use crate::kernel::Kernel;

/// The data directory, and what a server was started with.
#[derive(Clone, Debug, Default)]
pub struct DataFacts {
    pub path: PathBuf,
    /// Settings by name; empty where no server runs.
    pub configuration: BTreeMap<String, String>,
    /// Number of the newest migration of the database.
    pub schema: u64,
}

/// Looks after the server's data.
pub struct Maintenance {
    kernel: Arc<Kernel>,
    artifacts: Arc<Artifacts>,
    data: DataFacts,
    /// One backup at a time: each needs room for a snapshot.
    turn: Arc<Semaphore>,
    /// When the last backup was made, in seconds since 1970; 0 where none is known.
    last_backup: AtomicI64,
}

impl std::fmt::Debug for Maintenance {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Maintenance")
    }
}

impl Maintenance {
    pub fn new(kernel: Arc<Kernel>, artifacts: Arc<Artifacts>, data: DataFacts) -> Arc<Self> {
        let (turn, last_backup) = (Arc::new(Semaphore::new(1)), AtomicI64::new(0));
        Arc::new(Maintenance { kernel, artifacts, data, turn, last_backup })
    }
}
