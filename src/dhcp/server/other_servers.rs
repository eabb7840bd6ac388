//! Listens for replies of other DHCP servers on the served links, if they are broadcast or pass by. Also
//! reads the interfaces for those who need them. Decides nothing. Start at [`OtherServerDetector::run`].

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, UdpSocket};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use nix::libc;
use nix::sys::socket::LinkAddr;
use socket2::{Domain, Protocol, SockFilter, Socket, Type};
use tokio_util::sync::CancellationToken;

use crate::dhcp::decide::{LateAnswer, NetworkInterface, ServerSighting};
use crate::dhcp::server::interfaces::{self, LinkPort};
use crate::dhcp::server::reopening_socket::ReopeningSocket;
use crate::model::Mac;
use crate::proto::dhcp4::{MessageType, codes, parse};

const ETH_P_IP: u16 = 0x0800;
/// Time between two reads of the interfaces.
pub const LOOKOUT_PERIOD: Duration = Duration::from_secs(3);
const PACKET_BYTES_MAX: usize = 4096;
const UDP_HEADER_BYTES: usize = 8;
const BOOT_REPLY: u8 = 2;

/// Receives the observations of the detector.
pub trait ServerObserver: Send + Sync + 'static {
    /// The interfaces that are served, whenever they change.
    fn interfaces(&self, interfaces: Vec<Arc<NetworkInterface>>);
    /// A reply of another DHCP server.
    fn report_server(&self, heard: ServerSighting);
    /// A host answered for an address that was offered meanwhile.
    fn report_late_answer(&self, answer: LateAnswer) -> BoxFuture<'_, ()>;
}

/// The listening socket, opened before privileges are dropped, and its interfaces.
pub struct OtherServerDetector {
    listening: ReopeningSocket,
    names: Vec<String>,
    ports: BTreeMap<u32, LinkPort>,
}

impl OtherServerDetector {
    /// Opens the socket. Without CAP_NET_RAW other servers are known only by clients that name them.
    pub fn open(names: Vec<String>) -> Self {
        let listening = ReopeningSocket::open("the socket for replies of other DHCP servers", replies_socket);
        OtherServerDetector { listening, names, ports: BTreeMap::new() }
    }

    /// A function that tells whether other servers can be heard at present.
    pub fn hears(&self) -> impl Fn() -> bool + Send + Sync + use<> {
        let health = Arc::clone(self.listening.health());
        move || health.is_well()
    }

    /// Reports to `observer` until `shutdown`. `refreshed` gets the result of each read of the interfaces,
    /// and when the read began.
    pub async fn run(
        mut self,
        observer: Arc<dyn ServerObserver>,
        refreshed: impl Fn(Instant, Result<(), String>) + Send,
        shutdown: CancellationToken,
    ) {
        let mut refresh = tokio::time::interval(LOOKOUT_PERIOD);
        refresh.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut buffer = vec![0; PACKET_BYTES_MAX];
        loop {
            tokio::select! {
                (bytes, from) = self.listening.hear(&mut buffer) => {
                    let heard = self.read(buffer.get(..bytes).unwrap_or_default(), &from);
                    heard.into_iter().for_each(|heard| observer.report_server(heard));
                }
                _ = refresh.tick() => {
                    let begun = Instant::now();
                    refreshed(begun, self.refresh(observer.as_ref()));
                    self.listening.check();
                }
                () = shutdown.cancelled() => return,
            }
        }
    }

    fn refresh(&mut self, observer: &dyn ServerObserver) -> Result<(), String> {
        let ports = interfaces::read(&self.names)
            .map_err(|error| format!("the network interfaces cannot be read: {error}"))?;
        if interface_facts(&ports) != interface_facts(&self.ports) {
            observer.interfaces(interface_facts(&ports));
        }
        self.ports = ports;
        Ok(())
    }

    fn read(&self, packet: &[u8], from: &LinkAddr) -> Option<ServerSighting> {
        let port = self.ports.get(&u32::try_from(from.ifindex()).ok()?)?;
        let mac = from.addr().map(Mac).filter(|mac| mac.is_unicast() && from.halen() == 6);
        let heard = read_reply(packet)?;
        Some(ServerSighting { mac, interface: port.facts.name.clone(), ..heard })
    }
}

fn interface_facts(ports: &BTreeMap<u32, LinkPort>) -> Vec<Arc<NetworkInterface>> {
    ports.values().map(|port| Arc::clone(&port.facts)).collect()
}

/// What the OFFER or ACK in an IP packet says about its server.
fn read_reply(packet: &[u8]) -> Option<ServerSighting> {
    let header_bytes = usize::from(packet.first()? & 0xf) * 4;
    let source: [u8; 4] = packet.get(12..16)?.try_into().ok()?;
    let packet = parse(packet.get(header_bytes + UDP_HEADER_BYTES..)?).ok()?;
    let gives = matches!(packet.message_type(), Some(MessageType::Offer | MessageType::Ack));
    if packet.op != BOOT_REPLY || !gives {
        return None;
    }
    let boots = !packet.file.is_empty() || packet.options.contains(codes::BOOTFILE_NAME);
    Some(ServerSighting {
        server: packet.server_identifier().unwrap_or(Ipv4Addr::from(source)),
        mac: None,
        interface: String::new(),
        offered: Some(packet.yiaddr).filter(|address| !address.is_unspecified()),
        next_server: Some(packet.siaddr).filter(|address| !address.is_unspecified()),
        boots,
    })
}

