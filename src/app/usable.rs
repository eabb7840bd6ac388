//! Whether a machine could go through the steps of a run, as far as its content shows beforehand.

use crate::model::{ArtifactState, Bootenv, Machine, Step, StepKind, Stored, World};
use crate::workflow::params::{At, unset};

/// What stands in the way of a run of `steps` on a machine, all at once.
pub fn problems(machine: &Machine, steps: &[Step], world: &World) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for step in steps {
        let at = At { machine, stage: world.stages.get(&step.stage).map(|stage| &stage.spec) };
        let required = match step.kind {
            StepKind::Stage => at.stage.map(|stage| &stage.required_params),
            StepKind::Task => world.tasks.get(&step.name).map(|task| &task.spec.required_params),
            StepKind::Bootenv => {
                let bootenv = world.bootenvs.get(&step.name);
                found.extend(
                    bootenv.into_iter().flat_map(|bootenv| bootenv_problems(machine, bootenv, world)),
                );
                bootenv.map(|bootenv| &bootenv.spec.required_params)
            }
        };
        for param in unset(world, at, required.into_iter().flatten()) {
            found.push(format!("the param `{param}` is not set ({} requires it)", step.name));
        }
    }
    let mut told = std::collections::BTreeSet::new();
    found.retain(|problem| told.insert(problem.clone()));
    found
}

/// What keeps a machine from booting a bootenv: no kernel for its architecture, an artifact that is not
/// there, faults that came up when it was used before.
pub fn bootenv_problems(machine: &Machine, bootenv: &Stored<Bootenv>, world: &World) -> Vec<String> {
    let name = &bootenv.key;
    let mut found: Vec<String> =
        bootenv.faults.iter().map(|fault| format!("bootenv `{name}`: {fault}")).collect();
    if bootenv.spec.arches.is_empty() {
        return found;
    }
    let Some(files) = bootenv.spec.arches.get(&machine.arch) else {
        found.push(format!("bootenv `{name}` has no kernel for {}", machine.arch));
        return found;
    };
    let artifact = &files.artifact;
    match world.artifacts.get(artifact) {
        None => found.push(format!(
            "bootenv `{name}` needs the artifact `{artifact}`, which does not exist: \
             `metalwright artifacts add {artifact} --dir DIR`"
        )),
        Some(stored) if stored.status.state != ArtifactState::Ready => {
            let reason = match stored.status.reason.as_str() {
                "" => "it is still being read",
                reason => reason,
            };
            found.push(format!(
                "bootenv `{name}` needs the artifact `{artifact}`, which is not ready: {reason}"
            ));
        }
        Some(_) => {}
    }
    found
}
