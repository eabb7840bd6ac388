//! The reports of agents about their jobs: that they run, how they ended, and their logs.

use std::sync::Arc;

use uuid::Uuid;

use crate::kernel::{Caller, Error};
use crate::model::{
    ContentView, Job, JobEnd, JobReport, JobState, LogEnd, Machine, Noun, Problem, RefusalCode, Stored,
    World, ended_by_exit,
};
use crate::runs::Runs;
use crate::runs::jobs::{deadline, seen, timeout_seconds};
use crate::runs::machine_change::{MachineChange, job_key};

/// Most bytes of a log in one call.
pub const LOG_PIECE_BYTES_MAX: usize = 1 << 20;
/// Longest reason that is kept, in bytes.
const REASON_BYTES_MAX: usize = 1024;

/// What a report does to a job.
#[derive(Debug, PartialEq)]
enum ReportOutcome {
    Started,
    Ended(JobEnd),
}

impl Runs {
    /// Handles a report. A report that was handled before changes nothing.
    ///
    /// # Errors
    /// [`Error::Conflict`] if the job is in another state than expected or the server ended it,
    /// [`Error::Invalid`] for a contradictory report, [`Error::NotFound`].
    pub async fn report_job(
        &self,
        caller: &Caller,
        job: &str,
        report: &JobReport,
    ) -> Result<Arc<Stored<Job>>, Error> {
        let outcome = outcome(report).map_err(|problem| Error::Invalid(vec![problem]))?;
        let stored = self.kernel.read(|world| caller.find_own_job(world, job).cloned())?;
        let machine = stored.spec.machine.to_string();
        let log_bytes = self.kernel.write_log(id_of(&stored)?, 0, Vec::new()).await?;
        match self
            .move_machine(caller, &machine, |world: &World, moving: &mut MachineChange| {
                let job = world.jobs.get(&stored.key).ok_or_else(|| Error::not_found::<Job>(&stored.key))?;
                let next = reported(caller, moving.position(world).content, job, report, &outcome)?;
                let Some(mut next) = next else { return Ok(Arc::clone(job)) };
                next.spec.log_bytes = log_bytes;
                heard_in_job(caller, (world, moving), &stored.key);
                moving.update_job(caller, &next);
                let id = id_of(&next)?;
                moving.flow((caller, world), |flow| match outcome {
                    ReportOutcome::Started => flow.job_running(id, &next.spec),
                    ReportOutcome::Ended(_) => flow.after_job(id, &next.spec),
                });
                Ok(Arc::new(next))
            })
            .await
        {
            // As committed, with its commit number.
            Ok((_, job)) => Ok(self.kernel.get::<Job>(&stored.key).unwrap_or(job)),
            Err(Error::NotFound { kind, .. }) if kind == Machine::KIND => {
                Err(Error::Conflict(RefusalCode::Ended, "its machine was deleted".to_owned()))
            }
            Err(other) => Err(other),
        }
    }

    /// Writes a piece of a job's log at `offset`. Returns the length of the log and the state of the job.
    /// Bytes that the log has already are skipped; an empty piece shows that the agent is alive.
    ///
    /// # Errors
    /// [`Error::Conflict`] if `offset` is beyond the end, or the log or a budget is full,
    /// [`Error::BadRequest`] if the piece is too large.
    pub async fn write_job_log(
        &self,
        caller: &Caller,
        job: &str,
        piece: (u64, Vec<u8>),
    ) -> Result<LogEnd, Error> {
        let (offset, bytes) = piece;
        if bytes.len() > LOG_PIECE_BYTES_MAX {
            return Err(Error::BadRequest(format!("at most {LOG_PIECE_BYTES_MAX} bytes at once")));
        }
        let stored = self.kernel.read(|world| caller.find_own_job(world, job).cloned())?;
        let machine = stored.spec.machine.to_string();
        let bytes = self.records.write_job_log(&stored, (offset, bytes)).await?;
        if stored.spec.state.is_open() {
            let heard = self.move_machine(caller, &machine, |world, moving| {
                heard_in_job(caller, (world, moving), &stored.key);
                Ok(())
            });
            heard.await?;
        }
        Ok(LogEnd { bytes, state: self.kernel.get::<Job>(&stored.key)?.spec.state })
    }

