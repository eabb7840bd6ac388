//! The queue of events about observations: a file was served, an OFFER was sent. They are written in groups
//! later, so that nothing waits for them.

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::kernel::{Error, Kernel};
use crate::model::NewEvent;
use crate::store::Changeset;

/// Most events that wait to be written. Further events are dropped and counted.
pub const NOTES_MAX: usize = 65_536;
/// Most events that are written at once.
const GROUP_MAX: usize = 256;

/// The receiving end of the queue.
#[derive(Debug)]
pub struct EventQueue(pub(super) mpsc::Receiver<NewEvent>);

impl EventQueue {
    /// The next events of the queue; see [`next_group`].
    pub async fn next_group(&mut self, stop: &CancellationToken) -> Option<Vec<NewEvent>> {
        next_group((&mut self.0, GROUP_MAX), stop).await
    }
}

/// The next items of a queue that is written later: waits for one item and takes at most `group_max`. `None`
/// if `stop` closed the queue and it is empty.
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
    /// Queues an event. It is on disk soon, or dropped if too many events wait.
    pub fn note(&self, event: NewEvent) {
        if self.queue.try_send(event).is_err() {
            self.notes_dropped.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        }
    }

    /// Writes events of the queue.
    ///
    /// # Errors
    /// The events were not written; the error says how many, and the reason.
    pub async fn write_group(&self, events: Vec<NewEvent>) -> Result<(), Error> {
        let count = events.len();
        let written = self.commit(Changeset { events, ..Changeset::default() }).await;
        written.map(drop).map_err(|error| Error::Failed(format!("{count} events were not written: {error}")))
    }
}
