//! Clients and machines with the names and addresses of a real site, and the changesets of the DHCP server.

use std::net::Ipv4Addr;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use metalwright::model::event::PacketAnswer;
use metalwright::model::{
    Arch, EventBody, Lease, LeaseState, Mac, Machine, NewEvent, Object, Stored, Verdict,
};
use metalwright::store::{Changeset, SqliteStore, Store};
use uuid::Uuid;

const LEASE_SECONDS: i64 = 3600;
/// Mixed into the number of a client, so that consecutive clients do not have consecutive MACs.
const SCATTER: u32 = 0x9e37_79b1;

/// A client gets its address.
pub fn created(_: &SqliteStore, number: usize) -> Changeset {
    let now = Timestamp::now();
    let lease = lease(number, now);
    let event = event(EventBody::DhcpLeased, &lease, now);
    let stored = Stored::new(lease.address.to_string(), lease, now);
    Changeset::default().create(Object::Lease(Arc::new(stored))).event(event)
}

/// It renews the address.
pub fn renewed(store: &SqliteStore, number: usize) -> Changeset {
    let now = Timestamp::now();
    let spec = lease(number, now);
    let present = store.world().leases.get(&spec.address.to_string()).cloned();
    let Some(present) = present else { return created(store, number) };
    let event = event(EventBody::DhcpRenewed, &spec, now);
    let mut next = present.next(now);
    next.spec = spec;
    Changeset::default().update(Object::Lease(Arc::new(next))).event(event)
}

fn lease(number: usize, now: Timestamp) -> Lease {
    let mac = mac(number);
    Lease {
        address: Ipv4Addr::from_bits(0x0a00_000a + number as u32),
        client: format!("1/{mac}"),
        mac: Some(mac),
        state: LeaseState::Bound,
        subnet: "lan".into(),
        network: "lan".into(),
        bound_at: now,
        expires_at: now + SignedDuration::from_secs(LEASE_SECONDS),
        machine: None,
        hostname: Some(format!("host-{number}")),
    }
}

/// The DHCP server's reason for a lease.
fn event(body: fn(PacketAnswer) -> EventBody, lease: &Lease, now: Timestamp) -> NewEvent {
    let subject = format!("lease:{}", lease.address);
    let answer = PacketAnswer {
        reason: "the address is free".into(),
        address: Some(lease.address),
        mac: lease.mac,
        vendor: Some("android-dhcp-13".into()),
        verdict: Some(Verdict::Ignore { reason: "no machine has this MAC address".into() }),
        ..PacketAnswer::default()
    };
    NewEvent::new(now, body(answer)).by(subject.clone()).about(subject)
}

pub fn machine(number: usize) -> Object {
    let machine = Machine {
        channel: None,
        name: format!("node-{number:05}"),
        macs: vec![mac(number)],
        smbios_uuid: Some(Uuid::new_v4()),
        serial: Some(format!("SN{number:08}")),
        arch: Arch::Amd64,
        workflow: None,
        profiles: Vec::new(),
        params: Default::default(),
        options: Default::default(),
        locked: false,
    };
    Object::Machine(Arc::new(Stored::new(Uuid::now_v7().to_string(), machine, Timestamp::now())))
}

fn mac(number: usize) -> Mac {
    let [a, b, c, d] = (number as u32).wrapping_mul(SCATTER).to_be_bytes();
    Mac([0x52, 0x54, a, b, c, d])
}
