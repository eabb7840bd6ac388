//! Tests of a machine that is deleted, and of a new machine with the same name and MAC.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use jiff::SignedDuration;
use serde_json::json;
use uuid::Uuid;

use crate::artifacts::opened::{FetchRefusal, Protocol};
use crate::houses::{Houses, testing};
use crate::kernel::{Caller, Error, EventQuery};
use crate::model::{
    BootAttempt, BootProgress, Job, JobState, Lease, LeaseState, Mac, Machine, MachineState, MachineStatus,
    MachineWait, Noun, Run, RunResult, Stored,
};
use crate::netboot::boot_facts::BootFacts;
use crate::netboot::decide::chainload::LoaderRequest;
use crate::netboot::decide::loader::LoaderTransport;
use crate::netboot::decide::loader_ask::LoaderSighting;
use crate::netboot::files::Fetch;
use crate::netboot::loader_loops::LoaderPacket;
use crate::netboot::reports::{InstallerReport, ReportKind};
use crate::objects::write::{ExpectedRevision, WriteTarget};

pub(super) const MAC: Mac = Mac([0x52, 0x54, 0, 0xaa, 0, 1]);
pub(super) const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 5);

fn now(houses: &Houses) -> Caller {
    Caller::server(houses.kernel.now())
}

pub(super) async fn made(houses: &Houses) -> Arc<Stored<Machine>> {
    let body = json!({"name": "web1", "macs": [MAC.to_string()]});
    let view = houses.objects.create::<Machine>(&now(houses), body).await.unwrap();
    houses.kernel.get::<Machine>(&view.key).unwrap()
}

async fn delete(houses: &Houses) {
    let target = WriteTarget { reference: "name:web1", expected: ExpectedRevision::Any };
    houses.objects.delete::<Machine>(&now(houses), &target).await.unwrap();
}

fn job_of(machine: &Stored<Machine>) -> Job {
    let body = json!({
        "machine": machine.key, "run": Uuid::nil(), "step": 0, "stage": "work", "task": "quick",
        "state": "running", "attempt": 1, "deadline": "2099-01-01T00:00:00Z", "digest": "",
    });
    serde_json::from_value(body).unwrap()
}

/// Puts a machine into the middle of an installation: armed, booted, with a job and an address.
pub(super) async fn at_work(houses: &Houses, machine: &Stored<Machine>) -> (BootAttempt, Uuid) {
    let (at, job) = (houses.kernel.now(), Uuid::now_v7());
    let attempt = BootAttempt {
        id: Uuid::now_v7(),
        number: 3,
        started_at: at,
        seen_at: at,
        progress: BootProgress::Kernel,
        mac: Some(MAC),
        client_arch: Some(0),
        other_arch: None,
        server: None,
        bootenv: None,
        step: None,
        kernel_fetched_at: Some(at),
        deadline: None,
        expected_by: None,
        asks: None,
        result: None,
    };
    testing::put(houses, Job::object(Arc::new(Stored::new(job.to_string(), job_of(machine), at)))).await;
    let run = Uuid::now_v7();
    let body = json!({"machine": machine.key, "machine_name": "web1", "macs": [MAC.to_string()],
        "workflow": "work", "started_at": at});
    let record: Run = serde_json::from_value(body.clone()).unwrap();
    testing::put(houses, Run::object(Arc::new(Stored::new(run.to_string(), record, at)))).await;
    let changed = houses.kernel.change::<Machine>(&machine.key, at, |next| {
        let present = json!({"id": run, "workflow": "work", "started_at": at});
        next.status = MachineStatus {
            run: Some(serde_json::from_value(present).unwrap()),
            state: MachineState::Running,
            address: Some(ADDRESS.into()),
            armed_until: Some(at + SignedDuration::from_hours(1)),
            boot_attempt: Some(attempt.clone()),
            job: Some(job),
            last_seen: Some(at),
            waiting: Some(MachineWait {
                reason: "r".into(),
                since: at,
                expected: "job.finished".into(),
                overdue_at: None,
                expected_by: None,
                overdue: false,
            }),
            ..MachineStatus::default()
        };
        Ok(Vec::new())
    });
    changed.await.unwrap();
    (attempt, job)
}

pub(super) async fn lease_of(houses: &Houses, machine: &Stored<Machine>) {
    let at = houses.kernel.now();
    let lease = Lease {
        address: ADDRESS,
        client: format!("1/{MAC}"),
        mac: Some(MAC),
        state: LeaseState::Bound,
        subnet: "lan".into(),
        network: "lan".into(),
        bound_at: at,
        expires_at: at + SignedDuration::from_hours(1),
        machine: machine.key.parse().ok(),
        hostname: Some("web1".into()),
    };
    testing::put(houses, Lease::object(Arc::new(Stored::new(ADDRESS.to_string(), lease, at)))).await;
}

