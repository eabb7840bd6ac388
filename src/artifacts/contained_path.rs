//! Opens files by a path beneath a tree; nothing else does. The kernel keeps the path inside (`openat2(2)`,
//! `RESOLVE_BENEATH`): links are followed as long as they stay within the tree.
//!
//! A folder is opened once ([`open_folder`]) and then held by its descriptor, so later changes of its path do
//! not matter. `roots` decides which folders may be opened.
//!
//! On a kernel without `openat2` (before Linux 5.6, or with a container's filter that does not know it)
//! nothing is opened: a walk in user space would be a second implementation of containment. The error says
//! so.

use std::fs::{File, Metadata};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Dir, Mode, OFlags, ResolveFlags, open, openat2};
use rustix::io::Errno;

/// Most names in a folder that are searched for another spelling.
const NAMES_MAX: usize = 65_536;

/// Whether `LINUX` also finds `linux`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NameCase {
    #[default]
    Exact,
    /// If no file has exactly this name. Windows boot loaders vary the case of their paths.
    Ignored,
}

impl NameCase {
    /// Whether two paths are the same.
    pub fn same(self, paths: (&str, &str)) -> bool {
        match self {
            NameCase::Exact => paths.0 == paths.1,
            NameCase::Ignored => paths.0.eq_ignore_ascii_case(paths.1),
        }
    }
}

/// A regular file that was opened, and what its metadata was then.
#[derive(Debug)]
pub struct RegularFile {
    pub file: File,
    pub metadata: Metadata,
}

impl RegularFile {
    /// # Errors
    /// `NotFound` if it is not a regular file; its metadata cannot be read.
    pub fn of(file: File) -> io::Result<Self> {
        let metadata = file.metadata()?;
        if metadata.is_file() {
            Ok(RegularFile { file, metadata })
        } else {
            Err(io::ErrorKind::NotFound.into())
        }
    }
}

