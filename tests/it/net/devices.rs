//! Clients that are not PCs, from DISCOVER to ACK: boards, switches, InfiniBand, BOOTP.

use std::net::Ipv4Addr;

use metalwright::proto::dhcp4::{DhcpPacket, MessageType, codes, encode_listed, from_text};
use serde_json::json;

use super::packets::{Frame, Nic, ask};
use super::{Host, Lan, SERVER_ADDRESS, ip, on_a_lan, subnet};
use crate::world::World;

const MENU: &[u8] = b"\x06\x01\x03\x0a\x04\x00PXE\x09\x17\x00\x00\x14Raspberry Pi Boot   \xff";
const PI: &str = "vendor_class_identifier \"PXEClient:Arch:00000:UNDI:002001\"\nclient_architectures 0\n\
                  client_machine_identifier 0034695052141fe101d083110cab4321fe\n\
                  parameter_request_list 1 3 43 60 66 67 128 129\n";

fn scene(lan: &Lan, mac: &str) -> (World, Host) {
    let world = World::on_the_lan();
    let api = world.api();
    api.post("/subnets", subnet()).expect(201);
    // These clients are unknown and should boot nevertheless.
    api.patch("/settings/unknown_machine", json!({"value": "menu"})).expect(200);
    (world, lan.plug_host("h1", mac))
}

/// DISCOVER and REQUEST of a client with the fields `who`; returns the OFFER and the ACK.
fn exchange(host: &Host, xid: u32, who: &str) -> [Frame; 2] {
    let text = format!("xid {xid}\nmessage_type discover\n{who}");
    let offer = ask(host, "eth0", text);
    assert_eq!(offer.dhcp().message_type(), Some(MessageType::Offer));
    let address = offer.dhcp().yiaddr;
    let takes = format!("requested_address {address}\nserver_identifier {SERVER_ADDRESS}\n");
    let ack = ask(host, "eth0", format!("xid {}\nmessage_type request\n{takes}{who}", xid + 100));
    assert_eq!((ack.dhcp().message_type(), ack.dhcp().yiaddr), (Some(MessageType::Ack), address));
    [offer, ack]
}

fn option(reply: &DhcpPacket, code: u8) -> &[u8] {
    reply.options.get(code).unwrap_or_default()
}

fn assert_is_a_menu_without_a_loader(reply: &DhcpPacket) {
    assert_eq!(option(reply, codes::VENDOR_CLASS), b"PXEClient");
    assert_eq!(option(reply, codes::VENDOR_OPTIONS), MENU);
    assert_eq!(reply.siaddr.to_string(), SERVER_ADDRESS);
    assert!(reply.file.is_empty() && option(reply, codes::BOOTFILE_NAME).is_empty(), "{reply:?}");
}

#[test]
fn a_raspberry_pi_is_shown_its_menu_in_offer_and_ack() {
    on_a_lan(|lan| {
        let (_world, host) = scene(lan, "dc:a6:32:00:00:01");
        for frame in exchange(&host, 1, &format!("chaddr dc:a6:32:00:00:01\n{PI}")) {
            assert_is_a_menu_without_a_loader(&frame.dhcp());
            assert_eq!(option(&frame.dhcp(), codes::CLIENT_MACHINE_ID).len(), 17);
        }
    });
}

#[test]
fn a_board_that_nobody_listed_is_one_more_client_class() {
    on_a_lan(|lan| {
        let (world, host) = scene(lan, "02:be:ef:00:00:01");
        // The identifier of a Pi is known by itself; this board has one of its own.
        let who = format!("chaddr 02:be:ef:00:00:01\n{}", PI.replace("0034695052", "0011223344"));
        let before = exchange(&host, 1, &who)[1].dhcp();
        assert_eq!(before.file, b"undionly.kpxe", "it says that it is a PC");
        let class = json!({"name": "new-boards", "match": {"mac_prefixes": ["02:be:ef"]},
            "boot_data": "server", "pxe_menu": "Raspberry Pi Boot   "});
        world.api().post("/client_classes", class).expect(201);
        for frame in exchange(&host, 2, &who) {
            assert_is_a_menu_without_a_loader(&frame.dhcp());
        }
    });
}

#[test]
fn u_boot_is_told_the_server_and_fetches_its_menu_by_its_mac() {
    on_a_lan(|lan| {
        let (world, host) = scene(lan, "02:00:00:00:00:16");
        let says = "vendor_class_identifier \"U-Boot.armv8\"\nclient_architectures 22\n\
                    parameter_request_list 1 3 6 12 17 66 67\n";
        let [offer, ack] = exchange(&host, 1, &format!("chaddr 02:00:00:00:00:16\n{says}"));
        for reply in [offer.dhcp(), ack.dhcp()] {
            assert_eq!(reply.siaddr.to_string(), SERVER_ADDRESS);
            assert!(reply.file.is_empty() && option(&reply, codes::VENDOR_OPTIONS).is_empty());
        }
        let (address, folder) = (ack.dhcp().yiaddr, world.scratch().join("menu"));
        let menu = host.run(move || {
            ip(&format!("address add {address}/24 dev eth0"));
            super::tftp::fetch("pxelinux.cfg/01-02-00-00-00-00-16", &folder)
        });
        let menu = String::from_utf8(menu.expect("a menu")).expect("text");
        assert!(menu.to_lowercase().contains("label "), "{menu}");
    });
}

