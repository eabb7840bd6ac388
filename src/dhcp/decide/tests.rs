//! Properties of all packets, and of many clients at once.

use std::collections::HashSet;
use std::net::{Ipv4Addr, SocketAddrV4};

use jiff::Timestamp;
use proptest::prelude::*;

use crate::dhcp::decide::{
    ClientKey, DhcpAnswer, DhcpQuery, InterfaceAddress, LeaseChange, NetworkInterface, OpenOffers,
    PacketFacts, answer,
};
use crate::model::{Kind, Lease, LeaseState, Object, Reservation, Stored, Subnet, World};
use crate::netboot::decide::BootData;
use crate::proto::dhcp4::{DhcpPacket, MessageType, encode_listed, from_text, parse};

mod allocation;

const NOW: Timestamp = Timestamp::UNIX_EPOCH;

fn interface() -> NetworkInterface {
    let address = InterfaceAddress { address: Ipv4Addr::new(10, 0, 0, 1), prefix: 16 };
    NetworkInterface { name: "eth1".into(), index: 2, addresses: vec![address], mtu: 1500 }
}

fn world(last: Ipv4Addr) -> World {
    let subnet: Subnet = serde_json::from_value(serde_json::json!({
        "name": "a", "cidr": "10.0.0.0/16",
        "pools": [{ "start": "10.0.1.0", "end": last }],
    }))
    .unwrap();
    let mut world = World::default();
    world.put(Object::Subnet(Stored::new("a".into(), subnet, NOW).into()));
    world
}

/// A small server: it decides, and keeps in memory what the store would keep.
struct SmallServer {
    world: World,
    offers: OpenOffers,
    now: Timestamp,
}

impl SmallServer {
    fn new(last: Ipv4Addr) -> Self {
        SmallServer { world: world(last), offers: OpenOffers::default(), now: NOW }
    }

    fn serve(&mut self, packet: &DhcpPacket) -> DhcpAnswer {
        let interface = interface();
        let source = SocketAddrV4::new(packet.ciaddr, 68);
        let query = DhcpQuery { packet, interface: &interface, source, local: None, port: 67 };
        let boot = BootData::Tftp { next_server: Ipv4Addr::new(10, 0, 0, 1), file: "snponly.efi".into() };
        let facts = PacketFacts { boot: boot.into(), ..PacketFacts::gather(query, &self.world) };
        let outcome = answer(&facts, &self.offers, self.now);
        match &outcome.change {
            LeaseChange::None => {}
            LeaseChange::Hold { address, hold } => {
                assert!(self.offers.hold(*address, hold.clone(), self.now))
            }
            LeaseChange::Forget { network, client } => self.offers.release(network, client),
            LeaseChange::Claim(lease) => self.claim(lease),
            LeaseChange::Release(lease) => self.put(lease),
            LeaseChange::Decline { lease, freed } => {
                [Some(lease), freed.as_ref()].into_iter().flatten().for_each(|lease| self.put(lease))
            }
        }
        outcome
    }

    fn claim(&mut self, lease: &Lease) {
        let holder = self.world.leases.get(&lease.address.to_string()).map(|row| &row.spec);
        let is_taken = holder.is_some_and(|other| {
            other.client != lease.client && other.expires_at > self.now && other.state != LeaseState::Released
        });
        assert!(!is_taken, "{} belongs to another", lease.address);
        let before = self.world.leases.find("client", &format!("{} {}", lease.network, lease.client));
        if let Some(before) = before.map(|row| row.key.clone()) {
            self.world.remove(Kind::Lease, &before);
        }
        self.put(lease);
        self.offers.release(&lease.network, &ClientKey::from(lease));
    }

    fn put(&mut self, lease: &Lease) {
        self.world.put(Object::Lease(Stored::new(lease.address.to_string(), lease.clone(), self.now).into()));
    }

    fn wait(&mut self, seconds: i64) {
        self.now = self.now.checked_add(jiff::SignedDuration::from_secs(seconds)).unwrap();
    }
}

fn packet(kind: &str, client: u32, more: &str) -> DhcpPacket {
    let [_, a, b, c] = client.to_be_bytes();
    let text = format!("xid {client}\nchaddr 02:00:00:{a:02x}:{b:02x}:{c:02x}\nmessage_type {kind}\n{more}");
    from_text(&text).unwrap()
}

fn offered(outcome: &DhcpAnswer) -> Option<Ipv4Addr> {
    outcome.reply.as_ref().map(|reply| reply.packet.yiaddr)
}

#[test]
fn five_hundred_clients_at_once_are_offered_five_hundred_addresses() {
    let mut server = SmallServer::new(Ipv4Addr::new(10, 0, 8, 255));
    let offers: HashSet<_> =
        (0..500).map(|n| offered(&server.serve(&packet("discover", n, ""))).unwrap()).collect();
    assert_eq!(offers.len(), 500);
    for client in 0..500 {
        let address = offered(&server.serve(&packet("discover", client, ""))).unwrap();
        let request = format!("server_identifier 10.0.0.1\nrequested_address {address}");
        let ack = server.serve(&packet("request", client, &request)).reply.unwrap();
        assert_eq!(ack.packet.message_type(), Some(MessageType::Ack));
    }
    assert_eq!((server.world.leases.len(), server.offers.len()), (500, 0));
}

