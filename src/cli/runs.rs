//! `runs documents`, `runs show RUN --document PATH`: the documents that the machine was served during a run.

use anyhow::Result;
use clap::Subcommand;
use serde_json::Value;

use crate::cli::command::OutputArgs;
use crate::cli::nouns::object_path;
use crate::cli::objects::NounClient;
use crate::cli::output;
use crate::model::{CellFormat, Column};

/// Further verbs of runs.
#[derive(Subcommand, Clone, Debug)]
pub enum RunVerb {
    /// List the documents that the machine was served: boot scripts, answer files, scripts of tasks.
    Documents {
        #[arg(value_name = "REF")]
        reference: String,
        #[command(flatten)]
        output: OutputArgs,
    },
}

const DOCUMENTS: &[Column] = &[
    ("PATH", "path", CellFormat::Text),
    ("SERVED", "served_at", CellFormat::Age),
    ("SIZE", "bytes", CellFormat::Bytes),
    ("COVERED", "covered", CellFormat::Flag),
    ("DIGEST", "digest", CellFormat::Text),
    ("NOTE", "note", CellFormat::Text),
];

/// Lists the documents.
///
/// # Errors
/// An error of the server or the network.
pub async fn run(noun: &NounClient, RunVerb::Documents { reference, output }: RunVerb) -> Result<()> {
    let answer = noun.client.documents(&object_path(noun.kind, &reference)?).await?;
    let items = answer.get("items").and_then(Value::as_array).cloned().unwrap_or_default();
    output::print_all(&items, DOCUMENTS, output.output)
}

/// Prints the text of one document, the last one that was served at a path.
///
/// # Errors
/// An error of the server or the network.
pub async fn document(noun: &NounClient, (reference, path): (&str, &str)) -> Result<()> {
    let text = noun.client.document(&object_path(noun.kind, reference)?, path).await?;
    output::print_foreign(&text)
}
