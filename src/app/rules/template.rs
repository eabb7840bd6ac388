//! Templates: their text is checked when they are saved.

use std::collections::BTreeMap;

use super::{Change, Managed};
use crate::model::{Problem, Stored, Template, World};
use crate::render::{self, ProblemKind};
use crate::store::TrackedWorld;

impl Managed for Template {
    /// What is wrong with the text itself. An include of a template that is not there yet only keeps it from
    /// being used.
    fn refused(&self, change: &Change<'_, Self>) -> Vec<Problem> {
        let others = included(self, change.world);
        let fault = render::check(&self.name, &self.body, others).filter(|p| p.kind != ProblemKind::Include);
        fault.map(|fault| Problem::new("/body", fault.to_string())).into_iter().collect()
    }

    fn problems(stored: &Stored<Self>, world: &World) -> Vec<Problem> {
        let others = included(&stored.spec, &TrackedWorld::untracked(world));
        let fault = render::check(&stored.spec.name, &stored.spec.body, others);
        fault.map(|fault| Problem::new("/body", fault.to_string())).into_iter().collect()
    }
}

/// All templates that `template` comes to include, by name, with their bodies.
fn included(template: &Template, world: &TrackedWorld<'_>) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut open = render::included(&template.body);
    while let Some(name) = open.pop() {
        let Some(row) = world.get::<Template>(&name).filter(|_| name != template.name) else { continue };
        if found.insert(name, row.spec.body.clone()).is_none() {
            open.extend(render::included(&row.spec.body));
        }
    }
    found
}
