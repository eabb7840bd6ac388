//! The command line: the verbs, with their flags and help. `parse` assigns them to the nouns.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};

use crate::cli::action_verbs::ActionVerb;
pub(super) use crate::cli::action_verbs::DeletionArgs;
use crate::cli::agents::AgentVerb;
use crate::cli::artifact_verbs::ArtifactVerb;
use crate::cli::changes::ChangeVerb;
use crate::cli::channel_verbs::ChannelVerb;
use crate::cli::connection::ConnectionArgs;
use crate::cli::data_verbs::{self, BackupArgs, CheckArgs, OfflineTask, RestoreArgs};
use crate::cli::event_verbs::{EventVerb, KindsFormat};
pub(super) use crate::cli::lease_verbs::{ImportArgs, LeaseFormat, LeaseVerb};
use crate::cli::many::ManyArgs;
use crate::cli::output::{OutputFormat, UsageError};
use crate::cli::override_verbs::OverrideVerb;
use crate::cli::pack_verbs::{PackTask, PackVerb};
use crate::cli::param_verbs::ParamVerb;
use crate::cli::runs::RunVerb;
use crate::cli::seeing::{DiffArgs, ExplainArgs, RenderArgs};
use crate::cli::server::ServerVerb;
use crate::cli::sets::parse_term;
use crate::cli::unknown::UnknownVerb;
use crate::cli::waiting::Goal;
use crate::model::Kind;

/// A command that needs a server, and how to reach the server.
#[derive(Clone, Debug)]
pub struct ClientCommand {
    pub(super) connection: ConnectionArgs,
    pub(super) invocation: Invocation,
}

#[derive(Clone, Debug)]
pub(super) enum Invocation {
    Noun(Kind, CliVerb),
    Other(OtherCommand),
}

impl ClientCommand {
    /// What it does on a data directory that nobody serves; none for what asks a server.
    ///
    /// # Errors
    /// No directory was named where one is needed, or it cannot be looked at.
    pub fn offline(&self) -> anyhow::Result<Option<(&Path, OfflineTask)>> {
        let data = self.connection.data.as_deref();
        let task = match &self.invocation {
            Invocation::Noun(_, CliVerb::Token(TokenVerb::Recover)) => OfflineTask::RecoverToken,
            Invocation::Other(OtherCommand::Server { verb: ServerVerb::RotateKey(args) }) => {
                OfflineTask::RotateKey(args.clone())
            }
            Invocation::Other(OtherCommand::Restore(args)) => OfflineTask::Restore(args.clone()),
            Invocation::Other(OtherCommand::Backup(args)) if self.is_stopped()? => {
                OfflineTask::Backup(args.clone())
            }
            Invocation::Other(OtherCommand::Check(args)) if self.is_stopped()? => {
                OfflineTask::Check(args.clone())
            }
            _ => return Ok(None),
        };
        let data = data.ok_or_else(|| UsageError("name the data directory with --data DIR".to_owned()))?;
        Ok(Some((data, task)))
    }

    /// What it does with a pack of this host, without a server; none for every other command.
    pub fn pack_task(&self) -> Option<PackTask> {
        match &self.invocation {
            Invocation::Noun(_, CliVerb::Pack(PackVerb::Test(args))) => Some(PackTask::Test(args.clone())),
            Invocation::Noun(_, CliVerb::Pack(PackVerb::Lint(args))) => Some(PackTask::Lint(args.clone())),
            _ => None,
        }
    }

    /// Whether the server that is meant is one of this host, by its data directory, and does not run.
    fn is_stopped(&self) -> anyhow::Result<bool> {
        match self.connection.chosen_data() {
            Some(data) => Ok(!data_verbs::is_served(data)?),
            None => Ok(false),
        }
    }
}

