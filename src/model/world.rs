//! All stored objects in memory: the snapshot for every read, decision and render.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::Ipv4Addr;
use std::ops::Bound;
use std::sync::Arc;

use super::*;

/// A map that moves to a larger table in small steps, during writes. Moving all at once would take ten
/// milliseconds with 57,000 leases, and every client would wait.
pub type GrowingMap<K, V> = griddle::HashMap<K, V, foldhash::fast::RandomState>;

/// Most recent writes that a table remembers. A view that is further behind is built again.
const RECENT_MAX: usize = 4096;
/// Most subnets that are looked through for one: then a look-up of each network around an address is faster.
const SUBNETS_SCANNED_MAX: usize = 128;

/// All objects of one kind by key, with an index of their unique values.
#[derive(Debug, Clone)]
pub struct Table<T: Noun> {
    /// The objects in the order of keys, for walks.
    rows: BTreeMap<Arc<str>, Arc<Stored<T>>>,
    /// The same objects, for look-ups by key.
    by_key: GrowingMap<Arc<str>, Arc<Stored<T>>>,
    /// For each index, the key of the object that holds a value.
    unique: BTreeMap<&'static str, GrowingMap<Box<str>, Arc<str>>>,
    pub(super) generation: u64,
    pub(super) spec_generation: u64,
    /// Keys of the most recent writes, oldest first: the last write made the present generation.
    recent: VecDeque<Box<str>>,
    /// The keys, ordered by the commit that last wrote the object.
    pub(super) by_commit: BTreeSet<(u64, Arc<str>)>,
}

impl<T: Noun> Default for Table<T> {
    fn default() -> Self {
        Table {
            rows: BTreeMap::new(),
            by_key: GrowingMap::default(),
            unique: BTreeMap::new(),
            generation: 0,
            spec_generation: 0,
            recent: VecDeque::new(),
            by_commit: BTreeSet::new(),
        }
    }
}

impl<T: Noun> Table<T> {
    pub fn get(&self, key: &str) -> Option<&Arc<Stored<T>>> {
        self.by_key.get(key)
    }

    /// The object whose unique value `index` (`mac`, `name`, `address`) is `value`.
    pub fn find(&self, index: &'static str, value: &str) -> Option<&Arc<Stored<T>>> {
        self.get(self.holder(index, value)?)
    }

    /// The key of the object whose unique value `index` is `value`.
    pub fn holder(&self, index: &'static str, value: &str) -> Option<&str> {
        self.unique.get(index)?.get(value).map(|key| &**key)
    }

    /// Resolves a reference from a URL or a person: a key, or `index:value`. Where the key is the name,
    /// `name:` before it is taken too.
    pub fn resolve(&self, reference: &str) -> Option<&Arc<Stored<T>>> {
        if let Some(row) = self.get(reference) {
            return Some(row);
        }
        let (index, value) = reference.split_once(':')?;
        let noun = T::KIND.row();
        if !noun.has_id && index == noun.name_field {
            return self.get(value);
        }
        let value = match index {
            "mac" => value.parse::<Mac>().ok()?.to_string(),
            _ => value.to_owned(),
        };
        let index = T::INDEXES.iter().find(|known| **known == index)?;
        self.find(index, &value)
    }

    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Arc<Stored<T>>> {
        self.rows.values()
    }

