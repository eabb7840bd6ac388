//! Backups: what goes into one, and the one that a running server makes and sends while it is made.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use jiff::Timestamp;
use tokio::sync::mpsc;

use crate::archive::write::ArchiveWriter;
use crate::archive::{
    ARTIFACT_FOLDERS, ArchivedArtifact, ArtifactContents, BackupFacts, DATABASE, FILES, FOLDERS, FORMAT,
};
use crate::kernel::scope::RequiredScope;
use crate::kernel::{Caller, Changeset, Error, EventQuery};
use crate::maintenance::Maintenance;
use crate::model::event::ServerBackedUp;
use crate::model::{Artifact, ArtifactKind, Stored};

/// Bytes of a piece that is sent.
const PIECE_BYTES: usize = 256 << 10;
/// Pieces that wait to be sent.
const PIECES_MAX: usize = 4;
/// The snapshot of the database, in the data directory, while a backup is made.
const SNAPSHOT: &str = "backup.db";
/// Room on the disk that a snapshot leaves to the database.
const ROOM_BYTES_MIN: u64 = 256 << 20;

/// The pieces of a backup, as it is made. One that ends with an error is of no use.
pub type BackupPieces = mpsc::Receiver<io::Result<Bytes>>;

/// What a backup came to.
struct WrittenBackup {
    members: u64,
    bytes: u64,
}

impl Maintenance {
    /// Takes a snapshot of the database and begins to send a backup of it and of the files of the data
    /// directory. An event says so when it is whole.
    ///
    /// # Errors
    /// [`Error::Forbidden`] for who may not do everything, [`Error::Busy`] while another one is made or where
    /// there is no room for the snapshot; the database fails.
    pub async fn begin_backup(
        self: &Arc<Self>,
        caller: &Caller,
        contents: ArtifactContents,
    ) -> Result<BackupPieces, Error> {
        caller.needs(RequiredScope::Everything)?;
        let turn = Arc::clone(&self.turn).try_acquire_owned();
        let turn =
            turn.map_err(|_| Error::Busy("another backup is being made: wait for its end".to_owned()))?;
        self.check_room()?;
        let snapshot = SnapshotFile(self.data.path.join(SNAPSHOT));
        self.kernel.snapshot(snapshot.0.clone()).await?;
        let facts = self.facts(caller.now, contents);
        let (sender, pieces) = mpsc::channel(PIECES_MAX);
        let (maintenance, caller) = (Arc::clone(self), caller.clone());
        tokio::spawn(async move {
            let data = maintenance.data.path.clone();
            let writing = tokio::task::spawn_blocking(move || {
                let mut to = PieceWriter { to: sender.clone(), piece: Vec::new(), bytes: 0 };
                let written = write(&mut to, (&data, &snapshot.0), (&facts, contents));
                let done = written.and_then(|members| to.flush().map(|()| members));
                let bytes = to.bytes;
                done.map(|members| WrittenBackup { members, bytes }).map_err(|error| {
                    let why = error.to_string();
                    // Who is gone need not know.
                    drop(sender.blocking_send(Err(error)));
                    why
                })
            });
            let done = writing.await.map_err(|error| error.to_string()).flatten();
            drop(turn);
            maintenance.tell(&caller, done, contents).await;
        });
        Ok(pieces)
    }

    /// What a backup is of.
    pub fn facts(&self, now: Timestamp, contents: ArtifactContents) -> BackupFacts {
        let import = self.data.path.join("import");
        let artifacts: Vec<_> = self.kernel.read(|world| world.artifacts.iter().map(Arc::clone).collect());
        let artifacts = artifacts.iter().map(|artifact: &Arc<Stored<Artifact>>| ArchivedArtifact {
            name: artifact.key.clone(),
            origin: artifact.spec.origin(),
            sha256: artifact.status.sha256.clone(),
            size: artifact.status.size,
            included: contents == ArtifactContents::Included && is_in_data(artifact, &import),
        });
        BackupFacts {
            format: FORMAT,
            program: env!("CARGO_PKG_VERSION").to_owned(),
            schema: self.data.schema,
            created_at: now,
            configuration: self.data.configuration.clone(),
            artifacts: artifacts.collect(),
        }
    }

