//! Permissions: which stored objects a caller may read and write. [`Caller::may`] alone decides: every read
//! and write of an object for a caller asks it, directly or through the helpers here.
//!
//! A token's scopes name whole kinds: a token with `machines:read` sees every machine. Narrower grants
//! (users, roles, labels) would change [`Caller::may`], [`Caller::sees_all`] and [`Caller::sees_some`], and
//! nothing else. `scope` has the requirements of API operations that are checked before an object is read.

use std::collections::BTreeMap;
use std::sync::Arc;

use uuid::Uuid;

use super::scope::{RequiredScope, agent_of};
use super::{Actor, Caller, Error};
use crate::model::{HasTable, Job, Kind, Machine, Noun, Stored, Table, World};

/// What a caller does with an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccessVerb {
    Read,
    Write,
    /// See its name and counts in a summary of the server. A caller that may read the status of DHCP may see
    /// every subnet this way.
    Monitor,
}

/// The parts of an object that a permission can depend on.
#[derive(Clone, Copy, Debug)]
pub struct ObjectRef<'a> {
    pub kind: Kind,
    pub key: &'a str,
    /// `None` for a deleted object that an event or a tombstone is about.
    pub labels: Option<&'a BTreeMap<String, String>>,
}

impl<'a> ObjectRef<'a> {
    pub fn of<T: Noun>(stored: &'a Stored<T>) -> Self {
        ObjectRef { kind: T::KIND, key: &stored.key, labels: Some(&stored.labels) }
    }
}

impl Caller {
    /// Whether the caller may do something with an object.
    pub fn may(&self, verb: AccessVerb, object: ObjectRef<'_>) -> bool {
        let area = object.kind.plural();
        let need = match verb {
            AccessVerb::Read | AccessVerb::Monitor => RequiredScope::Read(area),
            AccessVerb::Write => RequiredScope::Write(area),
        };
        let is_own_machine = || {
            let is_it = |id: Uuid| object.key.parse() == Ok(id);
            let is_actor = matches!(self.actor, Actor::Machine(id) if is_it(id));
            is_actor || self.scopes.iter().filter_map(|scope| agent_of(scope)).any(is_it)
        };
        need.is_met_by(&self.scopes)
            || (verb == AccessVerb::Read && object.kind == Kind::Machine && is_own_machine())
            || (verb == AccessVerb::Monitor && RequiredScope::Read("dhcp").is_met_by(&self.scopes))
    }

    /// Whether the caller sees every object of a kind, so that a list need not check each.
    pub fn sees_all(&self, kind: Kind) -> bool {
        RequiredScope::Read(kind.plural()).is_met_by(&self.scopes)
    }

    /// Whether the caller may read any object of a kind at all. If not, a list can skip the kind.
    pub fn sees_some(&self, kind: Kind) -> bool {
        self.sees_all(kind)
            || kind == Kind::Machine && self.scopes.iter().any(|scope| agent_of(scope).is_some())
    }

    /// The kinds of which the caller sees nothing, so that a query can exclude them.
    pub fn hidden_kinds(&self) -> Vec<Kind> {
        Kind::ALL.into_iter().filter(|kind| !self.sees_some(*kind)).collect()
    }

    /// Whether the caller may read an object whose key is known. An object that is not in the world was
    /// deleted, or is about to be created.
    pub fn may_read(&self, world: &World, (kind, key): (Kind, &str)) -> bool {
        if self.sees_all(kind) {
            return true;
        }
        let object = world.object(kind, key);
        let labels = object.as_ref().map(|object| object.labels());
        self.may(AccessVerb::Read, ObjectRef { kind, key, labels })
    }

    /// Whether the caller may read an event's subject: `machine:0192…`. Subjects that are not objects
    /// (`server`) are visible to everyone.
    pub fn may_read_subject(&self, world: &World, subject: &str) -> bool {
        let named = subject.split_once(':').and_then(|(word, key)| Some((Kind::of_word(word)?, key)));
        named.is_none_or(|named| self.may_read(world, named))
    }

