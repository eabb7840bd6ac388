//! The runs of the last 24 hours: how many began and ended how, by hour and by workflow, and how long they
//! took. Pure.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use crate::kernel::Caller;
use crate::model::{
    Machine, MachineState, Run, RunCounts, RunHour, RunResult, RunSummary, Stored, WorkflowSummary, World,
};

const HOURS: u64 = 24;
const HOUR_SECONDS: i64 = 3600;
/// Most workflows that are told apart.
const WORKFLOWS_MAX: usize = 20;

/// The beginning of the period that ends now.
pub(super) fn day_before(now: Timestamp) -> Timestamp {
    now.checked_sub(SignedDuration::from_hours(24)).unwrap_or(Timestamp::MIN)
}

/// A run, and since when its machine stands with a failure of it.
pub(super) struct RunFacts {
    run: Arc<Stored<Run>>,
    failed_since: Option<Timestamp>,
}

/// How a run ended, or stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum RunEnd {
    Complete,
    Failed,
    Cancelled,
}

impl RunFacts {
    /// The runs that are open, began or ended since a time.
    pub(super) fn of_day((caller, world): (&Caller, &World), since: Timestamp) -> Vec<RunFacts> {
        let runs = caller.visible(&world.runs).filter(|row| {
            let Run { started_at, ended_at, .. } = &row.spec;
            *started_at >= since || ended_at.is_none_or(|ended| ended >= since)
        });
        let facts = runs.map(|run| {
            let machine = world.machines.get(&run.spec.machine.to_string()).filter(|_| run.spec.is_open());
            let failed_since = machine.and_then(|machine| failed_since(machine, run));
            RunFacts { run: Arc::clone(run), failed_since }
        });
        facts.collect()
    }

    /// How it ended or since when it stands, and when.
    fn end(&self) -> Option<(RunEnd, Timestamp)> {
        let Run { ended_at, result, entries, .. } = &self.run.spec;
        let Some(ended_at) = ended_at else { return Some((RunEnd::Failed, self.failed_since?)) };
        let end = match result {
            Some(RunResult::Complete) => RunEnd::Complete,
            _ if entries.iter().any(|entry| entry.what == "run.failed") => RunEnd::Failed,
            _ => RunEnd::Cancelled,
        };
        Some((end, *ended_at))
    }
}

fn failed_since(machine: &Stored<Machine>, run: &Stored<Run>) -> Option<Timestamp> {
    let status = &machine.status;
    let is_of_run = status.run.as_ref().is_some_and(|present| present.id.to_string() == run.key);
    status.since.filter(|_| is_of_run && status.state == MachineState::Failed)
}

/// What is counted of a workflow.
#[derive(Default)]
struct WorkflowTally {
    counts: RunCounts,
    /// How long its complete runs took.
    seconds: Vec<i64>,
}

/// The summary of runs, as of `now`.
pub(super) fn summary(rows: &[RunFacts], now: Timestamp) -> RunSummary {
    let since = day_before(now);
    let mut hours = hours_since(since);
    let mut counts = RunCounts::default();
    let mut workflows: BTreeMap<&str, WorkflowTally> = BTreeMap::new();
    for row in rows {
        let run = &row.run.spec;
        let tally = workflows.entry(&run.workflow).or_default();
        let mut count = |at: Timestamp, add: fn(&mut RunCounts)| {
            if at < since || at > now {
                return false;
            }
            let hour = hours.iter_mut().rev().find(|hour| hour.at <= at).map(|hour| &mut hour.counts);
            hour.into_iter().chain([&mut counts, &mut tally.counts]).for_each(add);
            true
        };
        count(run.started_at, |counts| counts.started += 1);
        let Some((end, at)) = row.end() else { continue };
        let add: fn(&mut RunCounts) = match end {
            RunEnd::Complete => |counts| counts.complete += 1,
            RunEnd::Failed => |counts| counts.failed += 1,
            RunEnd::Cancelled => |counts| counts.cancelled += 1,
        };
        if count(at, add) && matches!(end, RunEnd::Complete) {
            tally.seconds.extend(run.seconds);
        }
    }
    let open = rows.iter().filter(|row| row.run.spec.is_open()).count() as u64;
    let workflows = by_workflow(workflows);
    RunSummary { since, counts, open, success_rate: counts.success_rate(), hours, workflows }
}

/// The hours of the period.
fn hours_since(since: Timestamp) -> Vec<RunHour> {
    let hours = (0..HOURS).filter_map(|hour| {
        let after = SignedDuration::from_secs(i64::try_from(hour).ok()? * HOUR_SECONDS);
        Some(RunHour { at: since.checked_add(after).ok()?, counts: RunCounts::default() })
    });
    hours.collect()
}

/// The workflows with most runs.
fn by_workflow(tallies: BTreeMap<&str, WorkflowTally>) -> Vec<WorkflowSummary> {
    let used = tallies.into_iter().filter(|(_, tally)| tally.counts != RunCounts::default());
    let mut workflows: Vec<WorkflowSummary> = used
        .map(|(workflow, mut tally)| {
            tally.seconds.sort_unstable();
            WorkflowSummary {
                workflow: workflow.to_owned(),
                counts: tally.counts,
                success_rate: tally.counts.success_rate(),
                median_seconds: share_below(&tally.seconds, 50),
                p95_seconds: share_below(&tally.seconds, 95),
            }
        })
        .collect();
    workflows.sort_by_key(|row| {
        let RunCounts { started, complete, failed, cancelled } = row.counts;
        std::cmp::Reverse(started + complete + failed + cancelled)
    });
    workflows.truncate(WORKFLOWS_MAX);
    workflows
}

/// The value that so many of a hundred values are not above; none without values. The values are in order.
fn share_below(values: &[i64], percent: usize) -> Option<i64> {
    let rank = (values.len() * percent).div_ceil(100).max(1);
    values.get(rank - 1).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_a_value_that_was_measured() {
        let values: Vec<i64> = (1..=100).collect();
        assert_eq!((share_below(&values, 50), share_below(&values, 95)), (Some(50), Some(95)));
        assert_eq!((share_below(&[7], 95), share_below(&[], 50)), (Some(7), None));
    }
}
