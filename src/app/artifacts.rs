//! Reads the files of artifacts: whether they are there, how large, with what digests; and opens them for
//! machines without ever leaving their directory.
//!
//! [`reconcile`] brings every artifact's status in line with its path. It is called when artifacts change
//! and at start; calling it once more than needed does nothing.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::json;
use sha2::{Digest, Sha256};

use super::{App, Ctx, Error, beneath};
use crate::model::{Artifact, ArtifactKind, ArtifactState, ArtifactStatus, Stored, hex};

/// Most files one artifact may have.
const FILES_MAX: usize = 1_000_000;
/// Bytes read at a time for a digest.
const CHUNK_BYTES: usize = 1 << 20;

/// Reads every artifact whose path has not been read yet, and those whose directory is gone or back.
///
/// # Errors
/// What the store says. A path that cannot be read is the artifact's state, with the reason.
pub async fn reconcile(app: &Arc<App>) -> Result<(), Error> {
    let pending: Vec<Arc<Stored<Artifact>>> = {
        let world = app.world();
        world.artifacts.iter().filter(|artifact| needs_reading(artifact)).cloned().collect()
    };
    for artifact in pending {
        // One that failed on this path is tried again quietly, until it comes to something else.
        let again =
            artifact.status.state == ArtifactState::Failed && artifact.status.read_path == artifact.spec.path;
        if !again {
            set_status(app, &artifact, reading(&artifact.spec)).await?;
        }
        let spec = artifact.spec.clone();
        let status = tokio::task::spawn_blocking(move || read(&spec))
            .await
            .map_err(|error| Error::Failed(format!("reading artifact {}: {error}", artifact.key)))?;
        if !(again && status == artifact.status) {
            set_status(app, &artifact, status).await?;
        }
    }
    Ok(())
}

fn needs_reading(artifact: &Stored<Artifact>) -> bool {
    let status = &artifact.status;
    let there = || Path::new(&artifact.spec.path).exists();
    status.read_path != artifact.spec.path
        || match status.state {
            ArtifactState::Fetching | ArtifactState::Extracting => true,
            ArtifactState::Ready => !there(),
            ArtifactState::Missing => there(),
            ArtifactState::Failed => true,
        }
}

async fn set_status(app: &App, artifact: &Stored<Artifact>, status: ArtifactStatus) -> Result<(), Error> {
    let ctx = Ctx::server(app.now());
    let path = artifact.spec.path.clone();
    let changed = app.change::<Artifact>(&artifact.key, ctx.now, |next| {
        if next.spec.path != path {
            return Err(Error::Conflict("its path has changed meanwhile".to_owned()));
        }
        next.status = status.clone();
        let data = json!({"state": status.state, "reason": status.reason, "sha256": status.sha256});
        Ok(vec![ctx.event(next, "state_changed", data)])
    });
    match changed.await {
        // Deleted or moved while it was read: the next round sees what is there now.
        Ok(_) | Err(Error::NotFound { .. } | Error::Conflict(_)) => Ok(()),
        Err(error) => Err(error),
    }
}

fn boot_path(artifact: &Artifact) -> String {
    format!("artifacts/{}/", artifact.name)
}

fn reading(artifact: &Artifact) -> ArtifactStatus {
    ArtifactStatus {
        state: ArtifactState::Extracting,
        reason: "its files are being read".to_owned(),
        percent: Some(0),
        boot_path: boot_path(artifact),
        ..ArtifactStatus::default()
    }
}

/// Finds and hashes the files. What goes wrong is the reason in the status.
fn read(artifact: &Artifact) -> ArtifactStatus {
    let base = ArtifactStatus {
        read_path: artifact.path.clone(),
        boot_path: boot_path(artifact),
        ..ArtifactStatus::default()
    };
    if !Path::new(&artifact.path).exists() {
        let reason = format!("{} does not exist on the server", artifact.path);
        return ArtifactStatus { state: ArtifactState::Missing, reason, ..base };
    }
    match digest(artifact) {
        Ok(found) => ArtifactStatus {
            state: ArtifactState::Ready,
            sha256: Some(found.sha256),
            size: found.size,
            files: found.files,
            ..base
        },
        Err(error) => {
            let reason = format!("{}: {error}", artifact.path);
            ArtifactStatus { state: ArtifactState::Failed, reason, ..base }
        }
    }
}

struct Found {
    sha256: String,
    size: u64,
    files: u64,
}

fn digest(artifact: &Artifact) -> io::Result<Found> {
    let (root, files) = match artifact.kind {
        ArtifactKind::Tree => {
            let root = PathBuf::from(&artifact.path);
            let files = list(&root)?;
            (root, files)
        }
        ArtifactKind::File => {
            let (root, name) = split(&artifact.path)?;
            (root, vec![name])
        }
    };
    let mut whole = Sha256::new();
    let mut size = 0;
    for file in &files {
        let (sha256, bytes) = hash(beneath::open_file(&root, file)?)?;
        size += bytes;
        whole.update(format!("{sha256}  {file}\n"));
    }
    Ok(Found { sha256: hex(&whole.finalize()), size, files: files.len() as u64 })
}

