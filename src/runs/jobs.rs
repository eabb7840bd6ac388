//! The agent's side of runs: asking for a job, reporting on it, writing its log.
//!
//! Handing out, starting and ending a job are one changeset each, together with the machine. Start with
//! [`Runs::jobs_next`].

use std::sync::Arc;

use futures_util::future::BoxFuture;
use jiff::{SignedDuration, Timestamp};
use tokio::time::{Duration, Instant, timeout_at};
use uuid::Uuid;

use crate::kernel::{Caller, Error, STALE_RETRIES_MAX};
use crate::model::{
    AgentReport, ContentView, Job, JobFile, JobOffer, JobState, JobWork, Machine, Problem, RefusalCode, Run,
    Stored, Task, World, sha256_hex,
};
use crate::runs::Runs;
use crate::runs::flow::step::{AgentAnswer, answer};
use crate::runs::machine_change::{MachineChange, job_key};

/// Seconds that an agent has for its report after the time of its job has run out.
const GRACE_SECONDS: i64 = 30;
/// How long a request for work may be held open, in seconds.
pub const WAIT_SECONDS_MAX: u32 = 60;
/// How much newer `last_seen` must be before it is written, in seconds.
const SEEN_STEP_SECONDS: i64 = 60;

/// A task to be rendered for a job.
#[derive(Clone, Debug)]
pub struct TaskRender {
    pub machine: Arc<Stored<Machine>>,
    /// The run whose content is used.
    pub run: Option<Arc<Stored<Run>>>,
    pub stage: String,
    pub task: String,
    pub job: Uuid,
}

/// Renders the templates of tasks.
pub trait RenderTasks: Send + Sync {
    /// The files and scripts of a task, in the order of its templates.
    ///
    /// # Errors
    /// The faults of the templates or of the params that they use.
    fn render_task(&self, request: TaskRender) -> BoxFuture<'_, Result<Vec<JobFile>, Vec<Problem>>>;
}

/// The agent that asks for work, and the renderer for it.
pub struct WorkRequest<'a> {
    /// The machine, by its id or another reference.
    pub machine: &'a str,
    pub report: &'a AgentReport,
    pub renderer: &'a dyn RenderTasks,
}

/// A job that could be handed out.
struct JobCandidate {
    id: Uuid,
    task: String,
    stage: String,
    /// The job was handed out before, but the agent does not know it.
    again: bool,
}

/// What was found for a machine, before anything is rendered.
enum WorkFound {
    Offer(JobOffer),
    Render(JobCandidate),
    Nothing,
}

impl Runs {
    /// The work for an agent now: a new job, the job that it has begun, or the order to reboot.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Forbidden`] for the agent of another machine, or those of the store.
    pub async fn jobs_next(
        &self,
        caller: &Caller,
        asking: &WorkRequest<'_>,
    ) -> Result<Option<JobOffer>, Error> {
        check_report(asking.report)?;
        for _ in 0..STALE_RETRIES_MAX {
            let (mut moving, looked) = self.kernel.read(|world| {
                let before = Arc::clone(caller.find_own_machine(world, asking.machine)?);
                let mut moving = MachineChange::new(before, world, caller.now);
                let looked = look(caller, world, (&mut moving, asking.report));
                Ok::<_, Error>((moving, looked))
            })?;
            let offer = match looked {
                WorkFound::Nothing => None,
                WorkFound::Offer(offer) => Some(offer),
                WorkFound::Render(candidate) => self.hand_out(caller, asking, (&mut moving, candidate)).await,
            };
            if self.commit_move(caller, moving).await?.is_some() {
                return self.with_log_end(offer).await.map(Some).map(Option::flatten);
            }
        }
        Err(Error::Busy("the machine is being changed by many at once; try again".to_owned()))
    }

    /// Like [`Runs::jobs_next`], but waits until there is work, at most as long as the report allows.
    ///
    /// # Errors
    /// Those of [`Runs::jobs_next`].
    pub async fn await_job(
        &self,
        caller: &Caller,
        asking: &WorkRequest<'_>,
    ) -> Result<Option<JobOffer>, Error> {
        let seconds = asking.report.wait_seconds.min(WAIT_SECONDS_MAX);
        let until = Instant::now() + Duration::from_secs(seconds.into());
        let mut committed = self.kernel.committed();
        loop {
            committed.borrow_and_update();
            let caller = Caller { now: self.kernel.now(), ..caller.clone() };
            // Read before the question: what is committed between the two is then a change to wake for.
            let machine =
                self.kernel.read(|world| caller.find_own_machine(world, asking.machine).cloned())?;
            if let Some(offer) = self.jobs_next(&caller, asking).await? {
                return Ok(Some(offer));
            }
            let changed = async {
                while committed.changed().await.is_ok() {
                    match self.kernel.get::<Machine>(&machine.key) {
                        Ok(present) if present.version() == machine.version() => {}
                        _ => return true,
                    }
                }
                false
            };
            if !timeout_at(until, changed).await.unwrap_or(false) {
                return Ok(None);
            }
        }
    }

