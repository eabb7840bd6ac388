//! Machines: params that fit their declarations, the lock, and the name that reservations know.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use crate::catalog::usable;
use crate::model::{Kind, Machine, ObjectReference, Problem, StepKind, Stored, World};
use crate::objects::rules::{Conflict, Dependent, NounRules, ProposedWrite, WriteCheck};
use crate::store::TrackedWorld;

impl NounRules for Machine {
    fn label(stored: &Stored<Self>) -> String {
        stored.spec.name.clone()
    }

    fn params(&self) -> Option<&BTreeMap<String, Value>> {
        Some(&self.params)
    }

    fn params_mut(&mut self) -> Option<&mut BTreeMap<String, Value>> {
        Some(&mut self.params)
    }

    fn write_checks(
        next: &Arc<Stored<Self>>,
        _old: Option<&Arc<Stored<Self>>>,
        _world: &TrackedWorld<'_>,
    ) -> Vec<WriteCheck> {
        let next = Arc::clone(next);
        vec![Box::new(move |_| super::options::faults(&next.spec.options, "/options"))]
    }

    /// Reservations name machines: a machine they name keeps its name.
    fn conflict(&self, change: &ProposedWrite<'_, Self>) -> Option<Conflict> {
        let old = change.old.filter(|old| old.spec.name != self.name)?;
        let holders = super::referrers(change.world, old);
        (!holders.is_empty()).then(|| {
            let by = super::list_dependents(&holders, change.caller, change.world);
            Conflict::plain(format!("`{}` cannot be renamed: {by} name it", old.spec.name))
        })
    }

    /// A locked machine can be unlocked, and nothing else.
    fn refuse_change(old: &Stored<Self>, new: &Stored<Self>) -> Option<String> {
        let unlocked = Machine { locked: false, ..old.spec.clone() };
        let only_unlocks = new.spec == unlocked && new.labels == old.labels;
        (old.spec.locked && !only_unlocks).then(|| locked(old))
    }

    fn refuse_delete(stored: &Stored<Self>, _world: &TrackedWorld<'_>) -> Option<String> {
        stored.spec.locked.then(|| locked(stored))
    }

    /// What keeps it from booting the bootenv it is to boot.
    fn problems(stored: &Stored<Self>, world: &World) -> Vec<Problem> {
        let bootenv = stored.status.bootenv.as_ref().and_then(|name| world.bootenvs.get(name));
        let found = bootenv.map(|bootenv| usable::bootenv_problems(&stored.spec, bootenv, world));
        found.unwrap_or_default().into_iter().map(|what| Problem::new("/status/bootenv", what)).collect()
    }

    fn names(stored: &Stored<Self>) -> Vec<ObjectReference> {
        vec![ObjectReference::new(Kind::Machine, &format!("name:{}", stored.spec.name), "")]
    }
}

fn locked(stored: &Stored<Machine>) -> String {
    format!("machine `{}` is locked: set `locked` to false first, and nothing else with it", stored.spec.name)
}

/// Machines with a run under way that goes through an object of content.
pub fn running_through(world: &TrackedWorld<'_>, kind: Kind, name: &str) -> Vec<Dependent> {
    let step = match kind {
        Kind::Bootenv => Some(StepKind::Bootenv),
        Kind::Stage => Some(StepKind::Stage),
        Kind::Task => Some(StepKind::Task),
        _ => None,
    };
    let goes_through = |machine: &Stored<Machine>| {
        let status = &machine.status;
        let Some(run) = status.run.as_ref().filter(|run| run.ended_at.is_none()) else { return false };
        (kind == Kind::Workflow && run.workflow == name)
            || (kind == Kind::Bootenv && status.bootenv.as_deref() == Some(name))
            || status.steps.iter().any(|held| Some(held.kind) == step && held.name == name)
    };
    let machines = world.statuses::<Machine>().filter(|machine| goes_through(machine));
    machines.map(|machine| Dependent { note: " (its run is under way)", ..Dependent::of(machine) }).collect()
}
