//! Rules for machines: params that fit their declarations, the lock, and the name that reservations refer to.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::Value;
use uuid::Uuid;

use crate::catalog::usable;
use crate::kernel::scope::agent_of;
use crate::kernel::{Caller, Changeset, TrackedWorld};
use crate::model::event::{JobNow, RunCancelled};
use crate::model::{
    ContentView, EventBody, Job, JobState, Kind, Lease, Mac, Machine, Noun, ObjectReference, Problem,
    RefusalCode, Run, RunEntry, RunResult, Stored, Token, World,
};
use crate::objects::rules::{DependentObject, NounRules, ProposedWrite, RuleConflict, WriteCheck, in_use};
use crate::objects::view;
use crate::runs::flow::{Flow, note_entry};

impl NounRules for Machine {
    const HAS_LINEAR_CHECKS: bool = true;
    fn used_now(stored: &Stored<Self>, world: &TrackedWorld<'_>, _now: Timestamp) -> Vec<DependentObject> {
        in_use::of_machine(stored, world)
    }

    /// Another computer must not boot what the machine was armed for.
    fn settle(next: &mut Stored<Self>, change: &ProposedWrite<'_, Self>, changeset: Changeset) -> Changeset {
        match change.old.filter(|old| old.status.armed_until.is_some() && is_other_computer(old, next)) {
            Some(_) => disarmed(next, change, changeset),
            None => changeset,
        }
    }

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

    /// A machine that a reservation names keeps its name.
    fn conflict(&self, change: &ProposedWrite<'_, Self>) -> Option<RuleConflict> {
        let old = change.old.filter(|old| old.spec.name != self.name)?;
        let holders = super::referrers(change.world, old);
        (!holders.is_empty()).then(|| {
            let by = super::list_dependents(&holders, change.caller, change.world);
            let why = format!("`{}` cannot be renamed: {by} name it", old.spec.name);
            RuleConflict::plain(RefusalCode::InUse, why)
        })
    }

    /// A locked machine can only be unlocked.
    fn refuse_change(old: &Stored<Self>, new: &Stored<Self>) -> Option<RuleConflict> {
        let unlocked = Machine { locked: false, ..old.spec.clone() };
        let only_unlocks = new.spec == unlocked && new.labels == old.labels;
        (old.spec.locked && !only_unlocks).then(|| locked(old))
    }

    fn refuse_delete(stored: &Stored<Self>, _world: &TrackedWorld<'_>) -> Option<RuleConflict> {
        stored.spec.locked.then(|| locked(stored))
    }

    /// The reasons why the machine cannot boot its bootenv.
    fn problems_now(stored: &Stored<Self>, world: &World) -> Vec<Problem> {
        let content = ContentView::of_machine(world, &stored.status);
        let bootenv = stored.status.bootenv.as_ref().and_then(|name| content.bootenv(name));
        let found = bootenv.map(|bootenv| usable::bootenv_problems(&stored.spec, bootenv, world));
        found
            .unwrap_or_default()
            .into_iter()
            .map(|what| Problem::new("/status/bootenv", what).coded(RefusalCode::Missing))
            .collect()
    }

    /// Ends everything that belongs to the machine: the tokens of its agent, its job, its run, and the
    /// lease's reference to it. The lease itself stays, because the network interface still uses the address.
    /// Unique values and the capability of the boot attempt end with the row.
    fn cascade_deletion(
        stored: &Stored<Self>,
        world: &TrackedWorld<'_>,
        caller: &Caller,
        changeset: Changeset,
    ) -> Changeset {
        let changeset = without_tokens((stored, world), caller, changeset);
        let changeset = without_job((stored, world), caller, changeset);
        let changeset = without_run((stored, world), caller, changeset);
        without_lease((stored, world), caller, changeset)
    }

    fn names(stored: &Stored<Self>) -> Vec<ObjectReference> {
        vec![ObjectReference::new(Kind::Machine, &format!("name:{}", stored.spec.name), "")]
    }
}

fn locked(stored: &Stored<Machine>) -> RuleConflict {
    let name = &stored.spec.name;
    let why = format!("machine `{name}` is locked: set `locked` to false first, and nothing else with it");
    RuleConflict::plain(RefusalCode::Locked, why)
}

/// Whether a machine is found by other hardware than before.
fn is_other_computer(old: &Stored<Machine>, new: &Stored<Machine>) -> bool {
    let macs = |machine: &Stored<Machine>| -> BTreeSet<Mac> { machine.spec.macs.iter().copied().collect() };
    macs(old) != macs(new) || old.spec.smbios_uuid != new.spec.smbios_uuid
}