    /// Renders a candidate and makes it a job; a task that cannot be rendered fails.
    async fn hand_out(
        &self,
        caller: &Caller,
        asking: &WorkRequest<'_>,
        (moving, candidate): (&mut MachineChange, JobCandidate),
    ) -> Option<JobOffer> {
        let request = TaskRender {
            machine: Arc::new(moving.machine.clone()),
            run: moving.stored_run(),
            stage: candidate.stage.clone(),
            task: candidate.task.clone(),
            job: candidate.id,
        };
        let rendered = asking.renderer.render_task(request).await;
        self.kernel.read(|world| match rendered {
            Ok(files) => Some(new_job(caller, world, moving, candidate, files)),
            Err(problems) => {
                render_failed(caller, world, moving, candidate, problems);
                None
            }
        })
    }

    /// Only the store knows where the next piece of the log begins.
    async fn with_log_end(&self, offer: Option<JobOffer>) -> Result<Option<JobOffer>, Error> {
        let Some(JobOffer::Run(mut work)) = offer else { return Ok(offer) };
        if work.state != JobState::Created {
            work.log_bytes = self.kernel.write_log(work.id, 0, Vec::new()).await?;
        }
        Ok(Some(JobOffer::Run(work)))
    }
}

fn check_report(report: &AgentReport) -> Result<(), Error> {
    match report.boot.len() {
        1..=64 => Ok(()),
        _ => {
            let what = "must be an id that changes with each boot, of 1 to 64 bytes";
            Err(Problem::new("/boot", what).coded(RefusalCode::Malformed).into())
        }
    }
}

/// Records that the machine was seen, unless that was recorded a moment ago.
pub fn seen(moving: &mut MachineChange, now: Timestamp) {
    let status = &mut moving.machine.status;
    let since = status.last_seen.map(|seen| now.duration_since(seen));
    if since.is_none_or(|since| since >= SignedDuration::from_secs(SEEN_STEP_SECONDS)) {
        status.last_seen = Some(now);
    }
}

fn look(caller: &Caller, world: &World, (moving, report): (&mut MachineChange, &AgentReport)) -> WorkFound {
    seen(moving, caller.now);
    moving.flow((caller, world), |flow| flow.agent_seen(report.environment, &report.boot, caller.attempt));
    if let Some(looked) = look_at_job(caller, world, (moving, report)) {
        return looked;
    }
    match answer(moving.position(world), caller.now) {
        AgentAnswer::Run { task } => {
            let stage = moving.position(world).step().map(|step| step.stage.clone()).unwrap_or_default();
            WorkFound::Render(JobCandidate { id: Uuid::now_v7(), task, stage, again: false })
        }
        AgentAnswer::Reboot { reason } => {
            moving.flow((caller, world), |flow| flow.record_reboot_request(&reason));
            WorkFound::Offer(JobOffer::Reboot { reason })
        }
        AgentAnswer::Hold { reason } => {
            moving.flow((caller, world), |flow| flow.held_for(reason));
            WorkFound::Nothing
        }
        AgentAnswer::Wait { .. } => WorkFound::Nothing,
    }
}

/// Handles the open job: the agent continues it, gets it again, or has lost it.
fn look_at_job(
    caller: &Caller,
    world: &World,
    (moving, report): (&mut MachineChange, &AgentReport),
) -> Option<WorkFound> {
    let id = moving.machine.status.job?;
    let Some(job) = world.jobs.get(&job_key(id)) else {
        moving.flow((caller, world), |flow| flow.job_gone());
        return None;
    };
    if !job.spec.state.is_open() {
        moving.flow((caller, world), |flow| flow.after_job(id, &job.spec));
        return None;
    }
    if report.job == Some(id) {
        return Some(WorkFound::Offer(JobOffer::Run(Box::new(work(
            moving.position(world).content,
            (id, &job.spec),
            Vec::new(),
        )))));
    }
    if job.spec.state == JobState::Created {
        let (task, stage) = (job.spec.task.clone(), job.spec.stage.clone());
        return Some(WorkFound::Render(JobCandidate { id, task, stage, again: true }));
    }
    end_lost(caller, world, (moving, "the agent came back without it"));
    None
}