    /// The objects whose keys are greater than `key`, in order.
    pub fn after<'a>(&'a self, key: &str) -> impl Iterator<Item = &'a Arc<Stored<T>>> + use<'a, T> {
        self.rows.range::<str, _>((Bound::Excluded(key), Bound::Unbounded)).map(|(_, row)| row)
    }

    pub fn len(&self) -> usize {
        self.rows.len()
    }

    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// A number that changes with every write to the table. A result computed from the table is valid while
    /// the number stays the same.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// A number that changes when an object is created, deleted or gets another spec, but not when only its
    /// status changes. A result computed from the specs is valid while the number stays the same.
    pub fn spec_generation(&self) -> u64 {
        self.spec_generation
    }

    /// The table's own copy of a key, which is cheap to clone.
    pub fn held_key(&self, key: &str) -> Option<&Arc<str>> {
        self.by_key.get_key_value(key).map(|(key, _)| key)
    }

    /// Keys written since the table had this generation, with repetitions: a view of the table has to read
    /// them again. `None` if the table does not remember that far back.
    pub fn written_since(&self, generation: u64) -> Option<impl Iterator<Item = &str>> {
        let writes = usize::try_from(self.generation.checked_sub(generation)?).ok()?;
        let before = self.recent.len().checked_sub(writes)?;
        Some(self.recent.iter().skip(before).map(|key| &**key))
    }

    /// Brings a copy of `table` up to date. Only what was written since is copied, as far as the table
    /// remembers it.
    fn follow(&mut self, table: &Table<T>) {
        match table.written_since(self.generation) {
            Some(written) => {
                for key in written {
                    self.remove(key);
                    table.get(key).cloned().into_iter().for_each(|row| self.put(row));
                }
            }
            None => self.clone_from(table),
        }
        (self.generation, self.spec_generation) = (table.generation, table.spec_generation);
    }

    fn note_write(&mut self, key: &str) {
        self.generation += 1;
        if self.recent.len() >= RECENT_MAX {
            self.recent.pop_front();
        }
        self.recent.push_back(key.into());
    }

    fn put(&mut self, row: Arc<Stored<T>>) {
        debug_assert!(!self.hides_a_revision(&row), "a new spec is a new revision: {row:?}");
        debug_assert!(row.spec.references().iter().all(|to| T::REFERS_TO.contains(&to.kind)), "{row:?}");
        self.note_write(&row.key);
        let unique = row.spec.unique(&row.status);
        let held = self.by_key.get_key_value(&*row.key).map(|(key, _)| Arc::clone(key));
        let key = held.unwrap_or_else(|| row.key.as_str().into());
        self.by_commit.insert((row.commit.get(), Arc::clone(&key)));
        self.rows.insert(Arc::clone(&key), Arc::clone(&row));
        let old = self.by_key.insert(Arc::clone(&key), Arc::clone(&row));
        if let Some(old) = old.as_ref().filter(|old| old.commit.get() != row.commit.get()) {
            self.by_commit.remove(&(old.commit.get(), Arc::clone(&key)));
        }
        if !(T::HAS_STATUS && old.as_ref().is_some_and(|old| old.spec == row.spec)) {
            self.spec_generation += 1;
        }
        match old {
            // Most writes do not change the unique values.
            Some(old) if old.spec.unique(&old.status) == unique => return,
            Some(old) => self.release(&old),
            None => {}
        }
        for (index, value) in unique {
            self.unique.entry(index).or_default().insert(value.into(), Arc::clone(&key));
        }
    }

    /// Whether a write changes the part that people write without a new revision.
    fn hides_a_revision(&self, row: &Stored<T>) -> bool {
        if row.commit.get() == 0 {
            return false;
        }
        let old = self.by_key.get(&*row.key).filter(|old| old.revision == row.revision);
        old.is_some_and(|old| old.spec != row.spec || old.labels != row.labels)
    }

    fn remove(&mut self, key: &str) {
        self.note_write(key);
        self.spec_generation += 1;
        self.rows.remove(key);
        if let Some((key, old)) = self.by_key.remove_entry(key) {
            self.by_commit.remove(&(old.commit.get(), key));
            self.release(&old);
        }
    }

    /// Releases the unique values of an object, except those that another object has taken over meanwhile.
    fn release(&mut self, old: &Stored<T>) {
        for (index, value) in old.spec.unique(&old.status) {
            let Some(holders) = self.unique.get_mut(index) else { continue };
            if holders.get(&*value).is_some_and(|holder| **holder == *old.key) {
                holders.remove(&*value);
            }
        }
    }
}

