//! One line of words for each kind of event.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::Value;

use crate::cli::columns::{bytes, text};
use crate::cli::output::plain;
use crate::cli::sets::value_at;
use crate::model::Event;

/// Longest line, in characters.
const LINE_CHARS_MAX: usize = 160;
/// Most fields of an event that is not known here.
const FIELDS_MAX: usize = 6;

/// What an event says, for a person.
pub fn summary(event: &Event) -> String {
    let data = &event.data;
    let line = match event.kind.as_str() {
        "boot.file_served" => file_served(data),
        "boot.rendered" => format!("{} ({})", field(data, "label"), size(data, "bytes")),
        "boot.render_failed" => format!("{}: {}", field(data, "label"), problem(data)),
        "boot.denied" => format!("{}: {}", field(data, "path"), field(data, "reason")),
        "boot.screen" => field(data, "message"),
        "boot.log" => field(data, "text"),
        "boot.decided" => verdict(data),
        "boot.attempt_started" => {
            format!("power-on {}{}", field(data, "number"), after(" into ", data, "bootenv"))
        }
        "boot.attempt_ended" => format!("power-on {}: {}", field(data, "number"), field(data, "result")),
        "boot.done" | "boot.failed" => format!("from {}{}", field(data, "peer"), after(": ", data, "reason")),
        "run.started" => {
            let rehearse = data.get("rehearse") == Some(&Value::Bool(true));
            let from = after(", from step ", data, "from_step");
            format!("{}{from}{}", field(data, "workflow"), if rehearse { ", a rehearsal" } else { "" })
        }
        "run.step_done" => {
            let (step, note) =
                (["kind", "name", "state"].map(|name| field(data, name)), after(": ", data, "note"));
            step.join(" ") + &note
        }
        "run.completed" => field(data, "workflow"),
        "run.failed" | "run.held" => format!("{}{}", field(data, "name"), after(" ", data, "reason")),
        "run.paused" | "run.cancelled" => after("by ", data, "by") + &after(": ", data, "reason"),
        "run.pause_planned" | "run.step_skipped" | "run.step_marked_done" => {
            let [step, kind, name] = ["step", "kind", "name"].map(|name| field(data, name));
            format!("{kind} {name} (step {step}){}{}", after(" by ", data, "by"), after(": ", data, "reason"))
        }
        "run.live_system_lost" => format!("{}{}", field(data, "bootenv"), after(" at ", data, "reason")),
        "machine.armed" => format!("for {} until {}", field(data, "bootenv"), clock(data, "until")),
        kind if kind.ends_with(".state_changed") => field(data, "state") + &after(": ", data, "reason"),
        kind if kind.ends_with("armed") || kind.ends_with("_reboot") => field(data, "reason"),
        kind if kind.starts_with("dhcp.") => dhcp(data),
        kind if kind.starts_with("job.") && data.get("task").is_some() => job(data),
        kind if kind.ends_with(".updated") => updated(data),
        kind if kind.ends_with(".created") || kind.ends_with(".deleted") => field(data, "name"),
        _ => fields(data),
    };
    let line = plain(line.trim());
    match line.chars().count() > LINE_CHARS_MAX {
        true => line.chars().take(LINE_CHARS_MAX - 2).collect::<String>() + " …",
        false => line,
    }
}

fn field(data: &Value, path: &str) -> String {
    value_at(data, path).map(text).unwrap_or_default()
}

/// A field with words before it, and nothing at all where it is not there.
fn after(words: &'static str, data: &Value, path: &str) -> String {
    match field(data, path) {
        text if text.is_empty() => text,
        text => format!("{words}{text}"),
    }
}

fn size(data: &Value, path: &str) -> String {
    value_at(data, path).and_then(Value::as_u64).map(bytes).unwrap_or_default()
}

/// A time of day here.
fn clock(data: &Value, path: &str) -> String {
    let time = value_at(data, path).and_then(Value::as_str).and_then(|time| time.parse::<Timestamp>().ok());
    let here = time.map(|time| time.to_zoned(TimeZone::system()));
    here.map(|time| time.strftime("%Y-%m-%d %H:%M:%S").to_string()).unwrap_or_default()
}

fn file_served(data: &Value) -> String {
    let part = if data.get("complete") == Some(&Value::Bool(false)) { ", broken off" } else { "" };
    let (protocol, took) = (after(" over ", data, "protocol"), after(" in ", data, "duration_ms"));
    let took = if took.is_empty() { took } else { format!("{took} ms") };
    format!("{} ({}{protocol}{took}{part})", field(data, "path"), size(data, "bytes"))
}

fn problem(data: &Value) -> String {
    let at = ["template", "line", "column"].map(|name| field(data, &format!("problem.{name}")));
    let at: Vec<&str> = at.iter().map(String::as_str).filter(|part| !part.is_empty()).collect();
    let message = field(data, "problem.message");
    match message.is_empty() {
        true => field(data, "problem"),
        false => format!("{} {message}", at.join(":")),
    }
}

