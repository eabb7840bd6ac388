//! Rules for reservations: inside of their subnet, and one per client in it.

use std::sync::Arc;

use jiff::Timestamp;

use crate::kernel::TrackedWorld;
use crate::model::{Kind, Problem, RefusalCode, Reservation, Stored, Subnet, World};
use crate::objects::rules::{DependentObject, NounRules, ProposedWrite, RuleConflict, WriteCheck, in_use};

impl NounRules for Reservation {
    const PROBLEMS_SEE: &'static [Kind] = &[Kind::Subnet];

    fn used_now(stored: &Stored<Self>, world: &TrackedWorld<'_>, _now: Timestamp) -> Vec<DependentObject> {
        in_use::of_reservation(stored, world)
    }

    fn write_checks(
        next: &Arc<Stored<Self>>,
        _old: Option<&Arc<Stored<Self>>>,
        _world: &TrackedWorld<'_>,
    ) -> Vec<WriteCheck> {
        let next = Arc::clone(next);
        vec![Box::new(move |_| super::options::faults(&next.spec.options, "/options"))]
    }

    fn refused(&self, change: &ProposedWrite<'_, Self>) -> Vec<Problem> {
        outside(self, change.world).into_iter().collect()
    }

    fn conflict(&self, change: &ProposedWrite<'_, Self>) -> Option<RuleConflict> {
        let here = subnet(self, change.world);
        let others = change.world.specs::<Reservation>().filter(|other| other.key != change.key);
        let mut others = others.filter(|other| who(&other.spec) == who(self));
        let other = others.find(|other| subnet(&other.spec, change.world) == here)?;
        let reason = format!("{} has the reservation {} in this subnet already", who(self), other.key);
        Some(RuleConflict::with(RefusalCode::Taken, other, reason))
    }

    fn problems(stored: &Stored<Self>, world: &World) -> Vec<Problem> {
        let spec = &stored.spec;
        let world = &TrackedWorld::untracked(world);
        let nowhere = spec.subnet.is_none() && subnet(spec, world).is_none();
        let nowhere = nowhere.then(|| {
            Problem::new("/address", format!("{} is in no subnet", spec.address))
                .coded(RefusalCode::OutOfRange)
        });
        nowhere.into_iter().chain(outside(spec, world)).collect()
    }
}

/// The client of the reservation, in words.
fn who(spec: &Reservation) -> String {
    let mut words = Vec::new();
    words.extend(spec.mac.map(|mac| mac.to_string()));
    words.extend(spec.machine.as_ref().map(|name| format!("machine `{name}`")));
    words.extend(spec.client_id.as_ref().map(|id| format!("client `{id}`")));
    words.extend(spec.circuit_id.as_ref().map(|id| format!("circuit `{id}`")));
    words.extend(spec.remote_id.as_ref().map(|id| format!("remote `{id}`")));
    words.join(", ")
}

fn outside(spec: &Reservation, world: &TrackedWorld<'_>) -> Option<Problem> {
    let subnet = world.get::<Subnet>(subnet(spec, world)?)?;
    let cidr = subnet.spec.cidr;
    let fits = cidr.contains(spec.address)
        && (cidr.prefix >= 31 || (spec.address != cidr.address && spec.address != cidr.broadcast()));
    (!fits).then(|| {
        let what = format!("{} is not a host's address in subnet `{}` ({cidr})", spec.address, subnet.key);
        Problem::new("/address", what).coded(RefusalCode::OutOfRange)
    })
}

/// The subnet that the reservation names, or the one that contains its address.
fn subnet<'a>(spec: &'a Reservation, world: &TrackedWorld<'a>) -> Option<&'a str> {
    spec.subnet.as_deref().or_else(|| {
        (world.specs::<Subnet>().find(|subnet| subnet.spec.cidr.contains(spec.address)))
            .map(|subnet| subnet.key.as_str())
    })
}
