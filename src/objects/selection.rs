//! The objects that a call for many of them is about: by reference, or by the filters of a list.

use std::sync::Arc;

use crate::kernel::{Caller, Error};
use crate::model::{HasTable, Stored, Table, World};
use crate::objects::Objects;
use crate::objects::list::{self, ListQuery};
use crate::objects::rules::NounRules;

/// An object by its key, with the name that people use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SelectedObject {
    pub key: String,
    pub name: String,
}

impl SelectedObject {
    fn of<T: NounRules>(row: &Stored<T>) -> Self {
        SelectedObject { key: row.key.clone(), name: T::label(row) }
    }
}

impl Objects {
    /// The object that a reference names.
    ///
    /// # Errors
    /// [`Error::NotFound`] if there is none, or it is hidden from the caller.
    pub fn find_selected<T: NounRules>(
        &self,
        caller: &Caller,
        reference: &str,
    ) -> Result<SelectedObject, Error>
    where
        World: HasTable<T>,
    {
        self.kernel.find::<T>(caller, reference).map(|row| SelectedObject::of(&row))
    }

    /// All objects that the caller may read and that pass the filters of a list, by key.
    ///
    /// # Errors
    /// [`Error::Busy`] if it takes too long; [`Error::BadRequest`] for a filter that names no object.
    pub async fn select<T: NounRules>(
        self: &Arc<Self>,
        caller: Caller,
        mut query: ListQuery,
    ) -> Result<Vec<SelectedObject>, Error>
    where
        World: HasTable<T>,
    {
        let unknown = self.resolve_names(&caller, query.filters_mut())?;
        let objects = Arc::clone(self);
        let selecting = self.lanes.lists.run_in_pieces(move |flag| {
            let rows: Vec<Arc<Stored<T>>> = objects.kernel.read(|world| {
                let table: &Table<T> = world.table();
                let now = objects.kernel.now();
                caller.visible(table).map(|row| list::seen(row, now)).collect()
            });
            objects.refuse_unknown_names(&caller, (&unknown, &rows))?;
            let passed = rows.iter().take_while(|_| !flag.is_given_up());
            let passed = passed.filter(|row| query.passes(row.as_ref()));
            Ok(passed.map(|row| SelectedObject::of(row)).collect())
        });
        selecting.await?
    }
}