/// Relative paths of all regular files below `root`, sorted. Links to directories are not followed: what
/// they lead to inside the tree is listed where it is.
fn list(root: &Path) -> io::Result<Vec<String>> {
    let mut files = Vec::new();
    let mut folders = vec![root.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder)? {
            let entry = entry?;
            let kind = entry.file_type()?;
            let path = entry.path();
            if kind.is_dir() {
                folders.push(path);
            } else if kind.is_file() || (kind.is_symlink() && path.is_file()) {
                let relative = path.strip_prefix(root).map_err(io::Error::other)?;
                let Some(text) = relative.to_str() else {
                    return Err(io::Error::other(format!("{} is not named in UTF-8", relative.display())));
                };
                if beneath::open_file(root, text).is_ok() {
                    files.push(text.to_owned());
                }
            }
            if files.len() > FILES_MAX {
                return Err(io::Error::other(format!("more than {FILES_MAX} files")));
            }
        }
    }
    files.sort_unstable();
    Ok(files)
}

fn split(path: &str) -> io::Result<(PathBuf, String)> {
    let path = Path::new(path);
    match (path.parent(), path.file_name().and_then(|name| name.to_str())) {
        (Some(folder), Some(name)) => Ok((folder.to_path_buf(), name.to_owned())),
        _ => Err(io::Error::other("it is not the path of a file")),
    }
}

fn hash(mut file: File) -> io::Result<(String, u64)> {
    let mut sha256 = Sha256::new();
    let mut buffer = vec![0; CHUNK_BYTES];
    let mut bytes = 0;
    loop {
        let read = file.read(&mut buffer)?;
        let Some(chunk) = buffer.get(..read).filter(|chunk| !chunk.is_empty()) else {
            return Ok((hex(&sha256.finalize()), bytes));
        };
        sha256.update(chunk);
        bytes += chunk.len() as u64;
    }
}

/// Opens a file of an artifact by its path within it.
///
/// # Errors
/// It is not there, not a regular file, or outside the artifact's directory by way of a link.
pub(super) fn open_file(artifact: &Artifact, path: &str) -> io::Result<File> {
    match artifact.kind {
        ArtifactKind::Tree => beneath::open_file(Path::new(&artifact.path), path),
        ArtifactKind::File => {
            let (root, name) = split(&artifact.path)?;
            if name != path {
                return Err(io::ErrorKind::NotFound.into());
            }
            beneath::open_file(&root, &name)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree() -> (tempfile::TempDir, Artifact) {
        let outer = tempfile::tempdir().unwrap();
        let root = outer.path().join("tree");
        std::fs::create_dir_all(root.join("images")).unwrap();
        std::fs::write(root.join("linux"), "kernel").unwrap();
        std::fs::write(root.join("images/initrd.img"), "initrd").unwrap();
        std::fs::write(outer.path().join("secret"), "secret").unwrap();
        std::os::unix::fs::symlink("../secret", root.join("out")).unwrap();
        std::os::unix::fs::symlink("linux", root.join("vmlinuz")).unwrap();
        let path = root.to_str().unwrap().to_owned();
        let artifact =
            Artifact { name: "a".into(), kind: ArtifactKind::Tree, path, description: String::new() };
        (outer, artifact)
    }

    #[test]
    fn a_link_inside_the_tree_is_followed_and_one_out_of_it_is_not() {
        let (_outer, artifact) = tree();
        assert!(open_file(&artifact, "linux").is_ok());
        assert!(open_file(&artifact, "vmlinuz").is_ok());
        for path in ["out", "../secret", "images", "images/../../secret", "/etc/passwd", "absent"] {
            assert!(open_file(&artifact, path).is_err(), "{path}");
        }
    }

    #[test]
    fn the_digest_changes_with_any_file_and_with_nothing_else() {
        let (outer, artifact) = tree();
        let first = read(&artifact);
        assert_eq!((first.state, first.files), (ArtifactState::Ready, 3));
        assert_eq!(read(&artifact).sha256, first.sha256);
        std::fs::write(outer.path().join("tree/images/initrd.img"), "changed").unwrap();
        assert_ne!(read(&artifact).sha256, first.sha256);
    }

    #[test]
    fn a_path_that_is_not_there_says_so() {
        let (_outer, mut artifact) = tree();
        artifact.path.push_str("-gone");
        let status = read(&artifact);
        assert_eq!(status.state, ArtifactState::Missing);
        assert!(status.reason.contains("does not exist"), "{}", status.reason);
    }
}
