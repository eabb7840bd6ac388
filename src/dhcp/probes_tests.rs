//! Tests of probes before offers, with a prober that knows which hosts exist.

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use jiff::Timestamp;
use serde_json::json;
use tokio::sync::Notify;

use crate::dhcp::decide::{
    AddressProber, DhcpQuery, InterfaceAddress, LateAnswer, NetworkInterface, ProbeMethod, ProbeResult,
    ProbeTarget, ReplyDatagram, example_query,
};
use crate::houses::Houses;
use crate::houses::testing::{caller, houses, put};
use crate::kernel::EventQuery;
use crate::model::event::{AddressProbe, DhcpAddressInUse};
use crate::model::{DhcpStatus, Event, EventBody, LeaseState, Mac, Object, ServiceStatus, Stored, Subnet};
use crate::proto::dhcp4::{DhcpPacket, MessageType, from_text, parse};

const OTHER: Mac = Mac([2, 0, 0, 0, 0, 99]);

/// A prober that knows the hosts; if slow, it never answers for other addresses.
#[derive(Default)]
struct Known {
    answering: HashMap<Ipv4Addr, Mac>,
    slow: bool,
    /// A probe waits here, if this is set.
    gate: Option<Arc<Notify>>,
    unable: bool,
    asked: AtomicUsize,
    ways: Mutex<Vec<ProbeMethod>>,
}

impl AddressProber for Known {
    fn probe(&self, target: ProbeTarget) -> BoxFuture<'_, ProbeResult> {
        Box::pin(async move {
            self.asked.fetch_add(1, Ordering::Relaxed);
            self.ways.lock().unwrap().push(target.how);
            if let Some(gate) = &self.gate {
                gate.notified().await;
            }
            match self.answering.get(&target.address) {
                Some(mac) if target.client != Some(*mac) => ProbeResult::InUse(Some(*mac)),
                Some(_) => ProbeResult::Free,
                None if self.slow => std::future::pending().await,
                None if self.unable => ProbeResult::Unable("there is no socket".into()),
                None => ProbeResult::Free,
            }
        })
    }
}

async fn served(prober: Known) -> (Arc<Houses>, Arc<Known>) {
    let houses = houses();
    let subnet: Subnet = serde_json::from_value(json!({
        "name": "lan", "cidr": "10.0.0.0/24",
        "pools": [{"start": "10.0.0.100", "end": "10.0.0.110"}],
    }))
    .unwrap();
    put(&houses, Object::Subnet(Stored::new("lan".into(), subnet, Timestamp::UNIX_EPOCH).into())).await;
    let prober = Arc::new(prober);
    houses.dhcp.use_prober(Arc::clone(&prober) as Arc<dyn AddressProber>);
    (houses, prober)
}

fn interface() -> NetworkInterface {
    let address = InterfaceAddress { address: Ipv4Addr::new(10, 0, 0, 1), prefix: 24 };
    NetworkInterface { name: "eth1".into(), index: 2, addresses: vec![address], mtu: 1500 }
}

fn packet(text: &str) -> DhcpPacket {
    from_text(&format!("xid 1\nchaddr 02:00:00:00:00:01\n{text}")).unwrap()
}

async fn ask(houses: &Houses, text: &str) -> Option<DhcpPacket> {
    answer(houses, text).await.map(|reply| parse(&reply.bytes).unwrap())
}

async fn answer(houses: &Houses, text: &str) -> Option<ReplyDatagram> {
    let (packet, interface) = (packet(text), interface());
    let query: DhcpQuery<'_> = example_query(&packet, &interface);
    houses.dhcp.answer_dhcp(&query).await.ok().flatten()
}

async fn offered(houses: &Houses) -> Option<u8> {
    ask(houses, "message_type discover").await.map(|reply| reply.yiaddr.octets()[3])
}

fn taken(addresses: impl IntoIterator<Item = u8>, by: Mac) -> HashMap<Ipv4Addr, Mac> {
    addresses.into_iter().map(|last| (Ipv4Addr::new(10, 0, 0, last), by)).collect()
}

fn state(houses: &Houses, address: &str) -> Option<LeaseState> {
    houses.kernel.read(|world| world.leases.get(address).map(|row| row.spec.state))
}

