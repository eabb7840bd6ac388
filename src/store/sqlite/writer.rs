//! The one task that writes. It puts what is queued into groups, each one transaction with one flush to disk,
//! and answers when the group is on disk and the world shows it.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use sqlx::SqliteConnection;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, timeout_at};

use super::deed::{self, Encoded, Holdings, Transaction, Undone};
use super::open::WriterConnection;
use super::{execute, integer, log};
use crate::model::{Event, World};
use crate::store::{Error, Write, sql};

/// Jobs that wait for the writer; who comes after them waits to be let in.
pub(super) const QUEUE_MAX: usize = 1024;
/// Jobs in one transaction.
const GROUP_MAX: usize = 64;
/// How long a group is held open while as many are expected as were in the one before.
const GATHER_MAX: Duration = Duration::from_millis(2);
/// Events that one call prunes, so that no deed waits long behind it.
const PRUNE_MAX: u64 = 10_000;

/// Something to be written, and who wants to know.
pub(super) struct Job {
    pub(super) work: Work,
    pub(super) reply: oneshot::Sender<Result<Outcome, Error>>,
}

pub(super) enum Work {
    Deed(Encoded),
    Log(log::Piece),
    Prune { keep: u64 },
}

/// What came of it: the events of a deed; the length of a log; how many events were pruned.
#[derive(Default)]
pub(super) struct Outcome {
    pub(super) events: Vec<Event>,
    pub(super) count: u64,
}

pub(super) struct Writer {
    connection: WriterConnection,
    world: Arc<RwLock<World>>,
    committed: watch::Sender<u64>,
}

impl Writer {
    pub(super) fn new(
        connection: WriterConnection,
        world: Arc<RwLock<World>>,
        committed: watch::Sender<u64>,
    ) -> Self {
        Writer { connection, world, committed }
    }

    /// Works until nobody can send any more and the queue is empty.
    pub(super) async fn run(mut self, mut queue: mpsc::Receiver<Job>) {
        let mut group = Vec::with_capacity(GROUP_MAX);
        let mut expected = 1;
        while queue.recv_many(&mut group, GROUP_MAX).await > 0 {
            gather(&mut queue, &mut group, expected).await;
            expected = group.len();
            self.commit(&mut group).await;
        }
        self.connection.close().await;
    }

    async fn commit(&mut self, group: &mut Vec<Job>) {
        match self.transact(group).await {
            Ok(outcomes) => {
                self.publish(group, &outcomes);
                for (job, outcome) in group.drain(..).zip(outcomes) {
                    // Whoever stopped waiting does not want to know.
                    let _ = job.reply.send(outcome);
                }
            }
            Err(error) => {
                tracing::error!(%error, jobs = group.len(), "the database failed; nothing was written");
                self.connection.close().await;
                for job in group.drain(..) {
                    let _ = job.reply.send(Err(Error::Failed(error.to_string())));
                }
            }
        }
    }

    async fn transact(&mut self, group: &[Job]) -> sqlx::Result<Vec<Result<Outcome, Error>>> {
        let connection = self.connection.get().await?;
        let mut holdings = Holdings::new(&self.world);
        let mut outcomes = Vec::with_capacity(group.len());
        let transaction = if group.len() == 1 { Transaction::Own } else { Transaction::Shared };
        execute(connection, "BEGIN IMMEDIATE").await?;
        for job in group {
            outcomes.push(run(connection, &job.work, (&mut holdings, transaction)).await?);
        }
        let is_refused = transaction == Transaction::Own && outcomes.iter().all(Result::is_err);
        execute(connection, if is_refused { "ROLLBACK" } else { "COMMIT" }).await?;
        Ok(outcomes)
    }

    /// Shows what is on disk: first in the world, then by the number of its last event.
    fn publish(&self, group: &[Job], outcomes: &[Result<Outcome, Error>]) {
        let done = || group.iter().zip(outcomes).filter_map(|(job, done)| Some((job, done.as_ref().ok()?)));
        let mut world = self.world.write().unwrap_or_else(PoisonError::into_inner);
        for (job, _) in done() {
            if let Work::Deed(deed) = &job.work {
                deed.writes.iter().for_each(|write| apply(&mut world, &write.write));
            }
        }
        drop(world);
        if let Some(last) = done().filter_map(|(_, outcome)| outcome.events.last()).next_back() {
            self.committed.send_replace(last.seq);
        }
    }
}

/// Under load the others of the last group are about to send again: waiting a moment for them saves a flush.
/// A lone sender never waits.
async fn gather(queue: &mut mpsc::Receiver<Job>, group: &mut Vec<Job>, expected: usize) {
    let deadline = Instant::now() + GATHER_MAX;
    while group.len() < expected.min(GROUP_MAX) {
        match timeout_at(deadline, queue.recv()).await {
            Ok(Some(job)) => group.push(job),
            _ => return,
        }
    }
}

/// Does one piece of work, or nothing of it.
async fn run(
    connection: &mut SqliteConnection,
    work: &Work,
    (holdings, transaction): (&mut Holdings<'_>, Transaction),
) -> sqlx::Result<Result<Outcome, Error>> {
    let outcome = match work {
        Work::Deed(deed) => deed::run(connection, deed, holdings, transaction)
            .await
            .map(|events| Outcome { events, count: 0 }),
        Work::Log(piece) => log::write(connection, piece).await.map(count),
        Work::Prune { keep } => prune(connection, *keep).await.map(count),
    };
    match outcome {
        Ok(outcome) => Ok(Ok(outcome)),
        Err(Undone::Refused(error)) => Ok(Err(error)),
        Err(Undone::Failed(error)) => Err(error),
    }
}

fn count(count: u64) -> Outcome {
    Outcome { events: Vec::new(), count }
}

async fn prune(connection: &mut SqliteConnection, keep: u64) -> Result<u64, Undone> {
    let prune = sqlx::query(sql::PRUNE_EVENTS).bind(integer(keep)).bind(integer(PRUNE_MAX));
    Ok(prune.execute(connection).await?.rows_affected())
}

fn apply(world: &mut World, write: &Write) {
    match write {
        Write::Create(object) | Write::Update(object) => world.put(object.clone()),
        Write::Delete { kind, key, .. } => world.remove(*kind, key),
    }
}
