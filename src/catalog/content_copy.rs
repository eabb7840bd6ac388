//! The content of one moment, for work that is done without the world's lock. Start at [`Catalog::content`].

use std::sync::{Arc, Mutex, PoisonError};

use crate::catalog::Catalog;
use crate::catalog::channel_content::ChannelContents;
use crate::catalog::content::ContentPack;
use crate::catalog::keeping::KnownDigests;
use crate::catalog::pack_store::PackStore;
use crate::kernel::ChangesetRead;
use crate::model::{Machine, Stored, World};

/// What the catalog knows of the content.
#[derive(Debug, Default)]
pub(super) struct KnownContent {
    /// The last copy of the content.
    copy: Mutex<Arc<World>>,
    /// The packs that were parsed.
    pub(super) packs: PackStore,
    /// The packs whose objects are in the tables, the lowest first.
    pub(super) prod: Mutex<Arc<Vec<Arc<ContentPack>>>>,
    /// The digests of the last templates.
    pub(super) digests: Mutex<Arc<KnownDigests>>,
    /// The contents of channels.
    pub(super) channels: ChannelContents,
}

/// The content and the machine for which something was found out without the world's lock.
#[derive(Clone, Debug)]
pub struct ContentBasis {
    /// A copy of the content ([`Catalog::content`]).
    pub content: Arc<World>,
    pub machine: Arc<Stored<Machine>>,
}

impl Catalog {
    /// The present content, in a world that has nothing else ([`World::follow_content`]). All callers share
    /// it until the content changes; then what was written is copied. Blocks.
    pub fn content(&self) -> Arc<World> {
        let mut copy = self.known.copy.lock().unwrap_or_else(PoisonError::into_inner);
        if self.kernel.read(World::content_generations) != copy.content_generations() {
            // Somebody may use the last copy still: then its tables are copied, before the world is held.
            let next = Arc::make_mut(&mut copy);
            self.kernel.read(|world| next.follow_content(world));
        }
        Arc::clone(&copy)
    }
}

/// What a changeset read that was made from a copy of the content.
pub fn content_reads(content: &World) -> impl Iterator<Item = ChangesetRead> + use<> {
    let specs = content.content_spec_generations().into_iter();
    specs.map(|(kind, generation)| ChangesetRead::Specs { kind, generation })
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use serde_json::json;

    use super::*;
    use crate::houses::testing;
    use crate::kernel::Changeset;
    use crate::model::{Kind, Noun, Object, Template};

    fn template(name: &str, body: &str) -> Object {
        let spec: Template = serde_json::from_value(json!({"name": name, "body": body})).unwrap();
        Template::object(Arc::new(Stored::new(name.to_owned(), spec, Timestamp::UNIX_EPOCH)))
    }

    fn assert_is_copy(copy: &World, world: &World) {
        assert!(copy.objects(Kind::Template).eq(world.objects(Kind::Template)));
        assert_eq!(copy.content_generations(), world.content_generations());
        assert_eq!(copy.content_spec_generations(), world.content_spec_generations());
    }

    #[test]
    fn a_copy_of_the_content_has_what_was_written_deleted_and_written_again() {
        let (mut world, mut copy) = (World::default(), World::default());
        for name in ["a", "b", "c"] {
            world.put(template(name, "first"));
        }
        copy.follow_content(&world);
        assert_is_copy(&copy, &world);
        world.remove(Kind::Template, "a");
        world.remove(Kind::Template, "b");
        world.put(template("b", "another"));
        copy.follow_content(&world);
        assert_is_copy(&copy, &world);
        // More writes than a table remembers.
        for number in 0..5000 {
            world.put(template(&format!("t-{}", number % 7), &number.to_string()));
        }
        world.remove(Kind::Template, "c");
        copy.follow_content(&world);
        assert_is_copy(&copy, &world);
    }

    #[tokio::test]
    async fn readers_share_a_copy_until_the_content_changes_and_keep_theirs() {
        let houses = testing::houses();
        let before = houses.catalog.content();
        let machine = serde_json::from_value(json!({"name": "web1"})).unwrap();
        let machine = Stored::<Machine>::new("1".to_owned(), machine, Timestamp::UNIX_EPOCH);
        testing::put(&houses, Machine::object(Arc::new(machine))).await;
        assert!(Arc::ptr_eq(&before, &houses.catalog.content()), "a machine is no content");
        let changeset = Changeset::default().create(template("a", "first"));
        houses.kernel.commit(changeset).await.unwrap();
        let after = houses.catalog.content();
        assert!(before.templates.is_empty() && before.machines.is_empty());
        assert!(after.templates.get("a").is_some() && after.machines.is_empty());
        let mut reads = content_reads(&after);
        let template = ChangesetRead::Specs { kind: Kind::Template, generation: 1 };
        assert!(reads.any(|read| read == template), "what was made from it is tied to it");
    }
}