#[tokio::test]
async fn an_address_that_somebody_answers_for_is_kept_back_and_the_next_is_offered() {
    let (houses, prober) = served(Known { answering: taken([100], OTHER), ..Known::default() }).await;
    assert_eq!(offered(&houses).await, Some(101));
    assert_eq!(prober.asked.load(Ordering::Relaxed), 2);
    assert_eq!(state(&houses, "10.0.0.100"), Some(LeaseState::Declined));
    let events = houses.kernel.events(EventQuery { limit: 9, ..EventQuery::default() }).await.unwrap();
    let told = in_use_of(events);
    assert_eq!((told[0].mac, told[0].address), (Some(OTHER), Ipv4Addr::new(10, 0, 0, 100)));
    assert_eq!(houses.dhcp.dhcp_status(&caller()).subnets[0].quarantined, 1);
}

#[tokio::test]
async fn a_subnet_that_says_so_offers_addresses_without_a_probe() {
    let (houses, prober) = served(Known { answering: taken([100], OTHER), ..Known::default() }).await;
    let change = |next: &mut Stored<Subnet>| {
        next.spec.probe = Some(crate::model::ProbeMode::None);
        Ok(Vec::new())
    };
    houses.kernel.change::<Subnet>("lan", Timestamp::UNIX_EPOCH, change).await.unwrap();
    assert_eq!((offered(&houses).await, prober.asked.load(Ordering::Relaxed)), (Some(100), 0));
}

#[tokio::test]
async fn an_address_that_the_client_itself_still_has_is_offered_to_it() {
    let own = Mac([2, 0, 0, 0, 0, 1]);
    let (houses, _) = served(Known { answering: taken([100], own), ..Known::default() }).await;
    assert_eq!((offered(&houses).await, state(&houses, "10.0.0.100")), (Some(100), None));
}

#[tokio::test]
async fn an_offer_whose_address_is_answered_for_late_is_taken_back() {
    let (houses, _) = served(Known::default()).await;
    assert_eq!(offered(&houses).await, Some(100));
    houses.dhcp.answered_late(late(OTHER)).await;
    assert_eq!(state(&houses, "10.0.0.100"), Some(LeaseState::Declined));
    let request = "message_type request\nrequested_address 10.0.0.100\nserver_identifier 10.0.0.1";
    let reply = ask(&houses, request).await.unwrap();
    assert_eq!(reply.message_type(), Some(MessageType::Nak));
    assert_eq!(offered(&houses).await, Some(101));
    let told = in_use(&houses).await;
    assert!(told.len() == 1 && told[0].reason.contains("on offer"), "{told:#?}");
    assert_eq!(told[0].wanted_by, Some(Mac([2, 0, 0, 0, 0, 1])));
}

#[tokio::test]
async fn what_was_sent_holds_only_as_long_as_the_client_has_the_lease() {
    let (houses, _) = served(Known::default()).await;
    let offer = answer(&houses, "message_type discover").await.unwrap();
    let request = "message_type request\nrequested_address 10.0.0.100\nserver_identifier 10.0.0.1";
    let ack = answer(&houses, request).await.unwrap();
    assert_eq!((houses.dhcp.still_holds(&offer), houses.dhcp.still_holds(&ack)), (false, true));
    assert!(!houses.dhcp.still_holds(&ReplyDatagram { bytes: vec![2; 9], ..ack.clone() }), "it is none");
    ask(&houses, "message_type release\nciaddr 10.0.0.100\nserver_identifier 10.0.0.1").await;
    assert!(!houses.dhcp.still_holds(&ack), "it is given back");
    let others = request.replace("message_type", "chaddr 02:00:00:00:00:02\nmessage_type");
    assert!(houses.dhcp.still_holds(&answer(&houses, &others).await.unwrap()));
    assert!(!houses.dhcp.still_holds(&ack), "it is another's");
}

#[tokio::test]
async fn a_lease_that_is_answered_for_late_stands_and_is_told_of() {
    let (houses, _) = served(Known::default()).await;
    assert_eq!(offered(&houses).await, Some(100));
    let request = "message_type request\nrequested_address 10.0.0.100\nserver_identifier 10.0.0.1";
    assert!(ask(&houses, request).await.is_some());
    houses.dhcp.answered_late(late(Mac([2, 0, 0, 0, 0, 1]))).await;
    houses.dhcp.answered_late(late(OTHER)).await;
    assert_eq!(state(&houses, "10.0.0.100"), Some(LeaseState::Bound));
    let told = in_use(&houses).await;
    assert!(told.len() == 1 && told[0].reason.contains("two hosts"), "{told:#?}");
    assert_eq!((told[0].mac, told[0].kept_back_until), (Some(OTHER), None));
}