/// A verdict as events and explanations have it: `{"verdict": "netboot", "bootenv": …}`.
pub fn verdict(data: &Value) -> String {
    // An event may carry the verdict itself, or have it in a field of that name.
    let own = data.get("verdict").filter(|inner| inner.is_object()).unwrap_or(data);
    let word = field(own, "verdict").replace('_', " ");
    format!("{word}{}{}", after(" ", own, "bootenv"), after(": ", own, "reason"))
}

fn dhcp(data: &Value) -> String {
    let words = [
        field(data, "address"),
        after("to ", data, "stage"),
        after("with ", data, "boot_file"),
        field(data, "reason"),
    ];
    words.iter().filter(|word| !word.is_empty()).map(String::as_str).collect::<Vec<_>>().join(", ")
}

fn job(data: &Value) -> String {
    let again = match value_at(data, "attempt").and_then(Value::as_u64) {
        Some(attempt @ 2..) => format!(", attempt {attempt}"),
        _ => String::new(),
    };
    let (exit, reason) = (after(", exit ", data, "exit"), after(": ", data, "reason"));
    format!("{} of {}{again}{exit}{reason}", field(data, "task"), field(data, "stage"))
}

/// Which fields a change touched; the values are in the event itself.
fn updated(data: &Value) -> String {
    let operations = data.get("diff").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let paths = operations.iter().filter_map(|operation| operation.get("path").and_then(Value::as_str));
    let mut paths: Vec<String> = paths.map(|path| path.trim_start_matches('/').replace('/', ".")).collect();
    paths.dedup();
    let more = paths.len().saturating_sub(FIELDS_MAX);
    paths.truncate(FIELDS_MAX);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    match paths.is_empty() {
        true => field(data, "name"),
        false => format!("{}: {}{more}", field(data, "name"), paths.join(", ")),
    }
}

fn fields(data: &Value) -> String {
    let Some(fields) = data.as_object() else { return text(data) };
    let shown = fields.iter().map(|(name, value)| (name, text(value)));
    let shown = shown.filter(|(_, text)| !text.is_empty() && !text.starts_with('{'));
    let shown = shown.take(FIELDS_MAX).map(|(name, text)| format!("{name}={text}"));
    shown.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn said(kind: &str, data: Value) -> String {
        let event = json!({"seq": 1, "time": "2026-01-02T03:04:05Z", "kind": kind, "subject": "machine:x",
                           "actor": "server", "data": data});
        summary(&serde_json::from_value(event).unwrap())
    }

    #[test]
    fn each_kind_of_event_is_a_line_that_says_what_happened() {
        let served = json!({"path": "m/…/preseed.cfg", "bytes": 3174, "protocol": "http", "duration_ms": 4,
                            "complete": true});
        assert_eq!(said("boot.file_served", served), "m/…/preseed.cfg (3.1 KiB over http in 4 ms)");
        let decided = json!({"verdict": "local_disk", "reason": "no workflow is running"});
        assert_eq!(said("boot.decided", decided), "local disk: no workflow is running");
        let offered = json!({"address": "10.0.0.5", "stage": "firmware", "boot_file": "undionly.kpxe",
                             "reason": "from the pool", "verdict": {"verdict": "netboot"}});
        assert_eq!(said("dhcp.offered", offered), "10.0.0.5, to firmware, with undionly.kpxe, from the pool");
        let failed =
            json!({"task": "disk", "stage": "install", "attempt": 2, "exit": 1, "reason": "no disk"});
        assert_eq!(said("job.failed", failed), "disk of install, attempt 2, exit 1: no disk");
        let updated =
            json!({"name": "web1", "diff": [{"op": "replace", "path": "/params/rack", "value": "a1"}]});
        assert_eq!(said("machine.updated", updated), "web1: params.rack");
        let done =
            json!({"step": 1, "kind": "stage", "name": "install", "state": "skipped", "note": "no disk"});
        assert_eq!(said("run.step_done", done), "stage install skipped: no disk");
        assert_eq!(said("pack.installed", json!({"a": 1, "b": null, "c": {}})), "a=1");
        let render = json!({"label": "preseed.cfg",
                            "problem": {"template": "a.cfg", "line": 3, "column": 7, "message": "unknown"}});
        assert_eq!(said("boot.render_failed", render), "preseed.cfg: a.cfg:3:7 unknown");
    }

    #[test]
    fn a_line_of_an_installer_stays_one_short_line() {
        let line = said("boot.log", json!({"text": "a\u{1b}[2J\nb".to_owned() + &"x".repeat(500)}));
        assert!(line.starts_with("a [2J b") && line.chars().count() <= LINE_CHARS_MAX, "{line}");
    }
}
