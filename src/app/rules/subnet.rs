//! Subnets: no two share an address, and their DHCP options are ones we can send.

use super::{Change, Managed};
use crate::model::{Probe, Problem, Subnet, SubnetMode};

impl Managed for Subnet {
    fn refused(&self, _change: &Change<'_, Self>) -> Vec<Problem> {
        let mut problems = super::options::faults(&self.options, "/options");
        for (i, pool) in self.pools.iter().enumerate() {
            problems.extend(super::options::faults(&pool.options, &format!("/pools/{i}/options")));
        }
        if self.mode == SubnetMode::Proxy {
            let what = "ProxyDHCP is not there yet: use `managed` or `address_only`";
            problems.push(Problem::new("/mode", what));
        }
        if self.probe != Probe::None {
            let what = "addresses are not probed yet: use `none`";
            problems.push(Problem::new("/probe", what));
        }
        problems
    }

    fn conflict(&self, change: &Change<'_, Self>) -> Option<String> {
        let mut others = change.world.subnets.iter().filter(|other| other.key != self.name);
        let other = others.find(|other| other.spec.cidr.overlaps(&self.cidr))?;
        Some(format!("{} overlaps subnet `{}` ({})", self.cidr, other.key, other.spec.cidr))
    }
}
