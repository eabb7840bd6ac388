//! Packets on the wire, with the ports and interfaces that they are sent from. The numbers are those of the
//! vectors in `tests/vectors/dhcp`.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use metalwright::proto::dhcp4::{DhcpPacket, MessageType, encode_listed, from_text, parse};
use nix::sys::socket::{LinkAddr, recvfrom};
use serde_json::json;
use socket2::{Domain, Protocol, Socket, Type};

use super::lan::{Host, ip};
use super::{Lan, SERVER_ADDRESS, on_a_lan, subnet};
use crate::world::World;

const MAC: &str = "02:00:00:00:00:01";
const ANSWER_WITHIN: Duration = Duration::from_secs(20);
/// `ETH_P_IP`.
const IPV4: u16 = 0x0800;
const LINK_AND_IP_BYTES: usize = 14 + 20;

/// A received frame, and its interface.
pub(super) struct Frame {
    bytes: Vec<u8>,
    interface: String,
}

impl Frame {
    pub(super) fn target_mac(&self) -> &[u8] {
        &self.bytes[..6]
    }

    pub(super) fn target(&self) -> Ipv4Addr {
        <[u8; 4]>::try_from(&self.bytes[30..34]).unwrap().into()
    }

    fn source(&self) -> Ipv4Addr {
        <[u8; 4]>::try_from(&self.bytes[26..30]).unwrap().into()
    }

    fn ports(&self) -> (u16, u16) {
        let port = |at: usize| u16::from_be_bytes([self.bytes[at], self.bytes[at + 1]]);
        (port(34), port(36))
    }

    /// The UDP payload.
    pub(super) fn message(&self) -> &[u8] {
        &self.udp()[8..]
    }

    fn udp(&self) -> &[u8] {
        let total = u16::from_be_bytes([self.bytes[16], self.bytes[17]]);
        &self.bytes[LINK_AND_IP_BYTES..14 + usize::from(total)]
    }

    pub(super) fn dhcp(&self) -> DhcpPacket {
        parse(self.message()).expect("a DHCP message")
    }

    /// RFC 791 and RFC 768: both checksums are right if the sum over everything is all ones.
    fn assert_checksums(&self) {
        let udp = self.udp();
        let length = u16::try_from(udp.len()).unwrap().to_be_bytes();
        let pseudo = [&self.bytes[26..34], &[0, 17], &length, udp].concat();
        assert_eq!(sum(&self.bytes[14..LINK_AND_IP_BYTES]), 0xffff, "checksum of the IP header");
        assert_ne!(&udp[6..8], [0, 0], "there is a UDP checksum");
        assert_eq!(sum(&pseudo), 0xffff, "checksum of UDP");
    }
}

fn sum(bytes: &[u8]) -> u32 {
    let words = bytes.chunks(2).map(|word| u32::from(word[0]) << 8 | u32::from(*word.get(1).unwrap_or(&0)));
    let mut sum: u32 = words.sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum
}

/// A network card of a client without an address. Open it on that client's host.
pub(super) struct Nic {
    wire: Socket,
    asking: Socket,
}

impl Nic {
    pub(super) fn open(interface: &str) -> Nic {
        let wire = Socket::new(Domain::PACKET, Type::RAW, Some(Protocol::from(i32::from(IPV4.to_be()))))
            .expect("a socket that sees frames");
        wire.set_read_timeout(Some(Duration::from_secs(1))).expect("a timeout");
        let asking = Socket::new(Domain::IPV4, Type::DGRAM, None).expect("a socket");
        asking.set_reuse_address(true).expect("a shared port");
        asking.set_broadcast(true).expect("a socket that may broadcast");
        asking.bind_device(Some(interface.as_bytes())).expect("the interface");
        asking.bind(&SocketAddr::from(([0, 0, 0, 0], 68)).into()).expect("the client's port");
        Nic { wire, asking }
    }

    pub(super) fn send(&self, bytes: &[u8]) {
        let to = SocketAddr::from((Ipv4Addr::BROADCAST, 67));
        self.asking.send_to(bytes, &to.into()).expect("a request on the wire");
    }

