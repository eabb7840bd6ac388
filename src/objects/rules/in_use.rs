//! The present work that uses an object: machines that are armed or in a run, and leases in effect. It keeps
//! people from deleting the object by mistake. Objects that name it are in `referrers`. Nothing of it is
//! tracked: it overrules nobody who begins at the same moment.

use jiff::Timestamp;

use crate::kernel::TrackedWorld;
use crate::model::{
    Artifact, Bootenv, ContentView, Lease, LeaseState, Machine, MachineState, MachineStatus, Profile,
    Reservation, Run, Stage, Stored, Subnet, Task, open_run,
};
use crate::objects::rules::DependentObject;

/// The machines whose open runs use an object. A run sees the content that it kept.
pub fn machines_in_runs(
    world: &TrackedWorld<'_>,
    uses: impl Fn(&Run, ContentView<'_>) -> bool,
) -> Vec<DependentObject> {
    let world = world.untracked_world();
    let machines = world.machines.iter().filter(|machine| {
        let run = open_run(world, &machine.status);
        run.is_some_and(|run| uses(&run.spec, ContentView::of_run(world, Some(&run.spec))))
    });
    machines.map(|machine| used_by(machine)).collect()
}

fn used_by(machine: &Stored<Machine>) -> DependentObject {
    let note = if machine.status.armed_until.is_some() { " (armed)" } else { " (in a run)" };
    DependentObject { note: note.into(), ..DependentObject::of(machine) }
}

pub fn of_bootenv(stored: &Stored<Bootenv>, world: &TrackedWorld<'_>) -> Vec<DependentObject> {
    machines_in_runs(world, |_, content| content.is_kept() && content.bootenv(&stored.key).is_some())
}

pub fn of_stage(stored: &Stored<Stage>, world: &TrackedWorld<'_>) -> Vec<DependentObject> {
    machines_in_runs(world, |_, content| content.is_kept() && content.stage(&stored.key).is_some())
}

pub fn of_task(stored: &Stored<Task>, world: &TrackedWorld<'_>) -> Vec<DependentObject> {
    machines_in_runs(world, |_, content| content.is_kept() && content.task(&stored.key).is_some())
}

pub fn of_profile(stored: &Stored<Profile>, world: &TrackedWorld<'_>) -> Vec<DependentObject> {
    machines_in_runs(world, |_, content| content.is_kept() && content.profile(&stored.key).is_some())
}

pub fn of_artifact(stored: &Stored<Artifact>, world: &TrackedWorld<'_>) -> Vec<DependentObject> {
    machines_in_runs(world, |run, _| run.artifacts.iter().any(|artifact| artifact.name == stored.key))
}

/// The run that the machine is in.
pub fn of_machine(stored: &Stored<Machine>, world: &TrackedWorld<'_>) -> Vec<DependentObject> {
    let Some(run) = open_run(world.untracked_world(), &stored.status) else { return Vec::new() };
    let armed = if stored.status.armed_until.is_some() { ", armed" } else { "" };
    let note = format!(" of `{}` ({}{armed})", run.spec.workflow, stored.status.state.as_str());
    vec![DependentObject { note: note.into(), ..DependentObject::of(run) }]
}

pub fn of_subnet(
    stored: &Stored<Subnet>,
    (world, now): (&TrackedWorld<'_>, Timestamp),
) -> Vec<DependentObject> {
    let leases = world.untracked_world().leases.iter().filter(|lease| lease.spec.subnet == stored.key);
    let leases = leases.filter(|lease| lease.spec.effective_state(now) == LeaseState::Bound);
    leases.map(|lease| DependentObject::of(lease)).collect()
}

/// The machine that boots with the lease's address.
pub fn of_lease(stored: &Stored<Lease>, world: &TrackedWorld<'_>) -> Vec<DependentObject> {
    let machine = world.untracked_world().machines.find("address", &stored.spec.address.to_string());
    machine.filter(|machine| boots(&machine.status)).map(|machine| used_by(machine)).into_iter().collect()
}

/// The machine that boots with the reservation's address.
pub fn of_reservation(stored: &Stored<Reservation>, world: &TrackedWorld<'_>) -> Vec<DependentObject> {
    match world.untracked_world().leases.get(&stored.spec.address.to_string()) {
        Some(lease) => of_lease(lease, world),
        None => Vec::new(),
    }
}

/// Whether a boot of the machine's run is under way: it would lose what it is at without its address.
fn boots(status: &MachineStatus) -> bool {
    let open = status.run.as_ref().is_some_and(|run| run.ended_at.is_none());
    open && matches!(status.state, MachineState::Booting | MachineState::Running)
}
