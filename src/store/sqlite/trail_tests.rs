//! Leases that change often are the same after a restart, and leave no outdated rows behind.

use std::net::Ipv4Addr;

use futures_util::future::join_all;
use tempfile::TempDir;

use super::tests::{open, tamper};
use super::*;
use crate::model::{Lease, LeaseState, Object, Stored};
use crate::store::conformance::{event, now};

pub(super) fn lease(number: u8) -> Stored<Lease> {
    let address = Ipv4Addr::new(10, 0, 0, number);
    let spec = Lease {
        address,
        client: format!("1/52:54:00:00:00:{number:02x}"),
        mac: None,
        state: LeaseState::Bound,
        subnet: "lan".into(),
        network: "lan".into(),
        bound_at: now(),
        expires_at: now(),
        machine: None,
        hostname: None,
    };
    Stored::new(address.to_string(), spec, now())
}

fn object(lease: &Stored<Lease>) -> Object {
    Object::Lease(Arc::new(lease.clone()))
}

/// Renews the lease of an address so many times, together with others.
async fn renew(store: &SqliteStore, numbers: std::ops::Range<u8>, times: usize) {
    for time in 0..times {
        let changesets = numbers.clone().map(|number| {
            let present = store.world().leases.get(&lease(number).key).cloned().unwrap();
            let mut next = present.next(now());
            next.spec.hostname = Some(format!("host-{time}"));
            Changeset::default().update(object(&next)).event(event("dhcp.acked", &next.subject()))
        });
        let changesets: Vec<Changeset> = changesets.collect();
        for done in join_all(changesets.into_iter().map(|changeset| store.commit(changeset))).await {
            done.unwrap();
        }
    }
}

fn shown(store: &SqliteStore) -> Vec<Arc<Stored<Lease>>> {
    store.world().leases.iter().cloned().collect()
}

async fn rows(store: &SqliteStore) -> i64 {
    sqlx::query_scalar("SELECT count(*) FROM lease").fetch_one(&store.readers).await.unwrap()
}

async fn reopened(store: Arc<SqliteStore>, data: &TempDir) -> Arc<SqliteStore> {
    store.close().await;
    drop(store);
    open(data).await
}

#[tokio::test]
async fn leases_are_created_renewed_deleted_and_refused_as_all_objects_are() {
    let data = TempDir::new().unwrap();
    let store = open(&data).await;
    let first = lease(1);
    let stale = Err(StoreError::Stale { kind: Kind::Lease, key: first.key.clone() });
    let delete = |lease: &Stored<Lease>| Changeset::default().delete(&object(lease));
    let create = |lease: &Stored<Lease>| Changeset::default().create(object(lease));
    store.commit(create(&first)).await.unwrap();
    assert_eq!(store.commit(create(&first)).await, stale);
    let mut rival = lease(2);
    rival.spec.client = first.spec.client.clone();
    assert!(matches!(store.commit(create(&rival)).await, Err(StoreError::Taken { .. })));
    store.commit(delete(&first).create(object(&rival))).await.expect("the client moved");
    assert_eq!(store.commit(delete(&first)).await, stale);

    let store = reopened(store, &data).await;
    assert_eq!(shown(&store), [Arc::new(rival.clone())]);
    let mut again = lease(1);
    again.spec.client = "1/52:54:00:00:00:99".into();
    let at_once = delete(&rival).create(object(&rival)).create(object(&again));
    store.commit(at_once).await.unwrap();
    let next = again.next(now());
    let changesets = [Changeset::default().update(object(&next)), delete(&next)];
    assert!(join_all(changesets.map(|changeset| store.commit(changeset))).await.iter().all(Result::is_ok));
    let store = reopened(store, &data).await;
    assert_eq!(shown(&store), [Arc::new(rival)]);
}

#[tokio::test]
async fn rows_that_do_not_count_are_swept_and_those_that_do_stay() {
    let data = TempDir::new().unwrap();
    let mut store = open(&data).await;
    for number in 0..200 {
        store.commit(Changeset::default().create(object(&lease(number)))).await.unwrap();
    }
    store.commit(Changeset::default().delete(&object(&lease(199)))).await.unwrap();
    for _ in 0..2 {
        renew(&store, 0..100, 60).await;
        assert!(rows(&store).await < 4096 + 3 * 200, "{} rows", rows(&store).await);
        let before = shown(&store);
        store = reopened(store, &data).await;
        assert_eq!(shown(&store), before);
    }
    assert_eq!(store.world().leases.len(), 199);
    assert_eq!(store.world().leases.get("10.0.0.7").unwrap().revision, 121);
    assert_eq!(store.world().leases.get("10.0.0.150").unwrap().revision, 1);
}

#[tokio::test]
async fn a_damaged_lease_is_moved_along_and_its_client_stays_taken() {
    let data = TempDir::new().unwrap();
    let store = open(&data).await;
    for number in 0..110 {
        store.commit(Changeset::default().create(object(&lease(number)))).await.unwrap();
    }
    store.close().await;
    drop(store);
    tamper(&data, "UPDATE lease SET document = '{' WHERE key = '10.0.0.105'").await;
    let mut store = open(&data).await;
    for _ in 0..2 {
        renew(&store, 0..100, 60).await;
        store = reopened(store, &data).await;
        let damaged: Vec<_> = store.damaged().iter().map(|row| row.key.as_str()).collect();
        assert_eq!(damaged, ["10.0.0.105"]);
        let mut rival = lease(111);
        rival.spec.client = lease(105).spec.client;
        let refused = store.commit(Changeset::default().create(object(&rival))).await;
        assert!(matches!(refused, Err(StoreError::Taken { holder, .. }) if holder == "10.0.0.105"));
        let refused = store.commit(Changeset::default().create(object(&lease(105)))).await;
        assert!(matches!(refused, Err(StoreError::Damaged { .. })));
    }
}

#[tokio::test]
async fn a_failed_group_leaves_the_trail_as_it_was() {
    let data = TempDir::new().unwrap();
    let store = open(&data).await;
    store.commit(Changeset::default().create(object(&lease(1)))).await.unwrap();
    tamper(&data, "CREATE TRIGGER no BEFORE INSERT ON lease BEGIN SELECT RAISE(ROLLBACK, 'no'); END").await;
    let next = lease(1).next(now());
    for _ in 0..2 {
        let failed = store.commit(Changeset::default().update(object(&next))).await;
        assert!(matches!(failed, Err(StoreError::Failed(_))), "{failed:?}");
    }
    tamper(&data, "DROP TRIGGER no").await;
    store.commit(Changeset::default().update(object(&next))).await.unwrap();
    let store = reopened(store, &data).await;
    assert_eq!(shown(&store), [Arc::new(next)]);
}
