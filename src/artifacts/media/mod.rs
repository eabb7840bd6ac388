//! Gets the files of artifacts to the server: fetches, checks and unpacks them, and stores them in the
//! server's own directory.
//!
//! Start at [`bring`]: from a source to a finished tree that is not installed yet. [`MediaFolder`] is the
//! layout on disk. `fetch` downloads one file, `format` recognises it, `iso` and `tarball` read it, and
//! `tree` writes the content and never leaves its directory. `share` stores equal files of trees once.
//! [`manifest`] lists the content of a tree, `garbage` finds files that nothing refers to, and `mirror`
//! passes a remote tree on file by file. The rest of the house decides on the state of artifacts and on
//! access.

mod fetch;
mod folder;
mod format;
pub mod garbage;
mod iso;
pub mod manifest;
mod mirror;
pub mod repositories;
mod share;
mod space;
mod tarball;
mod tree;

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

pub use crate::outbound::FetchReach;
pub use folder::{MediaFolder, UnpackLimits};
pub use manifest::TreeManifest;
pub use mirror::{DownloadRest, Mirror, MirrorMiss, MirrorSet, RemoteTree};

use crate::model::{ArtifactKind, ArtifactSource, Checksum};
use fetch::FetchRequest;
use tree::{TreeLimits, TreeWriter};

/// Why files could not be had.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MediaError {
    /// The fault, for an operator.
    #[error("{0}")]
    Failed(String),
    /// The job was stopped; it can resume later.
    #[error("stopped")]
    Stopped,
}

/// The phase of a job.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum JobPhase {
    #[default]
    Fetching,
    Checking,
    Unpacking,
    Reading,
}

/// The progress of a job, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct JobProgress {
    pub phase: JobPhase,
    pub done: u64,
    /// None if the other side does not tell.
    pub total: Option<u64>,
}

impl JobProgress {
    /// From 0 to 100.
    pub fn percent(&self) -> Option<u8> {
        let total = self.total.filter(|total| *total > 0)?;
        u8::try_from(self.done.min(total).saturating_mul(100) / total).ok()
    }
}

/// A job that can be watched and stopped.
#[derive(Clone, Debug)]
pub struct MediaJob {
    pub stop: CancellationToken,
    progress: Arc<watch::Sender<JobProgress>>,
    /// When unpacking has to be done, and how long that was; nothing while it is fetched.
    deadline: Arc<OnceLock<(Instant, Duration)>>,
}

impl MediaJob {
    pub fn new(stop: CancellationToken) -> Self {
        let progress = Arc::new(watch::Sender::new(JobProgress::default()));
        MediaJob { stop, progress, deadline: Arc::default() }
    }

    /// The progress, whenever it changes.
    pub fn watch(&self) -> watch::Receiver<JobProgress> {
        self.progress.subscribe()
    }

    fn begin(&self, phase: JobPhase, total: Option<u64>) {
        self.progress.send_replace(JobProgress { phase, done: 0, total });
    }

    fn at(&self, done: u64) {
        self.progress.send_modify(|progress| progress.done = done);
    }

    fn add(&self, bytes: u64) {
        self.progress.send_modify(|progress| progress.done = progress.done.saturating_add(bytes));
    }

    /// From now on the work may take so long.
    fn end_within(&self, time: Duration) {
        if let Some(at) = Instant::now().checked_add(time) {
            self.deadline.get_or_init(|| (at, time));
        }
    }

    /// Fails blocking work after the job was stopped, or its time is over.
    fn check(&self) -> io::Result<()> {
        if self.stop.is_cancelled() {
            return Err(io::Error::other("stopped"));
        }
        match self.deadline.get() {
            Some((at, time)) if Instant::now() >= *at => Err(io::Error::new(
                io::ErrorKind::TimedOut,
                format!(
                    "unpacking it took longer than {} s: if it is an honest file, raise \
                     `artifacts.unpack_seconds_max` in the server's configuration",
                    time.as_secs()
                ),
            )),
            _ => Ok(()),
        }
    }

    fn failed(&self, error: &io::Error) -> MediaError {
        if self.stop.is_cancelled() { MediaError::Stopped } else { MediaError::Failed(error.to_string()) }
    }
}

