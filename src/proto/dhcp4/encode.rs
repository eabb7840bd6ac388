//! The encoder: turns a [`DhcpPacket`] into bytes that the oldest ROM and the strictest relay accept.
//!
//! Replies have option 53 first and option 82 last and verbatim, each code once, at least 300 bytes, and no
//! more than the client accepts (RFC 2131 2, RFC 3396, RFC 3046 2.2). Option 52 is never written: iPXE would
//! read overloaded fields as names.

use crate::proto::dhcp4::{DhcpPacket, codes};

/// BOOTP's message size (RFC 951 3); old relays and ROMs drop shorter messages.
pub const REPLY_BYTES_MIN: usize = 300;
/// IP and UDP headers, which option 57 counts (RFC 2132 9.10).
const IP_UDP_BYTES: usize = 28;
/// The IP datagram that every client must accept (RFC 2131 2).
const MESSAGE_BYTES_MIN: u16 = 576;
const END: u8 = 255;

/// Options that come first and are dropped last if a reply must be cut to the client's size. Option 82 is not
/// in the list: it is always written.
const PRIORITY: [u8; 18] = [
    codes::MESSAGE_TYPE,
    codes::SERVER_IDENTIFIER,
    codes::LEASE_TIME,
    codes::SUBNET_MASK,
    codes::CLASSLESS_ROUTES,
    codes::ROUTERS,
    codes::DOMAIN_NAME_SERVERS,
    codes::VENDOR_CLASS,
    codes::VENDOR_OPTIONS,
    codes::BOOTFILE_NAME,
    codes::TFTP_SERVER_NAME,
    codes::CLIENT_MACHINE_ID,
    codes::CLIENT_IDENTIFIER,
    codes::IPXE,
    codes::RENEWAL_TIME,
    codes::REBINDING_TIME,
    codes::HOST_NAME,
    codes::DOMAIN_NAME,
];

/// Options that a reply must have (RFC 2131 4.3.1). If option 82 leaves no room for them, the reply is longer
/// than the client's size: the relay removes option 82 before the client sees it (RFC 3046 2.2).
const ALWAYS: [u8; 3] = [codes::MESSAGE_TYPE, codes::SERVER_IDENTIFIER, codes::LEASE_TIME];

/// An encoded reply, and the options that did not fit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EncodedPacket {
    pub bytes: Vec<u8>,
    pub dropped: Vec<u8>,
}

/// The largest UDP payload for a client that sent `max_message_bytes` in option 57, on a link of `mtu` bytes.
pub fn payload_bytes_max(max_message_bytes: Option<u16>, mtu: u32) -> usize {
    let link = u16::try_from(mtu).unwrap_or(u16::MAX).max(MESSAGE_BYTES_MIN);
    let datagram = max_message_bytes.unwrap_or(MESSAGE_BYTES_MIN).clamp(MESSAGE_BYTES_MIN, link);
    usize::from(datagram).saturating_sub(IP_UDP_BYTES)
}

/// Encodes a reply in at most `bytes_max` bytes, unless the relay's option 82 and the mandatory options need
/// more.
pub fn encode_reply(reply: &DhcpPacket, bytes_max: usize) -> EncodedPacket {
    let relay = reply.options.get(codes::RELAY_AGENT).filter(|bytes| !bytes.is_empty());
    let mut bytes = header(reply);
    let reserved = relay.map_or(0, written_bytes) + 1;
    let mut dropped = Vec::new();
    for (code, data) in by_priority(reply) {
        if ALWAYS.contains(&code) || bytes.len() + written_bytes(data) + reserved <= bytes_max {
            write_option(&mut bytes, code, data);
        } else {
            dropped.push(code);
        }
    }
    if let Some(relay) = relay {
        write_option(&mut bytes, codes::RELAY_AGENT, relay);
    }
    bytes.push(END);
    bytes.resize(bytes.len().max(REPLY_BYTES_MIN), 0);
    EncodedPacket { bytes, dropped }
}

