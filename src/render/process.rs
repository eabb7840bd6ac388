//! A render worker as the server sees it: it is started, gets templates and orders, and is killed if it does
//! not answer. `worker` is the process itself; `pool` decides which render gets a worker.

use std::borrow::Cow;
use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::render::engine::TemplateSource;
use crate::render::problem::{ProblemKind, RenderProblem};
use crate::render::wire::{self, WorkerReply, WorkerRequest};
use crate::render::worker::{CPU_SECONDS_MAX, MEMORY_BYTES_MAX};

/// Longest time for a worker to start and to load all templates.
pub(super) const LOAD_MAX: Duration = Duration::from_secs(30);
/// How long after its deadline a render may still report: the worker knows the line, the server does not.
pub(super) const GRACE: Duration = Duration::from_millis(500);
/// A worker whose renders took so much time is replaced by a fresh one, which has its memory and its
/// processor time ahead of it.
const WORN_AFTER: Duration = Duration::from_secs(CPU_SECONDS_MAX / 3);
/// Bytes that are read of the last output of a worker.
const LAST_WORDS_BYTES_MAX: u64 = 4096;

/// The program that is started as a render worker.
#[derive(Clone, Debug)]
pub struct WorkerProgram {
    path: PathBuf,
    arguments: Vec<OsString>,
    environment: Vec<(OsString, OsString)>,
    niceness: i32,
}

impl WorkerProgram {
    /// This program itself, even if its file was replaced by a newer one meanwhile.
    pub fn own() -> Self {
        WorkerProgram::at("/proc/self/exe")
    }

    /// The program `metalwright` at this path.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        // A render takes 100 kB and a millisecond: the allocator need not reserve a gibibyte.
        let environment = vec![("MIMALLOC_ARENA_RESERVE".into(), "16384".into())];
        WorkerProgram { path: path.into(), arguments: vec!["render-worker".into()], environment, niceness: 0 }
    }

    /// The program of the unit tests, in which one test is the worker.
    #[cfg(test)]
    pub fn of_tests() -> Self {
        use crate::render::worker::tests::{AS_WORKER, WORKER_TEST};
        WorkerProgram {
            path: "/proc/self/exe".into(),
            arguments: ["--exact", WORKER_TEST, "--nocapture", "--test-threads=1"].map(Into::into).into(),
            environment: vec![(AS_WORKER.into(), "1".into())],
            niceness: 0,
        }
    }

    /// Lowers the priority of the workers (nice(2), 0 to 19).
    pub fn with_niceness(self, niceness: i32) -> Self {
        WorkerProgram { niceness, ..self }
    }
}

/// The templates of one content generation, as workers get them.
pub(super) struct TemplateSources {
    /// Unique among all sources.
    pub id: u64,
    pub templates: Vec<TemplateSource>,
    /// The templates that cannot be used, for whoever includes one by a computed name.
    pub broken: Vec<(String, RenderProblem)>,
}

/// A task for a worker.
pub(super) struct WorkerTask {
    pub sources: Arc<TemplateSources>,
    /// Whether the render is traced.
    pub traces: bool,
    /// An encoded [`WorkerRequest::Render`].
    pub frame: Vec<u8>,
    pub deadline: Duration,
}

pub(super) type RenderResult = Result<crate::render::RenderedText, RenderProblem>;

/// Why a worker was lost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum WorkerLoss {
    /// It did not answer in time and was killed.
    Time,
    Memory,
    /// Its stack overflowed.
    Stack,
    /// Another process stopped it: the system is shutting down.
    Stopped,
    Crash(String),
}

/// Why an exchange with a worker failed.
enum ExchangeFault {
    /// The worker did not answer in time.
    Late,
    /// The worker has ended, or sent an unexpected reply.
    Gone(String),
}

/// A running worker. It is killed when it is dropped.
pub(super) struct RenderWorker {
    child: Child,
    stream: UnixStream,
    /// The sources that it has loaded, and whether for traced renders.
    loaded: Option<(u64, bool)>,
    /// Total time of its renders.
    busy: Duration,
}

