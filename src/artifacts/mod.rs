//! Artifacts: how they stand, and their files for machines, which never leave their directory.
//!
//! Start at [`work::run`]: it brings every artifact's status in line with its path or source, by `media`.
//! A tree that is passed on from another server is `mirror`'s. What operators ask for is in `care`: fetch
//! anew, hash again, throw away what nobody refers to.

pub mod care;
pub mod contained_path;
mod mirror;
pub mod opened;
pub mod static_files;
pub mod work;

use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::json;

use crate::kernel::{Caller, Error, Kernel};
use crate::media::{Folder, Mirrors};
use crate::model::{Artifact, ArtifactKind, ArtifactStatus, Stored, World};
use contained_path::Case;

/// The artifacts, and the files of those that the server brings itself.
pub struct Artifacts {
    kernel: Arc<Kernel>,
    media: Folder,
    /// Remote trees that are passed on.
    mirrors: Mirrors,
    /// Held for reading while a tree gets its place, for writing while one is thrown away.
    media_in_use: tokio::sync::RwLock<()>,
    /// How the names of files in artifacts are compared.
    pub case: Case,
}

impl std::fmt::Debug for Artifacts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Artifacts")
    }
}

impl Artifacts {
    pub fn new(kernel: Arc<Kernel>, media: Folder, case: Case) -> Arc<Self> {
        let mirrors = Mirrors::new(media.clone());
        Arc::new(Artifacts { kernel, media, mirrors, media_in_use: tokio::sync::RwLock::default(), case })
    }

    /// An artifact with the path that its files are served from; none while there is nothing to serve.
    pub fn served_artifact(&self, name: &str) -> Option<Artifact> {
        let stored = self.kernel.world().artifacts.get(name).cloned()?;
        self.with_path(&stored)
    }

    /// An artifact that is passed on from another server.
    pub fn mirrored(&self, name: &str) -> Option<Arc<Stored<Artifact>>> {
        self.kernel.world().artifacts.get(name).filter(|artifact| artifact.spec.is_mirror()).cloned()
    }

    /// The same artifact with the path that its files are served from.
    pub fn with_path(&self, stored: &Stored<Artifact>) -> Option<Artifact> {
        let spec = stored.spec.clone();
        if spec.source.is_none() {
            return Some(spec);
        }
        let tree = self.media.tree(stored.status.sha256.as_deref()?);
        let path = match spec.kind {
            ArtifactKind::Tree => tree,
            ArtifactKind::File => tree.join(spec.file_name()?),
        };
        Some(Artifact { path: path.into_os_string().into_string().ok()?, ..spec })
    }

    /// Changes an artifact's status, if it still comes from `origin`, and says so in an event.
    async fn set_status(
        &self,
        (name, origin): (&str, &str),
        set: impl Fn(&mut ArtifactStatus),
    ) -> Result<(), Error> {
        let caller = Caller::server(self.kernel.now());
        let changed = self.kernel.change::<Artifact>(name, caller.now, |next| {
            if next.spec.origin() != origin {
                return Err(Error::Conflict("its source has changed meanwhile".to_owned()));
            }
            let before = next.status.clone();
            set(&mut next.status);
            if next.status == before {
                return Err(Error::Conflict("nothing has changed".to_owned()));
            }
            let now = &next.status;
            let data = json!({
                "state": now.state, "reason": now.reason, "percent": now.percent, "sha256": now.sha256,
                "damaged": now.damaged, "absent": now.absent,
            });
            let what =
                if now.state == before.state && now.reason == before.reason && now.absent == before.absent {
                    "progress"
                } else {
                    "state_changed"
                };
            Ok(vec![caller.event(next, what, data)])
        });
        match changed.await {
            // Deleted or changed meanwhile: the next round sees what is there now.
            Ok(_) | Err(Error::NotFound { .. } | Error::Conflict(_)) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

fn boot_path(artifact: &Artifact) -> String {
    format!("artifacts/{}/", artifact.name)
}

/// Kernels and initrds that bootenvs name in an artifact.
fn boot_files(world: &World, name: &str) -> BTreeSet<String> {
    let all = world.bootenvs.iter().flat_map(|bootenv| bootenv.spec.arches.values());
    let of = all.filter(|files| files.artifact == name);
    of.flat_map(|files| std::iter::once(&files.kernel).chain(&files.initrds)).cloned().collect()
}

fn split(path: &str) -> io::Result<(PathBuf, String)> {
    let path = Path::new(path);
    match (path.parent(), path.file_name().and_then(|name| name.to_str())) {
        (Some(folder), Some(name)) => Ok((folder.to_path_buf(), name.to_owned())),
        _ => Err(io::Error::other("it is not the path of a file")),
    }
}

/// Opens a file of an artifact by its path within it.
///
/// # Errors
/// It is not there, not a regular file, or outside the artifact's directory by way of a link.
pub fn open_file(artifact: &Artifact, path: &str) -> io::Result<File> {
    match artifact.kind {
        ArtifactKind::Tree => contained_path::open_file(Path::new(&artifact.path), path),
        ArtifactKind::File => {
            let (root, name) = split(&artifact.path)?;
            if name != path {
                return Err(io::ErrorKind::NotFound.into());
            }
            contained_path::open_file(&root, &name)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_inside_the_tree_is_followed_and_one_out_of_it_is_not() {
        let outer = tempfile::tempdir().unwrap();
        let root = outer.path().join("tree");
        std::fs::create_dir_all(root.join("images")).unwrap();
        std::fs::write(root.join("linux"), "kernel").unwrap();
        std::fs::write(outer.path().join("secret"), "secret").unwrap();
        std::os::unix::fs::symlink("../secret", root.join("out")).unwrap();
        std::os::unix::fs::symlink("linux", root.join("vmlinuz")).unwrap();
        let artifact = json!({"name": "a", "path": root.to_str().unwrap()});
        let artifact: Artifact = serde_json::from_value(artifact).unwrap();
        assert!(open_file(&artifact, "linux").is_ok());
        assert!(open_file(&artifact, "vmlinuz").is_ok());
        for path in ["out", "../secret", "images", "images/../../secret", "/etc/passwd", "absent"] {
            assert!(open_file(&artifact, path).is_err(), "{path}");
        }
    }
}
