//! Layers of content: which object of a name is in force, and what overrides make of it. Pure.
//!
//! The order is: an object of the site, whole; else the object of the highest pack that has it, with the
//! overrides of the site. Start at [`resolve`]; `apply` has what an override does to an object, `blocks` what
//! it does to the text of a template, `compile` which of these texts are templates still, `adopt` the way
//! from a copy to an override.

mod adopt;
mod apply;
mod blocks;
mod compile;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

pub use adopt::{CopyDifference, adopt};
pub use apply::apply;
pub use blocks::{block_names, place_in_blocks};
pub use compile::KnownTemplates;

use crate::catalog::content::ContentPack;
use crate::model::{Kind, Object, Override, PACK_KINDS, Problem, RefusalCode, SITE, Stored, Template, World};

/// Most overrides of a site.
pub const OVERRIDES_MAX: usize = 1000;

/// Why a part of an override is not in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LayerFault {
    /// The name of the override.
    pub of: String,
    /// The part, by a pointer into the override, and why.
    pub problem: Problem,
}

/// An object of a pack that another one stands in place of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HiddenObject {
    pub kind: Kind,
    pub key: String,
    /// The pack: `pack core@0.1.0`.
    pub source: String,
    /// The source of the object that is in force.
    pub hidden_by: String,
}

/// All objects that are in force, those of the site among them.
#[derive(Clone, Debug, Default)]
pub struct ResolvedContent {
    pub objects: Vec<Object>,
    pub hidden: Vec<HiddenObject>,
    pub faults: Vec<LayerFault>,
}

/// One object as it is in force.
#[derive(Clone, Debug)]
pub struct ResolvedObject {
    /// None if neither the site nor a pack has it.
    pub object: Option<Object>,
    pub faults: Vec<LayerFault>,
}

/// The objects of packs and of a site as they are in force together. `packs` is in the order of priority, the
/// lowest first; of `site` the rows whose source is `site` and the overrides count.
pub fn resolve(packs: &[Arc<ContentPack>], site: &World) -> ResolvedContent {
    let mut by_name: BTreeMap<(Kind, &str), Vec<&Object>> = BTreeMap::new();
    for object in packs.iter().rev().flat_map(|pack| &pack.objects) {
        by_name.entry((object.kind(), object.key())).or_default().push(object);
    }
    let overrides = overrides_by_target(site);
    let none = Vec::new();
    let mut layered: Vec<LayeredObject<'_>> = Vec::new();
    for ((kind, key), brought) in &by_name {
        let own = site.object(*kind, key).filter(|row| row.source() == SITE);
        layered.extend(layer(own, (brought, overrides.get(&(*kind, *key)).unwrap_or(&none))));
    }
    let rows = layered.iter().filter_map(|one| one.object.of::<Template>());
    let own = site.templates.iter().filter(|row| row.source == SITE);
    let known: KnownTemplates = rows.chain(own).map(|row| (row.key.clone(), Arc::clone(row))).collect();
    let mut made = ResolvedContent::default();
    for one in layered.into_iter().map(|one| one.usable(&known)) {
        made.hidden.extend(hidden_by(&one.object));
        made.faults.extend(one.faults);
        made.objects.push(one.object);
    }
    for kind in PACK_KINDS {
        let own = site.objects(kind).filter(|row| row.source() == SITE);
        let alone = own.filter(|row| !by_name.contains_key(&(kind, row.key())));
        made.objects.extend(alone.map(|row| without_hides(&row)));
    }
    made
}

/// One object of packs and of a site as it is in force. A template with overrides is compiled with the
/// templates of `site`, whatever their source.
pub fn resolve_one(kind: Kind, key: &str, (packs, site): (&[Arc<ContentPack>], &World)) -> ResolvedObject {
    let own = site.object(kind, key).filter(|row| row.source() == SITE);
    let overrides: Vec<Arc<Stored<Override>>> =
        site.overrides.iter().filter(|row| row.spec.is_of(kind, key)).cloned().collect();
    let templates = site.templates.iter().map(|row| (row.key.clone(), Arc::clone(row))).collect();
    match layer(own, (&brought(packs, kind, key), &overrides)) {
        Some(one) => one.usable(&templates).into(),
        None => ResolvedObject { object: None, faults: Vec::new() },
    }
}

