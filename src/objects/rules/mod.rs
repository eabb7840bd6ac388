//! The rules of each noun that depend on other objects: one file per noun that has such rules.
//!
//! *Refused* (422): the value itself is wrong. *Conflict* (409): another object prevents the write. A
//! *problem* is saved and shown, and prevents the use of the object.
//!
//! A rule that decides on a write reads other objects through a `TrackedWorld`, which records what was read.
//! If any of it changes before the commit, the write is stale and decided again. Problems are shown and never
//! committed, so their rules read the world itself.

mod artifact;
mod bootenv;
mod channel;
mod client_class;
mod conflict;
mod content;
mod content_override;
pub mod document;
mod graph;
mod in_use;
mod lease;
mod machine;
pub mod option_document;
mod options;
mod pack;
mod param;
pub mod params;
mod profile;
#[cfg(test)]
mod races;
mod reservation;
mod session;
mod setting;
mod stage;
mod subnet;
mod task;
mod template;
mod token;
mod view;
mod workflow;

use std::collections::BTreeMap;
use std::sync::Arc;

use conflict::list_dependents;
pub use conflict::{DependentObject, RuleConflict};
use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::kernel::{Caller, Changeset, ChangesetRead, Error, ServerEndpoints, TrackedWorld};
use crate::model::{
    FetchPolicy, HasTable, Job, Kind, Noun, ObjectReference, Override, Problem, RefusalCode, Run, SITE,
    Stored, Table, World, nearest, with_noun,
};
use crate::objects::ArtifactRoots;

/// Most unknown references that are listed for one object, and most of them for which the nearest name is
/// searched.
const UNKNOWN_MAX: usize = 64;
const HINTS_MAX: usize = 4;

/// A check whose cost the writer of an object determines. It copies what it needs out of the world when it is
/// created, and runs after the lock was released (`objects::lanes`).
pub type RuleCheck = Box<dyn FnOnce() -> Vec<Problem> + Send>;

/// A check of a write. What it reads after the lock of the world was released, it adds to the reads.
pub type WriteCheck = Box<dyn FnOnce(&mut Vec<ChangesetRead>) -> Vec<Problem> + Send>;

/// A noun whose objects clients manage through the API.
pub trait NounRules: Noun {
    /// Whether [`NounRules::refused_here`] checks anything.
    const ASKS_THE_HOST: bool = false;
    /// Whether the noun's own checks take time in proportion to the object: none of them compiles what a
    /// writer wrote, or looks at other objects.
    const HAS_LINEAR_CHECKS: bool = false;
    /// Kinds whose specs decide what [`NounRules::problems`] and [`NounRules::read_checks`] find, besides
    /// those that it refers to and params.
    const PROBLEMS_SEE: &'static [Kind] = &[];
    /// Fields that readers never see and writers never send.
    const HIDDEN: &'static [&'static str] = &[];

    /// Adds the values of fields that the writer left out and that follow from other fields.
    fn show_defaults(&self, _fields: &mut Map<String, Value>) {}

    /// The override that the object is; none for other nouns.
    fn as_override(_stored: &Stored<Self>) -> Option<&Stored<Override>> {
        None
    }

    /// The name that people use for an object.
    fn label(stored: &Stored<Self>) -> String {
        stored.key.clone()
    }

    /// The param values of the object.
    fn params(&self) -> Option<&BTreeMap<String, Value>> {
        None
    }

    fn params_mut(&mut self) -> Option<&mut BTreeMap<String, Value>> {
        None
    }

    /// Checks for faults that refuse a write (422), if their cost is determined by the writer.
    fn write_checks(
        _next: &Arc<Stored<Self>>,
        _old: Option<&Arc<Stored<Self>>>,
        _world: &TrackedWorld<'_>,
    ) -> Vec<WriteCheck> {
        Vec::new()
    }

    /// Names of the params that users of the object must have.
    fn required_params(&self) -> &[String] {
        &[]
    }

    /// Checks for reasons why the object cannot be used at present, if their cost was determined by the
    /// writer.
    fn read_checks(_stored: &Arc<Stored<Self>>, _world: &World) -> Vec<RuleCheck> {
        Vec::new()
    }

    /// The faults that refuse a write (422).
    fn refused(&self, _change: &ProposedWrite<'_, Self>) -> Vec<Problem> {
        Vec::new()
    }

    /// The conflict with another object that refuses a write (409).
    fn conflict(&self, _change: &ProposedWrite<'_, Self>) -> Option<RuleConflict> {
        None
    }

    /// Why an object in the state `old` may not become `new` (409).
    fn refuse_change(_old: &Stored<Self>, _new: &Stored<Self>) -> Option<RuleConflict> {
        None
    }

    /// Why an object may not be deleted in its state (409).
    fn refuse_delete(_stored: &Stored<Self>, _world: &TrackedWorld<'_>) -> Option<RuleConflict> {
        None
    }

    /// Why the object cannot be used, besides unknown objects that it names. The result follows from the
    /// specs of [`NounRules::PROBLEMS_SEE`], and is valid until one of them or the object itself is written.
    fn problems(_stored: &Stored<Self>, _world: &World) -> Vec<Problem> {
        Vec::new()
    }

    /// Why the object cannot be used at present, where that follows from the statuses of other objects. Every
    /// read calls it with the world locked: it looks at a few objects only.
    fn problems_now(_stored: &Stored<Self>, _world: &World) -> Vec<Problem> {
        Vec::new()
    }

    /// Why the object cannot be used on this server, as it was started.
    fn unserved(_stored: &Stored<Self>, _endpoints: &ServerEndpoints) -> Vec<Problem> {
        Vec::new()
    }

    /// The object at this time, if it differs from the stored one.
    fn effective_at(_stored: &Stored<Self>, _now: Timestamp) -> Option<Stored<Self>> {
        None
    }

    /// The faults that only this host can detect (422): paths, addresses. It runs without the lock of the
    /// world and may wait for the disk. `old` is the object that the write would replace.
    fn refused_here(&self, _old: Option<&Self>, _host: &HostLimits) -> Vec<Problem> {
        Vec::new()
    }

    /// The names by which others refer to the object.
    fn names(stored: &Stored<Self>) -> Vec<ObjectReference> {
        vec![ObjectReference::new(Self::KIND, &stored.key, "")]
    }

    /// The changeset that writes the object, together with everything that has to change with it.
    fn cascade(_next: &Stored<Self>, _change: &ProposedWrite<'_, Self>, changeset: Changeset) -> Changeset {
        changeset
    }

    /// The changeset that deletes the object, together with everything that has to change with it.
    fn cascade_deletion(
        _stored: &Stored<Self>,
        _world: &TrackedWorld<'_>,
        _caller: &Caller,
        changeset: Changeset,
    ) -> Changeset {
        changeset
    }

    /// The objects whose present work uses this one, like the machines whose runs go through it. `force`
    /// overrides the refusal that follows from them.
    fn used_now(_stored: &Stored<Self>, _world: &TrackedWorld<'_>, _now: Timestamp) -> Vec<DependentObject> {
        Vec::new()
    }

    /// Changes what else of the object has to change with a write of its fields: the changeset so far, with
    /// the objects and events that this adds.
    fn settle(
        _next: &mut Stored<Self>,
        _change: &ProposedWrite<'_, Self>,
        changeset: Changeset,
    ) -> Changeset {
        changeset
    }

    /// The objects that need this one without naming it in their fields.
    fn needed_by(_stored: &Stored<Self>, _world: &TrackedWorld<'_>) -> Vec<DependentObject> {
        Vec::new()
    }
}

