//! What operators can find out: what a machine would be answered and why, what it would be given, what
//! happened to it. Sees the other houses, and none of them sees it.

pub mod activity_log;
pub mod explain;
pub mod preview;
pub mod timeline;

use std::sync::Arc;

use crate::catalog::Catalog;
use crate::dhcp::Dhcp;
use crate::kernel::Kernel;
use crate::netboot::Netboot;

/// Answers to questions; changes nothing.
#[derive(Debug)]
pub struct Insight {
    kernel: Arc<Kernel>,
    catalog: Arc<Catalog>,
    netboot: Arc<Netboot>,
    dhcp: Arc<Dhcp>,
}

impl Insight {
    pub fn new(
        kernel: Arc<Kernel>,
        catalog: Arc<Catalog>,
        (netboot, dhcp): (Arc<Netboot>, Arc<Dhcp>),
    ) -> Arc<Self> {
        Arc::new(Insight { kernel, catalog, netboot, dhcp })
    }
}
