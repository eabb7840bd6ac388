//! A small site, and a runner for stories of events.

mod evidence;
mod expansion;
mod live_systems;
mod operators;
mod stories;

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use uuid::Uuid;

use super::step::{AgentAnswer, answer};
use super::{Flow, OperatorNote, Position, RunStart, expand};
use crate::model::{
    BootProgress, Bootenv, ContentView, Environment, EventBody, Job, JobState, Machine, MachineStatus, Noun,
    Run, RunStep, Stage, StopBefore, Stored, Task, Template, Workflow, World, ended_by_exit, parse_input,
};

const ADMIN: OperatorNote<'_> = OperatorNote { by: "token:admin", reason: "no time" };

pub fn put<T: Noun>(world: &mut World, body: Value) {
    let spec = parse_input::<T>(body).unwrap().spec;
    let key = spec.key().unwrap_or_else(|| "m".to_owned());
    world.put(T::object(Arc::new(Stored::new(key, spec, Timestamp::UNIX_EPOCH))));
}

/// A workflow that installs and then finishes from the disk; a live one; one with tasks that fail.
pub fn site() -> World {
    let mut world = World::default();
    let arches = json!({"amd64": {"artifact": "a", "kernel": "k"}});
    for (name, kind, destructive) in
        [("debian", "install", true), ("live", "live", false), ("wipe", "live", true)]
    {
        let body = json!({"name": name, "kind": kind, "destructive": destructive, "arches": arches});
        put::<Bootenv>(&mut world, body);
    }
    put::<Bootenv>(&mut world, json!({"name": "local", "kind": "local"}));
    put::<Template>(&mut world, json!({"name": "inner.sh", "body": "echo inner"}));
    put::<Template>(&mut world, json!({"name": "outer.sh", "body": "{% include \"inner.sh\" %}"}));
    let script = json!([{"name": "run", "template": "outer.sh"}]);
    put::<Task>(&mut world, json!({"name": "base", "templates": script}));
    put::<Task>(&mut world, json!({"name": "report", "prerequisites": ["base"]}));
    put::<Task>(&mut world, json!({"name": "users", "prerequisites": ["base"]}));
    put::<Task>(&mut world, json!({"name": "tell"}));
    put::<Task>(&mut world, json!({"name": "firmware", "survives_reboot": true}));
    put::<Task>(&mut world, json!({"name": "flaky", "retries": 2, "on_failure": ["tell"]}));
    for stage in [
        json!({"name": "install", "bootenv": "debian", "timeout_seconds": 1800}),
        json!({"name": "post-install", "tasks": ["users"]}),
        json!({"name": "finish", "bootenv": "local", "tasks": ["report"]}),
        json!({"name": "last", "bootenv": "local"}),
        json!({"name": "look", "bootenv": "live", "tasks": ["report", "users"]}),
        json!({"name": "erase", "bootenv": "wipe"}),
        json!({"name": "try", "tasks": ["flaky"]}),
        json!({"name": "prepare", "bootenv": "live", "tasks": ["base", "firmware", "tell"]}),
        json!({"name": "image", "bootenv": "wipe", "tasks": ["firmware", "tell"]}),
    ] {
        put::<Stage>(&mut world, stage);
    }
    for (name, stages) in [
        ("deploy", vec!["install", "last"]),
        ("full", vec!["install", "finish"]),
        ("inside", vec!["install", "post-install", "last"]),
        ("look", vec!["look", "last"]),
        ("erase", vec!["erase", "last"]),
        ("try", vec!["try"]),
        ("prepare", vec!["prepare", "last"]),
        ("image", vec!["image", "last"]),
        ("both", vec!["prepare", "install", "last"]),
    ] {
        put::<Workflow>(&mut world, json!({"name": name, "stages": stages}));
    }
    put::<Machine>(&mut world, json!({"name": "web1"}));
    world
}

/// One machine, to which events happen.
pub struct Story {
    pub world: World,
    pub status: MachineStatus,
    pub run: Option<Run>,
    pub now: Timestamp,
    pub events: Vec<EventBody>,
    job: Option<(Uuid, Job)>,
    /// The last attempt that fetched the kernel of an installer.
    installer: Option<Uuid>,
    ids: u128,
}

impl Story {
    pub fn of(workflow: &str) -> Self {
        let mut story = Story {
            world: site(),
            status: MachineStatus::default(),
            run: None,
            now: Timestamp::UNIX_EPOCH,
            events: Vec::new(),
            job: None,
            installer: None,
            ids: 0,
        };
        story.start(workflow, false);
        story
    }

