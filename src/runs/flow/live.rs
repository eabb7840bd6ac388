//! The effects of a loss of power on a run whose tasks run in a live system, that is, in memory.
//!
//! The run goes back to the boot of that system and runs its tasks again, except those that survive a reboot.
//! If the boot destroys what is on the disks, the run fails instead: only an operator arms a machine again. A
//! reboot that a task or the server requested loses nothing.

use crate::model::event::RunLiveSystemLost;
use crate::model::{Environment, JobState, MachineState, StepKind, StepState};
use jiff::Timestamp;

use super::LIVE_RESTARTS_MAX;
use super::rules::{Flow, JobOutcome, RunNow};
use super::step::{boot_step, is_live, needs_live_system};

impl Flow<'_> {
    /// Somebody boots in the machine's name, and nothing shows that it is the machine. The live system's
    /// agent decides: if it is heard of again, there was no loss of power ([`Flow::live_system_heard`]); if
    /// an agent of another boot comes, or none for [`super::SILENCE_SECONDS`], there was.
    pub fn doubt_live_system(&mut self) {
        if self.may_lose_live_system() {
            self.status.live_system.doubted_at.get_or_insert(self.now);
        }
    }

    /// The agent of the live system is alive: there was no loss of power.
    pub fn live_system_heard(&mut self) {
        self.status.live_system.doubted_at = None;
    }

    /// The live system's agent was not heard of for too long after a doubt.
    pub fn live_system_silent(&mut self) {
        self.lose_live_system();
    }

    fn may_lose_live_system(&self) -> bool {
        let agent = self.status.agent.as_ref().filter(|agent| agent.environment == Environment::Live);
        let is_planned = agent.is_some_and(|agent| agent.leaving);
        !is_planned && self.runs() && needs_live_system(self.at())
    }

    /// The memory of the live system is lost: the machine was powered on again, or an agent of another boot
    /// asks for work. Nothing happens if no task needs the live system any more.
    pub(super) fn lose_live_system(&mut self) {
        self.status.live_system.doubted_at = None;
        if !self.may_lose_live_system() {
            return;
        }
        let (name, how_far) = (self.boot_name(), self.how_far());
        let is_destructive = self.bootenv(&name).is_some_and(|bootenv| bootenv.is_destructive());
        let RunNow { run, workflow, stage } = self.run_now();
        self.say(RunLiveSystemLost { run, bootenv: name.clone(), reason: how_far.clone(), workflow, stage });
        self.status.job = None;
        self.status.on_failure.clear();
        let reason = format!("the machine lost power in the live system `{name}`");
        self.job_end = Some(JobOutcome { state: JobState::Lost, reason: reason.clone() });
        let restarts = self.status.live_system.restarts;
        match self.status.state {
            MachineState::Failed => self.status.live_system.lost = true,
            _ if is_destructive => self.fail_boot(format!(
                "{reason}, which may have erased disks, at {how_far}; `retry` arms the machine and boots it \
                 again"
            )),
            MachineState::Held => self.status.live_system.lost = true,
            _ if restarts >= LIVE_RESTARTS_MAX => {
                self.status.live_system.lost = true;
                self.hold(format!(
                    "{reason} {} times, the last time at {how_far}; find the cause, then `retry`",
                    restarts + 1
                ));
            }
            _ => {
                self.return_to_boot();
                self.new_step();
                self.advance();
                self.status.live_system.restarts = restarts + 1;
            }
        }
    }

    /// Goes back to the boot of the present step. The steps after it that have to be repeated become pending.
    pub(super) fn return_to_boot(&mut self) {
        self.status.job = None;
        self.status.on_failure.clear();
        self.status.live_system.lost = false;
        let Some(boot) = boot_step(self.status, self.steps()) else { return };
        let name = self.boot_name();
        let bootenv = self.bootenv(&name);
        let keeps = bootenv.is_some_and(|bootenv| is_live(bootenv) && !bootenv.is_destructive());
        let (content, now) = (self.content(), self.now);
        let survives = |task: &str| keeps && content.task(task).is_some_and(|task| task.spec.survives_reboot);
        for step in self.run.iter_mut().flat_map(|run| run.steps.iter_mut().skip(boot as usize + 1)) {
            let stays = step.state == StepState::Skipped
                || (step.kind == StepKind::Task && step.state == StepState::Done && survives(&step.name));
            if !stays {
                step.mark(StepState::Pending, "", now);
            }
        }
        self.status.cursor = boot;
        if let Some(step) = self.run.as_mut().and_then(|run| run.steps.get_mut(boot as usize)) {
            // It keeps its start time: if the boot has failed, the record shows how long it took.
            (step.state, step.note) = (StepState::Pending, String::new());
        }
        self.take_stage();
    }

    /// How far the run and its boot have come, for a person.
    pub(super) fn how_far(&self) -> String {
        let step = match self.step() {
            Some(step) => step.label(self.status.cursor),
            None => "the end of its steps".to_owned(),
        };
        let since = self.status.waiting.as_ref().filter(|_| self.status.job.is_some());
        let since = since.map(|waiting| format!(", running since {}", to_seconds(waiting.since)));
        let attempt = self.status.boot_attempt.as_ref();
        let progress = attempt.map(|attempt| format!("{:?}", attempt.progress).to_lowercase());
        let heard = self.status.last_seen.map(to_seconds);
        format!(
            "{step}{}; boot progress {}, last heard of at {}",
            since.unwrap_or_default(),
            progress.unwrap_or_else(|| "unknown".to_owned()),
            heard.unwrap_or_else(|| "an unknown time".to_owned())
        )
    }
}

/// A time as `2026-03-01T02:03:04Z`.
fn to_seconds(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}
