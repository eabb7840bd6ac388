//! Checks one write and makes it a changeset. `write` commits the changeset, or has the write prepared again.
//!
//! Checks whose cost the writer of an object determines run first, in a lane and without locking the world.
//! Then the rules decide with the world locked; the changeset has what they read.

use std::sync::Arc;

use uuid::Uuid;

use crate::kernel::permissions::{AccessVerb, ObjectRef};
use crate::kernel::{Caller, Changeset, ChangesetRead, Error, TrackedWorld, WriterHold};
use crate::model::{HasTable, Input, NewEvent, Problem, RefusalCode, SITE, Stored, Table, World};
use crate::objects::Objects;
use crate::objects::layering::LayeredWrite;
use crate::objects::rules::{self, HostLimits, NounRules, ProposedWrite, RuleConflict};
use crate::objects::view;
use crate::objects::work_size::WorkSize;
use crate::objects::write::WriteTarget;

/// A write whose checks are done, and what the checks read.
pub(super) struct CheckedWrite<T: NounRules> {
    next: Stored<T>,
    pub(super) found: Vec<Problem>,
    pub(super) reads: Vec<ChangesetRead>,
    /// The object of a pack that a new one takes the place of.
    replaces: Option<Arc<Stored<T>>>,
    /// What is written with it.
    layered: LayeredWrite,
}

/// A changeset that is ready to commit, and the object that it writes.
pub(super) struct PreparedWrite<T: NounRules> {
    pub(super) object: Arc<Stored<T>>,
    /// `None` if nothing changes.
    pub(super) changeset: Option<Changeset>,
    /// The hold to commit through, if there is one.
    pub(super) hold: Option<WriterHold>,
}

impl Objects {
    pub(super) async fn check_create<T: NounRules>(
        &self,
        caller: &Caller,
        input: Input<T>,
    ) -> Result<CheckedWrite<T>, Error>
    where
        World: HasTable<T>,
    {
        let key = input.spec.key().unwrap_or_else(|| Uuid::now_v7().to_string());
        let present = self.kernel.read(|world| table::<T>(world).get(&key).cloned());
        let Some(present) = present else {
            let mut stored = Stored::new(key, input.spec, caller.now);
            stored.labels = input.labels;
            let checked = self.check(stored, None).await?;
            return self.with_layers(caller, checked).await;
        };
        if present.source == SITE || !T::KIND.is_of_packs() {
            return Err(exists::<T>(&key));
        }
        let next = Stored { created_at: caller.now, ..present.next(caller.now) };
        let checked = self.check_hiding(caller, (next, &present), input).await?;
        Ok(CheckedWrite { replaces: Some(present), ..checked })
    }

    /// Checks an object of the site that takes the place of one of a pack.
    async fn check_hiding<T: NounRules>(
        &self,
        caller: &Caller,
        (next, present): (Stored<T>, &Arc<Stored<T>>),
        input: Input<T>,
    ) -> Result<CheckedWrite<T>, Error>
    where
        World: HasTable<T>,
    {
        if !caller.may(AccessVerb::Write, ObjectRef::of(present)) {
            return Err(exists::<T>(&present.key));
        }
        let (hides, reads) = self.hidden_by::<T>(&present.key);
        let Input { spec, labels } = input;
        let next = Stored { spec, labels, source: SITE.to_owned(), hides, faults: Vec::new(), ..next };
        let mut checked = self.check(next, Some(present)).await?;
        checked.reads.extend(reads);
        Ok(checked)
    }

    /// The write with what it changes of other rows.
    async fn with_layers<T: NounRules>(
        &self,
        caller: &Caller,
        mut checked: CheckedWrite<T>,
    ) -> Result<CheckedWrite<T>, Error> {
        if let Some(layered) = self.layered_write(caller, &checked.next).await? {
            checked.found.extend(layered.problems.iter().cloned());
            checked.layered = layered;
            // What was at fault with another version of the pack is checked anew.
            checked.next.faults.clear();
        }
        Ok(checked)
    }

    pub(super) async fn check_update<T: NounRules>(
        &self,
        caller: &Caller,
        current: &Arc<Stored<T>>,
        input: Input<T>,
    ) -> Result<CheckedWrite<T>, Error>
    where
        World: HasTable<T>,
    {
        let mut next = current.next(caller.now);
        next.spec = input.spec;
        next.labels = input.labels;
        let checked = self.check(next, Some(current)).await?;
        self.with_layers(caller, checked).await
    }

    /// Checks an object that is written whole. It takes the place of one that comes from a pack.
    pub(super) async fn check_replacement<T: NounRules>(
        &self,
        caller: &Caller,
        current: &Arc<Stored<T>>,
        input: Input<T>,
    ) -> Result<CheckedWrite<T>, Error>
    where
        World: HasTable<T>,
    {
        match current.source != SITE && T::KIND.is_of_packs() {
            true => self.check_hiding(caller, (current.next(caller.now), current), input).await,
            false => self.check_update(caller, current, input).await,
        }
    }

