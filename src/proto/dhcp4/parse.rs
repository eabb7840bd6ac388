//! The tolerant parser: turns a datagram into a [`DhcpPacket`], or says why that is impossible.
//!
//! Bad options are recorded and skipped, repeated ones are joined in order of appearance, and option 52 is
//! honoured (RFC 3396, RFC 2132 9.3). A request without the magic cookie is BOOTP (RFC 951), which has no
//! options; some clients send no more than the header.

use std::net::Ipv4Addr;

use crate::proto::dhcp4::{DhcpOptions, DhcpPacket, PacketFault, codes};

/// Largest datagram that is parsed, in bytes; larger ones are dropped.
pub const DATAGRAM_BYTES_MAX: usize = 4096;
/// Most bad options that are listed for one packet; more add nothing to a log line.
const FAULTS_MAX: usize = 16;

const HEADER_BYTES: usize = 236;
const MAGIC: [u8; 4] = [0x63, 0x82, 0x53, 0x63];
const BOOT_REQUEST: u8 = 1;
const PAD: u8 = 0;
const END: u8 = 255;

/// Why a datagram is not a DHCP message. It should be counted and dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MalformedPacket {
    #[error("{0} bytes are fewer than the {HEADER_BYTES} of a BOOTP header")]
    Short(usize),
    #[error("{0} bytes are more than the {DATAGRAM_BYTES_MAX} that are read")]
    Long(usize),
    #[error("op is {0}, neither 1 (request) nor 2 (reply)")]
    Op(u8),
    #[error("hlen is {0}, more than the 16 bytes of chaddr")]
    HardwareLength(u8),
    #[error("it is a reply without the magic cookie 63825363")]
    Magic,
}

/// Parses a datagram in either direction; the caller decides whether a reply is acceptable.
pub fn parse(datagram: &[u8]) -> Result<DhcpPacket, MalformedPacket> {
    if datagram.len() > DATAGRAM_BYTES_MAX {
        return Err(MalformedPacket::Long(datagram.len()));
    }
    let short = MalformedPacket::Short(datagram.len());
    let (header, rest) = datagram.split_first_chunk::<HEADER_BYTES>().ok_or(short)?;
    let mut packet = read_header(header);
    if !matches!(packet.op, 1 | 2) {
        return Err(MalformedPacket::Op(packet.op));
    }
    if packet.hlen > 16 {
        return Err(MalformedPacket::HardwareLength(packet.hlen));
    }
    let Some(field) = rest.strip_prefix(&MAGIC) else {
        return if packet.op == BOOT_REQUEST { Ok(packet) } else { Err(MalformedPacket::Magic) };
    };
    read_field(&mut packet, field);
    read_overloaded(&mut packet, header);
    record_bad_values(&mut packet);
    Ok(packet)
}

fn read_header(header: &[u8; HEADER_BYTES]) -> DhcpPacket {
    let mut at = ByteCursor { bytes: header };
    let [op, htype, hlen, hops] = at.take();
    DhcpPacket {
        op,
        htype,
        hlen,
        hops,
        xid: u32::from_be_bytes(at.take()),
        secs: u16::from_be_bytes(at.take()),
        flags: u16::from_be_bytes(at.take()),
        ciaddr: Ipv4Addr::from(at.take::<4>()),
        yiaddr: Ipv4Addr::from(at.take::<4>()),
        siaddr: Ipv4Addr::from(at.take::<4>()),
        giaddr: Ipv4Addr::from(at.take::<4>()),
        chaddr: at.take(),
        sname: before_nul(&at.take::<64>()),
        file: before_nul(&at.take::<128>()),
        options: DhcpOptions::default(),
        faults: Vec::new(),
    }
}

/// Reads pieces of fixed size; beyond the end it reads zeros.
struct ByteCursor<'a> {
    bytes: &'a [u8],
}

impl ByteCursor<'_> {
    fn take<const N: usize>(&mut self) -> [u8; N] {
        match self.bytes.split_first_chunk::<N>() {
            Some((piece, rest)) => {
                self.bytes = rest;
                *piece
            }
            None => [0; N],
        }
    }
}

fn before_nul(bytes: &[u8]) -> Vec<u8> {
    bytes.iter().copied().take_while(|byte| *byte != 0).collect()
}

/// Parses one field of options up to its END. A missing END is accepted.
fn read_field(packet: &mut DhcpPacket, mut field: &[u8]) {
    while let [code, after @ ..] = field {
        match *code {
            PAD => field = after,
            END => return,
            code => {
                let value = after
                    .split_first()
                    .and_then(|(length, rest)| rest.split_at_checked(usize::from(*length)));
                let Some((data, rest)) = value else {
                    packet.faults.push(PacketFault::Truncated { code });
                    return;
                };
                packet.options.join(code, data);
                field = rest;
            }
        }
    }
}

