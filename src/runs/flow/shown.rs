//! What a machine shows: its state, the reason, and what it waits for until when. Every change ends in
//! `settle`, which alone decides it.

use jiff::Timestamp;
use uuid::Uuid;

use crate::model::{BootProgress, BootenvKind, MachineState, MachineWait};

use super::rules::Flow;
use super::step::{NextStep, RunWait, next_step, present_stage};
use super::{AGENT_SECONDS, POWER_ON_SECONDS};

impl Flow<'_> {
    /// Sets what the machine does and waits for.
    pub(super) fn settle(&mut self) {
        match next_step(self.at(), self.now) {
            NextStep::Done => self.complete(),
            NextStep::Hold { reason } => self.hold(reason),
            NextStep::Wait(wait) => self.show(wait),
            NextStep::Boot { bootenv } => self.show_boot(&bootenv),
            NextStep::Run { task } => {
                let seconds = present_stage(self.at()).and_then(|stage| stage.timeout_seconds);
                self.show(RunWait {
                    state: MachineState::Waiting,
                    reason: format!("an agent has to ask for task `{task}`"),
                    expected: "job.created",
                    overdue_at: Some(self.later(seconds.unwrap_or(AGENT_SECONDS))),
                });
            }
            NextStep::Pass { .. } | NextStep::Over => self.advance(),
        }
    }

    fn show_boot(&mut self, bootenv: &str) {
        let installs = self.bootenv(bootenv).is_some_and(|found| found.kind == BootenvKind::Install);
        let under_way = self.status.boot_attempt.as_ref().filter(|attempt| attempt.result.is_none());
        let attempt = under_way.filter(|attempt| attempt.step == Some(self.status.cursor));
        let progress = attempt.map_or(BootProgress::Firmware, |attempt| attempt.progress);
        let deadline = attempt.and_then(|attempt| attempt.deadline);
        let armed = self.status.armed_until.unwrap_or_else(|| self.later(POWER_ON_SECONDS));
        let next = if installs { "boot.answer_fetched" } else { "job.created" };
        let (state, reason, expected, overdue_at) = match progress {
            _ if attempt.is_none() => {
                let reason = format!("power the machine on: it boots `{bootenv}` from the network");
                (MachineState::Waiting, reason, "boot.kernel_fetched", Some(armed))
            }
            BootProgress::Firmware | BootProgress::Loader | BootProgress::Script => {
                let reason = format!("the machine is on; it has yet to fetch the kernel of `{bootenv}`");
                (MachineState::Waiting, reason, "boot.kernel_fetched", deadline)
            }
            BootProgress::Kernel => {
                (MachineState::Booting, format!("it has fetched the kernel of `{bootenv}`"), next, deadline)
            }
            BootProgress::System | BootProgress::Ended if installs => {
                let reason = format!("the installer of `{bootenv}` is at work");
                (MachineState::Running, reason, "boot.done", deadline)
            }
            BootProgress::System | BootProgress::Ended => (
                MachineState::Running,
                format!("`{bootenv}` is up; its agent has yet to ask"),
                next,
                deadline,
            ),
        };
        self.show(RunWait { state, reason, expected, overdue_at });
    }

    /// Sets the shown state. A wait that continues keeps its beginning and its end.
    fn show(&mut self, wait: RunWait) {
        let RunWait { state, reason, expected, overdue_at } = wait;
        if matches!(state, MachineState::Registered | MachineState::Complete) {
            return;
        }
        let goes_on =
            self.status.waiting.as_ref().is_some_and(|w| w.expected == expected && w.reason == reason);
        self.set_state(state, reason.clone());
        if !goes_on {
            let (since, expected) = (self.now, expected.to_owned());
            self.status.waiting = Some(MachineWait { reason, since, expected, overdue_at });
        }
    }

    /// Stops until an operator looks.
    pub(super) fn stop(&mut self, state: MachineState, reason: String) {
        self.show(RunWait { state, reason, expected: "run.retried", overdue_at: None });
    }

    /// Sets a state in which nothing is waited for.
    pub(super) fn rest(&mut self, state: MachineState, reason: String) {
        self.status.waiting = None;
        self.set_state(state, reason);
    }

    fn set_state(&mut self, state: MachineState, reason: String) {
        if self.status.state != state || self.status.since.is_none() {
            self.status.since = Some(self.now);
        }
        self.status.state = state;
        self.status.reason = reason;
    }

    /// Shows that a job is running.
    pub(super) fn show_job(&mut self, task: &str, id: Uuid, deadline: Timestamp) {
        self.status.job = Some(id);
        let (state, expected) = (MachineState::Running, "job.finished");
        let reason = format!("task `{task}` is running");
        self.show(RunWait { state, reason, expected, overdue_at: Some(deadline) });
    }
}
