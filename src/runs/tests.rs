//! Tests of actions, jobs and deadlines on a real store, as the API and the server's loop use them.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::houses::{Houses, testing};
use crate::kernel::{Actor, Caller, Changeset, Error, EventQuery};
use crate::model::{
    AgentReport, Artifact, ArtifactState, ArtifactStatus, Bootenv, Environment, EventKind, Job, JobFile,
    JobOffer, JobReport, JobState, JobWork, Machine, MachineState, Noun, Param, Problem, Stage, Stored, Task,
    Workflow, parse_input,
};
use crate::runs::actions::RunAction;
use crate::runs::deadlines::{DeadlineWatch, next_deadline};
use crate::runs::jobs::{RenderTasks, TaskRender, WorkRequest};

mod doubts;
mod plans;
mod record;
mod verbs;

/// Gives each task one script, or the fault `broken`.
struct Scripts;

impl RenderTasks for Scripts {
    fn render_task(&self, request: TaskRender) -> BoxFuture<'_, Result<Vec<JobFile>, Vec<Problem>>> {
        let rendered = match request.task.as_str() {
            "broken" => Err(vec![Problem::new("x.sh:3:7", "`nothing` is not defined")]),
            task => Ok(vec![JobFile { name: "run".into(), path: None, body: format!("echo {task}") }]),
        };
        Box::pin(async { rendered })
    }
}

struct Site {
    houses: Arc<Houses>,
    caller: Caller,
    machine: Uuid,
}

fn stored<T: Noun>(body: Value, now: Timestamp) -> Stored<T> {
    let spec = parse_input::<T>(body).unwrap().spec;
    Stored::new(spec.key().unwrap_or_default(), spec, now)
}

fn content(now: Timestamp) -> Changeset {
    let arches = json!({"amd64": {"artifact": "debian", "kernel": "linux"}});
    let debian = json!({"name": "debian", "kind": "install", "arches": arches,
        "required_params": ["disk"]});
    let mut changeset = Changeset::default()
        .create(Bootenv::object(Arc::new(stored(debian, now))))
        .create(Bootenv::object(Arc::new(stored(json!({"name": "local", "kind": "local"}), now))));
    for body in [
        json!({"name": "quick", "retries": 1, "timeout_seconds": 100}),
        json!({"name": "broken"}),
        json!({"name": "after"}),
    ] {
        changeset = changeset.create(Task::object(Arc::new(stored(body, now))));
    }
    for body in [
        json!({"name": "install", "bootenv": "debian", "timeout_seconds": 600}),
        json!({"name": "work", "tasks": ["quick", "after"]}),
        json!({"name": "bad", "tasks": ["broken"]}),
    ] {
        changeset = changeset.create(Stage::object(Arc::new(stored(body, now))));
    }
    for (name, stage) in [("install", "install"), ("work", "work"), ("bad", "bad")] {
        let body = json!({"name": name, "stages": [stage]});
        changeset = changeset.create(Workflow::object(Arc::new(stored(body, now))));
    }
    for name in ["disk", "rehearse"] {
        changeset = changeset.create(Param::object(Arc::new(stored(json!({"name": name}), now))));
    }
    let mut artifact: Stored<Artifact> = stored(json!({"name": "debian", "path": "/srv/debian"}), now);
    artifact.status = ArtifactStatus { state: ArtifactState::Ready, ..ArtifactStatus::default() };
    changeset.create(Artifact::object(Arc::new(artifact)))
}

impl Site {
    async fn new(machine: Value) -> Self {
        let (houses, caller) = (testing::houses(), testing::caller());
        let now = caller.now;
        let id = Uuid::now_v7();
        let machine = Stored { key: id.to_string(), ..stored::<Machine>(machine, now) };
        houses.kernel.commit(content(now).create(Machine::object(Arc::new(machine)))).await.unwrap();
        Site { houses, caller, machine: id }
    }

    fn key(&self) -> String {
        self.machine.to_string()
    }

    fn later(&mut self, seconds: i64) -> &mut Self {
        self.caller.now += SignedDuration::from_secs(seconds);
        self
    }

    async fn act(&self, action: RunAction) -> Result<Arc<Stored<Machine>>, Error> {
        self.houses.runs.act(&self.caller, "name:web1", &action).await
    }

    async fn start(&self, workflow: &str) -> Result<Arc<Stored<Machine>>, Error> {
        self.act(start(Some(workflow))).await
    }