    /// When the last backup was made, as far as it is known; of one that was made before the start, from its
    /// event.
    pub async fn find_last_backup(&self) {
        let kind = Some("server.backed_up".to_owned());
        let query = EventQuery { kind, limit: 1, newest_first: true, ..EventQuery::default() };
        let found = self.kernel.events(query).await.unwrap_or_default();
        if let Some(event) = found.first() {
            self.last_backup.store(event.time.as_second(), Ordering::Relaxed);
        }
    }

    /// When the last backup was made, in seconds since 1970; 0 where none is known.
    pub fn last_backup(&self) -> i64 {
        self.last_backup.load(Ordering::Relaxed)
    }

    fn check_room(&self) -> Result<(), Error> {
        let database = fs::metadata(self.data.path.join(DATABASE)).map(|about| about.len());
        let (needed, free) = (database.unwrap_or_default(), self.kernel.store_status().free_bytes);
        match free {
            Some(free) if free < needed.saturating_add(ROOM_BYTES_MIN) => Err(Error::Busy(format!(
                "the disk of the database has {} MiB free, and a backup needs {} MiB for its snapshot and \
                 leaves {} MiB: make room",
                free >> 20,
                needed >> 20,
                ROOM_BYTES_MIN >> 20
            ))),
            _ => Ok(()),
        }
    }

    async fn tell(&self, caller: &Caller, done: Result<WrittenBackup, String>, contents: ArtifactContents) {
        let artifacts = contents == ArtifactContents::Included;
        let WrittenBackup { members, bytes } = match done {
            Ok(written) => written,
            Err(error) => {
                tracing::warn!(error, "a backup was not finished");
                return;
            }
        };
        self.last_backup.store(self.kernel.now().as_second(), Ordering::Relaxed);
        let event = caller.event(ServerBackedUp { members, bytes, artifacts });
        if let Err(error) = self.kernel.commit(Changeset::default().event(event)).await {
            tracing::warn!(%error, "that a backup was made could not be written");
        }
    }
}

/// What is known of a database of an earlier version, which is not opened.
pub fn facts_of_older(schema: u64, now: Timestamp) -> BackupFacts {
    let program = env!("CARGO_PKG_VERSION").to_owned();
    let (configuration, artifacts) = (BTreeMap::new(), Vec::new());
    BackupFacts { format: FORMAT, program, schema, created_at: now, configuration, artifacts }
}

/// Whether the files of an artifact are in the data directory.
fn is_in_data(artifact: &Stored<Artifact>, import: &Path) -> bool {
    match &artifact.spec.source {
        Some(source) => source.mirror.is_none() && artifact.status.sha256.is_some(),
        None if artifact.spec.kind == ArtifactKind::File => {
            Path::new(&artifact.spec.path).parent().is_some_and(|folder| folder.starts_with(import))
        }
        None => Path::new(&artifact.spec.path).starts_with(import),
    }
}

/// Writes a backup of a data directory, with the snapshot of its database. Gives how many members it has.
///
/// # Errors
/// A file cannot be read, or the writer fails.
pub fn write(
    to: impl Write,
    (data, snapshot): (&Path, &Path),
    (facts, contents): (&BackupFacts, ArtifactContents),
) -> io::Result<u64> {
    let mut archive = ArchiveWriter::begin(to, facts)?;
    archive.add_file(DATABASE, snapshot)?;
    for name in FILES {
        match archive.add_file(name, &data.join(name)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            added => added?,
        }
    }
    for name in FOLDERS {
        archive.add_folder(name, &data.join(name))?;
    }
    if contents == ArtifactContents::Included {
        for name in ARTIFACT_FOLDERS {
            archive.add_folder(name, &data.join(name))?;
        }
    }
    let (_, members) = archive.finish()?;
    Ok(members as u64)
}

/// A snapshot that goes when it is not needed any more.
struct SnapshotFile(PathBuf);

impl Drop for SnapshotFile {
    fn drop(&mut self) {
        drop(fs::remove_file(&self.0));
    }
}

/// Sends what is written, and waits while it is not taken.
struct PieceWriter {
    to: mpsc::Sender<io::Result<Bytes>>,
    piece: Vec<u8>,
    bytes: u64,
}

impl Write for PieceWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.piece.extend_from_slice(bytes);
        if self.piece.len() >= PIECE_BYTES {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.piece.is_empty() {
            return Ok(());
        }
        let piece = Bytes::from(std::mem::take(&mut self.piece));
        self.bytes += piece.len() as u64;
        self.to.blocking_send(Ok(piece)).map_err(|_| io::Error::other("nobody takes it any more"))
    }
}
