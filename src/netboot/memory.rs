//! What is remembered of machines that boot, in this process only: a restart forgets it, and nothing that was
//! promised depends on it. Each table has its own bound.

use std::sync::Mutex;
use std::sync::atomic::AtomicU64;

use crate::artifacts::opened::FetchRefusal;
use crate::durations::DurationHistogram;
use crate::netboot::boot_diagnosis::BootTraces;
use crate::netboot::decide::chainload::LoaderRequests;
use crate::netboot::decide::foreign_addresses::ForeignAddresses;
use crate::netboot::fetch_throttle::FetchThrottle;
use crate::netboot::loader_files::LoaderImages;
use crate::netboot::tftp_peers::UnknownPeers;
use crate::netboot::unknown_clients::UnknownClients;
use crate::netboot::write_budgets::WriteBudgets;

/// The tables of [`Netboot`](crate::netboot::Netboot).
#[derive(Debug, Default)]
pub struct BootMemory {
    /// Loaders that clients asked for lately.
    pub(super) asks: Mutex<LoaderRequests>,
    /// What each machine was last seen to do.
    pub(super) traces: Mutex<BootTraces>,
    /// Disk images of signed loaders.
    pub(super) images: Mutex<LoaderImages>,
    /// Who has which address, where another server gives it.
    pub(super) foreign_addresses: Mutex<ForeignAddresses>,
    /// Strangers that asked over TFTP.
    pub(super) strangers: Mutex<UnknownPeers>,
    /// Clients without a machine that were logged.
    pub(super) unknown_clients: UnknownClients,
    /// What each machine may have written down.
    pub budgets: WriteBudgets,
    /// Fetches that repeat themselves.
    pub(super) repeats: FetchThrottle,
    /// How long it takes to find or render what is asked for.
    pub opens: DurationHistogram,
    /// Files that were not served, by [`FetchRefusal::REASONS`](crate::artifacts::opened::FetchRefusal).
    pub refused: [AtomicU64; FetchRefusal::REASONS.len()],
    /// Events of fetches that were not written because the same machine fetched the same over and over.
    pub fetches_repeated: AtomicU64,
    /// TFTP requests of strangers, which got no answer.
    pub tftp_strangers: AtomicU64,
}
