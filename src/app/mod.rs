//! The use cases: what happens when somebody asks for something. The only layer that decides who may
//! do what, and what follows from it.
//!
//! One file a subject. [`App`] holds what they share; each use case takes a [`Caller`], reads the world,
//! builds a deed and commits it. `boot` and `files` are what machines ask for, `attempts` and `reports`
//! what comes of it.

mod attempts;
mod boot;
mod callers;
mod chainloads;
pub mod deadlines;
mod dhcp_sights;
mod dhcp_status;
mod documents;
pub mod explain;
pub mod files;
pub mod history;
pub mod job_reports;
pub mod jobs;
pub mod lease_actions;
mod lease_clock;
pub mod lease_history;
pub mod lease_import;
mod leases;
mod loader_files;
pub mod loaders;
mod menu;
pub mod moves;
mod neighbours;
mod option_values;
mod probes;
#[cfg(test)]
mod probes_tests;
mod renders;
mod repeats;
pub mod reports;
#[cfg(test)]
mod run_tests;
pub mod runs;
pub mod sight;
mod static_artifacts;
mod stops;
mod task_files;
#[cfg(test)]
pub mod testing;
pub mod tftp_peers;

use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, OnceLock};

use crate::access::Access;
use crate::artifacts::Artifacts;
use crate::artifacts::contained_path::Case;
use crate::boot::chainload::Asks;
use crate::catalog::Catalog;
use crate::dhcp::{Holds, Neighbours, Sights};
use crate::kernel::{Caller, Error, Kernel};
use crate::media::Folder;
use crate::model::{Machine, Stored};
use crate::objects::Objects;
use crate::render::Pool;
use crate::workflow::Flow;
use loaders::Loaders;

/// What the server gives the application at start.
pub struct Setup {
    pub kernel: Arc<Kernel>,
    pub loaders: Loaders,
    pub pool: Arc<Pool>,
    /// Where the files of artifacts are kept that the server brings itself.
    pub media: Folder,
    /// How the names of files in artifacts are compared.
    pub case: Case,
}

/// Totals since the start.
#[derive(Debug, Default)]
pub struct Counters {
    /// Events of fetches that were not written because the same machine fetched the same over and over.
    pub fetches_repeated: AtomicU64,
    /// DHCP packets that no subnet fits.
    pub dhcp_unserved: AtomicU64,
    /// Addresses that were to be offered and were in use.
    pub dhcp_in_use: AtomicU64,
    /// TFTP requests of strangers, which got no answer.
    pub tftp_strangers: AtomicU64,
}

/// Everything the use cases share.
pub struct App {
    pub kernel: Arc<Kernel>,
    pub objects: Arc<Objects>,
    pub catalog: Arc<Catalog>,
    pub access: Arc<Access>,
    pub artifacts: Arc<Artifacts>,
    loaders: Loaders,
    renders: renders::Renders,
    /// Fetches that repeat themselves.
    repeats: repeats::Repeats,
    /// Addresses on offer.
    holds: Mutex<Holds>,
    probing: probes::Probing,
    /// What was seen of the networks that are served.
    sights: Mutex<Sights>,
    dhcp_service: OnceLock<Box<dyn Fn() -> crate::model::ServiceStatus + Send + Sync>>,
    /// Loaders that clients asked for lately.
    asks: Mutex<Asks>,
    trails: Mutex<stops::Trails>,
    images: Mutex<loader_files::Images>,
    /// Who has which address, where another server gives it.
    neighbours: Mutex<Neighbours>,
    /// Strangers that asked over TFTP.
    strangers: Mutex<tftp_peers::Strangers>,
    lease_clock: lease_clock::LeaseClock,
    pub counters: Counters,
}

impl std::fmt::Debug for App {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("App")
    }
}

impl App {
    /// The application on a kernel.
    pub fn new(setup: Setup) -> Arc<Self> {
        let kernel = setup.kernel;
        let objects = Objects::new(Arc::clone(&kernel));
        let app = App {
            catalog: Catalog::new(Arc::clone(&kernel), setup.pool),
            access: Access::new(Arc::clone(&kernel), Arc::clone(&objects)),
            artifacts: Artifacts::new(Arc::clone(&kernel), setup.media, setup.case),
            objects,
            kernel,
            loaders: setup.loaders,
            renders: renders::Renders::default(),
            repeats: repeats::Repeats::default(),
            holds: Mutex::default(),
            probing: probes::Probing::default(),
            sights: Mutex::default(),
            dhcp_service: OnceLock::new(),
            asks: Mutex::default(),
            trails: Mutex::default(),
            images: Mutex::default(),
            neighbours: Mutex::default(),
            strangers: Mutex::default(),
            lease_clock: lease_clock::LeaseClock::default(),
            counters: Counters::default(),
        };
        Arc::new(app)
    }

    /// The boot loaders found at start.
    pub fn loaders(&self) -> &Loaders {
        &self.loaders
    }

    /// Carries something that happened to a machine into its status, with the events that say so.
    ///
    /// # Errors
    /// As [`App::move_machine`].
    pub(crate) async fn flow(
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
