//! Whether a template with overrides is a template still.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use crate::model::{FOLDER_TEMPLATES_MAX, Stored, Template};
use crate::render::{self, NamedTemplates, ProblemKind, RenderProblem, TemplateSource};

/// Templates by name.
pub type KnownTemplates = BTreeMap<String, Arc<Stored<Template>>>;

/// Why a template does not compile with those that it includes. That it includes what is not there only
/// prevents its use.
pub fn fault(template: &Template, known: &KnownTemplates) -> Option<RenderProblem> {
    let mut found: BTreeMap<&str, &Template> = BTreeMap::new();
    let mut open = vec![template];
    while let Some(next) = open.pop() {
        let further = if next.verbatim { Vec::new() } else { named(&next.body, known) };
        for row in further {
            if row.name != template.name && found.insert(&row.name, row).is_none() {
                open.push(row);
            }
        }
    }
    let problem = render::check(source(template), found.into_values().map(source))?;
    (problem.kind != ProblemKind::Include).then_some(problem)
}

/// The templates that a text can include itself.
fn named<'a>(body: &str, known: &'a KnownTemplates) -> Vec<&'a Template> {
    let NamedTemplates { names, folders } = render::included(body);
    let mut rows: Vec<&Template> =
        names.iter().filter_map(|name| known.get(name)).map(|row| &row.spec).collect();
    for folder in folders {
        let folder = format!("{folder}/");
        let below = known.range::<str, _>((Bound::Included(folder.as_str()), Bound::Unbounded));
        let below = below.take_while(|(name, _)| name.starts_with(&folder));
        rows.extend(below.take(FOLDER_TEMPLATES_MAX + 1).map(|(_, row)| &row.spec));
    }
    rows
}

fn source(template: &Template) -> TemplateSource {
    let Template { name, body, verbatim, .. } = template;
    TemplateSource { name: name.clone(), body: body.clone(), verbatim: *verbatim }
}
