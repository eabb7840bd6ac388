//! Values of params, wherever they are set: on a machine, in a profile, in a stage.

use std::collections::BTreeMap;

use serde_json::Value;

use super::no_param;
use crate::app::secrets;
use crate::model::{Bootenv, Machine, Param, Problem, Profile, Stage, Task, World, check_schema};
use crate::store::TrackedWorld;

type Values = BTreeMap<String, Value>;

/// Values that their declared schema does not allow, and sealed values that are not there to be kept.
pub fn refused(world: &TrackedWorld<'_>, values: &Values, old: Option<&Values>) -> Vec<Problem> {
    let check = |(name, value): (&String, &Value)| {
        let pointer = pointer(name);
        if secrets::looks_sealed(value) {
            let kept = old.and_then(|old| old.get(name)).is_some_and(secrets::is_sealed);
            let keeps = secrets::means_stored(value) && kept;
            return if keeps { Vec::new() } else { vec![Problem::new(pointer, NOT_KEPT)] };
        }
        let declared = world.get::<Param>(name);
        declared.map(|declared| check_schema(&declared.spec.schema, value, &pointer)).unwrap_or_default()
    };
    values.iter().flat_map(check).collect()
}

const NOT_KEPT: &str =
    "`{\"sealed\": true}` keeps the value that is stored, and none is: give the value itself";

/// Values that nobody declared, or that the declaration no longer allows.
pub fn problems(world: &World, values: &Values) -> Vec<Problem> {
    let check = |(name, value): (&String, &Value)| match world.params.get(name) {
        None => vec![Problem::new(pointer(name), no_param(world, name))],
        Some(_) if secrets::is_sealed(value) => Vec::new(),
        Some(declared) => check_schema(&declared.spec.schema, value, &pointer(name)),
    };
    values.iter().flat_map(check).collect()
}

fn pointer(name: &str) -> String {
    format!("/params/{}", name.replace('~', "~0").replace('/', "~1"))
}

/// Machines, profiles and stages that set a value for a param, as `kind name`.
pub fn holders(world: &TrackedWorld<'_>, param: &str) -> Vec<String> {
    let machines = world.specs::<Machine>().filter(|row| row.spec.params.contains_key(param));
    let machines = machines.map(|row| format!("machine {}", row.spec.name));
    let profiles = world.specs::<Profile>().filter(|row| row.spec.params.contains_key(param));
    let profiles = profiles.map(|row| format!("profile {}", row.key));
    let stages = world.specs::<Stage>().filter(|row| row.spec.params.contains_key(param));
    let stages = stages.map(|row| format!("stage {}", row.key));
    machines.chain(profiles).chain(stages).collect()
}

/// Bootenvs, stages and tasks that require a param, as `kind name`.
pub fn requirers(world: &TrackedWorld<'_>, param: &str) -> Vec<String> {
    let names = |required: &[String]| required.iter().any(|name| name == param);
    let bootenvs = world.specs::<Bootenv>().filter(|row| names(&row.spec.required_params));
    let stages = world.specs::<Stage>().filter(|row| names(&row.spec.required_params));
    let tasks = world.specs::<Task>().filter(|row| names(&row.spec.required_params));
    let bootenvs = bootenvs.map(|row| format!("bootenv {}", row.key));
    let stages = stages.map(|row| format!("stage {}", row.key));
    bootenvs.chain(stages).chain(tasks.map(|row| format!("task {}", row.key))).collect()
}
