//! Tests of the loop with a server in memory and real shells.

use std::collections::VecDeque;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Timestamp;
use tempfile::TempDir;
use uuid::Uuid;

use super::exec::JobWorkspace;
use super::step::{AgentEnd, AgentPolicy, CallError, PowerPolicy, StopCondition};
use super::{Agent, AgentServer, WorkAnswer, run};
use crate::model::{
    AgentReport, Environment, JobFile, JobOffer, JobReport, JobState, JobWork, LogEnd, TokenGrant,
};

#[derive(Default)]
struct Heard {
    offers: VecDeque<JobOffer>,
    asked: Vec<Option<Uuid>>,
    reports: Vec<JobReport>,
    log: Vec<u8>,
    pieces: usize,
    /// So many calls that send the log fail first.
    away: u32,
    /// The log accepts so many bytes.
    room: Option<usize>,
    cancelled: bool,
}

#[derive(Clone, Default)]
struct Fake(Arc<Mutex<Heard>>);

impl Fake {
    fn offering(works: impl IntoIterator<Item = JobWork>) -> Self {
        let fake = Fake::default();
        let offers = works.into_iter().map(|work| JobOffer::Run(Box::new(work)));
        fake.0.lock().unwrap().offers.extend(offers);
        fake
    }

    fn log(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().log.clone()).unwrap()
    }

    fn exits(&self) -> Vec<Option<i32>> {
        let heard = self.0.lock().unwrap();
        heard.reports.iter().filter(|r| r.state != Some(JobState::Running)).map(|r| r.exit).collect()
    }
}

impl AgentServer for Fake {
    async fn next_job(&self, report: &AgentReport) -> Result<WorkAnswer, CallError> {
        let mut heard = self.0.lock().unwrap();
        heard.asked.push(report.job);
        Ok(match heard.offers.pop_front() {
            Some(offer) => WorkAnswer::Offer(offer),
            None => WorkAnswer::Nothing { ask_again_after: Duration::from_secs(5) },
        })
    }

    async fn report_job(&self, _: Uuid, report: &JobReport) -> Result<(), CallError> {
        self.0.lock().unwrap().reports.push(report.clone());
        Ok(())
    }

    async fn put_log(&self, _: Uuid, offset: u64, piece: Vec<u8>) -> Result<LogEnd, CallError> {
        let mut heard = self.0.lock().unwrap();
        if heard.away > 0 {
            heard.away -= 1;
            return Err(CallError::Passing("away".into()));
        }
        let known = heard.log.len().checked_sub(offset as usize).ok_or(CallError::Conflict("gap".into()))?;
        let fresh = piece.get(known..).unwrap_or_default();
        if heard.room.is_some_and(|room| heard.log.len() + fresh.len() > room) {
            return Err(CallError::Conflict("full".into()));
        }
        heard.log.extend_from_slice(fresh);
        heard.pieces += 1;
        let state = if heard.cancelled { JobState::Cancelled } else { JobState::Running };
        Ok(LogEnd { bytes: heard.log.len() as u64, state })
    }

    async fn renew_token(&self) -> Result<TokenGrant, CallError> {
        Ok(TokenGrant { token: "new".into(), expires_at: Timestamp::MAX })
    }
}

fn work(bodies: &[(&str, Option<&str>)]) -> JobWork {
    let files = bodies.iter().enumerate().map(|(i, (body, path))| JobFile {
        name: format!("file-{i}"),
        path: path.map(str::to_owned),
        body: (*body).to_owned(),
    });
    JobWork {
        id: Uuid::now_v7(),
        task: "t".into(),
        stage: "s".into(),
        state: JobState::Created,
        attempt: 1,
        interpreter: "/bin/sh".into(),
        files: files.collect(),
        timeout_seconds: 60,
        log_bytes: 0,
    }
}

fn script(body: &str) -> JobWork {
    work(&[(body, None)])
}

fn agent(dir: &Path) -> Agent {
    Agent {
        environment: Environment::Installed,
        boot: "boot-1".into(),
        state_dir: dir.to_owned(),
        manner: AgentPolicy { power: PowerPolicy::Forbidden, until: StopCondition::Idle },
    }
}

async fn end_of(dir: &TempDir, server: &Fake) -> AgentEnd {
    run(&agent(dir.path()), server).await.unwrap()
}

