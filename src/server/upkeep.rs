//! The server's background work, registered with `background`: carries out deadlines, expires leases, follows
//! the clock, works on artifacts, probes the database, and prunes history.

use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::access::Access;
use crate::artifacts;
use crate::background::{WorkDescription, WorkRound};
use crate::catalog::Catalog;
use crate::dhcp::Dhcp;
use crate::dhcp::lease_actions::EXPIRED_AT_ONCE_MAX;
use crate::houses::Houses;
use crate::kernel::{Caller, Error, Kernel};
use crate::model::PruneMode;
use crate::netboot::Netboot;
use crate::records::{Records, documents};
use crate::runs::Runs;
use crate::runs::deadlines::{DeadlineWatch, next_deadline};
use crate::server::certificates::ApiCertificates;

const DEADLINES: WorkDescription = WorkDescription {
    name: "deadlines",
    about: "Ends overdue boots, waits and jobs.",
    period: Duration::from_secs(1),
    nudged_by: "",
};
const SILENT_BOOTS: WorkDescription = WorkDescription {
    name: "silent-boots",
    about: "Reports boots that stopped silently.",
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
    about: "Moves leases when the clock was set.",
    period: Duration::from_secs(1),
    nudged_by: "",
};
const STORE_CHECK: WorkDescription = WorkDescription {
    name: "store-check",
    about: "Probes the database after a failure or 15 seconds without a write, and checks the free space.",
    period: Duration::from_secs(5),
    nudged_by: "",
};
const RENDER_CHECK: WorkDescription = WorkDescription {
    name: "render-check",
    about: "Checks whether render workers can be started.",
    period: Duration::from_secs(5),
    nudged_by: "",
};
const SESSION_EXPIRY: WorkDescription = WorkDescription {
    name: "session-expiry",
    about: "Deletes sessions of browsers that have ended.",
    period: Duration::from_secs(30),
    nudged_by: "",
};
const PRUNING: WorkDescription = WorkDescription {
    name: "pruning",
    about: "Deletes runs, jobs, logs, served documents and events that are older than the settings allow.",
    period: Duration::from_secs(600),
    nudged_by: "",
};

const CERTIFICATES: WorkDescription = WorkDescription {
    name: "certificates",
    about: "Renews the certificate of the API before it ends or when it lacks a name, and reads one that was \
            replaced.",
    period: Duration::from_secs(3600),
    nudged_by: "",
};

/// The services of a server, and the token that stops them.
pub(super) type ServiceTasks<'a> = (&'a mut JoinSet<anyhow::Result<()>>, &'a CancellationToken);

/// Registers all work and starts it.
pub(super) fn start(houses: &Arc<Houses>, (tasks, shutdown): ServiceTasks<'_>) {
    let kernel = &houses.kernel;
    houses.dhcp.look_for_future_leases(kernel.now());
    spawn(
        houses,
        (LEASE_CLOCK, FollowClock(Arc::clone(&houses.dhcp), Arc::clone(kernel))),
        (tasks, shutdown),
    );
    let deadlines = DeadlineCheck::new(Arc::clone(kernel), Arc::clone(&houses.runs));
    spawn(houses, (DEADLINES, deadlines), (tasks, shutdown));
    let silent = SilentBoots(Arc::clone(&houses.netboot), Arc::clone(kernel));
    spawn(houses, (SILENT_BOOTS, silent), (tasks, shutdown));
    let expiry = LeaseExpiry {
        dhcp: Arc::clone(&houses.dhcp),
        kernel: Arc::clone(kernel),
        shutdown: shutdown.clone(),
    };
    spawn(houses, (LEASE_EXPIRY, expiry), (tasks, shutdown));
    spawn(houses, (STORE_CHECK, StoreCheck(Arc::clone(kernel))), (tasks, shutdown));
    spawn(houses, (RENDER_CHECK, RenderCheck(Arc::clone(&houses.catalog))), (tasks, shutdown));
    let sessions = SessionExpiry(Arc::clone(&houses.access), Arc::clone(kernel));
    spawn(houses, (SESSION_EXPIRY, sessions), (tasks, shutdown));
    spawn(houses, (PRUNING, Pruning(Arc::clone(&houses.records), Arc::clone(kernel))), (tasks, shutdown));
    let handle = houses.background.register(documents::WORK);
    let written = Arc::clone(&houses.records).run(handle, shutdown.clone());
    tasks.spawn(async {
        written.await;
        Ok(())
    });
    let handle = houses.background.register(artifacts::work::WORK);
    let running = artifacts::work::run(Arc::clone(&houses.artifacts), handle, shutdown.clone());
    tasks.spawn(async { Ok(running.await?) });
}

/// Registers what sees to the certificates of the API.
pub(super) fn renew_certificates(
    houses: &Houses,
    certificates: Arc<ApiCertificates>,
    (tasks, shutdown): ServiceTasks<'_>,
) {
    let renewal = CertificateRenewal(certificates, Arc::clone(&houses.kernel));
    spawn(houses, (CERTIFICATES, renewal), (tasks, shutdown));
}

fn spawn(
    houses: &Houses,
    (work, round): (WorkDescription, impl WorkRound),
    (tasks, shutdown): ServiceTasks<'_>,
) {
    let running = houses.background.register(work).run(round, shutdown.clone());
    tasks.spawn(async {
        running.await;
        Ok(())
    });
}

/// Walks through all machines only when something is due or was written.
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
            self.next = self.kernel.read(|world| next_deadline(world, watch));
        }
        ended
    }
}

struct SilentBoots(Arc<Netboot>, Arc<Kernel>);

impl WorkRound for SilentBoots {
    async fn round(&mut self) -> Result<(), Error> {
        self.0.report_silent_boots(self.1.now());
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
        // A full group is followed by another one at once.
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

struct RenderCheck(Arc<Catalog>);

impl WorkRound for RenderCheck {
    async fn round(&mut self) -> Result<(), Error> {
        self.0.render_outage().map_or(Ok(()), |why| Err(Error::Failed(why)))
    }
}

struct SessionExpiry(Arc<Access>, Arc<Kernel>);

impl WorkRound for SessionExpiry {
    async fn round(&mut self) -> Result<(), Error> {
        self.0.expire_sessions(self.1.now()).await
    }
}

struct CertificateRenewal(Arc<ApiCertificates>, Arc<Kernel>);

impl WorkRound for CertificateRenewal {
    async fn round(&mut self) -> Result<(), Error> {
        let (certificates, now) = (Arc::clone(&self.0), self.1.now());
        let refreshed = tokio::task::spawn_blocking(move || certificates.refresh(now)).await;
        let refreshed = refreshed.map_err(|error| Error::Failed(error.to_string()))?;
        let changes = refreshed.map_err(|error| Error::Failed(format!("{error:#}")))?;
        if !changes.is_empty() {
            tracing::info!(shown = changes.join("; "), "the API has another certificate");
        }
        Ok(())
    }
}

struct Pruning(Arc<Records>, Arc<Kernel>);

impl WorkRound for Pruning {
    async fn round(&mut self) -> Result<(), Error> {
        // Anything due beyond one round is deleted in the next rounds, so that a change of the settings does
        // not keep the database busy.
        self.0.prune(&Caller::server(self.1.now()), PruneMode::Delete).await.map(drop)
    }
}