#[tokio::test]
async fn a_late_echo_from_nobody_by_name_counts_until_the_client_has_the_address() {
    let (houses, _) = served(Known::default()).await;
    let echo = LateAnswer { how: ProbeMethod::Icmp, mac: None, ..late(OTHER) };
    assert_eq!(offered(&houses).await, Some(100));
    houses.dhcp.answered_late(echo).await;
    assert_eq!(
        (offered(&houses).await, state(&houses, "10.0.0.100")),
        (Some(101), Some(LeaseState::Declined))
    );
    let told = in_use(&houses).await;
    assert_eq!((told.len(), told[0].probe, told[0].mac), (1, AddressProbe::Icmp, None));
    let request = "message_type request\nrequested_address 10.0.0.101\nserver_identifier 10.0.0.1";
    assert!(ask(&houses, request).await.is_some());
    houses.dhcp.answered_late(LateAnswer { address: Ipv4Addr::new(10, 0, 0, 101), ..echo }).await;
    assert_eq!((in_use(&houses).await.len(), state(&houses, "10.0.0.101")), (1, Some(LeaseState::Bound)));
}

fn late(mac: Mac) -> LateAnswer {
    LateAnswer { address: Ipv4Addr::new(10, 0, 0, 100), how: ProbeMethod::Arp, mac: Some(mac) }
}

/// The reported addresses in use.
async fn in_use(houses: &Houses) -> Vec<DhcpAddressInUse> {
    let events = houses.kernel.events(EventQuery { limit: 99, ..EventQuery::default() }).await.unwrap();
    in_use_of(events)
}

fn in_use_of(events: Vec<Event>) -> Vec<DhcpAddressInUse> {
    let told = events.into_iter().filter_map(|event| match event.body {
        EventBody::DhcpAddressInUse(told) => Some(told),
        _ => None,
    });
    told.collect()
}

#[tokio::test]
async fn after_three_addresses_in_use_the_client_is_left_to_ask_again() {
    let (houses, prober) = served(Known { answering: taken(100..104, OTHER), ..Known::default() }).await;
    assert_eq!((offered(&houses).await, prober.asked.load(Ordering::Relaxed)), (None, 3));
    assert_eq!((offered(&houses).await, prober.asked.load(Ordering::Relaxed)), (Some(104), 5));
}

