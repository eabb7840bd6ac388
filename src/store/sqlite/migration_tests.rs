//! Bringing older databases up to date, and migrations that change what stored objects mean.

use std::net::Ipv4Addr;
use std::time::Duration;

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection};
use tempfile::TempDir;

use super::migrations::{migrate, migration, migrations};
use super::open::StoreSetup;
use super::tests::{open, refused, seqs, tamper};
use super::trail_tests::lease;
use super::*;
use crate::model::Object;
use crate::store::LeaseOf;
use crate::store::conformance::{MAC_1, MAC_2, created, machine, now, object};
use crate::telemetry::testing::LogText;

/// A data directory with the first migration alone, and objects as the program of that version wrote them.
async fn written_by_the_first_version(data: &TempDir, objects: &[(Object, String)]) {
    let first = StoreSetup { migrations: migrations()[..1].to_vec(), ..StoreSetup::default() };
    let options = SqliteConnectOptions::new().filename(data.path().join("metalwright.db"));
    let mut connection = options.create_if_missing(true).connect().await.unwrap();
    migrate(&mut connection, &first).await.unwrap();
    let others = "INSERT INTO event (time, kind, subject, actor, data) \
        VALUES (1, 'machine.created', 'machine:x', 'server', '{}'), \
            (2, 'dhcp.leased', 'lease:10.0.0.5', 'server', \
             json_object('address', '10.0.0.5', 'mac', '52:54:00:aa:00:01')), \
            (3, 'dhcp.renewed', 'lease:10.0.0.5', 'server', json_object('address', '10.0.0.5')), \
            (4, 'dhcp.released', 'machine:x', 'server', json_object('address', '10.0.0.5', 'mac', NULL)); \
        INSERT INTO job VALUES ('00000000-0000-0000-0000-000000000000', 1, '{'); \
        INSERT INTO job_log VALUES ('00000000-0000-0000-0000-000000000000', 0, CAST('log' AS BLOB))";
    sqlx::raw_sql(others).execute(&mut connection).await.unwrap();
    for (object, document) in objects {
        let (kind, key) = (object.kind(), object.key());
        let insert = sqlx::query(AssertSqlSafe(format!("INSERT INTO {kind} VALUES ($1, 1, $2)")));
        insert.bind(key).bind(document).execute(&mut connection).await.unwrap();
        for (index, value) in object.unique() {
            let insert = sqlx::query("INSERT INTO unique_value VALUES ($1, $2, $3, $4)");
            let insert = insert.bind(kind.as_str()).bind(index).bind(value).bind(key);
            insert.execute(&mut connection).await.unwrap();
        }
    }
    connection.close().await.unwrap();
}

/// The version that is this many after the newest one.
fn after_all(more: i64) -> i64 {
    migrations().len() as i64 + more
}

#[tokio::test]
async fn older_data_directories_are_brought_up_to_date() {
    let data = TempDir::new().unwrap();
    let kept = machine("kept", &[MAC_1]);
    let bad = machine("bad", &[MAC_2]);
    let leases = [lease(1), lease(2)].map(|lease| Object::Lease(Arc::new(lease)));
    let [text, first, second] = [&object(&kept), &leases[0], &leases[1]].map(|kept| kept.encode().unwrap());
    let [first_lease, second_lease] = leases;
    let objects =
        [(object(&kept), text), (object(&bad), "{".into()), (first_lease, first), (second_lease, second)];
    written_by_the_first_version(&data, &objects).await;

    let store = open(&data).await;
    assert_eq!(
        store.world().leases.iter().map(|row| (**row).clone()).collect::<Vec<_>>(),
        [lease(1), lease(2)]
    );
    assert_eq!(**store.world().machines.find("mac", MAC_1).unwrap(), kept);
    assert!(store.damaged().iter().any(|row| row.key == bad.key));
    let rival = store.commit(created(&machine("rival", &[MAC_2]))).await;
    assert!(matches!(rival, Err(StoreError::Taken { holder, .. }) if holder == bad.key));
    let subject = EventQuery { subject: Some("machine:x".into()), ..EventQuery::default() };
    assert_eq!(seqs(&store, subject).await, [1, 4]);
    let of = |lease| EventQuery { lease: Some(lease), ..EventQuery::default() };
    assert_eq!(seqs(&store, of(LeaseOf::Address(Ipv4Addr::new(10, 0, 0, 5)))).await, [2, 4]);
    assert_eq!(seqs(&store, of(LeaseOf::Mac(MAC_1.parse().unwrap()))).await, [2]);
    assert_eq!(*store.committed().borrow(), 4);
    assert_eq!(store.read_log(Uuid::nil(), 0, 100).await.unwrap(), b"log");
    store.commit(Changeset::default().update(object(&kept.next(now())))).await.unwrap();
    let kept = kept.next(now());
    store.close().await;
    drop(store);

    let mut later = StoreSetup::default();
    let sql = "CREATE TABLE later (name TEXT); INSERT INTO later SELECT key FROM machine";
    later.migrations.push(migration(after_all(1), "later", sql));
    let store = SqliteStore::open_with(data.path(), &later).await.unwrap();
    assert_eq!(**store.world().machines.find("mac", MAC_1).unwrap(), kept);
    let copied: String =
        sqlx::query_scalar("SELECT name FROM later").fetch_one(&store.readers).await.unwrap();
    assert_eq!(copied, kept.key);
    store.close().await;
    drop(store);

    let message = refused(&data, &StoreSetup::default()).await;
    let (found, known) = (after_all(1), migrations().len());
    let expected = format!("later version (its schema is {found}, this version knows {known})");
    assert!(message.contains(&expected), "{message}");
}

