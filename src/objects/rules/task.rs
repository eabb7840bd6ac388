//! Rules for tasks: prerequisites without circles.

use jiff::Timestamp;

use crate::kernel::TrackedWorld;
use crate::model::{Problem, RefusalCode, Stored, Task};
use crate::objects::rules::{DependentObject, NounRules, ProposedWrite, graph, in_use};

impl NounRules for Task {
    fn used_now(stored: &Stored<Self>, world: &TrackedWorld<'_>, _now: Timestamp) -> Vec<DependentObject> {
        in_use::of_task(stored, world)
    }

    fn refused(&self, change: &ProposedWrite<'_, Self>) -> Vec<Problem> {
        let circle = graph::circle(&self.name, &|name: &str| match change.world.get::<Task>(name) {
            _ if name == self.name => self.prerequisites.clone(),
            Some(task) => task.spec.prerequisites.clone(),
            None => Vec::new(),
        });
        circle
            .map(|way| {
                Problem::new("/prerequisites", format!("tasks wait for each other: {way}"))
                    .coded(RefusalCode::Circular)
            })
            .into_iter()
            .collect()
    }

    fn required_params(&self) -> &[String] {
        &self.required_params
    }
}
