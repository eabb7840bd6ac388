//! Tests of the service on loopback, with real sockets and a plain client.

use crate::artifacts::opened::FileSubject;
use crate::proto::tftp::{ErrorCode, TftpPacket, TftpRequest, TransferEnd, TransferMode};
use crate::tftp::client::TftpClient;
use crate::tftp::*;
use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

const PATIENCE: Duration = Duration::from_secs(10);

/// Serves `data` and `file` (200 kB), `capped` in blocks of at most 1000 bytes, `small`, `text` and `cut`;
/// refuses `secret`; ignores `quiet`; never answers for `slow`. No other file exists.
struct Shelf {
    asked: mpsc::UnboundedSender<ReadRequest>,
    outcomes: mpsc::UnboundedSender<TransferOutcome>,
}

fn data() -> Vec<u8> {
    (0..200_000u32).map(|at| (at ^ (at >> 8)) as u8).collect()
}

fn file_of(bytes: &[u8], claimed: u64) -> ReadBody {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    ReadBody::File { file, bytes: claimed }
}

impl ReadOpener for Shelf {
    fn open(&self, request: ReadRequest) -> BoxFuture<'_, Result<OpenedRead, ReadRefusal>> {
        let path = request.path.clone();
        self.asked.send(request).unwrap();
        let error = |code| Err(ReadRefusal::Error { code, message: "no".into() });
        let body = match path.as_str() {
            "data" | "capped" => ReadBody::Bytes(data().into()),
            "file" => file_of(&data(), 200_000),
            "cut" => file_of(&data(), 300_000),
            "small" => ReadBody::Bytes(Bytes::from_static(b"small")),
            "text" => ReadBody::Bytes(Bytes::from_static(b"one\ntwo\n")),
            "secret" => return std::future::ready(error(ErrorCode::ACCESS)).boxed(),
            "quiet" => return std::future::ready(Err(ReadRefusal::Silence)).boxed(),
            "slow" => return std::future::pending().boxed(),
            _ => return std::future::ready(error(ErrorCode::NOT_FOUND)).boxed(),
        };
        let block_bytes_max = (path == "capped").then_some(1000);
        std::future::ready(Ok(OpenedRead {
            body,
            label: format!("shelf:{path}"),
            about: FileSubject::default(),
            block_bytes_max,
        }))
        .boxed()
    }

    fn is_served(&self, request: &ReadRequest) -> bool {
        request.path != "quiet"
    }

    fn finished(&self, outcome: TransferOutcome) {
        self.outcomes.send(outcome).unwrap();
    }
}

struct World {
    server: SocketAddr,
    counters: Arc<TftpCounters>,
    stop: CancellationToken,
    running: JoinHandle<std::io::Result<()>>,
    asked: mpsc::UnboundedReceiver<ReadRequest>,
    outcomes: mpsc::UnboundedReceiver<TransferOutcome>,
}

impl World {
    fn start(settings: TftpSettings) -> Self {
        Self::start_after(settings, |_| {})
    }

    fn start_after(settings: TftpSettings, harm: impl FnOnce(&mut TftpService)) -> Self {
        let (asked_sender, asked) = mpsc::unbounded_channel();
        let (outcome_sender, outcomes) = mpsc::unbounded_channel();
        let shelf = Arc::new(Shelf { asked: asked_sender, outcomes: outcome_sender });
        let mut service =
            TftpService::bind(SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 0), settings, shelf).unwrap();
        harm(&mut service);
        let port = service.local_addr().port();
        let server = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let counters = service.counters();
        let stop = CancellationToken::new();
        let running = tokio::spawn(service.run(stop.clone()));
        Self { server, counters, stop, running, asked, outcomes }
    }

    fn with(ports: PortMode) -> Self {
        Self::start(TftpSettings { ports, ..TftpSettings::default() })
    }

    fn at(&self, ip: [u8; 4]) -> SocketAddr {
        SocketAddr::from((ip, self.server.port()))
    }

    async fn outcome(&mut self) -> TransferOutcome {
        timeout(PATIENCE, self.outcomes.recv()).await.unwrap().unwrap()
    }

    async fn asked(&mut self) -> ReadRequest {
        timeout(PATIENCE, self.asked.recv()).await.unwrap().unwrap()
    }
}

