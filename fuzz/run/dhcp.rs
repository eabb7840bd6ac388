//! Any datagram at the server's ports: it is parsed, printed as text, classified, decided on and answered
//! without a panic, and the result is a permitted one. Start at [`check`].

use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::Ipv4Addr;

use dhcproto::{Decodable, Decoder, v4};
use metalwright::dhcp::decide::{
    ClientKey, DhcpAnswer, DhcpQuery, DhcpReply, LeaseChange, Link, MatchedClasses, OpenOffers, PacketFacts,
    ReplyDestination, answer, classify, classify_at_boot_server,
};
use metalwright::model::{Lease, LeaseState, Machine, Stored, SubnetMode};
use metalwright::netboot::decide::client::{BootProgram, NetbootClient};
use metalwright::netboot::decide::data::BootData;
use metalwright::netboot::decide::loader::{LoaderTransport, NextStage, next_stage};
use metalwright::proto::dhcp4::{
    DhcpPacket, MessageType, PacketFault, codes, encode_listed, from_text, parse, payload_bytes_max, to_text,
};

use crate::world::{ARRIVALS, Arrival, DISK, NOW, WORLD};

/// Options that say what to boot.
const BOOT: [u8; 5] = [codes::VENDOR_OPTIONS, codes::TFTP_SERVER_NAME, codes::BOOTFILE_NAME, 150, 209];
/// The options that a NAK may have (RFC 2131 table 3, RFC 6842).
const OF_A_NAK: [u8; 5] = [53, 54, 56, 61, 82];

/// Checks everything that must be true of a datagram and its answers; returns what was seen, one number for
/// each path through the decisions.
pub fn check(datagram: &[u8]) -> Vec<u64> {
    let Ok(packet) = parse(datagram) else { return vec![0] };
    let text = to_text(&packet);
    let read = from_text(&text).unwrap_or_else(|why| panic!("what is shown cannot be read: {why}\n{text}"));
    assert_eq!(to_text(&read), text, "the text of a packet reads as itself");
    let _ = (classify(&packet), classify_at_boot_server(&packet));
    ARRIVALS.iter().map(|arrival| served(&packet, *arrival)).collect()
}

fn served(packet: &DhcpPacket, arrival: Arrival) -> u64 {
    let query = DhcpQuery {
        packet,
        interface: arrival.interface(),
        source: arrival.source((packet.ciaddr, packet.giaddr)),
        local: arrival.local(),
        port: arrival.port,
    };
    let machine = machine_of(packet);
    let boot = boot_data(packet, machine);
    let mut holds = OpenOffers::default();
    let facts = facts_of(query, &boot);
    let outcome = answer(&facts, &holds, NOW);
    check_outcome(&query, &outcome, &boot);
    if let LeaseChange::Hold { address, hold } = &outcome.change {
        assert!(holds.hold(*address, hold.clone(), NOW), "there is room for one offer");
        let request = request_of(packet, outcome.reply.as_ref().expect("an offer"));
        let query = DhcpQuery { packet: &request, ..query };
        let granted = answer(&facts_of(query, &boot), &holds, NOW);
        check_outcome(&query, &granted, &boot);
        let given = granted.reply.as_ref().map(|reply| (reply.packet.message_type(), reply.packet.yiaddr));
        let wanted = Some((Some(MessageType::Ack), *address));
        assert_eq!(given, wanted, "what is offered is given: {}\n{}", granted.reason, to_text(packet));
    }
    seen(&outcome)
}

fn facts_of<'a>(query: DhcpQuery<'a>, boot: &BootData) -> PacketFacts<'a> {
    PacketFacts { boot: boot.clone().into(), ..PacketFacts::gather(query, &WORLD) }
}

