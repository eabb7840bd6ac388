//! Encodes a DHCP reply as an Ethernet frame, for a client that cannot be resolved yet.

use std::net::SocketAddrV4;

use crate::model::Mac;

const ETHERTYPE_IPV4: [u8; 2] = [0x08, 0x00];
const IP_HEADER_BYTES: usize = 20;
const UDP_HEADER_BYTES: usize = 8;
const UDP: u8 = 17;
const TTL: u8 = 64;

/// Source and destination of a datagram on the wire.
#[derive(Debug, Clone, Copy)]
pub struct FrameEnds {
    pub from_mac: Mac,
    pub to_mac: Mac,
    pub from: SocketAddrV4,
    pub to: SocketAddrV4,
}

/// Ethernet, IPv4 and UDP headers around `payload`. Both checksums are computed, because clients that read
/// raw frames see what offloading would leave out. `None` if the payload is too long for a datagram.
pub fn encode_frame(ends: &FrameEnds, payload: &[u8]) -> Option<Vec<u8>> {
    let udp_bytes = u16::try_from(UDP_HEADER_BYTES + payload.len()).ok()?;
    let ip_bytes = u16::try_from(IP_HEADER_BYTES + usize::from(udp_bytes)).ok()?;
    let ip = ip_header(ends, ip_bytes);
    let udp = udp_header(ends, udp_bytes, payload);
    let ethernet = [&ends.to_mac.0[..], &ends.from_mac.0, &ETHERTYPE_IPV4].concat();
    Some([&ethernet[..], &ip, &udp, payload].concat())
}

/// RFC 791 3.1, without options, not to be fragmented.
fn ip_header(ends: &FrameEnds, total_bytes: u16) -> Vec<u8> {
    let [high, low] = total_bytes.to_be_bytes();
    let fixed = |sum: [u8; 2]| {
        let start = [0x45, 0x10, high, low, 0, 0, 0x40, 0, TTL, UDP, sum[0], sum[1]];
        [&start[..], &ends.from.ip().octets(), &ends.to.ip().octets()].concat()
    };
    fixed(checksum(&[&fixed([0, 0])]).to_be_bytes())
}

/// RFC 768; a sum of zero is sent as all ones, because zero means that there is no checksum.
fn udp_header(ends: &FrameEnds, udp_bytes: u16, payload: &[u8]) -> Vec<u8> {
    let (source, target) = (ends.from.port().to_be_bytes(), ends.to.port().to_be_bytes());
    let length = udp_bytes.to_be_bytes();
    let pseudo = [&ends.from.ip().octets()[..], &ends.to.ip().octets(), &[0, UDP], &length].concat();
    let sum = match checksum(&[&pseudo, &[source, target, length, [0, 0]].concat(), payload]) {
        0 => u16::MAX,
        sum => sum,
    };
    [source, target, length, sum.to_be_bytes()].concat()
}

/// The checksum of RFC 1071 over the parts; each part except the last has an even length.
pub(super) fn checksum(parts: &[&[u8]]) -> u16 {
    let words = parts.iter().flat_map(|part| part.chunks(2));
    let mut sum = words
        .map(|word| byte_or_zero(word.first()) << 8 | byte_or_zero(word.get(1)))
        .fold(0u32, u32::wrapping_add);
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

fn byte_or_zero(at: Option<&u8>) -> u32 {
    u32::from(at.copied().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ends() -> FrameEnds {
        FrameEnds {
            from_mac: Mac([2, 0, 0, 0, 0, 9]),
            to_mac: Mac([2, 0, 0, 0, 0, 1]),
            from: "10.0.0.1:67".parse().unwrap(),
            to: "10.0.0.100:68".parse().unwrap(),
        }
    }

    #[test]
    fn a_receiver_finds_both_checksums_right() {
        for payload in [&b"odd"[..], b"even", &[0xff; 300]] {
            let frame = encode_frame(&ends(), payload).unwrap();
            let (ip, udp) = (&frame[14..34], &frame[34..]);
            assert_eq!(checksum(&[ip]), 0);
            let length = u16::try_from(udp.len()).unwrap().to_be_bytes();
            let pseudo = [&ip[12..20], &[0, UDP], &length].concat();
            assert_eq!(checksum(&[&pseudo, udp]), 0);
            assert_eq!(&frame[..6], &ends().to_mac.0);
            assert_eq!(usize::from(u16::from_be_bytes([ip[2], ip[3]])), frame.len() - 14);
        }
    }

    #[test]
    fn a_checksum_known_from_elsewhere_is_reproduced() {
        // The worked example of RFC 1071 3.
        assert_eq!(checksum(&[&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]]), !0xddf2);
    }

    #[test]
    fn a_payload_no_datagram_can_carry_is_refused() {
        assert_eq!(encode_frame(&ends(), &[0; 65_530]), None);
    }
}
