//! When a packet counts as lost. Round trips are measured, and a packet that is far too late is sent again
//! (RFC 6298, with a floor for local networks).
//!
//! While a client's pace is unknown, or when it is silent for longer, packets are sent again after 1, 2, 4
//! and then 8 seconds, as option ROMs expect. A client that set an interval (RFC 2349) gets that interval.

use std::time::Duration;

/// First interval for a client whose pace is unknown; it doubles up to `SLOW_MAX`.
pub const SLOW_FIRST: Duration = Duration::from_secs(1);
pub const SLOW_MAX: Duration = Duration::from_secs(8);
/// Retransmissions at these intervals without progress after which a transfer is given up.
pub const SLOW_TRIES_MAX: u8 = 6;
/// Shortest interval: firmware polls its network card with timers of up to 10 ms (EDK2's MNP).
pub const FAST_MIN: Duration = Duration::from_millis(20);
/// Consecutive retransmissions at intervals below a second; a client that needs more is busy with something
/// else.
pub const FAST_TRIES_MAX: u8 = 3;
/// Bounds of the wait after a repeated ACK in a windowed transfer. It may mean that the first block of the
/// window was lost.
pub const GAP_MIN: Duration = Duration::from_millis(2);
pub const GAP_MAX: Duration = Duration::from_millis(100);
/// An interval is extended by up to this fraction, so that transfers that lost packets together do not send
/// them again together.
const JITTER_PART: u32 = 8;

/// The retransmission timer of one client, with the number of consecutive timeouts.
#[derive(Debug, Clone)]
pub struct Patience {
    /// The interval that the client set.
    fixed: Option<Duration>,
    /// Smoothed round trip and its variation (RFC 6298 section 2); none before the first one.
    trip: Option<(Duration, Duration)>,
    /// Doublings since the last measured round trip. An ACK that measures no trip does not reset them (Karn).
    doubled: u32,
    fast_tries: u8,
    slow_tries: u8,
    /// State of the jitter; 0 means no jitter.
    dice: u64,
}

/// What to do after a timeout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimeoutVerdict {
    Again,
    GiveUp,
}

impl Patience {
    pub fn new(fixed: Option<Duration>) -> Self {
        Self { fixed, trip: None, doubled: 0, fast_tries: 0, slow_tries: 0, dice: 0 }
    }

    /// Adds jitter, so that intervals differ from those of other transfers.
    pub fn with_jitter(self, seed: u64) -> Self {
        Self { dice: seed | 1, ..self }
    }

    /// Records the time from a block to its ACK. Must not be called for blocks that were sent twice.
    pub fn measured(&mut self, took: Duration) {
        self.doubled = 0;
        self.trip = Some(match self.trip {
            None => (took, took / 2),
            Some((smoothed, variation)) => {
                let off = smoothed.abs_diff(took);
                ((smoothed * 7 + took) / 8, (variation * 3 + off) / 4)
            }
        });
    }

    /// The client acknowledged something new.
    pub fn progress(&mut self) {
        self.fast_tries = 0;
        self.slow_tries = 0;
    }

    /// An interval has passed without an answer.
    pub fn passed(&mut self) -> TimeoutVerdict {
        if self.fixed.is_none() && self.fast().is_some() {
            self.fast_tries += 1;
            self.doubled += 1;
            return TimeoutVerdict::Again;
        }
        if self.slow_tries >= SLOW_TRIES_MAX {
            return TimeoutVerdict::GiveUp;
        }
        self.slow_tries += 1;
        TimeoutVerdict::Again
    }

    /// How long to wait for the answer to a packet that is sent now.
    pub fn interval(&mut self) -> Duration {
        let interval = match (self.fixed, self.fast()) {
            // The client set the interval.
            (Some(fixed), _) => return fixed,
            (None, Some(fast)) => fast,
            (None, None) => (SLOW_FIRST * (1 << self.slow_tries.min(3))).min(SLOW_MAX),
        };
        interval + interval / JITTER_PART * self.roll() / 256
    }

    /// How long the answer to the whole window may still take after a repeated ACK.
    pub fn gap(&self) -> Duration {
        self.late().map_or(GAP_MAX, |late| late.clamp(GAP_MIN, GAP_MAX))
    }

    /// An interval below a second, while tries at such intervals are left.
    fn fast(&self) -> Option<Duration> {
        let once = self.late()?.max(FAST_MIN);
        let interval = once.saturating_mul(1 << self.doubled.min(16));
        (interval < SLOW_FIRST && self.fast_tries < FAST_TRIES_MAX).then_some(interval)
    }

    /// A round trip that almost no answer exceeds.
    fn late(&self) -> Option<Duration> {
        self.trip.map(|(smoothed, variation)| smoothed + variation * 4)
    }

    /// A uniform random number from 0 to 255 (xorshift).
    fn roll(&mut self) -> u32 {
        self.dice ^= self.dice << 13;
        self.dice ^= self.dice >> 7;
        self.dice ^= self.dice << 17;
        (self.dice >> 40) as u32 & 0xff
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// The intervals until the transfer is given up, in milliseconds.
    fn intervals(patience: &mut Patience) -> Vec<u128> {
        let mut seen = Vec::new();
        loop {
            seen.push(patience.interval().as_millis());
            if patience.passed() == TimeoutVerdict::GiveUp {
                return seen;
            }
        }
    }

    #[test]
    fn a_client_of_unknown_pace_is_asked_after_1_2_4_8_seconds() {
        assert_eq!(intervals(&mut Patience::new(None)), [1000, 2000, 4000, 8000, 8000, 8000, 8000]);
    }

    #[test]
    fn a_client_that_set_an_interval_gets_it_whatever_its_pace() {
        let mut patience = Patience::new(Some(5000 * MS)).with_jitter(3);
        patience.measured(MS);
        assert_eq!(intervals(&mut patience), [5000; 7]);
    }

    #[test]
    fn a_quick_client_is_asked_soon_and_then_as_patiently_as_any() {
        let mut patience = Patience::new(None);
        patience.measured(MS);
        let expected = [20, 40, 80, 1000, 2000, 4000, 8000, 8000, 8000, 8000];
        assert_eq!(intervals(&mut patience), expected);
    }

    #[test]
    fn a_slow_client_is_never_asked_before_its_own_pace() {
        let mut patience = Patience::new(None);
        (0..20).for_each(|_| patience.measured(300 * MS));
        assert!(patience.interval() >= 300 * MS);
        (0..20).for_each(|_| patience.measured(3000 * MS));
        assert_eq!(patience.interval(), SLOW_FIRST);
    }

    #[test]
    fn an_ack_that_proves_no_trip_keeps_the_longer_interval() {
        let mut patience = Patience::new(None);
        patience.measured(MS);
        patience.passed();
        patience.progress();
        assert_eq!(patience.interval(), 40 * MS);
        patience.measured(MS);
        assert_eq!(patience.interval(), FAST_MIN);
    }

    #[test]
    fn jitter_makes_an_interval_longer_by_an_eighth_at_most() {
        let mut patience = Patience::new(None).with_jitter(17);
        let seen: Vec<_> = (0..200).map(|_| patience.interval()).collect();
        assert!(seen.iter().all(|wait| (1000 * MS..=1125 * MS).contains(wait)), "{seen:?}");
        assert!(seen.iter().any(|wait| *wait > 1090 * MS) && seen.iter().any(|wait| *wait < 1030 * MS));
    }
}
