//! The only thread that writes. It collects queued jobs into groups. Each group is one transaction with one
//! flush to disk, and is answered when it is on disk and in the world.

use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use rusqlite::{Connection, Transaction, TransactionBehavior};
use tokio::sync::{mpsc, oneshot, watch};
use uuid::Uuid;

use super::changeset::EncodedChangeset;
use super::events::PART_EVENTS;
use super::group::{ChangesetGroup, DamagedHolders, GroupChange, GroupStamp};
use super::lease_log::LeaseLog;
use super::open::WriterConnection;
use super::rows::RowWriter;
use super::{audit, checkpoints, documents, integer, log};
use crate::model::{Epoch, Event, Tombstone, World};
use crate::store::{ChangesetWrite, StoreError, sql};

/// Most jobs that wait for the writer. Further senders wait until there is room.
pub(super) const QUEUE_MAX: usize = 1024;
/// Most jobs in one transaction.
const GROUP_MAX: usize = 256;
/// Most jobs whose changes are applied to the world under one lock, so that no decision waits for a whole
/// group.
const SHOWN_AT_ONCE_MAX: usize = 12;
/// How long a group that has less than half of the previous one's jobs stays open for more.
const GATHER: Duration = Duration::from_micros(150);
/// How long the writer spins for the next job after a group of one, before it sleeps. Waking it would cost a
/// single client a sixth of its exchange.
const LOOK_OUT: Duration = Duration::from_micros(200);
/// Groups of one for which the writer just sleeps, after spinning was in vain several times: the clients are
/// slower, or others need the processors.
const REST_MAX: u32 = 64;
/// Longest wait for the changeset of the task that holds the writer.
const HOLD_MAX: Duration = Duration::from_millis(250);
/// Most events that one call prunes, so that no changeset waits long behind it.
const PRUNE_MAX: u64 = 2000;

/// A job of the writer, and the channel for its result.
pub(super) struct WriterJob {
    pub(super) work: WriterWork,
    pub(super) reply: oneshot::Sender<Result<WriterOutcome, StoreError>>,
}

pub(super) enum WriterWork {
    Changeset(EncodedChangeset),
    Log(log::LogChunk),
    Prune {
        keep: u64,
    },
    PruneAudit {
        upto: u64,
    },
    Details(documents::Work),
    /// Waits for one more job, after all that were queued before.
    Hold,
    /// Writes without changing anything.
    Probe,
}

/// The result of a job: the events of a changeset; the length of a log; the number of pruned events; the
/// bytes of documents; the channel for the job of a hold.
#[derive(Default)]
pub(super) struct WriterOutcome {
    pub(super) events: Vec<Event>,
    pub(super) count: u64,
    pub(super) held: Option<SyncSender<WriterJob>>,
}

pub(super) struct StoreWriter {
    pub(super) connection: WriterConnection,
    pub(super) world: Arc<RwLock<World>>,
    pub(super) damaged_holders: DamagedHolders,
    pub(super) trail: LeaseLog,
    /// The number of the last event on disk.
    pub(super) committed: watch::Sender<u64>,
    /// The number of the last commit that the world shows.
    pub(super) shown: watch::Sender<u64>,
    /// The id of the epoch that begins with this process's first commit; none afterwards.
    pub(super) next_epoch: Option<Uuid>,
}

/// The result of a job that was not refused: the number of a changeset's first event, and of its commit; the
/// length of a log, or the number of pruned events.
enum WorkResult {
    Changeset { first_seq: u64, commit: u64 },
    Count(u64),
}

/// The result of a transaction.
struct CommittedGroup {
    /// One result for each job.
    outcomes: Vec<Result<WorkResult, StoreError>>,
    last_seq: u64,
    /// The epoch that begins with the group, if one does.
    begins: Option<Epoch>,
    /// The time of the group's deletions.
    time: Timestamp,
    change: GroupChange,
}

/// Why a piece of work was not done. A refusal concerns this work alone, and nothing of it is left in the
/// transaction. A failure concerns the whole transaction.
pub(super) enum WorkError {
    Refused(StoreError),
    Failed(rusqlite::Error),
}

