//! The variables `subnet` and `reservation` of templates: the network that a machine is in, and the address
//! that is kept for it.

use std::net::{IpAddr, Ipv4Addr};

use serde_json::{Value, json};

use crate::model::{Machine, OptionSet, Reservation, Stored, Subnet, World};

/// The reservation and the subnet of a machine; each is null if there is none. The subnet is that of the
/// machine's address, or else of the reserved one.
pub fn network_variables(world: &World, machine: Option<&Stored<Machine>>) -> [(&'static str, Value); 2] {
    let held = machine.and_then(|machine| machine.status.address).and_then(|address| match address {
        IpAddr::V4(address) => Some(address),
        IpAddr::V6(_) => None,
    });
    let reservation = machine.and_then(|machine| reservation_of(world, machine, held));
    let address = held.or(reservation.map(|reservation| reservation.address));
    let subnet = address.and_then(|address| world.subnet_of(address));
    [
        ("subnet", subnet.map_or(Value::Null, subnet_variable)),
        ("reservation", reservation.map_or(Value::Null, reservation_variable)),
    ]
}

/// A subnet as templates see it.
pub fn subnet_variable(subnet: &Subnet) -> Value {
    let Subnet { cidr, options, .. } = subnet;
    let routers = written_list(options, "routers");
    json!({
        "name": subnet.name,
        "cidr": cidr,
        "address": cidr.address,
        "prefix": cidr.prefix,
        "netmask": cidr.mask(),
        "broadcast": cidr.broadcast(),
        "gateway": routers.first().cloned().unwrap_or_default(),
        "dns_servers": written_list(options, "domain_name_servers"),
        "domain": options.get("domain_name").and_then(Value::as_str).unwrap_or_default(),
        "shared_network": subnet.shared_network.clone().unwrap_or_default(),
        "options": options,
    })
}

fn reservation_variable(reservation: &Reservation) -> Value {
    let Reservation { address, options, .. } = reservation;
    json!({
        "address": address,
        "mac": reservation.mac.map(|mac| mac.to_string()).unwrap_or_default(),
        "subnet": reservation.subnet.clone().unwrap_or_default(),
        "options": options,
    })
}

/// The texts of an option that is written as one text or as a list of texts.
fn written_list(options: &OptionSet, name: &str) -> Vec<String> {
    match options.get(name) {
        Some(Value::String(text)) => vec![text.clone()],
        Some(Value::Array(members)) => {
            members.iter().filter_map(|member| member.as_str().map(str::to_owned)).collect()
        }
        _ => Vec::new(),
    }
}

/// The reservation of the machine's address, or else the first one of the machine.
fn reservation_of<'w>(
    world: &'w World,
    machine: &Stored<Machine>,
    held: Option<Ipv4Addr>,
) -> Option<&'w Reservation> {
    if let Some(row) = held.and_then(|address| world.reservations.get(&address.to_string())) {
        return Some(&row.spec);
    }
    let Machine { name, macs, .. } = &machine.spec;
    world.reservations_of(macs, Some(name.as_str())).next()
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::model::Noun;

    fn add<T: Noun>(world: &mut World, spec: Value) {
        let spec: T = serde_json::from_value(spec).unwrap();
        let key = spec.key().unwrap_or_default();
        world.put(T::object(std::sync::Arc::new(Stored::new(key, spec, Timestamp::UNIX_EPOCH))));
    }

    fn variables(address: Option<&str>) -> (Value, Value) {
        let mut world = World::default();
        add::<Subnet>(
            &mut world,
            json!({
                "name": "lan", "cidr": "10.0.4.0/22",
                "options": {
                    "routers": ["10.0.4.1"], "domain_name_servers": "10.0.4.2", "domain_name": "x.org",
                },
            }),
        );
        add::<Reservation>(
            &mut world,
            json!({"address": "10.0.7.9", "machine": "web1", "options": {"a": 1}}),
        );
        let spec = serde_json::from_value(json!({"name": "web1"})).unwrap();
        let mut machine = Stored::<Machine>::new("id".into(), spec, Timestamp::UNIX_EPOCH);
        machine.status.address = address.map(|address| address.parse().unwrap());
        let [(_, subnet), (_, reservation)] = network_variables(&world, Some(&machine));
        (subnet, reservation)
    }

    #[test]
    fn a_machine_is_in_the_subnet_of_its_address() {
        let (subnet, reservation) = variables(Some("10.0.5.77"));
        for (field, value) in [
            ("name", json!("lan")),
            ("netmask", json!("255.255.252.0")),
            ("broadcast", json!("10.0.7.255")),
            ("gateway", json!("10.0.4.1")),
            ("dns_servers", json!(["10.0.4.2"])),
            ("domain", json!("x.org")),
        ] {
            assert_eq!(subnet[field], value, "{field}");
        }
        assert_eq!(reservation["address"], "10.0.7.9");
    }

    #[test]
    fn an_address_is_found_in_its_subnet_among_few_and_among_many() {
        let mut world = World::default();
        for number in 0..300_u32 {
            let address = Ipv4Addr::from(0x0a00_0000 + number * 512);
            add::<Subnet>(&mut world, json!({"name": format!("s{number}"), "cidr": format!("{address}/24")}));
            let found = world.subnet_of(Ipv4Addr::from(0x0a00_0007)).map(|subnet| subnet.name.as_str());
            assert_eq!(found, Some("s0"));
            assert!(world.subnet_of(Ipv4Addr::from(0x0a00_0107)).is_none(), "between two of {number}");
        }
    }

    #[test]
    fn before_a_machine_has_an_address_its_reservation_says_where_it_will_be() {
        let (subnet, reservation) = variables(None);
        assert_eq!((&subnet["name"], &reservation["options"]["a"]), (&json!("lan"), &json!(1)));
        let (elsewhere, _) = variables(Some("192.168.1.1"));
        assert_eq!(elsewhere, Value::Null);
    }
}
