//! Bootenvs: what they need to be bootable.

use super::{Managed, machine, undeclared};
use crate::model::{ArtifactState, Bootenv, Kind, Problem, Stored, World};

impl Managed for Bootenv {
    fn problems(stored: &Stored<Self>, world: &World) -> Vec<Problem> {
        let mut problems = undeclared(world, &stored.spec.required_params);
        for (arch, files) in &stored.spec.arches {
            let pointer = format!("/arches/{arch}/artifact");
            problems.extend(artifact_problem(world, &files.artifact).map(|what| Problem::new(pointer, what)));
        }
        problems
    }

    fn needed_by(stored: &Stored<Self>, world: &World) -> Vec<String> {
        machine::running_through(world, Kind::Bootenv, &stored.key)
    }
}

fn artifact_problem(world: &World, name: &str) -> Option<String> {
    let Some(artifact) = world.artifacts.get(name) else {
        return Some(format!("there is no artifact `{name}`: metalwright artifacts add {name} --dir DIR"));
    };
    let status = &artifact.status;
    match status.state {
        ArtifactState::Ready => None,
        ArtifactState::Missing if status.reason.is_empty() => Some(format!("artifact `{name}` is missing")),
        ArtifactState::Failed | ArtifactState::Missing => {
            Some(format!("artifact `{name}` cannot be served: {}", status.reason))
        }
        ArtifactState::Fetching | ArtifactState::Extracting => {
            Some(format!("artifact `{name}` is not ready yet"))
        }
    }
}
