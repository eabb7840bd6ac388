//! A store that observes by itself whether writes succeed, so that no caller has to.
//!
//! The first failed write begins an outage and is logged; the next successful write ends it.
//! [`MonitoredStore::check`] probes a store that had no writes for a while, and checks the free space on its
//! disk.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLockReadGuard};
use std::time::Instant;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use super::{
    Changeset, DamagedRow, DocumentUsage, EventCut, EventQuery, EventRead, KeptDocument, OldEvents,
    SharedStore, Store, StoreError, WriterHold,
};
use crate::durations::{DurationCounts, DurationHistogram};
use crate::model::{Event, ServedDocument, StoreStatus, World};

/// Below so many free bytes on the disk of the database operators are warned. Artifacts leave a quarter of
/// the disk free.
pub const FREE_BYTES_MIN: u64 = 256 << 20;
/// The warning ends when so many more bytes are free, so that it does not come and go.
const FREE_BYTES_SPARE: u64 = 16 << 20;
/// Time without a write after which the store is probed.
const IDLE_MAX: SignedDuration = SignedDuration::from_secs(15);

/// A period in which the store takes no writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreOutage {
    pub since: Timestamp,
    pub reason: String,
}

/// A store, and whether it takes writes.
pub struct MonitoredStore {
    store: SharedStore,
    health: Arc<StoreHealth>,
}

#[derive(Debug, Default)]
struct StoreHealth {
    outages: Mutex<OutageHistory>,
    /// Whether there is an outage, readable without the lock.
    is_failing: AtomicBool,
    failures: AtomicU64,
    /// Writes that succeeded since the last check.
    successes: AtomicU64,
    is_short_of_space: AtomicBool,
    commits: DurationHistogram,
}

#[derive(Debug, Default)]
struct OutageHistory {
    /// The present outage, if there is one.
    lasting: Option<StoreOutage>,
    /// The outage that no event reports yet. Under load the first write after an outage is a client's, not
    /// the event.
    unreported: Option<StoreOutage>,
    last_write: Option<Timestamp>,
}

impl StoreHealth {
    /// Records the result of a write.
    fn record<T>(&self, done: &Result<T, StoreError>) {
        match done {
            Err(StoreError::Failed(reason)) => self.record_failure(reason),
            // A refused changeset tells nothing about the disk.
            Err(_) => {}
            Ok(_) => {
                self.successes.fetch_add(1, Ordering::Relaxed);
                if self.is_failing.load(Ordering::Acquire) {
                    self.record_recovery();
                }
            }
        }
    }

    fn record_failure(&self, reason: &str) {
        self.failures.fetch_add(1, Ordering::Relaxed);
        let mut outages = self.lock();
        if outages.lasting.is_none() {
            tracing::error!(reason, "the database takes no writes: nothing is promised until it does");
            let outage = StoreOutage { since: Timestamp::now(), reason: reason.to_owned() };
            outages.unreported.get_or_insert_with(|| outage.clone());
            outages.lasting = Some(outage);
            self.is_failing.store(true, Ordering::Release);
        }
    }

    fn record_recovery(&self) {
        let mut outages = self.lock();
        if let Some(over) = outages.lasting.take() {
            tracing::info!(since = %over.since, "the database takes writes again");
            self.is_failing.store(false, Ordering::Release);
        }
    }

    /// Whether there was no write for so long that a probe is due.
    fn is_idle(&self, now: Timestamp) -> bool {
        let mut outages = self.lock();
        if self.successes.swap(0, Ordering::Relaxed) > 0 || outages.last_write.is_none() {
            outages.last_write = Some(now);
        }
        outages.last_write.is_some_and(|last| now.duration_since(last) >= IDLE_MAX)
    }

    /// Logs a warning once when free space is low, and again when there is enough.
    fn record_space(&self, free_bytes: u64) {
        let was_short = self.is_short_of_space.load(Ordering::Relaxed);
        let enough = if was_short { FREE_BYTES_MIN + FREE_BYTES_SPARE } else { FREE_BYTES_MIN };
        let is_short = free_bytes < enough;
        self.is_short_of_space.store(is_short, Ordering::Relaxed);
        let free_mib = free_bytes >> 20;
        match (was_short, is_short) {
            (false, true) => tracing::warn!(
                free_mib,
                "the disk of the database is almost full: make room, or nothing is promised when it is"
            ),
            (true, false) => tracing::info!(free_mib, "the disk of the database has room again"),
            _ => {}
        }
    }