/// Ends the open job as lost.
pub fn end_lost(caller: &Caller, world: &World, (moving, reason): (&mut MachineChange, &str)) {
    end_open(caller, world, moving, JobState::Lost, reason);
}

/// Ends the open job in a state that the agent did not report.
pub fn end_open(caller: &Caller, world: &World, moving: &mut MachineChange, state: JobState, reason: &str) {
    let Some(id) = moving.machine.status.job else { return };
    let Some(job) = world.jobs.get(&job_key(id)) else {
        return moving.flow((caller, world), |flow| flow.job_gone());
    };
    let mut job = job.next(caller.now);
    (job.spec.state, job.spec.reason, job.spec.ended_at) = (state, reason.to_owned(), Some(caller.now));
    moving.update_job(caller, &job);
    moving.flow((caller, world), |flow| flow.after_job(id, &job.spec));
}

fn new_job(
    caller: &Caller,
    world: &World,
    moving: &mut MachineChange,
    candidate: JobCandidate,
    files: Vec<JobFile>,
) -> JobOffer {
    let id = candidate.id;
    let known = world.jobs.get(&job_key(id)).filter(|_| candidate.again);
    let mut job = match known {
        Some(known) => known.next(caller.now),
        None => fresh(caller, moving.position(world).content, (&moving.machine, &candidate)),
    };
    job.spec.digest = digest(&files);
    if known.is_none() {
        moving.create_job(caller, &job);
        moving.flow((caller, world), |flow| flow.job_created(id, &job.spec));
    } else if known.is_some_and(|known| known.spec.digest != job.spec.digest) {
        moving.update_job(caller, &job);
    }
    JobOffer::Run(Box::new(work(moving.position(world).content, (id, &job.spec), files)))
}

fn fresh(
    caller: &Caller,
    content: ContentView<'_>,
    (machine, candidate): (&Stored<Machine>, &JobCandidate),
) -> Stored<Job> {
    let status = &machine.status;
    let timeout = timeout_seconds(content, &candidate.task);
    let spec = Job {
        machine: machine.key.parse().unwrap_or_default(),
        run: status.run.as_ref().map(|run| run.id).unwrap_or_default(),
        step: status.cursor,
        stage: candidate.stage.clone(),
        task: candidate.task.clone(),
        state: JobState::Created,
        exit: None,
        after: None,
        reason: String::new(),
        attempt: status.tries.jobs + 1,
        started_at: None,
        ended_at: None,
        deadline: deadline(caller.now, timeout),
        log_bytes: 0,
        log_pruned_at: None,
        digest: String::new(),
    };
    Stored::new(job_key(candidate.id), spec, caller.now)
}

/// When a job that begins now counts as failed.
pub fn deadline(now: Timestamp, timeout_seconds: u32) -> Timestamp {
    let seconds = i64::from(timeout_seconds) + GRACE_SECONDS;
    now.saturating_add(SignedDuration::from_secs(seconds)).unwrap_or(Timestamp::MAX)
}

pub fn timeout_seconds(content: ContentView<'_>, task: &str) -> u32 {
    content.task(task).map_or(3600, |task| task.spec.timeout_seconds)
}

fn work(content: ContentView<'_>, (id, job): (Uuid, &Job), files: Vec<JobFile>) -> JobWork {
    let task: Option<&Task> = content.task(&job.task).map(|task| &task.spec);
    JobWork {
        id,
        task: job.task.clone(),
        stage: job.stage.clone(),
        state: job.state,
        attempt: job.attempt,
        interpreter: task.map_or("/bin/sh".to_owned(), |task| task.interpreter.clone()),
        files,
        timeout_seconds: timeout_seconds(content, &job.task),
        log_bytes: 0,
    }
}

fn digest(files: &[JobFile]) -> String {
    let text = serde_json::to_string(files).unwrap_or_default();
    sha256_hex(text)
}

fn render_failed(
    caller: &Caller,
    world: &World,
    moving: &mut MachineChange,
    candidate: JobCandidate,
    problems: Vec<Problem>,
) {
    let said = problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
    let reason = format!("task `{}` cannot be rendered: {said}", candidate.task);
    if candidate.again {
        end_open(caller, world, moving, JobState::Failed, &reason);
    } else {
        moving.flow((caller, world), |flow| flow.render_failed(reason));
    }
    let pointer = format!("/status/steps/{}", moving.machine.status.cursor);
    moving.machine.faults.retain(|fault| fault.pointer != pointer);
    let faults = problems.into_iter().map(|problem| problem.at(pointer.clone()));
    moving.machine.faults.extend(faults);
}
