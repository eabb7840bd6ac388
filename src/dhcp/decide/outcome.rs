//! The result of a packet: an optional reply, an optional change of leases, always a reason.

use std::net::Ipv4Addr;

use crate::dhcp::decide::{AddressOffer, ClientKey, ReplyDestination};
use crate::model::{Lease, ProbeMode};
use crate::proto::dhcp4::DhcpPacket;

/// The answer to one packet. `change` is to be committed before `reply` is sent; a commit that
/// fails means silence.
#[derive(Debug, Clone, PartialEq)]
pub struct DhcpAnswer {
    pub reply: Option<DhcpReply>,
    pub change: LeaseChange,
    pub event: PacketEvent,
    /// For the log and the timeline: one clause, no final stop.
    pub reason: String,
    /// The address it was about.
    pub address: Option<Ipv4Addr>,
    /// How to find out whether the offered address is in use before it is spoken of. On a hit, put
    /// the address in quarantine and ask again.
    pub probe: ProbeMode,
}

/// A reply and how it travels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DhcpReply {
    pub packet: DhcpPacket,
    pub bytes: Vec<u8>,
    /// Options that did not fit the client's size.
    pub dropped: Vec<u8>,
    pub destination: ReplyDestination,
    /// Our address it leaves from.
    pub source: Ipv4Addr,
    /// Index of the interface it leaves by.
    pub interface: u32,
    /// What has to be rendered and put in with [`DhcpReply::fill`] before it is complete.
    pub unfilled: Vec<TemplateOption>,
    /// The largest payload the client takes.
    pub bytes_max: usize,
}

/// What is sent of a reply, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplyDatagram {
    pub bytes: Vec<u8>,
    pub destination: ReplyDestination,
    /// Our address it leaves from.
    pub source: Ipv4Addr,
    /// Index of the interface it leaves by.
    pub interface: u32,
    /// What it promises is on disk. A copy may be sent again while the promise holds.
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
    /// What it is and where it was written, for people.
    pub name: String,
    pub template: String,
}

/// What happens to leases.
#[derive(Debug, Clone, PartialEq)]
pub enum LeaseChange {
    None,
    /// Keep an offered address in memory.
    Hold {
        address: Ipv4Addr,
        hold: AddressOffer,
    },
    /// Drop what is kept for a client that took another server's offer.
    Forget {
        network: String,
        client: ClientKey,
    },
    /// Write a lease, new or extended, and drop the client's hold. It takes the place of any
    /// other lease of the same client in the same network.
    Claim(Lease),
    /// Write a lease that its client gave back.
    Release(Lease),
    /// Write a lease that its client found in use by another.
    Decline(Lease),
}

/// The kind of event an outcome is on the timeline.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PacketEvent {
    Offered,
    Leased,
    Renewed,
    Refused,
    Released,
    Declined,
    Informed,
    /// Boot data for a client that has its address.
    BootServed,
    /// Silence that needs no attention.
    Ignored,
    /// Silence because no subnet fits.
    NoSubnet,
    /// Silence because no address is free.
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
    /// No reply and no change.
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
