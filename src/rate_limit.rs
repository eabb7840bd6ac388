//! Limits warnings that packets or a broken host can cause: one per minute, with a count. Start at
//! `warn_limited!`. Also limits what clients may use of something over time: [`Allowance`].

use std::collections::HashMap;
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

/// How much may be used at once, and how much comes back in a second. The unit is the user's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AllowanceRate {
    pub burst_max: u64,
    pub a_second: u64,
}

/// What one client may use. It begins full.
#[derive(Clone, Copy, Debug)]
pub struct Allowance {
    left: u64,
    at: Instant,
    /// Whether it ran out and nothing was taken since while it was half full.
    ran_out: bool,
}

/// What came of asking for some of an allowance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AllowanceAnswer {
    Taken,
    /// There is not so much left. `is_first` tells the first refusal of a spell from those after it.
    Refused {
        is_first: bool,
        wait: Duration,
    },
}

impl Allowance {
    pub fn new(rate: AllowanceRate, now: Instant) -> Self {
        Allowance { left: rate.burst_max, at: now, ran_out: false }
    }

    /// Takes so much, or nothing.
    pub fn take(&mut self, rate: AllowanceRate, amount: u64, now: Instant) -> AllowanceAnswer {
        self.refill(rate, now);
        if let Some(left) = self.left.checked_sub(amount) {
            self.ran_out &= self.left < rate.burst_max / 2;
            self.left = left;
            return AllowanceAnswer::Taken;
        }
        let is_first = !std::mem::replace(&mut self.ran_out, true);
        let missing = amount.min(rate.burst_max).saturating_sub(self.left);
        AllowanceAnswer::Refused {
            is_first,
            wait: Duration::from_secs(missing.div_ceil(rate.a_second.max(1))),
        }
    }

    /// Whether it is as if it had never been used.
    pub fn is_full(&mut self, rate: AllowanceRate, now: Instant) -> bool {
        self.refill(rate, now);
        self.left == rate.burst_max
    }

    fn refill(&mut self, rate: AllowanceRate, now: Instant) {
        let seconds = now.saturating_duration_since(self.at).as_secs();
        if seconds > 0 {
            self.left = self.left.saturating_add(seconds.saturating_mul(rate.a_second)).min(rate.burst_max);
            self.at += Duration::from_secs(seconds);
        }
    }
}

/// Users whose use is known. When there are more, those that used nothing for a while are forgotten, then
/// all.
const USERS_MAX: usize = 16_384;

/// An allowance for each user, by name.
#[derive(Debug)]
pub struct KeyedAllowances {
    rate: AllowanceRate,
    used: Mutex<HashMap<String, Allowance>>,
}

impl KeyedAllowances {
    pub fn new(rate: AllowanceRate) -> Self {
        KeyedAllowances { rate, used: Mutex::default() }
    }

    /// Takes so much of a user's, or nothing.
    pub fn take(&self, user: &str, amount: u64, now: Instant) -> AllowanceAnswer {
        let rate = self.rate;
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(allowance) = used.get_mut(user) {
            return allowance.take(rate, amount, now);
        }
        if used.len() >= USERS_MAX {
            used.retain(|_, allowance| !allowance.is_full(rate, now));
            if used.len() >= USERS_MAX {
                used.clear();
            }
        }
        used.entry(user.to_owned()).or_insert_with(|| Allowance::new(rate, now)).take(rate, amount, now)
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

    #[test]
    fn an_allowance_comes_back_with_time_and_tells_the_first_refusal_of_a_spell() {
        let (rate, begun) = (AllowanceRate { burst_max: 10, a_second: 2 }, Instant::now());
        let mut allowance = Allowance::new(rate, begun);
        let mut take = |seconds, amount| allowance.take(rate, amount, begun + Duration::from_secs(seconds));
        let refused = |is_first, wait| AllowanceAnswer::Refused { is_first, wait: Duration::from_secs(wait) };
        assert_eq!(
            [take(0, 8), take(0, 4), take(0, 4)],
            [AllowanceAnswer::Taken, refused(true, 1), refused(false, 1)]
        );
        assert_eq!([take(1, 4), take(1, 1)], [AllowanceAnswer::Taken, refused(false, 1)]);
        assert_eq!([take(4, 9), take(4, 100)], [refused(false, 2), refused(false, 2)]);
        assert_eq!(
            [take(100, 10), take(100, 1)],
            [AllowanceAnswer::Taken, refused(true, 1)],
            "never more than a burst"
        );
        assert!(!allowance.is_full(rate, begun) && allowance.is_full(rate, begun + Duration::from_secs(500)));
    }

    #[test]
    fn the_table_of_users_has_a_bound() {
        let now = Instant::now();
        let allowances = KeyedAllowances::new(AllowanceRate { burst_max: 10, a_second: 1 });
        for user in 0..USERS_MAX + 10 {
            allowances.take(&user.to_string(), 1, now);
        }
        assert!(allowances.used.lock().unwrap().len() <= USERS_MAX);
    }
}
