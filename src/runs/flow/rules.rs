//! The life of a run, and the states a machine goes through in it. A [`Flow`] is one change and its events.
//! Every change ends in `settle`, which alone decides the state that is shown.

use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use crate::model::event::{
    MachineArmed, MachineDisarmed, RunCancelled, RunCompleted, RunFailed, RunHeld, RunPaused, RunResumed,
    RunRetried, RunStarted, RunStepDone,
};
use crate::model::{
    BootProgress, Bootenv, BootenvKind, EventBody, JobState, LiveSystem, MachineState, MachineStatus,
    MachineWait, Run, Step, StepKind, StepState, StepTries, World,
};

use super::skips::begin_at;
use super::step::{NextStep, RunWait, is_booting, next_step, present_stage};
use super::{AGENT_SECONDS, ARMED_SECONDS, POWER_ON_SECONDS};

/// Who did something to a run, and why.
#[derive(Clone, Copy, Debug)]
pub struct OperatorNote<'a> {
    pub by: &'a str,
    /// Empty where none was given.
    pub reason: &'a str,
}

/// How a job that a change took from its machine ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobOutcome {
    pub state: JobState,
    pub reason: String,
}

/// One change of one machine's status.
#[derive(Debug)]
pub struct Flow<'a> {
    pub(super) status: &'a mut MachineStatus,
    pub(super) world: &'a World,
    pub(super) now: Timestamp,
    events: Vec<EventBody>,
    pub(super) job_end: Option<JobOutcome>,
}

impl<'a> Flow<'a> {
    pub fn new(status: &'a mut MachineStatus, world: &'a World, now: Timestamp) -> Self {
        Flow { status, world, now, events: Vec::new(), job_end: None }
    }

    /// How the job ends that the machine had before the change and has not any more; none where the state of
    /// the machine says it.
    pub fn job_end(&mut self) -> Option<JobOutcome> {
        self.job_end.take()
    }

    /// What the change did, in order.
    #[must_use]
    pub fn finish(self) -> Vec<EventBody> {
        self.events
    }

    /// Adds something that happened, for the timeline.
    pub fn say(&mut self, body: impl Into<EventBody>) {
        self.events.push(body.into());
    }

    /// The workflow of the run, for its events.
    pub(super) fn workflow_name(&self) -> Option<String> {
        self.status.run.as_ref().map(|run| run.workflow.clone())
    }

    /// The stage that the run is in, for its events.
    pub(super) fn stage_name(&self) -> Option<String> {
        self.step().map(|step| step.stage.clone()).or_else(|| self.status.stage.clone())
    }

    /// `seconds` from now.
    pub(super) fn later(&self, seconds: impl Into<i64>) -> Timestamp {
        self.now.saturating_add(SignedDuration::from_secs(seconds.into())).unwrap_or(Timestamp::MAX)
    }

    /// Begins a run, at its first step or at the one that `restart` names. It takes the place of a run that
    /// is under way.
    pub fn start(&mut self, run: Run, mut steps: Vec<Step>) {
        self.disarm("another run was started");
        let (id, rehearse, from_step) = (run.id, run.rehearse, run.from_step);
        self.status.cursor = run.from_step.map_or(0, |from| begin_at(from, &mut steps, self.world));
        self.status.run = Some(run);
        self.status.steps = steps;
        let (workflow, stage) = (self.workflow_name(), self.stage_name());
        self.say(RunStarted { run: id, rehearse, from_step, workflow, stage });
        let reason = "another run was started".to_owned();
        self.job_end = Some(JobOutcome { state: JobState::Cancelled, reason });
        self.status.job = None;
        self.status.bootenv = None;
        self.status.live_system = LiveSystem::default();
        self.status.state = MachineState::Waiting;
        self.status.on_failure.clear();
        self.unlink_attempt();
        self.take_stage();
        self.new_step();
        self.advance();
    }

    /// Hands out no further job and begins no further boot; what is under way comes to its end.
    pub fn pause(&mut self, note: OperatorNote<'_>) {
        let OperatorNote { by, reason } = note;
        self.with_run(|run| (run.paused, run.pause_reason) = (true, reason.to_owned()));
        self.say_paused(Some(by.to_owned()), reason.to_owned());
        if self.status.job.is_none() && !is_booting(self.status) {
            self.leave_boot();
        }
        self.settle();
    }