/// Encodes a message with its options exactly as listed, including repeated ones, as a client sends them.
pub fn encode_listed(message: &DhcpPacket) -> Vec<u8> {
    let mut bytes = header(message);
    for (code, data) in message.options.iter() {
        write_option(&mut bytes, code, data);
    }
    bytes.push(END);
    bytes.resize(bytes.len().max(REPLY_BYTES_MIN), 0);
    bytes
}

fn by_priority(reply: &DhcpPacket) -> Vec<(u8, &[u8])> {
    let mut options: Vec<_> = reply
        .options
        .iter()
        .filter(|(code, _)| !matches!(*code, 0 | END | codes::OVERLOAD | codes::RELAY_AGENT))
        .collect();
    options.sort_by_key(|(code, _)| (option_rank(*code), *code));
    options.dedup_by_key(|(code, _)| *code);
    options
}

fn option_rank(code: u8) -> usize {
    PRIORITY.iter().position(|first| *first == code).unwrap_or(PRIORITY.len())
}

fn header(message: &DhcpPacket) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(REPLY_BYTES_MIN);
    bytes.extend([message.op, message.htype, message.hlen, message.hops]);
    bytes.extend(message.xid.to_be_bytes());
    bytes.extend(message.secs.to_be_bytes());
    bytes.extend(message.flags.to_be_bytes());
    for address in [message.ciaddr, message.yiaddr, message.siaddr, message.giaddr] {
        bytes.extend(address.octets());
    }
    bytes.extend(message.chaddr);
    write_field(&mut bytes, &message.sname, 64);
    write_field(&mut bytes, &message.file, 128);
    bytes.extend([0x63, 0x82, 0x53, 0x63]);
    bytes
}

/// A text field of fixed size. A text that leaves no room for its NUL is left out: half a name is worse than
/// none.
fn write_field(bytes: &mut Vec<u8>, text: &[u8], size: usize) {
    let end = bytes.len() + size;
    if text.len() < size {
        bytes.extend(text);
    }
    bytes.resize(end, 0);
}

fn written_bytes(data: &[u8]) -> usize {
    data.len() + 2 * data.len().div_ceil(255).max(1)
}

