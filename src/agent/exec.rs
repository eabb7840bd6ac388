//! Directories and processes of jobs.
//!
//! A job has a private directory with its record, its files, its log and the exit code of its script. A
//! script outlives the agent: a shell around it writes the exit code, and an agent that starts again in the
//! same boot adopts the process.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Component, Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};
use tokio::process::{Child, Command};
use tokio::time::{interval, timeout};

use crate::model::{JobFile, JobWork};

/// Writes the exit code of the script to a file when the script has ended, whether the agent is running or
/// not.
const SUPERVISOR: &str = r#""$1" "$2"; echo $? > "$3.new" && mv "$3.new" "$3""#;
/// How often an adopted process is checked.
const ADOPTED_INTERVAL: Duration = Duration::from_millis(200);
/// How long a process group may take to end after SIGTERM.
const TERM_WITHIN: Duration = Duration::from_secs(5);
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The record of a job on disk.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct JobRecord {
    pub work: JobWork,
    /// The boot in which it began: in another boot its processes do not exist.
    pub boot: String,
    /// When it began, in seconds since 1970.
    pub started_at: u64,
    /// Index of the file that is next or running.
    pub next: usize,
    /// The supervisor of the running script, which leads its process group.
    pub pid: Option<i32>,
}

/// The directories of all jobs of an agent.
#[derive(Clone, Debug)]
pub(super) struct JobWorkspace {
    root: PathBuf,
}

impl JobWorkspace {
    /// Creates the directory, accessible to its owner only.
    pub fn open(state_dir: &Path) -> io::Result<Self> {
        let root = state_dir.join("jobs");
        private_dir(&root)?;
        Ok(JobWorkspace { root })
    }

    /// The job that began in this boot and has not ended. Directories of other jobs are removed.
    pub fn resume(&self, boot: &str) -> io::Result<Option<JobDir>> {
        let mut found = None;
        for entry in fs::read_dir(&self.root)? {
            let path = entry?.path();
            match JobDir::load(&path).filter(|job| job.record.boot == boot && found.is_none()) {
                Some(job) => found = Some(job),
                None => fs::remove_dir_all(&path)?,
            }
        }
        Ok(found)
    }

    pub fn begin(&self, work: &JobWork, boot: &str) -> io::Result<JobDir> {
        let path = self.root.join(work.id.to_string());
        if path.exists() {
            fs::remove_dir_all(&path)?;
        }
        private_dir(&path)?;
        private_dir(&path.join("tmp"))?;
        let record = JobRecord {
            work: work.clone(),
            boot: boot.to_owned(),
            started_at: unix_now(),
            next: 0,
            pid: None,
        };
        let job = JobDir { path, record };
        private_file(&job.log(), 0o600)?;
        job.save()?;
        Ok(job)
    }
}

/// The directory of a job.
#[derive(Debug)]
pub(super) struct JobDir {
    path: PathBuf,
    pub record: JobRecord,
}

impl JobDir {
    fn load(path: &Path) -> Option<Self> {
        let record = serde_json::from_slice(&fs::read(path.join("job.json")).ok()?).ok()?;
        Some(JobDir { path: path.to_owned(), record })
    }

    pub fn log(&self) -> PathBuf {
        self.path.join("log")
    }

    fn exit_file(&self) -> PathBuf {
        self.path.join("exit")
    }

    /// Writes the record, whole or not at all.
    pub fn save(&self) -> io::Result<()> {
        let new = self.path.join("job.json.new");
        let mut file = private_file(&new, 0o600)?;
        file.write_all(&serde_json::to_vec(&self.record)?)?;
        fs::rename(new, self.path.join("job.json"))
    }

    pub fn remove(self) -> io::Result<()> {
        fs::remove_dir_all(self.path)
    }

    /// The remaining time of the job.
    pub fn time_left(&self) -> Duration {
        let used = unix_now().saturating_sub(self.record.started_at);
        Duration::from_secs(u64::from(self.record.work.timeout_seconds).saturating_sub(used))
    }

    /// Writes a file to its path.
    pub fn write(&self, file: &JobFile, path: &str) -> io::Result<()> {
        let target = self.place(path)?;
        if let Some(parent) = target.parent() {
            fs::create_dir_all(parent)?;
        }
        let mode = if Path::new(path).is_absolute() { 0o644 } else { 0o600 };
        private_file(&target, mode)?.write_all(file.body.as_bytes())
    }

