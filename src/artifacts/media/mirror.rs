//! Mirrors a remote tree: passes its files on one by one, and caches them within a bound of bytes.
//!
//! Start at [`Mirror::open`]. A cached and fresh file is returned at once. Otherwise it is fetched, once for
//! all clients that ask meanwhile, and they get its bytes as they arrive. `rules` says which files stay fresh
//! and `cache_index` which are deleted first, both without a disk; `cache_files` is the disk, `download` one
//! fetch, `probe` finds the package repositories. The rest of `artifacts` decides which trees exist and who
//! may have their files: a client only names a path in a tree that an operator has configured.

mod cache_files;
mod cache_index;
mod download;
mod download_stage;
mod probe;
mod rules;
mod state;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Instant, SystemTime};

use sha2::Sha256;
use tokio::sync::{OnceCell, Semaphore, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use download_stage::DownloadRest;

use super::{JobPhase, MediaError, MediaFolder, MediaJob, manifest};
use crate::model::{MirrorStatus, TreeRepository, UnlistedPlace};
use crate::outbound::{FetchReach, OutboundClient, TrustBase};
use cache_files::CacheFiles;
use cache_index::CachedEntry;
use download_stage::DownloadStage;
use state::{MirrorCounters, MirrorState};

/// Most files of one tree that are fetched at a time.
const FETCHES_MAX: usize = 16;
/// Most files of one tree that were requested and have not arrived, including those that wait for their turn.
const DOWNLOADS_MAX: usize = 1024;
/// Most attempts to open a file that is evicted as soon as it has arrived.
const LOOKS_MAX: usize = 3;
/// Largest index that is read as text, in bytes.
const TEXT_BYTES_MAX: u64 = 4 << 20;

/// A remote tree, and the route to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteTree {
    /// The artifact's name.
    pub name: String,
    pub url: String,
    pub reach: FetchReach,
    pub bytes_max: u64,
}

/// Why there is no file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MirrorMiss {
    /// The upstream has no such file.
    #[error("the upstream has no such file")]
    Absent,
    /// The file cannot be had now.
    #[error("{0}")]
    Failed(String),
}

/// A file of a mirror.
#[derive(Debug)]
pub struct CachedFile {
    pub file: File,
    pub bytes: u64,
    /// The id of exactly these bytes.
    pub id: String,
    /// When the content was last changed, in seconds since 1970.
    pub modified: i64,
    /// Progress of a file that is still being fetched.
    pub coming: Option<DownloadRest>,
}

/// The result of verifying all cached files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CacheCheck {
    pub files: u64,
    /// Files that had changed. They were removed from the cache.
    pub damaged: Vec<String>,
}

/// One remote tree and its cache.
#[derive(Debug)]
pub struct Mirror {
    terms: RemoteTree,
    bytes_max: AtomicU64,
    root: PathBuf,
    client: OutboundClient,
    state: OnceCell<Mutex<MirrorState>>,
    fetches: Semaphore,
    /// When the upstream was last asked about the whole tree, and for which boot files.
    last_asked: Mutex<Option<(Instant, BTreeSet<String>)>>,
    counters: MirrorCounters,
    stop: CancellationToken,
    tasks: TaskTracker,
}

/// The state of a file, as far as it is known without waiting.
enum CacheLookup {
    Found(CachedFile),
    Flight(watch::Receiver<DownloadStage>),
    Missed(MirrorMiss),
}