#[tokio::test]
async fn bringing_a_database_up_to_date_is_told_when_it_begins_goes_on_and_ends() {
    let (data, log) = (TempDir::new().unwrap(), LogText::default());
    let _guard = log.start();
    open(&data).await.close().await;
    open(&data).await.close().await;
    assert_eq!(log.take_lines(), [""; 0], "a new database, and one that is as it should be");
    let count = "CREATE TABLE counted (n INTEGER); INSERT INTO counted \
        WITH RECURSIVE up(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM up WHERE n < 500000) \
        SELECT max(n) FROM up";
    let mut setup = StoreSetup { reminder: Duration::from_millis(1), ..StoreSetup::default() };
    let quick = "CREATE TABLE other (n INTEGER)";
    setup
        .migrations
        .extend([migration(after_all(1), "slow", count), migration(after_all(2), "quick", quick)]);
    SqliteStore::open_with(data.path(), &setup).await.unwrap().close().await;
    let lines = log.take_lines();
    let of = |name: &str, what: &str| {
        let name = format!("migration=\"{name}\"");
        lines.iter().filter(|line| line.contains(&name) && line.contains(what)).count()
    };
    for name in ["slow", "quick"] {
        assert_eq!((of(name, "database_mib="), of(name, "is up to date with this")), (1, 1), "{lines:#?}");
    }
    assert!(of("slow", "still being migrated") > 0, "{lines:#?}");
    let version = format!("version={} seconds=", after_all(2));
    assert!(lines.last().is_some_and(|line| line.contains(&version)), "{lines:#?}");
    SqliteStore::open_with(data.path(), &setup).await.unwrap().close().await;
    assert_eq!(log.take_lines(), [""; 0]);
}

#[tokio::test]
async fn a_migration_that_fails_leaves_the_older_version_usable() {
    let data = TempDir::new().unwrap();
    open(&data).await.close().await;
    let mut broken = StoreSetup::default();
    let sql = "CREATE TABLE half (name TEXT); INSERT INTO absent VALUES (1)";
    broken.migrations.push(migration(after_all(1), "broken", sql));
    assert!(refused(&data, &broken).await.contains("bring"));
    open(&data).await;
}

/// Bootenvs as a server with the first six migrations stored them.
const BOOTENVS: &str = r#"
INSERT INTO bootenv (key, revision, document) VALUES
    ('site-debian', 1, '{"spec":{"name":"site-debian","kind":"install","destructive":false},"status":{},
        "source":"site","created_at":"2026-01-01T00:00:00Z","updated_at":"2026-01-01T00:00:00Z"}'),
    ('armed', 1, '{"spec":{"name":"armed","kind":"install","destructive":true},"status":{},
        "source":"site","created_at":"2026-01-01T00:00:00Z","updated_at":"2026-01-01T00:00:00Z"}'),
    ('rescue', 1, '{"spec":{"name":"rescue","kind":"live","destructive":false},"status":{},
        "source":"site","created_at":"2026-01-01T00:00:00Z","updated_at":"2026-01-01T00:00:00Z"}')
"#;

#[tokio::test]
async fn an_install_bootenv_stored_with_the_old_default_becomes_destructive() {
    let data = TempDir::new().unwrap();
    let old = StoreSetup { migrations: migrations()[..6].to_vec(), ..StoreSetup::default() };
    let options = SqliteConnectOptions::new().filename(data.path().join("metalwright.db"));
    let mut connection = options.create_if_missing(true).connect().await.unwrap();
    migrate(&mut connection, &old).await.unwrap();
    connection.close().await.unwrap();
    tamper(&data, BOOTENVS).await;
    let store = open(&data).await;
    assert_eq!(store.damaged(), []);
    let of = |key: &str| {
        let stored = store.world().bootenvs.get(key).cloned().unwrap();
        (stored.spec.destructive, stored.spec.is_destructive())
    };
    assert_eq!(of("site-debian"), (None, true));
    assert_eq!(of("armed"), (Some(true), true));
    assert_eq!(of("rescue"), (Some(false), false));
    let world = store.world();
    assert!(world.bootenvs.iter().all(|row| row.commit.get() == 1), "they have the first number");
    assert_eq!(world.commits.commit(), 1);
    assert!(world.commits.check(0, None).is_err(), "what was deleted before is not known");
}
