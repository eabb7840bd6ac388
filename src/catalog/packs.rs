//! Installs a pack of content: its objects are read-only beside the site's own.

use crate::catalog::Catalog;
use crate::catalog::content::ContentPack;
use crate::kernel::{Caller, Changeset, Error};
use crate::model::event::PackInstalled;
use crate::model::{Kind, SITE, World};

/// The result of installing a pack.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PackInstall {
    pub created: usize,
    pub updated: usize,
    pub removed: usize,
    /// Objects of the site with the name of an object in the pack; they stay as they are.
    pub shadowed: usize,
}

impl Catalog {
    /// Installs a pack, replacing any other version of it. Installing the same pack again writes nothing.
    ///
    /// # Errors
    /// Those of the store; then nothing was installed.
    pub async fn install_pack(&self, caller: &Caller, pack: &ContentPack) -> Result<PackInstall, Error> {
        let (changeset, installed) = self.kernel.read(|world| plan(world, caller, pack));
        if changeset.writes.is_empty() {
            return Ok(installed);
        }
        let event = caller.event(PackInstalled {
            version: pack.version.clone(),
            created: installed.created as u64,
            updated: installed.updated as u64,
            removed: installed.removed as u64,
        });
        self.kernel.commit(changeset.event(event.about(format!("pack:{}", pack.name)))).await?;
        Ok(installed)
    }
}

fn plan(world: &World, caller: &Caller, pack: &ContentPack) -> (Changeset, PackInstall) {
    let mut changeset = Changeset::default();
    let mut installed = PackInstall::default();
    for object in &pack.objects {
        let Some(present) = world.object(object.kind(), object.key()) else {
            changeset = changeset.create(object.clone());
            installed.created += 1;
            continue;
        };
        if present.source() == SITE {
            installed.shadowed += 1;
            continue;
        }
        let same = present.source() == object.source() && present.has_spec_of(object);
        if let Some(next) = object.as_next_of(&present, caller.now).filter(|_| !same) {
            changeset = changeset.update(next);
            installed.updated += 1;
        }
    }
    let ours = format!("pack {}@", pack.name);
    for kind in Kind::ALL {
        for present in world.objects(kind).filter(|object| object.source().starts_with(&ours)) {
            let kept =
                pack.objects.iter().any(|object| object.kind() == kind && object.key() == present.key());
            if !kept {
                changeset = changeset.delete(&present);
                installed.removed += 1;
            }
        }
    }
    (changeset, installed)
}
