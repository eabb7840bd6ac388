//! What the server does by itself.

use anyhow::Result;
use serde_json::Value;

use crate::cli::columns::{Column, Show};
use crate::cli::command::ServerVerb;
use crate::cli::output::{self, Format};
use crate::client::ApiClient;

const BACKGROUND: &[Column] = &[
    ("NAME", "name", Show::Text),
    ("EVERY S", "period_seconds", Show::Text),
    ("LAST", "last.started_at", Show::Age),
    ("MS", "last.duration_ms", Show::Text),
    ("OK", "last.ok", Show::Text),
    ("FAILURES", "failures", Show::Text),
    ("REASON", "last.reason", Show::Text),
    ("ABOUT", "about", Show::Text),
];

pub async fn run(client: &ApiClient, verb: ServerVerb) -> Result<()> {
    match verb {
        ServerVerb::Background { output } => background(client, output.output).await,
    }
}

async fn background(client: &ApiClient, format: Option<Format>) -> Result<()> {
    let answer = client.background_status().await?;
    let works = answer.get("items").and_then(Value::as_array).cloned().unwrap_or_default();
    output::print_all(&works, BACKGROUND, format)
}
