//! Rules for settings: a setting that names a missing object has no effect.

use crate::model::{Kind, Problem, RefusalCode, Setting, Stored, World};
use crate::objects::rules::NounRules;

impl NounRules for Setting {
    const PROBLEMS_SEE: &'static [Kind] = &[Kind::Workflow, Kind::Bootenv];

    fn problems(stored: &Stored<Self>, world: &World) -> Vec<Problem> {
        let Some(name) = stored.spec.value.as_str() else { return Vec::new() };
        let known = match stored.key.as_str() {
            "default_workflow" => world.workflows.get(name).is_some(),
            "default_bootenv" => world.bootenvs.get(name).is_some(),
            _ => true,
        };
        (!known)
            .then(|| Problem::new("/value", format!("there is no `{name}`")).coded(RefusalCode::NotFound))
            .into_iter()
            .collect()
    }
}
