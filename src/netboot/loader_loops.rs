//! Loaders that clients ask for again and again: what `decide::chainload` remembers, and the event where one
//! is stopped.

use std::sync::PoisonError;

use serde_json::json;

use crate::model::{Mac, Machine, Stored};
use crate::netboot::Netboot;
use crate::netboot::boot_facts::Gathered;
use crate::netboot::decide::chainload::Ask;
use crate::netboot::decide::decision::{Answer, Decision};
use crate::netboot::identify::about;
use crate::seldom::warn_seldom;

/// The rule of the decision that stops a client that goes round.
const RULE: &str = "chainload";
/// The rule that finds no loader to give.
const NO_LOADER: &str = "loader";

/// A DHCP packet as far as loaders are concerned.
#[derive(Clone, Copy, Debug)]
pub struct LoaderRequest {
    /// Ethernet hardware address of the client, where it has one.
    pub mac: Option<Mac>,
    pub xid: u32,
    pub is_discover: bool,
}

impl Netboot {
    /// What this client asked for before.
    pub fn asks_before(&self, request: &LoaderRequest) -> Vec<Ask> {
        let Some(mac) = request.mac else { return Vec::new() };
        let asks = self.memory.asks.lock().unwrap_or_else(PoisonError::into_inner);
        match request.is_discover {
            true => asks.before_discover(mac, request.xid).to_vec(),
            false => asks.before_latest(mac).to_vec(),
        }
    }

    /// What this client may ask for next is decided by all of these.
    pub fn asks_of(&self, machine: Option<&Stored<Machine>>, mac: Option<Mac>) -> Vec<Ask> {
        let asks = self.memory.asks.lock().unwrap_or_else(PoisonError::into_inner);
        let macs = machine.into_iter().flat_map(|machine| machine.spec.macs.iter().copied()).chain(mac);
        macs.map(|mac| asks.of(mac)).max_by_key(|asks| asks.len()).unwrap_or_default().to_vec()
    }

    /// Records a DISCOVER that gets a loader, or nothing because it goes round: that is an event.
    pub fn asked(&self, request: &LoaderRequest, gathered: &Gathered, decision: &Decision) {
        let Some(mac) = request.mac else { return };
        if !request.is_discover {
            return;
        }
        let stopped = decision.trace.iter().find(|rule| rule.rule == RULE && rule.matched);
        let loader = match &decision.answer {
            Answer::Loader { name } | Answer::LoaderUrl { name, .. } => name.clone(),
            // Which one it was is in the asks that stopped it.
            _ if stopped.is_some() => gathered.asks.last().map(|ask| ask.loader.clone()).unwrap_or_default(),
            _ => return,
        };
        let now = self.kernel.now();
        let ask = Ask { xid: request.xid, loader, at: now, served: stopped.is_none() };
        let is_new = self.memory.asks.lock().unwrap_or_else(PoisonError::into_inner).add(mac, ask);
        if let Some(rule) = stopped.filter(|_| is_new) {
            warn_seldom!(%mac, reason = rule.detail, "a boot goes round and is stopped");
            self.note_dead_end(gathered, "boot.loop_stopped", json!({ "mac": mac, "reason": rule.detail }));
        }
    }

    /// A DISCOVER of a machine that should boot and for whom there is no loader.
    pub fn without_loader(&self, request: &LoaderRequest, gathered: &Gathered, decision: &Decision) {
        let lacks = decision.trace.iter().find(|rule| rule.rule == NO_LOADER && rule.matched);
        let (Some(rule), Some(mac), Some(_)) = (lacks, request.mac, &gathered.machine) else { return };
        if request.is_discover {
            warn_seldom!(%mac, reason = rule.detail, "there is no loader for a machine");
            self.note_dead_end(gathered, "boot.no_loader", json!({ "mac": mac, "reason": rule.detail }));
        }
    }

    fn note_dead_end(&self, gathered: &Gathered, kind: &str, data: serde_json::Value) {
        self.kernel.note(self.boot_event(kind, &about(gathered.machine.as_deref()), data));
    }

    /// A machine, or an unknown client, came to its script.
    pub fn came_to_script(&self, machine: Option<&Stored<Machine>>, mac: Option<Mac>) {
        let mut asks = self.memory.asks.lock().unwrap_or_else(PoisonError::into_inner);
        let macs = machine.into_iter().flat_map(|machine| machine.spec.macs.iter().copied()).chain(mac);
        macs.for_each(|mac| asks.forget(mac));
    }
}
