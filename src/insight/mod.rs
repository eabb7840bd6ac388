//! What operators can find out: the answer that a machine would get and why, the documents that it would get,
//! and what happened to it. This house uses the other houses; none of them uses it.

pub mod activity_log;
pub mod explain;
pub mod lints;
pub mod preflight;
pub mod preview;
pub mod timeline;
pub mod unknown_clients;
pub mod upgrade_check;
pub mod upgrade_diff;

use std::sync::Arc;

use crate::catalog::Catalog;
use crate::dhcp::Dhcp;
use crate::kernel::Kernel;
use crate::netboot::Netboot;
use crate::objects::lanes::WorkLane;

/// Answers questions of operators; changes nothing.
#[derive(Debug)]
pub struct Insight {
    kernel: Arc<Kernel>,
    catalog: Arc<Catalog>,
    netboot: Arc<Netboot>,
    dhcp: Arc<Dhcp>,
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
    ) -> Arc<Self> {
        let [preflights, checks] = [PREFLIGHTS_MAX, CHECKS_MAX].map(WorkLane::new);
        Arc::new(Insight { kernel, catalog, netboot, dhcp, preflights, checks })
    }
}