/// RFC 2132 9.3: 1 means `file`, 2 `sname`, 3 both; RFC 3396 5 reads `file` before `sname`.
fn read_overloaded(packet: &mut DhcpPacket, header: &[u8; HEADER_BYTES]) {
    let Some([overload @ 1..=3]) = packet.options.get(codes::OVERLOAD) else { return };
    let overload = *overload;
    let mut at = ByteCursor { bytes: header };
    at.take::<44>();
    let (sname, file) = (at.take::<64>(), at.take::<128>());
    if overload & 1 != 0 {
        packet.file.clear();
        read_field(packet, &file);
    }
    if overload & 2 != 0 {
        packet.sname.clear();
        read_field(packet, &sname);
    }
}

fn record_bad_values(packet: &mut DhcpPacket) {
    let bad: Vec<PacketFault> = packet
        .options
        .iter()
        .filter(|(code, data)| codes::by_code(*code).is_some_and(|row| !row.kind.accepts(data)))
        .map(|(code, data)| PacketFault::BadOption { code, length: data.len() })
        .take(FAULTS_MAX)
        .collect();
    packet.faults.extend(bad);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::dhcp4::MessageType;

    fn datagram(options: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0; HEADER_BYTES];
        bytes[..4].copy_from_slice(&[1, 1, 6, 0]);
        bytes[28..34].copy_from_slice(&[2, 0, 0, 0, 0, 1]);
        bytes.extend(MAGIC);
        bytes.extend(options);
        bytes
    }

    #[test]
    fn datagrams_that_are_no_dhcp_are_refused_with_the_reason() {
        let good = datagram(&[53, 1, 1, 255]);
        assert!(parse(&good).is_ok());
        assert_eq!(parse(&[]), Err(MalformedPacket::Short(0)));
        assert_eq!(parse(&good[..235]), Err(MalformedPacket::Short(235)));
        for hlen in [17, 255] {
            let mut bad = good.clone();
            bad[2] = hlen;
            assert_eq!(parse(&bad), Err(MalformedPacket::HardwareLength(hlen)));
        }
        let mut bad = good.clone();
        (bad[0], bad[236]) = (2, 0);
        assert_eq!(parse(&bad), Err(MalformedPacket::Magic));
        let mut bad = good;
        bad[0] = 3;
        assert_eq!(parse(&bad), Err(MalformedPacket::Op(3)));
    }

    #[test]
    fn a_request_without_the_cookie_is_bootp_whatever_its_vendor_field_has_and_however_short_it_is() {
        let whole = datagram(&[53, 1, 1, 255]);
        let mut of_another = whole.clone();
        of_another[236..240].copy_from_slice(b"SUNW");
        for bootp in [&whole[..236], &whole[..239], &of_another] {
            let packet = parse(bootp).unwrap();
            assert_eq!((packet.message_type(), packet.hlen), (None, 6));
            assert!(packet.options.iter().next().is_none() && packet.faults.is_empty());
        }
    }

    #[test]
    fn a_bad_option_does_not_hide_the_ones_after_it() {
        let bytes =
            datagram(&[12, 2, 0xff, 0xfe, 94, 2, 1, 3, 80, 1, 0, 81, 2, 0, 0, 53, 1, 3, 54, 3, 10, 0, 0]);
        let packet = parse(&bytes).unwrap();
        assert_eq!(packet.message_type(), Some(MessageType::Request));
        assert_eq!(packet.server_identifier(), None);
        assert!(packet.has_fault(54) && packet.has_fault(12) && packet.has_fault(94));
        assert!(!packet.has_fault(53));
    }

    #[test]
    fn repeated_options_are_joined_even_apart() {
        let packet = parse(&datagram(&[67, 1, b'a', 53, 1, 1, 67, 1, b'b', 255])).unwrap();
        assert_eq!(packet.options.get(67), Some(&b"ab"[..]));
    }

    #[test]
    fn a_truncated_tail_keeps_what_came_before() {
        let packet = parse(&datagram(&[53, 1, 1, 60, 9, b'P'])).unwrap();
        assert_eq!(packet.message_type(), Some(MessageType::Discover));
        assert_eq!(packet.faults, [PacketFault::Truncated { code: 60 }]);
    }

    #[test]
    fn overloaded_fields_are_read_file_before_sname() {
        let mut bytes = datagram(&[53, 1, 1, 52, 1, 3, 255]);
        bytes[108..113].copy_from_slice(&[67, 1, b'f', 255, 9]);
        bytes[44..48].copy_from_slice(&[67, 1, b's', 255]);
        let packet = parse(&bytes).unwrap();
        assert_eq!(packet.options.get(67), Some(&b"fs"[..]));
        assert!(packet.file.is_empty() && packet.sname.is_empty());
    }

    #[test]
    fn user_classes_are_read_raw_and_length_prefixed() {
        for value in [&b"iPXE"[..], b"\x04iPXE", b"\x02ab\x04iPXE"] {
            let mut options = vec![77, value.len() as u8];
            options.extend(value);
            assert!(parse(&datagram(&options)).unwrap().has_user_class("iPXE"), "{value:?}");
        }
        assert!(!parse(&datagram(&[77, 4, b'n', b'o', b'p', b'e'])).unwrap().has_user_class("iPXE"));
    }

    #[test]
    fn all_architectures_of_a_list_are_kept() {
        let packet = parse(&datagram(&[93, 4, 0, 7, 0, 16])).unwrap();
        assert_eq!(packet.architectures(), [7, 16]);
    }
}
