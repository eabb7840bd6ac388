//! Moves the content of the write-ahead log into the database file, on a thread beside the writer's, so that
//! commits do not wait for it.
//!
//! Each checkpoint is small, because its flush slows down the writer's own flush. But a checkpoint for every
//! few commits of a single client would be half of all flushes.

use std::sync::mpsc::Receiver;

use super::open::WriterConnection;

/// Jobs of the writer after which a checkpoint is due.
pub(super) const JOBS: usize = 200;

/// Makes a checkpoint whenever one is due, until the sender is dropped.
pub(super) fn run(mut connection: WriterConnection, due: &Receiver<()>) {
    while due.recv().is_ok() {
        if let Err(error) = checkpoint(&mut connection) {
            tracing::warn!(%error, "the checkpoint of the database's log failed; it is tried again");
            connection.close();
        }
    }
    connection.close();
}

/// PASSIVE: as much as is possible without waiting for readers or the writer.
fn checkpoint(connection: &mut WriterConnection) -> rusqlite::Result<()> {
    connection.get()?.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()))
}