/// The verbs of nouns.
#[derive(Clone, Debug)]
pub(super) enum CliVerb {
    Read(ReadVerb),
    Write(WriteVerb),
    Delete(DeleteVerb),
    Machine(MachineVerb),
    Artifact(ArtifactVerb),
    Lease(LeaseVerb),
    Token(TokenVerb),
    Channel(ChannelVerb),
    Pack(PackVerb),
    Param(ParamVerb),
    Override(OverrideVerb),
    Run(RunVerb),
    /// `runs show RUN --document preseed.cfg`: the text of a document that was served.
    DocumentOf {
        run: String,
        path: String,
    },
    /// `params web1`: the values for a machine.
    ParamsOf {
        machine: String,
        explain: ExplainArgs,
        output: OutputArgs,
    },
}

#[derive(Args, Clone, Copy, Debug, Default)]
pub(super) struct OutputArgs {
    /// How to print: table, wide, json, yaml, name.
    #[arg(short, long, value_name = "FORMAT", hide_possible_values = true)]
    pub output: Option<OutputFormat>,
}

#[derive(Args, Clone, Debug, Default)]
pub(super) struct ListArgs {
    /// Only objects with this value of a field: name=web*, status.state[ne]=complete, updated_at[gt]=-1h,
    /// label.rack=r1; repeat for more.
    #[arg(long = "filter", value_name = "FIELD=VALUE", value_parser = parse_term)]
    pub filters: Vec<(String, String)>,
    /// The order, by field: name, -updated_at.
    #[arg(long, value_name = "FIELDS", allow_hyphen_values = true)]
    pub sort: Option<String>,
    /// The fields to show: name,status.state,label.rack.
    #[arg(long, value_name = "FIELDS")]
    pub fields: Option<String>,
    /// Most objects to show [default: all].
    #[arg(long, value_name = "N")]
    pub limit: Option<usize>,
    /// Show the tokens of agents as well.
    #[arg(long, hide = true)]
    pub all: bool,
    #[command(flatten)]
    pub output: OutputArgs,
}

#[derive(Args, Clone, Debug)]
pub(super) struct WaitArgs {
    /// The object.
    #[arg(value_name = "REF")]
    pub reference: String,
    /// What to wait for: a field and its value, status.state=complete.
    #[arg(long = "for", value_name = "FIELD=VALUE")]
    pub goal: Goal,
    /// How long to wait: 90s, 30m, 2h.
    #[arg(long, value_name = "TIME", default_value = "30m", value_parser = parse_duration)]
    pub timeout: Duration,
    #[command(flatten)]
    pub output: OutputArgs,
}

