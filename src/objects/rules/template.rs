//! Rules for templates: their text is checked when they are saved.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::kernel::{ChangesetRead, TableSnapshot, TrackedWorld};
use crate::model::{Kind, Problem, Stored, Template, World};
use crate::objects::rules::{NounRules, RuleCheck, WriteCheck};
use crate::render::{self, ProblemKind, RenderProblem};

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
    let others = included(template, |name| known.get(name, reads));
    render::check(&template.name, &template.body, others)
}

/// All templates that `template` includes, directly or indirectly, by name, with their bodies.
fn included<'a>(
    template: &Template,
    mut known: impl FnMut(&str) -> Option<&'a Arc<Stored<Template>>>,
) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut open = render::included(&template.body);
    while let Some(name) = open.pop() {
        if name == template.name {
            continue;
        }
        let Some(row) = known(&name) else { continue };
        if found.insert(name, row.spec.body.clone()).is_none() {
            open.extend(render::included(&row.spec.body));
        }
    }
    found
}
