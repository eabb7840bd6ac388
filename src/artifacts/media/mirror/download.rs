//! One fetch of one file, for all clients that ask for it: the request to the upstream, the bytes to the disk
//! and at the same time to the clients, and the switch when the file is complete.
//!
//! Start at [`Mirror::fly`]. A lost connection is resumed (RFC 9110 section 14.2), so that clients do not
//! notice it. A file that does not become complete is not cached.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use reqwest::header::{ETAG, HeaderMap, HeaderName, IF_MODIFIED_SINCE, IF_NONE_MATCH, LAST_MODIFIED};
use reqwest::{Response, StatusCode};
use sha2::{Digest, Sha256};
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_util::task::task_tracker::TaskTrackerToken;

use super::cache_files::{held, new_id};
use super::cache_index::CachedEntry;
use super::download_stage::{DownloadHead, DownloadStage};
use super::{Mirror, MirrorMiss, lock, now, rules};
use crate::artifacts::media::{fetch, space};
use crate::model::hex;
use crate::outbound::innermost;

/// How long a fetch waits for its turn, and how long it may take in all.
const TURN_MAX: Duration = Duration::from_secs(60);
const FLIGHT_MAX: Duration = Duration::from_secs(6 * 3600);
/// How long the upstream may take to answer; less if there is a cached file to serve instead.
const ANSWER_MAX: Duration = Duration::from_secs(30);
const ANSWER_MAX_WITH_STALE: Duration = Duration::from_secs(8);
/// Most attempts to resume a lost connection without progress, and most attempts.
const FRUITLESS_TRIES_MAX: u32 = 4;
const TRIES_MAX: u32 = 100;
const PAUSE: Duration = Duration::from_millis(250);
/// Bytes that are written at a time, if so many have arrived.
const BATCH_BYTES: usize = 256 << 10;
/// Bytes for which room is made at a time if the upstream does not tell the length.
const STEP_BYTES: u64 = 8 << 20;
/// Fewest such steps that fill a cache, so that the last one evicts little that could have stayed.
const STEPS_MIN: u64 = 64;

