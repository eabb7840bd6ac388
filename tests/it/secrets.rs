//! Secrets from end to end: maps of which one member changes, secrets outside of the server, values that are
//! generated, and another key. What a machine gets has them, and nothing else has.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::Instant;

use serde_json::{Value, json};

use crate::api::Api;
use crate::scene::{EVENT_WITHIN, MAC, add_installer, capability, small_installer};
use crate::wire::BootSide;
use crate::world::World;

const ANSWERS: &str = "{% set wifi = param(name='wifi') -%}\ncorp {{ wifi.corp }}\nguest {{ wifi.guest }}\n\
    outside {{ param(name='outside') }}\npw {{ param(name='own_pw') }}\n{{ param(name='host_key') }}\
    {{ param(name='host_key_public') }}\n";

/// A server that may read secrets from a folder.
fn server(folder: &Path) -> World {
    let folder = folder.to_str().expect("a path in UTF-8");
    let api = ["--api-listen", "127.0.0.1:0", "--boot-http", "127.0.0.1:0", "--tftp-listen", "127.0.0.1:0"];
    World::with(&[&api[..], &["--secrets-files", folder]].concat())
}

/// A machine whose answer file and job have a secret of each kind.
fn add_machine(api: &Api, (world, folder): (&World, &Path)) {
    add_installer(api, &small_installer(world.scratch()));
    let texts = json!({"additionalProperties": {"type": "string"}});
    api.post("/params", json!({"name": "wifi", "secret": true, "schema": texts})).expect(201);
    let outside = json!({"name": "outside", "secret": true, "schema": {"type": "string", "minLength": 8}});
    api.post("/params", outside).expect(201);
    api.post("/params", json!({"name": "own_pw", "secret": true, "generate": "password"})).expect(201);
    api.post("/params", json!({"name": "host_key", "secret": true, "generate": "ssh-host-key"})).expect(201);
    api.post("/templates", json!({"name": "mine/answers.cfg", "body": ANSWERS})).expect(201);
    let files = json!({"artifact": "debian-12-amd64", "kernel": "linux", "initrds": ["initrd.gz"]});
    let templates = json!([
        {"name": "answers", "path": "answers.cfg", "template": "mine/answers.cfg"},
        {"name": "plain", "path": "plain.cfg", "inline": "nothing secret"},
    ]);
    let bootenv = json!({"name": "mine", "kind": "live", "arches": {"amd64": files}, "templates": templates});
    api.post("/bootenvs", bootenv).expect(201);
    let script =
        json!({"name": "run", "inline": "echo {{ param(name='outside') }} {{ param(name='own_pw') }}"});
    api.post("/tasks", json!({"name": "say", "templates": [script]})).expect(201);
    api.post("/stages", json!({"name": "mine", "bootenv": "mine", "tasks": ["say"]})).expect(201);
    api.post("/workflows", json!({"name": "mine", "stages": ["mine"]})).expect(201);
    let from = format!("file:{}", folder.join("outside").display());
    let params = json!({"wifi": {"corp": "CANARY-corp", "guest": "CANARY-guest"}, "outside": {"from": from}});
    api.post("/machines", json!({"name": "web1", "macs": [MAC], "params": params})).expect(201);
}

fn answers(world: &World) -> (u16, String) {
    let boot = BootSide::of(world.ready());
    let (_, script) = boot.get(&format!("/boot.ipxe?mac={MAC}"));
    boot.get(&format!("/m/{}/answers.cfg", capability(&script)))
}

/// What stands behind a word at the beginning of a line.
fn line<'t>(text: &'t str, word: &str) -> &'t str {
    let line = text.lines().find_map(|line| line.strip_prefix(word));
    line.unwrap_or_else(|| panic!("no line with {word:?} in {text}")).trim()
}

