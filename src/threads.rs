//! Threads with a small runtime of their own, for work that nothing else may hold up: a packet is a few
//! microseconds, less than it takes to wake another worker up.

use std::io;
use std::thread;

use tokio::runtime::{Builder, Handle};
use tokio_util::sync::{CancellationToken, DropGuard};

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
