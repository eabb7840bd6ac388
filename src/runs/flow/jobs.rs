//! The effects of tasks on a run: jobs that are handed out, that end, and that are tried again.

use jiff::Timestamp;
use uuid::Uuid;

use crate::model::event::MachineToldToReboot;
use crate::model::{AfterJob, Job, JobState, StepState};

use super::rules::Flow;
use super::{BACK_OFF_SECONDS_MAX, JOBS_PER_STEP_MAX};

/// Seconds before a task that failed `failures` times is run again: 2, doubling.
fn back_off_seconds(failures: u32) -> i64 {
    1i64.checked_shl(failures).unwrap_or(BACK_OFF_SECONDS_MAX).clamp(2, BACK_OFF_SECONDS_MAX)
}

impl Flow<'_> {
    /// Whether a time has come.
    pub(super) fn is_due(&self, at: Option<Timestamp>) -> bool {
        at.is_some_and(|at| at <= self.now)
    }

    /// A job was handed out for the present step.
    pub fn job_created(&mut self, id: Uuid, job: &Job) {
        self.status.tries.jobs += 1;
        self.status.tries.next_at = None;
        if self.status.on_failure.is_empty() {
            self.mark_step(StepState::Running, "");
        }
        self.show_job(&job.task, id, job.deadline);
    }

    /// The agent began the job: its deadline counts from now.
    pub fn job_running(&mut self, id: Uuid, job: &Job) {
        if self.status.job == Some(id) {
            self.status.waiting = None;
            self.show_job(&job.task, id, job.deadline);
        }
    }

    /// The server asked the agent to reboot; this counts as one of a few tries.
    pub fn record_reboot_request(&mut self, reason: &str) {
        if let Some(agent) = self.status.agent.as_mut().filter(|agent| !agent.leaving) {
            agent.leaving = true;
            self.status.tries.reboots += 1;
            let run = self.run_now().run;
            self.say(MachineToldToReboot { run, reason: reason.to_string() });
        }
    }

    /// Holds the run, because the machine cannot continue by itself.
    pub fn held_for(&mut self, reason: String) {
        self.hold(reason);
    }

    /// Fails the task, because its files cannot be rendered: running it again would not help.
    pub fn render_failed(&mut self, reason: String) {
        self.fail(reason);
    }

    /// The open job has ended.
    pub fn after_job(&mut self, id: Uuid, job: &Job) {
        if self.status.job != Some(id) {
            return;
        }
        self.status.job = None;
        self.status.waiting = None;
        if let Some(agent) = self.status.agent.as_mut() {
            agent.leaving |= matches!(job.after, Some(AfterJob::Reboot | AfterJob::PowerOff));
        }
        if job.after == Some(AfterJob::Stop)
            && let Some(run) = &mut self.status.run
        {
            (run.paused, run.pause_reason) = (true, format!("task `{}` asked for it", job.task));
            self.say_paused(Some(format!("task {}", job.task)), String::new());
        }
        if !self.status.on_failure.is_empty() {
            return self.failure_task_ended();
        }
        match job.state {
            JobState::Finished => self.end_step(StepState::Done, ""),
            JobState::Incomplete if self.status.tries.jobs < JOBS_PER_STEP_MAX => {}
            JobState::Incomplete => {
                return self.job_failed(job, format!("asked to be run again {JOBS_PER_STEP_MAX} times"));
            }
            JobState::Failed | JobState::Lost | JobState::Cancelled => {
                return self.job_failed(job, end_reason(job));
            }
            JobState::Created | JobState::Running => {}
        }
        self.advance();
    }

    fn job_failed(&mut self, job: &Job, why: String) {
        self.status.tries.failures += 1;
        let task = self.content().task(&job.task).map(|task| &task.spec);
        let failures = self.status.tries.failures;
        let again = failures <= task.map_or(0, |task| task.retries);
        if again && self.status.tries.jobs < JOBS_PER_STEP_MAX {
            self.status.tries.next_at = Some(self.later(back_off_seconds(failures)));
            return self.settle();
        }
        let reason = format!("task `{}` failed: {why}", job.task);
        match task.map(|task| task.on_failure.clone()).filter(|tasks| !tasks.is_empty()) {
            None => self.fail(reason),
            Some(tasks) => {
                self.mark_step(StepState::Failed, &reason);
                self.status.on_failure = tasks;
                self.settle();
            }
        }
    }

    fn failure_task_ended(&mut self) {
        self.status.on_failure.remove(0);
        match self.step().map(|step| step.note.clone()) {
            Some(reason) if self.status.on_failure.is_empty() => self.fail(reason),
            _ => self.settle(),
        }
    }

    /// The open job does not exist any more.
    pub fn job_gone(&mut self) {
        self.status.job = None;
        self.advance();
    }
}

fn end_reason(job: &Job) -> String {
    match (job.reason.as_str(), job.exit) {
        ("", Some(exit)) => format!("exit code {exit}"),
        ("", None) => "without a reason".to_owned(),
        (reason, _) => reason.to_owned(),
    }
}
