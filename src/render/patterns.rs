//! Filters for regular expressions. The library never backtracks, so its time grows with the length of the
//! text, whatever the pattern is. The sizes of patterns are bounded here.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use regex::{Captures, Regex, RegexBuilder};
use tera::value::Key;
use tera::{Kwargs, Map, TeraResult, Value};

use crate::render::filters::{text_of, wrong};
use crate::render::scope::RenderScope;

/// Longest pattern, in bytes.
const PATTERN_BYTES_MAX: usize = 1024;
/// Largest compiled pattern, in bytes, and most memory that its search keeps.
const PROGRAM_BYTES_MAX: usize = 1 << 20;
/// Most groups inside of one another.
const GROUPS_NESTED_MAX: u32 = 32;
/// Most compiled patterns that a render keeps; with more, all are compiled anew.
const PATTERNS_KEPT_MAX: usize = 16;
/// Most matches that `regex_find` returns.
const MATCHES_MAX: usize = 10_000;

/// The compiled patterns of one render.
#[derive(Default)]
pub(super) struct CompiledPatterns(RefCell<HashMap<String, Rc<Regex>>>);

impl CompiledPatterns {
    fn get(&self, filter: &str, arguments: &Kwargs) -> TeraResult<Rc<Regex>> {
        let pattern = arguments.must_get::<&str>("pattern")?;
        let mut kept = self.0.borrow_mut();
        if let Some(known) = kept.get(pattern) {
            // A clone of the pattern itself would build its tables anew.
            return Ok(Rc::clone(known));
        }
        if pattern.len() > PATTERN_BYTES_MAX {
            let message = format!("`{filter}`: a pattern may have {PATTERN_BYTES_MAX} bytes");
            return Err(wrong(message));
        }
        let built = RegexBuilder::new(pattern)
            .size_limit(PROGRAM_BYTES_MAX)
            .dfa_size_limit(PROGRAM_BYTES_MAX)
            .nest_limit(GROUPS_NESTED_MAX)
            .build();
        let built = built.map_err(|error| wrong(format!("`{filter}`: {}", fault_of(&error))))?;
        let built = Rc::new(built);
        if kept.len() >= PATTERNS_KEPT_MAX {
            kept.clear();
        }
        kept.insert(pattern.to_owned(), Rc::clone(&built));
        Ok(built)
    }
}

/// The library shows the pattern with a mark below its fault, and says the fault in the last line.
fn fault_of(error: &regex::Error) -> String {
    let report = error.to_string();
    let last = report.lines().last().unwrap_or_default();
    format!("the pattern is wrong: {}", last.trim_start_matches("error: "))
}

/// Whether the pattern matches anywhere in the text.
pub(super) fn regex_match(value: &Value, arguments: &Kwargs, scope: &RenderScope) -> TeraResult<Value> {
    let text = text_of("regex_match", value)?;
    Ok(Value::from(scope.patterns.get("regex_match", arguments)?.is_match(&text)))
}

/// Replaces every match. `$1`, `$name` and `${name}` in `with` are groups of the match; `$$` is a `$`.
pub(super) fn regex_replace(value: &Value, arguments: &Kwargs, scope: &RenderScope) -> TeraResult<Value> {
    let text = text_of("regex_replace", value)?;
    let with = arguments.must_get::<&str>("with")?;
    let pattern = scope.patterns.get("regex_replace", arguments)?;
    Ok(Value::from(pattern.replace_all(&text, with).into_owned()))
}

/// The groups of the first match, by number and by name: `0` is the whole match. Empty without a match.
pub(super) fn regex_capture(value: &Value, arguments: &Kwargs, scope: &RenderScope) -> TeraResult<Value> {
    let text = text_of("regex_capture", value)?;
    let pattern = scope.patterns.get("regex_capture", arguments)?;
    let groups = pattern.captures(&text).map(|found| groups_of(&pattern, &found));
    Ok(Value::from(groups.unwrap_or_default()))
}

fn groups_of(pattern: &Regex, found: &Captures<'_>) -> Map {
    let mut groups = Map::new();
    for (number, name) in pattern.capture_names().enumerate() {
        // A group that is not part of the match is empty.
        let text = found.get(number).map_or("", |group| group.as_str());
        groups.insert(Key::from(number.to_string()), Value::from(text));
        if let Some(name) = name {
            groups.insert(Key::from(name.to_owned()), Value::from(text));
        }
    }
    groups
}

/// The texts of all matches.
pub(super) fn regex_find(value: &Value, arguments: &Kwargs, scope: &RenderScope) -> TeraResult<Value> {
    let text = text_of("regex_find", value)?;
    let pattern = scope.patterns.get("regex_find", arguments)?;
    let found: Vec<&str> =
        pattern.find_iter(&text).take(MATCHES_MAX + 1).map(|found| found.as_str()).collect();
    if found.len() > MATCHES_MAX {
        return Err(wrong(format!("`regex_find` finds more than the {MATCHES_MAX} matches it may return")));
    }
    Ok(Value::from(found))
}
