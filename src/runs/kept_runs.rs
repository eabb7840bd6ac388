//! Statistics of the kept runs, and content for runs that earlier versions began.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::catalog::keeping::ContentOwner;
use crate::kernel::{Caller, Changeset, Error};
use crate::model::{MachineState, Noun, Run, RunResult, Stored, World, open_run};
use crate::runs::Runs;

/// Most workflows that runs are told apart by, the first by name. Runs of others are runs of `other`.
pub const WORKFLOWS_MAX: usize = 100;
const OTHER: &str = "other";
const OPEN: &str = "open";

/// How many of the kept runs of one workflow ended in one way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunTally {
    /// The workflow, or `other`.
    pub workflow: String,
    /// `open` or a result.
    pub result: &'static str,
    pub runs: u64,
    /// Sum of their durations; none for open runs.
    pub seconds: Option<i64>,
}

/// Machines by what they show.
#[derive(Clone, Copy, Debug)]
pub struct MachineCounts {
    /// By their state.
    pub states: [(&'static str, u64); MachineState::ALL.len()],
    /// Those whose installer asks something, and those that take longer than usual.
    pub unattended: [(&'static str, u64); 2],
}

impl Runs {
    /// The kept runs, by workflow and result.
    pub fn tallies(&self) -> Vec<RunTally> {
        self.kernel.read(|world| {
            let named = named_workflows(world);
            let mut sums: BTreeMap<(&str, &'static str), (u64, i64)> = BTreeMap::new();
            for run in world.runs.iter().map(|run| &run.spec) {
                let workflow = if named.contains(run.workflow.as_str()) { &run.workflow } else { OTHER };
                let result = run.result.map_or(OPEN, RunResult::as_str);
                let (runs, seconds) = sums.entry((workflow, result)).or_default();
                *runs += 1;
                *seconds = seconds.saturating_add(run.seconds.unwrap_or_default());
            }
            sums.into_iter()
                .map(|((workflow, result), (runs, seconds))| RunTally {
                    workflow: workflow.to_owned(),
                    result,
                    runs,
                    seconds: (result != OPEN).then_some(seconds),
                })
                .collect()
        })
    }

    /// How many machines are in each state, and how many show that a person should look.
    pub fn machine_counts(&self) -> MachineCounts {
        self.kernel.read(|world| {
            let mut states = MachineState::ALL.map(|state| (state.as_str(), 0));
            let (mut asking, mut overdue) = (0, 0);
            for machine in world.machines.iter() {
                let status = &machine.status;
                if let Some((_, count)) = states.get_mut(status.state as usize) {
                    *count += 1;
                }
                let asks = status.boot_attempt.as_ref().is_some_and(|attempt| attempt.asks.is_some());
                asking += u64::from(asks);
                overdue += u64::from(status.waiting.as_ref().is_some_and(|waiting| waiting.overdue));
            }
            MachineCounts { states, unattended: [("asks", asking), ("overdue", overdue)] }
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
            let content = self.catalog.content();
            let Some(machine) = self.kernel.read(|world| world.machines.get(machine).cloned()) else {
                continue;
            };
            let keep =
                ContentOwner { machine: &machine.spec, steps: &run.spec.steps, before: (&*content).into() };
            let kept = self.catalog.keep((&content, caller.now), keep);
            let mut next = run.next(caller.now);
            kept.name_in(&mut next.spec);
            let changeset = self.kernel.read(|world| kept.commit_with(world, Changeset::default()));
            let Some(changeset) = changeset else { continue };
            self.kernel.commit(changeset.update(Run::object(Arc::new(next)))).await?;
        }
        Ok(old.len())
    }
}

fn named_workflows(world: &World) -> BTreeSet<&str> {
    world.workflows.iter().map(|row| row.spec.name.as_str()).take(WORKFLOWS_MAX).collect()
}
