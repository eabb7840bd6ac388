//! The findings of `doctor dhcp` about networks: how full the pools are, which relays were seen, and which
//! packets were not answered. Pure.

use crate::cli::doctor::findings::{Finding, Level, line};
use crate::model::{DhcpStatus, SubnetMode, SubnetStatus};

/// How full a subnet is.
pub(super) fn pools(subnet: &SubnetStatus, status: &DhcpStatus) -> Finding {
    let SubnetStatus { name, cidr, pool_addresses, leased, quarantined, reserved, free, .. } = subnet;
    let mode = match subnet.mode {
        SubnetMode::Managed => "addresses and boot data",
        SubnetMode::AddressOnly => "addresses only",
        SubnetMode::Proxy => "boot data only",
    };
    let what = format!("subnet {name}");
    let counts = format!(
        "{leased} of {pool_addresses} addresses leased, {reserved} reserved, {quarantined} in use by others, \
         {free} free"
    );
    let others = status.subnets.iter().filter(|other| other.enabled && other.network == subnet.network);
    match (subnet.mode, *free, *pool_addresses) {
        (SubnetMode::Proxy, ..) => line(Level::Ok, what, format!("{cidr}, {mode}")),
        (_, _, 0) => line(
            Level::Warn,
            what,
            format!("{cidr}, {mode}; it has no pools: only reservations are answered"),
        ),
        (_, 0, _) if others.map(|other| other.free).sum::<u64>() > 0 => {
            line(Level::Warn, what, format!("{cidr}, {mode}; {counts}: others on its wire have"))
        }
        (_, 0, _) => line(
            Level::Fail,
            what,
            format!("{cidr}, {mode}; {counts}: a wider pool, or a shorter lease_seconds"),
        ),
        _ => line(Level::Ok, what, format!("{cidr}, {mode}; {counts}")),
    }
}

/// The enabled subnets that are on no interface: relays or a shared wire serve them.
pub(super) fn behind_relays(status: &DhcpStatus) -> Vec<Finding> {
    let on_interfaces: Vec<&String> =
        status.interfaces.iter().filter_map(|served| served.subnet.as_ref()).collect();
    let relays = status.relays.iter().filter_map(|relay| relay.subnet.as_ref());
    let reached: Vec<&String> = relays.chain(on_interfaces.iter().copied()).collect();
    let elsewhere =
        status.subnets.iter().filter(|subnet| subnet.enabled && !on_interfaces.contains(&&subnet.name));
    let found = elsewhere.map(|subnet| {
        let mut finding = pools(subnet, status);
        let mut of_its_network = status.subnets.iter().filter(|other| other.network == subnet.network);
        if !of_its_network.any(|other| reached.contains(&&other.name)) {
            finding.found.push_str("; it is on no interface that is served, and no relay of it was seen yet");
        }
        finding
    });
    found.collect()
}

pub(super) fn relays(status: &DhcpStatus) -> Vec<Finding> {
    let found = status.relays.iter().map(|relay| {
        let what = format!("relay {}", relay.address);
        let seen = format!("{} packets on {}", relay.packets, relay.interface);
        match &relay.subnet {
            Some(subnet) => line(Level::Ok, what, format!("{seen}, for subnet {subnet}")),
            None => line(
                Level::Fail,
                what,
                format!(
                    "{seen}, and no enabled subnet fits: create the subnet that contains {0}, or name {0} in \
                     `relays` of the subnet that it relays for",
                    relay.address
                ),
            ),
        }
    });
    found.collect()
}

pub(super) fn unserved(status: &DhcpStatus) -> Vec<Finding> {
    let found = status.unserved.iter().map(|unserved| {
        let mac = unserved.mac.map(|mac| format!(" of {mac}")).unwrap_or_default();
        let what = format!(
            "{} packets left alone, the last{mac} at {:.0}: {}",
            unserved.packets, unserved.last_seen, unserved.reason
        );
        line(Level::Warn, unserved.interface.as_str(), what)
    });
    found.collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn subnet(name: &str, network: &str, free: u64) -> Value {
        json!({"name": name, "network": network, "cidr": "10.0.0.0/24", "mode": "managed", "enabled": true,
            "pool_addresses": 9, "leased": 9 - free, "quarantined": 0, "reserved": 0, "free": free})
    }

    fn status(subnets: &[Value]) -> DhcpStatus {
        let time = "2026-11-20T10:00:00Z";
        let example = json!({"event": "dhcp.offered", "reason": "x", "address": null});
        serde_json::from_value(json!({
            "warnings": [], "unserved": [], "unserved_packets": 0, "servers": [], "subnets": subnets,
            "service": {"enabled": true, "port": 67, "boot_http_port": 8080, "hears_servers": true,
                "receives": true, "probes_arp": true, "probes_icmp": true},
            "interfaces": [{"name": "eth1", "addresses": [], "mtu": 1500, "subnet": "lan",
                "example": example}],
            "relays": [{"address": "10.1.0.1", "interface": "eth1", "subnet": "far", "packets": 3,
                "last_seen": time}],
        }))
        .unwrap()
    }

    #[test]
    fn a_full_subnet_behind_a_relay_is_told() {
        let status = status(&[subnet("lan", "lan", 4), subnet("far", "far", 0), subnet("lost", "lost", 1)]);
        let told = behind_relays(&status);
        assert_eq!((told[0].level, told[0].what.as_str()), (Level::Fail, "subnet far"));
        assert!(told[0].found.ends_with("a wider pool, or a shorter lease_seconds"), "{}", told[0].found);
        assert_eq!((told[1].level, told.len()), (Level::Ok, 2));
        assert!(told[1].found.ends_with("no relay of it was seen yet"), "{}", told[1].found);
    }

    #[test]
    fn a_full_subnet_is_no_fault_while_another_on_its_wire_is_not() {
        let status = status(&[subnet("lan", "wire", 4), subnet("far", "wire", 0)]);
        let told = behind_relays(&status);
        assert_eq!(told[0].level, Level::Warn);
        assert!(told[0].found.ends_with("others on its wire have"), "{}", told[0].found);
    }
}
