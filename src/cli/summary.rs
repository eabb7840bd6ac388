//! A summary of each kind of event, in one line.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Value, json};

use crate::cli::columns::{bytes, text};
use crate::cli::output::plain;
use crate::cli::sets::value_at;
use crate::model::event::{
    BootFileServed, DhcpRelease, FaultsAcceptance, JobNow, ObjectDiff, OperatorStep, PacketAnswer,
    UnservedPacket,
};
use crate::model::{Event, EventBody, RenderProblem};

/// Longest line, in characters.
const LINE_CHARS_MAX: usize = 160;
/// Most fields that are shown of an unknown kind of event.
const FIELDS_MAX: usize = 6;

/// The summary of an event, for a person.
pub fn summary(event: &Event) -> String {
    let line = words(&event.body);
    let line = plain(line.trim());
    match line.chars().count() > LINE_CHARS_MAX {
        true => line.chars().take(LINE_CHARS_MAX - 2).collect::<String>() + " …",
        false => line,
    }
}

fn words(body: &EventBody) -> String {
    match body {
        EventBody::BootFileServed(it) => file_served(it),
        EventBody::BootRendered(it) => format!("{} ({})", it.label, bytes(it.bytes)),
        EventBody::BootRenderFailed(it) => format!("{}: {}", it.label, problem(&it.problem)),
        EventBody::BootDenied(it) => format!("{}: {}", it.path, it.reason),
        EventBody::BootFileAbsent(it) => {
            format!("{} over {}: {}", it.path, text(&json!(it.protocol)), it.reason)
        }
        EventBody::BootScreen(it) => it.message.clone(),
        EventBody::BootLog(it) => it.text.clone(),
        EventBody::BootInstallerAsks(it) => it.question.clone(),
        EventBody::BootDecided(verdict) => self::verdict(&json!(verdict)),
        EventBody::BootAttemptStarted(it) => {
            format!("power-on {}{}", it.number, after(" into ", it.bootenv.as_deref()))
        }
        EventBody::BootAttemptEnded(it) => format!("power-on {}: {}", it.number, it.result.as_str()),
        EventBody::BootInstallerLog(it) => format!("{} ({})", it.document, bytes(it.bytes)),
        EventBody::BootDone(it) => format!("from {}", it.peer),
        EventBody::BootFailed(it) => format!("from {}{}", it.peer, after(": ", Some(&it.reason))),
        EventBody::RunStarted(it) => {
            let rehearsal = if it.rehearse { ", a rehearsal" } else { "" };
            let from = it.from_step.map(|step| format!(", from step {step}")).unwrap_or_default();
            let reason = after(": ", it.reason.as_deref());
            format!("{}{from}{rehearsal}{reason}", or_nothing(&it.workflow))
        }
        EventBody::RunStepDone(it) => {
            [text(&json!(it.kind)), it.name.clone(), text(&json!(it.state))].join(" ")
        }
        EventBody::RunInstallationConfirmed(it) => format!("{} {}", or_nothing(&it.name), it.reason),
        EventBody::RunCompleted(it) => or_nothing(&it.workflow),
        EventBody::RunResumed(it) => or_nothing(&it.workflow),
        EventBody::RunRetried(it) => format!("{} at step {}", or_nothing(&it.workflow), it.step),
        EventBody::RunFailed(it) => format!("{} {}", or_nothing(&it.name), it.reason),
        EventBody::RunEnded(it) => {
            let seconds = it.seconds.map(|seconds| format!(" after {seconds} s")).unwrap_or_default();
            format!("{}{seconds}", it.result.as_str())
        }
        EventBody::RunRefreshed(it) => it.reason.clone(),
        EventBody::RunHeld(it) => it.reason.clone(),
        EventBody::RunOverdue(it) => it.reason.clone(),
        EventBody::RunPaused(it) => after("by ", it.by.as_deref()) + &after(": ", Some(&it.reason)),
        EventBody::RunStepSkipped(it) | EventBody::RunStepMarkedDone(it) | EventBody::RunPausePlanned(it) => {
            operator_step(it)
        }
        EventBody::RunLiveSystemLost(it) => format!("{} at {}", it.bootenv, it.reason),
        EventBody::RunCancelled(it) => format!("by {}", it.by),
        EventBody::MachineArmed(it) => format!("for {} until {}", it.bootenv, clock(it.until)),
        EventBody::RunFaultsAccepted(it) => accepted(it),
        EventBody::MachineDisarmed(it) => it.reason.clone(),
        EventBody::MachineToldToReboot(it) => it.reason.clone(),
        EventBody::ArtifactStateChanged(it) => text(&json!(it.state)) + &after(": ", Some(&it.reason)),
        EventBody::JobCreated(it)
        | EventBody::JobStarted(it)
        | EventBody::JobFinished(it)
        | EventBody::JobFailed(it)
        | EventBody::JobIncomplete(it)
        | EventBody::JobCancelled(it)
        | EventBody::JobLost(it) => job(it),
        EventBody::DhcpReleased(DhcpRelease::Lease(it)) | EventBody::DhcpExpired(it) => {
            format!("{}, {}", it.address, it.reason)
        }
        EventBody::DhcpAddressInUse(it) => format!("{}, {}", it.address, it.reason),
        EventBody::DhcpRivalServer(it) => it.reason.clone(),
        EventBody::DhcpNoSubnet(UnservedPacket::Clients(it)) => it.reason.clone(),
        EventBody::Updated(_, it) => updated(it),
        EventBody::Created(_, it) | EventBody::Deleted(_, it) => it.name.clone(),
        other => packet(other).map_or_else(|| fields(&json!(other)), dhcp),
    }
}

