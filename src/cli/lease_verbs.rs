//! The verbs of leases, with their flags.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use crate::cli::action_verbs::DeletionArgs;
use crate::cli::command::OutputArgs;

/// The program that wrote a file of leases.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LeaseFormat {
    /// dhcpd.leases of ISC dhcpd.
    Isc,
    /// The CSV file of Kea's DHCPv4 server.
    Kea,
}

#[derive(Args, Clone, Debug)]
pub(super) struct ImportArgs {
    /// The program that wrote the file.
    #[arg(long)]
    pub format: LeaseFormat,
    /// The file; for Kea the files of an unfinished clean-up (.1, .2, .completed) are read as well.
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Report what would be imported, and import nothing.
    #[arg(long)]
    pub dry_run: bool,
    /// Show the imported leases as well.
    #[arg(long)]
    pub all: bool,
    #[command(flatten)]
    pub output: OutputArgs,
}

#[derive(Subcommand, Clone, Debug)]
pub(super) enum LeaseVerb {
    /// End leases as if their clients had released them; the clients get the same address again while it is
    /// free.
    Release(DeletionArgs),
    /// End leases as if they had expired.
    Expire(DeletionArgs),
    /// Who had an address from when until when, or which addresses a MAC had.
    History {
        #[arg(value_name = "ADDRESS|MAC")]
        of: String,
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Import the leases of another DHCP server. Newer leases here stay.
    Import(ImportArgs),
}
