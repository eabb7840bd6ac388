//! The system's own TFTP clients (`tftp-hpa`, `atftp`, `curl`) with the server, from other hosts.

use std::fs;
use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::json;

use super::{Host, SERVER_ADDRESS, dhcp, ip, on_a_lan};
use crate::scene::{EVENT_WITHIN, add_installer};
use crate::world::World;

const LOADER: &str = "/usr/lib/ipxe/undionly.kpxe";
/// More than 65,536 blocks of 512 bytes (vector 80).
const LONG_BYTES: usize = 40_000_000;
const LONG: &str = "artifacts/debian-12-amd64/long";

/// Fetches `path`; returns the bytes, or the client's output.
pub fn fetch(path: &str, to: &Path) -> Result<Vec<u8>, String> {
    fetch_with(Client::TftpHpa, path, to)
}

#[derive(Clone, Copy, Debug)]
enum Client {
    TftpHpa,
    /// Without options, and with a large window.
    Atftp,
    AtftpWindow,
    /// With options, and without any (RFC 1350 alone).
    Curl,
    CurlPlain,
}

use Client::{Atftp, AtftpWindow, Curl, CurlPlain, TftpHpa};

fn fetch_with(client: Client, path: &str, to: &Path) -> Result<Vec<u8>, String> {
    // An existing file belongs to another client.
    let _ = fs::remove_file(to);
    let (url, file) = (format!("tftp://{SERVER_ADDRESS}/{path}"), to.to_str().expect("a path in UTF-8"));
    let curl = ["-sS", "--max-time", "60", "-o", file, &url];
    let atftp = ["--get", "-r", path, "-l", file, SERVER_ADDRESS];
    let (program, words) = match client {
        TftpHpa => ("tftp", vec!["-m", "binary", SERVER_ADDRESS, "-c", "get", path, file]),
        Atftp => ("atftp", atftp.to_vec()),
        AtftpWindow => {
            let options = ["--option", "blksize 1468", "--option", "windowsize 16"];
            ("atftp", [&options[..], &atftp].concat())
        }
        Curl => ("curl", [&["--tftp-blksize", "1468"][..], &curl].concat()),
        CurlPlain => ("curl", [&["--tftp-no-options"][..], &curl].concat()),
    };
    let output = Command::new(program).args(words).output().expect("a client (tftp-hpa, atftp, curl)");
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    if said.contains("Error") || !output.status.success() {
        return Err(said.into_owned());
    }
    Ok(fs::read(to).expect("the fetched file"))
}

/// A host of the server's subnet, and the folder of its clients.
fn host(lan: &super::Lan, world: &World) -> (Host, PathBuf) {
    world.api().post("/subnets", dhcp::subnet()).expect(201);
    let host = lan.plug_host("h1", "02:00:00:00:00:01");
    host.run(|| ip("address add 10.77.0.100/24 dev eth0"));
    (host, world.scratch().join("fetched"))
}

fn installer_with_a_long_file(world: &World) -> Vec<u8> {
    let folder = world.scratch().join("tree");
    fs::create_dir(&folder).expect("a folder");
    let long: Vec<u8> = (0..LONG_BYTES).map(|at| (at ^ (at >> 9) ^ (at >> 17)) as u8).collect();
    fs::write(folder.join("long"), &long).expect("a long file");
    add_installer(&world.api(), &folder);
    long
}

#[test]
fn the_systems_tftp_clients_fetch_a_loader_from_many_ports_and_from_one() {
    for flags in [&[][..], &["--tftp-single-port"]] {
        on_a_lan(|lan| {
            let world = World::on_the_lan_with(flags);
            let (host, to) = host(lan, &world);
            let loader = fs::read(LOADER).expect("a loader (package ipxe)");
            for client in [TftpHpa, Atftp, AtftpWindow, Curl, CurlPlain] {
                let to = to.clone();
                let (fetched, absent) = host.run(move || {
                    let fetched = fetch_with(client, "undionly.kpxe", &to);
                    (fetched, fetch_with(client, "no-such-file", &to))
                });
                assert!(fetched.as_ref() == Ok(&loader), "{client:?} {flags:?}: {:?}", fetched.err());
                assert!(absent.is_err(), "{client:?}");
            }
        });
    }
}

#[test]
fn paths_out_of_the_tree_and_backslashes_over_the_systems_client() {
    on_a_lan(|lan| {
        let world = World::on_the_lan();
        let (host, to) = host(lan, &world);
        let (absent, outside, backslash) = host.run(move || {
            (fetch("no-such-file", &to), fetch("../../../etc/passwd", &to), fetch("\\undionly.kpxe", &to))
        });
        assert!(absent.as_ref().is_err_and(|said| said.contains("code 1")), "{absent:?}");
        assert!(outside.is_err(), "{outside:?}");
        assert!(backslash == fs::read(LOADER).map_err(|error| error.to_string()));
    });
}

