//! What the service counts.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::dhcp::decide::Silence;

/// Totals since the start, for the metrics page.
#[derive(Debug, Default)]
pub struct Counters {
    pub received: AtomicU64,
    pub sent: AtomicU64,
    /// Replies that were sent once more because their question was repeated; in `sent` as well.
    pub resent: AtomicU64,
    pub send_failures: AtomicU64,
    /// Failures of the sockets when they were read.
    pub receive_failures: AtomicU64,
    dropped: [AtomicU64; Dropped::ALL.len()],
}

/// Why a packet was not answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dropped {
    /// It is no DHCP message, or misses what an answer needs.
    Malformed,
    /// It came by an interface that is not served.
    Elsewhere,
    /// It repeats a question under way.
    Repeated,
    /// Its client asks too often.
    Flood,
    /// All clients together ask more than `dhcp.packets_per_second`.
    Limited,
    /// Too many packets waited.
    Overload,
    /// It waited longer than its client does.
    Stale,
    NoSubnet,
    /// It is for another server, or from a stranger.
    NotOurs,
    PoolEmpty,
    /// Its answer was under way for longer than its client waits.
    Late,
    /// What the answer promises could not be written, or deciding failed inside.
    Failed,
}

impl Dropped {
    pub const ALL: [Dropped; 12] = [
        Dropped::Malformed,
        Dropped::Elsewhere,
        Dropped::Repeated,
        Dropped::Flood,
        Dropped::Limited,
        Dropped::Overload,
        Dropped::Stale,
        Dropped::NoSubnet,
        Dropped::NotOurs,
        Dropped::PoolEmpty,
        Dropped::Late,
        Dropped::Failed,
    ];

    /// As the metrics page has it.
    pub fn as_str(self) -> &'static str {
        match self {
            Dropped::Malformed => "malformed",
            Dropped::Elsewhere => "elsewhere",
            Dropped::Repeated => "repeated",
            Dropped::Flood => "flood",
            Dropped::Limited => "limited",
            Dropped::Overload => "overload",
            Dropped::Stale => "stale",
            Dropped::NoSubnet => "no_subnet",
            Dropped::NotOurs => "not_ours",
            Dropped::PoolEmpty => "pool_empty",
            Dropped::Late => "late",
            Dropped::Failed => "failed",
        }
    }
}

impl From<Silence> for Dropped {
    fn from(silence: Silence) -> Self {
        match silence {
            Silence::Malformed => Dropped::Malformed,
            Silence::NoSubnet => Dropped::NoSubnet,
            Silence::NotOurs => Dropped::NotOurs,
            Silence::PoolEmpty => Dropped::PoolEmpty,
            Silence::Failed => Dropped::Failed,
        }
    }
}

impl Counters {
    pub fn dropped(&self, why: Dropped) -> u64 {
        self.dropped.get(why as usize).map_or(0, |count| count.load(Relaxed))
    }

    pub(super) fn count(&self, why: Dropped) {
        if let Some(count) = self.dropped.get(why as usize) {
            count.fetch_add(1, Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_a_count_of_its_own() {
        let counters = Counters::default();
        for (times, why) in (1..).zip(Dropped::ALL) {
            (0..times).for_each(|_| counters.count(why));
        }
        assert_eq!(Dropped::ALL.map(|why| counters.dropped(why)), [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]);
    }
}
