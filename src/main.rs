//! The program: one call per command. `arguments` says what can be typed.

use std::process::ExitCode;

use clap::{CommandFactory, Parser};
use metalwright::agent;
use metalwright::arguments::{ProgramArguments, ProgramCommand};
use metalwright::cli;
use metalwright::config::{LogFormat, ServerConfig, ServerFlags};
use metalwright::server::ConfigSource;
use metalwright::simulate;

/// A DHCP exchange makes hundreds of small allocations; the system's allocator took a fifth of its time.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    cli::complete::answer(ProgramArguments::command);
    let command = ProgramArguments::parse().command;
    let format = match &command {
        ProgramCommand::Serve(flags) => LogFormat::chosen(flags),
        _ => LogFormat::Text,
    };
    match run(command) {
        Err(error) if format == LogFormat::Json => metalwright::telemetry::log_end(&error, format),
        ended => cli::finish(ended),
    }
}

fn serve(flags: ServerFlags) -> anyhow::Result<()> {
    let config = ServerConfig::load(flags.clone()).map_err(anyhow::Error::msg)?;
    let log = metalwright::telemetry::start(&config.log_level, config.log_format);
    let source = ConfigSource { flags, log: log.map_err(anyhow::Error::msg)? };
    metalwright::telemetry::log_panics();
    let runtime = metalwright::threads::shared()?;
    let ended = runtime.block_on(metalwright::server::run(config, source));
    // Work that nobody waits for any more does not hold up the end.
    runtime.shutdown_timeout(metalwright::threads::END_MAX);
    ended
}

/// Carries out a command that asks a server, or does without one.
fn work_as_client(command: cli::ClientCommand) -> anyhow::Result<()> {
    if let Some(task) = command.pack_task() {
        metalwright::telemetry::start("error", LogFormat::Text).map_err(anyhow::Error::msg)?;
        return tokio::runtime::Runtime::new()?.block_on(metalwright::server::check_pack(task));
    }
    match command.offline()? {
        Some((data, task)) => {
            metalwright::telemetry::start("warn", LogFormat::Text).map_err(anyhow::Error::msg)?;
            tokio::runtime::Runtime::new()?.block_on(metalwright::server::work_offline(data, task))
        }
        None => tokio::runtime::Runtime::new()?.block_on(cli::run(command)),
    }
}

fn run(command: ProgramCommand) -> anyhow::Result<()> {
    drop(rustls::crypto::ring::default_provider().install_default());
    match command {
        ProgramCommand::Serve(flags) => serve(*flags),
        ProgramCommand::Agent(args) => {
            metalwright::telemetry::start("info", LogFormat::Text).map_err(anyhow::Error::msg)?;
            tokio::runtime::Runtime::new()?.block_on(agent::start(args))
        }
        ProgramCommand::Simulate(options) => {
            let mut out = std::io::stdout();
            let played = simulate::run(*options, &mut out);
            let summary = tokio::runtime::Runtime::new()?.block_on(played)?;
            anyhow::ensure!(summary.failed() == 0, "{} machines failed", summary.failed());
            Ok(())
        }
        ProgramCommand::Client(command) => work_as_client(command),
        ProgramCommand::RenderWorker => {
            // If memory runs out, the kernel ends this process before anything important.
            let _ = std::fs::write("/proc/self/oom_score_adj", "1000");
            Ok(metalwright::render::worker::run()?)
        }
        ProgramCommand::Openapi => cli::print(&metalwright::api::openapi()),
        ProgramCommand::BootCertificate(args) => cli::boot_certificate::export(&args),
        ProgramCommand::Completions { shell } => cli::print_completions(shell),
    }
}
