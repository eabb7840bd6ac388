//! Artifacts: how they stand, and their files for machines, which never leave their directory.
//!
//! Start at [`work::run`]: it brings every artifact's status in line with its path or source, by `media`.
//! A tree that is passed on from another server is `mirror`'s. What operators ask for is in `care`: fetch
//! anew, hash again, throw away what nobody refers to.

pub mod care;
pub mod contained_path;
pub mod local;
mod media;
mod mirror;
pub mod opened;
pub mod roots;
#[cfg(test)]
mod roots_tests;
pub mod static_files;
pub mod work;
mod work_status;

pub use local::path_kind;
pub use media::MediaFolder;

use std::collections::BTreeSet;
use std::io;
use std::path::Path;
use std::sync::Arc;

use crate::kernel::{Caller, Error, Kernel};
use crate::model::{
    Artifact, ArtifactKind, ArtifactStatus, EventBody, RefusalCode, RootsCheck, Stored, World,
};
use contained_path::NameCase;
use media::MirrorSet;
use roots::{ArtifactFiles, ArtifactRoots, RootsRefusal, RootsScope};

/// The artifacts, and the files of those that the server brings itself.
pub struct Artifacts {
    kernel: Arc<Kernel>,
    media: MediaFolder,
    /// Remote trees that are passed on.
    mirrors: MirrorSet,
    /// Held for reading while a tree gets its place, for writing while one is thrown away.
    media_in_use: tokio::sync::RwLock<()>,
    /// Where on the host the files of artifacts may be.
    roots: ArtifactRoots,
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
            case,
        })
    }

    /// The files of an artifact by its name; nothing where there is no such artifact.
    pub fn place_named(&self, name: &str) -> Option<Result<ArtifactFiles, RootsRefusal>> {
        let stored = self.kernel.read(|world| world.artifacts.get(name).cloned())?;
        Some(self.place_of(&stored))
    }

    /// An artifact that is passed on from another server.
    pub fn mirrored(&self, name: &str) -> Option<Arc<Stored<Artifact>>> {
        self.kernel
            .read(|world| world.artifacts.get(name).filter(|artifact| artifact.spec.is_mirror()).cloned())
    }

    /// The files of an artifact, opened where they are served from.
    ///
    /// # Errors
    /// There are none, or they are where nothing is served from.
    pub fn place_of(&self, stored: &Stored<Artifact>) -> Result<ArtifactFiles, RootsRefusal> {
        let spec = &stored.spec;
        if spec.source.is_none() {
            return self.roots.open(Path::new(&spec.path), spec.kind, hold(stored));
        }
        let tree = self.media.tree(stored.status.sha256.as_deref().ok_or_else(file_missing)?);
        let file = match spec.kind {
            ArtifactKind::Tree => None,
            ArtifactKind::File => Some(spec.file_name().ok_or_else(file_missing)?),
        };
        Ok(ArtifactFiles::own(&tree, file)?)
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
            // Deleted or changed meanwhile: the next round sees what is there now.
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

/// Kernels and initrds that bootenvs name in an artifact.
fn boot_files(world: &World, name: &str) -> BTreeSet<String> {
    let all = world.bootenvs.iter().flat_map(|bootenv| bootenv.spec.arches.values());
    let of = all.filter(|files| files.artifact == name);
    of.flat_map(|files| std::iter::once(&files.kernel).chain(&files.initrds)).cloned().collect()
}

/// What was configured before there were roots is held to less. Where it comes from something else than its
/// status says, it was written after that.
fn hold(stored: &Stored<Artifact>) -> RootsScope {
    let status = &stored.status;
    let is_known = status.origin == stored.spec.origin();
    if is_known && status.roots != RootsCheck::Within { RootsScope::DataDirectory } else { RootsScope::Roots }
}