/// A request to the upstream.
enum UpstreamRequest<'a> {
    /// The whole file.
    All,
    /// The whole file, if it differs from this one.
    Unless(&'a CachedEntry),
    /// The rest after so many bytes, of a file with this validator.
    Rest(u64, &'a str),
}

impl Mirror {
    /// Fetches a file and informs all who wait.
    pub(super) async fn fly(self: Arc<Self>, path: String, stage: watch::Sender<DownloadStage>) {
        let ended = tokio::select! {
            ended = timeout(FLIGHT_MAX, self.bring(&path, &stage)) => {
                ended.unwrap_or_else(|_| Err(MirrorMiss::Failed("the upstream is too slow".to_owned())))
            }
            () = self.stop.cancelled() => Err(MirrorMiss::Failed("the fetch was ended".to_owned())),
        };
        let missed = ended.err();
        if let Some(MirrorMiss::Failed(why)) = &missed {
            self.counters.count(&self.counters.failures);
            tracing::info!(artifact = self.terms.name, path, why, "a file of a mirror could not be fetched");
        }
        if let Some(state) = self.state.get() {
            lock(state).end(&path, missed.as_ref());
        }
        stage.send_replace(missed.map_or(DownloadStage::Kept, DownloadStage::Missed));
    }

    async fn bring(
        self: &Arc<Self>,
        path: &str,
        stage: &watch::Sender<DownloadStage>,
    ) -> Result<(), MirrorMiss> {
        let turn = timeout(TURN_MAX, self.fetches.acquire()).await;
        let _turn =
            turn.map_err(|_| MirrorMiss::Failed("too many files are being fetched; try again".to_owned()))?;
        let held = self.state().await?;
        let kept = lock(held).cache.index.get(path).cloned();
        let answer =
            self.ask(path, kept.as_ref().map_or(UpstreamRequest::All, UpstreamRequest::Unless)).await?;
        let is_folder = answer.url().path().ends_with('/');
        match answer.status() {
            StatusCode::NOT_MODIFIED if kept.is_some() => {
                self.counters.count(&self.counters.revalidated);
                lock(held).cache.checked(path, now());
                Ok(())
            }
            StatusCode::OK if !is_folder => {
                self.counters.count(&self.counters.misses);
                self.store(path, answer, stage).await
            }
            StatusCode::OK | StatusCode::NOT_FOUND | StatusCode::GONE => {
                lock(held).cache.throw_away(path);
                Err(MirrorMiss::Absent)
            }
            // File stores answer so for files that they lack, if nobody may list them.
            StatusCode::FORBIDDEN if kept.is_none() => Err(MirrorMiss::Absent),
            other if other.is_client_error() => {
                Err(MirrorMiss::Failed(format!("the upstream answers {other}")))
            }
            other => Err(self.failed(format!("{path}: the upstream answers {other}"))),
        }
    }

    /// Asks the upstream, and records whether it answers.
    async fn ask(&self, path: &str, what: UpstreamRequest<'_>) -> Result<Response, MirrorMiss> {
        let url = rules::address((&self.terms.url, path)).ok_or(MirrorMiss::Absent)?;
        let rest = match what {
            UpstreamRequest::Rest(from, validator) => Some((from, Some(validator))),
            _ => None,
        };
        let mut headers = fetch::asked_headers(rest);
        let mut patience = ANSWER_MAX;
        if let UpstreamRequest::Unless(kept) = what {
            patience = ANSWER_MAX_WITH_STALE;
            for (name, value) in [(IF_NONE_MATCH, &kept.etag), (IF_MODIFIED_SINCE, &kept.last_modified)] {
                value.iter().for_each(|value| fetch::set_header(&mut headers, (name.clone(), value)));
            }
        }
        let answer = timeout(patience, self.client.get(&url, headers)).await;
        let answer = answer.map_or_else(
            |_| Err(format!("the upstream did not answer within {} s", patience.as_secs())),
            |answer| answer.map_err(|error| error.to_string()),
        );
        match answer {
            Err(why) => {
                let why = format!("{url}: {why}");
                self.note(|state| state.unreached(&why));
                Err(MirrorMiss::Failed(why))
            }
            Ok(answer) if fetch::is_passing(answer.status()) => {
                Err(self.failed(format!("{url}: the upstream answers {}", answer.status())))
            }
            Ok(answer) => {
                self.note(|state| state.answered());
                Ok(answer)
            }
        }
    }

    fn note(&self, what: impl FnOnce(&mut super::MirrorState)) {
        if let Some(state) = self.state.get() {
            what(&mut lock(state));
        }
    }

    /// An error of the disk is a fault of this server, not of the upstream.
    fn refused(&self, path: &str, error: &io::Error) -> MirrorMiss {
        let why = format!("{path} finds no place: {error}");
        tracing::warn!(artifact = self.terms.name, why, "a file could not be kept");
        self.note(|state| state.trouble = Some(why.clone()));
        MirrorMiss::Failed(why)
    }

    fn failed(&self, why: String) -> MirrorMiss {
        self.note(|state| state.failed(&why));
        MirrorMiss::Failed(why)
    }

    /// Receives the file from the upstream, over as many connections as necessary.
    async fn store(
        self: &Arc<Self>,
        path: &str,
        answer: Response,
        stage: &watch::Sender<DownloadStage>,
    ) -> Result<(), MirrorMiss> {
        let total = answer.content_length();
        let kept = about(path, answer.headers())?;
        // A weak tag does not mean that the bytes are equal (RFC 9110 section 8.8.1).
        let validator = fetch::validator(answer.headers()).filter(|_| total.is_some());
        let mut intake = DownloadWriter::begin(Arc::clone(self), (kept, total), stage).await?;
        let (mut next, mut fruitless) = (Ok(answer), 0);
        for _ in 0..TRIES_MAX {
            let before = intake.have;
            let lost = match next {
                Ok(answer) => match intake.take(answer).await? {
                    None => return intake.finish().await,
                    Some(lost) => lost,
                },
                Err(lost) => lost,
            };
            fruitless = if intake.have > before { 0 } else { fruitless + 1 };
            let why = format!("{path}: the connection was lost after {} bytes: {lost}", intake.have);
            let Some(validator) = validator.as_deref().filter(|_| fruitless < FRUITLESS_TRIES_MAX) else {
                return Err(self.failed(why));
            };
            tokio::time::sleep(PAUSE.saturating_mul(1 << fruitless.min(16))).await;
            next = self.rest(path, (intake.have, validator)).await?;
        }
        Err(self.failed(format!("{path}: given up after {TRIES_MAX} connections")))
    }

    /// Requests the rest of a file. Returns why it cannot be had now; if the file has changed, the fetch
    /// fails.
    async fn rest(
        &self,
        path: &str,
        (have, validator): (u64, &str),
    ) -> Result<Result<Response, String>, MirrorMiss> {
        let answer = match self.ask(path, UpstreamRequest::Rest(have, validator)).await {
            Ok(answer) => answer,
            Err(miss) => return Ok(Err(miss.to_string())),
        };
        let range = fetch::content_range(answer.headers());
        match (answer.status(), range) {
            (StatusCode::PARTIAL_CONTENT, Some((Some(from), _)))
                if from == have && !fetch::is_of_another(answer.headers(), validator) =>
            {
                Ok(Ok(answer))
            }
            _ => Err(MirrorMiss::Failed(format!("{path} has become another file while it was fetched"))),
        }
    }
}

/// The entry of a file by the head of the response.
fn about(path: &str, headers: &HeaderMap) -> Result<CachedEntry, MirrorMiss> {
    let last_modified = header_text(headers, LAST_MODIFIED);
    let parser = jiff::fmt::rfc2822::DateTimeParser::new();
    let modified = last_modified.as_ref().and_then(|date| parser.parse_timestamp(date).ok());
    Ok(CachedEntry {
        path: path.to_owned(),
        body: new_id().map_err(|error| MirrorMiss::Failed(error.to_string()))?,
        etag: header_text(headers, ETAG),
        last_modified,
        modified: modified.map_or_else(now, |time| time.as_second()),
        ..CachedEntry::default()
    })
}

fn header_text(headers: &HeaderMap, name: HeaderName) -> Option<String> {
    headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
}

/// Room in the cache for a file that is arriving. If it is dropped before the file is installed, the file is
/// deleted.
struct CacheReservation {
    mirror: Arc<Mirror>,
    id: String,
    bytes: u64,
    /// Stopping waits until this is dropped: a write may continue for a moment when nobody waits for it any
    /// more.
    _awaited: TaskTrackerToken,
}

impl CacheReservation {
    /// Reserves `bytes` more. It may wait for the disk.
    fn grow(&mut self, bytes: u64) -> io::Result<()> {
        let most = self.mirror.bytes_max.load(Ordering::Relaxed);
        let Some(state) = self.mirror.state.get() else { return Ok(()) };
        let mut state = lock(state);
        let evicted = state.cache.make_room((bytes, most))?;
        state.cache.index.promise(bytes);
        self.bytes += bytes;
        self.mirror.counters.evicted.fetch_add(evicted as u64, Ordering::Relaxed);
        Ok(())
    }

    /// Installs the file; from now on it is served.
    fn fill(mut self, kept: CachedEntry) -> io::Result<()> {
        let Some(state) = self.mirror.state.get() else { return Ok(()) };
        let mut state = lock(state);
        state.cache.index.release(std::mem::take(&mut self.bytes));
        state.cache.place(kept)
    }
}

impl Drop for CacheReservation {
    fn drop(&mut self) {
        let Some(state) = self.mirror.state.get() else { return };
        let mut state = lock(state);
        state.cache.index.release(self.bytes);
        // After the installation the file is no longer at this path.
        drop(std::fs::remove_file(state.cache.new_body(&self.id)));
    }
}

/// A file that is being written to disk.
struct DownloadWriter<'a> {
    mirror: Arc<Mirror>,
    stage: &'a watch::Sender<DownloadStage>,
    /// The head for readers of the incomplete file; none while the length is unknown.
    head: Option<Arc<DownloadHead>>,
    kept: CachedEntry,
    total: Option<u64>,
    have: u64,
    /// `None` while a batch is being written.
    disk: Option<DiskWriter>,
}