#[tokio::test]
async fn files_and_scripts_run_in_order_and_what_they_print_is_sent() {
    let dir = TempDir::new().unwrap();
    let absolute = dir.path().join("deep/out.conf");
    let server = Fake::offering([work(&[
        ("a=1\n", Some("conf/in.conf")),
        ("cat conf/in.conf; echo to stderr >&2; stat -c %a . ; echo $METALWRIGHT_TASK", None),
        ("b=2\n", Some(absolute.to_str().unwrap())),
        ("cat $TMPDIR/../conf/in.conf", None),
    ])]);
    assert_eq!(end_of(&dir, &server).await, AgentEnd::Idle);
    assert_eq!(server.log(), "a=1\nto stderr\n700\nt\na=1\n");
    assert_eq!(server.exits(), [Some(0)]);
    assert_eq!(std::fs::read_to_string(&absolute).unwrap(), "b=2\n");
    assert_eq!(std::fs::read_dir(dir.path().join("jobs")).unwrap().count(), 0, "nothing is left");
    let mode = std::fs::metadata(dir.path().join("jobs")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
}

#[tokio::test]
async fn the_first_script_that_does_not_end_with_zero_ends_the_job() {
    let dir = TempDir::new().unwrap();
    let twice = |first: &str| work(&[(first, None), ("echo second", None)]);
    let server = Fake::offering([twice("exit 3"), twice("exit 128"), twice("exit 64"), script("kill -9 $$")]);
    assert_eq!(end_of(&dir, &server).await, AgentEnd::Idle);
    assert_eq!(server.exits(), [Some(3), Some(128), Some(192)], "and after a reboot it asks for no more");
    let server = Fake::offering([script("kill -9 $$"), work(&[("x", Some("../out")), ("true", None)])]);
    end_of(&dir, &server).await;
    assert_eq!(server.exits(), [Some(137), None]);
    let reports = server.0.lock().unwrap().reports.clone();
    let reason = reports.last().unwrap().reason.clone().unwrap();
    assert!(reason.contains("`../out` leads out of the job's directory"), "{reason}");
}

#[tokio::test]
async fn a_script_that_takes_too_long_is_killed_with_its_children() {
    let dir = TempDir::new().unwrap();
    let slow = JobWork { timeout_seconds: 3, ..script("sleep 1000 & echo $!; wait") };
    let server = Fake::offering([slow]);
    end_of(&dir, &server).await;
    let reports = server.0.lock().unwrap().reports.clone();
    let last = reports.last().unwrap();
    assert_eq!(last.state, Some(JobState::Failed));
    assert_eq!(last.reason.as_deref(), Some("it did not end within 3 s"));
    let log = server.log();
    let child: i32 = log.lines().next().unwrap().parse().unwrap();
    let killed = async {
        // A killed process still exists until the kernel has scheduled it once more.
        while let Ok(state) = std::fs::read_to_string(format!("/proc/{child}/stat"))
            && !state.contains(" Z ")
        {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), killed).await.expect("the child is killed");
    assert!(log.contains("[agent] it did not end within 3 s"), "{log}");
}

#[tokio::test]
async fn a_log_waits_on_disk_while_the_server_is_away() {
    let dir = TempDir::new().unwrap();
    let server = Fake::offering([script("echo one; echo two")]);
    server.0.lock().unwrap().away = 2;
    assert_eq!(end_of(&dir, &server).await, AgentEnd::Idle);
    assert_eq!(server.log(), "one\ntwo\n");
}

#[tokio::test]
async fn a_log_that_is_full_does_not_stop_the_job() {
    let dir = TempDir::new().unwrap();
    let server = Fake::offering([script("echo more than fits; exit 5")]);
    server.0.lock().unwrap().room = Some(4);
    end_of(&dir, &server).await;
    assert_eq!(server.exits(), [Some(5)]);
}

#[tokio::test]
async fn a_job_that_the_server_ended_is_stopped() {
    let dir = TempDir::new().unwrap();
    let server = Fake::offering([script("echo begun; sleep 1000")]);
    server.0.lock().unwrap().cancelled = true;
    let end = tokio::time::timeout(Duration::from_secs(30), end_of(&dir, &server)).await.unwrap();
    assert_eq!(end, AgentEnd::Idle);
    assert!(server.exits().is_empty(), "it is not reported: the server knows");
}

#[tokio::test]
async fn an_agent_that_starts_again_goes_on_with_its_job() {
    let dir = TempDir::new().unwrap();
    let workspace = JobWorkspace::open(dir.path()).unwrap();
    let fifo = dir.path().join("go");
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let body = format!("echo before; cat {}; echo after; exit 7", fifo.display());
    let work = JobWork { state: JobState::Running, ..script(&body) };
    let mut first = workspace.begin(&work, "boot-1").unwrap();
    let file = work.files[0].clone();
    let process = first.start(&file).unwrap();
    drop((first, process));
    let server = Fake::offering([JobWork { files: Vec::new(), ..work.clone() }]);
    let second = tokio::spawn({
        let (server, agent) = (server.clone(), agent(dir.path()));
        async move { run(&agent, &server).await.unwrap() }
    });
    let go = tokio::task::spawn_blocking(move || std::fs::write(fifo, "between\n"));
    go.await.unwrap().unwrap();
    assert_eq!(second.await.unwrap(), AgentEnd::Idle);
    assert_eq!(server.0.lock().unwrap().asked[0], Some(work.id));
    assert_eq!(server.log(), "before\nbetween\nafter\n");
    assert_eq!(server.exits(), [Some(7)]);
}

#[tokio::test]
async fn what_is_left_of_another_boot_is_not_a_job() {
    let dir = TempDir::new().unwrap();
    let workspace = JobWorkspace::open(dir.path()).unwrap();
    drop(workspace.begin(&script("true"), "boot-0").unwrap());
    let server = Fake::default();
    assert_eq!(end_of(&dir, &server).await, AgentEnd::Idle);
    assert_eq!(server.0.lock().unwrap().asked, [None]);
}

#[tokio::test]
async fn a_job_that_is_not_wanted_any_more_is_killed_at_the_next_start() {
    let dir = TempDir::new().unwrap();
    let workspace = JobWorkspace::open(dir.path()).unwrap();
    let work = script("sleep 1000");
    let mut first = workspace.begin(&work, "boot-1").unwrap();
    let mut process = first.start(&work.files[0]).unwrap();
    drop(first);
    let server = Fake::default();
    let reap = tokio::spawn(async move { process.ended().await });
    assert_eq!(end_of(&dir, &server).await, AgentEnd::Idle);
    reap.await.unwrap().unwrap();
    assert_eq!(server.0.lock().unwrap().asked, [Some(work.id)]);
}