/// An order: an artifact's source, with the proxy to use.
#[derive(Clone, Debug)]
pub struct MediaOrder {
    /// The artifact's name.
    pub name: String,
    pub source: ArtifactSource,
    pub kind: ArtifactKind,
    /// The name of a single file.
    pub file_name: String,
    pub reach: FetchReach,
    /// The opened files of a source on this host, in the order of `source.local_files()`; none for a source
    /// that is fetched.
    pub local: Arc<[File]>,
}

/// A finished tree that is not installed yet, and its manifest.
#[derive(Debug)]
pub struct FetchedTree {
    pub(crate) tree: PathBuf,
    pub manifest: TreeManifest,
}

/// As an operator writes it whose mirror is on the same host.
#[cfg(test)]
fn on_loopback() -> FetchReach {
    let policy = crate::model::FetchPolicy::new(vec!["127.0.0.0/8".parse().unwrap()]);
    FetchReach::new(None, Arc::new(policy), crate::outbound::FetchScope::Listed)
}

/// Fetches, checks and unpacks a source. An earlier download is resumed. The unpacked tree stays beside its
/// place until [`MediaFolder::install`].
///
/// # Errors
/// The fault with its file or URL, or that the job was stopped.
pub async fn bring(
    folder: &MediaFolder,
    order: &MediaOrder,
    job: &MediaJob,
) -> Result<FetchedTree, MediaError> {
    let mut fetched = Vec::new();
    for (get, name) in wanted(order) {
        fetched.push(LocalFile { path: fetch::fetch(folder, &get, job).await?, name, shown: None });
    }
    for ((get, name), file) in local(order).zip(order.local.iter()) {
        let path = PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()));
        fetch::verify(&path, &get, job).await?.map_err(MediaError::Failed)?;
        fetched.push(LocalFile { path, name, shown: Some(get.url) });
    }
    let (folder, kind, job) = (folder.clone(), order.kind, job.clone());
    let open = Arc::clone(&order.local);
    let built = tokio::task::spawn_blocking(move || {
        let built = build(&folder, (kind, &fetched), &job);
        // Files on this host are read through their descriptors.
        drop(open);
        built
    });
    built.await.map_err(|error| MediaError::Failed(format!("unpacking ended: {error}")))?
}

/// The files to fetch, each with its name in the tree; an image or tarball has none.
fn wanted(order: &MediaOrder) -> Vec<(FetchRequest, Option<String>)> {
    if !order.local.is_empty() {
        return Vec::new();
    }
    let gets = order.source.downloads().map(|(url, checksum)| get(order, (url, checksum)));
    gets.zip(names(order)).collect()
}

/// The files of this host, each with its checksum and its name in the tree.
fn local(order: &MediaOrder) -> impl Iterator<Item = (FetchRequest, Option<String>)> {
    let path = order.source.local_path().unwrap_or_default();
    let gets = order.source.local_files().map(move |(name, checksum)| {
        let shown =
            name.map_or_else(|| path.clone(), |name| format!("{}/{name}", path.trim_end_matches('/')));
        get(order, (shown, checksum))
    });
    gets.zip(names(order))
}

fn get(order: &MediaOrder, (url, checksum): (String, Option<&Checksum>)) -> FetchRequest {
    FetchRequest {
        artifact: order.name.clone(),
        url,
        checksum: checksum.cloned(),
        reach: order.reach.clone(),
        // An image is on the disk twice until it is unpacked.
        room: if is_image(order) { 2 } else { 1 },
    }
}

fn is_image(order: &MediaOrder) -> bool {
    order.kind == ArtifactKind::Tree && order.source.files.is_empty()
}

fn names(order: &MediaOrder) -> Vec<Option<String>> {
    let single = (!is_image(order)).then(|| order.file_name.clone());
    let listed = order.source.files.iter().map(|file| Some(file.path.clone()));
    if order.source.files.is_empty() { vec![single] } else { listed.collect() }
}

/// A file on this host.
struct LocalFile {
    path: PathBuf,
    /// Its name in the tree.
    name: Option<String>,
    /// Its name in messages, if not its path.
    shown: Option<String>,
}

