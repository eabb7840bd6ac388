//! Reads one object of any noun. Lists are in `list`, the shape of a view is in `view`.

use std::sync::Arc;

use crate::kernel::{Caller, Error};
use crate::model::{HasTable, Stored, World};
use crate::objects::Objects;
use crate::objects::rules::NounRules;
use crate::objects::view::{View, ViewSubject};

impl Objects {
    /// Reads one object.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub async fn get<T: NounRules>(&self, caller: &Caller, reference: &str) -> Result<View, Error>
    where
        World: HasTable<T>,
    {
        let stored = self.kernel.find::<T>(caller, reference)?;
        self.show(&stored).await
    }

    /// The view of an object for a caller that just wrote it, or had it changed.
    ///
    /// # Errors
    /// [`Error::Busy`] when it takes too long.
    pub async fn show<T: NounRules>(&self, object: &Arc<Stored<T>>) -> Result<View, Error>
    where
        World: HasTable<T>,
    {
        let seen = T::effective_at(object, self.kernel.now()).map_or_else(|| Arc::clone(object), Arc::new);
        let subject = self.kernel.read(|world| self.subject(world, &seen));
        self.lanes.reads.run_sized(subject.size(), || subject.view()).await
    }

    /// An object with what a view of it needs of the world.
    pub(super) fn subject<T: NounRules>(&self, world: &World, object: &Arc<Stored<T>>) -> ViewSubject<T>
    where
        World: HasTable<T>,
    {
        ViewSubject::of((world, &self.kernel), object, &self.problems)
    }
}
