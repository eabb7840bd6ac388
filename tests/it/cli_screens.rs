//! What people see of the command line: names, one zone of time, tables of the terminal's width, help and
//! completions; and the slips that are refused.

use std::process::{Command, Output};
use std::time::Duration;

use serde_json::{Value, json};

use crate::scene;
use crate::world::{World, program};

const SOON: Duration = Duration::from_secs(30);
const COLUMNS: usize = 80;

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Runs a command that must end with this exit code; returns its stderr.
fn refused(world: &World, words: &[&str], code: i32) -> String {
    let output = world.try_cli(words);
    assert_eq!(output.status.code(), Some(code), "{words:?}: {}", said(&output));
    said(&output)
}

/// A machine whose run has begun, and one that has none.
fn two_machines(world: &World) -> String {
    let api = world.api();
    let macs = json!(["52:54:00:aa:00:01"]);
    let made =
        api.post("/machines", json!({"name": "web1", "macs": macs, "labels": {"rack": "r1"}})).expect(201);
    api.post("/machines", json!({"name": "web2"})).expect(201);
    api.post("/tasks", json!({"name": "wait", "templates": [{"name": "run", "inline": "true"}]})).expect(201);
    api.post("/stages", json!({"name": "waiting", "tasks": ["wait"]})).expect(201);
    api.post("/workflows", json!({"name": "look", "stages": ["waiting"]})).expect(201);
    api.post("/machines/name:web1/actions/start", json!({"workflow": "look"})).expect(200);
    made["id"].as_str().expect("its id").to_owned()
}

/// What a command prints on a terminal of 80 columns.
fn on_a_terminal(world: &World, words: &str) -> String {
    let program = program().get_program().to_string_lossy().into_owned();
    let line = format!("stty cols {COLUMNS} rows 24; {program} {words} --data {}", world.data().display());
    let output = Command::new("script").args(["-qec", &line, "/dev/null"]).env("NO_COLOR", "1").output();
    String::from_utf8_lossy(&output.expect("script runs").stdout).replace('\r', "")
}

#[test]
fn tables_events_and_filters_have_names_of_machines_and_no_ids() {
    let world = World::on_loopback();
    let id = two_machines(&world);
    for words in [
        &["machines", "list"][..],
        &["runs", "list"],
        &["events", "list"],
        &["events", "list", "-o", "wide"],
        &["runs", "list", "--filter", "machine=web1"],
        &["events", "list", "--machine", "web1", "--kind", "run.*"],
        &["timeline", "web1"],
    ] {
        let shown = world.cli(words);
        assert!(shown.contains("web1") || words[0] == "timeline", "{words:?}: {shown}");
        assert!(!shown.contains(&id), "{words:?}: {shown}");
    }
    assert!(world.cli(&["machines", "list", "-o", "wide"]).contains(&id), "the wide table has it");
    let changes = world.cli(&["changes", "list", "--after", "1", "--kind", "machine"]);
    assert!(changes.contains("machine:web1") && !changes.contains(&id), "{changes}");
    let labels = world.cli(&["machines", "list", "--fields", "name,label.rack", "--sort", "name"]);
    assert_eq!(labels, "NAME  LABEL.RACK\nweb1  r1\nweb2\n");
    for list in ["runs", "jobs", "leases"] {
        let slip = refused(&world, &[list, "list", "--filter", "machine=wbe1"], 1);
        assert!(slip.contains("there is no machine `wbe1`; did you mean `web1`?"), "{list}: {slip}");
    }
    let slip = refused(&world, &["events", "list", "--machine", "wbe1"], 1);
    assert!(slip.contains("did you mean `web1`?"), "{slip}");
}

#[test]
fn slips_in_fields_values_and_times_are_refused_at_once_with_the_nearest() {
    let world = World::on_loopback();
    two_machines(&world);
    for (words, why) in [
        (&["machines", "wait", "web1", "--for", "state=complete"][..], "did you mean `status.state`?"),
        (&["machines", "wait", "web1", "--for", "status.state=completed"], "did you mean `complete`?"),
        (&["machines", "list", "--filter", "status.state=completed"], "did you mean `complete`?"),
        (&["machines", "list", "--fields", "nmae"], "did you mean `name`?"),
        (&["machines", "list", "--filter", "updated_at[gt]=yesterday"], "write it like -1h"),
        (&["events", "list", "--since", "yesterday"], "write it like -1h"),
        (&["settings", "set", "unknown_machin=local"], "did you mean `unknown_machine`?"),
    ] {
        let slip = refused(&world, words, 1);
        assert!(slip.contains(why), "{words:?}: {slip}");
    }
    let recent = world.cli(&["machines", "list", "--filter", "updated_at[gt]=-1h", "-o", "name"]);
    assert_eq!(recent.lines().count(), 2, "{recent}");
    assert_eq!(world.cli(&["machines", "list", "--filter", "updated_at[lt]=-1h", "-o", "name"]), "");
    assert!(world.cli(&["events", "list", "--since", "-1h"]).contains("machine.created"));
    assert!(!world.cli(&["events", "list", "--since", "+1d"]).contains("machine.created"));
}

