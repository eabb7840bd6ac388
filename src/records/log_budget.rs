//! How many bytes the logs of jobs may have: those of one run, so that one machine leaves room for the
//! others, and all together. Beyond the bound of all, the logs of jobs that ended first make room.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use uuid::Uuid;

use crate::kernel::{Changeset, Error};
use crate::model::{Job, Noun, RefusalCode, Stored, settings};
use crate::records::Records;
use crate::records::pruning::{JOBS_AT_ONCE_MAX, Jobs, PIECES_MAX, ended_at};

/// Most bytes that the logs of all jobs of one run may have.
pub const RUN_LOG_BYTES_MAX: u64 = 128 << 20;

/// What is known of the logs without the database.
#[derive(Debug, Default)]
pub struct LogBudget {
    /// None until it was asked for, and after logs were deleted.
    known: Mutex<Option<LogSizes>>,
    /// One makes room at a time.
    making_room: tokio::sync::Mutex<()>,
    /// Pieces that were refused.
    pub refused: AtomicU64,
}

/// Bytes of the logs: of each job that has one, of runs, and of all. There are as many as jobs are kept.
#[derive(Debug, Default)]
struct LogSizes {
    jobs: HashMap<Uuid, u64>,
    runs: HashMap<Uuid, u64>,
    all: u64,
}

/// Bytes of all logs, of those of one run, and of one job's.
struct LogUsage {
    all: u64,
    of_run: u64,
    of_job: u64,
}

impl LogSizes {
    fn set(&mut self, (run, job): (Uuid, Uuid), bytes: u64) {
        let before = self.jobs.insert(job, bytes).unwrap_or(0);
        let of_run = self.runs.entry(run).or_default();
        *of_run = of_run.saturating_sub(before).saturating_add(bytes);
        self.all = self.all.saturating_sub(before).saturating_add(bytes);
    }
}

impl Records {
    /// Writes a piece of a job's log, where the budgets have room; says how long the log is then.
    ///
    /// # Errors
    /// [`Error::Conflict`] for a log beyond its budget, which names the bound; as
    /// [`Kernel::write_log`](crate::kernel::Kernel::write_log).
    pub async fn write_job_log(
        &self,
        job: &Stored<Job>,
        (offset, piece): (u64, Vec<u8>),
    ) -> Result<u64, Error> {
        let (id, run) = (job.key.parse().unwrap_or_default(), job.spec.run);
        if !piece.is_empty() {
            self.admit_log((run, id), offset.saturating_add(piece.len() as u64)).await?;
        }
        let end = self.kernel.write_log(id, offset, piece).await?;
        if let Some(sizes) = self.log_sizes().as_mut() {
            sizes.set((run, id), end);
        }
        Ok(end)
    }

    /// Bytes of all logs; none until the first piece came.
    pub fn known_log_bytes(&self) -> Option<u64> {
        self.log_sizes().as_ref().map(|sizes| sizes.all)
    }

    /// Whether a log may grow to so many bytes, where need be after others made room.
    async fn admit_log(&self, (run, job): (Uuid, Uuid), end: u64) -> Result<(), Error> {
        let LogUsage { all, of_run, of_job } = self.log_usage((run, job)).await?;
        let grown = end.saturating_sub(of_job);
        if of_run.saturating_add(grown) > RUN_LOG_BYTES_MAX {
            return self.refuse_log(&format!(
                "the logs of this run have {of_run} bytes and may not have more than {RUN_LOG_BYTES_MAX}"
            ));
        }
        let most = self.setting(settings::LOGS_KEPT_BYTES);
        if all.saturating_add(grown) <= most {
            return Ok(());
        }
        self.make_log_room(grown, most).await?;
        let all = self.log_usage((run, job)).await?.all;
        if all.saturating_add(grown) <= most {
            return Ok(());
        }
        self.refuse_log(&format!(
            "the logs of jobs that have not ended fill {} ({most}): raise that setting",
            settings::LOGS_KEPT_BYTES
        ))
    }

    fn refuse_log(&self, why: &str) -> Result<(), Error> {
        self.log_budget.refused.fetch_add(1, Ordering::Relaxed);
        let why = format!("this log is not taken any more: {why}");
        Err(Error::Conflict(RefusalCode::LogFull, why))
    }

    /// What the logs take, those of a run and a job apart.
    async fn log_usage(&self, (run, job): (Uuid, Uuid)) -> Result<LogUsage, Error> {
        let told = |sizes: &LogSizes| LogUsage {
            all: sizes.all,
            of_run: sizes.runs.get(&run).copied().unwrap_or(0),
            of_job: sizes.jobs.get(&job).copied().unwrap_or(0),
        };
        if let Some(sizes) = self.log_sizes().as_ref() {
            return Ok(told(sizes));
        }
        let read = self.kernel.log_sizes().await?;
        let sizes = self.kernel.read(|world| {
            let mut sizes = LogSizes::default();
            for (job, bytes) in read {
                let run = world.jobs.get(&job.to_string()).map(|job| job.spec.run).unwrap_or_default();
                sizes.set((run, job), bytes);
            }
            sizes
        });
        let answer = told(&sizes);
        *self.log_sizes() = Some(sizes);
        Ok(answer)
    }

