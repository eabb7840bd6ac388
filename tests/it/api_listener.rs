//! The API's port on the real program: a client must not harm other clients or the boot side. The single
//! timeouts, shortened, are tested in `server::api_listener`.

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use serde_json::{Value, json};
use socket2::{Domain, Socket, Type};

use crate::scene;
use crate::wire::BootSide;
use crate::world::{World, allow_many_sockets, computed};

const LOOPBACK: [&str; 6] =
    ["--api-listen", "127.0.0.1:0", "--boot-http", "127.0.0.1:0", "--tftp-listen", "127.0.0.1:0"];
/// The address of another client than the test's own.
const STRANGER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
const DEADLINE: Duration = Duration::from_secs(60);
/// Requests of `curl`, one process each, and how many run at the same time.
const REFUSALS: usize = 200;
const CURLS: usize = 4;
/// The least time that a handshake's computation takes on any machine.
const HANDSHAKE_NS_MIN: u64 = 100_000;
/// How many times faster a server's clocks run, and the real duration of one of its seconds.
const HURRY: u32 = 40;
const SECOND: Duration = Duration::from_millis(1000 / HURRY as u64);

fn address(world: &World) -> SocketAddr {
    let api = world.ready()["api"].as_str().expect("the API's address");
    api.trim_start_matches("https://").parse().expect("an address")
}

fn metric(world: &World, name: &str) -> u64 {
    let page = world.api().get("//metrics").expect(200);
    let line = page.as_str().expect("text").lines().find_map(|line| line.strip_prefix(name));
    line.expect("the metric").trim().parse().expect("a number")
}

fn limited(world: &World, reason: &str) -> u64 {
    metric(world, &format!("metalwright_api_limited_total{{reason=\"{reason}\"}}"))
}

/// A connection from another address of this host.
fn connect_from(client: Ipv4Addr, server: SocketAddr) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    socket.bind(&SocketAddr::from((client, 0)).into()).expect("an address of this host");
    socket.connect(&server.into()).expect("a connection");
    socket.into()
}

fn tls(world: &World) -> Arc<ClientConfig> {
    let pem = fs::read(world.data().join("tls/ca.pem")).expect("the certificate");
    let mut trusted = RootCertStore::empty();
    trusted.add(CertificateDer::from_pem_slice(&pem).expect("a certificate")).expect("one to trust");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    Arc::new(config.expect("versions").with_root_certificates(trusted).with_no_client_auth())
}

fn hello(config: &Arc<ClientConfig>) -> ClientConnection {
    ClientConnection::new(Arc::clone(config), "127.0.0.1".try_into().expect("a name")).expect("a client")
}

/// A client of the API whose bytes the test writes itself.
fn connect(world: &World) -> StreamOwned<ClientConnection, TcpStream> {
    let stream = TcpStream::connect(address(world)).expect("a connection");
    stream.set_read_timeout(Some(DEADLINE)).expect("a deadline");
    StreamOwned::new(hello(&tls(world)), stream)
}

/// Everything that the server sends until it closes the connection.
fn all_of(stream: &mut impl Read) -> String {
    let (mut said, mut piece) = (Vec::new(), [0; 4096]);
    while let Ok(bytes @ 1..) = stream.read(&mut piece) {
        said.extend_from_slice(&piece[..bytes]);
    }
    String::from_utf8_lossy(&said).into_owned()
}

/// A request that is refused: path, headers, the body's bytes, and the status.
type Refused<'a> = (&'a str, &'a [&'a str], usize, &'a str);

/// The URL and certificate of the server.
fn curl((base, certificate): (&str, &Path), body: &Path, (path, headers, _, _): Refused<'_>) -> String {
    let mut curl = Command::new("curl");
    curl.args([
        "-sS",
        "--http2",
        "--max-time",
        "60",
        "-o",
        "/dev/null",
        "-w",
        "%{http_code} %{http_version}",
    ]);
    curl.arg("--cacert").arg(certificate);
    for header in headers {
        curl.args(["-H", header]);
    }
    curl.arg("--data-binary").arg(format!("@{}", body.display())).arg(format!("{base}{path}"));
    let output = curl.output().expect("curl");
    let (said, complaint) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    format!("{said}{complaint}")
}

