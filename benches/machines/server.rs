//! The program, on a data directory and on ports that the system picks.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::caller::Caller;

const PROGRAM: &str = env!("CARGO_BIN_EXE_metalwright");
const READY_MAX: Duration = Duration::from_secs(60);

/// A running server. Dropping it ends it.
pub struct Server {
    child: Child,
    data: PathBuf,
    api: String,
    /// From the start of the process to its ready line.
    pub started_in: Duration,
}

impl Server {
    /// Starts the program and waits for its ready line. Its log is in `folder`.
    pub fn start(folder: &Path) -> Result<Server> {
        let data = folder.join("data");
        let log = File::create(folder.join("server.log")).context("the server's log")?;
        let mut command = Command::new(PROGRAM);
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("METALWRIGHT_") {
                command.env_remove(name);
            }
        }
        command.arg("serve").arg("--data").arg(&data);
        for listener in ["--api-listen", "--boot-http", "--tftp-listen"] {
            command.args([listener, "127.0.0.1:0"]);
        }
        let begun = Instant::now();
        let mut child = command.stdout(Stdio::piped()).stderr(log).spawn().context(PROGRAM)?;
        let lines = BufReader::new(child.stdout.take().context("stdout")?);
        let mut server = Server { child, data, api: String::new(), started_in: Duration::ZERO };
        let ready = first_line(lines)?;
        server.started_in = begun.elapsed();
        let ready: Value = serde_json::from_str(&ready).context("the ready line")?;
        server.api = ready["api"].as_str().context("the ready line names the API")?.to_owned();
        Ok(server)
    }

    /// A connection to the API as the administrator.
    pub fn caller(&self) -> Result<Caller> {
        let token = fs::read_to_string(self.data.join("admin.token")).context("admin.token")?;
        Caller::new(&self.api, token.trim())
    }

    /// Ends the server as an operator does.
    pub fn stop(&mut self) -> Result<()> {
        kill(Pid::from_raw(i32::try_from(self.child.id())?), Signal::SIGTERM)?;
        let ended = self.child.wait()?;
        ensure!(ended.success(), "the server ended with {ended}");
        Ok(())
    }

    /// `VmRSS`.
    pub fn resident_bytes(&self) -> Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("VmRSS")?;
        let kib: u64 = line.trim().trim_end_matches(" kB").parse()?;
        Ok(kib * 1024)
    }

    /// The size of all files in the data directory.
    pub fn disk_bytes(&self) -> Result<u64> {
        let files = fs::read_dir(&self.data)?.map(|entry| Ok(entry?.metadata()?));
        let files = files.collect::<Result<Vec<_>>>()?;
        Ok(files.iter().filter(|file| file.is_file()).map(fs::Metadata::len).sum())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn first_line(mut lines: impl BufRead + Send + 'static) -> Result<String> {
    let (sender, line) = mpsc::channel();
    thread::spawn(move || {
        let mut text = String::new();
        let read = lines.read_line(&mut text).map(|_| text);
        // Nothing waits any more when the time is up.
        let _ = sender.send(read);
    });
    match line.recv_timeout(READY_MAX) {
        Ok(read) => Ok(read?),
        Err(_) => bail!("the server was not ready within {READY_MAX:?}"),
    }
}