impl Mirror {
    /// Opens a file: a cached one, or one that is arriving. Waits for the upstream's answer if it has to be
    /// asked, and for the whole file if the upstream does not tell its length.
    ///
    /// # Errors
    /// Why there is no file; see [`MirrorMiss`].
    pub async fn open(self: &Arc<Self>, path: &str) -> Result<CachedFile, MirrorMiss> {
        if rules::address((&self.terms.url, path)).is_none() {
            return Err(MirrorMiss::Absent);
        }
        let state = self.state().await?;
        for _ in 0..LOOKS_MAX {
            let mut flight = match self.look(state, path) {
                CacheLookup::Found(found) => return Ok(found),
                CacheLookup::Missed(miss) => return Err(miss),
                CacheLookup::Flight(flight) => flight,
            };
            let stage = flight.wait_for(DownloadStage::is_news).await.map(|stage| stage.clone());
            match stage
                .map_err(|_| MirrorMiss::Failed("the fetch ended by a fault in the server".to_owned()))?
            {
                DownloadStage::Coming(head, _) => {
                    let file =
                        head.file.try_clone().map_err(|error| MirrorMiss::Failed(error.to_string()))?;
                    let (id, coming) = (head.id.clone(), Some(DownloadRest::new(flight)));
                    return Ok(CachedFile { file, bytes: head.bytes, id, modified: head.modified, coming });
                }
                DownloadStage::Missed(miss) => return self.stale(state, path).ok_or(miss),
                DownloadStage::Asked | DownloadStage::Kept => {
                    if let Some(found) = lock(state).open(path) {
                        return Ok(found);
                    }
                }
            }
        }
        Err(MirrorMiss::Failed(
            "the file went again before it could be given out: the cache is too small".into(),
        ))
    }

    /// The text of a small file.
    ///
    /// # Errors
    /// Why there is none; or the file is too large.
    pub async fn text(self: &Arc<Self>, path: &str) -> Result<String, MirrorMiss> {
        let failed = |error: std::io::Error| MirrorMiss::Failed(format!("{path}: {error}"));
        let CachedFile { file, bytes, coming, .. } = self.open(path).await?;
        if bytes > TEXT_BYTES_MAX {
            return Err(failed(std::io::Error::other("it is too large for an index")));
        }
        if let Some(mut coming) = coming {
            coming.whole(bytes).await.map_err(failed)?;
        }
        let reading = tokio::task::spawn_blocking(move || {
            let mut text = vec![0; usize::try_from(bytes).unwrap_or(0)];
            std::os::unix::fs::FileExt::read_exact_at(&file, &mut text, 0)?;
            std::io::Result::Ok(String::from_utf8_lossy(&text).into_owned())
        });
        reading.await.map_err(|error| MirrorMiss::Failed(error.to_string()))?.map_err(failed)
    }

    /// The package repositories in the tree: the declared ones, with the data of their indexes.
    ///
    /// # Errors
    /// The upstream cannot be asked, or lacks all that was declared.
    pub async fn repositories(
        self: &Arc<Self>,
        declared: &[crate::model::MirrorRepository],
    ) -> Result<Vec<TreeRepository>, MirrorMiss> {
        probe::repositories(self, declared).await
    }

    /// The present status.
    pub fn status(&self) -> MirrorStatus {
        let counters = &self.counters;
        let state = self.state.get().map(lock);
        let index = state.as_ref().map(|state| &state.cache.index);
        MirrorStatus {
            upstream_answers: state.as_ref().is_some_and(|state| state.answers()),
            cached_bytes: index.map_or(0, |index| index.bytes()),
            cached_files: index.map_or(0, |index| index.files() as u64),
            bytes_max: total(&self.bytes_max),
            hits: total(&counters.hits),
            misses: total(&counters.misses),
            revalidated: total(&counters.revalidated),
            stale: total(&counters.stale),
            evicted: total(&counters.evicted),
            failures: total(&counters.failures),
            fetched_bytes: total(&counters.fetched_bytes),
            served_bytes: total(&counters.served_bytes),
        }
    }

    /// Why the upstream did not answer its last request; none if it did, or was not asked yet.
    pub fn failing(&self) -> Option<String> {
        self.state.get().and_then(|state| lock(state).failing())
    }

    /// The places that it was fetched from although `fetch.allow` does not list them.
    pub fn unlisted(&self) -> Vec<UnlistedPlace> {
        self.terms.reach.unlisted()
    }

    /// Why there was no room on the disk for the last file.
    pub fn trouble(&self) -> Option<String> {
        self.state.get().and_then(|state| lock(state).trouble.clone())
    }

