//! Loaders that clients request again and again: uses the memory of `decide::chainload`, and reports a
//! stopped loop.

use std::sync::PoisonError;

use crate::model::event::{BootLoopStopped, BootNoLoader};
use crate::model::{Mac, Machine, Stored};
use crate::netboot::Netboot;
use crate::netboot::boot_facts::BootFacts;
use crate::netboot::decide::chainload::LoaderRequest;
use crate::netboot::decide::loader_ask::LoaderSighting;
use crate::netboot::identify::about;
use crate::rate_limit::warn_limited;

/// The parts of a DHCP packet that matter for loaders.
#[derive(Clone, Copy, Debug)]
pub struct LoaderPacket {
    /// Ethernet address of the client, if it has one.
    pub mac: Option<Mac>,
    pub xid: u32,
    pub is_discover: bool,
}

impl Netboot {
    /// The loaders that this client requested before.
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

    /// All recent loader requests of a client; they decide what it may request next.
    pub fn asks_of(&self, machine: Option<&Stored<Machine>>, mac: Option<Mac>) -> Vec<LoaderRequest> {
        let asks = self.memory.asks.lock().unwrap_or_else(PoisonError::into_inner);
        let macs = machine.into_iter().flat_map(|machine| machine.spec.macs.iter().copied()).chain(mac);
        let longest = macs.map(|mac| asks.of(mac)).max_by_key(|asks| asks.len()).unwrap_or_default();
        longest.iter().filter(|ask| is_of(ask, machine)).cloned().collect()
    }

    /// Records that a client requested a loader. A stopped boot loop is reported as an event, once per
    /// DISCOVER.
    pub fn record_loader_ask(&self, asked: LoaderSighting, gathered: &BootFacts) {
        let LoaderSighting { mac, ask, stopped } = asked;
        let is_new = self.memory.asks.lock().unwrap_or_else(PoisonError::into_inner).add(mac, ask);
        if let Some(reason) = stopped.filter(|_| is_new) {
            warn_limited!(%mac, reason, "a boot loop was stopped");
            let about = about(gathered.machine.as_deref());
            self.note_boot_event(&about, BootLoopStopped { mac, reason: reason.to_string() });
        }
    }

    /// Records that there is no loader for a machine that should boot.
    pub fn record_missing_loader(&self, (mac, reason): (Mac, &str), gathered: &BootFacts) {
        warn_limited!(%mac, reason, "there is no loader for a machine");
        let about = about(gathered.machine.as_deref());
        self.note_boot_event(&about, BootNoLoader { mac: Some(mac), reason: reason.to_owned() });
    }

    /// Records that a machine, or an unknown client, fetched its script.
    pub fn came_to_script(&self, machine: Option<&Stored<Machine>>, mac: Option<Mac>) {
        let mut asks = self.memory.asks.lock().unwrap_or_else(PoisonError::into_inner);
        let macs = machine.into_iter().flat_map(|machine| machine.spec.macs.iter().copied()).chain(mac);
        macs.for_each(|mac| asks.forget(mac));
    }
}

/// Whether a request counts for a machine. A request of its MAC from before the machine was created came from
/// another machine, or from an unknown client.
fn is_of(ask: &LoaderRequest, machine: Option<&Stored<Machine>>) -> bool {
    machine.is_none_or(|machine| machine.created_at <= ask.at)
}
