//! One job, from its first file to its report.

use std::io::{self, Write};
use std::path::Path;
use std::time::Duration;

use tokio::time::{Instant, interval, sleep, sleep_until};

use crate::agent::exec::JobDir;
use crate::agent::log::{JobLog, SendingEnd};
use crate::agent::run::AgentServer;
use crate::agent::step::{CallError, ScriptPlace, back_off, job_exit};
use crate::model::{AfterJob, JobFile, JobReport, JobState, ended_by_exit};

/// A script that writes a longer log is stopped.
const LOG_FILE_BYTES_MAX: u64 = 256 << 20;
/// How often the length of the log is checked.
const SIZE_INTERVAL: Duration = Duration::from_secs(1);

/// How the files of a job ended.
#[derive(Debug, PartialEq)]
enum FilesOutcome {
    Exit(i32),
    /// The job could not be carried out, or was stopped.
    Failed(String),
    /// The server ended the job.
    NotWanted,
}

/// Runs a job to its end and reports it. Returns what its script asked for.
///
/// # Errors
/// The server refuses or has ended the job. While the server cannot be reached, this waits.
pub(super) async fn run(server: &impl AgentServer, mut dir: JobDir) -> Result<Option<AfterJob>, CallError> {
    let work = &dir.record.work;
    let (id, mut log) = (work.id, JobLog::new(work.id, dir.log(), work.log_bytes));
    if work.state == JobState::Created {
        let report = JobReport { state: Some(JobState::Running), ..JobReport::default() };
        if let Err(trouble) = insist(|| server.report_job(id, &report)).await {
            remove(dir);
            return Err(trouble);
        }
        dir.record.work.state = JobState::Running;
    }
    let outcome = match carry_out(server, (&mut dir, &mut log)).await {
        Ok(outcome) => outcome,
        Err(error) => FilesOutcome::Failed(format!("the agent could not continue: {error}")),
    };
    let report = match &outcome {
        FilesOutcome::Exit(exit) => JobReport { exit: Some(*exit), ..JobReport::default() },
        FilesOutcome::Failed(reason) => {
            note(&dir, reason);
            let (state, reason) = (Some(JobState::Failed), Some(reason.clone()));
            JobReport { state, reason, ..JobReport::default() }
        }
        FilesOutcome::NotWanted => {
            remove(dir);
            return Err(CallError::Conflict("the server has ended the job".to_owned()));
        }
    };
    let reported = match flush(server, &mut log).await {
        Ok(()) => insist(|| server.report_job(id, &report)).await,
        Err(trouble) => Err(trouble),
    };
    remove(dir);
    reported?;
    Ok(report.exit.and_then(|exit| ended_by_exit(exit).after))
}

/// Repeats a call until the server can be reached.
async fn insist<T, F: Future<Output = Result<T, CallError>>>(
    mut call: impl FnMut() -> F,
) -> Result<T, CallError> {
    let mut failures = 0;
    loop {
        match call().await {
            Err(CallError::Passing(why)) => {
                failures += 1;
                tracing::warn!(%why, failures, "the server cannot be reached");
                sleep(back_off(failures)).await;
            }
            other => return other,
        }
    }
}

/// Sends the rest of the log, however long the server cannot be reached.
async fn flush(server: &impl AgentServer, log: &mut JobLog) -> Result<(), CallError> {
    let mut failures = 0;
    loop {
        match log.send(server).await {
            Ok(SendingEnd::All) => return Ok(()),
            Ok(SendingEnd::NotWanted) => {
                return Err(CallError::Conflict("the server has ended the job".to_owned()));
            }
            Err(CallError::Passing(why)) => {
                failures += 1;
                tracing::warn!(%why, failures, "the log waits on disk");
                sleep(back_off(failures)).await;
            }
            Err(other) => return Err(other),
        }
    }
}

async fn carry_out(
    server: &impl AgentServer,
    (dir, log): (&mut JobDir, &mut JobLog),
) -> io::Result<FilesOutcome> {
    let files = dir.record.work.files.clone();
    for (index, file) in files.iter().enumerate().skip(dir.record.next) {
        if let Some(path) = &file.path {
            dir.write(file, path).map_err(|error| io::Error::other(format!("{path}: {error}")))?;
            dir.record.next = index + 1;
            dir.save()?;
            continue;
        }
        if let Some(stopped) = run_script(server, (dir, log), file).await? {
            return Ok(stopped);
        }
        let later = files.iter().skip(index + 1).any(|file| file.path.is_none());
        match dir.finish()? {
            Some(0) => {}
            Some(exit) => {
                let place = if later { ScriptPlace::Earlier } else { ScriptPlace::Last };
                return Ok(FilesOutcome::Exit(job_exit(exit, place)));
            }
            None => return Ok(FilesOutcome::Failed("the script was killed".to_owned())),
        }
    }
    Ok(FilesOutcome::Exit(0))
}

/// Runs a script; returns an outcome if it was stopped.
async fn run_script(
    server: &impl AgentServer,
    (dir, log): (&mut JobDir, &mut JobLog),
    file: &JobFile,
) -> io::Result<Option<FilesOutcome>> {
    let mut process = dir.start(file)?;
    let deadline = Instant::now() + dir.time_left();
    let written = dir.log();
    let stopped = tokio::select! {
        ended = process.ended() => return ended.map(|()| None),
        () = log.follow(server) => FilesOutcome::NotWanted,
        () = sleep_until(deadline) => {
            FilesOutcome::Failed(format!("it did not end within {} s", dir.record.work.timeout_seconds))
        }
        () = too_much(&written) => {
            FilesOutcome::Failed(format!("it wrote more than {LOG_FILE_BYTES_MAX} bytes"))
        }
    };
    process.stop().await?;
    Ok(Some(stopped))
}

/// Completes when the log has become too long.
async fn too_much(log: &Path) {
    let mut looks = interval(SIZE_INTERVAL);
    while std::fs::metadata(log).map_or(0, |found| found.len()) <= LOG_FILE_BYTES_MAX {
        looks.tick().await;
    }
}

/// Writes to the log why it ends here.
fn note(dir: &JobDir, reason: &str) {
    let log = std::fs::OpenOptions::new().append(true).open(dir.log());
    if let Err(error) = log.and_then(|mut log| writeln!(log, "\n[agent] {reason}")) {
        tracing::debug!(%error, "the log cannot be written");
    }
}

fn remove(dir: JobDir) {
    if let Err(error) = dir.remove() {
        tracing::warn!(%error, "the directory of a job cannot be removed");
    }
}
