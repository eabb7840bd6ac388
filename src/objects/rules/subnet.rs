//! Rules for subnets: no two share an address, their DHCP options can be sent, and a subnet whose addresses
//! come from another server has no fields about giving addresses.

use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};
use std::net::Ipv4Addr;
use std::sync::Arc;

use jiff::Timestamp;

use crate::dhcp::decide::{addresses_named, ready_options};
use crate::kernel::{Changeset, TrackedWorld};
use crate::model::{
    Cidr, Kind, Lease, NoStatus, Noun, Object, OptionSet, ProbeMode, Problem, RefusalCode, Stored, Subnet,
    SubnetMode, World,
};
use crate::objects::rules::{DependentObject, NounRules, ProposedWrite, RuleConflict, WriteCheck, in_use};
use crate::proto::dhcp4::codes;

impl NounRules for Subnet {
    const PROBLEMS_SEE: &'static [Kind] = &[Kind::Subnet];

    fn used_now(stored: &Stored<Self>, world: &TrackedWorld<'_>, now: Timestamp) -> Vec<DependentObject> {
        in_use::of_subnet(stored, (world, now))
    }

    fn write_checks(
        next: &Arc<Stored<Self>>,
        _old: Option<&Arc<Stored<Self>>>,
        _world: &TrackedWorld<'_>,
    ) -> Vec<WriteCheck> {
        let next = Arc::clone(next);
        vec![Box::new(move |_| refused(&next.spec))]
    }

    fn conflict(&self, change: &ProposedWrite<'_, Self>) -> Option<RuleConflict> {
        let others = || change.world.specs::<Subnet>().filter(|other| other.key != self.name);
        if let Some(other) = others().find(|other| other.spec.cidr.overlaps(&self.cidr)) {
            let reason = format!("{} overlaps subnet `{}` ({})", self.cidr, other.key, other.spec.cidr);
            return Some(RuleConflict::with(RefusalCode::Overlaps, other, reason));
        }
        if let Some(conflict) = others()
            .filter(|other| other.spec.network() != self.network())
            .find_map(|other: &Arc<Stored<Subnet>>| {
                Some(RuleConflict::with(RefusalCode::Taken, other, relay_of_two(self, &other.spec)?))
            })
            .or_else(|| {
                others().find_map(|other: &Arc<Stored<Subnet>>| {
                    Some(RuleConflict::with(
                        RefusalCode::Taken,
                        other,
                        shared_by_its_name(self, &other.spec)?,
                    ))
                })
            })
        {
            return Some(conflict);
        }
        let wire = self.shared_network.as_deref()?;
        let other = others().find(|other| {
            other.spec.shared_network.as_deref() == Some(wire) && is_proxy(&other.spec) != is_proxy(self)
        })?;
        let reason = format!(
            "subnet `{}` is on the shared network {wire} too: either all of its subnets are `proxy`, or none",
            other.key
        );
        Some(RuleConflict::with(RefusalCode::InUse, other, reason))
    }

    fn problems(stored: &Stored<Self>, world: &World) -> Vec<Problem> {
        let subnet = &stored.spec;
        let on_wire =
            world.subnets.iter().map(|row| &row.spec).filter(|other| other.network() == subnet.network());
        let wire: Vec<&Subnet> = on_wire.chain([subnet]).collect();
        let pools = subnet.pools.iter().enumerate();
        let pools = pools.map(|(i, pool)| (format!("/pools/{i}/options"), &pool.options));
        let places = std::iter::once(("/options".to_owned(), &subnet.options)).chain(pools);
        places.flat_map(|(pointer, options)| routers_elsewhere(options, (&pointer, &wire))).collect()
    }

    /// Updates the leases if the subnet's wire or addresses changed. Leases are read for no other reason:
    /// each new lease would overtake the change.
    fn cascade(next: &Stored<Self>, change: &ProposedWrite<'_, Self>, changeset: Changeset) -> Changeset {
        match change.old {
            Some(old) if network_place(&old.spec) == network_place(&next.spec) => changeset,
            _ => take_leases_along(next, change.world, changeset),
        }
    }
}

