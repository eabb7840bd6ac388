//! The effects of a packet besides its reply, as text: one per line, in the order in which they are carried
//! out.

use std::fmt::Write as _;

use jiff::Timestamp;
use metalwright::dhcp::decide::PacketFacts;
use metalwright::dhcp::packet::{OfferChange, PacketNote, PacketOutcome, PacketParty};
use metalwright::model::{BootAttempt, Lease, Machine, NewEvent, Object, Stored, World};
use metalwright::netboot::decide::chainload::LoaderRequests;
use metalwright::store::{Changeset, ChangesetWrite};

/// Completes an outcome and prints it.
pub fn text(outcome: &mut PacketOutcome, facts: &PacketFacts<'_>) -> String {
    let decision = facts.boot.decision.as_ref();
    if outcome.attempt.is_none() {
        let party = PacketParty { sender: &facts.sender, machine: facts.machine, decision };
        outcome.complete(&party);
    }
    let mut text = String::new();
    if outcome.offer != OfferChange::None {
        writeln!(text, "offer {:?}", outcome.offer).unwrap();
    }
    outcome.notes.iter().for_each(|note| writeln!(text, "note {note:?}").unwrap());
    if let Some(power_on) = &outcome.attempt {
        writeln!(text, "attempt {power_on:?}").unwrap();
        return text;
    }
    if outcome.counts.is_unserved {
        text.push_str("count unserved\n");
    }
    if let Some(silence) = outcome.counts.silence {
        writeln!(text, "count silence {silence:?}").unwrap();
    }
    outcome.changeset.writes.iter().for_each(|write| writeln!(text, "commit {}", write_text(write)).unwrap());
    outcome.changeset.events.iter().for_each(|event| writeln!(text, "commit {}", event_text(event)).unwrap());
    if let Some(address) = outcome.machine_address {
        writeln!(text, "machine has {address}").unwrap();
    }
    outcome.event.iter().for_each(|event| writeln!(text, "queue {}", event_text(event)).unwrap());
    if let Some(facts) = &outcome.templates {
        writeln!(text, "render {facts:?}").unwrap();
    }
    text
}

fn write_text(write: &ChangesetWrite) -> String {
    let object =
        |object: &Object| format!("{} {} revision {}", object.kind(), object.key(), object.revision());
    match write {
        ChangesetWrite::Create(made) => format!("create {}", object(made)),
        ChangesetWrite::Update(next) => format!("update {}", object(next)),
        ChangesetWrite::Delete { kind, key, revision, .. } => {
            format!("delete {kind} {key} revision {revision}")
        }
    }
}

fn event_text(event: &NewEvent) -> String {
    let attempt = event.attempt.map(|attempt| format!(" of attempt {attempt}")).unwrap_or_default();
    let data = serde_json::to_value(&event.body).expect("fields");
    let reason = data["reason"].as_str().unwrap_or_default();
    format!("event {} about {}{attempt}: {reason}", event.body.kind_name(), event.subject)
}

/// The leases that are written.
pub fn leases(changeset: &Changeset) -> impl Iterator<Item = &Lease> {
    changeset.writes.iter().filter_map(|write| match write {
        ChangesetWrite::Create(Object::Lease(row)) | ChangesetWrite::Update(Object::Lease(row)) => {
            Some(&row.spec)
        }
        _ => None,
    })
}

/// Applies to the world what the store would write.
pub fn write(world: &mut World, changeset: &Changeset) {
    for write in &changeset.writes {
        match write {
            ChangesetWrite::Create(object) | ChangesetWrite::Update(object) => {
                world.put(object.clone());
            }
            ChangesetWrite::Delete { kind, key, .. } => {
                world.remove(*kind, key);
            }
        }
    }
}

/// Remembers the requested loaders.
pub fn remember(asks: &mut LoaderRequests, notes: &[PacketNote]) {
    for note in notes {
        if let PacketNote::LoaderAsk(asked) = note {
            asks.add(asked.mac, asked.ask.clone());
        }
    }
}

/// The machine with the boot attempt of an outcome.
pub fn with_attempt(machine: &Stored<Machine>, outcome: &PacketOutcome, now: Timestamp) -> Stored<Machine> {
    let power_on = outcome.attempt.expect("an attempt");
    let number = machine.status.boot_attempt.as_ref().map_or(1, |last| last.number + 1);
    let mut next = machine.next(now);
    next.status.boot_attempt = Some(BootAttempt {
        id: format!("00000000-0000-7000-9000-{number:012}").parse().unwrap(),
        number,
        started_at: now,
        seen_at: now,
        progress: power_on.reached,
        mac: power_on.mac,
        client_arch: power_on.client_arch,
        other_arch: None,
        server: power_on.server,
        bootenv: None,
        step: None,
        kernel_fetched_at: None,
        deadline: None,
        expected_by: None,
        asks: None,
        result: None,
    });
    next
}
