//! How long things take, counted in fixed buckets by those that do them: two additions to counters, without a
//! lock, an allocation or a look-up, so that a packet can be timed. The metrics page reads them.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// The upper ends of the buckets, in microseconds; one more bucket is for what takes longer.
pub const BUCKET_MICROS: [u64; 12] =
    [100, 300, 1000, 3000, 10_000, 30_000, 100_000, 300_000, 1_000_000, 3_000_000, 10_000_000, 30_000_000];

/// Counts of durations since the start.
#[derive(Debug, Default)]
pub struct DurationHistogram {
    /// By [`BUCKET_MICROS`]; the last one is for what takes longer than all.
    buckets: [AtomicU64; BUCKET_MICROS.len() + 1],
    nanoseconds: AtomicU64,
}

/// A histogram as it was at one time.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DurationCounts {
    pub seconds: f64,
    /// Not added up: each has what belongs to it alone.
    pub buckets: [u64; BUCKET_MICROS.len() + 1],
}

impl DurationHistogram {
    pub fn record(&self, took: Duration) {
        let nanoseconds = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        let of =
            BUCKET_MICROS.iter().position(|end| nanoseconds <= end * 1000).unwrap_or(BUCKET_MICROS.len());
        if let Some(bucket) = self.buckets.get(of) {
            bucket.fetch_add(1, Relaxed);
        }
        self.nanoseconds.fetch_add(nanoseconds, Relaxed);
    }

    /// Records the time since an instant.
    pub fn record_since(&self, begun: Instant) {
        self.record(begun.elapsed());
    }

    pub fn counts(&self) -> DurationCounts {
        #[expect(clippy::cast_precision_loss, reason = "a sum of many durations")]
        let seconds = self.nanoseconds.load(Relaxed) as f64 / 1e9;
        DurationCounts { seconds, buckets: self.buckets.each_ref().map(|bucket| bucket.load(Relaxed)) }
    }
}

impl DurationCounts {
    /// How many durations there are.
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_in_the_first_bucket_that_it_does_not_exceed() {
        let histogram = DurationHistogram::default();
        for micros in [0, 100, 101, 30_000_000, 30_000_001] {
            histogram.record(Duration::from_micros(micros));
        }
        let counts = histogram.counts();
        assert_eq!(counts.buckets, [2, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1]);
        assert_eq!(counts.count(), 5);
        assert!((counts.seconds - 60.000_202).abs() < 1e-6, "{}", counts.seconds);
    }
}
