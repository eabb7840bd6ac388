//! The destination of a reply, and how it is sent (RFC 2131 4.1, RFC 3046, RFC 8357).

use std::fmt;
use std::net::{Ipv4Addr, SocketAddrV4};

use crate::dhcp::decide::{DhcpQuery, Link};
use crate::model::Mac;
use crate::proto::dhcp4::{DhcpPacket, MessageType};

pub(super) const SERVER_PORT: u16 = 67;
/// The port at which clients that have an address ask for boot data (PXE 2.1, 2.2.6).
pub const BOOT_SERVER_PORT: u16 = 4011;
const CLIENT_PORT: u16 = 68;
/// Hardware type of Ethernet.
const ETHERNET: u8 = 1;

/// How a reply is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReplyDestination {
    /// Through the kernel, which can resolve the address.
    Unicast(SocketAddrV4),
    /// To 255.255.255.255 on the interface.
    Broadcast,
    /// As a frame, to a client that has no address yet and cannot be resolved. If no frame can be sent, as a
    /// broadcast.
    Frame { mac: Mac, to: SocketAddrV4 },
}

impl ReplyDestination {
    /// The address and port in the datagram.
    pub fn socket_address(&self) -> SocketAddrV4 {
        match self {
            ReplyDestination::Unicast(to) | ReplyDestination::Frame { to, .. } => *to,
            ReplyDestination::Broadcast => SocketAddrV4::new(Ipv4Addr::BROADCAST, CLIENT_PORT),
        }
    }
}

impl fmt::Display for ReplyDestination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ReplyDestination::Unicast(to) => write!(f, "unicast {to}"),
            ReplyDestination::Broadcast => write!(f, "broadcast"),
            ReplyDestination::Frame { mac, to } => write!(f, "frame {mac} {to}"),
        }
    }
}

/// The destination of `reply` to `query`. An address that the client names is used only if it is on the
/// client's link, so that nobody can make the server send to other hosts.
pub fn destination(query: &DhcpQuery<'_>, link: &Link<'_>, reply: &DhcpPacket) -> ReplyDestination {
    let request = query.packet;
    let in_use = query.address_in_use().filter(|address| link.has_host(*address));
    if query.port == BOOT_SERVER_PORT {
        // To the port that the client sent from: 4011 or 68 (PXE 2.1, 2.2.6).
        let port = query.source.port();
        return in_use.map_or(ReplyDestination::Broadcast, |at| {
            ReplyDestination::Unicast(SocketAddrV4::new(at, port))
        });
    }
    let informed = request.message_type() == Some(MessageType::Inform);
    if request.is_relayed() && !(informed && in_use.is_some()) {
        return ReplyDestination::Unicast(relay_answers_at(query));
    }
    if reply.message_type() == Some(MessageType::Nak) {
        // A client that renews from behind a router would not receive a broadcast.
        let routed = in_use.filter(|at| !query.is_from_here() && !query.interface.is_on_link(*at));
        return routed.map_or(ReplyDestination::Broadcast, at_client);
    }
    // RFC 1542 5.4: BOOTP clients receive replies at their `ciaddr`, whatever the broadcast flag says.
    if let Some(address) = in_use {
        return to_address_in_use(query, address);
    }
    // A reply without an address (ProxyDHCP) has no address for a frame. A client that uses another address
    // may not accept what is sent to the new one.
    let thinks_it_has_one = !request.ciaddr.is_unspecified();
    let by_broadcast = reply.wants_broadcast() || reply.yiaddr.is_unspecified() || thinks_it_has_one;
    match frame_mac(request).filter(|_| !by_broadcast) {
        Some(mac) => ReplyDestination::Frame { mac, to: SocketAddrV4::new(reply.yiaddr, CLIENT_PORT) },
        None => ReplyDestination::Broadcast,
    }
}

fn at_client(address: Ipv4Addr) -> ReplyDestination {
    ReplyDestination::Unicast(SocketAddrV4::new(address, CLIENT_PORT))
}

/// A client on this wire in a network without an address of this server is not where routing would send to.
fn to_address_in_use(query: &DhcpQuery<'_>, address: Ipv4Addr) -> ReplyDestination {
    let is_beside_us = query.is_from_here() && !query.interface.is_on_link(address);
    match frame_mac(query.packet).filter(|_| is_beside_us) {
        Some(mac) => ReplyDestination::Frame { mac, to: SocketAddrV4::new(address, CLIENT_PORT) },
        None => at_client(address),
    }
}

/// Where a relay receives replies. A relay that wants them at its source port (RFC 8357) gets them at that
/// port of its source address: combined with an address that is only inside of the packet, it could make the
/// server send to any port of any host.
pub(super) fn relay_answers_at(query: &DhcpQuery<'_>) -> SocketAddrV4 {
    let wants_source_port = query.packet.relay_agent().is_some_and(|agent| agent.wants_source_port());
    let source = query.source;
    if wants_source_port && source.port() != 0 && !source.ip().is_unspecified() {
        return source;
    }
    SocketAddrV4::new(query.packet.giaddr, SERVER_PORT)
}

/// Only Ethernet clients can be reached by a frame.
fn frame_mac(request: &DhcpPacket) -> Option<Mac> {
    let address = <[u8; 6]>::try_from(request.hardware_address()).ok()?;
    Some(Mac(address)).filter(|mac| request.htype == ETHERNET && mac.is_unicast())
}
