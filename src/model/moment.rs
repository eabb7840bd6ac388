//! Times as clients write them in queries and flags.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

/// The units of relative times, in seconds.
const UNITS: [(char, i64); 5] = [('s', 1), ('m', 60), ('h', 3600), ('d', 86_400), ('w', 604_800)];

/// A time: RFC 3339 (`2026-11-30T20:06:00Z`), a date (its beginning in UTC), or relative to `now` (`-1h`,
/// `-2d`, `+30m`; the units are s, m, h, d, w).
///
/// # Errors
/// How to write it.
pub fn parse_moment(text: &str, now: Timestamp) -> Result<Timestamp, String> {
    let relative = text.strip_prefix('-').map(|rest| (-1, rest));
    let parsed = match relative.or_else(|| text.strip_prefix('+').map(|rest| (1, rest))) {
        Some((sign, rest)) => {
            seconds(rest).and_then(|seconds| now.checked_add(SignedDuration::from_secs(sign * seconds)).ok())
        }
        None if text.len() == "2026-11-30".len() => start_of_day(text),
        None => text.parse().ok(),
    };
    parsed.ok_or_else(|| {
        format!("`{text}` is not a time: write it like -1h, -2d, 2026-11-30 or 2026-11-30T20:06:00Z")
    })
}

fn seconds(text: &str) -> Option<i64> {
    let unit = text.chars().last()?;
    let number = text.strip_suffix(unit).filter(|number| number.bytes().all(|b| b.is_ascii_digit()))?;
    let (_, seconds) = UNITS.iter().find(|(known, _)| *known == unit)?;
    number.parse::<i64>().ok()?.checked_mul(*seconds)
}

/// The beginning of a date in UTC.
pub fn start_of_day(text: &str) -> Option<Timestamp> {
    Some(text.parse::<Date>().ok()?.to_zoned(TimeZone::UTC).ok()?.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_exact_a_date_or_relative_to_now() {
        let now: Timestamp = "2026-11-30T20:06:00Z".parse().unwrap();
        for (text, exact) in [
            ("-1h", "2026-11-30T19:06:00Z"),
            ("-2d", "2026-11-28T20:06:00Z"),
            ("+90s", "2026-11-30T20:07:30Z"),
            ("-1w", "2026-11-23T20:06:00Z"),
            ("2026-11-29", "2026-11-29T00:00:00Z"),
            ("2026-11-29T01:00:00+01:00", "2026-11-29T00:00:00Z"),
        ] {
            assert_eq!(parse_moment(text, now), Ok(exact.parse().unwrap()), "{text}");
        }
        for text in
            ["yesterday", "1h", "-h", "-1", "-1y", "", "-", "2026-13-01", "-99999999999999999w", "-1 h"]
        {
            assert!(parse_moment(text, now).unwrap_err().contains("-1h"), "{text}");
        }
    }
}
