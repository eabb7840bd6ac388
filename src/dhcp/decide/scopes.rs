//! The five scopes of DHCP options, in order of precedence. Start at [`OptionScopes::effective`].

use std::collections::BTreeMap;
use std::fmt;
use std::net::Ipv4Addr;

use crate::dhcp::decide::{MatchedClasses, ready_options};
use crate::model::{Machine, Pool, ReadyOption, Reservation, Stored, Subnet};

/// The scope that an option comes from. A later scope wins over an earlier one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum OptionScope<'a> {
    Subnet(&'a str),
    Pool(&'a Pool),
    Reservation(Ipv4Addr),
    Machine(&'a str),
    ClientClass(&'a str),
}

impl OptionScope<'_> {
    /// The name of the scope.
    pub fn scope(&self) -> &'static str {
        match self {
            OptionScope::Subnet(_) => "subnet",
            OptionScope::Pool(_) => "pool",
            OptionScope::Reservation(_) => "reservation",
            OptionScope::Machine(_) => "machine",
            OptionScope::ClientClass(_) => "client_class",
        }
    }
}

/// The name of the object; a pool is shown as its range.
impl fmt::Display for OptionScope<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            OptionScope::Subnet(name) | OptionScope::Machine(name) | OptionScope::ClientClass(name) => {
                f.write_str(name)
            }
            OptionScope::Pool(pool) => write!(f, "{} - {}", pool.start, pool.end),
            OptionScope::Reservation(address) => write!(f, "{address}"),
        }
    }
}

/// Everything that may have options for one client.
#[derive(Clone, Copy, Debug)]
pub struct OptionScopes<'a> {
    pub subnet: Option<&'a Subnet>,
    pub pool: Option<&'a Pool>,
    pub reservation: Option<&'a Reservation>,
    pub machine: Option<&'a Stored<Machine>>,
    pub classes: &'a MatchedClasses,
}

impl<'a> OptionScopes<'a> {
    /// The options for a client by code, each from the highest scope that has it.
    pub fn effective(&self) -> BTreeMap<u8, (OptionScope<'a>, &'a ReadyOption)> {
        let subnet = self.subnet.map(|subnet| (OptionScope::Subnet(&subnet.name), &subnet.options));
        let pool = self.pool.map(|pool| (OptionScope::Pool(pool), &pool.options));
        let reservation =
            self.reservation.map(|kept| (OptionScope::Reservation(kept.address), &kept.options));
        let machine =
            self.machine.map(|machine| (OptionScope::Machine(&machine.spec.name), &machine.spec.options));
        let classes =
            self.classes.iter().map(|class| (OptionScope::ClientClass(&class.name), &class.options));
        let layers = [subnet, pool, reservation, machine].into_iter().flatten().chain(classes);
        let mut effective = BTreeMap::new();
        for (origin, options) in layers {
            effective.extend(ready_options(options).iter().map(|option| (option.code, (origin, option))));
        }
        effective
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ReadyValue;
    use serde_json::json;

    #[test]
    fn every_scope_wins_over_those_below_and_the_origin_says_which_it_was() {
        let subnet: Subnet = serde_json::from_value(json!({
            "name": "lan", "cidr": "10.0.0.0/24", "options": {"interface_mtu": 1, "domain_name": "a"},
            "pools": [{"start": "10.0.0.1", "end": "10.0.0.9", "options": {"interface_mtu": 2}}],
        }))
        .unwrap();
        let reservation: Reservation =
            serde_json::from_value(json!({"address": "10.0.0.5", "options": {"interface_mtu": 3}})).unwrap();
        let machine: Machine =
            serde_json::from_value(json!({"name": "web1", "options": {"interface_mtu": 4}})).unwrap();
        let machine = Stored::new("id".into(), machine, jiff::Timestamp::UNIX_EPOCH);
        let classes = MatchedClasses::default();
        let bottom = OptionScopes {
            subnet: Some(&subnet),
            pool: None,
            reservation: None,
            machine: None,
            classes: &classes,
        };
        let pool = OptionScopes { pool: subnet.pools.first(), ..bottom };
        let reserved = OptionScopes { reservation: Some(&reservation), ..pool };
        let known = OptionScopes { machine: Some(&machine), ..reserved };
        for (scopes, value, origin) in [
            (bottom, 1, "subnet lan"),
            (pool, 2, "pool 10.0.0.1 - 10.0.0.9"),
            (reserved, 3, "reservation 10.0.0.5"),
            (known, 4, "machine web1"),
        ] {
            let effective = scopes.effective();
            let (from, option) = effective[&26];
            assert_eq!(option.value, ReadyValue::Bytes(vec![0, value]));
            assert_eq!(format!("{} {from}", from.scope()), origin);
            assert_eq!(effective[&15].0.scope(), "subnet");
        }
    }
}
