//! Rules for tasks: prerequisites without circles.

use crate::model::{Problem, RefusalCode, Task};
use crate::objects::rules::{NounRules, ProposedWrite, graph};

impl NounRules for Task {
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