/// The parts that writing needs, on a thread for blocking work.
struct DiskWriter {
    file: File,
    hash: Sha256,
    room: CacheReservation,
    unlooked: u64,
}

impl<'a> DownloadWriter<'a> {
    async fn begin(
        mirror: Arc<Mirror>,
        (kept, total): (CachedEntry, Option<u64>),
        stage: &'a watch::Sender<DownloadStage>,
    ) -> Result<Self, MirrorMiss> {
        let (id, modified, owner) = (kept.body.clone(), kept.modified, Arc::clone(&mirror));
        let awaited = mirror.tasks.token();
        let opened = blocking(move || {
            let mut room = CacheReservation { mirror: owner, id, bytes: 0, _awaited: awaited };
            room.grow(total.unwrap_or(0))?;
            let place = room.mirror.state.get().map(|state| lock(state).cache.new_body(&room.id));
            let place = place.ok_or(io::ErrorKind::NotFound)?;
            let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&place)?;
            let head = DownloadHead {
                file: held(&place)?,
                bytes: total.unwrap_or(0),
                id: room.id.clone(),
                modified,
            };
            Ok((DiskWriter { file, hash: Sha256::new(), room, unlooked: 0 }, head))
        });
        let (disk, head) = opened.await.map_err(|error| mirror.refused(&kept.path, &error))?;
        let head = total.map(|_| Arc::new(head));
        if let Some(head) = &head {
            stage.send_replace(DownloadStage::Coming(Arc::clone(head), 0));
        }
        Ok(DownloadWriter { mirror, stage, head, kept, total, have: 0, disk: Some(disk) })
    }

    /// Receives all bytes of one response. Returns why it ended before the file was complete.
    async fn take(&mut self, mut answer: Response) -> Result<Option<String>, MirrorMiss> {
        loop {
            let (mut batch, mut bytes, mut end) = (Vec::new(), 0, None);
            while bytes < BATCH_BYTES && end.is_none() {
                // Waits for the first piece only: readers get what has arrived.
                let next = match batch.is_empty() {
                    true => Some(answer.chunk().await),
                    false => answer.chunk().now_or_never(),
                };
                match next {
                    None => break,
                    Some(Ok(Some(chunk))) => {
                        bytes += chunk.len();
                        batch.push(chunk);
                    }
                    Some(Ok(None)) => end = Some(None),
                    Some(Err(error)) => end = Some(Some(innermost(&error))),
                }
            }
            self.write(batch).await?;
            let missing = self.total.is_some_and(|total| self.have < total);
            match end {
                None => {}
                Some(None) if missing => return Ok(Some("it ended".to_owned())),
                Some(lost) => return Ok(lost.filter(|_| missing || self.total.is_none())),
            }
        }
    }

    async fn write(&mut self, batch: Vec<Bytes>) -> Result<(), MirrorMiss> {
        let bytes: u64 = batch.iter().map(|chunk| chunk.len() as u64).sum();
        if self.total.is_some_and(|total| self.have + bytes > total) {
            return Err(MirrorMiss::Failed(format!(
                "{}: the upstream sends more than it said",
                self.kept.path
            )));
        }
        let Some(mut disk) = self.disk.take() else { return Ok(()) };
        let have = self.have + bytes;
        let written = blocking(move || disk.write(&batch, have).map(|()| disk)).await;
        self.disk = Some(written.map_err(|error| self.mirror.refused(&self.kept.path, &error))?);
        self.have = have;
        self.mirror.counters.fetched_bytes.fetch_add(bytes, Ordering::Relaxed);
        if let Some(head) = &self.head {
            self.stage.send_replace(DownloadStage::Coming(Arc::clone(head), have));
        }
        Ok(())
    }

    async fn finish(mut self) -> Result<(), MirrorMiss> {
        let Some(DiskWriter { file, hash, room, .. }) = self.disk.take() else { return Ok(()) };
        let path = self.kept.path.clone();
        let (bytes, sha256) = (self.have, hex(&hash.finalize()));
        let kept = CachedEntry { bytes, sha256, checked_at: now(), ..self.kept };
        let placed = blocking(move || {
            file.sync_data()?;
            room.fill(kept)
        });
        placed.await.map_err(|error| self.mirror.refused(&path, &error))?;
        self.mirror.note(|state| state.trouble = None);
        Ok(())
    }
}

impl DiskWriter {
    fn write(&mut self, batch: &[Bytes], have: u64) -> io::Result<()> {
        if have > self.room.bytes {
            let most = self.room.mirror.bytes_max.load(Ordering::Relaxed);
            self.room.grow((have - self.room.bytes).max(STEP_BYTES.min(most / STEPS_MIN)))?;
        }
        for chunk in batch {
            self.file.write_all(chunk)?;
            self.hash.update(chunk);
            self.unlooked += chunk.len() as u64;
        }
        if self.unlooked >= space::LOOK_EVERY_BYTES {
            self.unlooked = 0;
            space::check(&self.room.mirror.root, 0)?;
        }
        Ok(())
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| Err(io::Error::other(error)))
}
