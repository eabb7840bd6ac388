//! The pool of render workers: a queue in front of a bounded number of workers.
//!
//! Each lane is a thread with a worker process of its own (`process`), started when it is first needed. A
//! worker that does not answer in time, uses too much memory or dies is killed and replaced, and the lane
//! continues. So no template occupies a lane for longer than its deadline and a moment.
//!
//! A template that runs until its deadline occupies its lane until then. Two things keep lanes free for
//! others: if lanes are slow, more are started, up to a bound; and a source whose worker was lost is a
//! suspect for a minute, during which at most [`SUSPECTS_AT_ONCE_MAX`] renders of suspects are admitted.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::durations::{DurationCounts, DurationHistogram};
use crate::rate_limit::warn_limited;
use crate::render::problem::{ProblemKind, RenderProblem};
use crate::render::process::{
    GRACE, LOAD_MAX, RenderResult, RenderWorker, WorkerLoss, WorkerProgram, WorkerTask,
};
use crate::render::wire::RenderSource;

/// Most lanes of a pool.
pub const LANES_MAX: usize = 16;
/// Most renders that wait for a lane.
pub const QUEUE_MAX: usize = 1024;
/// Most renders of suspects that run or wait at the same time.
pub const SUSPECTS_AT_ONCE_MAX: usize = 2;
/// Most suspects that are remembered; beyond that the oldest is forgotten.
const SUSPECTS_MAX: usize = 256;
/// How long a source stays a suspect.
const SUSPECT_FOR: Duration = Duration::from_secs(60);
/// A lane is slow when its render has run for so long: it then does not count as one of the usual lanes.
const SLOW_AFTER: Duration = Duration::from_millis(150);
/// How long a lane beyond the usual ones waits for work before it ends.
const SPARE_FOR: Duration = Duration::from_secs(60);
/// Most workers that are used for one render if another process stops them.
const WORKERS_OF_ONE_MAX: usize = 2;
/// How long [`PoolHealth::warning`] mentions a lost worker.
const TOLD_FOR: Duration = Duration::from_secs(600);

/// What a pool renders, as the log and `/readyz` call it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PoolUse {
    /// What machines are served: scripts, answer files, files of tasks, options of DHCP.
    Boots,
    Previews,
}

impl PoolUse {
    fn as_str(self) -> &'static str {
        match self {
            PoolUse::Boots => "boots",
            PoolUse::Previews => "previews",
        }
    }
}

/// The number of lanes.
#[derive(Clone, Copy, Debug)]
pub struct LaneCounts {
    /// While renders are fast: more lanes than processors would not help.
    pub usual: usize,
    /// While some renders are slow; at most [`LANES_MAX`].
    pub most: usize,
}

impl LaneCounts {
    /// For documents that machines are served: one lane per processor, at least two, and more while some are
    /// slow.
    pub fn for_this_host() -> Self {
        let processors = thread::available_parallelism().map_or(2, |processors| processors.get().max(2));
        LaneCounts { usual: processors, most: LANES_MAX }
    }
}

/// A bounded set of render workers, shared by all content generations.
pub struct RenderPool {
    shared: Arc<PoolShared>,
}

struct PoolShared {
    state: Mutex<PoolState>,
    work: Condvar,
    program: WorkerProgram,
    lanes: LaneCounts,
    renders: DurationHistogram,
    used_for: PoolUse,
}

#[derive(Default)]
struct PoolState {
    queue: VecDeque<RenderJob>,
    lanes: usize,
    /// Lanes that wait for work.
    idle: usize,
    /// The running renders, by number: their source, and their start.
    running: BTreeMap<u64, (u64, Instant)>,
    next_number: u64,
    /// Sources whose worker was lost, and when.
    suspects: HashMap<u64, Instant>,
    /// Renders of suspects that run or wait.
    suspects_under_way: usize,
    record: WorkerRecord,
    closing: bool,
}

/// Numbers of started and lost workers.
#[derive(Default)]
struct WorkerRecord {
    started: u64,
    /// Indexed like [`LOSSES`].
    lost: [u64; 4],
    last_loss: Option<(Instant, String)>,
    /// Why the last worker could not be started.
    cannot_start: Option<String>,
}

