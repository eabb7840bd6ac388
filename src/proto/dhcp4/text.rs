//! Packets as text, one `key value` per line: for test vectors, traces and people.
//!
//! Header fields that are zero are left out. Options are written with the names of [`codes`], or as `option
//! CODE HEX` if the value does not fit the option's type. `#` begins a comment.

use std::fmt::{Display, Write as _};
use std::net::Ipv4Addr;

use crate::model::hex;
use crate::model::parse_hex;
use crate::proto::dhcp4::{DhcpPacket, ValueType, codes};

/// A line that could not be parsed, counted from 1.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {reason}")]
pub struct TextError {
    pub line: usize,
    pub reason: String,
}

/// A packet as text; [`from_text`] reads it back.
pub fn to_text(packet: &DhcpPacket) -> String {
    let mut text = String::new();
    let mut line = |key: &str, value: &dyn Display| {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{key} {value}");
    };
    line("op", &if packet.op == 2 { "reply" } else { "request" });
    line("xid", &format!("{:#x}", packet.xid));
    if packet.htype != 1 {
        line("htype", &packet.htype);
    }
    if packet.hlen != 6 {
        line("hlen", &packet.hlen);
    }
    line("chaddr", &colons(packet.chaddr.get(..used_bytes(packet)).unwrap_or_default()));
    // After stray bytes; otherwise they would count as part of the address.
    if packet.hlen == 6 && used_bytes(packet) != 6 {
        line("hlen", &6);
    }
    for (key, value) in [("hops", u16::from(packet.hops)), ("secs", packet.secs)] {
        if value != 0 {
            line(key, &value);
        }
    }
    if packet.flags != 0 {
        line("flags", &format!("{:#06x}", packet.flags));
    }
    let addresses = [
        ("ciaddr", packet.ciaddr),
        ("yiaddr", packet.yiaddr),
        ("siaddr", packet.siaddr),
        ("giaddr", packet.giaddr),
    ];
    for (key, address) in addresses.iter().filter(|(_, address)| !address.is_unspecified()) {
        line(key, address);
    }
    for (key, value) in [("sname", &packet.sname), ("file", &packet.file)] {
        if !value.is_empty() {
            line(key, &quote(value));
        }
    }
    for (code, data) in packet.options.iter() {
        let (key, value) = show_option(code, data);
        line(&key, &value);
    }
    text
}

/// Parses what [`to_text`] writes. `hlen` defaults to the length of `chaddr`; options may repeat and keep
/// their order.
pub fn from_text(text: &str) -> Result<DhcpPacket, TextError> {
    let mut packet = DhcpPacket::default();
    for (at, line) in text.lines().enumerate() {
        let fail = |reason: String| TextError { line: at + 1, reason };
        let words = words(line).map_err(fail)?;
        if let Some((key, values)) = words.split_first() {
            let values: Vec<&[u8]> = values.iter().map(Vec::as_slice).collect();
            let key = String::from_utf8_lossy(key);
            read_line(&mut packet, &key, &values).map_err(|reason| fail(format!("{key}: {reason}")))?;
        }
    }
    Ok(packet)
}

fn read_line(packet: &mut DhcpPacket, key: &str, values: &[&[u8]]) -> Result<(), String> {
    match key {
        "op" => packet.op = if single_value(values)? == b"reply" { 2 } else { 1 },
        "xid" => packet.xid = number(single_value(values)?)?,
        "htype" => packet.htype = number(single_value(values)?)?,
        "hlen" => packet.hlen = number(single_value(values)?)?,
        "hops" => packet.hops = number(single_value(values)?)?,
        "secs" => packet.secs = number(single_value(values)?)?,
        "flags" => packet.flags = number(single_value(values)?)?,
        "ciaddr" => packet.ciaddr = address(single_value(values)?)?,
        "yiaddr" => packet.yiaddr = address(single_value(values)?)?,
        "siaddr" => packet.siaddr = address(single_value(values)?)?,
        "giaddr" => packet.giaddr = address(single_value(values)?)?,
        "sname" => packet.sname = single_value(values)?.to_vec(),
        "file" => packet.file = single_value(values)?.to_vec(),
        "chaddr" => read_chaddr(packet, values)?,
        _ => {
            let (code, data) = read_option(key, values)?;
            packet.options.push(code, data);
        }
    }
    Ok(())
}

fn single_value<'a>(values: &[&'a [u8]]) -> Result<&'a [u8], String> {
    match values {
        [value] => Ok(*value),
        _ => Err(format!("takes one value, not {}", values.len())),
    }
}

fn read_chaddr(packet: &mut DhcpPacket, values: &[&[u8]]) -> Result<(), String> {
    let bytes = match values {
        [] => Vec::new(),
        [value] => parse_hex(&String::from_utf8_lossy(value)).ok_or("is not hex")?,
        _ => return Err("takes one value".into()),
    };
    let room = packet.chaddr.get_mut(..bytes.len()).ok_or("is longer than 16 bytes")?;
    room.copy_from_slice(&bytes);
    packet.hlen = if packet.hlen == 6 { bytes.len() as u8 } else { packet.hlen };
    Ok(())
}

