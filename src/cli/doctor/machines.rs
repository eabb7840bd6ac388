//! `doctor machines`: which machines wait for a person.

use anyhow::Result;
use serde_json::Value;

use super::findings::{Finding, Level, line};
use super::report;
use crate::cli::connection::ConnectionArgs;
use crate::cli::output::OutputFormat;
use crate::client::ListRequest;
use crate::model::Kind;

/// Prints the machines that stand still: failed, held, with a question at their console, or overdue.
///
/// # Errors
/// A machine has failed; the server cannot be asked.
pub async fn machines(format: Option<OutputFormat>, connection: &ConnectionArgs) -> Result<()> {
    let client = connection.client().await?;
    let listed = client.list(Kind::Machine, &ListRequest::default()).await;
    let listed = listed.map_err(|error| connection.advise(error.into()))?;
    let mut found: Vec<Finding> = listed.items.iter().filter_map(finding).collect();
    if found.is_empty() {
        let machines = listed.items.len();
        found.push(line(Level::Ok, "machines", format!("none of {machines} waits for a person")));
    }
    report(&found, format)
}

/// What is to be said of one; nothing of one that goes on by itself. Pure.
fn finding(machine: &Value) -> Option<Finding> {
    let text = |pointer: &str| machine.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let is_overdue = machine.pointer("/status/waiting/overdue") == Some(&Value::Bool(true));
    let level = match text("/status/state") {
        "failed" => Level::Fail,
        "held" => Level::Warn,
        _ if is_overdue || !text("/status/boot_attempt/asks").is_empty() => Level::Warn,
        _ => return None,
    };
    let (name, state, reason) = (text("/name"), text("/status/state"), text("/status/reason"));
    Some(line(level, format!("machine {name}"), format!("{state}: {reason}")))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_machine_is_told_of_when_it_does_not_go_on_by_itself() {
        let level = |status: Value| finding(&json!({"name": "web1", "status": status})).map(|it| it.level);
        assert_eq!(level(json!({"state": "running"})), None);
        assert_eq!(level(json!({"state": "failed", "reason": "no disk"})), Some(Level::Fail));
        assert_eq!(level(json!({"state": "held"})), Some(Level::Warn));
        let asks = json!({"state": "running", "boot_attempt": {"asks": "Bad archive mirror"}});
        assert_eq!(level(asks), Some(Level::Warn));
        assert_eq!(level(json!({"state": "booting", "waiting": {"overdue": true}})), Some(Level::Warn));
    }
}
