//! Probes of addresses: the question, the answers, and their bytes. The sockets are in `server::probe`.

use std::net::Ipv4Addr;
use std::sync::Arc;

use futures_util::future::BoxFuture;

use crate::dhcp::decide::frame::checksum;
use crate::dhcp::decide::{DhcpQuery, NetworkInterface};
use crate::model::{Mac, ProbeMode};

const BROADCAST: [u8; 6] = [0xff; 6];
const ETHERTYPE_ARP: [u8; 2] = [0x08, 0x06];
/// Ethernet, IPv4, and their address lengths (RFC 826).
const ARP_FIXED: [u8; 6] = [0, 1, 0x08, 0x00, 6, 4];
const ARP_REPLY: [u8; 2] = [0, 2];
const ECHO_REQUEST: u8 = 8;
const ECHO_REPLY: u8 = 0;

/// An address to probe.
#[derive(Debug, Clone)]
pub struct ProbeTarget {
    pub address: Ipv4Addr,
    /// The interface that the client's packet came from.
    pub interface: Arc<NetworkInterface>,
    /// The client that will get the address. Its own answer does not count, because it may not have released
    /// the address yet.
    pub client: Option<Mac>,
    pub how: ProbeMethod,
}

/// How an address is probed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProbeMethod {
    /// ARP on the client's interface.
    Arp,
    /// ICMP echo, sent by normal routing.
    Icmp,
}

/// The result of a probe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProbeResult {
    /// No host answered.
    Free,
    /// A host other than the client answered; on the server's own wire with this address.
    InUse(Option<Mac>),
    /// The probe was not possible, for this reason.
    Unable(String),
}

/// An answer to a probe that arrived after its time.
///
/// Without a hardware address, as behind a relay, the answer cannot be told from one of the client itself: a
/// router keeps an echo request for an unused address until a host takes the address. But a client uses its
/// address only after the ACK. So while the address is on offer, another host answered; once it is leased,
/// the answer means nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LateAnswer {
    pub address: Ipv4Addr,
    pub how: ProbeMethod,
    /// The host that answered, on the server's own wire; it is not the client.
    pub mac: Option<Mac>,
}

/// Checks whether an address is in use. It is called for many clients at once. Dropping the future cancels
/// the check.
pub trait AddressProber: Send + Sync {
    fn probe(&self, target: ProbeTarget) -> BoxFuture<'_, ProbeResult>;
}

/// How to probe an address that will be offered. ARP does not reach behind a relay.
pub fn how_to_probe(query: &DhcpQuery<'_>, wanted: ProbeMode) -> Option<ProbeMethod> {
    match wanted {
        ProbeMode::None => None,
        ProbeMode::Arp if !query.packet.is_relayed() => Some(ProbeMethod::Arp),
        ProbeMode::Arp | ProbeMode::Icmp => Some(ProbeMethod::Icmp),
    }
}

/// An ARP probe as an Ethernet frame. It has no sender address, so that no host changes its table (RFC 5227
/// 2.1.1).
pub fn encode_arp_probe(from: Mac, address: Ipv4Addr) -> Vec<u8> {
    let ethernet = [&BROADCAST[..], &from.0, &ETHERTYPE_ARP].concat();
    let request = [&ARP_FIXED[..], &[0, 1], &from.0, &[0; 4], &[0; 6], &address.octets()].concat();
    let mut frame = [ethernet, request].concat();
    frame.resize(60, 0);
    frame
}

/// The sender of an ARP packet: a host that claims an address uses it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ArpSender {
    pub mac: Mac,
    pub address: Ipv4Addr,
    /// Whether it answers a probe: a question without a sender address, which the kernel never sends.
    pub answers_probe: bool,
}

/// Reads the sender of an ARP packet, after its Ethernet header.
pub fn parse_arp(packet: &[u8]) -> Option<ArpSender> {
    let rest = packet.strip_prefix(&ARP_FIXED)?;
    let mac: [u8; 6] = rest.get(2..8)?.try_into().ok()?;
    let address: [u8; 4] = rest.get(8..12)?.try_into().ok()?;
    let answers_probe = rest.starts_with(&ARP_REPLY) && rest.get(18..22) == Some(&[0; 4]);
    Some(ArpSender { mac: Mac(mac), address: Ipv4Addr::from(address), answers_probe })
}

