//! Renders the columns of a table as cells. The columns of a noun are in its row in `model::nouns`.

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use crate::cli::sets::value_at;
use crate::model::{CellFormat, Column};

use CellFormat::{Age, Bytes, Count, Flag, Text};

/// The cells of one object.
pub fn row(columns: &[Column], object: &Value, now: Timestamp) -> Vec<String> {
    columns.iter().map(|column| cell(column, object, now)).collect()
}

fn cell((heading, path, show): &Column, object: &Value, now: Timestamp) -> String {
    let Some(value) = value_at(object, path) else { return String::new() };
    match show {
        Text => text(value),
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
        assert_eq!(row, ["web1", "failed", "install", "in 40m", "", mac, "3m ago", "no disk", "2"]);
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
