//! A set of templates, compiled once and never changed. A broken template makes only itself and the templates
//! that include it unusable. The template engine adds all templates or none, so this module isolates the
//! broken ones.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Bound;
use std::sync::Arc;

use tera::Tera;

use crate::model::{FOLDER_TEMPLATES_MAX, nearest, sha256_hex};
use crate::render::batch_adder::{AddFailure, BatchAdder, UNKNOWN_COMPONENT};
use crate::render::engine::{INLINE, TemplateSource, TemplateUse};
use crate::render::include_calls::computed_problem;
use crate::render::marking::{TracePoint, marked};
use crate::render::nesting::{self, TemplateDepth, too_deep};
use crate::render::problem::{ProblemKind, RenderProblem};
use crate::render::references::{TemplateReference, TemplateReferences, scan};
use crate::render::{filters, functions, line_trace};

/// Most templates on one path of includes, including the outermost. The engine recurses for each.
pub(super) const INCLUDE_DEPTH_MAX: usize = 32;
/// The same for a template that defines components: the engine lets those call each other 20 deep, and each
/// call can go through all its includes again.
pub(super) const COMPONENT_DEPTH_MAX: usize = 8;
/// Most templates and blocks inside of one another: the engine recurses for a block too. From a template that
/// defines components it is [`COMPONENT_DEPTH_MAX`] with the blocks.
pub(super) const BLOCK_DEPTH_MAX: usize = 64;
/// Most templates of a circle of includes that a message names.
const CIRCLE_SHOWN_MAX: usize = 16;
/// The engine's variable that prints all others, in an order that differs between renders.
const DUMP_VARIABLE: &str = "__tera_context";

pub(super) struct TemplateSet {
    pub tera: Tera,
    pub known: HashMap<String, KnownTemplate>,
    pub broken: BTreeMap<String, RenderProblem>,
    /// The template that defines each component.
    definers: HashMap<String, String>,
    /// Number of templates that the engine was given, with repetitions.
    pub given: usize,
    /// The places of the marks in the templates, if they have marks.
    pub points: Option<Arc<[TracePoint]>>,
}

/// A usable template.
pub(super) struct KnownTemplate {
    /// The template and everything that it can include, by name.
    pub uses: Vec<TemplateUse>,
}

pub(super) struct SourceText {
    /// The body as the engine gets it.
    body: String,
    /// SHA-256 of the body as it was given.
    sha256: String,
    verbatim: bool,
    pub references: TemplateReferences,
}

impl SourceText {
    fn of(body: String, verbatim: bool) -> Self {
        let sha256 = sha256_hex(&body);
        match verbatim {
            true => SourceText {
                body: as_raw(&body),
                sha256,
                verbatim,
                references: TemplateReferences::default(),
            },
            false => SourceText { references: scan(&body), body, sha256, verbatim },
        }
    }
}

pub(super) type SourceTexts = BTreeMap<String, SourceText>;
type BrokenTemplates = BTreeMap<String, RenderProblem>;

pub(super) fn compile(templates: impl IntoIterator<Item = TemplateSource>) -> TemplateSet {
    compile_texts(source_texts(templates), engine())
}

fn source_texts(templates: impl IntoIterator<Item = TemplateSource>) -> SourceTexts {
    let texts = templates.into_iter();
    texts.map(|TemplateSource { name, body, verbatim }| (name, SourceText::of(body, verbatim))).collect()
}

/// The same set with marks for traced renders, from templates that are usable. Without marks, if one cannot
/// be marked.
pub(super) fn compile_traced(templates: &[TemplateSource]) -> TemplateSet {
    let mut sources = source_texts(templates.iter().cloned());
    let mut points = Vec::new();
    let are_marked = sources.iter_mut().all(|(name, source)| {
        let body = marked((name, &source.body), (0, &mut points));
        body.map(|body| source.body = body).is_some()
    });
    let mut engine = engine();
    line_trace::register(&mut engine);
    let traced = are_marked.then(|| compile_texts(sources, engine)).filter(|set| set.broken.is_empty());
    match traced {
        Some(set) => TemplateSet { points: Some(points.into()), ..set },
        None => compile(templates.iter().cloned()),
    }
}

