//! Static files: their metadata for clients, and the refusals when they cannot be read.

use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt;

use crate::artifacts::contained_path::RegularFile;
use crate::artifacts::opened::{FetchRefusal, FileBody, FileSubject, FileVersion, OpenedFile};

/// A file on disk, with a strong entity tag of its identity, size and time.
pub fn static_file(file: RegularFile, label: String, content_type: &'static str) -> OpenedFile {
    let RegularFile { file, metadata } = file;
    let version = FileVersion { tag: tag(&metadata), modified: metadata.mtime() };
    let body = FileBody::File { file, bytes: metadata.len(), coming: None };
    OpenedFile { body, label, content_type, version: Some(version), about: FileSubject::default() }
}

/// The tag includes the time of the last change of the metadata too. So a copy that keeps the time of the
/// content, or a write that sets the time back, has another tag.
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

/// UEFI compares the exact type, without parameters (EDK2 HttpBootDxe).
pub fn content_type(path: &str) -> &'static str {
    match path.rsplit('.').next() {
        Some("efi") => "application/efi",
        Some("iso") => "application/vnd.efi-iso",
        Some("img") if path.ends_with("efi.img") => "application/vnd.efi-img",
        Some("cfg" | "ipxe" | "txt" | "ks") => "text/plain",
        _ => "application/octet-stream",
    }
}

/// The refusal for a file that was found but cannot be read.
pub fn unreadable(what: &str, error: &io::Error) -> FetchRefusal {
    match error.kind() {
        // A name that is too long for any file does not exist.
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory | io::ErrorKind::InvalidFilename => {
            FetchRefusal::Absent
        }
        _ => FetchRefusal::Failed(format!("{what} cannot be read: {error}")),
    }
}
