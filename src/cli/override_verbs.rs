//! `overrides adopt` and `overrides hidden`: from copies to overrides, and what the site hides.

use anyhow::{Result, bail};
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::cli::command::OutputArgs;
use crate::cli::objects::NounClient;
use crate::cli::output::{self, OutputFormat};
use crate::cli::yaml;
use crate::model::{CellFormat, Column, Problem};

#[derive(Subcommand, Clone, Debug)]
pub(super) enum OverrideVerb {
    /// Turn a copy of an object of a pack into an override of that object: print it; with --yes, create it.
    Adopt(AdoptArgs),
    /// List the objects of packs that others stand in place of.
    Hidden {
        #[command(flatten)]
        output: OutputArgs,
    },
}

#[derive(Args, Clone, Debug)]
pub(super) struct AdoptArgs {
    /// The kind of both: template, param, stage, task, workflow, bootenv.
    #[arg(value_name = "KIND")]
    pub kind: String,
    /// The copy.
    #[arg(value_name = "NAME")]
    pub copy: String,
    /// The object of a pack that it was made of.
    #[arg(long, value_name = "ORIGINAL")]
    pub of: String,
    /// Create the override.
    #[arg(long)]
    pub yes: bool,
}

const HIDDEN_COLUMNS: &[Column] = &[
    ("KIND", "kind", CellFormat::Text),
    ("NAME", "name", CellFormat::Text),
    ("HIDDEN", "source", CellFormat::Text),
    ("BY", "hidden_by", CellFormat::Text),
];

/// Carries out a verb.
///
/// # Errors
/// An error of the server or the network; nothing of the copy can be an override.
pub(super) async fn run(noun: &NounClient, verb: OverrideVerb) -> Result<()> {
    match verb {
        OverrideVerb::Adopt(args) => adopt(noun, args).await,
        OverrideVerb::Hidden { output } => hidden(noun, output.output).await,
    }
}

async fn hidden(noun: &NounClient, format: Option<OutputFormat>) -> Result<()> {
    let list = noun.client.hidden_objects().await?;
    let items = list.get("items").and_then(Value::as_array).cloned().unwrap_or_default();
    output::print_all(&items, HIDDEN_COLUMNS, format)?;
    if list.get("complete").and_then(Value::as_bool) == Some(false) {
        output::note("there are more");
    }
    Ok(())
}

async fn adopt(noun: &NounClient, args: AdoptArgs) -> Result<()> {
    let input = json!({"kind": args.kind, "name": args.copy, "of": args.of});
    let proposal = noun.client.adopt_copy(&input).await?;
    let left: Vec<Problem> =
        proposal.get("left").and_then(|left| serde_json::from_value(left.clone()).ok()).unwrap_or_default();
    for problem in &left {
        output::note(&output::plain(&format!("stays with the copy: {problem}")));
    }
    let Some(body) = proposal.get("override").filter(|body| !body.is_null()) else {
        match left.is_empty() {
            true => return output::print(&format!("{} {} is what the pack has\n", args.kind, args.copy)),
            false => bail!("nothing of {} {} can be an override", args.kind, args.copy),
        }
    };
    if !args.yes {
        output::print(&yaml::write(body)?)?;
        output::note("nothing was written; --yes creates it");
        return Ok(());
    }
    let view = noun.client.create(noun.kind, body).await?;
    output::print(&format!("override {} created; the copy is there still\n", args.copy))?;
    noun.note_problems(&view);
    Ok(())
}
