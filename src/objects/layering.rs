//! What a write changes besides its own object where packs, overrides and objects of the site meet: the row
//! of an override's target, and the object of a pack that comes back when the site's own goes.
//!
//! [`Objects::layered_write`] and [`Objects::layered_deletion`] find it out in a lane, without the world's
//! lock, and note what they read; [`LayeredWrite::add_to`] puts it into the changeset of the write, under the
//! lock. `catalog::layers` has the order of layers.

use std::sync::Arc;

use crate::catalog::layers::{self, KnownTemplates, LayerFault, ResolvedObject};
use crate::catalog::packs::{ProdLayers, fault_writes};
use crate::kernel::{Caller, Changeset, ChangesetRead, Error, TrackedWorld};
use crate::model::{
    Bootenv, EventBody, HasTable, Kind, Object, Override, OverrideKind, Param, Problem, RefusalCode, SITE,
    Stage, Stored, Task, Template, Workflow, World, nearest, with_noun,
};
use crate::objects::Objects;
use crate::objects::rules::{self, NounRules, ProposedWrite};
use crate::objects::view;
use crate::objects::write::WriteTarget;

/// What has to be written together with an object.
#[derive(Default)]
pub(super) struct LayeredWrite {
    /// Why the write is refused.
    pub(super) problems: Vec<Problem>,
    pub(super) reads: Vec<ChangesetRead>,
    row: Option<LayeredRow>,
    /// The overrides of the row that are not written themselves, and the faults of all of them.
    others: Vec<Arc<Stored<Override>>>,
    faults: Vec<LayerFault>,
}

/// A row before and afterwards, and what is told of it.
struct LayeredRow {
    old: Object,
    new: Object,
    body: EventBody,
}

/// An object that overrides are of, as it stands.
struct SeenTarget {
    row: Option<Object>,
    overrides: Vec<Arc<Stored<Override>>>,
    templates: KnownTemplates,
}

impl SeenTarget {
    fn of(world: &TrackedWorld<'_>, kind: Kind, key: &str) -> Self {
        let all = world.untracked_world();
        let overrides = all.overrides.iter().filter(|row| row.spec.is_of(kind, key));
        let overrides = overrides.filter_map(|row| world.get::<Override>(&row.key));
        let templates = all.templates.iter().filter(|_| kind == Kind::Template);
        SeenTarget {
            row: world.object(kind, key),
            overrides: overrides.cloned().collect(),
            templates: templates.map(|row| (row.key.clone(), Arc::clone(row))).collect(),
        }
    }
}

impl Objects {
    /// What the write of an override changes of its target; nothing for another noun.
    pub(super) async fn layered_write<T: NounRules>(
        &self,
        caller: &Caller,
        next: &Stored<T>,
    ) -> Result<Option<LayeredWrite>, Error> {
        let Some(next) = T::as_override(next) else { return Ok(None) };
        let next = Arc::new(next.clone());
        let target = next.spec.target.clone();
        self.of_target(caller, (target.kind, &target.name), (&next.key, Some(&next))).await.map(Some)
    }

    /// What the deletion of an object changes besides: nothing, or the row of an override's target, or the
    /// object of a pack with the same name comes back.
    pub(super) async fn layered_deletion<T: NounRules>(
        &self,
        caller: &Caller,
        target: &WriteTarget<'_>,
    ) -> Result<Option<LayeredWrite>, Error>
    where
        World: HasTable<T>,
    {
        if T::KIND != Kind::Override && !T::KIND.is_of_packs() {
            return Ok(None);
        }
        let current = self.find_to_write::<T>(caller, target)?;
        if let Some(gone) = T::as_override(&current) {
            let target = &gone.spec.target;
            return self.of_target(caller, (target.kind, &target.name), (&gone.key, None)).await.map(Some);
        }
        if current.source != SITE {
            return Ok(None);
        }
        self.coming_back::<T>(caller, &current).await
    }

