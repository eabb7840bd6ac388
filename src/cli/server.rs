//! What the server does by itself.

use anyhow::Result;
use serde_json::Value;

use crate::cli::command::ServerVerb;
use crate::cli::output::{self, OutputFormat};
use crate::client::ApiClient;
use crate::model::{CellFormat, Column};

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

pub async fn run(client: &ApiClient, verb: ServerVerb) -> Result<()> {
    match verb {
        ServerVerb::Background { output } => background(client, output.output).await,
    }
}

async fn background(client: &ApiClient, format: Option<OutputFormat>) -> Result<()> {
    let answer = client.background_status().await?;
    let works = answer.get("items").and_then(Value::as_array).cloned().unwrap_or_default();
    output::print_all(&works, BACKGROUND, format)
}
