//! Statistics of the kept runs, and content for runs that earlier versions began.

use std::sync::Arc;

use crate::catalog::keeping::ContentOwner;
use crate::kernel::{Caller, Changeset, Error};
use crate::model::{Noun, Run, RunResult, Stored, open_run};
use crate::runs::Runs;

/// The kept runs with one result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RunTally {
    /// `open` or a result.
    pub result: &'static str,
    pub runs: u64,
    /// Sum of their durations; none for open runs.
    pub seconds: Option<i64>,
}

impl Runs {
    /// The kept runs, by result.
    pub fn tallies(&self) -> Vec<RunTally> {
        self.kernel.read(|world| {
            std::iter::once(None)
                .chain(RunResult::ALL.map(Some))
                .map(|wanted: Option<RunResult>| {
                    let runs = world.runs.iter().map(|run| &run.spec).filter(move |run| run.result == wanted);
                    let (count, seconds) = runs.fold((0, 0i64), |(count, seconds), run| {
                        (count + 1, seconds.saturating_add(run.seconds.unwrap_or_default()))
                    });
                    let result = wanted.map_or("open", RunResult::as_str);
                    RunTally { result, runs: count, seconds: wanted.map(|_| seconds) }
                })
                .collect()
        })
    }

    /// Gives the present content to every open run without content: runs that an earlier version began. Call
    /// it before other content is installed at the start of the server. Returns the number of those runs.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn keep_content_of_old_runs(&self, caller: &Caller) -> Result<usize, Error> {
        let old: Vec<(Arc<Stored<Run>>, String)> = self.kernel.read(|world| {
            let machines = world.machines.iter();
            let open =
                machines.filter_map(|row| Some((open_run(world, &row.status)?.clone(), row.key.clone())));
            open.filter(|(run, _)| run.spec.content.is_none()).collect()
        });
        for (run, machine) in &old {
            let changeset = self.kernel.read(|world| {
                let machine = world.machines.get(machine)?;
                let keep =
                    ContentOwner { machine: &machine.spec, steps: &run.spec.steps, before: world.into() };
                let kept = self.catalog.keep((world, caller.now), keep);
                let mut next = run.next(caller.now);
                kept.name_in(&mut next.spec);
                Some(kept.commit_with(Changeset::default()).update(Run::object(Arc::new(next))))
            });
            let Some(changeset) = changeset else { continue };
            self.kernel.commit(changeset).await?;
        }
        Ok(old.len())
    }
}