/// Debian 12's curl loses an answer that comes with RST_STREAM(NO_ERROR), which HTTP/2 sends if the body of a
/// request was not read.
#[test]
fn curl_hears_each_of_200_refusals_over_http_2() {
    let world = World::on_loopback();
    let token = fs::read_to_string(world.data().join("admin.token")).expect("the token");
    let token = format!("Authorization: Bearer {}", token.trim());
    let (json, text) = ("Content-Type: application/json", "Content-Type: text/plain");
    let refused: [Refused<'_>; 6] = [
        ("/api/v1/machines", &[json], 20_000, "401 2"),
        ("/api/v1/machines", &[&token, text], 60_000, "415 2"),
        ("/api/v1/nothing", &[&token, json], 20_000, "404 2"),
        ("/healthz", &[&token, json], 20_000, "405 2"),
        ("/api/v1/machines", &[&token, json], 5_000_000, "413 2"),
        ("/api/v1/machines", &[&token, json], 3, "422 2"),
    ];
    let write = |(_, _, bytes, status): &Refused<'_>| {
        let path = world.scratch().join(format!("body-{status}"));
        fs::write(&path, if *bytes == 3 { b"{ }".to_vec() } else { vec![b' '; *bytes] }).expect("a body");
        path
    };
    let bodies: Vec<_> = refused.iter().map(write).collect();
    let base = world.ready()["api"].as_str().expect("the API's address");
    let certificate = world.data().join("tls/ca.pem");
    thread::scope(|scope| {
        for first in 0..CURLS {
            let (server, bodies, refused) = ((base, certificate.as_path()), &bodies, &refused);
            scope.spawn(move || {
                for number in (first..REFUSALS).step_by(CURLS) {
                    let (case, body) = (refused[number % refused.len()], &bodies[number % refused.len()]);
                    assert_eq!(curl(server, body, case), case.3, "request {number}: {}", case.0);
                }
            });
        }
    });
    let large = world.scratch().join("large");
    fs::write(&large, vec![b' '; 20_000_000]).expect("a body");
    let case: Refused<'_> = ("/api/v1/machines", &[&token, json], 20_000_000, "413 2");
    assert_eq!(curl((base, certificate.as_path()), &large, case), case.3);
}

#[test]
fn three_thousand_connections_of_one_address_leave_room_for_others() {
    allow_many_sockets();
    let world = World::with(&[&LOOPBACK[..], &["--api-connections-per-address", "50"]].concat());
    let all = 3000;
    let held: Vec<TcpStream> = (0..all).map(|_| connect_from(STRANGER, address(&world))).collect();
    let deadline = Instant::now() + DEADLINE;
    while metric(&world, "metalwright_api_connections_total") < all {
        assert!(Instant::now() < deadline, "not all were accepted");
    }
    // A slot becomes free when the time of a silent client is over.
    assert!(limited(&world, "one_address") >= all - 2 * 50);
    world.api().post("/profiles", json!({"name": "p"})).expect(201);
    drop(held);
}

