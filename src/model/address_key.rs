//! IP addresses as table keys, written without an allocation: DHCP looks up several keys for each packet.

use std::fmt::{self, Write};
use std::net::{IpAddr, Ipv4Addr};
use std::ops::Deref;

/// Longest text of an address: eight groups of four digits (RFC 5952).
const TEXT_BYTES_MAX: usize = 39;

/// The text of an IP address, in the form that leases and reservations have as their key.
#[derive(Debug, Clone, Copy)]
pub struct AddressKey {
    text: [u8; TEXT_BYTES_MAX],
    length: usize,
}

impl From<Ipv4Addr> for AddressKey {
    fn from(address: Ipv4Addr) -> Self {
        let mut key = AddressKey::empty();
        for (at, octet) in address.octets().into_iter().enumerate() {
            if at > 0 {
                key.push(b'.');
            }
            if octet >= 100 {
                key.push(b'0' + octet / 100);
            }
            if octet >= 10 {
                key.push(b'0' + octet / 10 % 10);
            }
            key.push(b'0' + octet % 10);
        }
        key
    }
}

impl From<IpAddr> for AddressKey {
    fn from(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(address) => address.into(),
            IpAddr::V6(address) => {
                let mut key = AddressKey::empty();
                // The buffer holds the text of every address, so this never fails.
                let _ = write!(key, "{address}");
                key
            }
        }
    }
}

impl fmt::Write for AddressKey {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        text.bytes().for_each(|byte| self.push(byte));
        Ok(())
    }
}

impl AddressKey {
    fn empty() -> Self {
        AddressKey { text: [0; TEXT_BYTES_MAX], length: 0 }
    }

    fn push(&mut self, byte: u8) {
        if let Some(place) = self.text.get_mut(self.length) {
            *place = byte;
            self.length += 1;
        }
    }
}

impl Deref for AddressKey {
    type Target = str;

    fn deref(&self) -> &str {
        self.text.get(..self.length).and_then(|text| std::str::from_utf8(text).ok()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_key_is_the_text_of_its_address(bits: u32) {
            let address = Ipv4Addr::from_bits(bits);
            prop_assert_eq!(&*AddressKey::from(address), address.to_string());
            prop_assert_eq!(&*AddressKey::from(IpAddr::V4(address)), address.to_string());
        }

        #[test]
        fn a_key_is_the_text_of_an_ipv6_address_too(bits: u128) {
            let address = IpAddr::V6(bits.into());
            prop_assert_eq!(&*AddressKey::from(address), address.to_string());
        }
    }

    #[test]
    fn the_shortest_and_the_longest_fit() {
        assert_eq!(&*AddressKey::from(Ipv4Addr::UNSPECIFIED), "0.0.0.0");
        assert_eq!(&*AddressKey::from(Ipv4Addr::BROADCAST), "255.255.255.255");
        for text in ["::", "::ffff:255.255.255.255", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"] {
            assert_eq!(&*AddressKey::from(text.parse::<IpAddr>().unwrap()), text);
        }
    }
}
