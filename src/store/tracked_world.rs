//! A view of the world for decisions about several objects. It records what was read, so that the changeset
//! is refused if any of it has changed.
//!
//! A look-up by key records the row, also if there is no object. A walk through all objects of a kind records
//! the table: either the specs alone, or the statuses as well. The choice matters, because the statuses of
//! machines change all the time. Leases and machines change so often that a walk through them usually needs
//! the writer's hold: use it only for what people do rarely.

use std::cell::RefCell;
use std::fmt;
use std::sync::Arc;

use serde_json::Value;

use super::ChangesetRead;
use crate::model::{HasTable, Kind, Noun, Object, ObjectReference, Setting, Stored, Table, World};

/// Most rows that are recorded one by one. A decision that reads more has the whole table recorded.
const ROWS_MAX: usize = 256;

/// How many rows were recorded one by one.
fn rows_of(reads: &[ChangesetRead]) -> usize {
    reads.iter().filter(|read| matches!(read, ChangesetRead::Row { .. })).count()
}

/// A view of the world that records what was read.
pub struct TrackedWorld<'w> {
    world: &'w World,
    /// `None` if nothing will be committed.
    reads: Option<RefCell<Vec<ChangesetRead>>>,
}

/// All objects of a kind at one moment, for checks that find out only after the world's lock was released
/// which objects matter to them.
pub struct TableSnapshot<T: Noun> {
    /// The objects in the order of keys.
    rows: Vec<Arc<Stored<T>>>,
    generation: u64,
}

impl<T: Noun> TableSnapshot<T> {
    /// The object with a key. The look-up, found or not, is added to `reads`.
    pub fn get(&self, key: &str, reads: &mut Vec<ChangesetRead>) -> Option<&Arc<Stored<T>>> {
        let place = self.rows.binary_search_by(|row| row.key.as_str().cmp(key)).ok();
        let row = place.and_then(|place| self.rows.get(place));
        let read = match rows_of(reads) {
            0..ROWS_MAX => {
                ChangesetRead::Row { kind: T::KIND, key: key.into(), version: row.map(|row| row.version()) }
            }
            _ => ChangesetRead::Specs { kind: T::KIND, generation: self.generation },
        };
        if !reads.contains(&read) {
            reads.push(read);
        }
        row
    }

    /// The objects whose keys begin so, at most so many. All objects of the kind count as read.
    pub fn with_prefix(
        &self,
        prefix: &str,
        count_max: usize,
        reads: &mut Vec<ChangesetRead>,
    ) -> Vec<&Arc<Stored<T>>> {
        let read = ChangesetRead::Specs { kind: T::KIND, generation: self.generation };
        if !reads.contains(&read) {
            reads.push(read);
        }
        let from = self.rows.partition_point(|row| row.key.as_str() < prefix);
        let rows = self.rows.iter().skip(from);
        rows.take_while(|row| row.key.starts_with(prefix)).take(count_max).collect()
    }
}

impl<'w> TrackedWorld<'w> {
    /// A view that records what is read, for a changeset.
    pub fn new(world: &'w World) -> Self {
        TrackedWorld { world, reads: Some(RefCell::default()) }
    }

    /// A view that records nothing, for reads that are only shown.
    pub fn untracked(world: &'w World) -> Self {
        TrackedWorld { world, reads: None }
    }

    /// The world itself. Not recorded: only for reads that decide nothing, such as texts for the caller.
    pub fn untracked_world(&self) -> &'w World {
        self.world
    }

    /// What was read.
    pub fn into_reads(self) -> Vec<ChangesetRead> {
        self.reads.map(RefCell::into_inner).unwrap_or_default()
    }

    /// The object with a key.
    pub fn get<T: Noun>(&self, key: &str) -> Option<&'w Arc<Stored<T>>>
    where
        World: HasTable<T>,
    {
        let row = self.table::<T>().get(key);
        self.note_row(T::KIND, key, row.map(|row| row.version()));
        row
    }

    /// The object with a key, for a kind that is known at run time only.
    pub fn object(&self, kind: Kind, key: &str) -> Option<Object> {
        let object = self.world.object(kind, key);
        self.note_row(kind, key, object.as_ref().map(Object::version));
        object
    }

    /// All objects of a kind; the decision depends on their specs only.
    pub fn specs<T: Noun>(&self) -> impl DoubleEndedIterator<Item = &'w Arc<Stored<T>>>
    where
        World: HasTable<T>,
    {
        self.note(|| ChangesetRead::Specs { kind: T::KIND, generation: self.world.spec_generation(T::KIND) });
        self.all_rows::<T>()
    }

    /// All objects of a kind; the decision depends on their statuses too.
    pub fn statuses<T: Noun>(&self) -> impl DoubleEndedIterator<Item = &'w Arc<Stored<T>>>
    where
        World: HasTable<T>,
    {
        self.note(|| ChangesetRead::Table { kind: T::KIND, generation: self.world.generation(T::KIND) });
        self.all_rows::<T>()
    }

    /// All objects of a kind, for later look-ups. Not recorded: the snapshot records what is looked up in it.
    pub fn snapshot<T: Noun>(&self) -> TableSnapshot<T>
    where
        World: HasTable<T>,
    {
        let rows = self.all_rows::<T>().map(Arc::clone).collect();
        TableSnapshot { rows, generation: self.world.spec_generation(T::KIND) }
    }

    fn all_rows<T: Noun>(&self) -> impl DoubleEndedIterator<Item = &'w Arc<Stored<T>>>
    where
        World: HasTable<T>,
    {
        const { assert!(!T::IS_HISTORY, "no rule walks through history") };
        self.table::<T>().iter()
    }

    /// The number of objects of a kind.
    pub fn count<T: Noun>(&self) -> usize
    where
        World: HasTable<T>,
    {
        self.specs::<T>().count()
    }

    /// The value of a setting: the site's value, or the default.
    pub fn setting(&self, name: &str) -> Value {
        self.get::<Setting>(name);
        self.world.setting(name)
    }

    /// Every object that refers to the given one, by kind and key.
    pub fn referrers(&self, of: &ObjectReference) -> Vec<(Kind, String)> {
        for kind in World::referring_kinds(of.kind) {
            self.note(|| ChangesetRead::Specs { kind, generation: self.world.spec_generation(kind) });
        }
        self.world.referrers(of)
    }

    /// The object whose unique value `index` is `value`. Not recorded: the store itself refuses a value that
    /// is taken.
    pub fn holder<T: Noun>(&self, index: &'static str, value: &str) -> Option<&'w Arc<Stored<T>>>
    where
        World: HasTable<T>,
    {
        self.table::<T>().find(index, value)
    }

    /// The name that people use for an object whose key is known. Not recorded: it decides nothing.
    pub fn label(&self, kind: Kind, key: &str) -> String {
        match kind {
            Kind::Machine => {
                self.world.machines.get(key).map_or_else(|| key.to_owned(), |row| row.spec.name.clone())
            }
            _ => key.to_owned(),
        }
    }

    fn table<T: Noun>(&self) -> &'w Table<T>
    where
        World: HasTable<T>,
    {
        self.world.table()
    }

    fn note_row(&self, kind: Kind, key: &str, version: Option<u64>) {
        let reads = self.reads.as_ref().map(RefCell::borrow);
        let rows = reads.map_or(0, |reads| rows_of(&reads));
        if rows >= ROWS_MAX {
            return self.note(|| ChangesetRead::Table { kind, generation: self.world.generation(kind) });
        }
        self.note(|| {
            let held = self.world.held_key(kind, key).cloned();
            ChangesetRead::Row { kind, key: held.unwrap_or_else(|| key.into()), version }
        });
    }

    fn note(&self, read: impl FnOnce() -> ChangesetRead) {
        let Some(reads) = &self.reads else { return };
        let (mut reads, read) = (reads.borrow_mut(), read());
        if !reads.contains(&read) {
            reads.push(read);
        }
    }
}

