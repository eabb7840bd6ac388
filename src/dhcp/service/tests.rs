//! The service on the loopback interface, asked the way a relay asks (RFC 8357 makes it answer at our port).

use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::net::UdpSocket;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::proto::dhcp4::{MessageType, encode_listed, encode_reply, from_text};

const WAIT_MAX: Duration = Duration::from_secs(5);

/// Offers 127.1.0.100 to everybody, when it is let.
struct Offers(Option<Arc<Notify>>);

impl Handler for Offers {
    fn answer(&self, request: Request) -> BoxFuture<'_, Option<Reply>> {
        Box::pin(async move {
            if let Some(gate) = &self.0 {
                gate.notified().await;
            }
            assert_ne!(request.packet.xid, 13, "one packet must not stop the others");
            let mut packet =
                Packet { op: 2, yiaddr: Ipv4Addr::new(127, 1, 0, 100), ..request.packet.clone() };
            packet.options.set(53, [u8::from(MessageType::Offer)]);
            Some(Reply {
                bytes: encode_reply(&packet, 548).bytes,
                packet,
                dropped: Vec::new(),
                destination: crate::dhcp::destination(&request.query(), &request.packet),
                source: request.local?,
                interface: request.interface.index,
                unfilled: Vec::new(),
                bytes_max: 548,
            })
        })
    }
}

struct Running {
    port: u16,
    counters: Arc<Counters>,
    stop: CancellationToken,
    service: tokio::task::JoinHandle<io::Result<()>>,
}

fn start(gate: Option<Arc<Notify>>) -> Running {
    let service = Service::bind(0, vec!["lo".into()], Arc::new(Offers(gate))).unwrap();
    let stop = CancellationToken::new();
    Running {
        port: service.local_port().unwrap(),
        counters: service.counters(),
        stop: stop.clone(),
        service: tokio::spawn(service.run(stop)),
    }
}

async fn relay() -> UdpSocket {
    UdpSocket::bind("127.0.0.1:0").await.unwrap()
}

fn discover(xid: u32) -> Vec<u8> {
    let text = format!(
        "xid {xid}\nchaddr 02:00:00:00:00:01\ngiaddr 127.0.0.1\nmessage_type discover\n\
         relay_agent_information 19="
    );
    encode_listed(&from_text(&text).unwrap())
}

async fn offer(socket: &UdpSocket) -> (Packet, SocketAddrV4) {
    let mut buffer = [0; 2048];
    let received = tokio::time::timeout(WAIT_MAX, socket.recv_from(&mut buffer)).await;
    let (bytes, from) = received.expect("an offer in time").unwrap();
    let std::net::SocketAddr::V4(from) = from else { panic!("{from}") };
    (parse(&buffer[..bytes]).unwrap(), from)
}

#[tokio::test]
async fn a_relayed_discover_is_answered_from_the_address_it_was_sent_to() {
    let running = start(None);
    let relay = relay().await;
    for (at, address) in ["127.0.0.1", "127.0.0.2"].into_iter().enumerate() {
        relay.send_to(&discover(at as u32), (address, running.port)).await.unwrap();
        let (packet, from) = offer(&relay).await;
        assert_eq!(packet.yiaddr, Ipv4Addr::new(127, 1, 0, 100));
        assert_eq!(from, SocketAddrV4::new(address.parse().unwrap(), running.port));
    }
    running.stop.cancel();
    running.service.await.unwrap().unwrap();
}

#[tokio::test]
async fn garbage_and_a_failing_answer_do_not_stop_the_service() {
    let running = start(None);
    let relay = relay().await;
    let to = ("127.0.0.1", running.port);
    relay.send_to(b"not dhcp", to).await.unwrap();
    relay.send_to(&[0xff; 3000], to).await.unwrap();
    relay.send_to(&discover(13), to).await.unwrap();
    relay.send_to(&discover(1), to).await.unwrap();
    assert_eq!(offer(&relay).await.0.xid, 1);
    assert_eq!(running.counters.malformed.load(Relaxed), 2);
    running.stop.cancel();
    running.service.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_retransmission_is_not_answered_twice() {
    let gate = Arc::new(Notify::new());
    let running = start(Some(gate.clone()));
    let relay = relay().await;
    let to = ("127.0.0.1", running.port);
    for xid in [1, 1, 1, 2] {
        relay.send_to(&discover(xid), to).await.unwrap();
    }
    for _ in 0..2 {
        gate.notify_one();
        offer(&relay).await;
    }
    running.stop.cancel();
    running.service.await.unwrap().unwrap();
    assert_eq!(running.counters.repeated.load(Relaxed), 2);
    assert_eq!(running.counters.sent.load(Relaxed), 2);
}
