//! Checks before a run whether a machine could go through its steps, as far as the content tells.

use std::collections::{BTreeMap, BTreeSet};

use crate::catalog::artifact_faults::artifact_fault;
use crate::catalog::disk_choice::disk_fault;
use crate::catalog::extra_initrds::{EXTRA_INITRDS, extra_initrd_faults};
use crate::catalog::params::{layers_of, level_values, secrets};
use crate::model::{
    Bootenv, ContentView, GeneratedSecret, Machine, PUBLIC_HALF, RunStep, Stage, StepKind, Stored, World,
};
use crate::render::{LayeredParams, SecretAccess};

/// Most problems that are listed for one run.
const PROBLEMS_MAX: usize = 64;

/// Everything that prevents a run of `steps` on a machine, at once. It ends early when `is_given_up`.
pub fn problems(
    machine: &Machine,
    steps: &[RunStep],
    world: &World,
    is_given_up: &dyn Fn() -> bool,
) -> Vec<String> {
    let (mut found, mut told) = (Vec::new(), BTreeSet::new());
    // A workflow may name a stage many times; its requirements are the same each time.
    let mut seen: BTreeSet<(&str, StepKind, &str)> = BTreeSet::new();
    let mut set_in: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for step in steps.iter().filter(|step| seen.insert((&step.stage, step.kind, &step.name))) {
        if is_given_up() || found.len() >= PROBLEMS_MAX {
            break;
        }
        let stage = world.stages.get(&step.stage).map(|stage| &stage.spec);
        let set = set_in.entry(&step.stage).or_insert_with(|| {
            let levels = level_values(world.into(), (Some(machine), stage)).into_iter();
            levels.flat_map(|values| values.keys().map(String::as_str)).collect()
        });
        let of_step = problems_of_step((machine, stage), step, (world, set));
        found.extend(of_step.into_iter().filter(|problem| told.insert(problem.clone())));
    }
    found.truncate(PROBLEMS_MAX);
    found
}

/// What prevents one step. `set` has the names of the params that have a value in its stage.
fn problems_of_step(
    (machine, stage): (&Machine, Option<&Stage>),
    step: &RunStep,
    (world, set): (&World, &BTreeSet<&str>),
) -> Vec<String> {
    let mut found = Vec::new();
    let required = match step.kind {
        StepKind::Stage => stage.map(|stage| &stage.required_params),
        StepKind::Task => world.tasks.get(&step.name).map(|task| &task.spec.required_params),
        StepKind::Bootenv => {
            let bootenv = world.bootenvs.get(&step.name);
            found.extend(bootenv.into_iter().flat_map(|bootenv| bootenv_problems(machine, bootenv, world)));
            found.extend(extra_initrd_faults(world, &params(world, (machine, stage), EXTRA_INITRDS)));
            let fault = bootenv.and_then(|row| disk_fault(world.into(), (machine, stage), &row.spec));
            found.extend(fault);
            bootenv.map(|bootenv| &bootenv.spec.required_params)
        }
    };
    let required = required.into_iter().flatten().map(String::as_str);
    let unset = required.filter(|name| !(set.contains(name) || ContentView::from(world).has_default(name)));
    let unset = unset.filter(|name| !is_generated(world, name));
    found.extend(unset.map(|param| format!("the param `{param}` is not set ({} requires it)", step.name)));
    found
}

/// Whether the machine gets a value when its run begins.
fn is_generated(world: &World, name: &str) -> bool {
    let pair = name.strip_suffix(PUBLIC_HALF).and_then(|pair| world.params.get(pair)?.spec.generate);
    let own = world.params.get(name).and_then(|param| param.spec.generate);
    own.is_some() || pair.is_some_and(GeneratedSecret::has_public_half)
}

/// The required params that have no value on any level.
pub fn unset_params<'a>(
    content: ContentView<'_>,
    subject: (Option<&Machine>, Option<&Stage>),
    required: impl Iterator<Item = &'a String>,
) -> Vec<&'a str> {
    let mut levels = None;
    required
        .map(String::as_str)
        .filter(|name| {
            let levels = levels.get_or_insert_with(|| level_values(content, subject));
            !(levels.iter().any(|values| values.contains_key(*name)) || content.has_default(name))
        })
        .collect()
}

/// The value of one param of a machine in a stage, on all levels, with secrets sealed.
pub fn params(
    world: &World,
    (machine, stage): (&Machine, Option<&Stage>),
    name: &'static str,
) -> LayeredParams {
    let content = ContentView::from(world);
    let layers = layers_of(content, (Some(machine), stage), &[name]);
    LayeredParams::new(layers, secrets(content), SecretAccess::Sealed)
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
