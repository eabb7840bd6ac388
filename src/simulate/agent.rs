//! The agent of an installed or a live system: the real agent, connected to its server through
//! [`ShownServer`].
//!
//! Jobs are passed to it without their files, so that nothing runs on this host; it reports their beginning
//! and end as always. With `--run-jobs` the files stay, and their scripts run here.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Instant;

use tokio::sync::{Mutex, Notify};
use uuid::Uuid;

use crate::agent::{
    self, Agent, AgentArgs, AgentConfig, AgentEnd, AgentServer, CallError, RemoteServer, WorkAnswer,
};
use crate::model::{AgentReport, JobOffer, JobReport, JobState, LogEnd, Mac, TokenGrant};
use crate::simulate::console::MachineConsole;
use crate::simulate::failure::StepFailure;
use crate::simulate::options::SimulateOptions;

/// How long a server may delay its answer if there is nothing to do, in seconds.
const IDLE_SECONDS: u32 = 1;

/// How the work of an agent ended.
#[derive(Debug, PartialEq, Eq)]
pub enum AgentResult {
    /// There is nothing left to do.
    Idle,
    /// The server wants the machine to reboot, for this reason.
    Reboot(String),
    /// The power was cut.
    PowerCut,
}

/// The machine that the agent runs on.
#[derive(Debug, Clone, Copy)]
pub struct AgentHost<'a> {
    pub options: &'a SimulateOptions,
    pub mac: Mac,
    /// The task during which the power is cut.
    pub cut_at: Option<&'a str>,
}

/// Works until there is nothing left to do, the machine has to reboot, or its power is cut.
///
/// # Errors
/// The agent refuses its configuration, the server refuses the agent, or a job failed.
pub async fn work(
    configuration: &str,
    host: AgentHost<'_>,
    console: &mut MachineConsole,
) -> Result<AgentResult, StepFailure> {
    let AgentHost { options, mac, cut_at } = host;
    let folder =
        AgentFolder::make(mac).map_err(|error| agent_failure("a folder for its jobs", error.to_string()))?;
    let config = folder.configure(configuration);
    let config = config.map_err(|came| agent_failure("a configuration that it can use", came))?;
    let remote = RemoteServer::new(&config)
        .map_err(|error| agent_failure("a server to talk to", error.to_string()))?;
    console.say("agent", format!("asks {} for jobs", config.server)).await;
    let played = ShownServer {
        remote,
        runs: options.run_jobs,
        cut_at,
        cut: Notify::new(),
        seen: Mutex::new(AgentTraffic { console, jobs: BTreeMap::new(), reboot: None }),
    };
    let agent = Agent {
        environment: config.environment,
        boot: Uuid::new_v4().to_string(),
        state_dir: config.state_dir.clone(),
        manner: config.manner,
    };
    let ended = tokio::select! {
        ended = agent::run(&agent, &played) => ended,
        () = played.cut.notified() => return Ok(AgentResult::PowerCut),
    };
    let seen = played.seen.into_inner();
    match ended {
        Err(error) => Err(agent_failure("its folder to stay", error.to_string())),
        Ok(AgentEnd::Failed(why)) => Err(agent_failure("jobs, or the answer that there are none", why)),
        Ok(_) => match seen.jobs.into_values().find_map(|job| job.failed.map(|why| (job.task, why))) {
            Some((task, why)) => Err(StepFailure::new("job", format!("the task {task} to end well"), why)),
            None => Ok(seen.reboot.map_or(AgentResult::Idle, AgentResult::Reboot)),
        },
    }
}

fn agent_failure(what: &str, came: String) -> StepFailure {
    StepFailure::new("agent", what, came)
}

/// The server, with its exchange with the agent shown on the machine's console.
struct ShownServer<'a> {
    remote: RemoteServer,
    runs: bool,
    cut_at: Option<&'a str>,
    cut: Notify,
    seen: Mutex<AgentTraffic<'a>>,
}

/// The exchange so far.
struct AgentTraffic<'a> {
    console: &'a mut MachineConsole,
    jobs: BTreeMap<Uuid, ShownJob>,
    /// Why the server wants the machine to reboot.
    reboot: Option<String>,
}

struct ShownJob {
    task: String,
    began: Instant,
    log_bytes: u64,
    failed: Option<String>,
}