    /// The next reply with an expected `xid`, on any interface of the host, unless a second passes without a
    /// frame.
    pub(super) fn reply(&self, is_wanted: impl Fn(u32) -> bool) -> Option<Frame> {
        let mut buffer = vec![0; 2048];
        while let Ok((bytes, from)) = recvfrom::<LinkAddr>(self.wire.as_raw_fd(), &mut buffer) {
            let index = from.map(|from| from.ifindex()).unwrap_or_default();
            let name = nix::net::if_::if_indextoname(u32::try_from(index).unwrap()).expect("an interface");
            let interface = name.to_str().unwrap().to_owned();
            let frame = Frame { bytes: buffer[..bytes].to_vec(), interface };
            let is_udp = bytes > LINK_AND_IP_BYTES + 8 && frame.bytes[23] == 17;
            if is_udp && matches!(frame.ports(), (67, 68)) && is_wanted(frame.dhcp().xid) {
                return Some(frame);
            }
        }
        None
    }
}

/// Sends `text` like a client without an address, on `interface`; waits for the first DHCP reply to it on any
/// interface of the host.
pub(super) fn ask(host: &Host, interface: &'static str, text: String) -> Frame {
    host.run(move || {
        let request = from_text(&text).expect("a request");
        ask_bytes(interface, &encode_listed(&request)).unwrap_or_else(|| panic!("no reply to {text}"))
    })
}

/// Like [`ask`], on the host of this thread, with a message of any bytes.
pub(super) fn ask_bytes(interface: &str, bytes: &[u8]) -> Option<Frame> {
    let nic = Nic::open(interface);
    let asked = u32::from_be_bytes(bytes[4..8].try_into().expect("a transaction"));
    let until = Instant::now() + ANSWER_WITHIN;
    while Instant::now() < until {
        nic.send(bytes);
        if let Some(frame) = nic.reply(|xid| xid == asked) {
            return Some(frame);
        }
    }
    None
}

fn discover(xid: u32, more: &str) -> String {
    format!("xid {xid}\nchaddr {MAC}\nmessage_type discover\n{more}")
}

#[test]
fn vector_1_an_offer_is_a_frame_to_the_client_with_right_checksums() {
    on_a_lan(|lan| {
        let world = World::on_the_lan();
        world.api().post("/subnets", subnet()).expect(201);
        let frame = ask(&lan.plug_host("h1", MAC), "eth0", discover(1, ""));
        frame.assert_checksums();
        let offer = frame.dhcp();
        assert_eq!(offer.message_type(), Some(MessageType::Offer));
        assert_eq!(frame.target_mac(), [2, 0, 0, 0, 0, 1]);
        assert_eq!((frame.target(), offer.yiaddr), ([10, 77, 0, 100].into(), [10, 77, 0, 100].into()));
        assert_eq!(frame.source().to_string(), SERVER_ADDRESS);
        assert!(!offer.wants_broadcast());
    });
}

#[test]
fn vectors_2_and_28_a_broadcast_offer_is_one_on_the_wire_too_with_right_checksums() {
    on_a_lan(|lan| {
        let world = World::on_the_lan();
        world.api().post("/subnets", subnet()).expect(201);
        let frame = ask(&lan.plug_host("h1", MAC), "eth0", discover(2, "flags 0x8000\n"));
        frame.assert_checksums();
        assert_eq!((frame.target_mac(), frame.target()), (&[0xff; 6][..], Ipv4Addr::BROADCAST));
        assert_eq!(frame.source().to_string(), SERVER_ADDRESS);
        assert!(frame.dhcp().wants_broadcast());
    });
}

#[test]
fn always_broadcast_reaches_a_client_that_takes_unicast() {
    on_a_lan(|lan| {
        let world = World::on_the_lan();
        let mut broadcasting = subnet();
        broadcasting["always_broadcast"] = json!(true);
        world.api().post("/subnets", broadcasting).expect(201);
        let frame = ask(&lan.plug_host("h1", MAC), "eth0", discover(3, ""));
        assert_eq!((frame.target_mac(), frame.target()), (&[0xff; 6][..], Ipv4Addr::BROADCAST));
    });
}