impl From<rusqlite::Error> for WorkError {
    fn from(error: rusqlite::Error) -> Self {
        WorkError::Failed(error)
    }
}

impl StoreWriter {
    /// Runs until all senders are gone and the queue is empty.
    pub(super) fn run(mut self, queue: mpsc::Receiver<WriterJob>) {
        let (due, told) = std::sync::mpsc::sync_channel(1);
        let connection = self.connection.another();
        std::thread::scope(|threads| {
            let beside = std::thread::Builder::new().name("checkpoints".into());
            let beside = beside.spawn_scoped(threads, move || checkpoints::run(connection, &told));
            if let Err(error) = beside {
                tracing::warn!(%error, "cannot start the thread for checkpoints: the writer makes them");
            }
            self.work(queue, due);
        });
        self.connection.close();
    }

    /// Runs the writer. Drops `checkpoint` at the end, which ends the thread of the checkpoints.
    fn work(&mut self, mut queue: mpsc::Receiver<WriterJob>, checkpoint: SyncSender<()>) {
        let mut group = Vec::with_capacity(GROUP_MAX);
        let (mut expected, mut jobs, mut spin_wait) = (1, 0, SpinWait::default());
        while queue.blocking_recv_many(&mut group, GROUP_MAX) > 0 {
            gather(&mut queue, &mut group, expected);
            expected = group.len() / 2;
            let was_alone = group.len() == 1;
            jobs += group.len();
            let holds: Vec<WriterJob> =
                group.extract_if(.., |job| matches!(job.work, WriterWork::Hold)).collect();
            if !group.is_empty() {
                self.commit(&mut group);
            }
            holds.into_iter().for_each(|hold| self.wait_for_holder(hold));
            if jobs >= checkpoints::JOBS {
                // If a checkpoint is due already, it will include this group.
                let _ = checkpoint.try_send(());
                jobs = 0;
            }
            if was_alone {
                spin_wait.look_out(&queue);
            }
        }
    }

    /// Nothing else is written until the holder sends its job, drops the hold, or the time is over.
    fn wait_for_holder(&mut self, hold: WriterJob) {
        let (held, job) = sync_channel(1);
        let granted = WriterOutcome { held: Some(held), ..WriterOutcome::default() };
        if hold.reply.send(Ok(granted)).is_ok()
            && let Ok(job) = job.recv_timeout(HOLD_MAX)
        {
            self.commit(&mut vec![job]);
        }
    }

    fn commit(&mut self, group: &mut Vec<WriterJob>) {
        match self.transact(group) {
            Ok(committed) => {
                self.next_epoch = self.next_epoch.filter(|_| committed.begins.is_none());
                let has_events = *self.committed.borrow() != committed.last_seq;
                let has_changes = self.publish(group, &committed);
                self.trail.apply(committed.change.trail);
                let outcomes = committed.outcomes;
                group.drain(..).zip(outcomes).for_each(|(job, outcome)| answer(job, outcome));
                // Followers of events and changes are woken after the senders have their answers.
                self.committed.send_if_modified(|_| has_events);
                self.shown.send_if_modified(|_| has_changes);
            }
            Err(error) => {
                // `MonitoredStore` logs the failure once.
                tracing::debug!(%error, jobs = group.len(), "the database failed; nothing was written");
                self.connection.close();
                for job in group.drain(..) {
                    let _ = job.reply.send(Err(StoreError::Failed(error.to_string())));
                }
            }
        }
    }

