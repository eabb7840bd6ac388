//! Probes a fresh address before it is offered. The address is held for its client meanwhile, and only that
//! client waits. Start at `Dhcp::probed`.

use std::collections::HashSet;
use std::net::Ipv4Addr;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use crate::dhcp;
use crate::dhcp::Dhcp;
use crate::dhcp::decide::{
    AddressOffer, AddressProber, ClientKey, DhcpQuery, LateAnswer, PacketEvent, ProbeMethod, ProbeResult,
    ProbeTarget,
};
use crate::dhcp::exchange::{AttemptRecord, DecidedPacket};
use crate::dhcp::packet::OfferChange;
use crate::kernel::{Changeset, Error};
use crate::model::event::{AddressProbe, DhcpAddressInUse};
use crate::model::{AddressKey, Kind, Lease, LeaseState, Mac, NewEvent, Subnet};
use crate::netboot::identify::is_active;
use crate::rate_limit::warn_limited;

/// Most addresses that are probed for one DISCOVER.
const PROBES_MAX: usize = 3;
/// Longest delay of an OFFER by probes. Firmware asks again after one second (iPXE) or four.
const OFFER_WITHIN: Duration = Duration::from_millis(780);

/// Most decisions on a late answer whose lease changed meanwhile.
const DECISIONS_MAX: usize = 3;

/// An address for which another host answered.
#[derive(Clone, Copy)]
struct AddressInUse {
    address: Ipv4Addr,
    how: ProbeMethod,
    by: Option<Mac>,
    wanted_by: Option<Mac>,
}

/// A client within its network.
type NetworkClient = (String, ClientKey);

/// The prober, and the clients whose addresses are being probed.
#[derive(Default)]
pub struct ProbeTracker {
    prober: OnceLock<Arc<dyn AddressProber>>,
    /// Number of addresses that would have been offered but were in use.
    pub in_use: AtomicU64,
    under_way: Mutex<HashSet<NetworkClient>>,
}

/// Marks a client whose address is being probed; dropping it removes the mark.
struct ProbeSlot<'a> {
    probing: &'a ProbeTracker,
    whose: NetworkClient,
}

impl ProbeTracker {
    fn is_under_way(&self, hold: &AddressOffer) -> bool {
        let under_way = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        !under_way.is_empty() && under_way.contains(&(hold.network.clone(), hold.client.clone()))
    }

    fn begin(&self, hold: &AddressOffer) -> Option<ProbeSlot<'_>> {
        let whose = (hold.network.clone(), hold.client.clone());
        let mut under_way = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        under_way.insert(whose.clone()).then_some(ProbeSlot { probing: self, whose })
    }
}

impl Drop for ProbeSlot<'_> {
    fn drop(&mut self) {
        let mut under_way = self.probing.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        under_way.remove(&self.whose);
    }
}

impl Dhcp {
    /// Sets the prober. Without one, addresses are offered without a probe.
    pub fn use_prober(&self, prober: Arc<dyn AddressProber>) {
        // Called once, at the start.
        let _ = self.probing.prober.set(prober);
    }

    /// Probes the fresh address of a decision. If a host answers, the address goes into quarantine, and the
    /// packet is decided again.
    pub(super) async fn probed(&self, query: &DhcpQuery<'_>, decided: &mut DecidedPacket) {
        let OfferChange::Keep { hold, .. } = &decided.outcome.offer else { return };
        if self.probing.is_under_way(hold) {
            return decided
                .outcome
                .silence(PacketEvent::Ignored, "an address is being probed for this client already");
        }
        let wanted = dhcp::decide::how_to_probe(query, decided.outcome.probe);
        // This host answers for each address of a loopback network.
        let is_local = decided.outcome.address.is_some_and(|address| address.is_loopback());
        let wanted = wanted.filter(|_| !is_local);
        let Some((prober, how)) = self.probing.prober.get().zip(wanted) else { return };
        let Some(_under_way) = self.probing.begin(hold) else { return };
        let deadline = Instant::now() + OFFER_WITHIN;
        for _ in 0..PROBES_MAX {
            let OfferChange::Keep { address, .. } = decided.outcome.offer else { return };
            let interface = Arc::new(query.interface.clone());
            let probe = prober.probe(ProbeTarget { address, interface, client: client_mac(query), how });
            let found = timeout_at(deadline, probe).await;
            match found.unwrap_or_else(|_| ProbeResult::Unable("the time was up".into())) {
                ProbeResult::InUse(by) => {
                    let found = AddressInUse { address, how, by, wanted_by: client_mac(query) };
                    if !Box::pin(self.keep_back(&decided.outcome.offer, &found)).await {
                        return decided
                            .outcome
                            .silence(PacketEvent::Ignored, "its address could not be put into quarantine");
                    }
                    self.decide_again(query, decided);
                }
                ProbeResult::Free => return,
                ProbeResult::Unable(why) => {
                    let outcome = &mut decided.outcome;
                    outcome.add_reason(format_args!("the address was not probed: {why}"));
                    return;
                }
            }
        }
        self.release_hold(&decided.outcome.offer);
        let why =
            format!("{PROBES_MAX} addresses in a row are in use by other hosts; the client has to ask again");
        decided.outcome.silence(PacketEvent::PoolEmpty, why);
    }

