//! The summary of the server for an overview: everything in one read that costs little, whatever there is.
//!
//! Start at [`Insight::summary`]. The world is locked to copy references to its rows; what is counted is
//! counted afterwards. `needed_actions` has what waits for a person, `run_summary` the runs of a day,
//! `server_health` the server, `recent_events` the last events that matter.

use std::sync::Arc;

use crate::insight::run_summary::{self, RunFacts};
use crate::insight::{Insight, needed_actions};
use crate::kernel::scope::RequiredScope;
use crate::kernel::{Caller, Error};
use crate::model::{
    Artifact, BackgroundStatus, FleetCounts, Kind, Machine, MachineState, ServerSummary, Stored, World,
};

/// What other houses know of the server.
#[derive(Debug, Default)]
pub struct SummaryAsides {
    pub background: BackgroundStatus,
    /// The warning that every administrator's token ends.
    pub admin_warning: Option<String>,
}

/// What the summary is made of, taken out of the world.
#[derive(Default)]
pub(super) struct SummaryRows {
    pub(super) machines: Option<Vec<Arc<Stored<Machine>>>>,
    pub(super) artifacts: Option<Vec<Arc<Stored<Artifact>>>>,
    runs: Option<Vec<RunFacts>>,
}

impl SummaryRows {
    /// What the caller may read.
    fn of(caller: &Caller, world: &World) -> Self {
        let machines = caller.sees_some(Kind::Machine);
        let [artifacts, runs] = [Kind::Artifact, Kind::Run].map(|kind| caller.sees_some(kind));
        SummaryRows {
            machines: machines.then(|| caller.visible(&world.machines).cloned().collect()),
            artifacts: artifacts.then(|| caller.visible(&world.artifacts).cloned().collect()),
            runs: runs.then(|| RunFacts::of_day((caller, world), run_summary::day_before(caller.now))),
        }
    }
}

impl Insight {
    /// The summary, with the parts that the caller may read.
    ///
    /// # Errors
    /// The database failed.
    pub async fn summary(&self, caller: &Caller, asides: SummaryAsides) -> Result<ServerSummary, Error> {
        let rows = self.kernel.read(|world| SummaryRows::of(caller, world));
        let unknown = match may_read(caller, "dhcp") {
            true => self.unknown_clients(caller),
            false => Default::default(),
        };
        let recent = match may_read(caller, "events") {
            true => Some(self.recent_events(caller).await?),
            false => None,
        };
        Ok(ServerSummary {
            at: caller.now,
            machines: rows.machines.as_deref().map(machine_counts),
            needs: needed_actions::needed(&rows, unknown),
            runs: rows.runs.as_deref().map(|rows| run_summary::summary(rows, caller.now)),
            server: self.health(caller, (&rows, asides)),
            recent,
        })
    }
}

/// Whether the caller may read an area of the API that is no noun.
pub(super) fn may_read(caller: &Caller, area: &'static str) -> bool {
    caller.needs(RequiredScope::Read(area)).is_ok()
}

fn machine_counts(machines: &[Arc<Stored<Machine>>]) -> FleetCounts {
    let mut counts = FleetCounts { total: machines.len() as u64, ..FleetCounts::default() };
    for state in MachineState::ALL {
        counts.states.insert(state.as_str().to_owned(), 0);
    }
    for machine in machines {
        let status = &machine.status;
        if let Some(count) = counts.states.get_mut(status.state.as_str()) {
            *count += 1;
        }
        counts.armed += u64::from(status.armed_until.is_some());
        counts.paused += u64::from(needed_actions::is_paused(status));
        counts.locked += u64::from(machine.spec.locked);
        counts.overdue += u64::from(needed_actions::is_overdue(status));
    }
    counts
}
