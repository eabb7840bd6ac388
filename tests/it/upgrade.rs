//! A data directory of an earlier version, with machines in the middle of everything: it opens, and each
//! machine continues to the end of its run.
//!
//! `upgrade/b0445d0.sql` is the database that the program of that commit wrote while its API and boot side
//! were used. Deadlines were moved to 2099; old events and content that no run needs were removed. `@FILES@`
//! stands for the artifact's folder.

use std::fs;

use reqwest::Method;
use serde_json::{Value, json};

use crate::api::Api;
use crate::scene;
use crate::wire::BootSide;
use crate::world::World;

const DATABASE: &str = include_str!("upgrade/b0445d0.sql");
/// The key of its secrets, capabilities and tokens. They are used nowhere else.
const SECRET_KEY: &str = "d21507708cbbe45cfeec06a323a0f5e888d09d675d733b501bebf1a1c8272088";
const ADMIN_TOKEN: &str = "mw_QpMcPS5_oUhmHhWr-GLIOBMiw91kcofx_8AfNzmp8mE";
const CAPABILITY: &str = "01a22a316d71706abd55eb88492faacc-0c4deaf4718e79685752cbfeb6c971fa";
const AGENT_TOKEN: &str = "mw_8OWufXNgdn4bSuWW3OP979-LoTGpsrudtS2ZSy6RG2g";
const JOB: &str = "01a22a31-6e41-712a-a48e-5693a4afe63a";

/// A server on that data.
fn upgraded() -> World {
    upgraded_with("")
}

/// A server on that data and further rows.
pub fn upgraded_with(rows: &str) -> World {
    let mut world = World::on_loopback();
    assert!(world.stop().success());
    let data = world.data();
    for file in ["metalwright.db", "metalwright.db-wal", "metalwright.db-shm"] {
        // A missing file need not be deleted.
        let _ = fs::remove_file(data.join(file));
    }
    let installer = scene::small_installer(world.scratch());
    let sql = DATABASE.replace("@FILES@", installer.to_str().expect("a path in UTF-8"));
    let database = rusqlite::Connection::open(data.join("metalwright.db")).expect("a database");
    database.execute_batch(&sql).expect("what the earlier version wrote");
    database.execute_batch(rows).expect("further rows");
    drop(database);
    let key = metalwright::model::parse_hex(SECRET_KEY).expect("a key in hex");
    fs::write(data.join("secret.key"), key).expect("the key");
    fs::write(data.join("admin.token"), ADMIN_TOKEN).expect("the token");
    world.start();
    world
}

fn status(api: &Api, name: &str) -> Value {
    api.get(&format!("/machines/name:{name}")).expect(200)["status"].clone()
}

/// The run that a machine shows.
fn run(api: &Api, name: &str) -> Value {
    let id = status(api, name)["run"]["id"].as_str().expect("a run").to_owned();
    api.get(&format!("/runs/{id}")).expect(200)
}

fn mac(number: u8) -> String {
    format!("52:54:00:aa:00:{number:02x}")
}

/// Boots a machine from the network up to its kernel; returns the URL folder of its files.
fn boot(side: &BootSide, mac: &str) -> String {
    let (code, script) = side.get(&format!("/boot.ipxe?mac={mac}"));
    assert_eq!(code, 200, "{script}");
    let folder = format!("/m/{}", scene::capability(&script));
    assert_eq!(side.get(&format!("{folder}/linux")).0, 200, "{script}");
    folder
}

fn ask(agent: &Api, machine: &Value, environment: &str) -> Value {
    let report = json!({"environment": environment, "boot": "b1", "wait_seconds": 0, "job": null});
    agent.post(&format!("/machines/{}/jobs/next", machine.as_str().expect("an id")), report).expect(200)
}

/// An agent's report on a job.
fn report(agent: &Api, job: &str, report: Value) {
    agent.send(Method::PATCH, &format!("/jobs/{job}"), Some(report)).expect(200);
}

