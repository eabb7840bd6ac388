//! Failing and expensive TLS handshakes of the boot side, with the system's own clients.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use metalwright::proto::dhcp4::MessageType;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, ClientConnection, RootCertStore};
use serde_json::json;
use socket2::{Domain, Socket, Type};

use super::{Files, of_firmware};
use crate::relay::{self, Relay, message, request_of};
use crate::scene;
use crate::world::{World, computed};

/// A suite of old firmware that is not offered here: it has no forward secrecy.
const NOT_HERE: &str = "AES128-SHA256:AES256-GCM-SHA384";
const HANDSHAKES: u64 = 40;
/// The least time that a handshake's computation takes on any machine.
const HANDSHAKE_NS_MIN: u64 = 100_000;

/// Whether a program succeeded, and its output.
fn run(program: &str, words: &[&str]) -> (bool, String) {
    let output = Command::new(program).args(words).stdin(Stdio::null()).output().expect(program);
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&said).into_owned())
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}

fn https(world: &World) -> String {
    let base = world.ready()["boot_https"].as_str().expect("its address");
    base.strip_prefix("https://").expect("https").to_owned()
}

/// `web1`, as UEFI HTTP boot firmware, takes an address.
fn boots(relay: &Relay) -> Ipv4Addr {
    let client = (scene::MAC.parse().expect("a MAC"), 1);
    let discover = of_firmware(message(client, MessageType::Discover));
    let offer = relay.ask(&discover, scene::EVENT_WITHIN).expect("an offer");
    let request = of_firmware(request_of(client, &offer));
    relay.ask(&request, scene::EVENT_WITHIN).expect("an acknowledgement").yiaddr
}

#[test]
fn firmware_without_a_suite_in_common_is_told_of_on_its_timeline() {
    let world = World::with(&[&relay::LISTENERS[..], &["--boot-https", "127.0.0.1:0"]].concat());
    let api = world.api();
    api.post("/subnets", relay::subnet()).expect(201);
    scene::add_installer(&api, &scene::small_installer(world.scratch()));
    scene::start_web1(&api);
    api.post(
        "/client_classes",
        json!({"name": "tls", "match": {"vendor_class": "HTTPClient*"}, "https": true}),
    )
    .expect(201);
    let address = boots(&Relay::to(&world));
    let mut events = api.events_after(0);

    // A peer that only checks whether the port is open has not stopped, and saw nothing.
    let server: SocketAddr = https(&world).parse().expect("an address");
    let probe = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    probe.bind(&SocketAddr::from((address, 0)).into()).expect("its address");
    probe.connect(&server.into()).expect("a connection");
    probe.shutdown(std::net::Shutdown::Write).expect("an end");
    // The server closes the connection after it has decided.
    let ended = std::io::Read::read(&mut &probe, &mut [0; 64]);
    assert!(matches!(ended, Ok(0)), "{ended:?}");

    let url = format!("https://{server}/snponly.efi");
    let from = address.to_string();
    let curl = ["-sSk", "--max-time", "60", "--interface", &from, "--tls-max", "1.2", "--ciphers"];
    let (fetches, said) = run("curl", &[&curl[..], &[NOT_HERE, &url]].concat());
    assert!(!fetches && said.contains("handshake failure"), "{said}");
    let event = events.wait_for(scene::EVENT_WITHIN, |event| event["kind"] == "boot.stopped");
    let reason = event["data"]["reason"].as_str().expect("a reason");
    assert!(reason.contains("no cipher suite in common"), "{reason}");
    let told = || scene::timeline(&api).into_iter().filter(|event| event["kind"] == "boot.stopped").count();
    assert_eq!(told(), 1);
    // Firmware tries again, and that is not reported again.
    assert!(!run("curl", &[&curl[..], &[NOT_HERE, &url]].concat()).0);
    assert_eq!(told(), 1);
}

