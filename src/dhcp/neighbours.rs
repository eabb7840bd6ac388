//! Who has which address, where another server gives it: heard from the clients' own REQUESTs.
//!
//! A machine without a lease of ours that asks over TFTP is known by this. Kept in memory, for as long as it
//! takes firmware to get to a script, whose name has the machine in it.

use std::collections::HashMap;
use std::net::Ipv4Addr;

use jiff::{SignedDuration, Timestamp};

use crate::dhcp::{BOOT_SERVER_PORT, ClientKey, Link, Message, Query, classify};
use crate::model::{Mac, SubnetMode, World};

/// Addresses that are remembered; beyond that only those heard of before are.
pub const NEIGHBOURS_MAX: usize = 65_536;
/// How long what was heard is believed.
const BELIEVED: SignedDuration = SignedDuration::from_hours(1);

/// The address that another server gives to the client that sent this, if the packet tells: the REQUEST that
/// takes another's offer, and any that goes on with an address where all are another's.
pub fn address_elsewhere(query: &Query<'_>, world: &World) -> Option<(Ipv4Addr, Mac)> {
    let mac = ClientKey::mac_of(query.packet)?;
    // Most packets are told by their kind alone.
    let (address, server) = if query.port == BOOT_SERVER_PORT {
        (query.packet.ciaddr, None)
    } else {
        match classify(query.packet).ok()? {
            Message::Selecting { server, .. } if query.interface.has_address(server) => return None,
            Message::Selecting { server, address } => (address, Some(server)),
            Message::InitReboot { address } | Message::Renewing { address } => (address, None),
            Message::Inform => (query.packet.ciaddr, None),
            _ => return None,
        }
    };
    let link = Link::select(query, world).ok()?;
    let is_anothers = match server {
        Some(server) => !query.is_to(&link, server),
        None => link.selected.mode == SubnetMode::Proxy,
    };
    (is_anothers && link.subnet_of(address).is_some()).then_some((address, mac))
}

/// Addresses and who was heard to take them.
#[derive(Debug, Clone, Default)]
pub struct Neighbours {
    by_address: HashMap<Ipv4Addr, (Mac, Timestamp)>,
    by_mac: HashMap<Mac, Ipv4Addr>,
}

impl Neighbours {
    /// A client of ours took an address. Whoever had it has it no more.
    pub fn hear(&mut self, (address, mac): (Ipv4Addr, Mac), now: Timestamp) {
        if let Some(before) = self.by_mac.remove(&mac) {
            self.by_address.remove(&before);
        }
        self.forget(address);
        if self.by_address.len() >= NEIGHBOURS_MAX {
            self.by_address.retain(|_, (_, heard)| now.duration_since(*heard) < BELIEVED);
            let by_address = &self.by_address;
            self.by_mac.retain(|_, address| by_address.contains_key(address));
        }
        if self.by_address.len() < NEIGHBOURS_MAX {
            self.by_address.insert(address, (mac, now));
            self.by_mac.insert(mac, address);
        }
    }

    /// Somebody who is no machine of ours took an address.
    pub fn forget(&mut self, address: Ipv4Addr) {
        if let Some((mac, _)) = self.by_address.remove(&address) {
            self.by_mac.remove(&mac);
        }
    }

    /// Who was heard to take an address.
    pub fn at(&self, address: Ipv4Addr, now: Timestamp) -> Option<Mac> {
        let (mac, heard) = self.by_address.get(&address)?;
        (now.duration_since(*heard) < BELIEVED).then_some(*mac)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::UNIX_EPOCH;

    fn address(last: u8) -> Ipv4Addr {
        Ipv4Addr::new(10, 0, 0, last)
    }

    fn mac(last: u8) -> Mac {
        Mac([2, 0, 0, 0, 0, last])
    }

    #[test]
    fn an_address_is_that_of_whoever_took_it_last_and_for_an_hour() {
        let mut neighbours = Neighbours::default();
        neighbours.hear((address(50), mac(1)), NOW);
        neighbours.hear((address(51), mac(2)), NOW);
        assert_eq!(neighbours.at(address(50), NOW), Some(mac(1)));
        neighbours.hear((address(52), mac(1)), NOW);
        assert_eq!(neighbours.at(address(50), NOW), None, "it has another address now");
        neighbours.hear((address(51), mac(1)), NOW);
        assert_eq!(neighbours.at(address(51), NOW), Some(mac(1)));
        assert_eq!(neighbours.at(address(51), NOW + SignedDuration::from_hours(2)), None);
        neighbours.forget(address(51));
        assert_eq!(neighbours.at(address(51), NOW), None, "a stranger took it");
    }

    #[test]
    fn the_table_does_not_grow_beyond_its_bound() {
        let mut neighbours = Neighbours::default();
        for at in 0..NEIGHBOURS_MAX as u32 + 10 {
            let [_, b, c, d] = at.to_be_bytes();
            neighbours.hear((Ipv4Addr::new(10, b, c, d), Mac([2, 0, 0, b, c, d])), NOW);
        }
        assert_eq!((neighbours.by_address.len(), neighbours.by_mac.len()), (NEIGHBOURS_MAX, NEIGHBOURS_MAX));
        neighbours
            .hear((Ipv4Addr::new(11, 0, 0, 1), Mac([4, 0, 0, 0, 0, 1])), NOW + SignedDuration::from_hours(2));
        assert_eq!((neighbours.by_address.len(), neighbours.by_mac.len()), (1, 1), "old ones made room");
    }
}