#[tokio::test]
async fn the_tokens_of_a_deleted_machines_agent_are_refused_at_once() {
    let houses = testing::houses();
    let machine = made(&houses).await;
    let scope = format!("agent:{}", machine.key);
    let first = houses.access.agent_token(&machine).await.unwrap();
    let agent = houses.access.sign_in(&first, houses.kernel.now()).unwrap();
    let renewed = houses.access.renew_agent_token(&agent, &machine.key).await.unwrap().token;
    let issue = async |name: &str, scopes: &[&str]| {
        let body = json!({"name": name, "scopes": scopes});
        houses.access.create_token(&now(&houses), body).await.unwrap().secret
    };
    let by_hand = issue("shell", &[&scope]).await;
    let mixed = issue("ci", &[&scope, "jobs:read"]).await;
    let admin = issue("root", &["*"]).await;
    let other = houses.objects.create::<Machine>(&now(&houses), json!({"name": "web2"})).await.unwrap();
    let others = houses.kernel.get::<Machine>(&other.key).unwrap();
    let others = houses.access.agent_token(&others).await.unwrap();
    delete(&houses).await;
    for token in [&first, &renewed, &by_hand] {
        let refused = houses.access.sign_in(token, houses.kernel.now());
        assert!(matches!(refused, Err(Error::Unauthorized(..))), "{refused:?}");
    }
    for token in [&mixed, &admin, &others] {
        assert!(houses.access.sign_in(token, houses.kernel.now()).is_ok());
    }
    assert!(!houses.access.still_signed_in(&agent, houses.kernel.now()), "nor may its open streams go on");
    let left: Vec<String> =
        houses.kernel.read(|world| world.tokens.iter().map(|token| token.key.clone()).collect());
    assert_eq!(left, [format!("agent-{}", other.key), "ci".to_owned(), "root".to_owned()]);
    // A file that was being sent to the machine makes a token after the deletion.
    let late = houses.access.agent_token(&machine).await.unwrap();
    let refused = houses.access.sign_in(&late, houses.kernel.now());
    assert!(
        matches!(&refused, Err(Error::Unauthorized(_, why)) if why.contains("was deleted")),
        "{refused:?}"
    );
}

#[tokio::test]
async fn a_deletion_that_a_new_token_overtakes_is_decided_anew() {
    let houses = testing::houses();
    let machine = made(&houses).await;
    let target = WriteTarget { reference: &machine.key, expected: ExpectedRevision::Any };
    let decided = houses.objects.prepare_delete::<Machine>(&now(&houses), &target).unwrap();
    houses.access.agent_token(&machine).await.unwrap();
    assert!(houses.kernel.commit(decided).await.is_err(), "it does not know of the token");
    delete(&houses).await;
    assert!(houses.kernel.read(|world| world.tokens.is_empty()));
}

#[tokio::test]
async fn a_deleted_machine_ends_its_job_and_its_run_and_leaves_its_lease_to_the_interface() {
    let houses = testing::houses();
    let machine = made(&houses).await;
    let (attempt, job) = at_work(&houses, &machine).await;
    lease_of(&houses, &machine).await;
    delete(&houses).await;
    let job = houses.kernel.get::<Job>(&job.to_string()).unwrap();
    assert_eq!((job.spec.state, job.spec.reason.as_str()), (JobState::Cancelled, "its machine was deleted"));
    assert!(job.spec.ended_at.is_some());
    let run = houses.kernel.read(|world| world.runs.iter().next().cloned().unwrap());
    assert_eq!((run.spec.result, run.spec.ended_at.is_some()), (Some(RunResult::Cancelled), true));
    assert_eq!((run.spec.machine_name.as_str(), run.spec.macs.as_slice()), ("web1", &[MAC][..]));
    assert_eq!(run.spec.entries[0].text, "its machine was deleted");
    let lease = houses.kernel.get::<Lease>(&ADDRESS.to_string()).unwrap();
    assert_eq!((lease.spec.machine, lease.spec.state), (None, LeaseState::Bound));
    let query = EventQuery { subject: Some(machine.subject()), limit: 100, ..EventQuery::default() };
    let events = houses.kernel.events(query).await.unwrap();
    let told: Vec<_> =
        events.iter().skip(1).map(|event| (event.body.kind_name().into_owned(), event.attempt)).collect();
    let of_attempt = Some(attempt.id);
    let expected = [("machine.deleted", None), ("job.cancelled", of_attempt), ("run.cancelled", of_attempt)];
    assert_eq!(told, expected.map(|(kind, attempt)| (kind.to_owned(), attempt)));
    let deleted = serde_json::to_value(&events[1]).unwrap();
    let object = &deleted["data"]["object"];
    assert_eq!((&object["name"], &object["macs"]), (&json!("web1"), &json!([MAC.to_string()])));
}