#[test]
fn an_api_with_all_the_connections_it_may_have_takes_nothing_from_the_boot_side() {
    allow_many_sockets();
    let flags = [&LOOPBACK[..], &["--api-connections-per-address", "5000"]].concat();
    let world = World::with_open_files(&flags, 512);
    assert!(world.log().contains("too few open files are allowed"), "{}", world.log());
    let folder = world.scratch().join("files");
    fs::create_dir(&folder).expect("a folder");
    fs::write(folder.join("x.efi"), "a file").expect("a file");
    let api = world.api();
    let mut events = api.events_after(0);
    api.post("/artifacts", json!({"name": "files", "path": folder})).expect(201);
    events.wait_for(scene::EVENT_WITHIN, |event| {
        event["kind"] == "artifact.state_changed" && event["data"]["state"] == "ready"
    });
    api.get("//readyz").expect(200);

    // More than the process may have descriptors. The ones beyond the limit wait in the kernel's queue.
    let held: Vec<TcpStream> = (0..600).map(|_| connect_from(STRANGER, address(&world))).collect();
    let open = || fs::read_dir(format!("/proc/{}/fd", world.server_id())).expect("descriptors").count();
    api.post("/profiles", json!({"name": "p"})).expect(201);
    let boot = BootSide::of(world.ready());
    let others: Vec<TcpStream> =
        (0..60).map(|_| TcpStream::connect(boot.http).expect("a connection")).collect();
    for _ in 0..20 {
        assert_eq!(boot.get("/artifacts/files/x.efi"), (200, "a file".to_owned()));
        assert_eq!(boot.read("/artifacts/files/x.efi"), Ok(b"a file".to_vec()));
    }
    assert!(open() < 400, "{} descriptors", open());
    assert!(!world.log().contains("no connection can be accepted"), "{}", world.log());
    drop((held, others));
}

#[test]
fn a_flood_of_recorded_hellos_is_computed_on_a_thread_of_its_own_and_boot_files_are_served() {
    let world = World::on_loopback();
    let (server, config) = (address(&world), tls(&world));
    let mut recorded = Vec::new();
    hello(&config).write_tls(&mut recorded).expect("a hello");
    let boot = BootSide::of(world.ready());
    let before = computed(&world, "api-handshakes");
    let (senders, each) = (8, 50);
    thread::scope(|scope| {
        for _ in 0..senders {
            let recorded = &recorded;
            scope.spawn(move || {
                for _ in 0..each {
                    let mut stream = connect_from(STRANGER, server);
                    stream.set_read_timeout(Some(DEADLINE)).expect("a deadline");
                    stream.write_all(recorded).expect("a hello");
                    assert_ne!(stream.read(&mut [0; 4096]).expect("the server's hello"), 0);
                }
            });
        }
        for _ in 0..100 {
            assert_eq!(boot.get("/nothing").0, 404);
        }
    });
    let computed = computed(&world, "api-handshakes").0 - before.0;
    assert!(computed > senders * each * HANDSHAKE_NS_MIN, "{computed} ns");
}

#[test]
fn whoever_keeps_a_connection_and_does_not_use_it_loses_it() {
    let world = World::in_a_hurry(&LOOPBACK, HURRY);
    let mut silent = TcpStream::connect(address(&world)).expect("a connection");
    silent.set_read_timeout(Some(DEADLINE)).expect("a deadline");
    let mut half = connect(&world);
    half.write_all(b"GET /healthz HTTP/1.1\r\nHost").expect("half a head");
    let mut idle = connect(&world);
    idle.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").expect("a request");
    assert_eq!(silent.read(&mut [0; 1]).expect("the end"), 0);
    assert_eq!(all_of(&mut half), "");
    let said = all_of(&mut idle);
    assert!(said.starts_with("HTTP/1.1 200 "), "{said}");
    assert!(limited(&world, "slow_handshake") >= 1);
    assert!(limited(&world, "slow_request") >= 1);
    assert!(limited(&world, "idle") >= 1);
}

