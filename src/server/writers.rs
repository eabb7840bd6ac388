//! The tasks that write queued events and the log lines about runs. They end after everything that may add to
//! them.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::background::{WorkDescription, WorkHandle};
use crate::houses::Houses;
use crate::insight::activity_log;
use crate::kernel::Kernel;
use crate::kernel::event_queue::EventQueue;

/// How long the last log lines may take after everything else has ended.
const LOGGED_SOON: Duration = Duration::from_secs(2);

const EVENT_QUEUE: WorkDescription = WorkDescription {
    name: "event-queue",
    about: "Writes the events that nothing waits for: files that were served, offers, boots that stopped.",
    period: Duration::ZERO,
    nudged_by: "such an event",
};

/// Writes the queue of events until everything that may add to it has ended.
pub(super) struct QueueTask {
    pub stop: CancellationToken,
    pub task: tokio::task::JoinHandle<()>,
}

impl QueueTask {
    pub fn start(houses: &Houses, queue: EventQueue) -> Self {
        let (stop, handle) = (CancellationToken::new(), houses.background.register(EVENT_QUEUE));
        let writing = write_queue((Arc::clone(&houses.kernel), queue), handle, stop.clone());
        QueueTask { task: tokio::spawn(writing), stop }
    }
}

async fn write_queue(
    (kernel, mut queue): (Arc<Kernel>, EventQueue),
    handle: WorkHandle,
    stop: CancellationToken,
) {
    while let Some(events) = queue.next_group(&stop).await {
        // Events that could not be written are counted and logged with the reason.
        handle.watch(kernel.write_group(events)).await.ok();
    }
}

/// Writes the log lines about machines until the last event is logged.
pub(super) struct LogTask {
    stop: CancellationToken,
    task: tokio::task::JoinHandle<()>,
}

impl LogTask {
    pub fn start(houses: &Houses) -> Self {
        let (stop, handle) = (CancellationToken::new(), houses.background.register(activity_log::WORK));
        let from = (Arc::clone(&houses.kernel), houses.kernel.last_event());
        let logging = activity_log::run(from, handle, stop.clone());
        LogTask { task: tokio::spawn(logging), stop }
    }

    pub async fn finish(self) {
        self.stop.cancel();
        if tokio::time::timeout(LOGGED_SOON, self.task).await.is_err() {
            tracing::warn!("the log lacks what happened to machines last");
        }
    }
}
