//! The records of the past: the documents that machines were served during their runs, and how long history
//! is kept.
//!
//! [`Records::keep`] queues a document when it is served, and never waits; [`Records::run`] writes the queue.
//! [`Records::write_job_log`] bounds what agents write of their jobs. [`Records::prune`] deletes what is
//! older than the settings allow, and reports it. `runs` has everything about runs themselves.

mod contents;
pub mod documents;
pub mod log_budget;
pub mod pruning;
#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex};

use tokio::sync::mpsc;

use crate::kernel::Kernel;
use documents::{DocumentMemory, QueuedDocument, RecordCounters};
use log_budget::LogBudget;

/// Most documents that wait to be written. Further ones are not kept, and counted.
const QUEUE_MAX: usize = 1024;

/// The documents of runs, and the bounds of history.
pub struct Records {
    kernel: Arc<Kernel>,
    queue: mpsc::Sender<QueuedDocument>,
    /// The receiving end of the queue, until [`Records::run`] takes it.
    queued: Mutex<Option<mpsc::Receiver<QueuedDocument>>>,
    memory: DocumentMemory,
    pub counters: RecordCounters,
    pub log_budget: LogBudget,
    /// Only one round of pruning runs at a time.
    pruning: tokio::sync::Mutex<()>,
}

impl std::fmt::Debug for Records {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Records")
    }
}

impl Records {
    pub fn new(kernel: Arc<Kernel>) -> Arc<Self> {
        let (queue, queued) = mpsc::channel(QUEUE_MAX);
        Arc::new(Records {
            kernel,
            queue,
            queued: Mutex::new(Some(queued)),
            memory: DocumentMemory::default(),
            counters: RecordCounters::default(),
            log_budget: LogBudget::default(),
            pruning: tokio::sync::Mutex::default(),
        })
    }
}
