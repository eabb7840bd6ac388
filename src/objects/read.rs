//! Reads one object of any noun. Lists are in `list`, the shape of a view is in `view`.

use std::sync::Arc;

use crate::kernel::{Caller, Error};
use crate::model::settings::{self, Setting, SettingDescription, SettingDescriptions};
use crate::model::{HasTable, Stored, World};
use crate::objects::Objects;
use crate::objects::rules::NounRules;
use crate::objects::view::{ObjectView, ViewSubject};

impl Objects {
    /// Reads one object.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub async fn get<T: NounRules>(&self, caller: &Caller, reference: &str) -> Result<ObjectView, Error>
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
    pub async fn show<T: NounRules>(&self, object: &Arc<Stored<T>>) -> Result<ObjectView, Error>
    where
        World: HasTable<T>,
    {
        let seen = T::effective_at(object, self.kernel.now()).map_or_else(|| Arc::clone(object), Arc::new);
        let subject = self.kernel.read(|world| self.subject(world, &seen));
        self.lanes.reads.run_sized(subject.size(), || subject.view()).await
    }

    /// Every setting, with its value where the caller may read it, or else its default.
    pub fn describe_settings(&self, caller: &Caller) -> SettingDescriptions {
        let stored: Vec<Arc<Stored<Setting>>> =
            self.kernel.read(|world| caller.visible(&world.settings).cloned().collect());
        let items = settings::known().into_iter().map(|known| {
            let stored = stored.iter().find(|row| row.key == known.name);
            SettingDescription::of(known, stored.map(AsRef::as_ref))
        });
        SettingDescriptions { items: items.collect() }
    }

    /// An object with what a view of it needs of the world.
    pub(super) fn subject<T: NounRules>(&self, world: &World, object: &Arc<Stored<T>>) -> ViewSubject<T>
    where
        World: HasTable<T>,
    {
        ViewSubject::of((world, &self.kernel), object, &self.problems)
    }
}
