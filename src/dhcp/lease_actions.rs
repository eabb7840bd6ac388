//! Ends of leases without a packet: by an operator, or by expiry. The machine's address is updated in the
//! same changeset.
//!
//! `leases` has what clients do to their leases, `lease_history` who had an address when.

use std::sync::Arc;

use futures_util::future::join_all;
use jiff::Timestamp;

use crate::dhcp::Dhcp;
use crate::kernel::{Caller, Changeset, Error, STALE_RETRIES_MAX, StoreError};
use crate::model::event::{DhcpRelease, LeaseNow, MachineAddressChanged, ObjectSnapshot};
use crate::model::{EventBody, Kind, Lease, LeaseState, NewEvent, Object, RefusalCode, Stored, World};
use crate::objects::write::WriteTarget;

/// Most leases that one call marks as expired.
pub const EXPIRED_AT_ONCE_MAX: usize = 1024;
/// Most of those commits that run at once.
const COMMITS_MAX: usize = 64;

/// The way in which an operator ends a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeaseEnding {
    /// As if its client had released it. The record stays, and with it the client's claim to the address.
    Release,
    /// As if it had expired.
    Expire,
    /// Deletes the record too.
    Delete,
}

impl Dhcp {
    /// Ends a lease now.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Stale`], [`Error::Conflict`] if the lease has ended already.
    pub async fn end_lease(
        &self,
        caller: &Caller,
        target: &WriteTarget<'_>,
        ending: LeaseEnding,
    ) -> Result<(), Error> {
        for _ in 0..STALE_RETRIES_MAX {
            let changeset = self.prepare_ending(caller, target, ending)?;
            match self.kernel.try_commit(changeset).await {
                Ok(_) => return Ok(()),
                Err(StoreError::Stale { .. }) => continue,
                Err(other) => return Err(self.kernel.refusal(caller, other)),
            }
        }
        let what = format!("lease {} is being changed by many at once; try again", target.reference);
        Err(Error::Busy(what))
    }

    /// The changeset that ends a lease, for the lease as it is.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Stale`]; [`Error::Conflict`] for a lease that has ended already.
    pub fn prepare_ending(
        &self,
        caller: &Caller,
        target: &WriteTarget<'_>,
        ending: LeaseEnding,
    ) -> Result<Changeset, Error> {
        self.kernel.read(|world| {
            let lease = caller.find::<Lease>(world, target.reference)?;
            target.check(lease)?;
            let state = match ending {
                LeaseEnding::Delete => {
                    let event = lease_event(caller, &lease.spec, deleted(lease));
                    let changeset =
                        Changeset::default().delete(&Object::Lease(Arc::clone(lease))).event(event);
                    return Ok(without_address(changeset, caller, (world, &lease.spec)));
                }
                LeaseEnding::Release => LeaseState::Released,
                LeaseEnding::Expire => LeaseState::Expired,
            };
            if !is_in_effect(&lease.spec, caller.now) {
                let (address, at) = (lease.spec.address, lease.spec.expires_at);
                let why = format!("the lease of {address} has ended already, at {at}");
                return Err(Error::Conflict(RefusalCode::Ended, why));
            }
            let ended = Lease { state, expires_at: caller.now, ..lease.spec.clone() };
            let now = LeaseNow::new(&ended, "an operator ended it");
            let body = match state {
                LeaseState::Released => EventBody::DhcpReleased(DhcpRelease::Lease(now)),
                _ => EventBody::DhcpExpired(now),
            };
            let event = lease_event(caller, &ended, body);
            Ok(ending_changeset(caller, world, lease, ended, event))
        })
    }

