//! Tests of what a machine that is armed or in a run uses: it is not deleted by mistake. Tests of the arming.

use uuid::Uuid;

use super::*;
use crate::kernel::Caller;
use crate::model::{
    Artifact, ArtifactState, ArtifactStatus, EventKind, Lease, Machine, MachineState, Noun, Run, Stored,
    parse_input,
};

const MAC: &str = "52:54:00:aa:00:01";

async fn put<T: Noun>(client: &Client, mut stored: Stored<T>, change: impl FnOnce(&mut Stored<T>)) {
    change(&mut stored);
    testing::put(&client.houses, T::object(Arc::new(stored))).await;
}

fn stored<T: Noun>(key: &str, body: Value) -> Stored<T> {
    Stored::new(key.to_owned(), parse_input::<T>(body).unwrap().spec, testing::caller().now)
}

/// A site with an installer of its own that says nothing of disks, and the machine `web1` that may run it.
async fn site() -> Client {
    let client = Client::new().await;
    client.post("templates", json!({"name": "ipxe/boot.ipxe", "body": "exit"})).await.ok();
    let artifact = stored::<Artifact>("own", json!({"name": "own", "path": "/srv/own"}));
    let ready = ArtifactStatus { state: ArtifactState::Ready, ..ArtifactStatus::default() };
    put(&client, artifact, |stored| stored.status = ready).await;
    let arches = json!({"amd64": {"artifact": "own", "kernel": "linux"}});
    client.post("bootenvs", json!({"name": "own", "kind": "install", "arches": arches})).await.ok();
    client.post("profiles", json!({"name": "global"})).await.ok();
    client.post("tasks", json!({"name": "own"})).await.ok();
    client.post("stages", json!({"name": "own", "bootenv": "own", "tasks": ["own"]})).await.ok();
    client.post("workflows", json!({"name": "own", "stages": ["own"]})).await.ok();
    client.post("subnets", json!({"name": "lan", "cidr": "10.0.0.0/24"})).await.ok();
    client.post("reservations", json!({"address": "10.0.0.5", "mac": MAC})).await.ok();
    client.post("machines", json!({"name": "web1", "macs": [MAC]})).await.ok();
    client
}

async fn start(client: &Client) -> Value {
    let body = json!({"workflow": "own", "accept": ["missing_file"], "reason": "a test without files"});
    client.post("machines/name:web1/actions/start", body).await.ok()
}

/// Lets the machine fetch its kernel: a power-on with its own attempt.
async fn fetch_kernel(client: &Client) {
    let machine = client.houses.kernel.find::<Machine>(&testing::caller(), "name:web1").unwrap();
    let caller = Caller::machine(&machine, testing::caller().now);
    let boots = |flow: &mut crate::runs::flow::Flow<'_>| {
        flow.attempt_started(Uuid::now_v7(), Some("own".into()));
        flow.kernel_fetched();
    };
    client.houses.runs.flow(&caller, &machine.key, boots).await.unwrap();
}

async fn verdict(client: &Client) -> (String, String) {
    let told = client.get("explain?machine=name:web1&stage=script").await.ok();
    let text = |field: &str| told[field].as_str().unwrap_or_default().to_owned();
    (text("verdict"), text("reason"))
}

#[tokio::test]
async fn an_installer_that_says_nothing_of_disks_is_armed_for_one_kernel() {
    let client = site().await;
    assert_eq!(verdict(&client).await.0, "local_disk");
    let started = start(&client).await;
    assert!(started["status"]["armed_until"].is_string(), "{started}");
    assert_eq!(started["status"]["erases"], "the disks that its installer chooses");
    assert_eq!(verdict(&client).await.0, "netboot");
    fetch_kernel(&client).await;
    let machine = client.get("machines/name:web1").await.ok();
    assert!(machine["status"]["armed_until"].is_null() && machine["status"]["erases"].is_null(), "{machine}");
    let again = client.houses.kernel.find::<Machine>(&testing::caller(), "name:web1").unwrap();
    let power_on = |flow: &mut crate::runs::flow::Flow<'_>| flow.powered_on_again();
    client.houses.runs.flow(&testing::caller(), &again.key, power_on).await.unwrap();
    let (verdict, reason) = verdict(&client).await;
    assert_eq!(verdict, "local_disk", "{reason}");
}

#[tokio::test]
async fn an_installer_that_destroys_nothing_says_why() {
    let client = Client::new().await;
    let body = |more: Value| {
        let arches = json!({"amd64": {"artifact": "own", "kernel": "linux"}});
        let mut body = json!({"name": "firmware", "kind": "install", "destructive": false, "arches": arches});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body
    };
    let refused = client.post("bootenvs", body(json!({}))).await.refused(422);
    assert!(refused.contains("/not_destructive_reason") && refused.contains("unarmed"), "{refused}");
    let reason = json!({"not_destructive_reason": "it updates firmware from memory"});
    client.post("bootenvs", body(reason)).await.ok();
    client.merge("bootenvs/firmware", json!({"not_destructive_reason": null})).await.refused(422);
    // One that was stored without a reason may stay.
    let old = stored(
        "old",
        json!({"name": "old", "kind": "install", "destructive": false,
        "arches": {"amd64": {"artifact": "own", "kernel": "linux"}}}),
    );
    put::<crate::model::Bootenv>(&client, old, |_| {}).await;
    let changed = client.merge("bootenvs/old", json!({"description": "of before"})).await.ok();
    assert!(changed["problems"].to_string().contains("/not_destructive_reason"), "{changed}");
}