    async fn ask(&self, boot: &str, job: Option<Uuid>) -> Option<JobOffer> {
        let report =
            AgentReport { environment: Environment::Installed, boot: boot.to_owned(), job, wait_seconds: 0 };
        let asking = WorkRequest { machine: &self.key(), report: &report, renderer: &Scripts };
        self.houses.runs.jobs_next(&self.caller, &asking).await.unwrap()
    }

    async fn work(&self, boot: &str, job: Option<Uuid>) -> JobWork {
        match self.ask(boot, job).await {
            Some(JobOffer::Run(work)) => *work,
            other => panic!("no work: {other:?}"),
        }
    }

    async fn report(&self, job: Uuid, report: JobReport) -> Result<Arc<Stored<Job>>, Error> {
        self.houses.runs.report_job(&self.caller, &job.to_string(), &report).await
    }

    fn state(&self) -> (MachineState, u32) {
        let machine = self.houses.kernel.get::<Machine>(&self.key()).unwrap();
        (machine.status.state, machine.status.cursor)
    }

    fn job(&self, id: Uuid) -> Job {
        self.houses.kernel.get::<Job>(&id.to_string()).unwrap().spec.clone()
    }

    async fn expire(&self) -> usize {
        let watch = DeadlineWatch { now: self.caller.now, up_since: Timestamp::UNIX_EPOCH };
        self.houses.runs.expire(watch).await.unwrap()
    }

    async fn events(&self) -> Vec<EventKind> {
        let events =
            self.houses.kernel.events(EventQuery { limit: 1000, ..EventQuery::default() }).await.unwrap();
        events.iter().filter_map(|event| event.body.kind()).collect()
    }
}

fn start(workflow: Option<&str>) -> RunAction {
    RunAction::Start { workflow: workflow.map(str::to_owned), reason: String::new(), stop_before: None }
}

fn running() -> JobReport {
    JobReport { state: Some(JobState::Running), ..JobReport::default() }
}

fn exit(code: i32) -> JobReport {
    JobReport { exit: Some(code), ..JobReport::default() }
}

fn refused(result: Result<Arc<Stored<Machine>>, Error>) -> String {
    match result {
        Err(Error::Conflict(_, reason)) => reason,
        other => panic!("not refused: {other:?}"),
    }
}

#[tokio::test]
async fn start_says_everything_that_is_in_its_way() {
    let site = Site::new(json!({"name": "web1", "arch": "arm64"})).await;
    let reason = refused(site.start("install").await);
    assert!(reason.contains("`debian`: it has no kernel for arm64"), "{reason}");
    assert!(reason.contains("the param `disk` is not set"), "{reason}");
    assert!(matches!(site.start("instal").await, Err(Error::Invalid(_))));
    let reason = refused(site.act(start(None)).await);
    assert!(reason.contains("default_workflow"), "{reason}");
    let locked = Site::new(json!({"name": "web1", "locked": true, "workflow": "work"})).await;
    assert!(refused(locked.act(start(None)).await).contains("locked"));
    assert_eq!(locked.state().0, MachineState::Registered);
}

#[tokio::test]
async fn actions_are_refused_with_the_reason_when_they_cannot_be_done_now() {
    let site = Site::new(json!({"name": "web1", "params": {"disk": "/dev/sda"}})).await;
    let pause = || RunAction::Pause { before: None, reason: String::new() };
    for action in
        [pause(), RunAction::Resume, RunAction::Retry, RunAction::Cancel, RunAction::Arm, RunAction::Disarm]
    {
        assert!(refused(site.act(action).await).contains("no workflow under way"));
    }
    let machine = site.start("install").await.unwrap();
    assert!(machine.status.armed_until.is_some());
    assert_eq!(machine.status.bootenv.as_deref(), Some("debian"));
    assert!(refused(site.start("install").await).contains("is under way at step 1"));
    assert!(refused(site.act(RunAction::Resume).await).contains("not paused"));
    assert!(refused(site.act(RunAction::Retry).await).contains("power the machine on"));
    site.act(RunAction::Disarm).await.unwrap();
    assert_eq!(site.state(), (MachineState::Held, 1));
    assert!(refused(site.act(RunAction::Disarm).await).contains("not armed"));
    site.act(RunAction::Arm).await.unwrap();
    assert_eq!(site.state(), (MachineState::Waiting, 1));
    site.act(pause()).await.unwrap();
    assert!(refused(site.act(pause()).await).contains("already"));
    site.act(RunAction::Resume).await.unwrap();
    site.act(RunAction::Cancel).await.unwrap();
    let events = site.events().await;
    for kind in [
        EventKind::RunStarted,
        EventKind::MachineArmed,
        EventKind::MachineDisarmed,
        EventKind::RunHeld,
        EventKind::RunPaused,
        EventKind::RunCancelled,
    ] {
        assert!(events.contains(&kind), "{kind} in {events:?}");
    }
    site.start("work").await.unwrap();
}