/// The neighbours in the kernel's table with a known hardware address (proc(5), `/proc/net/arp`).
pub fn parse_neighbours(table: &str) -> impl Iterator<Item = (Ipv4Addr, Mac)> {
    table.lines().skip(1).filter_map(|line| {
        let mut words = line.split_whitespace();
        let address = words.next()?.parse().ok()?;
        let mac: Mac = words.nth(2)?.parse().ok()?;
        (mac != Mac([0; 6])).then_some((address, mac))
    })
}

/// An ICMP echo request (RFC 792); `token` comes back in the reply.
pub fn encode_echo(identifier: u16, token: [u8; 8]) -> Vec<u8> {
    let [high, low] = identifier.to_be_bytes();
    let message = |sum: [u8; 2]| [&[ECHO_REQUEST, 0, sum[0], sum[1], high, low, 0, 1][..], &token].concat();
    message(checksum(&[&message([0, 0])]).to_be_bytes())
}

/// The token of an echo reply. Raw sockets deliver the IP header as well.
pub fn parse_echo_reply(datagram: &[u8]) -> Option<[u8; 8]> {
    let message = match datagram.first()? {
        first if first >> 4 == 4 => datagram.get(usize::from(first & 0xf) * 4..)?,
        _ => datagram,
    };
    (message.first() == Some(&ECHO_REPLY)).then(|| message.get(8..16)?.try_into().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAC: Mac = Mac([2, 0, 0, 0, 0, 9]);

    #[test]
    fn an_arp_probe_claims_no_address_for_itself() {
        let frame = encode_arp_probe(MAC, Ipv4Addr::new(10, 0, 0, 100));
        assert_eq!((frame.len(), &frame[..6], &frame[12..14]), (60, &BROADCAST[..], &ETHERTYPE_ARP[..]));
        let from = ArpSender { mac: MAC, address: Ipv4Addr::UNSPECIFIED, answers_probe: false };
        assert_eq!(parse_arp(&frame[14..]), Some(from));
        assert_eq!(&frame[38..42], &[10, 0, 0, 100]);
    }

    #[test]
    fn an_arp_packet_of_another_kind_or_cut_short_is_of_nobody() {
        let frame = encode_arp_probe(MAC, Ipv4Addr::LOCALHOST);
        for length in 0..26 {
            assert_eq!(parse_arp(&frame[14..14 + length.min(25)][..length.min(17)]), None, "{length}");
        }
        let mut other = frame[14..].to_vec();
        other[5] = 16;
        assert_eq!(parse_arp(&other), None);
    }

    #[test]
    fn an_answer_to_a_probe_is_told_from_one_to_the_kernel() {
        let mut packet = encode_arp_probe(MAC, Ipv4Addr::LOCALHOST)[14..].to_vec();
        assert!(!parse_arp(&packet).unwrap().answers_probe, "a question");
        packet[7] = 2;
        packet[24..28].fill(0);
        assert!(parse_arp(&packet).unwrap().answers_probe);
        packet[24..28].copy_from_slice(&[10, 0, 0, 1]);
        assert!(!parse_arp(&packet).unwrap().answers_probe, "the kernel asks with its own address");
    }

    #[test]
    fn neighbours_are_found_in_the_kernels_table() {
        let table = "IP address  HW type  Flags  HW address         Mask  Device\n\
                     10.0.0.10   0x1      0x2    02:00:00:00:00:09  *     eth1\n\
                     10.0.0.1    0x1      0x0    00:00:00:00:00:00  *     eth1\n\
                     10.0.0.2    0x1\n";
        let found: Vec<_> = parse_neighbours(table).collect();
        assert_eq!(found, [(Ipv4Addr::new(10, 0, 0, 10), MAC)], "the next was asked for in vain");
    }

    #[test]
    fn an_echo_reply_brings_the_token_back_with_and_without_its_ip_header() {
        let mut message = encode_echo(7, *b"12345678");
        assert_eq!(checksum(&[&message]), 0);
        assert_eq!(parse_echo_reply(&message), None, "our own request is no reply");
        message[0] = ECHO_REPLY;
        assert_eq!(parse_echo_reply(&message), Some(*b"12345678"));
        let with_header = [&[0x45; 20][..], &message].concat();
        assert_eq!(parse_echo_reply(&with_header), Some(*b"12345678"));
        for length in 0..36 {
            assert_eq!(parse_echo_reply(&with_header[..length]), None, "{length}");
        }
    }
}
