//! Neighbours that answer for addresses at unusual times, and many clients at once: nobody gets an address
//! that another host uses, and the answers are in time.

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::net::{Ipv4Addr, TcpStream, UdpSocket};
use std::ops::RangeInclusive;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use metalwright::proto::dhcp4::{DhcpPacket, MessageType, encode_listed, from_text, parse};
use nix::sys::socket::{LinkAddr, MsgFlags, recvfrom, sendto};
use serde_json::json;
use socket2::{Domain, Protocol, Socket, Type};

use super::lan::{Host, ip, plug_behind};
use super::packets::{Nic, ask};
use super::probes::{OFFER_WITHIN, probed};
use super::{Lan, SERVER_ADDRESS, on_a_lan};
use crate::scene::EVENT_WITHIN;
use crate::world::World;

/// `ETH_P_ARP`.
const ARP: u16 = 0x0806;
const NEIGHBOUR: [u8; 6] = [2, 0, 0, 0, 0, 0x63];
/// The precision of a delay.
const TICK: Duration = Duration::from_millis(5);

/// How a neighbour answers ARP.
#[derive(Clone)]
struct Manner {
    mac: [u8; 6],
    /// Last bytes of the addresses that it claims.
    addresses: RangeInclusive<u8>,
    delay: Duration,
    /// The first question about an address that it answers, from 1.
    question: usize,
}

fn at_once(addresses: RangeInclusive<u8>) -> Manner {
    Manner { mac: NEIGHBOUR, addresses, delay: Duration::ZERO, question: 1 }
}

