//! Deadlines that have passed: of attempts, arming and waits. Before a wait fails it is overdue: nothing was
//! heard for as long as its stage usually takes.
//!
//! The times of a boot begin anew with each sign of life, within [`HEARD_SECONDS_MAX`] of its kernel.

use std::net::IpAddr;

use jiff::{SignedDuration, Timestamp};

use crate::model::event::{BootLog, InstallerQuestion, OverdueStep};
use crate::model::{BootProgress, BootenvKind, EventBody, MachineState, MachineWait};

use super::rules::{Flow, RunNow};
use super::step::{NextStep, next_step, present_bootenv, present_stage};
use super::{ANSWER_SECONDS, BOOT_SECONDS, HEARD_SECONDS_MAX};

impl Flow<'_> {
    /// Carries out deadlines that have passed: attempts, arming, waits. The caller handles those of jobs.
    pub fn expire(&mut self) {
        let attempt = self.status.boot_attempt.as_ref().filter(|attempt| attempt.result.is_none());
        if self.is_due(attempt.and_then(|attempt| attempt.deadline)) {
            self.attempt_timed_out();
        } else if self.is_due(self.status.armed_until) {
            self.disarm("the time was up");
            if self.at_destructive_boot() && self.status.state == MachineState::Waiting {
                self.hold("the machine was not powered on while it was armed; `arm` gives it more time");
            }
        } else if self.status.job.is_none()
            && self.is_due(self.status.waiting.as_ref().and_then(|w| w.overdue_at))
        {
            self.waited_in_vain();
        } else if self.is_due(self.status.waiting.as_ref().and_then(MachineWait::becomes_overdue_at)) {
            self.wait_overdue();
        }
    }

    fn waited_in_vain(&mut self) {
        match next_step(self.at(), self.now) {
            NextStep::Boot { bootenv } => {
                self.hold(format!("the machine was not powered on in time to boot `{bootenv}`"));
            }
            NextStep::Run { task } if self.status.tries.next_at.take().is_none() => {
                self.fail(format!("no agent came in time to run task `{task}`"));
            }
            _ => self.settle(),
        }
    }

    /// Something was heard of the boot: its times begin anew.
    pub(super) fn boot_heard(&mut self) {
        let (seconds, usual) = (self.boot_seconds(), self.usual_boot_seconds());
        let (deadline, expected_by) = (self.later(seconds), self.later(usual));
        let Some(attempt) = self.status.boot_attempt.as_mut().filter(|attempt| attempt.result.is_none())
        else {
            return;
        };
        let Some(kernel) = attempt.kernel_fetched_at else { return };
        let most = SignedDuration::from_secs(seconds.max(HEARD_SECONDS_MAX).into());
        let latest = kernel.saturating_add(most).unwrap_or(Timestamp::MAX);
        attempt.deadline = attempt.deadline.max(Some(deadline.min(latest)));
        attempt.expected_by = Some(expected_by);
    }

    /// An installer was heard of, by a piece of its log for one.
    pub fn installer_heard(&mut self) {
        self.boot_heard();
        self.settle();
    }

    /// What the installer asks at its console, and the address that said so; empty if it no longer asks
    /// anything. That it asks the same again is no news.
    pub fn installer_asks(&mut self, question: &str, peer: IpAddr) {
        let asks = Some(question.to_owned()).filter(|question| !question.is_empty());
        let Some(attempt) = self.attempt().filter(|attempt| attempt.asks != asks) else {
            return self.installer_heard();
        };
        attempt.asks.clone_from(&asks);
        match asks {
            Some(question) => {
                self.say(EventBody::BootInstallerAsks(InstallerQuestion { question, peer }));
            }
            None => self.say(BootLog { text: "the installer no longer asks anything".to_owned() }),
        }
        self.installer_heard();
    }

    /// How long the present boot may be silent, in seconds.
    fn boot_seconds(&self) -> u32 {
        present_stage(self.at()).and_then(|stage| stage.timeout_seconds).unwrap_or(BOOT_SECONDS)
    }

    /// How long the present boot is usually silent, in seconds.
    fn usual_boot_seconds(&self) -> u32 {
        let stage = present_stage(self.at());
        let usual = stage.and_then(|stage| stage.expected_seconds).unwrap_or(self.boot_seconds() / 2);
        let attempt = self.status.boot_attempt.as_ref();
        let has_answers = attempt.is_some_and(|attempt| attempt.progress >= BootProgress::System);
        let fetches_answers = present_bootenv(self.at())
            .is_some_and(|bootenv| bootenv.kind == BootenvKind::Install && !bootenv.templates.is_empty());
        if fetches_answers && !has_answers { usual.min(ANSWER_SECONDS) } else { usual }
    }

    /// When an agent has usually asked, or a task has usually ended; none if the stage does not say.
    pub(super) fn agent_expected_by(&self) -> Option<Timestamp> {
        let usual = present_stage(self.at()).and_then(|stage| stage.expected_seconds);
        usual.map(|seconds| self.later(seconds))
    }

    /// The usual time of the present wait has passed.
    fn wait_overdue(&mut self) {
        let Some(waiting) = self.status.waiting.as_mut() else { return };
        waiting.overdue = true;
        let (until, look) = (waiting.overdue_at, place_to_look(&waiting.expected));
        let reason = format!("{}, for longer than usual: {look}", waiting.reason);
        let name = self.step().map(|step| step.name.clone());
        let (step, RunNow { run, workflow, stage }) = (self.status.cursor, self.run_now());
        let step = OverdueStep { run, step, name, reason, until, workflow, stage };
        self.say(EventBody::RunOverdue(step));
        self.settle();
    }
}

/// Where an operator looks when the event does not come.
fn place_to_look(expected: &str) -> &'static str {
    match expected {
        "boot.answer_fetched" => "it may have no network or ask at its console",
        "boot.done" => "it may ask at its console",
        "job.finished" => "see the log of the job",
        _ => "see the machine's console and the journal of its agent",
    }
}