    fn lock(&self) -> MutexGuard<'_, OutageHistory> {
        self.outages.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl MonitoredStore {
    pub fn new(store: SharedStore) -> Arc<Self> {
        Arc::new(MonitoredStore { store, health: Arc::default() })
    }

    /// The present outage, if there is one.
    pub fn outage(&self) -> Option<StoreOutage> {
        self.health.lock().lasting.clone()
    }

    /// The outage for which [`MonitoredStore::reported`] was not called yet.
    pub fn unreported_outage(&self) -> Option<StoreOutage> {
        self.health.lock().unreported.clone()
    }

    /// Records that an event reports the outage. Another outage may have begun since.
    pub fn reported(&self) {
        let mut outages = self.health.lock();
        outages.unreported = outages.lasting.clone();
    }

    /// Number of writes that failed since the start.
    pub fn failures(&self) -> u64 {
        self.health.failures.load(Ordering::Relaxed)
    }

    /// How long commits take until they are on the disk.
    pub fn commit_durations(&self) -> DurationCounts {
        self.health.commits.counts()
    }

    /// The present status.
    pub fn status(&self) -> StoreStatus {
        let outage = self.outage();
        let free_bytes = self.store.free_bytes().ok();
        if let Some(free_bytes) = free_bytes {
            self.health.record_space(free_bytes);
        }
        StoreStatus {
            takes_writes: outage.is_none(),
            since: outage.as_ref().map(|outage| outage.since),
            reason: outage.map(|outage| outage.reason).unwrap_or_default(),
            free_bytes,
            free_bytes_min: FREE_BYTES_MIN,
            is_short_of_space: self.health.is_short_of_space.load(Ordering::Relaxed),
        }
    }

    /// Checks the free space, and probes a store that had no writes for a while; to be called every few
    /// seconds. During an outage the check writes the event that reports it instead of a probe: a probe needs
    /// less space than clients' writes, and may succeed where they fail.
    pub async fn check(&self, now: Timestamp) {
        if let Ok(free_bytes) = self.store.free_bytes() {
            self.health.record_space(free_bytes);
        }
        let is_due = self.health.is_idle(now) && !self.health.is_failing.load(Ordering::Acquire);
        if is_due && let Err(error) = self.probe().await {
            tracing::debug!(%error, "a probe of the database failed");
        }
    }
}

impl Store for MonitoredStore {
    fn world(&self) -> RwLockReadGuard<'_, World> {
        self.store.world()
    }

