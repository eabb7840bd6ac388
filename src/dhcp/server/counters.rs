//! The counters of the service.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::dhcp::decide::SilenceReason;
use crate::durations::DurationHistogram;

/// Totals since the start, for metrics.
#[derive(Debug, Default)]
pub struct DhcpCounters {
    pub received: AtomicU64,
    pub sent: AtomicU64,
    /// Replies that were sent again because the request was repeated; counted in `sent` as well.
    pub resent: AtomicU64,
    pub send_failures: AtomicU64,
    /// Failures when sockets were read.
    pub receive_failures: AtomicU64,
    dropped: [AtomicU64; DropReason::ALL.len()],
    /// From the arrival of a request until its reply is sent, or waits for the end of the turn.
    pub answers: DurationHistogram,
}

/// Why a packet was not answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DropReason {
    /// It is not a DHCP message, or lacks what an answer needs.
    Malformed,
    /// It came on an interface that is not served.
    Elsewhere,
    /// It repeats a request in progress.
    Repeated,
    /// Its client sends too many packets.
    Flood,
    /// All clients together send more packets than `dhcp.packets_per_second`.
    Limited,
    /// Too many packets waited.
    Overload,
    /// It waited longer than its client does.
    Stale,
    NoSubnet,
    /// It is for another server, or from an unknown client.
    NotOurs,
    PoolEmpty,
    /// Its answer took longer than its client waits.
    Late,
    /// What the answer promises could not be written, or the decision failed internally.
    Failed,
}

impl DropReason {
    pub const ALL: [DropReason; 12] = [
        DropReason::Malformed,
        DropReason::Elsewhere,
        DropReason::Repeated,
        DropReason::Flood,
        DropReason::Limited,
        DropReason::Overload,
        DropReason::Stale,
        DropReason::NoSubnet,
        DropReason::NotOurs,
        DropReason::PoolEmpty,
        DropReason::Late,
        DropReason::Failed,
    ];

    /// The label in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            DropReason::Malformed => "malformed",
            DropReason::Elsewhere => "elsewhere",
            DropReason::Repeated => "repeated",
            DropReason::Flood => "flood",
            DropReason::Limited => "limited",
            DropReason::Overload => "overload",
            DropReason::Stale => "stale",
            DropReason::NoSubnet => "no_subnet",
            DropReason::NotOurs => "not_ours",
            DropReason::PoolEmpty => "pool_empty",
            DropReason::Late => "late",
            DropReason::Failed => "failed",
        }
    }
}

impl From<SilenceReason> for DropReason {
    fn from(silence: SilenceReason) -> Self {
        match silence {
            SilenceReason::Malformed => DropReason::Malformed,
            SilenceReason::NoSubnet => DropReason::NoSubnet,
            SilenceReason::NotOurs => DropReason::NotOurs,
            SilenceReason::PoolEmpty => DropReason::PoolEmpty,
            SilenceReason::Failed => DropReason::Failed,
        }
    }
}

impl DhcpCounters {
    pub fn dropped(&self, why: DropReason) -> u64 {
        self.dropped.get(why as usize).map_or(0, |count| count.load(Relaxed))
    }

    pub(super) fn count(&self, why: DropReason) {
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
        let counters = DhcpCounters::default();
        for (times, why) in (1..).zip(DropReason::ALL) {
            (0..times).for_each(|_| counters.count(why));
        }
        assert_eq!(DropReason::ALL.map(|why| counters.dropped(why)), [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]);
    }
}
