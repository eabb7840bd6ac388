//! Stores equal files of different trees once: two media of a distribution have many packages in common. A
//! file of a new tree becomes a hard link to one of an older tree, after every byte of the two was compared,
//! so that a damaged file is never shared. Files of trees are never written to, and deleting a tree removes
//! only its own links.

use std::collections::HashMap;
use std::fs::{self, File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::{MediaFolder, MediaJob, TreeManifest};

/// Smaller files are not worth the work.
const BYTES_MIN: u64 = 64 << 10;
/// Most trees that are compared.
const TREES_MAX: usize = 256;
const CHUNK_BYTES: usize = 256 << 10;

/// Makes files of a tree that is not installed yet share their bytes with installed trees. Returns how many
/// bytes are saved.
///
/// # Errors
/// The job was stopped, or the directory cannot be read. Files that cannot be shared stay as they are.
pub(super) fn with_others(
    folder: &MediaFolder,
    (tree, manifest): (&Path, &TreeManifest),
    job: &MediaJob,
) -> io::Result<u64> {
    let mut wanted: HashMap<&str, Vec<&str>> = HashMap::new();
    for (path, digest) in manifest.entries.iter().filter(|(_, entry)| !entry.starts_with("->")) {
        let is_large = fs::metadata(tree.join(path)).is_ok_and(|about| about.len() >= BYTES_MIN);
        if is_large {
            wanted.entry(digest).or_default().push(path);
        }
    }
    let mut saved = 0;
    for other in others(folder)? {
        let root = folder.tree(&other.sha256);
        for (path, digest) in &other.entries {
            let Some(paths) = wanted.get_mut(digest.as_str()) else { continue };
            job.check()?;
            paths.retain(|new| match link(&root.join(path), (tree, new)) {
                Ok(Some(bytes)) => {
                    saved += bytes;
                    false
                }
                // Another tree may have the file too.
                Ok(None) | Err(_) => true,
            });
        }
    }
    Ok(saved)
}

/// The manifests of the installed trees.
fn others(folder: &MediaFolder) -> io::Result<impl Iterator<Item = TreeManifest>> {
    let entries = match fs::read_dir(folder.trees()) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        entries => Some(entries?),
    };
    let names = entries.into_iter().flatten().take(TREES_MAX).flatten().map(|entry| entry.file_name());
    Ok(names.filter_map(|name| folder.recall(name.to_str()?)))
}

/// Replaces a file of the new tree by a link to `old`, if both have the same bytes.
fn link(old: &Path, (tree, new): (&Path, &str)) -> io::Result<Option<u64>> {
    let new = tree.join(new);
    let (before, now) = (fs::symlink_metadata(old)?, fs::symlink_metadata(&new)?);
    let fits = before.is_file() && now.is_file() && before.len() == now.len() && before.ino() != now.ino();
    if !fits || !may_be_one(&before, &now) || !are_equal(old, &new)? {
        return Ok(None);
    }
    let beside = tree.with_extension("link");
    drop(fs::remove_file(&beside));
    fs::hard_link(old, &beside)?;
    fs::rename(&beside, &new)?;
    Ok(Some(now.len()))
}

/// A link has the mode of its target.
fn may_be_one(one: &Metadata, other: &Metadata) -> bool {
    one.mode() == other.mode() && one.uid() == other.uid()
}

fn are_equal(one: &Path, other: &Path) -> io::Result<bool> {
    let (mut one, mut other) = (File::open(one)?, File::open(other)?);
    let (mut left, mut right) = (vec![0; CHUNK_BYTES], vec![0; CHUNK_BYTES]);
    loop {
        let read = one.read(&mut left)?;
        let (Some(left), Some(right)) = (left.get(..read), right.get_mut(..read)) else { return Ok(false) };
        if read == 0 {
            return Ok(other.read(&mut [0])? == 0);
        }
        match other.read_exact(right) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(false),
            done => done?,
        }
        if left != right {
            return Ok(false);
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::artifacts::media::FetchedTree;
    use crate::model::ArtifactKind;

    fn job() -> MediaJob {
        MediaJob::new(CancellationToken::new())
    }

    fn brought(folder: &MediaFolder, files: &[(&str, &str)]) -> (FetchedTree, u64) {
        let tree = folder.new_tree().unwrap();
        for (path, text) in files {
            fs::write(tree.join(path), text).unwrap();
        }
        let manifest = TreeManifest::of(&tree, ArtifactKind::Tree, &job()).unwrap();
        let saved = with_others(folder, (&tree, &manifest), &job()).unwrap();
        (FetchedTree { tree, manifest }, saved)
    }

    fn inode(path: &Path) -> u64 {
        fs::metadata(path).unwrap().ino()
    }

    #[test]
    fn equal_files_of_two_trees_are_one_on_the_disk_and_outlive_either_tree() {
        let outer = tempfile::tempdir().unwrap();
        let folder = MediaFolder::at(outer.path().join("media"));
        let large = "x".repeat(100_000);
        let (first, saved) = brought(&folder, &[("bash.rpm", &large), ("small", "x")]);
        assert_eq!(saved, 0);
        let first = folder.install(&first).unwrap();
        let (second, saved) = brought(&folder, &[("b.rpm", &large), ("small", "x"), ("other", "y")]);
        assert_eq!(saved, 100_000);
        let second_place = folder.install(&second).unwrap();
        assert_eq!(inode(&first.join("bash.rpm")), inode(&second_place.join("b.rpm")));
        assert_ne!(inode(&first.join("small")), inode(&second_place.join("small")));
        assert_eq!(TreeManifest::of(&second_place, ArtifactKind::Tree, &job()).unwrap(), second.manifest);
        fs::remove_dir_all(first).unwrap();
        assert_eq!(fs::read_to_string(second_place.join("b.rpm")).unwrap(), large);
    }

    #[test]
    fn a_file_that_has_been_damaged_is_not_shared() {
        let outer = tempfile::tempdir().unwrap();
        let folder = MediaFolder::at(outer.path().join("media"));
        let large = "x".repeat(100_000);
        let (first, _) = brought(&folder, &[("bash.rpm", &large)]);
        let place = folder.install(&first).unwrap();
        fs::write(place.join("bash.rpm"), "y".repeat(100_000)).unwrap();
        let (second, saved) = brought(&folder, &[("bash.rpm", &large), ("more", "x")]);
        assert_eq!(saved, 0);
        assert_eq!(fs::read_to_string(second.tree.join("bash.rpm")).unwrap(), large);
        // The same tree again is complete, and replaces the damaged one.
        let (again, _) = brought(&folder, &[("bash.rpm", &large)]);
        assert_eq!(folder.install(&again).unwrap(), place);
        assert_eq!(fs::read_to_string(place.join("bash.rpm")).unwrap(), large);
    }
}