fn compile_texts(sources: SourceTexts, mut tera: Tera) -> TemplateSet {
    let mut broken = refuse_early(&sources);
    let order = in_order_of_need(&sources, &mut broken);
    let usable: Vec<(&str, &str)> = order
        .iter()
        .filter(|name| !broken.contains_key(**name))
        .filter_map(|name| Some((*name, sources.get(*name)?.body.as_str())))
        .collect();
    let mut adding = BatchAdder::new(&mut tera, &sources);
    adding.add_what_can_be_added(&usable);
    let BatchAdder { failed, given, .. } = adding;
    // In order of need: the cause of what a template includes is known before it is explained. What only
    // needs another one comes last.
    let (needy, refused): (Vec<&str>, Vec<&str>) =
        order.iter().copied().partition(|name| matches!(failed.get(*name), Some(AddFailure::NeedsBroken)));
    let all_definers = definers(&sources, &BrokenTemplates::new());
    for (name, failure) in refused.iter().chain(&needy).filter_map(|name| failed.get_key_value(name)) {
        let problem = explain((name, failure), (&sources, &all_definers), &broken);
        broken.insert((*name).to_owned(), problem);
    }
    let definers = definers(&sources, &broken);
    let known = known_templates(&sources, &broken, &definers);
    TemplateSet { tera, known, broken, definers, given, points: None }
}

/// A text that is no template, as a template that gives it: one raw block, begun anew after each place that
/// would end it. Its lines keep their numbers.
fn as_raw(body: &str) -> String {
    const END: &str = "endraw";
    let mut raw = String::with_capacity(body.len() + 32);
    raw.push_str("{% raw %}");
    let mut rest = body;
    while let Some(at) = rest.find(END) {
        let (before, after) = rest.split_at(at + END.len() / 2);
        raw.push_str(before);
        raw.push_str("{% endraw %}{% raw %}");
        rest = after;
    }
    raw.push_str(rest);
    raw.push_str("{% endraw %}");
    raw
}

/// A template engine with this module's functions and filters, without templates.
fn engine() -> Tera {
    let mut tera = Tera::new();
    tera.autoescape_on(Vec::<&str>::new());
    functions::register(&mut tera);
    filters::register(&mut tera);
    tera
}

/// Refuses templates that the engine would accept although they must not reach it.
fn refuse_early(sources: &SourceTexts) -> BrokenTemplates {
    let mut broken = BrokenTemplates::new();
    let mut definers: BTreeMap<&str, &str> = BTreeMap::new();
    for (name, source) in sources {
        if let Some(problem) = refused(name, source, sources) {
            broken.insert(name.clone(), problem);
        }
        for component in &source.references.defines {
            if let Some(first) = definers.get(component.as_str()) {
                let message = format!("component `{component}` is already defined in template `{first}`");
                broken.insert(name.clone(), RenderProblem::new(ProblemKind::Template, name, message));
            } else {
                definers.insert(component, name);
            }
        }
    }
    broken
}

fn refused(name: &str, source: &SourceText, sources: &SourceTexts) -> Option<RenderProblem> {
    if !source.verbatim && source.body.contains(DUMP_VARIABLE) {
        let message = format!("`{DUMP_VARIABLE}` is not allowed: its order changes with every render");
        return Some(RenderProblem::new(ProblemKind::Template, name, message));
    }
    let mut folders = source.references.folders.iter();
    if let Some(folder) = folders.find(|folder| below(&folder.name, sources).count() > FOLDER_TEMPLATES_MAX) {
        let message = format!("the folder `{}` has more than {FOLDER_TEMPLATES_MAX} templates", folder.name);
        return Some(RenderProblem::new(ProblemKind::Template, name, message).at(folder.place));
    }
    computed_problem(name, &source.references).or_else(|| nesting::include_problem(name, source, sources))
}

/// The templates of a folder, by name.
fn below<'a>(folder: &str, sources: &'a SourceTexts) -> impl Iterator<Item = &'a str> {
    let folder = format!("{folder}/");
    let from = sources.range::<str, _>((Bound::Included(folder.as_str()), Bound::Unbounded));
    let names: Vec<&str> = from
        .map(|(name, _)| name.as_str())
        .take_while(|name| name.starts_with(&folder))
        .take(FOLDER_TEMPLATES_MAX + 1)
        .collect();
    names.into_iter()
}