    /// The row of a target without the override with this name, and with `next` in its place.
    async fn of_target(
        &self,
        caller: &Caller,
        (kind, key): (OverrideKind, &str),
        (written, next): (&str, Option<&Arc<Stored<Override>>>),
    ) -> Result<LayeredWrite, Error> {
        let layers = self.catalog.layers_of_prod();
        let (seen, mut reads) = self.kernel.read_tracked(|world| SeenTarget::of(world, kind.kind(), key));
        reads.extend(layers.reads.iter().cloned());
        let others: Vec<_> = seen.overrides.iter().filter(|row| row.key != written).cloned().collect();
        let mut applied = others.clone();
        applied.extend(next.cloned());
        applied.sort_by(|a, b| a.key.cmp(&b.key));
        let found = LayeredWrite { reads, others, ..LayeredWrite::default() };
        let name = key.to_owned();
        let row = seen.row.clone();
        // What is written is compiled by the checks of its noun, which say where it is at fault.
        let compiles = next.is_none();
        let resolved = self.lanes.writes.run(move || {
            let brought = layers::brought(&layers.packs, kind.kind(), &name);
            let templates = Some(&seen.templates).filter(|_| compiles);
            match brought.first() {
                Some(top) => Ok((layers::resolve_brought(&brought, &applied, templates), (*top).clone())),
                None => Err(no_target((kind, &name), &layers, seen.row.as_ref())),
            }
        });
        let (resolved, top) = match resolved.await? {
            Ok(resolved) => resolved,
            // The deletion of an override of what is gone changes nothing else.
            Err(problem) if next.is_some() => {
                return Ok(LayeredWrite { problems: vec![problem], ..found });
            }
            Err(_) => return Ok(found),
        };
        let change = TargetChange { row, top, resolved, of: next.map(|next| next.key.clone()) };
        match kind {
            OverrideKind::Template => self.changed::<Template>(caller, change, found).await,
            OverrideKind::Param => self.changed::<Param>(caller, change, found).await,
            OverrideKind::Stage => self.changed::<Stage>(caller, change, found).await,
            OverrideKind::Task => self.changed::<Task>(caller, change, found).await,
            OverrideKind::Workflow => self.changed::<Workflow>(caller, change, found).await,
            OverrideKind::Bootenv => self.changed::<Bootenv>(caller, change, found).await,
        }
    }

    /// Checks the object that overrides make as if somebody had written it.
    async fn changed<N: NounRules>(
        &self,
        caller: &Caller,
        change: TargetChange,
        mut found: LayeredWrite,
    ) -> Result<LayeredWrite, Error>
    where
        World: HasTable<N>,
    {
        let TargetChange { row, top, resolved, of } = change;
        let ResolvedObject { object, faults } = resolved;
        let Some(object) = object else { return Ok(found) };
        let own = faults.iter().filter(|fault| Some(&fault.of) == of.as_ref());
        found.problems.extend(own.map(|fault| fault.problem.clone()));
        // Where an object of the site is in force, the override waits beneath it.
        let row = row.filter(|row| row.source() != SITE);
        let old = row.as_ref().unwrap_or(&top);
        let new = object.as_next_of(old, caller.now).unwrap_or(object);
        found.faults = faults;
        let (Some(before), Some(after)) = (old.of::<N>().cloned(), new.of::<N>().cloned()) else {
            return Ok(found);
        };
        if of.is_some() && found.problems.is_empty() {
            let checked = self.check(Stored::clone(&after), Some(&before)).await?;
            found.problems.extend(checked.found.into_iter().map(|fault| told_of_override(fault, &new)));
            found.reads.extend(checked.reads);
        }
        let is_written = row.is_some() && !is_same(old, &new);
        if is_written && found.problems.is_empty() {
            let body = self.lanes.writes.run(move || view::updated(&before, &after)).await?;
            found.row = row.map(|old| LayeredRow { old, new, body });
        }
        Ok(found)
    }

    /// The object of a pack that is in force when one of the site goes.
    async fn coming_back<T: NounRules>(
        &self,
        caller: &Caller,
        current: &Arc<Stored<T>>,
    ) -> Result<Option<LayeredWrite>, Error>
    where
        World: HasTable<T>,
    {
        let layers = self.catalog.layers_of_prod();
        if layers::brought(&layers.packs, T::KIND, &current.key).is_empty() {
            return Ok(None);
        }
        let (seen, mut reads) = self.kernel.read_tracked(|world| {
            // An override that comes meanwhile is no part of the row: it is decided again.
            world.count::<Override>();
            SeenTarget::of(world, T::KIND, &current.key)
        });
        reads.extend(layers.reads.iter().cloned());
        let (key, others, old) =
            (current.key.clone(), seen.overrides.clone(), T::object(Arc::clone(current)));
        let (before, now) = (old.clone(), caller.now);
        let found = self.lanes.writes.run(move || {
            let brought = layers::brought(&layers.packs, T::KIND, &key);
            let resolved = layers::resolve_brought(&brought, &seen.overrides, Some(&seen.templates));
            let new = resolved.object?.as_next_of(&before, now)?;
            let body = view::created(&**new.of::<T>()?);
            Some((new, body, resolved.faults))
        });
        Ok(found.await?.map(|(new, body, faults)| {
            let row = Some(LayeredRow { old, new, body });
            LayeredWrite { problems: Vec::new(), reads, row, others, faults }
        }))
    }

