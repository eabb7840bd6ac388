//! The layout of the media folder in the data directory:
//!
//! ```text
//! media/trees/<sha256>/…          finished trees, by the digest of what is in them
//! media/manifests/<sha256>        the manifest of each tree
//! media/fetched/<id>/body, state  running downloads, by URL and checksum
//! media/new/<id>/…                trees that are being unpacked; deleted at the start
//! media/mirrors/<id>/…            caches of mirrors (`mirror::cache_files`), by artifact and URL
//! ```

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::fcntl::{AT_FDCWD, RenameFlags, renameat2};

use super::{FetchedTree, fetch};
use crate::model::hex;

const TREES: &str = "trees";
const MANIFESTS: &str = "manifests";
const FETCHED: &str = "fetched";
const NEW: &str = "new";
const MIRRORS: &str = "mirrors";

/// What unpacking one image or tarball may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnpackLimits {
    /// Bytes of all files, whatever the source's size allows.
    pub bytes_max: u64,
    pub within: Duration,
}

impl Default for UnpackLimits {
    fn default() -> Self {
        UnpackLimits { bytes_max: u64::MAX, within: Duration::MAX }
    }
}

/// The server's own directory of fetched files.
#[derive(Clone, Debug, Default)]
pub struct MediaFolder {
    root: PathBuf,
    pub(super) limits: UnpackLimits,
}

impl MediaFolder {
    pub fn at(root: PathBuf) -> Self {
        MediaFolder { root, limits: UnpackLimits::default() }
    }

    /// The same, with limits on what is unpacked into it.
    pub fn with_limits(self, limits: UnpackLimits) -> Self {
        MediaFolder { limits, ..self }
    }

    /// The path of the tree with a digest, whether it exists or not.
    pub fn tree(&self, sha256: &str) -> PathBuf {
        self.root.join(TREES).join(sha256)
    }

    pub(super) fn manifest(&self, sha256: &str) -> PathBuf {
        self.root.join(MANIFESTS).join(sha256)
    }

    pub(super) fn fetched(&self, id: &str) -> PathBuf {
        self.root.join(FETCHED).join(id)
    }

    pub(super) fn trees(&self) -> PathBuf {
        self.root.join(TREES)
    }

    pub(super) fn manifests(&self) -> PathBuf {
        self.root.join(MANIFESTS)
    }

    pub(super) fn all_fetched(&self) -> PathBuf {
        self.root.join(FETCHED)
    }

    /// The path of the cache of a mirror.
    pub(super) fn mirror(&self, id: &str) -> PathBuf {
        self.mirrors().join(id)
    }

    pub(super) fn mirrors(&self) -> PathBuf {
        self.root.join(MIRRORS)
    }

    /// Deletes what was being unpacked when the server ended.
    ///
    /// # Errors
    /// Something cannot be deleted.
    pub fn sweep(&self) -> io::Result<()> {
        let new = self.root.join(NEW);
        if new.exists() { fs::remove_dir_all(new) } else { Ok(()) }
    }

    /// A new empty directory for unpacking.
    pub(super) fn new_tree(&self) -> io::Result<PathBuf> {
        let tree = self.new_path()?;
        make(&tree)?;
        Ok(tree)
    }

    /// A new file that has no name any more: it is gone when it is closed.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn unnamed_file(&self) -> io::Result<File> {
        let path = self.new_path()?;
        make(path.parent().unwrap_or(&self.root))?;
        let file = File::options().read(true).write(true).create_new(true).open(&path)?;
        fs::remove_file(path)?;
        Ok(file)
    }

    /// A new path for something that is not installed yet.
    fn new_path(&self) -> io::Result<PathBuf> {
        let mut id = [0; 16];
        getrandom::fill(&mut id).map_err(io::Error::other)?;
        Ok(self.root.join(NEW).join(hex(&id)))
    }

    /// Deletes a download that was unpacked.
    pub(super) fn forget_fetched(&self, body: &Path) {
        if let Some(folder) = body.parent().filter(|folder| folder.starts_with(self.root.join(FETCHED))) {
            drop(fs::remove_dir_all(folder));
        }
    }

    /// Installs a finished tree by one rename. It replaces an existing tree with the same files, which may be
    /// damaged; whoever has one of its files open keeps it. Two artifacts with the same files may do so at
    /// once.
    ///
    /// # Errors
    /// The disk refuses; the tree is deleted then.
    pub fn install(&self, brought: &FetchedTree) -> io::Result<PathBuf> {
        let installed = self.remember(&brought.manifest).and_then(|()| self.place(brought));
        // The replaced tree, or the one that could not be installed.
        drop(fs::remove_dir_all(&brought.tree));
        installed
    }

    fn place(&self, brought: &FetchedTree) -> io::Result<PathBuf> {
        let place = self.tree(&brought.manifest.sha256);
        make(&self.trees())?;
        match fs::rename(&brought.tree, &place) {
            Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => {
                renameat2(AT_FDCWD, &brought.tree, AT_FDCWD, &place, RenameFlags::RENAME_EXCHANGE)?;
            }
            other => other?,
        }
        fs::File::open(self.trees())?.sync_all()?;
        Ok(place)
    }

    /// Stores a manifest, whole or not at all.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn remember(&self, manifest: &super::TreeManifest) -> io::Result<()> {
        let (new, place) = (self.new_path()?, self.manifest(&manifest.sha256));
        make(&self.root.join(NEW))?;
        make(&self.manifests())?;
        let remembered = manifest.write(&new).and_then(|()| fs::rename(&new, place));
        if remembered.is_err() {
            drop(fs::remove_file(&new));
        }
        remembered
    }

    /// The manifest with this digest, if it is stored.
    pub fn recall(&self, sha256: &str) -> Option<super::TreeManifest> {
        super::TreeManifest::read(&self.manifest(sha256)).ok().filter(|manifest| manifest.sha256 == sha256)
    }

    /// The id of an artifact's download of a URL, under which it resumes after a restart.
    pub fn fetched_id(of: (&str, &str), checksum: Option<&crate::model::Checksum>) -> String {
        fetch::id(of, checksum)
    }

    /// The id of an artifact's cache of the tree at a URL.
    pub fn mirror_id((artifact, url): (&str, &str)) -> String {
        fetch::id((artifact, url), None)
    }
}

