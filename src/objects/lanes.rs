//! Threads for work whose cost a client chooses: patches, schemas, templates of rules, views of objects.
//!
//! Nothing of that runs on a thread that packets wait for, and none of it holds the world: take what it needs
//! out of the world, let go, and give it to a [`WorkLane`]. What it decides is checked again when it is
//! committed (by revision). The work itself is bounded where it is admitted (`model::bounds`,
//! `model::schema_cost`, `objects::patch`); the deadline is for what those bounds do not foresee.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use crate::kernel::Error;

/// How long a client waits for its turn and its work, in seconds.
pub const WORK_SECONDS_MAX: u64 = 30;
/// Writes that are worked out at a time.
const WRITES_MAX: usize = 4;
/// Objects that are shown at a time.
const READS_MAX: usize = 8;
/// Lists that are made at a time.
const LISTS_MAX: usize = 4;

/// The lanes of [`Objects`](super::Objects). Each has turns of its own, so that hostile writes do not hold up
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

/// A bounded number of threads.
#[derive(Debug)]
pub struct WorkLane {
    turns: Arc<Semaphore>,
    within: Duration,
}

impl WorkLane {
    fn new(turns: usize) -> Self {
        let turns = Arc::new(Semaphore::new(turns));
        WorkLane { turns, within: Duration::from_secs(WORK_SECONDS_MAX) }
    }

    /// Does work on a thread that may take long. The turn ends with the work, even if nobody waits for it
    /// any more.
    ///
    /// # Errors
    /// [`Error::Busy`] after [`WORK_SECONDS_MAX`], [`Error::Failed`] when the work panicked.
    pub async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Error> {
        let done = async {
            let turn = Arc::clone(&self.turns).acquire_owned().await;
            self.run_at_once(move || {
                let _turn = turn;
                work()
            })
            .await
        };
        timeout(self.within, done).await.map_err(|_| {
            Error::Busy(format!("not done within {} seconds; try again", self.within.as_secs()))
        })?
    }

    /// Does work without waiting for a turn: for whoever holds the store's writer, of whom there is one.
    ///
    /// # Errors
    /// [`Error::Failed`] when the work panicked.
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
}
