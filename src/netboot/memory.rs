//! What is remembered of machines that boot, in this process only: a restart forgets it, and nothing that was
//! promised depends on it. Each table has its own bound.

use std::sync::Mutex;
use std::sync::atomic::AtomicU64;

use crate::netboot::boot_diagnosis::Trails;
use crate::netboot::decide::chainload::Asks;
use crate::netboot::decide::foreign_addresses::ForeignAddresses;
use crate::netboot::fetch_throttle::Repeats;
use crate::netboot::loader_files::Images;
use crate::netboot::tftp_peers::Strangers;
use crate::netboot::unknown_clients::UnknownClients;

/// The tables of [`Netboot`](crate::netboot::Netboot).
#[derive(Debug, Default)]
pub struct BootMemory {
    /// Loaders that clients asked for lately.
    pub(super) asks: Mutex<Asks>,
    /// What each machine was last seen to do.
    pub(super) traces: Mutex<Trails>,
    /// Disk images of signed loaders.
    pub(super) images: Mutex<Images>,
    /// Who has which address, where another server gives it.
    pub(super) foreign_addresses: Mutex<ForeignAddresses>,
    /// Strangers that asked over TFTP.
    pub(super) strangers: Mutex<Strangers>,
    /// Clients without a machine that the log tells of.
    pub(super) unknown_clients: UnknownClients,
    /// Fetches that repeat themselves.
    pub(super) repeats: Repeats,
    /// Events of fetches that were not written because the same machine fetched the same over and over.
    pub fetches_repeated: AtomicU64,
    /// TFTP requests of strangers, which got no answer.
    pub tftp_strangers: AtomicU64,
}
