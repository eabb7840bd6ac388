//! Configured options on the wire: from each scope, longer than one option can be, and for clients with
//! little room.

use metalwright::proto::dhcp4::{DhcpPacket, MessageType, codes, from_text};
use serde_json::{Value, json};

use super::packets::{Frame, ask, ask_bytes};
use super::{Lan, on_a_lan, subnet};
use crate::world::World;

const MAC: &str = "02:00:00:00:00:01";
const WANTED: &str = "parameter_request_list 1 3 17 43 119 121 125 224\n";
const ROUTES: u32 = 59;
const NAMES: u32 = 20;

/// Options in the scopes of the machine `web1` at 10.77.0.50: those of the subnet and of the class are long.
fn scopes(world: &World) {
    let api = world.api();
    let vendors = json!([
        {"enterprise": 42623, "sub_options": {"1": {"text": "http://10.77.0.1/x"}}},
        {"enterprise": 9, "hex": "aa".repeat(250)},
    ]);
    let mut lan = subnet();
    lan["options"]["vendor_identifying_options"] = vendors;
    api.post("/subnets", lan).expect(201);
    let names: Vec<String> = (0..NAMES).map(|n| format!("host{n}.lab.example.org")).collect();
    let texts = json!({"root_path": "/srv/{{ machine.name }}", "domain_search": names,
        "x": {"code": 224, "text": "rack {{ machine.name }}"}});
    let machine = json!({"name": "web1", "macs": [MAC], "options": texts});
    api.post("/machines", machine).expect(201);
    let route = |n| json!({"destination": format!("10.{n}.0.0/16"), "router": "10.77.0.1"});
    let routes: Vec<Value> = (1..=ROUTES).map(route).collect();
    let templated = json!({"text": "{{ machine.name }}/"});
    let options = json!({"classless_static_routes": routes, "vendor_encapsulated_options": templated});
    api.post("/reservations", json!({"mac": MAC, "address": "10.77.0.50", "options": options})).expect(201);
    let subs = json!({"241": {"addresses": ["10.0.0.9"]}, "1": {"text": "x".repeat(200)},
        "2": {"text": "y".repeat(100)}});
    let options = json!({"vendor_encapsulated_options": {"sub_options": subs}});
    api.post("/client_classes", json!({"name": "ap", "match": {"vendor_class": "Ap.*"}, "options": options}))
        .expect(201);
}

/// The options as they are on the wire: pieces are not joined.
fn pieces(frame: &Frame) -> Vec<(u8, Vec<u8>)> {
    let (mut pieces, mut rest) = (Vec::new(), &frame.message()[240..]);
    while rest[0] != 255 {
        let (piece, more) = rest[2..].split_at(usize::from(rest[1]));
        pieces.push((rest[0], piece.to_vec()));
        rest = more;
    }
    assert!(rest[1..].iter().all(|byte| *byte == 0), "nothing but padding is behind END");
    pieces
}

fn lengths(pieces: &[(u8, Vec<u8>)], code: u8) -> Vec<usize> {
    pieces.iter().filter(|(other, _)| *other == code).map(|(_, piece)| piece.len()).collect()
}

fn joined(pieces: &[(u8, Vec<u8>)], code: u8) -> Vec<u8> {
    pieces.iter().filter(|(other, _)| *other == code).flat_map(|(_, piece)| piece.clone()).collect()
}

fn offer(lan: &Lan, xid: u32, more: &str) -> Frame {
    let host = lan.plug_host(&format!("h{xid}"), "02:00:00:00:00:77");
    let text = format!("xid {xid}\nchaddr {MAC}\nflags 0x8000\nmessage_type discover\n{WANTED}{more}");
    let frame = ask(&host, "eth0", text);
    assert_eq!(frame.dhcp().message_type(), Some(MessageType::Offer));
    frame
}

