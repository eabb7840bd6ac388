//! Addresses that are probed on a real wire before they are offered (vectors 3 and 39).

use std::fs;
use std::net::UdpSocket;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use serde_json::json;

use super::dhcp::{Client, LEASE_WITHIN};
use super::lan::{Host, ip};
use super::{BRIDGE, on_a_lan, subnet};
use crate::world::World;

const SQUATTER: &str = "02:00:00:00:00:63";
const MAC: &str = "02:00:00:00:00:01";
/// Longest time until an OFFER, with probes.
pub(super) const OFFER_WITHIN: Duration = Duration::from_millis(800);
const ANSWER_WITHIN: Duration = Duration::from_secs(2);
/// A new port of the bridge loses the first packets.
const QUESTIONS_MAX: usize = 10;

/// The subnet of the bridge, with addresses probed.
pub(super) fn probed(how: &str) -> serde_json::Value {
    let mut subnet = subnet();
    subnet["probe"] = json!(how);
    subnet["pools"][0]["end"] = json!("10.77.0.110");
    subnet
}

/// Broadcasts a DISCOVER `times` times, and all of that again; returns the last bytes of the offered
/// addresses, and the time until the first offer.
fn discover(host: &Host, times: usize) -> (Vec<u8>, Duration) {
    host.run(move || {
        ip("address add 10.77.0.9/24 dev eth0");
        let socket = UdpSocket::bind("0.0.0.0:68").expect("the client's port");
        socket.set_broadcast(true).expect("a socket that may broadcast");
        socket.set_read_timeout(Some(ANSWER_WITHIN)).expect("a deadline");
        let mut buffer = [0; 2048];
        let mut ask = || {
            let begun = Instant::now();
            for _ in 0..times {
                socket.send_to(&packet(), ("10.77.0.255", 67)).expect("a packet");
            }
            socket.recv_from(&mut buffer).ok().map(|_| (buffer[19], begun.elapsed()))
        };
        let (first, took) = (0..QUESTIONS_MAX).find_map(|_| ask()).expect("an offer");
        let (second, _) = ask().expect("an offer");
        ip("address del 10.77.0.9/24 dev eth0");
        (vec![first, second], took)
    })
}

/// A DHCPDISCOVER that wants a broadcast (RFC 2131 section 2).
fn packet() -> Vec<u8> {
    let mut packet = vec![0; 236];
    packet[..3].copy_from_slice(&[1, 1, 6]);
    packet[4..8].copy_from_slice(&[1, 2, 3, 4]);
    packet[10] = 0x80;
    packet[28..34].copy_from_slice(&[2, 0, 0, 0, 0, 1]);
    packet.extend([0x63, 0x82, 0x53, 0x63, 53, 1, 1, 255]);
    packet
}

fn an_address_in_use_is_passed_over(how: &str) {
    on_a_lan(|lan| {
        let world = World::on_the_lan();
        world.api().post("/subnets", probed(how)).expect(201);
        let squatter = lan.plug_host("h1", SQUATTER);
        squatter.run(|| ip("address add 10.77.0.100/24 dev eth0"));
        let host = lan.plug_host("h2", MAC);
        // A repeated question starts no second probe, and gets the same answer.
        let (offered, took) = discover(&host, 3);
        assert_eq!(offered, [101, 101]);
        assert!(took <= OFFER_WITHIN, "{took:?}");
        let events = world.api().get("/events?kind=dhcp.address_in_use").expect(200);
        assert_eq!(events["items"].as_array().map(Vec::len), Some(1), "{events:#}");
        let data = &events["items"][0]["data"];
        assert_eq!((&data["address"], &data["probe"]), (&json!("10.77.0.100"), &json!(how)));
        // On the client's own wire the kernel asks by ARP before it can send an echo request.
        assert_eq!(data["mac"], json!(SQUATTER), "{events:#}");
        assert_eq!(world.api().get("/leases/10.77.0.100").expect(200)["state"], "declined");
    });
}

#[test]
fn vector_39_an_address_that_somebody_answers_for_by_arp_is_passed_over_in_time() {
    an_address_in_use_is_passed_over("arp");
}

#[test]
fn an_address_that_somebody_answers_for_by_icmp_is_passed_over_in_time() {
    an_address_in_use_is_passed_over("icmp");
}

#[test]
fn the_clients_own_old_address_is_no_obstacle() {
    on_a_lan(|lan| {
        let world = World::on_the_lan();
        world.api().post("/subnets", probed("arp")).expect(201);
        let host = lan.plug_host("h1", MAC);
        host.run(|| ip("address add 10.77.0.100/24 dev eth0"));
        Client::new(world.scratch()).start(&host).wait_for_line("bound to 10.77.0.100", LEASE_WITHIN);
    });
}

#[test]
fn a_server_that_gave_up_root_still_probes() {
    on_a_lan(|lan| {
        let mut world = World::on_the_lan();
        fs::set_permissions(world.scratch(), fs::Permissions::from_mode(0o711)).expect("a way in");
        assert!(world.stop().success());
        let listeners = ["--api-listen", "127.0.0.1:0", "--boot-http", "off", "--tftp-listen", "off"];
        world.listen(&[&listeners[..], &["--dhcp-interface", BRIDGE, "--user", "nobody"]].concat());
        world.start();
        world.api().post("/subnets", probed("arp")).expect(201);
        let squatter = lan.plug_host("h1", SQUATTER);
        squatter.run(|| ip("address add 10.77.0.100/24 dev eth0"));
        let host = lan.plug_host("h2", MAC);
        assert_eq!(discover(&host, 1).0, [101, 101]);
    });
}
