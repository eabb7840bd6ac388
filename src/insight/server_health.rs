//! How the server is: what an operator has to look at, and the state of the store, DHCP, the artifacts and
//! the work in the background.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use crate::insight::Insight;
use crate::insight::summary::{SummaryAsides, SummaryRows, may_read};
use crate::kernel::Caller;
use crate::model::{
    Artifact, ArtifactState, ArtifactSummary, BackgroundStatus, BackgroundSummary, BackgroundWork,
    DhcpStatus, DhcpSummary, HealthSummary, StoreStatus, Stored, SummaryFinding, SummaryLevel, TroubledWork,
    UnreadyArtifact,
};

/// Most artifacts that are named because they are not ready.
const UNREADY_MAX: usize = 20;
/// How many periods after its last round work is late, and how many seconds besides.
const LATE_PERIODS: u64 = 2;
const LATE_SECONDS: u64 = 60;

impl Insight {
    /// The health of the server, with the parts that the caller may read.
    pub(super) fn health(&self, caller: &Caller, known: (&SummaryRows, SummaryAsides)) -> HealthSummary {
        let (rows, asides) = known;
        let store = self.kernel.store_status();
        let dhcp = may_read(caller, "dhcp").then(|| self.dhcp.dhcp_status(caller));
        let artifacts = rows.artifacts.as_deref().map(artifacts);
        let background = may_read(caller, "server").then(|| background(&asides.background, caller.now));
        let mut findings = self.warnings(&store, asides.admin_warning);
        findings.extend(dhcp.iter().flat_map(dhcp_findings));
        findings.extend(artifacts.iter().flat_map(artifact_findings));
        findings.extend(background.iter().flat_map(background_findings));
        findings.sort_by_key(|finding| std::cmp::Reverse(finding.level));
        let status = findings.iter().map(|finding| finding.level).max().unwrap_or(SummaryLevel::Ok);
        let version = env!("CARGO_PKG_VERSION").to_owned();
        HealthSummary {
            version,
            status,
            findings,
            store,
            dhcp: dhcp.map(dhcp_summary),
            artifacts,
            background,
        }
    }

    /// What is known without a permission, as `readyz` tells it.
    fn warnings(&self, store: &StoreStatus, admin: Option<String>) -> Vec<SummaryFinding> {
        use SummaryLevel::{Fail, Warn};
        let outage = store.outage().map(|text| finding((Fail, "store"), text));
        let render_outage = self.catalog.render_outage().map(|text| finding((Fail, "render"), text));
        let space = store.space_warning().map(|text| finding((Warn, "store"), text));
        let data = self.kernel.data_warnings().into_iter().map(|text| finding((Warn, "data"), text));
        let render = self.catalog.render_warnings().into_iter().map(|text| finding((Warn, "render"), text));
        let admin = admin.map(|text| finding((Warn, "access"), text));
        outage.into_iter().chain(render_outage).chain(space).chain(data).chain(render).chain(admin).collect()
    }
}

fn finding((level, area): (SummaryLevel, &str), text: String) -> SummaryFinding {
    SummaryFinding { level, area: area.to_owned(), text }
}

/// The warnings of DHCP. A service that reads nothing, and a subnet without an address, are failures.
fn dhcp_findings(status: &DhcpStatus) -> Vec<SummaryFinding> {
    let deaf = status.service.enabled && !status.service.receives;
    let found = status.warnings.iter().map(|text| {
        let fails = deaf && text.starts_with("DHCP requests") || text.ends_with("has no free address");
        let level = if fails { SummaryLevel::Fail } else { SummaryLevel::Warn };
        finding((level, "dhcp"), text.clone())
    });
    found.collect()
}

fn dhcp_summary(status: DhcpStatus) -> DhcpSummary {
    let rivals = status.servers.into_iter().filter(|server| !server.expected).collect();
    let (enabled, receives) = (status.service.enabled, status.service.receives);
    DhcpSummary { enabled, receives, subnets: status.subnets, rivals }
}

