//! The agent's loop: ask for work, run it, report, ask again.

use std::path::PathBuf;
use std::time::Duration;

use jiff::Timestamp;
use tokio::process::Command;
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use crate::agent::exec::{JobDir, JobWorkspace, ScriptProcess};
use crate::agent::job;
use crate::agent::step::{AgentEnd, AgentInput, AgentPolicy, AgentSteps, CallError, NextAction};
use crate::model::{AgentReport, Environment, JobOffer, JobReport, JobWork, LogEnd, TokenGrant};

/// The requests of the agent to its server.
pub trait AgentServer: Sync {
    /// Asks for work; the server may delay the answer as long as the report allows.
    fn next_job(&self, report: &AgentReport) -> impl Future<Output = Result<WorkAnswer, CallError>> + Send;

    fn report_job(&self, job: Uuid, report: &JobReport)
    -> impl Future<Output = Result<(), CallError>> + Send;

    fn put_log(
        &self,
        job: Uuid,
        offset: u64,
        piece: Vec<u8>,
    ) -> impl Future<Output = Result<LogEnd, CallError>> + Send;

    /// Exchanges the token; later calls use the new one.
    fn renew_token(&self) -> impl Future<Output = Result<TokenGrant, CallError>> + Send;
}

/// The answer to a request for work.
#[derive(Clone, Debug, PartialEq)]
pub enum WorkAnswer {
    Offer(JobOffer),
    Nothing { ask_again_after: Duration },
}

/// An agent that is not running yet.
#[derive(Clone, Debug)]
pub struct Agent {
    pub environment: Environment,
    /// The boot id, which changes with each boot of the machine.
    pub boot: String,
    /// The directory of jobs.
    pub state_dir: PathBuf,
    pub manner: AgentPolicy,
}

/// Pause after a failed exchange.
const RENEW_AGAIN: Duration = Duration::from_secs(600);

/// Runs until the agent ends.
///
/// # Errors
/// The state directory cannot be used.
pub async fn run(agent: &Agent, server: &impl AgentServer) -> std::io::Result<AgentEnd> {
    let workspace = JobWorkspace::open(&agent.state_dir)?;
    let mut unfinished = workspace.resume(&agent.boot)?;
    let mut steps = AgentSteps::new(agent.manner);
    let mut renewal = TokenRenewal::new();
    let mut next = steps.ask();
    loop {
        renewal.keep_up(server).await;
        let heard = match next {
            NextAction::Ask { wait_seconds } => ask(agent, server, (&unfinished, wait_seconds)).await,
            NextAction::AskAfter(pause) => {
                sleep(pause).await;
                next = steps.ask();
                continue;
            }
            NextAction::Run(work) => {
                let dir = take(&workspace, agent, (&mut unfinished, *work)).await?;
                match job::run(server, dir).await {
                    Ok(after) => AgentInput::JobEnded(after),
                    Err(trouble) => AgentInput::Trouble(trouble),
                }
            }
            NextAction::Reboot { reason } => return Ok(leave(("reboot", &reason)).await),
            NextAction::PowerOff => return Ok(leave(("poweroff", "the task asked for it")).await),
            NextAction::End(end) => return Ok(end),
        };
        if matches!(heard, AgentInput::Nothing { .. })
            && let Some(stale) = unfinished.take()
        {
            give_up(stale).await?;
        }
        next = steps.step(heard);
    }
}

async fn ask(
    agent: &Agent,
    server: &impl AgentServer,
    (unfinished, wait_seconds): (&Option<JobDir>, u32),
) -> AgentInput {
    let report = AgentReport {
        environment: agent.environment,
        boot: agent.boot.clone(),
        job: unfinished.as_ref().map(|job| job.record.work.id),
        wait_seconds: if unfinished.is_some() { 0 } else { wait_seconds },
    };
    match server.next_job(&report).await {
        Ok(WorkAnswer::Offer(offer)) => AgentInput::Offer(offer),
        Ok(WorkAnswer::Nothing { ask_again_after }) => AgentInput::Nothing { ask_again_after },
        Err(trouble) => {
            tracing::warn!(%trouble, "asking for work failed");
            AgentInput::Trouble(trouble)
        }
    }
}

/// The directory of the job: an existing one if an earlier process began the same job.
async fn take(
    workspace: &JobWorkspace,
    agent: &Agent,
    (unfinished, work): (&mut Option<JobDir>, JobWork),
) -> std::io::Result<JobDir> {
    tracing::info!(job = %work.id, task = work.task, attempt = work.attempt, "job");
    match unfinished.take() {
        Some(mut dir) if dir.record.work.id == work.id => {
            // The server leaves the files out if it knows that the agent has them.
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

/// Stops the rest of a job that the server has ended.
async fn give_up(dir: JobDir) -> std::io::Result<()> {
    if let Some(pid) = dir.record.pid {
        ScriptProcess::Adopted(pid).stop().await?;
    }
    dir.remove()
}

/// Runs the command that reboots the machine or powers it off.
async fn leave((command, reason): (&str, &str)) -> AgentEnd {
    tracing::info!(reason, "{command}");
    match Command::new(command).status().await {
        Ok(status) if status.success() => AgentEnd::Leaving,
        Ok(status) => AgentEnd::Failed(format!("`{command}` ended with {status}")),
        Err(error) => AgentEnd::Failed(format!("`{command}` cannot be run: {error}")),
    }
}

/// When the token is exchanged next: at the start, then halfway to its expiry.
struct TokenRenewal {
    at: Instant,
}

impl TokenRenewal {
    fn new() -> Self {
        TokenRenewal { at: Instant::now() }
    }

    async fn keep_up(&mut self, server: &impl AgentServer) {
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
