//! Rules for bootenvs: what makes them bootable.

use serde_json::{Map, Value};

use crate::catalog::artifact_faults::artifact_fault;
use crate::model::{Bootenv, Problem, Stored, World};
use crate::objects::rules::NounRules;

impl NounRules for Bootenv {
    fn show_defaults(&self, fields: &mut Map<String, Value>) {
        fields.insert("destructive".to_owned(), self.is_destructive().into());
    }

    fn required_params(&self) -> &[String] {
        &self.required_params
    }

    fn problems_now(stored: &Stored<Self>, world: &World) -> Vec<Problem> {
        let mut problems = Vec::new();
        for (arch, files) in &stored.spec.arches {
            let pointer = format!("/arches/{arch}/artifact");
            problems.extend(artifact_fault(world, files).map(|what| Problem::new(pointer, what)));
        }
        problems
    }
}
