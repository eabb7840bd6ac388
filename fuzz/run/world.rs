//! A world with one of everything that a DHCP reply depends on, and the ways in which a packet can arrive.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::LazyLock;

use jiff::{SignedDuration, Timestamp};
use metalwright::dhcp::decide::{InterfaceAddress, NetworkInterface};
use metalwright::model::{Lease, LeaseState, Machine, Object, Reservation, Stored, Subnet, World};
use serde_json::{Value, json};

/// The time of all decisions.
pub const NOW: Timestamp = Timestamp::UNIX_EPOCH;
/// A machine that must boot its disk.
pub const DISK: [u8; 6] = [0x02, 0, 0, 0, 0, 0x11];

/// How a packet arrives: interface, the server's port, whether it was sent to the server's address or to all.
#[derive(Clone, Copy, Debug)]
pub struct Arrival {
    pub interface: usize,
    pub port: u16,
    pub direct: bool,
}

pub static ARRIVALS: LazyLock<Vec<Arrival>> = LazyLock::new(|| {
    let all = (0..INTERFACES.len()).flat_map(|interface| {
        [(67, false), (67, true), (4011, true)].map(|(port, direct)| Arrival { interface, port, direct })
    });
    all.collect()
});

pub static INTERFACES: LazyLock<Vec<NetworkInterface>> = LazyLock::new(|| {
    let networks = ["10.0.0.1/24", "10.7.0.1/24", "10.8.0.1/24", "10.9.0.1/31", "172.16.0.1/16"];
    let interface = |(at, text): (usize, &&str)| {
        let (address, prefix) = text.split_once('/').expect("an address and a prefix");
        let address = address.parse().expect("an address");
        let addresses = vec![InterfaceAddress { address, prefix: prefix.parse().expect("a prefix") }];
        let (name, index) = (format!("eth{at}"), u32::try_from(at).expect("a small number") + 2);
        NetworkInterface { name, index, addresses, mtu: 1500 }
    };
    networks.iter().enumerate().map(interface).collect()
});

impl Arrival {
    pub fn interface(self) -> &'static NetworkInterface {
        &INTERFACES[self.interface]
    }

    pub fn local(self) -> Option<Ipv4Addr> {
        self.direct.then(|| self.interface().addresses[0].address)
    }

    pub fn source(self, (ciaddr, giaddr): (Ipv4Addr, Ipv4Addr)) -> SocketAddrV4 {
        if giaddr.is_unspecified() { SocketAddrV4::new(ciaddr, 68) } else { SocketAddrV4::new(giaddr, 67) }
    }
}

pub static WORLD: LazyLock<World> = LazyLock::new(|| {
    let mut world = World::default();
    for value in subnets() {
        let subnet: Subnet = serde_json::from_value(value).expect("a subnet");
        world.put(Object::Subnet(Stored::new(subnet.name.clone(), subnet, NOW).into()));
    }
    for value in machines() {
        let machine: Machine = serde_json::from_value(value).expect("a machine");
        let id = format!("00000000-0000-7000-8000-{:012}", machine.macs[0].0[5]);
        world.put(Object::Machine(Stored::new(id, machine, NOW).into()));
    }
    for value in reservations() {
        let reservation: Reservation = serde_json::from_value(value).expect("a reservation");
        let key = reservation.address.to_string();
        world.put(Object::Reservation(Stored::new(key, reservation, NOW).into()));
    }
    for lease in leases() {
        world.put(Object::Lease(Stored::new(lease.address.to_string(), lease, NOW).into()));
    }
    world
});

