//! Loaders that clients ask for again and again: what `boot::chainload` remembers, and the event where one is
//! stopped.

use std::sync::PoisonError;

use serde_json::json;

use crate::app::App;
use crate::app::boot::Gathered;
use crate::app::callers::about;
use crate::boot::chainload::Ask;
use crate::boot::decide::{Answer, Decision};
use crate::dhcp::{ClientKey, Query};
use crate::model::{Mac, Machine, Stored};
use crate::proto::dhcp4::MessageType;
use crate::seldom::warn_seldom;

/// The rule of the decision that stops a client that goes round.
const RULE: &str = "chainload";
/// The rule that finds no loader to give.
const NO_LOADER: &str = "loader";

impl App {
    /// What this client asked for before.
    pub(super) fn asks_before(&self, query: &Query<'_>) -> Vec<Ask> {
        let Some(mac) = mac_of(query) else { return Vec::new() };
        let asks = self.asks.lock().unwrap_or_else(PoisonError::into_inner);
        match query.packet.message_type() {
            Some(MessageType::Discover) => asks.before_discover(mac, query.packet.xid).to_vec(),
            _ => asks.before_latest(mac).to_vec(),
        }
    }

    /// What this client may ask for next is decided by all of these.
    pub(super) fn asks_of(&self, machine: Option<&Stored<Machine>>, mac: Option<Mac>) -> Vec<Ask> {
        let asks = self.asks.lock().unwrap_or_else(PoisonError::into_inner);
        let macs = machine.into_iter().flat_map(|machine| machine.spec.macs.iter().copied()).chain(mac);
        macs.map(|mac| asks.of(mac)).max_by_key(|asks| asks.len()).unwrap_or_default().to_vec()
    }

    /// Records a DISCOVER that gets a loader, or nothing because it goes round: that is an event.
    pub(super) fn asked(&self, query: &Query<'_>, gathered: &Gathered, decision: &Decision) {
        let Some(mac) = mac_of(query) else { return };
        if query.packet.message_type() != Some(MessageType::Discover) {
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
        let ask = Ask { xid: query.packet.xid, loader, at: now, served: stopped.is_none() };
        let is_new = self.asks.lock().unwrap_or_else(PoisonError::into_inner).add(mac, ask);
        if let Some(rule) = stopped.filter(|_| is_new) {
            warn_seldom!(%mac, reason = rule.detail, "a boot goes round and is stopped");
            self.note_dead_end(gathered, "boot.loop_stopped", json!({ "mac": mac, "reason": rule.detail }));
        }
    }

    /// A DISCOVER of a machine that should boot and for whom there is no loader.
    pub(super) fn without_loader(&self, query: &Query<'_>, gathered: &Gathered, decision: &Decision) {
        let lacks = decision.trace.iter().find(|rule| rule.rule == NO_LOADER && rule.matched);
        let (Some(rule), Some(mac), Some(_)) = (lacks, mac_of(query), &gathered.machine) else { return };
        if query.packet.message_type() == Some(MessageType::Discover) {
            warn_seldom!(%mac, reason = rule.detail, "there is no loader for a machine");
            self.note_dead_end(gathered, "boot.no_loader", json!({ "mac": mac, "reason": rule.detail }));
        }
    }

    fn note_dead_end(&self, gathered: &Gathered, kind: &str, data: serde_json::Value) {
        self.kernel.note(self.boot_event(kind, &about(gathered.machine.as_deref()), data));
    }

    /// A machine, or an unknown client, came to its script.
    pub(super) fn came_to_script(&self, machine: Option<&Stored<Machine>>, mac: Option<Mac>) {
        let mut asks = self.asks.lock().unwrap_or_else(PoisonError::into_inner);
        let macs = machine.into_iter().flat_map(|machine| machine.spec.macs.iter().copied()).chain(mac);
        macs.for_each(|mac| asks.forget(mac));
    }
}

fn mac_of(query: &Query<'_>) -> Option<Mac> {
    ClientKey::mac_of(query.packet)
}
