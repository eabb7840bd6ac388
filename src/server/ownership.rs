//! Gives the files of the data directory to the user that the server becomes. Nothing is done by a path: each
//! thing is opened without following a link, looked at, and given by its descriptor.
//!
//! Only what is in a folder of root's is given: nobody else could put something into it. In a folder that is
//! another user's already, a file of root's may be one that the user moved or linked there, so it is left
//! alone and counted. Left alone everywhere are links, files with further names (hard links), and what is
//! neither a file nor a folder. A folder is given after what is in it, so that an interrupted start begins
//! anew.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use nix::unistd::{Gid, Uid};
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, Stat, chownat, fchown, fstat, open, openat};
use rustix::io::Errno;

/// Deepest folder that is entered.
const DEPTH_MAX: usize = 128;

/// The owner of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileOwner {
    pub user: Uid,
    pub group: Gid,
}

/// Numbers of skipped files, by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SkippedFiles {
    /// Files of another owner with more than one name.
    pub several_names: u64,
    /// Sockets, pipes, devices.
    pub no_files: u64,
    /// Files and folders of another owner in a folder that is the user's, or somebody else's.
    pub foreign: u64,
}

/// Gives a folder and its content to a user.
///
/// # Errors
/// Something cannot be examined or changed, or is nested too deep.
pub fn give(folder: &Path, owner: FileOwner) -> io::Result<SkippedFiles> {
    let mut kept = SkippedFiles::default();
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    give_folder(&open(folder, flags, Mode::empty())?, (owner, DEPTH_MAX), &mut kept)?;
    Ok(kept)
}

fn give_folder(
    folder: &OwnedFd,
    (owner, depth): (FileOwner, usize),
    kept: &mut SkippedFiles,
) -> io::Result<()> {
    if depth == 0 {
        return Err(io::Error::other(format!("it is more than {DEPTH_MAX} folders deep")));
    }
    let stat = fstat(folder)?;
    let is_ours = stat.st_uid == Uid::effective().as_raw();
    for entry in Dir::read_from(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        if matches!(name.to_bytes(), b"." | b"..") {
            continue;
        }
        match openat(folder, name, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty()) {
            Ok(found) if is_ours => {
                give_one(&FolderEntry { folder: folder.as_fd(), name, found }, (owner, depth), kept)?
            }
            Ok(found) => {
                let stat = fstat(&found)?;
                let is_link = FileType::from_raw_mode(stat.st_mode) == FileType::Symlink;
                kept.foreign += u64::from(stat.st_uid != owner.user.as_raw() && !is_link);
            }
            // It has gone meanwhile.
            Err(Errno::NOENT) => {}
            Err(error) => return Err(error.into()),
        }
    }
    if is_ours && !owner.has(&stat) {
        fchown(folder, Some(owner.uid()), Some(owner.gid()))?;
    }
    Ok(())
}

/// An entry of a folder: its name, and its opened file.
struct FolderEntry<'a> {
    folder: BorrowedFd<'a>,
    name: &'a std::ffi::CStr,
    found: OwnedFd,
}

fn give_one(
    entry: &FolderEntry<'_>,
    (owner, depth): (FileOwner, usize),
    kept: &mut SkippedFiles,
) -> io::Result<()> {
    let FolderEntry { folder, name, found } = entry;
    let stat = fstat(found)?;
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::Directory => {
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            give_folder(&openat(folder, *name, flags, Mode::empty())?, (owner, depth - 1), kept)?;
        }
        FileType::RegularFile if owner.has(&stat) => {}
        FileType::RegularFile if stat.st_nlink == 1 => {
            chownat(found, c"", Some(owner.uid()), Some(owner.gid()), AtFlags::EMPTY_PATH)?;
        }
        FileType::RegularFile => kept.several_names += 1,
        FileType::Symlink => {}
        _ => kept.no_files += 1,
    }
    Ok(())
}

impl FileOwner {
    fn has(self, stat: &Stat) -> bool {
        (stat.st_uid, stat.st_gid) == (self.user.as_raw(), self.group.as_raw())
    }

    fn uid(self) -> rustix::fs::Uid {
        rustix::fs::Uid::from_raw(self.user.as_raw())
    }

    fn gid(self) -> rustix::fs::Gid {
        rustix::fs::Gid::from_raw(self.group.as_raw())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{MetadataExt, symlink};

    use super::*;

    const NOBODY: FileOwner = FileOwner { user: Uid::from_raw(65_534), group: Gid::from_raw(65_534) };

    #[test]
    fn a_file_behind_a_link_stays_with_its_owner_and_the_rest_is_given() {
        if !Uid::effective().is_root() {
            eprintln!("only root can give files away: not tested");
            return;
        }
        let outer = tempfile::tempdir().unwrap();
        let (data, secret) = (outer.path().join("data"), outer.path().join("shadow"));
        fs::create_dir_all(data.join("tls/deep")).unwrap();
        fs::create_dir(outer.path().join("etc")).unwrap();
        for file in [&secret, &data.join("database"), &data.join("tls/deep/key"), &outer.path().join("etc/x")]
        {
            fs::write(file, "x").unwrap();
        }
        symlink(&secret, data.join("loaders-x")).unwrap();
        symlink(outer.path().join("etc"), data.join("tls/etc")).unwrap();
        fs::hard_link(&secret, data.join("hard")).unwrap();
        nix::unistd::mkfifo(&data.join("fifo"), nix::sys::stat::Mode::S_IRWXU).unwrap();

        let kept = give(&data, NOBODY).unwrap();
        assert_eq!(kept, SkippedFiles { several_names: 1, no_files: 1, foreign: 0 });
        let owner = |path: &Path| fs::symlink_metadata(path).unwrap().uid();
        for given in ["", "database", "tls", "tls/deep", "tls/deep/key"] {
            assert_eq!(owner(&data.join(given)), 65_534, "{given}");
        }
        for ours in [&secret, &outer.path().join("etc"), &outer.path().join("etc/x"), &data.join("fifo")] {
            assert_eq!(owner(ours), 0, "{}", ours.display());
        }
        // What is in it from now on is the user's to put there: nothing of root's is given.
        fs::hard_link(data.join("database"), data.join("second")).unwrap();
        fs::write(data.join("moved-here"), "secret").unwrap();
        fs::write(data.join("tls/deep/new"), "secret").unwrap();
        let again = SkippedFiles { foreign: 3, ..SkippedFiles::default() };
        assert_eq!(give(&data, NOBODY).unwrap(), again, "the hard link, the fifo, and what was moved there");
        assert_eq!((owner(&data.join("moved-here")), owner(&data.join("tls/deep/new"))), (0, 0));
        symlink(&data, outer.path().join("link")).unwrap();
        assert!(give(&outer.path().join("link"), NOBODY).is_err());
    }
}
