//! Who asks: the machine behind an address, a name in a URL, or a capability.

use std::net::{IpAddr, Ipv4Addr};

use jiff::Timestamp;
use uuid::Uuid;

use super::App;
use super::boot::Gathered;
use super::files::{About, Fetch, Refused};
use crate::boot::capability;
use crate::boot::namespace::Hint;
use crate::model::{AddressKey, Lease, LeaseState, Machine, Stored, World};

impl App {
    /// Who asks: by the address it asks from, else by what the URL says.
    pub(super) fn who(&self, fetch: &Fetch, hint: &Hint) -> Result<Gathered, Refused> {
        let world = self.world();
        let now = self.now();
        let by_address = self.machine_at(&world, fetch.peer);
        let by_name = hint.mac.and_then(|mac| world.machines.find("mac", &mac.to_string()));
        let machine = match (&by_address, by_name) {
            (Some(here), Some(named)) if here.key != named.key => {
                let why = format!(
                    "{} is the address of {}, not of {}",
                    fetch.peer, here.spec.name, named.spec.name
                );
                return Err(Refused::Denied(why));
            }
            // A machine with an address of ours speaks from it. Where another server gives the addresses
            // there is nothing to compare.
            (None, Some(named)) if has_other_address(&world, (named, fetch.peer), now) => {
                let why = format!("{} does not have the address {}", named.spec.name, fetch.peer);
                return Err(Refused::Denied(why));
            }
            (by_address, by_name) => by_address.as_ref().or(by_name),
        };
        Ok(Gathered::of(&world, &self.loaders, machine))
    }

    /// Whether nothing at all is known of who asks, so that it has to be asked.
    pub(super) fn is_stranger(&self, fetch: &Fetch, hint: &Hint) -> bool {
        let world = self.world();
        hint.mac.is_none() && world.leases.get(&fetch.peer.to_string()).is_none()
    }

    /// The attempt a capability stands for, and the facts of its machine.
    pub(super) fn holder(&self, capability: &str) -> Option<(Uuid, Gathered)> {
        let attempt = capability::open(&self.boot_key, capability)?;
        let world = self.world();
        let machine = world.machines.find("attempt", &attempt.to_string())?;
        Some((attempt, Gathered::of(&world, &self.loaders, Some(machine))))
    }
}

/// Whom a file is about: the machine and its boot attempt.
pub(super) fn about(machine: Option<&Stored<Machine>>) -> About {
    let attempt = machine.and_then(|machine| machine.status.boot_attempt.as_ref());
    About { machine: machine.map(|machine| machine.key.clone()), attempt: attempt.map(|attempt| attempt.id) }
}

/// Whether a machine holds a lease of ours on another address than this one.
fn has_other_address(world: &World, (machine, peer): (&Stored<Machine>, IpAddr), now: Timestamp) -> bool {
    let Some(held) = machine.status.address.filter(|held| IpAddr::V4(*held) != peer) else { return false };
    is_leased(world, held, now)
}

/// Whether an address has a lease of ours that runs.
pub(super) fn is_leased(world: &World, address: Ipv4Addr, now: Timestamp) -> bool {
    world.leases.get(&AddressKey::from(address)).is_some_and(|lease| is_active(&lease.spec, now))
}

pub(super) fn is_active(lease: &Lease, now: Timestamp) -> bool {
    lease.state == LeaseState::Bound && lease.expires_at > now
}