    /// The object that a reference names, by its key or by `index:value`.
    ///
    /// # Errors
    /// [`Error::NotFound`] if there is no such object, or the caller may not read it.
    pub fn find<'w, T: Noun>(&self, world: &'w World, reference: &str) -> Result<&'w Arc<Stored<T>>, Error>
    where
        World: HasTable<T>,
    {
        let table: &Table<T> = world.table();
        let found = table.resolve(reference).filter(|row| self.may(AccessVerb::Read, ObjectRef::of(row)));
        found.ok_or_else(|| Error::not_found::<T>(reference))
    }

    /// The objects of a kind that the caller may read, in the order of keys.
    pub fn visible<'w, T: Noun>(&self, table: &'w Table<T>) -> impl Iterator<Item = &'w Arc<Stored<T>>> {
        let sees_all = self.sees_all(T::KIND);
        table.iter().filter(move |row| sees_all || self.may(AccessVerb::Read, ObjectRef::of(row)))
    }

    /// The machine whose agent the caller is. A caller that may write all jobs may name any machine.
    ///
    /// # Errors
    /// [`Error::NotFound`] if there is no such machine, or it is another one that the caller may not read;
    /// [`Error::Forbidden`] if it is another one that the caller may read.
    pub fn find_own_machine<'w>(
        &self,
        world: &'w World,
        reference: &str,
    ) -> Result<&'w Arc<Stored<Machine>>, Error> {
        let machine = world.machines.resolve(reference);
        let machine = machine.ok_or_else(|| Error::not_found::<Machine>(reference))?;
        self.check_own(&machine.key, ObjectRef::of(machine)).map(|()| machine).map_err(|error| match error {
            Error::NotFound { kind, .. } => Error::NotFound { kind, reference: reference.to_owned() },
            other => other,
        })
    }

    /// A job of the machine whose agent the caller is; see [`Caller::find_own_machine`].
    ///
    /// # Errors
    /// Those of [`Caller::find_own_machine`].
    pub fn find_own_job<'w>(&self, world: &'w World, key: &str) -> Result<&'w Arc<Stored<Job>>, Error> {
        let job = world.jobs.get(key).ok_or_else(|| Error::not_found::<Job>(key))?;
        self.check_own(&job.spec.machine.to_string(), ObjectRef::of(job)).map(|()| job)
    }

    /// Refuses an action on an object of a machine that is not the caller's own.
    fn check_own(&self, machine: &str, object: ObjectRef<'_>) -> Result<(), Error> {
        let id = machine.parse().map_err(|_| Error::Failed(format!("the machine `{machine}` has no id")))?;
        match self.acts_for(id) {
            Err(_) if !self.may(AccessVerb::Read, object) => {
                Err(Error::NotFound { kind: object.kind, reference: object.key.to_owned() })
            }
            other => other,
        }
    }
}

/// The message for a write that conflicts with an object that the caller may not read.
pub fn hidden_conflict(kind: Kind) -> String {
    format!("this conflicts with an object of the kind `{kind}` that your token may not read")
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use serde_json::json;

    use super::*;
    use crate::model::{Machine, Object};

    fn caller(scopes: &[&str]) -> Caller {
        let scopes = scopes.iter().map(ToString::to_string).collect();
        let now = Timestamp::UNIX_EPOCH;
        let actor = Actor::Token("t".into());
        Caller { actor, scopes, now, request_id: String::new(), attempt: None, session: None }
    }

    fn world(key: &str) -> World {
        let mut world = World::default();
        let spec: Machine =
            serde_json::from_value(json!({"name": "web1", "macs": ["52:54:00:aa:00:01"]})).unwrap();
        let stored = Stored::new(key.to_owned(), spec, Timestamp::UNIX_EPOCH);
        world.put(Object::Machine(Arc::new(stored)));
        world
    }

    #[test]
    fn a_hidden_object_is_as_absent_as_one_that_does_not_exist() {
        let key = Uuid::now_v7().to_string();
        let world = world(&key);
        let (reader, other) = (caller(&["machines:read"]), caller(&["subnets:write", "events:read"]));
        for reference in [key.as_str(), "name:web1", "mac:52:54:00:aa:00:01"] {
            assert!(reader.find::<Machine>(&world, reference).is_ok(), "{reference}");
            let hidden = other.find::<Machine>(&world, reference).unwrap_err();
            assert_eq!(hidden, Error::not_found::<Machine>(reference));
        }
        assert!(reader.sees_all(Kind::Machine) && !other.sees_all(Kind::Machine));
    }

    #[test]
    fn an_event_is_hidden_with_the_object_that_it_is_about() {
        let key = Uuid::now_v7().to_string();
        let world = world(&key);
        let (reader, other) = (caller(&["machines:read"]), caller(&["leases:read"]));
        let machine = Kind::Machine.subject(&key);
        assert!(reader.may_read_subject(&world, &machine) && !other.may_read_subject(&world, &machine));
        let deleted = Kind::Machine.subject(Uuid::now_v7());
        assert!(reader.may_read_subject(&world, &deleted) && !other.may_read_subject(&world, &deleted));
        assert!(other.may_read_subject(&world, "lease:10.0.0.5"));
        assert!(reader.may_read_subject(&world, "server"));
        assert!(!reader.may_read_subject(&world, "pack:core"), "a pack is an object");
    }

    #[test]
    fn the_agent_of_a_machine_sees_that_machine_only() {
        let key = Uuid::now_v7().to_string();
        let world = world(&key);
        let agent = caller(&[&format!("agent:{key}")]);
        let stranger = caller(&[&format!("agent:{}", Uuid::now_v7())]);
        assert!(agent.find::<Machine>(&world, "name:web1").is_ok());
        assert!(stranger.find::<Machine>(&world, "name:web1").is_err());
        let own = ObjectRef { kind: Kind::Machine, key: &key, labels: None };
        assert!(!agent.may(AccessVerb::Write, own));
        assert!(agent.sees_some(Kind::Machine) && !agent.sees_all(Kind::Machine));
        assert!(!agent.sees_some(Kind::Lease));
    }
}
