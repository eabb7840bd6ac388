//! Relays read frames (`AF_PACKET`), not datagrams of a socket, because they serve clients that have no
//! address yet. If the kernel had to segment, they would get one large packet.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, UdpSocket};
use std::time::{Duration, Instant};

use metalwright::model::Mac;
use metalwright::proto::dhcp4::{DhcpPacket, MessageType, codes, encode_listed, parse};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::json;
use socket2::{Domain, Protocol, Socket, Type};

use super::{CIDR, Lan, SERVER_ADDRESS, ip, on_a_lan};
use crate::world::World;

const RELAY: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 2);
const RELAY_MAC: &str = "02:00:00:00:00:02";
/// Clients that ask while the server is stopped, so that it answers all of them in few turns.
const CLIENTS: u32 = 48;
const ANSWERS_WITHIN: Duration = Duration::from_secs(30);
/// `ETH_P_IP`.
const IPV4: u16 = 0x0800;
const ETHERNET_BYTES: usize = 14;
const IP_BYTES: usize = 20;
const UDP_BYTES: usize = 8;

/// A client's DISCOVER, forwarded by the relay. Every third one has relay information, which the reply
/// repeats, so that replies differ in length.
fn discover(xid: u32) -> Vec<u8> {
    let [_, _, c, d] = xid.to_be_bytes();
    let mut packet = DhcpPacket { giaddr: RELAY, hops: 1, xid, ..DhcpPacket::default() };
    packet.chaddr[..6].copy_from_slice(&Mac([2, 1, 0, 0, c, d]).0);
    packet.options.set(codes::MESSAGE_TYPE, [u8::from(MessageType::Discover)]);
    if xid.is_multiple_of(3) {
        packet.options.set(codes::RELAY_AGENT, [1, 4, b'p', b'o', b'r', b't']);
    }
    encode_listed(&packet)
}

/// The DHCP message of a frame from the server, after a check of all lengths; `None` for other frames.
fn reply(frame: &[u8]) -> Option<DhcpPacket> {
    let datagram = frame.get(ETHERNET_BYTES..)?;
    let is_udp = datagram.len() > IP_BYTES + UDP_BYTES && datagram[9] == 17;
    if !is_udp || datagram[12..16] != SERVER_ADDRESS.parse::<Ipv4Addr>().unwrap().octets() {
        return None;
    }
    let length = |at: usize| usize::from(u16::from_be_bytes([datagram[at], datagram[at + 1]]));
    assert_eq!(length(2), datagram.len(), "the frame is as long as its IP header says");
    assert_eq!(length(IP_BYTES + 4), datagram.len() - IP_BYTES, "and its UDP header");
    Some(parse(&datagram[IP_BYTES + UDP_BYTES..]).expect("one DHCP message"))
}

/// Sends all questions at once; returns the transaction ids of the answers, each from a frame of its own.
fn answers(world: &World, lan: &Lan) -> Vec<u32> {
    let server = Pid::from_raw(i32::try_from(world.server_id()).expect("a process id"));
    let relay = lan.plug_host("relay", RELAY_MAC);
    let (wire, asking) = relay.run(|| {
        ip(&format!("address add {RELAY}/24 dev eth0"));
        let protocol = Protocol::from(i32::from(IPV4.to_be()));
        let wire = Socket::new(Domain::PACKET, Type::RAW, Some(protocol)).expect("a socket for frames");
        wire.set_read_timeout(Some(Duration::from_secs(1))).expect("a timeout");
        (wire, UdpSocket::bind((RELAY, 67)).expect("the relay's port"))
    });
    kill(server, Signal::SIGSTOP).expect("a server that stands still");
    for xid in 1..=CLIENTS {
        asking.send_to(&discover(xid), (SERVER_ADDRESS, 67)).expect("a question");
    }
    kill(server, Signal::SIGCONT).expect("a server that goes on");
    let (mut came, mut buffer) = (Vec::new(), vec![0; 70_000]);
    let until = Instant::now() + ANSWERS_WITHIN;
    while came.len() < CLIENTS as usize && Instant::now() < until {
        let Ok(length) = std::io::Read::read(&mut &wire, &mut buffer) else { continue };
        came.extend(reply(&buffer[..length]).map(|reply| reply.xid));
    }
    came
}

#[test]
fn a_relay_that_reads_frames_gets_each_answer_in_one_of_its_own() {
    on_a_lan(|lan| {
        let world = World::on_the_lan();
        let pool = json!({"start": "10.77.0.100", "end": "10.77.0.200"});
        world.api().post("/subnets", json!({"name": "lan", "cidr": CIDR, "pools": [pool]})).expect(201);
        let came = answers(&world, lan);
        let each: BTreeSet<u32> = came.iter().copied().collect();
        assert_eq!(each, (1..=CLIENTS).collect(), "one well-formed frame for each question: {came:?}");
        assert_eq!(came.len(), each.len(), "and no second: {came:?}");
    });
}
