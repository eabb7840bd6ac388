//! Create, replace, patch and delete for every noun alike; what differs a noun is in `rules`.
//!
//! Each write is one changeset with its event. A write that changes nothing writes nothing. Lists are in
//! `list`, the shape readers get in `view`.

use std::sync::Arc;

use serde_json::Value;
use uuid::Uuid;

use crate::app::patch::Patch;
use crate::app::rules::{self, Change, Managed};
use crate::app::secrets::Place;
use crate::app::view::{self, View};
use crate::app::{App, Ctx, Error, STALE_RETRIES_MAX, secrets};
use crate::model::{HasTable, Input, Param, Problem, Stored, Table, World, parse_input};
use crate::store::{self, Changeset, TrackedWorld, WriterHold};

/// Which revision a writer means to change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expected {
    /// Whatever is there.
    Any,
    /// One of these, or the write is refused as stale.
    OneOf(Vec<u64>),
}

/// A changeset that is ready to be committed, and the object it leads to.
struct Prepared<T: Managed> {
    object: Arc<Stored<T>>,
    /// Nothing to commit when nothing changes.
    changeset: Option<Changeset>,
}

impl App {
    /// One object as a reader sees it.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub fn get<T: Managed>(&self, reference: &str) -> Result<View, Error>
    where
        World: HasTable<T>,
    {
        let world = self.world();
        let stored = find::<T>(&world, reference)?;
        match T::as_of(stored, self.now()) {
            Some(seen) => Ok(view::of((&world, &self.endpoints), &seen)),
            None => Ok(view::of((&world, &self.endpoints), stored)),
        }
    }

    /// Makes a new object of what a client sent.
    ///
    /// # Errors
    /// [`Error::Invalid`] with every fault, [`Error::Conflict`] when a unique value is taken.
    pub async fn create<T: Managed>(&self, ctx: &Ctx, body: Value) -> Result<View, Error>
    where
        World: HasTable<T>,
    {
        let input = read_input::<T>(body)?;
        self.create_from(ctx, input).await
    }

    /// Makes a new object of fields that were read already.
    ///
    /// # Errors
    /// As [`App::create`].
    pub async fn create_from<T: Managed>(&self, ctx: &Ctx, input: Input<T>) -> Result<View, Error>
    where
        World: HasTable<T>,
    {
        let mut named = String::new();
        for attempt in 0..STALE_RETRIES_MAX {
            let hold = self.hold_for(attempt).await?;
            let prepared = self.prepare_create(ctx, input.clone())?;
            match self.finish(hold, &prepared).await {
                Ok(()) => return Ok(view::of((&self.world(), &self.endpoints), &prepared.object)),
                Err(store::Error::Stale { .. }) => named.clone_from(&prepared.object.key),
                Err(other) => return Err(self.refusal(other)),
            }
        }
        Err(busy::<T>(&named))
    }

    /// Puts what a client sent in the place of an object.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Stale`], and those of [`App::create`].
    pub async fn replace<T: Managed>(
        &self,
        ctx: &Ctx,
        target: &Target<'_>,
        body: &Value,
    ) -> Result<View, Error>
    where
        World: HasTable<T>,
    {
        self.rewrite::<T>(ctx, target, |_| read_input(body.clone())).await
    }

    /// Changes parts of an object. When somebody else was quicker, the patch is applied again to what
    /// they left, unless the client named a revision.
    ///
    /// # Errors
    /// Those of [`App::replace`]; [`Error::Conflict`] for a JSON Patch `test` that fails.
    pub async fn patch<T: Managed>(
        &self,
        ctx: &Ctx,
        target: &Target<'_>,
        patch: &Patch,
    ) -> Result<View, Error>
    where
        World: HasTable<T>,
    {
        self.rewrite::<T>(ctx, target, |current| {
            let before = view::plain(current);
            let after = patch.apply(&before)?;
            let touched = view::read_only_changes(&before, &after);
            if touched.is_empty() { read_input(after) } else { Err(Error::Invalid(touched)) }
        })
        .await
    }

