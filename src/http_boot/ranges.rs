//! What a conditional request, or one for a part, gets of a file on disk (RFC 9110 §13, §14). Pure.

use super::request::Conditions;
use crate::artifacts::opened::Version;

/// Bytes of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    pub first: u64,
    pub length: u64,
}

impl Span {
    /// The place of the byte after the last one.
    pub fn end(self) -> u64 {
        self.first.saturating_add(self.length)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    Whole,
    /// A single range; never empty.
    Part(Span),
    /// A range beyond the end: 416.
    Outside,
    /// The client has it: 304.
    Unchanged,
    /// It is not what the client goes on from: 412.
    Changed,
}

/// What is sent of a file of `size` bytes. The order of the questions is RFC 9110 §13.2.2.
pub fn wanted(conditions: &Conditions, size: u64, version: &Version) -> Wanted {
    if conditions.if_match.as_deref().is_some_and(|held| !names(held, (&version.tag, Compare::Strong))) {
        return Wanted::Changed;
    }
    match (&conditions.if_none_match, &conditions.if_modified_since) {
        (Some(held), _) if names(held, (&version.tag, Compare::Weak)) => return Wanted::Unchanged,
        (None, Some(since)) if seconds(since).is_some_and(|since| version.modified <= since) => {
            return Wanted::Unchanged;
        }
        _ => {}
    }
    let goes_on = conditions.if_range.as_deref().is_none_or(|held| is_this(held, version));
    match conditions.range.as_deref() {
        Some(range) if goes_on => span(range, size),
        _ => Wanted::Whole,
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Compare {
    Strong,
    Weak,
}

/// Whether a list of entity tags has this one (RFC 9110 §8.8.3.2). None of ours is weak.
fn names(held: &str, (tag, compare): (&str, Compare)) -> bool {
    held.split(',').map(str::trim).any(|held| match (held, compare) {
        ("*", _) => true,
        (held, Compare::Strong) => held == tag,
        (held, Compare::Weak) => held.strip_prefix("W/").unwrap_or(held) == tag,
    })
}

/// `If-Range` is one strong tag, or exactly the time of the last change (RFC 9110 §13.1.5).
fn is_this(held: &str, version: &Version) -> bool {
    held == version.tag || seconds(held) == Some(version.modified)
}

fn seconds(date: &str) -> Option<i64> {
    let parser = jiff::fmt::rfc2822::DateTimeParser::new();
    Some(parser.parse_timestamp(date).ok()?.as_second())
}

/// A single range of bytes (RFC 9110 §14.1.2). Several ranges, other units and nonsense get the whole.
fn span(range: &str, size: u64) -> Wanted {
    let Some(spec) = range.split_once('=').filter(|(unit, _)| unit.trim().eq_ignore_ascii_case("bytes"))
    else {
        return Wanted::Whole;
    };
    let Some((first, last)) = spec.1.trim().split_once('-') else { return Wanted::Whole };
    let (first, end) = match (position(first), position(last)) {
        (Position::None, Position::At(suffix)) => (size.saturating_sub(suffix), size),
        (Position::At(first), Position::None) => (first, size),
        (Position::At(first), Position::At(last)) if first <= last => {
            (first, last.saturating_add(1).min(size))
        }
        _ => return Wanted::Whole,
    };
    if first >= end { Wanted::Outside } else { Wanted::Part(Span { first, length: end - first }) }
}

enum Position {
    None,
    At(u64),
    Nonsense,
}

/// A number, however long: what is beyond all files stays beyond.
fn position(text: &str) -> Position {
    let text = text.trim();
    if text.is_empty() {
        return Position::None;
    }
    match text.bytes().all(|byte| byte.is_ascii_digit()) {
        true => Position::At(text.parse().unwrap_or(u64::MAX)),
        false => Position::Nonsense,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version() -> Version {
        Version { tag: "\"a\"".into(), modified: 1_700_000_000 }
    }

    fn answer(set: impl FnOnce(&mut Conditions)) -> Wanted {
        let mut conditions = Conditions { range: Some("bytes=0-1".into()), ..Conditions::default() };
        set(&mut conditions);
        wanted(&conditions, 1000, &version())
    }

    const PART: Wanted = Wanted::Part(Span { first: 0, length: 2 });
    const DATE: &str = "Tue, 14 Nov 2023 22:13:20 GMT";

    #[test]
    fn single_ranges_are_cut_and_strange_ones_get_the_whole() {
        let part = |first, length| Wanted::Part(Span { first, length });
        let cases = [
            ("bytes=0-511", part(0, 512)),
            ("Bytes = 0 - 511", part(0, 512)),
            ("bytes=999-999", part(999, 1)),
            ("bytes=990-2000", part(990, 10)),
            ("bytes=990-99999999999999999999999", part(990, 10)),
            ("bytes=500-", part(500, 500)),
            ("bytes=-10", part(990, 10)),
            ("bytes=-5000", part(0, 1000)),
            ("bytes=-0", Wanted::Outside),
            ("bytes=1000-", Wanted::Outside),
            ("bytes=1000-1001", Wanted::Outside),
            ("bytes=99999999999999999999999-", Wanted::Outside),
            ("bytes=5-4", Wanted::Whole),
            ("bytes=-", Wanted::Whole),
            ("bytes=0-1,5-6", Wanted::Whole),
            ("bytes=0-1-2", Wanted::Whole),
            ("bytes=+1-2", Wanted::Whole),
            ("lines=0-1", Wanted::Whole),
            ("bytes", Wanted::Whole),
        ];
        for (range, expected) in cases {
            assert_eq!(answer(|asked| asked.range = Some(range.into())), expected, "{range}");
        }
        assert_eq!(span("bytes=0-", 0), Wanted::Outside);
    }

    #[test]
    fn a_range_is_of_the_version_the_client_began_with_or_the_whole() {
        let range_of = |held: &str| answer(|asked| asked.if_range = Some(held.into()));
        assert_eq!(range_of("\"a\""), PART);
        assert_eq!(range_of(DATE), PART);
        for stale in
            ["\"b\"", "W/\"a\"", "\"a\", \"b\"", "*", "Tue, 14 Nov 2023 22:13:21 GMT", "nonsense", ""]
        {
            assert_eq!(range_of(stale), Wanted::Whole, "{stale}");
        }
    }

    #[test]
    fn what_the_client_has_is_not_sent_again() {
        let holds = |held: &str| answer(|asked| asked.if_none_match = Some(held.into()));
        for held in ["\"a\"", "W/\"a\"", "\"x\" , \"a\"", "*"] {
            assert_eq!(holds(held), Wanted::Unchanged, "{held}");
        }
        assert_eq!(holds("\"b\""), PART);
        let since = |date: &str| answer(|asked| asked.if_modified_since = Some(date.into()));
        assert_eq!(since(DATE), Wanted::Unchanged);
        assert_eq!(since("Tue, 14 Nov 2023 22:13:19 GMT"), PART);
        assert_eq!(since("yesterday"), PART);
        // A tag says more than a time.
        let both = answer(|asked| {
            asked.if_none_match = Some("\"b\"".into());
            asked.if_modified_since = Some(DATE.into());
        });
        assert_eq!(both, PART);
    }

    #[test]
    fn who_goes_on_from_another_version_is_told() {
        let goes_on = |held: &str| answer(|asked| asked.if_match = Some(held.into()));
        assert_eq!(goes_on("\"a\""), PART);
        assert_eq!(goes_on("*"), PART);
        assert_eq!(goes_on("\"b\""), Wanted::Changed);
        assert_eq!(goes_on("W/\"a\""), Wanted::Changed);
    }
}
