//! The threads that render.
//!
//! A template can loop without end in ways nothing can interrupt, and can recurse deep. So renders run
//! on threads of their own with large stacks; a caller waits only so long; a thread that does not come
//! back is given up and replaced, up to a bound.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::render::engine::Rendered;
use crate::render::problem::{ProblemKind, RenderProblem};

/// Threads a pool may be asked for.
pub const THREADS_MAX: usize = 16;
/// Threads that may be lost in templates that do not end, beside those that work.
pub const STUCK_MAX: usize = 8;
/// Renders that may wait for a thread.
pub const QUEUE_MAX: usize = 1024;
/// The stack of a render thread: 32 includes inside 20 components need a part of it.
const STACK_BYTES: usize = 16 * 1024 * 1024;
/// How long after its deadline a render may still report by itself: it knows the line, we do not.
const GRACE: Duration = Duration::from_millis(500);

type Outcome = Result<Rendered, RenderProblem>;

/// A bounded set of render threads, shared by all content generations.
pub struct Pool {
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
    work: Condvar,
    threads: usize,
}

#[derive(Default)]
struct State {
    queue: VecDeque<Job>,
    /// Threads that take work.
    working: usize,
    /// The templates that threads were given up in.
    stuck: Vec<String>,
    closing: bool,
}

struct Job {
    template: String,
    run: Box<dyn FnOnce() -> Outcome + Send>,
    ticket: Arc<Ticket>,
}

/// Where a render in the pool stands; its caller and its thread share it.
struct Ticket {
    progress: Mutex<Progress>,
    done: Condvar,
}

enum Progress {
    Waiting,
    Running,
    Done(Box<Outcome>),
    /// The caller has gone; nobody wants the outcome.
    Abandoned,
}

impl Pool {
    /// Starts `threads` render threads (1 to [`THREADS_MAX`]).
    ///
    /// # Errors
    /// The operating system gives no thread.
    pub fn new(threads: usize) -> std::io::Result<Pool> {
        let threads = threads.clamp(1, THREADS_MAX);
        let pool =
            Pool { shared: Arc::new(Shared { state: Mutex::default(), work: Condvar::new(), threads }) };
        let mut state = locked(&pool.shared.state);
        for _ in 0..threads {
            Shared::start_thread(&pool.shared, &mut state)?;
        }
        drop(state);
        Ok(pool)
    }

    /// One thread for each processor, at least two.
    ///
    /// # Errors
    /// As [`Pool::new`].
    pub fn for_this_host() -> std::io::Result<Pool> {
        Pool::new(thread::available_parallelism().map_or(2, |processors| processors.get().max(2)))
    }

    /// Renders lost in templates that did not end and still run.
    pub fn stuck(&self) -> usize {
        locked(&self.shared.state).stuck.len()
    }

    /// Runs `run` on a render thread and waits for it until `deadline` and a moment more. Blocks.
    pub(super) fn run(
        &self,
        template: &str,
        deadline: Instant,
        run: impl FnOnce() -> Outcome + Send + 'static,
    ) -> Outcome {
        let ticket = Arc::new(Ticket { progress: Mutex::new(Progress::Waiting), done: Condvar::new() });
        let job = Job { template: template.to_owned(), run: Box::new(run), ticket: Arc::clone(&ticket) };
        self.shared.submit(job)?;
        let patience = (deadline + GRACE).saturating_duration_since(Instant::now());
        let (mut progress, _) = ticket
            .done
            .wait_timeout_while(locked(&ticket.progress), patience, |progress| {
                matches!(progress, Progress::Waiting | Progress::Running)
            })
            .unwrap_or_else(PoisonError::into_inner);
        match std::mem::replace(&mut *progress, Progress::Abandoned) {
            Progress::Done(outcome) => *outcome,
            Progress::Running => {
                // Still under the ticket's lock: the thread cannot come back before it is given up.
                Shared::give_up(&self.shared, template);
                let message = "the render did not end in the time it has, and cannot be stopped: look for \
                               loops over loops";
                Err(RenderProblem::new(ProblemKind::Limit, template, message))
            }
            Progress::Waiting | Progress::Abandoned => {
                Err(busy(template, "no render thread became free in the time this render has"))
            }
        }
    }
}

