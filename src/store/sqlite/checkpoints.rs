//! Carrying over into the database what stands in the write-ahead log, on a thread beside the writer's: who
//! waits for a commit does not wait for that as well.
//!
//! Little at a time: what is flushed here is in the way of the writer's own flush. But not for each few
//! commits of one client alone, where it would be half of all flushes.

use std::sync::mpsc::Receiver;

use super::open::WriterConnection;

/// Jobs of the writer after which it is due.
pub(super) const JOBS: usize = 200;

/// Works whenever it is due, until nobody can say so any more.
pub(super) fn run(mut connection: WriterConnection, due: &Receiver<()>) {
    while due.recv().is_ok() {
        if let Err(error) = checkpoint(&mut connection) {
            tracing::warn!(%error, "the database's log was not carried over; it is tried again");
            connection.close();
        }
    }
    connection.close();
}

/// PASSIVE: as far as it goes without waiting for those who read or write.
fn checkpoint(connection: &mut WriterConnection) -> rusqlite::Result<()> {
    connection.get()?.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()))
}