impl AgentServer for ShownServer<'_> {
    async fn next_job(&self, report: &AgentReport) -> Result<WorkAnswer, CallError> {
        let wait_seconds = report.wait_seconds.min(IDLE_SECONDS);
        let asked = self.remote.next_job(&AgentReport { wait_seconds, ..report.clone() }).await?;
        let WorkAnswer::Offer(offer) = asked else { return Ok(asked) };
        let mut seen = self.seen.lock().await;
        match offer {
            JobOffer::Reboot { reason } => {
                seen.console.say("agent", format!("is told to reboot: {reason}")).await;
                seen.reboot = Some(reason.clone());
                Ok(WorkAnswer::Offer(JobOffer::Reboot { reason }))
            }
            JobOffer::Run(mut work) => {
                // The last try of a task counts.
                seen.jobs.retain(|_, job| job.task != work.task);
                let (task, log_bytes) = (work.task.clone(), work.log_bytes);
                seen.jobs.insert(work.id, ShownJob { task, began: Instant::now(), log_bytes, failed: None });
                let (files, stage) = (work.files.len(), &work.stage);
                let text = format!("{} of {stage}, try {}, {files} files", work.task, work.attempt);
                seen.console.say("job", text).await;
                if !self.runs {
                    work.files.clear();
                }
                Ok(WorkAnswer::Offer(JobOffer::Run(work)))
            }
        }
    }

    async fn report_job(&self, job: Uuid, report: &JobReport) -> Result<(), CallError> {
        let ends = report.exit.is_some() || report.state == Some(JobState::Failed);
        if ends && !self.runs {
            self.pretend(job).await?;
        }
        self.remote.report_job(job, report).await?;
        if report.state == Some(JobState::Running) {
            self.cut_power_at(job).await;
        }
        if ends {
            self.ended(job, report).await;
        }
        Ok(())
    }

    async fn put_log(&self, job: Uuid, offset: u64, piece: Vec<u8>) -> Result<LogEnd, CallError> {
        self.remote.put_log(job, offset, piece).await
    }

    async fn renew_token(&self) -> Result<TokenGrant, CallError> {
        self.remote.renew_token().await
    }
}

impl ShownServer<'_> {
    /// Writes to a job's log that nothing was run.
    async fn pretend(&self, job: Uuid) -> Result<(), CallError> {
        let offset = self.seen.lock().await.jobs.get(&job).map_or(0, |job| job.log_bytes);
        let line = b"simulated: the scripts of this job were not run\n";
        self.remote.put_log(job, offset, line.to_vec()).await.map(drop)
    }

    /// Cuts the power if it is this job's turn; afterwards nothing continues.
    async fn cut_power_at(&self, job: Uuid) {
        let mut seen = self.seen.lock().await;
        let AgentTraffic { console, jobs, .. } = &mut *seen;
        let task = jobs.get(&job).map(|job| job.task.as_str());
        if task.is_none() || task != self.cut_at {
            return;
        }
        console.say("power", "cut, in the middle of the task").await;
        drop(seen);
        self.cut.notify_one();
        std::future::pending::<()>().await;
    }

    async fn ended(&self, id: Uuid, report: &JobReport) {
        let mut seen = self.seen.lock().await;
        let AgentTraffic { console, jobs, .. } = &mut *seen;
        let Some(job) = jobs.get_mut(&id) else { return };
        let how = match (report.exit, &report.reason) {
            (Some(exit), _) => format!("exit {exit}"),
            (None, reason) => reason.clone().unwrap_or_else(|| "failed".to_owned()),
        };
        let failed = match report.exit {
            Some(exit) => crate::model::ended_by_exit(exit).state == JobState::Failed,
            None => true,
        };
        job.failed = failed.then(|| how.clone());
        let manner = if self.runs { "" } else { ", pretended" };
        console.step("job", job.began, format!("{}: {how}{manner}", job.task)).await;
    }
}

/// The private folder of a machine's agent. Dropping it deletes the folder.
struct AgentFolder(PathBuf);

impl AgentFolder {
    fn make(mac: Mac) -> io::Result<Self> {
        let name = format!("metalwright-simulate-{}-{}", mac.dashed(), Uuid::new_v4().simple());
        let path = std::env::temp_dir().join(name);
        DirBuilder::new().mode(0o700).create(&path)?;
        Ok(AgentFolder(path))
    }

    /// Writes the configuration as the installer does, and reads it as the agent does.
    fn configure(&self, text: &str) -> Result<AgentConfig, String> {
        let path = self.0.join("agent.toml");
        write_private(&path, text).map_err(|error| error.to_string())?;
        let args = AgentArgs {
            config: Some(path),
            state_dir: Some(self.0.clone()),
            once: true,
            ..AgentArgs::default()
        };
        let config = AgentConfig::load(args).map_err(|error| error.to_string())?;
        // A simulated machine must not switch off the host that it runs on.
        let manner =
            agent::AgentPolicy { power: agent::PowerPolicy::Forbidden, until: agent::StopCondition::Idle };
        Ok(AgentConfig { manner, ..config })
    }
}

impl Drop for AgentFolder {
    fn drop(&mut self) {
        // Anything left over is in the folder for temporary files.
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn write_private(path: &Path, text: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())
}