    /// Writes all of a group to disk, or nothing. If every changeset was refused, the database is not
    /// touched. Other work of a group comes after its changesets; jobs that were sent at the same time have
    /// no order.
    fn transact(&mut self, jobs: &[WriterJob]) -> rusqlite::Result<CommittedGroup> {
        // Only this thread writes to the world, so nobody waits for this lock.
        let world = self.world.read().unwrap_or_else(PoisonError::into_inner);
        let mut group = ChangesetGroup::new(&world, &self.damaged_holders);
        let first_seq = self.committed.borrow().saturating_add(1);
        let mut next_seq = first_seq;
        let decided = jobs.iter().map(|job| {
            let WriterWork::Changeset(changeset) = &job.work else { return None };
            let done =
                group.add(changeset).map(|commit| WorkResult::Changeset { first_seq: next_seq, commit });
            if done.is_ok() {
                next_seq = next_seq.saturating_add(changeset.events.len() as u64);
            }
            Some(done)
        });
        let decided: Vec<_> = decided.collect();
        let last_seq = next_seq.saturating_sub(1);
        let time = Timestamp::now();
        if group.is_empty() && decided.iter().all(|outcome| matches!(outcome, Some(Err(_)))) {
            let outcomes = decided.into_iter().flatten().collect();
            return Ok(CommittedGroup {
                outcomes,
                last_seq,
                begins: None,
                time,
                change: GroupChange::default(),
            });
        }
        let begins = group.first_commit().zip(self.next_epoch);
        let begins = begins.map(|(first_commit, id)| Epoch { first_commit, id });
        let connection = self.connection.get()?;
        let transaction = Transaction::new_unchecked(connection, TransactionBehavior::Immediate)?;
        let change =
            group.write(&RowWriter(&transaction), &GroupStamp { first_seq, begins, time }, &self.trail)?;
        let outcomes = jobs.iter().zip(decided).map(|(job, outcome)| match outcome {
            Some(outcome) => Ok(outcome),
            None => run(&transaction, &job.work),
        });
        let outcomes = outcomes.collect::<rusqlite::Result<_>>()?;
        transaction.commit()?;
        Ok(CommittedGroup { outcomes, last_seq, begins, time, change })
    }

    /// Shows what is on disk: first the world, then the numbers of the last event and commit. Returns whether
    /// an object changed.
    fn publish(&self, group: &[WriterJob], committed: &CommittedGroup) -> bool {
        let outcomes = committed.outcomes.chunks(SHOWN_AT_ONCE_MAX);
        let mut last_commit = *self.shown.borrow();
        for (jobs, outcomes) in group.chunks(SHOWN_AT_ONCE_MAX).zip(outcomes) {
            let mut world = self.world.write().unwrap_or_else(PoisonError::into_inner);
            for (job, outcome) in jobs.iter().zip(outcomes) {
                if let (WriterWork::Changeset(changeset), Ok(WorkResult::Changeset { commit, .. })) =
                    (&job.work, outcome)
                {
                    let writes = changeset.writes.iter();
                    writes.for_each(|write| apply(&mut world, &write.write, (*commit, committed.time)));
                    world.commits.advance(*commit, committed.begins);
                }
            }
            last_commit = world.commits.commit();
        }
        if let Some(upto) = committed.change.pruned_upto {
            self.world.write().unwrap_or_else(PoisonError::into_inner).commits.prune(upto);
        }
        self.committed.send_if_modified(|seq| {
            *seq = committed.last_seq;
            false
        });
        let before = *self.shown.borrow();
        self.shown.send_if_modified(|shown| {
            *shown = last_commit;
            false
        });
        before != last_commit
    }
}

/// Answers a sender. One that stopped waiting is ignored.
fn answer(job: WriterJob, outcome: Result<WorkResult, StoreError>) {
    let outcome = outcome.map(|done| match (done, job.work) {
        (WorkResult::Changeset { first_seq, .. }, WriterWork::Changeset(changeset)) => {
            let numbered = (first_seq..).zip(changeset.events).map(|(seq, event)| event.numbered(seq));
            WriterOutcome { events: numbered.collect(), ..WriterOutcome::default() }
        }
        (WorkResult::Count(count), _) => WriterOutcome { count, ..WriterOutcome::default() },
        (WorkResult::Changeset { .. }, _) => WriterOutcome::default(),
    });
    let _ = job.reply.send(outcome);
}

/// Under load the senders of the last group are about to send again, and waiting for them saves a flush. The
/// thread sleeps, so that no sender has to wake it. It never waits after a group of one.
fn gather(queue: &mut mpsc::Receiver<WriterJob>, group: &mut Vec<WriterJob>, expected: usize) {
    if group.len() < expected {
        std::thread::sleep(GATHER);
        while group.len() < GROUP_MAX
            && let Ok(job) = queue.try_recv()
        {
            group.push(job);
        }
    }
}

