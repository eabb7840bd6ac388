//! The differences between two versions of an object, field by field, without secrets.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::cli::columns::is_sealed;
use crate::model::Kind;

/// Longest value that is shown on one line, in characters.
const VALUE_CHARS_MAX: usize = 120;
/// Most lines that are shown of a changed text.
const LINES_MAX: usize = 40;

/// One field that differs.
#[derive(Clone, Debug, PartialEq)]
pub struct FieldChange {
    /// The path of the field.
    pub path: Vec<String>,
    pub before: Option<Value>,
    pub after: Option<Value>,
}

/// Every field that differs between the two versions, in the order of names. Lists are compared as a whole.
pub fn changes(versions: (&Value, &Value)) -> Vec<FieldChange> {
    let mut found = Vec::new();
    compare(&mut Vec::new(), versions, &mut found);
    found
}

fn compare(path: &mut Vec<String>, (before, after): (&Value, &Value), found: &mut Vec<FieldChange>) {
    if before == after {
        return;
    }
    let (Value::Object(old), Value::Object(new)) = (before, after) else {
        found.push(FieldChange {
            path: path.clone(),
            before: Some(before.clone()),
            after: Some(after.clone()),
        });
        return;
    };
    if is_sealed(before) || is_sealed(after) {
        found.push(FieldChange {
            path: path.clone(),
            before: Some(before.clone()),
            after: Some(after.clone()),
        });
        return;
    }
    for name in old.keys().chain(new.keys()).collect::<BTreeSet<_>>() {
        path.push(name.clone());
        match (old.get(name), new.get(name)) {
            (Some(old), Some(new)) => compare(path, (old, new), found),
            (old, new) => {
                found.push(FieldChange { path: path.clone(), before: old.cloned(), after: new.cloned() });
            }
        }
        path.pop();
    }
}

/// A difference for people: `+` for added and `-` for removed values. `secrets` are the names of params whose
/// values are never shown.
pub fn show(kind: Kind, change: &FieldChange, secrets: &BTreeSet<String>) -> String {
    let name = change.path.join(".");
    if is_secret(kind, change, secrets) {
        let what = match (&change.before, &change.after) {
            (_, None) => "taken away",
            (None, _) => "set",
            _ => "set again",
        };
        return format!("  ~ {name}: (secret) {what}\n");
    }
    match (&change.before, &change.after) {
        (Some(Value::String(old)), Some(Value::String(new))) if old.contains('\n') || new.contains('\n') => {
            format!("  ~ {name}:\n{}", show_lines(old, new.as_str().into()))
        }
        (before, after) => {
            let line = |sign: char, value: &Value| format!("  {sign} {name}: {}\n", one_line(value));
            let before = before.as_ref().map(|value| line('-', value));
            let after = after.as_ref().map(|value| line('+', value));
            before.unwrap_or_default() + &after.unwrap_or_default()
        }
    }
}

fn is_secret(kind: Kind, change: &FieldChange, secrets: &BTreeSet<String>) -> bool {
    if has_sealed_value(&change.before) || has_sealed_value(&change.after) {
        return true;
    }
    match change.path.as_slice() {
        [params] if params == "params" => !secrets.is_empty(),
        [params, name, ..] if params == "params" => secrets.contains(name),
        [name, ..] => kind == Kind::Token && name == "sha256",
        [] => false,
    }
}

fn has_sealed_value(value: &Option<Value>) -> bool {
    value.as_ref().is_some_and(holds_sealed)
}

fn holds_sealed(value: &Value) -> bool {
    match value {
        sealed if is_sealed(sealed) => true,
        Value::Object(map) => map.values().any(holds_sealed),
        Value::Array(items) => items.iter().any(holds_sealed),
        _ => false,
    }
}

fn one_line(value: &Value) -> String {
    let text = value.to_string();
    match text.chars().count() > VALUE_CHARS_MAX {
        true => text.chars().take(VALUE_CHARS_MAX).collect::<String>() + " …",
        false => text,
    }
}

/// The text after a change; a type of its own so that the two texts cannot be swapped.
struct TextAfter<'a>(&'a str);

impl<'a> From<&'a str> for TextAfter<'a> {
    fn from(text: &'a str) -> Self {
        TextAfter(text)
    }
}

/// The lines between the common beginning and the common end.
fn show_lines(before: &str, TextAfter(after): TextAfter<'_>) -> String {
    let old: Vec<&str> = before.lines().collect();
    let new: Vec<&str> = after.lines().collect();
    let start = old.iter().zip(&new).take_while(|(old, new)| old == new).count();
    let (old, new) = (old.get(start..).unwrap_or_default(), new.get(start..).unwrap_or_default());
    let end = old.iter().rev().zip(new.iter().rev()).take_while(|(old, new)| old == new).count();
    let removed = old.iter().take(old.len() - end).map(|line| ('-', line));
    let added = new.iter().take(new.len() - end).map(|line| ('+', line));
    let lines: Vec<String> =
        removed.chain(added).map(|(sign, line)| format!("    {sign} {line}\n")).collect();
    let more = lines.len().saturating_sub(LINES_MAX);
    let rest = if more > 0 { format!("    … and {more} lines more\n") } else { String::new() };
    format!("    @ line {}\n{}{rest}", start + 1, lines.iter().take(LINES_MAX).cloned().collect::<String>())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn shown(before: &Value, after: &Value) -> String {
        let secrets = BTreeSet::from(["root_password".to_owned()]);
        changes((before, after)).iter().map(|change| show(Kind::Machine, change, &secrets)).collect()
    }

    #[test]
    fn a_diff_names_each_field_that_changes() {
        let before = json!({"name": "web1", "params": {"rack": "a1", "old": 1}, "macs": ["a"]});
        let after = json!({"name": "web1", "params": {"rack": "a2", "new": true}, "macs": ["a", "b"]});
        let expected = "  - macs: [\"a\"]\n  + macs: [\"a\",\"b\"]\n  + params.new: true\n  - params.old: 1\n\
                        \u{20} \
                        - params.rack: \"a1\"\n  + params.rack: \"a2\"\n";
        assert_eq!(shown(&before, &after), expected);
        assert_eq!(shown(&after, &after), "");
    }

    #[test]
    fn a_secret_is_not_in_a_diff() {
        let sealed = json!({"params": {"root_password": {"sealed": true}, "other": {"sealed": true}}});
        let plain = json!({"params": {"root_password": "hunter2", "other": "hunter3"}});
        for (before, after) in [(&sealed, &plain), (&json!({"params": {}}), &plain), (&plain, &json!({}))] {
            let said = shown(before, after);
            assert!(said.contains("(secret)"), "{said}");
            if before == &sealed {
                assert!(!said.contains("hunter"), "{said}");
            }
            assert!(!said.contains("hunter2"), "{said}");
        }
    }

    #[test]
    fn a_long_text_shows_the_lines_that_change() {
        let before = json!({"body": "a\nb\nc\nd\n"});
        let after = json!({"body": "a\nB\nB2\nc\nd\n"});
        assert_eq!(shown(&before, &after), "  ~ body:\n    @ line 2\n    - b\n    + B\n    + B2\n");
    }
}
