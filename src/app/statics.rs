//! Files that are sent as they are: what they are to a client, and what it means when they cannot be read.

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;

use super::files::{About, Body, Opened, Refused};

/// A file as it is on disk, with a strong entity tag of its identity, size and time.
///
/// # Errors
/// It cannot be looked at.
pub(super) fn static_file(file: File, label: String, content_type: &'static str) -> io::Result<Opened> {
    let metadata = file.metadata()?;
    let tag = format!(
        "\"{:x}-{:x}-{:x}.{:x}\"",
        metadata.ino(),
        metadata.len(),
        metadata.mtime(),
        metadata.mtime_nsec()
    );
    let body = Body::File { file, bytes: metadata.len() };
    Ok(Opened { body, label, content_type, tag: Some(tag), about: About::default() })
}

/// UEFI decides by the exact type, without parameters (EDK2 HttpBootDxe).
pub(super) fn content_type(path: &str) -> &'static str {
    match path.rsplit('.').next() {
        Some("efi") => "application/efi",
        Some("iso") => "application/vnd.efi-iso",
        Some("img") if path.ends_with("efi.img") => "application/vnd.efi-img",
        Some("cfg" | "ipxe" | "txt" | "ks") => "text/plain",
        _ => "application/octet-stream",
    }
}

/// Why a file that was found cannot be given.
pub(super) fn unreadable(what: &str, error: &io::Error) -> Refused {
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory | io::ErrorKind::CrossesDevices => {
            Refused::Absent
        }
        _ => Refused::Failed(format!("{what} cannot be read: {error}")),
    }
}
