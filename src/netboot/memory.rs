//! Observations about booting machines that this process keeps in memory. A restart forgets them, and no
//! promise depends on them. Each table has its own bound.

use std::sync::Mutex;
use std::sync::atomic::AtomicU64;

use crate::artifacts::opened::FetchRefusal;
use crate::durations::DurationHistogram;
use crate::netboot::absent_files::AbsentFiles;
use crate::netboot::boot_diagnosis::BootTraces;
use crate::netboot::decide::chainload::LoaderRequests;
use crate::netboot::decide::foreign_addresses::ForeignAddresses;
use crate::netboot::decide::second_stage::OtherBootServers;
use crate::netboot::fetch_throttle::FetchThrottle;
use crate::netboot::joined_initrds::JoinedInitrds;
use crate::netboot::loader_files::LoaderImages;
use crate::netboot::tftp_peers::UnknownPeers;
use crate::netboot::unknown_clients::UnknownClients;
use crate::netboot::write_budgets::WriteBudgets;

/// The tables of [`Netboot`](crate::netboot::Netboot).
#[derive(Debug, Default)]
pub struct BootMemory {
    /// Recent loader requests of clients.
    pub(super) asks: Mutex<LoaderRequests>,
    /// The last sign of each machine.
    pub(super) traces: Mutex<BootTraces>,
    /// The absent files that are on timelines.
    pub(super) absent_files: Mutex<AbsentFiles>,
    /// What other DHCP servers tell second stages.
    pub(super) other_boot_servers: Mutex<OtherBootServers>,
    /// Disk images of signed loaders.
    pub(super) images: Mutex<LoaderImages>,
    /// Initrds that were joined; the lock is held while one is made.
    pub(super) joined_initrds: tokio::sync::Mutex<JoinedInitrds>,
    /// The holders of addresses that another server gives.
    pub(super) foreign_addresses: Mutex<ForeignAddresses>,
    /// Unknown peers that sent TFTP requests.
    pub(super) strangers: Mutex<UnknownPeers>,
    /// Unknown clients that were logged.
    pub(super) unknown_clients: UnknownClients,
    /// What each machine may have written down.
    pub budgets: WriteBudgets,
    /// Repeated fetches.
    pub(super) repeats: FetchThrottle,
    /// How long it takes to find or render what is asked for.
    pub opens: DurationHistogram,
    /// Files that were not served, by [`FetchRefusal::REASONS`](crate::artifacts::opened::FetchRefusal).
    pub refused: [AtomicU64; FetchRefusal::REASONS.len()],
    /// Number of fetch events that were not written because a machine fetched the same file again and again.
    pub fetches_repeated: AtomicU64,
    /// Number of TFTP requests from unknown peers, which were not answered.
    pub tftp_strangers: AtomicU64,
}
