//! The server as a process of the host: signals, log, keys, and the recovery by root.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::json;

use crate::api::Api;
use crate::world::{PROGRAM, World, program};

const SOON: Duration = Duration::from_secs(60);

#[test]
fn a_signal_that_means_nothing_here_ends_nobody() {
    let mut world = World::on_loopback();
    let signals = [
        Signal::SIGHUP,
        Signal::SIGUSR1,
        Signal::SIGUSR2,
        Signal::SIGALRM,
        Signal::SIGPIPE,
        Signal::SIGVTALRM,
        Signal::SIGPROF,
        Signal::SIGIO,
        Signal::SIGPWR,
        Signal::SIGXCPU,
        Signal::SIGXFSZ,
    ];
    for signal in signals {
        world.signal(signal);
        world.api().get("/machines").expect(200);
    }
    // It ends normally on request, and the earlier signals are in its log.
    assert!(world.stop().success());
    for name in ["SIGHUP", "SIGUSR1", "SIGXFSZ"] {
        assert!(world.log().contains(name), "{name}");
    }
}

#[test]
fn a_log_level_that_there_is_not_is_refused_at_the_start() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    let config = folder.path().join("metalwright.toml");
    fs::write(&config, "[log]\nlevel = \"verbos\"\n").expect("a file");
    let serve = || {
        let mut command = program();
        command.arg("serve").arg("--data").arg(&data);
        command
    };
    let mut by_flag = serve();
    by_flag.args(["--log-level", "verbos"]);
    let mut by_environment = serve();
    by_environment.env("METALWRIGHT_LOG", "info,metalwright::dhpc=debug");
    let mut by_file = serve();
    by_file.arg("--config").arg(&config);
    for mut command in [by_flag, by_environment, by_file] {
        let output = command.output().expect("the program");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && said.contains("log.level: there is no "), "{said}");
        assert!(
            said.contains("off, error, warn, info, debug, trace") || said.contains("`metalwright::dhcp`"),
            "{said}"
        );
    }
    assert!(!data.exists());
}

#[test]
fn what_prevents_a_start_is_json_where_the_log_is() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = folder.path().join("metalwright.toml");
    fs::write(&config, "[log]\nformat = \"json\"\n[api]\nlisten = \"here\"\n").expect("a file");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let taken = taken.local_addr().expect("its address").to_string();
    let data = folder.path().join("data");
    let serve = || {
        let mut command = program();
        command.arg("serve").arg("--data").arg(&data);
        command
    };
    let mut by_file = serve();
    by_file.arg("--config").arg(&config);
    let mut by_flag = serve();
    by_flag.args(["--log-format", "json", "--log-level", "verbos"]);
    let mut later = serve();
    later.args([
        "--log-format",
        "json",
        "--api-listen",
        &taken,
        "--boot-http",
        "off",
        "--tftp-listen",
        "off",
    ]);
    for (mut command, why) in [(by_file, "api.listen"), (by_flag, "log.level"), (later, "is in use")] {
        let output = command.output().expect("the program");
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{said}");
        let lines: Vec<serde_json::Value> =
            said.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
        let last = lines.last().expect("a line");
        assert!(last["level"] == "ERROR" && last["fields"]["message"].to_string().contains(why), "{said}");
    }
}

#[test]
fn a_server_that_may_open_too_few_files_does_not_start_and_says_so() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -n 40; exec \"$0\" serve --data \"$1\" --api-listen 127.0.0.1:0", PROGRAM]);
    let output = command.arg(folder.path().join("data")).output().expect("a shell");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains("40 open files are allowed"), "{said}");
    assert!(output.stdout.is_empty(), "it is not ready");
}

#[test]
fn the_first_token_is_in_its_file_and_not_in_the_log() {
    let world = World::on_loopback();
    let file = world.data().join("admin.token");
    let token = fs::read_to_string(&file).expect("a token");
    let log = world.log();
    assert!(!log.contains(token.trim()) && !log.contains("mw_"), "{log}");
    assert!(log.contains("admin.token"), "{log}");
    let mode = fs::metadata(&file).expect("a file").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn root_gets_back_in_when_every_token_is_lost() {
    let mut world = World::on_loopback();
    let data = world.data();
    world.api().delete("/tokens/admin").expect(409);
    fs::remove_file(data.join("admin.token")).expect("a file");
    let running = world.try_cli(&["tokens", "recover"]);
    let said = String::from_utf8_lossy(&running.stderr).into_owned();
    assert!(!running.status.success() && said.contains("stop it"), "{said}");

    assert!(world.stop().success());
    let recovered = world.try_cli(&["tokens", "recover"]);
    let said = String::from_utf8_lossy(&recovered.stderr).into_owned();
    assert!(recovered.status.success() && said.contains("admin.token"), "{said}");
    let token = String::from_utf8(recovered.stdout).expect("text");
    assert!(!said.contains(token.trim()) && token.starts_with("mw_"), "{said}");
    assert_eq!(fs::read_to_string(data.join("admin.token")).expect("a file"), token);
    let mode = fs::metadata(data.join("admin.token")).expect("a file").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);

    world.start();
    let api = Api::new(world.ready()["api"].as_str().expect("an address"), token.trim());
    let mut events = api.events_after(0);
    events.wait_for(SOON, |event| event["kind"] == "token.recovered" && event["actor"] == "server");
    // The old token can be deleted now.
    api.delete("/tokens/admin").expect(204);
    let missing =
        program().args(["tokens", "recover", "--data", "/nonexistent"]).output().expect("the program");
    assert!(String::from_utf8_lossy(&missing.stderr).contains("no metalwright.db"), "{missing:?}");
}

#[test]
fn a_key_that_is_missing_beside_sealed_values_is_no_start() {
    let mut world = World::on_loopback();
    let key = world.data().join("secret.key");
    // Without a sealed value a new key does no harm.
    assert!(world.stop().success());
    fs::remove_file(&key).expect("the key");
    world.start();
    let api = world.api();
    api.post("/params", json!({"name": "canary", "secret": true, "schema": {"type": "string"}})).expect(201);
    api.post("/profiles", json!({"name": "site", "params": {"canary": "x"}})).expect(201);
    assert!(world.stop().success());
    let kept = fs::read(&key).expect("the key");
    fs::remove_file(&key).expect("the key");
    let said = world.refused_start();
    assert!(said.contains("secret.key is missing, and 1 secret values"), "{said}");
    assert!(said.contains("backup.md"), "{said}");
    assert!(!key.exists(), "no key was made");

    // Another key is accepted, and reported as another.
    fs::write(&key, [7; 32]).expect("a key");
    world.start();
    assert!(world.log().contains("do not open with secret.key"), "{}", world.log());
    assert!(world.stop().success());
    fs::write(&key, kept).expect("the key");
    world.start();
}