fn network_place(subnet: &Subnet) -> (String, Cidr) {
    (subnet.network().to_owned(), subnet.cidr)
}

fn is_proxy(subnet: &Subnet) -> bool {
    subnet.mode == SubnetMode::Proxy
}

fn refused(subnet: &Subnet) -> Vec<Problem> {
    let mut problems = super::options::faults(&subnet.options, "/options");
    for (i, pool) in subnet.pools.iter().enumerate() {
        problems.extend(super::options::faults(&pool.options, &format!("/pools/{i}/options")));
    }
    if subnet.mode == SubnetMode::Proxy {
        problems.extend(refused_beside_another_server(subnet));
    }
    problems
}

/// Routers that clients cannot reach, because they are in no network of the clients' wire. They are not
/// refused, because some clouds have such routers.
fn routers_elsewhere(options: &OptionSet, (pointer, wire): (&str, &[&Subnet])) -> Vec<Problem> {
    let routers = ready_options(options).iter().filter(|option| option.code == codes::ROUTERS);
    let found = routers.flat_map(|option| addresses_named(option).map(move |router| (option, router)));
    let found = found.filter(|(_, router)| !wire.iter().any(|subnet| subnet.cidr.contains(*router))).map(
        |(option, router)| {
            let what = format!("router {router} is outside of the subnet, where its clients cannot reach it");
            Problem::new(format!("{pointer}/{}", option.name), what).coded(RefusalCode::OutOfRange)
        },
    );
    found.collect()
}

/// A relay's address identifies one wire. The network that contains the address takes precedence over subnets
/// that list the relay, so listing it would have no effect. A relay that names the VRF of its clients may
/// have one address for all of them.
fn relay_of_two(subnet: &Subnet, other: &Subnet) -> Option<String> {
    let relay = relay_inside(subnet, other).or_else(|| relay_inside(other, subnet))?;
    Some(format!(
        "relay {relay} is one of subnet `{}` ({}): put both subnets on one `shared_network`, or have each \
         wire relayed from an address of its own",
        other.name, other.cidr
    ))
}

fn relay_inside(by: &Subnet, of: &Subnet) -> Option<Ipv4Addr> {
    let is_told_apart = by.vrf.is_some() && of.vrf.is_some() && by.vrf != of.vrf;
    let is_listed = |relay: &Ipv4Addr| !is_told_apart && of.relays.contains(relay);
    by.relays.iter().copied().find(|relay| of.cidr.contains(*relay) || is_listed(relay))
}

/// A subnet without a shared network is a wire with the subnet's own name. A shared network of the same name
/// would include the subnet although it does not say so.
fn shared_by_its_name(subnet: &Subnet, other: &Subnet) -> Option<String> {
    if subnet.network() != other.network() || subnet.shared_network == other.shared_network {
        return None;
    }
    let wire = subnet.network();
    Some(format!(
        "the shared network of subnet `{}` has the name of subnet `{wire}`, which is not on it: set \
         `shared_network: {wire}` on subnet `{wire}` first, or call the shared network something else",
        if subnet.shared_network.is_some() { &subnet.name } else { &other.name },
    ))
}