    fn commit(&self, changeset: Changeset) -> BoxFuture<'_, Result<Vec<Event>, StoreError>> {
        let (begun, done) = (Instant::now(), self.store.commit(changeset));
        done.inspect(move |done| {
            self.health.commits.record_since(begun);
            self.health.record(done);
        })
        .boxed()
    }

    fn hold(&self) -> BoxFuture<'_, Result<WriterHold, StoreError>> {
        async move {
            let hold = self.store.hold().await?;
            let health = Arc::clone(&self.health);
            let commit = async move |changeset: Changeset| {
                let done = hold.commit(changeset).await;
                health.record(&done);
                done
            };
            Ok(WriterHold::new(move |changeset| Box::pin(commit(changeset))))
        }
        .boxed()
    }

    fn read_events(&self, query: EventQuery) -> BoxFuture<'_, Result<EventRead, StoreError>> {
        self.store.read_events(query)
    }

    fn write_log(&self, job: Uuid, offset: u64, bytes: Vec<u8>) -> BoxFuture<'_, Result<u64, StoreError>> {
        self.store.write_log(job, offset, bytes).inspect(|done| self.health.record(done)).boxed()
    }

    fn read_log(&self, job: Uuid, offset: u64, bytes_max: u32) -> BoxFuture<'_, Result<Vec<u8>, StoreError>> {
        self.store.read_log(job, offset, bytes_max)
    }

    fn prune_events(&self, keep: u64) -> BoxFuture<'_, Result<u64, StoreError>> {
        self.store.prune_events(keep).inspect(|done| self.health.record(done)).boxed()
    }

    fn old_events(&self, cut: EventCut) -> BoxFuture<'_, Result<OldEvents, StoreError>> {
        self.store.old_events(cut)
    }

    fn old_audit_events(&self, cut: EventCut) -> BoxFuture<'_, Result<(OldEvents, u64), StoreError>> {
        self.store.old_audit_events(cut)
    }

    fn prune_audit_events(&self, upto: u64) -> BoxFuture<'_, Result<u64, StoreError>> {
        self.store.prune_audit_events(upto).inspect(|done| self.health.record(done)).boxed()
    }

    fn log_sizes(&self) -> BoxFuture<'_, Result<Vec<(Uuid, u64)>, StoreError>> {
        self.store.log_sizes()
    }

    fn keep_documents(&self, documents: Vec<KeptDocument>) -> BoxFuture<'_, Result<u64, StoreError>> {
        self.store.keep_documents(documents).inspect(|done| self.health.record(done)).boxed()
    }

    fn served_documents(&self, run: Uuid) -> BoxFuture<'_, Result<Vec<ServedDocument>, StoreError>> {
        self.store.served_documents(run)
    }

    fn document_content(&self, digest: String) -> BoxFuture<'_, Result<Option<Vec<u8>>, StoreError>> {
        self.store.document_content(digest)
    }

    fn document_usage(&self) -> BoxFuture<'_, Result<DocumentUsage, StoreError>> {
        self.store.document_usage()
    }

    fn prune_documents(&self, runs: Vec<Uuid>) -> BoxFuture<'_, Result<u64, StoreError>> {
        self.store.prune_documents(runs).inspect(|done| self.health.record(done)).boxed()
    }

    fn forget_documents(&self, runs: Vec<Uuid>) -> BoxFuture<'_, Result<u64, StoreError>> {
        self.store.forget_documents(runs).inspect(|done| self.health.record(done)).boxed()
    }

    fn prune_logs(&self, jobs: Vec<Uuid>) -> BoxFuture<'_, Result<u64, StoreError>> {
        self.store.prune_logs(jobs).inspect(|done| self.health.record(done)).boxed()
    }

    fn snapshot(&self, into: PathBuf) -> BoxFuture<'_, Result<(), StoreError>> {
        self.store.snapshot(into)
    }

    fn integrity(&self) -> BoxFuture<'_, Result<Vec<String>, StoreError>> {
        self.store.integrity()
    }

    fn damaged(&self) -> &[DamagedRow] {
        self.store.damaged()
    }

    fn probe(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        self.store.probe().inspect(|done| self.health.record(done)).boxed()
    }

    fn free_bytes(&self) -> std::io::Result<u64> {
        self.store.free_bytes()
    }

    fn committed(&self) -> tokio::sync::watch::Receiver<u64> {
        self.store.committed()
    }

    fn commits(&self) -> tokio::sync::watch::Receiver<u64> {
        self.store.commits()
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        self.store.close()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed<T>() -> Result<T, StoreError> {
        Err(StoreError::Failed("the disk is full".into()))
    }

    #[test]
    fn an_outage_begins_with_the_first_failure_and_ends_with_a_success() {
        let health = StoreHealth::default();
        health.record(&failed::<()>());
        let first = health.lock().lasting.clone().unwrap();
        assert_eq!(first.reason, "the disk is full");
        health.record::<()>(&Err(StoreError::Failed("still".into())));
        health.record::<()>(&Err(StoreError::Stale {
            kind: crate::model::Kind::Lease,
            key: "10.0.0.1".into(),
        }));
        health.record::<()>(&Err(StoreError::Closed));
        assert_eq!(health.lock().lasting, Some(first.clone()));
        health.record(&Ok(()));
        let outages = health.lock();
        assert_eq!((&outages.lasting, &outages.unreported), (&None, &Some(first)));
        assert_eq!(health.failures.load(Ordering::Relaxed), 2);
    }

    #[test]
    fn a_store_is_probed_when_nobody_has_written_for_a_while() {
        let health = StoreHealth::default();
        let start = Timestamp::from_second(1_750_000_000).unwrap();
        assert!(!health.is_idle(start));
        assert!(health.is_idle(start + IDLE_MAX));
        health.record(&Ok(()));
        assert!(!health.is_idle(start + IDLE_MAX));
        assert!(!health.is_idle(start + IDLE_MAX + IDLE_MAX - SignedDuration::from_secs(1)));
        assert!(health.is_idle(start + IDLE_MAX + IDLE_MAX));
    }

    #[test]
    fn little_room_is_a_warning_that_does_not_come_and_go() {
        let health = StoreHealth::default();
        let is_short = |free| {
            health.record_space(free);
            health.is_short_of_space.load(Ordering::Relaxed)
        };
        let free =
            [FREE_BYTES_MIN, FREE_BYTES_MIN - 1, FREE_BYTES_MIN + 1, FREE_BYTES_MIN + FREE_BYTES_SPARE];
        assert_eq!(free.map(is_short), [false, true, true, false]);
    }
}
