//! What a machine gets when it boots: identifies the client, asks for the decision, opens the file, and
//! records the progress of the boot. The pure decision is in `decide`.
//!
//! Start at [`Netboot::open`], the only way to a file, for TFTP and HTTP alike. DHCP asks for the decision as
//! well, and reports the addresses and loaders that it saw.

mod absent_files;
pub mod addresses;
pub mod attempts;
mod boot_diagnosis;
pub mod boot_facts;
pub mod decide;
mod document_cache;
pub mod documents;
mod fallbacks;
mod fetch_throttle;
pub mod files;
pub mod identify;
mod installer_logs;
pub mod joined_initrds;
mod loader_files;
pub mod loader_loops;
pub mod loaders;
mod memory;
mod menu;
pub mod reports;
mod served_documents;
mod static_artifacts;
pub mod tftp_peers;
mod unknown_clients;
pub mod write_budgets;

use std::sync::Arc;

use jiff::Timestamp;

use crate::access::Access;
use crate::artifacts::Artifacts;
use crate::catalog::Catalog;
use crate::kernel::Kernel;
use crate::records::Records;
use crate::runs::Runs;
use document_cache::DocumentCache;
use loaders::InstalledLoaders;
pub use memory::BootMemory;

/// The other houses' interfaces that [`Netboot`] uses.
pub struct NetbootDoors {
    pub catalog: Arc<Catalog>,
    pub runs: Arc<Runs>,
    pub artifacts: Arc<Artifacts>,
    pub access: Arc<Access>,
    pub records: Arc<Records>,
}

/// The boot side of the server: what machines are served when they boot.
pub struct Netboot {
    kernel: Arc<Kernel>,
    catalog: Arc<Catalog>,
    runs: Arc<Runs>,
    artifacts: Arc<Artifacts>,
    access: Arc<Access>,
    /// The boot loaders that were found at the start.
    pub loaders: InstalledLoaders,
    documents: DocumentCache,
    pub memory: BootMemory,
}

impl std::fmt::Debug for Netboot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Netboot")
    }
}

impl Netboot {
    pub fn new(kernel: Arc<Kernel>, doors: NetbootDoors, loaders: InstalledLoaders) -> Arc<Self> {
        let NetbootDoors { catalog, runs, artifacts, access, records } = doors;
        let (documents, memory) = (DocumentCache::new(records), BootMemory::default());
        Arc::new(Netboot { kernel, catalog, runs, artifacts, access, loaders, documents, memory })
    }

    /// The present time, used for all decisions.
    pub fn now(&self) -> Timestamp {
        self.kernel.now()
    }
}
