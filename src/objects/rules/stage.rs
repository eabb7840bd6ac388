//! Rules for stages.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::Value;

use crate::kernel::TrackedWorld;
use crate::model::{Stage, Stored};
use crate::objects::rules::{DependentObject, NounRules, in_use};

impl NounRules for Stage {
    fn used_now(stored: &Stored<Self>, world: &TrackedWorld<'_>, _now: Timestamp) -> Vec<DependentObject> {
        in_use::of_stage(stored, world)
    }

    fn params(&self) -> Option<&BTreeMap<String, Value>> {
        Some(&self.params)
    }

    fn params_mut(&mut self) -> Option<&mut BTreeMap<String, Value>> {
        Some(&mut self.params)
    }

    fn required_params(&self) -> &[String] {
        &self.required_params
    }
}
