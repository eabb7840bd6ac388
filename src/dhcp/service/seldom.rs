//! Warnings that packets can cause: given once in a while, with how many there were.

use std::time::{Duration, Instant};

/// How often one is given.
const AGAIN: Duration = Duration::from_mins(1);

/// When one was given, and what came since.
#[derive(Debug, Default)]
pub(super) struct Seldom {
    told: Option<Instant>,
    untold: u64,
}

impl Seldom {
    /// Counts `times` more. A number when it is to be told of: how many there were since the last time.
    pub fn count(&mut self, times: u64, now: Instant) -> Option<u64> {
        self.untold = self.untold.saturating_add(times);
        if self.told.is_some_and(|told| now.saturating_duration_since(told) < AGAIN) {
            return None;
        }
        self.told = Some(now);
        Some(std::mem::take(&mut self.untold))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_warning_is_given_at_once_and_then_once_a_minute_with_their_number() {
        let (mut seldom, begun) = (Seldom::default(), Instant::now());
        let mut after = |seconds, times| seldom.count(times, begun + Duration::from_secs(seconds));
        assert_eq!([after(0, 1), after(1, 5), after(59, 1), after(60, 2)], [Some(1), None, None, Some(8)]);
        assert_eq!([after(61, 1), after(1000, 1)], [None, Some(2)]);
    }
}
