//! The relay agent information option (82), as a relay wrote it.
//!
//! The bytes are kept whole: a reply echoes them in the same order, with repeated and unknown sub-options and
//! trailing zeros (RFC 3046 2.2). This module only reads the sub-options that decisions need.

use std::net::Ipv4Addr;

/// A view of option 82.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RelayAgent<'a> {
    bytes: &'a [u8],
}

impl<'a> RelayAgent<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        RelayAgent { bytes }
    }

    /// The option's value, to be echoed.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Sub-option 1: the port of the relay or switch that the client is connected to.
    pub fn circuit_id(&self) -> Option<&'a [u8]> {
        self.sub_option(1)
    }

    /// Sub-option 2: the relay or switch itself.
    pub fn remote_id(&self) -> Option<&'a [u8]> {
        self.sub_option(2)
    }

    /// Sub-option 5: the link from which the address should be chosen (RFC 3527).
    pub fn link_selection(&self) -> Option<Ipv4Addr> {
        self.address(5)
    }

    /// Sub-option 11: the server identifier to answer with (RFC 5107).
    pub fn server_id_override(&self) -> Option<Ipv4Addr> {
        self.address(11)
    }

    /// Sub-option 19: the relay wants replies at its source port (RFC 8357).
    pub fn wants_source_port(&self) -> bool {
        self.sub_option(19).is_some()
    }

    /// The first sub-option `code`. Anything after a truncated sub-option is ignored.
    pub fn sub_option(&self, code: u8) -> Option<&'a [u8]> {
        let mut bytes = self.bytes;
        while let [found, length, rest @ ..] = bytes {
            let (data, after) = rest.split_at_checked(usize::from(*length))?;
            if *found == code {
                return Some(data);
            }
            bytes = after;
        }
        None
    }

    fn address(&self, code: u8) -> Option<Ipv4Addr> {
        let bytes: [u8; 4] = self.sub_option(code)?.try_into().ok()?;
        Some(Ipv4Addr::from(bytes)).filter(|address| !address.is_unspecified())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_repeated_sub_options_is_read() {
        let agent = RelayAgent::new(&[1, 1, b'a', 200, 0, 1, 1, b'b', 5, 4, 10, 6, 0, 0, 11, 2, 1, 1]);
        assert_eq!(agent.circuit_id(), Some(&b"a"[..]));
        assert_eq!(agent.link_selection(), Some(Ipv4Addr::new(10, 6, 0, 0)));
        assert_eq!(agent.server_id_override(), None, "two bytes are no address");
    }
}
