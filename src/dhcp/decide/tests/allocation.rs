//! Tests of the chosen address, after other writes.

use super::*;
use crate::model::Noun as _;

const FIRST: Ipv4Addr = Ipv4Addr::new(10, 0, 1, 0);
const LAST: Ipv4Addr = Ipv4Addr::new(10, 0, 1, 7);

fn at(last: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 0, 1, last)
}

fn change_subnet(server: &mut SmallServer, change: impl FnOnce(&mut Subnet)) {
    let mut row = Stored::clone(server.world.subnets.get("a").unwrap());
    change(&mut row.spec);
    server.world.put(Object::Subnet(row.into()));
}

fn reserve(server: &mut SmallServer, address: Ipv4Addr, whom: &str) {
    let (way, value) = whom.split_once(' ').unwrap();
    let spec = serde_json::json!({ "address": address, way: value });
    let reservation: Reservation = serde_json::from_value(spec).unwrap();
    assert!(reservation.check().is_empty());
    server.world.put(Object::Reservation(Stored::new(address.to_string(), reservation, NOW).into()));
}

fn take(server: &mut SmallServer, client: u32) -> Option<Ipv4Addr> {
    let address = offered(&server.serve(&packet("discover", client, "")))?;
    let more = format!("server_identifier 10.0.0.1\nrequested_address {address}");
    let ack = server.serve(&packet("request", client, &more)).reply?;
    assert_eq!(ack.packet.message_type(), Some(MessageType::Ack));
    Some(address)
}

/// The server after a restart: only what is on disk remains.
fn restart(server: &mut SmallServer) {
    server.offers = OpenOffers::default();
}

#[test]
fn a_deleted_lease_gives_its_address_back_as_never_used() {
    let mut server = SmallServer::new(LAST);
    for client in 0..4 {
        take(&mut server, client);
    }
    server.world.remove(Kind::Lease, "10.0.1.1");
    assert_eq!(take(&mut server, 9), Some(at(1)));
    assert_eq!(take(&mut server, 10), Some(at(4)));
}

#[test]
fn a_lease_that_somebody_else_wrote_is_not_given_out() {
    let mut server = SmallServer::new(LAST);
    assert_eq!(take(&mut server, 0), Some(FIRST));
    let mut other = server.world.leases.get("10.0.1.0").unwrap().spec.clone();
    (other.address, other.client) = (at(1), "1/02:00:00:00:99:99".into());
    server.put(&other);
    assert_eq!(take(&mut server, 1), Some(at(2)));
}

#[test]
fn a_changed_pool_counts_at_the_next_packet() {
    let mut server = SmallServer::new(LAST);
    assert_eq!(take(&mut server, 0), Some(FIRST));
    change_subnet(&mut server, |subnet| subnet.pools[0].start = at(4));
    assert_eq!(take(&mut server, 1), Some(at(4)));
    // A client whose address is no longer in a pool gets one that is.
    assert_eq!(take(&mut server, 0), Some(at(5)));
    change_subnet(&mut server, |subnet| subnet.pools[0].start = FIRST);
    assert_eq!(take(&mut server, 2), Some(FIRST), "client 0 left it, so it has no lease on record");
}

#[test]
fn excluded_addresses_are_neither_offered_nor_renewed() {
    let mut server = SmallServer::new(LAST);
    assert_eq!(take(&mut server, 0), Some(FIRST));
    let excluded = serde_json::json!([
        {"start": "10.0.1.0", "end": "10.0.1.2"}, {"start": "10.0.1.2", "end": "10.0.1.3"},
        {"start": "10.0.1.5", "end": "10.0.1.5"}, {"start": "10.0.1.7", "end": "10.0.2.0"},
    ]);
    change_subnet(&mut server, |subnet| subnet.excluded = serde_json::from_value(excluded).unwrap());
    let nak = server.serve(&packet("request", 0, "ciaddr 10.0.1.0")).reply.unwrap();
    assert_eq!(nak.packet.message_type(), Some(MessageType::Nak));
    assert_eq!(offered(&server.serve(&packet("discover", 5, "requested_address 10.0.1.5"))), Some(at(4)));
    assert_eq!((1..4).map(|client| take(&mut server, client)).collect::<Vec<_>>(), [Some(at(6)), None, None]);
}

#[test]
fn the_networks_ends_and_our_own_address_are_never_given_out() {
    let mut server = SmallServer::new(LAST);
    change_subnet(&mut server, |subnet| {
        subnet.cidr = "10.0.0.0/29".parse().unwrap();
        (subnet.pools[0].start, subnet.pools[0].end) =
            (Ipv4Addr::new(10, 0, 0, 0), Ipv4Addr::new(10, 0, 0, 7));
    });
    let given: Vec<_> = (0..8).filter_map(|client| take(&mut server, client)).collect();
    let hosts: Vec<_> = (2..7).map(|last| Ipv4Addr::new(10, 0, 0, last)).collect();
    assert_eq!(given, hosts);
}

#[test]
fn a_subnet_that_is_not_enabled_is_silent_to_every_question() {
    let mut server = SmallServer::new(LAST);
    take(&mut server, 0);
    change_subnet(&mut server, |subnet| (subnet.enabled, subnet.authoritative) = (false, true));
    let questions = [
        ("discover", ""),
        ("request", "ciaddr 10.0.1.0"),
        ("request", "requested_address 10.0.1.0"),
        ("request", "server_identifier 10.0.0.1\nrequested_address 10.0.1.0"),
        ("inform", "ciaddr 10.0.1.0"),
    ];
    for (kind, more) in questions {
        assert_eq!(server.serve(&packet(kind, 0, more)).reply, None, "{kind} {more}");
    }
}

