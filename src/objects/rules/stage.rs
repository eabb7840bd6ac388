//! Stages.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::model::{Kind, Stage, Stored};
use crate::objects::rules::{Dependent, NounRules, machine};
use crate::store::TrackedWorld;

impl NounRules for Stage {
    fn params(&self) -> Option<&BTreeMap<String, Value>> {
        Some(&self.params)
    }

    fn params_mut(&mut self) -> Option<&mut BTreeMap<String, Value>> {
        Some(&mut self.params)
    }

    fn required_params(&self) -> &[String] {
        &self.required_params
    }

    fn needed_by(stored: &Stored<Self>, world: &TrackedWorld<'_>) -> Vec<Dependent> {
        machine::running_through(world, Kind::Stage, &stored.key)
    }
}
