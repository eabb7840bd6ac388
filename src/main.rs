//! The program: one subcommand, one call.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use metalwright::config::{Config, Flags};
use metalwright::simulate;

#[derive(Parser)]
#[command(version, about)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the server.
    Serve(Flags),
    /// Play machines against a server, without any metal.
    Simulate(Box<simulate::Options>),
    /// Print the API's description.
    Openapi,
}

fn main() -> ExitCode {
    match run(Arguments::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("metalwright: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> anyhow::Result<()> {
    drop(rustls::crypto::ring::default_provider().install_default());
    match command {
        Command::Serve(flags) => {
            let config = Config::load(flags).map_err(anyhow::Error::msg)?;
            metalwright::telemetry::start(&config.log_level, config.log_format)
                .map_err(anyhow::Error::msg)?;
            tokio::runtime::Runtime::new()?.block_on(metalwright::server::run(config))
        }
        Command::Simulate(options) => {
            let mut out = std::io::stdout();
            let played = simulate::run(*options, &mut out);
            let summary = tokio::runtime::Runtime::new()?.block_on(played)?;
            anyhow::ensure!(summary.failed() == 0, "{} machines failed", summary.failed());
            Ok(())
        }
        Command::Openapi => {
            print!("{}", metalwright::api::openapi());
            Ok(())
        }
    }
}
