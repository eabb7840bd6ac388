//! Filters that compare versions, by the rules of deb-version(7): digits are compared as numbers, a `~` comes
//! before everything, letters before other signs. They fit versions of systems, kernels and packages.

use std::cmp::Ordering;

use tera::{Kwargs, TeraResult, Value};

use crate::render::filters::{text_of, wrong};
use crate::render::scope::RenderScope;

/// Most conditions of one range.
const CONDITIONS_MAX: usize = 16;

type VersionTest = fn(Ordering) -> bool;

/// The signs of conditions; a sign stands before those that begin it.
const CONDITIONS: [(&str, VersionTest); 6] = [
    (">=", Ordering::is_ge),
    ("<=", Ordering::is_le),
    ("!=", Ordering::is_ne),
    ("=", Ordering::is_eq),
    (">", Ordering::is_gt),
    ("<", Ordering::is_lt),
];

/// -1, 0 or 1: the version is older than the other, the same, newer.
pub(super) fn version_compare(value: &Value, arguments: &Kwargs, _: &RenderScope) -> TeraResult<Value> {
    let with = text_of("version_compare", arguments.must_get::<&Value>("with")?)?;
    Ok(Value::from(compare(&text_of("version_compare", value)?, &with) as i64))
}

/// Whether the version meets all conditions of a range: `>=8.4, <9`.
pub(super) fn version_matches(value: &Value, arguments: &Kwargs, _: &RenderScope) -> TeraResult<Value> {
    let (version, range) = (text_of("version_matches", value)?, arguments.must_get::<&str>("range")?);
    if range.split(',').count() > CONDITIONS_MAX {
        return Err(wrong(format!("`version_matches`: a range may have {CONDITIONS_MAX} conditions")));
    }
    for condition in range.split(',').map(str::trim) {
        let known = CONDITIONS.iter().find_map(|(sign, test)| Some((condition.strip_prefix(sign)?, test)));
        let Some((other, test)) = known.filter(|(other, _)| !other.trim().is_empty()) else {
            return Err(wrong("`version_matches`: write the range like `>=8.4, <9`; `=` and `!=` work too"));
        };
        if !test(compare(&version, other.trim())) {
            return Ok(Value::from(false));
        }
    }
    Ok(Value::from(true))
}

/// Epoch, upstream version, revision. A `v` before the digits is no part of a version.
fn parts(version: &str) -> [&str; 3] {
    let version = version.strip_prefix('v').filter(|rest| starts_with_digit(rest)).unwrap_or(version);
    let (epoch, rest) = version.split_once(':').unwrap_or(("0", version));
    let (upstream, revision) = rest.rsplit_once('-').unwrap_or((rest, "0"));
    [epoch, upstream, revision]
}

fn starts_with_digit(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_digit())
}

fn compare(left: &str, right: &str) -> Ordering {
    let pairs = parts(left).into_iter().zip(parts(right));
    pairs
        .map(|(left, right)| compare_part(left, right))
        .find(|order| order.is_ne())
        .unwrap_or(Ordering::Equal)
}

/// Compares texts and numbers by turns. Each turn shortens what is left of at least one side.
fn compare_part<'a>(mut left: &'a str, mut right: &'a str) -> Ordering {
    while !(left.is_empty() && right.is_empty()) {
        let (texts, rests) = both(left, right, |c| !c.is_ascii_digit());
        let (numbers, rests_after) = both(rests.0, rests.1, |c| c.is_ascii_digit());
        let order = compare_texts(texts.0, texts.1).then_with(|| compare_numbers(numbers.0, numbers.1));
        if order.is_ne() {
            return order;
        }
        (left, right) = rests_after;
    }
    Ordering::Equal
}

type TextPair<'a> = (&'a str, &'a str);

/// The beginnings of both sides as long as their characters are alike in this, and what follows.
fn both<'a>(left: &'a str, right: &'a str, is_part: fn(char) -> bool) -> (TextPair<'a>, TextPair<'a>) {
    let [left, right] =
        [left, right].map(|text| text.split_at(text.find(|c| !is_part(c)).unwrap_or(text.len())));
    ((left.0, right.0), (left.1, right.1))
}

fn compare_texts(left: &str, right: &str) -> Ordering {
    // The end of a text comes after `~` and before everything else.
    let [left, right] = [left, right].map(|text| text.chars().map(rank).chain([1]));
    left.cmp(right)
}

fn rank(sign: char) -> u32 {
    match sign {
        '~' => 0,
        letter if letter.is_ascii_alphabetic() => u32::from(letter),
        other => u32::from(other).saturating_add(256),
    }
}

/// Numbers of any length.
fn compare_numbers(left: &str, right: &str) -> Ordering {
    let (left, right) = (left.trim_start_matches('0'), right.trim_start_matches('0'));
    left.len().cmp(&right.len()).then_with(|| left.cmp(right))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_in_the_order_that_dpkg_has() {
        // `dpkg --compare-versions A lt B` succeeds for each pair of neighbours.
        let ordered = [
            "1.0~beta1",
            "1.0~rc1",
            "1.0",
            "1.0-1",
            "1.0-1.el9",
            "1.0a",
            "1.0+b1",
            "1.0.1",
            "1.2",
            "1.10",
            "5.14.0-70.el9",
            "5.14.0-427.el9",
            "22.04",
            "99999999999999999999999999.1",
            "1:0.1",
        ];
        for (place, left) in ordered.iter().enumerate() {
            for (other, right) in ordered.iter().enumerate() {
                assert_eq!(compare(left, right), place.cmp(&other), "{left} and {right}");
            }
        }
        for (left, right) in [("1.0", "1.0-0"), ("1.01", "1.1"), ("v9.4", "9.4"), ("", "0")] {
            assert_eq!(compare(left, right), Ordering::Equal, "{left} and {right}");
        }
    }
}
