//! Open offers: addresses that are held in memory for the short time between OFFER and REQUEST.
//!
//! A restart forgets them, which is harmless: a REQUEST for a free address is granted all the same.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use foldhash::HashMap;
use jiff::{SignedDuration, Timestamp};

use crate::dhcp::decide::index::AddressIndex;
use crate::dhcp::decide::{ClientKey, DhcpConversations};
use crate::model::World;

/// How long an offered address is held for its client.
pub const HOLD_SECONDS: i64 = 90;
/// How long an offer is its client's alone. Later it gives way where nothing else is free. A client takes an
/// offer at the end of its time-out: after 4 s, or 8 s when it asks again (PXE 2.1, 2.2.4).
pub const SOLE_SECONDS: i64 = 10;
/// Most offers that are looked at for one that gives way.
const GIVE_WAY_MAX: usize = 256;
/// Most open offers; beyond that, the oldest gives way, or further clients wait.
pub const HOLDS_MAX: usize = 65_536;

/// One offer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddressOffer {
    pub network: String,
    pub client: ClientKey,
    pub until: Timestamp,
}

impl AddressOffer {
    pub fn is_of(&self, network: &str, client: &ClientKey) -> bool {
        self.network == network && self.client == *client
    }
}

/// All open offers, and the index of free addresses. Choosing and holding an address must be one step under
/// one lock; otherwise two clients are offered the same address.
#[derive(Debug, Default)]
pub struct OpenOffers {
    by_address: HashMap<Ipv4Addr, AddressOffer>,
    /// The addresses that a client holds: one in each network.
    by_client: HashMap<ClientKey, Vec<Ipv4Addr>>,
    /// The offers in the order in which they end.
    ending: BTreeSet<(Timestamp, Ipv4Addr)>,
    /// The same within each network.
    ending_in: HashMap<String, BTreeSet<(Timestamp, Ipv4Addr)>>,
    /// What booting clients said when they asked for an offer.
    pub conversations: DhcpConversations,
    /// This host's addresses, on all interfaces that are served.
    own: Vec<Ipv4Addr>,
    /// A view of the world and of the fields above; the mutex allows updating it during reads.
    free: Mutex<IndexState>,
}

#[derive(Debug, Default)]
struct IndexState {
    index: AddressIndex,
    /// Addresses whose offers changed since the index was last updated.
    changed: Vec<Ipv4Addr>,
    /// Offers that ended before this time are in the index as ended.
    seen: Option<Timestamp>,
}

/// The index; it is up to date as long as this is held.
pub(super) struct IndexGuard<'a>(MutexGuard<'a, IndexState>);

impl std::ops::Deref for IndexGuard<'_> {
    type Target = AddressIndex;

    fn deref(&self) -> &AddressIndex {
        &self.0.index
    }
}

impl OpenOffers {
    /// Holds `address` for a client, in place of its other offer; returns `false` if the table is full.
    pub fn hold(&mut self, address: Ipv4Addr, hold: AddressOffer, now: Timestamp) -> bool {
        if self.by_address.len() >= HOLDS_MAX {
            self.forget_ended(now);
        }
        self.release(&hold.network, &hold.client);
        if self.by_address.len() >= HOLDS_MAX && !self.drop_oldest(now) {
            return false;
        }
        self.drop_at(address);
        self.by_client.entry(hold.client.clone()).or_default().push(address);
        self.ending.insert((hold.until, address));
        self.ending_in.entry(hold.network.clone()).or_default().insert((hold.until, address));
        self.by_address.insert(address, hold);
        self.change(address);
        true
    }

    /// Excludes this host's addresses, for clients on all interfaces.
    pub fn keep_own(&mut self, addresses: Vec<Ipv4Addr>) {
        self.own = addresses;
    }

    pub fn is_own(&self, address: Ipv4Addr) -> bool {
        self.own.contains(&address)
    }

    /// Frees what a client was offered.
    pub fn release(&mut self, network: &str, client: &ClientKey) {
        if let Some(address) = self.address_of(network, client) {
            self.drop_at(address);
        }
    }

    /// Frees all offers, because the clock by which they end has changed.
    pub fn clear(&mut self) {
        let all: Vec<Ipv4Addr> = self.by_address.keys().copied().collect();
        all.into_iter().for_each(|address| self.drop_at(address));
    }

    /// The client for which `address` is held.
    pub fn at(&self, address: Ipv4Addr, now: Timestamp) -> Option<&AddressOffer> {
        self.by_address.get(&address).filter(|hold| hold.until > now)
    }

    /// The address that is held for a client.
    pub fn of(&self, network: &str, client: &ClientKey, now: Timestamp) -> Option<Ipv4Addr> {
        self.address_of(network, client).filter(|address| self.at(*address, now).is_some())
    }

