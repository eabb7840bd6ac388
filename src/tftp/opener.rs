//! What the service asks of the rest of the program: to open a path for a peer, and to hear how the read
//! went.

use crate::artifacts::opened::FileSubject;
use crate::proto::tftp::{ErrorCode, TransferEnd};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use std::fs::File;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// A read request within bounds: the path is UTF-8 without NUL, at most 512 bytes, and otherwise as it came
/// (back-slashes, `..` and a leading slash included). Normalising and containing it is the opener's work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadRequest {
    pub path: String,
    pub peer: SocketAddr,
    /// Our unicast address that faces the peer.
    pub local: IpAddr,
}

/// The bytes of a file; the length is fixed when it is opened, so that `tsize` is true.
#[derive(Debug)]
pub enum ReadBody {
    Bytes(Bytes),
    File { file: File, bytes: u64 },
}

/// A file that may be read.
#[derive(Debug)]
pub struct OpenedRead {
    pub body: ReadBody,
    /// What the file is, for logs and the outcome, such as `artifact:debian-12/linux`.
    pub label: String,
    /// Whom it is about; handed back in the outcome.
    pub about: FileSubject,
    /// Largest block for this peer, where its subnet sets one.
    pub block_bytes_max: Option<u16>,
}

/// Why a path is not served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReadRefusal {
    /// Answered with this ERROR at once: option ROMs try their next path only after an ERROR.
    Error { code: ErrorCode, message: String },
    /// Not answered at all: the peer is none of ours.
    Silence,
}

/// How a read ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TransferResult {
    /// The protocol's own ends, `TransferEnd::Complete` among them.
    Ended(TransferEnd),
    /// The same client port asked for something else.
    Replaced,
    /// The server is shutting down.
    Stopped,
    /// The file could not be read to its end.
    Failed(String),
}

/// The record of a read that was begun.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransferOutcome {
    pub path: String,
    pub label: String,
    pub about: FileSubject,
    pub peer: SocketAddr,
    pub local: IpAddr,
    /// Length of the body on the wire, and how much of it the peer acknowledged.
    pub body_bytes: u64,
    pub acked_bytes: u64,
    pub block_bytes: u16,
    pub window_blocks: u16,
    pub retransmissions: u32,
    pub duration: Duration,
    pub result: TransferResult,
}

/// Decides what a path is for a peer.
pub trait ReadOpener: Send + Sync + 'static {
    /// Opens a path. May take a while (rendering); repeated requests of the client are dropped meanwhile.
    fn open(&self, request: ReadRequest) -> BoxFuture<'_, Result<OpenedRead, ReadRefusal>>;

    /// Whether the one who asks is served at all; others hear nothing, whatever they send.
    fn is_served(&self, request: &ReadRequest) -> bool;

    /// Hears of the end of every read that was begun. Called once for each, and must not block.
    fn finished(&self, outcome: TransferOutcome);
}