/// The REQUEST that accepts an offer, from the same client in the same way.
fn request_of(discover: &DhcpPacket, offer: &DhcpReply) -> DhcpPacket {
    let mut request = discover.clone();
    request.options.set(codes::MESSAGE_TYPE, [u8::from(MessageType::Request)]);
    request.options.set(codes::REQUESTED_ADDRESS, offer.packet.yiaddr.octets());
    let server = offer.packet.server_identifier().expect("an offer with a server identifier");
    request.options.set(codes::SERVER_IDENTIFIER, server.octets());
    request.ciaddr = Ipv4Addr::UNSPECIFIED;
    parse(&encode_listed(&request)).expect("a request that can be read")
}

fn machine_of(packet: &DhcpPacket) -> Option<&'static Stored<Machine>> {
    let mac = ClientKey::of(packet).and_then(|key| key.mac())?;
    WORLD.machines.find("mac", &mac.to_string()).map(|machine| &**machine)
}

fn boot_data(packet: &DhcpPacket, machine: Option<&Stored<Machine>>) -> BootData {
    if machine.is_some_and(|machine| machine.spec.macs.iter().any(|mac| mac.0 == DISK)) {
        return BootData::None;
    }
    let us = Ipv4Addr::new(10, 0, 0, 1);
    let client = MatchedClasses::of(&WORLD, packet, None).apply(NetbootClient::read(packet));
    match next_stage(&client) {
        _ if client.stage == BootProgram::Other => BootData::None,
        Err(_) => BootData::None,
        Ok(NextStage::Script) => {
            BootData::Script { url: format!("http://{us}/{}/boot.ipxe", "m".repeat(120)) }
        }
        Ok(NextStage::FullIpxe(name)) => BootData::Url { url: format!("tftp://{us}/{name}") },
        Ok(NextStage::Server { menu }) => BootData::Server { next_server: us, menu },
        Ok(NextStage::File(url)) if url.contains("://") => BootData::Url { url },
        Ok(NextStage::File(file)) => BootData::Tftp { next_server: us, file },
        Ok(NextStage::Loader { name, transport: LoaderTransport::Http }) => {
            BootData::Url { url: format!("http://{us}/{name}") }
        }
        Ok(NextStage::Loader { name, transport: LoaderTransport::Https }) => {
            BootData::Url { url: format!("https://{us}:8444/{name}") }
        }
        Ok(NextStage::Loader { name, transport: LoaderTransport::Tftp }) => {
            BootData::Tftp { next_server: us, file: name.to_owned() }
        }
    }
}

fn check_outcome(query: &DhcpQuery<'_>, outcome: &DhcpAnswer, boot: &BootData) {
    assert!(!outcome.reason.is_empty() && outcome.reason.len() < 400, "{}", outcome.reason);
    match (&outcome.change, &outcome.reply) {
        (LeaseChange::Hold { address, .. }, Some(reply)) => assert_eq!(reply.packet.yiaddr, *address),
        (LeaseChange::Claim(lease), Some(reply)) => {
            assert_eq!((reply.packet.yiaddr, lease.state), (lease.address, LeaseState::Bound));
            assert!(lease.expires_at > NOW && lease.subnet.len() < 20);
        }
        (LeaseChange::Hold { .. } | LeaseChange::Claim(_), None) => panic!("a lease that nobody is told of"),
        (LeaseChange::Release(lease) | LeaseChange::Decline { lease, .. }, None) => check_own(query, lease),
        (LeaseChange::Release(_) | LeaseChange::Decline { .. } | LeaseChange::Forget { .. }, Some(_)) => {
            panic!("an answer")
        }
        (LeaseChange::Forget { .. } | LeaseChange::None, _) => {}
    }
    if let Some(reply) = &outcome.reply {
        check_reply(query, reply, boot);
    }
}

/// A packet only releases its own lease.
fn check_own(query: &DhcpQuery<'_>, lease: &Lease) {
    let client = ClientKey::of(query.packet).expect("a client");
    let row = WORLD.leases.get(&lease.address.to_string()).expect("a lease on record");
    assert_eq!(row.spec.client, client.as_str(), "{lease:?}");
}

