//! Plays a client that nobody knows: one DISCOVER, and who answers it. Takes no address.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddrV4};
use std::time::Duration;

use serde::Serialize;
use socket2::{Domain, Socket, Type};
use tokio::net::UdpSocket;
use tokio::time::{Instant, timeout_at};

use crate::listen::{Protocol, explain_bind};
use crate::proto::dhcp4::{DATAGRAM_BYTES_MAX, MessageType, Packet, codes, encode_listed, parse};

const CLIENT_PORT: u16 = 68;
const SERVER_PORT: u16 = 67;
/// Answers that are kept.
const ANSWERS_MAX: usize = 16;
/// What a plain client asks for: mask, router, boot file.
const WANTED: [u8; 3] = [codes::SUBNET_MASK, codes::ROUTERS, codes::BOOTFILE_NAME];

/// What one server offered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Answer {
    /// What it calls itself.
    pub server: Ipv4Addr,
    /// Where the packet came from.
    pub from: IpAddr,
    pub offered: Ipv4Addr,
    pub boot_file: Option<String>,
}

/// Who offers an address to a new machine on an interface.
///
/// # Errors
/// The port of DHCP clients is taken or may not be had, or there is no such interface.
pub async fn ask(interface: &str, within: Duration) -> io::Result<Vec<Answer>> {
    let socket = open(interface)?;
    let discover = discover()?;
    socket.send_to(&encode_listed(&discover), (Ipv4Addr::BROADCAST, SERVER_PORT)).await?;
    let deadline = Instant::now() + within;
    let mut answers: Vec<Answer> = Vec::new();
    let mut buffer = vec![0; DATAGRAM_BYTES_MAX];
    while answers.len() < ANSWERS_MAX {
        let Ok(received) = timeout_at(deadline, socket.recv_from(&mut buffer)).await else { break };
        let (bytes, from) = received?;
        let reply = parse(buffer.get(..bytes).unwrap_or_default()).ok();
        let answer = reply.filter(|reply| is_ours(reply, &discover)).map(|reply| read(&reply, from.ip()));
        answers.extend(answer.filter(|answer| !answers.contains(answer)));
    }
    Ok(answers)
}

fn open(interface: &str) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, None)?;
    socket.set_reuse_address(true)?;
    socket.set_broadcast(true)?;
    socket.set_nonblocking(true)?;
    socket.bind_device(Some(interface.as_bytes()))?;
    let any = SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, CLIENT_PORT);
    socket.bind(&any.into()).map_err(|error| explain_bind(error, Protocol::Udp, CLIENT_PORT))?;
    UdpSocket::from_std(socket.into())
}

/// From a hardware address that no card has, and to be answered by broadcast.
fn discover() -> io::Result<Packet> {
    let mut random = [0; 9];
    getrandom::fill(&mut random).map_err(io::Error::other)?;
    let [a, b, c, d, mac @ ..] = random;
    let mut packet = Packet { xid: u32::from_be_bytes([a, b, c, d]), ..Packet::default() };
    // Locally administered, unicast (IEEE 802).
    for (to, from) in packet.chaddr.iter_mut().zip([0x02].into_iter().chain(mac)) {
        *to = from;
    }
    packet.set_broadcast();
    packet.options.set(codes::MESSAGE_TYPE, [u8::from(MessageType::Discover)]);
    packet.options.set(codes::PARAMETER_REQUEST_LIST, WANTED);
    Ok(packet)
}

fn is_ours(reply: &Packet, discover: &Packet) -> bool {
    reply.op == 2
        && reply.xid == discover.xid
        && reply.chaddr == discover.chaddr
        && reply.message_type() == Some(MessageType::Offer)
}

fn read(reply: &Packet, from: IpAddr) -> Answer {
    let option = reply.options.get(codes::BOOTFILE_NAME);
    let file = option.unwrap_or(&reply.file);
    let here = match from {
        IpAddr::V4(address) => address,
        IpAddr::V6(_) => Ipv4Addr::UNSPECIFIED,
    };
    Answer {
        server: reply.server_identifier().unwrap_or(here),
        from,
        offered: reply.yiaddr,
        boot_file: (!file.is_empty()).then(|| String::from_utf8_lossy(file).into_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_question_is_a_new_one_each_time_and_from_no_real_card() {
        let (one, other) = (discover().unwrap(), discover().unwrap());
        assert_ne!((one.xid, one.chaddr), (other.xid, other.chaddr));
        assert_eq!((one.chaddr[0], one.wants_broadcast()), (0x02, true));
        assert_eq!(parse(&encode_listed(&one)).unwrap().message_type(), Some(MessageType::Discover));
    }

    #[test]
    fn only_offers_to_our_own_question_count() {
        let asked = discover().unwrap();
        let mut reply = Packet { op: 2, file: b"boot.efi".to_vec(), ..asked.clone() };
        assert!(!is_ours(&reply, &asked), "it is no OFFER");
        reply.options.set(codes::MESSAGE_TYPE, [u8::from(MessageType::Offer)]);
        assert!(is_ours(&reply, &asked) && !is_ours(&reply, &discover().unwrap()));
        let answer = read(&reply, Ipv4Addr::new(10, 0, 0, 9).into());
        assert_eq!(
            (answer.server, answer.boot_file.as_deref()),
            (Ipv4Addr::new(10, 0, 0, 9), Some("boot.efi"))
        );
    }
}