#[test]
fn onie_is_given_the_installers_url_and_its_vendors_options() {
    on_a_lan(|lan| {
        let (world, host) = scene(lan, "02:00:00:00:00:0e");
        let url = "http://10.77.0.1:8080/artifacts/sonic/onie-installer.bin";
        let subs = json!({"1": {"text": url}});
        let class = json!({"name": "sonic", "order": 200, "match": {"vendor_class": "onie_vendor:x86_64-*"},
            "boot_file": "{{ server.http }}/artifacts/sonic/onie-installer.bin",
            "options": {"vendor_identifying_options": {"enterprise": 42623, "sub_options": subs},
                "vendor_encapsulated_options": {"sub_options": subs}}});
        world.api().post("/client_classes", class).expect(201);
        let says = "vendor_class_identifier \"onie_vendor:x86_64-accton_as7726_32x-r0\"\n\
                    parameter_request_list 1 3 6 7 12 15 42 43 54 66 67 72 114 125\n";
        for frame in exchange(&host, 1, &format!("chaddr 02:00:00:00:00:0e\n{says}")) {
            let reply = frame.dhcp();
            let ended = format!("{url}\0");
            assert_eq!((reply.file.as_slice(), option(&reply, 67)), (url.as_bytes(), ended.as_bytes()));
            let sub_option = [&[1, url.len() as u8], url.as_bytes()].concat();
            assert_eq!(option(&reply, 43), [&sub_option[..], &[255]].concat());
            let vendor = [&[0, 0, 0xa6, 0x7f, sub_option.len() as u8], sub_option.as_slice()].concat();
            assert_eq!(option(&reply, 125), vendor);
        }
    });
}

#[test]
fn infiniband_is_known_by_its_client_identifier_and_reached_by_broadcast() {
    on_a_lan(|lan| {
        let (world, host) = scene(lan, "02:00:00:00:00:1b");
        let ends = ["aabb", "aacc"];
        for (at, end) in ends.iter().enumerate() {
            let id = format!("ff00000001000300010002c90300{end}");
            let who = format!("htype 32\nhlen 0\nchaddr\nclient_identifier {id}\n");
            for frame in exchange(&host, 1 + at as u32, &who) {
                let reply = frame.dhcp();
                assert_eq!((reply.htype, reply.hlen, reply.chaddr), (32, 0, [0; 16]));
                assert_eq!(reply.yiaddr.octets()[3], 100 + at as u8);
                assert_eq!(option(&reply, codes::CLIENT_IDENTIFIER).last(), Some(&[0xbb, 0xcc][at]));
                assert_eq!((frame.target_mac(), frame.target()), (&[0xff; 6][..], Ipv4Addr::BROADCAST));
            }
        }
        let lease = world.api().get("/leases/10.77.0.100").expect(200);
        assert_eq!(lease["client"], "id/ff00000001000300010002c90300aabb", "{lease:#}");
    });
}

#[test]
fn bootp_is_off_until_a_subnet_has_it_on_and_is_for_reservations() {
    on_a_lan(|lan| {
        let (world, host) = scene(lan, "02:00:00:00:00:b0");
        let reserved = json!({"mac": "02:00:00:00:00:b0", "address": "10.77.0.7",
            "options": {"ntp_servers": (1..=20).map(|n| format!("10.0.0.{n}")).collect::<Vec<_>>()}});
        world.api().post("/reservations", reserved).expect(201);
        let bootp = |xid: u32, mac: &str| format!("xid {xid}\nchaddr {mac}\n");
        let other = "xid 1\nchaddr 02:00:00:00:00:02\nflags 0x8000\nmessage_type discover\n";
        assert_eq!(ask(&host, "eth0", other.to_owned()).dhcp().xid, 1);
        let next_xid = |questions: [String; 2]| {
            host.run(move || {
                let nic = Nic::open("eth0");
                questions.iter().for_each(|text| nic.send(&encode_listed(&from_text(text).unwrap())));
                nic.reply(|xid| xid > 1).map(|frame| frame.dhcp().xid)
            })
        };
        let after = other.replace("xid 1", "xid 3");
        assert_eq!(next_xid([bootp(2, "02:00:00:00:00:b0"), after]), Some(3), "it is off");
        world.api().patch("/subnets/lan", json!({"bootp": true})).expect(200);
        let after = other.replace("xid 1", "xid 5");
        assert_eq!(next_xid([bootp(4, "02:00:00:00:00:b1"), after]), Some(5), "nothing is reserved");
        let frame = ask(&host, "eth0", bootp(6, "02:00:00:00:00:b0"));
        assert_is_bootp(&frame);
        assert_eq!((frame.target_mac(), frame.target()), (&[2, 0, 0, 0, 0, 0xb0][..], [10, 77, 0, 7].into()));
        let flagged = format!("{}flags 0x8000\n", bootp(7, "02:00:00:00:00:b0"));
        let frame = ask(&host, "eth0", flagged);
        assert_is_bootp(&frame);
        assert_eq!((frame.target_mac(), frame.target()), (&[0xff; 6][..], Ipv4Addr::BROADCAST));
        let lease = world.api().get("/leases/10.77.0.7").expect(200);
        assert!(lease["expires_at"].as_str().is_some_and(|at| at > "2140"), "{lease:#}");
    });
}

/// RFC 951 3, RFC 1534 2: 300 bytes, and no DHCP option. Options that do not fit are left out whole.
fn assert_is_bootp(frame: &Frame) {
    let reply = frame.dhcp();
    assert_eq!((frame.message().len(), reply.yiaddr), (300, [10, 77, 0, 7].into()));
    assert_eq!(frame.message()[236..240], [0x63, 0x82, 0x53, 0x63], "RFC 1497");
    for code in [51, 53, 54, 58, 59] {
        assert_eq!(reply.options.get(code), None, "option {code}");
    }
    assert_eq!(option(&reply, codes::SUBNET_MASK), [255, 255, 255, 0]);
    assert_eq!(option(&reply, codes::ROUTERS), [10, 77, 0, 1]);
    assert_eq!(reply.options.get(42), None, "80 bytes of servers");
}
