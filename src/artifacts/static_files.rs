//! Files that are sent as they are: what they are to a client, and what it means when they cannot be read.

use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;

use crate::artifacts::opened::{FetchRefusal, FileBody, FileSubject, FileVersion, OpenedFile};

/// A file as it is on disk, with a strong entity tag of its identity, size and time.
///
/// # Errors
/// It cannot be looked at.
pub fn static_file(file: File, label: String, content_type: &'static str) -> io::Result<OpenedFile> {
    let metadata = file.metadata()?;
    let version = FileVersion { tag: tag(&metadata), modified: metadata.mtime() };
    let body = FileBody::File { file, bytes: metadata.len(), coming: None };
    Ok(OpenedFile { body, label, content_type, version: Some(version), about: FileSubject::default() })
}

/// The time of the last change of its metadata is in it too: a copy that keeps the time of its content, and a
/// write into the file that sets the time back, are other versions.
fn tag(metadata: &Metadata) -> String {
    format!(
        "\"{:x}-{:x}-{:x}.{:x}-{:x}.{:x}\"",
        metadata.ino(),
        metadata.len(),
        metadata.mtime(),
        metadata.mtime_nsec(),
        metadata.ctime(),
        metadata.ctime_nsec()
    )
}

/// UEFI decides by the exact type, without parameters (EDK2 HttpBootDxe).
pub fn content_type(path: &str) -> &'static str {
    match path.rsplit('.').next() {
        Some("efi") => "application/efi",
        Some("iso") => "application/vnd.efi-iso",
        Some("img") if path.ends_with("efi.img") => "application/vnd.efi-img",
        Some("cfg" | "ipxe" | "txt" | "ks") => "text/plain",
        _ => "application/octet-stream",
    }
}

/// Why a file that was found cannot be given.
pub fn unreadable(what: &str, error: &io::Error) -> FetchRefusal {
    match error.kind() {
        // A name that is longer than any file's is one that is not there.
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory | io::ErrorKind::InvalidFilename => {
            FetchRefusal::Absent
        }
        _ => FetchRefusal::Failed(format!("{what} cannot be read: {error}")),
    }
}
