//! The loop: ask, run, report, ask again.

use std::path::PathBuf;
use std::time::Duration;

use jiff::Timestamp;
use tokio::process::Command;
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use crate::agent::exec::{JobDir, Process, Workspace};
use crate::agent::job;
use crate::agent::step::{Do, End, Heard, Manner, Steps, Trouble};
use crate::model::{AgentReport, Environment, JobOffer, JobReport, JobWork, LogEnd, TokenGrant};

/// What the agent's machine asks of its server.
pub trait Server: Sync {
    /// Asks for work; the answer may be held back as long as the report says.
    fn next_job(&self, report: &AgentReport) -> impl Future<Output = Result<Asked, Trouble>> + Send;

    fn report_job(&self, job: Uuid, report: &JobReport) -> impl Future<Output = Result<(), Trouble>> + Send;

    fn put_log(
        &self,
        job: Uuid,
        offset: u64,
        piece: Vec<u8>,
    ) -> impl Future<Output = Result<LogEnd, Trouble>> + Send;

    /// Exchanges the token; later calls use the new one.
    fn renew_token(&self) -> impl Future<Output = Result<TokenGrant, Trouble>> + Send;
}

/// The answer to asking for work.
#[derive(Clone, Debug, PartialEq)]
pub enum Asked {
    Offer(JobOffer),
    Nothing { ask_again_after: Duration },
}

/// An agent before it runs.
#[derive(Clone, Debug)]
pub struct Agent {
    pub environment: Environment,
    /// Changes with each boot of the machine.
    pub boot: String,
    /// Where jobs have their directories.
    pub state_dir: PathBuf,
    pub manner: Manner,
}

/// Pause after an exchange that failed.
const RENEW_AGAIN: Duration = Duration::from_secs(600);

/// Runs until there is an end to it.
///
/// # Errors
/// The state directory cannot be used.
pub async fn run(agent: &Agent, server: &impl Server) -> std::io::Result<End> {
    let workspace = Workspace::open(&agent.state_dir)?;
    let mut unfinished = workspace.resume(&agent.boot)?;
    let mut steps = Steps::new(agent.manner);
    let mut renewal = Renewal::new();
    let mut next = steps.ask();
    loop {
        renewal.keep_up(server).await;
        let heard = match next {
            Do::Ask { wait_seconds } => ask(agent, server, (&unfinished, wait_seconds)).await,
            Do::AskAfter(pause) => {
                sleep(pause).await;
                next = steps.ask();
                continue;
            }
            Do::Run(work) => {
                let dir = take(&workspace, agent, (&mut unfinished, *work)).await?;
                match job::run(server, dir).await {
                    Ok(after) => Heard::JobEnded(after),
                    Err(trouble) => Heard::Trouble(trouble),
                }
            }
            Do::Reboot { reason } => return Ok(leave(("reboot", &reason)).await),
            Do::PowerOff => return Ok(leave(("poweroff", "the task asked for it")).await),
            Do::End(end) => return Ok(end),
        };
        if matches!(heard, Heard::Nothing { .. })
            && let Some(stale) = unfinished.take()
        {
            give_up(stale).await?;
        }
        next = steps.step(heard);
    }
}

async fn ask(
    agent: &Agent,
    server: &impl Server,
    (unfinished, wait_seconds): (&Option<JobDir>, u32),
) -> Heard {
    let report = AgentReport {
        environment: agent.environment,
        boot: agent.boot.clone(),
        job: unfinished.as_ref().map(|job| job.record.work.id),
        wait_seconds: if unfinished.is_some() { 0 } else { wait_seconds },
    };
    match server.next_job(&report).await {
        Ok(Asked::Offer(offer)) => Heard::Offer(offer),
        Ok(Asked::Nothing { ask_again_after }) => Heard::Nothing { ask_again_after },
        Err(trouble) => {
            tracing::warn!(%trouble, "asking for work failed");
            Heard::Trouble(trouble)
        }
    }
}

/// The directory of the job: the one left from an earlier life when it is the same job.
async fn take(
    workspace: &Workspace,
    agent: &Agent,
    (unfinished, work): (&mut Option<JobDir>, JobWork),
) -> std::io::Result<JobDir> {
    tracing::info!(job = %work.id, task = work.task, attempt = work.attempt, "job");
    match unfinished.take() {
        Some(mut dir) if dir.record.work.id == work.id => {
            // The server keeps the files to itself when it knows that they are here.
            (dir.record.work.state, dir.record.work.log_bytes) = (work.state, work.log_bytes);
            Ok(dir)
        }
        Some(other) => {
            give_up(other).await?;
            workspace.begin(&work, &agent.boot)
        }
        None => workspace.begin(&work, &agent.boot),
    }
}

/// Ends what is left of a job that the server does not want any more.
async fn give_up(dir: JobDir) -> std::io::Result<()> {
    if let Some(pid) = dir.record.pid {
        Process::Adopted(pid).stop().await?;
    }
    dir.remove()
}

/// Runs the command that takes the machine down.
async fn leave((command, reason): (&str, &str)) -> End {
    tracing::info!(reason, "{command}");
    match Command::new(command).status().await {
        Ok(status) if status.success() => End::Leaving,
        Ok(status) => End::Failed(format!("`{command}` ended with {status}")),
        Err(error) => End::Failed(format!("`{command}` cannot be run: {error}")),
    }
}

/// When the token is exchanged next: at the start, then halfway to its end.
struct Renewal {
    at: Instant,
}

impl Renewal {
    fn new() -> Self {
        Renewal { at: Instant::now() }
    }

    async fn keep_up(&mut self, server: &impl Server) {
        let now = Instant::now();
        if now < self.at {
            return;
        }
        match server.renew_token().await {
            Ok(grant) => {
                let left = grant.expires_at.duration_since(Timestamp::now());
                self.at = now + Duration::try_from(left).unwrap_or_default().max(RENEW_AGAIN) / 2;
            }
            Err(why) => {
                tracing::warn!(%why, "the token could not be renewed");
                self.at = now + RENEW_AGAIN;
            }
        }
    }
}