/// Orders the names so that each comes after those that it includes. Templates that include themselves, or
/// nest too deep, are broken and left out.
fn in_order_of_need<'a>(sources: &'a SourceTexts, broken: &mut BrokenTemplates) -> Vec<&'a str> {
    let mut depths: BTreeMap<&str, TemplateDepth> = BTreeMap::new();
    let mut order = Vec::with_capacity(sources.len());
    let mut waiting: Vec<&str> = Vec::new();
    let mut users: HashMap<&str, Vec<&str>> = HashMap::new();
    let mut needs: HashMap<&str, usize> = HashMap::new();
    for (name, source) in sources {
        let included = existing(sources, source);
        needs.insert(name, included.len());
        included.iter().for_each(|target| users.entry(target).or_default().push(name));
        if included.is_empty() {
            waiting.push(name);
        }
    }
    while let Some(name) = waiting.pop() {
        let included = sources.get(name).map(|source| existing(sources, source)).unwrap_or_default();
        let below = included.iter().filter_map(|target| depths.get(target));
        let below = below.fold(TemplateDepth::default(), |deepest, depth| deepest.max_of(depth));
        let (depth, problem) = match nesting::nesting(name, sources) {
            Ok(blocks) => {
                let depth = below.with(blocks);
                (depth, too_deep(name, depth, sources))
            }
            Err(circle) => (below.with(0), Some(circle)),
        };
        depths.insert(name, depth);
        match problem {
            None => order.push(name),
            Some(problem) => drop(broken.insert(name.to_owned(), problem)),
        }
        for user in users.get(name).into_iter().flatten() {
            if let Some(left) = needs.get_mut(user) {
                *left -= 1;
                if *left == 0 {
                    waiting.push(user);
                }
            }
        }
    }
    for name in sources.keys().filter(|name| !depths.contains_key(name.as_str())) {
        broken.insert(name.clone(), circular(name, sources, &depths));
    }
    order
}

fn existing<'a>(sources: &'a SourceTexts, source: &'a SourceText) -> BTreeSet<&'a str> {
    targets(sources, source).into_iter().map(|(name, _)| name).collect()
}

/// The templates of the set that a template can include, each with the place of the tag.
fn targets<'a>(sources: &'a SourceTexts, source: &'a SourceText) -> Vec<(&'a str, (u32, u32))> {
    let TemplateReferences { templates, optional, folders, .. } = &source.references;
    let named = templates.iter().chain(optional).map(|reference| (reference.name.as_str(), reference.place));
    let named = named.filter(|(name, _)| sources.contains_key(*name));
    let in_folders =
        folders.iter().flat_map(|folder| below(&folder.name, sources).map(|name| (name, folder.place)));
    named.chain(in_folders).collect()
}

/// The problem of a template that includes itself, possibly through others: follows the includes that could
/// not be ordered.
fn circular(name: &str, sources: &SourceTexts, ordered: &BTreeMap<&str, TemplateDepth>) -> RenderProblem {
    let mut chain = vec![name.to_owned()];
    let mut place = (1, 1);
    loop {
        let last = chain.last().and_then(|last| sources.get(last));
        let known = last.map(|source| targets(sources, source)).unwrap_or_default();
        let next = known.into_iter().find(|(name, _)| !ordered.contains_key(*name));
        let Some((next, at)) = next else { break };
        if chain.len() == 1 {
            place = at;
        }
        let seen = chain.iter().any(|name| name == next);
        chain.push(next.to_owned());
        if seen {
            break;
        }
        if chain.len() > CIRCLE_SHOWN_MAX {
            chain.push("…".to_owned());
            break;
        }
    }
    let message = format!("includes form a circle: {}", chain.join(" → "));
    RenderProblem::new(ProblemKind::Template, name, message).at(place)
}

/// Why `name` cannot be added. For an include of a broken or missing template, this module's own list of
/// includes gives the place and the cause.
fn explain(
    (name, failure): (&str, &AddFailure),
    (sources, definers): (&SourceTexts, &HashMap<String, String>),
    broken: &BrokenTemplates,
) -> RenderProblem {
    if let AddFailure::Syntax(problem) = failure {
        return problem.clone();
    }
    let source = sources.get(name);
    for reference in source.iter().flat_map(|source| &source.references.templates) {
        let target = reference.name.as_str();
        if let Some(cause) = broken.get(target) {
            return include_problem(
                name,
                reference,
                format!("includes `{target}`, which is broken: {}", root_cause(cause)),
            );
        }
        if !sources.contains_key(target) {
            let meant = nearest(target, sources.keys().map(String::as_str))
                .map_or_else(String::new, |meant| format!(" Did you mean `{meant}`?"));
            return include_problem(name, reference, format!("there is no template `{target}`.{meant}"));
        }
    }
    let problem = match failure {
        AddFailure::Refused(problem) | AddFailure::Syntax(problem) => problem.clone(),
        AddFailure::NeedsBroken => {
            let mut uses = source.into_iter().flat_map(|source| &source.references.uses);
            let lost = uses.find(|used| definers.get(*used).is_some_and(|of| broken.contains_key(of)));
            let what = format!("{UNKNOWN_COMPONENT}{}`", lost.map_or("", String::as_str));
            RenderProblem::new(ProblemKind::Template, name, what)
        }
    };
    with_broken_component(problem, definers, broken)
}

