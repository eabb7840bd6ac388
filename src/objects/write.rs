//! Create, replace, patch and delete for every noun; `rules` has what differs from noun to noun.
//!
//! Each write is one changeset with its event. A write that changes nothing is not committed. Lists are in
//! `list`, the shape that readers get is in `view`.

use std::sync::Arc;

use serde_json::Value;
use uuid::Uuid;

use crate::kernel::permissions::{AccessVerb, ObjectRef};
use crate::kernel::secrets::{self, SecretPlace};
use crate::kernel::{
    Caller, Changeset, ChangesetRead, Error, STALE_RETRIES_MAX, StoreError, TrackedWorld, WriterHold,
};
use crate::model::{
    HasTable, Input, NewEvent, Param, Problem, RefusalCode, Stored, Table, World, parse_changed,
};
use crate::objects::Objects;
use crate::objects::patch::Patch;
use crate::objects::rules::{self, HostLimits, NounRules, ProposedWrite, RuleConflict};
use crate::objects::view::{self, View};

/// The revision that a writer expects to change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExpectedRevision {
    /// Any revision.
    Any,
    /// One of these revisions; otherwise the write is refused as stale.
    OneOf(Vec<u64>),
}

/// A write whose checks are done, and what the checks read.
struct CheckedWrite<T: NounRules> {
    next: Stored<T>,
    found: Vec<Problem>,
    reads: Vec<ChangesetRead>,
}

/// A changeset that is ready to commit, and the object that it writes.
struct PreparedWrite<T: NounRules> {
    object: Arc<Stored<T>>,
    /// `None` if nothing changes.
    changeset: Option<Changeset>,
    /// The hold to commit through, if there is one.
    hold: Option<WriterHold>,
}

impl Objects {
    /// Creates an object from what a client sent.
    ///
    /// # Errors
    /// [`Error::Invalid`] with every fault, [`Error::Conflict`] if a unique value is taken.
    pub async fn create<T: NounRules>(&self, caller: &Caller, body: Value) -> Result<View, Error>
    where
        World: HasTable<T>,
    {
        let input = self.lanes.writes.run(|| read_input::<T>(body, &Value::Null)).await??;
        self.create_from(caller, input).await
    }

    /// Creates an object from fields that were parsed already.
    ///
    /// # Errors
    /// Those of [`Objects::create`].
    pub async fn create_from<T: NounRules>(&self, caller: &Caller, input: Input<T>) -> Result<View, Error>
    where
        World: HasTable<T>,
    {
        let mut named = String::new();
        for attempt in 0..STALE_RETRIES_MAX {
            let checked = self.check_create(caller, input.clone()).await?;
            // Under the hold only the decision on the world is made: the checks may take longer than the
            // writer waits.
            let hold = self.kernel.hold_for(attempt).await?;
            let PreparedWrite { object, changeset, hold } = self.prepare_create(caller, checked, hold)?;
            match self.finish(hold, changeset).await {
                Ok(()) => return self.show(&object).await,
                Err(StoreError::Stale { .. }) => named.clone_from(&object.key),
                Err(other) => return Err(self.kernel.refusal(caller, other)),
            }
        }
        Err(busy::<T>(&named))
    }

    /// Replaces an object by what a client sent.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Stale`], and those of [`Objects::create`].
    pub async fn replace<T: NounRules>(
        &self,
        caller: &Caller,
        target: &WriteTarget<'_>,
        body: &Value,
    ) -> Result<View, Error>
    where
        World: HasTable<T>,
    {
        let body = body.clone();
        let make = move |current: &Stored<T>| read_input(body.clone(), &view::plain(current));
        self.rewrite::<T>(caller, target, make).await
    }

    /// Changes parts of an object. If another writer was faster, the patch is applied again to the newer
    /// object, unless the client named a revision.
    ///
    /// # Errors
    /// Those of [`Objects::replace`]; [`Error::Conflict`] if a `test` of a JSON Patch fails.
    pub async fn patch<T: NounRules>(
        &self,
        caller: &Caller,
        target: &WriteTarget<'_>,
        patch: &Patch,
    ) -> Result<View, Error>
    where
        World: HasTable<T>,
    {
        let patch = patch.clone();
        let make = move |current: &Stored<T>| {
            let before = view::plain(current);
            let after = patch.apply(&before)?;
            let touched = view::read_only_changes(&before, &after);
            if touched.is_empty() { read_input(after, &before) } else { Err(Error::Invalid(touched)) }
        };
        self.rewrite::<T>(caller, target, make).await
    }

