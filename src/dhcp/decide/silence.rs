//! Why a packet gets no answer, as it is counted.

use crate::dhcp::decide::EventKind;

/// Why there is no reply where a client may wait for one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SilenceReason {
    /// It cannot be understood, or misses what an answer needs.
    Malformed,
    NoSubnet,
    /// It is for another server, or from a stranger.
    NotOurs,
    PoolEmpty,
    /// What the answer promises could not be written.
    Failed,
}

impl From<EventKind> for SilenceReason {
    fn from(event: EventKind) -> Self {
        match event {
            EventKind::Malformed => SilenceReason::Malformed,
            EventKind::NoSubnet => SilenceReason::NoSubnet,
            EventKind::PoolEmpty => SilenceReason::PoolEmpty,
            _ => SilenceReason::NotOurs,
        }
    }
}
