//! Threads for work whose cost clients determine: patches, schemas, templates of rules, views of objects.
//!
//! Such work never runs on a thread that packets wait for, and never while the world is locked: copy what the
//! work needs out of the world, release the lock, and pass the work to a [`WorkLane`]. The commit checks by
//! revision that the result is still valid. The inputs are bounded where they are accepted (`model::bounds`,
//! `model::schema_cost`, `objects::patch`); the deadline covers what those bounds do not foresee. Work in
//! pieces checks its [`WorkFlag`] between two pieces, and ends when nobody waits for the result any more.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use crate::kernel::Error;
use crate::objects::work_size::WorkSize;

/// Longest time that a client waits for its turn and its work, in seconds.
pub const WORK_SECONDS_MAX: u64 = 30;
/// Most writes that are prepared at once.
const WRITES_MAX: usize = 4;
/// Most objects that are shown at once.
const READS_MAX: usize = 8;
/// Most lists that are made at once.
const LISTS_MAX: usize = 4;

/// The lanes of [`Objects`](super::Objects). Each has its own turns, so that hostile writes do not delay
/// reads.
#[derive(Debug)]
pub struct WorkLanes {
    pub writes: WorkLane,
    pub reads: WorkLane,
    pub lists: WorkLane,
}

impl Default for WorkLanes {
    fn default() -> Self {
        WorkLanes {
            writes: WorkLane::new(WRITES_MAX),
            reads: WorkLane::new(READS_MAX),
            lists: WorkLane::new(LISTS_MAX),
        }
    }
}

/// Tells work whether somebody still waits for its result. After the deadline, when the client has gone, and
/// when the server stops, nobody does.
#[derive(Clone, Debug, Default)]
pub struct WorkFlag(Arc<AtomicBool>);

impl WorkFlag {
    /// Whether nobody waits for the result.
    pub fn is_given_up(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Raises the flag of the work when it is dropped.
struct WorkWaiter(WorkFlag);

impl Drop for WorkWaiter {
    fn drop(&mut self) {
        self.0.0.store(true, Ordering::Relaxed);
    }
}

/// A lane with a bounded number of threads.
#[derive(Debug)]
pub struct WorkLane {
    turns: Arc<Semaphore>,
    within: Duration,
}

impl WorkLane {
    /// A lane in which so many pieces of work run at once.
    pub fn new(turns: usize) -> Self {
        let turns = Arc::new(Semaphore::new(turns));
        WorkLane { turns, within: Duration::from_secs(WORK_SECONDS_MAX) }
    }

    /// Runs work on a thread for blocking work. The turn ends with the work, even if nobody waits for the
    /// result any more.
    ///
    /// # Errors
    /// [`Error::Busy`] after [`WORK_SECONDS_MAX`], [`Error::Failed`] if the work panicked.
    pub async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Error> {
        self.run_in_pieces(move |_| work()).await
    }

    /// Runs small work on the thread of the caller, without a turn, and other work as [`WorkLane::run`].
    ///
    /// # Errors
    /// As [`WorkLane::run`]; small work that panics takes its request with it.
    pub async fn run_sized<T: Send + 'static>(
        &self,
        size: WorkSize,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Error> {
        match size {
            WorkSize::Small => Ok(work()),
            WorkSize::Unknown => self.run(work).await,
        }
    }

    /// As [`WorkLane::run`], for work that looks between two pieces whether somebody waits for it. What it
    /// returns when it was given up is seen by nobody.
    ///
    /// # Errors
    /// As [`WorkLane::run`].
    pub async fn run_in_pieces<T: Send + 'static>(
        &self,
        work: impl FnOnce(&WorkFlag) -> T + Send + 'static,
    ) -> Result<T, Error> {
        let waiter = WorkWaiter(WorkFlag::default());
        let flag = waiter.0.clone();
        let done = async {
            let turn = Arc::clone(&self.turns).acquire_owned().await;
            self.run_at_once(move || {
                let _turn = turn;
                work(&flag)
            })
            .await
        };
        timeout(self.within, done).await.map_err(|_| {
            Error::Busy(format!("not done within {} seconds; try again", self.within.as_secs()))
        })?
    }

    /// Runs work without waiting for a turn: for the holder of the store's writer, of whom there is only one.
    ///
    /// # Errors
    /// [`Error::Failed`] if the work panicked.
    pub async fn run_at_once<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Error> {
        spawn_blocking(work).await.map_err(|error| Error::Failed(format!("the work failed: {error}")))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[tokio::test]
    async fn work_that_does_not_end_is_given_up_and_keeps_its_turn() {
        let lane = WorkLane { within: Duration::from_millis(1), ..WorkLane::new(1) };
        let (release, held) = mpsc::channel::<()>();
        let first = lane.run(move || held.recv()).await;
        assert!(matches!(first, Err(Error::Busy(_))), "{first:?}");
        assert_eq!(lane.turns.available_permits(), 0, "the thread is at it still");
        release.send(()).unwrap();
        assert!(lane.turns.acquire().await.is_ok(), "the turn ends with the work");
    }

    #[tokio::test]
    async fn work_in_pieces_ends_when_nobody_waits_for_it() {
        let lane = WorkLane { within: Duration::from_millis(1), ..WorkLane::new(1) };
        let endless = |flag: &WorkFlag| {
            while !flag.is_given_up() {
                std::thread::yield_now();
            }
        };
        assert!(matches!(lane.run_in_pieces(endless).await, Err(Error::Busy(_))));
        assert!(lane.turns.acquire().await.is_ok(), "it ended after its deadline");
        // The client has gone: the request is dropped.
        let lane = WorkLane::new(1);
        let (begun, started) = mpsc::channel();
        let waiting = lane.run_in_pieces(move |flag| {
            begun.send(()).unwrap();
            endless(flag);
        });
        let gone = tokio::task::spawn_blocking(move || started.recv());
        tokio::select! {
            done = waiting => panic!("{done:?}"),
            begun = gone => begun.unwrap().unwrap(),
        }
        assert!(lane.turns.acquire().await.is_ok(), "it ended with its client");
    }
}
