//! The threads of TFTP: transfer threads that send blocks, and a small runtime for the listening port and for
//! everything else that a read does.
//!
//! A block takes a few microseconds of work, less than waking another worker, and packets must not wait for
//! other work of the server. A read stays on one transfer thread.

use crate::tftp::transfer_thread::TransferThread;
use crate::threads;
use std::io;
use std::thread;
use tokio::runtime::Handle;
use tokio_util::sync::DropGuard;

/// Transfer threads per processor, so that the system can run one beside what woke it, and the most transfer
/// threads: more reads than these can serve fill any link.
const PUMPS_PER_PROCESSOR: usize = 2;
const PUMPS_MAX: usize = 8;
/// Threads that read data from disks.
const DISK_THREADS_MAX: usize = 32;

/// The running threads; they end when this is dropped.
pub(super) struct TransferThreads {
    home: Handle,
    pumps: Vec<TransferThread>,
    next: usize,
    _end: DropGuard,
}

impl TransferThreads {
    /// Starts the threads, idle.
    pub(super) fn start() -> io::Result<Self> {
        let processors = thread::available_parallelism().map_or(1, usize::from);
        let pumps = processors.saturating_mul(PUMPS_PER_PROCESSOR).min(PUMPS_MAX);
        let pumps = (0..pumps).map(|_| TransferThread::launch()).collect::<io::Result<_>>()?;
        let (home, end) = threads::start("tftp-port", DISK_THREADS_MAX)?;
        Ok(Self { home, pumps, next: 0, _end: end })
    }

    /// The runtime of the listening port and the sessions.
    pub(super) fn home(&self) -> Handle {
        self.home.clone()
    }

    /// The transfer thread whose turn it is; there is always one.
    pub(super) fn next(&mut self) -> Option<TransferThread> {
        self.next = (self.next + 1) % self.pumps.len().max(1);
        self.pumps.get(self.next).cloned()
    }
}
