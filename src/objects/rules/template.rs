//! Rules for templates: their text is checked when they are saved.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::kernel::{ChangesetRead, TableSnapshot, TrackedWorld};
use crate::model::{FOLDER_TEMPLATES_MAX, Kind, Problem, Stored, Template, World};
use crate::objects::rules::{NounRules, RuleCheck, WriteCheck};
use crate::render::{self, NamedTemplates, ProblemKind, RenderProblem, TemplateSource};

impl NounRules for Template {
    const PROBLEMS_SEE: &'static [Kind] = &[Kind::Template];

    /// Checks the text itself. An include of a template that does not exist yet only prevents use.
    fn write_checks(
        next: &Arc<Stored<Self>>,
        _old: Option<&Arc<Stored<Self>>>,
        world: &TrackedWorld<'_>,
    ) -> Vec<WriteCheck> {
        let (next, known) = (Arc::clone(next), world.snapshot());
        vec![Box::new(move |reads| {
            let fault = fault(&next.spec, &known, reads).filter(|fault| fault.kind != ProblemKind::Include);
            fault.map(shown).into_iter().collect()
        })]
    }

    fn read_checks(stored: &Arc<Stored<Self>>, world: &World) -> Vec<RuleCheck> {
        let (stored, known) = (Arc::clone(stored), TrackedWorld::untracked(world).snapshot());
        vec![Box::new(move || fault(&stored.spec, &known, &mut Vec::new()).map(shown).into_iter().collect())]
    }
}

fn shown(fault: RenderProblem) -> Problem {
    Problem::from(&fault).at("/body")
}

/// Compiles a template with the templates that it includes. The includes are determined after the lock of the
/// world was released.
fn fault(
    template: &Template,
    known: &TableSnapshot<Template>,
    reads: &mut Vec<ChangesetRead>,
) -> Option<RenderProblem> {
    let problem = render::check(source(template), included(template, known, reads))?;
    match looks_like_a_script(&template.body) && problem.kind == ProblemKind::Template {
        true => Some(RenderProblem { message: format!("{}; {NO_TEMPLATE}", problem.message), ..problem }),
        false => Some(problem),
    }
}

/// What is said of a script that is taken for a template and is none.
const NO_TEMPLATE: &str = "a text that is no template is stored with `verbatim: true`";

/// Whether it has what a shell has and the template engine takes for a comment: the length of a variable or
/// of an array.
fn looks_like_a_script(body: &str) -> bool {
    body.contains("${#")
}

fn source(template: &Template) -> TemplateSource {
    let Template { name, body, verbatim, .. } = template;
    TemplateSource { name: name.clone(), body: body.clone(), verbatim: *verbatim }
}

/// All templates that `template` can include, directly or indirectly.
fn included(
    template: &Template,
    known: &TableSnapshot<Template>,
    reads: &mut Vec<ChangesetRead>,
) -> Vec<TemplateSource> {
    let mut found: BTreeMap<String, TemplateSource> = BTreeMap::new();
    let mut open = vec![template];
    while let Some(next) = open.pop() {
        if next.verbatim {
            continue;
        }
        let NamedTemplates { names, folders } = render::included(&next.body);
        let mut rows: Vec<_> = names.iter().filter_map(|name| known.get(name, reads)).collect();
        for folder in folders {
            rows.extend(known.with_prefix(&format!("{folder}/"), FOLDER_TEMPLATES_MAX + 1, reads));
        }
        for row in rows {
            if row.spec.name != template.name && !found.contains_key(&row.spec.name) {
                found.insert(row.spec.name.clone(), source(&row.spec));
                open.push(&row.spec);
            }
        }
    }
    found.into_values().collect()
}
