//! What is kept of runs besides their objects: the documents that were served, and what is asked before
//! history is pruned.

use jiff::Timestamp;
use uuid::Uuid;

use crate::model::ServedDocument;

/// Most documents that are recorded under one run.
pub const RUN_DOCUMENTS_MAX: u32 = 1024;

/// A document that was served under a run, with its text.
#[derive(Clone, Debug)]
pub struct KeptDocument {
    pub run: Uuid,
    pub served: ServedDocument,
    /// The text, compressed (zlib, RFC 1950); empty where it is not kept.
    pub content: Vec<u8>,
}

/// The documents of one run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunDocuments {
    pub run: Uuid,
    pub count: u64,
    /// Length of the compressed texts. A text that several runs share counts for each.
    pub kept_bytes: u64,
    pub first_at: Timestamp,
    pub last_at: Timestamp,
}

/// All documents that are kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DocumentUsage {
    /// Length of all compressed texts.
    pub kept_bytes: u64,
    /// By run, the one that was served something longest ago first.
    pub runs: Vec<RunDocuments>,
}

/// Which events are old.
#[derive(Clone, Copy, Debug)]
pub struct EventCut {
    /// Those beyond so many newer ones.
    pub keep: u64,
    /// Those that are older than this.
    pub since: Option<Timestamp>,
    /// Those beyond so many bytes of newer ones; found by blocks of events, so about as many.
    pub bytes: Option<u64>,
}

/// The oldest events, up to a cut.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OldEvents {
    pub count: u64,
    pub bytes: u64,
    /// How many events are newer.
    pub newer: u64,
    pub oldest: Option<Timestamp>,
}