#[tokio::test]
async fn a_machine_that_becomes_another_computer_is_disarmed_and_held() {
    let client = site().await;
    let other = "52:54:00:aa:00:02";
    for patch in [
        json!({"macs": [other]}),
        json!({"macs": [MAC, other]}),
        json!({"smbios_uuid": "4c4c4544-0042-3410-8051-b4c04f564431"}),
    ] {
        start(&client).await;
        let changed = client.merge("machines/name:web1", patch.clone()).await.ok();
        assert!(changed["status"]["armed_until"].is_null(), "{patch} {changed}");
        assert_eq!(changed["status"]["state"], "held", "{patch}");
        let reason = changed["status"]["reason"].to_string();
        assert!(reason.contains("changed the addresses") && reason.contains("`arm` goes on"), "{reason}");
        assert_eq!(verdict(&client).await.0, "local_disk");
        let run = changed["status"]["run"]["id"].as_str().unwrap().to_owned();
        let run = client.houses.kernel.get::<Run>(&run).unwrap();
        assert!(run.spec.entries.iter().any(|entry| entry.what == "machine.disarmed"), "{run:?}");
        let armed = client.post("machines/name:web1/actions/arm", json!({})).await.ok();
        assert!(armed["status"]["armed_until"].is_string(), "{armed}");
        client.post("machines/name:web1/actions/cancel", json!({})).await.ok();
        client.merge("machines/name:web1", json!({"macs": [MAC]})).await.ok();
    }
    let seen = client.get("events?kind=machine.disarmed").await.ok();
    let told = EventKind::MachineDisarmed.name();
    assert!(
        seen.to_string().contains(&*told) && seen.to_string().contains("changed the addresses"),
        "{seen}"
    );
    // What says nothing of the hardware, and the order of the addresses, disarm nobody.
    client.merge("machines/name:web1", json!({"macs": [MAC, other]})).await.ok();
    start(&client).await;
    for patch in [json!({"macs": [other, MAC]}), json!({"labels": {"rack": "a1"}})] {
        let kept = client.merge("machines/name:web1", patch).await.ok();
        assert!(kept["status"]["armed_until"].is_string(), "{kept}");
    }
}

/// A lease of `web1`, whose boot is under way.
async fn booting(client: &Client) {
    let machine = client.houses.kernel.find::<Machine>(&testing::caller(), "name:web1").unwrap();
    let lease = json!({"address": "10.0.0.5", "client": format!("1/{MAC}"), "mac": MAC, "state": "bound",
        "subnet": "lan", "network": "lan", "bound_at": "2026-11-20T10:00:00Z",
        "expires_at": "2100-01-01T00:00:00Z", "machine": machine.key});
    put::<Lease>(client, stored("10.0.0.5", lease), |_| {}).await;
    let now = testing::caller().now;
    let changed = client.houses.kernel.change::<Machine>(&machine.key, now, |next| {
        next.status.address = Some([10, 0, 0, 5].into());
        next.status.state = MachineState::Booting;
        Ok(Vec::new())
    });
    changed.await.unwrap();
}

#[tokio::test]
async fn what_a_machine_in_a_run_or_a_lease_uses_is_deleted_only_by_force() {
    let client = site().await;
    start(&client).await;
    booting(&client).await;
    // Objects that others name are refused for that first, and `force` changes nothing about it.
    let named = client.delete("bootenvs/own?force=true").await.refused(409);
    assert!(named.contains("stage own") && !named.contains("force=true"), "{named}");
    for (path, user) in [
        ("workflows/own", "machine web1 (armed)"),
        ("stages/own", "machine web1 (armed)"),
        ("tasks/own", "machine web1 (armed)"),
        ("bootenvs/own", "machine web1 (armed)"),
        ("profiles/global", "machine web1 (armed)"),
        ("artifacts/own", "machine web1 (armed)"),
        ("reservations/10.0.0.5", "machine web1 (armed)"),
        ("subnets/lan", "lease 10.0.0.5"),
        ("leases/10.0.0.5", "machine web1 (armed)"),
        ("machines/name:web1", "(booting, armed)"),
    ] {
        let refused = client.delete(path).await.refused(409);
        assert!(refused.contains("in_use") && refused.contains(user), "{path}: {refused}");
        assert!(refused.contains("`--force` (`force=true`)"), "{path}: {refused}");
        client.delete(&format!("{path}?force=maybe")).await.refused(400);
        client.delete(&format!("{path}?force=true")).await.ok();
    }
}

#[tokio::test]
async fn a_lease_of_a_booting_machine_is_ended_only_by_force_and_others_at_once() {
    let client = site().await;
    start(&client).await;
    booting(&client).await;
    for verb in ["release", "expire"] {
        let refused = client.post(&format!("leases/10.0.0.5/actions/{verb}"), json!({})).await.refused(409);
        assert!(refused.contains("machine web1 (armed)"), "{refused}");
    }
    client.post("leases/10.0.0.5/actions/release?force=true", json!({})).await.ok();
    client.post("machines/name:web1/actions/cancel", json!({})).await.ok();
    client.delete("leases/10.0.0.5").await.ok();
    client.delete("machines/name:web1").await.ok();
    client.delete("subnets/lan").await.ok();
}