    /// Runs the checks of a write whose cost its writer determines, without locking the world.
    pub(super) async fn check<T: NounRules>(
        &self,
        next: Stored<T>,
        old: Option<&Arc<Stored<T>>>,
    ) -> Result<CheckedWrite<T>, Error>
    where
        World: HasTable<T>,
    {
        let next = Arc::new(self.with_kept_members(next, old.map(Arc::as_ref)));
        let ((checks, size), mut reads) = self.kernel.read_tracked(|world| {
            (rules::write_checks(&next, old, world), WorkSize::of_checks(&next, world))
        });
        let run = move || {
            let found: Vec<Problem> = checks.into_iter().flat_map(|check| check(&mut reads)).collect();
            (found, reads)
        };
        let (mut found, reads) = self.lanes.writes.run_sized(size, run).await?;
        found.extend(self.kernel.read(|world| {
            rules::params::outside_faults(
                &next.spec,
                &TrackedWorld::untracked(world),
                &self.kernel.endpoints.secret_sources,
            )
        }));
        found.extend(self.ask_the_host(&next, old).await?);
        let next = Arc::unwrap_or_clone(next);
        Ok(CheckedWrite { next, found, reads, replaces: None, layered: LayeredWrite::default() })
    }

    /// Runs the checks of a write that need the host, without locking the world.
    async fn ask_the_host<T: NounRules>(
        &self,
        next: &Arc<Stored<T>>,
        old: Option<&Arc<Stored<T>>>,
    ) -> Result<Vec<Problem>, Error> {
        if !T::ASKS_THE_HOST {
            return Ok(Vec::new());
        }
        let (next, old) = (Arc::clone(next), old.cloned());
        let host =
            HostLimits { roots: self.roots.clone(), policy: Arc::clone(&self.kernel.endpoints.fetch_policy) };
        let asking = tokio::task::spawn_blocking(move || {
            next.spec.refused_here(old.as_ref().map(|old| &old.spec), &host)
        });
        asking.await.map_err(|error| Error::Failed(error.to_string()))
    }

    pub(super) fn prepare_create<T: NounRules>(
        &self,
        caller: &Caller,
        checked: CheckedWrite<T>,
        hold: Option<WriterHold>,
    ) -> Result<PreparedWrite<T>, Error>
    where
        World: HasTable<T>,
    {
        let CheckedWrite { next: mut stored, found, reads, replaces, layered } = checked;
        let old = replaces.as_deref();
        let (admitted, looked_at) = self.kernel.read_tracked(|world| {
            self.validate((caller, world), &mut stored, (old, found))?;
            let object = Arc::new(stored);
            let change = ProposedWrite { caller, world, key: &object.key, old };
            let changeset = match old {
                Some(_) => Changeset::default().update(T::object(Arc::clone(&object))),
                None => Changeset::default().create(T::object(Arc::clone(&object))),
            };
            let changeset = T::cascade(&object, &change, changeset);
            Ok::<_, Error>((object, layered.add_to(changeset, (caller, world))?))
        });
        let (object, changeset) = admitted?;
        let changeset = changeset.with_reads(reads).with_reads(looked_at);
        let event = caller.event_about(&object, view::created(&object));
        Ok(PreparedWrite { object, changeset: Some(begun_by(event, changeset)), hold })
    }

    pub(super) async fn prepare_update<T: NounRules>(
        &self,
        caller: &Caller,
        (current, checked): (&Arc<Stored<T>>, CheckedWrite<T>),
        hold: Option<WriterHold>,
    ) -> Result<PreparedWrite<T>, Error>
    where
        World: HasTable<T>,
    {
        let CheckedWrite { mut next, found, reads, layered, .. } = checked;
        let (admitted, looked_at) = self.kernel.read_tracked(|world| {
            self.validate((caller, world), &mut next, (Some(&**current), found))?;
            if next.spec == current.spec && next.labels == current.labels {
                return Ok(None);
            }
            rules::may_change(current, &next)?;
            let change = ProposedWrite { caller, world, key: &current.key, old: Some(&**current) };
            let settled = T::settle(&mut next, &change, Changeset::default());
            let object = Arc::new(next);
            let changeset = settled.update(T::object(Arc::clone(&object)));
            let changeset = T::cascade(&object, &change, changeset);
            Ok::<_, Error>(Some((object, layered.add_to(changeset, (caller, world))?)))
        });
        let Some((object, changeset)) = admitted? else {
            return Ok(PreparedWrite { object: Arc::clone(current), changeset: None, hold: None });
        };
        let changeset = changeset.with_reads(reads).with_reads(looked_at);
        let (old, new) = (Arc::clone(current), Arc::clone(&object));
        let size = WorkSize::of_view(&old).and(WorkSize::of_view(&new));
        let tell = move || view::updated(&old, &new);
        let body = match &hold {
            Some(_) if size == WorkSize::Unknown => self.lanes.writes.run_at_once(tell).await?,
            _ => self.lanes.writes.run_sized(size, tell).await?,
        };
        let changeset = begun_by(caller.event_about(&object, body), changeset);
        Ok(PreparedWrite { object, changeset: Some(changeset), hold })
    }