fn include_problem(name: &str, reference: &TemplateReference, message: String) -> RenderProblem {
    RenderProblem::new(ProblemKind::Include, name, message).at(reference.place)
}

/// An unknown component may belong to a template that is broken.
fn with_broken_component(
    mut problem: RenderProblem,
    definers: &HashMap<String, String>,
    broken: &BrokenTemplates,
) -> RenderProblem {
    let unknown = problem.message.strip_prefix(UNKNOWN_COMPONENT).and_then(|name| name.strip_suffix('`'));
    let told = unknown.and_then(|component| {
        let definer = definers.get(component)?;
        let cause = root_cause(broken.get(definer)?);
        Some(format!("uses component `{component}` of template `{definer}`, which is broken: {cause}"))
    });
    if let Some(message) = told {
        problem.message = message;
    }
    problem
}

/// The first cause in a chain of broken includes, so that messages do not nest.
pub(super) fn root_cause(cause: &RenderProblem) -> String {
    match cause.message.split_once(", which is broken: ") {
        Some((_, root)) => root.to_owned(),
        None => cause.to_string(),
    }
}

fn definers(sources: &SourceTexts, broken: &BrokenTemplates) -> HashMap<String, String> {
    let usable = sources.iter().filter(|(name, _)| !broken.contains_key(*name));
    usable
        .flat_map(|(name, source)| source.references.defines.iter().map(|c| (c.clone(), name.clone())))
        .collect()
}

fn known_templates(
    sources: &SourceTexts,
    broken: &BrokenTemplates,
    definers: &HashMap<String, String>,
) -> HashMap<String, KnownTemplate> {
    let usable = || sources.iter().filter(|(name, _)| !broken.contains_key(*name));
    let digests: HashMap<&str, &str> =
        usable().map(|(name, source)| (name.as_str(), source.sha256.as_str())).collect();
    let closure = |name: &str, source: &SourceText| {
        let mut seen = BTreeSet::from([name.to_owned()]);
        let mut waiting = vec![source];
        while let Some(source) = waiting.pop() {
            let included = existing(sources, source);
            let defining = source.references.uses.iter().filter_map(|c| definers.get(c).map(String::as_str));
            for used in included.into_iter().chain(defining) {
                if let Some(source) = sources.get(used).filter(|_| seen.insert(used.to_owned())) {
                    waiting.push(source);
                }
            }
        }
        KnownTemplate {
            uses: seen
                .into_iter()
                .filter_map(|name: String| {
                    let sha256 = (*digests.get(name.as_str())?).to_owned();
                    Some(TemplateUse { sha256, name })
                })
                .collect(),
        }
    };
    usable().map(|(name, source)| (name.clone(), closure(name, source))).collect()
}

impl TemplateSet {
    /// The templates that an unnamed body uses: itself and its includes.
    pub fn uses_of_inline(&self, body: &str, references: &TemplateReferences) -> Vec<TemplateUse> {
        let own = TemplateUse { name: INLINE.to_owned(), sha256: sha256_hex(body) };
        std::iter::once(own).chain(self.uses_below(references).into_iter().cloned()).collect()
    }

    /// The templates that these references reach.
    pub fn uses_below(&self, references: &TemplateReferences) -> BTreeSet<&TemplateUse> {
        let definers =
            references.uses.iter().filter_map(|component| self.definers.get(component).map(String::as_str));
        let named = references.templates.iter().chain(&references.optional);
        let included = named.map(|reference| reference.name.as_str());
        let in_folders = references.folders.iter().flat_map(|folder| self.names_below(&folder.name));
        let known = included.chain(definers).chain(in_folders).filter_map(|name| self.known.get(name));
        known.flat_map(|known| known.uses.iter()).collect()
    }

    /// The usable templates of a folder.
    pub fn names_below(&self, folder: &str) -> impl Iterator<Item = &str> {
        let names = self.known.keys().map(String::as_str);
        names.filter(move |name| is_below(folder, name))
    }
}

/// Whether a template's name begins with a folder.
fn is_below(folder: &str, name: &str) -> bool {
    name.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'))
}