#[test]
fn vector_26_a_broadcast_leaves_by_the_interface_the_question_came_in_on() {
    on_a_lan(|lan| {
        // The default route and other broadcasts use the first network.
        ip("route add default via 10.77.0.254");
        second_network("lan1", "10.79.0.1/24");
        let world = World::on_the_lan_with(&["--dhcp-interface", "lan1"]);
        world.api().post("/subnets", subnet()).expect(201);
        let second = json!({"name": "second", "cidr": "10.79.0.0/24",
            "pools": [{"start": "10.79.0.100", "end": "10.79.0.101"}]});
        world.api().post("/subnets", second).expect(201);
        let host = lan.plug_host("h1", MAC);
        plug_second_nic(&host);
        let frame = ask(&host, "eth1", discover(26, "flags 0x8000\n"));
        assert_eq!(frame.interface, "eth1");
        assert_eq!(frame.source().to_string(), "10.79.0.1");
        assert_eq!(frame.dhcp().yiaddr.to_string(), "10.79.0.100");
        let frame = ask(&host, "eth0", discover(27, "flags 0x8000\n"));
        assert_eq!(
            (frame.interface.as_str(), frame.dhcp().yiaddr.to_string().as_str()),
            ("eth0", "10.77.0.100")
        );
    });
}

#[test]
fn vector_111_a_client_that_was_moved_is_refused_by_broadcast_on_the_wire_it_is_on() {
    on_a_lan(|lan| {
        second_network("lan1", "10.79.0.1/24");
        let world = World::on_the_lan_with(&["--dhcp-interface", "lan1"]);
        world.api().post("/subnets", subnet()).expect(201);
        let second = json!({"name": "second", "cidr": "10.79.0.0/24",
            "pools": [{"start": "10.79.0.100", "end": "10.79.0.101"}]});
        world.api().post("/subnets", second).expect(201);
        let host = lan.plug_host("h1", MAC);
        plug_second_nic(&host);
        let request = |xid: u32, more: &str| format!("xid {xid}\nchaddr {MAC}\nmessage_type request\n{more}");
        ask(&host, "eth1", discover(1, ""));
        let selecting = "requested_address 10.79.0.100\nserver_identifier 10.79.0.1";
        let ack = ask(&host, "eth1", request(2, selecting));
        assert_eq!(ack.dhcp().message_type(), Some(MessageType::Ack));
        let nak = ask(&host, "eth0", request(3, "ciaddr 10.79.0.100"));
        assert_eq!(nak.dhcp().message_type(), Some(MessageType::Nak));
        assert_eq!((nak.interface.as_str(), nak.target()), ("eth0", Ipv4Addr::BROADCAST));
    });
}

fn second_network(bridge: &str, address: &str) {
    ip(&format!("link add {bridge} type bridge forward_delay 0"));
    ip(&format!("address add {address} brd + dev {bridge}"));
    ip(&format!("link set {bridge} up"));
}

fn plug_second_nic(host: &Host) {
    ip("link add h1b type veth peer name h1b-far address 02:00:00:00:00:01");
    ip("link set h1b master lan1 up");
    ip(&format!("link set h1b-far netns {}", host.namespace().display()));
    host.run(|| {
        ip("link set h1b-far name eth1");
        ip("link set eth1 up");
    });
}

/// A server in a network whose addresses come from another server, and a machine that should boot.
fn beside_another_server(lan: &Lan) -> (World, Host) {
    let world = World::on_the_lan();
    let api = world.api();
    api.post("/subnets", json!({"name": "lan", "cidr": super::CIDR, "mode": "proxy"})).expect(201);
    crate::scene::add_installer(&api, &crate::scene::small_installer(world.scratch()));
    crate::scene::start_web1(&api);
    let host = lan.plug_host("h1", crate::scene::MAC);
    host.run(|| ip("address add 10.77.0.50/24 dev eth0"));
    (world, host)
}

const UEFI: &str = "vendor_class_identifier \"PXEClient:Arch:00007:UNDI:003016\"\nclient_architectures 7\n";

