//! The directories of this host in which files of artifacts may be: those of the setting `artifacts.roots`,
//! and never the data directory, which contains the server's keys.
//!
//! Start at [`ArtifactRoots::open`]. A path is resolved first, with all links. The result is checked and then
//! opened without following any link, so that it cannot be replaced in between. Whether a folder is in the
//! data directory is decided by the identity of its parent folders, so that another path to the same
//! directory (a mount) is recognised.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Component, Path, PathBuf};

use rustix::fs::{AtFlags, Mode, OFlags, fstat, openat, statat};

use crate::artifacts::contained_path::{self, NameCase, RegularFile};
use crate::artifacts::second_names;
use crate::model::ArtifactKind;

/// The folder of the data directory in which operators may put files of artifacts.
pub const IMPORT: &str = "import";
/// The default directories, besides [`IMPORT`].
const DEFAULTS: [&str; 2] = ["/usr/lib/debian-installer", "/srv"];
/// Most parent folders of a folder.
const DEPTH_MAX: usize = 256;

/// The directories below which local files of artifacts must be.
#[derive(Clone, Debug, Default)]
pub struct ArtifactRoots {
    roots: Vec<PathBuf>,
    data: PathBuf,
}

/// How strictly a path is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RootsScope {
    /// It must be below one of the roots.
    Roots,
    /// It is older than the roots: it may be anywhere except in the data directory.
    DataDirectory,
}

/// Why a path is not opened.
#[derive(Debug, thiserror::Error)]
pub enum RootsRefusal {
    #[error("`{}` is not below a directory of `artifacts.roots` ({roots}) when its links are followed: move \
             the files to one of them, or add their directory to the setting in the server's configuration",
             path.display())]
    Outside { path: PathBuf, roots: String },
    #[error("`{}` is in the data directory of the server, where its keys are, and is not served: move the \
             files to `{}`", path.display(), import.display())]
    InData { path: PathBuf, import: PathBuf },
    #[error("`{}` contains the data directory of the server, where its keys are, and is not served: name a \
             folder without it", path.display())]
    HasData { path: PathBuf },
    #[error(transparent)]
    Failed(#[from] io::Error),
}

/// The opened files of an artifact.
#[derive(Debug)]
pub struct ArtifactFiles {
    folder: OwnedFd,
    /// For a single file: its real path, and the name that machines ask for.
    file: Option<(PathBuf, String)>,
    /// The data directory, whose own files are not given out under another name; none for trees in it.
    data: Option<PathBuf>,
}

/// Device and inode: the identity of a file or folder, independent of its path.
pub type FileIdentity = (u64, u64);

impl ArtifactRoots {
    /// The roots of a server with this data directory; without a list, the default ones.
    pub fn new(listed: Option<Vec<PathBuf>>, data: &Path) -> Self {
        ArtifactRoots {
            roots: listed
                .unwrap_or_else(|| DEFAULTS.iter().map(PathBuf::from).chain([data.join(IMPORT)]).collect()),
            data: data.to_owned(),
        }
    }

    /// Opens the files at a path.
    ///
    /// # Errors
    /// [`RootsRefusal`]; [`RootsRefusal::Failed`] with `NotFound` if there is nothing.
    pub fn open(
        &self,
        path: &Path,
        kind: ArtifactKind,
        hold: RootsScope,
    ) -> Result<ArtifactFiles, RootsRefusal> {
        self.open_resolved(path, kind, hold).map(|(files, _)| files)
    }

    /// Like [`ArtifactRoots::open`]; also returns the resolved path that was opened.
    ///
    /// # Errors
    /// Those of [`ArtifactRoots::open`].
    pub fn open_resolved(
        &self,
        path: &Path,
        kind: ArtifactKind,
        hold: RootsScope,
    ) -> Result<(ArtifactFiles, PathBuf), RootsRefusal> {
        let real = path.canonicalize()?;
        self.check_text((path, &real), hold)?;
        let files = self.open_real((path, &real), kind)?;
        self.check_identity((path, files.folder.as_fd()), kind)?;
        Ok((files, real))
    }

