//! The event of a packet and its answer, for the timeline.

use crate::dhcp::decide::{ClientKey, DhcpClient, PacketEvent};
use crate::dhcp::packet::{OfferChange, PacketOutcome, PacketParty};
use crate::kernel::changeset::ChangesetWrite;
use crate::model::event::{ClientStage, DhcpRelease, PacketAnswer, SERVER, UnservedPacket};
use crate::model::{EventBody, Kind, Lease, NewEvent, Object};
use crate::netboot::decide::capability;
use crate::netboot::decide::client::BootProgram;
use crate::proto::dhcp4::codes;

/// Whether the event is recorded: all packets of a machine, everything that writes, and everything that an
/// operator has to repair. Renewals of clients that are not machines are frequent, and add nothing to the
/// record of the lease.
pub(super) fn is_noted(outcome: &PacketOutcome, party: &PacketParty<'_>) -> bool {
    party.machine.is_some()
        || party.sender.client.is_netboot() && outcome.reply.is_some()
        || matches!(outcome.kind, PacketEvent::PoolEmpty | PacketEvent::Refused)
        || !outcome.changeset.writes.is_empty() && outcome.kind != PacketEvent::Renewed
}

pub(super) fn of_packet(outcome: &PacketOutcome, party: &PacketParty<'_>) -> NewEvent {
    let subject = match (party.machine, outcome.address) {
        (Some(machine), _) => Kind::Machine.subject(&machine.key),
        (None, Some(address)) => Kind::Lease.subject(address),
        (None, None) => SERVER.to_owned(),
    };
    let attempt = party.machine.and_then(|machine| machine.status.boot_attempt.as_ref());
    NewEvent::new(outcome.decided_at, body(outcome.kind, answer(outcome, party)))
        .by(subject.clone())
        .about(subject)
        .in_attempt(attempt.map(|attempt| attempt.id))
}

fn body(kind: PacketEvent, answer: PacketAnswer) -> EventBody {
    match kind {
        PacketEvent::Offered => EventBody::DhcpOffered(answer),
        PacketEvent::Leased => EventBody::DhcpLeased(answer),
        PacketEvent::Renewed => EventBody::DhcpRenewed(answer),
        PacketEvent::Refused => EventBody::DhcpRefused(answer),
        PacketEvent::Released => EventBody::DhcpReleased(DhcpRelease::Packet(answer)),
        PacketEvent::Declined => EventBody::DhcpDeclined(answer),
        PacketEvent::Informed => EventBody::DhcpInformed(answer),
        PacketEvent::BootServed => EventBody::DhcpBootServed(answer),
        PacketEvent::Ignored => EventBody::DhcpIgnored(answer),
        PacketEvent::NoSubnet => EventBody::DhcpNoSubnet(UnservedPacket::Packet(answer)),
        PacketEvent::PoolEmpty => EventBody::DhcpPoolEmpty(answer),
        PacketEvent::Malformed => EventBody::DhcpMalformed(answer),
    }
}

fn answer(outcome: &PacketOutcome, party: &PacketParty<'_>) -> PacketAnswer {
    let DhcpClient { key, client, classes, .. } = party.sender;
    let key = key.as_ref();
    let lease = lease(outcome);
    let answer = PacketAnswer {
        reason: outcome.reason.clone(),
        address: outcome.address,
        mac: key.and_then(ClientKey::mac),
        client: key.map(|key| key.as_str().to_owned()),
        hostname: lease.and_then(|lease| lease.hostname.clone()),
        expires_at: lease.map(|lease| lease.expires_at),
        stage: stage(client.stage),
        vendor: client.vendor.clone(),
        client_classes: classes.iter().map(|class| class.name.clone()).collect(),
        ..PacketAnswer::default()
    };
    if !client.is_netboot() {
        return answer;
    }
    let reply = outcome.reply.as_ref();
    let boot_file = reply.and_then(|reply| reply.packet.options.get(codes::BOOTFILE_NAME));
    let rules = party.decision.into_iter().flat_map(|decision| &decision.trace);
    let loader = { rules }.find(|rule| rule.rule == "loader");
    PacketAnswer {
        arch: client.arches.first().copied(),
        boot_file: boot_file
            .map(|file| capability::hide(String::from_utf8_lossy(file).trim_end_matches('\0'))),
        verdict: party.decision.map(|decision| decision.verdict.clone()),
        loader: loader.map(|rule| rule.detail.clone()),
        ..answer
    }
}

/// The lease that the client has, or released.
fn lease(outcome: &PacketOutcome) -> Option<&Lease> {
    let is_its_own = matches!(outcome.offer, OfferChange::Settle { .. });
    let written = outcome.changeset.writes.iter().find_map(|write| match write {
        ChangesetWrite::Create(Object::Lease(row)) | ChangesetWrite::Update(Object::Lease(row)) => {
            Some(&row.spec)
        }
        _ => None,
    });
    written.filter(|_| is_its_own || outcome.kind == PacketEvent::Released)
}

fn stage(stage: BootProgram) -> ClientStage {
    match stage {
        BootProgram::Firmware => ClientStage::Firmware,
        BootProgram::HttpFirmware => ClientStage::HttpFirmware,
        BootProgram::Ipxe(_) => ClientStage::Ipxe,
        BootProgram::Other => ClientStage::System,
    }
}
