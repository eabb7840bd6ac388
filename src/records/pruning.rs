//! Deletes history that is older than the settings allow: runs with their kept content, jobs, the logs of
//! jobs, the texts of served documents, events. A dry run uses the same search.
//!
//! Everything that the present run of a machine refers to stays, whatever its age: its jobs, their logs, its
//! documents. A job that has not ended stays too. The work is done in bounded pieces, each a transaction of
//! its own, so that nothing else waits long.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use jiff::Timestamp;
use serde_json::Value;
use uuid::Uuid;

use crate::kernel::{Caller, Changeset, Error, EventCut, OldEvents, RunDocuments};
use crate::model::event::ServerPruned;
use crate::model::{
    Content, HasTable, HistoryPruneReport, Job, Machine, Noun, PruneMode, PrunedKind, Retention,
    RetentionBounds, Run, Stored, Table, World, settings,
};
use crate::records::{Records, contents};

/// Most objects that one read of the world walks through.
const SCANNED_AT_ONCE_MAX: usize = 4096;
/// Most jobs, and most runs whose documents are deleted, in one transaction.
pub(super) const JOBS_AT_ONCE_MAX: usize = 128;
const RUNS_AT_ONCE_MAX: usize = 16;
/// Most transactions for one kind of history in one round. The rest is deleted in the next round.
pub(super) const PIECES_MAX: usize = 256;

/// What is due, oldest first.
#[derive(Debug, Default)]
struct DueHistory {
    runs: Vec<Arc<Stored<Run>>>,
    /// Content that no pack needs, and no run after those runs are deleted.
    contents: Vec<Arc<Stored<Content>>>,
    jobs: Vec<Arc<Stored<Job>>>,
    /// Jobs that stay without their logs.
    logs: Vec<Arc<Stored<Job>>>,
    documents: Vec<RunDocuments>,
    events: OldEvents,
    audit: OldEvents,
    /// The number of the last of those.
    audit_upto: u64,
}

impl Records {
    /// Deletes what is due, or reports what would be deleted. If much is due the report is not `complete`,
    /// and the next call continues.
    ///
    /// # Errors
    /// Those of the store; what was deleted before stays deleted.
    pub async fn prune(&self, caller: &Caller, mode: PruneMode) -> Result<HistoryPruneReport, Error> {
        let _one_at_a_time = self.pruning.lock().await;
        let due = self.due(caller.now).await?;
        let items = self.kernel.read(|world| report(&due, world));
        if mode == PruneMode::DryRun {
            return Ok(HistoryPruneReport { dry_run: true, complete: true, items });
        }
        let complete = self.delete_due(caller, &due).await?;
        let all: u64 = items.iter().map(|row| row.count).sum();
        if all > 0 {
            self.counters.pruned.fetch_add(all, Ordering::Relaxed);
            let count = |kind: &str| items.iter().find(|row| row.kind == kind).map_or(0, |row| row.count);
            let pruned = ServerPruned {
                runs: count("runs"),
                contents: count("contents"),
                jobs: count("jobs"),
                logs: count("logs"),
                documents: count("documents"),
                events: count("events"),
                audit: count("audit"),
            };
            self.kernel.commit(Changeset::default().event(caller.event(pruned))).await?;
        }
        Ok(HistoryPruneReport { dry_run: false, complete, items })
    }

    async fn due(&self, now: Timestamp) -> Result<DueHistory, Error> {
        let retention = self.kernel.read(Retention::of);
        let events = self.kernel.old_events(cut(retention.events, retention.event_bytes, now)).await?;
        let (audit, audit_upto) = self.kernel.old_audit_events(cut(retention.audit, None, now)).await?;
        let usage = self.kernel.document_usage().await?;
        let (ended_runs, ended) = (self.ended_runs(), self.ended_jobs());
        // Read last: a run that was seen above is still present, or was superseded.
        let present = self.present_runs();
        // The keys of runs and jobs are in the order in which they were made.
        let excess = excess_of(self.kernel.read(|world| world.runs.len()), retention.runs);
        let bounds = DueBounds { present: &present, cutoff: retention.runs.cutoff(now), excess };
        let (runs, _) = bounds.part(ended_runs, run_facts);
        let going: HashSet<String> = runs.iter().map(|run| run.key.clone()).collect();
        let contents = self.kernel.read(|world| contents::unneeded(world, &going));
        let excess = retention.documents.most.map_or(0, |most| usage.kept_bytes.saturating_sub(most));
        let bounds = DueBounds { present: &present, cutoff: retention.documents.cutoff(now), excess };
        let (documents, _) = bounds.part(usage.runs, document_facts);
        // Everything that belongs to a run is deleted with it.
        let (of_runs, ended): (Vec<_>, Vec<_>) =
            ended.into_iter().partition(|job| going.contains(&job.spec.run.to_string()));
        let excess = excess_of(self.kernel.read(|world| world.jobs.len()), retention.jobs);
        let excess = excess.saturating_sub(of_runs.len() as u64);
        let bounds = DueBounds { present: &present, cutoff: retention.jobs.cutoff(now), excess };
        let (mut jobs, rest) = bounds.part(ended, job_facts);
        jobs.extend(of_runs);
        let logs = self.due_logs(rest, &present, retention.logs.cutoff(now)).await?;
        Ok(DueHistory { runs, contents, jobs, logs, documents, events, audit, audit_upto })
    }

