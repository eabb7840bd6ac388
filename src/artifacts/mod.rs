//! Artifacts: their status, and their files for machines, which never lead out of their directory.
//!
//! Start at [`work::run`]: it brings every artifact's status in line with its path or source, through
//! `media`. `mirror` has trees that are passed on from another server. `care` has the work that operators ask
//! for: fetch again, hash again, delete files that nothing refers to.

pub mod care;
pub mod contained_path;
pub mod local;
mod media;
mod mirror;
pub mod opened;
mod recent_paths;
pub mod roots;
#[cfg(test)]
mod roots_tests;
mod second_names;
mod sources;
pub mod static_files;
pub mod work;
mod work_status;

pub use local::path_kind;
pub use media::{MediaFolder, UnpackLimits};

use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;

use crate::kernel::{Caller, Error, Kernel};
use crate::model::{
    Artifact, ArtifactKind, ArtifactStatus, EventBody, RefusalCode, RootsCheck, Stored, World,
};
use contained_path::NameCase;
use media::MirrorSet;
use recent_paths::RecentPaths;
use roots::{ArtifactFiles, ArtifactRoots, RootsRefusal, RootsScope};

/// The artifacts, and the files that the server fetched for them.
pub struct Artifacts {
    kernel: Arc<Kernel>,
    media: MediaFolder,
    /// The mirrors.
    mirrors: MirrorSet,
    /// Locked for reading while a tree is installed, and for writing while one is deleted.
    media_in_use: tokio::sync::RwLock<()>,
    /// The directories of this host in which files of artifacts may be.
    roots: ArtifactRoots,
    recent: RecentPaths,
    /// How the names of files in artifacts are compared.
    pub case: NameCase,
}

impl std::fmt::Debug for Artifacts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Artifacts")
    }
}

impl Artifacts {
    pub fn new(
        kernel: Arc<Kernel>,
        (media, roots): (MediaFolder, ArtifactRoots),
        case: NameCase,
    ) -> Arc<Self> {
        let mirrors = MirrorSet::new(media.clone());
        Arc::new(Artifacts {
            kernel,
            media,
            mirrors,
            media_in_use: tokio::sync::RwLock::default(),
            roots,
            recent: RecentPaths::default(),
            case,
        })
    }

    /// The files of the artifact with this name; none if there is no such artifact.
    pub fn place_named(&self, name: &str) -> Option<Result<ArtifactFiles, RootsRefusal>> {
        let stored = self.kernel.read(|world| world.artifacts.get(name).cloned())?;
        Some(self.place_of(&stored))
    }

    /// The mirrored artifact with this name.
    pub fn mirrored(&self, name: &str) -> Option<Arc<Stored<Artifact>>> {
        self.kernel
            .read(|world| world.artifacts.get(name).filter(|artifact| artifact.spec.is_mirror()).cloned())
    }

    /// The opened files of an artifact.
    ///
    /// # Errors
    /// There are none, or they are in a place that is not served.
    pub fn place_of(&self, stored: &Stored<Artifact>) -> Result<ArtifactFiles, RootsRefusal> {
        let spec = &stored.spec;
        if spec.source.is_none() {
            return self.recent.open(&self.roots, Path::new(&spec.path), (spec.kind, hold(stored)));
        }
        let tree = self.media.tree(stored.status.sha256.as_deref().ok_or_else(file_missing)?);
        let file = match spec.kind {
            ArtifactKind::Tree => None,
            ArtifactKind::File => Some(spec.file_name().ok_or_else(file_missing)?),
        };
        Ok(ArtifactFiles::own(&tree, file)?)
    }

    /// A file in the server's own directory that is gone when it is closed.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn unnamed_file(&self) -> io::Result<File> {
        self.media.unnamed_file()
    }

    /// Changes an artifact's status, if it still has this `origin`, and adds an event.
    async fn set_status(
        &self,
        (name, origin): (&str, &str),
        set: impl Fn(&mut ArtifactStatus),
    ) -> Result<(), Error> {
        let caller = Caller::server(self.kernel.now());
        let changed = self.kernel.change::<Artifact>(name, caller.now, |next| {
            if next.spec.origin() != origin {
                let why = "its source has changed meanwhile";
                return Err(Error::Conflict(RefusalCode::Overtaken, why.to_owned()));
            }
            let before = next.status.clone();
            set(&mut next.status);
            if next.status == before {
                return Err(Error::Conflict(RefusalCode::WrongState, "nothing has changed".to_owned()));
            }
            let now = &next.status;
            let is_the_same =
                now.state == before.state && now.reason == before.reason && now.absent == before.absent;
            let body = match is_the_same {
                true => EventBody::ArtifactProgress(now.into()),
                false => EventBody::ArtifactStateChanged(now.into()),
            };
            Ok(vec![caller.event_about(next, body)])
        });
        match changed.await {
            // The artifact was deleted or changed meanwhile: the next round reads it again.
            Ok(_) | Err(Error::NotFound { .. } | Error::Conflict(..)) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

fn file_missing() -> io::Error {
    io::Error::from(io::ErrorKind::NotFound)
}

fn boot_path(artifact: &Artifact) -> String {
    format!("artifacts/{}/", artifact.name)
}

/// The kernels and initrds that bootenvs name in an artifact.
fn boot_files(world: &World, name: &str) -> BTreeSet<String> {
    let all = world.bootenvs.iter().flat_map(|bootenv| bootenv.spec.arches.values());
    let of = all.filter(|files| files.artifact == name);
    of.flat_map(|files| std::iter::once(&files.kernel).chain(&files.initrds)).cloned().collect()
}

/// The rule for an artifact's path: artifacts that are older than the roots have a weaker one. If the origin
/// differs from the status, the artifact was written later.
fn hold(stored: &Stored<Artifact>) -> RootsScope {
    let status = &stored.status;
    let is_known = status.origin == stored.spec.origin();
    if is_known && status.roots != RootsCheck::Within { RootsScope::DataDirectory } else { RootsScope::Roots }
}