/// Opens a folder by its path, through any links: for folders that belong to the server.
///
/// # Errors
/// The folder does not exist, or is not a folder.
pub fn open_folder(path: &Path) -> io::Result<OwnedFd> {
    Ok(open(path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?)
}

/// Opens a folder unless a part of its absolute path is a link, so that the folder that was checked before is
/// the one that is opened.
///
/// # Errors
/// Those of [`open_folder`]; `NotFound` if there is a link.
pub fn open_folder_without_links(path: &Path) -> io::Result<OwnedFd> {
    let how = ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    openat2(CWD, path, flags, Mode::empty(), how).map_err(io_error)
}

/// Opens a regular file beneath a folder.
///
/// # Errors
/// `NotFound` if there is no regular file, or the path leaves the folder; `Unsupported` if the kernel cannot
/// contain the path.
pub fn open_file(folder: BorrowedFd<'_>, path: &str) -> io::Result<RegularFile> {
    // A FIFO in the tree must not block the server.
    RegularFile::of(resolve(folder, path, OFlags::RDONLY | OFlags::NONBLOCK)?.into())
}

/// Opens a regular file of a folder; the file must not be a link.
///
/// # Errors
/// Those of [`open_file`].
pub fn open_file_without_links(folder: BorrowedFd<'_>, name: &Path) -> io::Result<RegularFile> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let how = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    RegularFile::of(openat2(folder, name, flags, Mode::empty(), how).map_err(io_error)?.into())
}

/// A path of an open file or folder, valid as long as it is open.
pub fn path_of(open: BorrowedFd<'_>) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", open.as_raw_fd()))
}

/// The actual spelling of a path beneath a folder, if it differs in case only. If several names match, the
/// first in order counts.
pub fn as_spelled(root: BorrowedFd<'_>, path: &str) -> Option<String> {
    let mut spelled = String::new();
    for part in path.split('/') {
        let folder = if spelled.is_empty() { "." } else { &spelled };
        let folder = resolve(root, folder, OFlags::RDONLY | OFlags::DIRECTORY).ok()?;
        let name = name_in(&folder, part)?;
        if !spelled.is_empty() {
            spelled.push('/');
        }
        spelled.push_str(&name);
    }
    Some(spelled)
}

fn name_in(folder: &impl AsFd, part: &str) -> Option<String> {
    let entries = Dir::read_from(folder).ok()?.take(NAMES_MAX).flatten();
    let names = entries.filter_map(|entry| entry.file_name().to_str().ok().map(str::to_owned));
    // The exact name comes before any other spelling.
    names.filter(|name| name.eq_ignore_ascii_case(part)).min_by_key(|name| (name != part, name.clone()))
}

fn resolve(folder: BorrowedFd<'_>, path: &str, flags: OFlags) -> io::Result<OwnedFd> {
    let how = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    openat2(folder, path, flags | OFlags::CLOEXEC, Mode::empty(), how).map_err(io_error)
}

fn io_error(error: Errno) -> io::Error {
    match error {
        Errno::NOSYS => {
            let why = "this kernel cannot keep a path within its tree: Linux 5.6 with openat2 is needed";
            io::Error::new(io::ErrorKind::Unsupported, why)
        }
        // `..` and links that lead out of the tree; the magic links of /proc.
        Errno::XDEV | Errno::LOOP => io::ErrorKind::NotFound.into(),
        other => other.into(),
    }
}

/// Checks at the start, and not at the first boot, that files of trees can be opened on this kernel.
///
/// # Errors
/// The kernel's error, unless it is about the path.
pub fn check_kernel() -> io::Result<()> {
    let how = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    openat2(CWD, ".", OFlags::PATH | OFlags::CLOEXEC, Mode::empty(), how).map(drop).map_err(io::Error::from)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    fn tree() -> tempfile::TempDir {
        let outer = tempfile::tempdir().unwrap();
        let root = outer.path().join("tree");
        fs::create_dir_all(root.join("Boot/fonts")).unwrap();
        fs::create_dir_all(outer.path().join("tree-other")).unwrap();
        fs::write(outer.path().join("tree-other/secret"), "secret").unwrap();
        fs::write(outer.path().join("secret"), "secret").unwrap();
        fs::write(root.join("linux"), "kernel").unwrap();
        fs::write(root.join("Boot/BCD"), "bcd").unwrap();
        fs::write(root.join("Boot/fonts/a.ttf"), "font").unwrap();
        let links = [
            ("linux", "inside"),
            ("../secret", "out"),
            ("../tree-other/secret", "sibling"),
            ("/etc/passwd", "absolute"),
            ("/proc/self/root/etc/passwd", "magic"),
            ("../tree/linux", "out-and-in"),
            ("round", "round"),
            ("..", "up"),
        ];
        for (to, from) in links {
            symlink(to, root.join(from)).unwrap();
        }
        outer
    }

    #[test]
    fn links_within_the_tree_are_followed_and_those_that_leave_it_are_absent() {
        let outer = tree();
        let root = open_folder(&outer.path().join("tree")).unwrap();
        let open_file = |path: &str| open_file(root.as_fd(), path);
        for path in ["linux", "inside", "Boot/BCD", "Boot/../linux"] {
            assert!(open_file(path).is_ok(), "{path}");
        }
        let outside =
            ["out", "sibling", "absolute", "magic", "out-and-in", "round", "up/secret", "../secret"];
        let absent = ["Boot", "nothing", "linux/x", "/etc/passwd", "../tree-other/secret", "up", ""];
        for path in outside.iter().chain(&absent) {
            assert!(open_file(path).is_err(), "{path}");
        }
    }

    #[test]
    fn a_fifo_is_no_file_and_does_not_block() {
        let outer = tree();
        nix::unistd::mkfifo(&outer.path().join("tree/fifo"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        let root = open_folder(&outer.path().join("tree")).unwrap();
        assert!(open_file(root.as_fd(), "fifo").is_err());
    }

    #[test]
    fn other_spellings_are_found_within_the_tree_only() {
        let outer = tree();
        let root = outer.path().join("tree");
        let folder = open_folder(&root).unwrap();
        let spelled = |path| as_spelled(folder.as_fd(), path);
        assert_eq!(spelled("BOOT/bcd").as_deref(), Some("Boot/BCD"));
        assert_eq!(spelled("boot/FONTS/A.TTF").as_deref(), Some("Boot/fonts/a.ttf"));
        assert_eq!(spelled("UP/secret"), None);
        assert_eq!(spelled("../SECRET"), None);
        assert_eq!(spelled("boot/none"), None);
        // If two names differ in case only, the exact one is meant, otherwise the first.
        fs::write(root.join("LINUX"), "other").unwrap();
        assert_eq!(spelled("linux").as_deref(), Some("linux"));
        assert_eq!(spelled("Linux").as_deref(), Some("LINUX"));
    }

    #[test]
    fn a_folder_or_file_behind_a_link_is_not_there_where_links_are_not_followed() {
        let outer = tree();
        let real = outer.path().canonicalize().unwrap();
        symlink(real.join("tree"), real.join("to-tree")).unwrap();
        assert!(open_folder_without_links(&real.join("to-tree")).is_err());
        assert!(open_folder_without_links(&real.join("to-tree/Boot")).is_err());
        let root = open_folder_without_links(&real.join("tree")).unwrap();
        assert!(open_file_without_links(root.as_fd(), Path::new("linux")).is_ok());
        for name in ["inside", "out", "../secret", "Boot"] {
            assert!(open_file_without_links(root.as_fd(), Path::new(name)).is_err(), "{name}");
        }
    }

    #[test]
    fn this_kernel_keeps_paths_within_their_tree() {
        check_kernel().unwrap();
    }
}
