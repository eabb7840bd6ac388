//! What the server does by itself: sees to artifacts, ends what is overdue, deletes old history.

use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use crate::artifacts;
use crate::dhcp::lease_actions::EXPIRED_AT_ONCE_MAX;
use crate::houses::Houses;
use crate::kernel::Caller;
use crate::runs::deadlines::{Watch, next_deadline};
use crate::store::SqliteStore;

/// How often deadlines are looked at.
const DEADLINES_EVERY: Duration = Duration::from_secs(1);
/// How often leases that ran out are looked for.
const LEASES_EVERY: Duration = Duration::from_secs(5);
/// How often the clock is looked at.
const CLOCK_EVERY: Duration = Duration::from_secs(1);
/// How often old history is deleted.
const HISTORY_EVERY: Duration = Duration::from_secs(600);
/// Events that are kept.
const EVENTS_KEPT: u64 = 2_000_000;
/// Jobs that are kept, with their logs.
const JOBS_KEPT: usize = 50_000;

/// Reads, fetches and unpacks artifacts.
pub async fn artifacts(app: Arc<Houses>, shutdown: CancellationToken) -> anyhow::Result<()> {
    Ok(artifacts::work::run(Arc::clone(&app.artifacts), shutdown).await?)
}

/// Ends what is overdue.
pub async fn deadlines(app: Arc<Houses>, shutdown: CancellationToken) -> anyhow::Result<()> {
    let up_since = app.kernel.now();
    let mut committed = app.kernel.committed();
    let mut next: Option<Timestamp> = Some(up_since);
    let mut tick = tokio::time::interval(DEADLINES_EVERY);
    loop {
        tokio::select! {
            _ = tick.tick() => {}
            () = shutdown.cancelled() => return Ok(()),
        }
        let watch = Watch { now: app.kernel.now(), up_since };
        app.netboot.tell_silent_boots(watch.now);
        if next.is_some_and(|at| at <= watch.now)
            && let Err(error) = app.runs.expire(watch).await
        {
            tracing::warn!(%error, "what is overdue could not be ended; it is tried again");
        }
        if committed.has_changed()? || next.is_some_and(|at| at <= watch.now) {
            committed.borrow_and_update();
            next = next_deadline(&app.kernel.world(), watch);
        }
    }
}

/// Marks leases that ran out, and sees whether a database that took no writes does again.
pub async fn leases(app: Arc<Houses>, shutdown: CancellationToken) -> anyhow::Result<()> {
    let mut tick = tokio::time::interval(LEASES_EVERY);
    loop {
        tokio::select! {
            _ = tick.tick() => {}
            () = shutdown.cancelled() => return Ok(()),
        }
        app.kernel.look_after_store(app.kernel.now()).await;
        // A round that is full is followed by another at once.
        while !shutdown.is_cancelled() {
            match app.dhcp.expire_leases(app.kernel.now()).await {
                Ok(EXPIRED_AT_ONCE_MAX..) => continue,
                Ok(_) => {}
                Err(error) => tracing::warn!(%error, "leases that ran out could not be marked; next time"),
            }
            break;
        }
    }
}

/// Moves leases along with a clock that was set.
pub async fn clock(app: Arc<Houses>, shutdown: CancellationToken) -> anyhow::Result<()> {
    let mut tick = tokio::time::interval(CLOCK_EVERY);
    loop {
        tokio::select! {
            _ = tick.tick() => {}
            () = shutdown.cancelled() => return Ok(()),
        }
        if let Err(error) = app.dhcp.follow_clock(app.kernel.now(), Instant::now()).await {
            tracing::warn!(%error, "leases could not be moved along with the clock; it is tried again");
        }
    }
}

/// Deletes the oldest events and jobs beyond those that are kept.
pub async fn history(
    app: Arc<Houses>,
    store: Arc<SqliteStore>,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    let mut tick = tokio::time::interval(HISTORY_EVERY);
    loop {
        tokio::select! {
            _ = tick.tick() => {}
            () = shutdown.cancelled() => return Ok(()),
        }
        let jobs = app.runs.prune_jobs(&Caller::server(app.kernel.now()), JOBS_KEPT).await;
        if let Err(error) = jobs {
            tracing::warn!(%error, "old jobs could not be deleted");
        }
        if let Err(error) = app.kernel.saw_write(store.prune_events(EVENTS_KEPT).await) {
            tracing::warn!(%error, "old events could not be deleted");
        }
    }
}