    /// Deletes an object that nothing refers to.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Stale`], [`Error::Conflict`] naming the referrers.
    pub async fn delete<T: Managed>(&self, ctx: &Ctx, target: &Target<'_>) -> Result<(), Error>
    where
        World: HasTable<T>,
    {
        for attempt in 0..STALE_RETRIES_MAX {
            let hold = self.hold_for(attempt).await?;
            let changeset = self.prepare_delete::<T>(ctx, target)?;
            match self.commit_with(hold, changeset).await {
                Ok(_) => return Ok(()),
                Err(store::Error::Stale { .. }) => continue,
                Err(other) => return Err(self.refusal(other)),
            }
        }
        Err(busy::<T>(target.reference))
    }

    async fn rewrite<T: Managed>(
        &self,
        ctx: &Ctx,
        target: &Target<'_>,
        make: impl Fn(&Stored<T>) -> Result<Input<T>, Error>,
    ) -> Result<View, Error>
    where
        World: HasTable<T>,
    {
        for attempt in 0..STALE_RETRIES_MAX {
            let hold = self.hold_for(attempt).await?;
            let prepared = self.prepare_update(ctx, target, &make)?;
            match self.finish(hold, &prepared).await {
                Ok(()) => return Ok(view::of((&self.world(), &self.endpoints), &prepared.object)),
                Err(store::Error::Stale { .. }) => continue,
                Err(other) => return Err(self.refusal(other)),
            }
        }
        Err(busy::<T>(target.reference))
    }

    async fn finish<T: Managed>(
        &self,
        hold: Option<WriterHold>,
        prepared: &Prepared<T>,
    ) -> Result<(), store::Error> {
        match &prepared.changeset {
            Some(changeset) => self.commit_with(hold, changeset.clone()).await.map(drop),
            None => Ok(()),
        }
    }

    fn prepare_create<T: Managed>(&self, ctx: &Ctx, input: Input<T>) -> Result<Prepared<T>, Error>
    where
        World: HasTable<T>,
    {
        let world = self.world();
        let key = input.spec.key().unwrap_or_else(|| Uuid::now_v7().to_string());
        if table::<T>(&world).get(&key).is_some() {
            return Err(exists::<T>(&key));
        }
        let mut stored = Stored::new(key, input.spec, ctx.now);
        stored.labels = input.labels;
        let tracked = TrackedWorld::new(&world);
        self.admit(&tracked, &mut stored, None)?;
        let event = ctx.event(&stored, "created", view::created(&stored));
        let object = Arc::new(stored);
        let changeset = Changeset::default().create(T::object(Arc::clone(&object))).event(event);
        let change = Change { world: &tracked, key: &object.key, old: None };
        let changeset = T::along(&object, &change, changeset);
        Ok(Prepared { changeset: Some(changeset.with_reads(tracked.into_reads())), object })
    }

    fn prepare_update<T: Managed>(
        &self,
        ctx: &Ctx,
        target: &Target<'_>,
        make: impl Fn(&Stored<T>) -> Result<Input<T>, Error>,
    ) -> Result<Prepared<T>, Error>
    where
        World: HasTable<T>,
    {
        let world = self.world();
        let current = find::<T>(&world, target.reference)?;
        target.check(current)?;
        let input = make(current)?;
        let mut next = current.next(ctx.now);
        next.spec = input.spec;
        next.labels = input.labels;
        let tracked = TrackedWorld::new(&world);
        self.admit(&tracked, &mut next, Some(current))?;
        if next.spec == current.spec && next.labels == current.labels {
            return Ok(Prepared { object: Arc::clone(current), changeset: None });
        }
        rules::may_change(current, &next)?;
        let event = ctx.event(&next, "updated", view::updated(current, &next));
        let object = Arc::new(next);
        let changeset = Changeset::default().update(T::object(Arc::clone(&object))).event(event);
        let change = Change { world: &tracked, key: &object.key, old: Some(current) };
        let changeset = T::along(&object, &change, changeset);
        Ok(Prepared { changeset: Some(changeset.with_reads(tracked.into_reads())), object })
    }

    fn prepare_delete<T: Managed>(&self, ctx: &Ctx, target: &Target<'_>) -> Result<Changeset, Error>
    where
        World: HasTable<T>,
    {
        let world = self.world();
        let current = find::<T>(&world, target.reference)?;
        target.check(current)?;
        let tracked = TrackedWorld::new(&world);
        rules::may_delete(&tracked, current)?;
        let event = ctx.event(current, "deleted", view::deleted(current));
        let changeset = Changeset::default().delete(&T::object(Arc::clone(current))).event(event);
        Ok(changeset.with_reads(tracked.into_reads()))
    }

    /// Holds an object that is about to be written against the rules, and seals its secrets.
    fn admit<T: Managed>(
        &self,
        world: &TrackedWorld<'_>,
        next: &mut Stored<T>,
        old: Option<&Stored<T>>,
    ) -> Result<(), Error>
    where
        World: HasTable<T>,
    {
        let change = Change { world, key: &next.key, old };
        let problems = rules::refusals(&next.spec, &change);
        if !problems.is_empty() {
            return Err(Error::Invalid(problems));
        }
        if let Some(reason) = taken(world, next).or_else(|| next.spec.conflict(&change)) {
            return Err(Error::Conflict(reason));
        }
        self.seal(world, next, old)
    }

    fn seal<T: Managed>(
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
                let place = Place { kind: T::KIND, key: &key, param };
                *value = self.reseal(place, kept, value)?;
            }
        }
        Ok(())
    }