#[test]
fn a_list_a_time_and_a_context_are_written_as_people_write_them() {
    let world = World::on_loopback();
    two_machines(&world);
    let slip = refused(&world, &["machines", "set", "web1", "macs=52:54:00:aa:00:09"], 1);
    assert!(slip.contains("a list is written as JSON: macs="), "{slip}");
    world.cli(&["tokens", "create", "name=ci", r#"scopes=["machines:read"]"#, "expires_at=+30d"]);
    assert!(world.cli(&["tokens", "list"]).contains("in 29d"), "{}", world.cli(&["tokens", "list"]));
    let home = world.scratch().join("config");
    let context = |words: &[&str]| {
        let output = program().env("XDG_CONFIG_HOME", &home).arg("context").args(words).output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned(), said(&output))
    };
    let (code, _, why) = context(&["set", "lab", "--server", "boot.example.org:8443"]);
    assert!(code == Some(2) && why.contains("https://HOST:PORT"), "{why}");
    let (_, shown, _) = context(&["set", "lab", "--server", "https://boot.example.org:8443"]);
    assert!(shown.contains("*  lab   https://boot.example.org:8443"), "{shown}");
    let (code, shown, _) = context(&["delete", "lab"]);
    assert!(code == Some(0) && !shown.contains("lab"), "{shown}");
}

#[test]
fn a_wait_tells_time_out_and_failure_apart_by_its_exit_code() {
    let world = World::on_loopback();
    two_machines(&world);
    let late = ["machines", "wait", "web2", "--for", "status.state=complete", "--timeout", "100ms"];
    assert!(refused(&world, &late, 3).contains("machine web2: the time is up"));
    world.cli(&["machines", "pause", "web1"]);
    let stuck = ["machines", "wait", "web1", "--for", "status.state=complete"];
    assert!(refused(&world, &stuck, 4).contains("machine web1: it is held"));
    world.cli(&["machines", "wait", "web1", "--for", "status.state=held"]);
}

#[test]
fn what_was_written_with_problems_is_told_with_its_name_and_fails_an_apply() {
    let world = World::on_loopback();
    let output = world.try_cli(&["machines", "create", "name=web1", "params.rak=a1"]);
    assert_eq!(output.status.code(), Some(0));
    assert!(
        said(&output).contains("machine web1: /params/rak: there is no param `rak`"),
        "{}",
        said(&output)
    );
    let file = world.scratch().join("site.yaml");
    let site = "{noun: stage, name: motd-stage}\n---\n{noun: workflow, name: w, stages: [motd-stag]}\n";
    std::fs::write(&file, site).unwrap();
    let file = file.to_str().unwrap();
    let output = world.try_cli(&["apply", "-f", file]);
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    let told = "workflow w: /stages/0: there is no stage `motd-stag`; did you mean `motd-stage`?";
    assert!(said(&output).contains(told), "{}", said(&output));
    assert!(
        said(&output).contains("1 object was written and names what does not exist"),
        "{}",
        said(&output)
    );
    // It is told again as long as it is so.
    assert!(refused(&world, &["apply", "-f", file], 1).contains(told));
    std::fs::write(file, site.replace("motd-stag]", "motd-stage]")).unwrap();
    let whole = world.try_cli(&["apply", "-f", file]);
    assert_eq!((whole.status.code(), said(&whole).as_str()), (Some(0), ""));
}

#[test]
fn the_tokens_of_agents_are_shown_when_they_are_asked_for() {
    let world = World::on_loopback();
    two_machines(&world);
    world.cli(&["agents", "reissue", "web1"]);
    let output = world.try_cli(&["tokens", "list"]);
    let shown = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(shown.contains("admin") && !shown.contains("agent"), "{shown}");
    assert!(said(&output).contains("and 1 of agents: --all shows them"), "{}", said(&output));
    let all = world.cli(&["tokens", "list", "--all"]);
    assert!(all.contains("agent:web1"), "{all}");
    let asked = world.cli(&["tokens", "list", "--filter", "scopes=agent:*", "-o", "name"]);
    assert_eq!(asked.lines().count(), 1, "a filter hides nothing: {asked}");
}

#[test]
fn the_states_of_all_machines_are_watched_by_name() {
    let world = World::on_loopback();
    let id = two_machines(&world);
    let mut watch = world.spawn_cli(&["machines", "watch"]);
    watch.wait_for_line("web2", SOON);
    world.cli(&["machines", "pause", "web1", "--reason", "the fan is replaced"]);
    watch.wait_for_line("held", SOON);
    world.cli(&["machines", "cancel", "web1"]);
    world.cli(&["machines", "delete", "web2"]);
    watch.wait_for_line("deleted", SOON);
    let text = watch.text();
    assert!(text.starts_with("UTC       NAME      STATE"), "{text}");
    assert!(text.lines().any(|line| line.contains("web1") && line.contains("registered")), "{text}");
    assert!(!text.contains(&id), "{text}");
    let mut events = world.spawn_cli(&["machines", "watch", "web1", "--events"]);
    events.wait_for_line("UTC ", SOON);
    world.cli(&["machines", "set", "web1", "serial=X1"]);
    events.wait_for_line("machine.updated", SOON);
}

#[test]
fn a_page_describes_a_machine() {
    let world = World::on_loopback();
    two_machines(&world);
    let page = world.cli(&["machines", "describe", "52:54:00:aa:00:01"]);
    for part in [
        "Machine    web1\n",
        "State      waiting: ",
        "Run        look, began ",
        "Step       2 of 2: waiting (task wait)\n",
        "Armed      no: ",
        "Next boot  local disk",
        "MACs       52:54:00:aa:00:01\n",
        "Labels     rack=r1\n",
        "\nLast events\n",
        "run.started ",
        "\nWhat to do\n  watch it                  metalwright timeline web1 --follow",
    ] {
        assert!(page.contains(part), "{part} in\n{page}");
    }
}

#[test]
fn on_a_terminal_of_80_columns_no_line_is_longer() {
    let world = World::on_loopback();
    let api = world.api();
    two_machines(&world);
    let key = json!([scene::KEY]);
    let body =
        json!({"name": "rack12-node-003.example.org", "params": {"ssh_keys": key}, "workflow": "look"});
    api.post("/machines", body).expect(201);
    let path = "/machines/name:rack12-node-003.example.org/actions";
    api.post(&format!("{path}/start"), json!({})).expect(200);
    let reason = "the fan of the second power supply is replaced by the people of the data centre on Tuesday";
    api.post(&format!("{path}/pause"), json!({"reason": reason})).expect(200);
    for words in [
        "machines list",
        "machines list --fields name,status.reason,created_at",
        "runs list",
        "events list",
        "timeline rack12-node-003.example.org",
        "workflows list",
        "params list",
        "bootenvs list",
        "tokens list",
        "settings list",
        "server background",
    ] {
        let screen = on_a_terminal(&world, words);
        assert!(screen.lines().count() > 1, "{words}: {screen}");
        for line in screen.lines() {
            assert!(line.chars().count() <= COLUMNS, "{words}: {line}\n{screen}");
        }
    }
    let table = on_a_terminal(&world, "machines list");
    assert_eq!(table.lines().count(), 4, "one line a machine: {table}");
    assert!(table.contains("rack12-node-003.example.org  held"), "{table}");
    assert!(on_a_terminal(&world, "machines list -o wide").contains(reason));
}

#[test]
fn completions_ask_the_server_for_names() {
    let world = World::on_loopback();
    two_machines(&world);
    let script = String::from_utf8(program().args(["completions", "bash"]).output().unwrap().stdout).unwrap();
    assert!(script.contains("METALWRIGHT_COMPLETE") && script.len() < 4000, "{script}");
    let complete = |words: &[&str]| {
        let mut command = program();
        command.env("METALWRIGHT_COMPLETE", "bash").env("METALWRIGHT_DATA", world.data());
        command.env("_CLAP_COMPLETE_INDEX", (words.len() - 1).to_string()).env("_CLAP_IFS", "\n");
        let output = command.arg("--").args(words).output().expect("the program runs");
        String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(complete(&["metalwright", "machines", "start", "we"]), ["web1", "web2"]);
    assert_eq!(complete(&["metalwright", "machines", "start", "web1", "loo"]), ["look"]);
    assert_eq!(complete(&["metalwright", "timeline", "web2"]), ["web2"]);
    assert!(complete(&["metalwright", "mach"]).contains(&"machines".to_owned()));
    let fields = complete(&["metalwright", "machines", "list", "--sort", "status.sta"]);
    assert_eq!(fields, ["status.stage", "status.state"]);
    // Nobody waits for a server that is not there.
    let mut command = program();
    command.env("METALWRIGHT_COMPLETE", "bash").env("METALWRIGHT_DATA", "/nonexistent");
    command.env("_CLAP_COMPLETE_INDEX", "3");
    let output = command.args(["--", "metalwright", "machines", "show", "w"]).output().unwrap();
    assert_eq!((output.status.code(), said(&output).as_str()), (Some(0), ""));
}

#[test]
fn the_commands_without_a_server_have_examples_too() {
    for command in ["serve", "agent", "simulate", "openapi", "boot-certificate", "completions"] {
        let help = program().args([command, "--help"]).output().expect("the program runs");
        let help = String::from_utf8_lossy(&help.stdout).into_owned();
        assert!(help.contains("Examples:\n  ") && help.contains(&format!("metalwright {command}")), "{help}");
    }
}

#[test]
fn programs_get_the_form_of_the_api() {
    let world = World::on_loopback();
    let id = two_machines(&world);
    let runs: Value = serde_json::from_str(&world.cli(&["runs", "list", "-o", "json"])).unwrap();
    assert_eq!(runs[0]["machine"], json!(id), "ids stay in JSON: {runs}");
}
