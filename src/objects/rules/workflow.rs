//! Workflows.

use crate::kernel::TrackedWorld;
use crate::model::{Kind, Stored, Workflow};
use crate::objects::rules::{Dependent, NounRules};

impl NounRules for Workflow {
    fn needed_by(stored: &Stored<Self>, world: &TrackedWorld<'_>) -> Vec<Dependent> {
        let is_default = world.setting("default_workflow").as_str() == Some(&stored.key);
        is_default
            .then(|| Dependent { kind: Kind::Setting, key: "default_workflow".to_owned(), note: "" })
            .into_iter()
            .collect()
    }
}
