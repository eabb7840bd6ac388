//! What one machine can write, as fast as it likes, and what is left of the others then.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::json;
use uuid::Uuid;

use crate::artifacts::opened::{FetchRefusal, Protocol};
use crate::houses::deletion_tests::{ADDRESS, MAC, at_work, lease_of, made};
use crate::houses::{Houses, testing};
use crate::kernel::{Caller, Changeset, Error, EventQuery};
use crate::model::event::BootLog;
use crate::model::{
    Event, EventBody, Job, JobState, Machine, NewEvent, Noun, PruneMode, Setting, Stored, Token,
};
use crate::netboot::decide::namespace::ClientHint;
use crate::netboot::files::Fetch;
use crate::netboot::reports::{InstallerReport, ReportKind};
use crate::objects::patch::Patch;
use crate::objects::write::{ExpectedRevision, WriteTarget};

/// A piece of a log as large as one is.
const PIECE: usize = 16 << 10;

fn server(houses: &Houses) -> Caller {
    Caller::server(houses.kernel.now())
}

async fn report(
    houses: &Houses,
    capability: &str,
    (kind, text): (ReportKind, String),
) -> Result<String, Error> {
    let peer = IpAddr::V4(ADDRESS);
    houses.netboot.report(capability, InstallerReport { kind, text, peer }).await
}

async fn set(houses: &Houses, name: &str, value: u64) {
    let target = WriteTarget { reference: name, expected: ExpectedRevision::Any };
    let patch = Patch::Merge(json!({"value": value}));
    houses.objects.patch::<Setting>(&testing::caller(), &target, &patch).await.unwrap();
}

async fn events(houses: &Houses, query: EventQuery) -> Vec<Event> {
    houses.kernel.events(query).await.unwrap()
}

#[tokio::test]
async fn the_agent_that_runs_goes_on_after_another_fetch_of_its_configuration() {
    let houses = testing::houses();
    let machine = made(&houses).await;
    at_work(&houses, &machine).await;
    let machine = houses.kernel.get::<Machine>(&machine.key).unwrap();
    let first = houses.access.agent_token(&machine).await.unwrap();
    for _ in 0..3 {
        assert_eq!(houses.access.agent_token(&machine).await.unwrap(), first);
    }
    let signed_in = |token: &str| houses.access.sign_in(token, houses.kernel.now()).is_ok();
    assert!(signed_in(&first));
    assert_eq!(houses.kernel.read(|world| world.tokens.iter().count()), 1);
    // Another boot has a token of its own.
    let mut next = (*machine).clone();
    next.status.boot_attempt.as_mut().unwrap().id = Uuid::now_v7();
    let second = houses.access.agent_token(&next).await.unwrap();
    assert_ne!(second, first);
    assert!(signed_in(&second) && !signed_in(&first));
    // One that an operator deleted does not come back.
    let name = format!("agent-{}", machine.key);
    let target = WriteTarget { reference: &name, expected: ExpectedRevision::Any };
    houses.objects.delete::<Token>(&server(&houses), &target).await.unwrap();
    let third = houses.access.agent_token(&next).await.unwrap();
    assert!(third != second && signed_in(&third) && !signed_in(&second));
}

#[tokio::test]
async fn fetches_at_the_same_time_get_one_token() {
    let houses = testing::houses();
    let machine = made(&houses).await;
    let asked = (0..8).map(|_| houses.access.agent_token(&machine));
    let got = futures_util::future::join_all(asked).await;
    let first = got[0].as_ref().unwrap();
    assert!(got.iter().all(|token| token.as_ref() == Ok(first)), "{got:?}");
    assert!(houses.access.sign_in(first, houses.kernel.now()).is_ok());
}

#[tokio::test]
async fn an_agent_that_renews_its_token_all_the_time_is_put_off() {
    let houses = testing::houses();
    let machine = made(&houses).await;
    let first = houses.access.agent_token(&machine).await.unwrap();
    let agent = houses.access.sign_in(&first, houses.kernel.now()).unwrap();
    let mut refused = None;
    for _ in 0..20 {
        refused = houses.access.renew_agent_token(&agent, &machine.key).await.err().or(refused);
    }
    assert!(matches!(refused, Some(Error::TooMuch { .. })), "{refused:?}");
}

