//! The runtime that all share, and threads with a small runtime of their own, for work that nothing else may
//! hold up: a packet is a few microseconds, less than it takes to wake another worker up.

use std::io;
use std::thread;
use std::time::Duration;

use tokio::runtime::{Builder, Handle, Runtime};
use tokio_util::sync::{CancellationToken, DropGuard};

/// Threads of the shared runtime that may wait for a disk, a list, a render: the allocator keeps more than a
/// mebibyte for each, and a disk is not quicker for more of them.
const BLOCKING_MAX: usize = 32;

/// How long work that is under way may hold up the end of the server, after all services have ended. The
/// store has ended before, and nothing that was acknowledged is lost.
pub const END_MAX: Duration = Duration::from_secs(2);

/// The runtime of the server. Its memory is in small pages: with large ones, which the allocator asks for
/// where the system leaves that to the program, a storm of a thousand machines held half as much again.
///
/// # Errors
/// The system has no more threads or descriptors.
pub fn shared() -> io::Result<Runtime> {
    if let Err(error) = rustix::thread::disable_transparent_huge_pages(true) {
        tracing::debug!(%error, "large pages cannot be switched off");
    }
    Builder::new_multi_thread().enable_all().max_blocking_threads(BLOCKING_MAX).build()
}

/// A thread that runs what is spawned on it, until the guard is dropped; beside it at most `blocking_max`
/// threads that may wait for a disk.
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