fn count(counter: &AtomicU64) -> u64 {
    counter.load(Relaxed)
}

#[tokio::test]
async fn files_and_bytes_arrive_whole_with_every_window_and_both_kinds_of_port() {
    for ports in [PortMode::PerTransfer, PortMode::Single] {
        let mut world = World::with(ports);
        for path in ["data", "file"] {
            for window in ["1", "4", "16"] {
                let options = [("tsize", "0"), ("blksize", "1400"), ("windowsize", window)];
                let download = TftpClient::new().await.read(world.server, path, &options).await;
                assert!(download.body == data(), "{path}, window {window}, {ports:?}");
                assert_eq!(download.options[0], ("tsize".into(), "200000".into()));
                assert_eq!(download.server.port() == world.server.port(), ports == PortMode::Single);
                let outcome = world.outcome().await;
                assert_eq!(outcome.result, TransferResult::Ended(TransferEnd::Complete));
                assert_eq!((outcome.acked_bytes, outcome.block_bytes), (200_000, 1400));
                assert_eq!(outcome.label, format!("shelf:{path}"));
            }
        }
    }
}

#[tokio::test]
async fn a_listening_socket_that_keeps_failing_ends_nothing_and_is_opened_anew() {
    for ports in [PortMode::PerTransfer, PortMode::Single] {
        // TCP without a peer: always readable, and each read fails.
        let broken = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        let world = World::start_after(TftpSettings { ports, ..TftpSettings::default() }, |service| {
            service.socket = broken.into();
        });
        let read = async {
            loop {
                let client = TftpClient::new().await;
                let reading = client.read(world.server, "small", &[]);
                if let Ok(download) = timeout(Duration::from_millis(300), reading).await {
                    return download;
                }
            }
        };
        assert_eq!(timeout(PATIENCE, read).await.unwrap().body, b"small", "{ports:?}");
        assert!(!world.running.is_finished());
        assert_eq!(count(&world.counters.requests), 1, "{ports:?}: only the new socket heard any");
    }
}

#[tokio::test]
async fn vector_71_a_read_without_options_starts_with_data() {
    let world = World::with(PortMode::PerTransfer);
    let download = TftpClient::new().await.read(world.server, "data", &[]).await;
    assert!(download.body == data() && download.options.is_empty());
}

#[tokio::test]
async fn vector_72_an_edk2_probe_frees_its_slot_at_once() {
    let settings = TftpSettings { sessions_per_peer_max: 1, ..TftpSettings::default() };
    let mut world = World::start(settings);
    let client = TftpClient::new().await;
    for _ in 0..3 {
        client.ask(world.server, "data", &[("tsize", "0"), ("blksize", "1468")]).await;
        let (bytes, transfer) = client.recv().await;
        assert_eq!(bytes, b"\0\x06tsize\x00200000\0blksize\x001468\0");
        let abort =
            TftpPacket::Error { code: ErrorCode::OPTIONS, message: "User aborted the transfer".into() };
        client.send(transfer, &abort).await;
        let result = world.outcome().await.result;
        assert!(matches!(result, TransferResult::Ended(TransferEnd::Aborted { .. })), "{result:?}");
    }
    let options = [("blksize", "1468"), ("windowsize", "4")];
    assert!(client.read(world.server, "data", &options).await.body == data());
}

#[tokio::test]
async fn vector_79_a_stranger_gets_error_5_and_the_transfer_goes_on() {
    let world = World::with(PortMode::PerTransfer);
    let (client, stranger) = (TftpClient::new().await, TftpClient::new().await);
    client.ask(world.server, "data", &[("blksize", "1024")]).await;
    let (_, transfer) = client.recv().await;
    stranger.send(transfer, &TftpPacket::Ack { block: 0 }).await;
    assert_eq!(stranger.error().await, ErrorCode::UNKNOWN_TRANSFER);
    client.send(transfer, &TftpPacket::Ack { block: 0 }).await;
    let (first, _) = client.recv().await;
    assert_eq!(first[..4], [0, 3, 0, 1]);
}

