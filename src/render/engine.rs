//! Template sets that are compiled once and rendered many times.
//!
//! An [`RenderEngine`] is one content generation: when content changes, build a new one and swap it in.
//! Rendering blocks the caller, up to about the deadline. The worker processes of the [`RenderPool`], which
//! have the same templates, do the work; async code must call it through a blocking task. Give bodies that
//! are rendered often a name and compile them with the set: [`RenderEngine::render_inline`] parses its body
//! every time.

use std::borrow::Borrow;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::model::{
    INLINE_TEMPLATE, LINES_MAX, LineOrigin, TemplatePlace, is_path_template, nearest, sha256_hex,
};
pub use crate::model::{Provenance, TemplateUse};
use crate::render::compile::{self, TemplateSet};
use crate::render::context::RenderInput;
use crate::render::pool::RenderPool;
use crate::render::problem::{ProblemKind, RenderProblem};
use crate::render::process::{TemplateSources, WorkerTask};
use crate::render::references;
use crate::render::wire::{self, RenderOrder, RenderSource, WorkerRequest};

/// The name of an unnamed body in problems and provenance.
pub const INLINE: &str = INLINE_TEMPLATE;

/// The longest deadline of a render.
pub const DEADLINE_MAX: Duration = Duration::from_secs(60);

/// The limits of one render.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RenderLimits {
    /// The time for waiting for a worker, and again for the render itself; at most [`DEADLINE_MAX`].
    pub deadline: Duration,
    pub output_bytes_max: usize,
    /// Numbers that all calls of `range` together may return.
    pub fuel: u64,
}

impl Default for RenderLimits {
    fn default() -> Self {
        RenderLimits { deadline: Duration::from_secs(2), output_bytes_max: 4 * 1024 * 1024, fuel: 1_000_000 }
    }
}

/// A text that is not stored as a template.
#[derive(Clone, Copy, Debug)]
pub struct InlineText<'a> {
    /// What problems, the log and `/readyz` call it: the object that it is in and its field,
    /// `debian-12-install/boot_params`.
    pub place: &'a str,
    pub body: &'a str,
    /// The text is no template: it is its own document.
    pub verbatim: bool,
}

/// A stored template.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TemplateSource {
    pub name: String,
    pub body: String,
    /// The body is no template: it is put into documents as it is.
    pub verbatim: bool,
}

impl<N: Into<String>, B: Into<String>> From<(N, B)> for TemplateSource {
    fn from((name, body): (N, B)) -> Self {
        TemplateSource { name: name.into(), body: body.into(), verbatim: false }
    }
}

/// The templates that a text names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NamedTemplates {
    /// Those of `include_optional` may be absent.
    pub names: Vec<String>,
    /// Folders of templates: it may include each template whose name begins with one and a slash.
    pub folders: Vec<String>,
}

/// A document and what it was made from. Its `Debug` leaves the text out: it may hold secrets.
#[derive(Clone, PartialEq, Eq)]
pub struct RenderedText {
    pub text: String,
    /// SHA-256 of the text, in lower-case hex.
    pub sha256: String,
    pub provenance: Provenance,
    /// Where each line comes from, if the render was traced: at most [`crate::model::LINES_MAX`].
    pub lines: Vec<LineOrigin>,
}

impl fmt::Debug for RenderedText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rendered")
            .field("bytes", &self.text.len())
            .field("sha256", &self.sha256)
            .field("provenance", &self.provenance)
            .finish()
    }
}

/// All usable templates of one content generation. Cheap to clone.
#[derive(Clone)]
pub struct RenderEngine {
    set: Arc<TemplateSet>,
    /// The usable templates in the form that workers get.
    sources: Arc<TemplateSources>,
    pool: Arc<RenderPool>,
    traces: bool,
}

/// The fault of a template, given those that it can include.
pub fn check(
    template: TemplateSource,
    others: impl IntoIterator<Item = TemplateSource>,
) -> Option<RenderProblem> {
    let name = template.name.clone();
    compile::compile(others.into_iter().chain([template])).broken.remove(&name)
}

/// The faults of templates that stand together, by their names.
pub fn check_all(templates: impl IntoIterator<Item = TemplateSource>) -> BTreeMap<String, RenderProblem> {
    compile::compile(templates).broken
}

/// The templates that a text, which is a template, includes or extends.
pub fn included(body: &str) -> NamedTemplates {
    let found = references::scan(body);
    let named = found.templates.into_iter().chain(found.optional);
    let folders = found.folders.into_iter();
    NamedTemplates {
        names: named.map(|reference| reference.name).collect(),
        folders: folders.map(|reference| reference.name).collect(),
    }
}

impl RenderEngine {
    /// Compiles templates. Returns the problems of broken ones beside the engine,
    /// which has all the others; rendering a broken template returns its problem.
    pub fn compile<T: Into<TemplateSource>>(
        pool: &Arc<RenderPool>,
        templates: impl IntoIterator<Item = T>,
    ) -> (RenderEngine, Vec<(String, RenderProblem)>) {
        static NEXT_ID: AtomicU64 = AtomicU64::new(1);
        let mut templates: Vec<TemplateSource> = templates.into_iter().map(Into::into).collect();
        let set = compile::compile(templates.iter().cloned());
        tracing::debug!(given = set.given, broken = set.broken.len(), "templates were compiled");
        templates.retain(|template| set.known.contains_key(&template.name));
        let broken: Vec<(String, RenderProblem)> =
            set.broken.iter().map(|(name, problem)| (name.clone(), problem.clone())).collect();
        let id = NEXT_ID.fetch_add(1, Ordering::Relaxed);
        let sources = Arc::new(TemplateSources { id, templates, broken: broken.clone() });
        (RenderEngine { set: Arc::new(set), sources, pool: Arc::clone(pool), traces: false }, broken)
    }