    /// Says that the run is paused, by whom, and why; empty where no reason was given.
    pub(super) fn say_paused(&mut self, by: Option<String>, reason: String) {
        let (workflow, stage) = (self.workflow_name(), self.stage_name());
        self.say(RunPaused { by, reason, workflow, stage });
    }

    /// Goes on after a pause; a run that is not paused goes on past the step it was to stop before.
    pub fn resume(&mut self) {
        let was_paused = self.status.run.as_ref().is_some_and(|run| run.paused);
        self.with_run(|run| {
            if was_paused {
                (run.paused, run.pause_reason) = (false, String::new());
            } else {
                run.stop_before = None;
            }
        });
        self.say(RunResumed { workflow: self.workflow_name(), stage: self.stage_name() });
        if was_paused && self.status.state == MachineState::Held {
            self.status.state = MachineState::Waiting;
            if self.status.live_system.lost {
                self.return_to_boot();
            }
        }
        self.advance();
    }

    /// Goes on at the step that failed or was held.
    pub fn retry(&mut self) {
        let (workflow, stage) = (self.workflow_name(), self.stage_name());
        self.say(RunRetried { step: self.status.cursor, workflow, stage });
        self.status.state = MachineState::Waiting;
        self.status.on_failure.clear();
        self.with_step(|step| (step.state, step.note) = (StepState::Pending, String::new()));
        if self.status.live_system.lost {
            self.return_to_boot();
        }
        self.status.live_system = LiveSystem::default();
        self.unlink_attempt();
        self.new_step();
        self.advance();
    }

    /// Ends the run where it is. The caller ends its open job.
    pub fn cancel(&mut self, by: &str) {
        let now = self.now;
        self.disarm("the run was cancelled");
        self.with_run(|run| {
            (run.ended_at, run.paused) = (Some(now), false);
            run.stop_before = None;
        });
        self.status.live_system = LiveSystem::default();
        for step in &mut self.status.steps {
            if matches!(step.state, StepState::Pending | StepState::Running) {
                (step.state, step.note) = (StepState::Skipped, "the run was cancelled".to_owned());
            }
        }
        self.status.bootenv = None;
        self.status.job = None;
        self.status.on_failure.clear();
        let (workflow, stage) = (self.workflow_name(), self.stage_name());
        self.say(RunCancelled { by: by.to_owned(), workflow, stage });
        self.rest(MachineState::Registered, format!("the run was cancelled by {by}"));
    }

    /// Arms the machine anew for the destructive boot it is at.
    pub fn arm(&mut self) {
        self.status.state = MachineState::Waiting;
        self.with_step(|step| step.state = StepState::Pending);
        self.status.fruitless_attempts = 0;
        self.advance();
    }

    /// Takes the arming away; a machine at a destructive boot is held.
    pub fn disarm_by(&mut self, by: &str) {
        self.disarm(&format!("disarmed by {by}"));
        if self.at_destructive_boot() && !is_booting(self.status) {
            self.hold(format!("disarmed by {by}; `arm` goes on"));
        }
    }

    pub(super) fn disarm(&mut self, reason: &str) {
        if self.status.armed_until.take().is_some() {
            let (workflow, stage) = (self.workflow_name(), self.stage_name());
            self.say(MachineDisarmed { reason: reason.to_owned(), workflow, stage });
        }
    }

    /// The present step is the boot of a bootenv that destroys what is on the disks.
    pub fn at_destructive_boot(&self) -> bool {
        let step = self.step().filter(|step| step.kind == StepKind::Bootenv);
        let bootenv = step.and_then(|step| self.bootenv(&step.name));
        bootenv.is_some_and(|bootenv| bootenv.is_destructive()) && self.runs()
    }

    /// A run is under way.
    pub fn runs(&self) -> bool {
        self.status.run.as_ref().is_some_and(|run| run.ended_at.is_none())
    }

