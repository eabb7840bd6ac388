//! Finds the owner of a port. A name alone proves nothing: our server is recognised by its executable, which
//! is this program, or by the lock of its data directory, which it keeps open. If neither is visible and the
//! name is ours, the owner is unknown.

use std::fmt;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::cli::doctor::findings::{Finding, Level, line};
use crate::cli::doctor::host::PortUse;
use crate::model::LOCK_FILE;
use crate::port_owner::PortProcess;

/// This program's name in the process table.
const PROGRAM: &str = "metalwright";
/// Most open files of one process that are examined.
const FILES_MAX: usize = 4096;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProcessOwner {
    Ours,
    /// It has this program's name but another executable, or its executable cannot be seen.
    Unknown,
    Anothers,
}

/// A process that has a port.
#[derive(Debug, Clone)]
pub struct PortOwner {
    pub process: PortProcess,
    pub whose: ProcessOwner,
}

impl fmt::Display for PortOwner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.process.fmt(f)
    }
}

/// The identity of a file, independent of its name: device and inode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct FileId(u64, u64);

impl FileId {
    fn of(path: &Path) -> Option<FileId> {
        fs::metadata(path).ok().map(|file| FileId(file.dev(), file.ino()))
    }
}

/// The marks by which our server is recognised.
#[derive(Debug, Default)]
pub struct ServerMarks {
    program: Option<FileId>,
    lock: Option<FileId>,
}

impl ServerMarks {
    /// The marks of this program, and of the server with this data directory.
    pub fn read(data: Option<&Path>) -> ServerMarks {
        ServerMarks {
            program: FileId::of(Path::new("/proc/self/exe")),
            lock: data.and_then(|data| FileId::of(&data.join(LOCK_FILE))),
        }
    }

    pub fn owner(&self, process: PortProcess) -> PortOwner {
        let whose = self.whose(&Path::new("/proc").join(process.pid.to_string()), &process.name);
        PortOwner { process, whose }
    }

    /// `folder` is the process's folder in `/proc`.
    fn whose(&self, folder: &Path, name: &str) -> ProcessOwner {
        let program = FileId::of(&folder.join("exe"));
        if program.is_some() && program == self.program || self.is_locked_by(folder) {
            return ProcessOwner::Ours;
        }
        if program.is_none() || name == PROGRAM { ProcessOwner::Unknown } else { ProcessOwner::Anothers }
    }

    fn is_locked_by(&self, folder: &Path) -> bool {
        let (Some(lock), Ok(files)) = (self.lock, fs::read_dir(folder.join("fd"))) else { return false };
        files.flatten().take(FILES_MAX).any(|file| FileId::of(&file.path()) == Some(lock))
    }
}

/// The finding about a port; `none` is the level if nothing has it.
pub fn finding(port: &PortUse, what: &str, none: Level) -> Finding {
    // The process that is most likely to be the server; all others share its packets.
    let Some(server) = port
        .owners
        .iter()
        .position(|owner| owner.whose == ProcessOwner::Ours)
        .or_else(|| port.owners.iter().position(|owner| owner.whose == ProcessOwner::Unknown))
    else {
        return match (port.owners.as_slice(), port.bound) {
            ([], true) => {
                line(Level::Warn, what, "somebody has it who cannot be seen from here: run this as root")
            }
            ([], false) => {
                line(none, what, "nobody listens: start metalwright serve with --dhcp-interface NAME")
            }
            (strangers, _) => line(Level::Fail, what, format!("{} has it: stop it", names(strangers))),
        };
    };
    let mut others = port.owners.clone();
    let server = others.remove(server);
    match (others.is_empty(), server.whose) {
        (false, _) => {
            let who = names(&others);
            let found = format!("{who} has it as well as {server}: each packet goes to one of them; stop it");
            line(Level::Fail, what, found)
        }
        (true, ProcessOwner::Ours) => line(Level::Ok, what, format!("{server} has it")),
        (true, _) => {
            let pid = server.process.pid;
            let found = format!(
                "{server} has it, and was not seen to be started from the file that this program is: it may \
                 be our server of before an update, or another's by that name; ls -l /proc/{pid}/exe says \
                 more, and --data DIR with the data directory of our server"
            );
            line(Level::Warn, what, found)
        }
    }
}

fn names(owners: &[PortOwner]) -> String {
    owners.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_process_is_ours_by_its_program_or_by_the_lock_and_never_by_its_name() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        for name in ["ours", "theirs", LOCK_FILE] {
            fs::write(at(name), "").unwrap();
        }
        fs::create_dir_all(at("process/fd")).unwrap();
        let marks = ServerMarks {
            program: FileId::of(&at("ours")),
            lock: ServerMarks::read(Some(folder.path())).lock,
        };
        let whose = |name| marks.whose(&at("process"), name);
        assert_eq!(whose("dnsmasq"), ProcessOwner::Unknown, "its program cannot be seen");
        symlink(at("ours"), at("process/exe")).unwrap();
        assert_eq!(whose("boot-server"), ProcessOwner::Ours);
        fs::remove_file(at("process/exe")).unwrap();
        symlink(at("theirs"), at("process/exe")).unwrap();
        assert_eq!((whose("dnsmasq"), whose(PROGRAM)), (ProcessOwner::Anothers, ProcessOwner::Unknown));
        symlink(at(LOCK_FILE), at("process/fd/7")).unwrap();
        assert_eq!(whose(PROGRAM), ProcessOwner::Ours);
        let nothing = ServerMarks::default();
        assert_eq!(nothing.whose(&at("no-process"), PROGRAM), ProcessOwner::Unknown);
    }

    #[test]
    fn this_process_is_ours() {
        let process = PortProcess { name: "a test".into(), pid: std::process::id() };
        assert_eq!(ServerMarks::read(None).owner(process).whose, ProcessOwner::Ours);
    }
}