/// Disarms the machine and holds its run.
fn disarmed(
    next: &mut Stored<Machine>,
    change: &ProposedWrite<'_, Machine>,
    mut changeset: Changeset,
) -> Changeset {
    let caller = change.caller;
    let run = next.status.run.as_ref().and_then(|run| change.world.get::<Run>(&run.id.to_string()));
    let mut run = run.map(|run| run.next(caller.now));
    let record = run.as_mut().map(|run| &mut run.spec);
    let mut flow = Flow::new((&mut next.status, record), change.world.untracked_world(), caller.now);
    flow.withdraw_arming(&format!("{} changed the addresses by which the machine is known", caller.actor));
    for body in flow.finish() {
        if let Some(run) = &mut run {
            let by = &caller.actor.to_string();
            note_entry(&mut run.spec, (caller.now, by), (next.status.cursor, &body));
        }
        changeset = changeset.event(caller.event_about(next, body));
    }
    match run {
        Some(run) => changeset.update(Run::object(Arc::new(run))),
        None => changeset,
    }
}

/// The reason for the end of everything that belonged to the machine.
const DELETED: &str = "its machine was deleted";
/// The kind of event that ends the run.
const CANCELLED: &str = "run.cancelled";

/// The machine that is deleted, and the world.
type Deleted<'a, 'w> = (&'a Stored<Machine>, &'a TrackedWorld<'w>);

/// Deletes the tokens whose only scope is this machine's agent. In a token with further scopes the agent's
/// scope has no effect any more, because the machine does not exist.
fn without_tokens((stored, world): Deleted<'_, '_>, caller: &Caller, mut changeset: Changeset) -> Changeset {
    let id = stored.key.parse::<Uuid>().ok();
    let tokens = world.specs::<Token>().filter(|token| {
        let scopes = &token.spec.scopes;
        !scopes.is_empty()
            && scopes.iter().all(|scope: &String| agent_of(scope).is_some() && agent_of(scope) == id)
    });
    for token in tokens {
        let event = caller.event_about(token, view::deleted(token));
        changeset = changeset.delete(&Token::object(Arc::clone(token))).event(event);
    }
    changeset
}

/// Cancels the open job.
fn without_job((stored, world): Deleted<'_, '_>, caller: &Caller, changeset: Changeset) -> Changeset {
    let job = stored.status.job.and_then(|id| world.get::<Job>(&id.to_string()));
    let Some(job) = job.filter(|job| job.spec.state.is_open()) else { return changeset };
    let mut next = job.next(caller.now);
    (next.spec.state, next.spec.ended_at) = (JobState::Cancelled, Some(caller.now));
    next.spec.reason = DELETED.to_owned();
    let now = JobNow::new(&next.spec, &next.key);
    let attempt = stored.status.boot_attempt.as_ref().map(|attempt| attempt.id);
    let event = caller.event_about(stored, EventBody::JobCancelled(now)).in_attempt(attempt);
    changeset.update(Job::object(Arc::new(next))).event(event)
}

/// Cancels the open run. Runs stay, with the name and the MAC addresses of their machine.
fn without_run((stored, world): Deleted<'_, '_>, caller: &Caller, changeset: Changeset) -> Changeset {
    let run = stored.status.run.as_ref().and_then(|run| world.get::<Run>(&run.id.to_string()));
    let Some(run) = run.filter(|run| run.spec.is_open()) else { return changeset };
    let mut next = run.next(caller.now);
    let by = caller.actor.to_string();
    next.spec.add_entry(RunEntry {
        at: caller.now,
        what: CANCELLED.to_owned(),
        by: by.clone(),
        step: stored.status.cursor,
        text: DELETED.to_owned(),
    });
    next.spec.end(RunResult::Cancelled, caller.now);
    let workflow = Some(next.spec.workflow.clone());
    let attempt = stored.status.boot_attempt.as_ref().map(|attempt| attempt.id);
    let cancelled =
        RunCancelled { run: run.key.parse().ok(), by, workflow, stage: stored.status.stage.clone() };
    let event = caller.event_about(stored, cancelled).in_attempt(attempt);
    changeset.update(Run::object(Arc::new(next))).event(event)
}

/// Removes the machine from the lease of its address.
fn without_lease((stored, world): Deleted<'_, '_>, caller: &Caller, changeset: Changeset) -> Changeset {
    let lease = stored.status.address.and_then(|address| world.get::<Lease>(&address.to_string()));
    let id = stored.key.parse::<Uuid>().ok();
    let Some(lease) = lease.filter(|lease| lease.spec.machine.is_some() && lease.spec.machine == id) else {
        return changeset;
    };
    let mut next = lease.next(caller.now);
    next.spec.machine = None;
    changeset.update(Lease::object(Arc::new(next)))
}
