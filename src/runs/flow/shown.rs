//! What a machine shows: its state, the reason, and what it waits for until when. Every change ends in
//! `settle`, which alone decides it.

use jiff::Timestamp;
use uuid::Uuid;

use crate::model::{BootProgress, BootenvKind, MachineState, MachineWait};

use super::rules::Flow;
use super::step::{NextStep, RunWait, asked, next_step, present_stage};
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
                let reason = format!("an agent has to ask for task `{task}`");
                self.show(RunWait {
                    overdue_at: Some(self.later(seconds.unwrap_or(AGENT_SECONDS))),
                    expected_by: self.agent_expected_by(),
                    ..RunWait::new(MachineState::Waiting, reason, "job.created")
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
        let asks = attempt.filter(|attempt| attempt.progress >= BootProgress::Kernel).and_then(asked);
        let (state, reason, expected, overdue_at) = match progress {
            _ if asks.is_some() => (MachineState::Running, asks.unwrap_or_default(), "boot.done", deadline),
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
        let expected_by = attempt.and_then(|attempt| attempt.expected_by);
        self.show(RunWait { state, reason, expected, overdue_at, expected_by });
    }

    /// Sets the shown state. A wait that continues keeps its beginning, and its times: only those of a boot
    /// change, with what is heard of it.
    fn show(&mut self, wait: RunWait) {
        let RunWait { state, reason, expected, overdue_at, expected_by } = wait;
        if matches!(state, MachineState::Registered | MachineState::Complete) {
            return;
        }
        let before = self.status.waiting.take().filter(|w| w.expected == expected && w.reason == reason);
        let attempt = self.status.boot_attempt.as_ref().filter(|attempt| attempt.expected_by.is_some());
        let is_boot = overdue_at.is_some() && overdue_at == attempt.and_then(|attempt| attempt.deadline);
        let expected = expected.to_owned();
        let wait = match before {
            Some(before) if !is_boot => before,
            Some(MachineWait { since, overdue, expected_by: was, .. }) => {
                let overdue = overdue && was == expected_by;
                MachineWait { reason, since, expected, overdue_at, expected_by, overdue }
            }
            None => {
                let since = self.now;
                MachineWait { reason, since, expected, overdue_at, expected_by, overdue: false }
            }
        };
        let late = wait.expected_by.filter(|_| wait.overdue);
        let late = late.map(|by| format!("; overdue since {}", by.strftime("%F %H:%M UTC")));
        self.set_state(state, wait.reason.clone() + &late.unwrap_or_default());
        self.status.waiting = Some(wait);
    }

    /// Stops until an operator looks.
    pub(super) fn stop(&mut self, state: MachineState, reason: String) {
        self.show(RunWait::new(state, reason, "run.retried"));
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
        let reason = format!("task `{task}` is running");
        self.show(RunWait {
            overdue_at: Some(deadline),
            expected_by: self.agent_expected_by().filter(|by| *by < deadline),
            ..RunWait::new(MachineState::Running, reason, "job.finished")
        });
    }
}
