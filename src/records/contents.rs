//! The content that runs and packs keep. A piece is deleted when no remaining run or pack refers to it.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use crate::kernel::{Changeset, ChangesetRead, Error, STALE_RETRIES_MAX, StoreError};
use crate::model::{Content, Noun, Pack, Run, Stored, World};
use crate::records::Records;

/// Most pieces that one changeset deletes.
const DELETED_AT_ONCE_MAX: usize = 256;

impl Records {
    /// Deletes content that no run and no pack needs. If a run that begins meanwhile needs a piece, or a pack
    /// that is loaded, the check is repeated.
    pub(super) async fn delete_contents(&self) -> Result<(), Error> {
        let none = HashSet::new();
        for attempt in 0..STALE_RETRIES_MAX {
            if self.kernel.read(|world| unneeded(world, &none)).is_empty() {
                return Ok(());
            }
            let hold = self.kernel.hold_for(attempt).await?;
            let changeset = self.kernel.read(|world| {
                let reads = [Run::KIND, Pack::KIND]
                    .map(|kind| ChangesetRead::Table { kind, generation: world.generation(kind) });
                let pieces = unneeded(world, &none).into_iter().take(DELETED_AT_ONCE_MAX);
                let changeset = Changeset::default().with_reads(reads);
                pieces.map(Content::object).fold(changeset, |changeset, piece| changeset.delete(&piece))
            });
            match self.kernel.commit_with(hold, changeset).await {
                Ok(_) | Err(StoreError::Stale { .. }) => {}
                Err(other) => return Err(other.into()),
            }
        }
        // Another round follows.
        Ok(())
    }
}

/// Content that no pack and no run refers to, directly or through another piece. Runs in `going` do not
/// count. A piece that refers to others comes before them, so that a stored set is never incomplete.
pub(super) fn unneeded(world: &World, going: &HashSet<String>) -> Vec<Arc<Stored<Content>>> {
    let mut needed: BTreeSet<&str> = BTreeSet::new();
    let runs = world.runs.iter().filter(|run| !going.contains(&run.key)).map(|run| &run.spec);
    let mut open: Vec<&str> = runs
        .flat_map(|run| run.content.iter().chain(&run.values).chain(run.former_content.iter()))
        .map(String::as_str)
        .chain(world.packs.iter().map(|pack| pack.spec.files.as_str()))
        .collect();
    // Each digest is visited once.
    while let Some(digest) = open.pop() {
        if needed.insert(digest)
            && let Some(piece) = world.contents.get(digest)
        {
            open.extend(piece.spec.named());
        }
    }
    let mut unneeded: Vec<_> =
        world.contents.iter().filter(|piece| !needed.contains(piece.key.as_str())).cloned().collect();
    unneeded.sort_by_key(|piece| match piece.spec {
        Content::Set(_) => 0,
        Content::Templates(_) => 1,
        _ => 2,
    });
    unneeded
}
