//! The log at `info`: one line for each change in a machine's run, made of the committed events.
//!
//! No use case writes these lines. What is on disk is in the log once, also where two changes come at the
//! same time, and what was not committed is not in it. Start at [`run`]; `KINDS` says which events have a
//! line.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::kernel::{EventFeed, Kernel};
use crate::model::{Event, Kind};
use crate::rate_limit::warn_limited;
use crate::store::EventQuery;

/// How long events gather before they are read: under load the database is asked a few times a second.
const GATHER: Duration = Duration::from_millis(200);
/// When the database is asked again after it failed.
const AGAIN: Duration = Duration::from_secs(5);
/// Longest text of an event in a line, in characters.
const TEXT_CHARS_MAX: usize = 300;

/// The events that have a line.
const KINDS: &[&str] = &[
    "boot.attempt_ended",
    "boot.attempt_started",
    "boot.kernel_fetched",
    "machine.armed",
    "machine.disarmed",
    "run.cancelled",
    "run.completed",
    "run.failed",
    "run.held",
    "run.live_system_lost",
    "run.pause_planned",
    "run.paused",
    "run.resumed",
    "run.retried",
    "run.started",
    "run.step_marked_done",
    "run.step_skipped",
];

/// Writes the lines of all events after a number, until it is stopped; then those that are there still.
pub async fn run(kernel: Arc<Kernel>, after: u64, stop: CancellationToken) {
    let mut feed = kernel.feed(EventQuery { after, kinds: KINDS, ..EventQuery::default() });
    loop {
        let read = tokio::select! {
            read = feed.next() => read,
            () = stop.cancelled() => break,
        };
        let pause = if log_all(&kernel, read) { GATHER } else { AGAIN };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = stop.cancelled() => break,
        }
    }
    finish(&kernel, &mut feed).await;
}

async fn finish(kernel: &Kernel, feed: &mut EventFeed) {
    loop {
        let read = feed.present().await;
        if read.as_ref().is_ok_and(Vec::is_empty) || !log_all(kernel, read) {
            return;
        }
    }
}

fn log_all(kernel: &Kernel, read: Result<Vec<Event>, crate::store::StoreError>) -> bool {
    match read {
        Ok(events) => {
            events.iter().for_each(|event| log_event(kernel, event));
            true
        }
        Err(error) => {
            warn_limited!(%error, "events cannot be read, so that the log lacks what happens to machines");
            false
        }
    }
}

/// A field of an event's data as text.
fn field(event: &Event, name: &str) -> Option<String> {
    let text = match event.data.get(name)? {
        Value::Null => return None,
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    Some(text.chars().take(TEXT_CHARS_MAX).collect())
}

/// A time without what is less than a second.
fn to_seconds(time: &str) -> String {
    time.split_once('.').map_or_else(|| time.to_owned(), |(seconds, _)| format!("{seconds}Z"))
}

/// What a line says happened.
fn said(event: &Event) -> &'static str {
    match event.kind.as_str() {
        "boot.attempt_ended" => "boot attempt ended",
        "boot.attempt_started" => "boot attempt begins",
        "boot.kernel_fetched" => "kernel fetched",
        "machine.armed" => "machine armed: its next network boot may erase its disks",
        "machine.disarmed" => "machine disarmed",
        "run.cancelled" => "run cancelled",
        "run.completed" => "run complete",
        "run.failed" => "run failed",
        "run.held" => "run held",
        "run.live_system_lost" => "live system lost",
        "run.pause_planned" => "run is to pause before a step",
        "run.paused" => "run paused",
        "run.resumed" => "run resumed",
        "run.retried" => "run retried",
        "run.started" => "run started",
        "run.step_marked_done" => "step marked as done",
        "run.step_skipped" => "step skipped",
        _ => "",
    }
}

fn log_event(kernel: &Kernel, event: &Event) {
    let (machine, mac) = name_and_mac(kernel, event);
    let is_an_operators = event.kind.starts_with("run.") && event.actor.starts_with("token:");
    let by = field(event, "by").or_else(|| is_an_operators.then(|| event.actor.clone()));
    tracing::info!(
        machine,
        mac,
        run = field(event, "run"),
        workflow = field(event, "workflow"),
        stage = field(event, "stage"),
        step = field(event, "name"),
        bootenv = field(event, "bootenv"),
        attempt = field(event, "number"),
        result = field(event, "result"),
        until = field(event, "until").as_deref().map(to_seconds),
        by,
        reason = field(event, "reason"),
        "{}",
        said(event)
    );
}

/// Of the machine that an event is about: its name, or the id of one that is gone; the MAC that it boots
/// with, or its first.
fn name_and_mac(kernel: &Kernel, event: &Event) -> (String, Option<String>) {
    let key = event.subject.strip_prefix(&Kind::Machine.subject("")).unwrap_or(&event.subject);
    let world = kernel.world();
    let Some(machine) = world.machines.get(key) else { return (key.to_owned(), None) };
    let attempt = machine.status.boot_attempt.as_ref();
    let booting = attempt.filter(|attempt| Some(attempt.id) == event.attempt);
    let mac = booting.and_then(|attempt| attempt.mac).or_else(|| machine.spec.macs.first().copied());
    (machine.spec.name.clone(), mac.map(|mac| mac.to_string()))
}
