//! Limits warnings that packets or a broken host can cause: one per minute, with a count. Start at
//! `warn_limited!`.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Shortest time between two warnings from one place.
const AGAIN: Duration = Duration::from_mins(1);

/// A warning, like [`tracing::warn!`], from one place in the program, at most once a minute. `times` counts
/// the occurrences since the last one.
macro_rules! warn_limited {
    ($($told:tt)+) => {{
        static LIMITER: $crate::rate_limit::RateLimiter = $crate::rate_limit::RateLimiter::new();
        if let Some(times) = LIMITER.count(1, std::time::Instant::now()) {
            tracing::warn!(times, $($told)+);
        }
    }};
}
pub(crate) use warn_limited;

/// When a warning was last logged, and the number of occurrences since.
#[derive(Debug, Default)]
pub struct RateLimiter(Mutex<LimiterState>);

#[derive(Debug, Default)]
struct LimiterState {
    told: Option<Instant>,
    untold: u64,
}

impl RateLimiter {
    pub const fn new() -> Self {
        RateLimiter(Mutex::new(LimiterState { told: None, untold: 0 }))
    }

    /// Counts `times` more. Returns the count since the last warning if the next one is due.
    pub fn count(&self, times: u64, now: Instant) -> Option<u64> {
        let mut since = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        since.untold = since.untold.saturating_add(times);
        if since.told.is_some_and(|told| now.saturating_duration_since(told) < AGAIN) {
            return None;
        }
        since.told = Some(now);
        Some(std::mem::take(&mut since.untold))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_warning_is_given_at_once_and_then_once_a_minute_with_their_number() {
        let (seldom, begun) = (RateLimiter::default(), Instant::now());
        let after = |seconds, times| seldom.count(times, begun + Duration::from_secs(seconds));
        assert_eq!([after(0, 1), after(1, 5), after(59, 1), after(60, 2)], [Some(1), None, None, Some(8)]);
        assert_eq!([after(61, 1), after(1000, 1)], [None, Some(2)]);
    }
}