    /// What an object of the site hides: the objects of packs with its name.
    pub(super) fn hidden_by<T: NounRules>(&self, key: &str) -> (Vec<String>, Vec<ChangesetRead>) {
        if !T::KIND.is_of_packs() {
            return Default::default();
        }
        let ProdLayers { packs, reads } = self.catalog.layers_of_prod();
        (layers::sources(&layers::brought(&packs, T::KIND, key)), reads)
    }
}

/// A target with an override that is written.
struct TargetChange {
    row: Option<Object>,
    /// The object of the highest pack that has it.
    top: Object,
    resolved: ResolvedObject,
    /// The override; none if it is deleted.
    of: Option<String>,
}

impl LayeredWrite {
    /// Whether the object of a pack takes the place of the one that is deleted.
    pub(super) fn replaces(&self, kind: Kind, key: &str) -> bool {
        self.row.as_ref().is_some_and(|row| row.old.kind() == kind && row.old.key() == key)
    }

    /// The changeset with the row, unless a rule of its noun refuses it.
    ///
    /// # Errors
    /// The refusal, of the fields of the override.
    pub(super) fn add_to(
        self,
        changeset: Changeset,
        (caller, world): (&Caller, &TrackedWorld<'_>),
    ) -> Result<Changeset, Error> {
        let LayeredWrite { reads, row, others, faults, .. } = self;
        let mut changeset = fault_writes(others.iter(), (&faults, caller), changeset.with_reads(reads));
        if let Some(LayeredRow { old, new, body }) = row {
            with_noun!(old.kind(), N => refuse_row::<N>((&old, &new), caller, world))?;
            let subject = old.kind().subject(old.key());
            changeset = changeset.update(new).event(caller.event(body).about(subject));
        }
        Ok(changeset)
    }
}

/// Whether a rule that looks at other objects refuses a row.
fn refuse_row<N: NounRules>(
    (old, new): (&Object, &Object),
    caller: &Caller,
    world: &TrackedWorld<'_>,
) -> Result<(), Error> {
    let (Some(before), Some(after)) = (old.of::<N>(), new.of::<N>()) else { return Ok(()) };
    let change = ProposedWrite { caller, world, key: &after.key, old: Some(&**before) };
    let problems = rules::refusals(&after.spec, &change);
    if !problems.is_empty() {
        return Err(Error::Invalid(problems.into_iter().map(|fault| told_of_override(fault, new)).collect()));
    }
    match after.spec.conflict(&change) {
        Some(conflict) => Err(conflict.message_for(caller, world)),
        None => Ok(()),
    }
}

fn is_same(old: &Object, new: &Object) -> bool {
    old.source() == new.source() && old.hides() == new.hides() && old.has_spec_of(new)
}

/// A fault of the object that overrides make, at the place of the override that it comes from.
fn told_of_override(fault: Problem, object: &Object) -> Problem {
    if object.source() == SITE {
        return fault;
    }
    let body = object.of::<Template>().map(|row| row.spec.body.as_str());
    let place = body.filter(|_| fault.template.as_deref() == Some(object.key())).zip(fault.line);
    match place.and_then(|(body, line)| layers::place_in_blocks(body, line)) {
        Some((block, line)) => Problem { line: Some(line), ..fault }.at(format!("/blocks/{block}")),
        None if fault.pointer == "/body" => fault.at("/blocks"),
        None => fault.below("/fields"),
    }
}

/// Why nothing can be overridden: no pack brings the object.
fn no_target((kind, name): (OverrideKind, &str), layers: &ProdLayers, row: Option<&Object>) -> Problem {
    let kind = kind.kind();
    if row.is_some_and(|row| row.source() == SITE) {
        let what = format!("{kind} `{name}` is an object of the site: change it itself");
        return Problem::new("/target/name", what).coded(RefusalCode::NotAdmitted);
    }
    let objects = layers.packs.iter().flat_map(|pack| &pack.objects);
    let near = nearest(name, objects.filter(|object| object.kind() == kind).map(Object::key));
    let near = near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
    let what = format!("no pack brings a {kind} `{name}`{near}");
    Problem::new("/target/name", what).coded(RefusalCode::NotFound)
}
