//! The expected digest of a file, as distributions publish it.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// How a checksum is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChecksumAlgorithm {
    Sha256,
    Sha512,
}

impl ChecksumAlgorithm {
    pub fn as_str(self) -> &'static str {
        match self {
            ChecksumAlgorithm::Sha256 => "sha256",
            ChecksumAlgorithm::Sha512 => "sha512",
        }
    }

    fn hex_digits(self) -> usize {
        match self {
            ChecksumAlgorithm::Sha256 => 64,
            ChecksumAlgorithm::Sha512 => 128,
        }
    }
}

/// `sha256:HEX` or `sha512:HEX`, the digits in lower case.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Checksum {
    pub algorithm: ChecksumAlgorithm,
    pub hex: String,
}

impl fmt::Display for Checksum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.algorithm.as_str(), self.hex)
    }
}

impl FromStr for Checksum {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, hex) = text.split_once(':').ok_or("write it like sha256:HEX or sha512:HEX")?;
        let algorithm = match name {
            "sha256" => ChecksumAlgorithm::Sha256,
            "sha512" => ChecksumAlgorithm::Sha512,
            other => return Err(format!("unknown checksum algorithm `{other}`: use sha256 or sha512")),
        };
        let digits = algorithm.hex_digits();
        if hex.len() != digits || !hex.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(format!("a {name} has {digits} hex digits"));
        }
        Ok(Checksum { algorithm, hex: hex.to_ascii_lowercase() })
    }
}

impl TryFrom<String> for Checksum {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Checksum> for String {
    fn from(checksum: Checksum) -> String {
        checksum.to_string()
    }
}

impl JsonSchema for Checksum {
    fn schema_name() -> Cow<'static, str> {
        "Checksum".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": "^(sha256:[0-9A-Fa-f]{64}|sha512:[0-9A-Fa-f]{128})$",
            "description": "`sha256:HEX` or `sha512:HEX`.",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checksum_names_its_algorithm_and_has_all_its_digits() {
        let text = format!("sha256:{}", "aB".repeat(32));
        assert_eq!(text.parse::<Checksum>().unwrap().to_string(), text.to_lowercase());
        assert!(format!("sha512:{}", "ab".repeat(64)).parse::<Checksum>().is_ok());
        for wrong in ["", "ab", "md5:00", "sha256:00", &format!("sha512:{}", "ab".repeat(32))] {
            assert!(wrong.parse::<Checksum>().is_err(), "{wrong}");
        }
    }
}