impl Drop for Pool {
    /// Threads end when they have no more work; one that is stuck ends with its template.
    fn drop(&mut self) {
        locked(&self.shared.state).closing = true;
        self.shared.work.notify_all();
    }
}

impl Shared {
    fn start_thread(shared: &Arc<Shared>, state: &mut State) -> std::io::Result<()> {
        let own = Arc::clone(shared);
        thread::Builder::new()
            .name("render".to_owned())
            .stack_size(STACK_BYTES)
            .spawn(move || own.work_until_closed())?;
        state.working += 1;
        Ok(())
    }

    fn submit(&self, job: Job) -> Result<(), RenderProblem> {
        let mut state = locked(&self.state);
        if state.working == 0 {
            let message = format!("every render thread is held by a template that does not end: {}", {
                state.stuck.join(", ")
            });
            return Err(busy(&job.template, message));
        }
        if state.queue.len() >= QUEUE_MAX {
            return Err(busy(&job.template, format!("{QUEUE_MAX} renders are waiting already")));
        }
        state.queue.push_back(job);
        drop(state);
        self.work.notify_one();
        Ok(())
    }

    fn work_until_closed(&self) {
        while let Some(job) = self.next_job() {
            if !job.ticket.start() {
                continue;
            }
            let outcome = catch_unwind(AssertUnwindSafe(job.run)).unwrap_or_else(|_| {
                let message = "the template engine failed in a way it should not: please report the template";
                Err(RenderProblem::new(ProblemKind::Template, &job.template, message))
            });
            if job.ticket.finish(outcome) == Finished::Unwanted && !self.come_back(&job.template) {
                return;
            }
        }
    }

    fn next_job(&self) -> Option<Job> {
        let mut state = locked(&self.state);
        loop {
            if let Some(job) = state.queue.pop_front() {
                return Some(job);
            }
            if state.closing {
                return None;
            }
            state = self.work.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Counts one thread as lost in `template` and starts another while the bound allows.
    fn give_up(shared: &Arc<Shared>, template: &str) {
        let mut state = locked(&shared.state);
        state.working = state.working.saturating_sub(1);
        state.stuck.push(template.to_owned());
        if state.working + state.stuck.len() < shared.threads + STUCK_MAX {
            // Without a thread from the operating system there is one worker less; `submit` says when
            // there is none.
            let _ = Shared::start_thread(shared, &mut state);
        }
    }

    /// A thread that was given up is back; answers whether it is still needed.
    fn come_back(&self, template: &str) -> bool {
        let mut state = locked(&self.state);
        if let Some(place) = state.stuck.iter().position(|name| name == template) {
            state.stuck.swap_remove(place);
        }
        let needed = state.working < self.threads;
        state.working += usize::from(needed);
        needed
    }
}

#[derive(PartialEq)]
enum Finished {
    Delivered,
    Unwanted,
}

impl Ticket {
    /// Whether the render is still wanted.
    fn start(&self) -> bool {
        let mut progress = locked(&self.progress);
        let wanted = matches!(*progress, Progress::Waiting);
        if wanted {
            *progress = Progress::Running;
        }
        wanted
    }

    fn finish(&self, outcome: Outcome) -> Finished {
        let mut progress = locked(&self.progress);
        if matches!(*progress, Progress::Abandoned) {
            return Finished::Unwanted;
        }
        *progress = Progress::Done(Box::new(outcome));
        self.done.notify_one();
        Finished::Delivered
    }
}

fn busy(template: &str, message: impl Into<String>) -> RenderProblem {
    RenderProblem::new(ProblemKind::Busy, template, message)
}

/// No code under these locks can panic half-way, so a poisoned one is sound.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
