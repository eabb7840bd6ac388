//! The log at `info`: one line for each change of a machine's run, made from the committed events.
//!
//! Use cases do not write these lines. Everything that is committed is logged exactly once, also if two
//! changes happen at the same time, and nothing else is. Start at [`run`]; `KINDS` lists the events that have
//! a line.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::background::{WorkDescription, WorkHandle};
use crate::kernel::{Error, EventFeed, EventQuery, Kernel, StoreError};
use crate::model::event::{OperatorStep, OverdueStep, RunInstallationConfirmed};
use crate::model::{BootResult, Event, EventBody, EventKind, Kind};

/// The log in the list of background work.
pub const WORK: WorkDescription = WorkDescription {
    name: "activity-log",
    about: "Writes the log lines about boots and runs.",
    period: Duration::ZERO,
    nudged_by: "an event of a boot or a run",
};

/// How long events are collected before they are read, so that under load the database is read only a few
/// times a second.
const GATHER: Duration = Duration::from_millis(200);
/// Pause before the database is read again after a failure.
const AGAIN: Duration = Duration::from_secs(5);
/// Longest text of an event in a line, in characters.
const TEXT_CHARS_MAX: usize = 300;

/// The events that have a line.
const KINDS: &[EventKind] = &[
    EventKind::BootAttemptEnded,
    EventKind::BootAttemptStarted,
    EventKind::BootInstallerAsks,
    EventKind::BootKernelFetched,
    EventKind::MachineArmed,
    EventKind::MachineDisarmed,
    EventKind::MachineSimilarMac,
    EventKind::RunCancelled,
    EventKind::RunCompleted,
    EventKind::RunFailed,
    EventKind::RunHeld,
    EventKind::RunInstallationConfirmed,
    EventKind::RunLiveSystemLost,
    EventKind::RunOverdue,
    EventKind::RunPausePlanned,
    EventKind::RunPaused,
    EventKind::RunRefreshed,
    EventKind::RunResumed,
    EventKind::RunRetried,
    EventKind::RunStarted,
    EventKind::RunStepMarkedDone,
    EventKind::RunStepSkipped,
];

/// Writes the lines of all events after a number, until it is stopped; then those of the remaining events.
pub async fn run((kernel, after): (Arc<Kernel>, u64), handle: WorkHandle, stop: CancellationToken) {
    let mut feed = kernel.feed(EventQuery { after, kinds: KINDS, ..EventQuery::default() });
    loop {
        let read = tokio::select! {
            read = feed.next() => read,
            () = stop.cancelled() => break,
        };
        let logged = handle.watch(async { log_all(&kernel, read) }).await;
        let pause = if logged.is_ok() { GATHER } else { AGAIN };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = stop.cancelled() => break,
        }
    }
    finish(&kernel, &mut feed, &handle).await;
}

async fn finish(kernel: &Kernel, feed: &mut EventFeed, handle: &WorkHandle) {
    loop {
        let read = feed.present().await;
        if read.as_ref().is_ok_and(Vec::is_empty) {
            return;
        }
        if handle.watch(async { log_all(kernel, read) }).await.is_err() {
            return;
        }
    }
}

fn log_all(kernel: &Kernel, read: Result<Vec<Event>, StoreError>) -> Result<(), Error> {
    let lacks = "events cannot be read, so the log lacks what happens to machines";
    let events = read.map_err(|error| Error::Failed(format!("{lacks}: {error}")))?;
    events.iter().for_each(|event| log_event(kernel, event));
    Ok(())
}

/// The message of a line, and its fields.
#[derive(Debug, Default, PartialEq)]
struct LogLine<'a> {
    message: &'static str,
    run: Option<Uuid>,
    workflow: Option<&'a str>,
    stage: Option<&'a str>,
    step: Option<&'a str>,
    bootenv: Option<&'a str>,
    attempt: Option<u64>,
    result: Option<BootResult>,
    until: Option<Timestamp>,
    by: Option<&'a str>,
    reason: Option<&'a str>,
}

impl<'a> LogLine<'a> {
    fn new(message: &'static str) -> Self {
        LogLine { message, ..LogLine::default() }
    }

    fn of_run(
        message: &'static str,
        run: Option<Uuid>,
        workflow: &'a Option<String>,
        stage: &'a Option<String>,
    ) -> Self {
        LogLine { run, workflow: workflow.as_deref(), stage: stage.as_deref(), ..LogLine::new(message) }
    }
}

