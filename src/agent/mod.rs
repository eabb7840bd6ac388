//! The agent: asks its server for jobs, runs their scripts on this machine, sends what they print.
//!
//! `step` says what to do after each answer, and is pure. `run` is the loop that does it, `job` takes one
//! job from its first file to its report, `exec` has the directories and processes, `log` sends what was
//! printed. `remote` is the server over HTTP, `config` what operators write; [`start`] puts them together.
//! What a job is for and when it runs is the server's business.

pub mod config;
mod exec;
mod job;
mod log;
mod remote;
pub mod run;
pub mod step;
#[cfg(test)]
mod tests;

use tokio::signal::unix::{SignalKind, signal};

pub use config::{AgentArgs, AgentConfig};
pub use remote::RemoteServer;
pub use run::{Agent, AgentServer, WorkAnswer, run};
pub use step::{AgentEnd, AgentPolicy, CallError, PowerPolicy, StopCondition};

/// What changes with each boot of Linux.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// Runs the agent that was configured until it ends or is told to by SIGTERM or SIGINT. A script under way
/// goes on without it, and the next start goes on with the script.
///
/// # Errors
/// What keeps it from starting, or why the server does not want it.
pub async fn start(args: AgentArgs) -> anyhow::Result<()> {
    let config = AgentConfig::load(args)?;
    let server = RemoteServer::new(&config)?;
    let boot = std::fs::read_to_string(BOOT_ID)?.trim().to_owned();
    let AgentConfig { environment, state_dir, manner, .. } = config;
    let agent = Agent { environment, boot, state_dir, manner };
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let end = tokio::select! {
        end = run(&agent, &server) => end?,
        _ = terminate.recv() => return Ok(()),
        _ = interrupt.recv() => return Ok(()),
    };
    match end {
        AgentEnd::Failed(why) => Err(anyhow::anyhow!(why)),
        AgentEnd::Idle | AgentEnd::Stopped | AgentEnd::Leaving => Ok(()),
    }
}
