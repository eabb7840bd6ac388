//! The TFTP service: a UDP shell around `crate::proto::tftp`, for reading only.
//!
//! Start with `service` (the listening port) and `admission` (what it lets in), then `session` (one read),
//! `pump` (what moves its blocks) and `source` (its packets). What a path means and who may have it is
//! decided by the `Opener` the caller gives; this module knows packets, sockets and bounds.

#![cfg_attr(not(test), deny(clippy::indexing_slicing, clippy::unwrap_used, clippy::expect_used))]

mod admission;
mod crew;
mod link;
mod opener;
mod pump;
mod service;
mod session;
mod sessions;
mod socket;
mod source;

pub use opener::{Body, Opened, Opener, ReadRequest, Refused, TransferOutcome, TransferResult};
pub use service::{Counters, Ports, Service, Settings};
#[cfg(test)]
mod client;
#[cfg(test)]
mod tests;
