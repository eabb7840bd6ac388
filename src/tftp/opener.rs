//! The service's interface to the rest of the program: opening a path for a peer, and reporting how the read
//! ended.

use crate::artifacts::opened::FileSubject;
use crate::proto::tftp::{ErrorCode, TransferEnd};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use std::fs::File;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// A read request within the bounds: the path is UTF-8 without NUL, at most 512 bytes, and otherwise
/// unchanged (including back-slashes, `..` and a leading slash). The opener has to normalise it and to keep
/// it in its tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadRequest {
    pub path: String,
    pub peer: SocketAddr,
    /// The server's unicast address that faces the peer.
    pub local: IpAddr,
}

/// The bytes of a file. The length is fixed when the file is opened, so that `tsize` is right.
#[derive(Debug)]
pub enum ReadBody {
    Bytes(Bytes),
    File { file: File, bytes: u64 },
}

/// A file that may be read.
#[derive(Debug)]
pub struct OpenedRead {
    pub body: ReadBody,
    /// The name of the file for logs and the outcome, such as `artifact:debian-12/linux`.
    pub label: String,
    /// The machine that the file is for; it is part of the outcome.
    pub about: FileSubject,
    /// Largest block for this peer, if its subnet sets one.
    pub block_bytes_max: Option<u16>,
}

/// Why a path is not served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReadRefusal {
    /// An ERROR at once: option ROMs try their next path only after an ERROR.
    Error { code: ErrorCode, message: String },
    /// No answer: this peer is not served.
    Silence,
}

/// How a read ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TransferResult {
    /// The transfer ended by the protocol, for example with `TransferEnd::Complete`.
    Ended(TransferEnd),
    /// The client's port sent another request.
    Replaced,
    /// The server is shutting down.
    Stopped,
    /// The file could not be read to its end.
    Failed(String),
}

/// The outcome of a read that was begun.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransferOutcome {
    pub path: String,
    pub label: String,
    pub about: FileSubject,
    pub peer: SocketAddr,
    pub local: IpAddr,
    /// Length of the body as it is sent, and how much of it the peer acknowledged.
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
    /// Opens a path. This may take a while (rendering); repeated requests of the client are dropped
    /// meanwhile.
    fn open(&self, request: ReadRequest) -> BoxFuture<'_, Result<OpenedRead, ReadRefusal>>;

    /// Whether the peer is served at all. Other peers get no answer, whatever they send.
    fn is_served(&self, request: &ReadRequest) -> bool;

    /// Called once at the end of every read that was begun. It must not block.
    fn finished(&self, outcome: TransferOutcome);
}