    /// Opens the files at `real`, a path without links; `path` has the name that machines ask for.
    ///
    /// # Errors
    /// It is not there, or a part of it is a link.
    pub fn open_real(&self, (path, real): (&Path, &Path), kind: ArtifactKind) -> io::Result<ArtifactFiles> {
        let is_folder = kind == ArtifactKind::Tree;
        let folder = if is_folder { Some(real) } else { real.parent() };
        let folder = folder.ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
        let folder = contained_path::open_folder_without_links(folder)?;
        let file = match (is_folder, real.file_name(), path.file_name().and_then(|name| name.to_str())) {
            (true, ..) => None,
            (false, Some(name), Some(asked)) => Some((PathBuf::from(name), asked.to_owned())),
            _ => return Err(io::Error::other("it is not the path of a file")),
        };
        Ok(ArtifactFiles { folder, file, data: Some(self.data.clone()) })
    }

    /// Whether a path may be configured. Nothing needs to exist there yet.
    ///
    /// # Errors
    /// [`RootsRefusal`].
    pub fn check(&self, path: &Path, kind: ArtifactKind) -> Result<(), RootsRefusal> {
        match self.open(path, kind, RootsScope::Roots) {
            Ok(_) => Ok(()),
            // Nothing there, or a file instead of a folder: the status will report it.
            Err(RootsRefusal::Failed(_)) => self.check_text((path, &resolved(path)?), RootsScope::Roots),
            Err(refusal) => Err(refusal),
        }
    }

    fn check_text(&self, (path, real): (&Path, &Path), hold: RootsScope) -> Result<(), RootsRefusal> {
        let import = self.data.join(IMPORT);
        if self.is_in_data(real) && !real.starts_with(&import) {
            return Err(RootsRefusal::InData { path: path.to_owned(), import });
        }
        if hold == RootsScope::DataDirectory || self.roots.iter().any(|root| self.is_below(real, root)) {
            return Ok(());
        }
        let roots: Vec<String> = self.roots.iter().map(|root| root.display().to_string()).collect();
        let roots = if roots.is_empty() { "which is empty".to_owned() } else { roots.join(", ") };
        // Where links of the host lead is not told: whoever writes artifacts need not be able to read them.
        Err(RootsRefusal::Outside { path: path.to_owned(), roots })
    }

    /// A root in the data directory that is a link could lead anywhere.
    fn is_below(&self, real: &Path, root: &Path) -> bool {
        let Ok(resolved) = root.canonicalize() else { return real.starts_with(root) };
        (!self.is_in_data(root) || self.is_in_data(&resolved)) && real.starts_with(resolved)
    }

    fn is_in_data(&self, path: &Path) -> bool {
        !self.data.as_os_str().is_empty() && path.starts_with(&self.data)
    }

    /// Compares the folders themselves: the path must be neither in the data directory nor above it.
    fn check_identity(
        &self,
        (path, folder): (&Path, BorrowedFd<'_>),
        kind: ArtifactKind,
    ) -> Result<(), RootsRefusal> {
        let Ok(data) = contained_path::open_folder(&self.data) else { return Ok(()) };
        let ours = identity(data.as_fd())?;
        let above = lineage(folder)?;
        if above.contains(&ours) {
            let import = contained_path::open_folder_without_links(&self.data.join(IMPORT));
            let import = import.ok().and_then(|import| identity(import.as_fd()).ok());
            if !above.iter().take_while(|it| **it != ours).any(|it| Some(*it) == import) {
                return Err(RootsRefusal::InData { path: path.to_owned(), import: self.data.join(IMPORT) });
            }
        }
        let own = identity(folder)?;
        if kind == ArtifactKind::Tree && lineage(data.as_fd())?.contains(&own) {
            return Err(RootsRefusal::HasData { path: path.to_owned() });
        }
        Ok(())
    }
}

impl ArtifactFiles {
    /// The identity of the folder, or of the single file.
    ///
    /// # Errors
    /// The file does not exist.
    pub fn identity(&self) -> io::Result<FileIdentity> {
        let Some((name, _)) = &self.file else { return identity(self.folder.as_fd()) };
        let stat = statat(&self.folder, name, AtFlags::SYMLINK_NOFOLLOW)?;
        Ok((stat.st_dev, stat.st_ino))
    }

