//! Documents that machines are served during their runs. They are queued when they are served, and written in
//! groups after the answer, so that nothing waits for them. A server that is killed loses the documents of
//! that moment.
//!
//! No secret is written: whoever serves a document provides a function that makes the text without its
//! capability and with secrets covered (docs/adr/0027).

use std::collections::HashSet;
use std::hash::BuildHasher;
use std::io::{Read, Write};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use flate2::Compression;
use flate2::read::ZlibDecoder;
use flate2::write::ZlibEncoder;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::background::{WorkDescription, WorkHandle};
use crate::kernel::event_queue::next_group;
use crate::kernel::{Caller, Error, KeptDocument};
use crate::model::{Kind, MachineStatus, RefusalCode, ServedDocument, settings, sha256_hex};
use crate::rate_limit::warn_limited;
use crate::records::Records;

/// The background work that writes served documents.
pub const WORK: WorkDescription = WorkDescription {
    name: "served-documents",
    about: "Keeps the documents that machines were served under their runs.",
    period: Duration::ZERO,
    nudged_by: "such a document",
};

/// Most bytes of documents that wait to be written.
const QUEUED_BYTES_MAX: usize = 32 << 20;
/// Most documents that are written at once.
const GROUP_MAX: usize = 64;
/// Most documents that are remembered as kept. Beyond that the memory is cleared.
const KNOWN_MAX: usize = 16_384;
/// Longest text that is read back, in bytes: no setting allows more.
const TEXT_BYTES_MAX: u64 = 4 << 20;
/// Longest reason why a text is not kept, in characters.
const NOTE_CHARS_MAX: usize = 300;

/// The text that replaces a secret.
pub const REDACTED: &str = "(sealed)";

/// The reason why a text is not kept that was waiting when the server stopped.
pub const STOPPING: &str = "the server was stopping";

/// Makes the text of a document that may be kept, or says why there is none. It may take as long as a render.
pub type KeptText = Box<dyn FnOnce() -> Result<String, String> + Send>;

/// A document that is being served.
#[derive(Clone, Copy, Debug, Hash)]
pub struct DocumentServing<'a> {
    pub run: Uuid,
    pub machine: Uuid,
    pub attempt: Option<Uuid>,
    pub job: Option<Uuid>,
    /// The path without the capability.
    pub path: &'a str,
    /// SHA-256 of the served text.
    pub sha256: &'a str,
    pub bytes: usize,
    /// Whether the text contains a secret.
    pub is_secret: bool,
}

/// A document that waits to be written.
pub struct QueuedDocument {
    run: Uuid,
    document: ServedDocument,
    text: KeptText,
}

/// What is known without asking the database.
#[derive(Default)]
pub struct DocumentMemory {
    /// Hashes of documents that were queued recently.
    known: Mutex<HashSet<u64>>,
    hasher: foldhash::fast::RandomState,
    queued_bytes: AtomicUsize,
    /// Length of all texts on disk, after it was read once.
    kept_bytes: Mutex<Option<u64>>,
}

/// The counters for metrics.
#[derive(Debug, Default)]
pub struct RecordCounters {
    pub kept: AtomicU64,
    /// Documents that were not kept, because too many waited or the database took none.
    pub dropped: AtomicU64,
    /// Items that pruning deleted, of all kinds.
    pub pruned: AtomicU64,
    /// Length of all texts on disk, in bytes.
    pub kept_bytes: AtomicU64,
}

/// The open run of a machine, to which the documents belong that it is served.
pub fn run_under_way(status: &MachineStatus) -> Option<Uuid> {
    status.run.as_ref().filter(|run| run.ended_at.is_none()).map(|run| run.id)
}

