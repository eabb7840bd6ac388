//! Observations of the networks besides the clients that were served: other servers, relays, and clients that
//! no subnet fits. The tables are bounded and tell when something is to be reported; nothing here affects an
//! answer.

use std::collections::{BTreeMap, VecDeque};
use std::net::Ipv4Addr;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use crate::dhcp::decide::NetworkInterface;
use crate::model::{Mac, RelayStatus, UnservedStatus};

/// Most other servers that are remembered; beyond that the one that was silent longest is forgotten.
const RIVALS_MAX: usize = 64;
/// Most relays that are remembered, in the same way.
const RELAYS_MAX: usize = 256;
/// Most kinds of unserved clients that are remembered.
const UNSERVED_MAX: usize = 16;
/// Least time between two reports about one server.
const RIVAL_AGAIN: SignedDuration = SignedDuration::from_hours(1);
/// How long a server counts as present after it was heard.
const RIVAL_PRESENT: SignedDuration = SignedDuration::from_hours(24);
/// Least time between two reports about clients without a subnet.
const UNSERVED_AGAIN: SignedDuration = SignedDuration::from_mins(1);

/// A packet of another DHCP server, or of a client that accepted its offer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerSighting {
    /// The server identifier (option 54), or else the source address of the packet.
    pub server: Ipv4Addr,
    /// The source MAC address of its packet; `None` if only the server's name was heard.
    pub mac: Option<Mac>,
    pub interface: String,
    /// An address that it offered.
    pub offered: Option<Ipv4Addr>,
    /// The boot server that its reply names (`siaddr`).
    pub next_server: Option<Ipv4Addr>,
    /// Whether its reply contains boot data.
    pub boots: bool,
}

/// Another DHCP server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OtherServer {
    pub heard: ServerSighting,
    /// The subnet that it was heard in.
    pub subnet: Option<String>,
    pub first_seen: Timestamp,
    pub last_seen: Timestamp,
    pub packets: u64,
    told: Option<Timestamp>,
}

impl OtherServer {
    /// Whether it was heard recently.
    pub fn is_present(&self, now: Timestamp) -> bool {
        now.duration_since(self.last_seen) < RIVAL_PRESENT
    }
}

/// Packets that no subnet fits.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct UnservedPackets {
    pub packets: u64,
    /// The most recent packets, the newest last.
    pub recent: VecDeque<UnservedStatus>,
    told: Option<Timestamp>,
    untold: u64,
}

/// All observations.
#[derive(Debug, Clone, Default)]
pub struct NetworkObservations {
    /// The interfaces that are served at present.
    pub interfaces: Vec<Arc<NetworkInterface>>,
    rivals: BTreeMap<(String, Ipv4Addr), OtherServer>,
    relays: BTreeMap<Ipv4Addr, RelayStatus>,
    pub unserved: UnservedPackets,
}

impl NetworkObservations {
    pub fn rivals(&self) -> impl Iterator<Item = &OtherServer> {
        self.rivals.values()
    }

    pub fn relays(&self) -> impl Iterator<Item = &RelayStatus> {
        self.relays.values()
    }

    /// Whether `server` is this server itself, or a relay that puts its own name in place of this server's
    /// (RFC 5107).
    pub fn is_no_rival(&self, server: Ipv4Addr) -> bool {
        let own = self.interfaces.iter().any(|interface| interface.has_address(server));
        own || server.is_unspecified() || server.is_broadcast() || self.relays.contains_key(&server)
    }

    /// Records another server. Returns `true` if it should be reported: the first time, when its hardware
    /// address becomes known, and once an hour.
    pub fn record_server(&mut self, heard: ServerSighting, subnet: Option<String>, now: Timestamp) -> bool {
        let key = (heard.interface.clone(), heard.server);
        if self.rivals.len() >= RIVALS_MAX && !self.rivals.contains_key(&key) {
            let oldest = self.rivals.iter().min_by_key(|(_, rival)| rival.last_seen);
            let oldest = oldest.map(|(key, _)| key.clone());
            oldest.and_then(|oldest| self.rivals.remove(&oldest));
        }
        let rival = self.rivals.entry(key).or_insert_with(|| OtherServer {
            heard: ServerSighting { boots: false, ..heard.clone() },
            subnet: None,
            first_seen: now,
            last_seen: now,
            packets: 0,
            told: None,
        });
        let introduced = rival.heard.mac.is_none() && heard.mac.is_some();
        rival.packets += 1;
        rival.last_seen = now;
        rival.subnet = subnet.or(rival.subnet.take());
        rival.heard.mac = heard.mac.or(rival.heard.mac);
        rival.heard.offered = heard.offered.or(rival.heard.offered);
        rival.heard.next_server = heard.next_server.or(rival.heard.next_server);
        rival.heard.boots |= heard.boots;
        let due = introduced || rival.told.is_none_or(|told| now.duration_since(told) >= RIVAL_AGAIN);
        if due {
            rival.told = Some(now);
        }
        due
    }

    /// Records a relay from one of its packets. `subnet` is the one that fits.
    pub fn relayed(&mut self, address: Ipv4Addr, interface: &str, subnet: Option<&str>, now: Timestamp) {
        if let Some(relay) = self.relays.get_mut(&address) {
            relay.packets += 1;
            relay.last_seen = now;
            if relay.subnet.as_deref() != subnet {
                relay.subnet = subnet.map(str::to_owned);
            }
            return;
        }
        if self.relays.len() >= RELAYS_MAX {
            let oldest = self.relays.values().min_by_key(|relay| relay.last_seen).map(|relay| relay.address);
            oldest.and_then(|oldest| self.relays.remove(&oldest));
        }
        let (interface, subnet) = (interface.to_owned(), subnet.map(str::to_owned));
        self.relays.insert(address, RelayStatus { address, interface, subnet, packets: 1, last_seen: now });
    }
}