#[test]
fn where_only_reservations_count_nothing_else_is_offered_or_renewed() {
    let mut server = SmallServer::new(LAST);
    take(&mut server, 0);
    change_subnet(&mut server, |subnet| subnet.reservations_only = true);
    reserve(&mut server, at(6), "mac 02:00:00:00:00:07");
    assert_eq!(offered(&server.serve(&packet("discover", 0, ""))), None);
    assert_eq!(offered(&server.serve(&packet("discover", 1, "requested_address 10.0.1.3"))), None);
    for more in ["ciaddr 10.0.1.0", "server_identifier 10.0.0.1\nrequested_address 10.0.1.3"] {
        let reply = server.serve(&packet("request", 0, more)).reply.unwrap();
        assert_eq!(reply.packet.message_type(), Some(MessageType::Nak), "{more}");
    }
    assert_eq!(take(&mut server, 7), Some(at(6)));
}

#[test]
fn a_reservation_is_found_by_each_way_and_follows_its_changes() {
    let mut server = SmallServer::new(LAST);
    let ways = ["mac 02:00:00:00:00:07", "client_id 0x0102", "circuit_id port7", "remote_id sw1"];
    let option = |code: u8, text: &str| format!("{code}={}", crate::model::hex(text.as_bytes()));
    let questions = [
        packet("discover", 7, ""),
        packet("discover", 8, "client_identifier 0102"),
        packet("discover", 9, &format!("giaddr 10.0.0.9\nrelay_agent_information {}", option(1, "port7"))),
        packet("discover", 10, &format!("giaddr 10.0.0.9\nrelay_agent_information {}", option(2, "sw1"))),
    ];
    for (way, question) in ways.iter().zip(&questions) {
        reserve(&mut server, at(5), way);
        assert_eq!(offered(&server.serve(question)), Some(at(5)), "{way}");
        let others = questions.iter().filter(|other| *other != question);
        for other in others {
            assert_ne!(offered(&server.serve(other)), Some(at(5)), "{way}");
        }
    }
    server.world.remove(Kind::Reservation, "10.0.1.5");
    assert_ne!(offered(&server.serve(&packet("discover", 7, ""))), Some(at(5)));
}

#[test]
fn a_client_that_is_known_is_not_probed_for_again() {
    use crate::model::ProbeMode;
    let mut server = SmallServer::new(LAST);
    change_subnet(&mut server, |subnet| subnet.probe = None);
    let discover = packet("discover", 1, "");
    assert_eq!([(); 2].map(|()| server.serve(&discover).probe), [ProbeMode::Arp, ProbeMode::None]);
    take(&mut server, 1);
    server.wait(7200);
    assert_eq!(server.serve(&discover).probe, ProbeMode::None);
}

#[test]
fn an_offer_that_nobody_took_goes_back_when_it_ends() {
    let mut server = SmallServer::new(at(1));
    let offers = [0, 1, 2].map(|client| offered(&server.serve(&packet("discover", client, ""))));
    assert_eq!(offers, [Some(at(0)), Some(at(1)), None]);
    server.wait(crate::dhcp::decide::HOLD_SECONDS);
    assert_eq!(offered(&server.serve(&packet("discover", 2, ""))), Some(at(0)));
}

proptest! {
    /// The index gives the same result as a full search.
    #[test]
    fn the_address_picked_is_the_one_a_full_search_would_pick(
        steps in proptest::collection::vec((0..12u32, 0..9u8, 0..4000i64), 1..60),
    ) {
        let mut server = SmallServer::new(LAST);
        for (client, action, wait) in steps {
            server.wait(wait);
            let address = at(u8::try_from(client % 8).unwrap());
            match action {
                0..=2 => drop(take(&mut server, client)),
                3 => drop(server.serve(&packet("discover", client, ""))),
                4 => server.world.remove(Kind::Lease, &address.to_string()),
                5 => reserve(&mut server, address, "mac 02:00:00:00:00:0a"),
                6 => server.world.remove(Kind::Reservation, &address.to_string()),
                7 => change_subnet(&mut server, |subnet| {
                    subnet.excluded = vec![crate::model::ExcludedRange { start: address, end: address }];
                }),
                _ => restart(&mut server),
            }
            let expected = full_search(&server);
            let outcome = server.serve(&packet("discover", 99, ""));
            prop_assert_eq!(offered(&outcome), expected, "{}", outcome.reason);
            let client = ClientKey::of(&packet("discover", 99, "")).unwrap();
            server.offers.release("a", &client);
        }
    }
}

/// A full search for a new client: never used, then used longest ago, then offered long ago and not taken.
fn full_search(server: &SmallServer) -> Option<Ipv4Addr> {
    let subnet = &server.world.subnets.get("a").unwrap().spec;
    let lease = |address: &Ipv4Addr| server.world.leases.get(&address.to_string()).map(|row| &row.spec);
    let usable = |address: &Ipv4Addr| {
        !subnet.excluded.iter().any(|range| range.contains(*address))
            && server.world.reservations.get(&address.to_string()).is_none()
            && lease(address).is_none_or(|lease| lease.expires_at <= server.now)
    };
    let all: Vec<_> = (0..8).map(at).filter(usable).collect();
    let (held, free): (Vec<_>, Vec<_>) =
        all.into_iter().partition(|address| server.offers.at(*address, server.now).is_some());
    let unused = free.iter().find(|address| lease(address).is_none()).copied();
    let ended = free.iter().filter_map(lease).min_by_key(|lease| (lease.expires_at, lease.address));
    let mut not_taken = server.offers.not_taken("a", server.now);
    unused.or(ended.map(|lease| lease.address)).or_else(|| not_taken.find(|address| held.contains(address)))
}
