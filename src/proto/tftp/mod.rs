//! TFTP (RFC 1350) with options (RFC 2347), block size (2348), timeout and transfer size (2349) and window
//! size (7440), for a server from which files are read.
//!
//! Start with `packet` (bytes to values), then `options` (negotiation), then `transfer` (the state machine of
//! one read) with `patience` (when to send again). `crate::tftp` has the sockets, the files and the limits.

#![cfg_attr(not(test), deny(clippy::indexing_slicing, clippy::unwrap_used, clippy::expect_used))]

pub mod netascii;
pub mod options;
pub mod packet;
pub mod patience;
pub mod rollover;
pub mod transfer;

pub use options::{ServerOffer, TransferLimits, TransferTerms, negotiate};
pub use packet::{ErrorCode, OptionField, ParseError, TftpPacket, TftpRequest, TransferMode};
pub use rollover::BlockRollover;
pub use transfer::{BlockSpan, PacketEffect, Transfer, TransferEnd, TransmitOrder};

#[cfg(test)]
mod pair;
#[cfg(test)]
mod transfer_tests;
