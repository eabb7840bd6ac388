//! Gathers the facts of a boot and asks `decide`. Everything that needs to know what a machine may boot uses
//! this module: DHCP, files, `explain`.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::Value;

use crate::artifacts::contained_path::NameCase;
use crate::catalog::artifact_faults::artifact_fault;
use crate::catalog::rendering::{BootContext, ClientEndpoints, RenderPurpose};
use crate::catalog::usable::unset_params;
use crate::model::settings::{LEAVE_BY_LOADER, UnknownMachine};
use crate::model::{
    Arch, BootAttempt, BootFiles, Bootenv, BootenvKind, ContentView, Machine, Run, RunStep, Stage, Stored,
    SubnetMode, World, open_run,
};
use crate::netboot::decide::chainload::LoaderRequest;
use crate::netboot::decide::decision::{ArtifactOwners, BootDecision, BootQuestion, DecisionFacts, decide};
use crate::netboot::decide::signed::SecureBoot;
use crate::netboot::loaders::InstalledLoaders;
use crate::runs::flow::step::{Position, boot_step, needs_live_system};

/// The bootenv of unknown machines if `unknown_machine` is `discover`.
const DISCOVERY: &str = "discovery";
/// The name of the param and of the setting that ask for signed loaders.
const SECURE_BOOT: &str = "secure_boot";
/// The bootenv that needs no files: it boots the local disk.
const LOCAL: &str = "local";

/// The facts of one boot, kept while the decision is made and carried out.
#[derive(Clone, Debug, Default)]
pub struct BootFacts {
    pub machine: Option<Arc<Stored<Machine>>>,
    pub bootenv: Option<Arc<Stored<Bootenv>>>,
    pub stage: Option<Arc<Stored<Stage>>>,
    /// The machine's open run: the machine boots from the content of the run.
    pub run: Option<Arc<Stored<Run>>>,
    pub subnet_mode: Option<SubnetMode>,
    pub client_arch: Option<Arch>,
    pub loaders: Option<Arc<BTreeSet<String>>>,
    /// The loaders that the machine asked for before.
    pub asks: Vec<LoaderRequest>,
    pub serves_https: bool,
    bootenv_name: Option<String>,
    unusable: Option<String>,
    unknown_machine: UnknownMachine,
    secure_boot: SecureBoot,
    leave_by_loader: bool,
}

impl BootFacts {
    /// Gathers the facts of a machine, or of an unknown machine.
    pub fn of(world: &World, loaders: &InstalledLoaders, machine: Option<&Arc<Stored<Machine>>>) -> Self {
        let unknown_machine = UnknownMachine::from_value(&world.setting("unknown_machine"));
        let bootenv_name = match machine {
            Some(machine) => machine.status.bootenv.clone().or_else(|| default_bootenv(world)),
            None => (unknown_machine == UnknownMachine::Discover).then(|| DISCOVERY.to_owned()),
        };
        let run = machine.and_then(|machine| open_run(world, &machine.status));
        let content = ContentView::of_run(world, run.map(|run| &run.spec));
        let stage = machine
            .and_then(|machine| machine.status.stage.as_ref())
            .and_then(|name| content.stage(name))
            .cloned();
        // The bootenv of a run is the one that the run kept; the default bootenv is the present one.
        let of_run = machine.and_then(|machine| machine.status.bootenv.as_ref());
        let bootenv = match of_run {
            Some(name) => content.bootenv(name),
            None => bootenv_name.as_ref().and_then(|name| world.bootenvs.get(name)),
        };
        let mut gathered = BootFacts {
            machine: machine.cloned(),
            bootenv: bootenv.cloned(),
            stage,
            run: run.cloned(),
            bootenv_name,
            unknown_machine,
            loaders: Some(Arc::clone(&loaders.names)),
            ..BootFacts::default()
        };
        gathered.leave_by_loader = world.setting(LEAVE_BY_LOADER) == Value::Bool(true);
        gathered.secure_boot = gathered.secure_boot_of(world);
        gathered.unusable = gathered.why_unusable(world);
        gathered
    }

    /// Selects the bootenv that a person chose at the console of an unknown machine. Without a menu it has no
    /// effect.
    pub fn choose(&mut self, world: &World, name: &str) {
        if self.unknown_machine != UnknownMachine::Menu {
            return;
        }
        self.bootenv = world.bootenvs.get(name).cloned();
        self.bootenv_name = Some(name.to_owned());
        self.unusable = self.why_unusable(world);
    }

    /// The decision for a question.
    pub fn decide(&self, asked: &BootQuestion, now: Timestamp) -> BootDecision {
        let facts = DecisionFacts {
            machine: self.machine.as_deref(),
            bootenv: self.bootenv.as_deref(),
            bootenv_name: self.bootenv_name.as_deref(),
            unusable: self.unusable.clone(),
            unknown_machine: self.unknown_machine,
            subnet_mode: self.subnet_mode,
            client_arch: self.client_arch,
            loaders: self.loaders.as_deref(),
            asks: &self.asks,
            secure_boot: self.secure_boot,
            serves_https: self.serves_https,
            leave_by_loader: self.leave_by_loader,
        };
        decide(asked, &facts, now)
    }

