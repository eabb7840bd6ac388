//! Runs: machines on their way through a workflow. Actions of operators, requests and reports of agents,
//! deadlines. The rules are in `flow`, which is pure; this house commits what they decide.
//!
//! Every change of a machine's run uses [`Runs::move_machine`]; start there.

pub mod actions;
mod begin;
pub mod deadlines;
pub mod flow;
mod generated_params;
pub mod job_reports;
pub mod jobs;
pub mod kept_runs;
pub mod machine_change;
mod refusals;
mod task_files;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use crate::catalog::Catalog;
use crate::kernel::{Caller, Error, Kernel};
use crate::model::{Machine, Stored};
use crate::objects::lanes::WorkLane;
use crate::records::Records;
use flow::Flow;

/// The runs of machines, and the jobs of their agents.
#[derive(Debug)]
pub struct Runs {
    kernel: Arc<Kernel>,
    catalog: Arc<Catalog>,
    records: Arc<Records>,
    plans: WorkLane,
}

/// Most runs that are planned at once.
const PLANS_MAX: usize = 2;

impl Runs {
    pub fn new(kernel: Arc<Kernel>, catalog: Arc<Catalog>, records: Arc<Records>) -> Arc<Self> {
        Arc::new(Runs { kernel, catalog, records, plans: WorkLane::new(PLANS_MAX) })
    }

    /// The id of the machine that a reference names, as runs refer to it.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub fn machine_of_runs(&self, caller: &Caller, reference: &str) -> Result<String, Error> {
        Ok(self.kernel.find::<Machine>(caller, reference)?.key.clone())
    }

    /// Applies rules for something that happened to a machine, and commits the status with the events.
    ///
    /// # Errors
    /// Those of [`Runs::move_machine`].
    pub async fn flow(
        &self,
        caller: &Caller,
        machine: &str,
        mut happens: impl FnMut(&mut Flow<'_>),
    ) -> Result<Arc<Stored<Machine>>, Error> {
        let moved = self.move_machine(caller, machine, |world, moving| {
            moving.flow((caller, world), &mut happens);
            Ok(())
        });
        Ok(moved.await?.0)
    }
}
