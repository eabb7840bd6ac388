//! The health of sockets that are read: a socket that fails repeatedly rests for a moment and is then opened
//! again. No socket error ends a service. Start at [`SocketHealth::check`].

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use std::time::Instant;

use tracing::{info, warn};

use crate::rate_limit::RateLimiter;

/// Consecutive failures after which a socket is not read until the next check.
pub const FAILURES_MAX: u32 = 16;

/// The health of one socket. Shared with the status page.
#[derive(Debug)]
pub struct SocketHealth {
    what: &'static str,
    /// Consecutive failures.
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

    /// Records that the socket could not be opened: it is not read, and not well, until it is opened.
    pub fn was_not_had(&self) {
        self.failures.store(FAILURES_MAX, Relaxed);
        self.is_well.store(false, Relaxed);
    }

    /// Records that a read succeeded, or found nothing to read.
    pub fn succeeded(&self) {
        self.failures.store(0, Relaxed);
    }

    pub fn failed(&self, error: &io::Error) {
        self.failures.fetch_add(1, Relaxed);
        if let Some(times) = self.warning.count(1, Instant::now()) {
            warn!(%error, times, "{} cannot be read", self.what);
        }
    }

    /// Whether the socket is not read at present.
    pub fn is_suspended(&self) -> bool {
        self.failures.load(Relaxed) >= FAILURES_MAX
    }

    /// Whether the socket is open and has worked since the last check.
    pub fn is_well(&self) -> bool {
        self.is_well.load(Relaxed) && !self.is_suspended()
    }

    /// Called every few seconds, which is the pause of a failing socket. `reopen` replaces the socket if it
    /// can, and returns whether there is one: after privileges were dropped the old one is tried again.
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
