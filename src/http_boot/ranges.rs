//! Conditional and partial requests for a file on disk (RFC 9110 §13, §14). Pure.

use super::request::RequestConditions;
use crate::artifacts::opened::FileVersion;

/// A range of bytes in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ByteRange {
    pub first: u64,
    pub length: u64,
}

impl ByteRange {
    /// The offset of the byte after the last one.
    pub fn end(self) -> u64 {
        self.first.saturating_add(self.length)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RangeVerdict {
    Whole,
    /// A single range; never empty.
    Part(ByteRange),
    /// A range beyond the end: 416.
    Outside,
    /// The client has the file already: 304.
    Unchanged,
    /// The file is not the version that the client wants to continue: 412.
    Changed,
}

/// What to send of a file of `size` bytes. RFC 9110 §13.2.2 gives the order of the conditions.
pub fn wanted(conditions: &RequestConditions, size: u64, version: &FileVersion) -> RangeVerdict {
    if conditions.if_match.as_deref().is_some_and(|held| !names(held, (&version.tag, TagComparison::Strong)))
    {
        return RangeVerdict::Changed;
    }
    match (&conditions.if_none_match, &conditions.if_modified_since) {
        (Some(held), _) if names(held, (&version.tag, TagComparison::Weak)) => {
            return RangeVerdict::Unchanged;
        }
        (None, Some(since)) if seconds(since).is_some_and(|since| version.modified <= since) => {
            return RangeVerdict::Unchanged;
        }
        _ => {}
    }
    let goes_on = conditions.if_range.as_deref().is_none_or(|held| is_this(held, version));
    match conditions.range.as_deref() {
        Some(range) if goes_on => span(range, size),
        _ => RangeVerdict::Whole,
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum TagComparison {
    Strong,
    Weak,
}

/// Whether a list of entity tags contains this one (RFC 9110 §8.8.3.2). This server's tags are never weak.
fn names(held: &str, (tag, compare): (&str, TagComparison)) -> bool {
    held.split(',').map(str::trim).any(|held| match (held, compare) {
        ("*", _) => true,
        (held, TagComparison::Strong) => held == tag,
        (held, TagComparison::Weak) => held.strip_prefix("W/").unwrap_or(held) == tag,
    })
}

/// `If-Range` is one strong tag, or exactly the time of the last change (RFC 9110 §13.1.5).
fn is_this(held: &str, version: &FileVersion) -> bool {
    held == version.tag || seconds(held) == Some(version.modified)
}

fn seconds(date: &str) -> Option<i64> {
    let parser = jiff::fmt::rfc2822::DateTimeParser::new();
    Some(parser.parse_timestamp(date).ok()?.as_second())
}

/// A single range of bytes (RFC 9110 §14.1.2). Several ranges, other units and invalid ones give the whole
/// file.
fn span(range: &str, size: u64) -> RangeVerdict {
    let Some(spec) = range.split_once('=').filter(|(unit, _)| unit.trim().eq_ignore_ascii_case("bytes"))
    else {
        return RangeVerdict::Whole;
    };
    let Some((first, last)) = spec.1.trim().split_once('-') else { return RangeVerdict::Whole };
    let (first, end) = match (position(first), position(last)) {
        (RangePosition::None, RangePosition::At(suffix)) => (size.saturating_sub(suffix), size),
        (RangePosition::At(first), RangePosition::None) => (first, size),
        (RangePosition::At(first), RangePosition::At(last)) if first <= last => {
            (first, last.saturating_add(1).min(size))
        }
        _ => return RangeVerdict::Whole,
    };
    if first >= end {
        RangeVerdict::Outside
    } else {
        RangeVerdict::Part(ByteRange { first, length: end - first })
    }
}

enum RangePosition {
    None,
    At(u64),
    Nonsense,
}

/// A position of any length: one beyond all files stays beyond.
fn position(text: &str) -> RangePosition {
    let text = text.trim();
    if text.is_empty() {
        return RangePosition::None;
    }
    match text.bytes().all(|byte| byte.is_ascii_digit()) {
        true => RangePosition::At(text.parse().unwrap_or(u64::MAX)),
        false => RangePosition::Nonsense,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version() -> FileVersion {
        FileVersion { tag: "\"a\"".into(), modified: 1_700_000_000 }
    }

    fn answer(set: impl FnOnce(&mut RequestConditions)) -> RangeVerdict {
        let mut conditions =
            RequestConditions { range: Some("bytes=0-1".into()), ..RequestConditions::default() };
        set(&mut conditions);
        wanted(&conditions, 1000, &version())
    }

    const PART: RangeVerdict = RangeVerdict::Part(ByteRange { first: 0, length: 2 });
    const DATE: &str = "Tue, 14 Nov 2023 22:13:20 GMT";

    #[test]
    fn single_ranges_are_cut_and_strange_ones_get_the_whole() {
        let part = |first, length| RangeVerdict::Part(ByteRange { first, length });
        let cases = [
            ("bytes=0-511", part(0, 512)),
            ("Bytes = 0 - 511", part(0, 512)),
            ("bytes=999-999", part(999, 1)),
            ("bytes=990-2000", part(990, 10)),
            ("bytes=990-99999999999999999999999", part(990, 10)),
            ("bytes=500-", part(500, 500)),
            ("bytes=-10", part(990, 10)),
            ("bytes=-5000", part(0, 1000)),
            ("bytes=-0", RangeVerdict::Outside),
            ("bytes=1000-", RangeVerdict::Outside),
            ("bytes=1000-1001", RangeVerdict::Outside),
            ("bytes=99999999999999999999999-", RangeVerdict::Outside),
            ("bytes=5-4", RangeVerdict::Whole),
            ("bytes=-", RangeVerdict::Whole),
            ("bytes=0-1,5-6", RangeVerdict::Whole),
            ("bytes=0-1-2", RangeVerdict::Whole),
            ("bytes=+1-2", RangeVerdict::Whole),
            ("lines=0-1", RangeVerdict::Whole),
            ("bytes", RangeVerdict::Whole),
        ];
        for (range, expected) in cases {
            assert_eq!(answer(|asked| asked.range = Some(range.into())), expected, "{range}");
        }
        assert_eq!(span("bytes=0-", 0), RangeVerdict::Outside);
    }

    #[test]
    fn a_range_is_of_the_version_the_client_began_with_or_the_whole() {
        let range_of = |held: &str| answer(|asked| asked.if_range = Some(held.into()));
        assert_eq!(range_of("\"a\""), PART);
        assert_eq!(range_of(DATE), PART);
        for stale in
            ["\"b\"", "W/\"a\"", "\"a\", \"b\"", "*", "Tue, 14 Nov 2023 22:13:21 GMT", "nonsense", ""]
        {
            assert_eq!(range_of(stale), RangeVerdict::Whole, "{stale}");
        }
    }

    #[test]
    fn what_the_client_has_is_not_sent_again() {
        let holds = |held: &str| answer(|asked| asked.if_none_match = Some(held.into()));
        for held in ["\"a\"", "W/\"a\"", "\"x\" , \"a\"", "*"] {
            assert_eq!(holds(held), RangeVerdict::Unchanged, "{held}");
        }
        assert_eq!(holds("\"b\""), PART);
        let since = |date: &str| answer(|asked| asked.if_modified_since = Some(date.into()));
        assert_eq!(since(DATE), RangeVerdict::Unchanged);
        assert_eq!(since("Tue, 14 Nov 2023 22:13:19 GMT"), PART);
        assert_eq!(since("yesterday"), PART);
        // A tag takes precedence over a time.
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
        assert_eq!(goes_on("\"b\""), RangeVerdict::Changed);
        assert_eq!(goes_on("W/\"a\""), RangeVerdict::Changed);
    }
}
