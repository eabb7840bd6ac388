//! Where a reply goes, and in what form (RFC 2131 4.1, RFC 3046, RFC 8357).

use std::fmt;
use std::net::{Ipv4Addr, SocketAddrV4};

use crate::dhcp::Query;
use crate::model::Mac;
use crate::proto::dhcp4::{MessageType, Packet};

const SERVER_PORT: u16 = 67;
/// Where boot servers are asked for boot data by clients that have an address (PXE 2.1, 2.2.6).
pub const BOOT_SERVER_PORT: u16 = 4011;
const CLIENT_PORT: u16 = 68;
/// Hardware type of Ethernet.
const ETHERNET: u8 = 1;

/// How a reply travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Destination {
    /// Through the kernel, which can resolve the address.
    Unicast(SocketAddrV4),
    /// To 255.255.255.255 out of the interface.
    Broadcast,
    /// As a frame to a client that has no address yet and so cannot be resolved. When it cannot
    /// be sent, broadcast.
    Frame { mac: Mac, to: SocketAddrV4 },
}

impl Destination {
    /// The address and port in the datagram.
    pub fn socket_address(&self) -> SocketAddrV4 {
        match self {
            Destination::Unicast(to) | Destination::Frame { to, .. } => *to,
            Destination::Broadcast => SocketAddrV4::new(Ipv4Addr::BROADCAST, CLIENT_PORT),
        }
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Destination::Unicast(to) => write!(f, "unicast {to}"),
            Destination::Broadcast => write!(f, "broadcast"),
            Destination::Frame { mac, to } => write!(f, "frame {mac} {to}"),
        }
    }
}

/// Where `reply` to `query` goes.
pub fn destination(query: &Query<'_>, reply: &Packet) -> Destination {
    let request = query.packet;
    if query.port == BOOT_SERVER_PORT {
        return to_sender(query);
    }
    let in_use = !request.ciaddr.is_unspecified();
    let at_ciaddr = Destination::Unicast(SocketAddrV4::new(request.ciaddr, CLIENT_PORT));
    let informed = request.message_type() == Some(MessageType::Inform);
    if informed && in_use {
        return at_ciaddr;
    }
    if request.is_relayed() {
        return to_relay(query);
    }
    if informed {
        let nowhere = query.source.ip().is_unspecified();
        return if nowhere { Destination::Broadcast } else { Destination::Unicast(query.source) };
    }
    if reply.message_type() == Some(MessageType::Nak) {
        // A client that renews from behind a router hears no broadcast of ours.
        let routed = in_use && !query.interface.is_on_link(request.ciaddr);
        return if routed { at_ciaddr } else { Destination::Broadcast };
    }
    // RFC 1542 5.4: BOOTP clients hear what is sent to their `ciaddr`, whatever their broadcast flag says.
    if in_use {
        return if query.only_remembers_ciaddr() { Destination::Broadcast } else { at_ciaddr };
    }
    // A reply without an address (ProxyDHCP) has none that a frame could be sent to.
    let by_broadcast = reply.wants_broadcast() || reply.yiaddr.is_unspecified();
    match frame_mac(request).filter(|_| !by_broadcast) {
        Some(mac) => Destination::Frame { mac, to: SocketAddrV4::new(reply.yiaddr, CLIENT_PORT) },
        None => Destination::Broadcast,
    }
}

/// A boot server answers whoever asked, at the port it asked from: 4011 or 68 (PXE 2.1, 2.2.6).
fn to_sender(query: &Query<'_>) -> Destination {
    let source = query.source;
    let address = Some(*source.ip()).filter(|address| !address.is_unspecified());
    match address.or(Some(query.packet.ciaddr).filter(|address| !address.is_unspecified())) {
        Some(address) => Destination::Unicast(SocketAddrV4::new(address, source.port())),
        None => Destination::Broadcast,
    }
}

fn to_relay(query: &Query<'_>) -> Destination {
    let wants_source_port = query.packet.relay_agent().is_some_and(|agent| agent.wants_source_port());
    let port = if wants_source_port { query.source.port() } else { SERVER_PORT };
    Destination::Unicast(SocketAddrV4::new(query.packet.giaddr, port))
}

/// Only Ethernet clients can be reached by a frame.
fn frame_mac(request: &Packet) -> Option<Mac> {
    let address = <[u8; 6]>::try_from(request.hardware_address()).ok()?;
    Some(Mac(address)).filter(|mac| request.htype == ETHERNET && mac.is_unicast())
}
