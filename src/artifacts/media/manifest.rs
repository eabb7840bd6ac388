//! The manifest of a tree: every file with its digest, every link with its target. The digest of the manifest
//! is that of the artifact.
//!
//! As text it has one line for each entry, sorted by path: `<sha256>  <path>` for a file, `-> <target>
//! <path>` for a link.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::tree::TreeLimits;
use super::{JobPhase, MediaJob};
use crate::model::{ArtifactKind, hex, sha256_hex};

/// Bytes that are read at a time for a digest.
const CHUNK_BYTES: usize = 1 << 20;
/// Largest manifest that is read back, in bytes.
const MANIFEST_BYTES_MAX: u64 = 512 << 20;

/// Files and links of a tree.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TreeManifest {
    /// SHA-256 of the manifest.
    pub sha256: String,
    /// Size of all files, in bytes.
    pub size: u64,
    /// By path: the SHA-256 of a file, or `-> target` of a link.
    pub entries: BTreeMap<String, String>,
}

impl TreeManifest {
    /// Reads and hashes everything at `root`: a directory, or a single file.
    ///
    /// # Errors
    /// A file cannot be read, with its name; there are too many files; the job was stopped.
    pub fn of(root: &Path, kind: ArtifactKind, job: &MediaJob) -> io::Result<Self> {
        let found = match kind {
            ArtifactKind::File if !root.is_dir() => {
                let name = root.file_name().and_then(|name| name.to_str());
                single((name.ok_or_else(|| io::Error::other("it is not the path of a file"))?, root))?
            }
            _ => list(root, job)?,
        };
        TreeManifest::read_all(found, job)
    }

    /// Reads and hashes the file at `path`, whose name in the artifact is `name`.
    ///
    /// # Errors
    /// Those of [`TreeManifest::of`].
    pub fn of_file(file: (&str, &Path), job: &MediaJob) -> io::Result<Self> {
        TreeManifest::read_all(single(file)?, job)
    }

    fn read_all(found: Vec<(String, TreeEntry)>, job: &MediaJob) -> io::Result<Self> {
        let total = found.iter().filter_map(|(_, entry)| entry.bytes()).sum();
        job.begin(JobPhase::Reading, Some(total));
        let mut manifest = TreeManifest { size: total, ..TreeManifest::default() };
        for (path, entry) in found {
            let line = match entry {
                TreeEntry::Link(target) => format!("-> {target}"),
                TreeEntry::File(place, _) => hash::<Sha256>(&place, job)
                    .map_err(|error| io::Error::new(error.kind(), format!("{path}: {error}")))?,
            };
            manifest.entries.insert(path, line);
        }
        manifest.sha256 = sha256_hex(manifest.text());
        Ok(manifest)
    }

    /// The number of files, without links.
    pub fn files(&self) -> u64 {
        self.entries.values().filter(|line| !line.starts_with("-> ")).count() as u64
    }

    /// Whether a path leads to a file, possibly through links of the tree.
    pub fn contains(&self, path: &str) -> bool {
        let mut path = path.to_owned();
        for _ in 0..LINKS_MAX {
            match self.entries.get(&path) {
                Some(line) => match line.strip_prefix("-> ") {
                    None => return true,
                    Some(target) => path = joined(&path, target),
                },
                // A link to a folder may be any part of the path.
                None => match self.through_a_link(&path) {
                    Some(other) => path = other,
                    None => return false,
                },
            }
        }
        false
    }

    fn through_a_link(&self, path: &str) -> Option<String> {
        path.match_indices('/').find_map(|(at, _)| {
            let (above, rest) = (path.get(..at)?, path.get(at..)?);
            let target = self.entries.get(above)?.strip_prefix("-> ")?;
            Some(joined("", &format!("{}{rest}", joined(above, target))))
        })
    }

    /// The paths at which another tree differs from this one.
    pub fn differences<'a>(&'a self, other: &'a TreeManifest) -> Vec<&'a str> {
        let changed = self.entries.iter().filter(|(path, line)| other.entries.get(*path) != Some(line));
        let added = other.entries.keys().filter(|path| !self.entries.contains_key(*path));
        changed.map(|(path, _)| path).chain(added).map(String::as_str).collect()
    }

    fn text(&self) -> String {
        self.entries.iter().map(|(path, line)| format!("{line}  {path}\n")).collect()
    }

    pub(super) fn write(&self, path: &Path) -> io::Result<()> {
        let mut file = File::create(path)?;
        file.write_all(format!("{}\n{}", self.size, self.text()).as_bytes())?;
        file.sync_all()
    }

    pub(super) fn read(path: &Path) -> io::Result<Self> {
        let mut text = String::new();
        File::open(path)?.take(MANIFEST_BYTES_MAX).read_to_string(&mut text)?;
        let (size, lines) = text.split_once('\n').unwrap_or_default();
        let entries = lines.lines().filter_map(|line| {
            // A target may contain two blanks; a digest cannot.
            let (line, path) = match line.strip_prefix("-> ") {
                Some(_) => line.rsplit_once("  ")?,
                None => line.split_once("  ")?,
            };
            Some((path.to_owned(), line.to_owned()))
        });
        let size = size.parse().unwrap_or_default();
        Ok(TreeManifest { sha256: sha256_hex(lines), size, entries: entries.collect() })
    }
}

