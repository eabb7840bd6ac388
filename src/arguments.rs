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
    Simulate(Box<SimulateOptions>),
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
    BootCertificate(BootCertificate),
    /// Print a completion script for your shell. It completes commands, and the names of objects by asking
    /// the server.
    #[command(after_help = "Examples:\n  echo 'source <(metalwright completions bash)' >> ~/.bashrc\n  \
        metalwright completions fish > ~/.config/fish/completions/metalwright.fish")]
    Completions { shell: clap_complete::Shell },
}
