//! The use cases: what happens when somebody asks for something. The only layer that decides who may
//! do what, and what follows from it.
//!
//! One file a subject. [`App`] holds what they share; each use case takes a [`Ctx`], reads the world,
//! builds a deed and commits it.

pub mod auth;
mod ctx;
mod error;
mod fields;
mod filter;
pub mod history;
pub mod list;
pub mod objects;
pub mod patch;
pub mod rules;
pub mod secrets;
mod start;
#[cfg(test)]
pub mod testing;
pub mod view;

pub use ctx::{Actor, Ctx};
pub use error::Error;

use std::sync::RwLockReadGuard;

use jiff::Timestamp;

use crate::app::rules::Checks;
use crate::app::secrets::Secrets;
use crate::model::{Event, HasTable, Kind, NewEvent, Noun, Stored, World};
use crate::store::{self, Deed, SharedStore};

/// How often a change of ours is tried again when somebody else changed the object meanwhile.
const STALE_RETRIES_MAX: usize = 16;

/// Everything the use cases share.
pub struct App {
    store: SharedStore,
    secrets: Secrets,
    checks: Checks,
}

impl std::fmt::Debug for App {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("App")
    }
}

impl App {
    pub fn new(store: SharedStore, secrets: Secrets) -> Self {
        App { store, secrets, checks: Checks::default() }
    }

    /// With what other modules know about values.
    pub fn with_checks(self, checks: Checks) -> Self {
        App { checks, ..self }
    }

    /// The snapshot of all objects. Do not hold it over an await.
    pub fn world(&self) -> RwLockReadGuard<'_, World> {
        self.store.world()
    }

    /// One object by its key or by `index:value`.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub fn find<T: Noun>(&self, reference: &str) -> Result<std::sync::Arc<Stored<T>>, Error>
    where
        World: HasTable<T>,
    {
        let world = self.world();
        let table: &crate::model::Table<T> = world.table();
        table.resolve(reference).cloned().ok_or_else(|| Error::not_found::<T>(reference))
    }

    /// How many objects of each kind there are, in the order of `Kind::ALL`.
    pub fn counts(&self) -> [usize; Kind::ALL.len()] {
        let world = self.world();
        Kind::ALL.map(|kind| world.count(kind))
    }

    async fn commit(&self, deed: Deed) -> Result<Vec<Event>, Error> {
        Ok(self.store.commit(deed).await?)
    }

    /// Changes an object of ours with `change`, which sees the newest revision and is called again when
    /// somebody else was quicker. It gives the events that say what was done.
    ///
    /// # Errors
    /// What `change` refuses, [`Error::NotFound`], or what the store says.
    pub async fn change<T: Noun>(
        &self,
        key: &str,
        now: Timestamp,
        mut change: impl FnMut(&mut Stored<T>) -> Result<Vec<NewEvent>, Error>,
    ) -> Result<Stored<T>, Error>
    where
        World: HasTable<T>,
    {
        for _ in 0..STALE_RETRIES_MAX {
            let current = self.find::<T>(key)?;
            let mut next = current.next(now);
            let events = change(&mut next)?;
            let deed =
                Deed { events, ..Deed::default() }.update(T::object(std::sync::Arc::new(next.clone())));
            match self.store.commit(deed).await {
                Ok(_) => return Ok(next),
                Err(store::Error::Stale { .. }) => continue,
                Err(other) => return Err(other.into()),
            }
        }
        Err(Error::Busy(format!("{} {key} is being changed by many at once; try again", T::KIND)))
    }
}
