//! A made-up DISCOVER, to find out what would be answered on an interface.

use std::net::SocketAddrV4;

use crate::dhcp::decide::{DhcpQuery, NetworkInterface};
use crate::proto::dhcp4::{DhcpPacket, MessageType, codes};

/// A hardware address that no card has: locally administered, and reserved for this purpose.
const NOBODY: [u8; 6] = [0x02, 0x00, 0x00, 0xff, 0xff, 0xfe];
const CLIENT_PORT: u16 = 68;
const SERVER_PORT: u16 = 67;

/// The DISCOVER of an unknown machine, broadcast on its link.
pub fn example_discover() -> DhcpPacket {
    let mut packet = DhcpPacket::default();
    for (to, from) in packet.chaddr.iter_mut().zip(NOBODY) {
        *to = from;
    }
    packet.options.set(codes::MESSAGE_TYPE, [u8::from(MessageType::Discover)]);
    packet
}

/// The query with which such a packet would arrive on an interface, from its relay if it names one.
pub fn example_query<'a>(packet: &'a DhcpPacket, interface: &'a NetworkInterface) -> DhcpQuery<'a> {
    let source = SocketAddrV4::new(packet.giaddr, CLIENT_PORT);
    DhcpQuery { packet, interface, source, local: None, port: SERVER_PORT }
}