impl RenderWorker {
    /// # Errors
    /// The program cannot be started.
    pub fn start(program: &WorkerProgram) -> io::Result<Self> {
        let (mut stream, theirs) = UnixStream::pair()?;
        let mut command = Command::new(&program.path);
        command.args(&program.arguments).env_clear();
        command.envs(program.environment.iter().map(|(name, value)| (name, value)));
        // Signals that a terminal sends to the server's process group must not reach it.
        command.process_group(0).stdin(OwnedFd::from(theirs)).stdout(Stdio::null()).stderr(Stdio::piped());
        let child = command.spawn()?;
        drop(command);
        let begun = wire::send(&mut stream, &WorkerRequest::Begin { niceness: program.niceness });
        let worker = RenderWorker { child, stream, loaded: None, busy: Duration::ZERO };
        begun.map(|()| worker)
    }

    /// Whether it is alive and not due for replacement.
    pub fn is_fit(&mut self) -> bool {
        self.busy < WORN_AFTER && matches!(self.child.try_wait(), Ok(None))
    }

    /// Renders a document.
    ///
    /// # Errors
    /// Why the worker was lost.
    pub fn perform(mut self, work: &WorkerTask) -> Result<(Self, RenderResult), WorkerLoss> {
        match self.exchange(work) {
            Ok(outcome) => Ok((self, outcome)),
            Err(fault) => Err(self.end(fault)),
        }
    }

    fn exchange(&mut self, work: &WorkerTask) -> Result<RenderResult, ExchangeFault> {
        let wanted = (work.sources.id, work.traces);
        if self.loaded != Some(wanted) {
            let TemplateSources { templates, broken, .. } = &*work.sources;
            let (templates, broken) = (Cow::Borrowed(templates.as_slice()), Cow::Borrowed(broken.as_slice()));
            let load =
                wire::frame(&WorkerRequest::Load { templates, broken, traces: work.traces }).map_err(gone)?;
            match self.ask(&load, Instant::now() + LOAD_MAX)? {
                WorkerReply::Loaded => self.loaded = Some(wanted),
                WorkerReply::Rendered(_) => {
                    return Err(ExchangeFault::Gone("it sent an unexpected reply".to_owned()));
                }
            }
        }
        let begun = Instant::now();
        let reply = self.ask(&work.frame, begun + work.deadline + GRACE)?;
        self.busy += begun.elapsed();
        match reply {
            WorkerReply::Rendered(rendered) => Ok(rendered.map(Into::into)),
            WorkerReply::Loaded => Err(ExchangeFault::Gone("it sent an unexpected reply".to_owned())),
        }
    }

    fn ask(&mut self, frame: &[u8], until: Instant) -> Result<WorkerReply, ExchangeFault> {
        let mut timed = TimedStream { stream: &mut self.stream, until };
        let late = |error: io::Error| match error.kind() {
            io::ErrorKind::TimedOut => ExchangeFault::Late,
            _ => gone(error),
        };
        timed.write_all(frame).map_err(late)?;
        let reply = wire::receive(&mut timed).map_err(late)?;
        reply.ok_or_else(|| ExchangeFault::Gone("it ended".to_owned()))
    }

    /// Kills the worker and returns why it was lost.
    fn end(mut self, fault: ExchangeFault) -> WorkerLoss {
        if matches!(fault, ExchangeFault::Late) || !self.has_closed() {
            // An error means that it has ended already.
            let _ = self.child.kill();
        }
        // It is dead or dying, so this read ends. A worker that ended by itself keeps its own exit status.
        let mut last_words = Vec::new();
        if let Some(stderr) = self.child.stderr.take() {
            let _ = stderr.take(LAST_WORDS_BYTES_MAX).read_to_end(&mut last_words);
        }
        let status = self.child.wait();
        match fault {
            ExchangeFault::Late => WorkerLoss::Time,
            ExchangeFault::Gone(why) => loss_of(status, (&String::from_utf8_lossy(&last_words), why)),
        }
    }

