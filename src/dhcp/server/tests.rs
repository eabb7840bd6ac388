//! Tests of the service on the loopback interface, with requests as a relay sends them (RFC 8357 makes the
//! service reply to the relay's port).

use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::time::Duration;

use futures_util::future::BoxFuture;
use socket2::{Domain, Socket, Type};
use tokio::net::UdpSocket;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::dhcp::decide::ReplyDestination;
use crate::proto::dhcp4::{MessageType, encode_listed, encode_reply, from_text};
use crate::telemetry::testing::LogText;

const WAIT_MAX: Duration = Duration::from_secs(30);

/// The clients whose answers the fake handler delays: all, or one, as if its write were slow.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Waits {
    Nobody,
    Everybody,
    Client(u8),
}

/// Offers 127.1.0.100 to every client and acknowledges it, when it is allowed to.
struct Offers {
    gate: Arc<Notify>,
    waits: Waits,
    holds: AtomicBool,
    asked: AtomicU64,
}

impl Offers {
    async fn decide(&self, request: DhcpRequest) -> HandlerResult {
        self.asked.fetch_add(1, Relaxed);
        let last = request.packet.chaddr[5];
        if self.waits == Waits::Everybody || self.waits == Waits::Client(last) {
            // Like a real write, it is not done at the first poll.
            tokio::task::yield_now().await;
            self.gate.notified().await;
        }
        assert_ne!(request.packet.xid, 13, "one packet must not stop the others");
        if request.packet.xid == 14 {
            return Err(SilenceReason::NoSubnet);
        }
        let is_discover = request.packet.message_type() == Some(MessageType::Discover);
        let kind = if is_discover { MessageType::Offer } else { MessageType::Ack };
        let mut packet =
            DhcpPacket { op: 2, yiaddr: Ipv4Addr::new(127, 1, 0, 100), ..request.packet.clone() };
        packet.options.set(53, [u8::from(kind)]);
        Ok(Some(ReplyDatagram {
            bytes: encode_reply(&packet, 548).bytes,
            destination: ReplyDestination::Unicast(request.source),
            source: request.local.ok_or(SilenceReason::NotOurs)?,
            interface: request.interface.index,
            durable: !is_discover,
        }))
    }
}

impl DhcpHandler for Offers {
    fn answer(self: Arc<Self>, request: DhcpRequest) -> BoxFuture<'static, HandlerResult> {
        Box::pin(async move { self.decide(request).await })
    }

    fn still_holds(&self, _: &ReplyDatagram) -> bool {
        self.holds.load(Relaxed)
    }
}

struct Running {
    port: u16,
    offers: Arc<Offers>,
    counters: Arc<DhcpCounters>,
    stop: CancellationToken,
    service: tokio::task::JoinHandle<()>,
}

impl Running {
    async fn stop(self) {
        self.offers.gate.notify_waiters();
        self.stop.cancel();
        self.service.await.unwrap();
    }
}

fn bind(waits: Waits) -> (Arc<Offers>, DhcpService) {
    bind_on("lo", waits)
}

fn bind_on(interface: &str, waits: Waits) -> (Arc<Offers>, DhcpService) {
    let (gate, holds, asked) = (Arc::default(), AtomicBool::new(true), AtomicU64::default());
    let offers = Arc::new(Offers { gate, waits, holds, asked });
    let service = DhcpService::bind(0, vec![interface.into()], offers.clone()).unwrap();
    (offers, service)
}

fn start(waits: Waits) -> Running {
    let (offers, service) = bind(waits);
    run(offers, service)
}

fn run(offers: Arc<Offers>, service: DhcpService) -> Running {
    let stop = CancellationToken::new();
    Running {
        port: service.local_port().unwrap(),
        offers,
        counters: service.counters(),
        stop: stop.clone(),
        service: tokio::spawn(service.run(stop)),
    }
}

async fn relay() -> UdpSocket {
    UdpSocket::bind("127.0.0.1:0").await.unwrap()
}

fn discover(xid: u32) -> Vec<u8> {
    message("discover", xid, 1)
}

fn message(kind: &str, xid: u32, client: u8) -> Vec<u8> {
    let text = format!(
        "xid {xid}\nchaddr 02:00:00:00:00:{client:02x}\ngiaddr 127.0.0.1\nmessage_type {kind}\n\
         relay_agent_information 19="
    );
    encode_listed(&from_text(&text).unwrap())
}

async fn offer(socket: &UdpSocket) -> (DhcpPacket, SocketAddrV4) {
    let mut buffer = [0; 2048];
    let received = tokio::time::timeout(WAIT_MAX, socket.recv_from(&mut buffer)).await;
    let (bytes, from) = received.expect("an offer in time").unwrap();
    let std::net::SocketAddr::V4(from) = from else { panic!("{from}") };
    (parse(&buffer[..bytes]).unwrap(), from)
}

