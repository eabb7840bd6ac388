//! The DHCP server: leases, offers, what is seen of the networks. `decide` is pure: which address, which
//! reply, to where; `server` has the sockets.
//!
//! A packet comes to [`Dhcp::answer_dhcp`] in `exchange`; start there. `packet` decides everything it causes.
//! What operators do to leases is in `lease_actions`, who had an address when in `lease_history`, how it all
//! stands in `status`.

pub mod decide;
mod exchange;
pub mod lease_actions;
mod lease_clock;
pub mod lease_history;
pub mod lease_import;
mod leases;
#[cfg(test)]
mod leases_tests;
pub mod observations;
mod option_values;
pub mod packet;
pub mod probes;
#[cfg(test)]
mod probes_tests;
pub mod server;
mod status;

use std::sync::{Arc, Mutex, OnceLock};

use crate::catalog::Catalog;
use crate::kernel::Kernel;
use crate::model::ServiceStatus;
use crate::netboot::Netboot;
use decide::OpenOffers;
use lease_clock::LeaseClock;
use observations::ObservationTable;
use probes::ProbeTracker;

/// The leases, and what is known of the networks they are in.
pub struct Dhcp {
    kernel: Arc<Kernel>,
    catalog: Arc<Catalog>,
    netboot: Arc<Netboot>,
    /// Addresses on offer.
    offers: Mutex<OpenOffers>,
    pub probing: ProbeTracker,
    /// What was seen of the networks that are served.
    pub observations: ObservationTable,
    service_status: OnceLock<Box<dyn Fn() -> ServiceStatus + Send + Sync>>,
    lease_clock: LeaseClock,
}

impl std::fmt::Debug for Dhcp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Dhcp")
    }
}

impl Dhcp {
    pub fn new(kernel: Arc<Kernel>, catalog: Arc<Catalog>, netboot: Arc<Netboot>) -> Arc<Self> {
        Arc::new(Dhcp {
            kernel,
            catalog,
            netboot,
            offers: Mutex::default(),
            probing: ProbeTracker::default(),
            observations: ObservationTable::default(),
            service_status: OnceLock::new(),
            lease_clock: LeaseClock::default(),
        })
    }
}