#[test]
fn long_options_of_all_scopes_are_split_one_behind_the_other_and_are_whole() {
    on_a_lan(|lan| {
        let world = World::on_the_lan();
        scopes(&world);
        let options = pieces(&offer(lan, 1, "max_message_size 1500\n"));
        assert_eq!(joined(&options, 43), b"web1/", "of the reservation, a template");
        assert_eq!(joined(&options, 17), b"/srv/web1");
        assert_eq!(joined(&options, 224), b"rack web1");
        // RFC 3442: the default route is included, because a client that reads option 121 ignores option 3.
        let routes = joined(&options, 121);
        assert_eq!(lengths(&options, 121), [255, 5 + 7 * ROUTES as usize - 255]);
        assert_eq!(routes[..12], [0, 10, 77, 0, 1, 16, 10, 1, 10, 77, 0, 1]);
        // RFC 3397: labels; the pieces form one list.
        assert_eq!(lengths(&options, 119)[0], 255);
        assert!(joined(&options, 119).starts_with(b"\x05host0\x03lab\x07example\x03org\0"));
        assert_eq!(joined(&options, 119).iter().filter(|byte| **byte == 0).count(), NAMES as usize);
        let positions: Vec<usize> =
            (0..options.len()).filter(|at| [119, 121].contains(&options[*at].0)).collect();
        assert_eq!(positions[1] - positions[0], 1, "RFC 3396 7: pieces are neighbours");
    });
}

#[test]
fn a_class_has_its_vendor_options_before_those_of_the_reservation() {
    on_a_lan(|lan| {
        let world = World::on_the_lan();
        scopes(&world);
        let more = "vendor_class_identifier \"Ap.x\"\nmax_message_size 1500\n";
        let options = pieces(&offer(lan, 1, more));
        assert_eq!(lengths(&options, 43), [255, 202 + 102 + 6 - 255]);
        let sub_options = joined(&options, 43);
        assert_eq!((&sub_options[..3], &sub_options[304..]), (&b"\x01\xc8x"[..], &[241, 4, 10, 0, 0, 9][..]));
        let vendors = joined(&options, 125);
        assert_eq!(lengths(&options, 125), [255, 25 + 255 - 255]);
        assert_eq!(vendors[..7], [0, 0, 0xa6, 0x7f, 20, 1, 18]);
        assert_eq!(vendors[25..30], [0, 0, 0, 9, 250]);
    });
}

#[test]
fn what_a_client_has_no_room_for_is_left_out_whole_and_told() {
    on_a_lan(|lan| {
        let world = World::on_the_lan();
        scopes(&world);
        let api = world.api();
        let mut events = api.events_after(0);
        for (xid, size, bytes_max) in [(1, "", 548), (2, "max_message_size 100\n", 548), (3, SMALL, 672)] {
            let frame = offer(lan, xid, size);
            assert!(frame.message().len() <= bytes_max, "{size}: {}", frame.message().len());
            let options = pieces(&frame);
            // Half a list of routes would be another list. Without the list, the router option counts.
            let routes = joined(&options, 121);
            assert!(routes.is_empty() || routes.len() == 5 + 7 * ROUTES as usize, "{size}");
            assert_eq!(joined(&options, 3), [10, 77, 0, 1]);
            assert!(joined(&options, 119).is_empty(), "{size}");
        }
        let told = events.wait_for(crate::scene::EVENT_WITHIN, |event| event["kind"] == "dhcp.offered");
        let reason = told["data"]["reason"].as_str().expect("a reason");
        assert!(reason.contains("no room") && reason.contains("domain_search"), "{told:#}");
    });
}

/// As some telephones have it.
const SMALL: &str = "max_message_size 700\n";

/// A DISCOVER whose options are in all three places (RFC 2131 4.1, option 52).
fn overloaded() -> Vec<u8> {
    let text = format!("xid 9\nchaddr {MAC}\nflags 0x8000\nmessage_type discover\noption_overload 3\n");
    let mut request: DhcpPacket = from_text(&text).expect("a request");
    request.file = [&[55, 4, 1, 3, 43, 125, 60, 4][..], b"Ap.x", &[255]].concat();
    request.sname = [&[57, 2, 0x05, 0xdc, 61, 3][..], b"abc", &[255]].concat();
    metalwright::proto::dhcp4::encode_listed(&request)
}

#[test]
fn options_in_overloaded_fields_count_and_replies_overload_nothing() {
    on_a_lan(|lan| {
        let world = World::on_the_lan();
        scopes(&world);
        let host = lan.plug_host("h1", MAC);
        let frame = host.run(|| ask_bytes("eth0", &overloaded())).expect("an offer");
        let options = pieces(&frame);
        assert_eq!(joined(&options, codes::CLIENT_IDENTIFIER), b"abc", "of sname");
        assert_eq!(lengths(&options, 43), [255, 55], "the class by its name in file, the room by sname");
        assert!(joined(&options, codes::OVERLOAD).is_empty());
        let offer = frame.dhcp();
        assert!(offer.file.is_empty() && offer.sname.is_empty(), "{offer:?}");
    });
}
