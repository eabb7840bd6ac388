//! Finds and deletes files that nothing refers to.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::Serialize;

use super::MediaFolder;

/// Most items that one search returns.
pub const FOUND_MAX: usize = 10_000;
/// Most files that are counted in one item.
const COUNTED_MAX: usize = 1_000_000;

/// The kind of an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LeftoverKind {
    /// A tree that no artifact serves.
    Tree,
    /// The manifest of such a tree, or of files that have changed since.
    Manifest,
    /// A download that no artifact waits for.
    Download,
    /// The cache of a mirror that no longer exists.
    Mirror,
}

/// An item that can be deleted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct GarbageItem {
    pub kind: LeftoverKind,
    /// The digest of a tree or manifest, or the id of a download or cache.
    pub id: String,
    /// Bytes on disk.
    pub bytes: u64,
    #[serde(skip)]
    pub path: PathBuf,
}

/// The items that artifacts refer to.
#[derive(Clone, Debug, Default)]
pub struct UsedItems {
    pub digests: BTreeSet<String>,
    pub downloads: BTreeSet<String>,
    pub mirrors: BTreeSet<String>,
}

impl UsedItems {
    /// Whether an artifact refers to this item.
    pub fn has(&self, garbage: &GarbageItem) -> bool {
        match garbage.kind {
            LeftoverKind::Tree | LeftoverKind::Manifest => self.digests.contains(&garbage.id),
            LeftoverKind::Download => self.downloads.contains(&garbage.id),
            LeftoverKind::Mirror => self.mirrors.contains(&garbage.id),
        }
    }
}

/// All items that are not in use, at most [`FOUND_MAX`].
///
/// # Errors
/// The directory cannot be read.
pub fn find(folder: &MediaFolder, used: &UsedItems) -> io::Result<Vec<GarbageItem>> {
    let places = [
        (LeftoverKind::Tree, folder.trees()),
        (LeftoverKind::Download, folder.all_fetched()),
        (LeftoverKind::Mirror, folder.mirrors()),
        (LeftoverKind::Manifest, folder.manifests()),
    ];
    let mut found = Vec::new();
    for (kind, place) in places {
        let entries = match fs::read_dir(&place) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            entries => entries?,
        };
        for entry in entries {
            let path = entry?.path();
            let id = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let garbage = GarbageItem { kind, id, bytes: 0, path };
            if found.len() < FOUND_MAX && !used.has(&garbage) {
                let bytes = bytes_of(&garbage.path)?;
                found.push(GarbageItem { bytes, ..garbage });
            }
        }
    }
    Ok(found)
}

/// Deletes an item.
///
/// # Errors
/// The disk refuses.
pub fn delete(garbage: &GarbageItem) -> io::Result<()> {
    match garbage.kind {
        LeftoverKind::Manifest => fs::remove_file(&garbage.path),
        LeftoverKind::Tree | LeftoverKind::Download | LeftoverKind::Mirror => {
            fs::remove_dir_all(&garbage.path)
        }
    }
}

fn bytes_of(path: &Path) -> io::Result<u64> {
    let mut bytes = 0;
    let mut open = vec![path.to_owned()];
    for _ in 0..COUNTED_MAX {
        let Some(path) = open.pop() else { break };
        let about = fs::symlink_metadata(&path)?;
        // Blocks of 512 bytes, whatever the file system uses. Files shared with another tree stay.
        if about.is_dir() || about.nlink() == 1 {
            bytes += about.blocks() * 512;
        }
        if about.is_dir() {
            for entry in fs::read_dir(&path)? {
                open.push(entry?.path());
            }
        }
    }
    Ok(bytes)
}
