//! What the summary shows, and to whom.

use jiff::SignedDuration;
use serde_json::json;
use uuid::Uuid;

use super::summary::SummaryAsides;
use super::*;
use crate::houses::{Houses, testing};
use crate::kernel::{Caller, Changeset};
use crate::model::{
    EventBody, Machine, MachineState, MachineWait, NewEvent, Object, PresentRun, Run, RunResult,
    ServerSummary, Stored, SummaryLevel,
};

async fn summary(caller: &Caller, houses: &Houses) -> ServerSummary {
    houses.insight.summary(caller, SummaryAsides::default()).await.unwrap()
}

/// A machine in a state, with an open run that it stands in.
fn machine(number: u128, state: MachineState, caller: &Caller) -> Stored<Machine> {
    let spec: Machine = serde_json::from_value(json!({"name": format!("web{number}")})).unwrap();
    let mut row = Stored::new(Uuid::from_u128(number).to_string(), spec, caller.now);
    row.status.state = state;
    row.status.reason = format!("reason {number}");
    let ago = SignedDuration::from_secs(i64::try_from(number).unwrap());
    row.status.since = caller.now.checked_sub(ago).ok();
    let run = json!({"id": Uuid::from_u128(1000 + number), "workflow": "w", "started_at": caller.now});
    row.status.run = Some(serde_json::from_value::<PresentRun>(run).unwrap());
    row
}

fn run(number: u128, (result, seconds): (Option<RunResult>, i64), caller: &Caller) -> Stored<Run> {
    let started = caller.now.checked_sub(SignedDuration::from_secs(seconds)).unwrap();
    let body = json!({"machine": Uuid::from_u128(number), "machine_name": format!("web{number}"),
        "workflow": "w", "started_at": started});
    let mut spec: Run = serde_json::from_value(body).unwrap();
    if let Some(result) = result {
        spec.end(result, caller.now);
    }
    Stored::new(Uuid::from_u128(1000 + number).to_string(), spec, caller.now)
}

#[tokio::test]
async fn the_summary_counts_states_and_names_those_that_have_waited_longest() {
    let (houses, caller) = (testing::houses(), testing::caller());
    let mut changes = Changeset::default();
    for number in 1..=7 {
        let row = machine(number, MachineState::Failed, &caller);
        changes = changes.create(Object::Machine(Arc::new(row)));
    }
    let mut late = machine(8, MachineState::Booting, &caller);
    late.status.waiting = Some(MachineWait {
        reason: "the kernel".to_owned(),
        since: caller.now,
        expected: "boot.kernel_fetched".to_owned(),
        overdue_at: None,
        expected_by: None,
        overdue: true,
    });
    changes = changes.create(Object::Machine(Arc::new(late)));
    houses.kernel.try_commit(changes).await.unwrap();
    let summary = summary(&caller, &houses).await;
    let machines = summary.machines.unwrap();
    assert_eq!((machines.total, machines.states["failed"], machines.overdue), (8, 7, 1));
    let failed = &summary.needs[0];
    assert_eq!((failed.kind.as_str(), failed.severity, failed.count), ("failed", SummaryLevel::Fail, 7));
    let names: Vec<&str> = failed.items.iter().map(|item| item.name.as_str()).collect();
    assert_eq!(names, ["web7", "web6", "web5", "web4", "web3"]);
    assert_eq!(
        summary.needs.iter().map(|need| need.kind.as_str()).collect::<Vec<_>>(),
        ["failed", "overdue"]
    );
}

#[tokio::test]
async fn runs_of_a_day_have_a_success_rate_and_durations() {
    let (houses, caller) = (testing::houses(), testing::caller());
    let mut changes = Changeset::default();
    for (number, seconds) in [(1, 100), (2, 200), (3, 300)] {
        let row = run(number, (Some(RunResult::Complete), seconds), &caller);
        changes = changes.create(Object::Run(Arc::new(row)));
    }
    let failed = machine(4, MachineState::Failed, &caller);
    changes = changes.create(Object::Machine(Arc::new(failed)));
    changes = changes.create(Object::Run(Arc::new(run(4, (None, 50), &caller))));
    changes = changes.create(Object::Run(Arc::new(run(5, (Some(RunResult::Cancelled), 10), &caller))));
    houses.kernel.try_commit(changes).await.unwrap();
    let runs = summary(&caller, &houses).await.runs.unwrap();
    let counts = runs.counts;
    assert_eq!((counts.started, counts.complete, counts.failed, counts.cancelled), (5, 3, 1, 1));
    assert_eq!((runs.open, runs.success_rate, runs.hours.len()), (1, Some(0.75), 24));
    assert_eq!(runs.hours[23].counts.complete, 3);
    let of = &runs.workflows[0];
    assert_eq!((of.median_seconds, of.p95_seconds), (Some(200), Some(300)));
}

#[tokio::test]
async fn a_part_is_absent_from_the_summary_of_who_may_not_read_it() {
    let (houses, caller) = (testing::houses(), testing::caller());
    houses.objects.create::<Machine>(&caller, json!({"name": "web1"})).await.unwrap();
    let all = summary(&caller, &houses).await;
    let recent = &all.recent.as_ref().unwrap()[0];
    assert_eq!((recent.kind.as_str(), recent.actor.as_str()), ("machine.created", "token:admin"));
    assert!(all.server.dhcp.is_some() && all.server.background.is_some() && all.runs.is_some());
    let scopes = vec!["subnets:read".to_owned()];
    let little = summary(&Caller { scopes, ..caller }, &houses).await;
    assert_eq!((little.machines, little.runs, little.recent), (None, None, None));
    assert!(little.server.dhcp.is_none() && little.server.background.is_none() && little.needs.is_empty());
}

#[tokio::test]
async fn what_people_did_is_shown_although_packets_flood_the_events() {
    let (houses, caller) = (testing::houses(), testing::caller());
    houses.objects.create::<Machine>(&caller, json!({"name": "web1"})).await.unwrap();
    for _ in 0..6 {
        let packet = NewEvent::new(caller.now, EventBody::DhcpOffered(Default::default()));
        let flood = (0..1000).fold(Changeset::default(), |all, _| all.event(packet.clone()));
        houses.kernel.try_commit(flood).await.unwrap();
    }
    let recent = summary(&caller, &houses).await.recent.unwrap();
    assert_eq!(recent.iter().map(|event| event.kind.as_str()).collect::<Vec<_>>(), ["machine.created"]);
}
