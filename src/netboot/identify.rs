//! Identifies the client of a request: by its address, a name in the URL, or a capability.

use std::net::IpAddr;

use jiff::Timestamp;
use serde_json::Value;
use uuid::Uuid;

use crate::artifacts::opened::{FetchRefusal, FileSubject};
use crate::catalog::params::set_value;
use crate::model::{AddressKey, ContentView, Lease, LeaseState, Machine, Stored, World, settings};
use crate::netboot::Netboot;
use crate::netboot::boot_facts::BootFacts;
use crate::netboot::decide::namespace::ClientHint;
use crate::netboot::files::Fetch;

/// The param with the network configuration of the installed system.
const NETWORK: &str = "network";

impl Netboot {
    /// The facts of the client: by its address, or else by what the URL says.
    pub fn who(&self, fetch: &Fetch, hint: &ClientHint) -> Result<BootFacts, FetchRefusal> {
        self.kernel.read(|world| {
            let now = self.kernel.now();
            let by_address = self.machine_at(world, fetch.peer);
            let by_name = hint.mac.and_then(|mac| world.machines.find("mac", &mac.to_string()));
            if let Some(why) = by_name
                .and_then(|named| why_foreign(world, (named, by_address.as_deref()), (fetch.peer, now)))
            {
                return Err(FetchRefusal::Denied(why));
            }
            let machine = by_name.or(by_address.as_ref());
            Ok(BootFacts::of(world, &self.loaders, machine))
        })
    }

    /// Whether nothing is known about the client, so that it must be asked to identify itself.
    pub fn is_stranger(&self, fetch: &Fetch, hint: &ClientHint) -> bool {
        self.kernel
            .read(|world| hint.mac.is_none() && world.leases.get(&AddressKey::from(fetch.peer)).is_none())
    }

    /// Why a machine's own file is refused to a peer that sent the right capability. The capability may have
    /// been read from the network or from the machine's console.
    pub fn why_not_from(&self, machine: &Stored<Machine>, peer: IpAddr) -> Option<String> {
        self.kernel.read(|world| {
            let here = self.machine_at(world, peer);
            why_foreign(world, (machine, here.as_deref()), (peer, self.kernel.now()))
        })
    }

    /// The attempt that a capability was issued for, and the facts of its machine.
    pub fn holder(&self, capability: &str) -> Option<(Uuid, BootFacts)> {
        let attempt = self.catalog.attempt_of(capability)?;
        self.kernel.read(|world| {
            let machine = world.machines.find("attempt", &attempt.to_string())?;
            Some((attempt, BootFacts::of(world, &self.loaders, Some(machine))))
        })
    }
}

/// The subject of a file: the machine and its boot attempt.
pub fn about(machine: Option<&Stored<Machine>>) -> FileSubject {
    let attempt = machine.and_then(|machine| machine.status.boot_attempt.as_ref());
    FileSubject {
        machine: machine.map(|machine| machine.key.clone()),
        attempt: attempt.map(|attempt| attempt.id),
        mirror: None,
    }
}

/// Why a peer's address cannot be this machine's: it belongs to another machine, or the machine has a lease
/// of this server on another address. If another server gives the addresses, nothing can be compared.
fn why_foreign(
    world: &World,
    (machine, here): (&Stored<Machine>, Option<&Stored<Machine>>),
    (peer, now): (IpAddr, Timestamp),
) -> Option<String> {
    let name = &machine.spec.name;
    let what = match here {
        Some(here) if here.key == machine.key => return None,
        Some(here) => format!("{peer} is the address of {}, not of {name}", here.spec.name),
        // An installer that has switched to the address of the installed system.
        None if is_static_address(world, (machine, peer)) => return None,
        None if has_other_address(world, (machine, peer), now) => {
            format!("{name} does not have the address {peer}")
        }
        None => return None,
    };
    let way_out = "an installer with a static address, or addresses translated on the way, need the setting \
                   own_address_only false";
    (world.setting(settings::OWN_ADDRESS_ONLY) != Value::Bool(false)).then(|| format!("{what}; {way_out}"))
}

/// Whether the machine's param `network` gives it this address.
fn is_static_address(world: &World, (machine, peer): (&Stored<Machine>, IpAddr)) -> bool {
    let content = ContentView::of_machine(world, &machine.status);
    let stage = machine.status.stage.as_ref().and_then(|name| content.stage(name));
    let network = set_value(content, (Some(&machine.spec), stage.map(|stage| &stage.spec)), NETWORK);
    let address = network.and_then(|network| network.get("address")).and_then(Value::as_str);
    address.and_then(|address| address.parse().ok()) == Some(peer)
}

/// Whether the machine has a lease of this server on another address.
fn has_other_address(world: &World, (machine, peer): (&Stored<Machine>, IpAddr), now: Timestamp) -> bool {
    let Some(held) = machine.status.address.filter(|held| *held != peer) else { return false };
    is_leased(world, held, now)
}

/// Whether the address has a current lease of this server.
pub fn is_leased(world: &World, address: IpAddr, now: Timestamp) -> bool {
    world.leases.get(&AddressKey::from(address)).is_some_and(|lease| is_active(&lease.spec, now))
}

pub fn is_active(lease: &Lease, now: Timestamp) -> bool {
    lease.state == LeaseState::Bound && lease.expires_at > now
}
