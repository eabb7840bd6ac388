//! The types of options' values: conversion of words to bytes and back.
//!
//! The same codec serves the options of subnets (`dhcp::decide::options` turns JSON into words) and the text
//! form of packets. A list is several words, a text is one word.

use std::net::Ipv4Addr;
use std::str::FromStr;

use crate::model::{hex, parse_hex};
use crate::proto::dhcp4::MessageType;

/// The type of an option's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ValueType {
    /// No value.
    Empty,
    /// One byte, `true` or `false`.
    Flag,
    U8,
    U16,
    U32,
    I32,
    /// The name of a message type: `discover`.
    MessageType,
    Address,
    /// One or more addresses.
    Addresses,
    /// `10.0.0.0=10.0.0.1`, one or more pairs.
    AddressPairs,
    U16s,
    /// Option codes, one byte each.
    Codes,
    /// Type, major and minor of the client's network interface (RFC 4578 2.2).
    Interface,
    /// UTF-8 text.
    Text,
    /// Bytes that are usually text; any bytes are valid.
    Opaque,
    /// Hexadecimal.
    Bytes,
    /// Sub-options, each `CODE=HEX` (RFC 3046).
    Relay,
    /// Domain names as RFC 1035 labels, without compression (RFC 3397).
    Names,
    /// Routes, each `10.0.0.0/8=10.0.0.1` (RFC 3442).
    Routes,
}

