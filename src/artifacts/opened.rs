//! A file that may be sent, independent of its source and of the protocol.

use std::fs::File;

use bytes::Bytes;
use uuid::Uuid;

pub use crate::artifacts::media::DownloadRest;
pub use crate::model::BootProtocol as Protocol;

/// The bytes of a file.
#[derive(Debug)]
pub enum FileBody {
    Bytes(Bytes),
    File {
        file: File,
        bytes: u64,
        /// Progress of a file that is not complete yet.
        coming: Option<DownloadRest>,
    },
}

impl FileBody {
    /// Length in bytes.
    pub fn bytes(&self) -> u64 {
        match self {
            FileBody::Bytes(bytes) => bytes.len() as u64,
            FileBody::File { bytes, .. } => *bytes,
        }
    }
}

/// The machine that a file is for, for events and metrics.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FileSubject {
    pub machine: Option<String>,
    pub attempt: Option<Uuid>,
    /// The artifact, if it is a mirror.
    pub mirror: Option<String>,
}

impl FileSubject {
    /// Whether sending the file is recorded: a file without a machine is on no timeline.
    pub fn is_recorded(&self) -> bool {
        self.machine.is_some() || self.mirror.is_some()
    }
}

/// A file that may be sent.
#[derive(Debug)]
pub struct OpenedFile {
    pub body: FileBody,
    /// The name of the file: `loader:snponly.efi`, `artifact:debian-12-amd64/linux`, `rendered:preseed.cfg`.
    pub label: String,
    pub content_type: &'static str,
    /// The version of a file on disk; rendered files have none and must not be cached.
    pub version: Option<FileVersion>,
    pub about: FileSubject,
}

/// The version of a file's content on disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileVersion {
    /// A strong entity tag with its quotes (RFC 9110 §8.8.3).
    pub tag: String,
    /// When the content was last changed, in seconds since 1970.
    pub modified: i64,
}

/// Why there is no file for a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FetchRefusal {
    Absent,
    /// The path is invalid: it leaves the tree, or has control characters.
    BadPath(&'static str),
    /// The file exists, but is not for this machine now.
    Denied(String),
    /// The file should exist, but cannot be sent: a failed render, a file that cannot be read.
    Failed(String),
}

impl FetchRefusal {
    /// What the metrics page calls each kind, in the order of their declaration.
    pub const REASONS: [&str; 4] = ["absent", "bad_path", "denied", "failed"];

    /// The place of its kind among [`FetchRefusal::REASONS`].
    pub fn reason_index(&self) -> usize {
        match self {
            FetchRefusal::Absent => 0,
            FetchRefusal::BadPath(_) => 1,
            FetchRefusal::Denied(_) => 2,
            FetchRefusal::Failed(_) => 3,
        }
    }
}
