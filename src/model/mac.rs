//! MAC addresses, as machines, leases and packets contain them.

use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// An Ethernet MAC address. It is read from `52:54:00:aa:00:01`, `52-54-00-AA-00-01`, `5254.00aa.0001` and
/// `525400aa0001`, and written in lower case with colons.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Mac(pub [u8; 6]);

impl Mac {
    /// The form that boot loaders ask for: `52-54-00-aa-00-01`.
    pub fn dashed(&self) -> String {
        self.to_string().replace(':', "-")
    }

    /// Whether this can be the address of one interface: not all zero, not multicast or broadcast.
    pub fn is_unicast(&self) -> bool {
        self.0 != [0; 6] && self.0[0] & 1 == 0
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Written without the formatter, which takes ten times as long: each packet has its MAC written
        // several times.
        let mut text = [b':'; 17];
        for (place, byte) in text.chunks_mut(3).zip(self.0) {
            place[0] = hex_digit(byte >> 4);
            place[1] = hex_digit(byte & 15);
        }
        f.pad(std::str::from_utf8(&text).unwrap_or_default())
    }
}

fn hex_digit(nibble: u8) -> u8 {
    if nibble < 10 { b'0' + nibble } else { b'a' + nibble - 10 }
}

impl fmt::Debug for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The error for a text that is not a MAC address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a MAC address: write six bytes in hex, like 52:54:00:aa:00:01")]
pub struct MacError(String);

impl FromStr for Mac {
    type Err = MacError;

    fn from_str(text: &str) -> Result<Self, MacError> {
        let separators_fit = match text.len() {
            17 => {
                let separator = text.as_bytes()[2];
                matches!(separator, b':' | b'-')
                    && text.bytes().enumerate().all(|(i, b)| (i % 3 == 2) == (b == separator))
            }
            14 => text.bytes().enumerate().all(|(i, b)| (i % 5 == 4) == (b == b'.')),
            12 => true,
            _ => false,
        };
        if !separators_fit || !text.is_ascii() {
            return Err(mac_error(text));
        }
        let digits: Option<Vec<u8>> = text
            .chars()
            .filter(|c| !matches!(c, ':' | '-' | '.'))
            .map(|c| c.to_digit(16).map(|d| d as u8))
            .collect();
        match digits.as_deref() {
            Some(digits) if digits.len() == 12 => {
                let mut bytes = [0; 6];
                for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
                    *byte = pair[0] << 4 | pair[1];
                }
                Ok(Mac(bytes))
            }
            _ => Err(mac_error(text)),
        }
    }
}

fn mac_error(text: &str) -> MacError {
    MacError(text.chars().take(64).collect())
}

impl TryFrom<String> for Mac {
    type Error = MacError;
    fn try_from(text: String) -> Result<Self, MacError> {
        text.parse()
    }
}

impl From<Mac> for String {
    fn from(mac: Mac) -> String {
        mac.to_string()
    }
}

impl JsonSchema for Mac {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Mac".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "A MAC address: six bytes in hex, with colons, dashes, dots or nothing between.",
            "examples": ["52:54:00:aa:00:01"],
            "pattern": "^([0-9A-Fa-f]{12}|[0-9A-Fa-f]{2}((:[0-9A-Fa-f]{2}){5}|(-[0-9A-Fa-f]{2}){5})\
                |[0-9A-Fa-f]{4}(\\.[0-9A-Fa-f]{4}){2})$",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_usual_spelling_is_the_same_address() {
        for text in ["52:54:00:aa:00:01", "52-54-00-AA-00-01", "5254.00aa.0001", "525400aa0001"] {
            assert_eq!(text.parse::<Mac>().unwrap().to_string(), "52:54:00:aa:00:01", "{text}");
        }
    }

    #[test]
    fn near_misses_are_refused() {
        for text in
            ["", "52:54:00:aa:00", "52:54:00:aa:00:0g", "52:54-00:aa:00:01", "5254:00aa:0001", "ééééééé"]
        {
            assert!(text.parse::<Mac>().is_err(), "{text}");
        }
    }
}
