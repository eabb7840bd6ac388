//! What the server does by itself: sees to artifacts, ends what is overdue, deletes old history.

use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use crate::app::deadlines::{Watch, next_deadline};
use crate::app::lease_actions::EXPIRED_AT_ONCE_MAX;
use crate::app::{self, App, Ctx};

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
pub async fn artifacts(app: Arc<App>, shutdown: CancellationToken) -> anyhow::Result<()> {
    Ok(app::artifacts::work::run(app, shutdown).await?)
}

/// Ends what is overdue.
pub async fn deadlines(app: Arc<App>, shutdown: CancellationToken) -> anyhow::Result<()> {
    let up_since = app.now();
    let mut committed = app.committed();
    let mut next: Option<Timestamp> = Some(up_since);
    let mut tick = tokio::time::interval(DEADLINES_EVERY);
    loop {
        tokio::select! {
            _ = tick.tick() => {}
            () = shutdown.cancelled() => return Ok(()),
        }
        let watch = Watch { now: app.now(), up_since };
        app.tell_silent_boots(watch.now);
        if next.is_some_and(|at| at <= watch.now)
            && let Err(error) = app.expire(watch).await
        {
            tracing::warn!(%error, "what is overdue could not be ended; it is tried again");
        }
        if committed.has_changed()? || next.is_some_and(|at| at <= watch.now) {
            committed.borrow_and_update();
            next = next_deadline(&app.world(), watch);
        }
    }
}

/// Marks leases that ran out, and looks after the database.
pub async fn leases(app: Arc<App>, shutdown: CancellationToken) -> anyhow::Result<()> {
    let mut tick = tokio::time::interval(LEASES_EVERY);
    loop {
        tokio::select! {
            _ = tick.tick() => {}
            () = shutdown.cancelled() => return Ok(()),
        }
        app.check_store(app.now()).await;
        // A round that is full is followed by another at once.
        while !shutdown.is_cancelled() {
            match app.expire_leases(app.now()).await {
                Ok(EXPIRED_AT_ONCE_MAX..) => continue,
                Ok(_) => {}
                Err(error) => tracing::warn!(%error, "leases that ran out could not be marked; next time"),
            }
            break;
        }
    }
}

/// Moves leases along with a clock that was set.
pub async fn clock(app: Arc<App>, shutdown: CancellationToken) -> anyhow::Result<()> {
    let mut tick = tokio::time::interval(CLOCK_EVERY);
    loop {
        tokio::select! {
            _ = tick.tick() => {}
            () = shutdown.cancelled() => return Ok(()),
        }
        if let Err(error) = app.follow_clock(app.now(), Instant::now()).await {
            tracing::warn!(%error, "leases could not be moved along with the clock; it is tried again");
        }
    }
}

/// Deletes the oldest events and jobs beyond those that are kept.
pub async fn history(app: Arc<App>, shutdown: CancellationToken) -> anyhow::Result<()> {
    let mut tick = tokio::time::interval(HISTORY_EVERY);
    loop {
        tokio::select! {
            _ = tick.tick() => {}
            () = shutdown.cancelled() => return Ok(()),
        }
        let jobs = app.prune_jobs(&Ctx::server(app.now()), JOBS_KEPT).await;
        if let Err(error) = jobs {
            tracing::warn!(%error, "old jobs could not be deleted");
        }
        if let Err(error) = app.prune_events(EVENTS_KEPT).await {
            tracing::warn!(%error, "old events could not be deleted");
        }
    }
}
