//! Makes the tables what packs, overrides and the site's own objects are together: the objects of packs are
//! read-only beside the site's own.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};

use tokio::task::spawn_blocking;

use crate::catalog::Catalog;
use crate::catalog::content::ContentPack;
use crate::catalog::layers::{self, LayerFault, ResolvedContent};
use crate::kernel::{Caller, Changeset, ChangesetRead, Error, STALE_RETRIES_MAX, StoreError};
use crate::model::event::PackInstalled;
use crate::model::{
    Kind, NewEvent, Object, Override, PACK_KINDS, PROD_CHANNEL, Problem, SITE, Stored, World,
};

/// The result of making the tables what packs are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PackInstall {
    pub created: usize,
    pub updated: usize,
    pub removed: usize,
    /// Objects of the site with the name of an object in a pack; they stay as they are.
    pub shadowed: usize,
}

/// The packs whose objects are in the tables.
#[derive(Clone, Debug, Default)]
pub struct ProdLayers {
    /// In the order of priority, the lowest first.
    pub packs: Arc<Vec<Arc<ContentPack>>>,
    /// What says which they are: a changeset that is decided with them has read it.
    pub reads: Vec<ChangesetRead>,
}

impl Catalog {
    /// The packs whose objects are in the tables now: those of the channel `prod`. It reads the world.
    pub fn layers_of_prod(&self) -> ProdLayers {
        let known = Arc::clone(&self.known.prod.lock().unwrap_or_else(PoisonError::into_inner));
        let prod = self.kernel.read(|world| world.channels.get(PROD_CHANNEL).cloned());
        let Some(prod) = prod else { return ProdLayers { packs: known, reads: Vec::new() } };
        let version = Some(prod.version());
        let reads = vec![ChangesetRead::Row { kind: Kind::Channel, key: PROD_CHANNEL.into(), version }];
        let is_known = known.len() == prod.spec.packs.len()
            && known.iter().all(|pack| prod.spec.packs.get(&pack.name) == Some(&pack.version));
        let packs = match is_known {
            true => known,
            // Packs that cannot be read have left the tables as they were.
            false => self.packs_of(&prod.spec.packs).map_or(known, Arc::new),
        };
        ProdLayers { packs, reads }
    }

    /// Installs a pack as the only one.
    ///
    /// # Errors
    /// Those of [`Catalog::materialize`].
    pub async fn install_pack(&self, caller: &Caller, pack: &ContentPack) -> Result<PackInstall, Error> {
        self.materialize(caller, &[Arc::new(pack.clone())]).await
    }

    /// Makes the tables what these packs are together with the overrides and objects of the site. `packs` is
    /// in the order of priority, the lowest first. The same packs again write nothing.
    ///
    /// # Errors
    /// Those of the store; then the tables are as they were.
    pub async fn materialize(
        &self,
        caller: &Caller,
        packs: &[Arc<ContentPack>],
    ) -> Result<PackInstall, Error> {
        for attempt in 0..STALE_RETRIES_MAX {
            let (changeset, installed) = self.materialized(caller, packs).await?;
            if !changeset.writes.is_empty() {
                let hold = self.kernel.hold_for(attempt).await?;
                match self.kernel.commit_with(hold, changeset).await {
                    Ok(_) => {}
                    Err(StoreError::Stale { .. }) => continue,
                    Err(other) => return Err(other.into()),
                }
            }
            self.keep_prod(packs);
            return Ok(installed);
        }
        Err(Error::Busy("the content is being changed by many at once; try again".to_owned()))
    }

    /// The changeset of [`Catalog::materialize`], for callers that commit more with it. They call
    /// [`Catalog::keep_prod`] afterwards.
    ///
    /// # Errors
    /// The work panicked, or the server is stopping.
    pub async fn materialized(
        &self,
        caller: &Caller,
        packs: &[Arc<ContentPack>],
    ) -> Result<(Changeset, PackInstall), Error> {
        let (site, packs, caller) = (self.content(), packs.to_vec(), caller.clone());
        let planned = spawn_blocking(move || plan(&site, &caller, &packs)).await;
        planned.map_err(|error| Error::Failed(format!("the work failed: {error}")))
    }

    /// Says that the objects of these packs are in the tables.
    pub fn keep_prod(&self, packs: &[Arc<ContentPack>]) {
        let mut prod = self.known.prod.lock().unwrap_or_else(PoisonError::into_inner);
        *prod = Arc::new(packs.to_vec());
    }
}