impl ValueType {
    /// What a writer should give, for messages.
    pub fn expects(self) -> &'static str {
        match self {
            ValueType::Empty => "nothing",
            ValueType::Flag => "true or false",
            ValueType::U8 => "a number from 0 to 255",
            ValueType::U16 => "a number from 0 to 65535",
            ValueType::U32 => "a number from 0 to 4294967295",
            ValueType::I32 => "a number from -2147483648 to 2147483647",
            ValueType::MessageType => "a message type, like discover",
            ValueType::Address => "one IPv4 address",
            ValueType::Addresses => "a list of IPv4 addresses",
            ValueType::AddressPairs => "a list of pairs, like 10.1.0.0=10.0.0.1",
            ValueType::U16s => "a list of numbers from 0 to 65535",
            ValueType::Codes => "a list of option codes from 0 to 255",
            ValueType::Interface => "three numbers from 0 to 255",
            ValueType::Text | ValueType::Opaque => "a text",
            ValueType::Bytes => "bytes in hex, like 0104c0a80001",
            ValueType::Relay => "a list of sub-options, like 1=6574683 as code and hex",
            ValueType::Names => "a list of domain names",
            ValueType::Routes => {
                "a list of routes without host bits, like {destination: 10.1.0.0/16, router: 10.0.0.1}"
            }
        }
    }

    /// The bytes of a value that is given as words; `None` if the words do not fit the type.
    pub fn encode(self, words: &[&str]) -> Option<Vec<u8>> {
        match self {
            ValueType::Empty => words.is_empty().then(Vec::new),
            ValueType::Flag => single_word(words)?.parse::<bool>().ok().map(|flag| vec![u8::from(flag)]),
            ValueType::U8 => Some(vec![single_word(words)?.parse().ok()?]),
            ValueType::U16 => Some(single_word(words)?.parse::<u16>().ok()?.to_be_bytes().to_vec()),
            ValueType::U32 => Some(single_word(words)?.parse::<u32>().ok()?.to_be_bytes().to_vec()),
            ValueType::I32 => Some(single_word(words)?.parse::<i32>().ok()?.to_be_bytes().to_vec()),
            ValueType::MessageType => Some(vec![message_type_code(single_word(words)?)?]),
            ValueType::Address => Some(single_word(words)?.parse::<Ipv4Addr>().ok()?.octets().to_vec()),
            ValueType::Addresses => {
                each(words, |word| Some(word.parse::<Ipv4Addr>().ok()?.octets().to_vec()))
            }
            ValueType::AddressPairs => each(words, |word| {
                let (left, right) = word.split_once('=')?;
                let (left, right): (Ipv4Addr, Ipv4Addr) = (left.parse().ok()?, right.parse().ok()?);
                Some([left.octets(), right.octets()].concat())
            }),
            ValueType::U16s => each(words, |word| Some(word.parse::<u16>().ok()?.to_be_bytes().to_vec())),
            ValueType::Codes => each(words, |word| Some(vec![word.parse().ok()?])),
            ValueType::Interface => {
                each(words, |word| Some(vec![word.parse().ok()?])).filter(|b| b.len() == 3)
            }
            ValueType::Text | ValueType::Opaque => Some(single_word(words)?.as_bytes().to_vec()),
            ValueType::Bytes => match words {
                [] => Some(Vec::new()),
                _ => parse_hex(single_word(words)?),
            },
            ValueType::Relay => each(words, encode_sub_option),
            ValueType::Names => each(words, encode_name),
            ValueType::Routes => each(words, encode_route),
        }
    }

    /// The words of a value; `None` if the bytes do not fit the type. [`ValueType::Text`] and
    /// [`ValueType::Opaque`] give one word, which may contain any character.
    pub fn decode(self, bytes: &[u8]) -> Option<Vec<String>> {
        match self {
            ValueType::Empty => bytes.is_empty().then(Vec::new),
            ValueType::Flag => match bytes {
                [0] => one_word("false".into()),
                [1] => one_word("true".into()),
                _ => None,
            },
            ValueType::U8 => one_word(fixed::<1>(bytes)?[0].to_string()),
            ValueType::U16 => one_word(u16::from_be_bytes(fixed(bytes)?).to_string()),
            ValueType::U32 => one_word(u32::from_be_bytes(fixed(bytes)?).to_string()),
            ValueType::I32 => one_word(i32::from_be_bytes(fixed(bytes)?).to_string()),
            ValueType::MessageType => one_word(message_type_name(fixed::<1>(bytes)?[0]).into_owned()),
            ValueType::Address => one_word(Ipv4Addr::from(fixed::<4>(bytes)?).to_string()),
            ValueType::Addresses => chunks(bytes, |b: [u8; 4]| Ipv4Addr::from(b).to_string()),
            ValueType::AddressPairs => chunks(bytes, |[a, b, c, d, e, f, g, h]: [u8; 8]| {
                format!("{}={}", Ipv4Addr::new(a, b, c, d), Ipv4Addr::new(e, f, g, h))
            }),
            ValueType::U16s => chunks(bytes, |b: [u8; 2]| u16::from_be_bytes(b).to_string()),
            ValueType::Codes => chunks(bytes, |[code]: [u8; 1]| code.to_string()),
            ValueType::Interface => Some(fixed::<3>(bytes)?.iter().map(u8::to_string).collect()),
            ValueType::Text => one_word(String::from_utf8(bytes.to_vec()).ok()?),
            ValueType::Opaque => one_word(String::from_utf8(bytes.to_vec()).ok()?),
            ValueType::Bytes => Some(if bytes.is_empty() { Vec::new() } else { vec![hex(bytes)] }),
            ValueType::Relay => decode_sub_options(bytes),
            ValueType::Names => decode_names(bytes),
            ValueType::Routes => decode_routes(bytes),
        }
    }

    /// Whether `bytes` are a valid value of this type. [`ValueType::Opaque`] accepts anything.
    pub fn accepts(self, bytes: &[u8]) -> bool {
        match self {
            ValueType::Opaque | ValueType::Bytes | ValueType::Codes => true,
            ValueType::Text => std::str::from_utf8(bytes).is_ok(),
            // Most options of packets have these types, and need no conversion to words.
            ValueType::Empty => bytes.is_empty(),
            ValueType::U8 | ValueType::MessageType => bytes.len() == 1,
            ValueType::U16 => bytes.len() == 2,
            ValueType::U32 | ValueType::I32 | ValueType::Address => bytes.len() == 4,
            ValueType::Addresses => !bytes.is_empty() && bytes.len().is_multiple_of(4),
            ValueType::U16s => !bytes.is_empty() && bytes.len().is_multiple_of(2),
            ValueType::Interface => bytes.len() == 3,
            ValueType::Flag
            | ValueType::AddressPairs
            | ValueType::Relay
            | ValueType::Names
            | ValueType::Routes => self.decode(bytes).is_some(),
        }
    }
}

