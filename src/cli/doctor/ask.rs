//! Acts as an unknown client: sends one DISCOVER and collects the answers. Takes no address.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddrV4};
use std::os::fd::AsRawFd;
use std::time::Duration;

use nix::libc;
use nix::sys::socket::{LinkAddr, recvfrom};
use serde::Serialize;
use socket2::{Domain, SockFilter, Socket, Type};
use tokio::io::Interest;
use tokio::net::UdpSocket;
use tokio::time::{Instant, timeout_at};

use crate::port_owner::{PortProtocol, explain_bind};
use crate::proto::dhcp4::{DATAGRAM_BYTES_MAX, DhcpPacket, MessageType, codes, encode_listed, parse};

const CLIENT_PORT: u16 = 68;
const SERVER_PORT: u16 = 67;
const ETHERNET_HEADER_BYTES: usize = 14;
const UDP_HEADER_BYTES: usize = 8;
/// Most answers that are kept.
const ANSWERS_MAX: usize = 16;
/// The options that a plain client requests: mask, router, boot file.
const WANTED: [u8; 3] = [codes::SUBNET_MASK, codes::ROUTERS, codes::BOOTFILE_NAME];

/// The offer of one server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OfferAnswer {
    /// Its server identifier.
    pub server: Ipv4Addr,
    /// The source address of the packet.
    pub from: Ipv4Addr,
    pub offered: Ipv4Addr,
    /// The boot server (`siaddr`). A GRUB that was loaded over TFTP asks it for its files.
    pub next_server: Option<Ipv4Addr>,
    pub boot_file: Option<String>,
}

impl OfferAnswer {
    /// What it says of a boot, as the end of a sentence.
    pub fn boot_words(&self) -> String {
        let server = self.next_server.map(|server| format!(" and the boot server {server}"));
        let file = self.boot_file.as_ref().map(|file| format!(" and the boot file {file}"));
        [server, file].into_iter().flatten().collect()
    }
}

/// The servers that offer an address to a new machine on an interface.
///
/// # Errors
/// The port of DHCP clients is taken or not permitted, frames cannot be received, or there is no such
/// interface.
pub async fn ask(interface: &str, within: Duration) -> io::Result<Vec<OfferAnswer>> {
    let client = ProbeClient::open(interface)?;
    let discover = discover()?;
    client.udp.send_to(&encode_listed(&discover), (Ipv4Addr::BROADCAST, SERVER_PORT)).await?;
    let deadline = Instant::now() + within;
    let mut answers: Vec<OfferAnswer> = Vec::new();
    while answers.len() < ANSWERS_MAX {
        let Ok(received) = timeout_at(deadline, client.hear()).await else { break };
        let (datagram, from) = received?;
        let reply = parse(&datagram).ok().filter(|reply| is_ours(reply, &discover));
        let answer = reply.map(|reply| read(&reply, from));
        answers.extend(answer.filter(|answer| !answers.contains(answer)));
    }
    Ok(answers)
}

/// The sockets of a client on one interface.
struct ProbeClient {
    udp: UdpSocket,
    /// Outgoing frames: a server on this host may answer by frames, which do not arrive as datagrams.
    frames: UdpSocket,
    interface: usize,
}

impl ProbeClient {
    fn open(interface: &str) -> io::Result<ProbeClient> {
        let index = nix::net::if_::if_nametoindex(interface)
            .map_err(|_| io::Error::other(format!("there is no interface {interface}")))?;
        let socket = Socket::new(Domain::IPV4, Type::DGRAM, None)?;
        socket.set_reuse_address(true)?;
        socket.set_broadcast(true)?;
        socket.set_nonblocking(true)?;
        socket.bind_device(Some(interface.as_bytes()))?;
        let any = SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, CLIENT_PORT);
        socket.bind(&any.into()).map_err(|error| explain_bind(error, PortProtocol::Udp, CLIENT_PORT))?;
        Ok(ProbeClient {
            udp: UdpSocket::from_std(socket.into())?,
            frames: frames().map_err(explain_frames)?,
            interface: usize::try_from(index).unwrap_or(0),
        })
    }

    /// The next datagram for DHCP clients, and its sender.
    async fn hear(&self) -> io::Result<(Vec<u8>, Ipv4Addr)> {
        let (mut datagram, mut frame) = (vec![0; DATAGRAM_BYTES_MAX], vec![0; DATAGRAM_BYTES_MAX]);
        loop {
            tokio::select! {
                received = self.udp.recv_from(&mut datagram) => {
                    let (bytes, from) = received?;
                    datagram.truncate(bytes);
                    let IpAddr::V4(from) = from.ip() else { continue };
                    return Ok((datagram, from));
                }
                received = hear_frame(&self.frames, &mut frame) => {
                    let (bytes, interface) = received?;
                    let heard = frame.get(..bytes).and_then(payload).filter(|_| interface == self.interface);
                    if let Some(heard) = heard {
                        return Ok(heard);
                    }
                }
            }
        }
    }
}

/// The length of the next frame, and its interface.
async fn hear_frame(socket: &UdpSocket, buffer: &mut [u8]) -> io::Result<(usize, usize)> {
    let (bytes, from) =
        socket.async_io(Interest::READABLE, || Ok(recvfrom::<LinkAddr>(socket.as_raw_fd(), buffer)?)).await?;
    Ok((bytes, from.map_or(0, |from| from.ifindex())))
}