#[test]
fn a_pool_of_which_every_address_was_used_is_used_again_oldest_first() {
    let mut server = SmallServer::new(Ipv4Addr::new(10, 0, 1, 3));
    for client in 0..4 {
        let address = offered(&server.serve(&packet("discover", client, ""))).unwrap();
        let more = format!("server_identifier 10.0.0.1\nrequested_address {address}");
        server.serve(&packet("request", client, &more));
        server.wait(1);
    }
    assert_eq!(offered(&server.serve(&packet("discover", 9, ""))), None);
    server.wait(7200);
    assert_eq!(offered(&server.serve(&packet("discover", 9, ""))), Some(Ipv4Addr::new(10, 0, 1, 0)));
    assert_eq!(offered(&server.serve(&packet("discover", 3, ""))), Some(Ipv4Addr::new(10, 0, 1, 3)));
}

#[test]
fn a_reserved_address_is_never_picked_for_another() {
    let mut server = SmallServer::new(Ipv4Addr::new(10, 0, 1, 1));
    let reservation: Reservation =
        serde_json::from_value(serde_json::json!({"address": "10.0.1.0", "mac": "02:00:00:00:00:07"}))
            .unwrap();
    server.world.put(Object::Reservation(Stored::new("10.0.1.0".into(), reservation, NOW).into()));
    assert_eq!(offered(&server.serve(&packet("discover", 1, ""))), Some(Ipv4Addr::new(10, 0, 1, 1)));
    assert_eq!(offered(&server.serve(&packet("discover", 2, "requested_address 10.0.1.0"))), None);
    assert_eq!(offered(&server.serve(&packet("discover", 7, ""))), Some(Ipv4Addr::new(10, 0, 1, 0)));
}

fn options() -> impl Strategy<Value = Vec<(u8, Vec<u8>)>> {
    proptest::collection::vec((any::<u8>(), proptest::collection::vec(any::<u8>(), 0..20)), 0..12)
}

/// The steps of a random story: which client, what it does, how much time passes before.
fn steps() -> impl Strategy<Value = Vec<(u32, u8, i64)>> {
    proptest::collection::vec((0..6u32, 0..6u8, prop_oneof![Just(0), 1..200i64, 3000..5000i64]), 1..60)
}

proptest! {
    /// An offered address is acknowledged if it is requested at once, and no two clients have one address at
    /// the same time.
    #[test]
    fn offers_are_kept_and_no_address_has_two_clients(steps in steps()) {
        let mut server = SmallServer::new(Ipv4Addr::new(10, 0, 1, 4));
        for (client, action, wait) in steps {
            server.wait(wait);
            let own = server.world.leases.iter().map(|row| row.spec.clone()).find(|lease| {
                lease.client.ends_with(&format!(":{client:02x}")) && lease.state == LeaseState::Bound
            });
            let own = own.map_or(Ipv4Addr::new(10, 0, 1, 2), |lease| lease.address);
            match action {
                0 => drop(server.serve(&packet("discover", client, ""))),
                1 => drop(server.serve(&packet("release", client, &format!("ciaddr {own}")))),
                2 => drop(server.serve(&packet("decline", client, &format!("requested_address {own}")))),
                3 => drop(server.serve(&packet("request", client, &format!("ciaddr {own}")))),
                4 => drop(server.serve(&packet("request", client, &format!("requested_address {own}")))),
                _ => {
                    let offer = server.serve(&packet("discover", client, ""));
                    let Some(address) = offered(&offer) else { continue };
                    let more = format!("server_identifier 10.0.0.1\nrequested_address {address}");
                    let outcome = server.serve(&packet("request", client, &more));
                    let reply = outcome.reply.as_ref().map(|reply| reply.packet.message_type());
                    prop_assert_eq!(reply, Some(Some(MessageType::Ack)), "{}", outcome.reason);
                }
            }
            let active = server.world.leases.iter().filter(|row| row.spec.state == LeaseState::Bound);
            let clients: Vec<_> = active.map(|row| row.spec.client.clone()).collect();
            let distinct: HashSet<_> = clients.iter().collect();
            prop_assert_eq!(distinct.len(), clients.len(), "one lease a client");
        }
    }

    #[test]
    fn no_packet_panics_the_decision(
        mut bytes in proptest::collection::vec(any::<u8>(), 240..700),
        message in 0..9u8,
        options in options(),
    ) {
        let mut listed = packet("discover", 1, "");
        listed.options.set(53, [message]);
        options.into_iter().for_each(|(code, data)| listed.options.push(code, data));
        let mut server = SmallServer::new(Ipv4Addr::new(10, 0, 1, 4));
        bytes[0] = 1;
        bytes[2] %= 17;
        bytes[236..240].copy_from_slice(&[0x63, 0x82, 0x53, 0x63]);
        for datagram in [bytes, encode_listed(&listed)] {
            let Ok(packet) = parse(&datagram) else { continue };
            if let Some(reply) = server.serve(&packet).reply {
                prop_assert!(reply.bytes.len() >= 300);
                prop_assert_eq!(parse(&reply.bytes).unwrap().faults.len(), 0);
            }
        }
    }
}
