//! Rules for workflows.

use jiff::Timestamp;

use crate::kernel::TrackedWorld;
use crate::model::{Kind, Stored, Workflow};
use crate::objects::rules::{DependentObject, NounRules, in_use};

impl NounRules for Workflow {
    fn needed_by(stored: &Stored<Self>, world: &TrackedWorld<'_>) -> Vec<DependentObject> {
        let is_default = world.setting("default_workflow").as_str() == Some(&stored.key);
        is_default
            .then(|| {
                let key = "default_workflow".to_owned();
                DependentObject { kind: Kind::Setting, key, note: "".into() }
            })
            .into_iter()
            .collect()
    }

    fn used_now(stored: &Stored<Self>, world: &TrackedWorld<'_>, _now: Timestamp) -> Vec<DependentObject> {
        in_use::machines_in_runs(world, |run, _| run.workflow == stored.key)
    }
}