    /// Carries out what was due by now: attempts, arming, waits. Jobs are the caller's.
    pub fn expire(&mut self) {
        let attempt = self.status.boot_attempt.as_ref().filter(|attempt| attempt.result.is_none());
        if is_due(self.now, attempt.and_then(|attempt| attempt.deadline)) {
            self.attempt_timed_out();
        } else if is_due(self.now, self.status.armed_until) {
            self.disarm("the time was up");
            if self.at_destructive_boot() && self.status.state == MachineState::Waiting {
                self.hold("the machine was not powered on while it was armed; `arm` gives it more time");
            }
        } else if self.status.job.is_none()
            && is_due(self.now, self.status.waiting.as_ref().and_then(|w| w.overdue_at))
        {
            self.waited_in_vain();
        }
    }

    fn waited_in_vain(&mut self) {
        match next_step(self.status, self.world, self.now) {
            NextStep::Boot { bootenv } => {
                self.hold(format!("the machine was not powered on in time to boot `{bootenv}`"));
            }
            NextStep::Run { task } if self.status.tries.next_at.take().is_none() => {
                self.fail(format!("no agent came in time to run task `{task}`"));
            }
            _ => self.settle(),
        }
    }

    /// Passes every step that is over when it is reached, then settles.
    pub(super) fn advance(&mut self) {
        // Each turn moves the cursor on: the steps are the bound.
        loop {
            match next_step(self.status, self.world, self.now) {
                NextStep::Pass { state, note } => self.pass_step(state, note),
                NextStep::Over => self.move_on(),
                _ => break,
            }
        }
        if let NextStep::Boot { bootenv } = next_step(self.status, self.world, self.now) {
            self.enter_boot(bootenv);
        }
        self.settle();
    }

    fn pass_step(&mut self, state: StepState, note: &str) {
        if let Some(step) = self.step() {
            let (kind, name) = (step.kind, step.name.clone());
            match kind {
                StepKind::Stage => self.status.stage = Some(name),
                StepKind::Bootenv if state == StepState::Done => self.status.bootenv = None,
                StepKind::Bootenv | StepKind::Task => {}
            }
        }
        self.end_step(state, note);
    }

    /// Ends the present step and moves to the next one.
    pub(super) fn end_step(&mut self, state: StepState, note: &str) {
        self.with_step(|step| (step.state, step.note) = (state, note.to_owned()));
        if let Some(step) = self.step() {
            let (kind, name) = (step.kind, step.name.clone());
            self.say(RunStepDone { step: self.status.cursor, kind, name, state });
        }
        self.move_on();
    }

    pub(super) fn move_on(&mut self) {
        self.status.cursor += 1;
        self.new_step();
    }

    pub(super) fn new_step(&mut self) {
        self.status.tries = StepTries::default();
        self.status.fruitless_attempts = 0;
        self.status.waiting = None;
        self.stop_where_told();
    }

    /// The stage of the step that the run has jumped to.
    pub(super) fn take_stage(&mut self) {
        if let Some(step) = self.step().filter(|step| step.kind != StepKind::Stage) {
            self.status.stage = Some(step.stage.clone());
        }
    }

    fn enter_boot(&mut self, bootenv: String) {
        if self.step().is_none_or(|step| step.state != StepState::Pending) {
            return;
        }
        self.with_step(|step| step.state = StepState::Running);
        self.status.live_system = LiveSystem::default();
        if self.bootenv(&bootenv).is_some_and(|bootenv| bootenv.is_destructive()) {
            let until = self.later(ARMED_SECONDS);
            self.status.armed_until = Some(until);
            let (workflow, stage) = (self.workflow_name(), self.stage_name());
            self.say(MachineArmed { bootenv: bootenv.clone(), until, workflow, stage });
        }
        self.status.waiting = None;
        self.status.bootenv = Some(bootenv);
    }

    /// Sends the machine to its disk while its boot may not go on.
    fn leave_boot(&mut self) {
        if self.step().is_some_and(|step| step.kind == StepKind::Bootenv) {
            self.disarm("the run stands still");
            self.status.bootenv = None;
            self.unlink_attempt();
            self.with_step(|step| {
                if step.state == StepState::Running {
                    step.state = StepState::Pending;
                }
            });
        }
    }