    /// When the upstream was last asked about the whole tree, and for which boot files.
    pub fn last_asked(&self) -> Option<(Instant, BTreeSet<String>)> {
        lock(&self.last_asked).clone()
    }

    /// Records that the upstream was just asked, and for which files.
    pub fn set_last_asked(&self, files: BTreeSet<String>) {
        *lock(&self.last_asked) = Some((Instant::now(), files));
    }

    /// Makes the upstream be asked for every file before it is served again.
    pub async fn expire(&self) -> Result<(), MirrorMiss> {
        lock(self.state().await?).expire();
        Ok(())
    }

    /// Makes the upstream be asked for one file before it is served again.
    async fn expire_one(&self, path: &str) -> Result<(), MirrorMiss> {
        lock(self.state().await?).expire_one(path);
        Ok(())
    }

    /// Hashes all cached files, and removes those that have changed.
    ///
    /// # Errors
    /// The mirrors were stopped.
    pub async fn verify(self: &Arc<Self>, job: &MediaJob) -> Result<CacheCheck, MediaError> {
        self.state().await.map_err(|miss: MirrorMiss| MediaError::Failed(miss.to_string()))?;
        let (mirror, job) = (Arc::clone(self), job.clone());
        let checking = tokio::task::spawn_blocking(move || mirror.check_all(&job));
        checking.await.map_err(|error| MediaError::Failed(error.to_string()))?
    }

    fn check_all(&self, job: &MediaJob) -> Result<CacheCheck, MediaError> {
        let Some(state) = self.state.get() else { return Ok(CacheCheck::default()) };
        let all: Vec<(CachedEntry, PathBuf)> = {
            let state = lock(state);
            state.cache.index.all().map(|kept| (kept.clone(), state.cache.body(kept))).collect()
        };
        job.begin(JobPhase::Reading, Some(all.iter().map(|(kept, _)| kept.bytes).sum()));
        let mut checked = CacheCheck::default();
        for (kept, place) in all {
            let hashed = manifest::hash::<Sha256>(&place, job);
            job.check().map_err(|_| MediaError::Stopped)?;
            let mut state = lock(state);
            let is_there = state.cache.index.get(&kept.path).is_some_and(|now| now.body == kept.body);
            checked.files += u64::from(is_there);
            if is_there && !hashed.is_ok_and(|hash| hash == kept.sha256) {
                state.cache.throw_away(&kept.path);
                checked.damaged.push(kept.path);
            }
        }
        Ok(checked)
    }

    async fn state(&self) -> Result<&Mutex<MirrorState>, MirrorMiss> {
        self.state
            .get_or_try_init(|| async {
                let root = self.root.clone();
                let loaded = tokio::task::spawn_blocking(move || CacheFiles::load(&root)).await;
                let loaded = loaded.unwrap_or_else(|error| Err(std::io::Error::other(error)));
                let cache = loaded.map_err(|error| {
                    MirrorMiss::Failed(format!("the cached file cannot be read: {error}"))
                })?;
                Ok(Mutex::new(MirrorState::new(cache)))
            })
            .await
    }

    /// Finds a file, or begins to fetch it.
    fn look(self: &Arc<Self>, held: &Mutex<MirrorState>, path: &str) -> CacheLookup {
        let mut state = lock(held);
        let is_kept = state.cache.index.get(path).map(|kept| rules::is_fresh(kept, now()));
        let refusal = state.refusal(path);
        match (is_kept, &refusal) {
            (Some(true), _) => {
                if let Some(found) = state.open(path) {
                    self.counters.count(&self.counters.hits);
                    return CacheLookup::Found(found);
                }
            }
            // The upstream was asked a moment ago and could not tell.
            (Some(false), Some(MirrorMiss::Failed(_))) => {
                if let Some(found) = self.stale_of(&mut state, path) {
                    return CacheLookup::Found(found);
                }
            }
            _ => {}
        }
        if let Some(flight) = state.flight(path) {
            self.counters.count(&self.counters.hits);
            return CacheLookup::Flight(flight);
        }
        if let Some(miss) = refusal {
            return CacheLookup::Missed(miss);
        }
        if state.flights() >= DOWNLOADS_MAX {
            return CacheLookup::Missed(MirrorMiss::Failed(
                "too many files are being fetched; try again".to_owned(),
            ));
        }
        let (sender, flight) = watch::channel(DownloadStage::Asked);
        state.begin(path, flight.clone());
        self.tasks.spawn(Arc::clone(self).fly(path.to_owned(), sender));
        CacheLookup::Flight(flight)
    }

