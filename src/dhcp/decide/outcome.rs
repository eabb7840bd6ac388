//! The answer to a packet: an optional reply, an optional change of leases, and always a reason.

use std::net::Ipv4Addr;

use crate::dhcp::decide::{AddressOffer, ClientKey, ReplyDestination};
use crate::model::{Lease, ProbeMode};
use crate::proto::dhcp4::DhcpPacket;

/// The answer to one packet. `change` must be committed before `reply` is sent; if the commit fails, nothing
/// is sent.
#[derive(Debug, Clone, PartialEq)]
pub struct DhcpAnswer {
    pub reply: Option<DhcpReply>,
    pub change: LeaseChange,
    pub event: PacketEvent,
    /// For the log and the timeline: one clause without a full stop.
    pub reason: String,
    /// The address that the packet is about.
    pub address: Option<Ipv4Addr>,
    /// How to check whether the offered address is in use, before it is offered. If it is, put the address
    /// into quarantine and decide again.
    pub probe: ProbeMode,
}

/// A reply, and how it is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DhcpReply {
    pub packet: DhcpPacket,
    pub bytes: Vec<u8>,
    /// Options that did not fit into the size that the client accepts.
    pub dropped: Vec<u8>,
    pub destination: ReplyDestination,
    /// The source address.
    pub source: Ipv4Addr,
    /// Index of the interface that it is sent on.
    pub interface: u32,
    /// Templates that have to be rendered and added with [`DhcpReply::fill`].
    pub unfilled: Vec<TemplateOption>,
    /// Whether firmware reads it, which gets texts with an end (RFC 2132 2).
    pub for_firmware: bool,
    /// The largest payload that the client accepts.
    pub bytes_max: usize,
}

/// The bytes of a reply, and how they are sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplyDatagram {
    pub bytes: Vec<u8>,
    pub destination: ReplyDestination,
    /// The source address.
    pub source: Ipv4Addr,
    /// Index of the interface that it is sent on.
    pub interface: u32,
    /// What the reply promises is on disk. A copy may be sent again as long as the promise holds.
    pub durable: bool,
}

impl From<DhcpReply> for ReplyDatagram {
    fn from(reply: DhcpReply) -> Self {
        let DhcpReply { bytes, destination, source, interface, .. } = reply;
        ReplyDatagram { bytes, destination, source, interface, durable: false }
    }
}

/// An option of a reply whose value is a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TemplateOption {
    pub code: u8,
    /// The option and the object that has it, for people.
    pub name: String,
    pub template: String,
}

/// The change of a lease.
#[derive(Debug, Clone, PartialEq)]
pub enum LeaseChange {
    None,
    /// Hold an offered address in memory.
    Hold {
        address: Ipv4Addr,
        hold: AddressOffer,
    },
    /// Free the address that is held for a client that took another server's offer.
    Forget {
        network: String,
        client: ClientKey,
    },
    /// Write a new or extended lease, and free the client's hold. The lease replaces any other lease of the
    /// client in the same network.
    Claim(Lease),
    /// Write a lease that its client released.
    Release(Lease),
    /// Write a lease whose address its client found in use by another host. `freed` is the oldest address
    /// that the client declined before, and which is given out again.
    Decline {
        lease: Lease,
        freed: Option<Lease>,
    },
}

/// The kind of event of an outcome on the timeline.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PacketEvent {
    Offered,
    Leased,
    Renewed,
    Refused,
    Released,
    Declined,
    Informed,
    /// Boot data for a client that has its address already.
    BootServed,
    /// No reply, and nothing that needs attention.
    Ignored,
    /// No reply because no subnet fits.
    NoSubnet,
    /// No reply because no address is free.
    PoolEmpty,
    Malformed,
}

impl PacketEvent {
    pub fn as_str(self) -> &'static str {
        match self {
            PacketEvent::Offered => "dhcp.offered",
            PacketEvent::Leased => "dhcp.leased",
            PacketEvent::Renewed => "dhcp.renewed",
            PacketEvent::Refused => "dhcp.refused",
            PacketEvent::Released => "dhcp.released",
            PacketEvent::Declined => "dhcp.declined",
            PacketEvent::Informed => "dhcp.informed",
            PacketEvent::BootServed => "dhcp.boot_served",
            PacketEvent::Ignored => "dhcp.ignored",
            PacketEvent::NoSubnet => "dhcp.no_subnet",
            PacketEvent::PoolEmpty => "dhcp.pool_empty",
            PacketEvent::Malformed => "dhcp.malformed",
        }
    }
}

impl DhcpAnswer {
    /// An answer without a reply and without a change.
    pub fn silence(event: PacketEvent, reason: impl Into<String>) -> Self {
        DhcpAnswer {
            reply: None,
            change: LeaseChange::None,
            event,
            reason: reason.into(),
            address: None,
            probe: ProbeMode::None,
        }
    }
}
