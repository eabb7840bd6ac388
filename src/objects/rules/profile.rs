//! Rules for profiles: they nest without circles.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::Value;

use crate::kernel::TrackedWorld;
use crate::model::{Problem, Profile, RefusalCode, Stored};
use crate::objects::rules::{DependentObject, NounRules, ProposedWrite, graph, in_use};

impl NounRules for Profile {
    const HAS_LINEAR_CHECKS: bool = true;
    fn used_now(stored: &Stored<Self>, world: &TrackedWorld<'_>, _now: Timestamp) -> Vec<DependentObject> {
        in_use::of_profile(stored, world)
    }

    fn params(&self) -> Option<&BTreeMap<String, Value>> {
        Some(&self.params)
    }

    fn params_mut(&mut self) -> Option<&mut BTreeMap<String, Value>> {
        Some(&mut self.params)
    }

    fn refused(&self, change: &ProposedWrite<'_, Self>) -> Vec<Problem> {
        let circle = graph::circle(&self.name, &|name: &str| match change.world.get::<Profile>(name) {
            _ if name == self.name => self.profiles.clone(),
            Some(profile) => profile.spec.profiles.clone(),
            None => Vec::new(),
        });
        circle
            .map(|way| {
                Problem::new("/profiles", format!("profiles nest in a circle: {way}"))
                    .coded(RefusalCode::Circular)
            })
            .into_iter()
            .collect()
    }
}
