//! What is SQLite's own: files and their modes, migrations, damaged rows, failed commits and recovery.

use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use futures_util::future::join_all;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection, SqliteConnection};
use tempfile::TempDir;

use super::open::{MIGRATIONS, Setup};
use super::*;
use crate::model::Stored;
use crate::store::conformance::{self, MAC_1, MAC_2, created, event, machine, now, object};
use crate::store::{EVENTS_MAX, LOG_BYTES_MAX};

async fn open(data: &TempDir) -> Arc<SqliteStore> {
    SqliteStore::open(data.path()).await.unwrap()
}

async fn refused(data: &TempDir, setup: &Setup) -> String {
    match SqliteStore::open_with(data.path(), setup).await {
        Ok(_) => panic!("it opened"),
        Err(error) => error.to_string(),
    }
}

/// Another connection to the file, for what the store itself never does.
async fn tamper(data: &TempDir, sql: &'static str) -> SqliteConnection {
    let options = SqliteConnectOptions::new().filename(data.path().join("metalwright.db"));
    let mut connection = options.connect().await.unwrap();
    sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
    connection
}

fn is_failed<T>(result: &Result<T, Error>) -> bool {
    matches!(result, Err(Error::Failed(_)))
}

#[tokio::test]
async fn sqlite_lives_up_to_the_story() {
    let data = TempDir::new().unwrap();
    conformance::story(async || open(&data).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn writers_that_retry_lose_no_update() {
    let data = TempDir::new().unwrap();
    conformance::writers_that_retry_lose_no_update(open(&data).await).await;
}

#[tokio::test]
async fn what_it_keeps_is_for_the_server_alone() {
    let data = TempDir::new().unwrap();
    let store = open(&data).await;
    store.commit(created(&machine("a", &[]))).await.unwrap();
    for entry in std::fs::read_dir(data.path()).unwrap() {
        let entry = entry.unwrap();
        let mode = entry.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{}", entry.path().display());
    }
}

#[tokio::test]
async fn a_second_server_is_refused_the_directory() {
    let data = TempDir::new().unwrap();
    let store = open(&data).await;
    assert!(refused(&data, &Setup::default()).await.contains("in use by another server"));
    store.close().await;
    drop(store);
    open(&data).await;
}

#[tokio::test]
async fn older_data_directories_are_brought_up_to_date() {
    let data = TempDir::new().unwrap();
    let first = Setup { migrations: MIGRATIONS[..1].to_vec(), ..Setup::default() };
    // The tables of the first version are there then, and this one does not know how to read them.
    refused(&data, &first).await;
    let kept = machine("kept", &[MAC_1]);
    let mut older = tamper(&data, "SELECT 1").await;
    let row = sqlx::query("INSERT INTO machine (key, revision, document) VALUES ($1, $2, $3)");
    let row = row.bind(&kept.key).bind(kept.revision as i64).bind(object(&kept).encode().unwrap());
    row.execute(&mut older).await.unwrap();
    let held = sqlx::query("INSERT INTO unique_value VALUES ('machine', 'mac', $1, $2)");
    held.bind(MAC_1).bind(&kept.key).execute(&mut older).await.unwrap();
    older.close().await.unwrap();

    let store = open(&data).await;
    assert_eq!(**store.world().machines.find("mac", MAC_1).unwrap(), kept);
    store.close().await;
    drop(store);

    let mut later = Setup::default();
    later
        .migrations
        .push(("later", "CREATE TABLE later (name TEXT); INSERT INTO later SELECT key FROM machine"));
    let store = SqliteStore::open_with(data.path(), &later).await.unwrap();
    assert_eq!(**store.world().machines.find("mac", MAC_1).unwrap(), kept);
    let copied: String =
        sqlx::query_scalar("SELECT name FROM later").fetch_one(&store.readers).await.unwrap();
    assert_eq!(copied, kept.key);
    store.close().await;
    drop(store);

    let message = refused(&data, &Setup::default()).await;
    let known = MIGRATIONS.len();
    let expected = format!("later version (its schema is {}, this version knows {known})", known + 1);
    assert!(message.contains(&expected), "{message}");
}

#[tokio::test]
async fn a_migration_that_fails_leaves_the_older_version_usable() {
    let data = TempDir::new().unwrap();
    open(&data).await.close().await;
    let mut broken = Setup::default();
    broken.migrations.push(("broken", "CREATE TABLE half (name TEXT); INSERT INTO absent VALUES (1)"));
    assert!(refused(&data, &broken).await.contains("bring"));
    open(&data).await;
}

#[tokio::test]
async fn a_damaged_row_is_reported_and_never_written_over() {
    let data = TempDir::new().unwrap();
    let store = open(&data).await;
    let (good, bad) = (machine("good", &[MAC_1]), machine("bad", &[MAC_2]));
    store.commit(created(&good)).await.unwrap();
    store.commit(created(&bad)).await.unwrap();
    store.close().await;
    drop(store);
    tamper(&data, "UPDATE machine SET document = '{' WHERE document LIKE '%\"bad\"%'").await;
    let unreadable = "INSERT INTO profile (key, revision, document) VALUES ('odd', 1, CAST(x'ff' AS TEXT)), ('old', -1, '{}')";
    tamper(&data, unreadable).await;

    let store = open(&data).await;
    let damaged: Vec<_> = store.damaged().iter().map(|row| (row.kind, row.key.as_str())).collect();
    assert_eq!(damaged, [(Kind::Machine, &*bad.key), (Kind::Profile, "odd"), (Kind::Profile, "old")]);
    assert_eq!(store.world().machines.len(), 1);
    let next = bad.next(now());
    let deeds = [created(&bad), Deed::default().update(object(&next)), Deed::default().delete(&object(&bad))];
    for deed in deeds {
        let refusal = Error::Damaged { kind: Kind::Machine, key: bad.key.clone() };
        assert_eq!(store.commit(deed).await, Err(refusal));
    }
    let rival = store.commit(created(&machine("rival", &[MAC_2]))).await;
    assert!(matches!(rival, Err(Error::Taken { holder, .. }) if holder == bad.key));
    let kept = "SELECT document FROM machine WHERE key = $1";
    let kept: String = sqlx::query_scalar(kept).bind(&bad.key).fetch_one(&store.readers).await.unwrap();
    assert_eq!(kept, "{");
}

/// SQLite takes back the whole transaction on its own when a disk is full, as this trigger makes it do.
const FULL_DISK: &str = "CREATE TRIGGER full_disk BEFORE INSERT ON event WHEN new.kind = 'test.full' \
    BEGIN SELECT RAISE(ROLLBACK, 'the disk is full'); END";
/// What a COMMIT finds out: a reference that was to be set right by then.
const BAD_COMMIT: &str = "CREATE TABLE late (job TEXT REFERENCES job (key) DEFERRABLE INITIALLY DEFERRED); \
    CREATE TRIGGER bad_commit BEFORE INSERT ON event WHEN new.kind = 'test.full' \
    BEGIN INSERT INTO late VALUES ('absent'); END";

async fn group_fails_and_the_next_is_done((sabotage, reason): (&'static str, &str)) {
    let data = TempDir::new().unwrap();
    let store = open(&data).await;
    tamper(&data, sabotage).await;
    let [one, two, three] = ["one", "two", "three"].map(|name| machine(name, &[]));
    let deeds = [created(&one), created(&two).event(event("test.full", "x")), created(&three)];
    let done = join_all(deeds.clone().map(|deed| store.commit(deed))).await;
    assert!(done.iter().all(is_failed), "{done:?}");
    assert!(done[0].as_ref().unwrap_err().to_string().contains(reason), "{done:?}");
    assert!(store.world().machines.is_empty());
    assert_eq!(*store.committed().borrow(), 0);
    for machine in [&one, &two, &three] {
        let events = store.commit(created(machine)).await.unwrap();
        assert_eq!(store.world().machines.len() as u64, events[0].seq);
    }
    store.close().await;
    drop(store);
    assert_eq!(open(&data).await.world().machines.len(), 3);
}

#[tokio::test]
async fn a_full_disk_fails_the_group_and_not_the_next() {
    group_fails_and_the_next_is_done((FULL_DISK, "disk is full")).await;
}

#[tokio::test]
async fn a_failed_commit_fails_the_group_and_not_the_next() {
    group_fails_and_the_next_is_done((BAD_COMMIT, "FOREIGN KEY")).await;
}

#[tokio::test]
async fn deeds_are_done_again_when_the_database_is_free_again() {
    let data = TempDir::new().unwrap();
    let setup = Setup { busy_timeout: Duration::from_millis(10), ..Setup::default() };
    let store = SqliteStore::open_with(data.path(), &setup).await.unwrap();
    let mut holder = tamper(&data, "BEGIN IMMEDIATE").await;
    let late = machine("late", &[]);
    for _ in 0..2 {
        assert!(is_failed(&store.commit(created(&late)).await));
    }
    sqlx::raw_sql("ROLLBACK").execute(&mut holder).await.unwrap();
    store.commit(created(&late)).await.unwrap();
    holder.close().await.unwrap();
}

#[tokio::test]
async fn what_was_queued_before_the_close_is_done() {
    let data = TempDir::new().unwrap();
    let store = open(&data).await;
    let machines: Vec<Stored<_>> = (0..200).map(|i| machine(&format!("m{i}"), &[])).collect();
    let deeds = join_all(machines.iter().map(|machine| store.commit(created(machine))));
    let (done, ()) = tokio::join!(deeds, async { store.close().await });
    assert!(done.iter().all(Result::is_ok));
    drop(store);
    assert_eq!(open(&data).await.world().machines.len(), 200);
}

#[tokio::test]
async fn answers_to_events_are_bounded_and_the_oldest_can_be_pruned() {
    let data = TempDir::new().unwrap();
    let store = open(&data).await;
    let many = u64::from(EVENTS_MAX) + 10;
    let deed = (0..many).fold(Deed::default(), |deed, i| deed.event(event("test.many", &format!("n:{i}"))));
    store.commit(deed).await.unwrap();
    let all = EventQuery { limit: u32::MAX, ..EventQuery::default() };
    assert_eq!(store.events(all.clone()).await.unwrap().len() as u32, EVENTS_MAX);
    assert_eq!(store.prune_events(many).await, Ok(0));
    assert_eq!(store.prune_events(3).await, Ok(many - 3));
    let left = store.events(all).await.unwrap();
    assert_eq!(left.iter().map(|event| event.seq).collect::<Vec<_>>(), [many - 2, many - 1, many]);
    store.prune_events(0).await.unwrap();
    store.close().await;
    drop(store);
    let store = open(&data).await;
    assert_eq!(*store.committed().borrow(), many, "numbers never come back");
    let next = store.commit(Deed::default().event(event("test.next", "x"))).await.unwrap();
    assert_eq!(next[0].seq, many + 1);
}

#[tokio::test]
async fn a_damaged_event_hides_no_other() {
    let data = TempDir::new().unwrap();
    let store = open(&data).await;
    let deed = Deed::default().event(event("test.a", "x")).event(event("test.b", "x"));
    store.commit(deed).await.unwrap();
    tamper(&data, "UPDATE event SET data = '{' WHERE seq = 1").await;
    let left = store.events(EventQuery::default()).await.unwrap();
    assert_eq!(left.iter().map(|event| event.kind.as_str()).collect::<Vec<_>>(), ["test.b"]);
}

#[tokio::test]
async fn a_log_ends_at_its_bound() {
    let data = TempDir::new().unwrap();
    let store = open(&data).await;
    let job = Uuid::now_v7();
    store.close().await;
    drop(store);
    let mut connection = tamper(&data, "PRAGMA foreign_keys = OFF").await;
    let almost = "INSERT INTO job_log VALUES ($1, 0, zeroblob($2))";
    let length = i64::try_from(LOG_BYTES_MAX).unwrap() - 1;
    sqlx::query(almost).bind(job.to_string()).bind(length).execute(&mut connection).await.unwrap();
    sqlx::query("INSERT INTO job (key, revision, document) VALUES ($1, 1, '{')")
        .bind(job.to_string())
        .execute(&mut connection)
        .await
        .unwrap();
    connection.close().await.unwrap();

    let store = open(&data).await;
    let full = Error::LogFull { bytes: LOG_BYTES_MAX - 1 };
    assert_eq!(store.write_log(job, LOG_BYTES_MAX - 1, vec![1, 2]).await, Err(full));
    assert_eq!(store.write_log(job, LOG_BYTES_MAX - 2, vec![0, 1]).await, Ok(LOG_BYTES_MAX));
    assert_eq!(store.read_log(job, LOG_BYTES_MAX - 2, 100).await.unwrap(), [0, 1]);
}
