//! The relay agent information option (82), as a relay wrote it.
//!
//! The bytes are kept whole: a reply echoes them in the same order, with repeated and unknown sub-options and
//! trailing zeros (RFC 3046 2.2). The exception is the sub-option of RFC 6607 that a server takes out to say
//! that it chose the address by VRF. This module only reads the sub-options that decisions need.

use std::net::Ipv4Addr;

/// The VRF that the client is in (RFC 6607 3.2, 3.5).
const VSS: u8 = 151;
/// Empty: the relay wants to know whether the server understands [`VSS`] (RFC 6607 3.3). Relays from before
/// the RFC use the code for the server identifier.
const VSS_CONTROL: u8 = 152;
/// The link, in relays from before RFC 3527.
const OLD_LINK_SELECTION: u8 = 150;
/// Types of VRF names: text, the identifier of RFC 2685, the network without a name.
const VSS_TEXT: u8 = 0;
const VSS_VPN_ID: u8 = 1;
const VSS_GLOBAL: u8 = 255;

/// The VRF that a relay names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RelayVrf<'a> {
    /// Its name as text, or the seven bytes of a VPN identifier (RFC 2685 4).
    Named(&'a [u8]),
    /// The network without a VRF.
    Global,
}

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

    /// Sub-option 5: the link from which the address should be chosen (RFC 3527). Older relays send it as
    /// 150.
    pub fn link_selection(&self) -> Option<Ipv4Addr> {
        self.address(5).or_else(|| self.address(OLD_LINK_SELECTION))
    }

    /// Sub-option 11: the server identifier to answer with (RFC 5107). Older relays send it as 152.
    pub fn server_id_override(&self) -> Option<Ipv4Addr> {
        self.address(11).or_else(|| self.address(VSS_CONTROL))
    }

    /// Sub-option 151: the VRF that the client is in (RFC 6607). `None` if the relay names none, or in a way
    /// that is not known.
    pub fn vrf(&self) -> Option<RelayVrf<'a>> {
        match self.sub_option(VSS)? {
            [VSS_TEXT, name @ ..] => {
                let length = name.iter().rposition(|byte| *byte != 0)? + 1;
                name.get(..length).map(RelayVrf::Named)
            }
            [VSS_VPN_ID, id @ ..] if id.len() == 7 => Some(RelayVrf::Named(id)),
            [VSS_GLOBAL] => Some(RelayVrf::Global),
            _ => None,
        }
    }

    /// The option's value for the reply of a server that chose the address by the VRF: without the empty
    /// sub-option 152. A relay drops a reply that has it (RFC 6607 5).
    pub fn without_vss_control(&self) -> Vec<u8> {
        let (mut kept, mut rest) = (Vec::with_capacity(self.bytes.len()), self.bytes);
        while let [code, length, after @ ..] = rest {
            let Some((data, next)) = after.split_at_checked(usize::from(*length)) else { break };
            if (*code, *length) != (VSS_CONTROL, 0) {
                kept.extend([*code, *length]);
                kept.extend(data);
            }
            rest = next;
        }
        kept.extend(rest);
        kept
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

    #[test]
    fn a_vrf_is_a_name_an_identifier_or_none() {
        let vrf = |bytes: &'static [u8]| RelayAgent::new(bytes).vrf();
        assert_eq!(vrf(&[151, 5, 0, b'b', b'l', b'u', b'e']), Some(RelayVrf::Named(b"blue")));
        assert_eq!(vrf(&[151, 4, 0, b'b', b'l', 0]), Some(RelayVrf::Named(b"bl")));
        assert_eq!(vrf(&[151, 8, 1, 1, 2, 3, 4, 5, 6, 7]), Some(RelayVrf::Named(&[1, 2, 3, 4, 5, 6, 7])));
        assert_eq!(vrf(&[151, 1, 255]), Some(RelayVrf::Global));
        for odd in [&[151, 0][..], &[151, 1, 0], &[151, 2, 0, 0], &[151, 3, 1, 1, 2], &[151, 2, 9, 9]] {
            assert_eq!(vrf(odd.to_vec().leak()), None, "{odd:?}");
        }
    }

    #[test]
    fn what_old_relays_call_152_is_an_address_and_what_the_rfc_calls_so_is_empty() {
        let old = RelayAgent::new(&[150, 4, 10, 6, 0, 0, 152, 4, 10, 0, 0, 9]);
        assert_eq!(old.link_selection(), Some(Ipv4Addr::new(10, 6, 0, 0)));
        assert_eq!(old.server_id_override(), Some(Ipv4Addr::new(10, 0, 0, 9)));
        assert_eq!(old.without_vss_control(), old.bytes(), "it is not the one of the RFC");
        let new = RelayAgent::new(&[1, 1, 7, 152, 0, 151, 2, 0, b'b', 0, 0, 9]);
        assert_eq!(new.without_vss_control(), [1, 1, 7, 151, 2, 0, b'b', 0, 0, 9]);
        assert_eq!(new.server_id_override(), None);
    }
}