/// Receives IP packets of all links, from the IP header on. The kernel filters out everything except replies
/// of DHCP servers.
fn replies_socket() -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::PACKET, Type::DGRAM, Some(Protocol::from(i32::from(ETH_P_IP.to_be()))))?;
    socket.attach_filter(&reply_filter())?;
    Ok(socket.into())
}

/// The kernel's packet filter for the replies of other servers: unfragmented UDP, a BOOTREPLY from port 67 to
/// port 67 or 68 (RFC 2131 4.1). This server's own replies, and packets of relays, would wake the detector
/// each time.
fn reply_filter() -> [SockFilter; 16] {
    const LOAD_BYTE: u32 = libc::BPF_LD | libc::BPF_B | libc::BPF_ABS;
    const LOAD_HALF: u32 = libc::BPF_LD | libc::BPF_H | libc::BPF_ABS;
    const LOAD_BYTE_BEHIND_X: u32 = libc::BPF_LD | libc::BPF_B | libc::BPF_IND;
    const LOAD_HALF_BEHIND_X: u32 = libc::BPF_LD | libc::BPF_H | libc::BPF_IND;
    const HEADER_TO_X: u32 = libc::BPF_LDX | libc::BPF_B | libc::BPF_MSH;
    const IF_EQUAL: u32 = libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K;
    const IF_ANY_BIT: u32 = libc::BPF_JMP | libc::BPF_JSET | libc::BPF_K;
    const RETURN: u32 = libc::BPF_RET | libc::BPF_K;
    const DIRECTION: u32 = (libc::SKF_AD_OFF + libc::SKF_AD_PKTTYPE) as u32;
    [
        filter_step(LOAD_BYTE, (0, 0), DIRECTION),
        filter_step(IF_EQUAL, (13, 0), u32::from(libc::PACKET_OUTGOING)),
        filter_step(LOAD_BYTE, (0, 0), 9),
        filter_step(IF_EQUAL, (0, 11), 17),
        filter_step(LOAD_HALF, (0, 0), 6),
        filter_step(IF_ANY_BIT, (9, 0), 0x1fff),
        filter_step(HEADER_TO_X, (0, 0), 0),
        filter_step(LOAD_BYTE_BEHIND_X, (0, 0), UDP_HEADER_BYTES as u32),
        filter_step(IF_EQUAL, (0, 6), u32::from(BOOT_REPLY)),
        filter_step(LOAD_HALF_BEHIND_X, (0, 0), 0),
        filter_step(IF_EQUAL, (0, 4), 67),
        filter_step(LOAD_HALF_BEHIND_X, (0, 0), 2),
        filter_step(IF_EQUAL, (1, 0), 68),
        filter_step(IF_EQUAL, (0, 1), 67),
        filter_step(RETURN, (0, 0), 0x4_0000),
        filter_step(RETURN, (0, 0), 0),
    ]
}

fn filter_step(code: u32, (yes, no): (u8, u8), k: u32) -> SockFilter {
    SockFilter::new(code as u16, yes, no, k)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dhcp::decide::frame::{FrameEnds, encode_frame};
    use crate::proto::dhcp4::{encode_listed, from_text};

    fn packet(text: &str) -> Vec<u8> {
        let ends = FrameEnds {
            from_mac: Mac([2, 0, 0, 0, 0, 9]),
            to_mac: Mac([0xff; 6]),
            from: "10.0.0.9:67".parse().unwrap(),
            to: "255.255.255.255:68".parse().unwrap(),
        };
        encode_frame(&ends, &encode_listed(&from_text(text).unwrap())).unwrap()[14..].to_vec()
    }

    #[test]
    fn an_offer_says_who_gives_what() {
        let offer = "op reply\nxid 1\nchaddr 02:00:00:00:00:01\nyiaddr 10.0.0.50\nsiaddr 10.0.0.7\n\
                     message_type offer\n\
                     server_identifier 10.0.0.8\nbootfile_name other.efi";
        let heard = read_reply(&packet(offer)).unwrap();
        assert_eq!(heard.server, Ipv4Addr::new(10, 0, 0, 8));
        assert_eq!((heard.offered, heard.boots), (Some(Ipv4Addr::new(10, 0, 0, 50)), true));
        assert_eq!(heard.next_server, Some(Ipv4Addr::new(10, 0, 0, 7)));
        let whole = packet(offer);
        (0..60).for_each(|length| assert_eq!(read_reply(&whole[..length]), None));
    }

    #[test]
    fn a_reply_without_a_name_is_of_the_address_it_came_from() {
        let ack = "op reply\nxid 1\nchaddr 02:00:00:00:00:01\nmessage_type ack";
        let heard = read_reply(&packet(ack)).unwrap();
        assert_eq!((heard.server, heard.offered, heard.boots), (Ipv4Addr::new(10, 0, 0, 9), None, false));
    }

    #[test]
    fn what_clients_say_is_no_word_of_a_server() {
        assert_eq!(read_reply(&packet("xid 1\nchaddr 02:00:00:00:00:01\nmessage_type discover")), None);
        let nak = "op reply\nxid 1\nchaddr 02:00:00:00:00:01\nmessage_type nak";
        assert_eq!(read_reply(&packet(nak)), None);
    }
}
