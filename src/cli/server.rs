//! Commands about the server itself.

use anyhow::Result;
use clap::Subcommand;
use serde_json::Value;

use crate::cli::command::OutputArgs;
use crate::cli::data_verbs::RotateKeyArgs;
use crate::cli::output::{self, OutputFormat};
use crate::client::{ApiClient, Prune};
use crate::model::{CellFormat, Column};

/// The verbs of the server.
#[derive(Subcommand, Clone, Debug)]
pub enum ServerVerb {
    /// Show the background work: how often it runs, when it last ran, and the result.
    Background {
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Delete history that is older than the settings allow. Without --yes only report what would be deleted.
    Prune {
        /// Delete it.
        #[arg(long)]
        yes: bool,
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Seal all secret values with a new key, in the data directory of a server that is stopped. Without
    /// --yes only report what would be sealed.
    RotateKey(RotateKeyArgs),
}

const BACKGROUND: &[Column] = &[
    ("NAME", "name", CellFormat::Text),
    ("EVERY S", "period_seconds", CellFormat::Text),
    ("LAST", "last.started_at", CellFormat::Age),
    ("MS", "last.duration_ms", CellFormat::Text),
    ("OK", "last.ok", CellFormat::Text),
    ("FAILURES", "failures", CellFormat::Text),
    ("REASON", "last.reason", CellFormat::Text),
    ("ABOUT", "about", CellFormat::Text),
];

const PRUNED: &[Column] = &[
    ("KIND", "kind", CellFormat::Text),
    ("COUNT", "count", CellFormat::Text),
    ("SIZE", "bytes", CellFormat::Bytes),
    ("OLDEST", "oldest", CellFormat::Age),
    ("SETTINGS", "settings", CellFormat::Text),
];
/// Most requests of one prune.
const PRUNES_MAX: usize = 1000;

pub async fn run(client: &ApiClient, verb: ServerVerb) -> Result<()> {
    match verb {
        ServerVerb::Background { output } => background(client, output.output).await,
        ServerVerb::Prune { yes: false, output } => {
            let report = client.prune(Prune::DryRun).await?;
            show_pruned(items(&report), output.output)?;
            output::note("nothing was deleted; --yes deletes it");
            Ok(())
        }
        ServerVerb::Prune { yes: true, output } => prune(client, output.output).await,
        // `main` carries it out, without a server.
        ServerVerb::RotateKey(_) => Ok(()),
    }
}

/// Repeats the request until nothing is due.
async fn prune(client: &ApiClient, format: Option<OutputFormat>) -> Result<()> {
    for _ in 0..PRUNES_MAX {
        let report = client.prune(Prune::Delete).await?;
        show_pruned(items(&report), format)?;
        if report.get("complete") == Some(&Value::Bool(true)) {
            return Ok(());
        }
    }
    output::note("more is due: run it again");
    Ok(())
}

fn show_pruned(items: &[Value], format: Option<OutputFormat>) -> Result<()> {
    output::print_all(items, PRUNED, format)
}

fn items(report: &Value) -> &[Value] {
    report.get("items").and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

async fn background(client: &ApiClient, format: Option<OutputFormat>) -> Result<()> {
    let answer = client.background_status().await?;
    let works = answer.get("items").and_then(Value::as_array).cloned().unwrap_or_default();
    output::print_all(&works, BACKGROUND, format)
}
