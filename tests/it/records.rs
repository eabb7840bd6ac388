//! Records of runs: the documents that a machine was served, and pruning.

use std::thread;
use std::time::Instant;

use serde_json::{Value, json};

use crate::api::Api;
use crate::scene::{EVENT_WITHIN, MAC, add_installer, capability, small_installer};
use crate::wire::BootSide;
use crate::world::World;

const SECRET: &str = "correct horse battery";
/// Where a template of the installation writes the secret, in clear and as a hash.
const ANSWERS: &str = "root {{ param(name='canary') }} {{ param(name='canary') | password_hash }}\n\
    to {{ callback_url(event='done') }}\n";

/// The machine `web1` in a run whose bootenv has an answer file with a secret, and whose task has another.
fn scene(world: &World) -> (Api, String) {
    let api = world.api();
    add_installer(&api, &small_installer(world.scratch()));
    let secret = json!({"name": "canary", "secret": true, "schema": {"type": "string"}});
    api.post("/params", secret).expect(201);
    api.post("/templates", json!({"name": "mine/answers.cfg", "body": ANSWERS})).expect(201);
    let files = json!({"artifact": "debian-12-amd64", "kernel": "linux", "initrds": ["initrd.gz"]});
    let answers = json!({"name": "answers", "path": "answers.cfg", "template": "mine/answers.cfg"});
    let bootenv = json!({"name": "mine", "kind": "live", "arches": {"amd64": files}, "templates": [answers]});
    api.post("/bootenvs", bootenv).expect(201);
    let script = json!({"name": "run", "inline": "echo {{ param(name='canary') }} {{ job.id }}"});
    api.post("/tasks", json!({"name": "say", "templates": [script]})).expect(201);
    api.post("/stages", json!({"name": "mine", "bootenv": "mine", "tasks": ["say"]})).expect(201);
    api.post("/workflows", json!({"name": "mine", "stages": ["mine"]})).expect(201);
    let params = json!({"canary": SECRET});
    api.post("/machines", json!({"name": "web1", "macs": [MAC], "params": params})).expect(201);
    let machine = api.post("/machines/name:web1/actions/start", json!({"workflow": "mine"})).expect(200);
    (api, machine["status"]["run"]["id"].as_str().expect("a run").to_owned())
}

/// The documents of a run as soon as there are so many: they are written after the answers.
fn documents(api: &Api, run: &str, count: usize) -> Vec<Value> {
    let deadline = Instant::now() + EVENT_WITHIN;
    loop {
        let mut body = api.get(&format!("/runs/{run}/documents")).expect(200);
        let items = body["items"].as_array_mut().expect("a list");
        if items.len() >= count {
            return std::mem::take(items);
        }
        assert!(Instant::now() < deadline, "{items:?}");
        thread::yield_now();
    }
}

fn text(api: &Api, path: &str) -> String {
    api.get(path).expect(200).as_str().expect("a text").to_owned()
}

#[test]
fn what_a_machine_was_served_is_read_again_without_secrets_after_its_template_changed_and_a_restart() {
    let mut world = World::on_loopback();
    let (api, run) = scene(&world);
    let boot = BootSide::of(world.ready());
    let (_, script) = boot.get(&format!("/boot.ipxe?mac={MAC}"));
    let capability = capability(&script).to_owned();
    let (status, answers) = boot.get(&format!("/m/{capability}/answers.cfg"));
    assert!(status == 200 && answers.contains(SECRET) && answers.contains(&capability), "{status} {answers}");
    let agent = json!({"environment": "live", "boot": "b1"});
    let work = api.post("/machines/name:web1/jobs/next", agent).expect(200);
    assert!(work.to_string().contains(SECRET), "{work}");

    let kept = documents(&api, &run, 3);
    let paths: Vec<&str> =
        kept.iter().map(|document| document["path"].as_str().unwrap_or_default()).collect();
    assert_eq!(paths, ["answers.cfg", "boot.ipxe", "tasks/mine/say/run"]);
    let covered: Vec<bool> = kept.iter().map(|document| document["covered"] == true).collect();
    assert_eq!(covered, [true, false, true]);
    let read = |api: &Api, path: &str| text(api, &format!("/runs/{run}/documents/{path}"));
    let before = read(&api, "answers.cfg");
    assert!(before.starts_with("root (sealed) $"), "{before}");
    assert!(read(&api, "boot.ipxe").contains("/m/preview/linux"));
    let job = work["id"].as_str().expect("a job");
    assert_eq!(read(&api, "tasks%2Fmine%2Fsay%2Frun"), format!("echo (sealed) {job}"));

    api.patch("/templates/mine%2Fanswers.cfg", json!({"body": "nothing"})).expect(200);
    assert!(world.stop().success());
    world.start();
    let api = world.api();
    for path in ["answers.cfg", "boot.ipxe", "tasks%2Fmine%2Fsay%2Frun"] {
        let text = read(&api, path);
        assert!(!text.contains(SECRET) && !text.contains(&capability), "{path}: {text}");
    }
    assert_eq!(read(&api, "answers.cfg"), before);
    let pieces = api.get("/contents?limit=1000").expect(200).to_string();
    assert!(["\"stage\"", "\"bootenv\"", "\"task\""].iter().all(|kind| pieces.contains(kind)), "{pieces}");
    assert!(!pieces.contains(SECRET), "{pieces}");
    let absent = api.get(&format!("/runs/{run}/documents/preseed.cfg")).expect(404);
    assert!(absent["detail"].to_string().contains("answers.cfg"), "{absent}");
}

#[test]
fn pruning_says_what_would_go_and_deletes_it_when_told_to() {
    let world = World::on_loopback();
    let api = world.api();
    for n in 0..3 {
        api.post("/machines", json!({"name": format!("m{n}")})).expect(201);
    }
    api.patch("/settings/events_kept_max", json!({"value": 10})).expect(422);
    let dry = api.post("/server/prune", json!({})).expect(200);
    assert_eq!((&dry["dry_run"], &dry["complete"]), (&json!(true), &json!(true)));
    let kinds: Vec<&Value> =
        dry["items"].as_array().expect("a list").iter().map(|row| &row["kind"]).collect();
    assert_eq!(kinds, ["runs", "contents", "jobs", "logs", "documents", "events", "audit"]);
    api.post("/server/prune?dry_run=no", json!({})).expect(400);
    let said = world.try_cli(&["server", "prune"]);
    assert!(String::from_utf8_lossy(&said.stderr).contains("--yes"), "{said:?}");
    let table = world.cli(&["server", "prune", "--yes"]);
    assert!(table.starts_with("KIND") && table.contains("events_kept_max"), "{table}");
}
