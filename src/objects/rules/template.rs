//! Templates: their text is checked when they are saved.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::model::{Problem, Stored, Template, World};
use crate::objects::rules::{Check, Managed};
use crate::render::{self, ProblemKind, RenderProblem};

impl Managed for Template {
    /// What is wrong with the text itself. An include of a template that is not there yet only keeps it from
    /// being used.
    fn write_checks(next: &Arc<Stored<Self>>, _old: Option<&Arc<Stored<Self>>>, world: &World) -> Vec<Check> {
        vec![check(next, world, |fault| fault.kind != ProblemKind::Include)]
    }

    fn read_checks(stored: &Arc<Stored<Self>>, world: &World) -> Vec<Check> {
        vec![check(stored, world, |_| true)]
    }
}

/// Compiles a template with those that it includes, and tells the faults that count.
fn check(template: &Arc<Stored<Template>>, world: &World, counts: fn(&RenderProblem) -> bool) -> Check {
    let template = Arc::clone(template);
    // Which of them it includes is found out when the world is let go.
    let known: Vec<Arc<Stored<Template>>> = world.templates.iter().map(Arc::clone).collect();
    Box::new(move || {
        let Template { name, body, .. } = &template.spec;
        let fault = render::check(name, body, included(&template.spec, &known)).filter(counts);
        fault.map(|fault| Problem::new("/body", fault.to_string())).into_iter().collect()
    })
}

/// All templates that `template` comes to include, by name, with their bodies.
/// `known` is in the order of names.
fn included(template: &Template, known: &[Arc<Stored<Template>>]) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut open = render::included(&template.body);
    while let Some(name) = open.pop() {
        let place = known.binary_search_by(|row| row.key.cmp(&name)).ok();
        let row = place.and_then(|place| known.get(place)).filter(|_| name != template.name);
        let Some(row) = row else { continue };
        if found.insert(name, row.spec.body.clone()).is_none() {
            open.extend(render::included(&row.spec.body));
        }
    }
    found
}
