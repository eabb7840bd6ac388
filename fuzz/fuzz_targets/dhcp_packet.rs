//! Any datagram at port 67: it is read, shown as text, decided on and answered without a panic, and the answer
//! is well formed.

#![no_main]

use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::LazyLock;

use jiff::Timestamp;
use libfuzzer_sys::fuzz_target;
use metalwright::boot::client::Client;
use metalwright::boot::data::BootData;
use metalwright::boot::loader::next_stage;
use metalwright::dhcp::{Facts, Holds, Interface, InterfaceAddress, Query, answer};
use metalwright::model::{Object, Stored, Subnet, World};
use metalwright::proto::dhcp4::{from_text, parse, to_text};

const NOW: Timestamp = Timestamp::UNIX_EPOCH;

static WORLD: LazyLock<World> = LazyLock::new(|| {
    let subnet: Subnet = serde_json::from_value(serde_json::json!({
        "name": "a",
        "cidr": "0.0.0.0/0",
        "pools": [{"start": "10.0.0.100", "end": "10.0.0.200"}],
        "authoritative": true,
        "options": {"routers": ["10.0.0.1"], "domain_search": ["example.org"],
                    "classless_static_routes": ["10.1.0.0/16=10.0.0.2"]},
    }))
    .expect("a subnet");
    let mut world = World::default();
    world.put(Object::Subnet(Stored::new("a".into(), subnet, NOW).into()));
    world
});

fuzz_target!(|datagram: &[u8]| {
    let Ok(packet) = parse(datagram) else { return };
    let text = to_text(&packet);
    from_text(&text).expect("what is shown can be read");
    let _ = next_stage(&Client::read(&packet));
    let address = InterfaceAddress { address: Ipv4Addr::new(10, 0, 0, 1), prefix: 24 };
    let interface = Interface { name: "eth1".into(), index: 2, addresses: vec![address], mtu: 1500 };
    let source = SocketAddrV4::new(packet.ciaddr, 68);
    let query = Query { packet: &packet, interface: &interface, source, local: None, port: 67 };
    let boot = BootData::Tftp { next_server: address.address, file: "snponly.efi".into() };
    let facts = Facts { world: &WORLD, holds: &Holds::default(), machine: None, boot: &boot };
    if let Some(reply) = answer(&query, &facts, NOW).reply {
        assert!(reply.bytes.len() >= 300);
        let sent = parse(&reply.bytes).expect("a reply can be read");
        assert_eq!(sent.xid, packet.xid);
        assert_eq!(sent.options.iter().next().map(|(code, _)| code), Some(53));
    }
});