    /// Deletes an object that no other object refers to.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Stale`], [`Error::Conflict`], which names the referrers.
    pub async fn delete<T: NounRules>(&self, caller: &Caller, target: &WriteTarget<'_>) -> Result<(), Error>
    where
        World: HasTable<T>,
    {
        for attempt in 0..STALE_RETRIES_MAX {
            let hold = self.kernel.hold_for(attempt).await?;
            let changeset = self.prepare_delete::<T>(caller, target)?;
            match self.kernel.commit_with(hold, changeset).await {
                Ok(_) => return Ok(()),
                Err(StoreError::Stale { .. }) => continue,
                Err(other) => return Err(self.kernel.refusal(caller, other)),
            }
        }
        Err(busy::<T>(target.reference))
    }

    /// Computes the new object with `make` without locking the world, and commits it if the object still has
    /// that revision; otherwise starts again.
    async fn rewrite<T: NounRules>(
        &self,
        caller: &Caller,
        target: &WriteTarget<'_>,
        make: impl Fn(&Stored<T>) -> Result<Input<T>, Error> + Send + Sync + 'static,
    ) -> Result<View, Error>
    where
        World: HasTable<T>,
    {
        let make = Arc::new(make);
        for attempt in 0..STALE_RETRIES_MAX {
            let current = self.find_to_write::<T>(caller, target)?;
            let (made, seen) = (Arc::clone(&make), Arc::clone(&current));
            let input = self.lanes.writes.run(move || made(&seen)).await??;
            let checked = self.check_update(caller, &current, input).await?;
            let hold = self.kernel.hold_for(attempt).await?;
            let prepared = self.prepare_update(caller, (&current, checked), hold).await?;
            match self.finish(prepared.hold, prepared.changeset).await {
                Ok(()) => return self.show(&prepared.object).await,
                Err(StoreError::Stale { .. }) => continue,
                Err(other) => return Err(self.kernel.refusal(caller, other)),
            }
        }
        Err(busy::<T>(target.reference))
    }

    /// The object to be written, at the revision that its writer expects.
    fn find_to_write<T: NounRules>(
        &self,
        caller: &Caller,
        target: &WriteTarget<'_>,
    ) -> Result<Arc<Stored<T>>, Error>
    where
        World: HasTable<T>,
    {
        let current = self.kernel.find::<T>(caller, target.reference)?;
        if !caller.may(AccessVerb::Write, ObjectRef::of(&current)) {
            let (kind, name) = (T::KIND, T::label(&current));
            let why = format!("your token may read {kind} `{name}`, but not change it");
            return Err(Error::Forbidden(RefusalCode::NotYours, why));
        }
        target.check(&current)?;
        Ok(current)
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

    async fn finish(&self, hold: Option<WriterHold>, changeset: Option<Changeset>) -> Result<(), StoreError> {
        match changeset {
            Some(changeset) => self.kernel.commit_with(hold, changeset).await.map(drop),
            None => Ok(()),
        }
    }

    async fn check_create<T: NounRules>(
        &self,
        caller: &Caller,
        input: Input<T>,
    ) -> Result<CheckedWrite<T>, Error>
    where
        World: HasTable<T>,
    {
        let key = input.spec.key().unwrap_or_else(|| Uuid::now_v7().to_string());
        if self.kernel.read(|world| table::<T>(world).get(&key).is_some()) {
            return Err(exists::<T>(&key));
        }
        let mut stored = Stored::new(key, input.spec, caller.now);
        stored.labels = input.labels;
        self.check(stored, None).await
    }

    async fn check_update<T: NounRules>(
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
        self.check(next, Some(current)).await
    }

    /// Runs the checks of a write whose cost its writer determines, without locking the world.
    async fn check<T: NounRules>(
        &self,
        next: Stored<T>,
        old: Option<&Arc<Stored<T>>>,
    ) -> Result<CheckedWrite<T>, Error>
    where
        World: HasTable<T>,
    {
        let next = Arc::new(next);
        let (checks, mut reads) = self.kernel.read_tracked(|world| rules::write_checks(&next, old, world));
        let run = move || {
            let found: Vec<Problem> = checks.into_iter().flat_map(|check| check(&mut reads)).collect();
            (found, reads)
        };
        let (mut found, reads) = self.lanes.writes.run(run).await?;
        found.extend(self.ask_the_host(&next, old).await?);
        Ok(CheckedWrite { next: Arc::unwrap_or_clone(next), found, reads })
    }

    fn prepare_create<T: NounRules>(
        &self,
        caller: &Caller,
        checked: CheckedWrite<T>,
        hold: Option<WriterHold>,
    ) -> Result<PreparedWrite<T>, Error>
    where
        World: HasTable<T>,
    {
        let CheckedWrite { next: mut stored, found, reads } = checked;
        let (admitted, looked_at) = self.kernel.read_tracked(|world| {
            self.admit((caller, world), &mut stored, (None, found))?;
            let object = Arc::new(stored);
            let change = ProposedWrite { caller, world, key: &object.key, old: None };
            let changeset = Changeset::default().create(T::object(Arc::clone(&object)));
            let changeset = T::along(&object, &change, changeset);
            Ok::<_, Error>((object, changeset))
        });
        let (object, changeset) = admitted?;
        let changeset = changeset.with_reads(reads).with_reads(looked_at);
        let event = caller.event_about(&object, view::created(&object));
        Ok(PreparedWrite { object, changeset: Some(begun_by(event, changeset)), hold })
    }

    async fn prepare_update<T: NounRules>(
        &self,
        caller: &Caller,
        (current, checked): (&Arc<Stored<T>>, CheckedWrite<T>),
        hold: Option<WriterHold>,
    ) -> Result<PreparedWrite<T>, Error>
    where
        World: HasTable<T>,
    {
        let CheckedWrite { mut next, found, reads } = checked;
        let (admitted, looked_at) = self.kernel.read_tracked(|world| {
            self.admit((caller, world), &mut next, (Some(&**current), found))?;
            if next.spec == current.spec && next.labels == current.labels {
                return Ok(None);
            }
            rules::may_change(current, &next)?;
            let object = Arc::new(next);
            let change = ProposedWrite { caller, world, key: &object.key, old: Some(&**current) };
            let changeset = Changeset::default().update(T::object(Arc::clone(&object)));
            let changeset = T::along(&object, &change, changeset);
            Ok::<_, Error>(Some((object, changeset)))
        });
        let Some((object, changeset)) = admitted? else {
            return Ok(PreparedWrite { object: Arc::clone(current), changeset: None, hold: None });
        };
        let changeset = changeset.with_reads(reads).with_reads(looked_at);
        let (old, new) = (Arc::clone(current), Arc::clone(&object));
        let tell = move || view::updated(&old, &new);
        let body = match &hold {
            Some(_) => self.lanes.writes.run_at_once(tell).await?,
            None => self.lanes.writes.run(tell).await?,
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
        let current = self.find_to_write::<T>(caller, target)?;
        let (changeset, reads) = self.kernel.read_tracked(|world| {
            rules::may_delete(caller, world, &current)?;
            let event = caller.event_about(&current, view::deleted(&current));
            let changeset = Changeset::default().delete(&T::object(Arc::clone(&current))).event(event);
            Ok::<_, Error>(T::along_deletion(&current, world, caller, changeset))
        });
        Ok(changeset?.with_reads(reads))
    }

    /// Checks an object against the rules before it is written, and seals its secrets. `found` are the
    /// results of the earlier checks.
    fn admit<T: NounRules>(
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
            return Err(conflict.told_to(caller, world));
        }
        self.seal(world, next, old)
    }

    /// A value that is given is sealed anew, also where it is the one that is stored: were that told apart by
    /// the revision, writers could guess secrets.
    fn seal<T: NounRules>(
        &self,
        world: &TrackedWorld<'_>,
        next: &mut Stored<T>,
        old: Option<&Stored<T>>,
    ) -> Result<(), Error> {
        let key = next.key.clone();
        let Some(params) = next.spec.params_mut() else { return Ok(()) };
        for (param, value) in params {
            let kept = old.and_then(|old| old.spec.params()?.get(param));
            if let (true, Some(kept)) = (secrets::means_stored(value), kept) {
                *value = kept.clone();
            } else if world.get::<Param>(param).is_some_and(|declared| declared.spec.secret) {
                let place = SecretPlace { kind: T::KIND, key: &key, param };
                let sealed = self.kernel.secrets.seal(place, value);
                *value = sealed.map_err(|error| Error::Failed(error.to_string()))?;
            }
        }
        Ok(())
    }
}

/// The object that a write is about, and the revision that its writer saw.
#[derive(Debug, Clone)]
pub struct WriteTarget<'a> {
    /// A key, or `index:value`.
    pub reference: &'a str,
    pub expected: ExpectedRevision,
}

impl WriteTarget<'_> {
    pub(crate) fn check<T: NounRules>(&self, current: &Stored<T>) -> Result<(), Error> {
        match &self.expected {
            ExpectedRevision::OneOf(revisions) if !revisions.contains(&current.revision) => {
                Err(Error::Stale {
                    kind: T::KIND,
                    key: T::label(current),
                    expected: revisions.first().copied().unwrap_or(0),
                    present: current.revision,
                })
            }
            _ => Ok(()),
        }
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

/// Parses what a client sent, without the fields that nobody may send. `stored` is the object that it
/// replaces.
fn read_input<T: NounRules>(body: Value, stored: &Value) -> Result<Input<T>, Error> {
    let hidden = T::HIDDEN.iter().filter(|field| body.get(field).is_some());
    let hidden: Vec<Problem> = hidden
        .map(|field| {
            Problem::new(format!("/{field}"), format!("unknown field `{field}`"))
                .coded(RefusalCode::UnknownField)
        })
        .collect();
    if !hidden.is_empty() {
        return Err(Error::Invalid(hidden));
    }
    parse_changed(body, stored).map_err(Error::Invalid)
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

fn busy<T: NounRules>(reference: &str) -> Error {
    Error::Busy(format!("{} {reference} is being changed by many at once; try again", T::KIND))
}