    pub fn prepare_delete<T: NounRules>(
        &self,
        caller: &Caller,
        target: &WriteTarget<'_>,
    ) -> Result<Changeset, Error>
    where
        World: HasTable<T>,
    {
        self.prepare_layered_delete::<T>(caller, target, None)
    }

    /// The deletion of an object with what changes with it. An object of a pack may take its place.
    pub(super) fn prepare_layered_delete<T: NounRules>(
        &self,
        caller: &Caller,
        target: &WriteTarget<'_>,
        layered: Option<LayeredWrite>,
    ) -> Result<Changeset, Error>
    where
        World: HasTable<T>,
    {
        let current = self.find_to_write::<T>(caller, target)?;
        let (changeset, reads) = self.kernel.read_tracked(|world| {
            rules::may_delete(caller, world, &current)?;
            let event = caller.event_about(&current, view::deleted(&current));
            let replaced = layered.as_ref().is_some_and(|layered| layered.replaces(T::KIND, &current.key));
            let mut changeset = Changeset::default().event(event);
            if !replaced {
                changeset = changeset.delete(&T::object(Arc::clone(&current)));
            }
            let changeset = T::cascade_deletion(&current, world, caller, changeset);
            match layered {
                Some(layered) => layered.add_to(changeset, (caller, world)),
                None => Ok(changeset),
            }
        });
        Ok(changeset?.with_reads(reads))
    }

    /// Refuses the deletion of an object that the present work of others uses, or that may not be deleted in
    /// any case. Work that begins at the same moment may be missed.
    ///
    /// # Errors
    /// [`Error::Conflict`] with the users, [`Error::NotFound`].
    pub fn refuse_used<T: NounRules>(&self, caller: &Caller, target: &WriteTarget<'_>) -> Result<(), Error>
    where
        World: HasTable<T>,
    {
        let current = self.find_to_write::<T>(caller, target)?;
        self.kernel.read(|world| rules::refuse_used(caller, &TrackedWorld::untracked(world), &current))
    }

    /// Checks an object against the rules before it is written, and seals its secrets. `found` are the
    /// results of the earlier checks.
    fn validate<T: NounRules>(
        &self,
        (caller, world): (&Caller, &TrackedWorld<'_>),
        next: &mut Stored<T>,
        (old, found): (Option<&Stored<T>>, Vec<Problem>),
    ) -> Result<(), Error>
    where
        World: HasTable<T>,
    {
        let change = ProposedWrite { caller, world, key: &next.key, old };
        let mut problems = found;
        problems.extend(rules::refusals(&next.spec, &change));
        if !problems.is_empty() {
            return Err(Error::Invalid(problems));
        }
        if let Some(conflict) = taken(&change, next).or_else(|| next.spec.conflict(&change)) {
            return Err(conflict.message_for(caller, world));
        }
        self.seal(world, next, old)
    }
}

fn table<T: NounRules>(world: &World) -> &Table<T>
where
    World: HasTable<T>,
{
    world.table()
}

/// The changeset with its own event first.
fn begun_by(event: NewEvent, mut changeset: Changeset) -> Changeset {
    changeset.events.insert(0, event);
    changeset
}

/// The unique values that other objects hold, with the names of these objects.
fn taken<T: NounRules>(change: &ProposedWrite<'_, T>, next: &Stored<T>) -> Option<RuleConflict>
where
    World: HasTable<T>,
{
    let mut held = Vec::new();
    let mut hidden = None;
    for (index, value) in next.spec.unique(&next.status) {
        let holder = change.world.holder::<T>(index, &value).filter(|holder| holder.key != next.key);
        match holder {
            Some(holder) if change.caller.may(AccessVerb::Read, ObjectRef::of(holder)) => {
                held.push(format!("{index} {value} belongs to {} `{}`", T::KIND, T::label(holder)));
            }
            Some(holder) => hidden = Some(RuleConflict::with(RefusalCode::Taken, holder, String::new())),
            None => {}
        }
    }
    (!held.is_empty()).then(|| RuleConflict::plain(RefusalCode::Taken, held.join("; "))).or(hidden)
}

fn exists<T: NounRules>(key: &str) -> Error {
    let (kind, field) = (T::KIND, T::KIND.row().name_field);
    let why = format!("there is a {kind} `{key}` already: change it, or choose another {field}");
    Error::Conflict(RefusalCode::Taken, why)
}
