//! Stages.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::model::{Kind, Problem, Stage, Stored, World};
use crate::objects::rules::{Managed, machine, undeclared};
use crate::store::TrackedWorld;

impl Managed for Stage {
    fn params(&self) -> Option<&BTreeMap<String, Value>> {
        Some(&self.params)
    }

    fn params_mut(&mut self) -> Option<&mut BTreeMap<String, Value>> {
        Some(&mut self.params)
    }

    fn problems(stored: &Stored<Self>, world: &World) -> Vec<Problem> {
        undeclared(world, &stored.spec.required_params)
    }

    fn needed_by(stored: &Stored<Self>, world: &TrackedWorld<'_>) -> Vec<String> {
        machine::running_through(world, Kind::Stage, &stored.key)
    }
}
