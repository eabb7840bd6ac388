//! Addresses on offer: kept in memory for the short time between OFFER and REQUEST.
//!
//! A restart forgets them, which is harmless: a REQUEST for a free address is answered all the same.

use std::collections::HashMap;
use std::net::Ipv4Addr;

use jiff::{SignedDuration, Timestamp};

use crate::dhcp::ClientKey;

/// How long an offered address is kept for its client.
pub const HOLD_SECONDS: i64 = 90;
/// Offers open at one time; when all are taken, further clients wait for the next one.
pub const HOLDS_MAX: usize = 65_536;

/// One offer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hold {
    pub network: String,
    pub client: ClientKey,
    pub until: Timestamp,
}

impl Hold {
    pub fn is_of(&self, network: &str, client: &ClientKey) -> bool {
        self.network == network && self.client == *client
    }
}

/// All offers that are open. Choosing an address and holding it must be one step under one lock,
/// or two clients are offered the same.
#[derive(Debug, Clone, Default)]
pub struct Holds {
    by_address: HashMap<Ipv4Addr, Hold>,
    by_client: HashMap<(String, ClientKey), Ipv4Addr>,
}

impl Holds {
    /// Keeps `address` for a client in place of any other; `false` when the table is full.
    pub fn hold(&mut self, address: Ipv4Addr, hold: Hold, now: Timestamp) -> bool {
        if self.by_address.len() >= HOLDS_MAX {
            self.forget_expired(now);
        }
        self.release(&hold.network, &hold.client);
        if self.by_address.len() >= HOLDS_MAX {
            return false;
        }
        self.by_client.insert((hold.network.clone(), hold.client.clone()), address);
        if let Some(old) = self.by_address.insert(address, hold) {
            self.by_client.remove(&(old.network, old.client));
        }
        true
    }

    /// Gives back what a client was offered.
    pub fn release(&mut self, network: &str, client: &ClientKey) {
        if let Some(address) = self.by_client.remove(&(network.to_owned(), client.clone())) {
            self.by_address.remove(&address);
        }
    }

    /// The client `address` is kept for.
    pub fn at(&self, address: Ipv4Addr, now: Timestamp) -> Option<&Hold> {
        self.by_address.get(&address).filter(|hold| hold.until > now)
    }

    /// The address kept for a client.
    pub fn of(&self, network: &str, client: &ClientKey, now: Timestamp) -> Option<Ipv4Addr> {
        let address = *self.by_client.get(&(network.to_owned(), client.clone()))?;
        self.at(address, now).map(|_| address)
    }

    pub fn len(&self) -> usize {
        self.by_address.len()
    }

    pub fn is_empty(&self) -> bool {
        self.by_address.is_empty()
    }

    fn forget_expired(&mut self, now: Timestamp) {
        self.by_address.retain(|_, hold| hold.until > now);
        let by_address = &self.by_address;
        self.by_client.retain(|_, address| by_address.contains_key(address));
    }
}

/// When an offer made now ends.
pub(super) fn hold_until(now: Timestamp) -> Timestamp {
    later(now, HOLD_SECONDS)
}

/// `seconds` after `now`, or the end of time.
pub(super) fn later(now: Timestamp, seconds: i64) -> Timestamp {
    now.checked_add(SignedDuration::from_secs(seconds)).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::dhcp4::from_text;

    fn client(last: u8) -> ClientKey {
        ClientKey::of(&from_text(&format!("chaddr 02:00:00:00:00:{last:02x}")).unwrap()).unwrap()
    }

    #[test]
    fn a_client_holds_one_address_of_a_network_and_only_for_a_while() {
        let now = Timestamp::UNIX_EPOCH;
        let hold = || Hold { network: "a".into(), client: client(1), until: hold_until(now) };
        let [first, second] = [100, 101].map(|last| Ipv4Addr::new(10, 0, 0, last));
        let mut holds = Holds::default();
        assert!(holds.hold(first, hold(), now) && holds.hold(second, hold(), now));
        assert_eq!(holds.of("a", &client(1), now), Some(second));
        assert_eq!(holds.at(first, now), None);
        assert_eq!(holds.of("b", &client(1), now), None);
        assert_eq!(holds.of("a", &client(1), later(now, HOLD_SECONDS)), None);
        holds.release("a", &client(1));
        assert!(holds.is_empty());
    }
}
