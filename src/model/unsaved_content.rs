//! Content with objects that are not saved.

use std::sync::atomic::{AtomicU64, Ordering};

use super::{Object, World};

/// The first generation of the templates of such content. No table of a store is ever written that often.
const UNSAVED: u64 = 3 << 62;
static UNSAVED_CONTENTS: AtomicU64 = AtomicU64::new(UNSAVED);

impl World {
    /// A copy of the content with these objects, which take the place of those of their names. Its templates
    /// have a generation that no other world has: what is made from them is known by it.
    pub fn with_unsaved(&self, objects: impl IntoIterator<Item = Object>) -> World {
        let mut copy = self.clone();
        objects.into_iter().for_each(|object| copy.put(object));
        copy.templates.generation = UNSAVED_CONTENTS.fetch_add(1, Ordering::Relaxed);
        copy
    }
}