    /// Deletes logs of ended jobs until so many bytes fit.
    async fn make_log_room(&self, new: u64, most: u64) -> Result<(), Error> {
        let _one_at_a_time = self.log_budget.making_room.lock().await;
        let all = self.known_log_bytes().unwrap_or(0);
        // A tenth more than is needed: the next piece does not begin all this again.
        let excess = all.saturating_add(new).saturating_add(most / 10).saturating_sub(most);
        let due = oldest_logs(self.ended_jobs(), &self.present_runs(), excess);
        self.delete_logs(self.kernel.now(), &due).await
    }

    /// Jobs whose logs go: those that ended before the cutoff, and the oldest while all take too much.
    pub(super) async fn due_logs(
        &self,
        ended: Jobs,
        present: &HashSet<Uuid>,
        cutoff: Option<Timestamp>,
    ) -> Result<Jobs, Error> {
        let all = self.log_usage(<_>::default()).await?.all;
        let (mut due, rest): (Jobs, Jobs) = ended.into_iter().partition(|job| {
            job.spec.log_bytes > 0
                && cutoff.is_some_and(|cutoff| ended_at(job) < cutoff)
                && !present.contains(&job.spec.run)
        });
        let gone: u64 = due.iter().map(|job| job.spec.log_bytes).sum();
        let most = self.setting(settings::LOGS_KEPT_BYTES);
        due.extend(oldest_logs(rest, present, all.saturating_sub(gone).saturating_sub(most)));
        Ok(due)
    }

    /// Deletes the logs of jobs, which stay.
    pub(super) async fn delete_logs(&self, now: Timestamp, due: &[Arc<Stored<Job>>]) -> Result<(), Error> {
        for jobs in due.chunks(JOBS_AT_ONCE_MAX).take(PIECES_MAX) {
            self.kernel.prune_logs(jobs.iter().filter_map(|job| job.key.parse().ok()).collect()).await?;
            self.forget_log_sizes();
            let without = jobs.iter().fold(Changeset::default(), |changeset, job| {
                let mut next = job.next(now);
                (next.spec.log_bytes, next.spec.log_pruned_at) = (0, Some(now));
                changeset.update(Job::object(Arc::new(next)))
            });
            self.kernel.commit(without).await?;
        }
        Ok(())
    }

    /// They are asked for again when the next piece comes.
    pub(super) fn forget_log_sizes(&self) {
        *self.log_sizes() = None;
    }

    fn log_sizes(&self) -> MutexGuard<'_, Option<LogSizes>> {
        self.log_budget.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Jobs with logs of `excess` bytes, those that ended first coming first. The runs that machines are in, or
/// were in last, come after all others; jobs that are at work keep theirs.
fn oldest_logs(ended: Jobs, present: &HashSet<Uuid>, mut excess: u64) -> Jobs {
    let mut ended: Jobs =
        ended.into_iter().filter(|job| job.spec.log_bytes > 0 && !job.spec.state.is_open()).collect();
    ended.sort_by_key(|job| (present.contains(&job.spec.run), ended_at(job)));
    ended
        .into_iter()
        .take_while(|job| {
            let goes = excess > 0;
            excess = excess.saturating_sub(job.spec.log_bytes);
            goes
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::houses::testing;

    #[test]
    fn sizes_follow_a_log_that_grows_and_one_that_shrinks() {
        let (mut sizes, run) = (LogSizes::default(), Uuid::from_u128(1));
        for (job, bytes) in [(1, 10), (2, 5), (1, 30), (2, 0)] {
            sizes.set((run, Uuid::from_u128(job)), bytes);
        }
        assert_eq!((sizes.all, sizes.runs[&run]), (30, 30));
    }

    #[tokio::test]
    async fn the_logs_of_one_run_have_a_bound_of_their_own() {
        let houses = testing::houses();
        let run = Uuid::from_u128(7);
        let mut full = LogSizes::default();
        full.set((run, Uuid::from_u128(1)), RUN_LOG_BYTES_MAX - 10);
        *houses.records.log_sizes() = Some(full);
        let job: Job = serde_json::from_value(json!({
            "machine": Uuid::nil(), "run": run, "step": 0, "stage": "s", "task": "t", "state": "running",
            "attempt": 1, "deadline": "2099-01-01T00:00:00Z", "digest": "",
        }))
        .unwrap();
        let stored = Stored::new(Uuid::from_u128(2).to_string(), job, houses.kernel.now());
        testing::put(&houses, Job::object(Arc::new(stored.clone()))).await;
        assert_eq!(houses.records.write_job_log(&stored, (0, vec![0; 10])).await, Ok(10));
        let refused = houses.records.write_job_log(&stored, (10, vec![0])).await;
        assert!(
            matches!(&refused, Err(Error::Conflict(_, why)) if why.contains("of this run")),
            "{refused:?}"
        );
    }
}
