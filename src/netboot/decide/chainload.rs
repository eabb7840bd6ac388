//! Loaders that are asked for again and again: firmware that gets a loader, runs it, and comes back for the
//! same one would do so for ever.
//!
//! Remembers what each client asked for; `decide` looks at it with [`goes_round`]. A script that is fetched
//! is progress, and ends the count.

use std::collections::HashMap;

use jiff::{SignedDuration, Timestamp};

use crate::model::Mac;

/// How often one loader is given to a client that does not get any further.
pub const ROUNDS_MAX: usize = 3;
/// The time in which that may be.
pub const ROUNDS_WITHIN: SignedDuration = SignedDuration::from_mins(2);
/// Clients that are remembered; beyond that, those of long ago are forgotten, then new ones not counted.
const CLIENTS_MAX: usize = 4096;
/// Asks of one client that are remembered.
const ASKS_MAX: usize = 8;

/// A DISCOVER that was answered with a loader, or would have been.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoaderRequest {
    /// Firmware that waits for an answer repeats itself with the same one (RFC 2131 4.1).
    pub xid: u32,
    pub loader: String,
    pub at: Timestamp,
    /// Whether it got the loader, and not nothing because it went round.
    pub served: bool,
}

/// Whether a client that `asks` so far is not to get `loader` once more.
pub fn goes_round(asks: &[LoaderRequest], loader: &str, now: Timestamp) -> bool {
    asks.iter()
        .filter(|ask: &&LoaderRequest| {
            ask.served && ask.loader == loader && now.duration_since(ask.at) < ROUNDS_WITHIN
        })
        .count()
        >= ROUNDS_MAX
}

/// What clients asked for lately, each by its hardware address.
#[derive(Debug, Clone, Default)]
pub struct LoaderRequests {
    by_mac: HashMap<Mac, Vec<LoaderRequest>>,
}

impl LoaderRequests {
    /// All asks of a client.
    pub fn of(&self, mac: Mac) -> &[LoaderRequest] {
        self.by_mac.get(&mac).map_or(&[], Vec::as_slice)
    }

    /// The asks before the DISCOVER with this `xid`, so that a repetition of it is answered as it was.
    pub fn before_discover(&self, mac: Mac, xid: u32) -> &[LoaderRequest] {
        let asks = self.of(mac);
        let at = asks.iter().position(|ask| ask.xid == xid);
        asks.get(..at.unwrap_or(asks.len())).unwrap_or_default()
    }

    /// The asks before the latest one, which a REQUEST goes on with.
    pub fn before_latest(&self, mac: Mac) -> &[LoaderRequest] {
        self.of(mac).split_last().map_or(&[], |(_, before)| before)
    }

    /// Records an ask; `false` when it is a repetition.
    pub fn add(&mut self, mac: Mac, ask: LoaderRequest) -> bool {
        let is_past = |past: &LoaderRequest| ask.at.duration_since(past.at) >= ROUNDS_WITHIN;
        if self.by_mac.len() >= CLIENTS_MAX && !self.by_mac.contains_key(&mac) {
            self.by_mac.retain(|_, asks| !asks.iter().all(is_past));
            if self.by_mac.len() >= CLIENTS_MAX {
                return true;
            }
        }
        let asks = self.by_mac.entry(mac).or_default();
        if asks.iter().any(|known| known.xid == ask.xid) {
            return false;
        }
        asks.retain(|past| !is_past(past));
        if asks.len() >= ASKS_MAX {
            // Those that were served count; the latest of the others makes room.
            asks.pop();
        }
        asks.push(ask);
        true
    }

    /// A client came to its script.
    pub fn forget(&mut self, mac: Mac) {
        self.by_mac.remove(&mac);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAC: Mac = Mac([2, 0, 0, 0, 0, 1]);

    fn at(seconds: i64) -> Timestamp {
        Timestamp::UNIX_EPOCH + SignedDuration::from_secs(seconds)
    }

    /// Asks, and is served unless it goes round. Whether it was served.
    fn asks(asks: &mut LoaderRequests, (xid, loader, seconds): (u32, &str, i64)) -> bool {
        let served = !goes_round(asks.before_discover(MAC, xid), loader, at(seconds));
        asks.add(MAC, LoaderRequest { xid, loader: loader.into(), at: at(seconds), served });
        served
    }

    #[test]
    fn vector_56_the_fourth_round_in_two_minutes_is_not_served() {
        let mut known = LoaderRequests::default();
        for (xid, seconds) in [(1, 0), (2, 10), (3, 20)] {
            assert!(asks(&mut known, (xid, "ipxe.pxe", seconds)));
        }
        assert!(!asks(&mut known, (4, "ipxe.pxe", 30)));
        assert!(!goes_round(known.of(MAC), "undionly.kpxe", at(30)), "another loader is another matter");
        assert!(asks(&mut known, (5, "ipxe.pxe", 121)), "two minutes after the first");
        assert!(!asks(&mut known, (6, "ipxe.pxe", 122)));
    }

    #[test]
    fn vector_56_firmware_that_repeats_itself_while_it_waits_is_one_ask() {
        let mut known = LoaderRequests::default();
        for seconds in [0, 4, 12, 28, 60] {
            assert!(asks(&mut known, (1, "undionly.kpxe", seconds)));
        }
        assert_eq!(known.of(MAC).len(), 1);
        for xid in [2, 3] {
            assert!(asks(&mut known, (xid, "undionly.kpxe", 61)));
        }
        assert!(!asks(&mut known, (4, "undionly.kpxe", 62)));
        assert!(!asks(&mut known, (4, "undionly.kpxe", 66)), "a repetition gets the same answer");
        assert!(goes_round(known.before_latest(MAC), "undionly.kpxe", at(66)), "so does its REQUEST");
        assert!(asks(&mut known, (3, "undionly.kpxe", 67)), "and that of one that was served");
    }

    #[test]
    fn a_script_that_is_fetched_ends_the_count() {
        let mut known = LoaderRequests::default();
        for xid in 1..=3 {
            assert!(asks(&mut known, (xid, "undionly.kpxe", 0)));
        }
        known.forget(MAC);
        assert!(asks(&mut known, (4, "undionly.kpxe", 1)));
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut known = LoaderRequests::default();
        for xid in 0..100 {
            known.add(MAC, LoaderRequest { xid, loader: "a".into(), at: at(0), served: xid < 3 });
        }
        assert_eq!(known.of(MAC).len(), ASKS_MAX);
        assert!(goes_round(known.of(MAC), "a", at(1)), "the ones that count are kept");
        for client in 0..5000_u32 {
            let [_, _, c, d] = client.to_be_bytes();
            known.add(
                Mac([4, 0, 0, 0, c, d]),
                LoaderRequest { xid: 1, loader: "a".into(), at: at(0), served: true },
            );
        }
        assert_eq!(known.by_mac.len(), CLIENTS_MAX);
    }
}