/// The leases of the subnet's addresses that are recorded under another name or wire, with the new ones. If
/// wires merge and a client has several leases, the one that was written last stays.
fn take_leases_along(next: &Stored<Subnet>, world: &TrackedWorld<'_>, changeset: Changeset) -> Changeset {
    let subnet = &next.spec;
    let here = world.specs::<Lease>().filter(|row| subnet.cidr.contains(row.spec.address));
    let mut moving: Vec<&Arc<Stored<Lease>>> =
        here.filter(|row| row.spec.subnet != subnet.name || row.spec.network != subnet.network()).collect();
    moving.sort_by_key(|row| Reverse(row.updated_at));
    let mut clients = HashSet::new();
    let mut gone = HashMap::new();
    let mut moved = Vec::new();
    for row in moving {
        let spec =
            Lease { subnet: subnet.name.clone(), network: subnet.network().to_owned(), ..row.spec.clone() };
        let (index, client) = spec.unique(&NoStatus {}).swap_remove(0);
        let other = world.holder::<Lease>(index, &client).filter(|other| other.key != row.key);
        let is_newest = other.is_none_or(|other| other.updated_at <= row.updated_at);
        if clients.insert(client) && is_newest {
            gone.extend(other.map(|other| (&other.key, other)));
            moved.push(Stored { spec, ..row.next(next.updated_at) });
        } else {
            gone.insert(&row.key, row);
        }
    }
    let changeset =
        gone.values().fold(changeset, |changeset, row| changeset.delete(&Object::Lease(Arc::clone(row))));
    moved.into_iter().fold(changeset, |changeset, row| changeset.update(Object::Lease(Arc::new(row))))
}

/// Fields about giving addresses in a subnet where this server gives none. They would have no effect, which
/// their writer does not expect.
fn refused_beside_another_server(subnet: &Subnet) -> Vec<Problem> {
    let set = [
        ("/pools", !subnet.pools.is_empty()),
        ("/excluded", !subnet.excluded.is_empty()),
        ("/options", !subnet.options.is_empty()),
        ("/reservations_only", subnet.reservations_only),
        ("/authoritative", subnet.authoritative),
        ("/bootp", subnet.bootp),
        ("/probe", subnet.probe.is_some_and(|how| how != ProbeMode::None)),
    ];
    let what = "a `proxy` subnet gets its addresses and options from another DHCP server: leave this out, or \
                use `managed`";
    set.iter()
        .filter(|(_, is_set)| *is_set)
        .map(|(pointer, _)| Problem::new(*pointer, what).coded(RefusalCode::Exclusive))
        .collect()
}

#[cfg(test)]
mod tests {
    use jiff::{SignedDuration, Timestamp};
    use serde_json::json;

    use super::*;
    use crate::houses::{Houses, testing};
    use crate::model::LeaseState;
    use crate::objects::patch::Patch;
    use crate::objects::write::{ExpectedRevision, WriteTarget};

    async fn put(houses: &Houses, (third, last): (u8, u8), subnet: &str, heard_at: Timestamp) {
        let lease = Lease {
            address: Ipv4Addr::new(10, 0, third, last),
            client: "1/02:00:00:00:00:01".to_owned(),
            mac: None,
            state: LeaseState::Bound,
            subnet: subnet.to_owned(),
            network: subnet.to_owned(),
            bound_at: heard_at,
            expires_at: heard_at + SignedDuration::from_hours(1),
            machine: None,
            hostname: None,
        };
        let stored = Stored::new(lease.address.to_string(), lease, heard_at);
        testing::put(houses, Object::Lease(stored.into())).await;
    }

    async fn join(houses: &Houses, subnet: &str) {
        let target = WriteTarget { reference: subnet, expected: ExpectedRevision::Any };
        let patch = Patch::Merge(json!({"shared_network": "wire"}));
        houses.objects.patch::<Subnet>(&testing::caller(), &target, &patch).await.unwrap();
    }

    #[tokio::test]
    async fn a_subnet_is_on_a_shared_network_of_its_name_only_if_it_says_so() {
        let (houses, caller) = (testing::houses(), testing::caller());
        let alone = json!({"name": "floor", "cidr": "10.0.1.0/24", "mode": "proxy"});
        houses.objects.create::<Subnet>(&caller, alone).await.unwrap();
        let lab = json!({"name": "lab", "cidr": "10.0.2.0/24", "shared_network": "floor"});
        let refused = houses.objects.create::<Subnet>(&caller, lab.clone()).await.unwrap_err().to_string();
        assert!(refused.contains("of subnet `lab` has the name of subnet `floor`"), "{refused}");
        let set =
            |value: serde_json::Value| Patch::Merge(json!({"shared_network": value, "mode": "managed"}));
        let target = |reference| WriteTarget { reference, expected: ExpectedRevision::Any };
        houses.objects.patch::<Subnet>(&caller, &target("floor"), &set(json!("floor"))).await.unwrap();
        houses.objects.create::<Subnet>(&caller, lab).await.unwrap();
        let leaves = houses.objects.patch::<Subnet>(&caller, &target("floor"), &set(json!(null))).await;
        let refused = leaves.unwrap_err().to_string();
        assert!(refused.contains("of subnet `lab` has the name of subnet `floor`"), "{refused}");
    }