/// Spins for the next job after a group of one.
#[derive(Default)]
struct SpinWait {
    /// Groups for which spinning is skipped.
    rest: u32,
    /// The next number of groups to skip; doubled after each spin in vain.
    next_rest: u32,
}

impl SpinWait {
    /// Spins without yielding: if other threads wait for the processor, yielding would return too late.
    fn look_out(&mut self, queue: &mpsc::Receiver<WriterJob>) {
        if self.rest > 0 {
            self.rest -= 1;
            return;
        }
        let since = Instant::now();
        while since.elapsed() < LOOK_OUT {
            if !queue.is_empty() {
                self.next_rest = 0;
                return;
            }
            std::hint::spin_loop();
        }
        self.rest = self.next_rest;
        self.next_rest = (self.next_rest * 4).clamp(1, REST_MAX);
    }
}

/// Runs a job that is not a changeset, whole or not at all.
fn run(connection: &Connection, work: &WriterWork) -> rusqlite::Result<Result<WorkResult, StoreError>> {
    let count = match work {
        WriterWork::Changeset(_) | WriterWork::Hold => Ok(0),
        WriterWork::Log(piece) => log::write(connection, piece),
        WriterWork::Prune { keep } => prune(connection, *keep),
        WriterWork::PruneAudit { upto } => audit::prune(connection, *upto, PRUNE_MAX),
        WriterWork::Details(work) => documents::run(connection, work),
        WriterWork::Probe => probe(connection),
    };
    match count {
        Ok(count) => Ok(Ok(WorkResult::Count(count))),
        Err(WorkError::Refused(error)) => Ok(Err(error)),
        Err(WorkError::Failed(error)) => Err(error),
    }
}

fn prune(connection: &Connection, keep: u64) -> Result<u64, WorkError> {
    let audit = audit::due(connection, keep, PRUNE_MAX)?;
    let mut prune = connection.prepare_cached(sql::PRUNE_EVENTS)?;
    let pruned = prune.execute([integer(keep), integer(PRUNE_MAX)])?;
    audit::set_aside(connection, &audit)?;
    connection.prepare_cached(sql::PRUNE_EVENT_KEYS)?.execute([integer(PART_EVENTS)])?;
    Ok(pruned as u64)
}

/// Writes the present value of `user_version`, a field of the header that this program does not use. Its page
/// goes through the write-ahead log to disk like any other.
fn probe(connection: &Connection) -> Result<u64, WorkError> {
    let version: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    connection.pragma_update(None, "user_version", version)?;
    Ok(0)
}

/// Applies a write of a commit to the world, with the commit's number and time.
fn apply(world: &mut World, write: &ChangesetWrite, (commit, time): (u64, Timestamp)) {
    match write {
        ChangesetWrite::Create(object) | ChangesetWrite::Update(object) => {
            object.commit_mark().set(commit);
            world.put(object.clone());
        }
        ChangesetWrite::Delete { kind, key, revision, .. } => {
            let key = world.held_key(*kind, key).cloned().unwrap_or_else(|| key.as_str().into());
            world.bury(Tombstone { commit, kind: *kind, key, revision: *revision, time });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lookout_in_vain_rests_longer_each_time_until_there_is_a_job() {
        let (sender, queue) = mpsc::channel(1);
        let mut spin_wait = SpinWait::default();
        let rests = [(); 7].map(|()| {
            spin_wait.look_out(&queue);
            std::mem::take(&mut spin_wait.rest)
        });
        assert_eq!(rests, [0, 1, 4, 16, 64, 64, 64]);

        let (reply, _) = oneshot::channel();
        assert!(sender.try_send(WriterJob { work: WriterWork::Prune { keep: 1 }, reply }).is_ok());
        spin_wait.rest = 1;
        spin_wait.look_out(&queue);
        assert_eq!((spin_wait.rest, spin_wait.next_rest), (0, 64), "rested");
        spin_wait.look_out(&queue);
        assert_eq!((spin_wait.rest, spin_wait.next_rest), (0, 0), "saw the job");
    }
}
