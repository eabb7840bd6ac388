//! The events that every store must find.

use std::net::Ipv4Addr;

use uuid::Uuid;

use super::{MAC_1, event, now};
use crate::model::event::{DhcpRelease, PacketAnswer};
use crate::model::{EventBody, EventKind, Kind, Mac, NewEvent};
use crate::store::{Changeset, EventQuery, LeaseOf, Store};

pub(super) async fn are_found_by_what_they_are(store: &impl Store) {
    let after = *store.committed().borrow();
    let attempt = Uuid::now_v7();
    let mut served = event("boot.file_served", "machine:a");
    served.attempt = Some(attempt);
    let kinds = ["machine.updated", "machines.odd", "dhcp.offered", "machine.created"];
    let changeset =
        kinds.iter().fold(Changeset::default(), |changeset, kind| changeset.event(event(kind, "machine:b")));
    let committed = store.commit(changeset.event(served)).await.unwrap();
    assert_eq!(committed.last().unwrap().seq, after + 5);

    let all = EventQuery { after, ..EventQuery::default() };
    assert_eq!(store.events(all.clone()).await.unwrap(), committed, "one changeset's events, in its order");
    let found = async |query: EventQuery| -> Vec<u64> {
        store.events(query).await.unwrap().iter().map(|event| event.seq - after).collect()
    };
    let kind = |kind: &str| EventQuery { kind: Some(kind.into()), ..all.clone() };
    assert_eq!(found(kind("machine.*")).await, [1, 4]);
    assert_eq!(found(kind("dhcp.offered")).await, [3]);
    assert_eq!(found(kind("dhcp")).await, [0; 0]);
    let kinds = EventQuery { kinds: &[EventKind::DhcpOffered, EventKind::BootFileServed], ..all.clone() };
    assert_eq!(found(kinds.clone()).await, [3, 5]);
    assert_eq!(found(EventQuery { subject: Some("machine:b".into()), ..kinds }).await, [3]);
    assert_eq!(found(EventQuery { subject: Some("machine:a".into()), ..all.clone() }).await, [5]);
    assert_eq!(found(EventQuery { attempt: Some(attempt), ..all.clone() }).await, [5]);
    let newest = EventQuery { newest_first: true, limit: 2, ..all.clone() };
    assert_eq!(found(newest.clone()).await, [5, 4]);
    assert_eq!(found(EventQuery { before: Some(after + 4), ..newest }).await, [3, 2]);
    assert_eq!(found(EventQuery { limit: 2, ..all.clone() }).await, [1, 2]);

    // Events that the reader may not see do not count towards the length of a page.
    let others = ["server", "lease:10.0.0.5", "machine:c", "setting:machine"];
    let others = others.iter().fold(Changeset::default(), |all, about| all.event(event("x.told", about)));
    store.commit(others).await.unwrap();
    let without = |hidden: &[Kind], limit| EventQuery { hidden: hidden.to_vec(), limit, ..all.clone() };
    assert_eq!(found(without(&[Kind::Machine], 2)).await, [6, 7]);
    assert_eq!(found(without(&[Kind::Machine, Kind::Lease], 9)).await, [6, 9]);
    let of_one = EventQuery { subject: Some("machine:b".into()), ..without(&[Kind::Machine], 9) };
    assert_eq!(found(of_one).await, [0; 0]);
}

pub(super) async fn those_of_leases_are_found_by_address_and_mac(store: &impl Store) {
    let after = *store.committed().borrow();
    let (address, mac) = (Ipv4Addr::new(10, 0, 0, 5), MAC_1.parse().unwrap());
    let of = |address| PacketAnswer { address: Some(address), mac: Some(mac), ..PacketAnswer::default() };
    let other = Ipv4Addr::new(10, 0, 0, 6);
    let bodies = [
        EventBody::DhcpLeased(of(address)),
        EventBody::DhcpRenewed(of(address)),
        EventBody::DhcpReleased(DhcpRelease::Packet(of(other))),
        EventBody::DhcpDeclined(of(address)),
    ];
    let changeset = bodies
        .into_iter()
        .map(|body| NewEvent::new(now(), body).about("machine:a".to_owned()))
        .fold(Changeset::default(), Changeset::event);
    store.commit(changeset).await.unwrap();
    let found = async |lease: LeaseOf| -> Vec<u64> {
        let query = EventQuery { after, lease: Some(lease), ..EventQuery::default() };
        store.events(query).await.unwrap().iter().map(|event| event.seq - after).collect()
    };
    assert_eq!(found(LeaseOf::Address(address)).await, [1, 4]);
    assert_eq!(found(LeaseOf::Mac(mac)).await, [1, 3, 4]);
    assert_eq!(found(LeaseOf::Mac(Mac([2; 6]))).await, [0; 0]);
}
