//! The use cases: what happens when somebody asks for something. The only layer that decides who may
//! do what, and what follows from it.
//!
//! One file a subject. [`App`] holds what they share; each use case takes a [`Ctx`], reads the world,
//! builds a changeset and commits it. `boot` and `files` are what machines ask for, `attempts` and `reports`
//! what comes of it.

mod agent_tokens;
pub mod artifacts;
mod attempts;
pub mod auth;
pub mod beneath;
mod boot;
mod callers;
mod chainloads;
mod ctx;
pub mod deadlines;
mod dhcp_sights;
mod dhcp_status;
mod documents;
mod error;
pub mod explain;
mod fields;
pub mod files;
mod filter;
mod health;
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
pub mod notes;
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
pub mod secrets;
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

pub use ctx::{Actor, Ctx};
pub use error::Error;

use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLockReadGuard};

use jiff::Timestamp;
use tokio::sync::mpsc;

use crate::app::secrets::Secrets;
use crate::boot::capability;
use crate::boot::chainload::Asks;
use crate::dhcp::{Holds, Neighbours, Sights};
use crate::media::{Folder, Mirrors};
use crate::model::{Event, HasTable, Kind, Machine, NewEvent, Noun, Stored, Table, World};
use crate::render::{Engine, Pool};
use crate::store::{self, Changeset, MonitoredStore, SharedStore, WriterHold};
use crate::workflow::Flow;
use loaders::Loaders;

/// How often a change of ours is tried again when somebody else changed the object meanwhile.
const STALE_RETRIES_MAX: usize = 16;

/// How often it is tried without the writer's hold: what others overtake that often is decided while nothing
/// else is written.
const FREE_TRIES_MAX: usize = 3;

/// Where the server is reached, as it was bound.
#[derive(Clone, Debug, Default)]
pub struct Endpoints {
    pub api: Option<SocketAddr>,
    /// SHA-256 of the API's certificate, in hex.
    pub api_fingerprint: String,
    pub boot_http_port: Option<u16>,
    pub boot_https_port: Option<u16>,
}

impl Endpoints {
    /// The API's URL for a machine that sees us at `facing`; empty where it cannot be reached from there.
    pub fn api_url(&self, facing: IpAddr) -> String {
        match self.api {
            Some(api) if api.ip().is_unspecified() => {
                format!("https://{}", SocketAddr::new(facing, api.port()))
            }
            Some(api) if !api.ip().is_loopback() || facing.is_loopback() => format!("https://{api}"),
            _ => String::new(),
        }
    }
}

/// What the server gives the application at start.
pub struct Setup {
    pub store: SharedStore,
    /// The key that secret params are sealed with.
    pub secrets: Secrets,
    pub endpoints: Endpoints,
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
    /// Events that were dropped because too many waited.
    pub notes_dropped: AtomicU64,
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
    /// The monitored store, as everybody but `health` needs it.
    store: SharedStore,
    monitor: Arc<MonitoredStore>,
    secrets: Secrets,
    boot_key: capability::Key,
    endpoints: Endpoints,
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
    notes: mpsc::Sender<NewEvent>,
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
    /// The application, and the queue that [`notes::run`] writes.
    pub fn new(setup: Setup) -> (Arc<Self>, notes::Notes) {
        let (sender, notes) = mpsc::channel(notes::NOTES_MAX);
        let monitor = MonitoredStore::new(setup.store);
        let app = App {
            store: Arc::clone(&monitor) as SharedStore,
            monitor,
            boot_key: capability::Key::new(&setup.secrets.derive("boot capabilities")),
            secrets: setup.secrets,
            endpoints: setup.endpoints,
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
            notes: sender,
            counters: Counters::default(),
        };
        (Arc::new(app), notes)
    }

    /// The boot loaders found at start.
    pub fn loaders(&self) -> &Loaders {
        &self.loaders
    }

    /// Tells of commits: the number of the last event.
    pub fn committed(&self) -> tokio::sync::watch::Receiver<u64> {
        self.store.committed()
    }

    /// The time all decisions are made at.
    pub fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    /// The snapshot of all objects. Do not hold it over an await.
    pub fn world(&self) -> RwLockReadGuard<'_, World> {
        self.store.world()
    }

    /// The compiled templates of the present content.
    pub(crate) fn engine(&self) -> Engine {
        let mut content = self.content.lock().unwrap_or_else(PoisonError::into_inner);
        let world = self.world();
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

    /// One object by its key or by `index:value`.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub fn find<T: Noun>(&self, reference: &str) -> Result<Arc<Stored<T>>, Error>
    where
        World: HasTable<T>,
    {
        let world = self.world();
        let table: &Table<T> = world.table();
        table.resolve(reference).cloned().ok_or_else(|| Error::not_found::<T>(reference))
    }

    /// How many objects of each kind there are, in the order of `Kind::ALL`.
    pub fn counts(&self) -> [usize; Kind::ALL.len()] {
        let world = self.world();
        Kind::ALL.map(|kind| world.count(kind))
    }

    pub(crate) async fn commit(&self, changeset: Changeset) -> Result<Vec<Event>, Error> {
        Ok(self.store.commit(changeset).await?)
    }

    /// The hold of the writer for a change that others overtook time and again; none for the first tries.
    pub(crate) async fn hold_for(&self, attempt: usize) -> Result<Option<WriterHold>, Error> {
        match attempt {
            0..FREE_TRIES_MAX => Ok(None),
            _ => Ok(Some(self.store.hold().await?)),
        }
    }

    /// Commits, by the hold where there is one.
    pub(crate) async fn commit_with(
        &self,
        hold: Option<WriterHold>,
        changeset: Changeset,
    ) -> Result<Vec<Event>, store::Error> {
        match hold {
            Some(hold) => hold.commit(changeset).await,
            None => self.store.commit(changeset).await,
        }
    }

    /// Changes an object of ours with `change`, which sees the newest revision and is called again when
    /// somebody else was quicker. It gives the events that say what was done.
    ///
    /// # Errors
    /// What `change` refuses, [`Error::NotFound`], or what the store says.
    pub async fn change<T: Noun>(
        &self,
        key: &str,
        now: Timestamp,
        mut change: impl FnMut(&mut Stored<T>) -> Result<Vec<NewEvent>, Error>,
    ) -> Result<Stored<T>, Error>
    where
        World: HasTable<T>,
    {
        for _ in 0..STALE_RETRIES_MAX {
            let current = self.find::<T>(key)?;
            let mut next = current.next(now);
            let events = change(&mut next)?;
            let changeset =
                Changeset { events, ..Changeset::default() }.update(T::object(Arc::new(next.clone())));
            match self.store.commit(changeset).await {
                Ok(_) => return Ok(next),
                Err(store::Error::Stale { .. }) => continue,
                Err(other) => return Err(other.into()),
            }
        }
        Err(Error::Busy(format!("{} {key} is being changed by many at once; try again", T::KIND)))
    }

    /// Carries something that happened to a machine into its status, with the events that say so.
    ///
    /// # Errors
    /// As [`App::move_machine`].
    pub(crate) async fn flow(
        &self,
        ctx: &Ctx,
        machine: &str,
        mut happens: impl FnMut(&mut Flow<'_>),
    ) -> Result<Arc<Stored<Machine>>, Error> {
        let moved = self.move_machine(ctx, machine, |world, moving| {
            moving.flow((ctx, world), &mut happens);
            Ok(())
        });
        Ok(moved.await?.0)
    }
}
