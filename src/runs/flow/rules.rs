//! The life of a run. A [`Flow`] is one change; every change ends in `settle`, which decides what the machine
//! shows.

use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use crate::model::event::{
    MachineArmed, MachineDisarmed, RunCancelled, RunCompleted, RunEnded, RunFailed, RunHeld, RunPaused,
    RunResumed, RunRetried, RunStarted, RunStepDone,
};
use crate::model::{
    BootProgress, Bootenv, ContentView, EventBody, JobState, LiveSystem, MachineState, MachineStatus,
    PresentRun, Run, RunResult, RunStep, StepKind, StepState, StepTries, StopBefore, World,
};

use super::ARMED_SECONDS;
use super::skips::begin_at;
use super::step::{NextStep, Position, is_booting, next_step};

/// The operator who acted on a run, and why.
#[derive(Clone, Copy, Debug)]
pub struct OperatorNote<'a> {
    pub by: &'a str,
    /// Empty if no reason was given.
    pub reason: &'a str,
}

/// How a job ends that a change took from its machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobOutcome {
    pub state: JobState,
    pub reason: String,
}

/// The beginning of a run.
#[derive(Clone, Debug)]
pub struct RunStart {
    /// The run's id.
    pub id: Uuid,
    /// The step to begin at; none for the first step.
    pub from_step: Option<u32>,
    pub stop_before: Option<StopBefore>,
}

/// The fields that the events of a run have in common.
pub(super) struct RunNow {
    pub(super) run: Option<Uuid>,
    pub(super) workflow: Option<String>,
    pub(super) stage: Option<String>,
}

/// One change of a machine's status and of its run.
#[derive(Debug)]
pub struct Flow<'a> {
    pub(super) status: &'a mut MachineStatus,
    /// The run that the status names, if there is one.
    pub(super) run: Option<&'a mut Run>,
    pub(super) world: &'a World,
    pub(super) now: Timestamp,
    events: Vec<EventBody>,
    pub(super) job_end: Option<JobOutcome>,
}

impl<'a> Flow<'a> {
    pub fn new(
        (status, run): (&'a mut MachineStatus, Option<&'a mut Run>),
        world: &'a World,
        now: Timestamp,
    ) -> Self {
        Flow { status, run, world, now, events: Vec::new(), job_end: None }
    }

    /// How the job ends that the machine had before the change and no longer has; none if the state of the
    /// machine tells it.
    pub fn job_end(&mut self) -> Option<JobOutcome> {
        self.job_end.take()
    }

    /// Ends the change and returns the events of what it did, in order.
    #[must_use]
    pub fn finish(mut self) -> Vec<EventBody> {
        self.record_attempt();
        self.events
    }

    /// Records the boot attempt in the run, if it belongs to it. Its progress is part of the machine until it
    /// ends.
    fn record_attempt(&mut self) {
        let Some(run) = self.run.as_mut() else { return };
        let Some(attempt) = self.status.boot_attempt.as_ref() else { return };
        let known = run.attempts.iter().rev().find(|known| known.id == attempt.id);
        let is_news = match known {
            None => run.is_open() && attempt.result.is_none(),
            Some(known) => {
                known.result != attempt.result
                    || known.bootenv != attempt.bootenv
                    || known.kernel_fetched_at != attempt.kernel_fetched_at
            }
        };
        if is_news {
            run.note_attempt(attempt);
        }
    }

    /// The steps of the run.
    pub(super) fn steps(&self) -> &[RunStep] {
        self.run.as_ref().map_or(&[], |run| &run.steps)
    }