    /// The cached file, whatever its age: better than nothing if the upstream does not answer.
    fn stale(&self, state: &Mutex<MirrorState>, path: &str) -> Option<CachedFile> {
        self.stale_of(&mut lock(state), path)
    }

    fn stale_of(&self, state: &mut MirrorState, path: &str) -> Option<CachedFile> {
        let found = state.open(path)?;
        self.counters.count(&self.counters.hits);
        self.counters.count(&self.counters.stale);
        Some(found)
    }
}

fn total(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

/// All mirrors.
#[derive(Debug, Default)]
pub struct MirrorSet {
    folder: MediaFolder,
    open: Mutex<BTreeMap<String, Arc<Mirror>>>,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl MirrorSet {
    pub fn new(folder: MediaFolder) -> Self {
        MirrorSet { folder, ..MirrorSet::default() }
    }

    /// The mirror of this tree. If the tree had another route before, it gets the new one.
    ///
    /// # Errors
    /// The proxy cannot be used, or the host has no certificates.
    pub fn of(&self, terms: RemoteTree) -> Result<Arc<Mirror>, MediaError> {
        let mut open = lock(&self.open);
        if let Some(mirror) = open.get(&terms.name) {
            let RemoteTree { bytes_max, .. } = terms;
            if (RemoteTree { bytes_max, ..mirror.terms.clone() }) == terms {
                mirror.bytes_max.store(bytes_max, Ordering::Relaxed);
                return Ok(Arc::clone(mirror));
            }
            mirror.stop.cancel();
        }
        let mirror = Arc::new(Mirror {
            client: terms
                .reach
                .client(&terms.url, TrustBase::Tls)
                .map_err(|error| MediaError::Failed(format!("{}: {error}", terms.url)))?,
            bytes_max: AtomicU64::new(terms.bytes_max),
            root: self.folder.mirror(&MediaFolder::mirror_id((&terms.name, &terms.url))),
            state: OnceCell::new(),
            fetches: Semaphore::new(FETCHES_MAX),
            last_asked: Mutex::default(),
            counters: MirrorCounters::default(),
            stop: self.stop.child_token(),
            tasks: self.tasks.clone(),
            terms: terms.clone(),
        });
        open.insert(terms.name, Arc::clone(&mirror));
        Ok(mirror)
    }

    /// Counts `bytes` of a file of this tree that a client got, if the tree is a mirror.
    pub fn served(&self, name: &str, bytes: u64) {
        if let Some(mirror) = lock(&self.open).get(name) {
            mirror.counters.served_bytes.fetch_add(bytes, Ordering::Relaxed);
        }
    }

    /// The status of each mirror, by its artifact's name.
    pub fn statuses(&self) -> Vec<(String, MirrorStatus)> {
        let open: Vec<Arc<Mirror>> = lock(&self.open).values().cloned().collect();
        open.into_iter().map(|mirror| (mirror.terms.name.clone(), mirror.status())).collect()
    }

    /// Ends the fetches of mirrors that no longer exist.
    pub fn keep_only(&self, names: &BTreeSet<&str>) {
        lock(&self.open).retain(|name, mirror| {
            let stays = names.contains(name.as_str());
            if !stays {
                mirror.stop.cancel();
            }
            stays
        });
    }

    /// Forgets the cache with this id, which is about to be deleted.
    pub fn forget(&self, id: &str) {
        lock(&self.open).retain(|_, mirror| {
            let stays = !mirror.root.ends_with(id);
            if !stays {
                mirror.stop.cancel();
            }
            stays
        });
    }

    /// Ends all fetches.
    pub async fn stop(&self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Seconds since 1970.
fn now() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}
