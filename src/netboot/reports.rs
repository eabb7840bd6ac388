//! The reports of installers, sent with their capability: done, failed, and pieces of their log.

use std::net::IpAddr;
use std::sync::Arc;

use uuid::Uuid;

use crate::kernel::{Caller, Error};
use crate::model::event::{BootDenied, BootDone, BootFailed, BootLog};
use crate::model::{BootProgress, BootResult, Machine, RefusalCode, Stored};
use crate::netboot::Netboot;
use crate::netboot::identify::about;
use crate::netboot::installer_logs::INSTALLER_LOG;
use crate::runs::flow::Flow;

/// Longest reason of a failure in the machine's status, in characters. The event has up to `LOG_CHARS_MAX`.
const REASON_CHARS_MAX: usize = 1000;
/// Longest piece of a log, or reason of a failure, in one event, in characters.
const LOG_CHARS_MAX: usize = 16 * 1024;

/// Longest question of an installer, in characters.
const QUESTION_CHARS_MAX: usize = 500;

/// The kind of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReportKind {
    Done,
    Failed,
    Log,
    /// What the installer asks at its console; empty when it no longer asks anything.
    Asks,
    /// The ends of the installer's logs, before a failure is reported.
    InstallerLog,
}

impl ReportKind {
    /// The kind of the last part of a report's URL.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "done" => Some(ReportKind::Done),
            "failed" => Some(ReportKind::Failed),
            "log" => Some(ReportKind::Log),
            "asks" => Some(ReportKind::Asks),
            INSTALLER_LOG => Some(ReportKind::InstallerLog),
            _ => None,
        }
    }

    fn as_str(self) -> &'static str {
        match self {
            ReportKind::Done => "done",
            ReportKind::Failed => "failed",
            ReportKind::Log => "log",
            ReportKind::Asks => "asks",
            ReportKind::InstallerLog => INSTALLER_LOG,
        }
    }
}

/// One report.
#[derive(Clone, Debug)]
pub struct InstallerReport {
    pub kind: ReportKind,
    pub text: String,
    pub peer: IpAddr,
}

impl Netboot {
    /// Records a report. It is on disk when this returns; a repeated report changes nothing. Returns the
    /// answer for the installer.
    ///
    /// # Errors
    /// [`Error::Unauthorized`] if this server never issued the capability, [`Error::Forbidden`] if the peer's
    /// address is not the machine's (as for files), [`Error::Conflict`] if the attempt has ended differently,
    /// [`Error::TooMuch`] for a log beyond the machine's budget.
    pub async fn report(
        self: &Arc<Self>,
        capability: &str,
        report: InstallerReport,
    ) -> Result<String, Error> {
        let attempt = self.catalog.attempt_of(capability).ok_or_else(|| {
            let why = "this server did not issue the capability in this URL";
            Error::Unauthorized(RefusalCode::TokenUnknown, why.to_owned())
        })?;
        let machine = self.kernel.read(|world| {
            let id = attempt.to_string();
            let found =
                world.machines.find("attempt", &id).or_else(|| world.machines.find("unreported_boot", &id));
            found.cloned()
        });
        let Some(machine) = machine else {
            let why = "the boot attempt of this URL is over; a later one has begun";
            return Err(Error::Conflict(RefusalCode::Ended, why.to_owned()));
        };
        if let Some(why) = self.why_not_from(&machine, report.peer) {
            self.report_denied(&machine, (report.kind, report.peer), &why);
            return Err(Error::Forbidden(RefusalCode::NotYours, why));
        }
        if report.kind == ReportKind::InstallerLog {
            return self.keep_installer_log(&machine, (attempt, &report.text));
        }
        if let Some(answer) = answer_ended(&machine, (report.kind, attempt)) {
            return answer;
        }
        let caller = Caller::machine(&machine, self.kernel.now());
        let mut reason = first_chars(report.text.trim(), LOG_CHARS_MAX);
        match report.kind {
            ReportKind::Log => self.admit_log(&machine, reason.len())?,
            ReportKind::Asks => {
                reason = question(&reason);
                self.admit_log(&machine, reason.len())?;
            }
            // That it failed is always taken; of its reason, as much as there is room for.
            ReportKind::Failed if !self.takes_reason(&machine, reason.len()) => {
                reason = first_chars(&reason, REASON_CHARS_MAX);
            }
            ReportKind::Failed | ReportKind::Done | ReportKind::InstallerLog => {}
        }
        let name = &machine.spec.name;
        let mut counts = true;
        self.runs
            .flow(&caller, &machine.key, |flow| {
                counts = note(flow, (&report, attempt), &reason);
            })
            .await?;
        if !counts {
            let why =
                format!("{name}: the boot attempt has ended, and the run has gone on without this report");
            return Err(Error::Conflict(RefusalCode::Ended, why));
        }
        Ok(format!("{name}: noted"))
    }

