//! What nobody refers to any more, and how it is thrown away.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::Serialize;

use super::Folder;

/// Most things found at a time.
pub const FOUND_MAX: usize = 10_000;
/// Most files that are counted of one thing.
const COUNTED_MAX: usize = 1_000_000;

/// What a leftover is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Leftover {
    /// A tree that no artifact serves.
    Tree,
    /// The list of files of such a tree, or of files that are others now.
    Manifest,
    /// A download that no artifact waits for.
    Download,
    /// What was kept of a remote tree that no artifact passes on.
    Mirror,
}

/// One thing that can go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Garbage {
    pub kind: Leftover,
    /// The digest of a tree or manifest, the id of a download or of what was kept of a remote tree.
    pub id: String,
    /// Bytes on the disk.
    pub bytes: u64,
    #[serde(skip)]
    pub path: PathBuf,
}

/// What artifacts refer to.
#[derive(Clone, Debug, Default)]
pub struct InUse {
    pub digests: BTreeSet<String>,
    pub downloads: BTreeSet<String>,
    pub mirrors: BTreeSet<String>,
}

impl InUse {
    /// Whether something is referred to.
    pub fn has(&self, garbage: &Garbage) -> bool {
        match garbage.kind {
            Leftover::Tree | Leftover::Manifest => self.digests.contains(&garbage.id),
            Leftover::Download => self.downloads.contains(&garbage.id),
            Leftover::Mirror => self.mirrors.contains(&garbage.id),
        }
    }
}

/// Everything that is not in use, at most [`FOUND_MAX`].
///
/// # Errors
/// The directory cannot be read.
pub fn find(folder: &Folder, used: &InUse) -> io::Result<Vec<Garbage>> {
    let places = [
        (Leftover::Tree, folder.trees()),
        (Leftover::Download, folder.all_fetched()),
        (Leftover::Mirror, folder.mirrors()),
        (Leftover::Manifest, folder.manifests()),
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
            let garbage = Garbage { kind, id, bytes: 0, path };
            if found.len() < FOUND_MAX && !used.has(&garbage) {
                let bytes = bytes_of(&garbage.path)?;
                found.push(Garbage { bytes, ..garbage });
            }
        }
    }
    Ok(found)
}

/// Deletes one.
///
/// # Errors
/// The disk refuses.
pub fn delete(garbage: &Garbage) -> io::Result<()> {
    match garbage.kind {
        Leftover::Manifest => fs::remove_file(&garbage.path),
        Leftover::Tree | Leftover::Download | Leftover::Mirror => fs::remove_dir_all(&garbage.path),
    }
}

fn bytes_of(path: &Path) -> io::Result<u64> {
    let mut bytes = 0;
    let mut open = vec![path.to_owned()];
    for _ in 0..COUNTED_MAX {
        let Some(path) = open.pop() else { break };
        let about = fs::symlink_metadata(&path)?;
        // Blocks of 512 bytes, whatever the file system has. What another tree shares stays.
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
