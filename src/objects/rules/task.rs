//! Tasks: prerequisites without circles.

use crate::model::{Kind, Problem, Stored, Task};
use crate::objects::rules::{Dependent, NounRules, ProposedWrite, graph, machine};
use crate::store::TrackedWorld;

impl NounRules for Task {
    fn refused(&self, change: &ProposedWrite<'_, Self>) -> Vec<Problem> {
        let circle = graph::circle(&self.name, &|name: &str| match change.world.get::<Task>(name) {
            _ if name == self.name => self.prerequisites.clone(),
            Some(task) => task.spec.prerequisites.clone(),
            None => Vec::new(),
        });
        circle
            .map(|way| Problem::new("/prerequisites", format!("tasks wait for each other: {way}")))
            .into_iter()
            .collect()
    }

    fn required_params(&self) -> &[String] {
        &self.required_params
    }

    fn needed_by(stored: &Stored<Self>, world: &TrackedWorld<'_>) -> Vec<Dependent> {
        machine::running_through(world, Kind::Task, &stored.key)
    }
}
