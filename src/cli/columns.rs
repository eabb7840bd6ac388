//! Which columns a table of each noun has. A new field for people is one line here.

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use crate::cli::sets::value_at;
use crate::model::Kind;

/// How a value is shown in a cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Show {
    Text,
    /// How long ago, or in how long.
    Age,
    /// How many items a list has; nothing for none.
    Count,
    Bytes,
    /// The word of the column where it is true.
    Flag,
}

/// One column: its heading, where its value is, how it is shown.
pub type Column = (&'static str, &'static str, Show);

use Show::{Age, Bytes, Count, Flag, Text};

const UPDATED: Column = ("UPDATED", "updated_at", Age);
const PROBLEMS: Column = ("PROBLEMS", "problems", Count);
const DESCRIPTION: Column = ("DESCRIPTION", "description", Text);

/// The columns of every noun, in the order of `Kind`.
const TABLE: [(Kind, &[Column]); 18] = [
    (
        Kind::Machine,
        &[
            ("NAME", "name", Text),
            ("STATE", "status.state", Text),
            ("STAGE", "status.stage", Text),
            ("ADDRESS", "status.address", Text),
            ("MAC", "macs.0", Text),
            ("SEEN", "status.last_seen", Age),
            ("REASON", "status.reason", Text),
            PROBLEMS,
        ],
    ),
    (
        Kind::Bootenv,
        &[
            ("NAME", "name", Text),
            ("KIND", "kind", Text),
            ("DESTRUCTIVE", "destructive", Flag),
            ("OS", "os.family", Text),
            ("VERSION", "os.version", Text),
            ("SOURCE", "source", Text),
            PROBLEMS,
        ],
    ),
    (Kind::Template, &[("NAME", "name", Text), ("SOURCE", "source", Text), UPDATED, PROBLEMS, DESCRIPTION]),
    (
        Kind::Param,
        &[
            ("NAME", "name", Text),
            ("TYPE", "schema.type", Text),
            ("DEFAULT", "default", Text),
            ("SECRET", "secret", Flag),
            DESCRIPTION,
        ],
    ),
    (
        Kind::Profile,
        &[
            ("NAME", "name", Text),
            ("PARAMS", "params", Count),
            ("PROFILES", "profiles", Text),
            PROBLEMS,
            DESCRIPTION,
        ],
    ),
    (
        Kind::Stage,
        &[
            ("NAME", "name", Text),
            ("BOOTENV", "bootenv", Text),
            ("TASKS", "tasks", Text),
            PROBLEMS,
            DESCRIPTION,
        ],
    ),
    (
        Kind::Task,
        &[
            ("NAME", "name", Text),
            ("INTERPRETER", "interpreter", Text),
            ("TIMEOUT", "timeout_seconds", Text),
            ("RETRIES", "retries", Text),
            PROBLEMS,
            DESCRIPTION,
        ],
    ),
    (Kind::Workflow, &[("NAME", "name", Text), ("STAGES", "stages", Text), PROBLEMS, DESCRIPTION]),
    (
        Kind::Job,
        &[
            ("ID", "id", Text),
            ("MACHINE", "machine", Text),
            ("STAGE", "stage", Text),
            ("TASK", "task", Text),
            ("STATE", "state", Text),
            ("EXIT", "exit", Text),
            ("STARTED", "started_at", Age),
            ("REASON", "reason", Text),
        ],
    ),
    (
        Kind::Subnet,
        &[
            ("NAME", "name", Text),
            ("CIDR", "cidr", Text),
            ("MODE", "mode", Text),
            ("POOLS", "pools", Count),
            ("LEASE", "lease_seconds", Text),
            ("ENABLED", "enabled", Flag),
            PROBLEMS,
        ],
    ),
    (
        Kind::Reservation,
        &[
            ("ADDRESS", "address", Text),
            ("MAC", "mac", Text),
            ("MACHINE", "machine", Text),
            ("CLIENT ID", "client_id", Text),
            ("CIRCUIT ID", "circuit_id", Text),
            ("REMOTE ID", "remote_id", Text),
            ("SUBNET", "subnet", Text),
            PROBLEMS,
        ],
    ),
    (
        Kind::Lease,
        &[
            ("ADDRESS", "address", Text),
            ("MAC", "mac", Text),
            ("STATE", "state", Text),
            ("EXPIRES", "expires_at", Age),
            ("MACHINE", "machine", Text),
            ("HOSTNAME", "hostname", Text),
            ("SUBNET", "subnet", Text),
        ],
    ),
    (
        Kind::Artifact,
        &[
            ("NAME", "name", Text),
            ("STATE", "status.state", Text),
            ("%", "status.percent", Text),
            ("FILES", "status.files", Text),
            ("SIZE", "status.size", Bytes),
            ("REASON", "status.reason", Text),
            ("FROM", "status.origin", Text),
        ],
    ),
    (
        Kind::ClientClass,
        &[
            ("NAME", "name", Text),
            ("ORDER", "order", Text),
            ("OPTIONS", "options", Count),
            ("BOOT FILE", "boot_file", Text),
            PROBLEMS,
            DESCRIPTION,
        ],
    ),
    (
        Kind::Run,
        &[
            ("ID", "id", Text),
            ("MACHINE", "machine_name", Text),
            ("WORKFLOW", "workflow", Text),
            ("STARTED", "started_at", Age),
            ("RESULT", "result", Text),
            ("SECONDS", "seconds", Text),
            ("BY", "started_by", Text),
            ("REASON", "reason", Text),
        ],
    ),
    (Kind::Content, &[("ID", "id", Text), ("KIND", "kind", Text), ("NAME", "value.name", Text), UPDATED]),
    (Kind::Setting, &[("NAME", "name", Text), ("VALUE", "value", Text), UPDATED]),
    (
        Kind::Token,
        &[("NAME", "name", Text), ("SCOPES", "scopes", Text), ("EXPIRES", "expires_at", Age), UPDATED],
    ),
];

/// The columns of a noun's table.
pub fn columns(kind: Kind) -> &'static [Column] {
    TABLE.iter().find(|(known, _)| *known == kind).map_or(&[], |(_, columns)| columns)
}

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

/// A value on one line: text as it is, a list with commas between, a sealed value as `(sealed)`.
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

/// Whether the server keeps this value to itself.
pub fn is_sealed(value: &Value) -> bool {
    value.as_object().is_some_and(|map| map.len() == 1 && map.contains_key("sealed"))
}

/// What ends so far ahead has no end: a lease over BOOTP, one of another server.
const NEVER: SignedDuration = SignedDuration::from_hours(24 * 365 * 100);

/// `3m ago`, `in 2h`, `now`: one unit is enough.
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

    #[test]
    fn a_machine_is_one_row_with_what_an_operator_looks_for() {
        let now: Timestamp = "2026-01-02T03:04:05Z".parse().unwrap();
        let seen = "2026-01-02T03:01:00Z";
        let status = json!({"state": "failed", "stage": "install", "last_seen": seen, "reason": "no disk"});
        let machine =
            json!({"name": "web1", "macs": ["52:54:00:aa:00:01"], "problems": [{}, {}], "status": status});
        let row = row(columns(Kind::Machine), &machine, now);
        assert_eq!(row, ["web1", "failed", "install", "", "52:54:00:aa:00:01", "3m ago", "no disk", "2"]);
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

    #[test]
    fn every_noun_begins_with_what_it_is_known_by() {
        for kind in Kind::ALL {
            let (_, path, _) = columns(kind)[0];
            assert_eq!(path, crate::cli::nouns::key_field(kind), "{kind}");
        }
    }
}
