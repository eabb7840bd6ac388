//! Looks for a fresh address on the wire before it is offered. The address is held for its client meanwhile,
//! and only that client waits. Start reading at `Dhcp::probed`.

use std::collections::HashSet;
use std::net::Ipv4Addr;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use crate::dhcp;
use crate::dhcp::Dhcp;
use crate::dhcp::decide::{
    ClientKey, Hold, HowToProbe, LateAnswer, PacketEvent, ProbeTarget, Probed, Prober, Query,
};
use crate::dhcp::exchange::{AttemptRecord, DecidedPacket};
use crate::dhcp::packet::OfferChange;
use crate::kernel::{Changeset, Error};
use crate::model::event::{AddressProbe, DhcpAddressInUse};
use crate::model::{AddressKey, Kind, Lease, LeaseState, Mac, NewEvent, Subnet};
use crate::netboot::identify::is_active;
use crate::seldom::warn_seldom;

/// Addresses that are looked for in answer to one DISCOVER.
const PROBES_MAX: usize = 3;
/// Longest an OFFER waits for probes. Firmware asks again after a second (iPXE) or four.
const OFFER_WITHIN: Duration = Duration::from_millis(780);

/// How often a late answer is looked at anew because its lease changed meanwhile.
const DECISIONS_MAX: usize = 3;

/// An address that somebody answered for.
#[derive(Clone, Copy)]
struct Found {
    address: Ipv4Addr,
    how: HowToProbe,
    by: Option<Mac>,
    wanted_by: Option<Mac>,
}

/// A client within its network.
type Whose = (String, ClientKey);

/// Who can probe, and for whom that is being done.
#[derive(Default)]
pub struct Probing {
    prober: OnceLock<Arc<dyn Prober>>,
    /// Addresses that were to be offered and were in use.
    pub in_use: AtomicU64,
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

impl Dhcp {
    /// Who looks for addresses. Without one they are offered as they are.
    pub fn use_prober(&self, prober: Arc<dyn Prober>) {
        // Called once, at the start.
        let _ = self.probing.prober.set(prober);
    }

    /// What is decided for a packet, with a fresh address that was looked for. One that somebody answers for
    /// is kept back for a while, and the packet is decided again.
    pub(super) async fn probed(&self, query: &Query<'_>, decided: &mut DecidedPacket) {
        let OfferChange::Keep { hold, .. } = &decided.outcome.offer else { return };
        if self.probing.is_under_way(hold) {
            return decided.outcome.silence(PacketEvent::Ignored, "an address is being looked for already");
        }
        let wanted = dhcp::decide::how_to_probe(query, decided.outcome.probe);
        let Some((prober, how)) = self.probing.prober.get().zip(wanted) else { return };
        let Some(_under_way) = self.probing.begin(hold) else { return };
        let deadline = Instant::now() + OFFER_WITHIN;
        for _ in 0..PROBES_MAX {
            let OfferChange::Keep { address, .. } = decided.outcome.offer else { return };
            let interface = Arc::new(query.interface.clone());
            let probe = prober.probe(ProbeTarget { address, interface, client: client_mac(query), how });
            let found = timeout_at(deadline, probe).await;
            match found.unwrap_or_else(|_| Probed::Unable("the time was up".into())) {
                Probed::InUse(by) => {
                    let found = Found { address, how, by, wanted_by: client_mac(query) };
                    if !Box::pin(self.keep_back(&decided.outcome.offer, &found)).await {
                        return decided
                            .outcome
                            .silence(PacketEvent::Ignored, "its address could not be kept back");
                    }
                    self.decide_again(query, decided);
                }
                Probed::Free => return,
                Probed::Unable(why) => {
                    let outcome = &mut decided.outcome;
                    outcome.add_reason(format_args!("nobody was asked whether it is in use: {why}"));
                    return;
                }
            }
        }
        self.release_hold(&decided.outcome.offer);
        let why = format!("{PROBES_MAX} addresses in a row are in use by others; the client will ask again");
        decided.outcome.silence(PacketEvent::PoolEmpty, why);
    }

    /// Another decision for the same packet, which shows what it showed before.
    fn decide_again(&self, query: &Query<'_>, decided: &mut DecidedPacket) {
        let notes = std::mem::take(&mut decided.outcome.notes);
        *decided = self.decide_packet(query, AttemptRecord::Done);
        decided.outcome.notes = notes;
    }

