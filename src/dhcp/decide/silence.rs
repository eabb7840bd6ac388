//! Why a packet gets no answer, as it is counted.

use crate::dhcp::decide::PacketEvent;

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

impl From<PacketEvent> for SilenceReason {
    fn from(event: PacketEvent) -> Self {
        match event {
            PacketEvent::Malformed => SilenceReason::Malformed,
            PacketEvent::NoSubnet => SilenceReason::NoSubnet,
            PacketEvent::PoolEmpty => SilenceReason::PoolEmpty,
            _ => SilenceReason::NotOurs,
        }
    }
}