#[tokio::test]
async fn rehearse_is_taken_from_the_params_at_the_start() {
    let site = Site::new(json!({"name": "web1", "params": {"disk": "/dev/sda", "rehearse": true}})).await;
    assert!(site.start("install").await.unwrap().status.run.as_ref().unwrap().rehearse);
    let site = Site::new(json!({"name": "web1", "params": {"disk": "/dev/sda", "rehearse": "yes"}})).await;
    assert!(!site.start("install").await.unwrap().status.run.as_ref().unwrap().rehearse);
}

#[tokio::test]
async fn a_job_goes_from_created_to_finished_and_the_run_on() {
    let site = Site::new(json!({"name": "web1"})).await;
    assert!(site.ask("a", None).await.is_none(), "nothing before the start");
    site.start("work").await.unwrap();
    let work = site.work("a", None).await;
    assert_eq!((work.task.as_str(), work.attempt, work.timeout_seconds), ("quick", 1, 100));
    assert_eq!(work.files[0].body, "echo quick");
    site.report(work.id, running()).await.unwrap();
    let end = site
        .houses
        .runs
        .write_job_log(&site.caller, &work.id.to_string(), (0, b"hello".to_vec()))
        .await
        .unwrap();
    assert_eq!((end.bytes, end.state), (5, JobState::Running));
    let again = site
        .houses
        .runs
        .write_job_log(&site.caller, &work.id.to_string(), (3, b"lo!".to_vec()))
        .await
        .unwrap();
    assert_eq!(again.bytes, 6);
    let gap = site.houses.runs.write_job_log(&site.caller, &work.id.to_string(), (9, b"x".to_vec())).await;
    assert!(matches!(gap, Err(Error::Conflict(..))), "{gap:?}");
    site.report(work.id, exit(0)).await.unwrap();
    site.report(work.id, exit(0)).await.expect("a report that comes twice changes nothing");
    let job = site.job(work.id);
    assert_eq!((job.state, job.log_bytes, job.exit), (JobState::Finished, 6, Some(0)));
    assert_eq!(
        site.houses.runs.read_job_log(&site.caller, &work.id.to_string(), (1, 3)).await.unwrap(),
        b"ell"
    );
    let next = site.work("a", None).await;
    assert_eq!(next.task, "after");
    site.report(next.id, running()).await.unwrap();
    site.report(next.id, exit(0)).await.unwrap();
    assert_eq!(site.state(), (MachineState::Complete, 3));
    let events = site.events().await;
    for kind in [EventKind::JobCreated, EventKind::JobStarted, EventKind::JobFinished] {
        assert_eq!(events.iter().filter(|event| **event == kind).count(), 2, "{kind}");
    }
}

#[tokio::test]
async fn reports_that_do_not_fit_are_refused() {
    let site = Site::new(json!({"name": "web1"})).await;
    site.start("work").await.unwrap();
    let id = site.work("a", None).await.id;
    let expect = JobReport { expect: Some(JobState::Running), ..exit(0) };
    let refused = site.report(id, expect).await.unwrap_err();
    assert_eq!(refused.to_string(), "the job is created, not running");
    for bad in [
        JobReport::default(),
        JobReport { state: Some(JobState::Lost), ..JobReport::default() },
        JobReport { state: Some(JobState::Finished), ..exit(3) },
    ] {
        assert!(matches!(site.report(id, bad).await, Err(Error::Invalid(_))));
    }
    site.report(id, exit(7)).await.unwrap();
    let late = site.report(id, exit(0)).await.unwrap_err();
    assert!(matches!(late, Error::Conflict(..)), "{late:?}");
    let stranger = Uuid::now_v7();
    let other = Caller {
        actor: Actor::Machine(stranger),
        scopes: vec![format!("agent:{stranger}")],
        ..site.caller.clone()
    };
    let foreign = site.houses.runs.report_job(&other, &id.to_string(), &exit(0)).await;
    assert!(matches!(foreign, Err(Error::NotFound { .. })), "{foreign:?}");
}