    /// Sealing the same value again keeps the sealed form, so that writing it back changes nothing.
    fn reseal(&self, place: Place<'_>, kept: Option<&Value>, value: &Value) -> Result<Value, Error> {
        match kept {
            Some(kept)
                if secrets::is_sealed(kept) && self.secrets.open(place, kept).as_ref() == Ok(value) =>
            {
                Ok(kept.clone())
            }
            _ => self.secrets.seal(place, value).map_err(|error| Error::Failed(error.to_string())),
        }
    }

    /// What the store refused, in words that name things as people know them.
    pub(crate) fn refusal(&self, error: store::Error) -> Error {
        match error {
            store::Error::Taken { kind, index, value, holder } => {
                let holder = TrackedWorld::untracked(&self.world()).label(kind, &holder);
                Error::Conflict(format!("{index} {value} belongs to {kind} `{holder}`"))
            }
            other => other.into(),
        }
    }
}

/// The object a write is about, and the revision its writer saw.
#[derive(Debug, Clone)]
pub struct Target<'a> {
    /// A key, or `index:value`.
    pub reference: &'a str,
    pub expected: Expected,
}

impl Target<'_> {
    pub(crate) fn check<T: Managed>(&self, current: &Stored<T>) -> Result<(), Error> {
        match &self.expected {
            Expected::OneOf(revisions) if !revisions.contains(&current.revision) => Err(Error::Stale {
                kind: T::KIND,
                key: T::label(current),
                expected: revisions.first().copied().unwrap_or(0),
                present: current.revision,
            }),
            _ => Ok(()),
        }
    }
}

fn table<T: Managed>(world: &World) -> &Table<T>
where
    World: HasTable<T>,
{
    world.table()
}

fn find<'a, T: Managed>(world: &'a World, reference: &str) -> Result<&'a Arc<Stored<T>>, Error>
where
    World: HasTable<T>,
{
    table::<T>(world).resolve(reference).ok_or_else(|| Error::not_found::<T>(reference))
}

/// What a client sent, without the fields that are nobody's to send.
fn read_input<T: Managed>(body: Value) -> Result<Input<T>, Error> {
    let hidden = T::HIDDEN.iter().filter(|field| body.get(field).is_some());
    let hidden: Vec<Problem> =
        hidden.map(|field| Problem::new(format!("/{field}"), format!("unknown field `{field}`"))).collect();
    if !hidden.is_empty() {
        return Err(Error::Invalid(hidden));
    }
    parse_input(body).map_err(Error::Invalid)
}

/// Unique values that another object holds, with its name.
fn taken<T: Managed>(world: &TrackedWorld<'_>, next: &Stored<T>) -> Option<String>
where
    World: HasTable<T>,
{
    let held = next.spec.unique(&next.status).into_iter().filter_map(|(index, value)| {
        let holder = world.holder::<T>(index, &value).filter(|holder| holder.key != next.key)?;
        Some(format!("{index} {value} belongs to {} `{}`", T::KIND, T::label(holder)))
    });
    let held: Vec<String> = held.collect();
    (!held.is_empty()).then(|| held.join("; "))
}

fn exists<T: Managed>(key: &str) -> Error {
    Error::Conflict(format!(
        "there is a {} `{key}` already: change it, or choose another {}",
        T::KIND,
        T::KEY_FIELD
    ))
}

fn busy<T: Managed>(reference: &str) -> Error {
    Error::Busy(format!("{} {reference} is being changed by many at once; try again", T::KIND))
}
