//! Constructs all houses, and gives each the other houses that it uses. Nothing is decided here.
//!
//! The order in [`Houses::new`] is the order of dependencies: a house may use those that are constructed
//! before it.

#[cfg(test)]
mod agent_tokens_tests;
#[cfg(test)]
mod channels_tests;
#[cfg(test)]
mod deletion_tests;
#[cfg(test)]
mod machine_writes_tests;
#[cfg(test)]
pub mod testing;

use std::sync::Arc;

use crate::access::Access;
use crate::artifacts::Artifacts;
use crate::artifacts::MediaFolder;
use crate::artifacts::contained_path::NameCase;
use crate::artifacts::roots::ArtifactRoots;
use crate::background::Background;
use crate::catalog::Catalog;
use crate::catalog::pools::RenderPools;
use crate::channels::Channels;
use crate::dhcp::Dhcp;
use crate::insight::Insight;
use crate::kernel::Kernel;
use crate::maintenance::{DataFacts, Maintenance};
use crate::netboot::loaders::InstalledLoaders;
use crate::netboot::{Netboot, NetbootDoors};
use crate::objects::Objects;
use crate::records::Records;
use crate::runs::Runs;

/// What the server passes to the houses at the start.
pub struct HousesSetup {
    pub kernel: Arc<Kernel>,
    pub loaders: InstalledLoaders,
    pub pools: RenderPools,
    /// The folder of the artifacts' files that the server fetched.
    pub media: MediaFolder,
    /// The directories of this host in which files of artifacts may be.
    pub roots: ArtifactRoots,
    /// How the names of files in artifacts are compared.
    pub case: NameCase,
    /// The data directory, and what the server was started with.
    pub data: DataFacts,
}

/// All houses, for edges that use several of them.
#[derive(Debug)]
pub struct Houses {
    pub kernel: Arc<Kernel>,
    pub background: Arc<Background>,
    pub catalog: Arc<Catalog>,
    pub channels: Arc<Channels>,
    pub objects: Arc<Objects>,
    pub access: Arc<Access>,
    pub artifacts: Arc<Artifacts>,
    pub maintenance: Arc<Maintenance>,
    pub records: Arc<Records>,
    pub runs: Arc<Runs>,
    pub netboot: Arc<Netboot>,
    pub dhcp: Arc<Dhcp>,
    pub insight: Arc<Insight>,
}

impl Houses {
    /// Constructs the houses on a kernel.
    pub fn new(setup: HousesSetup) -> Arc<Self> {
        let kernel = setup.kernel;
        let background = Background::new(Arc::clone(&kernel));
        let catalog = Catalog::new(Arc::clone(&kernel), setup.pools);
        let channels = Channels::new(Arc::clone(&kernel), Arc::clone(&catalog));
        let objects = Objects::new(Arc::clone(&kernel), Arc::clone(&catalog), setup.roots.clone());
        let access = Access::new(Arc::clone(&kernel), Arc::clone(&objects));
        let artifacts = Artifacts::new(Arc::clone(&kernel), (setup.media, setup.roots.clone()), setup.case);
        let maintenance = Maintenance::new(Arc::clone(&kernel), Arc::clone(&artifacts), setup.data);
        let records = Records::new(Arc::clone(&kernel));
        let runs = Runs::new(Arc::clone(&kernel), Arc::clone(&catalog), Arc::clone(&records));
        let doors = NetbootDoors {
            catalog: Arc::clone(&catalog),
            records: Arc::clone(&records),
            runs: Arc::clone(&runs),
            artifacts: Arc::clone(&artifacts),
            access: Arc::clone(&access),
        };
        let netboot = Netboot::new(Arc::clone(&kernel), doors, setup.loaders);
        let dhcp = Dhcp::new(Arc::clone(&kernel), Arc::clone(&catalog), Arc::clone(&netboot));
        let seen = (Arc::clone(&netboot), Arc::clone(&dhcp));
        let insight = Insight::new(Arc::clone(&kernel), Arc::clone(&catalog), seen, Arc::clone(&records));
        Arc::new(Houses {
            kernel,
            background,
            catalog,
            channels,
            objects,
            access,
            artifacts,
            maintenance,
            records,
            runs,
            netboot,
            dhcp,
            insight,
        })
    }
}
