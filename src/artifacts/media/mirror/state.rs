//! The state of a mirror between requests: its cache, running fetches, recent failures, and whether the
//! upstream answers.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::cache_files::CacheFiles;
use super::download_stage::DownloadStage;
use super::{CachedFile, MirrorMiss};

/// How long the upstream is not asked again for a file that it lacks or failed to send.
const ABSENT_KEPT: Duration = Duration::from_secs(10);
const FAILED_KEPT: Duration = Duration::from_secs(5);
/// How long an upstream that cannot be reached is not asked at all.
const UNREACHED_KEPT: Duration = Duration::from_secs(5);
/// Most paths that are remembered this way.
const REFUSALS_MAX: usize = 4096;

/// Totals since the start.
#[derive(Debug, Default)]
pub struct MirrorCounters {
    pub hits: AtomicU64,
    pub misses: AtomicU64,
    pub revalidated: AtomicU64,
    pub stale: AtomicU64,
    pub evicted: AtomicU64,
    pub failures: AtomicU64,
    pub fetched_bytes: AtomicU64,
    pub served_bytes: AtomicU64,
}

impl MirrorCounters {
    pub fn count(&self, counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

/// How the upstream answered its last request.
#[derive(Debug, Default)]
enum UpstreamHealth {
    #[default]
    Unasked,
    Answers,
    Fails {
        why: String,
        /// Until when nothing is requested from it.
        rests: Option<Instant>,
    },
}

#[derive(Debug)]
pub struct MirrorState {
    pub cache: CacheFiles,
    flights: HashMap<String, watch::Receiver<DownloadStage>>,
    refusals: HashMap<String, (Instant, MirrorMiss)>,
    upstream: UpstreamHealth,
    /// Why there was no room for the last file.
    pub trouble: Option<String>,
}

impl MirrorState {
    pub fn new(cache: CacheFiles) -> Self {
        let (flights, refusals) = (HashMap::new(), HashMap::new());
        MirrorState { cache, flights, refusals, upstream: UpstreamHealth::default(), trouble: None }
    }

    /// Opens a cached file. A file that has changed is removed from the cache.
    pub fn open(&mut self, path: &str) -> Option<CachedFile> {
        self.cache.index.get(path)?;
        match self.cache.open(path) {
            Ok((file, kept)) => {
                let (bytes, id, modified) = (kept.bytes, kept.body, kept.modified);
                Some(CachedFile { file, bytes, id, modified, coming: None })
            }
            Err(error) => {
                tracing::warn!(path, %error, "a kept file of a mirror cannot be read; it is fetched again");
                self.cache.throw_away(path);
                None
            }
        }
    }

    /// The running fetch of a path.
    pub fn flight(&mut self, path: &str) -> Option<watch::Receiver<DownloadStage>> {
        let flight = self.flights.get(path)?;
        if flight.has_changed().is_err() {
            // The fetch ended without a result.
            self.flights.remove(path);
            return None;
        }
        Some(flight.clone())
    }

    pub fn flights(&self) -> usize {
        self.flights.len()
    }

    pub fn begin(&mut self, path: &str, flight: watch::Receiver<DownloadStage>) {
        self.flights.insert(path.to_owned(), flight);
    }

    /// Records the end of a fetch; after a failure the file is not requested again for a while.
    pub fn end(&mut self, path: &str, missed: Option<&MirrorMiss>) {
        self.flights.remove(path);
        let Some(miss) = missed else { return };
        let kept = if *miss == MirrorMiss::Absent { ABSENT_KEPT } else { FAILED_KEPT };
        let now = Instant::now();
        if self.refusals.len() >= REFUSALS_MAX {
            self.refusals.retain(|_, (until, _)| *until > now);
        }
        if self.refusals.len() < REFUSALS_MAX {
            self.refusals.insert(path.to_owned(), (now + kept, miss.clone()));
        }
    }

    /// Why a path is not requested now.
    pub fn refusal(&mut self, path: &str) -> Option<MirrorMiss> {
        let now = Instant::now();
        if let UpstreamHealth::Fails { why, rests: Some(until) } = &self.upstream
            && *until > now
        {
            return Some(MirrorMiss::Failed(why.clone()));
        }
        let (until, miss) = self.refusals.get(path)?;
        if *until > now {
            return Some(miss.clone());
        }
        self.refusals.remove(path);
        None
    }

    /// Makes the upstream be asked for a file.
    pub fn expire_one(&mut self, path: &str) {
        self.cache.index.checked(path, 0);
        self.refusals.remove(path);
    }

    /// Makes the upstream be asked for every file.
    pub fn expire(&mut self) {
        self.cache.index.expire();
        self.refusals.clear();
        if let UpstreamHealth::Fails { rests, .. } = &mut self.upstream {
            *rests = None;
        }
    }

    /// Whether the upstream answered its last request.
    pub fn answers(&self) -> bool {
        matches!(self.upstream, UpstreamHealth::Answers)
    }

    pub fn failing(&self) -> Option<String> {
        match &self.upstream {
            UpstreamHealth::Fails { why, .. } => Some(why.clone()),
            UpstreamHealth::Answers | UpstreamHealth::Unasked => None,
        }
    }

    pub fn answered(&mut self) {
        self.upstream = UpstreamHealth::Answers;
    }

    /// Records an answer that was not the requested file.
    pub fn failed(&mut self, why: &str) {
        self.fails(why, None);
    }

    /// Records that the upstream could not be reached: nothing is requested for a while.
    pub fn unreached(&mut self, why: &str) {
        self.fails(why, Some(Instant::now() + UNREACHED_KEPT));
    }

    /// Records a failure; only the first of consecutive ones is logged.
    fn fails(&mut self, why: &str, rests: Option<Instant>) {
        let why = self.failing().unwrap_or_else(|| why.to_owned());
        self.upstream = UpstreamHealth::Fails { why, rests };
    }
}