fn state_name(state: ArtifactState) -> &'static str {
    match state {
        ArtifactState::Missing => "missing",
        ArtifactState::Fetching => "fetching",
        ArtifactState::Extracting => "extracting",
        ArtifactState::Ready => "ready",
        ArtifactState::Failed => "failed",
    }
}

fn artifacts(rows: &[Arc<Stored<Artifact>>]) -> ArtifactSummary {
    let mut states: BTreeMap<String, u64> = BTreeMap::new();
    for row in rows {
        *states.entry(state_name(row.status.state).to_owned()).or_default() += 1;
    }
    let unready = rows.iter().filter(|row| row.status.state != ArtifactState::Ready).take(UNREADY_MAX);
    let items = unready.map(|row| UnreadyArtifact {
        name: row.spec.name.clone(),
        state: state_name(row.status.state).to_owned(),
        percent: row.status.percent,
        reason: row.status.reason.clone(),
    });
    ArtifactSummary { total: rows.len() as u64, items: items.collect(), states }
}

fn artifact_findings(artifacts: &ArtifactSummary) -> Option<SummaryFinding> {
    let failed = artifacts.states.get("failed").copied().unwrap_or_default();
    (failed > 0).then(|| {
        let text = format!("{failed} artifacts have failed: `metalwright doctor artifacts` says why");
        finding((SummaryLevel::Warn, "artifacts"), text)
    })
}

fn background(status: &BackgroundStatus, now: Timestamp) -> BackgroundSummary {
    let items = status.items.iter().filter_map(|work| troubled(work, now)).collect();
    BackgroundSummary { works: status.items.len() as u64, items }
}

/// Work whose last round failed, or whose next round should have begun.
fn troubled(work: &BackgroundWork, now: Timestamp) -> Option<TroubledWork> {
    let last = work.last.as_ref()?;
    let (name, since) = (work.name.clone(), last.started_at);
    if !last.ok {
        return Some(TroubledWork { name, what: "failed".to_owned(), since, reason: last.reason.clone() });
    }
    let patience = work.period_seconds.saturating_mul(LATE_PERIODS).saturating_add(LATE_SECONDS);
    let patience = SignedDuration::from_secs(i64::try_from(patience).unwrap_or(i64::MAX));
    let is_late = work.period_seconds > 0 && now.duration_since(last.started_at) > patience;
    is_late.then(|| {
        let how = if work.running { "a round is under way" } else { "no round has begun" };
        let reason = format!("runs every {} s; {how} since the last one", work.period_seconds);
        TroubledWork { name, what: "late".to_owned(), since, reason }
    })
}

fn background_findings(background: &BackgroundSummary) -> Vec<SummaryFinding> {
    let found = background.items.iter().map(|work| {
        let TroubledWork { name, what, since, reason } = work;
        finding((SummaryLevel::Warn, "background"), format!("{name} {what} since {since}: {reason}"))
    });
    found.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::BackgroundRound;

    #[test]
    fn work_is_late_when_its_next_round_has_not_begun_for_long() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let round = |ok| BackgroundRound {
            started_at: at(0),
            duration_ms: 5,
            ok,
            reason: if ok { String::new() } else { "disk full".to_owned() },
        };
        let work = |ok| BackgroundWork {
            name: "backup".to_owned(),
            about: String::new(),
            period_seconds: 30,
            nudged_by: String::new(),
            running: false,
            rounds: 1,
            failures: 0,
            last: Some(round(ok)),
            last_failure: None,
        };
        let what = |work: &BackgroundWork, now| troubled(work, at(now)).map(|it| it.what);
        assert_eq!(what(&work(true), 120), None);
        assert_eq!(what(&work(true), 121), Some("late".to_owned()));
        assert_eq!(what(&work(false), 1), Some("failed".to_owned()));
        let nudged = BackgroundWork { period_seconds: 0, ..work(true) };
        assert_eq!(what(&nudged, 100_000), None, "it begins when something happens");
    }
}
