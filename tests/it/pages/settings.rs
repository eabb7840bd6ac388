//! `docs/operating/settings.md`: every setting, with its values and its default.

use metalwright::model::settings::{KnownSetting, known};
use serde_json::Value;

use super::pages;

const PAGE: &str = "docs/operating/settings.md";

fn code(value: &Value) -> String {
    value.as_str().map_or_else(|| format!("`{value}`"), |word| format!("`{word}`"))
}

/// The values that a schema allows, in words.
fn values(schema: &Value) -> String {
    let kinds: Vec<&str> = match &schema["type"] {
        Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).collect(),
        kind => kind.as_str().into_iter().collect(),
    };
    let null = if kinds.contains(&"null") { " or `null`" } else { "" };
    match (schema["enum"].as_array(), kinds.first()) {
        (Some(words), _) => {
            let words: Vec<String> = words.iter().map(code).collect();
            let (last, others) = words.split_last().expect("values");
            format!("{} or {last}", others.join(", "))
        }
        (None, Some(&"integer")) => format!("{} to {}{null}", schema["minimum"], schema["maximum"]),
        (None, Some(&"boolean")) if null.is_empty() => "`true` or `false`".to_owned(),
        (None, Some(&"boolean")) => "`true`, `false` or `null`".to_owned(),
        (None, Some(&"string")) => format!("text{null}"),
        other => panic!("no words for {schema}: {other:?}"),
    }
}

#[test]
fn the_page_has_every_setting_with_its_values_and_default() {
    let page = pages().into_iter().find(|page| page.path == PAGE).expect("the page");
    let rows: Vec<Vec<&str>> = page
        .text
        .lines()
        .filter(|line| line.starts_with("| `"))
        .map(|line| line.trim_matches('|').split('|').map(str::trim).collect())
        .collect();
    let told: Vec<(&str, &str, &str)> = rows
        .iter()
        .map(|row| match row[..] {
            [name, what, values, default] if !what.is_empty() => (name, values, default),
            _ => panic!("a row of four cells: {row:?}"),
        })
        .collect();
    let made: Vec<[String; 3]> = known()
        .iter()
        .map(|KnownSetting { name, default, schema, .. }| {
            [format!("`{name}`"), values(schema), code(default)]
        })
        .collect();
    let made: Vec<_> = made.iter().map(|[name, values, default]| (&**name, &**values, &**default)).collect();
    assert_eq!(told, made, "{PAGE}");
}
