//! Keys that are IPv4 addresses, written without an allocation: DHCP looks several up for each packet.

use std::net::Ipv4Addr;
use std::ops::Deref;

/// The text of an IPv4 address, as leases and reservations have it for a key.
#[derive(Debug, Clone, Copy)]
pub struct AddressKey {
    text: [u8; 15],
    length: usize,
}

impl From<Ipv4Addr> for AddressKey {
    fn from(address: Ipv4Addr) -> Self {
        let mut key = AddressKey { text: [0; 15], length: 0 };
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

impl AddressKey {
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
        }
    }

    #[test]
    fn the_shortest_and_the_longest_fit() {
        assert_eq!(&*AddressKey::from(Ipv4Addr::UNSPECIFIED), "0.0.0.0");
        assert_eq!(&*AddressKey::from(Ipv4Addr::BROADCAST), "255.255.255.255");
    }
}
