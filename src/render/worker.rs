//! The render worker: a process that renders for one server.
//!
//! A template can loop without end, recurse deeply and use memory in ways that cannot be stopped from inside
//! the process. So the server renders in processes that it can kill (`pool`). Before it reads a template, a
//! worker limits its own writable memory ([`MEMORY_BYTES_MAX`]) and processor time ([`CPU_SECONDS_MAX`]). It
//! ends with the thread that started it. Start at [`run`].

use std::io;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread;

use rustix::process::{Resource, Rlimit, Signal, nice, set_parent_process_death_signal, setrlimit};

use crate::render::compile::{self, TemplateSet};
use crate::render::draw::draw;
use crate::render::engine::RenderedText;
use crate::render::problem::{ProblemKind, RenderProblem};
use crate::render::wire::{self, RenderOrder, WorkerReply, WorkerRequest};

/// Writable memory of a worker, in bytes: templates, input, output, and what a template builds.
pub const MEMORY_BYTES_MAX: u64 = 128 << 20;
/// Processor time of a worker in its life. The server replaces a worker long before, and kills a render at
/// its deadline; this bound is for a server that has ended or is stopped.
pub const CPU_SECONDS_MAX: u64 = 300;
/// The stack of the rendering thread: 32 includes inside of 20 components need a part of it.
const STACK_BYTES: usize = 16 * 1024 * 1024;

/// Serves the server at the other end of stdin, a socket, until the server closes it.
///
/// # Errors
/// Stdin is not a socket, the limits cannot be set, or the server sent an invalid request.
pub fn run() -> io::Result<()> {
    set_parent_process_death_signal(Some(Signal::KILL))?;
    setrlimit(Resource::Data, equal_limits(MEMORY_BYTES_MAX))?;
    setrlimit(Resource::Cpu, equal_limits(CPU_SECONDS_MAX))?;
    setrlimit(Resource::Core, equal_limits(0))?;
    // The reply reports a panic of the template engine.
    std::panic::set_hook(Box::new(|_| ()));
    let stream = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    let rendering = thread::Builder::new().name("render".to_owned()).stack_size(STACK_BYTES);
    let served = rendering.spawn(move || serve(stream))?.join();
    served.unwrap_or_else(|_| Err(io::Error::other("the render worker failed")))
}

fn equal_limits(bound: u64) -> Rlimit {
    Rlimit { current: Some(bound), maximum: Some(bound) }
}

fn serve(mut stream: UnixStream) -> io::Result<()> {
    let mut set = Arc::new(compile::compile([]));
    while let Some(request) = wire::receive::<WorkerRequest<'_>>(&mut stream)? {
        let reply = match request {
            WorkerRequest::Begin { niceness } => {
                // If that is not allowed, the worker has the same priority as other processes.
                let _ = nice(niceness);
                continue;
            }
            WorkerRequest::Load { templates, broken, traces } => {
                let mut loaded = match traces {
                    true => compile::compile_traced(&templates),
                    false => compile::compile(templates.into_owned()),
                };
                loaded.broken.extend(broken.into_owned());
                set = Arc::new(loaded);
                WorkerReply::Loaded
            }
            WorkerRequest::Render(order) => WorkerReply::Rendered(render(&set, *order).map(Into::into)),
        };
        wire::send(&mut stream, &reply)?;
    }
    Ok(())
}

fn render(set: &Arc<TemplateSet>, order: RenderOrder<'_>) -> Result<RenderedText, RenderProblem> {
    let limits = order.limits();
    let (source, input) = order.into_source_and_input();
    let drawn = catch_unwind(AssertUnwindSafe(|| draw(set, &source, input, limits)));
    drawn.unwrap_or_else(|_| {
        let message = "the template engine failed in a way it should not: please report the template";
        Err(RenderProblem::new(ProblemKind::Template, source.name(), message))
    })
}

#[cfg(test)]
pub(super) mod tests {
    /// The variable that makes this test program a worker.
    pub(in crate::render) const AS_WORKER: &str = "RENDER_WORKER_OF_A_TEST";
    /// The test that is the worker.
    pub(in crate::render) const WORKER_TEST: &str =
        "render::worker::tests::the_test_program_is_a_worker_where_it_was_started_as_one";

    #[test]
    fn the_test_program_is_a_worker_where_it_was_started_as_one() {
        if std::env::var_os(AS_WORKER).is_some() {
            let ended = super::run();
            std::process::exit(i32::from(ended.is_err()));
        }
    }
}