/// Most links that one path goes through, as in Linux.
const LINKS_MAX: usize = 40;

/// The target of a link at `path`: parts joined, `..` resolved.
fn joined(path: &str, target: &str) -> String {
    let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
    let mut parts: Vec<&str> = Vec::new();
    for part in folder.split('/').chain(target.split('/')) {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

enum TreeEntry {
    File(PathBuf, u64),
    Link(String),
}

impl TreeEntry {
    fn bytes(&self) -> Option<u64> {
        match self {
            TreeEntry::File(_, bytes) => Some(*bytes),
            TreeEntry::Link(_) => None,
        }
    }
}

fn single((name, path): (&str, &Path)) -> io::Result<Vec<(String, TreeEntry)>> {
    let about = fs::metadata(path)?;
    if !about.is_file() {
        return Err(io::Error::other("it is not a file"));
    }
    Ok(vec![(name.to_owned(), TreeEntry::File(path.to_owned(), about.len()))])
}

/// Everything below `root`. Links are not followed, because their targets inside the tree are listed
/// themselves. Names that no path over TFTP or HTTP can have are left out.
fn list(root: &Path, job: &MediaJob) -> io::Result<Vec<(String, TreeEntry)>> {
    let mut found = Vec::new();
    let mut folders = vec![root.to_path_buf()];
    while let Some(folder) = folders.pop() {
        job.check()?;
        for entry in fs::read_dir(&folder)? {
            let entry = entry?;
            let (kind, path) = (entry.file_type()?, entry.path());
            let relative = path.strip_prefix(root).map_err(io::Error::other)?;
            let Some(name) = relative.to_str() else {
                return Err(io::Error::other(format!("{} is not named in UTF-8", relative.display())));
            };
            if kind.is_dir() {
                folders.push(path);
            } else if name.chars().any(char::is_control) {
                continue;
            } else if kind.is_file() {
                found.push((name.to_owned(), TreeEntry::File(path.clone(), entry.metadata()?.len())));
            } else if kind.is_symlink() {
                let target = fs::read_link(&path)?.to_string_lossy().replace(char::is_control, "?");
                found.push((name.to_owned(), TreeEntry::Link(target)));
            }
            if found.len() > TreeLimits::ENTRIES_MAX {
                return Err(io::Error::other(format!("more than {} files", TreeLimits::ENTRIES_MAX)));
            }
        }
    }
    Ok(found)
}

/// The digest of a file in hex; the bytes count as the job's progress.
pub(super) fn hash<D: Digest>(path: &Path, job: &MediaJob) -> io::Result<String> {
    let mut file = File::open(path)?;
    let mut digest = D::new();
    let mut buffer = vec![0; CHUNK_BYTES];
    loop {
        job.check()?;
        let read = file.read(&mut buffer)?;
        let Some(chunk) = buffer.get(..read).filter(|chunk| !chunk.is_empty()) else {
            return Ok(hex(&digest.finalize()));
        };
        digest.update(chunk);
        job.add(chunk.len() as u64);
    }
}

#[cfg(test)]
mod tests {
    use tokio_util::sync::CancellationToken;

    use super::*;

    fn of(root: &Path) -> TreeManifest {
        TreeManifest::of(root, ArtifactKind::Tree, &MediaJob::new(CancellationToken::new())).unwrap()
    }

    fn tree() -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("images/pxeboot")).unwrap();
        fs::write(root.path().join("linux"), "kernel").unwrap();
        fs::write(root.path().join("images/pxeboot/initrd.img"), "initrd").unwrap();
        std::os::unix::fs::symlink("images", root.path().join("boot")).unwrap();
        std::os::unix::fs::symlink("../linux", root.path().join("images/vmlinuz")).unwrap();
        std::os::unix::fs::symlink(".", root.path().join("again")).unwrap();
        root
    }

    #[test]
    fn the_digest_changes_with_any_file_or_link_and_with_nothing_else() {
        let root = tree();
        let first = of(root.path());
        assert_eq!((first.files(), first.size, first.entries.len()), (2, 12, 5));
        assert_eq!(of(root.path()), first);
        fs::write(root.path().join("linux"), "other!").unwrap();
        let second = of(root.path());
        assert_ne!(second.sha256, first.sha256);
        assert_eq!(first.differences(&second), ["linux"]);
        fs::remove_file(root.path().join("again")).unwrap();
        assert_eq!(second.differences(&of(root.path())), ["again"]);
    }

    #[test]
    fn a_manifest_is_read_as_it_was_written() {
        let root = tree();
        let manifest = of(root.path());
        let path = root.path().join("manifest");
        manifest.write(&path).unwrap();
        assert_eq!(TreeManifest::read(&path).unwrap(), manifest);
    }

    #[test]
    fn a_path_is_found_through_links_and_not_in_circles() {
        let root = tree();
        std::os::unix::fs::symlink("circle", root.path().join("circle")).unwrap();
        let manifest = of(root.path());
        for there in ["linux", "boot/pxeboot/initrd.img", "again/again/boot/vmlinuz", "images/vmlinuz"] {
            assert!(manifest.contains(there), "{there}");
        }
        for absent in ["images", "initrd", "boot/linux", "circle", "circle/x", ""] {
            assert!(!manifest.contains(absent), "{absent}");
        }
    }
}
