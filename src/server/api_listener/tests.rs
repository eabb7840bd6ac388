//! What clients may not do on the API's port, with time-outs that are short, and what they may.

use std::net::SocketAddr;

use axum::body::Bytes;
use axum::routing::{get, post};
use futures_util::stream;
use rustls::pki_types::{PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;
use tokio_rustls::client;

use super::*;
use crate::connections::ConnectionCounters;

/// How long a test waits for what must happen, however busy the machine is.
const DEADLINE: Duration = Duration::from_secs(60);
const SHORT: Duration = Duration::from_millis(200);
/// What no test waits for.
const NEVER: Duration = Duration::from_secs(3600);
/// More than the kernel and hyper hold for a client that takes nothing.
const LARGE_BYTES: usize = 64 << 20;
const PIECES: usize = 20;

struct TestListener {
    address: SocketAddr,
    counters: Arc<ConnectionCounters>,
    connector: TlsConnector,
    /// Lets the handler of `/slow` end.
    slow: Arc<Semaphore>,
    /// Has a permit for each time that it began.
    begun: Arc<Semaphore>,
    stop: CancellationToken,
    served: JoinHandle<io::Result<()>>,
}

type Client = client::TlsStream<TcpStream>;

/// Every time as long as never.
fn patient() -> ListenerLimits {
    let limits = ListenerLimits::default();
    ListenerLimits {
        handshakes: HandshakeLimits { time_max: NEVER, ..limits.handshakes },
        timeouts: ClientTimeouts {
            head: NEVER,
            idle: NEVER,
            idle_crowded: NEVER,
            stalled: NEVER,
            farewell: SHORT,
        },
        ..limits
    }
}

fn router((slow, begun): (Arc<Semaphore>, Arc<Semaphore>)) -> Router {
    let slowly = move || async move {
        begun.add_permits(1);
        slow.acquire().await.map(|_| "slow").unwrap_or_default()
    };
    let pieces = || async {
        Body::from_stream(stream::unfold(0, |sent| async move {
            tokio::time::sleep(SHORT / 2).await;
            (sent < PIECES).then(|| (Ok::<_, Infallible>(Bytes::from_static(b"piece\n")), sent + 1))
        }))
    };
    Router::new()
        .route("/", get(|| async { "hello" }))
        .route("/slow", get(slowly))
        .route("/large", get(|| async { vec![b'x'; LARGE_BYTES] }))
        .route("/pieces", get(pieces))
        .route("/refused", post(|| async { StatusCode::UNAUTHORIZED }))
}

fn tls() -> (TlsAcceptor, TlsConnector) {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let (certificate, key) = (made.cert.der().clone(), made.signing_key.serialize_der());
    let mut trusted = RootCertStore::empty();
    trusted.add(certificate.clone()).unwrap();
    let server =
        ServerConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions();
    let server = server.unwrap().with_no_client_auth();
    let server = server.with_single_cert(vec![certificate], PrivateKeyDer::try_from(key).unwrap()).unwrap();
    let client = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let client = client.unwrap().with_root_certificates(trusted).with_no_client_auth();
    (TlsAcceptor::from(Arc::new(server)), TlsConnector::from(Arc::new(client)))
}

impl TestListener {
    fn start(limits: ListenerLimits) -> TestListener {
        let listener = crate::connections::listen("127.0.0.1:0".parse().unwrap()).unwrap();
        let (tls, connector) = tls();
        let (slow, begun) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
        let stop = CancellationToken::new();
        let limiter = ConnectionLimiter::new(limits.connections);
        let (address, counters) = (listener.local_addr().unwrap(), Arc::clone(&limiter.counters));
        let listener = TcpListener::from_std(listener).unwrap();
        let served = ApiListener {
            listener,
            tls,
            router: router((Arc::clone(&slow), Arc::clone(&begun))),
            limits,
            limiter,
        };
        let served = tokio::spawn(served.run(stop.clone()));
        TestListener { address, counters, connector, slow, begun, stop, served }
    }

    async fn connect(&self) -> Client {
        let stream = TcpStream::connect(self.address).await.unwrap();
        self.connector.connect(ServerName::try_from("localhost").unwrap(), stream).await.unwrap()
    }

    async fn get(&self, path: &str) -> String {
        let mut client = self.connect().await;
        client.write_all(request(path).as_bytes()).await.unwrap();
        read_until(&mut client, "hello").await
    }

    /// Waits until so many clients met this limit.
    async fn counted(&self, limit: LimitReason, wanted: u64) {
        let counted = async {
            while self.counters.limited(limit) < wanted {
                tokio::task::yield_now().await;
            }
        };
        timeout(DEADLINE, counted).await.unwrap_or_else(|_| panic!("no client is {}", limit.as_str()));
        assert_eq!(self.counters.limited(limit), wanted);
    }
}

fn request(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n")
}

async fn read_until(client: &mut Client, end: &str) -> String {
    let mut said = String::new();
    let reading = async {
        while !said.contains(end) {
            let mut piece = [0; 4096];
            let bytes = client.read(&mut piece).await.unwrap_or(0);
            assert!(bytes > 0, "closed after {said:?}");
            said.push_str(&String::from_utf8_lossy(&piece[..bytes]));
        }
    };
    timeout(DEADLINE, reading).await.unwrap();
    said
}

/// Waits until the server has closed the connection.
async fn closed(stream: &mut (impl AsyncReadExt + Unpin)) {
    let reading = async { while matches!(stream.read(&mut [0; 4096]).await, Ok(1..)) {} };
    timeout(DEADLINE, reading).await.expect("a connection that is closed");
}

#[tokio::test]
async fn a_connection_without_a_handshake_is_closed() {
    let limits = patient();
    let handshakes = HandshakeLimits { time_max: SHORT, ..limits.handshakes };
    let server = TestListener::start(ListenerLimits { handshakes, ..limits });
    let mut silent = TcpStream::connect(server.address).await.unwrap();
    let mut half = TcpStream::connect(server.address).await.unwrap();
    half.write_all(b"\x16\x03\x01\x02\x00\x01").await.unwrap();
    closed(&mut silent).await;
    closed(&mut half).await;
    server.counted(LimitReason::SlowHandshake, 2).await;
}

#[tokio::test]
async fn half_a_head_and_a_head_that_drips_and_none_at_all_are_closed() {
    let limits = patient();
    let server = TestListener::start(ListenerLimits {
        timeouts: ClientTimeouts { head: SHORT, ..limits.timeouts },
        ..limits
    });
    let (mut half, mut none, mut drips) =
        (server.connect().await, server.connect().await, server.connect().await);
    half.write_all(b"GET / HTTP/1.1\r\nHost:").await.unwrap();
    let (mut reader, mut writer) = tokio::io::split(&mut drips);
    let dripping = async {
        for byte in request("/").bytes().cycle() {
            // Without line ends it never is a head.
            if byte != b'\r' && writer.write_all(&[byte]).await.is_err() {
                break;
            }
            tokio::time::sleep(SHORT / 8).await;
        }
    };
    tokio::select! {
        () = dripping => {}
        () = closed(&mut reader) => {}
    }
    closed(&mut half).await;
    closed(&mut none).await;
    server.counted(LimitReason::SlowRequest, 3).await;
}

#[tokio::test]
async fn a_client_that_is_silent_between_requests_is_closed_and_one_that_waits_for_its_answer_is_not() {
    let limits = patient();
    let server = TestListener::start(ListenerLimits {
        timeouts: ClientTimeouts { idle: SHORT, stalled: SHORT, ..limits.timeouts },
        ..limits
    });
    let (mut idle, mut waits) = (server.connect().await, server.connect().await);
    waits.write_all(request("/slow").as_bytes()).await.unwrap();
    idle.write_all(request("/").as_bytes()).await.unwrap();
    read_until(&mut idle, "hello").await;
    closed(&mut idle).await;
    server.counted(LimitReason::Idle, 1).await;
    // More time than any of them has gone by for the other, too.
    server.slow.add_permits(1);
    read_until(&mut waits, "slow").await;
}

#[tokio::test]
async fn when_most_places_are_taken_silence_ends_sooner() {
    let limits = patient();
    let server = TestListener::start(ListenerLimits {
        connections: ConnectionLimits { connections_max: 4, of_one_address_max: 4 },
        timeouts: ClientTimeouts { idle_crowded: SHORT, ..limits.timeouts },
        ..limits
    });
    let mut clients = Vec::new();
    for _ in 0..4 {
        let mut client = server.connect().await;
        client.write_all(request("/").as_bytes()).await.unwrap();
        read_until(&mut client, "hello").await;
        clients.push(client);
    }
    // There is no place, until one of those who only wait is closed.
    assert!(server.get("/").await.contains("hello"));
    assert!(server.counters.limited(LimitReason::Idle) >= 1);
}

#[tokio::test]
async fn an_answer_of_which_nothing_is_taken_is_given_up_and_a_stream_that_goes_on_is_not() {
    let limits = patient();
    let timeouts = ClientTimeouts { stalled: SHORT * 10, idle: SHORT, ..limits.timeouts };
    let server = TestListener::start(ListenerLimits { timeouts, ..limits });
    let (mut takes_nothing, mut streams) = (server.connect().await, server.connect().await);
    takes_nothing.write_all(request("/large").as_bytes()).await.unwrap();
    streams.write_all(request("/pieces").as_bytes()).await.unwrap();
    let said = read_until(&mut streams, "0\r\n\r\n").await;
    assert_eq!(said.matches("piece").count(), PIECES);
    server.counted(LimitReason::Stalled, 1).await;
}

#[tokio::test]
async fn an_address_that_has_too_many_connections_gets_no_more() {
    let limits = patient();
    let connections = ConnectionLimits { connections_max: 100, of_one_address_max: 2 };
    let server = TestListener::start(ListenerLimits { connections, ..limits });
    let mut clients = vec![server.connect().await, server.connect().await];
    let mut third = TcpStream::connect(server.address).await.unwrap();
    closed(&mut third).await;
    server.counted(LimitReason::OneAddress, 1).await;
    for client in &mut clients {
        client.write_all(request("/").as_bytes()).await.unwrap();
        read_until(client, "hello").await;
    }
}

#[tokio::test]
async fn what_a_refused_request_still_sends_is_read_before_the_answer() {
    let server = TestListener::start(patient());
    let mut client = server.connect().await;
    let head =
        |length: usize| format!("POST /refused HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n");
    let body = vec![b'x'; 200_000];
    client.write_all(head(body.len()).as_bytes()).await.unwrap();
    client.write_all(&body).await.unwrap();
    assert!(read_until(&mut client, "\r\n\r\n").await.starts_with("HTTP/1.1 401 "));
    // The connection goes on, so the body was read to its end.
    client.write_all(request("/").as_bytes()).await.unwrap();
    read_until(&mut client, "hello").await;
}

#[tokio::test]
async fn a_refused_body_that_does_not_come_delays_the_answer_for_a_bounded_time() {
    let limits = patient();
    let unread = UnreadLimits { time_max: SHORT, ..limits.unread };
    let server = TestListener::start(ListenerLimits { unread, ..limits });
    for lines in ["Content-Length: 9\r\n", "Content-Length: 9\r\nExpect: 100-continue\r\n"] {
        let mut client = server.connect().await;
        let head = format!("POST /refused HTTP/1.1\r\nHost: x\r\n{lines}\r\n");
        client.write_all(head.as_bytes()).await.unwrap();
        assert!(read_until(&mut client, "\r\n\r\n").await.starts_with("HTTP/1.1 401 "), "{lines}");
    }
}

#[tokio::test]
async fn the_end_of_the_server_waits_for_requests_and_for_nobody_else() {
    let server = TestListener::start(ListenerLimits { drain: DEADLINE, ..patient() });
    let _silent = TcpStream::connect(server.address).await.unwrap();
    let (mut idle, mut waits) = (server.connect().await, server.connect().await);
    waits.write_all(request("/slow").as_bytes()).await.unwrap();
    idle.write_all(request("/").as_bytes()).await.unwrap();
    read_until(&mut idle, "hello").await;
    timeout(DEADLINE, server.begun.acquire()).await.unwrap().unwrap().forget();
    server.stop.cancel();
    closed(&mut idle).await;
    server.slow.add_permits(1);
    read_until(&mut waits, "slow").await;
    drop(waits);
    timeout(DEADLINE, server.served).await.unwrap().unwrap().unwrap();
}
