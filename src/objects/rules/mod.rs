//! What each noun's objects must be, beyond what can be said of one alone: one file a noun.
//!
//! *Refused* (422) is a value that is wrong whatever else there is; *conflict* (409) is one that
//! another object stands against; a *problem* is saved and shown, and keeps the object from being used.
//!
//! A rule that decides whether a write is done sees other objects through a `TrackedWorld`, which notes what
//! it looked at: the write is refused as stale, and decided anew, when any of it changed before the commit.
//! Problems are shown, never committed, and see the world itself.

mod artifact;
mod bootenv;
mod client_class;
mod conflict;
mod content;
mod graph;
mod job;
mod lease;
mod machine;
mod options;
mod param;
pub mod params;
mod profile;
#[cfg(test)]
mod races;
mod reservation;
mod run;
mod setting;
mod stage;
mod subnet;
mod task;
mod template;
mod token;
mod workflow;

use std::collections::BTreeMap;
use std::sync::Arc;

use conflict::list_dependents;
pub use conflict::{DependentObject, RuleConflict};
use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::kernel::{Caller, Changeset, ChangesetRead, Error, ServerEndpoints, TrackedWorld};
use crate::model::{
    FetchNetworks, HasTable, Kind, Noun, ObjectReference, Problem, RefusalCode, SITE, Stored, World,
};
use crate::objects::ArtifactRoots;

/// Most unknown references listed for one object.
const UNKNOWN_MAX: usize = 64;

/// A check whose cost the writer of an object chooses. What it needs is taken out of the world when it is
/// made; it runs when the world is let go (`objects::lanes`).
pub type RuleCheck = Box<dyn FnOnce() -> Vec<Problem> + Send>;

/// A check of a write. What it turns out to look at when the world is let go, it adds to the reads.
pub type WriteCheck = Box<dyn FnOnce(&mut Vec<ChangesetRead>) -> Vec<Problem> + Send>;

/// A noun whose objects are managed through the API.
pub trait NounRules: Noun {
    /// Whether [`NounRules::refused_here`] has something to say.
    const ASKS_THE_HOST: bool = false;
    /// Fields that no reader sees and no writer sends.
    const HIDDEN: &'static [&'static str] = &[];

    /// Adds to what readers see the values of fields that the writer left out and other fields decide.
    fn show_defaults(&self, _fields: &mut Map<String, Value>) {}

    /// What a person calls it.
    fn label(stored: &Stored<Self>) -> String {
        stored.key.clone()
    }

    /// The param values it carries.
    fn params(&self) -> Option<&BTreeMap<String, Value>> {
        None
    }

    fn params_mut(&mut self) -> Option<&mut BTreeMap<String, Value>> {
        None
    }

    /// Faults for which a write is refused (422), where finding them costs what its writer chooses.
    fn write_checks(
        _next: &Arc<Stored<Self>>,
        _old: Option<&Arc<Stored<Self>>>,
        _world: &TrackedWorld<'_>,
    ) -> Vec<WriteCheck> {
        Vec::new()
    }

    /// Names of the params that its users must have.
    fn required_params(&self) -> &[String] {
        &[]
    }

    /// Why it cannot be used as things are, where finding that costs what its writer chose.
    fn read_checks(_stored: &Arc<Stored<Self>>, _world: &World) -> Vec<RuleCheck> {
        Vec::new()
    }

    /// Faults for which a write is refused (422).
    fn refused(&self, _change: &ProposedWrite<'_, Self>) -> Vec<Problem> {
        Vec::new()
    }

    /// What another object stands against (409).
    fn conflict(&self, _change: &ProposedWrite<'_, Self>) -> Option<RuleConflict> {
        None
    }

    /// Why an object in this state may not become that one (409).
    fn refuse_change(_old: &Stored<Self>, _new: &Stored<Self>) -> Option<RuleConflict> {
        None
    }

    /// Why an object in this state may not be deleted (409).
    fn refuse_delete(_stored: &Stored<Self>, _world: &TrackedWorld<'_>) -> Option<RuleConflict> {
        None
    }

    /// Why it cannot be used as things are, besides the unknown objects it names.
    fn problems(_stored: &Stored<Self>, _world: &World) -> Vec<Problem> {
        Vec::new()
    }

    /// Why it cannot be used on this server as it was started.
    fn unserved(&self, _endpoints: &ServerEndpoints) -> Vec<Problem> {
        Vec::new()
    }

    /// What a reader sees at this time, where that is not what is stored.
    fn as_of(_stored: &Stored<Self>, _now: Timestamp) -> Option<Stored<Self>> {
        None
    }

    /// Faults that only this host can tell (422): paths, addresses. It is not asked under the world's lock,
    /// and may wait for the disk. `old` is what the write would replace.
    fn refused_here(&self, _old: Option<&Self>, _host: &HostLimits) -> Vec<Problem> {
        Vec::new()
    }

    /// The names that others refer to it by.
    fn names(stored: &Stored<Self>) -> Vec<ObjectReference> {
        vec![ObjectReference::new(Self::KIND, &stored.key, "")]
    }

    /// The changeset that writes it, with what has to change together with it.
    fn along(_next: &Stored<Self>, _change: &ProposedWrite<'_, Self>, changeset: Changeset) -> Changeset {
        changeset
    }

    /// The changeset that deletes it, with what has to go or change together with it.
    fn along_deletion(
        _stored: &Stored<Self>,
        _world: &TrackedWorld<'_>,
        _caller: &Caller,
        changeset: Changeset,
    ) -> Changeset {
        changeset
    }

    /// Those that need it in other ways than by naming it in their fields.
    fn needed_by(_stored: &Stored<Self>, _world: &TrackedWorld<'_>) -> Vec<DependentObject> {
        Vec::new()
    }
}