#[tokio::test]
async fn vector_84_absent_and_forbidden_paths_get_their_error() {
    let world = World::with(PortMode::PerTransfer);
    let client = TftpClient::new().await;
    client.ask(world.server, "nothing", &[]).await;
    assert_eq!(client.error().await, ErrorCode::NOT_FOUND);
    client.ask(world.server, "secret", &[]).await;
    assert_eq!(client.error().await, ErrorCode::ACCESS);
    assert_eq!((count(&world.counters.refused), count(&world.counters.started)), (2, 0));
}

#[tokio::test]
async fn vector_85_writes_get_error_2_and_netascii_gets_cr_lf() {
    let world = World::with(PortMode::PerTransfer);
    let client = TftpClient::new().await;
    let request = TftpRequest { path: "data".into(), mode: TransferMode::Octet, options: Vec::new() };
    client.send(world.server, &TftpPacket::Write(request)).await;
    assert_eq!(client.error().await, ErrorCode::ACCESS);
    let options = [("tsize", "0"), ("blksize", "600")];
    let download = client.read_in(TransferMode::Netascii, world.server, "text", &options).await;
    assert_eq!(download.body, b"one\r\ntwo\r\n");
    assert_eq!(download.options, [("blksize".to_owned(), "600".to_owned())]);
}

#[tokio::test]
async fn vector_86_a_broadcast_request_is_answered_from_the_unicast_address() {
    for ports in [PortMode::PerTransfer, PortMode::Single] {
        let world = World::with(ports);
        let client = TftpClient::new().await;
        client.socket.set_broadcast(true).unwrap();
        let download = client.read(world.at([127, 255, 255, 255]), "small", &[]).await;
        assert_eq!((download.body.as_slice(), download.server.ip()), (&b"small"[..], world.server.ip()));
    }
}

#[tokio::test]
async fn replies_leave_from_the_address_the_request_was_sent_to() {
    for ports in [PortMode::PerTransfer, PortMode::Single] {
        let mut world = World::with(ports);
        let client = TftpClient::new().await;
        let server = world.at([127, 0, 0, 5]);
        assert_eq!(client.read(server, "small", &[]).await.server.ip(), server.ip());
        assert_eq!(world.asked().await.local, IpAddr::from([127, 0, 0, 5]));
        client.ask(server, "nothing", &[]).await;
        let (_, from) = client.recv().await;
        assert_eq!(from.ip(), server.ip());
    }
}

#[tokio::test]
async fn vector_87_twenty_parallel_peers_share_a_single_port() {
    let world = World::start(TftpSettings {
        ports: PortMode::Single,
        sessions_per_peer_max: 20,
        ..TftpSettings::default()
    });
    let server = world.server;
    let reads: Vec<_> = (0..20)
        .map(|at| {
            tokio::spawn(async move {
                let window = if at % 2 == 0 { "1" } else { "4" };
                let options = [("blksize", "1468"), ("windowsize", window)];
                TftpClient::new().await.read(server, "file", &options).await
            })
        })
        .collect();
    for read in reads {
        let download = read.await.unwrap();
        assert!(download.body == data());
        assert_eq!(download.server, server);
    }
}

#[tokio::test]
async fn vector_88_the_ninth_read_of_a_peer_gets_error_0() {
    let mut world = World::with(PortMode::PerTransfer);
    let mut clients = Vec::new();
    for _ in 0..8 {
        let client = TftpClient::new().await;
        client.ask(world.server, "slow", &[]).await;
        world.asked().await;
        clients.push(client);
    }
    let ninth = TftpClient::new().await;
    ninth.ask(world.server, "small", &[]).await;
    assert_eq!(ninth.error().await, ErrorCode::OTHER);
}

#[tokio::test]
async fn vector_88_the_opener_may_choose_silence() {
    let mut world = World::with(PortMode::PerTransfer);
    let client = TftpClient::new().await;
    client.ask(world.server, "quiet", &[]).await;
    world.asked().await;
    // The next answer that this client receives is that to its next request.
    assert_eq!(client.read(world.server, "small", &[]).await.body, b"small");
}

