//! Writes the content of an image or tarball into a directory, and nothing outside of it.
//!
//! Folders and files are written first and links last: while files are written, no link exists that a path
//! could lead through. At the end the kernel is asked about each link whether it stays inside.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, open, openat2};
use nix::sys::stat::Mode;

use super::{MediaJob, space};

/// Most parts of a path.
const DEPTH_MAX: usize = 64;
/// Longest name and longest path, in bytes (Linux' NAME_MAX, and the longest target of a link).
const NAME_BYTES_MAX: usize = 255;
const PATH_BYTES_MAX: usize = 4096;
/// Bytes that are copied at a time.
const CHUNK_BYTES: usize = 256 << 10;
/// Everybody may read files and nobody may write them, whatever an archive says.
const FILE_MODE: u32 = 0o444;
const FOLDER_MODE: u32 = 0o755;

/// Bounds on a tree.
#[derive(Clone, Copy, Debug)]
pub struct TreeLimits {
    /// Files, folders and links together.
    pub entries: usize,
    /// Size of all files, in bytes.
    pub bytes: u64,
}

impl TreeLimits {
    /// Most entries of a tree; the largest Debian image has some ten thousand.
    pub const ENTRIES_MAX: usize = 1_000_000;
    /// How many times its own size a source may unpack to. Anything that compresses better was made to do
    /// harm.
    const RATIO_MAX: u64 = 64;
    const FREE_BYTES: u64 = 1 << 30;

    /// The bounds for a source of so many bytes.
    pub fn for_source(bytes: u64) -> Self {
        let bytes = bytes.saturating_mul(Self::RATIO_MAX).saturating_add(Self::FREE_BYTES);
        TreeLimits { entries: Self::ENTRIES_MAX, bytes }
    }

    /// The same, with at most so many bytes.
    pub fn within(self, bytes_max: u64) -> Self {
        TreeLimits { bytes: self.bytes.min(bytes_max), ..self }
    }
}

/// Receives the entries of an image or tarball. Paths are relative; the writer checks them.
pub trait TreeSink {
    /// # Errors
    /// The path is invalid, or the disk refuses: reading ends.
    fn folder(&mut self, path: &str) -> io::Result<()>;

    /// A file of so many bytes.
    ///
    /// # Errors
    /// Those of [`TreeSink::folder`].
    fn file(&mut self, path: &str, content: (u64, &mut dyn Read)) -> io::Result<()>;

    /// Something that is not kept and still has to be read: a device, a header of a kind of its own. It
    /// counts like a file.
    ///
    /// # Errors
    /// As [`TreeSink::folder`].
    fn skip(&mut self, content: &mut dyn Read) -> io::Result<()>;

    /// A link; `target` as it was written.
    ///
    /// # Errors
    /// Those of [`TreeSink::folder`].
    fn link(&mut self, path: &str, target: LinkTarget) -> io::Result<()>;
}

/// The target of a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LinkTarget {
    /// A symbolic link, relative to its own place.
    Symbolic(String),
    /// Another name of an earlier file, by its path.
    Hard(String),
}

/// Writes into one directory.
pub struct TreeWriter {
    root: PathBuf,
    limits: TreeLimits,
    job: MediaJob,
    entries: usize,
    bytes: u64,
    unlooked: u64,
    links: Vec<(String, String)>,
}

impl TreeWriter {
    /// `root` must be empty and used by nobody else.
    pub fn new(root: &Path, limits: TreeLimits, job: MediaJob) -> Self {
        let root = root.to_owned();
        TreeWriter { root, limits, job, entries: 0, bytes: 0, unlooked: 0, links: Vec::new() }
    }

    /// Copies a file of this host.
    pub fn copy(&mut self, from: &Path, path: &str) -> io::Result<()> {
        let mut file = File::open(from)?;
        let bytes = file.metadata()?.len();
        let before = self.bytes;
        self.file(path, (bytes, &mut file))?;
        self.job.add(self.bytes - before);
        Ok(())
    }

    /// Creates the links, and checks each against the tree.
    pub fn finish(self) -> io::Result<()> {
        for (path, target) in &self.links {
            let made = std::os::unix::fs::symlink(target, self.root.join(path));
            made.map_err(|error| io::Error::new(error.kind(), format!("the link {path}: {error}")))?;
        }
        let root = open(&self.root, OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty())?;
        for (path, target) in &self.links {
            self.job.check()?;
            match openat2(
                &root,
                path.as_str(),
                OpenHow::new()
                    .flags(OFlag::O_PATH | OFlag::O_CLOEXEC)
                    .resolve(ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_MAGICLINKS),
            ) {
                // A dangling link is kept: a part of a distribution's tree often has some.
                Ok(_) | Err(Errno::ENOENT | Errno::ENOTDIR) => {}
                Err(Errno::EXDEV) => return Err(leaves(path, target)),
                Err(error) => return Err(io::Error::other(format!("the link {path} -> {target}: {error}"))),
            }
        }
        Ok(())
    }

