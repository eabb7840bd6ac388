//! Renders inside of a render: [`include_from`], a template whose name is computed, [`include_optional`], a
//! template that may be absent, and [`expand`], values that are templates themselves.
//!
//! What they use is added to the provenance of the document. The folders of `include_from` are plain texts
//! in the templates, so `references` knows all templates that a document can reach.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::rc::Rc;
use std::sync::Arc;

use tera::{Context, Kwargs, Map, TeraResult, Value};

use crate::model::{TemplateUse, nearest};
use crate::render::compile::{TemplateSet, root_cause};
use crate::render::draw::{CappedOutput, problem_of};
use crate::render::filters::wrong;
use crate::render::problem::{ProblemKind, RenderProblem};
use crate::render::references::scan;
use crate::render::scope::RenderScope;

/// Most renders inside of one another: each has a stack of its own includes and components.
pub(super) const INNER_DEPTH_MAX: usize = 4;
/// Longest text that is expanded, in bytes.
const EXPANDED_BYTES_MAX: usize = 64 << 10;
/// Most levels of lists and maps in a value that is expanded.
const EXPANDED_LEVELS_MAX: usize = 32;
/// What a template is called in problems that is the value of something.
const EXPANDED: &str = "expanded value";

/// What renders inside of a render need, and what they used.
pub(super) struct InnerRenders {
    set: Arc<TemplateSet>,
    /// The variables of the document.
    context: Rc<Context>,
    output_bytes_max: usize,
    depth: Cell<usize>,
    /// How many values are being expanded.
    expanding: Cell<usize>,
    uses: RefCell<BTreeSet<TemplateUse>>,
    problem: RefCell<Option<RenderProblem>>,
}

