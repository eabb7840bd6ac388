//! A measured server: started in its namespace, watched, ended.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::net::Net;

const PROGRAM: &str = env!("CARGO_BIN_EXE_metalwright");
/// How long ours may take until it accepts a command.
const START_MAX: Duration = Duration::from_secs(60);
const STOP_MAX: Duration = Duration::from_secs(5);

/// A running server; dropping it ends it and deletes its files.
pub struct Running {
    child: Child,
    folder: PathBuf,
}

/// Ours: `METALWRIGHT_BENCH_PROGRAM`, or the program built with this bench.
pub fn program() -> PathBuf {
    std::env::var_os("METALWRIGHT_BENCH_PROGRAM").map_or_else(|| PROGRAM.into(), PathBuf::from)
}

/// An empty folder for a server's files.
pub fn empty_folder(bench: &str) -> io::Result<PathBuf> {
    let folder = std::env::temp_dir().join(format!("metalwright-bench-{bench}-{}", std::process::id()));
    fs::remove_dir_all(&folder).or_else(absent)?;
    fs::create_dir_all(&folder)?;
    Ok(folder)
}

fn absent(error: io::Error) -> io::Result<()> {
    if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) }
}

impl Running {
    /// Starts `command`, whose files are in `folder`; its output goes to a file there.
    pub fn start(mut command: Command, folder: PathBuf) -> io::Result<Running> {
        let log = fs::File::create(folder.join("log"))?;
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        Ok(Running { child: command.spawn()?, folder })
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Runs our command line client with our server, repeatedly until the server is ready.
    pub fn cli(&self, net: &Net, words: &[&str]) -> io::Result<()> {
        let begun = Instant::now();
        loop {
            let mut command = net.in_server(&program());
            command.args(words).arg("--data").arg(self.folder.join("data"));
            let output = command.output()?;
            if output.status.success() {
                return Ok(());
            }
            if begun.elapsed() > START_MAX {
                return Err(io::Error::other(String::from_utf8_lossy(&output.stderr).into_owned()));
            }
        }
    }

    /// The processor time of its processes so far, including ended ones.
    pub fn cpu_us(&self) -> io::Result<u64> {
        let living = children(self.child.id())?.into_iter().filter_map(|id| cpu_us_of(id).ok());
        Ok(cpu_us_of(self.child.id())? + living.sum::<u64>())
    }

    /// The memory of its processes.
    pub fn resident_kib(&self) -> io::Result<u64> {
        let of = |id: u32| -> io::Result<u64> {
            let status = fs::read_to_string(format!("/proc/{id}/status"))?;
            let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or("0");
            Ok(line.trim().trim_end_matches(" kB").parse().unwrap_or(0))
        };
        let living = children(self.child.id())?.into_iter().filter_map(|id| of(id).ok());
        Ok(of(self.child.id())? + living.sum::<u64>())
    }
}

/// The processor time of a process so far, and of the children that it has waited for.
pub fn cpu_us_of(id: u32) -> io::Result<u64> {
    // utime, stime, and the same of the children; the clock has 100 ticks a second.
    Ok(stat(id)?.iter().skip(11).take(4).sum::<u64>() * 10_000)
}

/// The numbers after the state in `/proc/ID/stat`: the first is the parent.
fn stat(id: u32) -> io::Result<Vec<u64>> {
    let stat = fs::read_to_string(format!("/proc/{id}/stat"))?;
    let after_name = stat.rsplit_once(") ").map(|(_, rest)| rest).unwrap_or_default();
    // A field that is not a number is the state, or negative and not needed.
    Ok(after_name.split(' ').skip(1).map(|field| field.parse().unwrap_or(0)).collect())
}

fn children(parent: u32) -> io::Result<Vec<u32>> {
    let processes = fs::read_dir("/proc")?.flatten();
    let ids = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let is_child = |id: &u32| stat(*id).is_ok_and(|fields| fields.first() == Some(&u64::from(parent)));
    Ok(ids.filter(is_child).collect())
}

impl Drop for Running {
    fn drop(&mut self) {
        // If any of this fails, the next server reports that it cannot have the port.
        let _ = Command::new("kill").arg(self.child.id().to_string()).status();
        let begun = Instant::now();
        while begun.elapsed() < STOP_MAX && matches!(self.child.try_wait(), Ok(None)) {
            std::thread::yield_now();
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}
