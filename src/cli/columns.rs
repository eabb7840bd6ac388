//! Renders the columns of a table as cells. The columns of a noun are in its row in `model::nouns`.

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use crate::cli::sets::{split_path, value_at};
use crate::model::{CellFormat, Column};

use CellFormat::{Age, Bytes, Count, Flag, Text};

/// The cells of one object.
pub fn row(columns: &[Column], object: &Value, now: Timestamp) -> Vec<String> {
    columns.iter().map(|column| cell(column, object, now)).collect()
}

fn cell((heading, path, show): &Column, object: &Value, now: Timestamp) -> String {
    let Some(value) = value_at(object, path) else { return String::new() };
    match show {
        Text => shown(value),
        Age => value
            .as_str()
            .and_then(|time| time.parse().ok())
            .map(|time: Timestamp| age(now.duration_since(time)))
            .unwrap_or_default(),
        Count => match value {
            Value::Array(items) if !items.is_empty() => items.len().to_string(),
            Value::Object(items) if !items.is_empty() => items.len().to_string(),
            _ => String::new(),
        },
        Bytes => value.as_u64().map(bytes).unwrap_or_default(),
        Flag => match value.as_bool() {
            Some(true) => heading.to_lowercase(),
            _ => String::new(),
        },
    }
}

/// A value in a cell: as [`text`], but for a time, which is shown in UTC and without fractions of a second.
pub fn shown(value: &Value) -> String {
    let time = value.as_str().filter(|text| text.len() >= TIME_CHARS && text.get(10..11) == Some("T"));
    match time.and_then(|text| text.parse::<Timestamp>().ok()) {
        Some(time) => utc(time),
        None => text(value),
    }
}

/// The length of `2026-11-30T20:06:00Z`, to which fractions of a second can be added.
const TIME_CHARS: usize = 20;

/// `2026-11-30 20:06:00Z`: all times that people see are in UTC, as those of the API and of the log are.
pub fn utc(time: Timestamp) -> String {
    time.strftime("%Y-%m-%d %H:%M:%SZ").to_string()
}

/// The text at a path, or nothing.
pub fn text_at(object: &Value, path: &str) -> String {
    value_at(object, path).map(text).unwrap_or_default()
}

/// The number at a path, or 0.
pub fn number_at(object: &Value, path: &str) -> u64 {
    value_at(object, path).and_then(Value::as_u64).unwrap_or_default()
}

/// The cells of one object for fields as a list names them: `label.rack`, `status.state`, `jobs.task`.
pub fn field_cell(object: &Value, field: &str) -> String {
    const MAPS: [(&str, &str); 4] =
        [("label.", "labels"), ("labels.", "labels"), ("param.", "params"), ("params.", "params")];
    let named = MAPS.iter().find_map(|(prefix, map)| Some((*map, field.strip_prefix(prefix)?)));
    match named {
        Some((map, name)) => object.get(map).and_then(|map| map.get(name)).map(shown).unwrap_or_default(),
        None => values_at(object, field).into_iter().map(shown).collect::<Vec<_>>().join(", "),
    }
}

/// The values at a path; a list on the path gives those of each of its items.
fn values_at<'a>(value: &'a Value, path: &str) -> Vec<&'a Value> {
    split_path(path)
        .iter()
        .fold(vec![value], |values, name| values.into_iter().flat_map(|value| step(value, name)).collect())
}

fn step<'a>(value: &'a Value, name: &str) -> Vec<&'a Value> {
    match value {
        Value::Array(items) => match name.parse::<usize>() {
            Ok(place) => items.get(place).into_iter().collect(),
            Err(_) => items.iter().flat_map(|item| step(item, name)).collect(),
        },
        other => other.get(name).into_iter().collect(),
    }
}

/// A value on one line: text as it is, a list with commas, a sealed value as `(sealed)`.
pub fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Array(items) if items.iter().all(|item| !item.is_array() && !item.is_object()) => {
            items.iter().map(text).collect::<Vec<_>>().join(", ")
        }
        sealed if is_sealed(sealed) => "(sealed)".to_owned(),
        other => other.to_string(),
    }
}