    /// The addresses of a network whose offers nobody took in the time that they are the client's alone, the
    /// oldest offer first.
    pub fn not_taken(&self, network: &str, now: Timestamp) -> impl Iterator<Item = Ipv4Addr> + '_ {
        let until = ..=(later(now, HOLD_SECONDS - SOLE_SECONDS), Ipv4Addr::BROADCAST);
        let offers = self.ending_in.get(network).into_iter().flat_map(move |all| all.range(until));
        offers.map(|(_, address)| *address).take(GIVE_WAY_MAX)
    }

    pub fn len(&self) -> usize {
        self.by_address.len()
    }

    pub fn is_empty(&self) -> bool {
        self.by_address.is_empty()
    }

    /// The index of the addresses that are free now.
    pub(super) fn free(&self, world: &World, now: Timestamp) -> IndexGuard<'_> {
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        let IndexState { index, changed, seen } = &mut *free;
        let since = seen.unwrap_or(Timestamp::MIN).min(now);
        let ended = self.ending.range((since, Ipv4Addr::UNSPECIFIED)..=(now, Ipv4Addr::BROADCAST));
        changed.extend(ended.map(|(_, address)| *address));
        index.catch_up(world, changed, &|address| self.at(address, now).is_some());
        changed.clear();
        *seen = Some(now);
        IndexGuard(free)
    }

    fn address_of(&self, network: &str, client: &ClientKey) -> Option<Ipv4Addr> {
        self.by_client
            .get(client)?
            .iter()
            .find(|address: &&Ipv4Addr| self.by_address.get(address).is_some_and(|at| at.network == network))
            .copied()
    }

    fn drop_at(&mut self, address: Ipv4Addr) {
        let Some(hold) = self.by_address.remove(&address) else { return };
        self.ending.remove(&(hold.until, address));
        if let Some(offers) = self.ending_in.get_mut(&hold.network) {
            offers.remove(&(hold.until, address));
            if offers.is_empty() {
                self.ending_in.remove(&hold.network);
            }
        }
        if let Some(held) = self.by_client.get_mut(&hold.client) {
            held.retain(|other| *other != address);
            if held.is_empty() {
                self.by_client.remove(&hold.client);
            }
        }
        self.change(address);
    }

    fn change(&mut self, address: Ipv4Addr) {
        self.free.get_mut().unwrap_or_else(PoisonError::into_inner).changed.push(address);
    }

    /// Frees the oldest offer, unless it is its client's alone; returns whether there was one.
    fn drop_oldest(&mut self, now: Timestamp) -> bool {
        let oldest = self.ending.first().copied();
        let oldest = oldest.filter(|(until, _)| *until <= later(now, HOLD_SECONDS - SOLE_SECONDS));
        oldest.map(|(_, address)| self.drop_at(address)).is_some()
    }

    fn forget_ended(&mut self, now: Timestamp) {
        let ended: Vec<Ipv4Addr> =
            self.ending.range(..=(now, Ipv4Addr::BROADCAST)).map(|(_, address)| *address).collect();
        ended.into_iter().for_each(|address| self.drop_at(address));
    }
}

/// When an offer that is made now ends.
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
        let hold = || AddressOffer { network: "a".into(), client: client(1), until: hold_until(now) };
        let [first, second] = [100, 101].map(|last| Ipv4Addr::new(10, 0, 0, last));
        let mut offers = OpenOffers::default();
        assert!(offers.hold(first, hold(), now) && offers.hold(second, hold(), now));
        assert_eq!(offers.of("a", &client(1), now), Some(second));
        assert_eq!(offers.at(first, now), None);
        assert_eq!(offers.of("b", &client(1), now), None);
        assert_eq!(offers.of("a", &client(1), later(now, HOLD_SECONDS)), None);
        offers.release("a", &client(1));
        assert!(offers.is_empty() && offers.ending.is_empty() && offers.ending_in.is_empty());
    }

    #[test]
    fn an_offer_gives_way_after_its_first_seconds_the_oldest_first_and_in_its_network() {
        let now = Timestamp::UNIX_EPOCH;
        let mut offers = OpenOffers::default();
        for (last, network, second) in [(3, "a", 2), (1, "a", 0), (2, "b", 0)] {
            let until = hold_until(later(now, second));
            let hold = AddressOffer { network: network.into(), client: client(last), until };
            assert!(offers.hold(Ipv4Addr::new(10, 0, 0, last), hold, now));
        }
        let give_way = |second| -> Vec<u8> {
            offers.not_taken("a", later(now, second)).map(|address| address.octets()[3]).collect()
        };
        assert_eq!(give_way(SOLE_SECONDS - 1), [0; 0]);
        assert_eq!(give_way(SOLE_SECONDS), [1]);
        assert_eq!(give_way(SOLE_SECONDS + 2), [1, 3]);
    }

    #[test]
    fn a_full_table_makes_room_for_a_new_client_by_its_oldest_offer() {
        let now = Timestamp::UNIX_EPOCH;
        let mut offers = OpenOffers::default();
        let offer = |number: u32, at| {
            let [_, a, b, c] = number.to_be_bytes();
            let text = format!("chaddr 02:00:00:{a:02x}:{b:02x}:{c:02x}");
            let client = ClientKey::of(&from_text(&text).unwrap()).unwrap();
            AddressOffer { network: "a".into(), client, until: hold_until(at) }
        };
        for number in 0..HOLDS_MAX as u32 {
            assert!(offers.hold(Ipv4Addr::from_bits(number), offer(number, now), now));
        }
        let newest = HOLDS_MAX as u32;
        assert!(!offers.hold(Ipv4Addr::from_bits(newest), offer(newest, now), now), "all are new");
        let later = later(now, SOLE_SECONDS);
        assert!(offers.hold(Ipv4Addr::from_bits(newest), offer(newest, later), later));
        assert_eq!((offers.len(), offers.at(Ipv4Addr::from_bits(0), later)), (HOLDS_MAX, None));
    }
}
