//! Tombstones on disk: old ones are pruned, and the store remembers up to where.

use tempfile::TempDir;

use super::tests::{open, tamper};
use super::*;
use crate::store::conformance::{created, machine, object};

async fn tombstones(store: &SqliteStore) -> i64 {
    sqlx::query_scalar("SELECT count(*) FROM tombstone").fetch_one(&store.readers).await.unwrap()
}

#[tokio::test]
async fn tombstones_that_are_too_old_go_and_readers_from_before_are_told() {
    let data = TempDir::new().unwrap();
    let store = open(&data).await;
    for name in ["a", "b"] {
        let gone = machine(name, &[]);
        store.commit(created(&gone)).await.unwrap();
        store.commit(Changeset::default().delete(&object(&gone))).await.unwrap();
    }
    let last = store.world().commits.commit();
    assert_eq!((tombstones(&store).await, store.world().commits.tombstones()), (2, 2));
    store.close().await;
    drop(store);
    // The first tombstone dates from 1970.
    tamper(
        &data,
        "UPDATE tombstone SET time = 0 WHERE commit_number = (SELECT min(commit_number) FROM tombstone)",
    )
    .await;

    let store = open(&data).await;
    assert_eq!(store.world().commits.check(2, None), Ok(()));
    store.commit(created(&machine("c", &[]))).await.unwrap();
    assert_eq!((tombstones(&store).await, store.world().commits.tombstones()), (1, 1));
    let is_known = |store: &SqliteStore, after| store.world().commits.check(after, None).is_ok();
    assert_eq!([2, 3].map(|after| is_known(&store, after)), [false, true]);
    store.close().await;
    drop(store);

    let store = open(&data).await;
    assert_eq!([2, 3].map(|after| is_known(&store, after)), [false, true]);
    assert_eq!(store.world().commits.commit(), last + 1);
}

#[tokio::test]
async fn the_last_number_is_known_when_nothing_of_its_commit_is_left() {
    let data = TempDir::new().unwrap();
    let store = open(&data).await;
    let gone = machine("a", &[]);
    store.commit(created(&gone)).await.unwrap();
    store.commit(Changeset::default().delete(&object(&gone))).await.unwrap();
    let last = store.world().commits.commit();
    store.close().await;
    drop(store);
    tamper(&data, "UPDATE tombstone SET time = 0").await;
    let store = open(&data).await;
    // Events alone are not a commit, and still prune tombstones.
    store.commit(Changeset::default().event(crate::store::conformance::event("x.told", "x"))).await.unwrap();
    assert_eq!(tombstones(&store).await, 0);
    store.close().await;
    drop(store);
    let store = open(&data).await;
    assert_eq!(store.world().commits.commit(), last);
}

#[tokio::test]
async fn a_row_that_is_moved_out_is_in_the_file_frees_its_name_and_is_a_deletion_to_followers() {
    let data = TempDir::new().unwrap();
    let store = open(&data).await;
    let (good, bad) = (machine("good", &[]), machine("bad", &[]));
    store.commit(created(&good)).await.unwrap();
    store.commit(created(&bad)).await.unwrap();
    let last = store.world().commits.commit();
    store.close().await;
    drop(store);
    tamper(&data, "UPDATE machine SET document = '{' WHERE document LIKE '%\"bad\"%'").await;
    tamper(
        &data,
        "INSERT INTO profile (key, revision, document) VALUES ('odd', 1, CAST(x'ff' AS TEXT)), \
         (CAST(x'62ff' AS TEXT), 1, '{}')",
    )
    .await;

    let store = open(&data).await;
    let file = data.path().join("damaged.jsonl");
    assert_eq!(store.set_aside(file.clone()).await, Ok(3));
    assert!(store.set_aside(file.clone()).await.is_err(), "a file that is there is not written over");
    store.close().await;
    drop(store);
    let text = std::fs::read_to_string(&file).unwrap();
    assert_eq!(text.lines().count(), 3, "{text}");
    assert!(text.contains(r#""document":{"base64":"/w=="}"#) && text.contains(r#""document":"{""#), "{text}");

    let store = open(&data).await;
    assert_eq!(store.damaged(), []);
    assert_eq!(store.world().commits.commit(), last + 1);
    assert_eq!(tombstones(&store).await, 3);
    store.commit(created(&machine("bad", &[]))).await.unwrap();
    assert_eq!(store.integrity().await, Ok(Vec::new()));
    let snapshot = data.path().join("snapshot.db");
    store.snapshot(snapshot.clone()).await.unwrap();
    let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&snapshot).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
}