    /// Puts an address that somebody answered for in quarantine.
    async fn keep_back(&self, offer: &OfferChange, found: &Found) -> bool {
        let OfferChange::Keep { address, hold } = offer else { return false };
        let now = self.kernel.now();
        let lease = self.kernel.read(|world| {
            let mut subnets = world.subnets.iter().map(|row| &row.spec);
            let is_its_own = |subnet: &&Subnet| {
                subnet.enabled && subnet.network() == hold.network && subnet.cidr.contains(*address)
            };
            subnets.find(is_its_own).map(|subnet| dhcp::decide::quarantine(subnet, *address, now))
        });
        let Some(lease) = lease else { return false };
        let kept = self.write_lease(&lease, self.in_use(found, &lease, ""), now).await;
        kept.inspect_err(|error| warn_seldom!(%error, %address, "it could not be kept back")).is_ok()
    }

    /// Somebody answered a probe when the address was on offer already. It is kept back, so that the client
    /// is refused it and asks for another; one that the client has taken is only told of, as nothing takes it
    /// from the client again.
    pub async fn answered_late(&self, answer: LateAnswer) {
        let LateAnswer { address, how, mac } = answer;
        let found = Found { address, how, by: mac, wanted_by: None };
        for _ in 0..DECISIONS_MAX {
            let now = self.kernel.now();
            let (subnet, present) = self.kernel.read(|world| {
                let mut subnets = world.subnets.iter().map(|row| &row.spec);
                let subnet = subnets.find(|subnet| subnet.cidr.contains(address)).cloned();
                (subnet, world.leases.get(&AddressKey::from(address)).map(|row| row.spec.clone()))
            });
            let Some(subnet) = subnet else { return };
            if let Some(lease) = present.filter(|lease| is_active(lease, now)) {
                // Whoever has no name may be the client itself, see `LateAnswer`.
                if mac.is_some() && lease.mac != mac {
                    let late = ", which is leased to another: two hosts have one address";
                    let event = self.in_use(&Found { wanted_by: lease.mac, ..found }, &lease, late);
                    let told = self.kernel.commit(Changeset::default().event(event)).await;
                    told.map_err(|error| warn_seldom!(%error, "an event was not written")).ok();
                }
                return;
            }
            match self.keep_back_late(&subnet, &found).await {
                Err(Error::Conflict(_)) => {}
                Err(error) => return warn_seldom!(%error, %address, "it could not be kept back"),
                Ok(()) => return,
            }
        }
    }

    async fn keep_back_late(&self, subnet: &Subnet, found: &Found) -> Result<(), Error> {
        let now = self.kernel.now();
        let lease = dhcp::decide::quarantine(subnet, found.address, now);
        let hold = self.offers.lock().unwrap_or_else(PoisonError::into_inner).at(found.address, now).cloned();
        let wanted_by = hold.as_ref().and_then(|hold| hold.client.mac());
        let event = self.in_use(&Found { wanted_by, ..*found }, &lease, " when it was on offer already");
        self.write_lease(&lease, event, now).await?;
        if let Some(hold) = hold {
            let mut holds = self.offers.lock().unwrap_or_else(PoisonError::into_inner);
            holds.release(&hold.network, &hold.client);
        }
        Ok(())
    }

    /// Counts an address that is in use by another, and tells of it; `lease` is what is on record for it.
    fn in_use(&self, found: &Found, lease: &Lease, when: &str) -> NewEvent {
        let Found { address, how, by, wanted_by } = found;
        let (probe, how) = match how {
            HowToProbe::Arp => (AddressProbe::Arp, "arp"),
            HowToProbe::Icmp => (AddressProbe::Icmp, "icmp"),
        };
        self.probing.in_use.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let name = by.map_or_else(|| "somebody".to_owned(), |mac| mac.to_string());
        tracing::warn!(%address, by = name, how, "an address that is in use by another{when}");
        let in_use = DhcpAddressInUse {
            reason: format!("{name} answers for {address}{when}"),
            address: *address,
            mac: *by,
            probe,
            subnet: lease.subnet.clone(),
            kept_back_until: (lease.state == LeaseState::Declined).then_some(lease.expires_at),
            wanted_by: *wanted_by,
        };
        NewEvent::new(self.kernel.now(), in_use).about(Kind::Lease.subject(address))
    }

    fn release_hold(&self, offer: &OfferChange) {
        if let OfferChange::Keep { hold, .. } = offer {
            let mut holds = self.offers.lock().unwrap_or_else(PoisonError::into_inner);
            holds.release(&hold.network, &hold.client);
        }
    }
}

fn client_mac(query: &Query<'_>) -> Option<Mac> {
    ClientKey::mac_of(query.packet)
}
