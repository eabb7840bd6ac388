//! Admission of read requests: not too many per address, and no further reads while the running ones lose
//! packets. Pure, with the time as an argument.

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

/// Requests that an address may make at once, for each read that it may have, and again per second after
/// that. A Raspberry Pi requests dozens of missing files in a row.
const REQUESTS_AT_ONCE: f64 = 16.0;
const REQUESTS_PER_SECOND: f64 = 8.0;
/// Most addresses that are counted; further addresses are not limited.
const ADDRESSES_MAX: usize = 16_384;

/// Length of a period of observation of the running reads.
const PERIOD: Duration = Duration::from_millis(500);
/// Timeouts in a period below which it tells nothing, and the share of timed-out windows that makes a period
/// bad. Bad cables lose one packet in a hundred; a full link loses many.
const TIMEOUTS_MIN: u64 = 32;
const TIMEOUTS_PERCENT: u64 = 20;
/// Reads that may run in any case.
const FLOOR: usize = 16;

/// The requests of each address, as token buckets.
pub(super) struct AddressBuckets {
    by_address: HashMap<Ipv4Addr, RequestBucket>,
    at_once: f64,
    per_second: f64,
}

struct RequestBucket {
    tokens: f64,
    since: Instant,
}

impl AddressBuckets {
    /// Buckets for addresses that may have so many reads at the same time.
    pub(super) fn new(reads: usize) -> Self {
        let reads = reads.max(1) as f64;
        let (at_once, per_second) = (reads * REQUESTS_AT_ONCE, reads * REQUESTS_PER_SECOND);
        Self { by_address: HashMap::new(), at_once, per_second }
    }

    /// Takes a token; returns false if the address has none left.
    pub(super) fn take(&mut self, address: Ipv4Addr, now: Instant) -> bool {
        if self.by_address.len() >= ADDRESSES_MAX && !self.by_address.contains_key(&address) {
            self.forget(now);
            if self.by_address.len() >= ADDRESSES_MAX {
                return true;
            }
        }
        let full = RequestBucket { tokens: self.at_once, since: now };
        let bucket = self.by_address.entry(address).or_insert(full);
        let passed = now.saturating_duration_since(bucket.since).as_secs_f64();
        bucket.tokens = (bucket.tokens + passed * self.per_second).min(self.at_once);
        bucket.since = now;
        let taken = bucket.tokens >= 1.0;
        if taken {
            bucket.tokens -= 1.0;
        }
        taken
    }

    /// Drops buckets that are full again.
    fn forget(&mut self, now: Instant) {
        let (at_once, per_second) = (self.at_once, self.per_second);
        self.by_address.retain(|_, bucket| {
            let passed = now.saturating_duration_since(bucket.since).as_secs_f64();
            bucket.tokens + passed * per_second < at_once
        });
    }
}

/// The totals of all reads since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct ReadTotals {
    pub windows: u64,
    pub timeouts: u64,
}

/// How many reads may run: fewer while the running ones lose packets, more again when they do not.
pub(super) struct ReadThrottle {
    limit: usize,
    limit_max: usize,
    since: Instant,
    seen: ReadTotals,
}

impl ReadThrottle {
    pub(super) fn new(limit_max: usize, now: Instant) -> Self {
        Self { limit: limit_max, limit_max, since: now, seen: ReadTotals::default() }
    }

    /// Whether one more read may run beside `running` others.
    pub(super) fn admits(&mut self, running: usize, totals: ReadTotals, now: Instant) -> bool {
        if now.saturating_duration_since(self.since) >= PERIOD {
            self.observe(running, totals);
            self.since = now;
            self.seen = totals;
        }
        running < self.limit
    }

    fn observe(&mut self, running: usize, totals: ReadTotals) {
        let timeouts = totals.timeouts.saturating_sub(self.seen.timeouts);
        let windows = totals.windows.saturating_sub(self.seen.windows);
        let is_bad = timeouts >= TIMEOUTS_MIN && timeouts * 100 > windows * TIMEOUTS_PERCENT;
        self.limit = if is_bad {
            (running.min(self.limit) * 3 / 4).max(FLOOR).min(self.limit_max)
        } else {
            self.limit.saturating_add((self.limit / 4).max(FLOOR)).min(self.limit_max)
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 9);

    fn taken(buckets: &mut AddressBuckets, tries: usize, now: Instant) -> usize {
        (0..tries).filter(|_| buckets.take(PEER, now)).count()
    }

    #[test]
    fn an_address_that_asks_without_end_is_held_to_its_rate() {
        let (mut buckets, now) = (AddressBuckets::new(8), Instant::now());
        assert_eq!(taken(&mut buckets, 1000, now), 128);
        assert_eq!(taken(&mut buckets, 1000, now + Duration::from_secs(1)), 64);
        assert!(buckets.take(Ipv4Addr::new(10, 0, 0, 10), now), "others are not held back");
        assert_eq!(taken(&mut buckets, 1000, now + Duration::from_secs(3600)), 128);
    }

    #[test]
    fn the_table_of_addresses_is_bounded_and_forgets_the_quiet_ones() {
        let (mut buckets, now) = (AddressBuckets::new(8), Instant::now());
        for at in 0..ADDRESSES_MAX as u32 + 10 {
            assert!(buckets.take(Ipv4Addr::from_bits(at), now));
        }
        assert_eq!(buckets.by_address.len(), ADDRESSES_MAX);
        assert!(buckets.take(PEER, now + Duration::from_secs(60)));
        assert_eq!(buckets.by_address.len(), 1);
    }

    #[test]
    fn newcomers_wait_while_the_running_reads_lose_packets_and_come_in_when_they_do_not() {
        let begun = Instant::now();
        let mut throttle = ReadThrottle::new(4096, begun);
        let mut totals = ReadTotals::default();
        let mut at = |period: u32, running, windows, timeouts| {
            totals.windows += windows;
            totals.timeouts += timeouts;
            throttle.admits(running, totals, begun + PERIOD * period)
        };
        assert!(at(1, 400, 10_000, 100), "one in a hundred is a bad cable");
        assert!(!at(2, 400, 1000, 500));
        assert!(!at(3, 310, 1000, 500));
        assert!(at(3, 200, 0, 0), "below three quarters there is room");
        assert!(!at(5, 400, 10_000, 0));
        for period in 6..20 {
            let _ = at(period, 400, 10_000, 0);
        }
        assert!(at(20, 400, 10_000, 0), "it recovers within seconds");
    }

    #[test]
    fn a_few_silent_machines_hold_nobody_back() {
        let begun = Instant::now();
        let mut throttle = ReadThrottle::new(4096, begun);
        let totals = ReadTotals { windows: 40, timeouts: TIMEOUTS_MIN - 1 };
        assert!(throttle.admits(30, totals, begun + PERIOD));
        let totals = ReadTotals { windows: 80, timeouts: 1000 };
        assert!(throttle.admits(FLOOR - 1, totals, begun + PERIOD * 2));
    }
}
