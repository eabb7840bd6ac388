//! The next action at the present step of a run, and the answer to an agent that asks for work.

use jiff::Timestamp;

use crate::model::{
    BootAttempt, BootProgress, Bootenv, BootenvKind, ContentView, Environment, MachineState, MachineStatus,
    PresentRun, RunStep, Stage, StepKind, StepState,
};

use super::REBOOTS_MAX;

/// The note on steps that a rehearsal passes over.
pub const REHEARSED: &str = "rehearsal: nothing was installed";

/// The position of a machine in its run, and the content that the run sees.
#[derive(Clone, Copy, Debug)]
pub struct Position<'a> {
    pub status: &'a MachineStatus,
    /// The steps of the run.
    pub steps: &'a [RunStep],
    pub content: ContentView<'a>,
}

impl Position<'_> {
    /// The step that is next or running.
    pub fn step(&self) -> Option<&RunStep> {
        self.steps.get(self.status.cursor as usize)
    }
}

/// What is next in a run.
#[derive(Clone, Debug, PartialEq)]
pub enum NextStep {
    /// The step is over as soon as it is reached; the note of a step that is passed over says why.
    Pass { state: StepState, note: &'static str },
    /// The step was over before it was reached, and stays as it is.
    Over,
    /// The machine has to boot this bootenv, or is booting it.
    Boot { bootenv: String },
    /// A job of this task can be handed out.
    Run { task: String },
    /// Something else has to happen first.
    Wait(RunWait),
    /// The run cannot continue until an operator looks.
    Hold { reason: String },
    /// The run has ended.
    Done,
}

/// What a run waits for.
#[derive(Clone, Debug, PartialEq)]
pub struct RunWait {
    pub state: MachineState,
    pub reason: String,
    /// The kind of event that ends the wait.
    pub expected: &'static str,
    pub overdue_at: Option<Timestamp>,
    pub expected_by: Option<Timestamp>,
}

impl RunWait {
    pub(super) fn new(state: MachineState, reason: impl Into<String>, expected: &'static str) -> Self {
        RunWait { state, reason: reason.into(), expected, overdue_at: None, expected_by: None }
    }
}

/// What is next for a machine.
pub fn next_step(at: Position<'_>, now: Timestamp) -> NextStep {
    let status = at.status;
    let Some(run) = status.run.as_ref().filter(|run| run.ended_at.is_none()) else {
        let reason = "no workflow is under way; `start` begins one";
        return NextStep::Wait(RunWait::new(status.state, reason, "run.started"));
    };
    let is_stopped = matches!(status.state, MachineState::Failed | MachineState::Held);
    if !is_stopped && at.steps.is_empty() {
        // The run's row is damaged: without its steps it must not count as complete.
        let reason = "the steps of the run cannot be read; `cancel` ends it".to_owned();
        return NextStep::Hold { reason };
    }
    if is_stopped {
        let paused = run.paused && status.state == MachineState::Held;
        let expected = if paused { "run.resumed" } else { "run.retried" };
        return NextStep::Wait(RunWait::new(status.state, &status.reason, expected));
    }
    if status.job.is_some() {
        let (reason, overdue_at) = under_way(status);
        return NextStep::Wait(RunWait {
            overdue_at,
            ..RunWait::new(MachineState::Running, reason, "job.finished")
        });
    }
    if run.paused && !is_booting(status, at.steps) {
        return NextStep::Wait(RunWait::new(MachineState::Held, paused(&run.pause_reason), "run.resumed"));
    }
    match (status.on_failure.first(), at.step()) {
        (Some(task), _) => task_next(task, at, now),
        (None, None) if boot_is_open(status, at.steps) => await_installer(status),
        (None, None) => NextStep::Done,
        (None, Some(step)) => match step.kind {
            StepKind::Stage if boot_is_open(status, at.steps) && leads_to_boot(at) => await_installer(status),
            StepKind::Stage => NextStep::Pass { state: StepState::Done, note: "" },
            StepKind::Task if step.state.is_over() => NextStep::Over,
            StepKind::Task if rehearsed(run, at) => {
                NextStep::Pass { state: StepState::Skipped, note: REHEARSED }
            }
            StepKind::Task => task_next(&step.name, at, now),
            StepKind::Bootenv => boot_next(step, at),
        },
    }
}

fn paused(reason: &str) -> String {
    match reason {
        "" => "paused; `resume` goes on".to_owned(),
        reason => format!("paused: {reason}; `resume` goes on"),
    }
}

fn under_way(status: &MachineStatus) -> (String, Option<Timestamp>) {
    match &status.waiting {
        Some(waiting) => (waiting.reason.clone(), waiting.overdue_at),
        None => ("a job is under way".to_owned(), None),
    }
}

fn task_next(task: &str, at: Position<'_>, now: Timestamp) -> NextStep {
    if at.content.task(task).is_none() {
        return NextStep::Hold { reason: format!("the task `{task}` does not exist any more") };
    }
    let tries = &at.status.tries;
    match tries.next_at {
        Some(next_at) if next_at > now => {
            let reason = format!("task `{task}` failed {} times; it is run again", tries.failures);
            let wait = RunWait::new(MachineState::Waiting, reason, "job.created");
            NextStep::Wait(RunWait { overdue_at: Some(next_at), ..wait })
        }
        _ => NextStep::Run { task: task.to_owned() },
    }
}

fn boot_next(step: &RunStep, at: Position<'_>) -> NextStep {
    let status = at.status;
    let this_one = boot_step(status, at.steps) == Some(status.cursor) && step.state == StepState::Running;
    if boot_is_open(status, at.steps) && !this_one {
        return await_installer(status);
    }
    let Some(bootenv) = at.content.bootenv(&step.name) else {
        return NextStep::Hold { reason: format!("the bootenv `{}` does not exist any more", step.name) };
    };
    let rehearsed = status.run.as_ref().is_some_and(|run| rehearsed(run, at));
    match bootenv.spec.kind {
        BootenvKind::Local => NextStep::Pass { state: StepState::Done, note: "" },
        _ if rehearsed => NextStep::Pass { state: StepState::Skipped, note: REHEARSED },
        _ => NextStep::Boot { bootenv: step.name.clone() },
    }
}

/// Whether the stage begins with another boot.
fn leads_to_boot(at: Position<'_>) -> bool {
    at.steps.get(at.status.cursor as usize + 1).is_some_and(|step| step.kind == StepKind::Bootenv)
}

fn await_installer(status: &MachineStatus) -> NextStep {
    let under_way = status.boot_attempt.as_ref().filter(|attempt| attempt.result.is_none());
    let overdue_at = under_way.and_then(|attempt| attempt.deadline);
    let expected_by = under_way.and_then(|attempt| attempt.expected_by);
    let reason = under_way.and_then(asked);
    let reason = reason.unwrap_or_else(|| "the installer has yet to report that it is done".to_owned());
    let wait = RunWait::new(MachineState::Running, reason, "boot.done");
    NextStep::Wait(RunWait { overdue_at, expected_by, ..wait })
}

/// The reason of a boot whose installer asks something.
pub(super) fn asked(attempt: &BootAttempt) -> Option<String> {
    attempt.asks.as_ref().map(|question| format!("the installer asks: {question}"))
}

/// Whether an installer reported that its rehearsal is done.
fn rehearsed(run: &PresentRun, at: Position<'_>) -> bool {
    let earlier = at.steps.iter().take(at.status.cursor as usize);
    run.rehearse
        && earlier.into_iter().any(|step| step.kind == StepKind::Bootenv && step.note == REHEARSED_BOOT)
}

/// The note on the boot of a rehearsal.
pub const REHEARSED_BOOT: &str = "rehearsed: the installer read its answer file and stopped";

/// Index of the bootenv step whose boot the run is in: the last one that was reached, up to the cursor.
pub fn boot_step(status: &MachineStatus, steps: &[RunStep]) -> Option<u32> {
    let steps = (0u32..).zip(steps).take(status.cursor as usize + 1);
    let boots = steps.filter(|(i, step)| {
        step.kind == StepKind::Bootenv && ((*i) < status.cursor || step.state != StepState::Pending)
    });
    boots.map(|(i, _)| i).last()
}

/// Whether the boot that the run is in has begun and is not reported done.
pub fn boot_is_open(status: &MachineStatus, steps: &[RunStep]) -> bool {
    let step = boot_step(status, steps).and_then(|i| steps.get(i as usize));
    step.is_some_and(|step| step.state == StepState::Running)
}

/// Whether the present step's boot has fetched its kernel.
pub fn is_booting(status: &MachineStatus, steps: &[RunStep]) -> bool {
    let under_way = status.boot_attempt.as_ref().filter(|attempt| attempt.result.is_none());
    let past_kernel = under_way.filter(|attempt| attempt.progress >= BootProgress::Kernel);
    let step = past_kernel.and_then(|attempt| attempt.step);
    step == Some(status.cursor) && boot_is_open(status, steps)
}

/// The bootenv of the present boot, if there was one.
pub fn present_bootenv(at: Position<'_>) -> Option<&Bootenv> {
    let step = at.steps.get(boot_step(at.status, at.steps)? as usize)?;
    at.content.bootenv(&step.name).map(|bootenv| &bootenv.spec)
}

/// Whether the bootenv runs from memory.
pub fn is_live(bootenv: &Bootenv) -> bool {
    matches!(bootenv.kind, BootenvKind::Live | BootenvKind::Discovery)
}

/// Whether the run is past the boot of a live system, and a task that runs there is still to come.
pub fn needs_live_system(at: Position<'_>) -> bool {
    let (status, steps) = (at.status, at.steps);
    let is_past_boot =
        boot_step(status, steps).is_some_and(|boot| boot < status.cursor) && !boot_is_open(status, steps);
    let to_come = steps.iter().skip(status.cursor as usize);
    let mut to_come = to_come.take_while(|step| step.kind != StepKind::Bootenv);
    is_past_boot
        && present_bootenv(at).is_some_and(is_live)
        && to_come.any(|step| step.kind == StepKind::Task && !step.state.is_over())
}

/// The stage of the present step.
pub fn present_stage(at: Position<'_>) -> Option<&Stage> {
    let last = at.steps.len().checked_sub(1)?;
    let step = at.steps.get(last.min(at.status.cursor as usize))?;
    at.content.stage(&step.stage).map(|stage| &stage.spec)
}

/// Whether the tasks of the present boot are for an agent in `environment`.
pub fn admits(at: Position<'_>, environment: Environment) -> bool {
    let kind = present_bootenv(at).map_or(BootenvKind::Local, |bootenv| bootenv.kind);
    match kind {
        BootenvKind::Local => environment == Environment::Installed,
        BootenvKind::Live | BootenvKind::Discovery => environment == Environment::Live,
        BootenvKind::Install if boot_is_open(at.status, at.steps) => environment == Environment::Installer,
        BootenvKind::Install => environment != Environment::Live,
    }
}

/// The answer to an agent that asks for work.
#[derive(Clone, Debug, PartialEq)]
pub enum AgentAnswer {
    Run {
        task: String,
    },
    Reboot {
        reason: String,
    },
    Wait {
        reason: String,
    },
    /// It was asked to reboot several times, and the required boot never happened.
    Hold {
        reason: String,
    },
}

/// The answer to the agent in `status.agent`. It gets a job only in the environment that the job is for; in
/// another one it is told to reboot, unless an installer is running around it.
pub fn answer(at: Position<'_>, now: Timestamp) -> AgentAnswer {
    let (status, next) = (at.status, next_step(at, now));
    let Some(agent) = &status.agent else {
        return AgentAnswer::Wait { reason: "no agent has said where it runs".to_owned() };
    };
    let may_reboot = agent.environment != Environment::Installer && !boot_under_way(at);
    match next {
        NextStep::Run { .. } if agent.leaving => {
            leave(status, "the last task asked for a reboot", may_reboot)
        }
        NextStep::Run { task } if admits(at, agent.environment) => AgentAnswer::Run { task },
        NextStep::Run { task } => {
            leave(status, &format!("task `{task}` runs in another boot environment"), may_reboot)
        }
        NextStep::Boot { bootenv } => {
            leave(status, &format!("the next step is in the bootenv `{bootenv}`"), may_reboot)
        }
        NextStep::Wait(wait) => AgentAnswer::Wait { reason: wait.reason },
        NextStep::Hold { reason } => AgentAnswer::Wait { reason },
        NextStep::Pass { .. } | NextStep::Over | NextStep::Done => {
            AgentAnswer::Wait { reason: status.reason.clone() }
        }
    }
}

/// Whether a boot of the run has fetched its kernel and has not ended: then no agent may be told to reboot.
pub fn boot_under_way(at: Position<'_>) -> bool {
    let attempt = at.status.boot_attempt.as_ref().filter(|attempt| attempt.result.is_none());
    boot_is_open(at.status, at.steps)
        && attempt.is_some_and(|attempt| attempt.progress >= BootProgress::Kernel)
}

fn leave(status: &MachineStatus, reason: &str, may_reboot: bool) -> AgentAnswer {
    let told = status.agent.as_ref().is_some_and(|agent| agent.leaving);
    match () {
        () if !may_reboot => AgentAnswer::Wait { reason: reason.to_owned() },
        () if told || status.tries.reboots < REBOOTS_MAX => AgentAnswer::Reboot { reason: reason.to_owned() },
        () => AgentAnswer::Hold {
            reason: format!(
                "the machine was rebooted {REBOOTS_MAX} times and came back where it was ({reason}): is \
                 network boot first in its boot order?"
            ),
        },
    }
}
