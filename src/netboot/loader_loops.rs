//! Loaders that clients ask for again and again: what `decide::chainload` remembers, and the event where one
//! is stopped.

use std::sync::PoisonError;

use crate::model::event::{BootLoopStopped, BootNoLoader};
use crate::model::{Mac, Machine, Stored};
use crate::netboot::Netboot;
use crate::netboot::boot_facts::BootFacts;
use crate::netboot::decide::chainload::LoaderRequest;
use crate::netboot::decide::loader_ask::LoaderSighting;
use crate::netboot::identify::about;
use crate::rate_limit::warn_limited;

/// A DHCP packet as far as loaders are concerned.
#[derive(Clone, Copy, Debug)]
pub struct LoaderPacket {
    /// Ethernet hardware address of the client, where it has one.
    pub mac: Option<Mac>,
    pub xid: u32,
    pub is_discover: bool,
}

impl Netboot {
    /// What this client asked for before.
    pub fn asks_before(
        &self,
        request: &LoaderPacket,
        machine: Option<&Stored<Machine>>,
    ) -> Vec<LoaderRequest> {
        let Some(mac) = request.mac else { return Vec::new() };
        let asks = self.memory.asks.lock().unwrap_or_else(PoisonError::into_inner);
        let before = match request.is_discover {
            true => asks.before_discover(mac, request.xid),
            false => asks.before_latest(mac),
        };
        before.iter().filter(|ask| is_of(ask, machine)).cloned().collect()
    }

    /// What this client may ask for next is decided by all of these.
    pub fn asks_of(&self, machine: Option<&Stored<Machine>>, mac: Option<Mac>) -> Vec<LoaderRequest> {
        let asks = self.memory.asks.lock().unwrap_or_else(PoisonError::into_inner);
        let macs = machine.into_iter().flat_map(|machine| machine.spec.macs.iter().copied()).chain(mac);
        let longest = macs.map(|mac| asks.of(mac)).max_by_key(|asks| asks.len()).unwrap_or_default();
        longest.iter().filter(|ask| is_of(ask, machine)).cloned().collect()
    }

    /// Records a loader that a client asked for. A boot loop that is stopped is an event, once for each
    /// DISCOVER.
    pub fn record_loader_ask(&self, asked: LoaderSighting, gathered: &BootFacts) {
        let LoaderSighting { mac, ask, stopped } = asked;
        let is_new = self.memory.asks.lock().unwrap_or_else(PoisonError::into_inner).add(mac, ask);
        if let Some(reason) = stopped.filter(|_| is_new) {
            warn_limited!(%mac, reason, "a boot goes round and is stopped");
            let about = about(gathered.machine.as_deref());
            self.note_boot_event(&about, BootLoopStopped { mac, reason: reason.to_string() });
        }
    }

    /// Records that there is no loader for a machine that is to boot.
    pub fn record_missing_loader(&self, (mac, reason): (Mac, &str), gathered: &BootFacts) {
        warn_limited!(%mac, reason, "there is no loader for a machine");
        let about = about(gathered.machine.as_deref());
        self.note_boot_event(&about, BootNoLoader { mac: Some(mac), reason: reason.to_owned() });
    }

    /// A machine, or an unknown client, came to its script.
    pub fn came_to_script(&self, machine: Option<&Stored<Machine>>, mac: Option<Mac>) {
        let mut asks = self.memory.asks.lock().unwrap_or_else(PoisonError::into_inner);
        let macs = machine.into_iter().flat_map(|machine| machine.spec.macs.iter().copied()).chain(mac);
        macs.for_each(|mac| asks.forget(mac));
    }
}

/// Whether an ask counts for a machine: what its MAC asked for before the machine was made was asked for by
/// another machine, or by an unknown client.
fn is_of(ask: &LoaderRequest, machine: Option<&Stored<Machine>>) -> bool {
    machine.is_none_or(|machine| machine.created_at <= ask.at)
}
