//! Workflows.

use crate::model::{Stored, Workflow};
use crate::objects::rules::Managed;
use crate::store::TrackedWorld;

impl Managed for Workflow {
    fn needed_by(stored: &Stored<Self>, world: &TrackedWorld<'_>) -> Vec<String> {
        let is_default = world.setting("default_workflow").as_str() == Some(&stored.key);
        is_default.then(|| "setting default_workflow".to_owned()).into_iter().collect()
    }
}