/// Whether the server keeps this value secret.
pub fn is_sealed(value: &Value) -> bool {
    value.as_object().is_some_and(|map| map.len() == 1 && map.contains_key("sealed"))
}

/// A time so far ahead means no end: a BOOTP lease, or one of another server.
const NEVER: SignedDuration = SignedDuration::from_hours(24 * 365 * 100);

/// `3m ago`, `in 2h`, `now`: a single unit is enough.
pub fn age(passed: SignedDuration) -> String {
    let span = passed.abs();
    let units = [(86_400, "d"), (3600, "h"), (60, "m"), (1, "s")];
    let unit = units.iter().find(|(seconds, _)| span >= SignedDuration::from_secs(*seconds));
    match unit {
        _ if span >= NEVER && !passed.is_positive() => "never".to_owned(),
        None => "now".to_owned(),
        Some((seconds, name)) if passed.is_positive() => format!("{}{name} ago", span.as_secs() / seconds),
        Some((seconds, name)) => format!("in {}{name}", span.as_secs() / seconds),
    }
}

/// `3.1 MiB`.
pub fn bytes(count: u64) -> String {
    let units = [(1u64 << 40, "TiB"), (1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    match units.iter().find(|(size, _)| count >= *size) {
        Some((size, unit)) => format!("{:.1} {unit}", count as f64 / *size as f64),
        None => format!("{count} B"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::Kind;

    #[test]
    fn a_machine_is_one_row_with_what_an_operator_looks_for() {
        let now: Timestamp = "2026-01-02T03:04:05Z".parse().unwrap();
        let seen = "2026-01-02T03:01:00Z";
        let armed = "2026-01-02T03:44:05Z";
        let status = json!({"state": "failed", "stage": "install", "last_seen": seen, "reason": "no disk",
            "armed_until": armed});
        let mac = "52:54:00:aa:00:01";
        let machine = json!({"name": "web1", "macs": [mac], "problems": [{}, {}], "status": status});
        let row = row(Kind::Machine.row().columns, &machine, now);
        assert_eq!(row, ["web1", "failed", "install", "in 40m", "3m ago", "no disk", "2"]);
        let wide = super::row(Kind::Machine.row().wide, &machine, now);
        assert_eq!(wide[1], mac);
    }

    #[test]
    fn the_cell_of_a_field_is_found_as_the_api_names_it() {
        let object = json!({
            "labels": {"rack": "r1", "a.b": "x"}, "params": {"n": 3}, "macs": ["a", "b"],
            "steps": [{"name": "one"}, {"name": "two"}], "created_at": "2026-01-02T03:04:05.123456789Z",
        });
        for (field, cell) in [
            ("label.rack", "r1"),
            ("labels.a.b", "x"),
            ("param.n", "3"),
            ("macs", "a, b"),
            ("macs.0", "a"),
            ("steps.name", "one, two"),
            ("created_at", "2026-01-02 03:04:05Z"),
            ("label.none", ""),
        ] {
            assert_eq!(field_cell(&object, field), cell, "{field}");
        }
    }

    #[test]
    fn values_are_shown_on_one_line_and_sealed_ones_are_not() {
        assert_eq!(text(&json!(["a", 1])), "a, 1");
        assert_eq!(text(&json!({"sealed": true})), "(sealed)");
        assert_eq!(text(&json!({"a": [1]})), r#"{"a":[1]}"#);
        assert_eq!(bytes(3_250_586), "3.1 MiB");
        assert_eq!(age(SignedDuration::from_secs(-7201)), "in 2h");
        assert_eq!(age(SignedDuration::from_secs(200)), "3m ago");
        assert_eq!(age(SignedDuration::ZERO), "now");
        assert_eq!(age(SignedDuration::from_secs(-i64::from(u32::MAX))), "never", "a lease over BOOTP");
    }
}