/// The line of an event; none for a kind without a line.
fn line(body: &EventBody) -> Option<LogLine<'_>> {
    let of_run = LogLine::of_run;
    Some(match body {
        EventBody::BootAttemptEnded(it) => LogLine {
            attempt: Some(it.number),
            result: Some(it.result),
            ..LogLine::new("boot attempt ended")
        },
        EventBody::BootAttemptStarted(it) => LogLine {
            attempt: Some(it.number),
            bootenv: it.bootenv.as_deref(),
            ..LogLine::new("boot attempt begins")
        },
        EventBody::BootInstallerAsks(it) => because("the installer asks at its console", &it.question),
        EventBody::BootKernelFetched(it) => {
            LogLine { bootenv: it.bootenv.as_deref(), ..LogLine::new("kernel fetched") }
        }
        EventBody::MachineArmed(it) => LogLine {
            bootenv: Some(&it.bootenv),
            until: Some(it.until),
            ..of_run(ARMED, it.run, &it.workflow, &it.stage)
        },
        EventBody::MachineDisarmed(it) => LogLine {
            reason: Some(&it.reason),
            ..of_run("machine disarmed", it.run, &it.workflow, &it.stage)
        },
        EventBody::MachineSimilarMac(it) => {
            because("an unknown client has almost the machine's MAC", &it.reason)
        }
        EventBody::RunCancelled(it) => {
            LogLine { by: Some(&it.by), ..of_run("run cancelled", it.run, &it.workflow, &it.stage) }
        }
        EventBody::RunCompleted(it) => of_run("run complete", it.run, &it.workflow, &it.stage),
        EventBody::RunFailed(it) => LogLine {
            step: it.name.as_deref(),
            reason: Some(&it.reason),
            ..of_run("run failed", it.run, &it.workflow, &it.stage)
        },
        EventBody::RunInstallationConfirmed(it) => confirmed(it),
        EventBody::RunHeld(it) => {
            LogLine { reason: Some(&it.reason), ..of_run("run held", it.run, &it.workflow, &it.stage) }
        }
        EventBody::RunOverdue(it) => overdue(it),
        EventBody::RunPaused(it) => LogLine {
            by: it.by.as_deref(),
            reason: given(&it.reason),
            ..of_run("run paused", it.run, &it.workflow, &it.stage)
        },
        EventBody::RunResumed(it) => of_run("run resumed", it.run, &it.workflow, &it.stage),
        EventBody::RunRetried(it) => of_run("run retried", it.run, &it.workflow, &it.stage),
        EventBody::RunRefreshed(it) => LogLine {
            reason: Some(&it.reason),
            ..of_run("run continues with the present content", it.run, &it.workflow, &it.stage)
        },
        EventBody::RunStarted(it) => LogLine {
            reason: it.reason.as_deref(),
            ..of_run("run started", Some(it.run), &it.workflow, &it.stage)
        },
        EventBody::RunLiveSystemLost(it) => LogLine {
            bootenv: Some(&it.bootenv),
            reason: Some(&it.reason),
            ..of_run("live system lost", it.run, &it.workflow, &it.stage)
        },
        EventBody::RunPausePlanned(it) => of_step("run will pause before a step", it),
        EventBody::RunStepMarkedDone(it) => of_step("step marked as done", it),
        EventBody::RunStepSkipped(it) => of_step("step skipped", it),
        _ => return None,
    })
}

/// A line that has only a reason.
fn because<'a>(message: &'static str, reason: &'a str) -> LogLine<'a> {
    LogLine { reason: Some(reason), ..LogLine::new(message) }
}

/// The line of an installation that its agent confirms.
fn confirmed(it: &RunInstallationConfirmed) -> LogLine<'_> {
    LogLine {
        step: it.name.as_deref(),
        reason: Some(&it.reason),
        ..LogLine::of_run("installation confirmed", it.run, &it.workflow, &it.stage)
    }
}

/// The line of a wait that takes longer than usual.
fn overdue(it: &OverdueStep) -> LogLine<'_> {
    LogLine {
        step: it.name.as_deref(),
        until: it.until,
        reason: Some(&it.reason),
        ..LogLine::of_run("run overdue", it.run, &it.workflow, &it.stage)
    }
}

/// The line of an operator's action on a step.
fn of_step<'a>(message: &'static str, it: &'a OperatorStep) -> LogLine<'a> {
    LogLine {
        step: it.name.as_deref(),
        by: Some(&it.by),
        reason: given(&it.reason),
        ..LogLine::of_run(message, it.run, &it.workflow, &it.stage)
    }
}

/// The reason, if one was given.
fn given(reason: &str) -> Option<&str> {
    Some(reason).filter(|reason| !reason.is_empty())
}

const ARMED: &str = "machine armed: its next network boot may erase its disks";

/// The operator who acted, if the event's fields do not name them.
fn operator(event: &Event) -> Option<&str> {
    let is_of_run = event.body.kind_name().starts_with("run.");
    (is_of_run && event.actor.starts_with("token:")).then_some(event.actor.as_str())
}

/// The beginning of a text.
fn cut(text: &str) -> String {
    text.chars().take(TEXT_CHARS_MAX).collect()
}

/// A time without fractions of a second.
fn to_seconds(time: Timestamp) -> String {
    let time = time.to_string();
    time.split_once('.').map_or_else(|| time.clone(), |(seconds, _)| format!("{seconds}Z"))
}

fn log_event(kernel: &Kernel, event: &Event) {
    let Some(line) = line(&event.body) else { return };
    let (machine, mac) = name_and_mac(kernel, event);
    tracing::info!(
        machine,
        mac,
        run = line.run.map(|run| run.to_string()),
        workflow = line.workflow.map(cut),
        stage = line.stage.map(cut),
        step = line.step.map(cut),
        bootenv = line.bootenv.map(cut),
        attempt = line.attempt.map(|number| number.to_string()),
        result = line.result.map(BootResult::as_str),
        until = line.until.map(to_seconds),
        by = line.by.or_else(|| operator(event)).map(cut),
        reason = line.reason.map(cut),
        "{}",
        line.message
    );
}

/// The machine of an event: its name, or its id if it was deleted; and the MAC that it boots with, or its
/// first MAC.
fn name_and_mac(kernel: &Kernel, event: &Event) -> (String, Option<String>) {
    let key = event.subject.strip_prefix(&Kind::Machine.subject("")).unwrap_or(&event.subject);
    kernel.read(|world| {
        let Some(machine) = world.machines.get(key) else { return (key.to_owned(), None) };
        let attempt = machine.status.boot_attempt.as_ref();
        let booting = attempt.filter(|attempt| Some(attempt.id) == event.attempt);
        let mac = booting.and_then(|attempt| attempt.mac).or_else(|| machine.spec.macs.first().copied());
        (machine.spec.name.clone(), mac.map(|mac| mac.to_string()))
    })
}
