//! The threads of TFTP: pumps that move blocks, and a small runtime for the listening port and for what a
//! read does besides.
//!
//! A block is a handful of microseconds of work, less than it takes to wake another worker up; and whatever
//! else the server does, packets do not wait for it. A read stays with one pump.

use crate::tftp::transfer_thread::TransferThread;
use crate::threads;
use std::io;
use std::thread;
use tokio::runtime::Handle;
use tokio_util::sync::DropGuard;

/// Pumps for each processor, so that the system can have one run beside what woke it, and pumps at most:
/// more reads at a time than these can serve fill any link.
const PUMPS_PER_PROCESSOR: usize = 2;
const PUMPS_MAX: usize = 8;
/// Threads that read what has to come from a disk.
const DISK_THREADS_MAX: usize = 32;

/// Threads under way; they end when this is dropped.
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

    /// Where the listening port and the sessions are.
    pub(super) fn home(&self) -> Handle {
        self.home.clone()
    }

    /// The pump whose turn it is; there is one always.
    pub(super) fn next(&mut self) -> Option<TransferThread> {
        self.next = (self.next + 1) % self.pumps.len().max(1);
        self.pumps.get(self.next).cloned()
    }
}
