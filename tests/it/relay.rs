//! DHCP clients behind a relay on loopback: messages as plain values, and answers with a deadline. No root is
//! needed, because a relay's packets are unicast.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use metalwright::model::Mac;
use metalwright::proto::dhcp4::{DhcpPacket, MessageType, codes, encode_listed, parse};
use serde_json::{Value, json};

use crate::world::World;

/// The relay, and the server.
pub const RELAY: Ipv4Addr = Ipv4Addr::LOCALHOST;
/// A server that answers DHCP on loopback, without root.
pub const LISTENERS: [&str; 10] = [
    "--api-listen",
    "127.0.0.1:0",
    "--boot-http",
    "127.0.0.1:0",
    "--tftp-listen",
    "127.0.0.1:0",
    "--dhcp-interface",
    "lo",
    "--dhcp-port",
    "0",
];
/// Relay sub-option 19: reply to the source port (RFC 8357).
const TO_SOURCE_PORT: [u8; 2] = [19, 0];

/// A relay agent and its connection to the server.
pub struct Relay {
    socket: UdpSocket,
    server: SocketAddr,
}

impl Relay {
    /// A relay of the running server.
    pub fn to(world: &World) -> Relay {
        Relay::at(server(world))
    }

    pub fn at(server: SocketAddr) -> Relay {
        Relay { socket: UdpSocket::bind((RELAY, 0)).expect("a port"), server }
    }

    pub fn send(&self, message: &DhcpPacket) {
        self.socket.send_to(&encode_listed(message), self.server).expect("a message");
    }

    /// The answer, or none if it took too long. Late answers to earlier questions are skipped.
    pub fn ask(&self, message: &DhcpPacket, within: Duration) -> Option<DhcpPacket> {
        self.send(message);
        let deadline = Instant::now() + within;
        let mut buffer = [0; 1500];
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return None;
            }
            self.socket.set_read_timeout(Some(left)).expect("a deadline");
            let length = self.socket.recv(&mut buffer).ok()?;
            let answer = parse(&buffer[..length]).expect("a reply that can be read");
            if answer.xid == message.xid {
                return Some(answer);
            }
        }
    }
}

/// The DHCP address of the running server.
pub fn server(world: &World) -> SocketAddr {
    let port = world.ready()["dhcp_port"].as_u64().and_then(|port| u16::try_from(port).ok());
    (RELAY, port.expect("the DHCP port")).into()
}

/// A client's message, through the relay.
pub fn message((mac, xid): (Mac, u32), kind: MessageType) -> DhcpPacket {
    let mut packet = DhcpPacket { giaddr: RELAY, hops: 1, xid, ..DhcpPacket::default() };
    packet.chaddr[..6].copy_from_slice(&mac.0);
    packet.options.set(codes::MESSAGE_TYPE, [u8::from(kind)]);
    packet.options.set(codes::RELAY_AGENT, TO_SOURCE_PORT);
    packet
}

/// The REQUEST that accepts an offer.
pub fn request_of((mac, xid): (Mac, u32), offer: &DhcpPacket) -> DhcpPacket {
    let mut request = message((mac, xid), MessageType::Request);
    request.options.set(codes::REQUESTED_ADDRESS, offer.yiaddr.octets());
    let server = offer.server_identifier().expect("a server identifier");
    request.options.set(codes::SERVER_IDENTIFIER, server.octets());
    request
}

/// A subnet for clients of the relay.
pub fn subnet() -> Value {
    json!({
        "name": "load",
        "cidr": "127.1.0.0/16",
        "pools": [{"start": "127.1.0.10", "end": "127.1.0.220"}],
        "relays": [RELAY],
        "lease_seconds": 86_400,
    })
}