/// The causes of lost workers, as metrics name them.
pub const LOSSES: [&str; 4] = ["time", "memory", "stack", "crash"];

/// The health of a pool.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PoolHealth {
    /// Workers that were started since the pool was created.
    pub started: u64,
    /// Workers that were lost, indexed like [`LOSSES`].
    pub lost: [u64; 4],
    /// A worker that was lost recently: in which template, and why.
    pub warning: Option<String>,
    /// Why nothing can be rendered.
    pub outage: Option<String>,
    /// Workers that there are, or are about to be started.
    pub lanes: u64,
    /// Renders that wait for one.
    pub queued: u64,
}

struct RenderJob {
    template: String,
    /// Digest of the source.
    digest: u64,
    is_suspect: bool,
    work: WorkerTask,
    ticket: Arc<RenderTicket>,
}

/// The state of a render; its caller and its lane share it.
struct RenderTicket {
    progress: Mutex<TicketState>,
    done: Condvar,
}

enum TicketState {
    Waiting,
    Running,
    Done(Box<RenderResult>),
    /// The caller has stopped waiting, and nobody needs the result.
    Abandoned,
}

impl RenderPool {
    /// Workers are started when they are needed.
    pub fn new(program: WorkerProgram, lanes: LaneCounts, used_for: PoolUse) -> RenderPool {
        let usual = lanes.usual.clamp(1, LANES_MAX);
        let lanes = LaneCounts { usual, most: lanes.most.clamp(usual, LANES_MAX) };
        let shared = PoolShared {
            state: Mutex::default(),
            work: Condvar::new(),
            program,
            lanes,
            renders: Default::default(),
            used_for,
        };
        RenderPool { shared: Arc::new(shared) }
    }

    /// For unit tests: the workers are this test program.
    #[cfg(test)]
    pub fn of_tests(lanes: usize) -> RenderPool {
        let lanes = LaneCounts { usual: lanes, most: lanes };
        RenderPool::new(WorkerProgram::of_tests(), lanes, PoolUse::Boots)
    }

    pub fn condition(&self) -> PoolHealth {
        let state = locked(&self.shared.state);
        let WorkerRecord { started, lost, last_loss, cannot_start } = &state.record;
        let recent = last_loss.as_ref().filter(|(at, _)| at.elapsed() < TOLD_FOR);
        let warning = recent.map(|(_, loss)| {
            let (sum, used_for) = (lost.iter().sum::<u64>(), self.shared.used_for.as_str());
            format!(
                "{sum} render workers of {used_for} were lost and replaced since the start, the last one \
                 lately: {loss}"
            )
        });
        let (lanes, queued) = (state.lanes as u64, state.queue.len() as u64);
        PoolHealth { started: *started, lost: *lost, warning, outage: cannot_start.clone(), lanes, queued }
    }

    /// How long renders take, with the wait for a worker.
    pub fn durations(&self) -> DurationCounts {
        self.shared.renders.counts()
    }

    /// Passes `work` to a worker and waits for the result. Blocks up to the deadline while it waits for a
    /// lane, and again while it renders; a worker that has to load the templates first takes longer.
    pub(super) fn run(&self, source: &RenderSource, work: WorkerTask) -> RenderResult {
        let begun = Instant::now();
        let rendered = self.render(source, work);
        self.shared.renders.record_since(begun);
        rendered
    }