/// Everything that the server says to an administrator, logs and stores, but for its keys.
fn everything(world: &World, api: &Api) -> Vec<(String, String)> {
    let run = api.get("/machines/name:web1").expect(200)["status"]["run"]["id"].clone();
    let run = run.as_str().expect("a run");
    let mut paths: Vec<String> = [
        "/machines",
        "/machines/name:web1",
        "/machines/name:web1/params?aggregate=true",
        "/profiles",
        "/params",
        "/runs",
        "/jobs",
        "/events?limit=1000",
        "/machines/name:web1/timeline",
        "/server/check",
        "/changes?after=0",
        "/machines?param.wifi[exists]=true",
        "//readyz",
        "//metrics",
        "/machines/name:web1/files",
        "/machines/name:web1/explain",
        "/machines/name:web1/params?explain=true",
        "/machines/name:web1/variables",
        "/machines/name:web1/diff",
        "/diff",
        "/catalog/hidden",
        "/packs",
        "/channels",
    ]
    .map(str::to_owned)
    .into();
    paths.push(format!("/runs/{run}"));
    let documents = api.get(&format!("/runs/{run}/documents")).expect(200);
    for document in documents["items"].as_array().into_iter().flatten() {
        let path = document["path"].as_str().expect("a path").replace('/', "%2F");
        paths.push(format!("/runs/{run}/documents/{path}"));
    }
    let mut texts: Vec<(String, String)> =
        paths.into_iter().map(|path| (path.clone(), api.get(&path).body.to_string())).collect();
    for preview in [json!({"file": "answers.cfg"}), json!({"template": "mine/answers.cfg"})] {
        let mut preview = preview;
        preview["machine"] = json!("name:web1");
        preview["lines"] = json!(true);
        let shown = api.post("/render", preview).expect(200).to_string();
        assert!(shown.contains("corp (sealed)"), "{shown}");
        texts.push(("preview".to_owned(), shown));
    }
    texts.push(("log".to_owned(), world.log()));
    for words in [&["machines", "show", "web1", "-o", "yaml"][..], &["params", "web1"], &["timeline", "web1"]]
    {
        let said = world.try_cli(words);
        texts.push((words.join(" "), String::from_utf8_lossy(&said.stdout).into_owned()));
    }
    for entry in fs::read_dir(world.data()).expect("the data") {
        let path = entry.expect("an entry").path();
        let bytes = fs::read(&path).unwrap_or_default();
        texts.push((path.display().to_string(), String::from_utf8_lossy(&bytes).into_owned()));
    }
    texts
}

/// Returns when the log of the installer is kept: it is written after the answer.
fn wait_for_log(api: &Api, run: &Value) {
    let documents = format!("/runs/{}/documents", run.as_str().expect("a run"));
    let deadline = Instant::now() + EVENT_WITHIN;
    while !api.get(&documents).expect(200).to_string().contains("installer.log") {
        assert!(Instant::now() < deadline, "the log is not kept");
        thread::yield_now();
    }
}

#[test]
fn a_secret_of_any_kind_is_in_what_its_machine_gets_and_nowhere_else() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("outside"), "CANARY-outside\n").expect("a secret");
    let world = server(folder.path());
    let api = world.api();
    add_machine(&api, (&world, folder.path()));
    let started = api.post("/machines/name:web1/actions/start", json!({"workflow": "mine"})).expect(200);
    let sealed = json!({"sealed": true});
    assert_eq!((&started["params"]["own_pw"], &started["params"]["host_key"]), (&sealed, &sealed));
    assert_eq!(started["params"]["wifi"], json!({"corp": sealed, "guest": sealed}));
    assert_eq!(started["problems"], json!([]));
    let event =
        api.events_after(0).wait_for(EVENT_WITHIN, |event| event["kind"] == "machine.params_generated");
    assert_eq!(event["data"]["params"], json!(["host_key", "host_key_public", "own_pw"]));

    let boot = BootSide::of(world.ready());
    let (_, script) = boot.get(&format!("/boot.ipxe?mac={MAC}"));
    let own = capability(&script).to_owned();
    let (status, got) = boot.get(&format!("/m/{own}/answers.cfg"));
    assert_eq!(status, 200, "{got}");
    assert_eq!((line(&got, "corp"), line(&got, "outside")), ("CANARY-corp", "CANARY-outside"));
    assert_eq!(
        line(&got, "ssh-ed25519"),
        started["params"]["host_key_public"].as_str().expect("a key")[11..].trim()
    );
    let password = line(&got, "pw").to_owned();
    let of_key = got.lines().nth(8).expect("a line of the key").to_owned();
    assert!(password.len() == 24 && of_key.len() == 70, "{got}");
    let work =
        api.post("/machines/name:web1/jobs/next", json!({"environment": "live", "boot": "b1"})).expect(200);
    assert!(work.to_string().contains("CANARY-outside"), "{work}");
    let said = format!("key is CANARY-outside {password}\n");
    assert_eq!(boot.post(&format!("/m/{own}/installer.log"), &said).0, 200);
    wait_for_log(&api, &started["status"]["run"]["id"]);
    for (place, text) in everything(&world, &api) {
        for canary in ["CANARY-", password.as_str(), of_key.as_str()] {
            assert!(!text.contains(canary), "{canary} in {place}: {text:.2000}");
        }
    }
}

