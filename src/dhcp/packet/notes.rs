//! Notes: what a packet shows about its network and the boot of its client. [`collect`] finds them;
//! `exchange` passes them to the houses that keep them.

use std::net::{IpAddr, Ipv4Addr};

use jiff::Timestamp;

use crate::dhcp::decide::{
    ClientKey, DhcpAnswer, PacketEvent, PacketFacts, ServerSighting, address_elsewhere,
};
use crate::model::{BootProgress, Mac, UnservedStatus};
use crate::netboot::decide::attempt::{PowerOn, PowerOnEvidence};
use crate::netboot::decide::client::BootProgram;
use crate::netboot::decide::loader_ask::{LoaderSighting, missing_loader};
use crate::netboot::decide::stops::BootSign;
use crate::proto::dhcp4::MessageType;

/// Something that a packet shows.
#[derive(Debug, Clone, PartialEq)]
pub enum PacketNote {
    /// Another DHCP server gave this address to the client.
    AddressElsewhere { address: Ipv4Addr, mac: Mac },
    /// A sign of the boot of the client's machine.
    BootSign(BootSign),
    /// The client asked for a loader. If it gets the same one again and again, that is a boot loop.
    LoaderAsk(LoaderSighting),
    /// There is no loader for a machine that should boot.
    MissingLoader { mac: Mac, reason: String },
    /// The packet came through a relay.
    Relay { relay: Ipv4Addr, subnet: Option<String> },
    /// No subnet fits the packet.
    Unserved(UnservedStatus),
    /// The client takes the offer of another DHCP server.
    OtherServer { heard: ServerSighting, subnet: String },
    /// The client wants to boot, or no subnet fits it, and it is not a machine here.
    UnknownClient { mac: Mac, subnet: Option<String> },
}

/// Adds the notes of a packet and its answer.
pub(super) fn collect(
    notes: &mut Vec<PacketNote>,
    facts: &PacketFacts<'_>,
    answered: (&DhcpAnswer, Timestamp),
) {
    let (outcome, now) = answered;
    let elsewhere = address_elsewhere(facts);
    notes.extend(elsewhere.map(|(address, mac)| PacketNote::AddressElsewhere { address, mac }));
    if facts.is_discover() && !facts.is_denied() {
        notes.extend(boot_sign(facts));
        notes.extend(loader_ask(facts, now));
        notes.extend(no_loader(facts));
    }
    if facts.query.packet.is_relayed() {
        let subnet = facts.subnet().map(str::to_owned);
        notes.push(PacketNote::Relay { relay: facts.query.packet.giaddr, subnet });
    }
    if outcome.event == PacketEvent::NoSubnet {
        notes.push(PacketNote::Unserved(unserved(facts, outcome, now)));
    }
    notes.extend(other_server(facts));
    notes.extend(unknown_client(facts, outcome));
}

/// The power-on shown by a DISCOVER of a machine's firmware or loader, if it may boot from this server.
pub(super) fn power_on(facts: &PacketFacts<'_>) -> Option<PowerOn> {
    let progress = match facts.sender.client.stage {
        BootProgram::Firmware | BootProgram::HttpFirmware => BootProgress::Firmware,
        BootProgram::Ipxe(_) => BootProgress::Loader,
        BootProgram::Other => return None,
    };
    if !facts.is_discover() || facts.is_denied() || facts.link.is_err() || facts.machine.is_none() {
        return None;
    }
    Some(PowerOn {
        evidence: PowerOnEvidence::Machine,
        progress,
        reached: progress,
        mac: ClientKey::mac_of(facts.query.packet),
        client_arch: facts.sender.client.arches.first().copied(),
        server: facts.boot_server().map(IpAddr::V4),
        repeated_since: facts.boot.repeated_since,
    })
}

/// The sign of a boot that continues. A new attempt has had its first sign already, and a copy of a DISCOVER
/// is none.
pub(super) fn boot_sign(facts: &PacketFacts<'_>) -> Option<PacketNote> {
    let is_told = facts.boot.is_attempt_recorded || facts.boot.repeated_since.is_some();
    let power_on = power_on(facts).filter(|_| !is_told)?;
    let is_firmware = power_on.progress == BootProgress::Firmware;
    Some(PacketNote::BootSign(if is_firmware { BootSign::FirmwareAsks } else { BootSign::LoaderRuns }))
}

fn loader_ask(facts: &PacketFacts<'_>, now: Timestamp) -> Option<PacketNote> {
    let decision = facts.boot.decision.as_ref()?;
    let mac = ClientKey::mac_of(facts.query.packet)?;
    let asked = LoaderSighting::of(decision, &facts.boot.asks, (mac, facts.query.packet.xid), now);
    asked.map(PacketNote::LoaderAsk)
}

fn no_loader(facts: &PacketFacts<'_>) -> Option<PacketNote> {
    facts.machine?;
    let reason = missing_loader(facts.boot.decision.as_ref()?)?;
    let mac = ClientKey::mac_of(facts.query.packet)?;
    Some(PacketNote::MissingLoader { mac, reason: reason.to_owned() })
}

fn unserved(facts: &PacketFacts<'_>, outcome: &DhcpAnswer, now: Timestamp) -> UnservedStatus {
    let packet = facts.query.packet;
    UnservedStatus {
        reason: outcome.reason.clone(),
        packets: 0,
        last_seen: now,
        mac: ClientKey::mac_of(packet),
        relay: packet.is_relayed().then_some(packet.giaddr),
        interface: facts.query.interface.name.clone(),
    }
}

/// A client that accepts the offer of another server (RFC 2131 3.1, step 3) shows that this server exists.
fn other_server(facts: &PacketFacts<'_>) -> Option<PacketNote> {
    let (query, packet) = (&facts.query, facts.query.packet);
    if packet.message_type() != Some(MessageType::Request) {
        return None;
    }
    let server = packet.server_identifier().filter(|server| !query.interface.has_address(*server))?;
    let link = facts.link.as_ref().ok().filter(|link| !query.is_to(link, server))?;
    let (interface, offered) = (query.interface.name.clone(), packet.requested_address());
    let heard = ServerSighting { server, mac: None, interface, offered, next_server: None, boots: false };
    Some(PacketNote::OtherServer { heard, subnet: link.selected.name.clone() })
}

fn unknown_client(facts: &PacketFacts<'_>, outcome: &DhcpAnswer) -> Option<PacketNote> {
    let is_told = facts.sender.client.is_netboot() || outcome.event == PacketEvent::NoSubnet;
    if facts.machine.is_some() || !is_told || facts.is_denied() {
        return None;
    }
    let mac = ClientKey::mac_of(facts.query.packet)?;
    Some(PacketNote::UnknownClient { mac, subnet: facts.subnet().map(str::to_owned) })
}
