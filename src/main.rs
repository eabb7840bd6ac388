//! The program: the command line, with one call per command.

use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};
use metalwright::agent::{self, AgentArgs};
use metalwright::cli::{self, ClientCommand};
use metalwright::config::{LogFormat, ServerConfig, ServerFlags};
use metalwright::server::ConfigSource;
use metalwright::simulate;

/// A DHCP exchange makes hundreds of small allocations; the system's allocator took a fifth of its time.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// From power-on to an installed machine: DHCP, TFTP, HTTP boot, rendered answer files, workflows.
#[derive(Parser)]
#[command(name = "metalwright", version, max_term_width = 110)]
struct ProgramArguments {
    #[command(subcommand)]
    command: ProgramCommand,
}

#[derive(Subcommand)]
enum ProgramCommand {
    /// Run the server.
    #[command(
        after_help = "Examples:\n  metalwright serve --data /var/lib/metalwright --dhcp-interface eth1\n  \
        metalwright serve --config /etc/metalwright.toml"
    )]
    Serve(Box<ServerFlags>),
    /// Run jobs on this machine.
    #[command(after_help = "Examples:\n  metalwright agent --config /etc/metalwright/agent.toml")]
    Agent(AgentArgs),
    /// Simulate machines against a server, without any metal.
    #[command(after_help = "Examples:\n  metalwright simulate --count 50 --dhcp 127.0.0.1:67")]
    Simulate(Box<simulate::SimulateOptions>),
    #[command(flatten)]
    Client(ClientCommand),
    /// Render templates for a server, which starts this command itself.
    #[command(hide = true)]
    RenderWorker,
    /// Print the API's description (OpenAPI 3.1).
    #[command(after_help = "Examples:\n  metalwright openapi > openapi.yaml")]
    Openapi,
    /// Write the certificate of the HTTPS boot listener, for firmware that has to trust it.
    #[command(after_help = "Examples:\n  metalwright boot-certificate --data DIR -o boot.pem")]
    BootCertificate(cli::boot_certificate::BootCertificate),
    /// Print a completion script for your shell. It completes commands, and the names of objects by asking
    /// the server.
    #[command(after_help = "Examples:\n  echo 'source <(metalwright completions bash)' >> ~/.bashrc\n  \
        metalwright completions fish > ~/.config/fish/completions/metalwright.fish")]
    Completions { shell: clap_complete::Shell },
}

fn main() -> ExitCode {
    cli::complete::answer(ProgramArguments::command);
    match ProgramArguments::parse().command {
        ProgramCommand::Serve(flags) => {
            let format = LogFormat::chosen(&flags);
            let ended = serve(*flags);
            match &ended {
                Err(error) if format == LogFormat::Json => metalwright::telemetry::log_end(error, format),
                _ => cli::finish(ended),
            }
        }
        command => cli::finish(run(command)),
    }
}

fn serve(flags: ServerFlags) -> anyhow::Result<()> {
    drop(rustls::crypto::ring::default_provider().install_default());
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
        ProgramCommand::Client(command) => match command.offline()? {
            Some((data, task)) => {
                metalwright::telemetry::start("warn", LogFormat::Text).map_err(anyhow::Error::msg)?;
                tokio::runtime::Runtime::new()?.block_on(metalwright::server::work_offline(data, task))
            }
            None => tokio::runtime::Runtime::new()?.block_on(cli::run(command)),
        },
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