/// Asks the boot server from `port`; returns the answer and its source.
fn ask_boot_server(host: &Host, port: u16, text: String) -> (DhcpPacket, SocketAddr) {
    host.run(move || {
        let asking = UdpSocket::bind(("0.0.0.0", port)).expect("the client's port");
        asking.set_read_timeout(Some(Duration::from_secs(1))).expect("a timeout");
        let request = from_text(&text).expect("a request");
        let mut buffer = [0; 2048];
        let until = Instant::now() + ANSWER_WITHIN;
        while Instant::now() < until {
            asking.send_to(&encode_listed(&request), (SERVER_ADDRESS, 4011)).expect("a request");
            if let Ok((bytes, from)) = asking.recv_from(&mut buffer) {
                return (parse(&buffer[..bytes]).expect("a reply"), from);
            }
        }
        panic!("no reply to {text}");
    })
}

#[test]
fn vectors_62_and_63_the_boot_server_answers_from_4011_to_the_port_that_asked() {
    on_a_lan(|lan| {
        let (world, host) = beside_another_server(lan);
        let mac = crate::scene::MAC;
        for (xid, port) in [(62, 4011), (63, 68)] {
            let text = format!("xid {xid}\nchaddr {mac}\nciaddr 10.77.0.50\nmessage_type request\n{UEFI}");
            let (ack, from) = ask_boot_server(&host, port, text);
            assert_eq!(from.to_string(), format!("{SERVER_ADDRESS}:4011"));
            assert_eq!((ack.xid, ack.message_type()), (xid, Some(MessageType::Ack)));
            assert_eq!((ack.yiaddr, ack.file.as_slice()), (Ipv4Addr::UNSPECIFIED, &b"snponly.efi"[..]));
        }
        let api = world.api();
        let mut events = api.events_after(0);
        for _ in 0..2 {
            events.wait_for(ANSWER_WITHIN, |event| event["kind"] == "dhcp.boot_served");
        }
    });
}

#[test]
fn a_boot_server_port_that_is_taken_is_named_and_the_rest_is_served() {
    on_a_lan(|lan| {
        let _taken = UdpSocket::bind("0.0.0.0:4011").expect("the boot server's port");
        let world = World::on_the_lan();
        let log = world.log();
        assert!(log.contains("UDP port 4011 is in use by") && log.contains("pid"), "{log}");
        world.api().post("/subnets", subnet()).expect(201);
        let frame = ask(&lan.plug_host("h1", MAC), "eth0", discover(1, ""));
        assert_eq!(frame.dhcp().message_type(), Some(MessageType::Offer));

        let warnings = || world.api().get("/dhcp/status").expect(200)["warnings"].to_string();
        assert!(!warnings().contains("4011"), "{}: no subnet needs it", warnings());
        let other = json!({"name": "other", "cidr": "10.78.0.0/24", "mode": "proxy"});
        world.api().post("/subnets", other).expect(201);
        assert!(warnings().contains("UEFI firmware in other"), "{}", warnings());
        assert!(warnings().contains(&format!("4011 is in use by {}", named_ourselves())), "{}", warnings());
    });
}

fn named_ourselves() -> String {
    let name = std::fs::read_to_string("/proc/self/comm").expect("our name");
    format!("{} (pid {})", name.trim(), std::process::id())
}