#[tokio::test]
async fn a_machine_that_floods_its_log_is_put_off_and_can_still_say_that_it_failed() {
    let houses = testing::houses();
    let machine = made(&houses).await;
    let (attempt, _) = at_work(&houses, &machine).await;
    let capability = houses.catalog.capability(&attempt);
    let mut taken = 0;
    let mut refused = None;
    for _ in 0..500 {
        match report(&houses, &capability, (ReportKind::Log, "x".repeat(PIECE))).await {
            Ok(_) => taken += 1,
            Err(error) => refused = Some(error),
        }
    }
    let Some(Error::TooMuch { why, retry_after }) = refused else { panic!("{refused:?}") };
    assert!(why.contains("1048576 bytes") && retry_after.as_secs() >= 1, "{why}");
    assert!((60..=64).contains(&taken), "{taken}");
    let logs = EventQuery { kind: Some("boot.log".into()), ..EventQuery::default() };
    assert_eq!(events(&houses, logs).await.len(), taken);
    report(&houses, &capability, (ReportKind::Failed, "y".repeat(PIECE))).await.unwrap();
    let failed = EventQuery { kind: Some("boot.failed".into()), ..EventQuery::default() };
    let failed = events(&houses, failed).await;
    assert!(
        matches!(&failed[0].body, EventBody::BootFailed(failed) if failed.reason.len() == 1000),
        "{failed:?}"
    );
}

#[tokio::test]
async fn what_people_did_outlives_the_chatter_of_machines_and_the_history_keeps_to_its_size() {
    const EVENTS: u64 = 12_000;
    let houses = testing::houses();
    houses.access.start(&server(&houses)).await.unwrap();
    let admin = testing::caller();
    houses.objects.create::<Machine>(&admin, json!({"name": "web7"})).await.unwrap();
    set(&houses, "events_kept_bytes", 1 << 20).await;
    let written = houses.kernel.last_event();
    let by_people = |all: &[Event]| {
        all.iter().filter(|event| event.actor == "token:admin").map(|event| event.seq).collect()
    };
    let query = EventQuery { limit: 1000, ..EventQuery::default() };
    let before: Vec<u64> = by_people(&events(&houses, query.clone()).await);
    assert_eq!(before.len(), 2);
    let chatter = |_| {
        let body = BootLog { text: "x".repeat(400) };
        NewEvent::new(houses.kernel.now(), body).by(format!("machine:{}", Uuid::nil()))
    };
    houses
        .kernel
        .commit(Changeset { events: (0..EVENTS).map(chatter).collect(), ..<_>::default() })
        .await
        .unwrap();
    let done = houses.records.prune(&server(&houses), PruneMode::Delete).await.unwrap();
    let row = |kind: &str| done.items.iter().find(|row| row.kind == kind).cloned().unwrap();
    assert!(row("events").count > written + EVENTS / 2, "{done:?}");
    assert_eq!(row("audit").count, 0);
    let left = events(&houses, query.clone()).await;
    assert_eq!(by_people(&left) as Vec<u64>, before, "what people did is there");
    assert!(left.windows(2).all(|pair| pair[0].seq < pair[1].seq), "in the order of their numbers");
    let newest = EventQuery { newest_first: true, kind: Some("machine.created".into()), ..query.clone() };
    assert_eq!(events(&houses, newest).await.len(), 1, "found from the other end");
    let subject = left.iter().find(|event| event.seq == before[0]).unwrap().subject.clone();
    let of_machine = EventQuery { subject: Some(subject), newest_first: true, ..query.clone() };
    assert_eq!(events(&houses, of_machine).await.len(), 1, "and by what it is about");
    let after = EventQuery { after: before[0], limit: 1, ..query.clone() };
    assert_eq!(events(&houses, after).await[0].seq, before[1], "pages go over the border");
    let kept = houses.kernel.last_event() - left.iter().find(|event| event.seq > written).unwrap().seq;
    assert!(kept * 400 < 2 << 20, "{kept} events are left");
    // They have bounds of their own.
    set(&houses, "audit_kept_days", 1).await;
    let later = Caller { now: later(houses.kernel.now()), ..server(&houses) };
    let done = houses.records.prune(&later, PruneMode::Delete).await.unwrap();
    assert!(done.items.iter().any(|row| row.kind == "audit" && row.count >= 2), "{done:?}");
    let left: Vec<u64> = by_people(&events(&houses, query).await);
    assert!(!left.contains(&before[0]) && !left.contains(&before[1]), "{left:?}");
}