fn single_word<'a>(words: &[&'a str]) -> Option<&'a str> {
    match words {
        [word] => Some(*word),
        _ => None,
    }
}

fn one_word(text: String) -> Option<Vec<String>> {
    Some(vec![text])
}

const MESSAGE_TYPES: [(&str, MessageType); 9] = [
    ("discover", MessageType::Discover),
    ("offer", MessageType::Offer),
    ("request", MessageType::Request),
    ("decline", MessageType::Decline),
    ("ack", MessageType::Ack),
    ("nak", MessageType::Nak),
    ("release", MessageType::Release),
    ("inform", MessageType::Inform),
    ("force_renew", MessageType::ForceRenew),
];

fn message_type_code(name: &str) -> Option<u8> {
    match MESSAGE_TYPES.iter().find(|(known, _)| *known == name) {
        Some((_, message)) => Some(u8::from(*message)),
        None => name.parse().ok(),
    }
}

fn message_type_name(code: u8) -> std::borrow::Cow<'static, str> {
    match MESSAGE_TYPES.iter().find(|(_, message)| *message == MessageType::from(code)) {
        Some((name, _)) => (*name).into(),
        None => code.to_string().into(),
    }
}

fn fixed<const N: usize>(bytes: &[u8]) -> Option<[u8; N]> {
    bytes.try_into().ok()
}

fn each(words: &[&str], encode: impl Fn(&str) -> Option<Vec<u8>>) -> Option<Vec<u8>> {
    if words.is_empty() {
        return None;
    }
    words.iter().map(|word| encode(word)).collect::<Option<Vec<_>>>().map(|parts| parts.concat())
}

fn chunks<const N: usize>(bytes: &[u8], show: impl Fn([u8; N]) -> String) -> Option<Vec<String>> {
    let (whole, rest) = bytes.as_chunks::<N>();
    (rest.is_empty() && !whole.is_empty()).then(|| whole.iter().map(|chunk| show(*chunk)).collect())
}

fn encode_sub_option(word: &str) -> Option<Vec<u8>> {
    let (code, data) = word.split_once('=')?;
    let data = parse_hex(data)?;
    let mut bytes = vec![code.parse().ok()?, u8::try_from(data.len()).ok()?];
    bytes.extend(data);
    Some(bytes)
}

fn decode_sub_options(mut bytes: &[u8]) -> Option<Vec<String>> {
    let mut words = Vec::new();
    while let [code, length, rest @ ..] = bytes {
        let (data, after) = rest.split_at_checked(usize::from(*length))?;
        words.push(format!("{code}={}", hex(data)));
        bytes = after;
    }
    (bytes.is_empty() && !words.is_empty()).then_some(words)
}

/// RFC 1035 3.1: at most 63 bytes per label and 255 bytes per name.
fn encode_name(name: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    for label in name.trim_end_matches('.').split('.') {
        let fits = !label.is_empty()
            && label.len() <= 63
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
        if !fits {
            return None;
        }
        bytes.push(label.len() as u8);
        bytes.extend(label.bytes());
    }
    bytes.push(0);
    (bytes.len() <= 255).then_some(bytes)
}

fn decode_names(mut bytes: &[u8]) -> Option<Vec<String>> {
    let mut names = Vec::new();
    let mut labels: Vec<String> = Vec::new();
    while let [length, rest @ ..] = bytes {
        if *length == 0 {
            names.push(std::mem::take(&mut labels).join("."));
            bytes = rest;
            continue;
        }
        if *length > 63 {
            return None;
        }
        let (label, after) = rest.split_at_checked(usize::from(*length))?;
        labels.push(String::from_utf8(label.to_vec()).ok()?);
        bytes = after;
    }
    (labels.is_empty() && !names.is_empty()).then_some(names)
}

