//! A packet and its answer as an event of the timeline.

use serde_json::{Value, json};

use crate::dhcp::decide::{ClientKey, DhcpClient, EventKind};
use crate::dhcp::packet::{OfferChange, PacketOutcome, PacketParty};
use crate::model::{Kind, Lease, NewEvent, Object};
use crate::netboot::decide::capability;
use crate::netboot::decide::client::BootProgram;
use crate::proto::dhcp4::codes;
use crate::store::ChangesetWrite;

/// Whether anybody will look for it: all of a machine's packets, what is written, and what an operator has to
/// mend. Renewals of clients that are no machine are frequent, and add nothing to the record of the lease.
pub(super) fn is_noted(outcome: &PacketOutcome, party: &PacketParty<'_>) -> bool {
    party.machine.is_some()
        || party.sender.client.is_netboot() && outcome.reply.is_some()
        || matches!(outcome.kind, EventKind::PoolEmpty | EventKind::Refused)
        || !outcome.changeset.writes.is_empty() && outcome.kind != EventKind::Renewed
}

pub(super) fn of_packet(outcome: &PacketOutcome, party: &PacketParty<'_>) -> NewEvent {
    let subject = match (party.machine, outcome.address) {
        (Some(machine), _) => Kind::Machine.subject(&machine.key),
        (None, Some(address)) => Kind::Lease.subject(address),
        (None, None) => "server".to_owned(),
    };
    let attempt = party.machine.and_then(|machine| machine.status.boot_attempt.as_ref());
    NewEvent {
        time: outcome.decided_at,
        kind: outcome.kind.as_str().to_owned(),
        actor: subject.clone(),
        subject,
        attempt: attempt.map(|attempt| attempt.id),
        data: data(outcome, party),
    }
}

fn data(outcome: &PacketOutcome, party: &PacketParty<'_>) -> Value {
    let DhcpClient { key, client, classes, .. } = party.sender;
    let key = key.as_ref();
    let lease = lease(outcome);
    let mut data = json!({
        "reason": outcome.reason,
        "address": outcome.address,
        "mac": key.and_then(ClientKey::mac),
        "client": key.map(ClientKey::as_str),
        "hostname": lease.and_then(|lease| lease.hostname.as_deref()),
        "expires_at": lease.map(|lease| lease.expires_at),
        "stage": stage_name(client.stage),
        "vendor": client.vendor,
    });
    let classes: Vec<&str> = classes.iter().map(|class| class.name.as_str()).collect();
    if !classes.is_empty() {
        data["client_classes"] = json!(classes);
    }
    if client.is_netboot() {
        let reply = outcome.reply.as_ref();
        let boot_file = reply.and_then(|reply| reply.packet.options.get(codes::BOOTFILE_NAME));
        let rules = party.decision.into_iter().flat_map(|decision| &decision.trace);
        let loader = { rules }.find(|rule| rule.rule == "loader");
        data["arch"] = json!(client.arches.first());
        data["boot_file"] = json!(boot_file.map(|file| capability::hide(&String::from_utf8_lossy(file))));
        data["verdict"] = json!(party.decision.map(|decision| &decision.verdict));
        data["loader"] = json!(loader.map(|rule| &rule.detail));
    }
    data
}

/// The lease that the client has, or gave back.
fn lease(outcome: &PacketOutcome) -> Option<&Lease> {
    let is_its_own = matches!(outcome.offer, OfferChange::Settle { .. });
    let written = outcome.changeset.writes.iter().find_map(|write| match write {
        ChangesetWrite::Create(Object::Lease(row)) | ChangesetWrite::Update(Object::Lease(row)) => {
            Some(&row.spec)
        }
        _ => None,
    });
    written.filter(|_| is_its_own || outcome.kind == EventKind::Released)
}

fn stage_name(stage: BootProgram) -> &'static str {
    match stage {
        BootProgram::Firmware => "firmware",
        BootProgram::HttpFirmware => "http_firmware",
        BootProgram::Ipxe(_) => "ipxe",
        BootProgram::Other => "system",
    }
}