/// What rules may know of the host.
#[derive(Clone, Debug)]
pub struct HostLimits {
    pub(crate) roots: ArtifactRoots,
    pub(crate) networks: Arc<FetchNetworks>,
}

/// A write that is being looked at.
#[derive(Debug)]
pub struct ProposedWrite<'a, T: Noun> {
    pub caller: &'a Caller,
    pub world: &'a TrackedWorld<'a>,
    pub key: &'a str,
    /// What the write would replace; none for a new object.
    pub old: Option<&'a Stored<T>>,
}

/// The checks of a write that run without the world.
pub(crate) fn write_checks<T: NounRules>(
    next: &Arc<Stored<T>>,
    old: Option<&Arc<Stored<T>>>,
    world: &TrackedWorld<'_>,
) -> Vec<WriteCheck> {
    let params = params::write_check(next, old, world);
    params.into_iter().chain(T::write_checks(next, old, world)).collect()
}

/// The checks of an object as it is that run without the world.
pub(crate) fn read_checks<T: NounRules>(stored: &Arc<Stored<T>>, world: &World) -> Vec<RuleCheck> {
    let undeclared = params::undeclared(stored, world);
    undeclared
        .into_iter()
        .chain(params::read_check(stored, world))
        .chain(T::read_checks(stored, world))
        .collect()
}

/// Every fault for which the write of `spec` is refused, besides those of its checks.
pub(crate) fn refusals<T: NounRules>(spec: &T, change: &ProposedWrite<'_, T>) -> Vec<Problem> {
    let mut problems: Vec<Problem> = key_changed(spec, change).into_iter().collect();
    problems.extend(spec.refused(change));
    problems
}

fn key_changed<T: NounRules>(spec: &T, change: &ProposedWrite<'_, T>) -> Option<Problem> {
    let key = spec.key()?;
    let field = T::KIND.row().name_field;
    (key != change.key).then(|| {
        let what = format!("`{field}` is `{}` for good: create another {} instead", change.key, T::KIND);
        Problem::new(format!("/{field}"), what).coded(RefusalCode::ReadOnly)
    })
}

/// Whether `old` may be written over.
pub(crate) fn may_change<T: NounRules>(old: &Stored<T>, new: &Stored<T>) -> Result<(), Error> {
    let refused = read_only(old).or_else(|| T::refuse_change(old, new));
    refused.map_or(Ok(()), |conflict| Err(conflict.into()))
}

/// Whether an object may go: it is the site's own, and nothing refers to it.
pub(crate) fn may_delete<T: NounRules>(
    caller: &Caller,
    world: &TrackedWorld<'_>,
    stored: &Stored<T>,
) -> Result<(), Error> {
    if let Some(conflict) = read_only(stored).or_else(|| T::refuse_delete(stored, world)) {
        return Err(conflict.into());
    }
    let referrers = referrers(world, stored);
    if referrers.is_empty() {
        return Ok(());
    }
    let by = list_dependents(&referrers, caller, world);
    let why = format!("{} `{}` is in use by {by}", T::KIND, T::label(stored));
    Err(Error::Conflict(RefusalCode::InUse, why))
}

fn read_only<T: NounRules>(stored: &Stored<T>) -> Option<RuleConflict> {
    (stored.source != SITE).then(|| {
        let (kind, label, source) = (T::KIND, T::label(stored), &stored.source);
        let why =
            format!("{kind} `{label}` comes from {source} and is read-only: copy it under another name");
        RuleConflict::plain(RefusalCode::ReadOnly, why)
    })
}

/// Everything that refers to an object by one of its names.
fn referrers<T: NounRules>(world: &TrackedWorld<'_>, stored: &Stored<T>) -> Vec<DependentObject> {
    let names = T::names(stored);
    let naming = names.iter().flat_map(|name| world.referrers(name));
    let naming = naming.filter(|(kind, key)| (*kind, key.as_str()) != (T::KIND, stored.key.as_str()));
    let mut found: Vec<DependentObject> =
        naming.map(|(kind, key)| DependentObject { kind, key, note: "" }).collect();
    found.extend(T::needed_by(stored, world));
    found
}

/// Why an object cannot be used as things are, besides what its checks find.
pub(crate) fn problems<T: NounRules>(
    (world, here): (&World, &ServerEndpoints),
    stored: &Stored<T>,
) -> Vec<Problem>
where
    World: HasTable<T>,
{
    let references = stored.spec.references();
    let unknown = references.iter().filter_map(|reference| unknown(world, reference));
    let mut problems: Vec<Problem> = unknown.take(UNKNOWN_MAX).collect();
    problems.extend(T::problems(stored, world));
    problems.extend(stored.spec.unserved(here));
    problems
}

fn unknown(world: &World, reference: &ObjectReference) -> Option<Problem> {
    let (kind, key) = (reference.kind, reference.key.as_str());
    let known =
        world.contains(kind, key) || matches!(kind, Kind::Machine if world.machines.resolve(key).is_some());
    let name = key.strip_prefix("name:").unwrap_or(key);
    (!known).then(|| {
        Problem::new(&reference.pointer, format!("there is no {kind} `{name}`")).coded(RefusalCode::NotFound)
    })
}