    /// Deletes what is due; returns whether everything was deleted.
    async fn delete_due(&self, caller: &Caller, due: &DueHistory) -> Result<bool, Error> {
        for jobs in due.jobs.chunks(JOBS_AT_ONCE_MAX).take(PIECES_MAX) {
            let objects = jobs.iter().map(|job| Job::object(Arc::clone(job)));
            let changeset = objects.fold(Changeset::default(), |changeset, job| changeset.delete(&job));
            self.kernel.commit(changeset).await?;
            self.forget_log_sizes();
        }
        self.delete_logs(caller.now, &due.logs).await?;
        for runs in due.documents.chunks(RUNS_AT_ONCE_MAX).take(PIECES_MAX) {
            self.delete_documents(runs).await?;
        }
        for runs in due.runs.chunks(RUNS_AT_ONCE_MAX).take(PIECES_MAX) {
            let ids = runs.iter().filter_map(|run| run.key.parse().ok()).collect();
            let freed = self.kernel.forget_documents(ids).await?;
            self.count_kept(|bytes| bytes.saturating_sub(freed));
            let objects = runs.iter().map(|run| Run::object(Arc::clone(run)));
            let changeset = objects.fold(Changeset::default(), |changeset, run| changeset.delete(&run));
            self.kernel.commit(changeset).await?;
        }
        self.delete_contents().await?;
        for _ in 0..PIECES_MAX {
            if due.audit.count == 0 || self.kernel.prune_audit_events(due.audit_upto).await? == 0 {
                break;
            }
        }
        let mut pieces = 0;
        while due.events.count > 0
            && pieces < PIECES_MAX
            && self.kernel.prune_events(due.events.newer).await? > 0
        {
            pieces += 1;
        }
        let is_whole = |count: usize, at_once: usize| count <= at_once * PIECES_MAX;
        Ok(is_whole(due.runs.len(), RUNS_AT_ONCE_MAX)
            && is_whole(due.jobs.len(), JOBS_AT_ONCE_MAX)
            && is_whole(due.logs.len(), JOBS_AT_ONCE_MAX)
            && is_whole(due.documents.len(), RUNS_AT_ONCE_MAX)
            && pieces < PIECES_MAX)
    }

    async fn delete_documents(&self, runs: &[RunDocuments]) -> Result<(), Error> {
        let freed = self.kernel.prune_documents(runs.iter().map(|run| run.run).collect()).await?;
        self.count_kept(|bytes| bytes.saturating_sub(freed));
        Ok(())
    }

    /// Deletes the documents of the oldest runs until texts of so many bytes fit below the bound.
    pub(super) async fn make_room(&self, new: u64) -> Result<(), Error> {
        let most = self.setting(settings::DOCUMENTS_KEPT_BYTES);
        let usage = self.kernel.document_usage().await?;
        let present = self.present_runs();
        self.count_kept(|_| usage.kept_bytes);
        // Frees a tenth more than needed, so that the next document does not start this again.
        let wanted = new.saturating_add(most / 10);
        let excess = usage.kept_bytes.saturating_add(wanted).saturating_sub(most);
        let (old, _) = DueBounds { present: &present, cutoff: None, excess }.part(usage.runs, document_facts);
        for runs in old.chunks(RUNS_AT_ONCE_MAX).take(PIECES_MAX) {
            self.delete_documents(runs).await?;
        }
        Ok(())
    }

    fn ended_runs(&self) -> Vec<Arc<Stored<Run>>> {
        let mut ended = Vec::new();
        self.scan::<Run>(|run| {
            if !run.spec.is_open() {
                ended.push(Arc::clone(run));
            }
        });
        ended
    }

    pub(super) fn ended_jobs(&self) -> Vec<Arc<Stored<Job>>> {
        let mut ended = Vec::new();
        self.scan::<Job>(|job| {
            if !job.spec.state.is_open() {
                ended.push(Arc::clone(job));
            }
        });
        ended
    }

    /// The runs that machines are in, or were in last.
    pub(super) fn present_runs(&self) -> HashSet<Uuid> {
        let mut present = HashSet::new();
        self.scan::<Machine>(|machine| present.extend(machine.status.run.as_ref().map(|run| run.id)));
        present
    }

    /// Visits all objects of a kind in the order of keys, and releases the world's lock in between.
    fn scan<T: Noun>(&self, mut look: impl FnMut(&Arc<Stored<T>>))
    where
        World: HasTable<T>,
    {
        let mut after = String::new();
        loop {
            let has_more = self.kernel.read(|world| {
                let table: &Table<T> = world.table();
                let mut seen = 0;
                let mut last = None;
                for row in table.after(&after).take(SCANNED_AT_ONCE_MAX) {
                    look(row);
                    (seen, last) = (seen + 1, Some(row));
                }
                let last = last.filter(|_| seen == SCANNED_AT_ONCE_MAX);
                last.map(|row| after.clone_from(&row.key)).is_some()
            });
            if !has_more {
                return;
            }
        }
    }
}

