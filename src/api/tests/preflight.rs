//! Tests of the check before a run begins.

use super::*;
use crate::model::{Artifact, ArtifactState, ArtifactStatus, Machine, Noun, Run, Stored, parse_input};

const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8g";

/// A site whose installer asks for a zone and for keys, and the machine `web1`.
async fn site() -> Client {
    let client = Client::new().await;
    client.post("templates", json!({"name": "ipxe/boot.ipxe", "body": "exit"})).await.ok();
    let folder = std::env::temp_dir();
    let body = json!({"name": "own", "path": folder});
    let mut artifact = Stored::new("own".to_owned(), parse_input::<Artifact>(body).unwrap().spec, now());
    artifact.status = ArtifactStatus { state: ArtifactState::Ready, ..ArtifactStatus::default() };
    testing::put(&client.houses, Artifact::object(Arc::new(artifact))).await;
    for (name, default) in [("users", json!([{"name": "admin", "sudo": true}])), ("ssh_keys", json!([]))] {
        client.post("params", json!({"name": name, "default": default})).await.ok();
    }
    let answers = "d-i time/zone string {{ param(name='timezone') }}\n\
                   # {{ param(name='users') | length }} {{ compose(name='ssh_keys') | length }}\n\
                   {{ param(name='line', default='') }}\n";
    let templates = json!([{"name": "preseed", "path": "preseed.cfg", "inline": answers}]);
    let arches = json!({"amd64": {"artifact": "own", "kernel": "linux"}});
    let bootenv = json!({"name": "own", "kind": "install", "arches": arches, "templates": templates});
    client.post("bootenvs", bootenv).await.ok();
    client.post("stages", json!({"name": "own", "bootenv": "own"})).await.ok();
    client.post("workflows", json!({"name": "own", "stages": ["own"]})).await.ok();
    client.post("machines", json!({"name": "web1", "workflow": "own"})).await.ok();
    client
}

fn now() -> jiff::Timestamp {
    testing::caller().now
}

fn codes(refused: &Value) -> Vec<&str> {
    let problems = refused["problems"].as_array().unwrap();
    problems.iter().map(|problem| problem["code"].as_str().unwrap()).collect()
}

async fn start(client: &Client, body: Value) -> Got {
    client.post("machines/name:web1/actions/start", body).await
}

#[tokio::test]
async fn a_start_is_refused_with_all_faults_and_each_says_what_to_do() {
    let client = site().await;
    let got = start(&client, json!({})).await;
    got.refused(409);
    assert_eq!(got.body["code"], "not_usable");
    assert_eq!(codes(&got.body), ["missing_file", "template"], "the render fails without a zone");
    let params = json!({"timezone": "Mars/Base", "line": "no preseed"});
    client.merge("machines/name:web1", json!({ "params": params })).await.ok();
    let got = start(&client, json!({})).await;
    got.refused(409);
    assert_eq!(codes(&got.body), ["missing_file", "bad_document", "unknown_time_zone", "no_login"]);
    let lint = &got.body["problems"][1];
    assert_eq!((&lint["template"], &lint["line"]), (&json!("own/preseed.cfg"), &json!(3)));
    let machine = client.houses.kernel.find::<Machine>(&testing::caller(), "name:web1").unwrap();
    assert!(machine.status.run.is_none(), "nothing has begun");
    let explained = client.get("explain?machine=name:web1").await.ok();
    assert_eq!(explained["start_faults"].as_array().unwrap().len(), 4, "{explained}");
    let preview = json!({"machine": "name:web1", "file": "preseed.cfg", "bootenv": "own"});
    let shown = client.post("render", preview).await.ok();
    assert_eq!(codes(&shown), ["bad_document"]);
}

#[tokio::test]
async fn a_fault_is_accepted_by_its_code_with_a_reason_that_the_run_keeps() {
    let client = site().await;
    let params = json!({"timezone": "Etc/UTC"});
    client.merge("machines/name:web1", json!({ "params": params })).await.ok();
    let accept = json!({"accept": ["missing_file", "no_login"]});
    assert!(start(&client, accept).await.refused(422).contains("/reason"));
    let unknown = json!({"accept": ["locked"], "reason": "x"});
    assert!(start(&client, unknown).await.refused(422).contains("/accept/0"));
    let one = start(&client, json!({"accept": ["missing_file"], "reason": "the file comes later"})).await;
    one.refused(409);
    assert_eq!(codes(&one.body), ["no_login"]);
    let both = json!({"accept": ["missing_file", "no_login"], "reason": "a lab without accounts"});
    let started = start(&client, both).await.ok();
    let run = started["status"]["run"]["id"].as_str().unwrap().to_owned();
    let run = client.houses.kernel.get::<Run>(&run).unwrap();
    let kept: Vec<&str> = run.spec.accepted.iter().map(|fault| fault.code.name()).collect();
    assert_eq!(kept, ["missing_file", "no_login"]);
    let events = client.get("events?kind=run.faults_accepted").await.ok();
    assert!(events.to_string().contains("a lab without accounts"), "{events}");
}

#[tokio::test]
async fn a_dry_run_checks_and_changes_nothing() {
    let client = site().await;
    let path = "machines/name:web1/actions/start?dry_run=true";
    client.post(path, json!({})).await.refused(409);
    let params = json!({"timezone": "Etc/UTC", "ssh_keys": [KEY]});
    client.merge("machines/name:web1", json!({ "params": params })).await.ok();
    let body = json!({"accept": ["missing_file"], "reason": "the file comes later"});
    let would_be = client.post(path, body).await.ok();
    assert_eq!(would_be["status"]["state"], "waiting");
    assert!(would_be["status"]["armed_until"].is_string(), "{would_be}");
    let machine = client.get("machines/name:web1").await.ok();
    assert!(machine["status"]["run"].is_null() && machine["status"]["armed_until"].is_null(), "{machine}");
}

#[tokio::test]
async fn a_workflow_without_an_installer_needs_no_accounts() {
    let client = site().await;
    client
        .post("tasks", json!({"name": "look", "templates": [{"name": "run", "inline": "uname -a"}]}))
        .await
        .ok();
    client.post("stages", json!({"name": "look", "tasks": ["look"]})).await.ok();
    client.post("workflows", json!({"name": "look", "stages": ["look"]})).await.ok();
    start(&client, json!({"workflow": "look"})).await.ok();
    client.post("machines/name:web1/actions/cancel", json!({})).await.ok();
    let broken = json!({"templates": [{"name": "run", "inline": "{{ nothing }}"}]});
    client.merge("tasks/look", broken).await.ok();
    let got = start(&client, json!({"workflow": "look"})).await;
    got.refused(409);
    assert_eq!(codes(&got.body), ["template"], "a script is rendered too");
}