/// The object that is in force of those that packs bring, the highest first, with overrides; none without an
/// object. `templates` are those that it is compiled with; without them it is not compiled.
pub fn resolve_brought(
    brought: &[&Object],
    overrides: &[Arc<Stored<Override>>],
    templates: Option<&KnownTemplates>,
) -> ResolvedObject {
    match (layer(None, (brought, overrides)), templates) {
        (Some(one), Some(templates)) => one.usable(templates).into(),
        (Some(one), None) => one.into(),
        (None, _) => ResolvedObject { object: None, faults: Vec::new() },
    }
}

/// The objects of packs with a name, the highest first.
pub fn brought<'a>(packs: &'a [Arc<ContentPack>], kind: Kind, key: &str) -> Vec<&'a Object> {
    let objects = packs.iter().rev().map(|pack| &pack.objects);
    let found =
        objects.filter_map(|all| all.iter().find(|object| object.kind() == kind && object.key() == key));
    found.collect()
}

/// The sources of objects.
pub fn sources(objects: &[&Object]) -> Vec<String> {
    objects.iter().map(|object| object.source().to_owned()).collect()
}

/// An object with the overrides of it, and the same without them.
struct LayeredObject<'a> {
    object: Object,
    faults: Vec<LayerFault>,
    /// None where no override was applied.
    base: Option<Object>,
    overrides: &'a [Arc<Stored<Override>>],
}

impl LayeredObject<'_> {
    /// Without the overrides, if the template does not compile with them: it stays usable.
    fn usable(mut self, templates: &KnownTemplates) -> Self {
        let Some(base) = &self.base else { return self };
        let fault = self.object.of::<Template>().and_then(|row| compile::fault(&row.spec, templates));
        if let Some(fault) = fault {
            let source = base.source();
            let why = format!("with this the template of {source} does not compile: {fault}");
            let blocks = self.overrides.iter().filter(|row| !row.spec.blocks.is_empty());
            let faults = blocks.map(|row| LayerFault {
                of: row.key.clone(),
                problem: Problem::new("/blocks", &why).coded(RefusalCode::Template),
            });
            self.faults.extend(faults);
            self.object = base.clone();
        }
        self
    }
}

impl From<LayeredObject<'_>> for ResolvedObject {
    fn from(one: LayeredObject<'_>) -> Self {
        ResolvedObject { object: Some(one.object), faults: one.faults }
    }
}

fn layer<'a>(
    own: Option<Object>,
    (brought, overrides): (&[&Object], &'a [Arc<Stored<Override>>]),
) -> Option<LayeredObject<'a>> {
    if let Some(own) = own {
        let object = own.with_hides(sources(brought));
        return Some(LayeredObject { object, faults: Vec::new(), base: None, overrides });
    }
    let (top, below) = brought.split_first()?;
    let base = top.with_hides(sources(below));
    let (object, faults) = apply(&base, overrides);
    let base = (object.source() != base.source()).then_some(base);
    Some(LayeredObject { object, faults, base, overrides })
}

fn without_hides(row: &Object) -> Object {
    if row.hides().is_empty() { row.clone() } else { row.with_hides(Vec::new()) }
}

fn hidden_by(object: &Object) -> Vec<HiddenObject> {
    let hidden = object.hides().iter().map(|source| HiddenObject {
        kind: object.kind(),
        key: object.key().to_owned(),
        source: source.clone(),
        hidden_by: object.source().to_owned(),
    });
    hidden.collect()
}

type OverridesByTarget<'a> = BTreeMap<(Kind, &'a str), Vec<Arc<Stored<Override>>>>;

/// The overrides by what they are of, each list in the order of names.
fn overrides_by_target(site: &World) -> OverridesByTarget<'_> {
    let mut by_target = OverridesByTarget::new();
    for row in site.overrides.iter() {
        let target = &row.spec.target;
        by_target.entry((target.kind.kind(), target.name.as_str())).or_default().push(Arc::clone(row));
    }
    by_target
}