#[tokio::test]
async fn an_agent_that_comes_back_goes_on_with_its_job_or_has_lost_it() {
    let mut site = Site::new(json!({"name": "web1"})).await;
    site.start("work").await.unwrap();
    let first = site.work("a", None).await;
    let again = site.work("a", None).await;
    assert_eq!((again.id, again.files.len()), (first.id, 1), "an answer that was lost is given again");
    site.report(first.id, running()).await.unwrap();
    site.houses.runs.write_job_log(&site.caller, &first.id.to_string(), (0, b"abc".to_vec())).await.unwrap();
    let resumed = site.work("a", Some(first.id)).await;
    assert_eq!((resumed.id, resumed.state, resumed.log_bytes), (first.id, JobState::Running, 3));
    assert!(site.ask("b", None).await.is_none(), "it is lost, and tried again after a pause");
    assert_eq!(site.job(first.id).state, JobState::Lost);
    site.later(2);
    assert_eq!(site.expire().await, 1);
    let second = site.work("b", None).await;
    assert_eq!((second.task.as_str(), second.attempt), ("quick", 2));
    let gone = site.report(first.id, exit(0)).await.unwrap_err();
    assert_eq!(gone.to_string(), "the job is lost: the agent came back without it");
    site.report(second.id, running()).await.unwrap();
    assert!(site.ask("c", None).await.is_none());
    assert_eq!(site.state(), (MachineState::Failed, 1), "its one retry is used up");
    site.act(RunAction::Retry).await.unwrap();
    assert_eq!(site.work("c", None).await.task, "quick");
}

#[tokio::test]
async fn a_task_that_cannot_be_rendered_fails_with_the_place() {
    let site = Site::new(json!({"name": "web1"})).await;
    site.start("bad").await.unwrap();
    assert!(site.ask("a", None).await.is_none());
    let machine = site.houses.kernel.get::<Machine>(&site.key()).unwrap();
    assert_eq!(machine.status.state, MachineState::Failed);
    assert!(
        machine.status.reason.contains("x.sh:3:7: `nothing` is not defined"),
        "{}",
        machine.status.reason
    );
    assert_eq!(machine.faults.len(), 1);
    let machine = site.act(RunAction::Retry).await.unwrap();
    assert!(machine.faults.is_empty());
}

#[tokio::test]
async fn a_job_that_overruns_or_whose_agent_is_silent_ends() {
    let mut site = Site::new(json!({"name": "web1"})).await;
    site.start("work").await.unwrap();
    let slow = site.work("a", None).await;
    site.report(slow.id, running()).await.unwrap();
    let watch = DeadlineWatch { now: site.caller.now, up_since: Timestamp::UNIX_EPOCH };
    let due = site.houses.kernel.read(|world| next_deadline(world, watch)).unwrap();
    assert_eq!(due, site.caller.now + SignedDuration::from_secs(130));
    site.later(129);
    assert_eq!(site.expire().await, 0);
    site.later(1);
    assert_eq!(site.expire().await, 1);
    assert_eq!(site.job(slow.id).state, JobState::Failed);
    assert_eq!(site.state().0, MachineState::Waiting, "it has a retry");
    site.later(2).expire().await;
    let quick = site.work("a", None).await;
    site.report(quick.id, exit(0)).await.unwrap();
    let silent = site.work("a", None).await;
    site.report(silent.id, running()).await.unwrap();
    site.later(599);
    let key = silent.id.to_string();
    site.houses
        .runs
        .write_job_log(&site.caller, &key, (0, Vec::new()))
        .await
        .expect("an empty piece is a sign of life");
    site.later(599);
    assert_eq!(site.expire().await, 0);
    site.later(2);
    assert_eq!(site.expire().await, 1);
    assert_eq!(site.job(silent.id).state, JobState::Lost);
    assert_eq!(site.state(), (MachineState::Failed, 2));
}

#[tokio::test]
async fn an_agent_is_not_lost_because_the_server_was_away() {
    let mut site = Site::new(json!({"name": "web1"})).await;
    site.start("work").await.unwrap();
    let quick = site.work("a", None).await;
    site.report(quick.id, exit(0)).await.unwrap();
    let long = site.work("a", None).await;
    site.report(long.id, running()).await.unwrap();
    site.later(3000);
    let up_since = site.caller.now - SignedDuration::from_secs(10);
    site.houses.runs.expire(DeadlineWatch { now: site.caller.now, up_since }).await.unwrap();
    assert_eq!(site.job(long.id).state, JobState::Running);
}

