//! The TFTP service: a UDP shell around `crate::proto::tftp`, for reading only.
//!
//! Start with `service` (the listening port) and `admission` (its limits), then `session` (one read),
//! `transfer_thread` (which sends the blocks) and `source` (which makes the packets). The caller's
//! `ReadOpener` decides what a path means and who may read it; this module knows packets, sockets and bounds.

#![cfg_attr(not(test), deny(clippy::indexing_slicing, clippy::unwrap_used, clippy::expect_used))]

mod admission;
mod link;
mod opener;
mod service;
mod session;
mod sessions;
mod socket;
mod source;
mod transfer_thread;
mod transfer_threads;

pub use opener::{
    OpenedRead, ReadBody, ReadOpener, ReadRefusal, ReadRequest, TransferOutcome, TransferResult,
};
pub use service::{PortMode, TftpCounters, TftpService, TftpSettings};
#[cfg(test)]
mod client;
#[cfg(test)]
mod tests;
