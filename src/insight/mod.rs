//! What operators can find out: the answer that a machine would get and why, the documents that it would get,
//! what they are made from, how they differ from those that it got, and what happened to it. This house uses
//! the other houses; none of them uses it.

pub mod activity_log;
mod broken_documents;
pub mod document_diff;
pub mod explain;
pub mod explain_packet;
pub mod fleet_diff;
pub mod lints;
pub mod looked_at;
mod needed_actions;
pub mod pack_content;
pub mod param_levels;
pub mod preflight;
pub mod preview;
mod recent_events;
mod run_summary;
mod server_health;
pub mod summary;
#[cfg(test)]
mod summary_tests;
mod template_sources;
pub mod timeline;
pub mod unknown_clients;
pub mod unsaved;
pub mod upgrade_check;
pub mod upgrade_diff;

use std::sync::Arc;

use crate::catalog::Catalog;
use crate::dhcp::Dhcp;
use crate::kernel::Kernel;
use crate::netboot::Netboot;
use crate::objects::lanes::WorkLane;
use crate::records::Records;

/// Answers questions of operators; changes nothing.
#[derive(Debug)]
pub struct Insight {
    kernel: Arc<Kernel>,
    catalog: Arc<Catalog>,
    netboot: Arc<Netboot>,
    dhcp: Arc<Dhcp>,
    records: Arc<Records>,
    preflights: WorkLane,
    checks: WorkLane,
}

/// Most runs that are checked at once before they begin.
const PREFLIGHTS_MAX: usize = 2;
/// Most checks of upgrades at once: each renders with all processors.
const CHECKS_MAX: usize = 1;

impl Insight {
    pub fn new(
        kernel: Arc<Kernel>,
        catalog: Arc<Catalog>,
        (netboot, dhcp): (Arc<Netboot>, Arc<Dhcp>),
        records: Arc<Records>,
    ) -> Arc<Self> {
        let [preflights, checks] = [PREFLIGHTS_MAX, CHECKS_MAX].map(WorkLane::new);
        Arc::new(Insight { kernel, catalog, netboot, dhcp, records, preflights, checks })
    }
}
