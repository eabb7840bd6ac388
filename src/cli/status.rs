//! `status`: the server in a few lines: machines by state, what needs somebody, the runs of a day, health.

use anyhow::Result;
use jiff::Timestamp;
use serde_json::json;

use crate::cli::columns::{age, bytes, utc};
use crate::cli::output::{self, OutputFormat, plain};
use crate::cli::table::cut;
use crate::client::ApiClient;
use crate::model::{HealthSummary, NeededAction, RunSummary, ServerSummary, SummaryLevel};

/// Longest reason, in characters.
const REASON_CHARS_MAX: usize = 80;
/// Most events that are shown.
const RECENT_MAX: usize = 5;

/// Prints the summary.
///
/// # Errors
/// An error of the server or the network.
pub async fn show(client: &ApiClient, format: Option<OutputFormat>) -> Result<()> {
    let summary = client.summary().await?;
    match format.unwrap_or(OutputFormat::Table) {
        OutputFormat::Table | OutputFormat::Wide => output::print(&page(&summary)),
        format => output::print_value(&json!(summary), format),
    }
}

/// All lines. Pure.
fn page(summary: &ServerSummary) -> String {
    let mut lines = server_lines(&summary.server);
    if let Some(machines) = &summary.machines {
        let used = machines.states.iter().filter(|(_, count)| **count > 0);
        let states = used.map(|(state, count)| format!("{count} {state}")).collect::<Vec<_>>().join(", ");
        lines.push(row("machines", &format!("{}{}", machines.total, after(": ", &states))));
    }
    lines.extend(summary.runs.as_ref().map(|runs| row("runs, 24 h", &runs_line(runs))));
    lines.extend(summary.needs.iter().flat_map(|need| need_lines(need, summary.at)));
    for event in summary.recent.iter().flatten().take(RECENT_MAX) {
        let what = format!("{} {} {} by {}", utc(event.time), event.kind, event.name, event.actor);
        lines.push(row("recent", &format!("{what}{}", after(": ", &cut(&event.text, REASON_CHARS_MAX)))));
    }
    lines.iter().map(|line| format!("{}\n", plain(line))).collect()
}

fn row(what: &str, text: &str) -> String {
    format!("{what:<12} {text}").trim_end().to_owned()
}

fn after(mark: &str, text: &str) -> String {
    if text.is_empty() { String::new() } else { format!("{mark}{text}") }
}

fn level(level: SummaryLevel) -> &'static str {
    match level {
        SummaryLevel::Ok => "ok",
        SummaryLevel::Info => "info",
        SummaryLevel::Warn => "warn",
        SummaryLevel::Fail => "FAIL",
    }
}

fn server_lines(server: &HealthSummary) -> Vec<String> {
    let free = server.store.free_bytes.map(|free| format!(", {} free on its disk", bytes(free)));
    let text =
        format!("metalwright {}: {}{}", server.version, level(server.status), free.unwrap_or_default());
    let mut lines = vec![row("server", &text)];
    for finding in &server.findings {
        lines.push(row(level(finding.level), &format!("{}: {}", finding.area, finding.text)));
    }
    let subnets = server.dhcp.iter().flat_map(|dhcp| &dhcp.subnets);
    for subnet in subnets.filter(|subnet| subnet.enabled && subnet.pool_addresses > 0) {
        let used = subnet.pool_addresses.saturating_sub(subnet.free);
        let text = format!("{} {}: {used} of {} used", subnet.name, subnet.cidr, subnet.pool_addresses);
        lines.push(row("subnet", &text));
    }
    lines
}

fn runs_line(runs: &RunSummary) -> String {
    let counts = runs.counts;
    let rate = runs.success_rate.map(|rate| format!(", {:.1} % succeeded", rate * 100.0));
    format!(
        "{} started, {} complete, {} failed, {} cancelled, {} open{}",
        counts.started,
        counts.complete,
        counts.failed,
        counts.cancelled,
        runs.open,
        rate.unwrap_or_default()
    )
}

fn need_lines(need: &NeededAction, now: Timestamp) -> Vec<String> {
    let filter = after(" --filter ", &need.filter.replace('&', " --filter "));
    let list = if need.list == "unknown_clients" { "unknown" } else { &need.list };
    let text = format!("{} {}: metalwright {list} list{filter}", need.count, need.kind.replace('_', " "));
    let mut lines = vec![row(level(need.severity), &text)];
    for item in &need.items {
        let since = item.since.map(|since| format!(", {}", age(now.duration_since(since))));
        let reason = after(": ", &cut(&item.reason, REASON_CHARS_MAX));
        lines.push(row("", &format!("{}{}{reason}", item.name, since.unwrap_or_default())));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_says_what_waits_and_with_which_command_one_sees_it() {
        let item = json!({"ref": "1", "name": "web1", "since": "2026-11-30T20:00:00Z", "reason": "no disk"});
        let need = json!({"kind": "failed", "severity": "fail", "count": 3, "list": "machines",
            "filter": "status.state=failed", "items": [item]});
        let server = json!({"version": "1.0.0", "status": "ok", "findings": [],
            "store": {"takes_writes": true, "free_bytes": 1_u64 << 30, "free_bytes_min": 1,
                "is_short_of_space": false}});
        let summary = json!({"at": "2026-11-30T21:00:00Z", "needs": [need], "server": server,
            "machines": {"total": 3, "states": {"failed": 3, "held": 0}, "armed": 0, "paused": 0, "locked": 0,
                "overdue": 0}});
        let page = page(&serde_json::from_value(summary).unwrap());
        assert!(page.contains("machines     3: 3 failed\n"), "{page}");
        assert!(page.contains("3 failed: metalwright machines list --filter status.state=failed"), "{page}");
        assert!(page.contains("web1, 1h ago: no disk"), "{page}");
    }
}
