//! The layers of content: the site, its packs by priority, `core`. Pure. An object of a higher layer stands
//! whole in place of those below it.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::catalog::content::ContentPack;
use crate::model::{Kind, Object, SITE, World};

/// The content that packs give, below that of the site.
#[derive(Debug, Default)]
pub struct Resolution {
    /// The objects that are in force and come from packs.
    pub objects: Vec<Object>,
}

/// Resolves packs, the lowest priority first, with the objects of the site in `site`.
pub fn resolve(packs: &[Arc<ContentPack>], site: &World) -> Resolution {
    let mut seen: BTreeSet<(Kind, &str)> = BTreeSet::new();
    let mut resolution = Resolution::default();
    for object in packs.iter().rev().flat_map(|pack| pack.objects.iter()) {
        let (kind, key) = (object.kind(), object.key());
        let is_sites = site.object(kind, key).is_some_and(|present| present.source() == SITE);
        if !is_sites && seen.insert((kind, key)) {
            resolution.objects.push(object.clone());
        }
    }
    resolution
}
