//! The work that the server does by itself, registered with `background`: it ends what is overdue, sees to
//! leases, the clock, artifacts and the database, and deletes old history.

use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::artifacts;
use crate::background::{WorkDescription, WorkRound};
use crate::dhcp::Dhcp;
use crate::dhcp::lease_actions::EXPIRED_AT_ONCE_MAX;
use crate::houses::Houses;
use crate::kernel::{Caller, Error, Kernel};
use crate::netboot::Netboot;
use crate::runs::Runs;
use crate::runs::deadlines::{DeadlineWatch, next_deadline};

/// Events that are kept.
const EVENTS_KEPT: u64 = 2_000_000;
/// Jobs that are kept, with their logs.
const JOBS_KEPT: usize = 50_000;

/// Runs that are kept.
const RUNS_KEPT: usize = 20_000;

const DEADLINES: WorkDescription = WorkDescription {
    name: "deadlines",
    about: "Ends boots, waits and jobs that are overdue, when the next one is due.",
    period: Duration::from_secs(1),
    nudged_by: "",
};
const SILENT_BOOTS: WorkDescription = WorkDescription {
    name: "silent-boots",
    about: "Tells of boots that stopped without a word.",
    period: Duration::from_secs(1),
    nudged_by: "",
};
const LEASE_EXPIRY: WorkDescription = WorkDescription {
    name: "lease-expiry",
    about: "Marks leases that ran out, and clears the address of their machines.",
    period: Duration::from_secs(5),
    nudged_by: "",
};
const LEASE_CLOCK: WorkDescription = WorkDescription {
    name: "lease-clock",
    about: "Moves leases along with a clock that was set.",
    period: Duration::from_secs(1),
    nudged_by: "",
};
const STORE_CHECK: WorkDescription = WorkDescription {
    name: "store-check",
    about: "Probes a database that nobody wrote to for 15 seconds or that failed, and looks at its room.",
    period: Duration::from_secs(5),
    nudged_by: "",
};
const JOB_PRUNING: WorkDescription = WorkDescription {
    name: "job-pruning",
    about: "Deletes the oldest jobs, with their logs, beyond 50,000.",
    period: Duration::from_secs(600),
    nudged_by: "",
};
const RUN_PRUNING: WorkDescription = WorkDescription {
    name: "run-pruning",
    about: "Deletes the oldest ended runs beyond 20,000, and kept content that no run needs.",
    period: Duration::from_secs(600),
    nudged_by: "",
};
const EVENT_PRUNING: WorkDescription = WorkDescription {
    name: "event-pruning",
    about: "Deletes the oldest events beyond 2,000,000.",
    period: Duration::from_secs(600),
    nudged_by: "",
};

/// The services of a server, and what tells them to end.
pub(super) type ServiceTasks<'a> = (&'a mut JoinSet<anyhow::Result<()>>, &'a CancellationToken);

/// Registers all work and starts it.
pub(super) fn start(app: &Arc<Houses>, (tasks, shutdown): ServiceTasks<'_>) {
    let kernel = &app.kernel;
    app.dhcp.look_for_future_leases(kernel.now());
    spawn(app, (LEASE_CLOCK, FollowClock(Arc::clone(&app.dhcp), Arc::clone(kernel))), (tasks, shutdown));
    let deadlines = DeadlineCheck::new(Arc::clone(kernel), Arc::clone(&app.runs));
    spawn(app, (DEADLINES, deadlines), (tasks, shutdown));
    let silent = SilentBoots(Arc::clone(&app.netboot), Arc::clone(kernel));
    spawn(app, (SILENT_BOOTS, silent), (tasks, shutdown));
    let expiry =
        LeaseExpiry { dhcp: Arc::clone(&app.dhcp), kernel: Arc::clone(kernel), shutdown: shutdown.clone() };
    spawn(app, (LEASE_EXPIRY, expiry), (tasks, shutdown));
    spawn(app, (STORE_CHECK, StoreCheck(Arc::clone(kernel))), (tasks, shutdown));
    spawn(app, (JOB_PRUNING, JobPruning(Arc::clone(&app.runs), Arc::clone(kernel))), (tasks, shutdown));
    spawn(app, (RUN_PRUNING, RunPruning(Arc::clone(&app.runs), Arc::clone(kernel))), (tasks, shutdown));
    spawn(app, (EVENT_PRUNING, EventPruning(Arc::clone(kernel))), (tasks, shutdown));
    let handle = app.background.register(artifacts::work::WORK);
    let running = artifacts::work::run(Arc::clone(&app.artifacts), handle, shutdown.clone());
    tasks.spawn(async { Ok(running.await?) });
}