    pub fn rehearsal(workflow: &str) -> Self {
        let mut story = Story::of(workflow);
        story.start(workflow, true);
        story
    }

    fn start(&mut self, workflow: &str, rehearse: bool) {
        self.begin(workflow, (rehearse, None, None));
    }

    fn begin(&mut self, workflow: &str, how: (bool, Option<u32>, Option<StopBefore>)) {
        let (rehearse, from_step, stop_before) = how;
        let steps = expand(workflow, &self.world, &|| false).unwrap();
        let body = json!({
            "machine": Uuid::nil(), "machine_name": "web1", "workflow": workflow, "rehearse": rehearse,
            "started_at": self.now, "steps": steps,
        });
        self.run = Some(serde_json::from_value(body).unwrap());
        let beginning = RunStart { id: self.id(), from_step, stop_before };
        self.flow(|flow| flow.start(beginning));
    }

    pub fn steps(&self) -> &[RunStep] {
        self.run.as_ref().map_or(&[], |run| &run.steps)
    }

    /// Begins the run again, from a step on, and with a pause before `stop` if one is given.
    fn restart(&mut self, from: &str, stop: Option<u32>) {
        let run = self.status.run.clone().unwrap();
        let stop_before = stop.map(|step| StopBefore { step, reason: String::new() });
        self.begin(&run.workflow, (run.rehearse, from.parse().ok(), stop_before));
    }

    fn id(&mut self) -> Uuid {
        self.ids += 1;
        Uuid::from_u128(self.ids)
    }

