//! The use cases: what happens when somebody asks for something. The only layer that decides who may
//! do what, and what follows from it.
//!
//! One file a subject. [`App`] holds what they share; each use case takes a [`Caller`], reads the world,
//! builds a deed and commits it. `boot` and `files` are what machines ask for, `attempts` and `reports`
//! what comes of it.

mod agent_tokens;
pub mod artifacts;
mod attempts;
pub mod auth;
pub mod beneath;
mod boot;
mod callers;
mod chainloads;
pub mod deadlines;
mod dhcp_sights;
mod dhcp_status;
mod documents;
pub mod explain;
mod fields;
pub mod files;
mod filter;
pub mod history;
pub mod job_reports;
pub mod jobs;
pub mod lease_actions;
mod lease_clock;
pub mod lease_history;
pub mod lease_import;
mod leases;
pub mod list;
mod loader_files;
pub mod loaders;
mod menu;
pub mod moves;
mod neighbours;
pub mod objects;
mod option_values;
pub mod packs;
mod params;
pub mod patch;
mod probes;
#[cfg(test)]
mod probes_tests;
mod renders;
mod repeats;
pub mod reports;
mod repositories;
pub mod rules;
#[cfg(test)]
mod run_tests;
pub mod runs;
pub mod sight;
mod start;
mod statics;
mod stops;
mod task_files;
#[cfg(test)]
pub mod testing;
pub mod tftp_peers;
pub mod usable;
pub mod view;

use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use crate::boot::capability;
use crate::boot::chainload::Asks;
use crate::dhcp::{Holds, Neighbours, Sights};
use crate::kernel::{Caller, Error, Kernel};
use crate::media::{Folder, Mirrors};
use crate::model::{Machine, Stored};
use crate::render::{Engine, Pool};
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
    pub case: beneath::Case,
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
    boot_key: capability::Key,
    loaders: Loaders,
    pool: Arc<Pool>,
    case: beneath::Case,
    content: Mutex<Option<Content>>,
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
    media: Folder,
    /// Remote trees that are passed on.
    mirrors: Mirrors,
    /// Held for reading while a tree gets its place, for writing while one is thrown away.
    media_in_use: tokio::sync::RwLock<()>,
    pub counters: Counters,
}

impl std::fmt::Debug for App {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("App")
    }
}

/// The templates as compiled, and the generation they were compiled from.
struct Content {
    generation: u64,
    engine: Engine,
}

impl App {
    /// The application on a kernel.
    pub fn new(setup: Setup) -> Arc<Self> {
        let app = App {
            boot_key: capability::Key::new(&setup.kernel.secrets.derive("boot capabilities")),
            kernel: setup.kernel,
            loaders: setup.loaders,
            pool: setup.pool,
            case: setup.case,
            content: Mutex::new(None),
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
            mirrors: Mirrors::new(setup.media.clone()),
            media: setup.media,
            media_in_use: tokio::sync::RwLock::default(),
            counters: Counters::default(),
        };
        Arc::new(app)
    }

    /// The boot loaders found at start.
    pub fn loaders(&self) -> &Loaders {
        &self.loaders
    }

    /// The compiled templates of the present content.
    pub(crate) fn engine(&self) -> Engine {
        let mut content = self.content.lock().unwrap_or_else(PoisonError::into_inner);
        let world = self.kernel.world();
        let generation = world.templates.generation();
        if let Some(content) = content.as_ref().filter(|content| content.generation == generation) {
            return content.engine.clone();
        }
        let bodies: Vec<(String, String)> =
            world.templates.iter().map(|row| (row.spec.name.clone(), row.spec.body.clone())).collect();
        drop(world);
        let (engine, broken) = Engine::compile(&self.pool, bodies);
        for (name, problem) in &broken {
            tracing::warn!(template = name, %problem, "a template cannot be used");
        }
        *content = Some(Content { generation, engine: engine.clone() });
        engine
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
