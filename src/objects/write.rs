//! Create, replace, patch and delete for every noun. `rules` has what differs from noun to noun.
//!
//! Each write is one changeset with its event, which `prepare` checks and makes. A write that was overtaken
//! is prepared again here. A write that changes nothing is not committed. Lists are in `list`, the shape that
//! readers get is in `view`.

use std::sync::Arc;

use serde_json::Value;

use crate::kernel::permissions::{AccessVerb, ObjectRef};
use crate::kernel::{Caller, Changeset, Error, STALE_RETRIES_MAX, StoreError, WriterHold};
use crate::model::{HasTable, Input, Problem, RefusalCode, Stored, World, parse_changed};
use crate::objects::Objects;
use crate::objects::patch::Patch;
use crate::objects::prepare::PreparedWrite;
use crate::objects::rules::NounRules;
use crate::objects::view::{self, ObjectView};
use crate::objects::work_size::WorkSize;

/// The revision that a writer expects to change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExpectedRevision {
    /// Any revision.
    Any,
    /// One of these revisions; otherwise the write is refused as stale.
    OneOf(Vec<u64>),
}

impl Objects {
    /// Creates an object from what a client sent.
    ///
    /// # Errors
    /// [`Error::Invalid`] with every fault, [`Error::Conflict`] if a unique value is taken.
    pub async fn create<T: NounRules>(&self, caller: &Caller, body: Value) -> Result<ObjectView, Error>
    where
        World: HasTable<T>,
    {
        let size = WorkSize::of_document(&body);
        let input = self.lanes.writes.run_sized(size, || read_input::<T>(body, &Value::Null)).await??;
        self.create_from(caller, input).await
    }

    /// Creates an object from fields that were parsed already.
    ///
    /// # Errors
    /// Those of [`Objects::create`].
    pub async fn create_from<T: NounRules>(
        &self,
        caller: &Caller,
        input: Input<T>,
    ) -> Result<ObjectView, Error>
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
    ) -> Result<ObjectView, Error>
    where
        World: HasTable<T>,
    {
        let (size, body) = (WorkSize::of_document(body), body.clone());
        let make = move |current: &Stored<T>| read_input(body.clone(), &view::plain(current));
        self.rewrite::<T>(caller, target, RewriteWork { size, make, extent: RewriteExtent::Whole }).await
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
    ) -> Result<ObjectView, Error>
    where
        World: HasTable<T>,
    {
        let (size, patch) = (patch.size(), patch.clone());
        let make = move |current: &Stored<T>| patched(current, &patch);
        self.rewrite::<T>(caller, target, RewriteWork { size, make, extent: RewriteExtent::Parts }).await
    }

    /// Finds out whether a patch would be refused. Nothing is written.
    ///
    /// # Errors
    /// Those of [`Objects::patch`].
    pub async fn try_patch<T: NounRules>(
        &self,
        caller: &Caller,
        target: &WriteTarget<'_>,
        patch: &Patch,
    ) -> Result<(), Error>
    where
        World: HasTable<T>,
    {
        let current = self.find_to_write::<T>(caller, target)?;
        let size = patch.size().and(WorkSize::of_view(&current));
        let (patch, seen) = (patch.clone(), Arc::clone(&current));
        let input = self.lanes.writes.run_sized(size, move || patched(&seen, &patch)).await??;
        let checked = self.check_update(caller, &current, input).await?;
        self.prepare_update(caller, (&current, checked), None).await.map(drop)
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
            let layered = self.layered_deletion::<T>(caller, target).await?;
            let hold = self.kernel.hold_for(attempt).await?;
            let changeset = self.prepare_layered_delete::<T>(caller, target, layered)?;
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
        work: RewriteWork<impl Fn(&Stored<T>) -> Result<Input<T>, Error> + Send + Sync + 'static>,
    ) -> Result<ObjectView, Error>
    where
        World: HasTable<T>,
    {
        let RewriteWork { size, make, extent } = work;
        let make = Arc::new(make);
        for attempt in 0..STALE_RETRIES_MAX {
            let current = self.find_to_write::<T>(caller, target)?;
            let (made, seen) = (Arc::clone(&make), Arc::clone(&current));
            let size = size.and(WorkSize::of_view(&current));
            let input = self.lanes.writes.run_sized(size, move || made(&seen)).await??;
            let checked = match extent {
                RewriteExtent::Whole => self.check_replacement(caller, &current, input).await?,
                RewriteExtent::Parts => self.check_update(caller, &current, input).await?,
            };
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
    pub(super) fn find_to_write<T: NounRules>(
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

    async fn finish(&self, hold: Option<WriterHold>, changeset: Option<Changeset>) -> Result<(), StoreError> {
        match changeset {
            Some(changeset) => self.kernel.commit_with(hold, changeset).await.map(drop),
            None => Ok(()),
        }
    }
}

/// How an object is written anew.
struct RewriteWork<M> {
    /// The work that is in what the client sent.
    size: WorkSize,
    make: M,
    extent: RewriteExtent,
}

/// How much of an object its writer sent. One that comes from a pack is replaced whole or not at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum RewriteExtent {
    Whole,
    Parts,
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

/// Parses what a client sent, without the fields that nobody may send. `stored` is the object that it
/// replaces.
fn read_input<T: NounRules>(body: Value, stored: &Value) -> Result<Input<T>, Error> {
    let hidden = T::HIDDEN.iter().filter(|field| body.get(field).is_some());
    let hidden: Vec<Problem> = hidden
        .map(|field| {
            let what = format!("unknown field `{field}`");
            Problem::new(format!("/{field}"), what).coded(RefusalCode::UnknownField)
        })
        .collect();
    if !hidden.is_empty() {
        return Err(Error::Invalid(hidden));
    }
    parse_changed(body, stored).map_err(Error::Invalid)
}

/// The input of an object after a patch.
fn patched<T: NounRules>(current: &Stored<T>, patch: &Patch) -> Result<Input<T>, Error> {
    let before = view::plain(current);
    let after = patch.apply(&before)?;
    let touched = view::read_only_changes(&before, &after);
    if touched.is_empty() { read_input(after, &before) } else { Err(Error::Invalid(touched)) }
}

fn busy<T: NounRules>(reference: &str) -> Error {
    Error::Busy(format!("{} {reference} is being changed by many at once; try again", T::KIND))
}