    fn render(&self, source: &RenderSource, work: WorkerTask) -> RenderResult {
        let template = source.name().to_owned();
        let until = Instant::now() + work.deadline;
        // Lanes keep their deadlines; this bound is for a host on which nothing does.
        let patience = until + 2 * (work.deadline + LOAD_MAX + GRACE);
        let ticket =
            Arc::new(RenderTicket { progress: Mutex::new(TicketState::Waiting), done: Condvar::new() });
        let mut hasher = DefaultHasher::new();
        source.hash(&mut hasher);
        let digest = hasher.finish();
        let job = RenderJob {
            template: template.clone(),
            digest,
            is_suspect: false,
            work,
            ticket: Arc::clone(&ticket),
        };
        PoolShared::submit(&self.shared, job)?;
        let mut progress = locked(&ticket.progress);
        loop {
            match &*progress {
                TicketState::Done(_) => break,
                TicketState::Waiting if Instant::now() >= until => break,
                TicketState::Running if Instant::now() >= patience => break,
                TicketState::Waiting | TicketState::Running | TicketState::Abandoned => {}
            }
            let waited = ticket.done.wait_timeout(progress, SLOW_AFTER);
            progress = waited.unwrap_or_else(PoisonError::into_inner).0;
            if matches!(*progress, TicketState::Waiting) {
                drop(progress);
                PoolShared::relieve(&self.shared, &mut locked(&self.shared.state));
                progress = locked(&ticket.progress);
            }
        }
        match std::mem::replace(&mut *progress, TicketState::Abandoned) {
            TicketState::Done(outcome) => *outcome,
            _ => Err(busy(&template, "no render worker became free in the time this render has")),
        }
    }
}

impl Drop for RenderPool {
    /// Lanes end when they have no more work, and their workers with them.
    fn drop(&mut self) {
        locked(&self.shared.state).closing = true;
        self.shared.work.notify_all();
    }
}

impl PoolShared {
    fn submit(shared: &Arc<PoolShared>, mut job: RenderJob) -> Result<(), RenderProblem> {
        let mut state = locked(&shared.state);
        job.is_suspect = state.is_suspect(job.digest);
        if job.is_suspect && state.suspects_under_way >= SUSPECTS_AT_ONCE_MAX {
            let message = "a render of it was ended at a limit less than a minute ago, and it is being tried \
                           again already";
            return Err(busy(&job.template, message));
        }
        if state.queue.len() >= QUEUE_MAX {
            return Err(busy(&job.template, format!("{QUEUE_MAX} renders are waiting already")));
        }
        state.suspects_under_way += usize::from(job.is_suspect);
        let template = job.template.clone();
        state.queue.push_back(job);
        PoolShared::relieve(shared, &mut state);
        if state.lanes == 0 {
            state.queue.clear();
            return Err(busy(&template, "the system gives no thread to render"));
        }
        drop(state);
        shared.work.notify_one();
        Ok(())
    }

    /// Starts a lane if work waits and the present lanes do not get to it.
    fn relieve(shared: &Arc<PoolShared>, state: &mut PoolState) {
        let LaneCounts { usual, most } = shared.lanes;
        let slow = state.slow().count();
        let quick = state.lanes.saturating_sub(slow);
        if state.queue.is_empty() || state.idle > 0 || state.lanes >= most || quick >= usual {
            return;
        }
        let own = Arc::clone(shared);
        let lane = thread::Builder::new().name("render".to_owned()).spawn(move || own.work_until_closed());
        // If the system gives no thread, there is one lane less; `submit` reports it if there is none.
        state.lanes += usize::from(lane.is_ok());
    }

    fn work_until_closed(&self) {
        let mut worker = None;
        while let Some((job, number)) = self.next_job() {
            if job.ticket.start() {
                let outcome = self.carry_out(&mut worker, &job);
                job.ticket.finish(outcome);
            }
            let mut state = locked(&self.state);
            state.running.remove(&number);
            state.suspects_under_way -= usize::from(job.is_suspect);
        }
    }

    /// The next job, with its number among the running ones. `None` if the lane should end.
    fn next_job(&self) -> Option<(RenderJob, u64)> {
        let mut state = locked(&self.state);
        loop {
            if let Some(job) = state.take_job() {
                let number = state.next_number;
                state.next_number += 1;
                state.running.insert(number, (job.digest, Instant::now()));
                return Some((job, number));
            }
            if state.closing {
                state.lanes -= 1;
                return None;
            }
            state.idle += 1;
            let (woken, waited) =
                self.work.wait_timeout(state, SPARE_FOR).unwrap_or_else(PoisonError::into_inner);
            state = woken;
            state.idle -= 1;
            if waited.timed_out() && state.queue.is_empty() && state.lanes > self.lanes.usual {
                state.lanes -= 1;
                return None;
            }
        }
    }