fn plan(site: &World, caller: &Caller, packs: &[Arc<ContentPack>]) -> (Changeset, PackInstall) {
    let ResolvedContent { objects, faults, .. } = layers::resolve(packs, site);
    let mut plan =
        TablePlan { caller, changeset: Changeset::default(), by_pack: BTreeMap::new(), shadowed: 0 };
    plan.changeset.reads.extend(
        PACK_KINDS
            .into_iter()
            .chain([Kind::Override])
            .map(|kind| ChangesetRead::Specs { kind, generation: site.spec_generation(kind) }),
    );
    let kept: std::collections::BTreeSet<(Kind, &str)> =
        objects.iter().map(|object| (object.kind(), object.key())).collect();
    for kind in PACK_KINDS {
        let gone = site.objects(kind).filter(|row| !kept.contains(&(kind, row.key())));
        gone.for_each(|row| plan.remove(&row));
    }
    for object in &objects {
        plan.write(object, site.object(object.kind(), object.key()).as_ref());
    }
    plan.changeset = fault_writes(site.overrides.iter(), (&faults, caller), plan.changeset);
    plan.finish(packs)
}

/// The changeset with the faults of overrides, where they are other ones than those that are stored.
pub fn fault_writes<'a>(
    overrides: impl Iterator<Item = &'a Arc<Stored<Override>>>,
    (faults, caller): (&[LayerFault], &Caller),
    changeset: Changeset,
) -> Changeset {
    overrides.fold(changeset, |changeset, row| {
        let found = faults.iter().filter(|fault| fault.of == row.key).map(|fault| fault.problem.clone());
        let found: Vec<Problem> = found.take(FAULTS_MAX).collect();
        if found == row.faults {
            return changeset;
        }
        let next = Stored { faults: found, ..row.next_status(caller.now) };
        changeset.update(Object::Override(Arc::new(next)))
    })
}

/// Most faults of one override that are kept.
const FAULTS_MAX: usize = 16;

/// A changeset of tables under way.
struct TablePlan<'a> {
    caller: &'a Caller,
    changeset: Changeset,
    by_pack: BTreeMap<String, PackInstall>,
    shadowed: usize,
}

impl TablePlan<'_> {
    fn counts(&mut self, source: &str) -> &mut PackInstall {
        self.by_pack.entry(pack_name(source).to_owned()).or_default()
    }

    fn add(&mut self, add: impl FnOnce(Changeset) -> Changeset) {
        self.changeset = add(std::mem::take(&mut self.changeset));
    }

    fn remove(&mut self, row: &Object) {
        self.counts(row.source()).removed += 1;
        self.add(|changeset| changeset.delete(row));
    }

    fn write(&mut self, object: &Object, present: Option<&Object>) {
        self.shadowed += usize::from(object.source() == SITE && !object.hides().is_empty());
        let Some(present) = present else {
            self.counts(object.source()).created += 1;
            return self.add(|changeset| changeset.create(object.clone()));
        };
        let same_spec = present.source() == object.source() && present.has_spec_of(object);
        let same = same_spec && present.hides() == object.hides();
        match object.as_next_of(present, self.caller.now) {
            _ if same => {}
            _ if same_spec => {
                let next = present.as_next_status(self.caller.now).with_hides(object.hides().to_vec());
                self.add(|changeset| changeset.update(next));
            }
            Some(next) => {
                self.counts(object.source()).updated += 1;
                self.add(|changeset| changeset.update(next));
            }
            None => {}
        }
    }

    fn finish(self, packs: &[Arc<ContentPack>]) -> (Changeset, PackInstall) {
        let TablePlan { caller, mut changeset, by_pack, shadowed } = self;
        let mut all = PackInstall { shadowed, ..PackInstall::default() };
        for (name, counts) in by_pack {
            all.created += counts.created;
            all.updated += counts.updated;
            all.removed += counts.removed;
            let version = packs.iter().find(|pack| pack.name == name).map(|pack| pack.version.clone());
            changeset = changeset.event(installed((caller, &name), version.unwrap_or_default(), &counts));
        }
        (changeset, all)
    }
}

fn installed((caller, name): (&Caller, &str), version: String, counts: &PackInstall) -> NewEvent {
    let event = caller.event(PackInstalled {
        version,
        created: counts.created as u64,
        updated: counts.updated as u64,
        removed: counts.removed as u64,
    });
    event.about(format!("pack:{name}"))
}

/// The name in `pack NAME@VERSION`.
fn pack_name(source: &str) -> &str {
    let release = source.strip_prefix("pack ").unwrap_or(source);
    release.split_once('@').map_or(release, |(name, _)| name)
}
