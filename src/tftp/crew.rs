//! The threads of TFTP, each with a small runtime of its own.
//!
//! A block is a handful of microseconds of work, less than it takes to wake another worker up; and whatever
//! else the server does, packets do not wait for it. A read stays on the thread it began on.

use std::io;
use std::thread;
use tokio::runtime::{Builder, Handle, Runtime};
use tokio_util::sync::{CancellationToken, DropGuard};

/// Threads for each processor, so that the system can have one run beside what woke it, and threads at most:
/// more reads at a time than these can serve fill any link.
const THREADS_PER_PROCESSOR: usize = 2;
const THREADS_MAX: usize = 8;
/// Threads of each that read what has to come from a disk.
const DISK_THREADS_MAX: usize = 8;

/// Threads under way; they end when this is dropped.
pub(super) struct Crew {
    handles: Vec<Handle>,
    next: usize,
    _end: DropGuard,
}

impl Crew {
    /// Starts the threads, idle.
    pub(super) fn start() -> io::Result<Self> {
        let end = CancellationToken::new();
        let processors = thread::available_parallelism().map_or(1, usize::from);
        let threads = processors.saturating_mul(THREADS_PER_PROCESSOR).min(THREADS_MAX);
        let mut handles = Vec::with_capacity(threads);
        for _ in 0..threads {
            let runtime = runtime()?;
            handles.push(runtime.handle().clone());
            let ended = end.clone();
            let name = "tftp-reads".to_owned();
            thread::Builder::new().name(name).spawn(move || runtime.block_on(ended.cancelled()))?;
        }
        Ok(Self { handles, next: 0, _end: end.drop_guard() })
    }

    /// The thread whose turn it is.
    pub(super) fn next(&mut self) -> Handle {
        self.next = (self.next + 1) % self.handles.len().max(1);
        self.handles.get(self.next).cloned().unwrap_or_else(Handle::current)
    }
}

fn runtime() -> io::Result<Runtime> {
    Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(DISK_THREADS_MAX)
        .thread_name("tftp-disk")
        .build()
}
