//! The fields and options of a reply (RFC 2131 table 3).

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use crate::boot::client::{Client, Stage};
use crate::boot::data::BootData;
use crate::dhcp::{Query, Reply, destination, encode_options};
use crate::model::{Machine, Reservation, Stored, Subnet};
use crate::proto::dhcp4::{
    Kind, MessageType, Options, Packet, REPLY_BYTES_MIN, codes, encode_reply, payload_bytes_max,
};

/// Shortest lease a network boot client is granted: firmware never renews, and must not lose its
/// address while it loads.
const NETBOOT_LEASE_SECONDS_MIN: u32 = 600;
/// Shortest lease anybody is granted.
const LEASE_SECONDS_MIN: u32 = 60;
/// iPXE: do not wait for a proxy, this reply says all.
const IPXE_NO_PROXY: [u8; 3] = [0xb0, 1, 1];
/// The boot menu Raspberry Pi firmware looks for (PXE 2.1, options 9 and 10 of 43). The Pi 3
/// needs the blanks at the end.
const RASPBERRY_PI_MENU: &[u8] = b"\x06\x01\x03\x0a\x04\x00PXE\x09\x17\x00\x00\x14Raspberry Pi Boot   \xff";

/// Codes that say what to boot: never sent to a client that is not to boot, always to one that is.
const BOOT_CODES: [u8; 7] = [
    codes::VENDOR_OPTIONS,
    codes::VENDOR_CLASS,
    codes::TFTP_SERVER_NAME,
    codes::BOOTFILE_NAME,
    codes::TFTP_SERVER_ADDRESSES,
    209,
    210,
];

/// What a reply with addresses and options is made of.
#[derive(Debug, Clone, Copy)]
pub(super) struct Content<'a> {
    pub subnet: &'a Subnet,
    pub reservation: Option<&'a Reservation>,
    pub machine: Option<&'a Stored<Machine>>,
    pub boot: &'a BootData,
    pub server: Ipv4Addr,
    /// Our address that faces the client, for `siaddr` where nothing else is configured.
    pub source: Ipv4Addr,
}

/// The seconds granted: what the subnet allows, or less if the client wishes less.
pub(super) fn lease_seconds(request: &Packet, subnet: &Subnet) -> u32 {
    let wished = request.lease_seconds().unwrap_or(subnet.lease_seconds).max(LEASE_SECONDS_MIN);
    let granted = wished.min(subnet.lease_seconds);
    let is_netboot = Client::read(request).is_netboot();
    if is_netboot { granted.max(NETBOOT_LEASE_SECONDS_MIN) } else { granted }
}

/// A reply with nothing but what every reply has.
pub(super) fn bare(request: &Packet, message: MessageType, server: Ipv4Addr) -> Packet {
    let mut reply = Packet {
        op: 2,
        htype: request.htype,
        hlen: request.hlen,
        xid: request.xid,
        flags: request.flags,
        giaddr: request.giaddr,
        chaddr: request.chaddr,
        ..Packet::default()
    };
    reply.options.set(codes::MESSAGE_TYPE, [u8::from(message)]);
    reply.options.set(codes::SERVER_IDENTIFIER, server.octets());
    echo(request, &mut reply);
    reply
}

/// RFC 6842 wants 61 back, RFC 3046 2.2 wants 82; without a relay 82 is the client's own invention.
fn echo(request: &Packet, reply: &mut Packet) {
    if let Some(identifier) = request.client_identifier() {
        reply.options.set(codes::CLIENT_IDENTIFIER, identifier);
    }
    if let Some(agent) = request.relay_agent().filter(|_| request.is_relayed()) {
        reply.options.set(codes::RELAY_AGENT, agent.bytes());
    }
}

/// A NAK, which says nothing but no.
pub(super) fn nak(request: &Packet, server: Ipv4Addr, message: &str) -> Packet {
    let mut reply = bare(request, MessageType::Nak, server);
    if request.is_relayed() {
        // RFC 2131 4.3.2: the client has no address its relay could reach.
        reply.set_broadcast();
    }
    reply.options.set(codes::MESSAGE, message.as_bytes().get(..255).unwrap_or(message.as_bytes()));
    reply
}

/// An OFFER or ACK that gives `address`.
pub(super) fn lease(
    query: &Query<'_>,
    content: &Content<'_>,
    message: MessageType,
    address: Ipv4Addr,
) -> Packet {
    let request = query.packet;
    let mut reply = bare(request, message, content.server);
    reply.yiaddr = address;
    if message == MessageType::Ack {
        reply.ciaddr = request.ciaddr;
    }
    let seconds = lease_seconds(request, content.subnet);
    reply.options.set(codes::LEASE_TIME, seconds.to_be_bytes());
    reply.options.set(codes::RENEWAL_TIME, (seconds / 2).to_be_bytes());
    reply.options.set(codes::REBINDING_TIME, (seconds - seconds / 8).to_be_bytes());
    configure(query, content, &mut reply);
    reply
}

/// The ACK to an INFORM: options and no address (RFC 2131 4.3.5).
pub(super) fn informed(query: &Query<'_>, content: &Content<'_>) -> Packet {
    let request = query.packet;
    let mut reply = bare(request, MessageType::Ack, content.server);
    reply.ciaddr = request.ciaddr;
    if request.ciaddr.is_unspecified() && request.is_relayed() {
        reply.set_broadcast();
    }
    configure(query, content, &mut reply);
    reply
}