async fn bytes(socket: &UdpSocket, buffer: &mut [u8]) -> usize {
    let received = tokio::time::timeout(WAIT_MAX, socket.recv(buffer)).await;
    received.expect("a reply in time").unwrap()
}

#[tokio::test]
async fn a_relayed_discover_is_answered_from_the_address_it_was_sent_to() {
    let running = start(Waits::Nobody);
    let relay = relay().await;
    for (at, address) in ["127.0.0.1", "127.0.0.2"].into_iter().enumerate() {
        relay.send_to(&discover(at as u32), (address, running.port)).await.unwrap();
        let (packet, from) = offer(&relay).await;
        assert_eq!(packet.yiaddr, Ipv4Addr::new(127, 1, 0, 100));
        assert_eq!(from, SocketAddrV4::new(address.parse().unwrap(), running.port));
    }
    running.stop().await;
}

#[tokio::test]
async fn garbage_and_a_failing_answer_do_not_stop_the_service() {
    let running = start(Waits::Nobody);
    let relay = relay().await;
    let to = ("127.0.0.1", running.port);
    relay.send_to(b"not dhcp", to).await.unwrap();
    relay.send_to(&[0xff; 3000], to).await.unwrap();
    relay.send_to(&discover(13), to).await.unwrap();
    relay.send_to(&discover(1), to).await.unwrap();
    assert_eq!(offer(&relay).await.0.xid, 1);
    relay.send_to(&discover(14), to).await.unwrap();
    relay.send_to(&discover(2), to).await.unwrap();
    assert_eq!(offer(&relay).await.0.xid, 2);
    let dropped = [DropReason::Malformed, DropReason::Failed, DropReason::NoSubnet];
    assert_eq!(dropped.map(|why| running.counters.dropped(why)), [2, 1, 1]);
    running.stop().await;
}

#[tokio::test]
async fn a_retransmission_is_not_answered_twice() {
    let running = start(Waits::Everybody);
    let relay = relay().await;
    let to = ("127.0.0.1", running.port);
    for xid in [1, 1, 1, 2] {
        relay.send_to(&discover(xid), to).await.unwrap();
    }
    for _ in 0..2 {
        running.offers.gate.notify_one();
        offer(&relay).await;
    }
    assert_eq!(running.counters.dropped(DropReason::Repeated), 2);
    assert_eq!(running.counters.sent.load(Relaxed), 2);
    running.stop().await;
}

#[tokio::test]
async fn a_lost_acknowledgement_is_sent_again_as_long_as_it_holds() {
    let running = start(Waits::Everybody);
    let relay = relay().await;
    let to = ("127.0.0.1", running.port);
    let request = message("request", 7, 1);
    let mut buffers = [[0; 2048]; 2];
    relay.send_to(&request, to).await.unwrap();
    running.offers.gate.notify_one();
    let first = bytes(&relay, &mut buffers[0]).await;
    relay.send_to(&request, to).await.unwrap();
    let second = bytes(&relay, &mut buffers[1]).await;
    assert_eq!(buffers[0][..first], buffers[1][..second]);
    assert_eq!((running.offers.asked.load(Relaxed), running.counters.resent.load(Relaxed)), (1, 1));
    running.offers.holds.store(false, Relaxed);
    relay.send_to(&request, to).await.unwrap();
    running.offers.gate.notify_one();
    assert_eq!(offer(&relay).await.0.xid, 7);
    assert_eq!((running.offers.asked.load(Relaxed), running.counters.resent.load(Relaxed)), (2, 1));
    running.stop().await;
}

#[tokio::test]
async fn an_offer_that_had_to_wait_is_decided_anew_and_an_acknowledgement_at_once_is_sent_again() {
    // As when an address is probed: the answer waits and nothing is written.
    let running = start(Waits::Everybody);
    let relay = relay().await;
    for _ in 0..2 {
        relay.send_to(&message("discover", 7, 1), ("127.0.0.1", running.port)).await.unwrap();
        running.offers.gate.notify_one();
        assert_eq!(offer(&relay).await.0.xid, 7);
    }
    assert_eq!((running.offers.asked.load(Relaxed), running.counters.resent.load(Relaxed)), (2, 0));
    running.stop().await;
    let running = start(Waits::Nobody);
    for _ in 0..2 {
        relay.send_to(&message("request", 7, 1), ("127.0.0.1", running.port)).await.unwrap();
        assert_eq!(offer(&relay).await.0.xid, 7);
    }
    assert_eq!((running.offers.asked.load(Relaxed), running.counters.resent.load(Relaxed)), (1, 1));
    running.stop().await;
}