#[tokio::test]
async fn vector_88_who_is_not_served_hears_nothing_of_a_write_either() {
    let world = World::with(PortMode::PerTransfer);
    let client = TftpClient::new().await;
    let request = TftpRequest { path: "quiet".into(), mode: TransferMode::Octet, options: Vec::new() };
    client.send(world.server, &TftpPacket::Write(request)).await;
    assert_eq!(client.read(world.server, "small", &[]).await.body, b"small");
    assert_eq!((count(&world.counters.unanswered), count(&world.counters.refused)), (1, 0));
}

#[tokio::test]
async fn a_full_server_says_nothing_so_that_firmware_asks_again() {
    let mut world = World::start(TftpSettings { sessions_max: 1, ..TftpSettings::default() });
    let (first, second) = (TftpClient::new().await, TftpClient::new().await);
    first.ask(world.server, "slow", &[]).await;
    world.asked().await;
    second.ask(world.server, "data", &[]).await;
    assert_eq!(first.read(world.server, "small", &[]).await.body, b"small");
    assert_eq!((count(&world.counters.put_off), count(&world.counters.refused)), (1, 0));
    assert_eq!(world.outcome().await.path, "small");
    // The first answer that the second client receives is that to its next request.
    assert_eq!(second.read(world.server, "small", &[]).await.body, b"small");
}

#[tokio::test]
async fn a_peer_that_asks_without_end_is_put_off() {
    let world = World::start(TftpSettings { sessions_per_peer_max: 1, ..TftpSettings::default() });
    let client = TftpClient::new().await;
    for at in 0..200 {
        let path = format!("nothing-{at}");
        let request =
            TftpRequest { path: path.as_str().into(), mode: TransferMode::Octet, options: Vec::new() };
        client.send(world.server, &TftpPacket::Read(request)).await;
        if at < 10 {
            assert_eq!(client.error().await, ErrorCode::NOT_FOUND);
        }
    }
    while count(&world.counters.requests) < 200 {
        tokio::task::yield_now().await;
    }
    assert!(count(&world.counters.put_off) > 100, "{:?}", world.counters);
}

#[tokio::test]
async fn vector_73_blocks_fit_the_link_and_what_the_subnet_allows() {
    let world = World::with(PortMode::PerTransfer);
    for (path, granted) in [("data", "1468"), ("capped", "1000")] {
        let options = [("blksize", "9000"), ("windowsize", "4")];
        let download = TftpClient::new().await.read(world.server, path, &options).await;
        assert!(download.body == data(), "{path}");
        assert_eq!(download.options[0], ("blksize".to_owned(), granted.to_owned()));
    }
}

#[tokio::test]
async fn vector_75_jumbo_blocks_and_windows_beyond_what_the_kernel_cuts_at_once() {
    let limits = crate::proto::tftp::TransferLimits { block_bytes_max: 65_464, ..Default::default() };
    for ports in [PortMode::PerTransfer, PortMode::Single] {
        let world = World::start(TftpSettings { ports, limits, ..TftpSettings::default() });
        for path in ["data", "file"] {
            let options = [("blksize", "8968"), ("windowsize", "8")];
            let download = TftpClient::new().await.read(world.server, path, &options).await;
            assert!(download.body == data(), "{path} {ports:?}");
            assert_eq!(download.options[0].1, "8968");
        }
    }
}

#[tokio::test]
async fn the_path_reaches_the_opener_as_it_came() {
    let mut world = World::with(PortMode::PerTransfer);
    let client = TftpClient::new().await;
    for path in ["\\Boot\\BCD", "../../etc/passwd", "//a//b", "m/käse"] {
        client.ask(world.server, path, &[]).await;
        assert_eq!(client.error().await, ErrorCode::NOT_FOUND);
        let asked = world.asked().await;
        assert_eq!(
            (asked.path.as_str(), asked.peer.port()),
            (path, client.socket.local_addr().unwrap().port())
        );
    }
}

