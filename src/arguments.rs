//! What can be typed: every command of the program, with its flags. `main` carries the commands out. A test
//! parses each command of the documents with it.

use clap::{Parser, Subcommand};

use crate::agent::AgentArgs;
use crate::cli::ClientCommand;
use crate::cli::boot_certificate::BootCertificate;
use crate::config::ServerFlags;
use crate::simulate::SimulateOptions;

/// From power-on to an installed machine: DHCP, TFTP, HTTP boot, rendered answer files, workflows.
#[derive(Parser)]
#[command(name = "metalwright", version, max_term_width = 110)]
pub struct ProgramArguments {
    #[command(subcommand)]
    pub command: ProgramCommand,
}

/// A command of the program.
#[derive(Subcommand)]
pub enum ProgramCommand {
    /// Run the server.
    Serve(Box<ServerFlags>),
    /// Run jobs on this machine.
    Agent(AgentArgs),
    /// Simulate machines against a server, without any metal.
    Simulate(Box<SimulateOptions>),
    #[command(flatten)]
    Client(ClientCommand),
    /// Render templates for a server, which starts this command itself.
    #[command(hide = true)]
    RenderWorker,
    /// Print the API's description (OpenAPI 3.1).
    Openapi,
    /// Write the certificate of the HTTPS boot listener, for firmware that has to trust it.
    BootCertificate(BootCertificate),
    /// Print a completion script for your shell.
    Completions { shell: clap_complete::Shell },
}