    /// Marks expired leases, a bounded number per call; returns how many were marked. If that is
    /// [`EXPIRED_AT_ONCE_MAX`], there may be more.
    ///
    /// # Errors
    /// Those of the store; leases that were marked before stay marked.
    pub async fn expire_leases(&self, now: Timestamp) -> Result<usize, Error> {
        if !self.lease_clock.is_steady(now) {
            return Ok(0);
        }
        let ran_out = |lease: &&Arc<Stored<Lease>>| lease.spec.effective_state(now) != lease.spec.state;
        let due: Vec<String> = self.kernel.read(|world| {
            let due = world.leases.iter().filter(ran_out).map(|lease| lease.key.clone());
            due.take(EXPIRED_AT_ONCE_MAX).collect()
        });
        let caller = Caller::server(now);
        for keys in due.chunks(COMMITS_MAX) {
            let changesets: Vec<Changeset> = self.kernel.read(|world| {
                let leases = keys.iter().filter_map(|key| world.leases.get(key)).filter(ran_out);
                leases.map(|lease| expiry(&caller, world, lease)).collect()
            });
            for done in
                join_all(changesets.into_iter().map(|changeset| self.kernel.try_commit(changeset))).await
            {
                match done {
                    // The client renewed the lease at the last moment, or the next round tries again.
                    Ok(_) | Err(StoreError::Stale { .. }) => {}
                    Err(other) => return Err(other.into()),
                }
            }
        }
        Ok(due.len())
    }
}

fn expiry(caller: &Caller, world: &World, lease: &Arc<Stored<Lease>>) -> Changeset {
    let ended = Lease { state: LeaseState::Expired, ..lease.spec.clone() };
    let now = LeaseNow::new(&ended, "its client did not renew it");
    let event = lease_event(caller, &ended, EventBody::DhcpExpired(now));
    ending_changeset(caller, world, lease, ended, event)
}

fn ending_changeset(
    caller: &Caller,
    world: &World,
    lease: &Arc<Stored<Lease>>,
    ended: Lease,
    event: NewEvent,
) -> Changeset {
    let mut next = lease.next(caller.now);
    next.spec = ended;
    let changeset = Changeset::default().update(Object::Lease(Arc::new(next))).event(event);
    without_address(changeset, caller, (world, &lease.spec))
}

/// Adds to a changeset that the machine with the lease's address loses it.
pub fn without_address(changeset: Changeset, caller: &Caller, (world, lease): (&World, &Lease)) -> Changeset {
    let Some(machine) = world.machines.find("address", &lease.address.to_string()) else { return changeset };
    let mut next = machine.next_status(caller.now);
    next.status.address = None;
    let changed = MachineAddressChanged { address: None, was: Some(lease.address.into()) };
    let event = caller.event_about(&next, changed);
    changeset.update(Object::Machine(Arc::new(next))).event(event)
}

/// An event in the life of a lease, about its machine if it has one.
pub fn lease_event(caller: &Caller, lease: &Lease, body: impl Into<EventBody>) -> NewEvent {
    let machine = lease.machine.map(|id| Kind::Machine.subject(id));
    caller.event(body).about(machine.unwrap_or_else(|| Kind::Lease.subject(lease.address)))
}

fn deleted(lease: &Stored<Lease>) -> EventBody {
    let ObjectSnapshot { name, revision, object } = crate::objects::view::snapshot(lease);
    EventBody::LeaseDeleted(LeaseNow {
        name: Some(name),
        revision: Some(revision),
        object: Some(object),
        ..LeaseNow::new(&lease.spec, "an operator deleted it")
    })
}

