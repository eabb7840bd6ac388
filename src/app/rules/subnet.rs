//! Subnets: no two share an address, their DHCP options are ones we can send, and a subnet whose addresses
//! are another server's asks for nothing that takes addresses.

use super::{Change, Managed};
use crate::model::{Probe, Problem, Subnet, SubnetMode};

impl Managed for Subnet {
    fn refused(&self, _change: &Change<'_, Self>) -> Vec<Problem> {
        let mut problems = super::options::faults(&self.options, "/options");
        for (i, pool) in self.pools.iter().enumerate() {
            problems.extend(super::options::faults(&pool.options, &format!("/pools/{i}/options")));
        }
        if self.mode == SubnetMode::Proxy {
            problems.extend(refused_beside_another_server(self));
        }
        if self.probe != Probe::None {
            let what = "addresses are not probed yet: use `none`";
            problems.push(Problem::new("/probe", what));
        }
        problems
    }

    fn conflict(&self, change: &Change<'_, Self>) -> Option<String> {
        let others = || change.world.subnets.iter().filter(|other| other.key != self.name);
        if let Some(other) = others().find(|other| other.spec.cidr.overlaps(&self.cidr)) {
            return Some(format!("{} overlaps subnet `{}` ({})", self.cidr, other.key, other.spec.cidr));
        }
        let wire = self.shared_network.as_deref()?;
        let is_proxy = |subnet: &Subnet| subnet.mode == SubnetMode::Proxy;
        let other = others().find(|other| {
            other.spec.shared_network.as_deref() == Some(wire) && is_proxy(&other.spec) != is_proxy(self)
        })?;
        Some(format!(
            "subnet `{}` is on the shared network {wire} too: all of its subnets are `proxy`, or none is",
            other.key
        ))
    }
}

/// What says that we give addresses, where we do not. It would have no effect, and whoever wrote it expects
/// one.
fn refused_beside_another_server(subnet: &Subnet) -> Vec<Problem> {
    let set = [
        ("/pools", !subnet.pools.is_empty()),
        ("/excluded", !subnet.excluded.is_empty()),
        ("/options", !subnet.options.is_empty()),
        ("/reservations_only", subnet.reservations_only),
        ("/authoritative", subnet.authoritative),
        ("/bootp", subnet.bootp),
        ("/probe", subnet.probe != Probe::None),
    ];
    let what = "a `proxy` subnet has its addresses and options from another DHCP server: leave this out, or \
                use `managed`";
    set.iter().filter(|(_, is_set)| *is_set).map(|(pointer, _)| Problem::new(*pointer, what)).collect()
}