fn build(
    folder: &MediaFolder,
    (kind, pieces): (ArtifactKind, &[LocalFile]),
    job: &MediaJob,
) -> Result<FetchedTree, MediaError> {
    let tree = folder.new_tree().map_err(|error| job.failed(&error))?;
    job.end_within(folder.limits.within);
    let built = fill((&tree, folder.limits), pieces, job).and_then(|()| {
        let manifest = TreeManifest::of(&tree, kind, job)?;
        share::with_others(folder, (&tree, &manifest), job)?;
        space::flush(&tree)?;
        Ok(manifest)
    });
    match built {
        Ok(manifest) => {
            for piece in pieces {
                folder.forget_fetched(&piece.path);
            }
            Ok(FetchedTree { tree, manifest })
        }
        Err(error) => {
            drop(std::fs::remove_dir_all(&tree));
            Err(job.failed(&error))
        }
    }
}

fn fill((tree, limits): (&Path, UnpackLimits), pieces: &[LocalFile], job: &MediaJob) -> io::Result<()> {
    let mut bytes = 0;
    for piece in pieces {
        bytes += std::fs::metadata(&piece.path).map_err(|error| at(piece, &error))?.len();
    }
    space::check(tree, bytes)?;
    job.begin(JobPhase::Unpacking, Some(bytes));
    let mut writer =
        TreeWriter::new(tree, TreeLimits::for_source(bytes).within(limits.bytes_max), job.clone());
    for piece in pieces {
        let done = match &piece.name {
            Some(name) => writer.copy(&piece.path, name),
            None => format::unpack(&piece.path, &mut writer, job),
        };
        done.map_err(|error| at(piece, &error))?;
    }
    writer.finish()
}

/// An error about the file's own name: the rest of the path is internal.
fn at(piece: &LocalFile, error: &io::Error) -> io::Error {
    let shown = piece.shown.as_ref().map_or(piece.path.as_path(), Path::new);
    let name = shown.file_name().unwrap_or_default().to_string_lossy();
    let ours = name == fetch::BODY;
    let text = if ours { error.to_string() } else { format!("{name}: {error}") };
    io::Error::new(error.kind(), text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(folder: &Path, name: Option<&str>, bytes: &[u8]) -> Vec<LocalFile> {
        let path = folder.join("source");
        std::fs::write(&path, bytes).unwrap();
        vec![LocalFile { path, name: name.map(str::to_owned), shown: None }]
    }

    fn left(outer: &Path) -> usize {
        std::fs::read_dir(outer.join("media/new")).map_or(0, Iterator::count)
    }

    #[test]
    fn what_is_beyond_the_setting_is_refused_and_leaves_nothing() {
        let outer = tempfile::tempdir().unwrap();
        let limits = UnpackLimits { bytes_max: 1000, ..UnpackLimits::default() };
        let folder = MediaFolder::at(outer.path().join("media")).with_limits(limits);
        let job = MediaJob::new(CancellationToken::new());
        let large = pieces(outer.path(), Some("a"), &[1; 1001]);
        let why = build(&folder, (ArtifactKind::File, &large), &job).unwrap_err().to_string();
        assert!(why.contains("artifacts.unpack_bytes_max"), "{why}");
        let damaged = pieces(outer.path(), None, b"no tarball");
        assert!(build(&folder, (ArtifactKind::Tree, &damaged), &job).is_err());
        assert_eq!(left(outer.path()), 0);
        let small = pieces(outer.path(), Some("a"), &[1; 1000]);
        assert!(build(&folder, (ArtifactKind::File, &small), &job).is_ok());
    }

    #[test]
    fn what_was_being_unpacked_when_the_server_was_killed_goes_at_the_next_start() {
        let outer = tempfile::tempdir().unwrap();
        let folder = MediaFolder::at(outer.path().join("media"));
        let tree = folder.new_tree().unwrap();
        std::fs::create_dir(tree.join("deep")).unwrap();
        std::fs::write(tree.join("deep/half"), "half").unwrap();
        assert_eq!(left(outer.path()), 1);
        folder.sweep().unwrap();
        assert_eq!(left(outer.path()), 0);
    }
}