/// RFC 3442: the width, only the significant octets, the router.
fn encode_route(word: &str) -> Option<Vec<u8>> {
    let (network, router) = word.split_once('=')?;
    let (address, width) = network.split_once('/')?;
    let (address, width) = (Ipv4Addr::from_str(address).ok()?, width.parse::<u8>().ok()?);
    let router = Ipv4Addr::from_str(router).ok()?;
    let host_bits = u32::MAX.checked_shr(u32::from(width)).unwrap_or(0);
    if width > 32 || address.to_bits() & host_bits != 0 {
        return None;
    }
    let mut bytes = vec![width];
    bytes.extend(address.octets().iter().take(usize::from(width).div_ceil(8)));
    bytes.extend(router.octets());
    Some(bytes)
}

fn decode_routes(mut bytes: &[u8]) -> Option<Vec<String>> {
    let mut words = Vec::new();
    while let [width, rest @ ..] = bytes {
        if *width > 32 {
            return None;
        }
        let (significant, after) = rest.split_at_checked(usize::from(*width).div_ceil(8))?;
        let (router, after) = after.split_first_chunk::<4>()?;
        let mut address = [0; 4];
        address.iter_mut().zip(significant).for_each(|(to, from)| *to = *from);
        words.push(format!("{}/{width}={}", Ipv4Addr::from(address), Ipv4Addr::from(*router)));
        bytes = after;
    }
    (!words.is_empty()).then_some(words)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SHOWN: [ValueType; 16] = [
        ValueType::Empty,
        ValueType::Flag,
        ValueType::U8,
        ValueType::U16,
        ValueType::U32,
        ValueType::I32,
        ValueType::MessageType,
        ValueType::Address,
        ValueType::Addresses,
        ValueType::AddressPairs,
        ValueType::U16s,
        ValueType::Interface,
        ValueType::Text,
        ValueType::Relay,
        ValueType::Names,
        ValueType::Routes,
    ];

    proptest! {
        #[test]
        fn what_is_accepted_is_what_can_be_shown(bytes in prop::collection::vec(any::<u8>(), 0..17)) {
            for kind in SHOWN {
                prop_assert_eq!(kind.accepts(&bytes), kind.decode(&bytes).is_some(), "{:?}", kind);
            }
        }
    }

    #[test]
    fn classless_routes_carry_only_significant_octets() {
        let words = ["0.0.0.0/0=10.0.0.1", "10.0.0.0/8=10.0.0.2", "192.168.1.128/25=10.0.0.3"];
        let bytes = ValueType::Routes.encode(&words).unwrap();
        assert_eq!(bytes, [0, 10, 0, 0, 1, 8, 10, 10, 0, 0, 2, 25, 192, 168, 1, 128, 10, 0, 0, 3].to_vec());
        assert_eq!(ValueType::Routes.decode(&bytes).unwrap(), words);
        assert_eq!(ValueType::Routes.encode(&["10.0.0.1/8=10.0.0.1"]), None, "host bits are a mistake");
    }

    #[test]
    fn domain_search_is_labels_and_not_text() {
        let bytes = ValueType::Names.encode(&["a.example", "b.example."]).unwrap();
        assert_eq!(bytes, b"\x01a\x07example\0\x01b\x07example\0");
        assert_eq!(ValueType::Names.decode(&bytes).unwrap(), ["a.example", "b.example"]);
        assert_eq!(ValueType::Names.encode(&["a..b"]), None);
    }

    #[test]
    fn values_of_the_wrong_length_are_refused() {
        assert!(!ValueType::Address.accepts(&[10, 0, 0]));
        assert!(!ValueType::Addresses.accepts(&[]));
        assert!(!ValueType::U16s.accepts(&[0, 7, 0]));
        assert!(!ValueType::Interface.accepts(&[1, 3]));
        assert!(!ValueType::Text.accepts(&[0xff, 0xfe]));
        assert!(ValueType::Opaque.accepts(&[0xff, 0xfe]));
        assert!(!ValueType::Relay.accepts(&[1, 5, 0]));
    }
}