impl Records {
    /// Queues a document that is served. It never waits; a document that was queued before costs a look-up.
    pub fn keep(&self, serving: &DocumentServing<'_>, text: impl FnOnce() -> KeptText) {
        let hash = self.memory.hasher.hash_one(serving);
        if self.memory.known.lock().unwrap_or_else(PoisonError::into_inner).contains(&hash) {
            return;
        }
        let queued = self.memory.queued_bytes.fetch_add(serving.bytes, Ordering::Relaxed);
        let taken = queued.saturating_add(serving.bytes) <= QUEUED_BYTES_MAX
            && self.queue.try_send(self.served(serving, text())).is_ok();
        if !taken {
            self.memory.queued_bytes.fetch_sub(serving.bytes, Ordering::Relaxed);
            self.counters.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let mut known = self.memory.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= KNOWN_MAX {
            known.clear();
        }
        known.insert(hash);
    }

    fn served(&self, serving: &DocumentServing<'_>, text: KeptText) -> QueuedDocument {
        let document = ServedDocument {
            path: serving.path.to_owned(),
            digest: None,
            bytes: serving.bytes as u64,
            served_at: self.kernel.now(),
            machine: serving.machine,
            attempt: serving.attempt,
            job: serving.job,
            covered: serving.is_secret,
            note: String::new(),
        };
        QueuedDocument { run: serving.run, document, text }
    }

    /// Writes queued documents until it is stopped, and then those that still wait.
    pub async fn run(self: Arc<Self>, handle: WorkHandle, stop: CancellationToken) {
        let taken = self.queued.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(mut queued) = taken else { return };
        if let Err(error) = self.kept_bytes().await {
            warn_limited!(%error, "the size of all served documents is not known yet");
        }
        while let Some(group) = next_group((&mut queued, GROUP_MAX), &stop).await {
            // What was not kept is counted and logged with the reason; there is nobody to be told.
            handle.watch(self.write(group)).await.ok();
        }
    }

    /// Writes the documents that are queued now.
    #[cfg(test)]
    pub async fn write_queued(&self) {
        let mut group = Vec::new();
        let mut queued = self.queued.lock().unwrap_or_else(PoisonError::into_inner).take().unwrap();
        while let Ok(served) = queued.try_recv() {
            group.push(served);
        }
        *self.queued.lock().unwrap_or_else(PoisonError::into_inner) = Some(queued);
        self.write(group).await.unwrap();
    }

    async fn write(&self, group: Vec<QueuedDocument>) -> Result<(), Error> {
        let count = group.len() as u64;
        let bytes: u64 = group.iter().map(|served| served.document.bytes).sum();
        let done = self.try_write(group).await;
        self.memory.queued_bytes.fetch_sub(usize::try_from(bytes).unwrap_or(usize::MAX), Ordering::Relaxed);
        let counter = if done.is_ok() { &self.counters.kept } else { &self.counters.dropped };
        counter.fetch_add(count, Ordering::Relaxed);
        done.map_err(|error| {
            self.memory.known.lock().unwrap_or_else(PoisonError::into_inner).clear();
            Error::Failed(format!("{count} documents that were served are not kept: {error}"))
        })
    }

    async fn try_write(&self, group: Vec<QueuedDocument>) -> Result<(), Error> {
        let bytes_max = self.setting(settings::DOCUMENT_BYTES_MAX);
        let mut documents = Vec::with_capacity(group.len());
        for served in group {
            // A text may have to be rendered, which must not run on a thread that packets wait for.
            let made = tokio::task::spawn_blocking(move || kept(served, bytes_max));
            documents.push(made.await.map_err(|error| Error::Failed(error.to_string()))?);
        }
        let new: u64 = documents.iter().map(|document| document.content.len() as u64).sum();
        if !self.has_room_for(new).await? {
            let note = format!("the texts that are kept have reached {}", settings::DOCUMENTS_KEPT_BYTES);
            documents.iter_mut().for_each(|document| leave_out(document, &note));
        }
        let grown = self.kernel.keep_documents(documents).await?;
        self.count_kept(|bytes| bytes.saturating_add(grown));
        Ok(())
    }

    /// Whether texts of so many bytes fit below the total bound, if necessary after pruning.
    async fn has_room_for(&self, new: u64) -> Result<bool, Error> {
        let most = self.setting(settings::DOCUMENTS_KEPT_BYTES);
        let fits = |kept: u64| kept.saturating_add(new) <= most;
        if fits(self.kept_bytes().await?) {
            return Ok(true);
        }
        self.make_room(new).await?;
        Ok(fits(self.kept_bytes().await?))
    }

    pub(super) fn setting(&self, name: &str) -> u64 {
        let value = self.kernel.read(|world| world.setting(name));
        value.as_u64().or_else(|| settings::default(name).as_u64()).unwrap_or(0)
    }

    /// Length of all texts on disk, in bytes.
    async fn kept_bytes(&self) -> Result<u64, Error> {
        if let Some(known) = self.known_kept_bytes() {
            return Ok(known);
        }
        let read = self.kernel.document_usage().await?.kept_bytes;
        *self.memory.kept_bytes.lock().unwrap_or_else(PoisonError::into_inner) = Some(read);
        self.counters.kept_bytes.store(read, Ordering::Relaxed);
        Ok(read)
    }

    /// The same, if it was read before.
    pub(super) fn known_kept_bytes(&self) -> Option<u64> {
        *self.memory.kept_bytes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn count_kept(&self, change: impl FnOnce(u64) -> u64) {
        let mut kept = self.memory.kept_bytes.lock().unwrap_or_else(PoisonError::into_inner);
        *kept = kept.map(change);
        self.counters.kept_bytes.store(kept.unwrap_or_default(), Ordering::Relaxed);
    }

    /// The documents of a run; none if the caller may not read the run.
    ///
    /// # Errors
    /// The database failed.
    pub async fn documents_of(&self, caller: &Caller, run: Uuid) -> Result<Vec<ServedDocument>, Error> {
        let may_read = self.kernel.read(|world| caller.may_read(world, (Kind::Run, &run.to_string())));
        if may_read { self.kernel.served_documents(run).await } else { Ok(Vec::new()) }
    }

    /// A document of a run with its text: the one that was last served at a path, or the one with a digest.
    ///
    /// `None` if the run was served no such document.
    ///
    /// # Errors
    /// [`Error::Conflict`] if the text is not kept, with the reason; the database failed.
    pub async fn document(
        &self,
        caller: &Caller,
        run: Uuid,
        (path, digest): (&str, Option<&str>),
    ) -> Result<Option<(ServedDocument, String)>, Error> {
        let documents = self.documents_of(caller, run).await?;
        let found = documents
            .iter()
            .filter(|document: &&ServedDocument| {
                document.path == path
                    && digest.is_none_or(|digest| document.digest.as_deref() == Some(digest))
            })
            .max_by_key(|document| document.served_at);
        let Some(found) = found else { return Ok(None) };
        let content = match &found.digest {
            Some(digest) => self.kernel.document_content(digest).await?,
            None => None,
        };
        let Some(content) = content else {
            let why = if found.note.is_empty() { "it was pruned" } else { &found.note };
            let why = format!("the text of `{path}` is not kept: {why}");
            return Err(Error::Conflict(RefusalCode::NotKept, why));
        };
        Ok(Some((found.clone(), inflated(&content)?)))
    }
}

/// Makes the text and compresses it.
fn kept(served: QueuedDocument, bytes_max: u64) -> KeptDocument {
    let QueuedDocument { run, mut document, text } = served;
    let mut content = Vec::new();
    let made = text().and_then(|text| {
        if text.len() as u64 > bytes_max {
            let (bytes, bound) = (text.len(), settings::DOCUMENT_BYTES_MAX);
            return Err(format!("it has {bytes} bytes, more than {bound} allows"));
        }
        content = deflated(text.as_bytes()).map_err(|error| error.to_string())?;
        Ok(sha256_hex(&text))
    });
    match made {
        Ok(digest) => document.digest = Some(digest),
        Err(why) => document.note = why.chars().take(NOTE_CHARS_MAX).collect(),
    }
    KeptDocument { run, served: document, content }
}

/// Records the document without its text.
fn leave_out(document: &mut KeptDocument, note: &str) {
    document.content = Vec::new();
    if document.served.digest.take().is_some() {
        document.served.note = note.to_owned();
    }
}

fn deflated(text: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text)?;
    encoder.finish()
}

fn inflated(content: &[u8]) -> Result<String, Error> {
    let mut text = String::new();
    let read = ZlibDecoder::new(content).take(TEXT_BYTES_MAX).read_to_string(&mut text);
    read.map_err(|error| Error::Failed(format!("a document in the database is damaged: {error}")))?;
    Ok(text)
}