#[tokio::test]
async fn cancelling_ends_the_job_too() {
    let site = Site::new(json!({"name": "web1"})).await;
    site.start("work").await.unwrap();
    let work = site.work("a", None).await;
    site.report(work.id, running()).await.unwrap();
    site.act(RunAction::Cancel).await.unwrap();
    assert_eq!(site.job(work.id).state, JobState::Cancelled);
    let late = site.report(work.id, exit(0)).await.unwrap_err();
    assert!(late.to_string().contains("cancelled by token:admin"), "{late}");
    assert!(site.ask("a", None).await.is_none());
}

/// Each boot's first question writes to the machine. A start that is committed behind that write, and before
/// the agent waits, must wake it.
#[tokio::test]
async fn a_waiting_agent_is_answered_when_work_appears() {
    let site = Arc::new(Site::new(json!({"name": "web1"})).await);
    for round in 0..20 {
        let boot = round.to_string();
        let report = AgentReport { environment: Environment::Installed, boot, job: None, wait_seconds: 20 };
        let waiting = {
            let site = Arc::clone(&site);
            tokio::spawn(async move {
                let asking = WorkRequest { machine: &site.key(), report: &report, renderer: &Scripts };
                site.houses.runs.await_job(&site.caller, &asking).await
            })
        };
        site.start("work").await.unwrap();
        let offer = waiting.await.unwrap().unwrap();
        assert!(matches!(offer, Some(JobOffer::Run(work)) if work.task == "quick"), "round {round}");
        site.act(RunAction::Cancel).await.unwrap();
    }
}

#[tokio::test]
async fn an_agents_token_is_renewed_and_the_old_ones_do_not_pile_up() {
    let site = Site::new(json!({"name": "web1"})).await;
    let machine = site.houses.kernel.get::<Machine>(&site.key()).unwrap();
    let first = site.houses.access.agent_token(&machine).await.unwrap();
    let caller = site.houses.access.sign_in(&first, site.caller.now).unwrap();
    assert_eq!(caller.actor, Actor::Machine(site.machine));
    let mut tokens = vec![first];
    for _ in 0..5 {
        tokens.push(site.houses.access.renew_agent_token(&caller, &site.key()).await.unwrap().token);
    }
    let good = tokens.iter().map(|token| site.houses.access.sign_in(token, site.caller.now).is_ok());
    assert_eq!(good.collect::<Vec<_>>(), [true, false, false, true, true, true]);
    let stranger = Uuid::now_v7();
    let other = Caller { scopes: vec![format!("agent:{stranger}")], ..caller };
    let refused = site.houses.access.renew_agent_token(&other, &site.key()).await;
    assert!(matches!(refused, Err(Error::Forbidden(..))), "{refused:?}");
}

#[tokio::test]
async fn a_task_is_rendered_with_machine_params_and_job() {
    let site = Site::new(json!({"name": "web1", "params": {"disk": "/dev/sda"}})).await;
    let body = "{{ machine.name }} {{ param(name='disk') }} {{ task.name }} {{ stage.name }}";
    let templates =
        json!([{"name": "conf", "path": "x.conf", "inline": body}, {"name": "run", "inline": "true"}]);
    let task = stored::<Task>(json!({"name": "write", "templates": templates}), site.caller.now);
    let stage = stored::<Stage>(json!({"name": "writing", "tasks": ["write"]}), site.caller.now);
    let flow = stored::<Workflow>(json!({"name": "writing", "stages": ["writing"]}), site.caller.now);
    let changeset =
        Changeset::default().create(Task::object(Arc::new(task))).create(Stage::object(Arc::new(stage)));
    site.houses.kernel.commit(changeset.create(Workflow::object(Arc::new(flow)))).await.unwrap();
    site.start("writing").await.unwrap();
    let report =
        AgentReport { environment: Environment::Installed, boot: "a".into(), job: None, wait_seconds: 0 };
    let asking = WorkRequest { machine: &site.key(), report: &report, renderer: &site.houses.runs };
    let Some(JobOffer::Run(work)) = site.houses.runs.jobs_next(&site.caller, &asking).await.unwrap() else {
        panic!("no work");
    };
    assert_eq!(work.files[0].body, "web1 /dev/sda write writing");
    assert_eq!((work.files[0].path.as_deref(), work.files[1].path.as_deref()), (Some("x.conf"), None));
}