#[tokio::test]
async fn paths_out_of_bounds_get_error_2_and_never_reach_the_opener() {
    let mut world = World::with(PortMode::PerTransfer);
    let client = TftpClient::new().await;
    let long = [b"\0\x01".as_slice(), &[b'a'; 513], b"\0octet\0"].concat();
    for bytes in [long.as_slice(), b"\0\x01\0octet\0"] {
        client.socket.send_to(bytes, world.server).await.unwrap();
        assert_eq!(client.error().await, ErrorCode::ACCESS);
    }
    assert!(world.asked.try_recv().is_err());
    assert_eq!(count(&world.counters.malformed), 2);
    // What is not text reaches it as what no name has.
    client.socket.send_to(b"\0\x01boot\xff\0octet\0", world.server).await.unwrap();
    assert_eq!(client.error().await, ErrorCode::NOT_FOUND);
    assert_eq!(world.asked().await.path, "boot\u{fffd}");
}

#[tokio::test]
async fn garbage_is_counted_and_the_service_goes_on() {
    let world = World::with(PortMode::Single);
    let client = TftpClient::new().await;
    for bytes in [&b""[..], b"\0", b"\0\x04\0", b"\0\x04\0\x01", b"\0\x05\0\0x\0"] {
        client.socket.send_to(bytes, world.server).await.unwrap();
    }
    client.socket.send_to(b"\x12\x34xyz", world.server).await.unwrap();
    assert_eq!(client.error().await, ErrorCode::ILLEGAL);
    assert_eq!(client.read(world.server, "small", &[]).await.body, b"small");
    assert_eq!((count(&world.counters.malformed), count(&world.counters.strays)), (4, 2));
}

#[tokio::test]
async fn a_repeated_request_starts_no_second_transfer() {
    for ports in [PortMode::PerTransfer, PortMode::Single] {
        let mut world = World::with(ports);
        let client = TftpClient::new().await;
        client.ask(world.server, "small", &[("blksize", "1024")]).await;
        client.ask(world.server, "small", &[("blksize", "1024")]).await;
        assert_eq!(client.download().await.body, b"small");
        world.outcome().await;
        assert_eq!((count(&world.counters.requests), count(&world.counters.started)), (2, 1));
    }
}

#[tokio::test]
async fn another_request_from_the_same_port_replaces_the_read() {
    for ports in [PortMode::PerTransfer, PortMode::Single] {
        let mut world = World::with(ports);
        let client = TftpClient::new().await;
        client.ask(world.server, "data", &[("tsize", "0")]).await;
        client.recv().await;
        assert_eq!(client.read(world.server, "small", &[]).await.body, b"small");
        let mut results = [world.outcome().await, world.outcome().await].map(|outcome| outcome.path);
        results.sort();
        assert_eq!(results, ["data", "small"]);
    }
}

#[tokio::test]
async fn a_file_that_became_shorter_ends_in_an_error() {
    let mut world = World::with(PortMode::PerTransfer);
    let client = TftpClient::new().await;
    client.ask(world.server, "cut", &[("blksize", "1468"), ("windowsize", "16")]).await;
    let result = loop {
        let (bytes, server) = client.recv().await;
        match crate::proto::tftp::packet::parse(&bytes).unwrap() {
            TftpPacket::OptionsAck(_) => client.send(server, &TftpPacket::Ack { block: 0 }).await,
            TftpPacket::Data { block, .. } if block % 16 == 0 => {
                client.send(server, &TftpPacket::Ack { block }).await
            }
            TftpPacket::Data { .. } => {}
            TftpPacket::Error { code, .. } => break code,
            other => panic!("unexpected {other:?}"),
        }
    };
    assert_eq!(result, ErrorCode::OTHER);
    assert!(matches!(world.outcome().await.result, TransferResult::Failed(_)));
}

#[tokio::test]
async fn a_shutdown_tells_the_clients_and_ends_the_service() {
    for ports in [PortMode::PerTransfer, PortMode::Single] {
        let mut world = World::with(ports);
        let client = TftpClient::new().await;
        client.ask(world.server, "data", &[]).await;
        client.recv().await;
        world.stop.cancel();
        assert_eq!(client.error().await, ErrorCode::OTHER);
        assert_eq!(world.outcome().await.result, TransferResult::Stopped);
        timeout(PATIENCE, world.running).await.unwrap().unwrap().unwrap();
    }
}