fn subnets() -> Vec<Value> {
    let routes = ["10.1.0.0/16=10.0.0.2", "0.0.0.0/0=10.0.0.254"];
    vec![
        json!({"name": "managed", "cidr": "10.0.0.0/24", "authoritative": true, "bootp": true,
            "pools": [{"start": "10.0.0.100", "end": "10.0.0.120",
                "options": {"domain_name_servers": ["10.0.0.54"]}}],
            "excluded": [{"start": "10.0.0.105", "end": "10.0.0.106"}],
            "options": {"routers": ["10.0.0.254"], "domain_search": ["example.org", "a.example.org"],
                "classless_static_routes": routes, "ntp_servers": ["10.0.0.3"],
                "boot": {"code": 224, "hex": "00".repeat(300)}}}),
        json!({"name": "relayed", "cidr": "10.5.0.0/24", "relays": ["10.5.9.254"], "lease_seconds": 60,
            "pools": [{"start": "10.5.0.2", "end": "10.5.0.9"}], "options": {"domain_name": "b.example"}}),
        json!({"name": "linked", "cidr": "10.6.0.0/24", "pools": [{"start": "10.6.0.2", "end": "10.6.0.250"}],
            "ignore_link_selection": true, "always_broadcast": true}),
        json!({"name": "proxy", "cidr": "10.7.0.0/24", "mode": "proxy"}),
        json!({"name": "addresses", "cidr": "10.8.0.0/24", "mode": "address_only",
            "pools": [{"start": "10.8.0.100", "end": "10.8.0.101"}]}),
        json!({"name": "pair", "cidr": "10.9.0.0/31", "reservations_only": true, "next_server": "10.0.0.9"}),
        json!({"name": "wire-a", "cidr": "172.16.0.0/16", "shared_network": "wire",
            "pools": [{"start": "172.16.5.0", "end": "172.16.5.3"}]}),
        json!({"name": "wire-b", "cidr": "172.17.0.0/16", "shared_network": "wire", "probe": "arp",
            "pools": [{"start": "172.17.0.1", "end": "172.17.0.9"}]}),
        json!({"name": "off", "cidr": "10.11.0.0/24", "enabled": false,
            "pools": [{"start": "10.11.0.1", "end": "10.11.0.9"}]}),
    ]
}

fn machines() -> Vec<Value> {
    vec![
        json!({"name": "disk", "macs": ["02:00:00:00:00:11", "02:00:00:00:00:12"]}),
        json!({"name": "web1", "macs": ["02:00:00:00:00:01", "02:00:00:00:00:02"]}),
        json!({"name": "pi", "macs": ["b8:27:eb:00:00:03"]}),
    ]
}

fn reservations() -> Vec<Value> {
    vec![
        json!({"address": "10.0.0.20", "mac": "02:00:00:00:00:04", "next_server": "10.0.0.8",
            "options": {"host_name": "reserved", "routers": ["10.0.0.253"], "bootfile_size": 7}}),
        json!({"address": "10.0.0.21", "machine": "web1"}),
        json!({"address": "10.0.0.22", "client_id": "0xff00000001aabb"}),
        json!({"address": "10.5.0.23", "circuit_id": "eth1/7"}),
        json!({"address": "10.5.0.24", "circuit_id": "eth1/8", "remote_id": "0x0006c0ffee000001"}),
        json!({"address": "10.0.0.110", "mac": "02:00:00:00:00:05", "subnet": "managed"}),
        json!({"address": "10.9.0.0", "mac": "02:00:00:00:00:06"}),
        json!({"address": "10.8.0.100", "mac": "02:00:00:00:00:07"}),
    ]
}

fn leases() -> Vec<Lease> {
    let lease = |(address, mac, state, seconds): (&str, u8, LeaseState, i64)| {
        let address: Ipv4Addr = address.parse().expect("an address");
        let client = format!("1/02:00:00:00:00:{mac:02x}");
        let network = match address.octets()[1] {
            0 => "managed",
            5 => "relayed",
            _ => "wire",
        };
        let expires_at = NOW.checked_add(SignedDuration::from_secs(seconds)).expect("a time");
        let mac = client.strip_prefix("1/").and_then(|mac| mac.parse().ok());
        Lease {
            address,
            client,
            mac,
            state,
            subnet: network.to_owned(),
            network: network.to_owned(),
            bound_at: NOW,
            expires_at,
            machine: None,
            hostname: None,
        }
    };
    let all = [
        ("10.0.0.100", 0x01, LeaseState::Bound, 3600),
        ("10.0.0.101", 0x21, LeaseState::Bound, 3600),
        ("10.0.0.102", 0x22, LeaseState::Bound, -5),
        ("10.0.0.103", 0x23, LeaseState::Released, 0),
        ("10.0.0.104", 0x24, LeaseState::Declined, 600),
        ("10.0.0.110", 0x25, LeaseState::Bound, 600),
        ("10.5.0.2", 0x01, LeaseState::Expired, 0),
        ("172.16.5.0", 0x26, LeaseState::Bound, 600),
    ];
    all.into_iter().map(lease).collect()
}
