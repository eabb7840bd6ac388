//! `params migrate`: values of params that have a newer name.

use anyhow::{Result, bail};
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::cli::columns::text;
use crate::cli::command::OutputArgs;
use crate::cli::objects::NounClient;
use crate::cli::output::{self, OutputFormat};

/// Most requests of one migration: each rewrites a bounded number of objects.
const REQUESTS_MAX: usize = 1000;

#[derive(Subcommand, Clone, Debug)]
pub(super) enum ParamVerb {
    /// Say which values would be written under the newer names of their params; with --yes, write them.
    Migrate(MigrateArgs),
}

#[derive(Args, Clone, Debug)]
pub(super) struct MigrateArgs {
    /// Write the values.
    #[arg(long)]
    pub yes: bool,
    #[command(flatten)]
    pub output: OutputArgs,
}

/// Carries out a verb.
///
/// # Errors
/// An error of the server or the network; values that could not be written.
pub(super) async fn run(noun: &NounClient, verb: ParamVerb) -> Result<()> {
    let ParamVerb::Migrate(args) = verb;
    let mut stay = 0;
    for _ in 0..REQUESTS_MAX {
        let report = noun.client.migrate_params(&json!({"dry_run": !args.yes})).await?;
        let items = report.get("items").and_then(Value::as_array).cloned().unwrap_or_default();
        match args.output.output {
            Some(format @ (OutputFormat::Json | OutputFormat::Yaml)) => noun.print_one(&report, format)?,
            _ => print_items(&items, &args)?,
        }
        let faults = items.iter().filter(|item| item.get("fault").is_some()).count();
        // Those that stay are in every report.
        stay = faults;
        let is_last = report.get("complete").and_then(Value::as_bool) != Some(false);
        if is_last || !args.yes || faults == items.len() {
            break;
        }
    }
    if args.yes && stay > 0 {
        bail!("{stay} values stay as they are");
    }
    Ok(())
}

fn print_items(items: &[Value], args: &MigrateArgs) -> Result<()> {
    for item in items {
        let [kind, name, from, to] =
            ["kind", "name", "from", "to"].map(|field| item.get(field).map(text).unwrap_or_default());
        let fault = item.get("fault").map(|fault| format!(" STAYS: {}", text(fault))).unwrap_or_default();
        output::print(&format!("{kind} {name}: {from} -> {to}{fault}\n"))?;
    }
    if items.is_empty() {
        output::note("no value has a newer name");
    } else if !args.yes {
        output::note("nothing was written; --yes writes it");
    }
    Ok(())
}
