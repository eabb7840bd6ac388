//! Caches local paths of artifacts that were resolved and checked a moment ago, so that the path is not
//! walked again for each of a machine's many requests.
//!
//! The cache stores the resolved path and no open descriptor, because a file system can be unmounted at any
//! time. An entry is valid while the path leads to the same file or folder, and for at most [`KEPT_FOR`]:
//! after that the server notices a folder that was moved below the data directory.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::artifacts::roots::{ArtifactFiles, ArtifactRoots, FileIdentity, RootsRefusal, RootsScope};
use crate::model::ArtifactKind;

/// How long a resolved path stays valid.
const KEPT_FOR: Duration = Duration::from_secs(1);
/// Most paths in the cache.
const KEPT_MAX: usize = 1024;

#[derive(Debug)]
struct RecentPath {
    kind: ArtifactKind,
    scope: RootsScope,
    /// The identity of the path's target.
    identity: FileIdentity,
    /// The checked path without links.
    real: PathBuf,
    checked_at: Instant,
}

impl RecentPath {
    fn is_recent(&self) -> bool {
        self.checked_at.elapsed() < KEPT_FOR
    }
}

/// The cached paths.
#[derive(Debug, Default)]
pub struct RecentPaths {
    kept: Mutex<HashMap<Box<Path>, RecentPath>>,
}

impl RecentPaths {
    /// Opens the files at a path, like [`ArtifactRoots::open`].
    ///
    /// # Errors
    /// Those of [`ArtifactRoots::open`].
    pub fn open(
        &self,
        roots: &ArtifactRoots,
        path: &Path,
        (kind, scope): (ArtifactKind, RootsScope),
    ) -> Result<ArtifactFiles, RootsRefusal> {
        let identity = identity_at(path)?;
        if let Some(real) = self.find(path, (kind, scope), identity) {
            let files = roots.open_real((path, &real), kind)?;
            if files.identity()? == identity {
                return Ok(files);
            }
        }
        let checked_at = Instant::now();
        let (files, real) = roots.open_resolved(path, kind, scope)?;
        if files.identity()? == identity {
            self.keep(path, RecentPath { kind, scope, identity, real, checked_at });
        }
        Ok(files)
    }

    fn find(&self, path: &Path, how: (ArtifactKind, RootsScope), identity: FileIdentity) -> Option<PathBuf> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let found = kept.get(path).filter(|it| ((it.kind, it.scope), it.identity) == (how, identity))?;
        found.is_recent().then(|| found.real.clone())
    }

    fn keep(&self, path: &Path, recent: RecentPath) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= KEPT_MAX {
            kept.retain(|_, recent| recent.is_recent());
        }
        if kept.len() < KEPT_MAX || kept.contains_key(path) {
            kept.insert(path.into(), recent);
        }
    }
}

fn identity_at(path: &Path) -> io::Result<FileIdentity> {
    fs::metadata(path).map(|metadata| (metadata.dev(), metadata.ino()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    /// Two folders below a root with a file each, and a path that is a link to the first.
    fn served(place: &Path) -> (PathBuf, PathBuf, PathBuf) {
        let (first, second, path) = (place.join("first"), place.join("second"), place.join("current"));
        for folder in [&first, &second] {
            fs::create_dir(folder).unwrap();
            fs::write(folder.join("linux"), folder.file_name().unwrap().to_string_lossy().as_bytes())
                .unwrap();
        }
        symlink(&first, &path).unwrap();
        (first, second, path)
    }

    #[test]
    fn a_path_is_resolved_once_and_again_when_it_leads_elsewhere() {
        let place = tempfile::tempdir().unwrap();
        let (first, second, path) = served(place.path());
        let roots = ArtifactRoots::new(Some(vec![place.path().to_owned()]), Path::new("/nowhere"));
        let recent = RecentPaths::default();
        let how = (ArtifactKind::Tree, RootsScope::Roots);
        let read = || {
            let files = recent.open(&roots, &path, how).unwrap();
            io::read_to_string(files.open_file("linux").unwrap().file).unwrap()
        };
        let is_kept = || recent.find(&path, how, identity_at(&path).unwrap()).is_some();
        assert!(!is_kept());
        assert_eq!((read(), is_kept(), read()), ("first".into(), true, "first".into()));
        fs::remove_file(&path).unwrap();
        symlink(&second, &path).unwrap();
        assert_eq!((is_kept(), read(), is_kept()), (false, "second".into(), true));
        // The same path, with another folder in its place.
        fs::rename(&second, place.path().join("old")).unwrap();
        fs::rename(&first, &second).unwrap();
        assert_eq!(read(), "first");
        fs::remove_file(&path).unwrap();
        assert!(matches!(recent.open(&roots, &path, how), Err(RootsRefusal::Failed(_))));
    }

    #[test]
    fn a_path_that_is_refused_is_not_kept() {
        let (place, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let roots = ArtifactRoots::new(Some(vec![place.path().to_owned()]), Path::new("/nowhere"));
        let recent = RecentPaths::default();
        for _ in 0..2 {
            let refused = recent.open(&roots, outside.path(), (ArtifactKind::Tree, RootsScope::Roots));
            assert!(matches!(refused, Err(RootsRefusal::Outside { .. })));
        }
        let before = (ArtifactKind::Tree, RootsScope::DataDirectory);
        assert!(recent.open(&roots, outside.path(), before).is_ok());
        let refused = recent.open(&roots, outside.path(), (ArtifactKind::Tree, RootsScope::Roots));
        assert!(refused.is_err(), "what was opened under another rule does not count");
    }
}
