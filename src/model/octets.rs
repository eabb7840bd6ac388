//! Bytes that people write: plain text where it is printable, else hex behind `0x`.

use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use super::{hex, parse_hex};

/// Most bytes: a DHCP option holds no more in one piece.
const OCTETS_MAX: usize = 255;

/// A client identifier, circuit id or remote id: `Ethernet1/7` or `0x01525400aa0001`. Bytes that can be
/// written as text are shown as text, so that each value has one form.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Octets(Vec<u8>);

impl Octets {
    pub fn new(bytes: &[u8]) -> Self {
        Octets(bytes.to_vec())
    }

    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for Octets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_text = self.0.iter().all(|byte| matches!(byte, b' '..=b'~')) && !self.0.starts_with(b"0x");
        match std::str::from_utf8(&self.0) {
            Ok(text) if is_text => f.write_str(text),
            _ => write!(f, "0x{}", hex(&self.0)),
        }
    }
}

impl fmt::Debug for Octets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Octets {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bytes = match text.strip_prefix("0x") {
            Some(digits) => parse_hex(digits).ok_or_else(|| format!("`{text}` is not hex behind its 0x"))?,
            None => text.as_bytes().to_vec(),
        };
        match bytes.len() {
            1..=OCTETS_MAX => Ok(Octets(bytes)),
            length => Err(format!("{length} bytes: it must have 1 to {OCTETS_MAX}")),
        }
    }
}

impl TryFrom<String> for Octets {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Octets> for String {
    fn from(octets: Octets) -> String {
        octets.to_string()
    }
}

impl JsonSchema for Octets {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Octets".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "Bytes: text as it is, or hex behind 0x, like 0x01525400aa0001.",
            "minLength": 1,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_stays_text_and_bytes_become_hex() {
        for (written, shown) in
            [("Ethernet1/7", "Ethernet1/7"), ("0x0152AA", "0x0152aa"), ("0x6162", "ab"), ("0x3078", "0x3078")]
        {
            assert_eq!(written.parse::<Octets>().unwrap().to_string(), shown);
        }
        for wrong in ["", "0x", "0x1", "0xzz"] {
            assert!(wrong.parse::<Octets>().is_err(), "{wrong}");
        }
    }
}
