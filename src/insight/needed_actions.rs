//! What waits for a person: which machines, artifacts and unknown clients, for which reason, since when.

use std::sync::Arc;

use jiff::Timestamp;

use crate::insight::summary::SummaryRows;
use crate::model::{
    ArtifactState, Machine, MachineState, MachineStatus, NeededAction, Stored, SummaryLevel, UnknownClient,
    WaitingObject,
};

/// Most objects that are named for one reason.
const NAMED_MAX: usize = 5;

/// A reason why machines wait for a person.
struct MachineNeed {
    kind: &'static str,
    severity: SummaryLevel,
    /// The query of the list of machines that shows them.
    filter: &'static str,
    applies: fn(&MachineStatus) -> bool,
    item: fn(&MachineStatus) -> (Option<Timestamp>, &str),
}

impl MachineNeed {
    fn since(&self, machine: &Stored<Machine>) -> Timestamp {
        (self.item)(&machine.status).0.unwrap_or(Timestamp::MAX)
    }
}

const MACHINE_NEEDS: [MachineNeed; 6] = [
    MachineNeed {
        kind: "failed",
        severity: SummaryLevel::Fail,
        filter: "status.state=failed",
        applies: |status| status.state == MachineState::Failed,
        item: |status| (status.since, &status.reason),
    },
    MachineNeed {
        kind: "asks",
        severity: SummaryLevel::Fail,
        filter: "status.boot_attempt.asks[exists]=true",
        applies: |status| question(status).is_some(),
        item: |status| {
            let attempt = status.boot_attempt.as_ref();
            (attempt.map(|attempt| attempt.seen_at), question(status).unwrap_or_default())
        },
    },
    MachineNeed {
        kind: "overdue",
        severity: SummaryLevel::Warn,
        filter: "status.waiting.overdue=true",
        applies: is_overdue,
        item: |status| (overdue_since(status), &status.reason),
    },
    MachineNeed {
        kind: "held",
        severity: SummaryLevel::Warn,
        filter: "status.state=held",
        applies: |status| status.state == MachineState::Held,
        item: |status| (status.since, &status.reason),
    },
    MachineNeed {
        kind: "paused",
        severity: SummaryLevel::Warn,
        filter: "status.run.paused=true&status.state[ne]=held",
        applies: |status| is_paused(status) && status.state != MachineState::Held,
        item: |status| (status.since, status.run.as_ref().map(|run| &*run.pause_reason).unwrap_or_default()),
    },
    MachineNeed {
        kind: "armed",
        severity: SummaryLevel::Info,
        filter: "status.armed_until[exists]=true",
        applies: |status| status.armed_until.is_some(),
        item: |status| (status.since, &status.erases),
    },
];

/// All reasons that apply to something, the most urgent first.
pub(super) fn needed(rows: &SummaryRows, unknown: Vec<UnknownClient>) -> Vec<NeededAction> {
    let machines = rows.machines.as_deref().unwrap_or_default();
    let mut needs: Vec<NeededAction> = MACHINE_NEEDS.iter().map(|need| of_machines(need, machines)).collect();
    needs.push(artifacts(rows));
    needs.push(unknown_clients(unknown));
    needs.retain(|need| need.count > 0);
    needs.sort_by_key(|need| std::cmp::Reverse(need.severity));
    needs
}

pub(super) fn is_overdue(status: &MachineStatus) -> bool {
    status.waiting.as_ref().is_some_and(|waiting| waiting.overdue)
}

pub(super) fn is_paused(status: &MachineStatus) -> bool {
    status.run.as_ref().is_some_and(|run| run.paused)
}

/// What the installer asks at its console.
fn question(status: &MachineStatus) -> Option<&str> {
    status.boot_attempt.as_ref()?.asks.as_deref()
}

fn overdue_since(status: &MachineStatus) -> Option<Timestamp> {
    let waiting = status.waiting.as_ref()?;
    Some(waiting.expected_by.unwrap_or(waiting.since))
}

fn of_machines(need: &MachineNeed, machines: &[Arc<Stored<Machine>>]) -> NeededAction {
    let mut found: Vec<&Arc<Stored<Machine>>> =
        machines.iter().filter(|machine| (need.applies)(&machine.status)).collect();
    let count = found.len() as u64;
    if found.len() > NAMED_MAX {
        found.select_nth_unstable_by_key(NAMED_MAX, |machine| need.since(machine));
        found.truncate(NAMED_MAX);
    }
    found.sort_by_key(|machine| need.since(machine));
    let items = found.into_iter().map(|machine| {
        let (since, reason) = (need.item)(&machine.status);
        let until = machine.status.armed_until.filter(|_| need.kind == "armed");
        let (key, name) = (machine.key.clone(), machine.spec.name.clone());
        WaitingObject { key, name, since, until, reason: reason.to_owned() }
    });
    let items = items.collect();
    let (kind, list, filter) = (need.kind.to_owned(), "machines".to_owned(), need.filter.to_owned());
    NeededAction { kind, severity: need.severity, count, list, filter, items }
}

fn artifacts(rows: &SummaryRows) -> NeededAction {
    let artifacts = rows.artifacts.as_deref().unwrap_or_default();
    let failed = artifacts.iter().filter(|row| row.status.state == ArtifactState::Failed);
    let items = failed.clone().take(NAMED_MAX).map(|row| WaitingObject {
        key: row.key.clone(),
        name: row.spec.name.clone(),
        since: row.status_updated_at,
        until: None,
        reason: row.status.reason.clone(),
    });
    NeededAction {
        kind: "artifacts".to_owned(),
        severity: SummaryLevel::Fail,
        count: failed.clone().count() as u64,
        list: "artifacts".to_owned(),
        filter: "status.state=failed".to_owned(),
        items: items.collect(),
    }
}

fn unknown_clients(mut clients: Vec<UnknownClient>) -> NeededAction {
    let count = clients.len() as u64;
    clients.sort_by_key(|client| client.first_seen);
    let items = clients.into_iter().take(NAMED_MAX).map(|client| {
        let mac = client.mac.map(|mac| mac.to_string());
        let key = mac.or_else(|| client.address.map(|address| address.to_string())).unwrap_or_default();
        let similar = client.similar.map(|machine| format!("; almost the MAC of {}", machine.name));
        let reason = format!("{}{}", client.reason, similar.unwrap_or_default());
        WaitingObject { name: key.clone(), key, since: Some(client.first_seen), until: None, reason }
    });
    NeededAction {
        kind: "unknown_clients".to_owned(),
        severity: SummaryLevel::Info,
        count,
        list: "unknown_clients".to_owned(),
        filter: String::new(),
        items: items.collect(),
    }
}
