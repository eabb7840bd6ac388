//! The DHCP server: leases, offers, and observations of the networks. `decide` is pure: which address, which
//! reply, to which destination. `server` has the sockets.
//!
//! Packets go to [`Dhcp::answer_dhcp`] in `exchange`; start there. `packet` decides everything that follows
//! from a packet; `dry_run` decides without any effect. `lease_actions` has what operators do to leases,
//! `lease_history` who had an address when, and `status` the status of DHCP.

pub mod decide;
pub mod dry_run;
mod exchange;
#[cfg(test)]
mod firmware_tests;
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

/// The DHCP house: leases, offers, and what is known about the networks.
pub struct Dhcp {
    kernel: Arc<Kernel>,
    catalog: Arc<Catalog>,
    netboot: Arc<Netboot>,
    /// Open offers.
    offers: Mutex<OpenOffers>,
    pub probing: ProbeTracker,
    /// Observations of the networks that are served.
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