#[tokio::test]
async fn an_offer_comes_in_time_though_a_probe_finds_no_end() {
    let prober = Known { slow: true, answering: taken([100, 101], OTHER), ..Known::default() };
    let (houses, _) = served(prober).await;
    let begun = Instant::now();
    assert_eq!(offered(&houses).await, Some(102));
    assert!(begun.elapsed() < Duration::from_millis(1500), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn only_a_fresh_address_is_probed_and_only_once() {
    let (houses, prober) = served(Known::default()).await;
    for _ in 0..3 {
        assert_eq!(offered(&houses).await, Some(100));
    }
    let request = "message_type request\nrequested_address 10.0.0.100\nserver_identifier 10.0.0.1";
    assert!(ask(&houses, request).await.is_some());
    assert_eq!(offered(&houses).await, Some(100));
    assert_eq!(prober.asked.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_second_discover_during_a_probe_starts_no_other_and_other_clients_go_on() {
    let gate = Arc::new(Notify::new());
    let (houses, prober) = served(Known { gate: Some(Arc::clone(&gate)), ..Known::default() }).await;
    let first = tokio::spawn({
        let houses = Arc::clone(&houses);
        async move { offered(&houses).await }
    });
    while prober.asked.load(Ordering::Relaxed) == 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(offered(&houses).await, None);
    assert_eq!(prober.asked.load(Ordering::Relaxed), 1);
    // A renewal of another client needs no probe and does not wait; it gets no reply, because the client is
    // unknown.
    assert!(ask(&houses, "message_type request\nciaddr 10.0.0.105").await.is_none());
    gate.notify_one();
    assert_eq!(first.await.unwrap(), Some(100));
}

#[tokio::test]
async fn a_probe_that_cannot_be_made_is_no_reason_not_to_offer() {
    let (houses, _) = served(Known { unable: true, ..Known::default() }).await;
    assert_eq!(offered(&houses).await, Some(100));
}

#[tokio::test]
async fn what_is_behind_a_relay_is_probed_by_icmp() {
    let (houses, prober) = served(Known::default()).await;
    ask(&houses, "message_type discover\ngiaddr 10.0.0.254").await.unwrap();
    ask(&houses, "chaddr 02:00:00:00:00:02\nmessage_type discover").await.unwrap();
    assert_eq!(*prober.ways.lock().unwrap(), [ProbeMethod::Icmp, ProbeMethod::Arp]);
}

#[tokio::test]
async fn what_was_seen_of_the_network_is_told_once_and_shown() {
    let (houses, _) = served(Known::default()).await;
    houses.dhcp.dhcp_interfaces(vec![Arc::new(interface())]);
    for _ in 0..2 {
        ask(&houses, "message_type request\nrequested_address 10.0.0.7\nserver_identifier 10.0.0.9").await;
        ask(&houses, "message_type discover\ngiaddr 10.9.0.1").await;
    }
    let status: DhcpStatus = houses.dhcp.dhcp_status(&caller());
    assert_eq!((status.servers.len(), status.servers[0].packets), (1, 2));
    assert_eq!(status.servers[0].offered, Some(Ipv4Addr::new(10, 0, 0, 7)));
    assert_eq!((status.relays[0].subnet.as_ref(), status.relays[0].packets), (None, 2));
    assert_eq!((status.unserved_packets, status.unserved.len()), (2, 1));
    assert_eq!(status.interfaces[0].subnet.as_deref(), Some("lan"));
    assert_eq!(status.interfaces[0].example.address, Some(Ipv4Addr::new(10, 0, 0, 100)));
    assert!(status.warnings.iter().any(|said| said.contains("10.0.0.9")), "{:?}", status.warnings);
    assert!(status.warnings.iter().any(|said| said.contains("10.9.0.1")), "{:?}", status.warnings);
    assert_eq!(houses.dhcp.dhcp_warnings().len(), 1);
}

#[tokio::test]
async fn our_own_replies_are_those_of_no_rival_and_a_proxy_subnet_expects_another_server() {
    let (houses, _) = served(Known::default()).await;
    houses.dhcp.dhcp_interfaces(vec![Arc::new(interface())]);
    let heard = |last| crate::dhcp::decide::ServerSighting {
        server: Ipv4Addr::new(10, 0, 0, last),
        mac: Some(OTHER),
        interface: "eth1".into(),
        offered: None,
        next_server: None,
        boots: true,
    };
    houses.dhcp.record_dhcp_server(heard(1));
    assert!(houses.dhcp.dhcp_status(&caller()).servers.is_empty());
    let change = |mode: crate::model::SubnetMode| {
        let now = Timestamp::UNIX_EPOCH;
        let houses = &houses;
        async move {
            let change = |next: &mut Stored<Subnet>| {
                next.spec.mode = mode;
                Ok(Vec::new())
            };
            houses.kernel.change::<Subnet>("lan", now, change).await.unwrap();
        }
    };
    change(crate::model::SubnetMode::Proxy).await;
    let lonely = houses.dhcp.dhcp_status(&caller()).warnings;
    assert!(lonely.iter().any(|said| said.contains("none was heard on eth1")), "{lonely:?}");
    houses.dhcp.record_dhcp_server(heard(9));
    let status = houses.dhcp.dhcp_status(&caller());
    assert!(status.servers[0].expected && status.warnings.is_empty(), "{status:?}");
    let misleads = |status: &DhcpStatus| status.servers[0].misleads.clone().unwrap_or_default();
    assert!(misleads(&status).contains("GRUB asks 10.0.0.9"), "{status:?}");
    let next_server = Some(Ipv4Addr::new(10, 0, 0, 1));
    houses.dhcp.record_dhcp_server(crate::dhcp::decide::ServerSighting { next_server, ..heard(9) });
    assert_eq!(misleads(&houses.dhcp.dhcp_status(&caller())), "", "it names us");
    change(crate::model::SubnetMode::Managed).await;
    let status = houses.dhcp.dhcp_status(&caller());
    assert!(status.warnings[0].contains("02:00:00:00:00:63"), "{:?}", status.warnings);
    assert!(
        houses.dhcp.dhcp_warnings()[0].contains("eth1") && !houses.dhcp.dhcp_warnings()[0].contains("10.0.0")
    );
}

#[tokio::test]
async fn a_dhcp_socket_that_fails_is_told_of_as_long_as_it_does() {
    let (houses, _) = served(Known::default()).await;
    let receives = Arc::new(AtomicBool::new(true));
    let told = Arc::clone(&receives);
    houses.dhcp.set_dhcp_service(move || ServiceStatus {
        enabled: true,
        receives: told.load(Ordering::Relaxed),
        port: 67,
        ..ServiceStatus::default()
    });
    for works in [true, false, true] {
        receives.store(works, Ordering::Relaxed);
        let status = houses.dhcp.dhcp_status(&caller());
        assert_eq!(status.service.receives, works);
        for warnings in [status.warnings, houses.dhcp.dhcp_warnings()] {
            let says = warnings.iter().any(|said| said.contains("requests to port 67 cannot be read"));
            assert_eq!(says, !works, "{warnings:?}");
        }
    }
}