    /// Decides on the same packet again. The new outcome has the notes of the first.
    fn decide_again(&self, query: &DhcpQuery<'_>, decided: &mut DecidedPacket) {
        let notes = std::mem::take(&mut decided.outcome.notes);
        *decided = self.decide_packet(query, AttemptRecord::Done);
        decided.outcome.notes = notes;
    }

    /// Puts an address for which a host answered into quarantine.
    async fn keep_back(&self, offer: &OfferChange, found: &AddressInUse) -> bool {
        let OfferChange::Keep { address, hold } = offer else { return false };
        let now = self.kernel.now();
        let lease = self.kernel.read(|world| {
            let mut subnets = world.subnets.iter().map(|row| &row.spec);
            let subnet = subnets.find(|subnet: &&Subnet| {
                subnet.enabled && subnet.network() == hold.network && subnet.cidr.contains(*address)
            })?;
            Some(dhcp::decide::quarantine(subnet, *address, now))
        });
        let Some(lease) = lease else { return false };
        let kept = self.write_lease(&lease, self.in_use(found, &lease, ""), now).await;
        kept.inspect_err(
            |error| warn_limited!(%error, %address, "the address could not be put into quarantine"),
        )
        .is_ok()
    }

    /// Handles an answer to a probe of an address that was offered already. The address goes into quarantine,
    /// so that the client is refused and asks for another one. If the client has taken it, the conflict is
    /// only reported, because the server cannot take the address back.
    pub async fn answered_late(&self, answer: LateAnswer) {
        let LateAnswer { address, how, mac } = answer;
        let found = AddressInUse { address, how, by: mac, wanted_by: None };
        for _ in 0..DECISIONS_MAX {
            let now = self.kernel.now();
            let (subnet, present) = self.kernel.read(|world| {
                let mut subnets = world.subnets.iter().map(|row| &row.spec);
                let subnet = subnets.find(|subnet| subnet.cidr.contains(address)).cloned();
                (subnet, world.leases.get(&AddressKey::from(address)).map(|row| row.spec.clone()))
            });
            let Some(subnet) = subnet else { return };
            if let Some(lease) = present.filter(|lease| is_active(lease, now)) {
                // A sender without a hardware address may be the client itself; see `LateAnswer`.
                if mac.is_some() && lease.mac != mac {
                    let late = ", which is leased to another: two hosts have one address";
                    let event = self.in_use(&AddressInUse { wanted_by: lease.mac, ..found }, &lease, late);
                    let told = self.kernel.commit(Changeset::default().event(event)).await;
                    told.map_err(|error| warn_limited!(%error, "an event was not written")).ok();
                }
                return;
            }
            match self.keep_back_late(&subnet, &found).await {
                Err(Error::Conflict(..)) => {}
                Err(error) => {
                    return warn_limited!(%error, %address, "the address could not be put into quarantine");
                }
                Ok(()) => return,
            }
        }
    }

    async fn keep_back_late(&self, subnet: &Subnet, found: &AddressInUse) -> Result<(), Error> {
        let now = self.kernel.now();
        let lease = dhcp::decide::quarantine(subnet, found.address, now);
        let hold = self.offers.lock().unwrap_or_else(PoisonError::into_inner).at(found.address, now).cloned();
        let wanted_by = hold.as_ref().and_then(|hold| hold.client.mac());
        let event =
            self.in_use(&AddressInUse { wanted_by, ..*found }, &lease, " when it was on offer already");
        self.write_lease(&lease, event, now).await?;
        if let Some(hold) = hold {
            let mut offers = self.offers.lock().unwrap_or_else(PoisonError::into_inner);
            offers.release(&hold.network, &hold.client);
        }
        Ok(())
    }

    /// Counts and reports an address that another host uses; `lease` is the record of that address.
    fn in_use(&self, found: &AddressInUse, lease: &Lease, when: &str) -> NewEvent {
        let AddressInUse { address, how, by, wanted_by } = found;
        let (probe, how) = match how {
            ProbeMethod::Arp => (AddressProbe::Arp, "arp"),
            ProbeMethod::Icmp => (AddressProbe::Icmp, "icmp"),
        };
        self.probing.in_use.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let name = by.map_or_else(|| "somebody".to_owned(), |mac| mac.to_string());
        tracing::warn!(%address, by = name, how, "an address that another host uses{when}");
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
            let mut offers = self.offers.lock().unwrap_or_else(PoisonError::into_inner);
            offers.release(&hold.network, &hold.client);
        }
    }
}

fn client_mac(query: &DhcpQuery<'_>) -> Option<Mac> {
    ClientKey::mac_of(query.packet)
}