#[tokio::test]
async fn a_slow_write_for_one_client_holds_up_no_other() {
    let running = start(Waits::Client(99));
    let relay = relay().await;
    let to = ("127.0.0.1", running.port);
    relay.send_to(&message("request", 1000, 99), to).await.unwrap();
    for client in 1..50 {
        let xid = 2000 + u32::from(client);
        relay.send_to(&message("request", xid, client), to).await.unwrap();
        assert_eq!(offer(&relay).await.0.xid, xid);
    }
    running.offers.gate.notify_one();
    assert_eq!(offer(&relay).await.0.xid, 1000);
    running.stop().await;
}

#[tokio::test]
async fn a_client_that_loops_is_slowed_down_and_others_are_not() {
    let running = start(Waits::Nobody);
    let (looping, other) = (relay().await, relay().await);
    let to = ("127.0.0.1", running.port);
    looping.writable().await.unwrap();
    for xid in 1000..1500 {
        looping.try_send_to(&message("discover", xid, 99), (Ipv4Addr::LOCALHOST, to.1).into()).unwrap();
    }
    other.send_to(&message("discover", 1, 1), to).await.unwrap();
    assert_eq!(offer(&other).await.0.xid, 1);
    let counted = async {
        while running.counters.dropped(DropReason::Flood) < 300 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(WAIT_MAX, counted).await.expect("the flood is counted");
    assert!(running.counters.sent.load(Relaxed) <= 201);
    running.stop().await;
}

#[tokio::test]
async fn what_waited_longer_than_its_client_is_dropped_and_counted() {
    let (offers, service) = bind(Waits::Nobody);
    let relay = relay().await;
    let to = ("127.0.0.1", service.local_port().unwrap());
    relay.send_to(&discover(1), to).await.unwrap();
    // The age is what is tested here, so this is not waiting for an event. The kernel may stamp a little
    // late.
    tokio::time::sleep(queue::PATIENCE + Duration::from_millis(100)).await;
    relay.send_to(&discover(2), to).await.unwrap();
    let running = run(offers, service);
    assert_eq!(offer(&relay).await.0.xid, 2);
    assert_eq!(running.counters.dropped(DropReason::Stale), 1);
    running.stop().await;
}

#[tokio::test]
async fn replies_that_leave_together_arrive_each_at_its_relay() {
    const EACH: u32 = 80;
    let running = start(Waits::Everybody);
    let relays = [relay().await, relay().await];
    let to = ("127.0.0.1", running.port);
    for number in 0..2 * EACH {
        let client = u8::try_from(number).unwrap();
        let relay = &relays[usize::from(client % 2)];
        relay.send_to(&message("discover", 100 + number, client), to).await.unwrap();
    }
    // All answers are released at once, when all requests have arrived.
    while running.counters.sent.load(Relaxed) < u64::from(2 * EACH) {
        if running.offers.asked.load(Relaxed) == u64::from(2 * EACH) {
            running.offers.gate.notify_waiters();
        }
        tokio::task::yield_now().await;
    }
    for (at, relay) in (0..).zip(&relays) {
        let mut heard = Vec::new();
        for _ in 0..EACH {
            let (packet, _) = offer(relay).await;
            assert_eq!(packet.chaddr[5], u8::try_from(packet.xid - 100).unwrap());
            heard.push(packet.xid);
        }
        heard.sort_unstable();
        assert_eq!(heard, (0..EACH).map(|number| 100 + 2 * number + at).collect::<Vec<_>>());
    }
    assert_eq!(running.counters.send_failures.load(Relaxed), 0);
    running.stop().await;
}

#[tokio::test]
async fn what_comes_by_an_interface_that_is_not_served_takes_nobodys_place() {
    let (_, mut service) = bind_on("no-such-interface", Waits::Nobody);
    let client = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    client.send_to(&[1; 300], ("127.0.0.1", service.local_port().unwrap())).await.unwrap();
    readable(&service.listeners).await;
    service.read();
    assert_eq!((service.queue.len(), service.counters.dropped(DropReason::Elsewhere)), (0, 1));
}

#[tokio::test]
async fn a_socket_that_keeps_failing_does_not_end_the_service_and_is_opened_anew() {
    let (offers, mut service) = bind(Waits::Nobody);
    // TCP without a peer: always readable, and each read fails.
    let broken = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    broken.set_nonblocking(true).unwrap();
    service.listeners[0].udp = UdpSocket::from_std(broken.into()).unwrap();
    let (receives, counters) = (service.receives(), service.counters());
    while receives() {
        readable(&service.listeners).await;
        service.read();
    }
    service.read();
    let failures = counters.receive_failures.load(Relaxed);
    assert_eq!(failures, u64::from(crate::datagrams::FAILURES_MAX), "it is left alone");
    assert!(readable(&service.listeners).now_or_never().is_none(), "and wakes nobody");
    service.refresh();
    assert!(!receives(), "the new one has to do well first");
    service.refresh();
    assert!(receives());
    let running = run(offers, service);
    let relay = relay().await;
    relay.send_to(&discover(1), ("127.0.0.1", running.port)).await.unwrap();
    assert_eq!(offer(&relay).await.0.xid, 1);
    running.stop().await;
}

/// Sends a request and lets the service admit it, if there is room.
async fn ask(service: &mut DhcpService, relay: &UdpSocket, request: &[u8]) {
    relay.send_to(request, ("127.0.0.1", service.local_port().unwrap())).await.unwrap();
    readable(&service.listeners).await;
    service.read();
    service.decide();
}

#[tokio::test]
async fn answers_that_take_too_long_give_up_their_places() {
    let (offers, mut service) = bind(Waits::Everybody);
    let relay = relay().await;
    let request = |number: usize| {
        let xid = u32::try_from(number).unwrap();
        message("request", 100 + xid, u8::try_from(number % 250).unwrap())
    };
    for number in 0..IN_FLIGHT_MAX {
        ask(&mut service, &relay, &request(number)).await;
    }
    ask(&mut service, &relay, &discover(1)).await;
    assert_eq!((service.under_way.len(), service.queue.len()), (IN_FLIGHT_MAX, 1), "no place is free");
    service.give_up_late(Instant::now());
    assert_eq!(service.under_way.len(), IN_FLIGHT_MAX);
    service.give_up_late(Instant::now() + ANSWER_WITHIN);
    assert_eq!(
        (service.under_way.len(), service.counters.dropped(DropReason::Late)),
        (0, IN_FLIGHT_MAX as u64)
    );
    assert_eq!(service.given_up.len(), GIVEN_UP_MAX, "what they write is finished");
    ask(&mut service, &relay, &request(0)).await;
    assert_eq!((service.under_way.len(), service.queue.len()), (2, 0), "also one that asks again");
    assert_eq!(service.counters.dropped(DropReason::Repeated), 0);
    service.give_up_late(Instant::now() + ANSWER_WITHIN);
    assert_eq!((service.under_way.len(), service.given_up.len()), (0, GIVEN_UP_MAX));
    // The answers end, and nothing is sent.
    while service.given_up.next().now_or_never().flatten().is_some() {}
    offers.gate.notify_waiters();
    let ended = async { while service.given_up.next().await.is_some() {} };
    tokio::time::timeout(WAIT_MAX, ended).await.expect("they end");
    service.flush();
    assert_eq!(service.counters.sent.load(Relaxed), 0);
}

fn lost_reply(interface: u32) -> ReplyDatagram {
    ReplyDatagram {
        bytes: vec![0; 300],
        destination: ReplyDestination::Unicast("127.0.0.1:9".parse().unwrap()),
        source: Ipv4Addr::LOCALHOST,
        interface,
        durable: false,
    }
}

fn loopback_index() -> u32 {
    nix::net::if_::if_nametoindex("lo").unwrap()
}

#[tokio::test]
async fn an_answer_that_comes_too_late_is_not_sent() {
    let (_, mut service) = bind(Waits::Nobody);
    let packet = parse(&discover(1)).unwrap();
    let question = RequestKey::of(&packet, loopback_index(), SERVER_PORT);
    let now = Instant::now();
    for since in [now.checked_sub(ANSWER_WITHIN).unwrap(), now] {
        let answered = Ok(Some(lost_reply(loopback_index())));
        service.finish(FinishedAnswer { question, port: SERVER_PORT, since, answered });
        service.flush();
    }
    let counters = service.counters();
    assert_eq!((counters.sent.load(Relaxed), counters.dropped(DropReason::Late)), (1, 1));
}

#[tokio::test]
async fn replies_that_cannot_leave_are_all_counted_and_told_of_once() {
    let (log, (_, mut service)) = (LogText::default(), bind(Waits::Nobody));
    let _logs = log.start();
    // From an address that the server does not have, and on an interface that does not exist.
    let not_ours = ReplyDatagram { source: Ipv4Addr::new(192, 0, 2, 77), ..lost_reply(loopback_index()) };
    for reply in [not_ours, lost_reply(u32::MAX)] {
        for _ in 0..100 {
            send(&service.counters, (&mut service.reply_sender, &service.listeners), (&reply, SERVER_PORT));
            service.flush();
        }
    }
    assert_eq!(service.counters.send_failures.load(Relaxed), 200);
    let logged = log.text();
    assert_eq!(logged.lines().filter(|line| line.contains("could not be sent")).count(), 1, "{logged}");
}
