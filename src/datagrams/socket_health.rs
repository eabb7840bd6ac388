//! Health of sockets that are read: a socket that fails repeatedly rests for a moment and is then opened
//! anew. Nothing that a socket says ends a service. Start at [`SocketHealth::check`].

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use std::time::Instant;

use tracing::{info, warn};

use crate::rate_limit::RateLimiter;

/// Failures of a socket in a row after which it is left alone until it is looked after.
pub const FAILURES_MAX: u32 = 16;

/// Health of one socket. Shared with the status page.
#[derive(Debug)]
pub struct SocketHealth {
    what: &'static str,
    /// In a row.
    failures: AtomicU32,
    is_well: AtomicBool,
    warning: RateLimiter,
}

impl SocketHealth {
    /// For an open socket. The log names it by `what`.
    pub fn new(what: &'static str) -> Self {
        let (failures, is_well) = (AtomicU32::new(0), AtomicBool::new(true));
        SocketHealth { what, failures, is_well, warning: RateLimiter::new() }
    }

    pub fn what(&self) -> &'static str {
        self.what
    }

    /// It could not be had: it is left alone, and not well, until one is opened.
    pub fn was_not_had(&self) {
        self.failures.store(FAILURES_MAX, Relaxed);
        self.is_well.store(false, Relaxed);
    }

    /// It was read, or there was nothing to read.
    pub fn succeeded(&self) {
        self.failures.store(0, Relaxed);
    }

    pub fn failed(&self, error: &io::Error) {
        self.failures.fetch_add(1, Relaxed);
        if let Some(times) = self.warning.count(1, Instant::now()) {
            warn!(%error, times, "{} cannot be read", self.what);
        }
    }

    /// Whether it is left alone.
    pub fn is_suspended(&self) -> bool {
        self.failures.load(Relaxed) >= FAILURES_MAX
    }

    /// Whether the socket is open and has worked since the last check.
    pub fn is_well(&self) -> bool {
        self.is_well.load(Relaxed) && !self.is_suspended()
    }

    /// Every few seconds, which is the pause that a failing socket gets. `reopen` puts a new one in its place
    /// if it can, and says whether there is any: where privileges were given up the old one is tried again.
    pub fn check(&self, reopen: impl FnOnce() -> bool) {
        if self.is_suspended() {
            self.is_well.store(false, Relaxed);
            if reopen() {
                self.succeeded();
            }
        } else if !self.is_well.swap(true, Relaxed) {
            info!("{} can be read again", self.what);
        }
    }
}
