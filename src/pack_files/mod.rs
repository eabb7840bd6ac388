//! The files of a pack: read from a folder or an archive within bounds, known by their digest, signed.
//!
//! Nothing here knows what the files mean, except `pack.yaml`; `catalog::content` reads them into objects.
//! Start at [`read_folder`] and [`read_archive`]. Both give every fault, each with the path of its file.

mod archive;
mod folder;
mod manifest;
mod objects;
mod signature;
mod yaml;

use std::collections::BTreeSet;

pub use archive::{ARCHIVE_BYTES_MAX, read_archive, write_archive};
pub use folder::{read_folder, read_tests, write_folder};
pub use manifest::{MANIFEST, manifest};
pub use objects::{PackedObject, packed_objects};
pub use signature::{SIGNATURE, check_key, signed_by};
pub use yaml::{parse_yaml, with_lines};

use crate::model::{Problem, RefusalCode, check_file_path, sha256_hex};

/// Most files of one pack.
pub const FILES_MAX: usize = 10_000;
/// Largest file of a pack, in bytes.
pub const FILE_BYTES_MAX: usize = 2 << 20;
/// Size of all files of a pack, in bytes.
pub const PACK_BYTES_MAX: usize = 8 << 20;
/// Most folders above a file.
const DEPTH_MAX: usize = 16;
/// Most faults that are told of one pack.
const FAULTS_MAX: usize = 256;

/// The folder of a pack's tests, which are no part of what is loaded.
pub const TESTS: &str = "tests/";
/// The folders of content.
pub const CONTENT_FOLDERS: [&str; 5] =
    ["bootenvs/", "client_classes/", "templates/", "verbatim/", "workflows/"];

/// A file of a pack: its path below the pack's root, with `/` between the parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PackFile {
    pub path: String,
    pub body: Vec<u8>,
}

/// A fault, with the path of its file; the path is empty for the pack as a whole.
pub type FileFault = (String, Problem);

/// What a file is to a pack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum FileRole {
    /// `pack.yaml`, its signature, content, or a text beside it: `README.md`, `LICENSE`.
    Kept,
    /// Tests, and what begins with a dot at the top: `.git`, `.github`. It is left out.
    LeftOut,
    Unknown,
}

fn part_of(path: &str) -> FileRole {
    let is_text =
        !path.contains('/') && (path.ends_with(".md") || ["LICENSE", "LICENCE", "NOTICE"].contains(&path));
    match path {
        MANIFEST | SIGNATURE => FileRole::Kept,
        _ if is_text || is_content(path) => FileRole::Kept,
        _ if path.split('/').any(|part| [".", ".."].contains(&part)) => FileRole::Unknown,
        _ if path.starts_with('.') || path.starts_with(TESTS) => FileRole::LeftOut,
        _ => FileRole::Unknown,
    }
}

/// Whether a file is in one of the folders of content.
pub fn is_content(path: &str) -> bool {
    CONTENT_FOLDERS.iter().any(|folder| path.starts_with(folder))
}

/// The list of files that a pack's digest is the digest of and its signature signs: a line for each, with
/// path, size in bytes and SHA-256. The signature itself is not in it.
pub fn file_list(files: &[PackFile]) -> String {
    let mut listed: Vec<&PackFile> = files.iter().filter(|file| file.path != SIGNATURE).collect();
    listed.sort_by(|a, b| a.path.cmp(&b.path));
    listed
        .into_iter()
        .map(|file| format!("{} {} {}\n", file.path, file.body.len(), sha256_hex(&file.body)))
        .collect()
}

/// The digest of a pack: the SHA-256 of [`file_list`], in hex.
pub fn digest(files: &[PackFile]) -> String {
    sha256_hex(file_list(files))
}

/// The files of a pack of those in a folder or archive: sorted, without tests and hidden files.
fn accept(found: Vec<PackFile>) -> Result<Vec<PackFile>, Vec<FileFault>> {
    let mut faults = Vec::new();
    let mut kept: Vec<PackFile> = Vec::new();
    for file in found {
        match part_of(&file.path) {
            FileRole::LeftOut => continue,
            FileRole::Unknown => faults.push((file.path.clone(), unknown_file())),
            FileRole::Kept => {}
        }
        faults.extend(file_faults(&file).map(|problem| (file.path.clone(), problem)));
        kept.push(file);
    }
    kept.sort_by(|a, b| a.path.cmp(&b.path));
    let mut seen: BTreeSet<&str> = BTreeSet::new();
    for file in &kept {
        if !seen.insert(&file.path) {
            let twice = Problem::new("", "there are two files of this path").coded(RefusalCode::Duplicate);
            faults.push((file.path.clone(), twice));
        }
    }
    faults.extend(whole_faults(&kept).map(|problem| (String::new(), problem)));
    faults.truncate(FAULTS_MAX);
    if faults.is_empty() { Ok(kept) } else { Err(faults) }
}

fn unknown_file() -> Problem {
    let folders = CONTENT_FOLDERS.join(", ");
    let what = format!(
        "a pack has no such file: it has {MANIFEST}, {SIGNATURE}, README.md and other .md files, LICENSE, \
         and the folders {folders}, {TESTS}"
    );
    Problem::new("", what)
}

fn file_faults(file: &PackFile) -> impl Iterator<Item = Problem> {
    let long = file.body.len() > FILE_BYTES_MAX;
    let long = long.then(|| format!("longer than {FILE_BYTES_MAX} bytes"));
    let text = std::str::from_utf8(&file.body).is_err().then(|| "not UTF-8 text".to_owned());
    long.into_iter().chain(text).map(|what| Problem::new("", what)).chain(path_faults(&file.path))
}

/// The faults of a path of a pack.
fn path_faults(path: &str) -> Vec<Problem> {
    if path.split('/').count() > DEPTH_MAX {
        let what = format!("more than {DEPTH_MAX} folders deep");
        return vec![Problem::new("", what).coded(RefusalCode::TooLarge)];
    }
    check_file_path(path, "")
}

fn whole_faults(files: &[PackFile]) -> impl Iterator<Item = Problem> {
    let bytes: usize = files.iter().map(|file| file.body.len()).sum();
    let many = (files.len() > FILES_MAX)
        .then(|| format!("the pack has {} files, at most {FILES_MAX} are read", files.len()));
    let large = (bytes > PACK_BYTES_MAX)
        .then(|| format!("the pack has {bytes} bytes, at most {PACK_BYTES_MAX} are read"));
    many.into_iter().chain(large).map(|what| Problem::new("", what).coded(RefusalCode::TooLarge))
}

/// A fault of the pack as a whole.
fn fault_of_all(what: impl Into<String>) -> Vec<FileFault> {
    vec![(String::new(), Problem::new("", what.into()))]
}

/// The faults as problems that name their files, for an answer of the API.
pub fn problems(faults: Vec<FileFault>) -> Vec<Problem> {
    let named = faults.into_iter().map(|(path, problem)| match path.is_empty() {
        true => problem,
        false => Problem { template: Some(path), ..problem },
    });
    named.collect()
}

#[cfg(test)]
mod tests;