fn read_option(key: &str, values: &[&[u8]]) -> Result<(u8, Vec<u8>), String> {
    if key == "option" {
        let (code, data) = values.split_first().ok_or("needs a code and hex")?;
        let data: String = data.iter().map(|word| String::from_utf8_lossy(word)).collect();
        return Ok((number(code)?, parse_hex(&data).ok_or("is not hex")?));
    }
    let row = codes::by_name(key).ok_or("is neither a field nor an option")?;
    if let (ValueType::Text | ValueType::Opaque, [value]) = (row.kind, values) {
        return Ok((row.code, value.to_vec()));
    }
    let words: Vec<String> = values.iter().map(|word| String::from_utf8_lossy(word).into_owned()).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let data = row.kind.encode(&words).ok_or_else(|| format!("must be {}", row.kind.expects()))?;
    Ok((row.code, data))
}

fn show_option(code: u8, data: &[u8]) -> (String, String) {
    let named = codes::by_code(code).and_then(|row| match row.kind {
        ValueType::Text | ValueType::Opaque => Some((row.name, quote(data))),
        kind => Some((row.name, kind.decode(data)?.join(" "))),
    });
    match named {
        // A value that would not be read back the same is written in hex.
        Some((name, value)) if reads_back(&format!("{name} {value}"), data) => (name.into(), value),
        _ => ("option".into(), format!("{code} {}", hex(data))),
    }
}

fn reads_back(line: &str, data: &[u8]) -> bool {
    from_text(line).is_ok_and(|packet| packet.options.iter().next().is_some_and(|(_, read)| read == data))
}

/// The bytes of `chaddr` to show: those of the address, and any stray ones after them.
fn used_bytes(packet: &DhcpPacket) -> usize {
    let last = packet.chaddr.iter().rposition(|byte| *byte != 0).map_or(0, |at| at + 1);
    last.max(usize::from(packet.hlen).min(16))
}

fn colons(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(":")
}

fn number<T: TryFrom<u32>>(word: &[u8]) -> Result<T, String> {
    let word = String::from_utf8_lossy(word);
    let value = match word.strip_prefix("0x") {
        Some(digits) => u32::from_str_radix(digits, 16),
        None => word.parse(),
    };
    value
        .ok()
        .and_then(|value| T::try_from(value).ok())
        .ok_or_else(|| format!("`{word}` is not a number that fits"))
}

fn address(word: &[u8]) -> Result<Ipv4Addr, String> {
    let word = String::from_utf8_lossy(word);
    word.parse().map_err(|_| format!("`{word}` is not an IPv4 address"))
}

/// Bytes in double quotes, with `\"`, `\\` and `\xNN` for unprintable ones.
pub fn quote(bytes: &[u8]) -> String {
    let mut text = String::from("\"");
    for byte in bytes {
        match byte {
            b'"' | b'\\' => text.extend(['\\', char::from(*byte)]),
            0x20..=0x7e => text.push(char::from(*byte)),
            _ => text.push_str(&format!("\\x{byte:02x}")),
        }
    }
    text.push('"');
    text
}

/// The words of a line up to a `#`: separated by blanks; quoted words stay whole.
pub fn words(line: &str) -> Result<Vec<Vec<u8>>, String> {
    let mut found = Vec::new();
    let mut rest = line.trim_start();
    while let Some(first) = rest.chars().next().filter(|first| *first != '#') {
        let after = if first == '"' {
            let (word, after) = quoted(rest.get(1..).unwrap_or_default())?;
            found.push(word);
            after
        } else {
            let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
            let (word, after) = rest.split_at(end);
            found.push(word.as_bytes().to_vec());
            after
        };
        rest = after.trim_start();
    }
    Ok(found)
}

fn quoted(text: &str) -> Result<(Vec<u8>, &str), String> {
    let mut word = Vec::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Ok((word, text.get(at + 1..).unwrap_or_default())),
            '\\' => match chars.next() {
                Some((at, 'x')) => {
                    let digits = text.get(at + 1..at + 3).ok_or("\\x needs two hex digits")?;
                    word.push(u8::from_str_radix(digits, 16).map_err(|_| "\\x needs two hex digits")?);
                    chars.nth(1);
                }
                Some((_, c)) => word.extend(c.encode_utf8(&mut [0; 4]).as_bytes()),
                None => break,
            },
            c => word.extend(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    Err("a quoted text does not end".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    const DISCOVER: &str = "\
op request
xid 0x1
chaddr 02:00:00:00:00:01
flags 0x8000
giaddr 10.5.0.254
message_type discover
parameter_request_list 1 3 6
vendor_class_identifier \"PXEClient:Arch:00007:UNDI:003016\"
user_class \"\\x04iPXE\"
client_architectures 7 16
relay_agent_information 1=610000 200=01
option 54 0a0000
option 200 
";

    #[test]
    fn text_is_read_and_written_the_same() {
        assert_eq!(to_text(&from_text(DISCOVER).unwrap()), DISCOVER);
    }

    #[test]
    fn a_wrong_line_is_named() {
        let error = from_text("op request\nciaddr 10.0.0\n").unwrap_err();
        assert_eq!(error.to_string(), "line 2: ciaddr: `10.0.0` is not an IPv4 address");
        let error = from_text("router 10.0.0.1").unwrap_err();
        assert_eq!(error.to_string(), "line 1: router: is neither a field nor an option");
    }

    #[test]
    fn quoting_survives_every_byte() {
        let all: Vec<u8> = (0..=255).collect();
        assert_eq!(words(&quote(&all)).unwrap(), [all]);
    }
}