#[test]
fn vector_80_forty_megabytes_in_blocks_of_512_over_the_systems_clients() {
    on_a_lan(|lan| {
        let world = World::on_the_lan();
        let long = installer_with_a_long_file(&world);
        let (host, to) = host(lan, &world);
        for client in [TftpHpa, CurlPlain, AtftpWindow] {
            let to = to.clone();
            let fetched = host.run(move || fetch_with(client, LONG, &to));
            assert!(fetched.as_ref() == Ok(&long), "{client:?}: {:?}", fetched.err());
        }
    });
}

/// How often a client sends a request without an answer.
const REQUESTS_MAX: usize = 30;

#[test]
fn vector_86_a_request_to_the_broadcast_address_is_answered_from_the_servers_own() {
    on_a_lan(|lan| {
        let world = World::on_the_lan();
        let (host, _) = host(lan, &world);
        let (from, first) = host.run(|| {
            let socket = UdpSocket::bind("0.0.0.0:0").expect("a socket");
            socket.set_broadcast(true).expect("broadcasts");
            socket.set_read_timeout(Some(Duration::from_secs(2))).expect("a deadline");
            let request = b"\0\x01undionly.kpxe\0octet\0blksize\x001024\0";
            let mut packet = [0; 600];
            // A broadcast may be lost while the bridge is new; clients repeat theirs.
            let answer = (0..REQUESTS_MAX).find_map(|_| {
                socket.send_to(request, "10.77.0.255:69").expect("a request");
                socket.recv_from(&mut packet).ok()
            });
            let (length, from) = answer.expect("an answer");
            (from.ip().to_string(), packet[..length].to_vec())
        });
        assert_eq!((from.as_str(), first.as_slice()), (SERVER_ADDRESS, &b"\0\x06blksize\x001024\0"[..]));
    });
}

#[test]
fn vector_88_a_host_outside_every_subnet_hears_nothing_until_its_subnet_is_there() {
    on_a_lan(|lan| {
        let world = World::on_the_lan();
        world.api().post("/subnets", dhcp::subnet()).expect(201);
        ip("address add 10.88.0.1/24 dev lan0");
        let stranger = lan.plug_host("h2", "02:00:00:00:00:02");
        let api = world.api();
        let mut events = api.events_after(0);
        let hears = |request: &'static [u8]| {
            stranger.run(move || {
                let socket = UdpSocket::bind("10.88.0.2:0").expect("a socket");
                socket.set_read_timeout(Some(Duration::from_secs(2))).expect("a deadline");
                socket.send_to(request, "10.88.0.1:69").expect("a request");
                socket.recv(&mut [0; 600]).is_ok()
            })
        };
        stranger.run(|| ip("address add 10.88.0.2/24 dev eth0"));
        let (read, write, nonsense) =
            (&b"\0\x01undionly.kpxe\0octet\0"[..], &b"\0\x02a\0octet\0"[..], &b"\0\x09a\0"[..]);
        for request in [read, write, nonsense] {
            assert!(!hears(request), "{request:?}");
        }
        let event = events.wait_for(EVENT_WITHIN, |event| event["kind"] == "boot.stranger_ignored");
        assert_eq!(event["data"]["peer"], "10.88.0.2");
        assert!(
            event["data"]["reason"].as_str().is_some_and(|why| why.contains("add its subnet")),
            "{event}"
        );
        let subnet = json!({"name": "far", "cidr": "10.88.0.0/24", "tftp_block_bytes_max": 1000});
        api.post("/subnets", subnet).expect(201);
        for request in [read, write, nonsense] {
            assert!(hears(request), "{request:?}");
        }
    });
}

#[test]
fn a_subnets_block_size_is_not_exceeded() {
    on_a_lan(|lan| {
        let world = World::on_the_lan();
        let (host, _) = host(lan, &world);
        world.api().patch("/subnets/lan", json!({"tftp_block_bytes_max": 1000})).expect(200);
        let options = host.run(|| {
            let socket = UdpSocket::bind("0.0.0.0:0").expect("a socket");
            socket.set_read_timeout(Some(EVENT_WITHIN)).expect("a deadline");
            let request = b"\0\x01undionly.kpxe\0octet\0blksize\x001468\0";
            socket.send_to(request, (SERVER_ADDRESS, 69)).expect("a request");
            let mut packet = [0; 600];
            let length = socket.recv(&mut packet).expect("an answer");
            packet[..length].to_vec()
        });
        assert_eq!(options, b"\0\x06blksize\x001000\0");
        let refused = world.api().patch("/subnets/lan", json!({"tftp_block_bytes_max": 7})).expect(422);
        assert_eq!(refused["problems"][0]["pointer"], "/tftp_block_bytes_max");
    });
}
