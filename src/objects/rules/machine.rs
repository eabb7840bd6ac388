//! Machines: params that fit their declarations, the lock, and the name that reservations know.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use crate::catalog::usable;
use crate::model::{ContentView, Kind, Machine, ObjectReference, Problem, Stored, World};
use crate::objects::rules::{Conflict, NounRules, ProposedWrite, WriteCheck};
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
        let content = ContentView::of_machine(world, &stored.status);
        let bootenv = stored.status.bootenv.as_ref().and_then(|name| content.bootenv(name));
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