/// Creates a directory and its parents, accessible to the server only.
pub(super) fn make(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::artifacts::media::garbage::{LeftoverKind, UsedItems, delete, find};
    use crate::artifacts::media::{MediaJob, TreeManifest};
    use crate::model::ArtifactKind;

    fn brought(folder: &MediaFolder, text: &str) -> FetchedTree {
        let tree = folder.new_tree().unwrap();
        fs::write(tree.join("linux"), text).unwrap();
        let job = MediaJob::new(CancellationToken::new());
        let manifest = TreeManifest::of(&tree, ArtifactKind::Tree, &job).unwrap();
        FetchedTree { tree, manifest }
    }

    #[test]
    fn a_tree_gets_its_place_at_once_and_who_reads_the_old_one_keeps_it() {
        let outer = tempfile::tempdir().unwrap();
        let folder = MediaFolder::at(outer.path().join("media"));
        let first = brought(&folder, "kernel");
        let place = folder.install(&first).unwrap();
        let mut reader = fs::File::open(place.join("linux")).unwrap();
        fs::write(place.join("linux.damaged"), "x").unwrap();
        assert_eq!(folder.install(&brought(&folder, "kernel")).unwrap(), place);
        assert!(!place.join("linux.damaged").exists(), "the new one is there");
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        assert_eq!(text, "kernel");
        assert_eq!(folder.recall(&first.manifest.sha256), Some(first.manifest));
        assert_eq!(fs::read_dir(folder.root.join(NEW)).unwrap().count(), 0);
    }

    #[test]
    fn artifacts_with_the_same_files_that_are_finished_at_once_do_not_hinder_each_other() {
        let outer = tempfile::tempdir().unwrap();
        let folder = MediaFolder::at(outer.path().join("media"));
        for round in 0..50 {
            let text = format!("kernel {round}");
            let all: Vec<FetchedTree> = (0..4).map(|_| brought(&folder, &text)).collect();
            let installed: Vec<io::Result<PathBuf>> = std::thread::scope(|scope| {
                let threads: Vec<_> = all.iter().map(|one| scope.spawn(|| folder.install(one))).collect();
                threads.into_iter().map(|thread| thread.join().unwrap()).collect()
            });
            for place in installed {
                assert_eq!(fs::read_to_string(place.unwrap().join("linux")).unwrap(), text);
            }
            assert!(folder.recall(&all[0].manifest.sha256).is_some());
        }
        assert_eq!(fs::read_dir(folder.root.join(NEW)).unwrap().count(), 0);
    }

    #[test]
    fn a_tree_that_cannot_get_its_place_leaves_nothing_behind() {
        let outer = tempfile::tempdir().unwrap();
        let folder = MediaFolder::at(outer.path().join("media"));
        let first = brought(&folder, "kernel");
        fs::write(folder.trees(), "in the way").unwrap();
        assert!(folder.install(&first).is_err());
        assert_eq!(fs::read_dir(folder.root.join(NEW)).unwrap().count(), 0);
    }

    #[test]
    fn what_is_in_use_is_not_garbage_and_the_rest_is() {
        let outer = tempfile::tempdir().unwrap();
        let folder = MediaFolder::at(outer.path().join("media"));
        let (kept, gone) = (brought(&folder, "kept"), brought(&folder, "gone"));
        folder.install(&kept).unwrap();
        folder.install(&gone).unwrap();
        make(&folder.fetched("old")).unwrap();
        let used = UsedItems { digests: [kept.manifest.sha256.clone()].into(), ..UsedItems::default() };
        let found = find(&folder, &used).unwrap();
        let told: Vec<_> = found.iter().map(|garbage| (garbage.kind, garbage.id.as_str())).collect();
        let digest = gone.manifest.sha256.as_str();
        assert_eq!(
            told,
            [(LeftoverKind::Tree, digest), (LeftoverKind::Download, "old"), (LeftoverKind::Manifest, digest)]
        );
        found.iter().for_each(|garbage| delete(garbage).unwrap());
        assert!(find(&folder, &used).unwrap().is_empty());
        assert!(folder.tree(&kept.manifest.sha256).join("linux").exists());
    }
}
