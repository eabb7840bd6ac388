//! Simulated machines: `metalwright simulate`.
//!
//! They try a server, its content and its network without metal: DHCP, TFTP and HTTP as real firmware uses
//! them, iPXE scripts as iPXE runs them, an installer that reads its answer file and reports, an agent that
//! takes its jobs. Nothing is installed, and no script runs unless that is requested.
//!
//! The server decides what a machine boots; `proto` has the packets, `client` the API, and `agent` runs jobs.
//! Start at [`run`], then read `machine::SimulatedMachine::live`.

mod address;
mod agent;
mod console;
mod dhcp;
mod failure;
mod firmware;
mod http;
mod installer;
mod interpreter;
mod machine;
mod options;
mod script;
mod tftp;

use std::io::Write;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Instant;

use serde::Serialize;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::model::Mac;
use console::{ConsoleLine, LINES_WAITING_MAX, MachineConsole, StepDurations, StepPercentiles};
use machine::SimulatedMachine;

pub use failure::StepFailure;
pub use firmware::FirmwareKind;
pub use machine::MachineEnd;
pub use options::{DhcpTarget, FirmwareTiming, SimulateOptions};

/// The result of a simulation.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SimulationSummary {
    pub machines: Vec<MachineFate>,
    /// Durations of each kind of step, in milliseconds.
    pub steps: Vec<StepPercentiles>,
    pub ms: u64,
}

/// The result of one machine.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MachineFate {
    pub mac: Mac,
    pub address: Option<Ipv4Addr>,
    pub power_ons: u32,
    /// None if the machine failed.
    pub ended: Option<MachineEnd>,
    pub failure: Option<String>,
}

impl SimulationSummary {
    /// The number of machines that failed.
    pub fn failed(&self) -> usize {
        self.machines.iter().filter(|fate| fate.failure.is_some()).count()
    }
}

/// Simulates the machines, prints their steps to `out`, and then the summary.
///
/// # Errors
/// The data directory has no endpoint of a server, or `out` cannot be written. Machines that fail are in the
/// summary.
pub async fn run(
    options: SimulateOptions,
    out: &mut (dyn Write + Send),
) -> anyhow::Result<SimulationSummary> {
    // If another caller in this process installed it already, that is fine.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let began = Instant::now();
    let options = Arc::new(options.with_data().map_err(anyhow::Error::msg)?);
    let (sender, mut lines) = mpsc::channel(LINES_WAITING_MAX);
    let players = tokio::spawn(play(Arc::clone(&options), sender));
    let mut printer = LinePrinter { options: &options, out };
    while let Some(line) = lines.recv().await {
        printer.line(&line)?;
    }
    let (mut machines, durations) = players.await?;
    machines.sort_by_key(|fate| fate.mac);
    let ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    let summary = SimulationSummary { machines, steps: durations.percentiles(), ms };
    printer.summary(&summary)?;
    Ok(summary)
}

/// Simulates all machines, a bounded number at the same time.
async fn play(
    options: Arc<SimulateOptions>,
    lines: mpsc::Sender<ConsoleLine>,
) -> (Vec<MachineFate>, StepDurations) {
    let mut playing = JoinSet::new();
    let mut waiting = 0..options.count;
    let (mut fates, mut durations) = (Vec::new(), StepDurations::default());
    loop {
        while playing.len() < options.at_once as usize
            && let Some(index) = waiting.next()
        {
            playing.spawn(play_one(Arc::clone(&options), index, lines.clone()));
        }
        match playing.join_next().await {
            Some(Ok((fate, took))) => {
                fates.push(fate);
                durations.merge(took);
            }
            // A task that panicked has printed the reason; the summary omits its machine.
            Some(Err(_)) => {}
            None => return (fates, durations),
        }
    }
}

async fn play_one(
    options: Arc<SimulateOptions>,
    index: u32,
    lines: mpsc::Sender<ConsoleLine>,
) -> (MachineFate, StepDurations) {
    let mac = options.mac_of(index);
    let mut machine = SimulatedMachine::new(options, index, MachineConsole::new(mac, lines));
    let lived = machine.live().await;
    let address = machine.address();
    machine.switch_off().await;
    let mut console = machine.console;
    match &lived {
        Ok(ended) => console.say("end", format!("{ended:?}").to_lowercase()).await,
        Err(failure) => console.say(FAILED, failure.to_string()).await,
    }
    let fate = MachineFate {
        mac,
        address,
        power_ons: console.power_ons(),
        ended: lived.as_ref().ok().copied(),
        failure: lived.err().map(|failure| failure.to_string()),
    };
    (fate, console.into_durations())
}

/// The step that says why a machine stopped.
const FAILED: &str = "failed";
/// Most failures that the summary lists.
const FAILURES_SHOWN_MAX: usize = 20;

/// Writes lines for people or for programs.
struct LinePrinter<'a> {
    options: &'a SimulateOptions,
    out: &'a mut (dyn Write + Send),
}

impl LinePrinter<'_> {
    fn line(&mut self, line: &ConsoleLine) -> std::io::Result<()> {
        if self.options.quiet && line.step != FAILED {
            return Ok(());
        }
        if self.options.json {
            return writeln!(self.out, "{}", serde_json::to_string(line)?);
        }
        match self.options.count {
            1 => writeln!(self.out, "{}", line.to_text()),
            _ => writeln!(self.out, "{} {}", line.mac, line.to_text()),
        }
    }

    fn summary(&mut self, summary: &SimulationSummary) -> std::io::Result<()> {
        if self.options.json {
            let line = serde_json::json!({"step": "summary", "summary": summary});
            return writeln!(self.out, "{line}");
        }
        if self.options.count == 1 {
            return Ok(());
        }
        let total = summary.machines.len();
        let count = |wanted| summary.machines.iter().filter(|fate| fate.ended == Some(wanted)).count();
        let ended = [
            MachineEnd::Installed,
            MachineEnd::Rehearsed,
            MachineEnd::Disk,
            MachineEnd::Live,
            MachineEnd::Off,
            MachineEnd::Asks,
        ];
        let ended = ended.map(|ended| format!("{} {}", count(ended), format!("{ended:?}").to_lowercase()));
        let (failed, ms) = (summary.failed(), summary.ms);
        writeln!(self.out, "{total} machines in {ms} ms: {}, {failed} failed", ended.join(", "))?;
        writeln!(
            self.out,
            "{:<12} {:>7} {:>9} {:>9} {:>9} {:>9}",
            "step", "count", "p50 ms", "p95", "p99", "max"
        )?;
        for StepPercentiles { step, count, p50, p95, p99, max } in &summary.steps {
            writeln!(self.out, "{step:<12} {count:>7} {p50:>9.1} {p95:>9.1} {p99:>9.1} {max:>9.1}")?;
        }
        let failures = summary.machines.iter().filter_map(|fate| Some((fate.mac, fate.failure.as_ref()?)));
        for (mac, failure) in failures.take(FAILURES_SHOWN_MAX) {
            writeln!(self.out, "{mac} failed: {failure}")?;
        }
        Ok(())
    }
}