    fn count(&mut self) -> io::Result<()> {
        self.job.check()?;
        self.entries += 1;
        if self.entries.is_multiple_of(space::LOOK_EVERY_FILES) {
            space::check(&self.root, 0)?;
        }
        if self.entries > self.limits.entries {
            return Err(io::Error::other(format!("it has more than {} files", self.limits.entries)));
        }
        Ok(())
    }

    fn place(&self, path: &str) -> io::Result<PathBuf> {
        let place = self.root.join(path);
        if let Some(parent) = place.parent() {
            make_folder(parent)?;
        }
        Ok(place)
    }

    fn took(&mut self, bytes: u64) -> io::Result<()> {
        self.job.check()?;
        self.bytes += bytes;
        if self.bytes > self.limits.bytes {
            let most = self.limits.bytes >> 20;
            return Err(io::Error::other(format!(
                "it unpacks to more than {most} MiB, which is 64 times its size and 1 GiB, or \
                 `artifacts.unpack_bytes_max` of the server's configuration"
            )));
        }
        self.unlooked += bytes;
        if self.unlooked >= space::LOOK_EVERY_BYTES {
            self.unlooked = 0;
            space::check(&self.root, 0)?;
        }
        Ok(())
    }

    fn fill(&mut self, file: &mut File, (bytes, content): (u64, &mut dyn Read)) -> io::Result<()> {
        let mut buffer = vec![0; CHUNK_BYTES];
        let mut left = bytes;
        while left > 0 {
            let want = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
            let read = content.read(buffer.get_mut(..want).unwrap_or_default())?;
            let Some(chunk) = buffer.get(..read).filter(|chunk| !chunk.is_empty()) else {
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "it is cut short"));
            };
            self.took(chunk.len() as u64)?;
            file.write_all(chunk)?;
            left -= chunk.len() as u64;
        }
        Ok(())
    }
}

impl TreeSink for TreeWriter {
    fn folder(&mut self, path: &str) -> io::Result<()> {
        self.count()?;
        let path = clean(path)?;
        make_folder(&self.root.join(path))
    }

    fn file(&mut self, path: &str, content: (u64, &mut dyn Read)) -> io::Result<()> {
        self.count()?;
        let path = clean(path)?;
        let place = self.place(&path)?;
        let mut file = match OpenOptions::new().write(true).create_new(true).mode(FILE_MODE).open(&place) {
            // Of two files with one path the later one counts, as in tar.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => fs::remove_file(&place)
                .and_then(|()| OpenOptions::new().write(true).create_new(true).mode(FILE_MODE).open(&place)),
            other => other,
        }
        .map_err(|error| io::Error::new(error.kind(), format!("{path}: {error}")))?;
        self.fill(&mut file, content)
            .map_err(|error| io::Error::new(error.kind(), format!("{path}: {error}")))
    }

    fn skip(&mut self, content: &mut dyn Read) -> io::Result<()> {
        self.count()?;
        let mut buffer = vec![0; CHUNK_BYTES];
        loop {
            match content.read(&mut buffer)? {
                0 => return Ok(()),
                read => self.took(read as u64)?,
            }
        }
    }

    fn link(&mut self, path: &str, target: LinkTarget) -> io::Result<()> {
        self.count()?;
        let path = clean(path)?;
        let place = self.place(&path)?;
        match target {
            LinkTarget::Hard(to) => {
                let to = clean(&to)?;
                let linked = fs::hard_link(self.root.join(&to), &place);
                linked.map_err(|error| io::Error::new(error.kind(), format!("{path} -> {to}: {error}")))
            }
            LinkTarget::Symbolic(to) => {
                if !stays_inside(&path, &to) {
                    return Err(leaves(&path, &to));
                }
                self.links.push((path, to));
                Ok(())
            }
        }
    }
}

fn leaves(path: &str, target: &str) -> io::Error {
    io::Error::other(format!("the link {path} -> {target} leaves the tree"))
}

fn make_folder(folder: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(FOLDER_MODE).create(folder)
}

/// The path of an archive's entry as one inside of the tree.
fn clean(path: &str) -> io::Result<String> {
    if path.starts_with('/') {
        return path_error(path, "is absolute");
    }
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    if parts.contains(&"..") {
        return path_error(path, "leaves the tree");
    }
    if path.chars().any(char::is_control) {
        return path_error(path, "has control characters");
    }
    let long = path.len() > PATH_BYTES_MAX || parts.iter().any(|part| part.len() > NAME_BYTES_MAX);
    if long || parts.len() > DEPTH_MAX {
        return path_error(path, "is too long");
    }
    Ok(parts.join("/"))
}

fn path_error(path: &str, why: &str) -> io::Result<String> {
    Err(io::Error::other(format!("the path {path:?} {why}")))
}

