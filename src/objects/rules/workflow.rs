//! Workflows.

use crate::model::{Kind, Stored, Workflow};
use crate::objects::rules::{Dependent, NounRules};
use crate::store::TrackedWorld;

impl NounRules for Workflow {
    fn needed_by(stored: &Stored<Self>, world: &TrackedWorld<'_>) -> Vec<Dependent> {
        let is_default = world.setting("default_workflow").as_str() == Some(&stored.key);
        let setting = || Dependent { kind: Kind::Setting, key: "default_workflow".to_owned(), note: "" };
        is_default.then(setting).into_iter().collect()
    }
}
