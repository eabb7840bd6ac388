//! Actions of operators on single steps of a run: pass over a step, mark one as done, pause before one, begin
//! at one.

use jiff::Timestamp;

use crate::model::event::{OperatorStep, RunRefreshed};
use crate::model::{
    BootResult, BootenvKind, ContentView, EventBody, JobState, MachineState, RunStep, StepKind, StepState,
    StopBefore,
};

use super::rules::{Flow, JobOutcome, OperatorNote, RunNow};
use super::step::{boot_is_open, is_live, needs_live_system};

/// The note on steps before the one at which a run was told to begin.
pub const BEFORE_THE_BEGINNING: &str = "the run began at a later step";

/// Makes a run begin at the step `from`: passes over the earlier steps, and returns the cursor. That is
/// `from`, or the boot of the live system that the later tasks need. An installer is not run again for the
/// tasks after it.
pub fn begin_at(from: u32, steps: &mut [RunStep], (content, now): (ContentView<'_>, Timestamp)) -> u32 {
    let boot = live_boot_before(from as usize, steps, content);
    for (i, step) in (0u32..).zip(steps.iter_mut()).take(from as usize) {
        let still_passed = step.kind == StepKind::Stage && boot.is_some_and(|boot| i > boot);
        if boot != Some(i) && !still_passed {
            step.mark(StepState::Skipped, BEFORE_THE_BEGINNING, now);
        }
    }
    boot.unwrap_or(from)
}

/// The boot step of the live system in which the tasks from `from` on run.
fn live_boot_before(from: usize, steps: &[RunStep], content: ContentView<'_>) -> Option<u32> {
    let mut of_this_boot = steps.iter().skip(from).take_while(|step| step.kind != StepKind::Bootenv);
    let has_tasks = of_this_boot.any(|step| step.kind == StepKind::Task);
    let earlier = (0u32..).zip(steps).take(from).filter(|(_, step)| step.kind == StepKind::Bootenv);
    let (boot, step) = earlier.last().filter(|_| has_tasks)?;
    content.bootenv(&step.name).filter(|bootenv| is_live(&bootenv.spec)).map(|_| boot)
}

impl Flow<'_> {
    /// Records that the run has other content from here on; its record names the previous content.
    pub fn refresh(&mut self, before: Option<&str>) {
        let content = self.run.as_ref().and_then(|run| run.content.clone());
        let reason = match before {
            _ if content.as_deref() == before => "the content of today is the content it has".to_owned(),
            Some(before) => format!("content {before} until here"),
            None => "no content was kept until here".to_owned(),
        };
        let RunNow { run, workflow, stage } = self.run_now();
        let before = before.map(str::to_owned);
        self.say(RunRefreshed { run, before, content, reason, workflow, stage });
    }

    /// Passes over the present step. If it is the boot of a live system, the tasks that need the system are
    /// passed over too.
    pub fn skip(&mut self, note: OperatorNote<'_>) {
        self.say_of_step(EventBody::RunStepSkipped, self.status.cursor, note);
        let said = format!("skipped by {}: {}", note.by, note.reason);
        let bootenv = self.step().filter(|step| step.kind == StepKind::Bootenv).map(|step| step.name.clone());
        if let Some(name) = bootenv {
            self.close_boot("the boot was skipped");
            if self.bootenv(&name).is_some_and(is_live) {
                let (now, next) = (self.now, self.status.cursor as usize + 1);
                let later = self.run.iter_mut().flat_map(|run| run.steps.iter_mut().skip(next));
                let of_this_boot = later.take_while(|step| step.kind != StepKind::Bootenv);
                for step in of_this_boot.filter(|step| step.kind == StepKind::Task) {
                    step.mark(StepState::Skipped, said.clone(), now);
                }
            }
        }
        self.end_stopped_step(StepState::Skipped, &said);
    }

    /// Passes over the later task at `step`.
    pub fn skip_later(&mut self, step: u32, note: OperatorNote<'_>) {
        self.say_of_step(EventBody::RunStepSkipped, step, note);
        let said = format!("skipped by {}: {}", note.by, note.reason);
        self.mark_step_at(step, StepState::Skipped, &said);
        self.settle();
    }

    /// Marks the present step, or the boot that is waited for, as done for an operator.
    pub fn mark_done(&mut self, note: OperatorNote<'_>) {
        self.say_of_step(EventBody::RunStepMarkedDone, self.status.cursor, note);
        let said = format!("marked as done by {}: {}", note.by, note.reason);
        let kind = self.step().map(|step| step.kind);
        if kind != Some(StepKind::Task) && boot_is_open(self.status, self.steps()) {
            self.end_attempt(BootResult::Done);
            self.disarm("the boot was marked as done");
            return self.boot_done(&said);
        }
        if kind == Some(StepKind::Bootenv) {
            self.close_boot("the boot was marked as done");
            let name = self.step().map(|step| step.name.clone());
            self.status.bootenv = name.filter(|name| {
                !self.bootenv(name).is_some_and(|bootenv| bootenv.kind == BootenvKind::Install)
            });
        }
        self.end_stopped_step(StepState::Done, &said);
    }

    /// Makes the run pause before a later step.
    pub fn stop_before(&mut self, stop: StopBefore, by: &str) {
        let note = OperatorNote { by, reason: &stop.reason };
        self.say_of_step(EventBody::RunPausePlanned, stop.step, note);
        self.with_run(|run| run.stop_before = Some(stop));
    }

    /// Pauses the run where it was told to pause.
    pub(super) fn stop_where_told(&mut self) {
        let cursor = self.status.cursor;
        let told = self.status.run.as_ref().and_then(|run| run.stop_before.clone());
        let Some(stop) = told.filter(|stop| stop.step == cursor) else { return };
        let step = self.step().map(|step| step.label(cursor)).unwrap_or_default();
        let why = if stop.reason.is_empty() { String::new() } else { format!(": {}", stop.reason) };
        let reason = format!("stopped before {step}{why}");
        self.with_run(|run| {
            (run.stop_before, run.paused, run.pause_reason) = (None, true, reason.clone());
        });
        self.say_paused(None, reason);
    }

    /// Ends the boot of the present step.
    fn close_boot(&mut self, why: &str) {
        self.disarm(why);
        self.status.bootenv = None;
        self.unlink_attempt();
    }

    /// Ends a step at which the run may have stopped, and continues. If later tasks need a live system that
    /// is lost, the run continues with the boot of that system.
    fn end_stopped_step(&mut self, state: StepState, note: &str) {
        self.job_end = Some(JobOutcome { state: JobState::Cancelled, reason: note.to_owned() });
        self.status.job = None;
        self.status.on_failure.clear();
        if matches!(self.status.state, MachineState::Failed | MachineState::Held) {
            self.status.state = MachineState::Waiting;
        }
        let at = self.status.cursor;
        self.end_step(state, note);
        let was_lost = std::mem::take(&mut self.status.live_system.lost);
        if !was_lost || !needs_live_system(self.at()) {
            return self.advance();
        }
        self.return_to_boot();
        self.mark_step_at(at, state, note);
        self.new_step();
        if self.at_destructive_boot() {
            let name = self.boot_name();
            return self.hold(format!("the live system `{name}` has to be booted again; `arm` allows it"));
        }
        self.advance();
    }

    fn say_of_step(&mut self, body: fn(OperatorStep) -> EventBody, at: u32, note: OperatorNote<'_>) {
        let step = self.steps().get(at as usize);
        let (kind, name) = (step.map(|step| step.kind), step.map(|step| step.name.clone()));
        let (by, reason) = (note.by.to_owned(), note.reason.to_owned());
        let RunNow { run, workflow, stage } = self.run_now();
        self.say(body(OperatorStep { run, step: at, kind, name, by, reason, workflow, stage }));
    }
}