fn later(now: Timestamp) -> Timestamp {
    now + jiff::SignedDuration::from_hours(48)
}

/// A job of a run, with the machine of a nil id.
async fn job(houses: &Houses, run: Uuid, state: JobState) -> String {
    let mut job: Job = serde_json::from_value(json!({
        "machine": Uuid::nil(), "run": run, "step": 0, "stage": "s", "task": "t", "state": "running",
        "attempt": 1, "deadline": "2099-01-01T00:00:00Z", "digest": "",
    }))
    .unwrap();
    (job.state, job.ended_at) = (state, Some(houses.kernel.now()));
    let id = Uuid::now_v7();
    testing::put(houses, Job::object(Arc::new(Stored::new(id.to_string(), job, houses.kernel.now())))).await;
    id.to_string()
}

#[tokio::test]
async fn logs_of_jobs_that_ended_make_room_for_others_and_a_full_one_is_refused() {
    let houses = testing::houses();
    houses.access.start(&server(&houses)).await.unwrap();
    set(&houses, "logs_kept_bytes", 1 << 20).await;
    let half = 600 << 10;
    let old = job(&houses, Uuid::now_v7(), JobState::Finished).await;
    let write = async |job: &str, offset: usize| {
        let stored = houses.kernel.get::<Job>(job).unwrap();
        houses.records.write_job_log(&stored, (offset as u64, vec![b'x'; half])).await
    };
    assert_eq!(write(&old, 0).await, Ok(half as u64));
    // What the report of its end says.
    let said = houses.kernel.change::<Job>(&old, houses.kernel.now(), |next| {
        next.spec.log_bytes = half as u64;
        Ok(Vec::new())
    });
    said.await.unwrap();
    let new = job(&houses, Uuid::now_v7(), JobState::Running).await;
    assert_eq!(write(&new, 0).await, Ok(half as u64), "the other made room");
    let pruned = houses.kernel.get::<Job>(&old).unwrap();
    assert!(pruned.spec.log_bytes == 0 && pruned.spec.log_pruned_at.is_some());
    assert_eq!(houses.records.known_log_bytes(), Some(half as u64));
    assert_eq!(write(&new, 0).await, Ok(half as u64), "a piece that came before takes no more room");
    let refused = write(&new, half).await;
    assert!(
        matches!(&refused, Err(Error::Conflict(_, why)) if why.contains("logs_kept_bytes")),
        "{refused:?}"
    );
    let refused = houses.records.log_budget.refused.load(std::sync::atomic::Ordering::Relaxed);
    assert_eq!(refused, 1);
}

#[tokio::test]
async fn a_stranger_that_names_the_mac_of_a_machine_with_a_lease_begins_no_boot() {
    let houses = testing::houses();
    let machine = made(&houses).await;
    at_work(&houses, &machine).await;
    lease_of(&houses, &machine).await;
    let before = houses.kernel.get::<Machine>(&machine.key).unwrap();
    let fetch = |path: String, mac| Fetch {
        path,
        peer: IpAddr::V4(Ipv4Addr::new(10, 0, 0, 99)),
        local: IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1)),
        protocol: Protocol::Http,
        hint: ClientHint { mac, address: None },
        has_query: true,
    };
    let attempt = before.status.boot_attempt.as_ref().unwrap();
    let config = format!("m/{}/agent.toml", houses.catalog.capability(attempt));
    for asked in [fetch("boot.ipxe".into(), Some(MAC)), fetch(config, None)] {
        let refused = houses.netboot.open(&asked).await;
        assert!(matches!(refused, Err(FetchRefusal::Denied(_))), "{asked:?}: {refused:?}");
    }
    let after = houses.kernel.get::<Machine>(&machine.key).unwrap();
    assert_eq!(after.status, before.status);
    assert_eq!(houses.kernel.read(|world| world.tokens.iter().count()), 0);
}