#[test]
fn beside_another_server_a_machine_is_known_by_the_address_it_was_heard_to_take() {
    on_a_lan(|lan| {
        let (world, host) = beside_another_server(lan);
        let api = world.api();
        api.patch("/settings/unknown_machine", json!({"value": "ignore"})).expect(200);
        // The loader is what leaves for the disk, else.
        api.patch("/settings/leave_by_loader", json!({"value": false})).expect(200);
        let mac = crate::scene::MAC;
        let frame = ask(&host, "eth0", format!("xid 1\nchaddr {mac}\nmessage_type discover\n{UEFI}"));
        let offer = frame.dhcp();
        assert_eq!((offer.yiaddr, offer.file.as_slice()), (Ipv4Addr::UNSPECIFIED, &b"snponly.efi"[..]));
        let folder = world.scratch().to_owned();
        let fetch = move || super::tftp::fetch("snponly.efi", &folder.join("fetched"));
        let before = host.run(fetch.clone());
        assert!(before.is_err(), "nobody knows who has this address: {before:?}");
        // It accepts the other server's offer, which gets no answer here.
        let mut events = api.events_after(0);
        take_from_another(&host, mac, "10.77.0.50");
        events.wait_for(ANSWER_WITHIN, |event| event["kind"] == "machine.address_changed");
        assert!(host.run(fetch.clone()).is_ok_and(|bytes| !bytes.is_empty()));
        assert_eq!(api.get("/machines/name:web1").expect(200)["status"]["address"], "10.77.0.50");
        // TFTP does not give what DHCP does not give now.
        api.post("/machines/name:web1/actions/disarm", json!({})).expect(200);
        let denied = host.run(fetch.clone());
        assert!(denied.as_ref().is_err_and(|said| said.contains("disarmed")), "{denied:?}");
        // An unknown client gets the address.
        take_from_another(&host, MAC, "10.77.0.50");
        events.wait_for(ANSWER_WITHIN, |event| {
            event["kind"] == "machine.address_changed" && event["data"]["address"].is_null()
        });
        let unknown = host.run(fetch);
        assert!(unknown.as_ref().is_err_and(|said| !said.contains("disarmed")), "{unknown:?}");
    });
}

#[test]
fn vector_56_a_loader_that_leads_nowhere_is_given_three_times() {
    on_a_lan(|lan| {
        let world = World::on_the_lan();
        let api = world.api();
        api.post("/subnets", subnet()).expect(201);
        crate::scene::add_installer(&api, &crate::scene::small_installer(world.scratch()));
        crate::scene::start_web1(&api);
        let host = lan.plug_host("h1", crate::scene::MAC);
        // An iPXE without HTTP, which gets a complete one, and is again the one without HTTP.
        let incomplete = "user_class \"iPXE\"\nclient_architectures 7\nipxe_encapsulated_options 210101\n";
        let mac = crate::scene::MAC;
        let file = |xid: u32| {
            let text = format!("xid {xid}\nchaddr {mac}\nmessage_type discover\n{incomplete}");
            String::from_utf8(ask(&host, "eth0", text).dhcp().file).expect("a name")
        };
        for xid in [1, 1, 2, 3] {
            assert_eq!(file(xid), "tftp://10.77.0.1/ipxe.efi", "ask {xid}");
        }
        assert_eq!(file(4), "");
        assert_eq!(file(4), "", "a repetition is answered alike");
        assert_eq!(file(2), "tftp://10.77.0.1/ipxe.efi", "this one was before");
        let mut events = api.events_after(0);
        let stopped = events.wait_for(ANSWER_WITHIN, |event| event["kind"] == "boot.loop_stopped");
        let reason = stopped["data"]["reason"].as_str().expect("a reason");
        assert!(reason.contains("ipxe.efi") && reason.contains("loaders"), "{stopped:#}");
        assert!(stopped["subject"].as_str().is_some_and(|subject| subject.starts_with("machine:")));
        // Fetching its script resets the count.
        let path = format!("/boot.ipxe?mac={mac}");
        let status = host.run(move || {
            ip("address add 10.77.0.100/24 dev eth0");
            let ports = json!({"boot_http": "http://10.77.0.1:8080", "tftp": "10.77.0.1:69"});
            crate::wire::BootSide::of(&ports).get(&path).0
        });
        assert_eq!((status, file(5).as_str()), (200, "tftp://10.77.0.1/ipxe.efi"));
    });
}

fn take_from_another(host: &Host, mac: &str, address: &str) {
    let text = format!(
        "xid 9\nchaddr {mac}\nmessage_type request\nserver_identifier 10.77.0.9\n\
         requested_address {address}\n"
    );
    host.run(move || {
        let socket = UdpSocket::bind("0.0.0.0:68").expect("the client's port");
        socket.set_broadcast(true).expect("a socket that may broadcast");
        let bytes = encode_listed(&from_text(&text).expect("a request"));
        socket.send_to(&bytes, "10.77.0.255:67").expect("a request on the wire");
    });
}