// The nouns whose rules are all defaults.
impl NounRules for Job {
    const HAS_LINEAR_CHECKS: bool = true;
}
impl NounRules for Run {
    const HAS_LINEAR_CHECKS: bool = true;
}

/// What rules may know about the host.
#[derive(Clone, Debug)]
pub struct HostLimits {
    pub(crate) roots: ArtifactRoots,
    pub(crate) policy: Arc<FetchPolicy>,
}

/// A write that is being checked.
#[derive(Debug)]
pub struct ProposedWrite<'a, T: Noun> {
    pub caller: &'a Caller,
    pub world: &'a TrackedWorld<'a>,
    pub key: &'a str,
    /// The object that the write would replace; none for a new object.
    pub old: Option<&'a Stored<T>>,
}

/// The checks of a write that run without the lock of the world.
pub(crate) fn write_checks<T: NounRules>(
    next: &Arc<Stored<T>>,
    old: Option<&Arc<Stored<T>>>,
    world: &TrackedWorld<'_>,
) -> Vec<WriteCheck> {
    let params = params::write_check(next, old, world);
    params.into_iter().chain(T::write_checks(next, old, world)).collect()
}

/// The checks of a stored object that run without the lock of the world.
pub(crate) fn read_checks<T: NounRules>(stored: &Arc<Stored<T>>, world: &World) -> Vec<RuleCheck> {
    let undeclared = params::undeclared(stored, world);
    undeclared
        .into_iter()
        .chain(params::read_check(stored, world))
        .chain(params::disk_check(stored, world))
        .chain(T::read_checks(stored, world))
        .collect()
}

/// Every fault that refuses the write of `spec`, besides those that its checks find.
pub(crate) fn refusals<T: NounRules>(spec: &T, change: &ProposedWrite<'_, T>) -> Vec<Problem> {
    let mut problems: Vec<Problem> = key_changed(spec, change).into_iter().collect();
    problems.extend(spec.refused(change));
    problems
}

fn key_changed<T: NounRules>(spec: &T, change: &ProposedWrite<'_, T>) -> Option<Problem> {
    let key = spec.key()?;
    let field = T::KIND.row().name_field;
    (key != change.key).then(|| {
        let what = format!(
            "`{field}` is `{}` and cannot be changed: create another {} instead",
            change.key,
            T::KIND
        );
        Problem::new(format!("/{field}"), what).coded(RefusalCode::ReadOnly)
    })
}

