//! The holders of addresses that another DHCP server gives, as overheard from the clients' REQUESTs.
//!
//! It identifies machines without a lease of this server that send TFTP requests. The entries are kept in
//! memory for as long as firmware needs to fetch a script, whose name identifies the machine.

use std::collections::HashMap;
use std::net::IpAddr;

use jiff::{SignedDuration, Timestamp};

use crate::model::Mac;

/// Most addresses that are remembered; beyond that only known addresses are updated.
pub const FOREIGN_ADDRESSES_MAX: usize = 65_536;
/// How long an overheard REQUEST is believed.
const BELIEVED: SignedDuration = SignedDuration::from_hours(1);

/// Addresses, and the clients that were overheard taking them.
#[derive(Debug, Clone, Default)]
pub struct ForeignAddresses {
    by_address: HashMap<IpAddr, (Mac, Timestamp)>,
    by_mac: HashMap<Mac, IpAddr>,
}

impl ForeignAddresses {
    /// Records that a client took an address; the previous holder loses it.
    pub fn record(&mut self, (address, mac): (IpAddr, Mac), now: Timestamp) {
        if let Some(before) = self.by_mac.remove(&mac) {
            self.by_address.remove(&before);
        }
        self.forget(address);
        if self.by_address.len() >= FOREIGN_ADDRESSES_MAX {
            self.by_address.retain(|_, (_, heard)| now.duration_since(*heard) < BELIEVED);
            let by_address = &self.by_address;
            self.by_mac.retain(|_, address| by_address.contains_key(address));
        }
        if self.by_address.len() < FOREIGN_ADDRESSES_MAX {
            self.by_address.insert(address, (mac, now));
            self.by_mac.insert(mac, address);
        }
    }

    /// Forgets the holder of an address that an unknown client took.
    pub fn forget(&mut self, address: IpAddr) {
        if let Some((mac, _)) = self.by_address.remove(&address) {
            self.by_mac.remove(&mac);
        }
    }

    /// The client that was overheard taking an address, and when.
    pub fn at(&self, address: IpAddr, now: Timestamp) -> Option<(Mac, Timestamp)> {
        self.by_address.get(&address).filter(|(_, heard)| now.duration_since(*heard) < BELIEVED).copied()
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    const NOW: Timestamp = Timestamp::UNIX_EPOCH;

    fn address(last: u8) -> IpAddr {
        Ipv4Addr::new(10, 0, 0, last).into()
    }

    fn mac(last: u8) -> Mac {
        Mac([2, 0, 0, 0, 0, last])
    }

    #[test]
    fn an_address_is_that_of_whoever_took_it_last_and_for_an_hour() {
        let mut foreign = ForeignAddresses::default();
        foreign.record((address(50), mac(1)), NOW);
        foreign.record((address(51), mac(2)), NOW);
        assert_eq!(foreign.at(address(50), NOW), Some((mac(1), NOW)));
        foreign.record((address(52), mac(1)), NOW);
        assert_eq!(foreign.at(address(50), NOW), None, "it has another address now");
        foreign.record((address(51), mac(1)), NOW);
        assert_eq!(foreign.at(address(51), NOW), Some((mac(1), NOW)));
        assert_eq!(foreign.at(address(51), NOW + SignedDuration::from_hours(2)), None);
        foreign.forget(address(51));
        assert_eq!(foreign.at(address(51), NOW), None, "a stranger took it");
        let ipv6: IpAddr = "fd00::5".parse().unwrap();
        foreign.record((ipv6, mac(3)), NOW);
        assert_eq!(foreign.at(ipv6, NOW), Some((mac(3), NOW)));
    }

    #[test]
    fn the_table_does_not_grow_beyond_its_bound() {
        let mut foreign = ForeignAddresses::default();
        for at in 0..FOREIGN_ADDRESSES_MAX as u32 + 10 {
            let [_, b, c, d] = at.to_be_bytes();
            foreign.record((Ipv4Addr::new(10, b, c, d).into(), Mac([2, 0, 0, b, c, d])), NOW);
        }
        assert_eq!(
            (foreign.by_address.len(), foreign.by_mac.len()),
            (FOREIGN_ADDRESSES_MAX, FOREIGN_ADDRESSES_MAX)
        );
        foreign.record(
            (Ipv4Addr::new(11, 0, 0, 1).into(), Mac([4, 0, 0, 0, 0, 1])),
            NOW + SignedDuration::from_hours(2),
        );
        assert_eq!((foreign.by_address.len(), foreign.by_mac.len()), (1, 1), "old ones made room");
    }
}
