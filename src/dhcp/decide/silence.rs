//! The reasons for silence, as metrics count them.

use crate::dhcp::decide::PacketEvent;

/// Why there is no reply although a client may wait for one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SilenceReason {
    /// The packet cannot be parsed, or lacks what an answer needs.
    Malformed,
    NoSubnet,
    /// The packet is for another server, or from an unknown client.
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