    fn carry_out(&self, held: &mut Option<RenderWorker>, job: &RenderJob) -> RenderResult {
        let mut last = None;
        for _ in 0..WORKERS_OF_ONE_MAX {
            let worker = match held.take().and_then(|mut held| held.is_fit().then_some(held)) {
                Some(worker) => worker,
                None => self.start_worker(&job.template)?,
            };
            match worker.perform(&job.work) {
                Ok((worker, outcome)) => {
                    *held = Some(worker);
                    let mut state = locked(&self.state);
                    state.suspects.remove(&job.digest);
                    state.record.cannot_start = None;
                    return outcome;
                }
                Err(loss) => {
                    let problem = loss.problem(&job.template, job.work.deadline);
                    if loss != WorkerLoss::Stopped {
                        self.record_loss(job, (&loss, &problem));
                        return Err(problem);
                    }
                    last = Some(problem);
                }
            }
        }
        Err(last.unwrap_or_else(|| busy(&job.template, "no render worker could be started")))
    }

    fn start_worker(&self, template: &str) -> Result<RenderWorker, RenderProblem> {
        let started = RenderWorker::start(&self.program);
        let record = &mut locked(&self.state).record;
        match started {
            Ok(worker) => {
                record.started += 1;
                record.cannot_start = None;
                Ok(worker)
            }
            Err(error) => {
                let why = format!("no render worker can be started: {error}");
                warn_limited!(%error, "no render worker can be started: nothing can be rendered");
                record.cannot_start = Some(why.clone());
                Err(busy(template, why))
            }
        }
    }

    fn record_loss(&self, job: &RenderJob, (loss, problem): (&WorkerLoss, &RenderProblem)) {
        let (template, kind) = (job.template.as_str(), loss.as_str());
        let used_for = self.used_for.as_str();
        warn_limited!(
            template,
            used_for,
            limit = kind,
            %problem,
            "a render was ended and its worker replaced"
        );
        let mut state = locked(&self.state);
        let counts = LOSSES.iter().zip(&mut state.record.lost);
        counts.filter(|(name, _)| **name == kind).for_each(|(_, count)| *count += 1);
        state.record.last_loss = Some((Instant::now(), problem.to_string()));
        state.suspect(job.digest);
    }
}

impl PoolState {
    /// The sources of slow renders.
    fn slow(&self) -> impl Iterator<Item = u64> {
        let slow = self.running.values().filter(|(_, began)| began.elapsed() >= SLOW_AFTER);
        slow.map(|(digest, _)| *digest)
    }

    /// The job that has waited longest, except jobs whose source is slow at present.
    fn take_job(&mut self) -> Option<RenderJob> {
        let slow: Vec<u64> = self.slow().collect();
        let quick = self.queue.iter().position(|job| !slow.contains(&job.digest));
        self.queue.remove(quick.unwrap_or(0))
    }

    fn is_suspect(&self, digest: u64) -> bool {
        self.suspects.get(&digest).is_some_and(|since| since.elapsed() < SUSPECT_FOR)
    }

    fn suspect(&mut self, digest: u64) {
        if self.suspects.len() >= SUSPECTS_MAX {
            let oldest = self.suspects.iter().min_by_key(|(_, since)| **since).map(|(digest, _)| *digest);
            oldest.and_then(|oldest| self.suspects.remove(&oldest));
        }
        self.suspects.insert(digest, Instant::now());
    }
}

impl RenderTicket {
    /// Whether the render is still needed.
    fn start(&self) -> bool {
        let mut progress = locked(&self.progress);
        let wanted = matches!(*progress, TicketState::Waiting);
        if wanted {
            *progress = TicketState::Running;
        }
        wanted
    }

    fn finish(&self, outcome: RenderResult) {
        let mut progress = locked(&self.progress);
        if !matches!(*progress, TicketState::Abandoned) {
            *progress = TicketState::Done(Box::new(outcome));
            self.done.notify_one();
        }
    }
}

fn busy(template: &str, message: impl Into<String>) -> RenderProblem {
    RenderProblem::new(ProblemKind::Busy, template, message)
}

/// No code under these locks can panic half-way, so the data behind a poisoned one is valid.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