    /// The same templates, rendered by the workers of another pool.
    #[must_use]
    pub fn on(self, pool: &Arc<RenderPool>) -> Self {
        RenderEngine { pool: Arc::clone(pool), ..self }
    }

    /// The same templates, whose renders tell where each line comes from. They take longer.
    #[must_use]
    pub fn traced(self) -> Self {
        RenderEngine { traces: true, ..self }
    }

    /// The usable templates, sorted.
    pub fn names(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self.set.known.keys().map(String::as_str).collect();
        names.sort_unstable();
        names
    }

    /// Renders a named template. Blocks; see [`RenderLimits::deadline`].
    ///
    /// # Errors
    /// No usable template has the name, the template failed on this input, or the render exceeded a limit.
    pub fn render(
        &self,
        name: &str,
        input: impl Borrow<RenderInput>,
        limits: RenderLimits,
    ) -> Result<RenderedText, RenderProblem> {
        if !self.set.known.contains_key(name) {
            return Err(self.unknown(name));
        }
        self.start(&RenderSource::Named(name.to_owned()), input.borrow(), limits)
    }

    /// Renders an unnamed body. It may include named templates but cannot extend one.
    ///
    /// # Errors
    /// As [`RenderEngine::render`]; problems name the place of the text.
    pub fn render_inline(
        &self,
        text: InlineText<'_>,
        input: impl Borrow<RenderInput>,
        limits: RenderLimits,
    ) -> Result<RenderedText, RenderProblem> {
        let InlineText { place, body, verbatim } = text;
        if verbatim {
            return as_it_is(text, limits).map(|rendered| self.with_own_lines(place, rendered));
        }
        self.start(
            &RenderSource::Inline { place: place.to_owned(), body: body.to_owned() },
            input.borrow(),
            limits,
        )
    }

    /// The origins of the lines of a text that is its own document.
    fn with_own_lines(&self, place: &str, rendered: RenderedText) -> RenderedText {
        let told = if self.traces { LINES_MAX } else { 0 };
        let numbers = (1..).zip(rendered.text.lines()).take(told);
        let places = numbers.map(|(line, _)| TemplatePlace { template: place.to_owned(), line });
        let lines = places.map(LineOrigin::of).collect();
        RenderedText { lines, ..rendered }
    }

    fn unknown(&self, name: &str) -> RenderProblem {
        if let Some(problem) = self.set.broken.get(name) {
            return problem.clone();
        }
        let meant = nearest(name, self.set.known.keys().map(String::as_str))
            .map_or_else(String::new, |meant| format!(" Did you mean `{meant}`?"));
        RenderProblem::new(ProblemKind::Template, name, format!("there is no template `{name}`.{meant}"))
    }

    fn task(&self, frame: Vec<u8>, deadline: Duration) -> WorkerTask {
        WorkerTask { sources: Arc::clone(&self.sources), traces: self.traces, frame, deadline }
    }

    fn start(
        &self,
        source: &RenderSource,
        input: &RenderInput,
        limits: RenderLimits,
    ) -> Result<RenderedText, RenderProblem> {
        let limits = RenderLimits { deadline: limits.deadline.min(DEADLINE_MAX), ..limits };
        let order = WorkerRequest::Render(Box::new(RenderOrder::new(source, input, limits)));
        let frame = wire::frame(&order)
            .map_err(|error| RenderProblem::new(ProblemKind::Limit, source.name(), error.to_string()))?;
        let deadline = limits.deadline;
        if !self.traces {
            return self.pool.run(source, self.task(frame, deadline));
        }
        match self.pool.run(source, self.task(frame.clone(), deadline)) {
            // The marks of a traced render move the columns.
            Err(problem) if !matches!(problem.kind, ProblemKind::Busy | ProblemKind::Limit) => {
                let plain = RenderEngine { traces: false, ..self.clone() };
                plain.pool.run(source, plain.task(frame, deadline))
            }
            Err(problem) => Err(RenderProblem { column: None, ..problem }),
            done => done,
        }
    }
}

/// The document of a text that is no template. Its lines are those of the text.
fn as_it_is(text: InlineText<'_>, limits: RenderLimits) -> Result<RenderedText, RenderProblem> {
    let InlineText { place, body, .. } = text;
    if body.len() > limits.output_bytes_max {
        let message =
            format!("the document is longer than the {} bytes it may have", limits.output_bytes_max);
        return Err(RenderProblem::new(ProblemKind::Limit, place, message));
    }
    let sha256 = sha256_hex(body);
    let own = TemplateUse { name: INLINE.to_owned(), sha256: sha256.clone() };
    let provenance = Provenance { templates: vec![own], params: Vec::new(), secret: false, now: None };
    Ok(RenderedText { text: body.to_owned(), sha256, provenance, lines: Vec::new() })
}

/// Limits for rendering the path of a file.
const PATH_LIMITS: RenderLimits =
    RenderLimits { deadline: Duration::from_secs(2), output_bytes_max: 4096, fuel: 10_000 };

/// A path, rendered if it is a template; `place` is its name in problems.
///
/// # Errors
/// As [`RenderEngine::render`].
pub fn rendered_path(
    engine: &RenderEngine,
    (place, path): (&str, &str),
    input: &RenderInput,
) -> Result<String, RenderProblem> {
    if !is_path_template(path) {
        return Ok(path.to_owned());
    }
    let text = InlineText { place, body: path, verbatim: false };
    Ok(engine.render_inline(text, input, PATH_LIMITS)?.text.trim().to_owned())
}