    /// The content that the run sees.
    pub(super) fn content(&self) -> ContentView<'a> {
        ContentView::of_run(self.world, self.run.as_deref())
    }

    pub(super) fn at(&self) -> Position<'_> {
        Position { status: self.status, steps: self.steps(), content: self.content() }
    }

    /// Adds an event for the timeline.
    pub fn say(&mut self, body: impl Into<EventBody>) {
        self.events.push(body.into());
    }

    /// The run that the machine is in, for its events.
    pub(super) fn run_now(&self) -> RunNow {
        let run = self.status.run.as_ref();
        RunNow {
            run: run.map(|run| run.id),
            workflow: run.map(|run| run.workflow.clone()),
            stage: self.step().map(|step| step.stage.clone()).or_else(|| self.status.stage.clone()),
        }
    }

    /// `seconds` from now.
    pub(super) fn later(&self, seconds: impl Into<i64>) -> Timestamp {
        self.now.saturating_add(SignedDuration::from_secs(seconds.into())).unwrap_or(Timestamp::MAX)
    }

    /// Prepares the open run to be replaced by another one: its arming ends.
    pub fn make_way(&mut self) {
        self.disarm("another run was started");
    }

    /// Begins the run, at its first step or at the one that `restart` names. It replaces an open run.
    pub fn start(&mut self, beginning: RunStart) {
        self.make_way();
        let RunStart { id, from_step, stop_before } = beginning;
        let (content, now) = (self.content(), self.now);
        let Some(run) = self.run.as_deref_mut() else { return };
        self.status.cursor = from_step.map_or(0, |from| begin_at(from, &mut run.steps, (content, now)));
        run.from_step = from_step;
        let (rehearse, reason) = (run.rehearse, Some(run.reason.clone()).filter(|reason| !reason.is_empty()));
        self.status.run = Some(PresentRun {
            id,
            workflow: run.workflow.clone(),
            started_at: run.started_at,
            ended_at: None,
            paused: false,
            pause_reason: String::new(),
            stop_before,
            rehearse,
            from_step,
        });
        self.status.steps_total = u32::try_from(run.steps.len()).unwrap_or(u32::MAX);
        let RunNow { workflow, stage, .. } = self.run_now();
        self.say(RunStarted { run: id, rehearse, from_step, reason, workflow, stage });
        let reason = "another run was started".to_owned();
        self.job_end = Some(JobOutcome { state: JobState::Cancelled, reason });
        self.status.job = None;
        self.status.bootenv = None;
        (self.status.live_system, self.status.unreported_boot) = (LiveSystem::default(), None);
        self.status.state = MachineState::Waiting;
        self.status.on_failure.clear();
        self.unlink_attempt();
        self.take_stage();
        self.new_step();
        self.advance();
    }

    /// Pauses: no further job and no further boot begins; what is running ends normally.
    pub fn pause(&mut self, note: OperatorNote<'_>) {
        let OperatorNote { by, reason } = note;
        self.with_run(|run| (run.paused, run.pause_reason) = (true, reason.to_owned()));
        self.say_paused(Some(by.to_owned()), reason.to_owned());
        if self.status.job.is_none() && !is_booting(self.status, self.steps()) {
            self.leave_boot();
        }
        self.settle();
    }

    /// Adds the event of a pause, with who paused and why; empty if no reason was given.
    pub(super) fn say_paused(&mut self, by: Option<String>, reason: String) {
        let RunNow { run, workflow, stage } = self.run_now();
        self.say(RunPaused { run, by, reason, workflow, stage });
    }

    /// Continues after a pause. A run that is not paused forgets the step before which it would have paused.
    pub fn resume(&mut self) {
        let was_paused = self.status.run.as_ref().is_some_and(|run| run.paused);
        self.with_run(|run| {
            if was_paused {
                (run.paused, run.pause_reason) = (false, String::new());
            } else {
                run.stop_before = None;
            }
        });
        let RunNow { run, workflow, stage } = self.run_now();
        self.say(RunResumed { run, workflow, stage });
        if was_paused && self.status.state == MachineState::Held {
            self.status.state = MachineState::Waiting;
            if self.status.live_system.lost {
                self.return_to_boot();
            }
        }
        self.advance();
    }

    /// Continues at the step that failed or was held.
    pub fn retry(&mut self) {
        let RunNow { run, workflow, stage } = self.run_now();
        self.say(RunRetried { run, step: self.status.cursor, workflow, stage });
        self.status.state = MachineState::Waiting;
        self.status.on_failure.clear();
        self.mark_step(StepState::Pending, "");
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
        (self.status.live_system, self.status.unreported_boot) = (LiveSystem::default(), None);
        for step in self.run.iter_mut().flat_map(|run| &mut run.steps) {
            if matches!(step.state, StepState::Pending | StepState::Running) {
                step.mark(StepState::Skipped, "the run was cancelled", now);
            }
        }
        self.status.bootenv = None;
        self.status.job = None;
        self.status.on_failure.clear();
        let RunNow { run, workflow, stage } = self.run_now();
        self.say(RunCancelled { run, by: by.to_owned(), workflow, stage });
        self.end_run(RunResult::Cancelled);
        self.rest(MachineState::Registered, format!("the run was cancelled by {by}"));
    }

    /// Arms the machine again for the destructive boot of its present step.
    pub fn arm(&mut self) {
        self.status.state = MachineState::Waiting;
        self.mark_step(StepState::Pending, "");
        self.status.fruitless_attempts = 0;
        self.advance();
    }

    /// Disarms the machine because of what somebody did; a machine at a destructive boot is held.
    pub fn withdraw_arming(&mut self, why: &str) {
        self.disarm(why);
        if self.at_destructive_boot() && !is_booting(self.status, self.steps()) {
            self.hold(format!("{why}; `arm` goes on"));
        }
    }

    pub(super) fn disarm(&mut self, reason: &str) {
        if self.status.armed_until.take().is_some() {
            self.status.erases.clear();
            let RunNow { run, workflow, stage } = self.run_now();
            self.say(MachineDisarmed { run, reason: reason.to_owned(), workflow, stage });
        }
    }

    /// Whether the present step is a boot that destroys what is on the disks.
    pub fn at_destructive_boot(&self) -> bool {
        let step = self.step().filter(|step| step.kind == StepKind::Bootenv);
        let bootenv = step.and_then(|step| self.bootenv(&step.name));
        bootenv.is_some_and(|bootenv| bootenv.is_destructive()) && self.runs()
    }

    /// Whether a run is open.
    pub fn runs(&self) -> bool {
        self.status.run.as_ref().is_some_and(|run| run.ended_at.is_none())
    }

    /// Passes every step that has nothing to do, then settles.
    pub(super) fn advance(&mut self) {
        // Each iteration moves the cursor forward, so the number of steps is the bound.
        loop {
            match next_step(self.at(), self.now) {
                NextStep::Pass { state, note } => self.pass_step(state, note),
                NextStep::Over => self.move_on(),
                _ => break,
            }
        }
        if let NextStep::Boot { bootenv } = next_step(self.at(), self.now) {
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
        self.mark_step(state, note);
        if let Some(step) = self.step() {
            let (kind, name) = (step.kind, step.name.clone());
            let run = self.run_now().run;
            self.say(RunStepDone { run, step: self.status.cursor, kind, name, state });
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

    /// Sets the stage of the step that the run has jumped to.
    pub(super) fn take_stage(&mut self) {
        if let Some(step) = self.step().filter(|step| step.kind != StepKind::Stage) {
            self.status.stage = Some(step.stage.clone());
        }
    }

    fn enter_boot(&mut self, bootenv: String) {
        if self.step().is_none_or(|step| step.state != StepState::Pending) {
            return;
        }
        self.mark_step(StepState::Running, "");
        (self.status.live_system, self.status.unreported_boot) = (LiveSystem::default(), None);
        if self.bootenv(&bootenv).is_some_and(|bootenv| bootenv.is_destructive()) {
            let until = self.later(ARMED_SECONDS);
            self.status.armed_until = Some(until);
            let RunNow { run, workflow, stage } = self.run_now();
            let bootenv = bootenv.clone();
            self.say(MachineArmed { run, bootenv, until, erases: None, workflow, stage });
        }
        self.status.waiting = None;
        self.status.bootenv = Some(bootenv);
    }

    /// Sends the machine to its disk while its boot may not continue.
    fn leave_boot(&mut self) {
        if self.step().is_some_and(|step| step.kind == StepKind::Bootenv) {
            self.disarm("the run stands still");
            self.status.bootenv = None;
            self.unlink_attempt();
            let cursor = self.status.cursor as usize;
            if let Some(step) = self.run.as_mut().and_then(|run| run.steps.get_mut(cursor))
                && step.state == StepState::Running
            {
                // It keeps its start time: the record shows how long it took until it stopped.
                step.state = StepState::Pending;
            }
        }
    }

    /// Detaches the last boot attempt from the run. If its kernel was not fetched yet, the machine is sent to
    /// the disk.
    pub(super) fn unlink_attempt(&mut self) {
        if let Some(attempt) = self.status.boot_attempt.as_mut().filter(|attempt| attempt.result.is_none()) {
            attempt.step = None;
            if attempt.progress < BootProgress::Kernel {
                attempt.bootenv = None;
            }
        }
    }

    /// Fails the present step for good.
    pub(super) fn fail(&mut self, reason: impl Into<String>) {
        let reason = reason.into();
        self.leave_boot();
        self.mark_step(StepState::Failed, &reason);
        self.status.on_failure.clear();
        let name = self.step().map(|step| step.name.clone());
        let (step, RunNow { run, workflow, stage }) = (self.status.cursor, self.run_now());
        self.say(RunFailed { run, step, name, reason: reason.clone(), workflow, stage });
        self.stop(MachineState::Failed, reason);
    }

    /// Fails the boot of the present step: the run goes back to it and stops.
    pub(super) fn fail_boot(&mut self, reason: impl Into<String>) {
        self.return_to_boot();
        self.fail(reason);
    }

    pub(super) fn hold(&mut self, reason: impl Into<String>) {
        let reason = reason.into();
        self.leave_boot();
        let (step, RunNow { run, workflow, stage }) = (self.status.cursor, self.run_now());
        self.say(RunHeld { run, step, reason: reason.clone(), workflow, stage });
        self.stop(MachineState::Held, reason);
    }

    pub(super) fn complete(&mut self) {
        let now = self.now;
        self.disarm("the run is complete");
        self.with_run(|run| run.ended_at = Some(now));
        self.status.bootenv = None;
        let (workflow, rehearsal) = match &self.status.run {
            Some(run) => (run.workflow.clone(), if run.rehearse { ", as a rehearsal" } else { "" }),
            None => (String::new(), ""),
        };
        let RunNow { run, workflow: named, stage } = self.run_now();
        self.say(RunCompleted { run, workflow: named, stage });
        self.end_run(RunResult::Complete);
        self.rest(MachineState::Complete, format!("workflow `{workflow}` is complete{rehearsal}"));
    }

    fn end_run(&mut self, result: RunResult) {
        let now = self.now;
        let Some(run) = self.run.as_mut().filter(|run| run.is_open()) else { return };
        run.end(result, now);
        let seconds = run.seconds;
        let Some(id) = self.status.run.as_ref().map(|run| run.id) else { return };
        self.say(RunEnded { run: id, result, seconds, workflow: self.run_now().workflow });
    }

    pub(super) fn step(&self) -> Option<&RunStep> {
        self.steps().get(self.status.cursor as usize)
    }

    pub(super) fn bootenv(&self, name: &str) -> Option<&'a Bootenv> {
        self.content().bootenv(name).map(|bootenv| &bootenv.spec)
    }

    /// Sets the state of the present step, and its note.
    pub(super) fn mark_step(&mut self, state: StepState, note: &str) {
        self.mark_step_at(self.status.cursor, state, note);
    }

    /// Sets the state of any step, and its note.
    pub(super) fn mark_step_at(&mut self, index: u32, state: StepState, note: &str) {
        let now = self.now;
        if let Some(step) = self.run.as_mut().and_then(|run| run.steps.get_mut(index as usize)) {
            step.mark(state, note, now);
        }
    }

    pub(super) fn with_run(&mut self, change: impl FnOnce(&mut PresentRun)) {
        if let Some(run) = &mut self.status.run {
            change(run);
        }
    }
}