macro_rules! world {
    ([] $($noun:ident $table:ident { $($row:tt)* })*) => {
        /// The snapshot of all objects. Only the store changes it, in the order of its commits.
        #[derive(Debug, Clone, Default)]
        pub struct World {
            $(pub $table: Table<$noun>,)*
            /// The history of commits.
            pub commits: CommitHistory,
        }

        /// One object of any kind.
        #[derive(Clone, Debug, PartialEq)]
        pub enum Object {
            $($noun(Arc<Stored<$noun>>),)*
        }

        $(impl HasTable<$noun> for World {
            fn table(&self) -> &Table<$noun> {
                &self.$table
            }
        })*

        impl World {
            /// Stores an object, in place of the object with its key.
            pub fn put(&mut self, object: Object) {
                self.commits.revive(object.kind(), object.key());
                match object {
                    $(Object::$noun(row) => self.$table.put(row),)*
                }
            }

            /// Objects of a kind that were written after a place in the order, at most `limit`.
            pub(super) fn written_after(
                &self,
                kind: Kind,
                after: &ChangePlace,
                limit: usize,
            ) -> Vec<ObjectChange> {
                match kind {
                    $(Kind::$noun => self.$table.written_after(after, limit),)*
                }
            }

            pub fn remove(&mut self, kind: Kind, key: &str) {
                match kind {
                    $(Kind::$noun => self.$table.remove(key),)*
                }
            }

            /// A number that changes with every write to the table of a kind.
            pub fn generation(&self, kind: Kind) -> u64 {
                match kind {
                    $(Kind::$noun => self.$table.generation(),)*
                }
            }

            /// A number that changes with every write to the table of a kind, except writes that change only
            /// a status.
            pub fn spec_generation(&self, kind: Kind) -> u64 {
                match kind {
                    $(Kind::$noun => self.$table.spec_generation(),)*
                }
            }

            /// Brings the copy of the table of a kind up to date with `world`.
            pub(super) fn follow(&mut self, kind: Kind, world: &World) {
                match kind {
                    $(Kind::$noun => self.$table.follow(&world.$table),)*
                }
            }

            /// The table's own copy of an object's key.
            pub fn held_key(&self, kind: Kind, key: &str) -> Option<&Arc<str>> {
                match kind {
                    $(Kind::$noun => self.$table.held_key(key),)*
                }
            }

            /// The number of objects of a kind.
            pub fn count(&self, kind: Kind) -> usize {
                match kind {
                    $(Kind::$noun => self.$table.len(),)*
                }
            }

            pub fn contains(&self, kind: Kind, key: &str) -> bool {
                match kind {
                    $(Kind::$noun => self.$table.get(key).is_some(),)*
                }
            }

            /// The number of writes of the object with this key.
            pub fn version(&self, kind: Kind, key: &str) -> Option<u64> {
                match kind {
                    $(Kind::$noun => self.$table.get(key).map(|row| row.version()),)*
                }
            }

            /// The key of the object of a kind whose unique value `index` is `value`.
            pub fn holder(&self, kind: Kind, index: &'static str, value: &str) -> Option<&str> {
                match kind {
                    $(Kind::$noun => self.$table.holder(index, value),)*
                }
            }

            /// The object with this key, for a kind that is known at run time only.
            pub fn object(&self, kind: Kind, key: &str) -> Option<Object> {
                match kind {
                    $(Kind::$noun => self.$table.get(key).cloned().map(Object::$noun),)*
                }
            }

            /// All objects of a kind.
            pub fn objects(&self, kind: Kind) -> Box<dyn Iterator<Item = Object> + '_> {
                match kind {
                    $(Kind::$noun => Box::new(self.$table.iter().cloned().map(Object::$noun)),)*
                }
            }

            /// Every object that refers to the given one, by kind and key.
            pub fn referrers(&self, of: &ObjectReference) -> Vec<(Kind, String)> {
                let mut found = Vec::new();
                $(if <$noun as Noun>::REFERS_TO.contains(&of.kind) {
                    found.extend(self.$table.iter().filter(|row| {
                        row.spec.references().iter().any(|held| held.kind == of.kind && held.key == of.key)
                    }).map(|row| ($noun::KIND, row.key.clone())));
                })*
                found
            }

            /// The kinds whose objects may refer to objects of `kind`.
            pub fn referring_kinds(kind: Kind) -> impl Iterator<Item = Kind> {
                let kinds = [$(($noun::KIND, <$noun as Noun>::REFERS_TO),)*];
                kinds.into_iter().filter(move |(_, to)| to.contains(&kind)).map(|(from, _)| from)
            }
        }

        impl Object {
            pub fn kind(&self) -> Kind {
                match self {
                    $(Object::$noun(_) => Kind::$noun,)*
                }
            }

            pub fn key(&self) -> &str {
                match self {
                    $(Object::$noun(row) => &row.key,)*
                }
            }

            pub fn revision(&self) -> u64 {
                match self {
                    $(Object::$noun(row) => row.revision,)*
                }
            }

            /// The number of writes of the object.
            pub fn version(&self) -> u64 {
                match self {
                    $(Object::$noun(row) => row.version(),)*
                }
            }

            /// The commit that wrote the object; the store sets it.
            pub fn commit_mark(&self) -> &CommitMark {
                match self {
                    $(Object::$noun(row) => &row.commit,)*
                }
            }

            pub fn unique(&self) -> Vec<(&'static str, String)> {
                match self {
                    $(Object::$noun(row) => row.spec.unique(&row.status),)*
                }
            }

            /// `site`, or the pack that the object came in.
            pub fn source(&self) -> &str {
                match self {
                    $(Object::$noun(row) => &row.source,)*
                }
            }

            /// The objects of packs with the same name that it stands in place of: `pack core@0.1.0`.
            pub fn hides(&self) -> &[String] {
                match self {
                    $(Object::$noun(row) => &row.hides,)*
                }
            }

            pub fn labels(&self) -> &BTreeMap<String, String> {
                match self {
                    $(Object::$noun(row) => &row.labels,)*
                }
            }

            /// Whether the spec and labels are those of `other`.
            pub fn has_spec_of(&self, other: &Object) -> bool {
                match (self, other) {
                    $((Object::$noun(a), Object::$noun(b)) => a.spec == b.spec && a.labels == b.labels,)*
                    _ => false,
                }
            }

            /// The object with the numbers of the next revision of `present`, written at `time`; none for an
            /// object of another kind.
            pub fn as_next_of(&self, present: &Object, time: jiff::Timestamp) -> Option<Self> {
                match (self, present) {
                    $((Object::$noun(row), Object::$noun(present)) => {
                        let (next, row) = (present.next(time), Stored::clone(row));
                        let Stored { revision, status_revision, commit, .. } = next;
                        let row = Stored { revision, status_revision, commit, updated_at: time, ..row };
                        Some(Object::$noun(Arc::new(row)))
                    })*
                    _ => None,
                }
            }

            /// The same object, with what it hides.
            #[must_use]
            pub fn with_hides(&self, hides: Vec<String>) -> Self {
                match self {
                    $(Object::$noun(row) => {
                        Object::$noun(Arc::new(Stored { hides, ..Stored::clone(row) }))
                    })*
                }
            }

            /// A copy with the number of the next status, written at `time`.
            #[must_use]
            pub fn as_next_status(&self, time: jiff::Timestamp) -> Self {
                match self {
                    $(Object::$noun(row) => Object::$noun(Arc::new(row.next_status(time))),)*
                }
            }

            /// The stored object, if it is of this noun.
            pub fn of<T: Noun>(&self) -> Option<&Arc<Stored<T>>> {
                let row: &dyn std::any::Any = match self {
                    $(Object::$noun(row) => row,)*
                };
                row.downcast_ref()
            }

            /// The object as one JSON document, for the store.
            ///
            /// # Errors
            /// A value that JSON cannot hold; no noun has such a value.
            pub fn encode(&self) -> Result<String, serde_json::Error> {
                match self {
                    $(Object::$noun(row) => row.encode(),)*
                }
            }

            /// An object from the store.
            ///
            /// # Errors
            /// The document does not fit the kind: the row is damaged, or a later version wrote it.
            pub fn decode(kind: Kind, row: ObjectRow<'_>) -> Result<Self, serde_json::Error> {
                match kind {
                    $(Kind::$noun => row.decode::<$noun>().map(|stored| Object::$noun(Arc::new(stored))),)*
                }
            }
        }
    };
}

/// Gives generic code the table of a noun.
pub trait HasTable<T: Noun> {
    fn table(&self) -> &Table<T>;
}

nouns!(world);

impl World {
    /// The subnet of an address. Subnets do not overlap, so there is at most one.
    pub fn subnet_of(&self, address: Ipv4Addr) -> Option<&Subnet> {
        if self.subnets.len() <= SUBNETS_SCANNED_MAX {
            return self.subnets.iter().map(|row| &row.spec).find(|subnet| subnet.cidr.contains(address));
        }
        let mut networks = (0..=32).rev().map(|prefix| Cidr::around(address, prefix).to_string());
        networks.find_map(|cidr| self.subnets.find("cidr", &cidr)).map(|row| &row.spec)
    }
}
