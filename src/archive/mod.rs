//! The file of a backup: a gzip'd tar of a data directory, which common tools can read, and a layer of
//! encryption around it where that is asked for.
//!
//! ```text
//! backup.json        what it is a backup of: BackupFacts
//! metalwright.db     a snapshot of the database
//! secret.key, admin.token, tls/…, loaders/…
//! import/…, media/trees/…, media/manifests/…     with the files of artifacts
//! SHA256SUMS         digest and name of every file before it, as sha256sum(1) writes them
//! ```
//!
//! `SHA256SUMS` is the last member, so that what is sent while it is made has its digests too, and a file
//! that was cut short has none. Behind the tar is the digest of the whole file (`end_digest`). Start at
//! [`write::ArchiveWriter`] and [`read::unpack`]; [`cipher`] is the encryption, `file` the file itself. What
//! is done with a data directory is for others.

pub mod cipher;
mod end_digest;
pub mod file;
pub mod read;
pub mod write;

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// The layout of the file. A number higher than this one is refused. Files of format 1 have no digest at
/// their end.
pub const FORMAT: u32 = 2;
/// The first format with a digest of the whole file at its end.
const END_DIGEST_SINCE: u32 = 2;
/// Most files and links of a backup.
const MEMBERS_MAX: usize = 4 << 20;
/// Largest `backup.json` and `SHA256SUMS`, in bytes.
const LIST_BYTES_MAX: u64 = 512 << 20;

pub const FACTS: &str = "backup.json";
pub const DATABASE: &str = "metalwright.db";
pub const SUMS: &str = "SHA256SUMS";
/// Files of a data directory that every backup has, where they are there.
pub const FILES: [&str; 2] = ["secret.key", "admin.token"];
/// Folders of a data directory that every backup has, where they are there.
pub const FOLDERS: [&str; 2] = ["tls", "loaders"];
/// Folders with the files of artifacts.
pub const ARTIFACT_FOLDERS: [&str; 3] = ["import", "media/trees", "media/manifests"];

/// What a backup is of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupFacts {
    pub format: u32,
    /// Version of the program that made it.
    pub program: String,
    /// Number of the newest migration of its database.
    pub schema: u64,
    pub created_at: Timestamp,
    /// Settings that the server was started with; empty where none ran.
    pub configuration: BTreeMap<String, String>,
    pub artifacts: Vec<ArchivedArtifact>,
}

/// An artifact, and whether its files are in the backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArchivedArtifact {
    pub name: String,
    /// The path or URL that its files come from.
    pub origin: String,
    /// Digest over its files, where they were there.
    pub sha256: Option<String>,
    /// Bytes of all files.
    pub size: u64,
    pub included: bool,
}

/// Whether a backup has the files of artifacts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ArtifactContents {
    Listed,
    Included,
}

/// Whether a member may have this name: a file of a data directory, by a path that stays in it.
fn is_member(name: &str) -> bool {
    let clean = name.split('/').all(|part| !matches!(part, "" | "." | ".."))
        && !name.chars().any(|c| c.is_control() || c == '\\');
    let mut folders = FOLDERS.iter().chain(&ARTIFACT_FOLDERS);
    let below = |folder: &&str| name.strip_prefix(*folder).is_some_and(|rest| rest.starts_with('/'));
    clean && (FILES.contains(&name) || [FACTS, DATABASE].contains(&name) || folders.any(below))
}

#[cfg(test)]
mod tests;
