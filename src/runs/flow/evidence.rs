//! The end of an installation that no report in time tells: the report comes after its boot attempt has
//! ended, or never, and the agent of the installed system shows that the installer was done.
//!
//! `unreported_boot` of the status names the attempt whose end is unknown. It is set when an installer's
//! kernel is fetched. A report ends it, and so does whatever lets the machine boot an installer again.

use uuid::Uuid;

use crate::model::event::RunInstallationConfirmed;
use crate::model::{BootProgress, BootResult, BootenvKind, MachineState, StepKind, StepState};

use super::rules::{Flow, RunNow};
use super::step::{boot_is_open, present_bootenv};

impl Flow<'_> {
    /// Whether the present boot is that of an installer.
    pub(super) fn installs(&self) -> bool {
        present_bootenv(self.at()).is_some_and(|bootenv| bootenv.kind == BootenvKind::Install)
    }

    /// Notes that the installer of the open attempt begins, and that its end is unknown.
    pub(super) fn await_word(&mut self) {
        if self.installs() && boot_is_open(self.status, self.steps()) {
            let attempt = self.attempt().filter(|attempt| attempt.step.is_some());
            self.status.unreported_boot = attempt.map(|attempt| attempt.id);
        }
    }

    /// What an operator can do about an installation whose end is unknown, for the reason of a failure.
    pub(super) fn way_on(&self) -> &'static str {
        match self.status.unreported_boot {
            Some(_) if self.installs() => {
                "; its report, or the agent of the installed system, still counts. `mark-done` says that it \
                 is installed, `retry` installs it again"
            }
            _ => "",
        }
    }

    /// Whether a report on the end of this attempt changes anything.
    pub fn takes_report(&self, attempt: Uuid) -> bool {
        self.is_open_attempt(attempt) || self.is_unreported(attempt)
    }

    /// The booted system of an attempt reported that it is done.
    pub fn reported_done(&mut self, attempt: Uuid) {
        if self.is_open_attempt(attempt) {
            self.callback_done();
        } else if self.is_unreported(attempt) {
            self.confirm_late(attempt, "the installer reported late that it is done");
        }
    }

    /// The booted system of an attempt reported a failure.
    pub fn reported_failed(&mut self, attempt: Uuid, reason: &str) {
        if self.is_open_attempt(attempt) {
            self.callback_failed(reason);
        } else if self.is_unreported(attempt) {
            self.status.unreported_boot = None;
            self.correct_result(attempt, BootResult::Failed);
            let name = self.boot_name();
            self.fail(format!("`{name}` reported late that it failed: {reason}"));
        }
    }

    /// An agent of the installed system asks for work, with a token that was made for this attempt.
    pub(super) fn agent_confirms(&mut self, attempt: Uuid) {
        const SHOWN: &str = "the agent of the installed system asked for work";
        if self.is_unreported(attempt) {
            return self.confirm_late(attempt, SHOWN);
        }
        let open = self.status.boot_attempt.as_ref().filter(|open| open.id == attempt);
        let is_past_kernel =
            open.is_some_and(|open| open.result.is_none() && open.progress >= BootProgress::Kernel);
        if is_past_kernel && self.installs() && self.end_attempt(BootResult::Done) == Some(true) {
            self.say_confirmed(SHOWN.to_owned());
            self.boot_done(&format!("{SHOWN}; the installer had not reported that it is done"));
        }
    }

    fn is_open_attempt(&self, attempt: Uuid) -> bool {
        self.status.boot_attempt.as_ref().is_some_and(|open| open.id == attempt && open.result.is_none())
    }

    /// Whether the run has failed for want of a report on this attempt, and nothing was begun since.
    fn is_unreported(&self, attempt: Uuid) -> bool {
        let has_failed = |kind, state| kind == StepKind::Bootenv && state == StepState::Failed;
        self.status.unreported_boot == Some(attempt)
            && self.runs()
            && self.status.state == MachineState::Failed
            && self.step().is_some_and(|step| has_failed(step.kind, step.state))
    }

    /// The run that had failed goes on after its installer.
    fn confirm_late(&mut self, attempt: Uuid, shown: &str) {
        self.say_confirmed(format!("{shown}; the run had failed: {}", self.status.reason));
        self.correct_result(attempt, BootResult::Done);
        self.status.state = MachineState::Waiting;
        self.boot_done(shown);
    }

    fn say_confirmed(&mut self, reason: String) {
        let RunNow { run, workflow, stage } = self.run_now();
        let (step, name) = (self.status.cursor, Some(self.boot_name()));
        self.say(RunInstallationConfirmed { run, step, name, reason, workflow, stage });
    }

    /// Records how an attempt ended of which something else was believed.
    fn correct_result(&mut self, attempt: Uuid, result: BootResult) {
        if let Some(current) = self.status.boot_attempt.as_mut().filter(|current| current.id == attempt) {
            current.result = Some(result);
        }
        let attempts = self.run.iter_mut().flat_map(|run| run.attempts.iter_mut().rev());
        if let Some(known) = attempts.into_iter().find(|known| known.id == attempt) {
            (known.result, known.ended_at) = (Some(result), Some(self.now));
        }
    }
}
