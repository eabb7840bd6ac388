//! Looks for a fresh address on the wire before it is offered. The address is held for its client meanwhile,
//! and only that client waits. Start reading at [`App::probed`].

use std::collections::HashSet;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use serde_json::json;
use tokio::time::{Instant, timeout_at};

use super::App;
use crate::dhcp::{
    self, Change, ClientKey, EventKind, Hold, HowToProbe, Link, Outcome, ProbeTarget, Probed, Prober, Query,
};
use crate::model::{Mac, NewEvent};

/// Addresses that are looked for in answer to one DISCOVER.
const PROBES_MAX: usize = 3;
/// Longest an OFFER waits for probes. Firmware asks again after a second (iPXE) or four.
const OFFER_WITHIN: Duration = Duration::from_millis(780);

/// A client within its network.
type Whose = (String, ClientKey);

/// Who can probe, and for whom that is being done.
#[derive(Default)]
pub(super) struct Probing {
    prober: OnceLock<Arc<dyn Prober>>,
    under_way: Mutex<HashSet<Whose>>,
}

/// A client whose address is being looked for; not any more when this is dropped.
struct UnderWay<'a> {
    probing: &'a Probing,
    whose: Whose,
}

impl Probing {
    fn is_under_way(&self, hold: &Hold) -> bool {
        let under_way = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        !under_way.is_empty() && under_way.contains(&(hold.network.clone(), hold.client.clone()))
    }

    fn begin(&self, hold: &Hold) -> Option<UnderWay<'_>> {
        let whose = (hold.network.clone(), hold.client.clone());
        let mut under_way = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        under_way.insert(whose.clone()).then_some(UnderWay { probing: self, whose })
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        let mut under_way = self.probing.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        under_way.remove(&self.whose);
    }
}

impl App {
    /// Who looks for addresses. Without one they are offered as they are.
    pub fn use_prober(&self, prober: Arc<dyn Prober>) {
        // Called once, at the start.
        let _ = self.probing.prober.set(prober);
    }

    /// What is decided for a packet, with a fresh address that was looked for. One that somebody answers for
    /// is kept back for a while, and another is decided on.
    pub(super) async fn probed(&self, query: &Query<'_>, decide: impl Fn() -> Outcome) -> Outcome {
        let mut outcome = decide();
        let Change::Hold { hold, .. } = &outcome.change else { return outcome };
        if self.probing.is_under_way(hold) {
            return Outcome::silence(EventKind::Ignored, "an address is being looked for already");
        }
        let Some((prober, how)) = self.probing.prober.get().zip(dhcp::how_to_probe(query, outcome.probe))
        else {
            return outcome;
        };
        let Some(_under_way) = self.probing.begin(hold) else { return outcome };
        let deadline = Instant::now() + OFFER_WITHIN;
        for _ in 0..PROBES_MAX {
            let Change::Hold { address, .. } = outcome.change else { return outcome };
            let interface = Arc::new(query.interface.clone());
            let probe = prober.probe(ProbeTarget { address, interface, how });
            let found = timeout_at(deadline, probe).await;
            let unknown = match found.unwrap_or_else(|_| Probed::Unable("the time was up".into())) {
                Probed::InUse(mac) if mac.is_none() || mac != client_mac(query) => {
                    if !Box::pin(self.keep_back(query, (address, how), mac)).await {
                        return Outcome::silence(EventKind::Ignored, "its address could not be kept back");
                    }
                    outcome = decide();
                    continue;
                }
                // Its own: it has not let go of it yet.
                Probed::Free | Probed::InUse(_) => return outcome,
                Probed::Unable(why) => why,
            };
            outcome.reason = format!("{}; nobody was asked whether it is in use: {unknown}", outcome.reason);
            return outcome;
        }
        self.release_hold(&outcome);
        let why = format!("{PROBES_MAX} addresses in a row are in use by others; the client will ask again");
        Outcome::silence(EventKind::PoolEmpty, why)
    }

    /// Puts an address that somebody answered for in quarantine.
    async fn keep_back(
        &self,
        query: &Query<'_>,
        (address, how): (Ipv4Addr, HowToProbe),
        mac: Option<Mac>,
    ) -> bool {
        let now = self.now();
        let lease = {
            let world = self.world();
            let Ok(link) = Link::select(query, &world) else { return false };
            dhcp::quarantine(&link, address, now)
        };
        let how = match how {
            HowToProbe::Arp => "arp",
            HowToProbe::Icmp => "icmp",
        };
        self.counters.dhcp_in_use.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let by = mac.map(|mac| mac.to_string());
        tracing::warn!(%address, mac = ?mac, how, "an address that was to be offered is in use");
        let event = NewEvent {
            time: now,
            kind: "dhcp.address_in_use".to_owned(),
            subject: format!("lease:{address}"),
            actor: "server".to_owned(),
            attempt: None,
            data: json!({
                "reason": format!("{} answers for {address}", by.as_deref().unwrap_or("somebody")),
                "address": address,
                "mac": mac,
                "probe": how,
                "subnet": lease.subnet,
                "kept_back_until": lease.expires_at,
                "wanted_by": client_mac(query),
            }),
        };
        let kept = self.write_lease(&lease, event, now).await;
        kept.inspect_err(|error| tracing::warn!(%error, %address, "it could not be kept back")).is_ok()
    }

    fn release_hold(&self, outcome: &Outcome) {
        if let Change::Hold { hold, .. } = &outcome.change {
            let mut holds = self.holds.lock().unwrap_or_else(PoisonError::into_inner);
            holds.release(&hold.network, &hold.client);
        }
    }
}

fn client_mac(query: &Query<'_>) -> Option<Mac> {
    ClientKey::mac_of(query.packet)
}