#[tokio::test]
async fn a_machine_made_with_the_mac_of_a_deleted_one_inherits_nothing() {
    let houses = testing::houses();
    let old = made(&houses).await;
    let (attempt, job) = at_work(&houses, &old).await;
    lease_of(&houses, &old).await;
    let capability = houses.catalog.capability(&attempt);
    assert!(houses.netboot.holder(&capability).is_some());
    delete(&houses).await;
    let new = made(&houses).await;
    assert_ne!(new.key, old.key);
    assert_eq!(new.status, MachineStatus::default());
    assert!(houses.netboot.holder(&capability).is_none(), "the capability has no holder");
    let peer = IpAddr::V4(ADDRESS);
    for file in ["boot.ipxe", "preseed.cfg", "linux"] {
        let path = format!("m/{capability}/{file}");
        let local = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let fetch =
            Fetch { path, peer, local, protocol: Protocol::Http, hint: Default::default(), has_query: false };
        let refused = houses.netboot.open(&fetch).await;
        assert!(matches!(refused, Err(FetchRefusal::Absent)), "{file}: {refused:?}");
    }
    for kind in [ReportKind::Done, ReportKind::Failed, ReportKind::Log] {
        let late =
            houses.netboot.report(&capability, InstallerReport { kind, text: String::new(), peer }).await;
        assert!(matches!(late, Err(Error::Conflict(..))), "{kind:?}: {late:?}");
    }
    let done = serde_json::from_value(json!({"exit": 0})).unwrap();
    let late = houses.runs.report_job(&now(&houses), &job.to_string(), &done).await;
    assert!(matches!(late, Err(Error::Conflict(..))), "{late:?}");
    assert_eq!(houses.kernel.get::<Machine>(&new.key).unwrap().status, MachineStatus::default());
    assert!(houses.kernel.read(|world| world.tokens.get(&format!("agent-{}", new.key)).is_none()));
    // The address still belongs to the network interface, which the new machine has now.
    let here =
        houses.kernel.read(|world| houses.netboot.machine_at(world, peer)).map(|machine| machine.key.clone());
    assert_eq!(here, Some(new.key.clone()));
}

#[tokio::test]
async fn an_address_from_another_server_was_told_by_the_deleted_machine_and_not_by_the_new_one() {
    let houses = testing::houses();
    let old = made(&houses).await;
    let gathered = houses.kernel.read(|world| BootFacts::of(world, &houses.netboot.loaders, Some(&old)));
    houses.netboot.record_foreign_address((ADDRESS.into(), MAC), &gathered).await;
    let at = |houses: &Houses| houses.kernel.read(|world| houses.netboot.machine_at(world, ADDRESS.into()));
    assert_eq!(at(&houses).map(|machine| machine.key.clone()), Some(old.key.clone()));
    delete(&houses).await;
    assert!(at(&houses).is_none());
    let new = made(&houses).await;
    assert!(at(&houses).is_none(), "it has told of no address yet");
    let gathered = houses.kernel.read(|world| BootFacts::of(world, &houses.netboot.loaders, Some(&new)));
    houses.netboot.record_foreign_address((ADDRESS.into(), MAC), &gathered).await;
    assert_eq!(at(&houses).map(|machine| machine.key.clone()), Some(new.key.clone()));
}

#[tokio::test]
async fn a_boot_loop_of_a_deleted_machine_is_not_that_of_the_new_one() {
    let houses = testing::houses();
    let old = made(&houses).await;
    for xid in 1..=3 {
        let ask = LoaderRequest {
            xid,
            loader: "ipxe.pxe".into(),
            over: LoaderTransport::Tftp,
            at: houses.kernel.now(),
            served: true,
        };
        houses
            .netboot
            .record_loader_ask(LoaderSighting { mac: MAC, ask, stopped: None }, &BootFacts::default());
    }
    let asked = |machine: &Stored<Machine>| {
        let request = LoaderPacket { mac: Some(MAC), xid: 9, is_discover: true };
        let before = houses.netboot.asks_before(&request, Some(machine)).len();
        (before, houses.netboot.asks_of(Some(machine), Some(MAC)).len())
    };
    assert_eq!(asked(&old), (3, 3));
    delete(&houses).await;
    let new = made(&houses).await;
    assert_eq!(asked(&new), (0, 0));
}

#[tokio::test]
async fn an_agent_that_waits_for_work_is_told_that_its_machine_is_gone() {
    use crate::model::{AgentReport, Environment};
    use crate::runs::jobs::WorkRequest;
    let houses = testing::houses();
    let machine = made(&houses).await;
    let secret = houses.access.agent_token(&machine).await.unwrap();
    let agent = houses.access.sign_in(&secret, houses.kernel.now()).unwrap();
    let (key, waiting_app) = (machine.key.clone(), Arc::clone(&houses));
    let waiting = tokio::spawn(async move {
        let report = AgentReport {
            environment: Environment::Installed,
            boot: "b".into(),
            job: None,
            wait_seconds: 60,
        };
        let asking = WorkRequest { machine: &key, report: &report, renderer: &waiting_app.runs };
        waiting_app.runs.await_job(&agent, &asking).await
    });
    delete(&houses).await;
    let told = waiting.await.unwrap();
    assert!(matches!(told, Err(Error::NotFound { .. })), "{told:?}");
    let tokens = houses.kernel.read(|world| world.tokens.iter().count());
    assert_eq!(tokens, 0);
}