    /// What the last power-on still does has no bearing on the run any more. Before its kernel it is
    /// sent to the disk.
    pub(super) fn unlink_attempt(&mut self) {
        if let Some(attempt) = self.status.boot_attempt.as_mut().filter(|attempt| attempt.result.is_none()) {
            attempt.step = None;
            if attempt.progress < BootProgress::Kernel {
                attempt.bootenv = None;
            }
        }
    }

    /// The present step has failed for good.
    pub(super) fn fail(&mut self, reason: impl Into<String>) {
        let reason = reason.into();
        self.leave_boot();
        self.with_step(|step| (step.state, step.note) = (StepState::Failed, reason.clone()));
        self.status.on_failure.clear();
        let name = self.step().map(|step| step.name.clone());
        let (step, workflow, stage) = (self.status.cursor, self.workflow_name(), self.stage_name());
        self.say(RunFailed { step, name, reason: reason.clone(), workflow, stage });
        self.stop(MachineState::Failed, reason);
    }

    /// The boot that the present step belongs to has failed: the run goes back to it and stops.
    pub(super) fn fail_boot(&mut self, reason: impl Into<String>) {
        self.return_to_boot();
        self.fail(reason);
    }

    pub(super) fn hold(&mut self, reason: impl Into<String>) {
        let reason = reason.into();
        self.leave_boot();
        let (step, workflow, stage) = (self.status.cursor, self.workflow_name(), self.stage_name());
        self.say(RunHeld { step, reason: reason.clone(), workflow, stage });
        self.stop(MachineState::Held, reason);
    }

    fn complete(&mut self) {
        let now = self.now;
        self.disarm("the run is complete");
        self.with_run(|run| run.ended_at = Some(now));
        self.status.bootenv = None;
        let (workflow, rehearsal) = match &self.status.run {
            Some(run) => (run.workflow.clone(), if run.rehearse { ", as a rehearsal" } else { "" }),
            None => (String::new(), ""),
        };
        self.say(RunCompleted { workflow: self.workflow_name(), stage: self.stage_name() });
        self.rest(MachineState::Complete, format!("workflow `{workflow}` is complete{rehearsal}"));
    }

    /// Shows what the machine does and waits for.
    pub(super) fn settle(&mut self) {
        match next_step(self.status, self.world, self.now) {
            NextStep::Done => self.complete(),
            NextStep::Hold { reason } => self.hold(reason),
            NextStep::Wait(wait) => self.show(wait),
            NextStep::Boot { bootenv } => self.show_boot(&bootenv),
            NextStep::Run { task } => {
                let seconds = present_stage(self.status, self.world).and_then(|stage| stage.timeout_seconds);
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

    /// Sets the state that is shown. A wait that goes on keeps its beginning and its end.
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

    /// Stops until somebody looks.
    fn stop(&mut self, state: MachineState, reason: String) {
        self.show(RunWait { state, reason, expected: "run.retried", overdue_at: None });
    }

    /// Sets a state in which nothing is waited for.
    fn rest(&mut self, state: MachineState, reason: String) {
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

    /// Shows that a job is under way.
    pub(super) fn show_job(&mut self, task: &str, id: Uuid, deadline: Timestamp) {
        self.status.job = Some(id);
        let (state, expected) = (MachineState::Running, "job.finished");
        let reason = format!("task `{task}` is running");
        self.show(RunWait { state, reason, expected, overdue_at: Some(deadline) });
    }

    pub(super) fn step(&self) -> Option<&Step> {
        self.status.steps.get(self.status.cursor as usize)
    }

    pub(super) fn bootenv(&self, name: &str) -> Option<&'a Bootenv> {
        self.world.bootenvs.get(name).map(|bootenv| &bootenv.spec)
    }

    pub(super) fn with_step(&mut self, change: impl FnOnce(&mut Step)) {
        if let Some(step) = self.status.steps.get_mut(self.status.cursor as usize) {
            change(step);
        }
    }

    pub(super) fn with_run(&mut self, change: impl FnOnce(&mut Run)) {
        if let Some(run) = &mut self.status.run {
            change(run);
        }
    }
}

fn is_due(now: Timestamp, at: Option<Timestamp>) -> bool {
    at.is_some_and(|at| at <= now)
}
