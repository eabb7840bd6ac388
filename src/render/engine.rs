//! Templates compiled once, rendered many times.
//!
//! An [`Engine`] is one content generation: make a new one when content changes and swap it in. Rendering
//! blocks its caller, at most for the deadline, and does the work on the [`Pool`]'s threads; from async
//! code call it through a blocking task. Bodies that are rendered often should be given a name and
//! compiled with the rest: [`Engine::render_inline`] parses its body every time.
//!
//! Not bounded: what a template builds in its own variables, a string doubled in a loop or a list put
//! into itself over and over. Who may write templates can exhaust the host's memory or a thread's stack
//! on purpose; who may write templates is therefore a matter of grants.

use std::fmt;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tera::Context;

use crate::model::{nearest, sha256_hex};
use crate::render::compile::{self, TemplateSet};
use crate::render::context::Input;
use crate::render::params::ParamRead;
use crate::render::pool::Pool;
use crate::render::problem::{ProblemKind, RenderProblem, without_quoted_values};
use crate::render::references;
use crate::render::scope::{self, Scope, ScopeInput};

/// What a body without a name is called in problems and provenance.
pub const INLINE: &str = "inline";

/// The longest a render may be given.
pub const DEADLINE_MAX: Duration = Duration::from_secs(60);
/// Writes between two looks at the clock.
const WRITES_UNCHECKED_MAX: u32 = 32;
/// What an output buffer starts with; most documents are smaller.
const OUTPUT_BYTES_START: usize = 4096;

/// What one render may spend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// From the call to the outcome, waiting for a thread included; at most [`DEADLINE_MAX`].
    pub deadline: Duration,
    pub output_bytes_max: usize,
    /// Numbers that all calls of `range` may give together.
    pub fuel: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { deadline: Duration::from_secs(2), output_bytes_max: 4 * 1024 * 1024, fuel: 1_000_000 }
    }
}

/// A document and what it was made from. Its `Debug` leaves the text out: it may hold secrets.
#[derive(Clone, PartialEq, Eq)]
pub struct Rendered {
    pub text: String,
    /// Of the text, in lower-case hex.
    pub sha256: String,
    pub provenance: Provenance,
}

impl fmt::Debug for Rendered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rendered")
            .field("bytes", &self.text.len())
            .field("sha256", &self.sha256)
            .field("provenance", &self.provenance)
            .finish()
    }
}

/// What a document was made from, beside the variables of its input.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Provenance {
    /// The template and all it can include, by name.
    pub templates: Vec<TemplateUse>,
    /// The params it read, by name; a composed one once for each level it was made from.
    pub params: Vec<ParamRead>,
    /// Whether a secret was read: the text is for the machine it was made for and no one else.
    pub secret: bool,
}

/// A template as it was when it was compiled.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct TemplateUse {
    pub name: String,
    /// Of its body, in lower-case hex.
    pub sha256: String,
}

/// All usable templates of one content generation. Cheap to clone.
#[derive(Clone)]
pub struct Engine {
    set: Arc<TemplateSet>,
    pool: Arc<Pool>,
}

/// What is wrong with one template, given those it can include.
pub fn check(
    name: &str,
    body: &str,
    others: impl IntoIterator<Item = (String, String)>,
) -> Option<RenderProblem> {
    let own = (name.to_owned(), body.to_owned());
    compile::compile(others.into_iter().chain([own])).broken.remove(name)
}

/// The templates a text includes or extends, by name.
pub fn included(body: &str) -> Vec<String> {
    references::scan(body).templates.into_iter().map(|reference| reference.name).collect()
}

enum Source {
    Named(String),
    Inline(String),
}

impl Engine {
    /// Compiles templates, given by name and body. The broken ones are answered beside the engine, which
    /// has all the others; rendering a broken one gives its problem.
    pub fn compile<N: Into<String>, B: Into<String>>(
        pool: &Arc<Pool>,
        templates: impl IntoIterator<Item = (N, B)>,
    ) -> (Engine, Vec<(String, RenderProblem)>) {
        let set = compile::compile(templates.into_iter().map(|(name, body)| (name.into(), body.into())));
        let broken = set.broken.iter().map(|(name, problem)| (name.clone(), problem.clone())).collect();
        (Engine { set: Arc::new(set), pool: Arc::clone(pool) }, broken)
    }

    /// The usable templates, sorted.
    pub fn names(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self.set.known.keys().map(String::as_str).collect();
        names.sort_unstable();
        names
    }

    /// Renders a named template. Blocks, at most for the deadline and a moment.
    ///
    /// # Errors
    /// No usable template has that name, it is wrong for this input, or it ran into a limit.
    pub fn render(&self, name: &str, input: Input, limits: Limits) -> Result<Rendered, RenderProblem> {
        if !self.set.known.contains_key(name) {
            return Err(self.unknown(name));
        }
        self.start(Source::Named(name.to_owned()), input, limits)
    }

