//! What can be typed of events, and of the kinds of events and the codes of errors.

use clap::{Args, Subcommand, ValueEnum};

use crate::cli::command::OutputArgs;

#[derive(Args, Clone, Debug)]
pub(super) struct EventArgs {
    /// Only events of this kind: machine.updated, or dhcp.* for all with this prefix.
    #[arg(long)]
    pub kind: Option<String>,
    /// Only events about this object: machine:web1, subnet:lan.
    #[arg(long)]
    pub subject: Option<String>,
    /// Only events about this machine: its name, MAC, address or id.
    #[arg(long, value_name = "REF", conflicts_with = "subject")]
    pub machine: Option<String>,
    /// Only events since this time: -1h, -2d, 2026-11-30, 2026-11-30T20:06:00Z.
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub since: Option<String>,
    /// Only events before this time.
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub until: Option<String>,
    /// Only what the holder of this token did, by its name; '*' for all tokens.
    #[arg(long, value_name = "TOKEN")]
    pub by: Option<String>,
    /// Only what this request of the API brought about: the id that its answer and the access log have.
    #[arg(long, value_name = "ID")]
    pub request_id: Option<String>,
    /// Begin after the event with this number.
    #[arg(long, value_name = "SEQ")]
    pub after: Option<u64>,
    #[command(flatten)]
    pub output: OutputArgs,
}

#[derive(Args, Clone, Debug)]
pub(super) struct EventListArgs {
    #[command(flatten)]
    pub which: EventArgs,
    /// Most events to show.
    #[arg(long, value_name = "N", default_value_t = 100)]
    pub limit: u32,
}

#[derive(Subcommand, Clone, Debug)]
pub(super) enum EventVerb {
    /// Show what happened.
    List(EventListArgs),
    /// Print events as they happen.
    Watch(EventArgs),
    /// List the kinds of events with their meaning. Needs no server.
    Kinds {
        /// The format: a table, or the page of the documentation.
        #[arg(short, long, default_value = "table")]
        output: KindsFormat,
    },
}

/// How the kinds of events and the codes of errors are printed.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum KindsFormat {
    Table,
    Markdown,
}