    /// An absolute path as it is; a relative path inside of the job's directory only.
    fn place(&self, path: &str) -> io::Result<PathBuf> {
        let relative = Path::new(path);
        let inside =
            relative.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
        match relative.is_absolute() || inside {
            true => Ok(self.path.join(relative)),
            false => Err(io::Error::other(format!("`{path}` leads out of the job's directory"))),
        }
    }

    /// Starts the script at `record.next`, or adopts it if an earlier process of the agent started it.
    pub fn start(&mut self, file: &JobFile) -> io::Result<ScriptProcess> {
        if let Some(pid) = self.record.pid {
            return Ok(ScriptProcess::Adopted(pid));
        }
        let script = self.path.join(format!("script-{}", self.record.next));
        private_file(&script, 0o700)?.write_all(file.body.as_bytes())?;
        let log = OpenOptions::new().append(true).open(self.log())?;
        let child = self.command(&script).stdout(log.try_clone()?).stderr(log).spawn()?;
        self.record.pid = child.id().and_then(|pid| pid.try_into().ok());
        self.save()?;
        Ok(ScriptProcess::Child(child))
    }

    fn command(&self, script: &Path) -> Command {
        let work = &self.record.work;
        let mut command = Command::new("/bin/sh");
        command.arg("-c").arg(SUPERVISOR).arg("sh").arg(&work.interpreter).arg(script).arg(self.exit_file());
        command.current_dir(&self.path).stdin(Stdio::null()).process_group(0);
        command.env("TMPDIR", self.path.join("tmp")).env("METALWRIGHT_JOB_DIR", &self.path);
        command
            .env("METALWRIGHT_JOB", work.id.to_string())
            .env("METALWRIGHT_ATTEMPT", work.attempt.to_string());
        command.env("METALWRIGHT_TASK", &work.task).env("METALWRIGHT_STAGE", &work.stage);
        for (name, value) in [("PATH", PATH), ("HOME", "/root")] {
            if std::env::var_os(name).is_none() {
                command.env(name, value);
            }
        }
        command
    }

    /// The exit code of the script that has ended; none if it was killed together with its supervisor.
    /// Afterwards the next file can begin.
    pub fn finish(&mut self) -> io::Result<Option<i32>> {
        let exit = fs::read_to_string(self.exit_file()).ok().and_then(|text| text.trim().parse().ok());
        self.record.pid = None;
        self.record.next += 1;
        self.save()?;
        fs::remove_file(self.exit_file()).or_else(ignore_missing)?;
        Ok(exit)
    }
}

fn ignore_missing(error: io::Error) -> io::Result<()> {
    if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) }
}

/// A running script.
#[derive(Debug)]
pub(super) enum ScriptProcess {
    Child(Child),
    /// Started by an earlier process of the agent.
    Adopted(i32),
}

impl ScriptProcess {
    /// Waits until the supervisor has ended.
    pub async fn ended(&mut self) -> io::Result<()> {
        match self {
            ScriptProcess::Child(child) => child.wait().await.map(drop),
            ScriptProcess::Adopted(pid) => {
                let mut ticks = interval(ADOPTED_INTERVAL);
                while kill(Pid::from_raw(*pid), None).is_ok() {
                    ticks.tick().await;
                }
                Ok(())
            }
        }
    }

    /// Ends the whole process group: SIGTERM first, then SIGKILL.
    pub async fn stop(&mut self) -> io::Result<()> {
        let group = match self {
            ScriptProcess::Child(child) => child.id().and_then(|pid| pid.try_into().ok()),
            ScriptProcess::Adopted(pid) => Some(*pid),
        };
        let Some(group) = group.map(Pid::from_raw) else { return Ok(()) };
        // It does no harm if the group has ended already.
        killpg(group, Signal::SIGTERM).ok();
        let ended = timeout(TERM_WITHIN, self.ended()).await;
        killpg(group, Signal::SIGKILL).ok();
        match ended {
            Ok(ended) => ended,
            Err(_) => self.ended().await,
        }
    }
}

fn private_dir(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

fn private_file(path: &Path, mode: u32) -> io::Result<File> {
    OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(path)
}

fn unix_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