/// Whether the lease keeps its address from other clients.
fn is_in_effect(lease: &Lease, now: Timestamp) -> bool {
    lease.expires_at > now && !matches!(lease.state, LeaseState::Released | LeaseState::Expired)
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;
    use serde_json::json;

    use super::*;
    use crate::houses::{Houses, testing};
    use crate::kernel::EventQuery;
    use crate::model::{EventKind, Machine};
    use crate::objects::write::ExpectedRevision;

    fn lease(caller: &Caller, last: u8) -> Lease {
        let mac = format!("02:00:00:00:00:{last:02x}").parse().unwrap();
        Lease {
            address: std::net::Ipv4Addr::new(10, 0, 0, last),
            client: format!("1/{mac}"),
            mac: Some(mac),
            state: LeaseState::Bound,
            subnet: "lan".into(),
            network: "lan".into(),
            bound_at: caller.now,
            expires_at: caller.now + SignedDuration::from_secs(60),
            machine: None,
            hostname: None,
        }
    }

    async fn put(houses: &Houses, lease: Lease, now: Timestamp) {
        let stored = Stored::new(lease.address.to_string(), lease, now);
        testing::put(houses, Object::Lease(stored.into())).await;
    }

    fn target(reference: &str) -> WriteTarget<'_> {
        WriteTarget { reference, expected: ExpectedRevision::Any }
    }

    async fn machine_at(houses: &Houses, caller: &Caller, lease: &Lease) -> String {
        let made = houses.objects.create::<Machine>(caller, json!({"name": "web1"})).await.unwrap();
        let changed = houses.kernel.change::<Machine>(&made.key, caller.now, |next| {
            next.status.address = Some(lease.address.into());
            Ok(Vec::new())
        });
        changed.await.unwrap();
        made.key
    }

    #[tokio::test]
    async fn a_released_lease_keeps_its_record_and_its_machine_has_no_address() {
        let (houses, caller) = (testing::houses(), testing::caller());
        let mut lease = lease(&caller, 5);
        let machine = machine_at(&houses, &caller, &lease).await;
        lease.machine = machine.parse().ok();
        put(&houses, lease.clone(), caller.now).await;
        houses.dhcp.end_lease(&caller, &target("10.0.0.5"), LeaseEnding::Release).await.unwrap();
        let ended = houses.kernel.get::<Lease>("10.0.0.5").unwrap();
        let expected = Lease { state: LeaseState::Released, expires_at: caller.now, ..lease };
        assert_eq!(ended.spec, expected);
        assert_eq!(houses.kernel.get::<Machine>(&machine).unwrap().status.address, None);
        let events = houses.kernel.events(EventQuery { limit: 100, ..Default::default() }).await.unwrap();
        let last: Vec<_> =
            events.iter().rev().take(2).map(|e| (e.body.kind().unwrap(), e.actor.as_str())).collect();
        let (changed, released) = (EventKind::MachineAddressChanged, EventKind::DhcpReleased);
        assert_eq!(last, [(changed, "token:admin"), (released, "token:admin")]);
        let again = houses.dhcp.end_lease(&caller, &target("10.0.0.5"), LeaseEnding::Expire).await;
        assert!(matches!(&again, Err(Error::Conflict(_, why)) if why.contains("ended already")), "{again:?}");
    }

    #[tokio::test]
    async fn a_quarantine_can_be_lifted_and_a_record_deleted() {
        let (houses, caller) = (testing::houses(), testing::caller());
        let declined = Lease { state: LeaseState::Declined, mac: None, ..lease(&caller, 5) };
        put(&houses, declined, caller.now).await;
        houses.dhcp.end_lease(&caller, &target("10.0.0.5"), LeaseEnding::Expire).await.unwrap();
        assert_eq!(houses.kernel.get::<Lease>("10.0.0.5").unwrap().spec.state, LeaseState::Expired);
        houses.dhcp.end_lease(&caller, &target("10.0.0.5"), LeaseEnding::Delete).await.unwrap();
        assert!(houses.kernel.get::<Lease>("10.0.0.5").is_err());
        let none = houses.dhcp.end_lease(&caller, &target("10.0.0.5"), LeaseEnding::Release).await;
        assert!(matches!(none, Err(Error::NotFound { .. })));
    }

    #[tokio::test]
    async fn leases_that_ran_out_are_marked_once_and_others_left_alone() {
        let (houses, caller) = (testing::houses(), testing::caller());
        put(&houses, lease(&caller, 5), caller.now).await;
        let longer = caller.now + SignedDuration::from_secs(600);
        put(&houses, Lease { expires_at: longer, ..lease(&caller, 6) }, caller.now).await;
        put(&houses, Lease { state: LeaseState::Released, ..lease(&caller, 7) }, caller.now).await;
        let later = caller.now + SignedDuration::from_secs(60);
        assert_eq!(houses.dhcp.expire_leases(later).await.unwrap(), 1);
        assert_eq!(houses.dhcp.expire_leases(later).await.unwrap(), 0);
        let state = |key: &str| houses.kernel.get::<Lease>(key).unwrap().spec.state;
        let states = ["10.0.0.5", "10.0.0.6", "10.0.0.7"].map(state);
        assert_eq!(states, [LeaseState::Expired, LeaseState::Bound, LeaseState::Released]);
        assert_eq!(houses.kernel.get::<Lease>("10.0.0.5").unwrap().spec.expires_at, later);
        let events = houses.kernel.events(EventQuery { limit: 100, ..Default::default() }).await.unwrap();
        let last = events.last().unwrap();
        let kind = last.body.kind().unwrap();
        assert_eq!((kind, last.subject.as_str()), (EventKind::DhcpExpired, "lease:10.0.0.5"));
    }
}