    /// A folder that belongs to the server, with an unpacked tree.
    ///
    /// # Errors
    /// The folder does not exist.
    pub fn own(tree: &Path, file: Option<&str>) -> io::Result<Self> {
        let file = file.map(|name| (PathBuf::from(name), name.to_owned()));
        Ok(ArtifactFiles { folder: contained_path::open_folder(tree)?, file, data: None })
    }

    /// Opens a file by its path in the artifact.
    ///
    /// # Errors
    /// The file does not exist, is not a regular file, or is outside of the artifact through a link.
    pub fn open_file(&self, path: &str) -> io::Result<RegularFile> {
        match &self.file {
            None => self.not_of_data(contained_path::open_file(self.folder.as_fd(), path)?),
            Some((_, asked)) if asked == path => self.only_file(),
            Some(_) => Err(io::ErrorKind::NotFound.into()),
        }
    }

    /// A file, unless it is one of the data directory under a second name (a hard link).
    fn not_of_data(&self, file: RegularFile) -> io::Result<RegularFile> {
        let data = self.data.as_deref();
        let is_of_data = data.is_some_and(|data| second_names::is_second_name(data, &file.metadata));
        if is_of_data { Err(io::ErrorKind::NotFound.into()) } else { Ok(file) }
    }

    /// Like [`ArtifactFiles::open_file`], whatever the case of the name.
    ///
    /// # Errors
    /// Those of [`ArtifactFiles::open_file`].
    pub fn open_file_as(&self, path: &str, case: NameCase) -> io::Result<RegularFile> {
        let exact = self.open_file(path);
        match (&exact, case, &self.file) {
            (Err(error), NameCase::Ignored, None) if error.kind() == io::ErrorKind::NotFound => {
                match contained_path::as_spelled(self.folder.as_fd(), path) {
                    Some(spelled) => self.open_file(&spelled),
                    None => exact,
                }
            }
            _ => exact,
        }
    }

    /// Opens the artifact's only file.
    ///
    /// # Errors
    /// The artifact is a folder, or the file is gone.
    pub fn only_file(&self) -> io::Result<RegularFile> {
        match &self.file {
            Some((name, _)) => {
                self.not_of_data(contained_path::open_file_without_links(self.folder.as_fd(), name)?)
            }
            None => Err(io::Error::other("it is a folder, and not a file")),
        }
    }

    /// A path to the folder, valid as long as this value exists.
    pub fn folder_path(&self) -> PathBuf {
        contained_path::path_of(self.folder.as_fd())
    }

    /// The name that machines ask for, if the artifact is a single file.
    pub fn file_name(&self) -> Option<&str> {
        self.file.as_ref().map(|(_, asked)| asked.as_str())
    }
}

/// The resolved path of something that may not exist yet: the existing part is resolved.
fn resolved(path: &Path) -> io::Result<PathBuf> {
    if path.components().any(|part| part == Component::ParentDir) {
        return Err(io::Error::other("a path without `..` is needed"));
    }
    for above in path.ancestors().take(DEPTH_MAX) {
        if let (Ok(real), Ok(rest)) = (above.canonicalize(), path.strip_prefix(above)) {
            return Ok(if rest.as_os_str().is_empty() { real } else { real.join(rest) });
        }
    }
    Ok(path.to_owned())
}

fn identity(folder: BorrowedFd<'_>) -> io::Result<FileIdentity> {
    let stat = fstat(folder)?;
    Ok((stat.st_dev, stat.st_ino))
}

/// A folder and those above it, up to the root.
fn lineage(folder: BorrowedFd<'_>) -> io::Result<Vec<FileIdentity>> {
    let mut found = vec![identity(folder)?];
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let mut above = openat(folder, "..", flags, Mode::empty())?;
    while found.len() < DEPTH_MAX {
        let next = identity(above.as_fd())?;
        if found.last() == Some(&next) {
            return Ok(found);
        }
        found.push(next);
        above = openat(&above, "..", flags, Mode::empty())?;
    }
    Err(io::Error::other(format!("it is more than {DEPTH_MAX} folders deep")))
}