/// Turns a reply into bytes of the size the client takes, and says where it goes.
pub(super) fn finish(query: &Query<'_>, source: Ipv4Addr, packet: Packet) -> Reply {
    let bytes_max = match packet.message_type() {
        Some(_) => payload_bytes_max(query.packet.max_message_bytes(), query.interface.mtu),
        // BOOTP clients need not take more (RFC 951 3).
        None => REPLY_BYTES_MIN,
    };
    let encoded = encode_reply(&packet, bytes_max);
    Reply {
        destination: destination(query, &packet),
        packet,
        bytes: encoded.bytes,
        dropped: encoded.dropped,
        source,
        interface: query.interface.index,
    }
}

fn configure(query: &Query<'_>, content: &Content<'_>, reply: &mut Packet) {
    let request = query.packet;
    let client = Client::read(request);
    let boots = *content.boot != BootData::None;
    let configured = configured(query, content);
    let wanted = wanted(request);
    for (code, data) in configured.iter() {
        let is_boot = BOOT_CODES.contains(&code);
        let send = if is_boot { boots } else { wanted.as_ref().is_none_or(|codes| codes.contains(&code)) };
        if send {
            reply.options.set(code, data);
        }
    }
    if let Some(identifier) = request.machine_identifier() {
        reply.options.set(codes::CLIENT_MACHINE_ID, identifier);
    }
    if boots {
        set_boot(reply, &client, content);
    }
}

/// What the client asked for, and what it gets in any case. `None`: it did not say, so everything.
fn wanted(request: &Packet) -> Option<BTreeSet<u8>> {
    let mut wanted: BTreeSet<u8> = request.parameter_list()?.iter().copied().collect();
    wanted.insert(codes::SUBNET_MASK);
    Some(wanted)
}

/// All options there are for this client: the subnet's, and the reservation's in their place.
fn configured(query: &Query<'_>, content: &Content<'_>) -> Options {
    let mut options = Options::default();
    let cidr = content.subnet.cidr;
    options.set(codes::SUBNET_MASK, cidr.mask().octets());
    if !query.packet.is_relayed() {
        options.set(codes::BROADCAST_ADDRESS, cidr.broadcast().octets());
    }
    if let Some(machine) = content.machine {
        options.set(codes::HOST_NAME, machine.spec.name.as_bytes());
    }
    let reserved = content.reservation.map(|reservation| encode_options(&reservation.options));
    for (code, data) in
        encode_options(&content.subnet.options).into_iter().chain(reserved.unwrap_or_default())
    {
        options.set(code, data);
    }
    add_default_route(&mut options);
    let is_microsoft = query.packet.vendor_class().is_some_and(|class| class.starts_with(b"MSFT"));
    if let Some(routes) = options.get(codes::CLASSLESS_ROUTES).filter(|_| is_microsoft).map(<[u8]>::to_vec) {
        options.set(codes::MICROSOFT_CLASSLESS_ROUTES, routes);
    }
    options
}

/// RFC 3442: a client that takes 121 ignores 3, so 121 must hold the default route as well.
fn add_default_route(options: &mut Options) {
    let Some(routes) = options.get(codes::CLASSLESS_ROUTES) else { return };
    let words = Kind::Routes.decode(routes).unwrap_or_default();
    let has_default = words.iter().any(|route| route.starts_with("0.0.0.0/0="));
    let router = options.get(codes::ROUTERS).and_then(|routers| routers.first_chunk::<4>());
    if let Some(router) = router.filter(|_| !has_default) {
        let complete = [&[0], router.as_slice(), routes].concat();
        options.set(codes::CLASSLESS_ROUTES, complete);
    }
}

/// The boot set. `file` and option 67 are the same string: iPXE reads the one and EDK2 the other.
/// PXE firmware gets neither 60 nor 43, which would send it to port 4011.
pub(super) fn set_boot(reply: &mut Packet, client: &Client, content: &Content<'_>) {
    let configured = content.reservation.and_then(|reservation| reservation.next_server);
    let next_server = configured.or(content.subnet.next_server).unwrap_or(content.source);
    reply.siaddr = match content.boot {
        BootData::Tftp { next_server, .. } | BootData::RaspberryPi { next_server } => *next_server,
        _ => next_server,
    };
    if let Some(file) = content.boot.file() {
        reply.options.set(codes::BOOTFILE_NAME, file);
        if file.len() < 128 {
            reply.file = file.as_bytes().to_vec();
        }
    }
    if matches!(content.boot, BootData::RaspberryPi { .. }) {
        reply.options.set(codes::VENDOR_CLASS, "PXEClient");
        reply.options.set(codes::VENDOR_OPTIONS, RASPBERRY_PI_MENU);
    }
    match client.stage {
        Stage::HttpFirmware => reply.options.set(codes::VENDOR_CLASS, "HTTPClient"),
        Stage::Ipxe(_) => reply.options.set(codes::IPXE, IPXE_NO_PROXY),
        Stage::Firmware | Stage::Other => {}
    }
}
