//! Content with the objects of other packs than those that the tables show.

use std::sync::atomic::{AtomicU64, Ordering};

use super::{Noun, Object, PACK_KINDS, SITE, Table, World};

/// The first generation of derived templates. No table of a store is ever written that often.
const DERIVED: u64 = 1 << 63;
static DERIVATIONS: AtomicU64 = AtomicU64::new(DERIVED);

impl World {
    /// A copy of the content in which these objects stand in place of all that came from packs. Objects of
    /// the site stay.
    ///
    /// Its generations of specs are those of this content: a decision on the copy holds as long as they do,
    /// if it follows from this content which packs there are. Its templates have a generation of their own,
    /// which no other world has: what is made from them is known by it.
    pub fn with_pack_objects(&self, objects: impl IntoIterator<Item = Object>) -> World {
        let mut derived = self.clone();
        for kind in PACK_KINDS {
            let packed = self.objects(kind).filter(|object| object.source() != SITE);
            packed.for_each(|object| derived.remove(kind, object.key()));
        }
        let packed = objects.into_iter().filter(|object| object.source() != SITE);
        packed.filter(|object| PACK_KINDS.contains(&object.kind())).for_each(|object| derived.put(object));
        stand_for(&mut derived.params, &self.params);
        stand_for(&mut derived.profiles, &self.profiles);
        stand_for(&mut derived.stages, &self.stages);
        stand_for(&mut derived.tasks, &self.tasks);
        stand_for(&mut derived.workflows, &self.workflows);
        stand_for(&mut derived.bootenvs, &self.bootenvs);
        stand_for(&mut derived.client_classes, &self.client_classes);
        stand_for(&mut derived.templates, &self.templates);
        derived.templates.generation = DERIVATIONS.fetch_add(1, Ordering::Relaxed);
        derived
    }

    /// Whether the content was made by [`World::with_pack_objects`].
    pub fn is_derived(&self) -> bool {
        self.templates.generation >= DERIVED
    }
}

/// Gives a derived table the generations of the table that it was derived from.
fn stand_for<T: Noun>(derived: &mut Table<T>, table: &Table<T>) {
    (derived.generation, derived.spec_generation) = (table.generation, table.spec_generation);
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use jiff::Timestamp;
    use serde_json::json;

    use super::*;
    use crate::model::{Stored, Template};

    fn template(name: &str, source: &str) -> Object {
        let spec: Template = serde_json::from_value(json!({"name": name, "body": source})).unwrap();
        let stored = Stored::new(name.to_owned(), spec, Timestamp::UNIX_EPOCH);
        Template::object(Arc::new(Stored { source: source.to_owned(), ..stored }))
    }

    #[test]
    fn other_packs_replace_all_that_came_from_packs_and_nothing_of_the_site() {
        let mut world = World::default();
        for (name, source) in [("a", "pack core@1"), ("b", "pack core@1"), ("own", SITE)] {
            world.put(template(name, source));
        }
        let derived = world.with_pack_objects([template("a", "pack core@2"), template("c", "pack core@2")]);
        let told: Vec<(&str, &str)> =
            derived.templates.iter().map(|row| (row.key.as_str(), row.source.as_str())).collect();
        assert_eq!(told, [("a", "pack core@2"), ("c", "pack core@2"), ("own", SITE)]);
        assert_eq!(derived.content_spec_generations(), world.content_spec_generations());
        let again = world.with_pack_objects([]);
        assert!(derived.is_derived() && !world.is_derived());
        assert_ne!(again.templates.generation(), derived.templates.generation());
    }
}