fn check_reply(query: &DhcpQuery<'_>, reply: &DhcpReply, boot: &BootData) {
    let (request, bytes) = (query.packet, &reply.bytes);
    let sent = parse(bytes).expect("a reply that can be read");
    let echoed = |fault: &PacketFault| matches!(fault, PacketFault::BadOption { code: 61 | 82 | 97, .. });
    assert!(sent.faults.iter().all(echoed), "{:?}", sent.faults);
    assert_eq!((sent.op, sent.xid, sent.htype), (2, request.xid, request.htype));
    assert_eq!(sent.chaddr, request.chaddr, "a reply is for who asked");
    assert_eq!(sent.giaddr, request.giaddr);
    let listed = codes_of(bytes);
    check_order(&listed, request);
    let relay = request.options.get(codes::RELAY_AGENT).filter(|bytes| !bytes.is_empty());
    let relay = relay.filter(|_| request.is_relayed());
    let is_in_vrf = Link::select(query, &WORLD).is_ok_and(|link| link.is_in_vrf);
    let understood = request.relay_agent().filter(|_| is_in_vrf).map(|agent| agent.without_vss_control());
    let echo = relay.map(|bytes| understood.as_deref().unwrap_or(bytes)).filter(|bytes| !bytes.is_empty());
    assert_eq!(sent.options.get(codes::RELAY_AGENT), echo, "82 goes back as it came");
    let bytes_max = payload_bytes_max(request.max_message_bytes(), query.interface.mtu);
    assert!(bytes.len() >= 300, "{} bytes", bytes.len());
    assert!(relay.is_some() || bytes.len() <= bytes_max, "{} of {bytes_max} bytes", bytes.len());
    v4::Message::decode(&mut Decoder::new(bytes)).expect("another decoder reads it");
    check_boot(&sent, boot);
    check_destination(query, reply);
    match sent.message_type() {
        Some(MessageType::Nak) => {
            let none = Ipv4Addr::UNSPECIFIED;
            assert_eq!((sent.yiaddr, sent.siaddr, sent.ciaddr), (none, none, none), "a NAK gives nothing");
            assert!(listed.iter().all(|code| OF_A_NAK.contains(code)), "{listed:?}");
        }
        Some(MessageType::Offer | MessageType::Ack) | None => check_address(query, sent.yiaddr),
        other => panic!("no server says {other:?}"),
    }
}

/// The codes in order; a long value comes in pieces.
fn codes_of(bytes: &[u8]) -> Vec<u8> {
    let (mut listed, mut rest) = (Vec::new(), &bytes[240..]);
    let mut whole = true;
    while let [code, length, after @ ..] = rest {
        if *code == 255 {
            break;
        }
        if whole || listed.last() != Some(code) {
            listed.push(*code);
        }
        whole = *length < 255;
        rest = &after[usize::from(*length)..];
    }
    listed
}

fn check_order(listed: &[u8], request: &DhcpPacket) {
    if request.message_type().is_some() {
        assert_eq!(listed.first(), Some(&53), "53 is first");
        assert!(listed.contains(&54), "a server says who it is");
    } else {
        assert!(![50, 51, 53, 54, 58, 59].iter().any(|code| listed.contains(code)), "BOOTP: {listed:?}");
    }
    let mut sorted = listed.to_vec();
    sorted.sort_unstable();
    sorted.dedup();
    assert_eq!(sorted.len(), listed.len(), "an option twice: {listed:?}");
    assert!(!listed.contains(&52), "no overload");
    assert!(listed.iter().position(|code| *code == 82).is_none_or(|at| at + 1 == listed.len()), "82 is last");
}

fn check_boot(sent: &DhcpPacket, boot: &BootData) {
    if *boot != BootData::None {
        return;
    }
    assert!(sent.file.is_empty() && sent.sname.is_empty() && sent.siaddr.is_unspecified(), "{sent:?}");
    for code in BOOT {
        assert_eq!(sent.options.get(code), None, "option {code} for one that is not to boot");
    }
}