    /// Whether its end of the socket is closed: it has ended or is about to.
    fn has_closed(&self) -> bool {
        let mut stream = &self.stream;
        let _ = stream.set_read_timeout(Some(GRACE));
        match stream.read(&mut [0]) {
            Ok(bytes) => bytes == 0,
            Err(error) => timed_out(error).kind() != io::ErrorKind::TimedOut,
        }
    }
}

impl Drop for RenderWorker {
    fn drop(&mut self) {
        // An error means that it has ended and was waited for.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn gone(error: io::Error) -> ExchangeFault {
    ExchangeFault::Gone(error.to_string())
}

/// The cause of a loss, by the exit status of the process.
fn loss_of(status: io::Result<ExitStatus>, (last_words, why): (&str, String)) -> WorkerLoss {
    if last_words.contains("memory allocation of") {
        return WorkerLoss::Memory;
    }
    if last_words.contains("has overflowed its stack") {
        return WorkerLoss::Stack;
    }
    match status.ok().and_then(|status| status.signal()) {
        Some(SIGTERM | SIGINT | SIGHUP) => WorkerLoss::Stopped,
        // A kill that did not come from the server came from the kernel, which ran out of memory.
        Some(SIGKILL) => WorkerLoss::Memory,
        Some(SIGXCPU) => WorkerLoss::Time,
        Some(signal) => WorkerLoss::Crash(format!("signal {signal}")),
        None => WorkerLoss::Crash(why),
    }
}

const SIGHUP: i32 = 1;
const SIGINT: i32 = 2;
const SIGKILL: i32 = 9;
const SIGTERM: i32 = 15;
const SIGXCPU: i32 = 24;

impl WorkerLoss {
    /// The label in metrics.
    pub fn as_str(&self) -> &'static str {
        match self {
            WorkerLoss::Time => "time",
            WorkerLoss::Memory => "memory",
            WorkerLoss::Stack => "stack",
            WorkerLoss::Stopped | WorkerLoss::Crash(_) => "crash",
        }
    }

    /// The message for the author of the template.
    pub fn problem(&self, template: &str, deadline: Duration) -> RenderProblem {
        let (kind, message) = match self {
            WorkerLoss::Time => (
                ProblemKind::Limit,
                format!("the render was ended after the {deadline:?} it may take: look for loops over loops"),
            ),
            WorkerLoss::Memory => (
                ProblemKind::Limit,
                format!(
                    "the render was ended at the {} MiB of memory it may take: look for texts and lists that \
                     grow in a loop",
                    MEMORY_BYTES_MAX >> 20
                ),
            ),
            WorkerLoss::Stack => {
                (ProblemKind::Limit, "the render was ended because its values nest too deep".to_owned())
            }
            WorkerLoss::Stopped => (ProblemKind::Busy, "the render worker was told to stop".to_owned()),
            WorkerLoss::Crash(why) => (
                ProblemKind::Template,
                format!(
                    "the template engine failed in a way it should not ({why}): please report the template"
                ),
            ),
        };
        RenderProblem::new(kind, template, message)
    }
}

/// A stream whose reads and writes end at a deadline.
struct TimedStream<'a> {
    stream: &'a mut UnixStream,
    until: Instant,
}

impl TimedStream<'_> {
    fn left(&self) -> io::Result<Duration> {
        let left = self.until.saturating_duration_since(Instant::now());
        if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(left) }
    }
}

/// Sockets return "would block" when their time is up.
fn timed_out(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::WouldBlock => io::ErrorKind::TimedOut.into(),
        _ => error,
    }
}

impl Read for TimedStream<'_> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let left = self.left()?;
        self.stream.set_read_timeout(Some(left))?;
        self.stream.read(bytes).map_err(timed_out)
    }
}

impl Write for TimedStream<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let left = self.left()?;
        self.stream.set_write_timeout(Some(left))?;
        self.stream.write(bytes).map_err(timed_out)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}
