//! The changesets of leases: when a client takes, releases or declines an address, and when an address goes
//! into quarantine. `lease_actions` has what operators do to leases.

use std::sync::Arc;

use jiff::Timestamp;

use crate::dhcp::Dhcp;
use crate::dhcp::lease_actions::{lease_event, without_address};
use crate::kernel::{Caller, Changeset, ChangesetRead, Error};
use crate::model::event::{DhcpRelease, LeaseNow};
use crate::model::{AddressKey, EventBody, Kind, Lease, LeaseState, NewEvent, Noun, Object, Stored, World};

impl Dhcp {
    /// Writes a lease, replacing the record of its address and any other lease of its client in the network.
    pub async fn write_lease(&self, lease: &Lease, event: NewEvent, now: Timestamp) -> Result<(), Error> {
        let changeset = self.kernel.read(|world| lease_changeset(world, lease, now)).event(event);
        self.kernel.commit(changeset).await?;
        Ok(())
    }
}

/// The writes that give a client a lease, and that end its lease of another address.
pub fn claim_changeset(world: &World, lease: &Lease, now: Timestamp) -> Changeset {
    let mut changeset = lease_changeset(world, lease, now);
    changeset.reads.push(filing(world, lease));
    changeset.events.extend(left_behind(world, lease, now));
    changeset
}

/// The writes that end a client's lease; its machine loses the address.
pub fn end_changeset(world: &World, lease: &Lease, now: Timestamp) -> Changeset {
    without_address(lease_changeset(world, lease, now), &Caller::server(now), (world, lease))
}

/// The writes of `changeset`, and the one that ends the quarantine of another address.
pub fn freed_changeset(changeset: Changeset, (world, freed): (&World, &Lease), now: Timestamp) -> Changeset {
    let Some(present) = world.leases.get(&AddressKey::from(freed.address)) else { return changeset };
    let mut next: Stored<Lease> = present.next(now);
    next.spec = freed.clone();
    changeset.update(Object::Lease(Arc::new(next)))
}

/// The event that ends the client's lease of another address, for the history of that address.
fn left_behind(world: &World, lease: &Lease, now: Timestamp) -> Option<NewEvent> {
    let (index, client) = lease.unique(&Default::default()).swap_remove(0);
    let left = world.leases.find(index, &client).map(|row| &row.spec)?;
    if left.address == lease.address || left.effective_state(now) != LeaseState::Bound {
        return None;
    }
    let reason = format!("its client has {} now", lease.address);
    let left_now = LeaseNow { moved_to: Some(lease.address), ..LeaseNow::new(left, reason) };
    let body = EventBody::DhcpReleased(DhcpRelease::Lease(left_now));
    Some(lease_event(&Caller::server(now), left, body))
}

/// The subnet that the lease was recorded under, as long as it is still on the same wire. If the subnet moved
/// meanwhile, it took its leases along, so the decision has to be made again.
pub(super) fn filing(world: &World, lease: &Lease) -> ChangesetRead {
    let subnet = world.subnets.get(&lease.subnet).filter(|subnet| subnet.spec.network() == lease.network);
    let held = world.subnets.held_key(&lease.subnet).cloned();
    ChangesetRead::Row {
        kind: Kind::Subnet,
        key: held.unwrap_or_else(|| lease.subnet.as_str().into()),
        version: subnet.map(|subnet| subnet.version()),
    }
}

/// The writes that store a lease. Each is checked against what the decision read: a lease that changed
/// meanwhile makes the changeset stale.
pub fn lease_changeset(world: &World, lease: &Lease, now: Timestamp) -> Changeset {
    let address = AddressKey::from(lease.address);
    let mut changeset = Changeset::default();
    for (index, value) in lease.unique(&Default::default()) {
        if let Some(other) = world.leases.find(index, &value)
            && *other.key != *address
        {
            changeset = changeset.delete(&Object::Lease(Arc::clone(other)));
        }
    }
    match world.leases.get(&address) {
        Some(present) => {
            let mut next: Stored<Lease> = present.next(now);
            next.spec = lease.clone();
            changeset.update(Object::Lease(Arc::new(next)))
        }
        None => {
            changeset.create(Object::Lease(Arc::new(Stored::new(address.to_string(), lease.clone(), now))))
        }
    }
}
