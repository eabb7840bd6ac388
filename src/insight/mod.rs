//! What operators can find out: the answer that a machine would get and why, the documents that it would get,
//! and what happened to it. This house uses the other houses; none of them uses it.

pub mod activity_log;
pub mod explain;
pub mod preview;
pub mod timeline;

use std::sync::Arc;

use crate::catalog::Catalog;
use crate::dhcp::Dhcp;
use crate::kernel::Kernel;
use crate::netboot::Netboot;

/// Answers questions of operators; changes nothing.
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
