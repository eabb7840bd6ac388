//! Files that are sent as they are: what they are to a client, and what it means when they cannot be read.

use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;

use super::App;
use super::beneath::Case;
use super::boot::Gathered;
use super::callers::about;
use super::files::{About, Body, Fetch, Opened, Refused, Version};
use super::roots::Refusal;
use crate::model::{Artifact, ArtifactKind, Stored};

impl App {
    /// Opens a file of an artifact: one of this disk, or one that is passed on.
    ///
    /// # Errors
    /// There is none, or it cannot be had now.
    pub(super) async fn static_artifact(
        &self,
        fetch: &Fetch,
        (name, file): (&str, &str),
        gathered: &Gathered,
    ) -> Result<Opened, Refused> {
        let artifact = self.world().artifacts.get(name).cloned().ok_or(Refused::Absent)?;
        if artifact.spec.is_mirror() {
            let opened = self.open_mirrored(fetch, &artifact, file).await?;
            let about = About { mirror: Some(name.to_owned()), ..about(gathered.machine.as_deref()) };
            return Ok(Opened { about, ..opened });
        }
        let place = self.place_of(&artifact).map_err(|refusal| match refusal {
            Refusal::Failed(error) => unreadable(file, &error),
            refusal => Refused::Denied(refusal.to_string()),
        })?;
        self.refuse_damaged(fetch, (&artifact, file), gathered)?;
        let opened = place
            .open_file_as(file, self.case)
            .and_then(|opened| static_file(opened, format!("artifact:{name}/{file}"), content_type(file)));
        let opened = opened.map_err(|error| unreadable(file, &error))?;
        Ok(Opened { about: about(gathered.machine.as_deref()), ..opened })
    }

    /// What is known not to be what it was is not given out: an installer would fail on it, or install it.
    fn refuse_damaged(
        &self,
        fetch: &Fetch,
        (artifact, file): (&Stored<Artifact>, &str),
        gathered: &Gathered,
    ) -> Result<(), Refused> {
        let is_it = |damaged: &String| match (artifact.spec.kind, self.case) {
            (ArtifactKind::File, _) => true,
            (ArtifactKind::Tree, Case::Ignored) => damaged.eq_ignore_ascii_case(file),
            (ArtifactKind::Tree, Case::Exact) => damaged == file,
        };
        if !artifact.status.damaged.iter().any(is_it) {
            return Ok(());
        }
        let name = &artifact.spec.name;
        let why = format!(
            "{file} of the artifact {name} is not what it was when it was fetched: \
             metalwright artifacts fetch {name} has it anew"
        );
        if let Some(machine) = &gathered.machine {
            self.deny_because(fetch, machine, &why);
        }
        Err(Refused::Failed(why))
    }
}

/// A file as it is on disk, with a strong entity tag of its identity, size and time.
///
/// # Errors
/// It cannot be looked at.
pub(super) fn static_file(file: File, label: String, content_type: &'static str) -> io::Result<Opened> {
    let metadata = file.metadata()?;
    let version = Version { tag: tag(&metadata), modified: metadata.mtime() };
    let body = Body::File { file, bytes: metadata.len(), coming: None };
    Ok(Opened { body, label, content_type, version: Some(version), about: About::default() })
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
        // A name that is longer than any file's is one that is not there.
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory | io::ErrorKind::InvalidFilename => {
            Refused::Absent
        }
        _ => Refused::Failed(format!("{what} cannot be read: {error}")),
    }
}
