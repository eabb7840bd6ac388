//! Background work of the server. Each piece is registered with its name, its period and what starts it
//! early; the result of its last round is kept for the status page.
//!
//! Start at [`Background::register`]. The house that owns the work defines what a round does.

use std::fmt::Display;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::kernel::{Error, Kernel};
use crate::model::{BackgroundRound, BackgroundStatus, BackgroundWork};

/// Most pieces of work; a server registers a handful at its start.
const WORKS_MAX: usize = 64;

/// The description of a piece of work.
#[derive(Clone, Copy, Debug)]
pub struct WorkDescription {
    pub name: &'static str,
    /// What a round does, for operators.
    pub about: &'static str,
    /// Time between two rounds; zero for work with a loop of its own that waits for its trigger.
    pub period: Duration,
    /// What starts a round early; empty if nothing does.
    pub nudged_by: &'static str,
}

/// One round of a piece of work.
pub trait WorkRound: Send + 'static {
    /// Runs one round. It is called again after the period, also after a failure.
    fn round(&mut self) -> impl Future<Output = Result<(), Error>> + Send;
}

/// The registered work.
#[derive(Debug)]
pub struct Background {
    kernel: Arc<Kernel>,
    works: Mutex<Vec<Arc<WorkEntry>>>,
}

impl Background {
    pub fn new(kernel: Arc<Kernel>) -> Arc<Self> {
        Arc::new(Background { kernel, works: Mutex::default() })
    }

    /// Registers a piece of work. It runs when its handle is used.
    pub fn register(&self, work: WorkDescription) -> WorkHandle {
        let entry = Arc::new(WorkEntry {
            work,
            nudged: Notify::new(),
            running: AtomicUsize::new(0),
            log: Mutex::default(),
        });
        let mut works = self.works.lock().unwrap_or_else(PoisonError::into_inner);
        if works.len() < WORKS_MAX {
            works.push(Arc::clone(&entry));
            works.sort_by_key(|entry| entry.work.name);
        }
        WorkHandle { kernel: Arc::clone(&self.kernel), entry }
    }

    /// All work and its last results, by name.
    pub fn status(&self) -> BackgroundStatus {
        let works = self.works.lock().unwrap_or_else(PoisonError::into_inner);
        BackgroundStatus { items: works.iter().map(|entry| entry.status()).collect() }
    }
}

/// One piece of work, with the results of its rounds.
#[derive(Debug)]
struct WorkEntry {
    work: WorkDescription,
    nudged: Notify,
    /// Number of running rounds.
    running: AtomicUsize,
    log: Mutex<RoundLog>,
}

#[derive(Debug, Default)]
struct RoundLog {
    rounds: u64,
    failures: u64,
    last: Option<BackgroundRound>,
    last_failure: Option<BackgroundRound>,
}

impl WorkEntry {
    fn log(&self) -> MutexGuard<'_, RoundLog> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn status(&self) -> BackgroundWork {
        let (log, work) = (self.log(), &self.work);
        BackgroundWork {
            name: work.name.to_owned(),
            about: work.about.to_owned(),
            period_seconds: work.period.as_secs(),
            nudged_by: work.nudged_by.to_owned(),
            running: self.running.load(Ordering::Relaxed) > 0,
            rounds: log.rounds,
            failures: log.failures,
            last: log.last.clone(),
            last_failure: log.last_failure.clone(),
        }
    }

    /// Records the result of a round. Of consecutive failures only the first is logged as a warning.
    fn record(&self, round: BackgroundRound) {
        let mut log = self.log();
        let failed_before = log.last.as_ref().is_some_and(|last| !last.ok);
        log.rounds += 1;
        if !round.ok {
            log.failures += 1;
            log.last_failure = Some(round.clone());
        }
        let (name, reason) = (self.work.name, round.reason.clone());
        let recovered = round.ok && failed_before;
        let is_first = !round.ok && !failed_before;
        log.last = Some(round);
        drop(log);
        match (is_first, recovered) {
            (true, _) => {
                tracing::warn!(work = name, reason, "background work failed; the next round tries again")
            }
            (false, true) => tracing::info!(work = name, "background work succeeds again"),
            (false, false) => {}
        }
    }
}

