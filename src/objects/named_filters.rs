//! Filters that name other objects, as `machine=web1` and `workflow=install-debian-12`.
//!
//! A machine is stored by its id, and named by name, MAC, address or id. A name that no object has, and that
//! no object of the list refers to, is refused with the nearest one: an empty list would hide the slip.

use std::net::IpAddr;
use std::sync::Arc;

use uuid::Uuid;

use crate::kernel::{Caller, Error};
use crate::model::{HasTable, Kind, Mac, Machine, Stored, Table, World, nearest, with_noun};
use crate::objects::Objects;
use crate::objects::field_values::FieldValues;
use crate::objects::fields::{Field, FieldReader};
use crate::objects::filter::Filter;
use crate::objects::rules::NounRules;

/// A name in a filter that no object has at present.
#[derive(Debug, Clone)]
pub(super) struct UnknownName {
    field: Field,
    kind: Kind,
    name: String,
}

impl Objects {
    /// Replaces the names of machines by their ids where a field holds ids, and returns the names that no
    /// object has. Names of kinds that the caller may not read are left alone.
    ///
    /// # Errors
    /// [`Error::BadRequest`] for a machine that does not exist, with the nearest.
    pub(super) fn resolve_names(
        &self,
        caller: &Caller,
        filters: &mut [Filter],
    ) -> Result<Vec<UnknownName>, Error> {
        let mut unknown = Vec::new();
        for filter in filters {
            let Some(kind) = filter.field.names else { continue };
            let field = filter.field.clone();
            let names = filter.values_mut().iter_mut();
            for name in names.filter(|name| !name.is_empty() && !name.contains('*')) {
                if kind == Kind::Machine && field.values == FieldValues::Id {
                    *name = self.machine_named(caller, name)?;
                } else if caller.sees_some(kind) && !self.exists(caller, (kind, name)) {
                    unknown.push(UnknownName { field: field.clone(), kind, name: name.clone() });
                }
            }
        }
        Ok(unknown)
    }

    /// The id of the machine that a query names: by name, MAC, address or id. The id of a machine that was
    /// deleted is as good.
    ///
    /// # Errors
    /// [`Error::BadRequest`] if there is no such machine, with the nearest name.
    pub fn machine_named(&self, caller: &Caller, name: &str) -> Result<String, Error> {
        let by_mac = name.parse::<Mac>().ok().map(|mac| format!("mac:{mac}"));
        let by_address = name.parse::<IpAddr>().ok().map(|address| format!("address:{address}"));
        let ways = [Some(format!("name:{name}")), by_mac, by_address, Some(name.to_owned())];
        let found = self.kernel.read(|world| {
            let mut ways = ways.iter().flatten();
            ways.find_map(|way| caller.find::<Machine>(world, way).ok()).map(|machine| machine.key.clone())
        });
        let deleted = name.parse::<Uuid>().ok().map(|id| id.to_string());
        found.or(deleted).ok_or_else(|| self.unknown_name(caller, (Kind::Machine, name)))
    }

    /// `machine:web1` in the form that events use, with the id. Any other text is returned unchanged: events
    /// outlive the objects that they are about.
    ///
    /// # Errors
    /// Those of [`Objects::machine_named`].
    pub fn event_subject(&self, caller: &Caller, text: &str) -> Result<String, Error> {
        match text.strip_prefix("machine:") {
            Some(name) => Ok(Kind::Machine.subject(self.machine_named(caller, name)?)),
            None => Ok(text.to_owned()),
        }
    }

    fn exists(&self, caller: &Caller, (kind, name): (Kind, &str)) -> bool {
        self.kernel.read(|world| match kind {
            Kind::Machine => caller.find::<Machine>(world, &format!("name:{name}")).is_ok(),
            _ => world.contains(kind, name),
        })
    }

    /// Refuses the first of the names to which no row refers either, such as that of a deleted object.
    ///
    /// # Errors
    /// [`Error::BadRequest`], with the nearest name.
    pub(super) fn refuse_unknown_names<T: NounRules>(
        &self,
        caller: &Caller,
        (unknown, rows): (&[UnknownName], &[Arc<Stored<T>>]),
    ) -> Result<(), Error> {
        for UnknownName { field, kind, name } in unknown {
            let mut values = rows.iter().flat_map(|row| FieldReader::new(row.as_ref()).values(field));
            if !values.any(|value| value == name.as_str()) {
                return Err(self.unknown_name(caller, (*kind, name)));
            }
        }
        Ok(())
    }

    fn unknown_name(&self, caller: &Caller, (kind, name): (Kind, &str)) -> Error {
        let names = with_noun!(kind, N => self.names_of::<N>(caller));
        let near = nearest(name, names.iter().map(String::as_str));
        let near = near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
        Error::BadRequest(format!("there is no {kind} `{name}`{near}"))
    }

    /// The names of all objects of a kind that the caller may read.
    fn names_of<N: NounRules>(&self, caller: &Caller) -> Vec<String>
    where
        World: HasTable<N>,
    {
        let rows: Vec<Arc<Stored<N>>> = self.kernel.read(|world| {
            let table: &Table<N> = world.table();
            caller.visible(table).cloned().collect()
        });
        rows.iter().map(|row| N::label(row)).collect()
    }
}