/// A neighbour that answers until this is dropped.
struct Answering {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Answering {
    fn on(host: &Host, manner: Manner) -> Answering {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = host.run(move || {
            let protocol = Protocol::from(i32::from(ARP.to_be()));
            let wire = Socket::new(Domain::PACKET, Type::RAW, Some(protocol)).expect("a socket for ARP");
            wire.set_read_timeout(Some(TICK)).expect("a timeout");
            thread::spawn(move || answer(&wire, &manner, &stopped))
        });
        Answering { stop, thread: Some(thread) }
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        // A panic there was printed, and the test lacks the answers.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

fn answer(wire: &Socket, manner: &Manner, stop: &AtomicBool) {
    let mut asked: HashMap<u8, usize> = HashMap::new();
    let mut due: Vec<(Instant, Vec<u8>, LinkAddr)> = Vec::new();
    let mut frame = [0; 128];
    while !stop.load(Ordering::Relaxed) {
        due.retain(|(at, answer, to)| {
            let is_due = *at <= Instant::now();
            if is_due {
                sendto(wire.as_raw_fd(), answer, to, MsgFlags::empty()).expect("an answer on the wire");
            }
            !is_due
        });
        let Ok((_, Some(from))) = recvfrom::<LinkAddr>(wire.as_raw_fd(), &mut frame) else { continue };
        let is_question = frame[20..22] == [0, 1] && frame[38..41] == [10, 77, 0];
        if is_question && manner.addresses.contains(&frame[41]) {
            let times = asked.entry(frame[41]).or_default();
            *times += 1;
            if *times >= manner.question {
                due.push((Instant::now() + manner.delay, reply(&frame, manner.mac), from));
            }
        }
    }
}

/// Answers the sender of this frame that the address is in use (RFC 826).
fn reply(question: &[u8], mac: [u8; 6]) -> Vec<u8> {
    let ethernet = [&question[6..12], &mac, &ARP.to_be_bytes()].concat();
    let sender = [&[0, 2], &mac[..], &question[38..42]].concat();
    let mut frame = [&ethernet, &question[14..20], &sender, &question[22..32]].concat();
    frame.resize(60, 0);
    frame
}

fn mac(client: u32) -> String {
    format!("02:00:00:00:01:{client:02x}")
}

fn discover(client: u32) -> String {
    format!("xid {}\nchaddr {}\nflags 0x8000\nmessage_type discover\n", 100 + client, mac(client))
}

fn request(client: u32, address: &str) -> String {
    let says = "flags 0x8000\nmessage_type request\nserver_identifier 10.77.0.1";
    format!("xid {}\nchaddr {}\n{says}\nrequested_address {address}\n", 200 + client, mac(client))
}

/// A server that probes, a neighbour, and a host for clients whose bridge port is known to work.
fn scene(lan: &Lan, how: &str) -> (World, Host, Host) {
    let world = World::on_the_lan();
    let mut subnet = probed(how);
    subnet["pools"][0]["end"] = json!("10.77.0.150");
    world.api().post("/subnets", subnet).expect(201);
    let (neighbour, host) = (lan.plug_host("h1", "02:00:00:00:00:63"), lan.plug_host("h2", &mac(0)));
    let first = ask(&host, "eth0", discover(0)).dhcp();
    assert_eq!(first.yiaddr.to_string(), "10.77.0.100");
    (world, neighbour, host)
}

fn offer(host: &Host, client: u32) -> u8 {
    let begun = Instant::now();
    let offer = ask(host, "eth0", discover(client)).dhcp();
    assert!(begun.elapsed() <= OFFER_WITHIN, "{:?}", begun.elapsed());
    assert_eq!(offer.message_type(), Some(MessageType::Offer));
    offer.yiaddr.octets()[3]
}

#[test]
fn a_neighbour_that_answers_slowly_or_the_second_time_is_found_in_time() {
    on_a_lan(|lan| {
        let (_world, neighbour, host) = scene(lan, "arp");
        for (client, address, delay, question) in [(1, 101, 100, 1), (2, 103, 0, 2)] {
            let delay = Duration::from_millis(delay);
            let manner = Manner { delay, question, ..at_once(address..=address) };
            let _answering = Answering::on(&neighbour, manner);
            assert_eq!(offer(&host, client), address + 1, "{delay:?}, question {question}");
        }
    });
}

#[test]
fn an_offer_that_a_neighbour_answers_for_too_late_is_taken_back() {
    on_a_lan(|lan| {
        let (world, neighbour, host) = scene(lan, "arp");
        let api = world.api();
        let mut events = api.events_after(0);
        for (client, address, delay) in [(1, 101, 400), (2, 102, 790), (3, 103, 900)] {
            let manner = Manner { delay: Duration::from_millis(delay), ..at_once(address..=address) };
            let _answering = Answering::on(&neighbour, manner);
            assert_eq!(offer(&host, client), address, "{delay} ms");
            let offered = format!("10.77.0.{address}");
            let told = events.wait_for(EVENT_WITHIN, |event| {
                event["kind"] == "dhcp.address_in_use" && event["data"]["address"] == offered.as_str()
            });
            assert_eq!(told["data"]["wanted_by"], mac(client), "{told:#}");
            let answer = ask(&host, "eth0", request(client, &offered)).dhcp();
            assert_eq!(answer.message_type(), Some(MessageType::Nak), "{delay} ms");
            let kept_back = api.get(&format!("/leases/{offered}")).expect(200);
            assert_eq!(kept_back["state"], "declined");
        }
    });
}

#[test]
fn a_lease_that_a_neighbour_answers_for_too_late_stands_and_is_told_of() {
    on_a_lan(|lan| {
        let (world, neighbour, host) = scene(lan, "arp");
        let api = world.api();
        let mut events = api.events_after(0);
        let manner = Manner { delay: Duration::from_millis(1800), ..at_once(101..=101) };
        let _answering = Answering::on(&neighbour, manner);
        assert_eq!(offer(&host, 1), 101);
        let answer = ask(&host, "eth0", request(1, "10.77.0.101")).dhcp();
        assert_eq!(answer.message_type(), Some(MessageType::Ack));
        let told = events.wait_for(EVENT_WITHIN, |event| event["kind"] == "dhcp.address_in_use");
        let reason = told["data"]["reason"].as_str().expect("a reason");
        assert!(reason.contains("02:00:00:00:00:63") && reason.contains("two hosts"), "{told:#}");
        assert_eq!(api.get("/leases/10.77.0.101").expect(200)["state"], "bound");
    });
}

#[test]
fn an_echo_that_comes_too_late_takes_an_offer_back_too() {
    on_a_lan(|lan| {
        let (world, neighbour, host) = scene(lan, "icmp");
        let api = world.api();
        let mut events = api.events_after(0);
        neighbour.run(|| {
            // Its kernel answers echo requests; the test answers ARP.
            fs::write("/proc/sys/net/ipv4/conf/all/arp_ignore", "8").expect("a setting of the neighbour");
            ip("address add 10.77.0.101/24 dev eth0");
        });
        let manner = Manner { delay: Duration::from_millis(700), ..at_once(101..=101) };
        let _answering = Answering::on(&neighbour, manner);
        assert_eq!(offer(&host, 1), 101);
        let told = events.wait_for(EVENT_WITHIN, |event| event["kind"] == "dhcp.address_in_use");
        let data = &told["data"];
        assert_eq!((&data["probe"], &data["mac"]), (&json!("icmp"), &json!("02:00:00:00:00:63")), "{told:#}");
        let answer = ask(&host, "eth0", request(1, "10.77.0.101")).dhcp();
        assert_eq!(answer.message_type(), Some(MessageType::Nak));
    });
}

/// The answers to a relay at 10.78.0.1, which `router` simulates.
fn relayed(router: &Host, text: &str) -> DhcpPacket {
    let request = from_text(&format!("giaddr 10.78.0.1\n{text}")).expect("a request");
    router.run(move || {
        let relay = UdpSocket::bind("0.0.0.0:67").expect("the relay's port");
        relay.set_read_timeout(Some(Duration::from_secs(1))).expect("a timeout");
        let mut buffer = [0; 2048];
        let until = Instant::now() + EVENT_WITHIN;
        while Instant::now() < until {
            relay.send_to(&encode_listed(&request), (SERVER_ADDRESS, 67)).expect("a request");
            let heard = relay.recv(&mut buffer).ok().and_then(|bytes| parse(&buffer[..bytes]).ok());
            if let Some(reply) = heard.filter(|reply| reply.xid == request.xid) {
                return reply;
            }
        }
        panic!("no reply to {request:?}")
    })
}

/// The router keeps the echo request until a host answers its ARP, which it repeats each second.
#[test]
fn behind_a_relay_a_late_echo_takes_an_offer_back_and_says_nothing_of_a_lease() {
    on_a_lan(|lan| {
        let world = World::on_the_lan();
        let api = world.api();
        let far = json!({"name": "far", "cidr": "10.78.0.0/24", "probe": "icmp",
            "pools": [{"start": "10.78.0.100", "end": "10.78.0.110"}]});
        api.post("/subnets", far).expect(201);
        let router = lan.plug_host("h1", "02:00:00:00:00:02");
        router.run(|| ip("address add 10.77.0.2/24 dev eth0"));
        let host = plug_behind(&router, "02:00:00:00:00:63", "10.78.0.1/24");
        ip("route add 10.78.0.0/24 via 10.77.0.2");
        let mut events = api.events_after(0);
        let take = |address: Ipv4Addr| {
            host.run(move || {
                ip(&format!("address add {address}/24 dev eth0"));
                ip("route replace default via 10.78.0.1");
            });
        };
        // Another host takes the address; then the client itself; then another host again.
        for client in 1..=3 {
            let address = relayed(&router, &discover(client)).yiaddr;
            assert_eq!(address.octets()[3], u8::try_from(99 + client).unwrap());
            if client != 2 {
                take(address);
                let told = events.wait_for(EVENT_WITHIN, |event| event["kind"] == "dhcp.address_in_use");
                assert_eq!(told["data"]["address"], json!(address), "{told:#}");
                assert_eq!((&told["data"]["probe"], &told["data"]["mac"]), (&json!("icmp"), &json!(null)));
            }
            let answer = relayed(&router, &request(client, &address.to_string()));
            let expected = if client == 2 { MessageType::Ack } else { MessageType::Nak };
            assert_eq!(answer.message_type(), Some(expected), "{client}");
            if client == 2 {
                take(address);
            }
        }
        assert_eq!(api.get("/leases/10.78.0.101").expect(200)["state"], "bound");
    });
}

#[test]
fn what_the_client_answers_itself_is_no_obstacle_and_hides_no_other() {
    on_a_lan(|lan| {
        let (_world, neighbour, host) = scene(lan, "arp");
        let own = |client: u8, address| Manner { mac: [2, 0, 0, 0, 1, client], ..at_once(address..=address) };
        let _alone = Answering::on(&host, own(1, 101));
        assert_eq!(offer(&host, 1), 101);
        let _before = Answering::on(&host, own(2, 102));
        let manner = Manner { delay: Duration::from_millis(50), ..at_once(102..=102) };
        let _behind = Answering::on(&neighbour, manner);
        assert_eq!(offer(&host, 2), 103);
    });
}

#[test]
fn the_clients_own_old_address_is_no_obstacle_to_icmp_though_the_kernel_knows_it() {
    on_a_lan(|lan| {
        let (_world, _neighbour, host) = scene(lan, "icmp");
        host.run(|| {
            ip("link set eth0 address 02:00:00:00:01:01");
            ip("address add 10.77.0.101/24 dev eth0");
        });
        // From now on the kernel sends no ARP for it.
        assert!(TcpStream::connect("10.77.0.101:9").is_err(), "nothing listens there");
        assert_eq!(offer(&host, 1), 101);
    });
}

#[test]
fn twenty_new_clients_at_once_get_addresses_of_their_own_and_another_does_not_wait() {
    on_a_lan(|lan| {
        let (_world, neighbour, host) = scene(lan, "arp");
        let ack = ask(&host, "eth0", request(0, "10.77.0.100")).dhcp();
        assert_eq!(ack.message_type(), Some(MessageType::Ack));
        let _near = Answering::on(&neighbour, at_once(101..=106));
        let slow = Manner { delay: Duration::from_millis(90), ..at_once(110..=112) };
        let _far = Answering::on(&neighbour, slow);
        let known = 300;
        let renewing = format!("xid {known}\n{}", request(0, "10.77.0.100").split_once('\n').unwrap().1);
        let mut questions: Vec<String> = (1..=20).map(discover).collect();
        questions.push(renewing);
        let answers = host.run(move || all_at_once(&questions));
        let (known, new): (Vec<_>, Vec<_>) = answers.iter().partition(|(reply, _)| reply.xid == known);
        let first_offer = new.iter().map(|(_, took)| *took).min().expect("an offer");
        assert!(known.len() == 1 && known[0].1 < first_offer, "{:?} {first_offer:?}", known[0].1);
        let addresses: BTreeSet<u8> = new.iter().map(|(offer, _)| offer.yiaddr.octets()[3]).collect();
        assert_eq!((new.len(), addresses.len()), (20, 20), "{addresses:?}");
        let occupied = |address: &u8| (101..=106).contains(address) || (110..=112).contains(address);
        assert!(!addresses.iter().any(occupied), "{addresses:?}");
        let slowest = new.iter().map(|(_, took)| *took).max().expect("an offer");
        assert!(slowest <= OFFER_WITHIN, "{slowest:?}");
    });
}

/// Sends all requests in a row; returns the answers with the time since the first request.
fn all_at_once(questions: &[String]) -> Vec<(DhcpPacket, Duration)> {
    let nic = Nic::open("eth0");
    let messages: Vec<DhcpPacket> =
        questions.iter().map(|text| from_text(text).expect("a request")).collect();
    let begun = Instant::now();
    messages.iter().for_each(|message| nic.send(&encode_listed(message)));
    let mut answers: Vec<(DhcpPacket, Duration)> = Vec::new();
    while answers.len() < messages.len() {
        let is_new = |xid: u32| {
            let is_answered = answers.iter().any(|(answer, _)| answer.xid == xid);
            !is_answered && messages.iter().any(|message| message.xid == xid)
        };
        let Some(frame) = nic.reply(is_new) else { break };
        answers.push((frame.dhcp(), begun.elapsed()));
    }
    answers
}
