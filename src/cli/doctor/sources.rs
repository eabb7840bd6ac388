//! `doctor artifacts`: which artifacts have no files, or a problem, and what to do; with places that
//! `fetch.allow` would have to list.

use anyhow::Result;
use serde_json::Value;

use super::findings::{Finding, Level, line};
use super::report;
use crate::cli::connection::ConnectionArgs;
use crate::cli::output::OutputFormat;
use crate::client::ListRequest;
use crate::model::Kind;

/// Prints each artifact with what stands in its way.
///
/// # Errors
/// An artifact has failed; the server cannot be asked.
pub async fn artifacts(format: Option<OutputFormat>, connection: &ConnectionArgs) -> Result<()> {
    let client = connection.client().await?;
    let listed = client.list(Kind::Artifact, &ListRequest::default()).await;
    let listed = listed.map_err(|error| connection.advise(error.into()))?;
    report(&listed.items.iter().flat_map(findings).collect::<Vec<_>>(), format)
}

/// What is to be said of one. Pure.
fn findings(artifact: &Value) -> Vec<Finding> {
    let text = |pointer: &str| artifact.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let (what, state, reason) =
        (format!("artifact {}", text("/name")), text("/status/state"), text("/status/reason"));
    let mut found = Vec::new();
    match (state, reason) {
        ("failed" | "missing", _) => found.push(line(Level::Fail, &what, format!("{state}: {reason}"))),
        (_, "") => {}
        _ => found.push(line(Level::Warn, &what, format!("{state}: {reason}"))),
    }
    let problems = artifact.get("problems").and_then(Value::as_array).into_iter().flatten();
    let told = problems.filter_map(|problem| problem.get("message").and_then(Value::as_str));
    found.extend(told.map(|problem| line(Level::Warn, &what, problem)));
    if found.is_empty() {
        found.push(line(Level::Ok, &what, state));
    }
    found
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_artifact_is_broken_when_it_has_failed_and_a_warning_when_it_has_a_problem() {
        let levels =
            |artifact: Value| findings(&artifact).iter().map(|finding| finding.level).collect::<Vec<_>>();
        assert_eq!(levels(json!({"name": "a", "status": {"state": "ready"}, "problems": []})), [Level::Ok]);
        let failed = json!({"name": "a", "status": {"state": "failed", "reason": "add \"m:80\""}});
        assert_eq!(levels(failed.clone()), [Level::Fail]);
        assert!(findings(&failed)[0].found.contains("failed: add \"m:80\""));
        let told = json!([{"pointer": "/fetch", "message": "add \"m:80\""}]);
        assert_eq!(
            levels(json!({"name": "a", "status": {"state": "ready"}, "problems": told})),
            [Level::Warn]
        );
    }
}
