//! The agent: asks its server for jobs, runs their scripts on this machine, and sends their logs.
//!
//! `step` decides what to do after each answer, and is pure. `run` is the loop that does it, `job` runs one
//! job from its first file to its report, `exec` has the directories and processes, and `log` sends the
//! output. `remote` is the server over HTTP, `config` the configuration; [`start`] puts them together. The
//! server decides which jobs exist and when they run.

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

/// The boot id of Linux, which changes with each boot.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// Runs the configured agent until it ends, or until SIGTERM or SIGINT. A running script continues without
/// the agent, and the next start adopts it.
///
/// # Errors
/// Why it cannot start, or why the server refuses it.
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