impl fmt::Debug for TrackedWorld<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TrackedWorld").field("reads", &self.reads).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::model::{Machine, Param};

    fn world() -> World {
        let mut world = World::default();
        let spec: Param = serde_json::from_value(serde_json::json!({"name": "user"})).unwrap();
        world.put(Object::Param(Arc::new(Stored::new("user".into(), spec, Timestamp::UNIX_EPOCH))));
        world
    }

    #[test]
    fn whatever_is_looked_at_is_noted_once() {
        let world = world();
        let tracked = TrackedWorld::new(&world);
        for _ in 0..2 {
            assert!(tracked.get::<Param>("user").is_some());
            assert!(tracked.get::<Param>("other").is_none());
            assert_eq!(tracked.count::<Param>(), 1);
            assert_eq!(tracked.statuses::<Machine>().count(), 0);
        }
        let row = |key: &str, version| ChangesetRead::Row { kind: Kind::Param, key: key.into(), version };
        let specs = ChangesetRead::Specs { kind: Kind::Param, generation: 1 };
        let table = ChangesetRead::Table { kind: Kind::Machine, generation: 0 };
        assert_eq!(tracked.into_reads(), [row("user", Some(1)), row("other", None), specs, table]);
    }

    #[test]
    fn too_many_rows_are_a_table() {
        let world = world();
        let tracked = TrackedWorld::new(&world);
        for number in 0..ROWS_MAX + 10 {
            tracked.get::<Param>(&format!("param-{number}"));
        }
        let reads = tracked.into_reads();
        assert_eq!(reads.len(), ROWS_MAX + 1);
        assert_eq!(reads.last(), Some(&ChangesetRead::Table { kind: Kind::Param, generation: 1 }));
    }

    #[test]
    fn what_is_looked_up_in_a_snapshot_is_noted_as_it_was_then() {
        let mut world = world();
        let known = TrackedWorld::new(&world).snapshot::<Param>();
        world.remove(Kind::Param, "user");
        let mut reads = Vec::new();
        for _ in 0..2 {
            assert!(known.get("user", &mut reads).is_some());
            assert!(known.get("other", &mut reads).is_none());
        }
        let row = |key: &str, version| ChangesetRead::Row { kind: Kind::Param, key: key.into(), version };
        assert_eq!(reads, [row("user", Some(1)), row("other", None)]);
        for number in 0..ROWS_MAX {
            known.get(&format!("param-{number}"), &mut reads);
        }
        assert_eq!(reads.len(), ROWS_MAX + 1);
        assert_eq!(reads.last(), Some(&ChangesetRead::Specs { kind: Kind::Param, generation: 1 }));
    }

    #[test]
    fn who_looks_for_referrers_has_looked_at_all_that_may_refer() {
        let world = world();
        let tracked = TrackedWorld::new(&world);
        assert!(tracked.referrers(&ObjectReference::new(Kind::Subnet, "lan", "")).is_empty());
        let specs = |kind| ChangesetRead::Specs { kind, generation: 0 };
        assert_eq!(tracked.into_reads(), [specs(Kind::Reservation), specs(Kind::ClientClass)]);
    }

    #[test]
    fn what_is_only_shown_notes_nothing() {
        let world = world();
        let shown = TrackedWorld::untracked(&world);
        assert!(shown.get::<Param>("user").is_some());
        assert!(shown.into_reads().is_empty());
    }
}
