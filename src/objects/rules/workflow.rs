//! Workflows.

use crate::model::{Kind, Stored, Workflow};
use crate::objects::rules::{Dependent, NounRules, machine};
use crate::store::TrackedWorld;

impl NounRules for Workflow {
    fn needed_by(stored: &Stored<Self>, world: &TrackedWorld<'_>) -> Vec<Dependent> {
        let mut needed = machine::running_through(world, Kind::Workflow, &stored.key);
        if world.setting("default_workflow").as_str() == Some(&stored.key) {
            needed.push(Dependent { kind: Kind::Setting, key: "default_workflow".to_owned(), note: "" });
        }
        needed
    }
}