/// The codes of the faults, and why they were accepted.
fn accepted(it: &FaultsAcceptance) -> String {
    let codes: Vec<&str> = it.faults.iter().map(|fault| fault.code.name()).collect();
    format!("{}: {}", codes.join(", "), it.reason)
}

/// The packet that an event is about.
fn packet(body: &EventBody) -> Option<&PacketAnswer> {
    match body {
        EventBody::DhcpOffered(it)
        | EventBody::DhcpLeased(it)
        | EventBody::DhcpRenewed(it)
        | EventBody::DhcpRefused(it)
        | EventBody::DhcpReleased(DhcpRelease::Packet(it))
        | EventBody::DhcpDeclined(it)
        | EventBody::DhcpInformed(it)
        | EventBody::DhcpBootServed(it)
        | EventBody::DhcpIgnored(it)
        | EventBody::DhcpNoSubnet(UnservedPacket::Packet(it))
        | EventBody::DhcpPoolEmpty(it)
        | EventBody::DhcpMalformed(it) => Some(it),
        _ => None,
    }
}

fn operator_step(it: &OperatorStep) -> String {
    let (kind, name, step) = (text(&json!(it.kind)), or_nothing(&it.name), it.step);
    format!("{kind} {name} (step {step}) by {}{}", it.by, after(": ", Some(&it.reason)))
}

fn or_nothing(text: &Option<String>) -> String {
    text.clone().unwrap_or_default()
}

/// A text with words before it, or nothing if there is no text.
fn after(words: &str, text: Option<&str>) -> String {
    text.filter(|text| !text.is_empty()).map(|text| format!("{words}{text}")).unwrap_or_default()
}