/// The source of such a render.
#[derive(Clone, Copy)]
enum InnerSource<'a> {
    Template(&'a str),
    Text(&'a str),
}

impl InnerRenders {
    pub fn new(set: &Arc<TemplateSet>, context: &Rc<Context>, output_bytes_max: usize) -> Self {
        InnerRenders {
            set: Arc::clone(set),
            context: Rc::clone(context),
            output_bytes_max,
            depth: Cell::new(0),
            expanding: Cell::new(0),
            uses: RefCell::default(),
            problem: RefCell::default(),
        }
    }

    /// Whether a value is being expanded. Who writes values is not who writes templates: they read no secret.
    pub fn is_expanding(&self) -> bool {
        self.expanding.get() > 0
    }

    /// The templates that were used beyond those that the document names.
    pub fn uses(&self) -> Vec<TemplateUse> {
        self.uses.borrow().iter().cloned().collect()
    }

    /// The problem of the inner render that failed.
    pub fn take_problem(&self) -> Option<RenderProblem> {
        self.problem.borrow_mut().take()
    }

    fn render(&self, source: InnerSource<'_>, with: Option<&Map>, scope: &RenderScope) -> TeraResult<String> {
        if self.depth.get() >= INNER_DEPTH_MAX {
            let message = format!(
                "`include_from`, `include_optional` and `expand` nest more than {INNER_DEPTH_MAX} deep: look \
                 for a circle"
            );
            return Err(scope.refuse(ProblemKind::Limit, message));
        }
        let mut context = Rc::clone(&self.context);
        if let Some(with) = with {
            let own = Rc::make_mut(&mut context);
            for (name, value) in with.iter() {
                own.insert_value(name.as_str().unwrap_or_default().to_owned(), value.clone());
            }
        }
        self.depth.set(self.depth.get() + 1);
        let outer = scope.trace.as_ref().map(|trace| (trace, trace.begin_inner()));
        let mut output = CappedOutput::new(scope, self.output_bytes_max);
        let (name, done) = match source {
            InnerSource::Template(name) => (name, self.set.tera.render_to(name, &context, &mut output)),
            InnerSource::Text(text) => {
                (EXPANDED, self.set.tera.render_str_to(text, &context, false, &mut output))
            }
        };
        self.depth.set(self.depth.get() - 1);
        let text = done.and_then(|()| output.into_text());
        if let Some((trace, outer)) = outer {
            let of_template = matches!(source, InnerSource::Template(_));
            trace.end_inner(outer, text.as_deref().ok().filter(|_| of_template));
        }
        text.map_err(|error| {
            let problem = problem_of(&error, name, scope);
            let message = problem.message.clone();
            *self.problem.borrow_mut() = Some(problem);
            wrong(message)
        })
    }

    fn expand(&self, value: &Value, levels: usize, scope: &RenderScope) -> TeraResult<Value> {
        if levels == 0 {
            let message = format!("`expand` takes values of at most {EXPANDED_LEVELS_MAX} levels");
            return Err(scope.refuse(ProblemKind::Limit, message));
        }
        if let Some(text) = value.as_str() {
            return self.expand_text(text, scope).map(Value::from);
        }
        if let Some(members) = value.as_array() {
            let members = members.iter().map(|member| self.expand(member, levels - 1, scope));
            return Ok(Value::from(members.collect::<TeraResult<Vec<Value>>>()?));
        }
        let Some(map) = value.as_map() else { return Ok(value.clone()) };
        let members =
            map.iter().map(|(key, member)| Ok((key.clone(), self.expand(member, levels - 1, scope)?)));
        Ok(Value::from(members.collect::<TeraResult<Map>>()?))
    }

    fn expand_text(&self, text: &str, scope: &RenderScope) -> TeraResult<String> {
        scope.check_deadline()?;
        if !["{{", "{%", "{#"].iter().any(|opening| text.contains(opening)) {
            return Ok(text.to_owned());
        }
        if text.len() > EXPANDED_BYTES_MAX {
            let message = format!("`expand` takes texts of at most {EXPANDED_BYTES_MAX} bytes");
            return Err(scope.refuse(ProblemKind::Limit, message));
        }
        self.uses.borrow_mut().extend(self.set.uses_below(&scan(text)).into_iter().cloned());
        self.expanding.set(self.expanding.get() + 1);
        let expanded = self.render(InnerSource::Text(text), None, scope);
        self.expanding.set(self.expanding.get() - 1);
        expanded
    }

    /// The template of a folder to include: that of this name, or else the default one.
    fn chosen(&self, folder: &str, names: [Option<&str>; 2], scope: &RenderScope) -> TeraResult<String> {
        let [name, default] = names.map(|name| name.map(|name| format!("{folder}/{name}")));
        let known = [&name, &default].into_iter().flatten().find(|name| self.set.known.contains_key(*name));
        if let Some(known) = known {
            return Ok(known.clone());
        }
        let asked = name.or(default).unwrap_or_default();
        if let Some(cause) = self.set.broken.get(&asked) {
            let message = format!("includes `{asked}`, which is broken: {}", root_cause(cause));
            return Err(scope.refuse(ProblemKind::Include, message));
        }
        let mut there: Vec<String> = self.set.names_below(folder).map(str::to_owned).collect();
        there.sort_unstable();
        let meant = nearest(&asked, there.iter().map(String::as_str))
            .map_or_else(String::new, |meant| format!(" Did you mean `{meant}`?"));
        let message = format!("there is no template `{asked}`.{meant}");
        Err(scope.refuse_naming(ProblemKind::Include, message, there))
    }
}

/// The template of this name in a folder of templates. It sees the document's variables and those in `with`.
pub(super) fn include_from(arguments: &Kwargs, scope: &RenderScope) -> TeraResult<Value> {
    let folder = arguments.must_get::<&str>("folder")?.trim_end_matches('/');
    let (name, default) = (arguments.must_get::<&str>("name")?, arguments.get::<&str>("default")?);
    let with = arguments.get::<&Map>("with")?;
    let inner = &scope.inner;
    let chosen = inner.chosen(folder, [Some(name), default], scope)?;
    if let Some(known) = inner.set.known.get(&chosen) {
        inner.uses.borrow_mut().extend(known.uses.iter().cloned());
    }
    inner.render(InnerSource::Template(&chosen), with, scope).map(Value::from)
}

/// The text of a template that may be absent: empty without it. It sees the document's variables and those
/// in `with`.
pub(super) fn include_optional(arguments: &Kwargs, scope: &RenderScope) -> TeraResult<Value> {
    let name = arguments.must_get::<&str>("name")?;
    let inner = &scope.inner;
    if let Some(cause) = inner.set.broken.get(name) {
        let message = format!("includes `{name}`, which is broken: {}", root_cause(cause));
        return Err(scope.refuse(ProblemKind::Include, message));
    }
    let Some(known) = inner.set.known.get(name) else { return Ok(Value::from("")) };
    inner.uses.borrow_mut().extend(known.uses.iter().cloned());
    let with = arguments.get::<&Map>("with")?;
    inner.render(InnerSource::Template(name), with, scope).map(Value::from)
}

/// The value with each text in it rendered as a template, once.
pub(super) fn expand(value: &Value, _: &Kwargs, scope: &RenderScope) -> TeraResult<Value> {
    scope.inner.expand(value, EXPANDED_LEVELS_MAX, scope)
}
