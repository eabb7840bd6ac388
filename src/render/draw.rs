//! One render inside of a worker: the template engine within a scope.

use std::io;
use std::rc::Rc;
use std::time::Instant;

use tera::Context;

use crate::model::sha256_hex;
use crate::render::compile::TemplateSet;
use crate::render::context::RenderInput;
use crate::render::engine::{Provenance, RenderLimits, RenderedText};
use crate::render::problem::{ProblemKind, RenderProblem, from_tera};
use crate::render::scope::{self, RenderScope, ScopeInput};
use crate::render::wire::RenderSource;

/// Writes between two checks of the deadline.
const WRITES_UNCHECKED_MAX: u32 = 32;
/// Initial capacity of the output; most documents are smaller.
const OUTPUT_BYTES_START: usize = 4096;

impl RenderSource {
    /// Its name in problems.
    pub fn name(&self) -> &str {
        match self {
            RenderSource::Named(name) => name,
            RenderSource::Inline { place, .. } => place,
        }
    }
}

/// Renders. The limits are checked where the template allows it: in functions and at output.
pub(super) fn draw(
    set: &TemplateSet,
    source: &RenderSource,
    input: RenderInput,
    limits: RenderLimits,
) -> Result<RenderedText, RenderProblem> {
    let mut context = Context::new();
    for (name, value) in input.variables {
        let value =
            tera::Value::try_from_serializable(&value).map_err(|error| from_tera(&error, source.name()))?;
        context.insert_value(name, value);
    }
    let input = ScopeInput {
        params: input.params,
        callbacks: input.callbacks,
        repositories: input.repositories,
        agent_token: input.agent_token,
        salt_seed: input.salt_seed,
    };
    let deadline = Instant::now() + limits.deadline;
    let scope = Rc::new(RenderScope::new(input, deadline, limits.fuel));
    let entered = scope::enter(Rc::clone(&scope));
    let mut output = CappedOutput::new(&scope, limits.output_bytes_max);
    let done = match source {
        RenderSource::Named(name) => set.tera.render_to(name, &context, &mut output),
        RenderSource::Inline { body, .. } => set.tera.render_str_to(body, &context, false, &mut output),
    };
    drop(entered);
    let bytes = output.bytes;
    let text = done
        .and_then(|()| Ok(String::from_utf8(bytes)?))
        .map_err(|error| problem_of(&error, source.name(), &scope))?;
    let templates = match source {
        RenderSource::Named(name) => set.known.get(name).map(|known| known.uses.clone()).unwrap_or_default(),
        RenderSource::Inline { body, .. } => set.uses_of_inline(body),
    };
    let provenance = Provenance { templates, params: scope.reads(), secret: scope.secret_read() };
    Ok(RenderedText { sha256: sha256_hex(&text), text, provenance })
}

/// The engine's error, with what the failed function recorded. Once a secret was read, only place and kind
/// are reported: any value in a message may have been made from the secret.
fn problem_of(error: &tera::Error, template: &str, scope: &RenderScope) -> RenderProblem {
    let mut problem = from_tera(error, template);
    if let Some(failure) = scope.failure() {
        problem.kind = failure.kind;
        problem.message = failure.message;
        problem.available = failure.available;
    }
    if scope.secret_read() {
        problem.message = withheld(problem.kind);
        problem.available.clear();
    }
    problem.of_inline(template)
}

/// The message for a render that has read a secret.
fn withheld(kind: ProblemKind) -> String {
    let what = match kind {
        ProblemKind::Template => "the template fails here",
        ProblemKind::Include => "a template is included here that cannot be used",
        ProblemKind::Missing => "a param without a value is read here",
        ProblemKind::Sealed => "a secret that stays sealed is read here",
        ProblemKind::Limit => "the render took too long, wrote too much or looped too often",
        ProblemKind::Busy => "no render worker was free",
    };
    format!("{what}; the message is withheld, because the template had read a secret")
}

/// Accepts output up to a bound, and checks the deadline at intervals.
struct CappedOutput<'a> {
    bytes: Vec<u8>,
    bytes_max: usize,
    writes: u32,
    scope: &'a RenderScope,
}

impl<'a> CappedOutput<'a> {
    fn new(scope: &'a RenderScope, bytes_max: usize) -> Self {
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
