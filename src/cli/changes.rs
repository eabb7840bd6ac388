//! Changes as lines: the objects that were written or deleted after a commit, and a stream.

use anyhow::Result;
use clap::{Args, Subcommand};
use serde_json::json;

use crate::cli::command::OutputArgs;
use crate::cli::names::MachineNames;
use crate::cli::output::{self, OutputFormat, plain};
use crate::client::{ApiClient, ChangeSignal, PageStart};
use crate::model::{Kind, ObjectChange, ObjectChangeKind};

/// Most changes that the server puts on a page.
const PAGE_MAX: u32 = 1000;

#[derive(Subcommand, Clone, Debug)]
pub(super) enum ChangeVerb {
    /// Show the objects that changed after a commit, each at its last change.
    List(ChangeListArgs),
    /// Print changes as they happen.
    Watch(ChangeWatchArgs),
}

#[derive(Args, Clone, Debug)]
pub(super) struct ChangeListArgs {
    /// The commit that was read before: the `commit` of a list.
    #[arg(long, value_name = "COMMIT")]
    after: u64,
    #[command(flatten)]
    which: ChangeArgs,
}

#[derive(Args, Clone, Debug)]
pub(super) struct ChangeWatchArgs {
    /// Begin after this commit instead of now.
    #[arg(long, value_name = "COMMIT")]
    after: Option<u64>,
    #[command(flatten)]
    which: ChangeArgs,
}

#[derive(Args, Clone, Debug)]
pub(super) struct ChangeArgs {
    /// Only objects of this kind: machine, lease; repeat for several.
    #[arg(long, value_parser = parse_kind)]
    kind: Vec<Kind>,
    #[command(flatten)]
    output: OutputArgs,
}

fn parse_kind(word: &str) -> Result<Kind, String> {
    Kind::of_word(word).ok_or_else(|| format!("there are: {}", Kind::ALL.map(Kind::as_str).join(", ")))
}

/// `changes list` and `changes watch`.
///
/// # Errors
/// An error of the server or the network.
pub(super) async fn run(client: &ApiClient, verb: ChangeVerb) -> Result<()> {
    match verb {
        ChangeVerb::List(args) => list(client, args).await,
        ChangeVerb::Watch(args) => watch(client, args).await,
    }
}

async fn list(client: &ApiClient, ChangeListArgs { after, which }: ChangeListArgs) -> Result<()> {
    let format = which.output.output.unwrap_or(OutputFormat::Table);
    let (mut start, mut changes) = (PageStart::After { commit: after, epoch: None }, Vec::new());
    loop {
        let page = client.changes(&which.kind, &start, PAGE_MAX).await?;
        changes.extend(page.items);
        match page.next {
            Some(next) => start = PageStart::Cursor(next),
            None => break,
        }
    }
    match format {
        OutputFormat::Table | OutputFormat::Wide | OutputFormat::Name => {
            let mut names = MachineNames::default();
            let machines = changes.iter().filter(|change| change.kind == Kind::Machine && format.is_table());
            names.learn(client, machines.map(|change| change.key.as_str())).await;
            changes.iter().try_for_each(|change| print_one((change, format), &names))
        }
        _ => output::print_value(&json!(changes), format),
    }
}

async fn watch(client: &ApiClient, ChangeWatchArgs { after, which }: ChangeWatchArgs) -> Result<()> {
    let mut stream = client.follow_changes(&which.kind, after).await?;
    let format = which.output.output.unwrap_or(OutputFormat::Table);
    let mut names = MachineNames::default();
    loop {
        if let ChangeSignal::Change(change) = stream.next().await? {
            if change.kind == Kind::Machine && format.is_table() {
                names.learn(client, [change.key.as_str()]).await;
            }
            print_one((&change, format), &names)?;
        }
    }
}

fn print_one((change, format): (&ObjectChange, OutputFormat), names: &MachineNames) -> Result<()> {
    match format {
        OutputFormat::Table | OutputFormat::Wide => output::print(&line(change, names)),
        OutputFormat::Name => output::print(&format!("{}\n", plain(&change.kind.subject(&change.key)))),
        format => output::print_record(&json!(change), format),
    }
}

fn line(change: &ObjectChange, names: &MachineNames) -> String {
    let what = match change.what {
        ObjectChangeKind::Written => "written",
        ObjectChangeKind::Deleted => "deleted",
    };
    let (commit, subject) = (change.commit, change.kind.subject(names.of(&change.key)));
    format!("{commit:>9}  {what}  {}  revision {}\n", plain(&subject), change.revision)
}