/// Whether `old` may be replaced. An object of the site may take the place of one of a pack.
pub(crate) fn may_change<T: NounRules>(old: &Stored<T>, new: &Stored<T>) -> Result<(), Error> {
    let refused = read_only(old).filter(|_| new.source != SITE).or_else(|| T::refuse_change(old, new));
    refused.map_or(Ok(()), |conflict| Err(conflict.into()))
}

/// Whether an object may be deleted: it belongs to the site, and no object refers to it. If the object of a
/// pack comes back in its place, others may refer to it.
pub(crate) fn may_delete<T: NounRules>(
    caller: &Caller,
    world: &TrackedWorld<'_>,
    stored: &Stored<T>,
) -> Result<(), Error> {
    if let Some(conflict) = read_only(stored).or_else(|| T::refuse_delete(stored, world)) {
        return Err(conflict.into());
    }
    let comes_back = !stored.hides.is_empty();
    let referrers = if comes_back { Vec::new() } else { referrers(world, stored) };
    if referrers.is_empty() {
        return Ok(());
    }
    let by = list_dependents(&referrers, caller, world);
    let why = format!("{} `{}` is in use by {by}", T::KIND, T::label(stored));
    Err(Error::Conflict(RefusalCode::InUse, why))
}

/// Whether nobody's present work uses an object that is to be deleted. What refuses its deletion in any case
/// comes first.
pub(crate) fn refuse_used<T: NounRules>(
    caller: &Caller,
    world: &TrackedWorld<'_>,
    stored: &Stored<T>,
) -> Result<(), Error> {
    may_delete(caller, world, stored)?;
    let users = T::used_now(stored, world, caller.now);
    if users.is_empty() {
        return Ok(());
    }
    let (kind, name, by) = (T::KIND, T::label(stored), list_dependents(&users, caller, world));
    let way_out = "`--force` (`force=true`) deletes it all the same";
    Err(Error::Conflict(RefusalCode::InUse, format!("{kind} `{name}` is in use by {by}; {way_out}")))
}

fn read_only<T: NounRules>(stored: &Stored<T>) -> Option<RuleConflict> {
    (stored.source != SITE).then(|| {
        let (kind, label, source) = (T::KIND, T::label(stored), &stored.source);
        let way_out = content_override::way_out(kind, &label);
        let why = format!(
            "{kind} `{label}` comes from {source} and is read-only: make an override of it ({way_out}), or \
             an object of the site with this name, which takes its place"
        );
        RuleConflict::plain(RefusalCode::ReadOnly, why)
    })
}

/// Every object that refers to this one by one of its names.
fn referrers<T: NounRules>(world: &TrackedWorld<'_>, stored: &Stored<T>) -> Vec<DependentObject> {
    let names = T::names(stored);
    let naming = names.iter().flat_map(|name| world.referrers(name));
    let naming = naming.filter(|(kind, key)| (*kind, key.as_str()) != (T::KIND, stored.key.as_str()));
    let mut found: Vec<DependentObject> =
        naming.map(|(kind, key)| DependentObject { kind, key, note: "".into() }).collect();
    found.extend(T::needed_by(stored, world));
    found
}

/// Why an object cannot be used at present, besides what its checks find.
pub(crate) fn problems<T: NounRules>(
    (world, here): (&World, &ServerEndpoints),
    stored: &Stored<T>,
) -> Vec<Problem>
where
    World: HasTable<T>,
{
    let references = stored.spec.references();
    let mut problems: Vec<Problem> = Vec::new();
    for reference in &references {
        let place = problems.len();
        if place == UNKNOWN_MAX {
            break;
        }
        problems.extend(unknown(world, (place, reference)));
    }
    problems.extend(params::outside_faults(
        &stored.spec,
        &TrackedWorld::untracked(world),
        &here.secret_sources,
    ));
    problems.extend(T::problems(stored, world));
    problems.extend(T::unserved(stored, here));
    problems
}

/// The problem of a name that no object has. The first ones of an object say which name is the nearest.
fn unknown(world: &World, (place, reference): (usize, &ObjectReference)) -> Option<Problem> {
    let (kind, key) = (reference.kind, reference.key.as_str());
    if world.contains(kind, key) || matches!(kind, Kind::Machine if world.machines.resolve(key).is_some()) {
        return None;
    }
    let name = reference.key.strip_prefix("name:").unwrap_or(&reference.key);
    let near = match kind {
        _ if place >= HINTS_MAX => None,
        Kind::Machine => nearest(name, world.machines.iter().map(|row| row.spec.name.as_str())),
        _ => with_noun!(kind, N => {
            let table: &Table<N> = world.table();
            nearest(name, table.iter().map(|row| row.key.as_str()))
        }),
    };
    let near = near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
    let problem = Problem::new(&reference.pointer, format!("there is no {kind} `{name}`{near}"));
    Some(problem.coded(RefusalCode::NotFound))
}
