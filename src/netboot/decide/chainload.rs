//! Boot loops of loaders: firmware that gets a loader, runs it, and requests the same loader again would do
//! so for ever.
//!
//! This module remembers what each client requested; `decide` uses it through [`goes_round`]. A fetched
//! script is progress, and resets the count.

use std::collections::HashMap;

use jiff::{SignedDuration, Timestamp};

use crate::model::Mac;
use crate::netboot::decide::loader::LoaderTransport;

/// How often a client that makes no progress gets the same loader.
pub const ROUNDS_MAX: usize = 3;
/// The period in which those requests are counted.
pub const ROUNDS_WITHIN: SignedDuration = SignedDuration::from_mins(2);
/// Most clients that are remembered; beyond that old ones are forgotten, then new ones are not counted.
const CLIENTS_MAX: usize = 4096;
/// Most requests that are remembered per client.
const ASKS_MAX: usize = 8;

/// A DISCOVER that was answered with a loader, or would have been without the loop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoaderRequest {
    /// Firmware that waits for an answer repeats its DISCOVER with the same `xid` (RFC 2131 4.1).
    pub xid: u32,
    pub loader: String,
    /// How firmware fetches it. One power-on may try both protocols with one loader, which is no loop.
    pub over: LoaderTransport,
    pub at: Timestamp,
    /// Whether the client got the loader; false if the boot loop was stopped.
    pub served: bool,
}

/// Whether a client with the earlier requests `asks` must not get a loader again in the same way.
pub fn goes_round(asks: &[LoaderRequest], (loader, over): (&str, LoaderTransport), now: Timestamp) -> bool {
    asks.iter()
        .filter(|ask: &&LoaderRequest| {
            let is_same = ask.loader == loader && ask.over == over;
            ask.served && is_same && now.duration_since(ask.at) < ROUNDS_WITHIN
        })
        .count()
        >= ROUNDS_MAX
}

/// Recent loader requests, by the client's hardware address.
#[derive(Debug, Clone, Default)]
pub struct LoaderRequests {
    by_mac: HashMap<Mac, Vec<LoaderRequest>>,
}

impl LoaderRequests {
    /// All requests of a client.
    pub fn of(&self, mac: Mac) -> &[LoaderRequest] {
        self.by_mac.get(&mac).map_or(&[], Vec::as_slice)
    }

    /// The requests before the DISCOVER with this `xid`, so that its repetition gets the same answer.
    pub fn before_discover(&self, mac: Mac, xid: u32) -> &[LoaderRequest] {
        let asks = self.of(mac);
        let at = asks.iter().position(|ask| ask.xid == xid);
        asks.get(..at.unwrap_or(asks.len())).unwrap_or_default()
    }

    /// The requests before the latest DISCOVER, which a REQUEST follows.
    pub fn before_latest(&self, mac: Mac) -> &[LoaderRequest] {
        self.of(mac).split_last().map_or(&[], |(_, before)| before)
    }

    /// Records a request; returns `false` for a repetition.
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
            // Requests that were served count, so the latest unserved one makes room.
            asks.pop();
        }
        asks.push(ask);
        true
    }

    /// Forgets a client that fetched its script.
    pub fn forget(&mut self, mac: Mac) {
        self.by_mac.remove(&mac);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAC: Mac = Mac([2, 0, 0, 0, 0, 1]);
    const TFTP: LoaderTransport = LoaderTransport::Tftp;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::UNIX_EPOCH + SignedDuration::from_secs(seconds)
    }

    /// Records a request that is served unless it is a loop. Returns whether it was served.
    fn asks(asks: &mut LoaderRequests, (xid, loader, seconds): (u32, &str, i64)) -> bool {
        let served = !goes_round(asks.before_discover(MAC, xid), (loader, TFTP), at(seconds));
        asks.add(MAC, LoaderRequest { xid, loader: loader.into(), over: TFTP, at: at(seconds), served });
        served
    }

    #[test]
    fn vector_56_the_fourth_round_in_two_minutes_is_not_served() {
        let mut known = LoaderRequests::default();
        for (xid, seconds) in [(1, 0), (2, 10), (3, 20)] {
            assert!(asks(&mut known, (xid, "ipxe.pxe", seconds)));
        }
        assert!(!asks(&mut known, (4, "ipxe.pxe", 30)));
        assert!(
            !goes_round(known.of(MAC), ("undionly.kpxe", TFTP), at(30)),
            "another loader is another matter"
        );
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
        assert!(goes_round(known.before_latest(MAC), ("undionly.kpxe", TFTP), at(66)), "so does its REQUEST");
        assert!(asks(&mut known, (3, "undionly.kpxe", 67)), "and that of one that was served");
    }

    #[test]
    fn a_power_on_that_tries_two_protocols_counts_once() {
        let ask = |xid, over| LoaderRequest { xid, loader: "a.efi".into(), over, at: at(0), served: true };
        let two_rounds =
            [ask(1, TFTP), ask(2, LoaderTransport::Http), ask(3, TFTP), ask(4, LoaderTransport::Http)];
        assert!(!goes_round(&two_rounds, ("a.efi", TFTP), at(1)));
        let third = [&two_rounds[..], &[ask(5, TFTP)]].concat();
        assert!(goes_round(&third, ("a.efi", TFTP), at(1)));
        assert!(!goes_round(&third, ("a.efi", LoaderTransport::Http), at(1)));
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
            known.add(MAC, LoaderRequest { xid, loader: "a".into(), over: TFTP, at: at(0), served: xid < 3 });
        }
        assert_eq!(known.of(MAC).len(), ASKS_MAX);
        assert!(goes_round(known.of(MAC), ("a", TFTP), at(1)), "the ones that count are kept");
        for client in 0..5000_u32 {
            let [_, _, c, d] = client.to_be_bytes();
            known.add(
                Mac([4, 0, 0, 0, c, d]),
                LoaderRequest { xid: 1, loader: "a".into(), over: TFTP, at: at(0), served: true },
            );
        }
        assert_eq!(known.by_mac.len(), CLIENTS_MAX);
    }
}