    pub fn flow(&mut self, change: impl FnOnce(&mut Flow<'_>)) {
        let mut flow = Flow::new((&mut self.status, self.run.as_mut()), &self.world, self.now);
        change(&mut flow);
        let events = flow.finish();
        self.events.extend(events);
    }

    /// `state step bootenv expected`, such as `waiting 1 debian boot.kernel_fetched`.
    pub fn summary(&self) -> String {
        let state = serde_json::to_value(self.status.state).unwrap();
        let bootenv = self.status.bootenv.as_deref().unwrap_or("-");
        let expected = self.status.waiting.as_ref().map_or("-", |waiting| waiting.expected.as_str());
        format!("{} {} {bootenv} {expected}", state.as_str().unwrap(), self.status.cursor)
    }

    /// The answer to an agent that asks for work; a job is accepted.
    pub fn ask(&mut self, environment: Environment, boot: &str) -> String {
        self.ask_with(environment, boot, None)
    }

    fn ask_with(&mut self, environment: Environment, boot: &str, attempt: Option<Uuid>) -> String {
        self.flow(|flow| flow.agent_seen(environment, boot, attempt));
        let content = ContentView::from(&self.world);
        let steps = self.run.as_ref().map_or(&[][..], |run| &run.steps);
        match answer(Position { status: &self.status, steps, content }, self.now) {
            AgentAnswer::Run { task } => {
                let (id, job) = (self.id(), self.new_job(&task));
                self.flow(|flow| flow.job_created(id, &job));
                self.job = Some((id, job));
                format!("run {task}")
            }
            AgentAnswer::Reboot { reason } => {
                self.flow(|flow| flow.record_reboot_request(&reason));
                "reboot".to_owned()
            }
            AgentAnswer::Hold { reason } => {
                self.flow(|flow| flow.held_for(reason));
                "hold".to_owned()
            }
            AgentAnswer::Wait { .. } => "wait".to_owned(),
        }
    }

    fn new_job(&self, task: &str) -> Job {
        Job {
            machine: Uuid::nil(),
            run: self.status.run.as_ref().unwrap().id,
            step: self.status.cursor,
            stage: String::new(),
            task: task.to_owned(),
            state: JobState::Created,
            exit: None,
            after: None,
            reason: String::new(),
            attempt: self.status.tries.jobs + 1,
            started_at: None,
            ended_at: None,
            deadline: self.now + SignedDuration::from_secs(60),
            log_bytes: 0,
            log_pruned_at: None,
            digest: String::new(),
        }
    }

    /// The boot decision in short: the bootenv, if it destroys nothing or the machine is armed.
    pub fn boots(&self) -> Option<String> {
        let name = self.status.bootenv.as_ref()?;
        let destructive = self.world.bootenvs.get(name).is_some_and(|bootenv| bootenv.spec.is_destructive());
        let armed = self.status.armed_until.is_some_and(|until| until > self.now);
        (armed || !destructive).then(|| name.clone())
    }

    fn exit(&mut self, exit: i32) {
        let (id, mut job) = self.job.take().unwrap();
        let ended = ended_by_exit(exit);
        (job.state, job.after, job.exit) = (ended.state, ended.after, Some(exit));
        self.flow(|flow| flow.after_job(id, &job));
    }

    /// Makes one event happen, by its name; for an agent, returns the answer.
    pub fn happen(&mut self, event: &str) -> Option<String> {
        let (what, argument) = event.split_once(' ').unwrap_or((event, ""));
        match what {
            "power" => {
                let id = self.id();
                self.flow(|flow| flow.powered_on_again());
                let bootenv = self.boots();
                self.flow(|flow| flow.attempt_started(id, bootenv));
            }
            "named" => {
                let id = self.id();
                self.flow(|flow| flow.doubt_live_system());
                let bootenv = self.boots();
                self.flow(|flow| flow.attempt_started(id, bootenv));
            }
            "report" => self.flow(|flow| flow.live_system_heard()),
            "silence" => self.flow(|flow| flow.live_system_silent()),
            "loader" => self.flow(|flow| flow.attempt_progress(BootProgress::Loader)),
            "kernel" => {
                let attempt = self.status.boot_attempt.as_ref();
                let installer = attempt.filter(|attempt| attempt.bootenv.as_deref() == Some("debian"));
                self.installer = installer.map(|attempt| attempt.id).or(self.installer);
                self.flow(|flow| flow.kernel_fetched());
            }
            "system" => self.flow(|flow| flow.system_seen()),
            "done" => self.flow(|flow| flow.callback_done()),
            "late-done" => {
                let attempt = self.installer.unwrap();
                self.flow(|flow| flow.reported_done(attempt));
            }
            "late-failed" => {
                let attempt = self.installer.unwrap();
                self.flow(|flow| flow.reported_failed(attempt, "no disk"));
            }
            "failed" => self.flow(|flow| flow.callback_failed("no disk")),
            "pause" => self.flow(|flow| flow.pause(OperatorNote { reason: argument, ..ADMIN })),
            "stop" => {
                let stop = StopBefore { step: argument.parse().unwrap(), reason: "look first".to_owned() };
                self.flow(|flow| flow.stop_before(stop, ADMIN.by));
            }
            "skip" if argument.is_empty() => self.flow(|flow| flow.skip(ADMIN)),
            "skip" => self.flow(|flow| flow.skip_later(argument.parse().unwrap(), ADMIN)),
            "mark-done" => self.flow(|flow| flow.mark_done(ADMIN)),
            "restart" => self.restart(argument, None),
            "restart-until" => self.restart("", argument.parse().ok()),
            "resume" => self.flow(|flow| flow.resume()),
            "retry" => self.flow(|flow| flow.retry()),
            "arm" => self.flow(|flow| flow.arm()),
            "disarm" => self.flow(|flow| flow.withdraw_arming("disarmed by token:admin")),
            "cancel" => self.flow(|flow| flow.cancel("token:admin")),
            "exit" => self.exit(argument.parse().unwrap()),
            "wait" => {
                self.now += SignedDuration::from_secs(argument.parse().unwrap());
                self.flow(|flow| flow.expire());
            }
            "live" => return Some(self.ask(Environment::Live, argument)),
            "installer" => return Some(self.ask(Environment::Installer, argument)),
            "installed" => return Some(self.ask(Environment::Installed, argument)),
            // The agent that the last installer put on the disk.
            "its-agent" => {
                let attempt = self.installer;
                return Some(self.ask_with(Environment::Installed, argument, attempt));
            }
            other => panic!("no event {other}"),
        }
        None
    }

    /// Runs a table of `event => summary`, or for agents `event => answer; summary`.
    #[track_caller]
    pub fn tells(mut self, table: &str) -> Self {
        for line in table.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let (event, expected) = line.split_once("=>").unwrap();
            let told = self.happen(event.trim());
            let summary = told.into_iter().chain([self.summary()]).collect::<Vec<_>>().join("; ");
            assert_eq!(summary, expected.trim(), "after `{}`: {:#?}", event.trim(), self.status);
        }
        self
    }
}
