//! Free space on the disk: checked before and while large files are written.

use std::fs::File;
use std::io;
use std::path::Path;

use nix::sys::statvfs::{Statvfs, statvfs};

/// Bytes that are left free, mainly for the database.
pub const KEPT_BYTES: u64 = 64 << 20;
/// Files that are left free, where the file system counts them.
const KEPT_FILES: u64 = 1024;
/// How many files are made before the disk is looked at again.
pub const LOOK_EVERY_FILES: usize = 512;
/// How much is written before the disk is looked at again.
pub const LOOK_EVERY_BYTES: u64 = 32 << 20;

/// Free bytes of a disk.
///
/// # Errors
/// The file system did not answer.
pub fn free(folder: &Path) -> io::Result<u64> {
    Ok(free_bytes(&statvfs(folder)?))
}

fn free_bytes(disk: &Statvfs) -> u64 {
    disk.blocks_available().saturating_mul(disk.fragment_size())
}

/// Refuses data that does not fit.
///
/// # Errors
/// `StorageFull`, with the needed and the free bytes.
pub fn check(folder: &Path, needed: u64) -> io::Result<()> {
    let disk = statvfs(folder)?;
    let free = free_bytes(&disk);
    if disk.files() > 0 && disk.files_available() < KEPT_FILES {
        let text = format!(
            "the disk of {} has room for {} files only: {KEPT_FILES} are kept free",
            folder.display(),
            disk.files_available()
        );
        return Err(io::Error::new(io::ErrorKind::StorageFull, text));
    }
    if free >= needed.saturating_add(KEPT_BYTES) {
        return Ok(());
    }
    let text = format!(
        "the disk of {} is too full: {} MiB are needed and {} MiB kept free, and there are {} MiB",
        folder.display(),
        mebibytes(needed),
        mebibytes(KEPT_BYTES),
        mebibytes(free)
    );
    Err(io::Error::new(io::ErrorKind::StorageFull, text))
}

fn mebibytes(bytes: u64) -> u64 {
    bytes.div_ceil(1 << 20)
}

/// Flushes everything that was written to the disk of `path`.
///
/// # Errors
/// The disk refuses.
pub fn flush(path: &Path) -> io::Result<()> {
    Ok(nix::unistd::syncfs(File::open(path)?)?)
}
