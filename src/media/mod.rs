//! Brings the files of artifacts to the server: fetches, checks, unpacks, and keeps them in its own
//! directory.
//!
//! Start at [`bring`]: from a source to a finished tree that is not in its place yet. [`Folder`] is where
//! things are on disk; `fetch` gets one file over HTTP, `format` tells what it is, `iso` and `tarball` read
//! it, `tree` writes what they find and never leaves its directory, `share` has equal files of trees once.
//! [`manifest`] is what a tree consists of, `garbage` what nobody refers to; `mirror` passes a remote tree on
//! file by file. What an artifact's state is, and who may ask for what, is `app::artifacts`' business.

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

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

pub use folder::Folder;
pub use manifest::Manifest;
pub use mirror::{Coming, Found, Mirror, Mirrors, Miss, Terms};

use crate::model::{ArtifactKind, ArtifactSource};
use fetch::Get;
use tree::{Limits, TreeWriter};

/// Why files could not be brought.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// What went wrong, for an operator.
    #[error("{0}")]
    Failed(String),
    /// The job was told to stop; it can be begun again where it was.
    #[error("stopped")]
    Stopped,
}

/// What is being done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Phase {
    #[default]
    Fetching,
    Checking,
    Unpacking,
    Reading,
}

/// How far it is, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    pub phase: Phase,
    pub done: u64,
    /// Nothing where the other side does not say.
    pub total: Option<u64>,
}

impl Progress {
    /// 0 to 100.
    pub fn percent(&self) -> Option<u8> {
        let total = self.total.filter(|total| *total > 0)?;
        u8::try_from(self.done.min(total).saturating_mul(100) / total).ok()
    }
}

/// A piece of work that can be watched and stopped.
#[derive(Clone, Debug)]
pub struct Job {
    pub stop: CancellationToken,
    progress: Arc<watch::Sender<Progress>>,
}

impl Job {
    pub fn new(stop: CancellationToken) -> Self {
        Job { stop, progress: Arc::new(watch::Sender::new(Progress::default())) }
    }

    /// How far it is, whenever that changes.
    pub fn watch(&self) -> watch::Receiver<Progress> {
        self.progress.subscribe()
    }

    fn begin(&self, phase: Phase, total: Option<u64>) {
        self.progress.send_replace(Progress { phase, done: 0, total });
    }

    fn at(&self, done: u64) {
        self.progress.send_modify(|progress| progress.done = done);
    }

    fn add(&self, bytes: u64) {
        self.progress.send_modify(|progress| progress.done = progress.done.saturating_add(bytes));
    }

    /// Ends work that blocks, when it was told to stop.
    fn check(&self) -> io::Result<()> {
        if self.stop.is_cancelled() { Err(io::Error::other("stopped")) } else { Ok(()) }
    }

    fn failed(&self, error: &io::Error) -> Error {
        if self.stop.is_cancelled() { Error::Stopped } else { Error::Failed(error.to_string()) }
    }
}

/// What is wanted: an artifact's source, with the proxy to go through.
#[derive(Clone, Debug)]
pub struct Order {
    /// The artifact's name.
    pub name: String,
    pub source: ArtifactSource,
    pub kind: ArtifactKind,
    /// What a single file is called.
    pub file_name: String,
    pub proxy: Option<String>,
}

/// A finished tree beside its place, and what it consists of.
#[derive(Debug)]
pub struct Brought {
    pub(crate) tree: PathBuf,
    pub manifest: Manifest,
}

/// Fetches, checks and unpacks. What was fetched before is gone on with; what is unpacked stands beside its
/// place until [`Folder::install`].
///
/// # Errors
/// What went wrong, with the file or URL, or that it was told to stop.
pub async fn bring(folder: &Folder, order: &Order, job: &Job) -> Result<Brought, Error> {
    let mut fetched = Vec::new();
    for (get, name) in wanted(order) {
        fetched.push((fetch::fetch(folder, &get, job).await?, name));
    }
    let (folder, kind, job) = (folder.clone(), order.kind, job.clone());
    let built = tokio::task::spawn_blocking(move || build(&folder, (kind, &fetched), &job));
    built.await.map_err(|error| Error::Failed(format!("unpacking ended: {error}")))?
}

/// The files to fetch, each with what it is called in the tree; an image or tarball has no name there.
fn wanted(order: &Order) -> Vec<(Get, Option<String>)> {
    let source = &order.source;
    let is_image = order.kind == ArtifactKind::Tree && source.files.is_empty();
    let listed = source.files.iter().map(|file| Some(file.path.clone()));
    let single = (!is_image).then(|| order.file_name.clone());
    let names = if source.files.is_empty() { vec![single] } else { listed.collect() };
    let gets = source.downloads().map(|(url, checksum)| Get {
        artifact: order.name.clone(),
        url,
        checksum: checksum.cloned(),
        proxy: source.proxy.clone().or_else(|| order.proxy.clone()),
        // An image is on the disk twice until it is unpacked.
        room: if is_image { 2 } else { 1 },
    });
    gets.zip(names).collect()
}

/// A file on this disk, and what it is called in the tree.
type Piece = (PathBuf, Option<String>);

fn build(folder: &Folder, (kind, pieces): (ArtifactKind, &[Piece]), job: &Job) -> Result<Brought, Error> {
    let tree = folder.new_tree().map_err(|error| job.failed(&error))?;
    let built = fill(&tree, pieces, job).and_then(|()| {
        let manifest = Manifest::of(&tree, kind, job)?;
        share::with_others(folder, (&tree, &manifest), job)?;
        space::flush(&tree)?;
        Ok(manifest)
    });
    match built {
        Ok(manifest) => {
            for (path, _) in pieces {
                folder.forget_fetched(path);
            }
            Ok(Brought { tree, manifest })
        }
        Err(error) => {
            drop(std::fs::remove_dir_all(&tree));
            Err(job.failed(&error))
        }
    }
}

fn fill(tree: &Path, pieces: &[Piece], job: &Job) -> io::Result<()> {
    let mut bytes = 0;
    for (path, _) in pieces {
        bytes += std::fs::metadata(path).map_err(|error| at(path, &error))?.len();
    }
    space::check(tree, bytes)?;
    job.begin(Phase::Unpacking, Some(bytes));
    let mut writer = TreeWriter::new(tree, Limits::for_source(bytes), job.clone());
    for (path, name) in pieces {
        let done = match name {
            Some(name) => writer.copy(path, name),
            None => format::unpack(path, &mut writer, job),
        };
        done.map_err(|error| at(path, &error))?;
    }
    writer.finish()
}

/// Where something went wrong, by the file's own name: the rest of the path is ours.
fn at(path: &Path, error: &io::Error) -> io::Error {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let ours = name == fetch::BODY;
    let text = if ours { error.to_string() } else { format!("{name}: {error}") };
    io::Error::new(error.kind(), text)
}
