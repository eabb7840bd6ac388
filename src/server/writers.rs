//! The tasks that write what the services leave behind: queued events, and the log's lines about runs. They
//! end after everything that may add to them.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::insight::activity_log;
use crate::kernel::{Kernel, event_queue};

/// How long the last lines of the log may take after everything has ended.
const LOGGED_SOON: Duration = Duration::from_secs(2);

/// The queue of notes is written until everything that may add to it has ended.
pub(super) struct QueueTask {
    pub stop: CancellationToken,
    pub task: tokio::task::JoinHandle<()>,
}

impl QueueTask {
    pub fn start(kernel: &Arc<Kernel>, queue: event_queue::EventQueue) -> Self {
        let stop = CancellationToken::new();
        QueueTask { task: tokio::spawn(event_queue::run(Arc::clone(kernel), queue, stop.clone())), stop }
    }
}

/// The log of what happens to machines goes on until what happened last is in it.
pub(super) struct LogTask {
    stop: CancellationToken,
    task: tokio::task::JoinHandle<()>,
}

impl LogTask {
    pub fn start(kernel: &Arc<Kernel>) -> Self {
        let stop = CancellationToken::new();
        let logging = activity_log::run(Arc::clone(kernel), kernel.last_event(), stop.clone());
        LogTask { task: tokio::spawn(logging), stop }
    }

    pub async fn finish(self) {
        self.stop.cancel();
        if tokio::time::timeout(LOGGED_SOON, self.task).await.is_err() {
            tracing::warn!("the log lacks what happened to machines last");
        }
    }
}
