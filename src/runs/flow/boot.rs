//! The effects of a boot on a run: its beginning, its progress, and its end.

use uuid::Uuid;

use crate::model::event::{BootAttemptEnded, BootAttemptStarted};
use crate::model::{
    AgentSeen, BootAttempt, BootProgress, BootResult, BootenvKind, Environment, StepKind, StepState,
};

use super::rules::Flow;
use super::step::{REHEARSED_BOOT, boot_is_open, boot_step};
use super::{FIRMWARE_SECONDS, FRUITLESS_ATTEMPTS_MAX};

impl Flow<'_> {
    /// A machine was powered on: its first DISCOVER arrived, or its first fetch if it has its address from
    /// elsewhere. `bootenv` is the one that the boot decision chose; none is the local disk. The previous
    /// attempt must have ended or been superseded.
    pub fn attempt_started(&mut self, id: Uuid, bootenv: Option<String>) {
        let number = self.status.boot_attempt.as_ref().map_or(0, |attempt| attempt.number) + 1;
        let step = bootenv.as_ref().and_then(|_| boot_step(self.status, self.steps()));
        let (now, deadline) = (self.now, Some(self.later(FIRMWARE_SECONDS)));
        self.say(BootAttemptStarted { number, bootenv: bootenv.clone() });
        self.status.boot_attempt = Some(BootAttempt {
            id,
            number,
            started_at: now,
            seen_at: now,
            progress: BootProgress::Firmware,
            mac: None,
            client_arch: None,
            other_arch: None,
            server: None,
            bootenv,
            step,
            kernel_fetched_at: None,
            deadline,
            expected_by: None,
            asks: None,
            result: None,
        });
        self.status.last_seen = Some(now);
        self.settle();
    }

    /// A machine was powered on again: its open attempt ends, and the memory of a live system is lost. Call
    /// it before the decision on the new attempt, because it may fail or hold the run.
    pub fn powered_on_again(&mut self) {
        self.supersede_attempt();
        self.lose_live_system();
    }

    fn supersede_attempt(&mut self) {
        let how_far = self.how_far();
        let Some(linked) = self.end_attempt(BootResult::Superseded) else { return };
        if !linked {
            return;
        }
        match self.spent() {
            Some(name) => self.fail_boot(format!(
                "the machine was powered on again before `{name}` reported that it was done; it had come to \
                 {how_far}{}",
                self.way_on()
            )),
            None => self.fruitless(),
        }
    }

    /// The destructive bootenv whose kernel the last attempt fetched, which used up the arming.
    fn spent(&self) -> Option<String> {
        let attempt = self.status.boot_attempt.as_ref().filter(|a| a.kernel_fetched_at.is_some())?;
        let name = attempt.bootenv.clone()?;
        self.bootenv(&name).is_some_and(|bootenv| bootenv.is_destructive()).then_some(name)
    }

    /// The open attempt, to record what is known about it.
    pub fn attempt(&mut self) -> Option<&mut BootAttempt> {
        self.status.boot_attempt.as_mut().filter(|attempt| attempt.result.is_none())
    }

    /// The latest attempt, whether it has ended or not.
    pub fn latest_attempt(&self) -> Option<Uuid> {
        self.status.boot_attempt.as_ref().map(|attempt| attempt.id)
    }

    fn fruitless(&mut self) {
        self.status.fruitless_attempts += 1;
        if self.status.fruitless_attempts >= FRUITLESS_ATTEMPTS_MAX {
            let name = self.status.bootenv.clone().unwrap_or_default();
            let times = self.status.fruitless_attempts;
            self.hold(format!(
                "{times} attempts to boot `{name}` led nowhere; see the timeline, then `retry`"
            ));
        }
    }

    /// Records that the attempt came at least this far: its loader asked for an address, its script was
    /// fetched.
    pub fn attempt_progress(&mut self, progress: BootProgress) {
        let now = self.now;
        if let Some(attempt) = self.status.boot_attempt.as_mut().filter(|attempt| attempt.result.is_none()) {
            attempt.progress = attempt.progress.max(progress);
            attempt.seen_at = now;
            self.status.last_seen = Some(now);
            self.settle();
        }
    }

    /// Records that the firmware goes on to its other protocol, of this architecture code. The attempt is at
    /// its beginning again.
    pub fn attempt_goes_on(&mut self, client_arch: u16) {
        let (now, deadline) = (self.now, Some(self.later(FIRMWARE_SECONDS)));
        let Some(attempt) = self.attempt() else { return };
        (attempt.other_arch, attempt.progress) = (Some(client_arch), BootProgress::Firmware);
        (attempt.seen_at, attempt.deadline) = (now, deadline);
        self.status.last_seen = Some(now);
        self.settle();
    }

    /// Records that the kernel was fetched. For a destructive bootenv this uses up the arming.
    pub fn kernel_fetched(&mut self) {
        let now = self.now;
        let Some(attempt) = self.attempt() else { return };
        if attempt.kernel_fetched_at.is_none() {
            (attempt.kernel_fetched_at, attempt.deadline) = (Some(now), None);
            self.boot_heard();
        }
        self.await_word();
        if self.spent().is_some() {
            self.disarm("the kernel was fetched: the arming is used up");
        }
        self.attempt_progress(BootProgress::Kernel);
    }

    /// Records that the installer fetched its answer file, or that the booted system called.
    pub fn system_seen(&mut self) {
        let is_news = self.attempt().is_some_and(|attempt| attempt.progress < BootProgress::System);
        self.attempt_progress(BootProgress::System);
        if is_news {
            self.installer_heard();
        }
    }

    /// Records that the booted system reported that it is done.
    pub fn callback_done(&mut self) {
        let linked = self.end_attempt(BootResult::Done);
        if linked == Some(true) {
            self.boot_done("");
        }
    }

    /// Ends the open boot as done; `said` is an operator's note on it.
    pub(super) fn boot_done(&mut self, said: &str) {
        let rehearsal = self.status.run.as_ref().is_some_and(|run| run.rehearse);
        let installs = self.installs();
        self.status.unreported_boot = None;
        let note = if rehearsal && installs { REHEARSED_BOOT } else { said };
        let boot = boot_step(self.status, self.steps());
        if installs {
            self.disarm("the installer is done");
            self.status.bootenv = None;
        } else {
            // No agent of this boot has asked for work yet.
            self.status.agent = None;
        }
        if boot == Some(self.status.cursor) {
            self.end_step(StepState::Done, note);
        } else if let (Some(boot), Some(run)) = (boot, self.run.as_mut())
            && let Some(step) = run.steps.get_mut(boot as usize)
        {
            step.mark(StepState::Done, note, self.now);
        }
        if self.status.job.is_none() {
            self.advance();
        }
    }

    /// Records that the booted system reported a failure.
    pub fn callback_failed(&mut self, reason: &str) {
        self.status.unreported_boot = None;
        if self.end_attempt(BootResult::Failed) == Some(true) {
            let name = self.boot_name();
            self.fail_boot(format!("`{name}` reported that it failed: {reason}"));
        }
    }

    /// The attempt's deadline has passed.
    pub fn attempt_timed_out(&mut self) {
        let attempt = self.status.boot_attempt.as_ref();
        let past_kernel = attempt.is_some_and(|attempt| attempt.progress >= BootProgress::Kernel);
        if self.end_attempt(BootResult::TimedOut) != Some(true) {
            return;
        }
        if past_kernel {
            let name = self.boot_name();
            self.fail_boot(format!(
                "`{name}` fetched its kernel and did not report in time{}",
                self.way_on()
            ));
        } else {
            self.fruitless();
            self.settle();
        }
    }

    pub(super) fn boot_name(&self) -> String {
        let step = boot_step(self.status, self.steps()).and_then(|i| self.steps().get(i as usize));
        step.map(|step| step.name.clone()).unwrap_or_default()
    }

    /// Ends the open attempt, if there is one. Returns whether it belonged to the boot that the run is in.
    pub(super) fn end_attempt(&mut self, result: BootResult) -> Option<bool> {
        let attempt = self.status.boot_attempt.as_mut().filter(|attempt| attempt.result.is_none())?;
        (attempt.result, attempt.progress) = (Some(result), BootProgress::Ended);
        (attempt.seen_at, attempt.deadline) = (self.now, None);
        (attempt.expected_by, attempt.asks) = (None, None);
        let (number, step) = (attempt.number, attempt.step);
        self.say(BootAttemptEnded { number, result });
        let linked = step.is_some() && step == boot_step(self.status, self.steps());
        Some(linked && boot_is_open(self.status, self.steps()) && self.runs())
    }

    /// An agent asks for work: the present boot may have led to it.
    /// `installed_by` is the attempt that its token was made for.
    pub fn agent_seen(&mut self, environment: Environment, boot: &str, installed_by: Option<Uuid>) {
        let before = self.status.agent.as_ref().filter(|agent| agent.environment == Environment::Live);
        match before.filter(|_| environment == Environment::Live) {
            Some(agent) if agent.boot == boot => self.live_system_heard(),
            Some(_) => self.lose_live_system(),
            None => {}
        }
        let same_life = self.status.agent.as_ref().filter(|a| a.boot == boot && a.environment == environment);
        let leaving = same_life.is_some_and(|agent| agent.leaving);
        self.status.agent = Some(AgentSeen { environment, boot: boot.to_owned(), leaving });
        if environment == Environment::Installed
            && let Some(attempt) = installed_by
        {
            self.agent_confirms(attempt);
        }
        let Some(step) = self.step().filter(|step| step.kind == StepKind::Bootenv && self.runs()) else {
            return;
        };
        let (name, open) = (step.name.clone(), step.state == StepState::Running);
        let Some(kind) = self.bootenv(&name).map(|bootenv| bootenv.kind).filter(|_| open) else { return };
        let attempt = self.status.boot_attempt.as_ref();
        let Some(attempt) = attempt.filter(|attempt| attempt.bootenv.as_ref() == Some(&name)) else { return };
        match (kind, environment) {
            (BootenvKind::Live | BootenvKind::Discovery, Environment::Live) => {
                self.end_attempt(BootResult::Done);
                self.disarm("the live system is up");
                self.end_step(StepState::Done, "");
                self.advance();
            }
            (BootenvKind::Install, Environment::Installer) if attempt.result.is_none() => {
                self.system_seen();
                if self.tasks_follow() {
                    // The boot stays open until the installer reports that it is done.
                    self.move_on();
                    self.advance();
                }
            }
            _ => {}
        }
    }

    /// Whether the present boot has tasks.
    fn tasks_follow(&self) -> bool {
        let later = self.steps().iter().skip(self.status.cursor as usize + 1);
        later.take_while(|step| step.kind != StepKind::Bootenv).any(|step| step.kind == StepKind::Task)
    }
}
