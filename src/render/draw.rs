//! One render inside of a worker: the template engine within a scope.

use std::borrow::Cow;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use tera::{Context, TeraResult};

use crate::model::{LineOrigin, sha256_hex};
use crate::render::compile::TemplateSet;
use crate::render::context::RenderInput;
use crate::render::engine::{Provenance, RenderLimits, RenderedText, TemplateUse};
use crate::render::inner::InnerRenders;
use crate::render::line_trace::LineTracer;
use crate::render::marking::marked;
use crate::render::nesting::inline_problem;
use crate::render::problem::{ProblemKind, RenderProblem, from_tera};
use crate::render::references::{TemplateReferences, scan};
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
    set: &Arc<TemplateSet>,
    source: &RenderSource,
    input: RenderInput,
    limits: RenderLimits,
) -> Result<RenderedText, RenderProblem> {
    let references = match source {
        RenderSource::Named(_) => None,
        RenderSource::Inline { body, .. } => Some(scan(body)),
    };
    if let Some(problem) = references.as_ref().and_then(|found| inline_problem(source.name(), found)) {
        return Err(problem);
    }
    let (body, trace) = traced_body(set, source, &input);
    let mut context = Context::new();
    for (name, value) in input.variables {
        let value =
            tera::Value::try_from_serializable(&value).map_err(|error| from_tera(&error, source.name()))?;
        context.insert_value(name, value);
    }
    let context = Rc::new(context);
    let input = ScopeInput {
        params: input.params,
        callbacks: input.callbacks,
        repositories: input.repositories,
        agent_token: input.agent_token,
        salt_seed: input.salt_seed,
        now: input.now,
    };
    let deadline = Instant::now() + limits.deadline;
    let inner = InnerRenders::new(set, &context, limits.output_bytes_max);
    let scope = Rc::new(RenderScope::new(input, inner, (deadline, limits.fuel)).traced(trace));
    let entered = scope::enter(Rc::clone(&scope));
    let mut output = CappedOutput::new(&scope, limits.output_bytes_max);
    let done = match source {
        RenderSource::Named(name) => set.tera.render_to(name, &context, &mut output),
        RenderSource::Inline { .. } => set.tera.render_str_to(&body, &context, false, &mut output),
    };
    drop(entered);
    let text =
        done.and_then(|()| output.into_text()).map_err(|error| problem_of(&error, source.name(), &scope))?;
    let provenance = Provenance {
        templates: templates_used(set, (source, references.as_ref()), &scope),
        params: scope.reads(),
        secret: scope.secret_read(),
        now: scope.now_read(),
    };
    let lines: Vec<LineOrigin> = scope.trace.as_ref().map(LineTracer::lines).unwrap_or_default();
    Ok(RenderedText { sha256: sha256_hex(&text), text, provenance, lines })
}

/// The text to render, unless it is a stored template, and what notes where its lines come from: if the
/// templates of the set have marks, the text gets them, too.
fn traced_body<'a>(
    set: &TemplateSet,
    source: &'a RenderSource,
    input: &RenderInput,
) -> (Cow<'a, str>, Option<LineTracer>) {
    let body = match source {
        RenderSource::Named(_) => "",
        RenderSource::Inline { body, .. } => body,
    };
    let Some(points) = &set.points else { return (Cow::Borrowed(body), None) };
    let mut own = Vec::new();
    let numbered = (points.len(), &mut own);
    let Some(marked) = marked((source.name(), body), numbered) else { return (Cow::Borrowed(body), None) };
    let known = input.variables.keys().cloned().collect();
    (Cow::Owned(marked), Some(LineTracer::new((Arc::clone(points), own), source.name(), known)))
}

/// The template, those that it can include, and those that were included by a computed name.
fn templates_used(
    set: &TemplateSet,
    (source, references): (&RenderSource, Option<&TemplateReferences>),
    scope: &RenderScope,
) -> Vec<TemplateUse> {
    let mut templates = match (source, references) {
        (RenderSource::Inline { body, .. }, Some(references)) => set.uses_of_inline(body, references),
        (source, _) => set.known.get(source.name()).map(|known| known.uses.clone()).unwrap_or_default(),
    };
    for used in scope.inner.uses() {
        if !templates.contains(&used) {
            templates.push(used);
        }
    }
    templates
}

/// The engine's error, with what the failed function recorded. Once a secret was read, only place and kind
/// are reported: any value in a message may have been made from the secret. Why a param that is kept outside
/// could not be read is told in any case.
///
/// Where a render inside of it failed, that one's problem counts; this one's place is where it was begun.
pub(super) fn problem_of(error: &tera::Error, template: &str, scope: &RenderScope) -> RenderProblem {
    let mut problem = from_tera(error, template).of_inline(template);
    let mut is_plain = false;
    if let Some(mut inner) = scope.inner.take_problem() {
        inner.included_from.push((problem.template, problem.line.unwrap_or(1)));
        inner.included_from.append(&mut problem.included_from);
        problem = inner;
    } else if let Some(failure) = scope.failure() {
        is_plain = failure.is_plain;
        problem.kind = failure.kind;
        problem.message = failure.message;
        problem.available = failure.available;
    }
    if scope.secret_read() && !is_plain {
        problem.message = withheld(problem.kind);
        problem.available.clear();
    }
    problem
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
pub(super) struct CappedOutput<'a> {
    bytes: Vec<u8>,
    bytes_max: usize,
    writes: u32,
    scope: &'a RenderScope,
}

impl<'a> CappedOutput<'a> {
    pub fn new(scope: &'a RenderScope, bytes_max: usize) -> Self {
        CappedOutput { bytes: Vec::with_capacity(OUTPUT_BYTES_START), bytes_max, writes: 0, scope }
    }

    /// # Errors
    /// It is not UTF-8.
    pub fn into_text(self) -> TeraResult<String> {
        Ok(String::from_utf8(self.bytes)?)
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
        if let Some(trace) = &self.scope.trace {
            trace.wrote(part);
        }
        self.bytes.extend_from_slice(part);
        Ok(part.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