/// Comments keep an HTTP/2 event stream without events alive.
#[test]
fn a_stream_without_events_is_not_cut_off() {
    let world = World::in_a_hurry(&LOOPBACK, HURRY);
    let token = fs::read_to_string(world.data().join("admin.token")).expect("the token");
    let mut curl = Command::new("curl");
    curl.args(["-sS", "--http2", "--no-buffer", "--max-time", "8", "-o", "-"]);
    curl.arg("--cacert").arg(world.data().join("tls/ca.pem"));
    curl.args(["-H", &format!("Authorization: Bearer {}", token.trim())]);
    let base = world.ready()["api"].as_str().expect("the API's address");
    let output = curl.arg(format!("{base}/api/v1/events/stream?kind=server.*")).output().expect("curl");
    // Exit code 28: curl itself gave up, after five minutes of the server's time.
    assert_eq!(output.status.code(), Some(28), "{}", String::from_utf8_lossy(&output.stderr));
    let comments =
        String::from_utf8_lossy(&output.stdout).lines().filter(|line| line.starts_with(':')).count();
    assert!(comments > 2, "{comments}");
}

/// A clock tick, without waiting for anything else.
fn tick(times: u32) {
    let (_nobody, tick) = channel::<()>();
    let _ = tick.recv_timeout(SECOND * times);
}

fn head(world: &World, length: usize) -> String {
    let token = fs::read_to_string(world.data().join("admin.token")).expect("the token");
    format!(
        "POST /api/v1/profiles HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer {}\r\n\
         Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n",
        token.trim()
    )
}

#[test]
fn a_body_that_drips_is_given_up_and_one_that_comes_slowly_is_not() {
    let world = World::in_a_hurry(&LOOPBACK, HURRY);
    let mut drips = connect(&world);
    drips.write_all(head(&world, 1_000_000).as_bytes()).expect("a head");
    drips.sock.set_read_timeout(Some(SECOND)).expect("a second of the server's");
    let dripping = thread::spawn(move || {
        let mut answer = [0; 12];
        // Ten minutes of the server's time. Arriving bytes are read at once: they are lost if more is sent
        // afterwards.
        for _ in 0..600 {
            match drips.read_exact(&mut answer) {
                Ok(()) => break,
                Err(_) => drips.write_all(b" ").and_then(|()| drips.flush()).expect("a byte"),
            }
        }
        String::from_utf8_lossy(&answer).into_owned()
    });
    let mut slow = connect(&world);
    let (piece, pieces) = (vec![b' '; 32 * 1024], 60);
    let object = br#"{"name": "slow"}"#;
    slow.write_all(head(&world, piece.len() * pieces + object.len()).as_bytes()).expect("a head");
    // A minute of the server's time, twice the timeout of a body that does not arrive.
    for _ in 0..pieces {
        slow.write_all(&piece).expect("a piece");
        tick(1);
    }
    slow.write_all(object).expect("the rest");
    let said = all_of(&mut slow);
    assert!(said.starts_with("HTTP/1.1 201 "), "{said}");
    let said = dripping.join().expect("a thread");
    assert_eq!(said, "HTTP/1.1 408");
    assert!(limited(&world, "slow_request") >= 1);
}

#[test]
fn a_new_certificate_names_the_addresses_of_this_host() {
    let world = World::on_loopback();
    let certificate = world.data().join("tls/host.pem");
    let mut openssl = Command::new("openssl");
    openssl.args(["x509", "-noout", "-ext", "subjectAltName", "-in"]).arg(&certificate);
    let output = openssl.output().expect("openssl").stdout;
    let output = String::from_utf8(output).expect("text").replace(' ', "");
    let addresses = Command::new("ip").args(["-j", "-4", "address"]).output().expect("ip");
    let links: Value = serde_json::from_slice(&addresses.stdout).expect("JSON");
    let addresses: Vec<&str> = links
        .as_array()
        .expect("links")
        .iter()
        .flat_map(|link| link["addr_info"].as_array().expect("addresses"))
        .filter_map(|address| address["local"].as_str())
        .collect();
    assert!(!addresses.is_empty());
    for address in addresses {
        assert!(output.contains(&format!("IPAddress:{address}")), "{address}: {output}");
    }
    assert!(output.contains("DNS:localhost"), "{output}");
}