/// A registered piece of work.
#[derive(Clone, Debug)]
pub struct WorkHandle {
    kernel: Arc<Kernel>,
    entry: Arc<WorkEntry>,
}

impl WorkHandle {
    /// Starts a round soon, before its period is over.
    pub fn nudge(&self) {
        self.entry.nudged.notify_one();
    }

    /// Runs a round every period, or when nudged, until `shutdown`. The first round begins at once.
    pub async fn run(self, mut work: impl WorkRound, shutdown: CancellationToken) {
        let mut tick = tokio::time::interval(self.entry.work.period);
        loop {
            tokio::select! {
                _ = tick.tick() => {}
                () = self.entry.nudged.notified() => {}
                () = shutdown.cancelled() => return,
            }
            // A failure is recorded and logged; the next round tries again.
            self.watch(work.round()).await.ok();
        }
    }

    /// Runs one round and records its result: for work that has a loop of its own.
    ///
    /// # Errors
    /// Those of the round.
    pub async fn watch<T, E: Display>(&self, round: impl Future<Output = Result<T, E>>) -> Result<T, E> {
        let begun = Instant::now();
        self.entry.running.fetch_add(1, Ordering::Relaxed);
        let _running = RoundGuard(&self.entry);
        let done = round.await;
        self.record(begun, &done);
        done
    }

    /// Records the result of a round that began at `begun` and has ended.
    pub fn record<T, E: Display>(&self, begun: Instant, done: &Result<T, E>) {
        let took = begun.elapsed();
        let started_at = self.kernel.now().saturating_sub(took).unwrap_or(Timestamp::MIN);
        let reason = done.as_ref().err().map(ToString::to_string).unwrap_or_default();
        let duration_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        self.entry.record(BackgroundRound { started_at, duration_ms, ok: done.is_ok(), reason });
    }
}

/// Marks a round as running until it is dropped.
struct RoundGuard<'a>(&'a WorkEntry);

impl Drop for RoundGuard<'_> {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc;

    use super::*;
    use crate::houses::testing;

    /// Fails in its first round; counts its rounds.
    struct SecondTime {
        rounds: u32,
        ran: mpsc::UnboundedSender<u32>,
    }

    impl WorkRound for SecondTime {
        async fn round(&mut self) -> Result<(), Error> {
            self.rounds += 1;
            let _ = self.ran.send(self.rounds);
            if self.rounds == 1 { Err(Error::Failed("not yet".to_owned())) } else { Ok(()) }
        }
    }

    #[tokio::test]
    async fn a_round_that_failed_is_shown_with_its_reason_and_the_next_one_is_tried() {
        let background = Background::new(Arc::clone(&testing::houses().kernel));
        let handle = background.register(WorkDescription {
            name: "second-time",
            about: "Succeeds when it is tried again.",
            period: Duration::from_secs(3600),
            nudged_by: "this test",
        });
        let idle = background.status().items.remove(0);
        assert_eq!((idle.rounds, idle.running, &idle.last), (0, false, &None));
        assert_eq!((idle.name.as_str(), idle.period_seconds), ("second-time", 3600));
        let (ran, mut rounds) = mpsc::unbounded_channel();
        let stop = CancellationToken::new();
        let running = tokio::spawn(handle.clone().run(SecondTime { rounds: 0, ran }, stop.clone()));
        assert_eq!(rounds.recv().await, Some(1));
        handle.nudge();
        assert_eq!(rounds.recv().await, Some(2), "a nudge does not wait for the hour to pass");
        stop.cancel();
        running.await.unwrap();
        let shown = background.status().items.remove(0);
        assert_eq!((shown.rounds, shown.failures, shown.running), (2, 1, false));
        assert!(shown.last.is_some_and(|last| last.ok && last.reason.is_empty()));
        assert_eq!(shown.last_failure.map(|failure| failure.reason).as_deref(), Some("not yet"));
    }
}
