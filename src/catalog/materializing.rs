//! Makes the tables of content show other packs: what has to be written for it. Start at [`plan_packs`].

use std::collections::BTreeSet;

use crate::catalog::packs::PackInstall;
use crate::kernel::{Caller, Changeset};
use crate::model::{Kind, Object, SITE, World};

/// The kinds whose objects packs contain.
const KINDS: [Kind; 8] = [
    Kind::Template,
    Kind::Param,
    Kind::Profile,
    Kind::Stage,
    Kind::Task,
    Kind::Workflow,
    Kind::Bootenv,
    Kind::ClientClass,
];

/// What has to be written so that the tables have these objects of packs, and no others of packs.
/// `resolved` is what the layers say for the site of `content`.
pub fn plan_packs(content: &World, caller: &Caller, resolved: &[Object]) -> (Changeset, PackInstall) {
    let mut changeset = Changeset::default();
    let mut installed = PackInstall::default();
    let mut kept: BTreeSet<(Kind, &str)> = BTreeSet::new();
    for object in resolved.iter().filter(|object| object.source() != SITE) {
        kept.insert((object.kind(), object.key()));
        let Some(present) = content.object(object.kind(), object.key()) else {
            changeset = changeset.create(object.clone());
            installed.created += 1;
            continue;
        };
        let same = present.source() == object.source() && present.has_spec_of(object);
        if let Some(next) = object.as_next_of(&present, caller.now).filter(|_| !same) {
            changeset = changeset.update(next);
            installed.updated += 1;
        }
    }
    for kind in KINDS {
        let packed = content.objects(kind).filter(|present| present.source() != SITE);
        for gone in packed.filter(|present| !kept.contains(&(kind, present.key()))) {
            changeset = changeset.delete(&gone);
            installed.removed += 1;
        }
    }
    (changeset, installed)
}