/// Whether the text of a link leads to something below the root.
fn stays_inside(path: &str, target: &str) -> bool {
    let fits = !target.is_empty()
        && target.len() < PATH_BYTES_MAX
        && !target.starts_with('/')
        && !target.chars().any(char::is_control);
    let mut depth = path.split('/').count().saturating_sub(1);
    fits && target.split('/').all(|part| match part {
        "" | "." => true,
        ".." => depth.checked_sub(1).inspect(|less| depth = *less).is_some(),
        _ => {
            depth += 1;
            true
        }
    })
}

#[cfg(test)]
mod tests {
    use tokio_util::sync::CancellationToken;

    use super::*;

    fn writer(root: &Path) -> TreeWriter {
        TreeWriter::new(root, TreeLimits { entries: 8, bytes: 100 }, MediaJob::new(CancellationToken::new()))
    }

    fn write(writer: &mut TreeWriter, path: &str, text: &str) -> io::Result<()> {
        writer.file(path, (text.len() as u64, &mut text.as_bytes()))
    }

    #[test]
    fn files_and_links_that_stay_inside_are_kept() {
        let root = tempfile::tempdir().unwrap();
        let mut writer = writer(root.path());
        writer.link("debian", LinkTarget::Symbolic(".".into())).unwrap();
        write(&mut writer, "./pool/a/x.deb", "x").unwrap();
        writer.link("pool/b", LinkTarget::Symbolic("../pool/a".into())).unwrap();
        writer.link("same", LinkTarget::Hard("pool/a/x.deb".into())).unwrap();
        writer.link("gone", LinkTarget::Symbolic("nowhere".into())).unwrap();
        write(&mut writer, "pool/a/x.deb", "later").unwrap();
        writer.finish().unwrap();
        let read = |path: &str| fs::read_to_string(root.path().join(path)).unwrap();
        assert_eq!(read("debian/debian/pool/b/x.deb"), "later");
        assert_eq!(read("same"), "x");
        use std::os::unix::fs::PermissionsExt;
        let mode = fs::metadata(root.path().join("same")).unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o444);
    }

    #[test]
    fn nothing_is_written_outside_whatever_a_path_or_link_says() {
        for path in ["../x", "a/../../x", "/etc/x", "a\0b", "a\nb", &"a/".repeat(65), &"n".repeat(256)] {
            let root = tempfile::tempdir().unwrap();
            assert!(write(&mut writer(root.path()), path, "x").is_err(), "{path:?}");
        }
        for target in ["/etc/passwd", "..", "../x", "a/../../x", ""] {
            let root = tempfile::tempdir().unwrap();
            let link = writer(root.path()).link("link", LinkTarget::Symbolic(target.into()));
            assert!(link.is_err(), "{target:?}");
        }
        let root = tempfile::tempdir().unwrap();
        assert!(writer(root.path()).link("x", LinkTarget::Hard("../../etc/passwd".into())).is_err());
    }

    #[test]
    fn links_that_leave_only_together_are_refused() {
        let outer = tempfile::tempdir().unwrap();
        let root = outer.path().join("tree");
        fs::create_dir(&root).unwrap();
        let mut writer = writer(&root);
        // By its text each link stays inside: `up` is the root, and `out` goes above it.
        writer.link("a/b/up", LinkTarget::Symbolic("../..".into())).unwrap();
        writer.link("a/b/out", LinkTarget::Symbolic("up/..".into())).unwrap();
        let error = writer.finish().unwrap_err().to_string();
        assert!(error.contains("a/b/out -> up/.. leaves the tree"), "{error}");
    }

    #[test]
    fn a_file_does_not_go_through_a_link_that_came_before_it() {
        let outer = tempfile::tempdir().unwrap();
        let root = outer.path().join("tree");
        fs::create_dir_all(root.join("inner")).unwrap();
        let mut writer = writer(&root);
        writer.link("door", LinkTarget::Symbolic("inner".into())).unwrap();
        write(&mut writer, "door/x", "x").unwrap();
        assert!(writer.finish().is_err(), "both a link and a folder");
        assert!(!root.join("inner/x").exists());
    }

    #[test]
    fn what_is_too_much_ends_it() {
        let root = tempfile::tempdir().unwrap();
        let mut few = writer(root.path());
        let all: io::Result<Vec<()>> = (0..9).map(|i| few.folder(&format!("f{i}"))).collect();
        assert!(all.unwrap_err().to_string().contains("more than 8 files"));
        let mut large = writer(root.path());
        let error = write(&mut large, "large", &"x".repeat(101)).unwrap_err().to_string();
        assert!(error.contains("unpacks to more than"), "{error}");
        let short = writer(root.path()).file("short", (5, &mut "x".as_bytes()));
        assert!(short.unwrap_err().to_string().contains("cut short"));
    }
}
