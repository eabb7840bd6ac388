//! Checks before a run whether a machine could go through its steps, as far as the content tells.

use std::collections::BTreeSet;

use crate::catalog::artifact_faults::artifact_fault;
use crate::catalog::disk_choice::disk_fault;
use crate::catalog::extra_initrds::extra_initrd_faults;
use crate::catalog::params::{layers, secrets, set_value};
use crate::model::{Bootenv, ContentView, Machine, RunStep, Stage, StepKind, Stored, World};
use crate::render::{LayeredParams, SecretAccess};

/// Everything that prevents a run of `steps` on a machine, at once.
pub fn problems(machine: &Machine, steps: &[RunStep], world: &World) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    // A workflow may name a stage many times; its requirements are the same each time.
    let mut seen: BTreeSet<(&str, StepKind, &str)> = BTreeSet::new();
    for step in steps.iter().filter(|step| seen.insert((&step.stage, step.kind, &step.name))) {
        let stage = world.stages.get(&step.stage).map(|stage| &stage.spec);
        let required = match step.kind {
            StepKind::Stage => stage.map(|stage| &stage.required_params),
            StepKind::Task => world.tasks.get(&step.name).map(|task| &task.spec.required_params),
            StepKind::Bootenv => {
                let bootenv = world.bootenvs.get(&step.name);
                found.extend(
                    bootenv.into_iter().flat_map(|bootenv| bootenv_problems(machine, bootenv, world)),
                );
                found.extend(extra_initrd_faults(world, &params(world, machine, stage)));
                let fault = bootenv.and_then(|row| disk_fault(world.into(), (machine, stage), &row.spec));
                found.extend(fault);
                bootenv.map(|bootenv| &bootenv.spec.required_params)
            }
        };
        let unset = unset_params(world.into(), (Some(machine), stage), required.into_iter().flatten());
        found.extend(
            unset.iter().map(|param| format!("the param `{param}` is not set ({} requires it)", step.name)),
        );
    }
    let mut told = BTreeSet::new();
    found.retain(|problem| told.insert(problem.clone()));
    found
}

/// The required params that have no value on any level.
pub fn unset_params<'a>(
    content: ContentView<'_>,
    (machine, stage): (Option<&Machine>, Option<&Stage>),
    required: impl Iterator<Item = &'a String>,
) -> Vec<&'a str> {
    required
        .map(String::as_str)
        .filter(|name| !(set_value(content, (machine, stage), name).is_some() || content.has_default(name)))
        .collect()
}

/// The params of a machine in a stage, with secrets sealed.
pub fn params(world: &World, machine: &Machine, stage: Option<&Stage>) -> LayeredParams {
    let content = ContentView::from(world);
    LayeredParams::new(layers(content, Some(machine), stage), secrets(content), SecretAccess::Sealed)
}

/// What prevents a machine from booting a bootenv: no kernel for its architecture, a missing artifact, faults
/// that were found when it was used before.
pub fn bootenv_problems(machine: &Machine, bootenv: &Stored<Bootenv>, world: &World) -> Vec<String> {
    let name = &bootenv.key;
    let mut found: Vec<String> =
        bootenv.faults.iter().map(|fault| format!("bootenv `{name}`: {fault}")).collect();
    if !bootenv.spec.arches.is_empty() {
        let files = bootenv.spec.arches.get(&machine.arch);
        let fault = match files {
            None => Some(format!("it has no kernel for {}", machine.arch)),
            Some(files) => artifact_fault(world, files),
        };
        found.extend(fault.map(|fault| format!("bootenv `{name}`: {fault}")));
    }
    found
}
