//! Events of things that were only seen: a file was served, an OFFER was sent. They are written in groups
//! behind what happens, so that nothing waits for them.

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::kernel::{Error, Kernel};
use crate::model::NewEvent;
use crate::store::Changeset;

/// Most events that wait to be written. Beyond it they are dropped and counted.
pub const NOTES_MAX: usize = 65_536;
/// Most events written at once.
const GROUP_MAX: usize = 256;

/// The end of the queue that waits to be written.
#[derive(Debug)]
pub struct EventQueue(pub(super) mpsc::Receiver<NewEvent>);

impl EventQueue {
    /// The next events, as [`next_group`] gives them.
    pub async fn next_group(&mut self, stop: &CancellationToken) -> Option<Vec<NewEvent>> {
        next_group((&mut self.0, GROUP_MAX), stop).await
    }
}

/// What waits in a queue that is written behind: as soon as there is something, and at most `group_max` of
/// it. None when the queue was closed by `stop` and is empty.
pub async fn next_group<T>(
    (queue, group_max): (&mut mpsc::Receiver<T>, usize),
    stop: &CancellationToken,
) -> Option<Vec<T>> {
    let mut group = Vec::with_capacity(group_max);
    loop {
        tokio::select! {
            received = queue.recv_many(&mut group, group_max) => return (received > 0).then_some(group),
            () = stop.cancelled(), if !queue.is_closed() => queue.close(),
        }
    }
}

impl Kernel {
    /// Queues an event. It is on disk soon, or dropped when far too many wait.
    pub fn note(&self, event: NewEvent) {
        if self.queue.try_send(event).is_err() {
            self.notes_dropped.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        }
    }

    /// Writes events of the queue.
    ///
    /// # Errors
    /// They were not written: how many, and what the store says.
    pub async fn write_group(&self, events: Vec<NewEvent>) -> Result<(), Error> {
        let count = events.len();
        let written = self.commit(Changeset { events, ..Changeset::default() }).await;
        written.map(drop).map_err(|error| Error::Failed(format!("{count} events were not written: {error}")))
    }
}
