//! The command line with the real server: the operators' commands, their output and exit codes.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

use crate::scene;
use crate::world::{World, program};

const SOON: Duration = Duration::from_secs(30);

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Runs a command that must end with this exit code; returns its stderr.
fn refused(world: &World, words: &[&str], code: i32) -> String {
    let output = world.try_cli(words);
    assert_eq!(output.status.code(), Some(code), "{words:?}: {}", said(&output));
    assert_eq!(String::from_utf8_lossy(&output.stdout), "", "{words:?}");
    said(&output)
}

/// The client with its own configuration, which knows the server by its URL.
fn remote(world: &World, home: &Path) -> Command {
    let mut command = program();
    let token = fs::read_to_string(world.data().join("admin.token")).expect("the administrator's token");
    command.env("XDG_CONFIG_HOME", home).env("METALWRIGHT_TOKEN", token.trim());
    command.env("METALWRIGHT_SERVER", world.ready()["api"].as_str().expect("the address of the API"));
    command
}

#[test]
fn objects_are_created_listed_changed_and_deleted() {
    let world = World::on_loopback();
    let mac = r#"macs=["52:54:00:aa:00:01"]"#;
    assert_eq!(world.cli(&["machines", "create", "name=web1", mac]), "machine web1 created\n");
    world.cli(&["machines", "create", "name=web2", "labels.role=db"]);
    assert_eq!(world.cli(&["machines", "list", "-o", "name", "--sort", "-name"]), "web2\nweb1\n");
    let filtered = world.cli(&["machines", "list", "--filter", "label.role=db", "--fields", "name"]);
    assert_eq!(filtered, "NAME\nweb2\n");
    let table = world.cli(&["machines", "list"]);
    assert!(table.starts_with("NAME  STATE "), "{table}");
    world.cli(&["machines", "set", "52-54-00-AA-00-01", "serial=X1", "profiles=[]"]);
    let shown: Value = serde_json::from_str(&world.cli(&["machines", "show", "web1", "-o", "json"])).unwrap();
    assert_eq!((&shown["serial"], &shown["macs"]), (&json!("X1"), &json!(["52:54:00:aa:00:01"])));
    let output = world.try_cli(&["machines", "delete", "web1", "nobody", "web2"]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(String::from_utf8_lossy(&output.stdout), "machine web1 deleted\nmachine web2 deleted\n");
    assert!(said(&output).contains("machine nobody: there is no machine"), "{}", said(&output));
}

#[test]
fn a_verb_for_many_says_what_it_would_do_and_reports_each_result() {
    let world = World::on_loopback();
    world.cli(&["stages", "create", "name=idle"]);
    world.cli(&["workflows", "create", "name=idle", r#"stages=["idle"]"#]);
    for name in ["web1", "web2", "db1"] {
        world.cli(&["machines", "create", &format!("name={name}"), "labels.rack=r1"]);
    }
    let rack = ["--filter", "label.rack=r1"];
    let words = [&["machines", "set", "labels.room=a"][..], &rack].concat();
    let plan = "set labels.room=a: 3 machines: web1, web2, db1\n";
    let dry = world.cli(&[&words[..], &["--dry-run"]].concat());
    assert_eq!(dry, plan);
    let output = world.try_cli(&words);
    assert_eq!(output.status.code(), Some(2), "nobody can be asked");
    assert!(said(&output).contains("--yes carries it out"), "{}", said(&output));
    let done = world.cli(&[&words[..], &["--yes", "--concurrency", "2"]].concat());
    let results = "machine web1 changed\nmachine web2 changed\nmachine db1 changed\n";
    assert_eq!(done, format!("{plan}{results}"));
    world.cli(&["machines", "set", "db1", "locked=true"]);
    let names = ["machines", "start", "web1", "web2", "db1", "--workflow", "idle"];
    let output = world.try_cli(&names);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stdout).starts_with("web1 is "), "{output:?}");
    let told = said(&output);
    assert!(told.contains("machine db1: ") && told.contains("error: 1 of 3 failed"), "{told}");
    let nobody = refused(&world, &["machines", "cancel", "--filter", "name=x*", "--yes"], 1);
    assert!(nobody.contains("no object passes the filter"), "{nobody}");
    refused(&world, &["machines", "cancel", "web1", "--filter", "name=web*", "--yes"], 2);
    refused(&world, &["machines", "cancel"], 2);
}

#[test]
fn a_client_that_nobody_registered_is_listed_and_registered_from_the_list() {
    let world = World::on_loopback();
    let boot = crate::wire::BootSide::of(world.ready());
    let mac = "52:54:00:cc:00:01";
    let (_, script) = boot.get(&format!("/boot.ipxe?mac={mac}"));
    assert!(script.contains("no machine is registered with the MAC ${netX/mac}"), "{script}");
    let table = world.cli(&["unknown", "list"]);
    assert!(table.starts_with("MAC ") && table.contains(mac) && table.contains("boot.ipxe"), "{table}");
    let made = world.cli(&["unknown", "register", mac, "--name", "web1", "labels.rack=r1"]);
    assert_eq!(made, "machine web1 created\n");
    let shown: Value = serde_json::from_str(&world.cli(&["machines", "show", "web1", "-o", "json"])).unwrap();
    assert_eq!((&shown["macs"], &shown["labels"]), (&json!([mac]), &json!({"rack": "r1"})));
    assert_eq!(world.cli(&["unknown", "list", "-o", "name"]), "");
    let unseen = refused(&world, &["unknown", "register", "52:54:00:cc:00:02", "--name", "web2"], 1);
    assert!(unseen.contains("machines create"), "{unseen}");
}

#[test]
fn the_server_says_what_it_does_by_itself() {
    let world = World::on_loopback();
    let shown = world.cli(&["server", "background", "-o", "name"]);
    let names: Vec<&str> = shown.lines().collect();
    let all = [
        "activity-log",
        "artifacts",
        "certificates",
        "deadlines",
        "event-queue",
        "lease-clock",
        "lease-expiry",
        "pruning",
        "render-check",
        "served-documents",
        "session-expiry",
        "silent-boots",
        "store-check",
    ];
    assert_eq!(names, all);
    let status = world.api().get("/server/background").expect(200);
    let pruning = &status["items"][7];
    assert_eq!((&pruning["name"], &pruning["period_seconds"]), (&json!("pruning"), &json!(600)));
    assert_eq!(pruning["failures"], 0, "{status}");
    let table = world.cli(&["server", "background"]);
    assert!(table.starts_with("NAME ") && table.contains("older than the settings allow"), "{table}");
}

#[test]
fn a_refusal_names_every_fault_and_a_slip_is_another_exit_code() {
    let world = World::on_loopback();
    let said = refused(&world, &["machines", "create", "nmae=web1", r#"macs=["zz"]"#], 1);
    for part in ["/macs/0: ", "did you mean `name`?", "`name` is missing"] {
        assert_eq!(said.matches(part).count(), 1, "{part} in {said}");
    }
    refused(&world, &["machines", "set", "web1"], 2);
    refused(&world, &["machines", "wait", "web1", "--for", "state"], 2);
    refused(&world, &["jobs", "delete", "x"], 2);
    let said = refused(&world, &["machines", "list", "--filter", "nme=x"], 1);
    assert!(said.contains("did you mean `name`?"), "{said}");
}

#[test]
fn a_setting_is_set_by_its_name_and_a_new_token_is_shown_once() {
    let world = World::on_loopback();
    world.cli(&["settings", "set", "unknown_machine=ignore"]);
    let row = world.cli(&["settings", "list", "--filter", "name=unknown_machine", "--fields", "value"]);
    assert_eq!(row, "VALUE\nignore\n");
    let made = world.cli(&["tokens", "create", "name=ci", r#"scopes=["machines:read"]"#]);
    let token = made.lines().nth(1).expect("the token on a line of its own").to_owned();
    assert_eq!(world.api().with_token(&token).get("/machines").status, 200);
    let shown = world.cli(&["tokens", "show", "ci"]) + &world.cli(&["tokens", "list"]);
    assert!(!shown.contains(&token) && !shown.contains("sha256"), "{shown}");
}

#[test]
fn a_folder_is_applied_in_order_and_applied_again_changes_nothing() {
    let world = World::on_loopback();
    let site = world.scratch().join("site");
    let write = |path: &str, text: &str| {
        let path = site.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    write("machines/web.yaml", "name: web1\nprofiles: [db]\nparams: {root_pw: first}\n---\nname: web2\n");
    write("all.yaml", "noun: profile\nname: db\nparams: {rack: a1}\n");
    write("params/all.yaml", "- {name: rack, schema: {type: string}}\n- {name: root_pw, secret: true}\n");
    write("templates/site/motd", "hello {{ machine.name }}\n");
    let site = site.to_str().unwrap();
    let dry = world.cli(&["apply", "-f", site, "--dry-run"]);
    assert_eq!(dry.matches("created (dry run)").count(), 6, "{dry}");
    assert_eq!(world.cli(&["machines", "list", "-o", "name"]), "");
    let done = world.cli(&["apply", "-f", site]);
    let order: Vec<&str> = done.lines().map(|line| line.split(' ').next().unwrap()).collect();
    assert_eq!(order, ["template", "param", "param", "profile", "machine", "machine"]);
    let again = world.cli(&["apply", "-f", site]);
    assert_eq!(again.matches(" unchanged").count(), 5, "{again}");
    // A sealed value cannot be read, so it is set again.
    assert!(again.contains("machine web1 updated\n  ~ params.root_pw: (secret) set again\n"), "{again}");
    fs::write(Path::new(site).join("all.yaml"), "noun: profile\nname: db\nparams: {rack: a2}\n").unwrap();
    let changed = world.cli(&["apply", "-f", site]);
    assert!(
        changed.contains("profile db updated\n  - params.rack: \"a1\"\n  + params.rack: \"a2\"\n"),
        "{changed}"
    );
    assert!(!(dry + &done + &again + &changed).contains("first"), "a secret was printed");
}

#[test]
fn what_is_not_a_document_is_told_before_anything_is_written() {
    let world = World::on_loopback();
    let folder = world.scratch().join("site/machines");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("a.yaml"), "name: web1\n").unwrap();
    fs::write(folder.join("b.yaml"), "name: [\n").unwrap();
    let said = refused(&world, &["apply", "-f", folder.to_str().unwrap()], 1);
    assert!(said.contains("b.yaml: not readable as YAML"), "{said}");
    assert_eq!(world.cli(&["machines", "list", "-o", "name"]), "");
}

#[test]
fn waiting_ends_when_it_is_so_or_cannot_become_so() {
    let world = World::on_loopback();
    world.cli(&["machines", "create", "name=web1"]);
    let wait = ["machines", "wait", "web1", "--for", "serial=X1", "-o", "name"];
    let mut waiting = world.spawn_cli(&wait);
    world.cli(&["machines", "set", "web1", "serial=X1"]);
    waiting.wait_for_line("web1", SOON);
    assert!(waiting.wait_for_end(SOON).success());
    let late = ["machines", "wait", "web1", "--for", "status.state=complete", "--timeout", "100ms"];
    let said = refused(&world, &late, 3);
    assert!(said.contains("status.state is not complete: it is registered"), "{said}");
    let nowhere = world.scratch().join("nonexistent");
    let nowhere = nowhere.to_str().expect("a path in UTF-8");
    let gone = refused(&world, &["artifacts", "add", "tree", "--dir", nowhere], 4);
    assert!(gone.contains("/nonexistent does not exist on the server"), "{gone}");
    let outside = refused(&world, &["artifacts", "add", "other", "--dir", "/nonexistent"], 1);
    assert!(outside.contains("artifacts.roots"), "{outside}");
}

#[test]
fn an_artifact_is_added_and_a_machine_started_explained_and_watched() {
    let world = World::on_loopback();
    let files = world.scratch().join("debian");
    fs::create_dir_all(&files).unwrap();
    fs::write(files.join("linux"), "kernel").unwrap();
    fs::write(files.join("initrd.gz"), "initrd").unwrap();
    let files = files.to_str().unwrap();
    let added = world.cli(&["artifacts", "add", "debian-12-amd64", "--dir", files]);
    assert_eq!(added, "artifact debian-12-amd64 is ready: 2 files, 12 B\n");
    // Adding it again succeeds as well.
    assert_eq!(world.cli(&["artifacts", "add", "debian-12-amd64", "--dir", files]), added);
    world.cli(&["machines", "create", "name=web1", r#"macs=["52:54:00:aa:00:01"]"#]);
    let check = world.try_cli(&["machines", "start", "web1", "install-debian-12", "--check"]);
    let told = String::from_utf8_lossy(&check.stderr).into_owned();
    assert!(!check.status.success() && told.contains("nobody could log in"), "{told}");
    assert!(told.contains("[no_login]") && told.contains("--accept CODE --reason TEXT"), "{told}");
    world.cli(&["machines", "set", "web1", &format!("params.ssh_keys=[{:?}]", scene::KEY)]);
    let tried = world.cli(&["machines", "start", "web1", "install-debian-12", "--check"]);
    assert!(tried.contains("it would be waiting") && tried.contains("ARMED until "), "{tried}");
    let mut timeline = world.spawn_cli(&["timeline", "web1", "--follow"]);
    timeline.wait_for_line("machine.created", SOON);
    let started = world.cli(&["machines", "start", "web1", "install-debian-12"]);
    assert!(started.starts_with("web1 is waiting: "), "{started}");
    timeline.wait_for_line("machine.armed", SOON);
    let explained = world.cli(&["explain", "mac", "52:54:00:AA:00:01"]);
    assert!(explained.starts_with("verdict: netboot debian-12-install\n"), "{explained}");
    assert!(explained.lines().any(|line| line.starts_with("=>")), "{explained}");
    let as_client =
        |flag: &str, class: &str| world.cli(&["explain", "mac", "52:54:00:AA:00:01", flag, class]);
    let over_http = as_client("--vendor-class", "HTTPClient:Arch:00016");
    assert!(over_http.contains("the loader snponly.efi over HTTP"), "{over_http}");
    let ipxe = as_client("--user-class", "iPXE");
    assert!(ipxe.contains("the loader ipxe.efi by a TFTP URL"), "{ipxe}");
    assert!(world.cli(&["render", "web1", "preseed.cfg"]).contains("netcfg/get_hostname string web1"));
    assert!(world.cli(&["files", "web1", "-o", "name"]).contains("m/…/preseed.cfg\n"));
    assert!(world.cli(&["params", "web1"]).starts_with("NAME "));
    assert!(world.cli(&["machines", "cancel", "web1"]).starts_with("web1 is registered"));
    let said = refused(&world, &["machines", "pause", "web1"], 1);
    assert!(said.contains("Conflict"), "{said}");
    assert!(refused(&world, &["logs", "web1"], 1).contains("has had no job yet"));
    let events = world.cli(&["events", "list", "--subject", "machine:web1", "--kind", "run.*"]);
    assert!(events.contains("run.started") && events.contains("run.cancelled"), "{events}");
}

#[test]
fn a_stream_of_events_goes_on_over_a_restart_of_the_server() {
    let mut world = World::on_loopback();
    // The server starts again at the same address.
    let api = world.ready()["api"].as_str().unwrap().trim_start_matches("https://").to_owned();
    let mut watch = world.spawn_cli(&["events", "watch", "--after", "0"]);
    watch.wait_for_line("token:admin", SOON);
    assert!(world.stop().success());
    world.listen_at(&api);
    world.start();
    world.cli(&["machines", "create", "name=web1"]);
    watch.wait_for_line("machine.created", SOON);
    assert_eq!(watch.text().matches("token:admin").count(), 1, "{}", watch.text());
}

#[test]
fn changes_are_listed_after_a_commit_and_watched_over_a_restart() {
    let mut world = World::on_loopback();
    let api = world.ready()["api"].as_str().unwrap().trim_start_matches("https://").to_owned();
    let before = world.api().get("/profiles").expect(200)["commit"].to_string();
    world.cli(&["profiles", "create", "name=a"]);
    world.cli(&["profiles", "create", "name=b"]);
    world.cli(&["profiles", "delete", "a"]);
    let listed = ["changes", "list", "--after", &before, "--kind", "profile"];
    assert_eq!(world.cli(&[&listed[..], &["-o", "name"]].concat()), "profile:b\nprofile:a\n");
    let table = world.cli(&listed);
    assert!(table.contains("written  profile:b  revision 1\n"), "{table}");
    assert!(table.contains("deleted  profile:a  revision 1\n"), "{table}");
    let mut watch = world.spawn_cli(&["changes", "watch", "--after", &before, "--kind", "profile"]);
    watch.wait_for_line("profile:a", SOON);
    assert!(world.stop().success());
    world.listen_at(&api);
    world.start();
    world.cli(&["profiles", "create", "name=c"]);
    watch.wait_for_line("profile:c", SOON);
    assert_eq!(watch.text().matches("profile:b").count(), 1, "{}", watch.text());
    assert!(refused(&world, &["changes", "list", "--after", "1000000"], 1).contains("which is before"));
    assert!(
        refused(&world, &["changes", "list", "--after", "1", "--kind", "machines"], 2).contains("machine,")
    );
}

#[test]
fn a_certificate_is_pinned_at_first_use_and_another_one_is_refused() {
    let world = World::on_loopback();
    let home = world.scratch().join("config");
    let list = |words: &[&str]| remote(&world, &home).args(words).output().expect("the program runs");
    let first = list(&["machines", "list"]);
    assert!(first.status.success(), "{}", said(&first));
    assert!(said(&first).contains("is trusted from now on"), "{}", said(&first));
    let second = list(&["machines", "list"]);
    assert_eq!((second.status.code(), said(&second).as_str()), (Some(0), ""));
    let known = home.join("metalwright/known_servers");
    let text = fs::read_to_string(&known).unwrap();
    let other = "0".repeat(64);
    let (url, _) = text.split_once(' ').unwrap();
    fs::write(&known, format!("{url} sha256:{other}\n")).unwrap();
    let third = list(&["machines", "list"]);
    assert_eq!(third.status.code(), Some(1));
    assert!(said(&third).contains("is not the one that is trusted"), "{}", said(&third));
    assert!(said(&third).contains(known.to_str().unwrap()), "{}", said(&third));
    assert_eq!(list(&["machines", "list", "--fingerprint", &other]).status.code(), Some(1));
    let endpoint = fs::read_to_string(world.data().join("endpoint.json")).unwrap();
    let endpoint: Value = serde_json::from_str(&endpoint).unwrap();
    let right = list(&["machines", "list", "--fingerprint", endpoint["fingerprint"].as_str().unwrap()]);
    assert!(right.status.success(), "{}", said(&right));
    let wrong = list(&["machines", "list", "--data", "/nonexistent"]);
    assert!(said(&wrong).contains("metalwright serve --data /nonexistent"), "{}", said(&wrong));
}

#[test]
fn a_context_remembers_a_server_by_a_name() {
    let world = World::on_loopback();
    let home = world.scratch().join("config");
    let run = |words: &[&str]| {
        let output = program().env("XDG_CONFIG_HOME", &home).args(words).output().expect("the program runs");
        assert!(output.status.success(), "{words:?}: {}", said(&output));
        String::from_utf8(output.stdout).unwrap()
    };
    run(&["context", "set", "lab", "--data", world.data().to_str().unwrap()]);
    run(&["context", "use", "lab"]);
    assert!(run(&["context", "list"]).contains("*  lab"));
    assert_eq!(run(&["machines", "list", "-o", "name"]), "");
}

#[test]
fn nobody_reading_on_is_no_error_and_standard_input_is_a_file() {
    let world = World::on_loopback();
    let mut create = program();
    create.args(["machines", "create", "-f", "-", "--data"]).arg(world.data());
    let mut child = create.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().expect("the program runs");
    let text = (0..300).map(|n| format!("name: web{n}\n---\n")).collect::<String>();
    child.stdin.take().expect("its input").write_all(text.as_bytes()).expect("it reads");
    assert!(child.wait().expect("its end").success());
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let mut list = program();
    list.args(["machines", "list", "-o", "yaml", "--data"]).arg(world.data()).stdout(writer);
    let output = list.stderr(Stdio::piped()).spawn().expect("the program runs").wait_with_output().unwrap();
    assert_eq!((output.status.code(), said(&output).as_str()), (Some(0), ""));
    let names = world.cli(&["machines", "list", "-o", "name", "--limit", "250"]);
    assert_eq!(names.lines().count(), 250);
}

#[test]
fn an_editor_changes_an_object_and_a_refused_change_is_kept() {
    let world = World::on_loopback();
    world.cli(&["machines", "create", "name=web1", "serial=old"]);
    let edit = |editor: &str| {
        let mut command = program();
        command.env_remove("VISUAL").env("EDITOR", editor).env("TMPDIR", world.scratch());
        command.args(["machines", "edit", "web1", "--data"]).arg(world.data());
        command.output().expect("the program runs")
    };
    let done = edit("sed -i s/old/new/");
    assert!(done.status.success(), "{}", said(&done));
    assert_eq!(world.cli(&["machines", "list", "--fields", "serial"]), "SERIAL\nnew\n");
    assert_eq!(String::from_utf8_lossy(&edit("true").stdout), "nothing changed\n");
    let refused = edit("sed -i s/serial:/seriall:/");
    assert_eq!(refused.status.code(), Some(1));
    assert!(said(&refused).contains("did you mean `serial`?"), "{}", said(&refused));
    assert!(said(&refused).contains("what you wrote is in "), "{}", said(&refused));
    assert_eq!(edit("false").status.code(), Some(1));
}