#[test]
fn machines_in_the_middle_of_everything_go_on_after_an_upgrade() {
    let world = upgraded();
    let (api, side) = (world.api(), BootSide::of(world.ready()));
    assert_eq!(api.get("/runs").expect(200)["total"], 6, "each run that was there");
    let opened = run(&api, "installing");
    assert!(opened["content"].is_string() && opened["steps"][1]["state"] == "running", "{opened}");
    assert_eq!(opened["attempts"][0]["number"], 1, "{opened}");

    // In the middle of an installation: the answer file is unchanged, and the installer reports.
    let (code, answer) = side.get(&format!("/m/{CAPABILITY}/answer.cfg"));
    assert_eq!((code, answer.trim()), (200, "disk /dev/vda of installing word opensesame"));
    assert_eq!(side.post(&format!("/m/{CAPABILITY}/done"), "").0, 200);
    assert_eq!(status(&api, "installing")["state"], "complete");

    // Armed: one boot is allowed.
    assert_eq!(status(&api, "armed")["state"], "waiting");
    let folder = boot(&side, &mac(2));
    assert!(status(&api, "armed")["armed_until"].is_null(), "the kernel uses it up");
    assert_eq!(side.post(&format!("{folder}/done"), "").0, 200);
    assert_eq!(status(&api, "armed")["state"], "complete");

    // Waiting for a power-on into a live system, whose agent has a task.
    boot(&side, &mac(1));
    let machine = api.get("/machines/name:waiting").expect(200)["id"].clone();
    let scopes = json!([format!("agent:{}", machine.as_str().expect("an id"))]);
    let token = api.post("/tokens", json!({"name": "waiting", "scopes": scopes})).expect(201);
    let agent = api.with_token(token["token"].as_str().expect("a token"));
    let job = ask(&agent, &machine, "live");
    assert_eq!(job["files"][0]["body"], "#!/bin/sh\necho first /dev/vda\n", "{job}");
    let job = job["id"].as_str().expect("a job").to_owned();
    report(&agent, &job, json!({"exit": 0}));
    assert_eq!(status(&api, "waiting")["state"], "complete");

    // With a running agent, which reports its job and asks for the next one.
    let machine = api.get("/machines/name:agent").expect(200)["id"].clone();
    let agent = api.with_token(AGENT_TOKEN);
    report(&agent, JOB, json!({"exit": 0, "expect": "running"}));
    let job = ask(&agent, &machine, "installed");
    assert_eq!(job["task"], "second");
    let job = job["id"].as_str().expect("a job").to_owned();
    report(&agent, &job, json!({"exit": 0}));
    let done = run(&api, "agent");
    assert_eq!((&done["result"], done["jobs"].as_array().map(Vec::len)), (&json!("complete"), Some(2)));

    // A failed machine is retried.
    assert_eq!(status(&api, "failed")["state"], "failed");
    api.post("/machines/name:failed/actions/retry", json!({})).expect(200);
    let folder = boot(&side, &mac(5));
    assert_eq!(side.post(&format!("{folder}/done"), "").0, 200);
    assert_eq!(run(&api, "failed")["result"], "complete");
}

#[test]
fn a_run_of_an_earlier_version_goes_on_with_its_content_when_that_is_edited_and_deleted() {
    let world = upgraded();
    let (api, side) = (world.api(), BootSide::of(world.ready()));
    api.patch("/templates/site%2Fanswer", json!({"body": "another"})).expect(200);
    api.patch("/profiles/site", json!({"params": {"disk": "/dev/other"}})).expect(200);
    for gone in ["/workflows/reinstall", "/stages/wiping", "/bootenvs/wipe"] {
        api.delete(&format!("{gone}?force=true")).expect(204);
    }
    let folder = boot(&side, &mac(2));
    let (code, answer) = side.get(&format!("{folder}/answer.cfg"));
    assert_eq!((code, answer.trim()), (200, "disk /dev/vda of armed word opensesame"));
    assert_eq!(side.post(&format!("{folder}/done"), "").0, 200);
    assert_eq!(run(&api, "armed")["result"], "complete");
}