fn spawn(
    app: &Houses,
    (work, round): (WorkDescription, impl WorkRound),
    (tasks, shutdown): ServiceTasks<'_>,
) {
    let running = app.background.register(work).run(round, shutdown.clone());
    tasks.spawn(async {
        running.await;
        Ok(())
    });
}

/// Waits with the walk over all machines until something is due or was written.
struct DeadlineCheck {
    kernel: Arc<Kernel>,
    runs: Arc<Runs>,
    up_since: Timestamp,
    committed: watch::Receiver<u64>,
    next: Option<Timestamp>,
}

impl DeadlineCheck {
    fn new(kernel: Arc<Kernel>, runs: Arc<Runs>) -> Self {
        let (up_since, committed) = (kernel.now(), kernel.committed());
        DeadlineCheck { kernel, runs, up_since, committed, next: Some(up_since) }
    }
}

impl WorkRound for DeadlineCheck {
    async fn round(&mut self) -> Result<(), Error> {
        let watch = DeadlineWatch { now: self.kernel.now(), up_since: self.up_since };
        let is_due = self.next.is_some_and(|at| at <= watch.now);
        let ended = if is_due { self.runs.expire(watch).await.map(drop) } else { Ok(()) };
        let changed =
            self.committed.has_changed().map_err(|_| Error::Failed("the store has gone".to_owned()))?;
        if changed || is_due {
            self.committed.borrow_and_update();
            self.next = next_deadline(&self.kernel.world(), watch);
        }
        ended
    }
}

struct SilentBoots(Arc<Netboot>, Arc<Kernel>);

impl WorkRound for SilentBoots {
    async fn round(&mut self) -> Result<(), Error> {
        self.0.tell_silent_boots(self.1.now());
        Ok(())
    }
}

struct LeaseExpiry {
    dhcp: Arc<Dhcp>,
    kernel: Arc<Kernel>,
    shutdown: CancellationToken,
}

impl WorkRound for LeaseExpiry {
    async fn round(&mut self) -> Result<(), Error> {
        // A group that is full is followed by another at once.
        while !self.shutdown.is_cancelled() {
            if self.dhcp.expire_leases(self.kernel.now()).await? < EXPIRED_AT_ONCE_MAX {
                break;
            }
        }
        Ok(())
    }
}

struct FollowClock(Arc<Dhcp>, Arc<Kernel>);

impl WorkRound for FollowClock {
    async fn round(&mut self) -> Result<(), Error> {
        self.0.follow_clock(self.1.now(), Instant::now()).await
    }
}

struct StoreCheck(Arc<Kernel>);

impl WorkRound for StoreCheck {
    async fn round(&mut self) -> Result<(), Error> {
        self.0.check_store(self.0.now()).await;
        Ok(())
    }
}

struct JobPruning(Arc<Runs>, Arc<Kernel>);

impl WorkRound for JobPruning {
    async fn round(&mut self) -> Result<(), Error> {
        self.0.prune_jobs(&Caller::server(self.1.now()), JOBS_KEPT).await.map(drop)
    }
}

struct RunPruning(Arc<Runs>, Arc<Kernel>);

impl WorkRound for RunPruning {
    async fn round(&mut self) -> Result<(), Error> {
        self.0.prune_runs(&Caller::server(self.1.now()), RUNS_KEPT).await.map(drop)
    }
}

struct EventPruning(Arc<Kernel>);

impl WorkRound for EventPruning {
    async fn round(&mut self) -> Result<(), Error> {
        self.0.prune_events(EVENTS_KEPT).await.map(drop)
    }
}