impl UnservedPackets {
    /// Counts a packet. Returns the number of packets since the last report if a report is due.
    pub fn count(&mut self, client: UnservedStatus, now: Timestamp) -> Option<u64> {
        self.packets += 1;
        self.untold += 1;
        let known = self.recent.iter().position(|other| other.reason == client.reason);
        let before = known.and_then(|at| self.recent.remove(at)).map_or(0, |before| before.packets);
        if self.recent.len() >= UNSERVED_MAX {
            self.recent.pop_front();
        }
        self.recent.push_back(UnservedStatus { packets: before + 1, last_seen: now, ..client });
        if self.told.is_some_and(|told| now.duration_since(told) < UNSERVED_AGAIN) {
            return None;
        }
        self.told = Some(now);
        Some(std::mem::take(&mut self.untold))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minutes: i64) -> Timestamp {
        Timestamp::UNIX_EPOCH + SignedDuration::from_mins(minutes)
    }

    fn heard(last: u8) -> ServerSighting {
        let server = Ipv4Addr::new(10, 0, 0, last);
        let interface = "eth1".into();
        ServerSighting { server, mac: None, interface, offered: None, next_server: None, boots: false }
    }

    #[test]
    fn a_rival_is_told_of_at_first_sight_and_then_once_an_hour() {
        let mut sights = NetworkObservations::default();
        let told: Vec<bool> =
            [0, 1, 59, 60, 61, 120].map(|minute| sights.record_server(heard(9), None, at(minute))).to_vec();
        assert_eq!(told, [true, false, false, true, false, true]);
        let rival = sights.rivals().next().unwrap();
        assert_eq!((rival.first_seen, rival.last_seen, rival.packets), (at(0), at(120), 6));
        assert!(rival.is_present(at(121)) && !rival.is_present(at(120 + 25 * 60)));
    }

    #[test]
    fn a_rival_that_was_only_named_is_told_of_again_when_its_address_is_known() {
        let mut sights = NetworkObservations::default();
        let introduced = ServerSighting { mac: Some(Mac([2, 0, 0, 0, 0, 9])), ..heard(9) };
        let told =
            [heard(9), introduced.clone(), introduced].map(|heard| sights.record_server(heard, None, at(0)));
        assert_eq!(told, [true, true, false]);
    }

    #[test]
    fn what_was_once_heard_of_a_rival_is_kept() {
        let mut sights = NetworkObservations::default();
        let mac = Some(Mac([2, 0, 0, 0, 0, 9]));
        let (offered, next_server) = (Some(Ipv4Addr::new(10, 0, 0, 200)), Some(Ipv4Addr::new(10, 0, 0, 9)));
        sights.record_server(
            ServerSighting { mac, offered, next_server, boots: true, ..heard(9) },
            Some("lan".into()),
            at(0),
        );
        assert!(!sights.record_server(heard(9), None, at(1)));
        let rival = sights.rivals().next().unwrap();
        assert_eq!((rival.heard.mac, rival.heard.offered, rival.heard.boots), (mac, offered, true));
        assert_eq!(rival.heard.next_server, next_server);
        assert_eq!(rival.subnet.as_deref(), Some("lan"));
    }

    #[test]
    fn the_rival_that_was_silent_longest_makes_room() {
        let mut sights = NetworkObservations::default();
        for last in 0..=RIVALS_MAX {
            sights.record_server(heard(last as u8), None, at(last as i64));
        }
        assert_eq!(sights.rivals().count(), RIVALS_MAX);
        assert!(sights.rivals().all(|rival| rival.heard.server != Ipv4Addr::new(10, 0, 0, 0)));
    }

    #[test]
    fn a_relay_is_no_rival_and_there_is_a_bound_on_relays() {
        let mut sights = NetworkObservations::default();
        for last in 0..=RELAYS_MAX as u32 {
            sights.relayed(Ipv4Addr::from_bits(0x0a01_0000 + last), "eth1", None, at(i64::from(last)));
        }
        assert_eq!(sights.relays().count(), RELAYS_MAX);
        assert!(sights.is_no_rival(Ipv4Addr::new(10, 1, 0, 7)));
        assert!(!sights.is_no_rival(Ipv4Addr::new(10, 1, 0, 0)), "it was forgotten");
    }

    #[test]
    fn unserved_clients_are_told_of_once_a_minute_with_how_many_there_were() {
        let mut unserved = UnservedPackets::default();
        let client = |reason: &str| UnservedStatus {
            reason: reason.into(),
            packets: 0,
            last_seen: at(0),
            mac: None,
            relay: None,
            interface: "eth1".into(),
        };
        assert_eq!(unserved.count(client("a"), at(0)), Some(1));
        assert_eq!(unserved.count(client("a"), at(0)), None);
        assert_eq!(unserved.count(client("b"), at(0)), None);
        assert_eq!(unserved.count(client("a"), at(1)), Some(3));
        let recent: Vec<(&str, u64)> =
            unserved.recent.iter().map(|client| (client.reason.as_str(), client.packets)).collect();
        assert_eq!(recent, [("b", 1), ("a", 3)]);
        for n in 0..100 {
            unserved.count(client(&n.to_string()), at(1));
        }
        assert_eq!((unserved.recent.len(), unserved.packets), (UNSERVED_MAX, 104));
    }
}
