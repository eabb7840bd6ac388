//! The agent and the server as two real programs: a run of tasks from its start to its end, with a restart of
//! the server, and the agent's errors when it is refused.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::time::Duration;

use serde_json::{Value, json};

use crate::program::Program;
use crate::world::{World, program};

const WITHIN: Duration = Duration::from_secs(60);

/// A machine with tasks of one script each, and its agent's configuration.
struct Site {
    world: World,
    machine: String,
    config: PathBuf,
}

impl Site {
    fn new(scripts: &[(&str, &str)]) -> Site {
        let world = World::on_loopback();
        let api = world.api();
        for (name, script) in scripts {
            let templates = json!([{"name": "run", "inline": script}]);
            api.post("/tasks", json!({"name": name, "templates": templates})).expect(201);
        }
        let tasks: Vec<&str> = scripts.iter().map(|(name, _)| *name).collect();
        api.post("/stages", json!({"name": "work", "tasks": tasks})).expect(201);
        api.post("/workflows", json!({"name": "work", "stages": ["work"]})).expect(201);
        let machine = api.post("/machines", json!({"name": "web1"})).expect(201);
        let machine = machine["id"].as_str().expect("an id").to_owned();
        let scopes = json!([format!("agent:{machine}")]);
        let token = api.post("/tokens", json!({"name": "agent", "scopes": scopes})).expect(201);
        let config = world.scratch().join("agent.toml");
        let site = Site { world, machine, config };
        site.configure(token["token"].as_str().expect("a token"));
        site
    }

    /// Like [`Site::new`], with its run started.
    fn started(scripts: &[(&str, &str)]) -> Site {
        let site = Site::new(scripts);
        site.start();
        site
    }

    fn start(&self) {
        let path = format!("/machines/{}/actions/start", self.machine);
        self.world.api().post(&path, json!({"workflow": "work"})).expect(200);
    }

    fn configure(&self, token: &str) {
        let endpoint = fs::read_to_string(self.world.data().join("endpoint.json")).expect("the endpoint");
        let endpoint: Value = serde_json::from_str(&endpoint).expect("JSON");
        let text = format!(
            "server = {}\nfingerprint = {}\nmachine = {:?}\ntoken = {token:?}\nstate_dir = {:?}\n",
            self.world.ready()["api"],
            endpoint["fingerprint"],
            self.machine,
            self.world.scratch().join("agent"),
        );
        fs::write(&self.config, text).expect("the agent's configuration");
    }

    fn agent(&self) -> Command {
        let mut command = program();
        command.arg("agent").arg("--config").arg(&self.config).arg("--once");
        command
    }

    fn run_agent(&self) -> Output {
        self.agent().output().expect("the agent runs")
    }

    fn status(&self) -> Value {
        self.world.api().get(&format!("/machines/{}", self.machine)).expect(200)["status"].clone()
    }

    fn log_of(&self, task: &str) -> String {
        let jobs = self.world.api().get(&format!("/jobs?task={task}")).expect(200);
        let id = jobs["items"][0]["id"].as_str().expect("a job").to_owned();
        let log = self.world.api().get(&format!("/jobs/{id}/log")).expect(200);
        log.as_str().expect("text").to_owned()
    }
}

#[test]
fn an_agent_takes_a_machine_through_its_tasks() {
    let site =
        Site::started(&[("first", "echo {{ machine.name }} >&2"), ("second", "echo $METALWRIGHT_TASK")]);
    let output = site.run_agent();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(site.status()["state"], "complete");
    assert_eq!((site.log_of("first").as_str(), site.log_of("second").as_str()), ("web1\n", "second\n"));
    let timeline = site.world.api().get(&format!("/machines/{}/timeline", site.machine)).expect(200);
    let items = timeline["items"].as_array().expect("events");
    let finished = items.iter().filter(|event| event["kind"] == "job.finished");
    assert_eq!(finished.map(|event| event["data"]["task"].clone()).collect::<Vec<_>>(), ["first", "second"]);
}

#[test]
fn a_failed_task_stops_the_run_there_and_retry_goes_on() {
    let site = Site::new(&[("picky", "test -e {{ param(name='file') }}"), ("last", "true")]);
    let file = site.world.scratch().join("there");
    let params = json!({"params": {"file": file}});
    site.world.api().post("/params", json!({"name": "file"})).expect(201);
    site.world.api().patch(&format!("/machines/{}", site.machine), params).expect(200);
    site.start();
    assert!(site.run_agent().status.success());
    let status = site.status();
    assert_eq!((&status["state"], &status["cursor"]), (&json!("failed"), &json!(1)));
    assert_eq!(status["reason"], "task `picky` failed: exit code 1");
    fs::write(file, "").expect("a file");
    site.world.api().post(&format!("/machines/{}/actions/retry", site.machine), json!({})).expect(200);
    assert!(site.run_agent().status.success());
    assert_eq!(site.status()["state"], "complete");
}

#[test]
fn a_job_goes_on_while_the_server_is_killed_and_started_again() {
    let mut site = Site::new(&[("long", "echo begun; cat {{ param(name='pipe') }}; echo ended")]);
    let pipe = site.world.scratch().join("pipe");
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).expect("a pipe");
    let port = site.world.ready()["api"].as_str().expect("an address").rsplit(':').next().map(str::to_owned);
    let listen = format!("127.0.0.1:{}", port.expect("a port"));
    site.world.api().post("/params", json!({"name": "pipe"})).expect(201);
    let params = json!({"params": {"pipe": pipe}});
    site.world.api().patch(&format!("/machines/{}", site.machine), params).expect(200);
    site.start();
    let mut agent = Program::spawn("metalwright agent", site.agent());
    // The script opens the pipe for reading; opening it for writing waits for that.
    let mut script = fs::File::options().write(true).open(&pipe).expect("the script reads");
    site.world.kill();
    std::io::Write::write_all(&mut script, b"between\n").expect("the script reads");
    drop(script);
    site.world.listen(&["--api-listen", &listen, "--boot-http", "off", "--tftp-listen", "off"]);
    site.world.start();
    assert!(agent.wait_for_end(WITHIN).success());
    assert_eq!(site.status()["state"], "complete");
    assert_eq!(site.log_of("long"), "begun\nbetween\nended\n");
}

#[test]
fn an_agent_with_a_token_of_another_machine_is_told_so() {
    let site = Site::started(&[("never", "true")]);
    let web2 = site.world.api().post("/machines", json!({"name": "web2"})).expect(201);
    let scopes = json!([format!("agent:{}", web2["id"].as_str().expect("an id"))]);
    let other = site.world.api().post("/tokens", json!({"name": "other", "scopes": scopes})).expect(201);
    site.configure(other["token"].as_str().expect("a token"));
    let output = site.run_agent();
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("there is no machine"), "{said}");
    assert_eq!(site.status()["state"], "waiting");
}
