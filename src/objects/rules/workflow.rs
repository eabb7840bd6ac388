//! Rules for workflows.

use crate::kernel::TrackedWorld;
use crate::model::{Kind, Stored, Workflow};
use crate::objects::rules::{DependentObject, NounRules};

impl NounRules for Workflow {
    fn needed_by(stored: &Stored<Self>, world: &TrackedWorld<'_>) -> Vec<DependentObject> {
        let is_default = world.setting("default_workflow").as_str() == Some(&stored.key);
        is_default
            .then(|| DependentObject { kind: Kind::Setting, key: "default_workflow".to_owned(), note: "" })
            .into_iter()
            .collect()
    }
}
