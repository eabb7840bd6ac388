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

/// The number of hex digits.
const DIGITS: usize = 12;

impl Mac {
    /// The form that boot loaders ask for: `52-54-00-aa-00-01`.
    pub fn dashed(&self) -> String {
        self.to_string().replace(':', "-")
    }

    /// The addresses that a person may have meant who wrote this one: one digit is another, or two
    /// neighbouring digits are swapped.
    pub fn near(self) -> impl Iterator<Item = Mac> {
        let digits = self.digits();
        let other_digit = (0..DIGITS).flat_map(move |at| {
            (1..16).map(move |change| {
                let mut near = digits;
                near[at] ^= change;
                near
            })
        });
        let swapped = (1..DIGITS).filter(move |at| digits[*at] != digits[at - 1]).map(move |at| {
            let mut near = digits;
            near.swap(at, at - 1);
            near
        });
        other_digit.chain(swapped).map(Mac::of_digits)
    }

    /// Whether a person may have written this address and meant the other one; see [`Mac::near`].
    pub fn is_near(self, other: Mac) -> bool {
        let (own, others) = (self.digits(), other.digits());
        let different: Vec<usize> = (0..DIGITS).filter(|at| own[*at] != others[*at]).collect();
        match different.as_slice() {
            [_] => true,
            [one, next] => one + 1 == *next && own[*one] == others[*next] && own[*next] == others[*one],
            _ => false,
        }
    }

    fn digits(self) -> [u8; DIGITS] {
        std::array::from_fn(|at| (self.0[at / 2] >> (4 * (1 - at % 2))) & 15)
    }

    fn of_digits(digits: [u8; DIGITS]) -> Mac {
        Mac(std::array::from_fn(|at| (digits[2 * at] << 4) | digits[2 * at + 1]))
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
    fn a_slip_of_one_digit_or_of_two_neighbours_is_near_and_more_is_not() {
        let mac = |text: &str| text.parse::<Mac>().unwrap();
        let own = mac("52:54:00:00:00:1c");
        for near in ["52:54:00:00:00:1b", "52:54:00:00:00:c1", "25:54:00:00:00:1c", "53:54:00:00:00:1c"] {
            assert!(own.is_near(mac(near)) && own.near().any(|slip| slip == mac(near)), "{near}");
        }
        for far in ["52:54:00:00:00:1c", "52:54:00:00:00:2b", "52:54:00:01:00:1b"] {
            assert!(!own.is_near(mac(far)) && own.near().all(|slip| slip != mac(far)), "{far}");
        }
        assert!(own.near().all(|slip| own.is_near(slip) && slip.is_near(own)));
    }

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
