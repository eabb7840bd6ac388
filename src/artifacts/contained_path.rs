//! The one place that opens a file by a path beneath a tree. The kernel holds the path inside
//! (`openat2(2)`, `RESOLVE_BENEATH`): links are followed as long as they stay within the tree.
//!
//! A kernel without `openat2` (before Linux 5.6, or a container's filter that does not know it) opens
//! nothing: to walk by hand would be a second containment. The error says so.

use std::fs::File;
use std::io;
use std::path::Path;

use rustix::fs::{CWD, Dir, Mode, OFlags, ResolveFlags, open, openat2};
use rustix::io::Errno;

/// Names in one folder that are looked through for another spelling.
const NAMES_MAX: usize = 65_536;

/// Whether `linux` is found as `LINUX` too.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Case {
    #[default]
    Exact,
    /// Where no file has exactly this name. Windows boot loaders spell their paths as they like.
    Ignored,
}

impl Case {
    /// Whether two paths are the same.
    pub fn same(self, paths: (&str, &str)) -> bool {
        match self {
            Case::Exact => paths.0 == paths.1,
            Case::Ignored => paths.0.eq_ignore_ascii_case(paths.1),
        }
    }
}

/// Opens a regular file beneath `root`.
///
/// # Errors
/// `NotFound` where there is no regular file; `CrossesDevices` (EXDEV) where the path leaves the tree;
/// `Unsupported` on a kernel that cannot contain it.
pub fn open_file(root: &Path, path: &str) -> io::Result<File> {
    // A fifo in the tree must not block the server.
    let file = File::from(resolve(root, path, OFlags::RDONLY | OFlags::NONBLOCK)?);
    if !file.metadata()?.is_file() {
        return Err(io::ErrorKind::NotFound.into());
    }
    Ok(file)
}

/// The path as the files beneath `root` are really called, where they differ from it in case only. Of several
/// such names the first in order counts.
pub fn as_spelled(root: &Path, path: &str) -> Option<String> {
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

fn name_in(folder: &impl std::os::fd::AsFd, part: &str) -> Option<String> {
    let entries = Dir::read_from(folder).ok()?.take(NAMES_MAX).flatten();
    let names = entries.filter_map(|entry| entry.file_name().to_str().ok().map(str::to_owned));
    // The exact name before any other spelling.
    names.filter(|name| name.eq_ignore_ascii_case(part)).min_by_key(|name| (name != part, name.clone()))
}

fn resolve(root: &Path, path: &str, flags: OFlags) -> io::Result<std::os::fd::OwnedFd> {
    let root = match root.as_os_str().is_empty() {
        true => Path::new("."),
        false => root,
    };
    let folder = open(root, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    let how = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    openat2(&folder, path, flags | OFlags::CLOEXEC, Mode::empty(), how).map_err(|error| match error {
        Errno::NOSYS => {
            let why = "this kernel cannot keep a path within its tree: Linux 5.6 with openat2 is needed";
            io::Error::new(io::ErrorKind::Unsupported, why)
        }
        // `..` and links that lead out; the magic links of /proc.
        Errno::XDEV | Errno::LOOP => io::ErrorKind::NotFound.into(),
        other => other.into(),
    })
}

/// Says at start, and not at the first boot, that no file of a tree can be opened here.
///
/// # Errors
/// The kernel's answer to the call, where it is not one about the path.
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
        let root = outer.path().join("tree");
        for path in ["linux", "inside", "Boot/BCD", "Boot/../linux"] {
            assert!(open_file(&root, path).is_ok(), "{path}");
        }
        let outside =
            ["out", "sibling", "absolute", "magic", "out-and-in", "round", "up/secret", "../secret"];
        let absent = ["Boot", "nothing", "linux/x", "/etc/passwd", "../tree-other/secret", "up", ""];
        for path in outside.iter().chain(&absent) {
            assert!(open_file(&root, path).is_err(), "{path}");
        }
    }

    #[test]
    fn a_fifo_is_no_file_and_does_not_block() {
        let outer = tree();
        nix::unistd::mkfifo(&outer.path().join("tree/fifo"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        assert!(open_file(&outer.path().join("tree"), "fifo").is_err());
    }

    #[test]
    fn other_spellings_are_found_within_the_tree_only() {
        let outer = tree();
        let root = outer.path().join("tree");
        let spelled = |path| as_spelled(&root, path);
        assert_eq!(spelled("BOOT/bcd").as_deref(), Some("Boot/BCD"));
        assert_eq!(spelled("boot/FONTS/A.TTF").as_deref(), Some("Boot/fonts/a.ttf"));
        assert_eq!(spelled("UP/secret"), None);
        assert_eq!(spelled("../SECRET"), None);
        assert_eq!(spelled("boot/none"), None);
        // Where two names differ in case only, the exact one is meant, else the first.
        fs::write(root.join("LINUX"), "other").unwrap();
        assert_eq!(spelled("linux").as_deref(), Some("linux"));
        assert_eq!(spelled("Linux").as_deref(), Some("LINUX"));
    }

    #[test]
    fn this_kernel_keeps_paths_within_their_tree() {
        check_kernel().unwrap();
    }
}
