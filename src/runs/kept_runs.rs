//! How long runs and their content are kept, and runs from before there was any content kept.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::catalog::keeping::Keep;
use crate::kernel::{Caller, Error, STALE_RETRIES_MAX};
use crate::model::event::RunPruned;
use crate::model::{Content, Noun, Run, RunResult, Stored, World, open_run};
use crate::runs::Runs;
use crate::store::{self, Changeset, ChangesetRead};

/// Most objects that are deleted in one changeset.
const PRUNED_AT_ONCE_MAX: usize = 500;

/// How many of the kept runs ended in one way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RunTally {
    /// `open` or a result.
    pub result: &'static str,
    pub runs: u64,
    /// From their starts to their ends, together; none for those that are open.
    pub seconds: Option<i64>,
}

impl Runs {
    /// The kept runs by how they ended.
    pub fn tallies(&self) -> Vec<RunTally> {
        let world = self.kernel.world();
        let of = |wanted: Option<RunResult>| {
            let runs = world.runs.iter().map(|run| &run.spec).filter(move |run| run.result == wanted);
            let (count, seconds) = runs.fold((0, 0i64), |(count, seconds), run| {
                (count + 1, seconds.saturating_add(run.seconds.unwrap_or_default()))
            });
            let result = wanted.map_or("open", RunResult::as_str);
            RunTally { result, runs: count, seconds: wanted.map(|_| seconds) }
        };
        std::iter::once(None).chain(RunResult::ALL.map(Some)).map(of).collect()
    }

    /// Gives every run under way that has no content the present content: those that an earlier version
    /// began. It comes before another content is installed at the start of the server. Returns how many.
    ///
    /// # Errors
    /// What the store says.
    pub async fn keep_content_of_old_runs(&self, caller: &Caller) -> Result<usize, Error> {
        let old: Vec<(Arc<Stored<Run>>, String)> = {
            let world = self.kernel.world();
            let machines = world.machines.iter();
            let open =
                machines.filter_map(|row| Some((open_run(&world, &row.status)?.clone(), row.key.clone())));
            open.filter(|(run, _)| run.spec.content.is_none()).collect()
        };
        for (run, machine) in &old {
            let changeset = {
                let world = self.kernel.world();
                let Some(machine) = world.machines.get(machine) else { continue };
                let keep = Keep { machine: &machine.spec, steps: &run.spec.steps, before: (&*world).into() };
                let kept = self.catalog.keep((&world, caller.now), keep);
                let mut next = run.next(caller.now);
                kept.name_in(&mut next.spec);
                kept.commit_with(Changeset::default()).update(Run::object(Arc::new(next)))
            };
            self.kernel.commit(changeset).await?;
        }
        Ok(old.len())
    }

    /// Deletes runs that have ended, oldest first, until at most `keep` are left, and content that no run
    /// needs any more. Returns how many objects that were.
    ///
    /// # Errors
    /// What the store says.
    pub async fn prune_runs(&self, caller: &Caller, keep: usize) -> Result<usize, Error> {
        let old: Vec<Arc<Stored<Run>>> = {
            let world = self.kernel.world();
            let ended = world.runs.iter().filter(|run| !run.spec.is_open() && !is_present(&world, run));
            ended.take(world.runs.len().saturating_sub(keep)).take(PRUNED_AT_ONCE_MAX).cloned().collect()
        };
        if let Some(last) = old.last() {
            let event = caller.event_about(last, RunPruned { runs: old.len() as u64 });
            let deleted = old.iter().map(|run| Run::object(Arc::clone(run)));
            let changeset =
                deleted.fold(Changeset::default().event(event), |changeset, run| changeset.delete(&run));
            self.kernel.commit(changeset).await?;
        }
        Ok(old.len() + self.prune_content().await?)
    }

    /// Deletes content that no run needs. A run that begins meanwhile may need it: then it is looked at anew.
    async fn prune_content(&self) -> Result<usize, Error> {
        for attempt in 0..STALE_RETRIES_MAX {
            if unneeded(&self.kernel.world()).is_empty() {
                return Ok(0);
            }
            let hold = self.kernel.hold_for(attempt).await?;
            let (changeset, count) = {
                let world = self.kernel.world();
                let unneeded = unneeded(&world);
                let read = ChangesetRead::Table { kind: Run::KIND, generation: world.generation(Run::KIND) };
                let changeset = Changeset::default().with_reads([read]);
                let objects = unneeded.iter().map(|piece| Content::object(Arc::clone(piece)));
                (objects.fold(changeset, |changeset, piece| changeset.delete(&piece)), unneeded.len())
            };
            match self.kernel.commit_with(hold, changeset).await {
                Ok(_) => return Ok(count),
                Err(store::StoreError::Stale { .. }) => {}
                Err(other) => return Err(other.into()),
            }
        }
        // Another round will come.
        Ok(0)
    }
}

/// Whether a machine shows it as its run.
fn is_present(world: &World, run: &Stored<Run>) -> bool {
    let machine = world.machines.get(&run.spec.machine.to_string());
    let shown = machine.and_then(|machine| machine.status.run.as_ref());
    shown.is_some_and(|shown| shown.id.to_string() == run.key)
}

/// Content that no run names, itself or through another piece. What names others goes before them, so that
/// what is stored of a set is stored whole.
fn unneeded(world: &World) -> Vec<Arc<Stored<Content>>> {
    let mut needed: BTreeSet<&str> = BTreeSet::new();
    let runs = world.runs.iter().map(|run| &run.spec);
    let mut open: Vec<&str> = runs
        .flat_map(|run| run.content.iter().chain(&run.values).chain(run.former_content.iter()))
        .map(String::as_str)
        .collect();
    // Each digest is gone through once.
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
    unneeded.truncate(PRUNED_AT_ONCE_MAX);
    unneeded
}