#[test]
fn one_member_of_a_secret_map_changes_alone_and_generated_values_stay_over_installations() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("outside"), "CANARY-outside").expect("a secret");
    let world = server(folder.path());
    let api = world.api();
    add_machine(&api, (&world, folder.path()));
    api.patch("/machines/name:web1", json!({"params": {"wifi": {"corp": "CANARY-new"}}})).expect(200);
    let wrong = api.patch("/machines/name:web1", json!({"params": {"wifi": {"corp": ["CANARY-new"]}}}));
    let wrong = wrong.expect(422).to_string();
    assert!(wrong.contains("/params/wifi") && !wrong.contains("CANARY"), "{wrong}");
    let absent = json!({"params": {"wifi": {"third": {"sealed": true}}}});
    assert!(api.patch("/machines/name:web1", absent).expect(422).to_string().contains("a secret map"));
    let start = || api.post("/machines/name:web1/actions/start", json!({"workflow": "mine"})).expect(200);
    start();
    let (_, first) = answers(&world);
    assert_eq!((line(&first, "corp"), line(&first, "guest")), ("CANARY-new", "CANARY-guest"));
    api.post("/machines/name:web1/actions/cancel", json!({})).expect(200);
    start();
    let (_, again) = answers(&world);
    assert_eq!(first, again, "nothing is made anew");
    api.post("/machines/name:web1/actions/cancel", json!({})).expect(200);
    api.patch("/machines/name:web1", json!({"params": {"own_pw": null}})).expect(200);
    start();
    let (_, third) = answers(&world);
    assert_ne!(line(&first, "pw"), line(&third, "pw"), "what was removed is made anew");
    assert_eq!(line(&first, "ssh-ed25519"), line(&third, "ssh-ed25519"));
    api.post("/machines/name:web1/actions/cancel", json!({})).expect(200);
    api.patch("/machines/name:web1", json!({"params": {"wifi": {"guest": null}}})).expect(200);
    let shown = &api.get("/machines/name:web1").expect(200)["params"]["wifi"];
    assert_eq!(*shown, json!({"corp": {"sealed": true}}));
}

#[test]
fn a_secret_outside_that_is_away_is_told_and_nothing_is_rendered_without_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let world = server(folder.path());
    let api = world.api();
    add_machine(&api, (&world, folder.path()));
    let other = json!({"params": {"outside": {"from": "env:PATH"}}});
    let refused = api.patch("/machines/name:web1", other).expect(422).to_string();
    assert!(refused.contains("not_admitted") && refused.contains("secrets.env"), "{refused}");
    let malformed = json!({"params": {"outside": {"from": "ldap:x"}}});
    assert!(api.patch("/machines/name:web1", malformed).expect(422).to_string().contains("vault:MOUNT"));
    api.post("/machines/name:web1/actions/start", json!({"workflow": "mine"})).expect(200);
    let boot = BootSide::of(world.ready());
    let (_, screen) = boot.get(&format!("/boot.ipxe?mac={MAC}"));
    assert!(!screen.contains("/m/"), "the boot stops before its kernel: {screen}");
    let problems = api.get("/machines/name:web1").expect(200)["problems"].to_string();
    assert!(problems.contains("`outside`") && problems.contains("No such file"), "{problems}");
    fs::write(folder.path().join("outside"), "short").expect("a secret");
    let (_, screen) = boot.get(&format!("/boot.ipxe?mac={MAC}"));
    assert!(!screen.contains("/m/"), "it does not fit its declaration: {screen}");
    fs::write(folder.path().join("outside"), "CANARY-outside").expect("a secret");
    let (status, got) = answers(&world);
    assert_eq!((status, line(&got, "outside")), (200, "CANARY-outside"));
    assert_eq!(api.get("/machines/name:web1").expect(200)["problems"], json!([]));
}

#[test]
fn all_values_are_sealed_with_another_key_and_a_run_goes_on_with_what_it_kept() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("outside"), "CANARY-outside").expect("a secret");
    let mut world = server(folder.path());
    let api = world.api();
    add_machine(&api, (&world, folder.path()));
    api.post("/machines/name:web1/actions/start", json!({"workflow": "mine"})).expect(200);
    let (_, before) = answers(&world);
    let key = world.data().join("secret.key");
    let old = fs::read(&key).expect("the key");
    let words = ["server", "rotate-key", "--yes"];
    let said = world.try_cli(&words);
    assert!(String::from_utf8_lossy(&said.stderr).contains("server"), "a server runs on it: {said:?}");
    assert_eq!(said.status.code(), Some(1));
    assert!(world.stop().success());
    let dry = world.try_cli(&words[..2]);
    let dry = String::from_utf8_lossy(&dry.stderr).into_owned();
    assert!(dry.contains("3 values of objects and 3 that runs have kept would be"), "{dry}");
    assert_eq!(fs::read(&key).expect("the key"), old);
    let done = world.try_cli(&words);
    let said = String::from_utf8_lossy(&done.stderr).into_owned();
    assert!(done.status.success() && said.contains("sealed with the new secret.key"), "{said}");
    assert_ne!(fs::read(&key).expect("the key"), old);

    world.start();
    let api = world.api();
    let event = api.events_after(0).wait_for(EVENT_WITHIN, |event| event["kind"] == "server.key_rotated");
    assert_eq!(event["data"], json!({"values": 3, "kept": 3, "shut": 0}));
    assert_eq!(api.get("//readyz").expect(200)["status"], "ok");
    assert_eq!(answers(&world).1, before);
    let report = api.get("/server/check").expect(200);
    assert!(!report.to_string().contains("does not open"), "{report}");
    // The old key opens nothing any more.
    assert!(world.stop().success());
    fs::write(&key, old).expect("the old key");
    world.start();
    let warnings = world.api().get("//readyz").expect(200)["warnings"].to_string();
    assert!(warnings.contains("3 secret values do not open"), "{warnings}");
}
