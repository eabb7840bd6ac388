//! Events of things that were only seen: a file was served, an OFFER was sent. They are written in groups
//! behind what happens, so that nothing waits for them.

use std::sync::Arc;

use tokio::sync::mpsc;

use crate::kernel::Kernel;
use crate::model::NewEvent;
use crate::rate_limit::warn_limited;
use crate::store::Changeset;

/// Most events that wait to be written. Beyond it they are dropped and counted.
pub const NOTES_MAX: usize = 65_536;
/// Most events written at once.
const GROUP_MAX: usize = 256;

/// The queue's end for [`run`].
pub type EventQueue = mpsc::Receiver<NewEvent>;

impl Kernel {
    /// Queues an event. It is on disk soon, or dropped when far too many wait.
    pub fn note(&self, event: NewEvent) {
        if self.queue.try_send(event).is_err() {
            self.notes_dropped.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        }
    }
}

/// Writes queued events until the queue is closed by `stop` and empty.
pub async fn run(kernel: Arc<Kernel>, mut notes: EventQueue, stop: tokio_util::sync::CancellationToken) {
    let mut group = Vec::with_capacity(GROUP_MAX);
    loop {
        let received = tokio::select! {
            received = notes.recv_many(&mut group, GROUP_MAX) => received,
            () = stop.cancelled(), if !notes.is_closed() => {
                notes.close();
                continue;
            }
        };
        if received == 0 {
            return;
        }
        let changeset = Changeset { events: std::mem::take(&mut group), ..Changeset::default() };
        if let Err(error) = kernel.commit(changeset).await {
            warn_limited!(%error, events = received, "events were not written");
        }
    }
}