    /// The input for rendering the boot's documents.
    pub fn boot(&self, attempt: Option<BootAttempt>, facing: ClientEndpoints) -> BootContext {
        BootContext {
            machine: self.machine.clone(),
            bootenv: self.bootenv.clone(),
            stage: self.stage.clone(),
            run: self.run.clone(),
            channel_content: None,
            attempt,
            facing,
            agent_token: None,
            purpose: RenderPurpose::Serve,
        }
    }

    fn content<'w>(&self, world: &'w World) -> ContentView<'w> {
        ContentView::of_run(world, self.run.as_ref().map(|run| &run.spec))
    }

    /// The machine's latest boot attempt.
    pub fn attempt(&self) -> Option<&BootAttempt> {
        self.machine.as_ref()?.status.boot_attempt.as_ref()
    }

    /// Whether the run's present tasks need the live system that the machine is in.
    pub fn needs_live_system(&self, world: &World) -> bool {
        let (Some(machine), steps) = (&self.machine, self.steps()) else { return false };
        needs_live_system(Position { status: &machine.status, steps, content: self.content(world) })
    }

    fn steps(&self) -> &[RunStep] {
        self.run.as_ref().map_or(&[], |run| &run.spec.steps)
    }

    /// The step of the run that the boot belongs to.
    pub fn step(&self) -> Option<u32> {
        boot_step(&self.machine.as_ref()?.status, self.steps())
    }

    /// The machine's param, or else the site's setting. It does not matter if no loader is given.
    fn secure_boot_of(&self, world: &World) -> SecureBoot {
        let leaves_by_loader = self.leave_by_loader && self.machine.is_some();
        if self.bootenv_name.is_none() && !leaves_by_loader && self.unknown_machine != UnknownMachine::Menu {
            return SecureBoot::Off;
        }
        let machine = self.machine.as_ref().map(|machine| &machine.spec);
        let stage = self.stage.as_ref().map(|stage| &stage.spec);
        let content = self.content(world);
        match crate::catalog::params::set_value(content, (machine, stage), SECURE_BOOT)
            .and_then(Value::as_bool)
        {
            Some(true) => SecureBoot::Required,
            Some(false) => SecureBoot::Off,
            None if world.setting(SECURE_BOOT) == Value::Bool(true) => SecureBoot::Preferred,
            None => SecureBoot::Off,
        }
    }

    fn why_unusable(&self, world: &World) -> Option<String> {
        let bootenv = &self.bootenv.as_ref()?.spec;
        if bootenv.kind == BootenvKind::Local {
            return None;
        }
        let arch = self.machine.as_ref().map_or(Arch::Amd64, |machine| machine.spec.arch);
        let files = bootenv.arches.get(&arch)?;
        if let Some(why) = artifact_fault(world, files) {
            return Some(format!("{} cannot be booted: {why}", bootenv.name));
        }
        let stage = self.stage.as_ref().map(|stage| &stage.spec);
        let required = bootenv.required_params.iter();
        let required = required.chain(stage.into_iter().flat_map(|stage| &stage.required_params));
        let machine = self.machine.as_ref().map(|machine| &machine.spec);
        let unset = unset_params(self.content(world), (machine, stage), required);
        (!unset.is_empty())
            .then(|| format!("{} needs params that are not set: {}", bootenv.name, unset.join(", ")))
    }
}

fn default_bootenv(world: &World) -> Option<String> {
    let setting = world.setting("default_bootenv");
    setting.as_str().filter(|name| *name != LOCAL).map(str::to_owned)
}

/// The question for a destructive bootenv's kernel or initrd that is requested by its path. `own` is the
/// bootenv of the requesting machine: its run may have kept a version that has changed or was deleted since.
pub fn install_file(
    (world, own): (&World, Option<&Bootenv>),
    case: NameCase,
    (artifact, file): (&str, &str),
) -> Option<BootQuestion> {
    let is_it = |files: &BootFiles, path: &str| files.artifact == artifact && case.same((path, file));
    let kernel = owners((world, own), |files| is_it(files, &files.kernel));
    if !kernel.destructive.is_empty() {
        return Some(BootQuestion::InstallKernel(kernel));
    }
    let initrd = owners((world, own), |files| files.initrds.iter().any(|path| is_it(files, path)));
    (!initrd.destructive.is_empty()).then_some(BootQuestion::InstallInitrd(initrd))
}

fn owners(
    (world, own): (&World, Option<&Bootenv>),
    is_theirs: impl Fn(&BootFiles) -> bool,
) -> ArtifactOwners {
    let mut owners = ArtifactOwners::default();
    for bootenv in world.bootenvs.iter().map(|row| &row.spec).chain(own) {
        let is_known =
            [&owners.destructive, &owners.harmless].into_iter().any(|known| known.contains(&bootenv.name));
        if !is_known && bootenv.arches.values().any(&is_theirs) {
            let alike = if bootenv.is_destructive() { &mut owners.destructive } else { &mut owners.harmless };
            alike.push(bootenv.name.clone());
        }
    }
    owners
}