/// Which events are too old by the bounds.
fn cut(bounds: RetentionBounds, bytes: Option<u64>, now: Timestamp) -> EventCut {
    EventCut { keep: bounds.most.unwrap_or(u64::MAX), since: bounds.cutoff(now), bytes }
}

/// How many items exceed the bound.
fn excess_of(total: usize, bounds: RetentionBounds) -> u64 {
    bounds.most.map_or(0, |most| (total as u64).saturating_sub(most))
}

/// What makes a piece of history due: it ended before the cutoff, or there is more than is kept.
struct DueBounds<'a> {
    /// The runs that machines are in. What belongs to them stays.
    present: &'a HashSet<Uuid>,
    cutoff: Option<Timestamp>,
    /// How much there is beyond the bound, in what [`PieceFacts::size`] counts.
    excess: u64,
}

/// What counts of a run, a job, or the documents of a run.
struct PieceFacts {
    run: Option<Uuid>,
    ended_at: Timestamp,
    /// 1 where pieces are counted, else bytes.
    size: u64,
}

impl DueBounds<'_> {
    /// Parts pieces of history, oldest first, into those that go and those that stay.
    fn part<T>(mut self, pieces: Vec<T>, facts: impl Fn(&T) -> PieceFacts) -> (Vec<T>, Vec<T>) {
        pieces.into_iter().partition(|piece| {
            let PieceFacts { run, ended_at, size } = facts(piece);
            let is_present = run.is_some_and(|run| self.present.contains(&run));
            let is_old = self.cutoff.is_some_and(|cutoff| ended_at < cutoff);
            let goes = !is_present && (self.excess > 0 || is_old);
            self.excess = self.excess.saturating_sub(if goes { size } else { 0 });
            goes
        })
    }
}

fn run_facts(run: &Arc<Stored<Run>>) -> PieceFacts {
    PieceFacts { run: run.key.parse().ok(), ended_at: run_ended_at(run), size: 1 }
}

fn job_facts(job: &Arc<Stored<Job>>) -> PieceFacts {
    PieceFacts { run: Some(job.spec.run), ended_at: ended_at(job), size: 1 }
}

/// Documents go when the run was served nothing since the cutoff.
fn document_facts(documents: &RunDocuments) -> PieceFacts {
    let RunDocuments { run, last_at, kept_bytes, .. } = documents;
    PieceFacts { run: Some(*run), ended_at: *last_at, size: *kept_bytes }
}

fn run_ended_at(run: &Stored<Run>) -> Timestamp {
    run.spec.ended_at.unwrap_or(run.updated_at)
}

/// Jobs, as in the world.
pub(super) type Jobs = Vec<Arc<Stored<Job>>>;

pub(super) fn ended_at(job: &Stored<Job>) -> Timestamp {
    job.spec.ended_at.unwrap_or(job.updated_at)
}

fn report(due: &DueHistory, world: &World) -> Vec<PrunedKind> {
    let of_jobs = |jobs: &[Arc<Stored<Job>>]| {
        let oldest = jobs.iter().map(|job| ended_at(job)).min();
        (jobs.len() as u64, jobs.iter().map(|job| job.spec.log_bytes).sum(), oldest)
    };
    let documents = (
        due.documents.iter().map(|run| run.count).sum(),
        due.documents.iter().map(|run| run.kept_bytes).sum(),
        due.documents.iter().map(|run| run.first_at).min(),
    );
    let of_events = |old: OldEvents| (old.count, old.bytes, old.oldest);
    let runs = (due.runs.len() as u64, 0, due.runs.iter().map(|run| run_ended_at(run)).min());
    let contents = (due.contents.len() as u64, 0, due.contents.iter().map(|piece| piece.created_at).min());
    [
        ("runs", runs, &[settings::RUNS_KEPT_DAYS, settings::RUNS_KEPT_MAX][..]),
        ("contents", contents, &[]),
        ("jobs", of_jobs(&due.jobs), &[settings::JOBS_KEPT_DAYS, settings::JOBS_KEPT_MAX]),
        ("logs", of_jobs(&due.logs), &[settings::LOGS_KEPT_DAYS, settings::LOGS_KEPT_BYTES]),
        ("documents", documents, &[settings::DOCUMENTS_KEPT_DAYS, settings::DOCUMENTS_KEPT_BYTES]),
        (
            "events",
            of_events(due.events),
            &[settings::EVENTS_KEPT_DAYS, settings::EVENTS_KEPT_MAX, settings::EVENTS_KEPT_BYTES],
        ),
        ("audit", of_events(due.audit), &[settings::AUDIT_KEPT_DAYS, settings::AUDIT_KEPT_MAX]),
    ]
    .into_iter()
    .map(|(kind, (count, bytes, oldest), names)| {
        let settings: BTreeMap<String, Value> =
            names.iter().map(|name: &&str| ((*name).to_owned(), world.setting(name))).collect();
        PrunedKind { kind: kind.to_owned(), count, bytes, oldest, settings }
    })
    .collect()
}