/// The payload of an Ethernet frame with a UDP datagram, and its sender.
fn payload(frame: &[u8]) -> Option<(Vec<u8>, Ipv4Addr)> {
    let packet = frame.get(ETHERNET_HEADER_BYTES..)?;
    let header_bytes = usize::from(packet.first()? & 0xf) * 4;
    let source: [u8; 4] = packet.get(12..16)?.try_into().ok()?;
    Some((packet.get(header_bytes + UDP_HEADER_BYTES..)?.to_vec(), Ipv4Addr::from(source)))
}

/// All frames, including outgoing ones; the kernel filters out everything but UDP from port 67. Needs
/// CAP_NET_RAW.
fn frames() -> io::Result<UdpSocket> {
    const LOAD_BYTE: u32 = libc::BPF_LD | libc::BPF_B | libc::BPF_ABS;
    const LOAD_HALF: u32 = libc::BPF_LD | libc::BPF_H | libc::BPF_ABS;
    const LOAD_HALF_BEHIND_X: u32 = libc::BPF_LD | libc::BPF_H | libc::BPF_IND;
    const HEADER_TO_X: u32 = libc::BPF_LDX | libc::BPF_B | libc::BPF_MSH;
    const IF_EQUAL: u32 = libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K;
    const RETURN: u32 = libc::BPF_RET | libc::BPF_K;
    let protocol = i32::from((libc::ETH_P_ALL as u16).to_be());
    let socket = Socket::new(Domain::PACKET, Type::RAW, Some(socket2::Protocol::from(protocol)))?;
    socket.attach_filter(&[
        filter_step(LOAD_HALF, (0, 0), 12),
        filter_step(IF_EQUAL, (0, 6), 0x0800),
        filter_step(LOAD_BYTE, (0, 0), 14 + 9),
        filter_step(IF_EQUAL, (0, 4), 17),
        filter_step(HEADER_TO_X, (0, 0), 14),
        filter_step(LOAD_HALF_BEHIND_X, (0, 0), 14),
        filter_step(IF_EQUAL, (0, 1), u32::from(SERVER_PORT)),
        filter_step(RETURN, (0, 0), 0x4_0000),
        filter_step(RETURN, (0, 0), 0),
    ])?;
    socket.set_nonblocking(true)?;
    UdpSocket::from_std(socket.into())
}

fn filter_step(code: u32, (yes, no): (u8, u8), k: u32) -> SockFilter {
    SockFilter::new(code as u16, yes, no, k)
}

/// Without frames a server on this host seems to be silent.
fn explain_frames(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::PermissionDenied => io::Error::new(
            error.kind(),
            "the answers of a server on this host are seen with CAP_NET_RAW only: run this as root",
        ),
        _ => error,
    }
}

/// From a hardware address that no card has, asking for a broadcast reply.
fn discover() -> io::Result<DhcpPacket> {
    let mut random = [0; 9];
    getrandom::fill(&mut random).map_err(io::Error::other)?;
    let [a, b, c, d, mac @ ..] = random;
    let mut packet = DhcpPacket { xid: u32::from_be_bytes([a, b, c, d]), ..DhcpPacket::default() };
    // Locally administered, unicast (IEEE 802).
    for (to, from) in packet.chaddr.iter_mut().zip([0x02].into_iter().chain(mac)) {
        *to = from;
    }
    packet.set_broadcast();
    packet.options.set(codes::MESSAGE_TYPE, [u8::from(MessageType::Discover)]);
    packet.options.set(codes::PARAMETER_REQUEST_LIST, WANTED);
    Ok(packet)
}

fn is_ours(reply: &DhcpPacket, discover: &DhcpPacket) -> bool {
    reply.op == 2
        && reply.xid == discover.xid
        && reply.chaddr == discover.chaddr
        && reply.message_type() == Some(MessageType::Offer)
}

fn read(reply: &DhcpPacket, from: Ipv4Addr) -> OfferAnswer {
    let option = reply.options.get(codes::BOOTFILE_NAME);
    let file = String::from_utf8_lossy(option.unwrap_or(&reply.file));
    // Some servers count a NUL into the option (RFC 2132 2).
    let file = file.trim_end_matches('\0');
    OfferAnswer {
        server: reply.server_identifier().unwrap_or(from),
        from,
        offered: reply.yiaddr,
        next_server: Some(reply.siaddr).filter(|server| !server.is_unspecified()),
        boot_file: (!file.is_empty()).then(|| file.to_owned()),
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
    fn a_frame_cut_short_carries_nothing() {
        let mut frame = vec![0; 14 + 20 + 8 + 3];
        (frame[14], frame[29]) = (0x45, 9);
        assert_eq!(payload(&frame), Some((vec![0; 3], Ipv4Addr::new(0, 0, 0, 9))));
        (0..42).for_each(|length| assert_eq!(payload(&frame[..length]), None, "{length}"));
    }

    #[test]
    fn only_offers_to_our_own_question_count() {
        let asked = discover().unwrap();
        let mut reply = DhcpPacket { op: 2, file: b"boot.efi".to_vec(), ..asked.clone() };
        assert!(!is_ours(&reply, &asked), "it is no OFFER");
        reply.options.set(codes::MESSAGE_TYPE, [u8::from(MessageType::Offer)]);
        assert!(is_ours(&reply, &asked) && !is_ours(&reply, &discover().unwrap()));
        reply.options.set(codes::BOOTFILE_NAME, *b"boot.efi\0");
        let answer = read(&reply, Ipv4Addr::new(10, 0, 0, 9));
        assert_eq!(
            (answer.server, answer.boot_file.as_deref()),
            (Ipv4Addr::new(10, 0, 0, 9), Some("boot.efi"))
        );
    }
}
