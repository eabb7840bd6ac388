//! What is written of leases: when a client takes one, gives it back or declines it, and when an address is
//! kept back. What operators do to leases is in `lease_actions`.

use std::sync::Arc;

use jiff::Timestamp;

use crate::dhcp::Dhcp;
use crate::dhcp::lease_actions::{lease_event, without_address};
use crate::kernel::{Caller, Changeset, ChangesetRead, Error};
use crate::model::event::{DhcpRelease, LeaseNow};
use crate::model::{AddressKey, EventBody, Kind, Lease, LeaseState, NewEvent, Noun, Object, Stored, World};

impl Dhcp {
    /// Writes a lease in place of the record of its address and of any other of its client in the network.
    pub async fn write_lease(&self, lease: &Lease, event: NewEvent, now: Timestamp) -> Result<(), Error> {
        let changeset = self.kernel.read(|world| lease_changeset(world, lease, now)).event(event);
        self.kernel.commit(changeset).await?;
        Ok(())
    }
}

/// The writes by which a client has a lease, and what it leaves behind at another address.
pub fn claim_changeset(world: &World, lease: &Lease, now: Timestamp) -> Changeset {
    let mut changeset = lease_changeset(world, lease, now);
    changeset.reads.push(filing(world, lease));
    changeset.events.extend(left_behind(world, lease, now));
    changeset
}

/// The writes by which a client gives an address up: its machine has it no more.
pub fn end_changeset(world: &World, lease: &Lease, now: Timestamp) -> Changeset {
    without_address(lease_changeset(world, lease, now), &Caller::server(now), (world, lease))
}

/// The end of the lease that a client had at another address until it took this one, for the history of that
/// address.
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

/// What a lease was filed by: its subnet, as long as that is on the wire that the lease says. A subnet that
/// has moved in the meantime has taken along the leases there were, so the decision is made anew.
pub(super) fn filing(world: &World, lease: &Lease) -> ChangesetRead {
    let subnet = world.subnets.get(&lease.subnet).filter(|subnet| subnet.spec.network() == lease.network);
    let held = world.subnets.held_key(&lease.subnet).cloned();
    ChangesetRead::Row {
        kind: Kind::Subnet,
        key: held.unwrap_or_else(|| lease.subnet.as_str().into()),
        version: subnet.map(|subnet| subnet.version()),
    }
}

/// The writes that put a lease in place. Each is checked against what the decision saw: a lease that changed
/// meanwhile refuses the changeset.
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
