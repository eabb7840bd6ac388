//! Records of runs besides the objects: the documents that were served, and the figures that pruning of
//! history needs.

use jiff::Timestamp;
use uuid::Uuid;

use crate::model::ServedDocument;

/// Most documents that are recorded for one run.
pub const RUN_DOCUMENTS_MAX: u32 = 1024;

/// A document that was served during a run, with its text.
#[derive(Clone, Debug)]
pub struct KeptDocument {
    pub run: Uuid,
    pub served: ServedDocument,
    /// The compressed text (zlib, RFC 1950); empty if it is not kept.
    pub content: Vec<u8>,
}

/// The documents of one run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunDocuments {
    pub run: Uuid,
    pub count: u64,
    /// Bytes of the compressed texts. A text that several runs share counts once per run.
    pub kept_bytes: u64,
    pub first_at: Timestamp,
    pub last_at: Timestamp,
}

/// The documents that are kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DocumentUsage {
    /// Bytes of all compressed texts.
    pub kept_bytes: u64,
    /// By run; the run whose last document is the oldest comes first.
    pub runs: Vec<RunDocuments>,
}

/// The rule for which events are old.
#[derive(Clone, Copy, Debug)]
pub struct EventCut {
    /// Events beyond this many newer ones are old.
    pub keep: u64,
    /// Events before this time are old.
    pub since: Option<Timestamp>,
    /// Those beyond so many bytes of newer ones; found by blocks of events, so about as many.
    pub bytes: Option<u64>,
}

/// The oldest events, up to a cut.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OldEvents {
    pub count: u64,
    pub bytes: u64,
    /// Number of newer events.
    pub newer: u64,
    pub oldest: Option<Timestamp>,
}