    /// Records a refused report in the machine's timeline.
    fn report_denied(&self, machine: &Stored<Machine>, (kind, peer): (ReportKind, IpAddr), reason: &str) {
        let path = format!("/m/…/{}", kind.as_str());
        let denied = BootDenied { path, peer, protocol: None, reason: reason.to_owned() };
        self.note_boot_event(&about(Some(machine)), denied);
    }
}

/// Applies a report to its run. Returns whether it counts: the run may have gone on without it.
fn note(flow: &mut Flow<'_>, (report, attempt): (&InstallerReport, Uuid), reason: &str) -> bool {
    let (kind, peer) = (report.kind, report.peer);
    if !matches!(kind, ReportKind::Log | ReportKind::Asks) && !flow.takes_report(attempt) {
        return false;
    }
    match kind {
        ReportKind::InstallerLog => {}
        ReportKind::Done => {
            flow.say(BootDone { peer });
            flow.reported_done(attempt);
        }
        ReportKind::Failed => {
            flow.say(BootFailed { peer, reason: reason.to_owned() });
            flow.reported_failed(attempt, &status_reason(reason));
        }
        ReportKind::Log => {
            flow.say(BootLog { text: first_chars(&report.text, LOG_CHARS_MAX) });
            flow.installer_heard();
        }
        ReportKind::Asks => flow.installer_asks(reason, peer),
    }
    true
}

/// A question on one line: words with a space between them, without control characters.
fn question(text: &str) -> String {
    let text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    first_chars(&text.split_whitespace().collect::<Vec<_>>().join(" "), QUESTION_CHARS_MAX)
}

/// The answer to a report on an attempt that has ended; none where it may still count.
fn answer_ended(
    machine: &Stored<Machine>,
    (kind, attempt): (ReportKind, Uuid),
) -> Option<Result<String, Error>> {
    let name = &machine.spec.name;
    let current = machine.status.boot_attempt.as_ref().filter(|current| current.id == attempt);
    let result = match current {
        Some(current) if current.progress != BootProgress::Ended => return None,
        Some(current) => current.result,
        // A later attempt has begun.
        None => Some(BootResult::Superseded),
    };
    match (kind, result) {
        (ReportKind::Done, Some(BootResult::Done)) | (ReportKind::Failed, Some(BootResult::Failed)) => {
            Some(Ok(format!("{name}: already reported")))
        }
        (ReportKind::Log | ReportKind::Asks, _) => Some(Ok(format!("{name}: too late for the log"))),
        _ if machine.status.unreported_boot == Some(attempt) => None,
        _ => {
            let ended = result.map_or("unknown", BootResult::as_str);
            let why = format!("{name}: the boot attempt has ended already, as {ended}");
            Some(Err(Error::Conflict(RefusalCode::Ended, why)))
        }
    }
}

fn first_chars(text: &str, most: usize) -> String {
    text.chars().take(most).collect()
}

/// The reason in the form that the machine's status has.
fn status_reason(reason: &str) -> String {
    match reason.chars().count() {
        0 => "it gave no reason".to_owned(),
        1..=REASON_CHARS_MAX => reason.to_owned(),
        _ => format!("{} … (`metalwright timeline` has all of it)", first_chars(reason, REASON_CHARS_MAX)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_is_one_line_without_control_characters() {
        assert_eq!(question(" Bad\u{1b}[2J\r\n\n archive\tmirror\0 "), "Bad [2J archive mirror");
        assert_eq!(question("\n \u{7}"), "");
        assert_eq!(question(&"é ".repeat(QUESTION_CHARS_MAX)).chars().count(), QUESTION_CHARS_MAX);
    }

    #[test]
    fn a_long_reason_is_cut_in_the_status_and_says_where_the_rest_is() {
        assert_eq!(status_reason(""), "it gave no reason");
        let fits = "é".repeat(REASON_CHARS_MAX);
        assert_eq!(status_reason(&fits), fits);
        let cut = status_reason(&format!("{fits}x"));
        assert!(
            cut.starts_with(&fits) && !cut.contains('x') && cut.contains("metalwright timeline"),
            "{cut}"
        );
    }
}