#[derive(Subcommand, Clone, Debug)]
pub(super) enum ReadVerb {
    /// List the objects.
    #[command(alias = "ls")]
    List(ListArgs),
    /// Show one object, with everything that is known about it.
    #[command(alias = "get")]
    Show {
        #[arg(value_name = "REF")]
        reference: String,
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Wait until a field has a value. Exits with 3 when the time is up, and with 4 when the object has
    /// failed or is held.
    Wait(WaitArgs),
    /// Print what happens to one object, or to all: of machines the changes of their states, else events.
    Watch {
        #[arg(value_name = "REF")]
        reference: Option<String>,
        /// Print the events of machines instead of the changes of their states.
        #[arg(long, hide = true)]
        events: bool,
        #[command(flatten)]
        output: OutputArgs,
    },
}

#[derive(Args, Clone, Debug)]
pub(super) struct CreateArgs {
    /// A file of YAML or JSON with one or several documents; - is standard input.
    #[arg(short, long, value_name = "FILE", required_unless_present = "sets")]
    pub file: Option<PathBuf>,
    /// Fields, instead of a file: name=web1 params.rack=a1 macs='["52:54:00:aa:00:01"]'.
    #[arg(value_name = "FIELD=VALUE", conflicts_with = "file")]
    pub sets: Vec<String>,
    #[command(flatten)]
    pub output: OutputArgs,
}

#[derive(Args, Clone, Debug)]
pub(super) struct ApplyArgs {
    /// A file, or a folder whose files are all read; - is standard input.
    #[arg(short, long, value_name = "PATH", required = true)]
    pub file: Vec<PathBuf>,
    /// Report what would change, and change nothing.
    #[arg(long)]
    pub dry_run: bool,
}

#[derive(Subcommand, Clone, Debug)]
pub(super) enum WriteVerb {
    /// Create one or several objects.
    Create(CreateArgs),
    /// Set fields: set web1 params.rack=a1 profiles='["db"]' serial=null. Several REFs or --filter set many.
    Set {
        /// The objects, then the fields to set. Values are JSON if they parse as JSON, otherwise text; null
        /// removes a field.
        #[arg(value_name = "REF FIELD=VALUE", required = true)]
        words: Vec<String>,
        #[command(flatten)]
        many: ManyArgs,
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Change an object in your editor ($VISUAL, $EDITOR).
    Edit {
        #[arg(value_name = "REF")]
        reference: String,
    },
    /// Create or update objects from files, and report what changed.
    Apply(ApplyArgs),
}

#[derive(Subcommand, Clone, Debug)]
pub(super) enum DeleteVerb {
    /// Delete one or several objects.
    Delete(DeletionArgs),
}

#[derive(Subcommand, Clone, Debug)]
pub(super) enum MachineVerb {
    #[command(flatten)]
    Act(ActionVerb),
    /// The machine's runs, the latest first.
    Runs {
        #[arg(value_name = "REF")]
        reference: String,
        #[command(flatten)]
        output: OutputArgs,
    },
    /// The values of params, and where each comes from.
    Params {
        #[arg(value_name = "REF")]
        reference: String,
        #[command(flatten)]
        explain: ExplainArgs,
        #[command(flatten)]
        output: OutputArgs,
    },
    /// One page about the machine: what it is, how far its run is, what it boots next, what happened last,
    /// what is wrong, and what to do.
    Describe {
        #[arg(value_name = "REF")]
        reference: String,
    },
}

#[derive(Subcommand, Clone, Copy, Debug)]
pub(super) enum TokenVerb {
    /// Create a new administrator's token when all are lost: on the server's own host, with --data, while the
    /// server is stopped. It is printed once and written to DIR/admin.token.
    Recover,
}

#[derive(Subcommand, Clone, Debug)]
pub(super) enum ContextVerb {
    /// List the named servers, and show which one is used.
    List,
    /// Use the server with this name from now on.
    Use { name: String },
    /// Name a server, which is given by --server and --token, or --data.
    Set { name: String },
    /// Forget a name.
    Delete { name: String },
}

#[derive(Subcommand, Clone, Debug)]
pub(super) enum DoctorVerb {
    /// Show the answers that DHCP clients on an interface get, and what prevents answers.
    Dhcp(DoctorArgs),
    /// Which artifacts have no files or a problem, and what to do, like a place to allow in `fetch.allow`.
    Artifacts(OutputArgs),
    /// Which objects of the site hide those of packs, and which overrides change nothing.
    Catalog(OutputArgs),
    /// Which machines wait for a person: failed, held, with a question at their console, or overdue.
    Machines(OutputArgs),
}

#[derive(Args, Clone, Debug)]
pub(super) struct DoctorArgs {
    /// The interface of this host [default: those that are served].
    pub interface: Option<String>,
    /// Send one DISCOVER as an unknown machine, and list who answers within two seconds. Needs root.
    #[arg(long, requires = "interface")]
    pub probe: bool,
    /// Print the configuration with which another DHCP server makes its machines boot from this one.
    #[arg(long, value_name = "PROGRAM", conflicts_with = "probe")]
    pub snippet: Option<DhcpDialect>,
    /// The address of this server in the snippet [default: the interface's].
    #[arg(long, value_name = "ADDRESS", requires = "snippet")]
    pub address: Option<Ipv4Addr>,
    #[command(flatten)]
    pub output: OutputArgs,
}

/// The DHCP servers for which there are snippets.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DhcpDialect {
    Kea,
    Dnsmasq,
    /// ISC dhcpd.
    Isc,
}

/// Commands that are not verbs of a noun.
#[derive(Subcommand, Clone, Debug)]
pub(super) enum OtherCommand {
    /// Show everything that happened to a machine: packets, files, renders, callbacks, jobs.
    Timeline {
        #[arg(value_name = "REF")]
        reference: String,
        /// Continue as things happen.
        #[arg(short, long)]
        follow: bool,
        /// Only what happened since this time: -1h, -2d, 2026-11-30.
        #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
        since: Option<String>,
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Explain what a machine would boot now, with the rules.
    Explain {
        /// The machine, MAC or address: web1, or machine web1, mac 52:54:00:aa:00:01, address 10.0.0.5; or
        /// packet FILE (`-` is standard input): a client's packet as hex, a hex dump or text.
        #[arg(value_name = "[mac|machine|address|packet] WHAT", num_args = 1..=2, required = true)]
        what: Vec<String>,
        /// Ask as a client with this vendor class (DHCP option 60), like `HTTPClient:Arch:00016`.
        #[arg(long, value_name = "TEXT")]
        vendor_class: Option<String>,
        /// Ask as a client with this user class (DHCP option 77), like `iPXE`.
        #[arg(long, value_name = "TEXT")]
        user_class: Option<String>,
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Print a file as the machine would get it, without secrets.
    Render(RenderArgs),
    /// Show what a machine was served last, against what it would be served now. Exits with 5 where that
    /// differs.
    Diff(DiffArgs),
    /// List everything that a template can use for a machine, and where it comes from.
    Vars {
        #[arg(value_name = "REF")]
        reference: String,
        #[command(flatten)]
        output: OutputArgs,
    },
    /// List every path that a machine may fetch now.
    Files {
        #[arg(value_name = "REF")]
        reference: String,
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Print the log of a machine's latest job, or of a job by its id.
    Logs {
        #[arg(value_name = "REF")]
        reference: String,
        /// Continue until the job ends.
        #[arg(short, long)]
        follow: bool,
    },
    /// Show the events of the whole server.
    Events {
        #[command(subcommand)]
        verb: EventVerb,
    },
    /// Say which codes errors have, what causes them and what to do. Needs no server.
    Errors {
        /// How to print them: a table, or the page of the documentation.
        #[arg(short, long, default_value = "table")]
        output: KindsFormat,
    },
    /// Show which objects changed on the whole server.
    Changes {
        #[command(subcommand)]
        verb: ChangeVerb,
    },
    /// The agents of machines.
    Agents {
        #[command(subcommand)]
        verb: AgentVerb,
    },
    /// Clients that asked for something to boot and are not registered.
    #[command(subcommand, alias = "unknown_clients", alias = "unknown-clients")]
    Unknown(UnknownVerb),
    /// Show the server in a few lines: machines by state, what waits for a person, the runs of a day, health,
    /// the last changes.
    Status(OutputArgs),
    /// The server itself.
    Server {
        #[command(subcommand)]
        verb: ServerVerb,
    },
    /// Create or update everything in a folder of YAML files, and report what changed.
    Apply(ApplyArgs),
    /// Write a backup of everything that a restore needs, secrets included: of a server that runs, or of the
    /// data directory of one that is stopped.
    Backup(BackupArgs),
    /// Make a data directory from a backup, which is checked first. The server is stopped.
    Restore(RestoreArgs),
    /// Look for what is broken in everything that is stored: of a server that runs, or in the data directory
    /// of one that is stopped.
    Check(CheckArgs),
    /// Find out what prevents machines from booting.
    Doctor {
        #[command(subcommand)]
        verb: DoctorVerb,
    },
    /// Names for servers.
    Context {
        #[command(subcommand)]
        verb: ContextVerb,
    },
}

pub(super) fn parse_duration(text: &str) -> Result<Duration, String> {
    let parsed: jiff::SignedDuration = text.parse().map_err(|_| duration_error(text))?;
    parsed.try_into().map_err(|_| duration_error(text))
}

fn duration_error(text: &str) -> String {
    format!("`{text}` is not a time: write it like 90s, 30m or 2h")
}
