//! The shared runtime, and threads with a small runtime of their own, for work that nothing else may delay: a
//! packet takes a few microseconds, less than waking another worker.

use std::io;
use std::thread;
use std::time::Duration;

use tokio::runtime::{Builder, Handle, Runtime};
use tokio_util::sync::{CancellationToken, DropGuard};

/// Most threads of the shared runtime for blocking work (disks, lists, renders). The allocator keeps more
/// than a mebibyte for each, and a disk is not faster with more of them.
const BLOCKING_MAX: usize = 32;

/// How long unfinished work may delay the end of the server, after all services and the store have ended.
/// Nothing that was acknowledged is lost.
pub const END_MAX: Duration = Duration::from_secs(2);

/// The runtime of the server. Its memory uses small pages. With large pages, which the allocator requests if
/// the system leaves the choice to programs, a storm of a thousand machines needed half as much again.
///
/// # Errors
/// The system has no more threads or descriptors.
pub fn shared() -> io::Result<Runtime> {
    if let Err(error) = rustix::thread::disable_transparent_huge_pages(true) {
        tracing::debug!(%error, "large pages cannot be switched off");
    }
    Builder::new_multi_thread().enable_all().max_blocking_threads(BLOCKING_MAX).build()
}

/// A thread that runs what is spawned on it, until the guard is dropped, with at most `blocking_max` threads
/// for blocking work.
///
/// # Errors
/// The system has no more threads or descriptors.
pub fn start(name: &str, blocking_max: usize) -> io::Result<(Handle, DropGuard)> {
    let runtime = Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(blocking_max)
        .thread_name(format!("{name}-disk"))
        .build()?;
    let (handle, end) = (runtime.handle().clone(), CancellationToken::new());
    let ended = end.clone();
    thread::Builder::new().name(name.to_owned()).spawn(move || runtime.block_on(ended.cancelled()))?;
    Ok((handle, end.drop_guard()))
}
