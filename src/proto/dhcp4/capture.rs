//! A packet that a person pasted: the text form of [`from_text`], hex, or the hex dump of tcpdump, Wireshark,
//! xxd or hexdump. Headers of Ethernet, IPv4 and UDP before the message are taken off. Start at
//! [`read_capture`].

use std::net::{Ipv4Addr, SocketAddrV4};

use crate::model::parse_hex;
use crate::proto::dhcp4::{DATAGRAM_BYTES_MAX, DhcpPacket, from_text, parse};

/// Longest text that is read, in bytes: a hex dump of the longest packet, several times.
pub const CAPTURE_BYTES_MAX: usize = 64 << 10;
/// Most bytes of one line of a hex dump.
const LINE_BYTES_MAX: usize = 16;
/// The bytes before the magic cookie of DHCP.
const COOKIE_AT: usize = 236;
const COOKIE: [u8; 4] = [0x63, 0x82, 0x53, 0x63];
const UDP: u8 = 17;
const UDP_HEADER_BYTES: usize = 8;
/// Where an IPv4 header can begin: in a bare datagram, behind Ethernet, behind Linux cooked headers, behind
/// Ethernet with a VLAN tag.
const IP_AT: [usize; 5] = [0, 14, 16, 18, 20];
/// The ports that servers and relay agents receive requests at.
const REQUEST_PORTS: [u16; 3] = [67, 68, 4011];

/// A packet, and where it was sent from and to if the capture says so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CapturedPacket {
    pub packet: DhcpPacket,
    pub ends: Option<(SocketAddrV4, SocketAddrV4)>,
}

/// Reads a pasted packet.
///
/// # Errors
/// What cannot be read, and where.
pub fn read_capture(text: &str) -> Result<CapturedPacket, String> {
    if text.len() > CAPTURE_BYTES_MAX {
        return Err(format!("the text has more than {CAPTURE_BYTES_MAX} bytes: paste one packet"));
    }
    if text.lines().any(|line| line.trim_start().starts_with("chaddr ")) {
        let packet = from_text(text).map_err(|error| error.to_string())?;
        return Ok(CapturedPacket { packet, ends: None });
    }
    let bytes = read_dump(text)?;
    let (message, ends) = message(&bytes);
    let packet = parse(message).map_err(|error| format!("this is no DHCP message: {error}"))?;
    Ok(CapturedPacket { packet, ends })
}

/// The bytes of the first packet in a text.
fn read_dump(text: &str) -> Result<Vec<u8>, String> {
    let lines: Vec<(Option<usize>, &str)> = text.lines().map(split_offset).collect();
    let first = lines.iter().position(|(offset, _)| *offset == Some(0));
    let Some(first) = first else { return read_plain(text) };
    let mut bytes = Vec::new();
    for (offset, rest) in lines.iter().skip(first) {
        match offset {
            // The next packet of the capture begins, or something else follows.
            Some(0) if !bytes.is_empty() => break,
            Some(at) if *at == bytes.len() => bytes.extend(dump_line(rest)),
            Some(at) => {
                return Err(format!("the dump has no line for the bytes from {} to {at}", bytes.len()));
            }
            None if bytes.is_empty() => {}
            None => break,
        }
        if bytes.len() > DATAGRAM_BYTES_MAX {
            return Err(format!("the packet has more than {DATAGRAM_BYTES_MAX} bytes"));
        }
    }
    Ok(bytes)
}

fn read_plain(text: &str) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    for (at, line) in text.lines().enumerate() {
        let read = parse_hex(&line.replace('\t', " "));
        bytes.extend(read.ok_or_else(|| format!("line {} is not hex: give whole bytes", at + 1))?);
    }
    match bytes.is_empty() {
        true => Err("there is no packet: paste hex, or a hex dump of tcpdump -xx".to_owned()),
        false => Ok(bytes),
    }
}

/// The offset that a line of a dump begins with, and the rest: `0x0010:  …`, `00000010: …`, `0010  …`.
fn split_offset(line: &str) -> (Option<usize>, &str) {
    let line = line.trim_start();
    let bare = line.strip_prefix("0x").unwrap_or(line);
    let digits = bare.find(|c: char| !c.is_ascii_hexdigit()).unwrap_or(bare.len());
    let (offset, rest) = bare.split_at(digits);
    let rest = rest.strip_prefix(':').or_else(|| rest.starts_with("  ").then_some(rest));
    let offset = (4..=8).contains(&digits).then(|| usize::from_str_radix(offset, 16).ok()).flatten();
    match (offset, rest) {
        (Some(offset), Some(rest)) => (Some(offset), rest.trim_start()),
        _ => (None, line),
    }
}

/// The bytes of one line: hex up to the column of characters.
fn dump_line(rest: &str) -> Vec<u8> {
    // A gap of three blanks ends the hex of a last line that is shorter.
    let hex = rest.split("   ").next().unwrap_or_default();
    let words = hex.split_whitespace().map_while(parse_hex);
    let mut bytes: Vec<u8> = words.flatten().collect();
    bytes.truncate(LINE_BYTES_MAX);
    bytes
}