#[test]
fn old_versions_are_off_and_a_name_that_is_an_address_is_not_minded() {
    let files = Files::new(&["--boot-https", "127.0.0.1:0"]);
    let (server, pem) = (https(&files.world), files.world.data().join("tls/boot-cert.pem"));
    let client = |words: &[&str]| {
        let trust =
            ["s_client", "-connect", &server, "-CAfile", text(&pem), "-verify_return_error", "-brief"];
        run("openssl", &[&trust[..], words].concat())
    };
    let (met, said) = client(&["-verify_ip", "127.0.0.1", "-servername", "127.0.0.1"]);
    assert!(met && said.contains("Verification: OK"), "{said}");
    for old in ["-tls1", "-tls1_1"] {
        let (met, said) = client(&[old, "-cipher", "ALL:@SECLEVEL=0"]);
        assert!(!met && said.contains("SSL alert number"), "{said}");
    }
}

#[test]
fn the_api_speaks_no_dhe() {
    let mut files = Files::new(&["--boot-https", "127.0.0.1:0", "--boot-https-dhe"]);
    files.world.stop();
    let tls = files.world.data().join("tls");
    for (from, to) in [("boot-cert.pem", "cert.pem"), ("boot-key.pem", "key.pem")] {
        fs::copy(tls.join(from), tls.join(to)).expect("an RSA key for the API");
    }
    files.world.start();
    let (boot, api) = (https(&files.world), files.world.ready()["api"].as_str().expect("its address"));
    let api = api.strip_prefix("https://").expect("https");
    let speaks = |server: &str, cipher: &str| {
        run("openssl", &["s_client", "-connect", server, "-tls1_2", "-cipher", cipher, "-brief"])
    };
    for (server, cipher, expected) in [
        (boot.as_str(), "DHE-RSA-AES256-GCM-SHA384", true),
        (api, "ECDHE-RSA-AES256-GCM-SHA384", true),
        (api, "DHE-RSA-AES256-GCM-SHA384", false),
    ] {
        let (met, said) = speaks(server, cipher);
        assert_eq!(met, expected, "{cipher}: {said}");
        assert_eq!(said.contains("handshake failure"), !expected, "{cipher}: {said}");
    }
}

/// With OpenSSL, which firmware has, and without the options that `curl` adds.
#[test]
fn firmware_that_trusts_the_certificates_of_two_servers_knows_both() {
    let mut files = Files::new(&["--boot-https", "127.0.0.1:0"]);
    let tls = files.world.data().join("tls");
    let (first, second) = (files.world.scratch().join("first.pem"), tls.join("boot-cert.pem"));
    files.world.stop();
    fs::rename(&second, &first).expect("the certificate");
    files.world.start();
    let both = files.world.scratch().join("both.pem");
    let read = |path: &Path| fs::read_to_string(path).expect("a certificate");
    fs::write(&both, read(&first) + &read(&second)).expect("a file");
    for certificate in [&first, &second] {
        let check = ["verify", "-purpose", "sslserver", "-verify_ip", "127.0.0.1", "-CAfile", text(&both)];
        let (trusted, said) = run("openssl", &[&check[..], &[text(certificate)]].concat());
        assert!(trusted, "{said}");
    }
}

#[test]
fn handshakes_are_computed_on_a_thread_of_their_own() {
    let files = Files::new(&["--boot-https", "127.0.0.1:0"]);
    let server = https(&files.world);
    let pem = fs::read(files.world.data().join("tls/boot-cert.pem")).expect("the certificate");
    let mut trusted = RootCertStore::empty();
    trusted.add(CertificateDer::from_pem_slice(&pem).expect("a certificate")).expect("one to trust");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = config.expect("versions").with_root_certificates(trusted).with_no_client_auth();
    let config = Arc::new(config);
    let before = computed(&files.world, "handshakes");
    for _ in 0..HANDSHAKES {
        let name = "127.0.0.1".try_into().expect("a name");
        let mut client = ClientConnection::new(Arc::clone(&config), name).expect("a client");
        let mut stream = TcpStream::connect(&server).expect("a connection");
        while client.is_handshaking() {
            client.complete_io(&mut stream).expect("a handshake");
        }
    }
    let after = computed(&files.world, "handshakes");
    let (handshakes, others) = (after.0 - before.0, after.1 - before.1);
    assert!(handshakes > HANDSHAKES * HANDSHAKE_NS_MIN, "{handshakes} ns");
    assert!(handshakes > others, "{handshakes} ns, and {others} ns elsewhere");
}