    #[tokio::test]
    async fn two_wires_share_a_relay_only_if_it_tells_them_apart_by_their_vrfs() {
        let (houses, caller) = (testing::houses(), testing::caller());
        let wire = |name: &str, third: u8, vrf: &str| {
            let cidr = format!("10.0.{third}.0/24");
            json!({"name": name, "cidr": cidr, "relays": ["10.9.0.1"], "vrf": vrf})
        };
        houses.objects.create::<Subnet>(&caller, wire("a", 1, "blue")).await.unwrap();
        let same = houses.objects.create::<Subnet>(&caller, wire("b", 2, "blue")).await;
        assert!(same.unwrap_err().to_string().contains("relay 10.9.0.1 is one of subnet `a`"));
        houses.objects.create::<Subnet>(&caller, wire("b", 2, "red")).await.unwrap();
    }

    #[tokio::test]
    async fn a_router_outside_of_its_wire_is_a_problem_and_no_refusal() {
        let (houses, caller) = (testing::houses(), testing::caller());
        let told = |subnet: &str| -> Vec<String> {
            houses.kernel.read(|world| {
                let problems = Subnet::problems(world.subnets.get(subnet).unwrap(), world);
                problems.iter().map(ToString::to_string).collect()
            })
        };
        let pool = json!({"start": "10.0.1.9", "end": "10.0.1.9", "options": {"routers": ["10.0.2.1"]}});
        let lan = json!({"name": "lan", "cidr": "10.0.1.0/24", "shared_network": "wire", "pools": [pool],
            "options": {"routers": ["10.0.1.1", "10.9.0.1"]}});
        houses.objects.create::<Subnet>(&caller, lan).await.unwrap();
        let outside = |at: &str| format!("{at} is outside of the subnet, where its clients cannot reach it");
        let of_all = outside("/options/routers: router 10.9.0.1");
        assert_eq!(told("lan"), [of_all.clone(), outside("/pools/0/options/routers: router 10.0.2.1")]);
        let other = json!({"name": "b", "cidr": "10.0.2.0/24", "shared_network": "wire"});
        houses.objects.create::<Subnet>(&caller, other).await.unwrap();
        assert_eq!(told("lan"), [of_all], "the other one is on the wire");
    }

    #[tokio::test]
    async fn of_two_leases_on_wires_that_become_one_the_client_keeps_the_later() {
        let (houses, caller) = (testing::houses(), testing::caller());
        for (name, cidr) in [("a", "10.0.1.0/24"), ("b", "10.0.2.0/24")] {
            houses.objects.create::<Subnet>(&caller, json!({"name": name, "cidr": cidr})).await.unwrap();
        }
        put(&houses, (1, 5), "a", caller.now).await;
        put(&houses, (2, 5), "b", caller.now + SignedDuration::from_mins(1)).await;
        // A lease that a deleted subnet left behind.
        put(&houses, (2, 9), "c", caller.now - SignedDuration::from_mins(1)).await;
        for subnet in ["a", "b"] {
            join(&houses, subnet).await;
        }
        let left: Vec<_> =
            houses.kernel.read(|world| world.leases.iter().map(|row| row.spec.clone()).collect());
        let left: Vec<_> =
            left.iter().map(|lease| (lease.address.to_string(), lease.network.as_str())).collect();
        assert_eq!(left, [("10.0.2.5".to_owned(), "wire")]);
    }
}