/// The DHCP message of a frame, a datagram or itself, and the ends of the datagram.
fn message(bytes: &[u8]) -> (&[u8], Option<(SocketAddrV4, SocketAddrV4)>) {
    if bytes.get(COOKIE_AT..).is_some_and(|rest| rest.starts_with(&COOKIE)) {
        return (bytes, None);
    }
    let found = IP_AT.into_iter().find_map(|at| datagram(bytes.get(at..)?));
    found.map_or((bytes, None), |(message, ends)| (message, Some(ends)))
}

/// The payload and the ends of an IPv4 datagram with a request to a DHCP server.
fn datagram(bytes: &[u8]) -> Option<(&[u8], (SocketAddrV4, SocketAddrV4))> {
    let (version, protocol) = (*bytes.first()?, *bytes.get(9)?);
    if version >> 4 != 4 || protocol != UDP {
        return None;
    }
    let udp = bytes.get(usize::from(version & 15) * 4..)?;
    let source = SocketAddrV4::new(address(bytes, 12)?, port(udp, 0)?);
    let destination = SocketAddrV4::new(address(bytes, 16)?, port(udp, 2)?);
    REQUEST_PORTS
        .contains(&destination.port())
        .then_some((udp.get(UDP_HEADER_BYTES..)?, (source, destination)))
}

fn port(udp: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(udp.get(at..at + 2)?.try_into().ok()?))
}

fn address(header: &[u8], at: usize) -> Option<Ipv4Addr> {
    let octets: [u8; 4] = header.get(at..at + 4)?.try_into().ok()?;
    Some(Ipv4Addr::from(octets))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::hex;
    use crate::proto::dhcp4::codes;

    fn discover() -> Vec<u8> {
        let mut bytes = vec![0; COOKIE_AT];
        bytes.splice(..4, [1, 1, 6, 0]);
        bytes.splice(28..34, [0x52, 0x54, 0, 0xaa, 0, 1]);
        bytes.extend(COOKIE);
        bytes.extend([53, 1, 1, 255]);
        bytes
    }

    fn frame() -> Vec<u8> {
        let message = discover();
        let mut bytes = vec![0xff; 12];
        bytes.extend([8, 0, 0x45, 0, 0, 0, 0, 0, 0, 0, 64, UDP, 0, 0, 10, 5, 0, 254, 10, 0, 0, 1]);
        bytes.extend([0, 67, 0, 67, 0, 0, 0, 0]);
        bytes.extend(message);
        bytes
    }

    /// A dump as programs write it, with the characters behind each line.
    fn dump(bytes: &[u8], (offset, gap): (fn(usize) -> String, &str)) -> String {
        let lines = bytes.chunks(16).enumerate().map(|(at, line)| {
            let words: Vec<String> = line.chunks(2).map(hex).collect();
            format!("{}{:<39}{gap}abcd.....\n", offset(at * 16), words.join(" "))
        });
        lines.collect()
    }

    fn mac(text: &str) -> String {
        hex(read_capture(text).unwrap().packet.hardware_address())
    }

    #[test]
    fn a_packet_is_read_however_it_was_dumped() {
        let (plain, framed) = (hex(&discover()), hex(&frame()));
        let spaced: Vec<String> = discover().iter().map(|byte| format!("{byte:02x}")).collect();
        let tcpdump = dump(&frame(), (|at| format!("\t0x{at:04x}:  "), "  "));
        let xxd = dump(&discover(), (|at| format!("{at:08x}: "), "  "));
        let wireshark = dump(&frame(), (|at| format!("{at:04x}  "), "   "));
        let two = format!("12:00:01 IP 10.5.0.254.67 > 10.0.0.1.67: BOOTP/DHCP\n{tcpdump}{tcpdump}");
        let text = "op request\nchaddr 52:54:00:aa:00:01\nmessage_type discover\n".to_owned();
        for pasted in [plain, framed, spaced.join(":"), spaced.join(" "), tcpdump, xxd, wireshark, two, text]
        {
            assert_eq!(mac(&pasted), "525400aa0001", "{pasted}");
        }
    }

    #[test]
    fn the_ends_of_a_captured_datagram_are_known() {
        let captured = read_capture(&hex(&frame())).unwrap();
        let (source, destination) = captured.ends.unwrap();
        assert_eq!(
            (source.to_string(), destination.to_string()),
            ("10.5.0.254:67".into(), "10.0.0.1:67".into())
        );
        assert_eq!(captured.packet.options.get(codes::MESSAGE_TYPE), Some(&[1][..]));
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        let lacking = dump(&discover(), (|at| format!("{at:04x}  "), "   "));
        let lacking: String =
            lacking.lines().filter(|line| !line.starts_with("0020")).collect::<Vec<_>>().join("\n");
        for (pasted, expected) in [
            ("", "there is no packet"),
            ("0101\nxyz", "line 2 is not hex"),
            ("0101", "2 bytes are fewer"),
            ("chaddr 52:54:00:aa:00:01\nrouter 10.0.0.1", "line 2: router"),
            (lacking.as_str(), "no line for the bytes from 32"),
        ] {
            let refused = read_capture(pasted).unwrap_err();
            assert!(refused.contains(expected), "{refused}");
        }
        assert!(read_capture(&"0".repeat(CAPTURE_BYTES_MAX + 2)).is_err());
    }
}
