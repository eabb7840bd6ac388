//! `logs REF`: the log of a machine's latest job, or of a job by its id.

use std::time::Duration;

use anyhow::{Result, anyhow};
use serde_json::Value;
use uuid::Uuid;

use crate::cli::nouns::{name_of, object_path};
use crate::cli::output;
use crate::client::{ApiClient, ListRequest, ObjectPath};
use crate::model::Kind;

/// How often a growing log is read: its pieces are not events.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// How much to print.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PrintUntil {
    /// The present log.
    Now,
    JobEnds,
}

/// Prints the log: the present part, or until the job has ended.
///
/// # Errors
/// An error of the server or the network, or the machine has had no job.
pub async fn show(client: &ApiClient, reference: &str, until: PrintUntil) -> Result<()> {
    let job = find(client, reference).await?;
    let path = ObjectPath::new(Kind::Job, &job.to_string())?;
    let mut every = tokio::time::interval(LOOK_EVERY);
    every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut offset = 0;
    loop {
        // Asked before the log is read, so that everything written before is read below.
        let open = until == PrintUntil::JobEnds && is_open(&client.get(&path).await?);
        offset = print_rest(client, job, offset).await?;
        if !open {
            return Ok(());
        }
        every.tick().await;
    }
}

async fn print_rest(client: &ApiClient, job: Uuid, mut offset: u64) -> Result<u64> {
    loop {
        let piece = client.log(job, offset).await?;
        if piece.bytes.is_empty() {
            return Ok(offset);
        }
        output::print_foreign(&piece.bytes)?;
        offset = piece.end;
    }
}

fn is_open(job: &Value) -> bool {
    matches!(job.get("state").and_then(Value::as_str), Some("created" | "running"))
}

async fn find(client: &ApiClient, reference: &str) -> Result<Uuid> {
    if let Ok(id) = reference.parse::<Uuid>()
        && client.find(&ObjectPath::new(Kind::Job, reference)?).await?.is_some()
    {
        return Ok(id);
    }
    let machine = client.get(&object_path(Kind::Machine, reference)?).await?;
    let id = machine.get("id").and_then(Value::as_str).unwrap_or_default().to_owned();
    let terms = vec![("machine".to_owned(), id), ("sort".to_owned(), "-created_at".to_owned())];
    let jobs = client.list(Kind::Job, &ListRequest { terms, limit: Some(1) }).await?;
    let latest = jobs.items.first().and_then(|job| job.get("id")?.as_str()?.parse().ok());
    latest.ok_or_else(|| anyhow!("machine {} has had no job yet", name_of(Kind::Machine, &machine)))
}