/// A time of day in the local zone.
fn clock(time: Timestamp) -> String {
    time.to_zoned(TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S").to_string()
}

fn file_served(it: &BootFileServed) -> String {
    let part = if it.complete { "" } else { ", broken off" };
    let (size, protocol) = (bytes(it.bytes), text(&json!(it.protocol)));
    format!("{} ({size} over {protocol} in {} ms{part})", it.path, it.duration_ms)
}

fn problem(it: &RenderProblem) -> String {
    let numbers = [it.line, it.column].into_iter().flatten().map(|number| format!(":{number}"));
    format!("{}{} {}", it.template, numbers.collect::<String>(), it.message)
}

/// A verdict in the JSON of events and explanations: `{"verdict": "netboot", "bootenv": …}`.
pub fn verdict(data: &Value) -> String {
    // An explanation may be the verdict itself, or have it in a field of that name.
    let own = data.get("verdict").filter(|inner| inner.is_object()).unwrap_or(data);
    let field = |name| value_at(own, name).map(text);
    let word = field("verdict").unwrap_or_default().replace('_', " ");
    format!("{word}{}{}", after(" ", field("bootenv").as_deref()), after(": ", field("reason").as_deref()))
}

fn dhcp(it: &PacketAnswer) -> String {
    let words = [
        it.address.map(|address| address.to_string()).unwrap_or_default(),
        format!("to {}", text(&json!(it.stage))),
        after("with ", it.boot_file.as_deref()),
        it.reason.clone(),
    ];
    words.iter().filter(|word| !word.is_empty()).map(String::as_str).collect::<Vec<_>>().join(", ")
}

fn job(it: &JobNow) -> String {
    let again = if it.attempt >= 2 { format!(", attempt {}", it.attempt) } else { String::new() };
    let exit = it.exit.map(|exit| format!(", exit {exit}")).unwrap_or_default();
    format!("{} of {}{again}{exit}{}", it.task, it.stage, after(": ", Some(&it.reason)))
}

/// The fields that a change affected; their values are in the event itself.
fn updated(it: &ObjectDiff) -> String {
    let operations = it.diff.as_array().map(Vec::as_slice).unwrap_or_default();
    let paths = operations.iter().filter_map(|operation| operation.get("path").and_then(Value::as_str));
    let mut paths: Vec<String> = paths.map(|path| path.trim_start_matches('/').replace('/', ".")).collect();
    paths.dedup();
    let more = paths.len().saturating_sub(FIELDS_MAX);
    paths.truncate(FIELDS_MAX);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    match paths.is_empty() {
        true => it.name.clone(),
        false => format!("{}: {}{more}", it.name, paths.join(", ")),
    }
}

/// The fields of an event without a summary.
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
        let served = json!({
            "path": "m/…/preseed.cfg", "label": "", "peer": "10.0.0.5", "size": 3174, "bytes": 3174,
            "protocol": "http", "duration_ms": 4, "complete": true,
        });
        assert_eq!(said("boot.file_served", served), "m/…/preseed.cfg (3.1 KiB over http in 4 ms)");
        let decided = json!({"verdict": "local_disk", "reason": "no workflow is running"});
        assert_eq!(said("boot.decided", decided), "local disk: no workflow is running");
        let offered = json!({
            "address": "10.0.0.5", "mac": null, "client": null, "hostname": null, "expires_at": null,
            "vendor": null, "stage": "firmware", "boot_file": "undionly.kpxe", "reason": "from the pool",
            "verdict": {"verdict": "netboot", "bootenv": "debian"},
        });
        assert_eq!(said("dhcp.offered", offered), "10.0.0.5, to firmware, with undionly.kpxe, from the pool");
        let failed = json!({
            "job": "1", "task": "disk", "stage": "install", "attempt": 2, "exit": 1, "reason": "no disk",
        });
        assert_eq!(said("job.failed", failed), "disk of install, attempt 2, exit 1: no disk");
        let change = json!({"op": "replace", "path": "/params/rack", "value": "a1"});
        let updated = json!({"name": "web1", "revision": 2, "diff": [change]});
        assert_eq!(said("machine.updated", updated), "web1: params.rack");
        let done = json!({"step": 1, "kind": "stage", "name": "install", "state": "skipped"});
        assert_eq!(said("run.step_done", done), "stage install skipped");
        assert_eq!(said("pack.installed", json!({"a": 1, "b": null, "c": {}})), "a=1");
        let render = json!({"label": "preseed.cfg",
                            "problem": {"kind": "template", "template": "a.cfg", "line": 3, "column": 7,
                                        "message": "unknown", "included_from": [], "available": []}});
        assert_eq!(said("boot.render_failed", render), "preseed.cfg: a.cfg:3:7 unknown");
    }

    #[test]
    fn a_line_of_an_installer_stays_one_short_line() {
        let line = said("boot.log", json!({"text": "a\u{1b}[2J\nb".to_owned() + &"x".repeat(500)}));
        assert!(line.starts_with("a [2J b") && line.chars().count() <= LINE_CHARS_MAX, "{line}");
    }
}