/// Replies go to a host of the client's link, to its relay or back to the sender.
fn check_destination(query: &DhcpQuery<'_>, reply: &DhcpReply) {
    let (ReplyDestination::Unicast(to) | ReplyDestination::Frame { to, .. }) = reply.destination else {
        return;
    };
    let link = Link::select(query, &WORLD).expect("a link");
    let giaddr = query.packet.giaddr;
    let is_relay = query.packet.is_relayed() && (*to.ip() == giaddr || to == query.source);
    assert!(is_relay || link.has_host(*to.ip()), "{to} for {query:?}");
    let is_ours = query.interface.has_address(*to.ip()) && to.port() == 67;
    assert!(!is_ours && !to.ip().is_broadcast() && !to.ip().is_multicast(), "{to} for {query:?}");
}

/// No reply gives an unavailable address.
fn check_address(query: &DhcpQuery<'_>, address: Ipv4Addr) {
    if address.is_unspecified() {
        return;
    }
    let link = Link::select(query, &WORLD).expect("a link");
    let subnet = link.subnet_of(address).unwrap_or_else(|| panic!("{address} is not on the link"));
    assert!(subnet.enabled && subnet.mode != SubnetMode::Proxy, "{}", subnet.name);
    let cidr = subnet.cidr;
    let host = cidr.prefix >= 31 || (address != cidr.address && address != cidr.broadcast());
    assert!(host, "{address} is no host's");
    assert!(!query.interface.has_address(address) && address != query.packet.giaddr, "{address} is ours");
    let client = ClientKey::of(query.packet).expect("a client");
    let machine = machine_of(query.packet);
    let reserved = WORLD.reservations.get(&address.to_string()).map(|row| &row.spec);
    if let Some(mac) = reserved.and_then(|reserved| reserved.mac) {
        assert_eq!(client.mac(), Some(mac), "{address} is reserved");
    }
    if let Some(name) = reserved.and_then(|reserved| reserved.machine.as_deref()) {
        assert_eq!(machine.map(|machine| machine.spec.name.as_str()), Some(name), "{address} is reserved");
    }
    if let Some(wanted) = reserved.and_then(|reserved| reserved.client_id.as_ref()) {
        assert_eq!(query.packet.client_identifier(), Some(wanted.as_bytes()), "{address} is reserved");
    }
    let excluded = subnet.excluded.iter().any(|range| range.contains(address));
    let in_pool = subnet.pools.iter().any(|pool| pool.contains(address)) && !excluded;
    assert!(reserved.is_some() || in_pool && !subnet.reservations_only, "{address} is in no pool");
    if let Some(lease) = WORLD.leases.get(&address.to_string()).map(|row| &row.spec)
        && lease.expires_at > NOW
        && matches!(lease.state, LeaseState::Bound | LeaseState::Declined)
    {
        assert_eq!(lease.client, client.as_str(), "{address} is another's");
        assert_eq!(lease.state, LeaseState::Bound, "{address} is in quarantine");
    }
}

/// A number for the path that was taken: the reason without its numbers, the options of the reply.
fn seen(outcome: &DhcpAnswer) -> u64 {
    let mut hasher = DefaultHasher::new();
    let words = outcome.reason.split(|c: char| !c.is_ascii_alphabetic()).filter(|word| word.len() > 2);
    words.take(6).for_each(|word| word.hash(&mut hasher));
    outcome.event.as_str().hash(&mut hasher);
    if let Some(reply) = &outcome.reply {
        codes_of(&reply.bytes).hash(&mut hasher);
        std::mem::discriminant(&reply.destination).hash(&mut hasher);
        reply.packet.wants_broadcast().hash(&mut hasher);
    }
    hasher.finish()
}