/// Splits values over 255 bytes into several options of the same code, one after the other (RFC 3396).
fn write_option(bytes: &mut Vec<u8>, code: u8, data: &[u8]) {
    if data.is_empty() {
        bytes.extend([code, 0]);
    }
    for piece in data.chunks(255) {
        bytes.extend([code, piece.len() as u8]);
        bytes.extend(piece);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::dhcp4::parse;
    use dhcproto::{Decodable, Decoder, v4};
    use proptest::prelude::*;

    fn reply(options: &[(u8, Vec<u8>)]) -> DhcpPacket {
        let mut reply = DhcpPacket { op: 2, ..DhcpPacket::default() };
        options.iter().for_each(|(code, data)| reply.options.set(*code, data.clone()));
        reply
    }

    fn codes_on_the_wire(bytes: &[u8]) -> Vec<u8> {
        let (mut codes, mut rest) = (Vec::new(), &bytes[240..]);
        while rest[0] != END {
            codes.push(rest[0]);
            rest = &rest[2 + usize::from(rest[1])..];
        }
        codes
    }

    #[test]
    fn the_message_type_is_first_and_the_relay_agent_last() {
        let bytes = encode_reply(
            &reply(&[(82, vec![1, 1, 0]), (1, vec![255; 4]), (200, vec![1]), (53, vec![2]), (52, vec![1])]),
            548,
        )
        .bytes;
        assert_eq!(codes_on_the_wire(&bytes), [53, 1, 200, 82]);
        assert_eq!(bytes.len(), REPLY_BYTES_MIN);
    }

    #[test]
    fn a_reply_too_large_loses_the_least_needed_options_and_never_82() {
        let agent = [vec![1, 200], vec![7; 200]].concat();
        let full = reply(&[(53, vec![2]), (200, vec![0; 200]), (67, vec![b'x'; 50]), (82, agent.clone())]);
        let EncodedPacket { bytes, dropped } = encode_reply(&full, 548);
        assert_eq!(dropped, [200]);
        assert!(bytes.len() <= 548);
        assert_eq!(parse(&bytes).unwrap().options.get(82), Some(&agent[..]));
    }

    #[test]
    fn an_82_that_fills_the_reply_leaves_it_its_type_its_server_and_its_time() {
        let agent = [[vec![1, 255], vec![7; 255]].concat(), vec![2, 80], vec![7; 80]].concat();
        let needed = [(53, vec![2]), (54, vec![10, 0, 0, 1]), (51, vec![0, 0, 14, 16])];
        let full = reply(&[&needed[..], &[(200, vec![0; 20]), (82, agent.clone())]].concat());
        let EncodedPacket { bytes, dropped } = encode_reply(&full, 548);
        assert_eq!((codes_on_the_wire(&bytes), dropped), (vec![53, 54, 51, 82, 82], vec![200]));
        assert_eq!(parse(&bytes).unwrap().options.get(82), Some(&agent[..]));
    }

    #[test]
    fn option_57_sets_the_largest_payload() {
        assert_eq!(payload_bytes_max(None, 1500), 548);
        assert_eq!(payload_bytes_max(Some(1472), 1500), 1444);
        assert_eq!(payload_bytes_max(Some(100), 1500), 548);
        assert_eq!(payload_bytes_max(Some(9000), 1500), 1472);
    }

    #[test]
    fn long_values_survive_around_the_255_byte_border() {
        for length in [0, 254, 255, 256, 510, 511] {
            let value: Vec<u8> = (0..length).map(|i| i as u8).collect();
            let bytes = encode_reply(&reply(&[(53, vec![2]), (43, value.clone())]), 1472).bytes;
            assert_eq!(parse(&bytes).unwrap().options.get(43), Some(&value[..]), "{length}");
        }
    }

    #[test]
    fn names_without_room_for_their_nul_are_left_out_of_the_field() {
        let mut long = reply(&[]);
        long.file = vec![b'a'; 128];
        assert!(parse(&encode_reply(&long, 548).bytes).unwrap().file.is_empty());
        long.file.pop();
        assert_eq!(parse(&encode_reply(&long, 548).bytes).unwrap().file.len(), 127);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back_and_another_decoder_agrees(
            chaddr in any::<[u8; 16]>(),
            xid in any::<u32>(),
            address in any::<[u8; 4]>(),
            opaque in proptest::collection::vec(any::<u8>(), 1..300),
        ) {
            let mut sent = reply(&[(53, vec![5]), (54, address.to_vec()), (43, opaque.clone())]);
            sent.chaddr = chaddr;
            sent.xid = xid;
            let bytes = encode_reply(&sent, 1472).bytes;
            prop_assert_eq!(&parse(&bytes).unwrap(), &sent);
            let other = v4::Message::decode(&mut Decoder::new(&bytes)).unwrap();
            prop_assert_eq!(other.xid(), xid);
            prop_assert_eq!(other.opts().msg_type(), Some(v4::MessageType::Ack));
            let vendor = other.opts().get(v4::OptionCode::VendorExtensions).cloned();
            prop_assert_eq!(vendor, Some(v4::DhcpOption::VendorExtensions(opaque)));
        }

        #[test]
        fn random_bytes_never_panic(
            mut bytes in proptest::collection::vec(any::<u8>(), 0..700),
            headed in any::<bool>(),
        ) {
            if let (true, Some(magic)) = (headed, bytes.get_mut(236..240)) {
                magic.copy_from_slice(&[0x63, 0x82, 0x53, 0x63]);
                bytes[0] = 1;
                bytes[2] %= 18;
            }
            if let Ok(packet) = parse(&bytes) {
                let written = encode_reply(&packet, 548).bytes;
                prop_assert!(parse(&written).is_ok());
                let text = crate::proto::dhcp4::to_text(&packet);
                prop_assert!(crate::proto::dhcp4::from_text(&text).is_ok(), "{}", text);
            }
        }
    }
}