    /// Renders a body that has no name. It may include named templates and cannot extend one.
    ///
    /// # Errors
    /// As [`Engine::render`].
    pub fn render_inline(&self, body: &str, input: Input, limits: Limits) -> Result<Rendered, RenderProblem> {
        self.start(Source::Inline(body.to_owned()), input, limits)
    }

    fn unknown(&self, name: &str) -> RenderProblem {
        if let Some(problem) = self.set.broken.get(name) {
            return problem.clone();
        }
        let meant = nearest(name, self.set.known.keys().map(String::as_str))
            .map_or_else(String::new, |meant| format!(" Did you mean `{meant}`?"));
        RenderProblem::new(ProblemKind::Template, name, format!("there is no template `{name}`.{meant}"))
    }

    fn start(&self, source: Source, input: Input, limits: Limits) -> Result<Rendered, RenderProblem> {
        let deadline = Instant::now() + limits.deadline.min(DEADLINE_MAX);
        let set = Arc::clone(&self.set);
        let name = source.name().to_owned();
        self.pool.run(&name, deadline, move || draw(&set, &source, input, (deadline, limits)))
    }
}

impl Source {
    fn name(&self) -> &str {
        match self {
            Source::Named(name) => name,
            Source::Inline(_) => INLINE,
        }
    }
}

/// One render, on a thread of the pool.
fn draw(
    set: &TemplateSet,
    source: &Source,
    input: Input,
    (deadline, limits): (Instant, Limits),
) -> Result<Rendered, RenderProblem> {
    let mut context = Context::new();
    for (name, value) in input.variables {
        let value = tera::Value::try_from_serializable(&value)
            .map_err(|error| RenderProblem::from_tera(&error, source.name()))?;
        context.insert_value(name, value);
    }
    let input = ScopeInput {
        params: input.params,
        callbacks: input.callbacks,
        repositories: input.repositories,
        agent_token: input.agent_token,
        salt_seed: input.salt_seed,
    };
    let scope = Rc::new(Scope::new(input, deadline, limits.fuel));
    let entered = scope::enter(Rc::clone(&scope));
    let mut output = CappedOutput::new(&scope, limits.output_bytes_max);
    let done = match source {
        Source::Named(name) => set.tera.render_to(name, &context, &mut output),
        Source::Inline(body) => set.tera.render_str_to(body, &context, false, &mut output),
    };
    drop(entered);
    let bytes = output.bytes;
    let text = done
        .and_then(|()| Ok(String::from_utf8(bytes)?))
        .map_err(|error| problem_of(&error, source.name(), &scope))?;
    let templates = match source {
        Source::Named(name) => set.known.get(name).map(|known| known.uses.clone()).unwrap_or_default(),
        Source::Inline(body) => set.uses_of_inline(body),
    };
    let provenance = Provenance { templates, params: scope.reads(), secret: scope.secret_read() };
    Ok(Rendered { sha256: sha256_hex(&text), text, provenance })
}

/// What the template engine says, with what our own functions know beside it, without secrets.
fn problem_of(error: &tera::Error, template: &str, scope: &Scope) -> RenderProblem {
    let mut problem = RenderProblem::from_tera(error, template);
    if let Some(failure) = scope.failure() {
        problem.kind = failure.kind;
        problem.message = failure.message;
        problem.available = failure.available;
    }
    if scope.secret_read() {
        problem.message = scope.redact(&without_quoted_values(&problem.message));
        problem.available = problem.available.iter().map(|name| scope.redact(name)).collect();
    }
    problem
}

/// Takes the output up to a bound, and looks at the clock now and then.
struct CappedOutput<'a> {
    bytes: Vec<u8>,
    bytes_max: usize,
    writes: u32,
    scope: &'a Scope,
}

impl<'a> CappedOutput<'a> {
    fn new(scope: &'a Scope, bytes_max: usize) -> Self {
        CappedOutput { bytes: Vec::with_capacity(OUTPUT_BYTES_START), bytes_max, writes: 0, scope }
    }
}

impl io::Write for CappedOutput<'_> {
    fn write(&mut self, part: &[u8]) -> io::Result<usize> {
        if part.len() > self.bytes_max.saturating_sub(self.bytes.len()) {
            let message = format!("the document is longer than the {} bytes it may have", self.bytes_max);
            self.scope.refuse(ProblemKind::Limit, message);
            return Err(io::Error::other("output limit"));
        }
        self.writes += 1;
        if self.writes >= WRITES_UNCHECKED_MAX {
            self.writes = 0;
            self.scope.check_deadline().map_err(|_| io::Error::other("deadline"))?;
        }
        self.bytes.extend_from_slice(part);
        Ok(part.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