    /// At most `bytes_max` bytes of a job's log from `offset`.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Conflict`] if the log was pruned, or those of the store.
    pub async fn read_job_log(
        &self,
        caller: &Caller,
        job: &str,
        (offset, bytes_max): (u64, u32),
    ) -> Result<Vec<u8>, Error> {
        let stored = self.kernel.find::<Job>(caller, job)?;
        if let Some(pruned_at) = stored.spec.log_pruned_at {
            let why = format!(
                "the log of job `{job}` was pruned at {pruned_at}; see logs_kept_days and logs_kept_bytes"
            );
            return Err(Error::Conflict(RefusalCode::NotKept, why));
        }
        self.kernel.read_log(id_of(&stored)?, offset, bytes_max).await
    }
}

/// Records that the agent with the machine's open job was heard of. Only the boot that got a job reports on
/// it.
fn heard_in_job(caller: &Caller, (world, moving): (&World, &mut MachineChange), job: &str) {
    seen(moving, caller.now);
    let status = &moving.machine.status;
    if status.live_system.doubted_at.is_some() && status.job.is_some_and(|open| job_key(open) == job) {
        moving.flow((caller, world), |flow| flow.live_system_heard());
    }
}

fn id_of(job: &Stored<Job>) -> Result<Uuid, Error> {
    job.key.parse().map_err(|_| Error::Failed(format!("the job `{}` has no id", job.key)))
}

fn outcome(report: &JobReport) -> Result<ReportOutcome, Problem> {
    let by_exit = report.exit.map(ended_by_exit);
    match (report.state, by_exit) {
        (None, None) => {
            let what = "give `state`, or `exit`, the exit code of the script";
            Err(Problem::new("", what).coded(RefusalCode::Missing))
        }
        (None, Some(ended)) => Ok(ReportOutcome::Ended(ended)),
        (Some(JobState::Running), None) => Ok(ReportOutcome::Started),
        (Some(state), Some(ended)) if state == ended.state => Ok(ReportOutcome::Ended(ended)),
        (Some(JobState::Failed), _) => plain_end(JobState::Failed),
        (Some(state @ (JobState::Finished | JobState::Incomplete)), None) => plain_end(state),
        (Some(state), Some(ended)) => {
            let message = format!("{state:?} does not fit the exit code, which says {:?}", ended.state);
            Err(Problem::new("/state", message.to_lowercase()).coded(RefusalCode::Exclusive))
        }
        (Some(_), None) => {
            let what = "an agent reports `running`, `finished`, `failed` or `incomplete`";
            Err(Problem::new("/state", what).coded(RefusalCode::NotOneOf))
        }
    }
}

fn plain_end(state: JobState) -> Result<ReportOutcome, Problem> {
    Ok(ReportOutcome::Ended(JobEnd { state, after: None }))
}

/// The next revision of a job; none if the report was handled before.
fn reported(
    caller: &Caller,
    content: ContentView<'_>,
    job: &Stored<Job>,
    report: &JobReport,
    outcome: &ReportOutcome,
) -> Result<Option<Stored<Job>>, Error> {
    let present = job.spec.state;
    let same = match outcome {
        ReportOutcome::Started => present == JobState::Running,
        ReportOutcome::Ended(ended) => present == ended.state && job.spec.exit == report.exit,
    };
    if same {
        return Ok(None);
    }
    if let Some(expected) = report.expect.filter(|expected| *expected != present) {
        let why = format!("the job is {present:?}, not {expected:?}").to_lowercase();
        return Err(Error::Conflict(RefusalCode::WrongState, why));
    }
    if !present.is_open() || (present == JobState::Running && *outcome == ReportOutcome::Started) {
        let (word, why) = (format!("{present:?}").to_lowercase(), &job.spec.reason);
        let code = if present.is_open() { RefusalCode::WrongState } else { RefusalCode::Ended };
        return Err(Error::Conflict(code, format!("the job is {word}: {why}")));
    }
    let mut next = job.next(caller.now);
    match outcome {
        ReportOutcome::Started => {
            next.spec.state = JobState::Running;
            next.spec.started_at = Some(caller.now);
            next.spec.deadline = deadline(caller.now, timeout_seconds(content, &job.spec.task));
        }
        ReportOutcome::Ended(ended) => {
            (next.spec.state, next.spec.after) = (ended.state, ended.after);
            (next.spec.exit, next.spec.ended_at) = (report.exit, Some(caller.now));
            let reason = report.reason.as_deref().unwrap_or_default();
            next.spec.reason = reason.chars().take(REASON_BYTES_MAX).collect();
        }
    }
    Ok(Some(next))
}
