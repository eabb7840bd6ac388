//! The properties of the SQLite store alone: files and modes, damaged rows, failed commits, recovery.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use serde_json::json;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection, SqliteConnection};
use tempfile::TempDir;

use super::events::PART_EVENTS;
use super::open::StoreSetup;
use super::*;
use crate::model::event::OtherEvent;
use crate::model::{EventBody, NewEvent, Stored};
use crate::store::conformance::{self, MAC_1, MAC_2, created, event, machine, now, object};
use crate::store::{EVENT_READ_BYTES_MAX, EVENTS_MAX, LOG_BYTES_MAX};

pub(super) async fn open(data: &TempDir) -> Arc<SqliteStore> {
    SqliteStore::open(data.path()).await.unwrap()
}

pub(super) async fn refused(data: &TempDir, setup: &StoreSetup) -> String {
    match SqliteStore::open_with(data.path(), setup).await {
        Ok(_) => panic!("it opened"),
        Err(error) => error.to_string(),
    }
}

/// Another connection to the file, for statements that the store itself never runs.
pub(super) async fn tamper(data: &TempDir, sql: &'static str) -> SqliteConnection {
    let options = SqliteConnectOptions::new().filename(data.path().join("metalwright.db"));
    let mut connection = options.connect().await.unwrap();
    sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
    connection
}

fn is_failed<T>(result: &Result<T, StoreError>) -> bool {
    matches!(result, Err(StoreError::Failed(_)))
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
    assert!(refused(&data, &StoreSetup::default()).await.contains("in use by another server"));
    store.close().await;
    drop(store);
    open(&data).await;
}

pub(super) async fn seqs(store: &SqliteStore, query: EventQuery) -> Vec<u64> {
    store.events(query).await.unwrap().iter().map(|event| event.seq).collect()
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
    let unreadable = "INSERT INTO profile (key, revision, document) \
        VALUES ('odd', 1, CAST(x'ff' AS TEXT)), ('old', -1, '{}')";
    tamper(&data, unreadable).await;

    let store = open(&data).await;
    let damaged: Vec<_> = store.damaged().iter().map(|row| (row.kind, row.key.as_str())).collect();
    assert_eq!(damaged, [(Kind::Machine, &*bad.key), (Kind::Profile, "odd"), (Kind::Profile, "old")]);
    assert_eq!(store.world().machines.len(), 1);
    let next = bad.next(now());
    let update = Changeset::default().update(object(&next));
    for changeset in [created(&bad), update, Changeset::default().delete(&object(&bad))] {
        let refusal = StoreError::Damaged { kind: Kind::Machine, key: bad.key.clone() };
        assert_eq!(store.commit(changeset).await, Err(refusal));
    }
    let rival = store.commit(created(&machine("rival", &[MAC_2]))).await;
    assert!(matches!(rival, Err(StoreError::Taken { holder, .. }) if holder == bad.key));
    let kept = "SELECT document FROM machine WHERE key = $1";
    let kept: String = sqlx::query_scalar(kept).bind(&bad.key).fetch_one(&store.readers).await.unwrap();
    assert_eq!(kept, "{");
}

/// SQLite rolls back the whole transaction when a disk is full; this trigger makes it do so.
const FULL_DISK: &str = "CREATE TRIGGER full_disk BEFORE INSERT ON event WHEN new.kind = 'test.full' \
    BEGIN SELECT RAISE(ROLLBACK, 'the disk is full'); END";
/// A violation that only COMMIT finds: a reference that had to be valid by then.
const BAD_COMMIT: &str = "CREATE TABLE late (job TEXT REFERENCES job (key) DEFERRABLE INITIALLY DEFERRED); \
    CREATE TRIGGER bad_commit BEFORE INSERT ON event WHEN new.kind = 'test.full' \
    BEGIN INSERT INTO late VALUES ('absent'); END";

/// The writer may put jobs that arrive together into one group or several. The jobs in the group of the bad
/// one fail with it, no other job fails, and the world shows exactly what was acknowledged.
async fn group_fails_and_the_next_is_done((sabotage, reason): (&'static str, &str)) {
    let data = TempDir::new().unwrap();
    let store = open(&data).await;
    tamper(&data, sabotage).await;
    let [one, two, three] = ["one", "two", "three"].map(|name| machine(name, &[]));
    let bad = created(&two).event(event("test.full", "x")).create(object(&machine("two's twin", &[])));
    let done = join_all([created(&one), bad, created(&three)].map(|changeset| store.commit(changeset))).await;
    assert!(is_failed(&done[1]), "{done:?}");
    for failure in done.iter().filter_map(|done| done.as_ref().err()) {
        assert!(failure.to_string().contains(reason), "{done:?}");
    }
    let shown = [&one, &two, &three].map(|machine| store.world().machines.get(&machine.key).is_some());
    assert_eq!(shown, [done[0].is_ok(), false, done[2].is_ok()]);
    let kept = shown.into_iter().filter(|shown| *shown).count() as u64;
    assert_eq!((store.world().machines.len() as u64, *store.committed().borrow()), (kept, kept));
    for machine in [&one, &two, &three].into_iter().zip(shown).filter_map(|(m, shown)| (!shown).then_some(m))
    {
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
async fn changesets_are_done_again_when_the_database_is_free_again() {
    let data = TempDir::new().unwrap();
    let setup = StoreSetup { busy_timeout: Duration::from_millis(10), ..StoreSetup::default() };
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
    let changesets = join_all(machines.iter().map(|machine| store.commit(created(machine))));
    let (done, ()) = tokio::join!(changesets, async { store.close().await });
    assert!(done.iter().all(Result::is_ok));
    drop(store);
    assert_eq!(open(&data).await.world().machines.len(), 200);
}

#[tokio::test]
async fn answers_to_events_are_bounded_and_the_oldest_can_be_pruned() {
    let data = TempDir::new().unwrap();
    let store = open(&data).await;
    let many = u64::from(EVENTS_MAX) + 10;
    let changeset = (0..many)
        .fold(Changeset::default(), |changeset, i| changeset.event(event("test.many", &format!("n:{i}"))));
    store.commit(changeset).await.unwrap();
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
    let next = store.commit(Changeset::default().event(event("test.next", "x"))).await.unwrap();
    assert_eq!(next[0].seq, many + 1);
}

#[tokio::test]
async fn a_read_of_large_events_ends_at_its_bound_in_bytes_and_the_next_one_goes_on_behind_it() {
    const EVENTS: u64 = 20;
    let data = TempDir::new().unwrap();
    let store = open(&data).await;
    let large = |i: u64| {
        let data = json!({"text": "x".repeat(1 << 20)});
        NewEvent::new(now(), EventBody::Other(OtherEvent { kind: "test.large".into(), data }))
            .about(format!("n:{}", i % 2))
    };
    store.commit((0..EVENTS).map(large).fold(Changeset::default(), Changeset::event)).await.unwrap();
    for (kind, subject) in [(None, None), (Some("test.*"), None), (None, Some("n:1"))] {
        for newest_first in [false, true] {
            let (mut seen, mut reads) = (Vec::new(), 0);
            let mut query = EventQuery {
                kind: kind.map(str::to_owned),
                subject: subject.map(str::to_owned),
                newest_first,
                ..EventQuery::default()
            };
            loop {
                let read = store.read_events(query.clone()).await.unwrap();
                assert!(read.bytes < EVENT_READ_BYTES_MAX + (2 << 20), "{}", read.bytes);
                seen.extend(read.events.iter().map(|event| event.seq));
                reads += 1;
                let Some(last) = read.events.last().filter(|_| read.is_cut) else { break };
                (query.after, query.before) =
                    if newest_first { (0, Some(last.seq)) } else { (last.seq, None) };
            }
            seen.sort_unstable();
            let expected: Vec<u64> = (1..=EVENTS).filter(|seq| subject.is_none() || seq % 2 == 0).collect();
            assert_eq!(seen, expected, "{kind:?} {subject:?} {newest_first}");
            assert_eq!(reads, if subject.is_none() { 3 } else { 2 });
        }
    }
}

#[tokio::test]
async fn a_full_database_takes_changesets_again_when_it_has_room() {
    let data = TempDir::new().unwrap();
    open(&data).await.close().await;
    let setup = StoreSetup { pages_max: Some(100), ..StoreSetup::default() };
    let store = SqliteStore::open_with(data.path(), &setup).await.unwrap();
    let long = "x".repeat(10_000);
    let mut number = 0;
    let failed = loop {
        number += 1;
        assert!(number < 100, "it never was full");
        let changeset = created(&machine(&format!("m{number}"), &[])).event(event("test.long", &long));
        match store.commit(changeset).await {
            Ok(_) => assert_eq!(store.world().machines.len(), number),
            failed => break failed,
        }
    };
    assert!(failed.unwrap_err().to_string().contains("full"));
    let events = *store.committed().borrow();
    assert_eq!((store.world().machines.len(), events), (number - 1, 2 * (number as u64 - 1)));
    assert!(is_failed(&store.commit(Changeset::default().event(event("test.long", &long))).await));
    store.prune_events(0).await.unwrap();
    let done = store.commit(created(&machine("late", &[])).event(event("test.long", &long))).await.unwrap();
    assert_eq!(done[0].seq, events + 1);
    store.close().await;
    drop(store);
    assert_eq!(open(&data).await.world().machines.len(), number);
}

#[tokio::test]
async fn events_of_a_subject_or_a_kind_are_found_wherever_they_are() {
    let data = TempDir::new().unwrap();
    let store = open(&data).await;
    let one = |i: u64| event(["test.a", "test.b", "tests.c"][i as usize % 3], &format!("n:{}", i / 7 % 5));
    for first in (0..3000).step_by(600) {
        let changeset =
            (first..first + 600).fold(Changeset::default(), |changeset, i| changeset.event(one(i)));
        store.commit(changeset).await.unwrap();
    }
    store.prune_events(2900).await.unwrap();
    let expected = |query: &EventQuery| {
        let matches = |i: &u64| {
            let (event, seq) = (one(*i), *i + 1);
            let (name, kind) = (event.body.kind_name(), query.kind.as_deref().unwrap_or("*"));
            let kind = kind.strip_suffix('*').map_or(name == kind, |noun| name.starts_with(noun));
            let subject = query.subject.as_ref().is_none_or(|subject| event.subject == *subject);
            kind && subject && seq > query.after && query.before.is_none_or(|before| seq < before)
        };
        let mut seqs: Vec<u64> = (100..3000).filter(matches).map(|i| i + 1).collect();
        if query.newest_first {
            seqs.reverse();
        }
        seqs.truncate(query.limit as usize);
        seqs
    };
    let subjects = [None, Some("n:3".to_owned()), Some("n:absent".to_owned())];
    let kinds = [None, Some("test.b".to_owned()), Some("test.*".to_owned())];
    let ranges = [(0, None), (511, Some(1024)), (512, Some(2050)), (2999, None), (5000, None)];
    for (subject, kind) in subjects.iter().flat_map(|s| kinds.iter().map(move |k| (s.clone(), k.clone()))) {
        for ((after, before), newest_first) in ranges.iter().flat_map(|r| [(*r, false), (*r, true)]) {
            for limit in [3, 1000] {
                let (subject, kind) = (subject.clone(), kind.clone());
                let query =
                    EventQuery { after, before, kind, subject, limit, newest_first, ..EventQuery::default() };
                let found = store.events(query.clone()).await.unwrap();
                let found: Vec<u64> = found.iter().map(|event| event.seq).collect();
                assert_eq!(found, expected(&query), "{query:?}");
            }
        }
    }
}

#[tokio::test]
async fn what_pruned_events_were_looked_up_by_goes_with_them() {
    let data = TempDir::new().unwrap();
    let store = open(&data).await;
    let changeset =
        (0..3 * PART_EVENTS).fold(Changeset::default(), |changeset, _| changeset.event(event("test.a", "x")));
    store.commit(changeset).await.unwrap();
    store.prune_events(PART_EVENTS / 2).await.unwrap();
    let mut connection = tamper(&data, "PRAGMA query_only = ON").await;
    let keys = "SELECT min(event), count(*) FROM event_key";
    let (first, keys): (i64, i64) = sqlx::query_as(keys).fetch_one(&mut connection).await.unwrap();
    assert_eq!(first, integer(2 * PART_EVENTS), "the part that has some events left is whole");
    assert_eq!(keys, integer(PART_EVENTS) + 1, "the numbers begin with 1");
}

/// The content of the database file without its log.
async fn machines_in_the_file_alone(data: &TempDir) -> usize {
    let copy = TempDir::new().unwrap();
    fs::copy(data.path().join("metalwright.db"), copy.path().join("metalwright.db")).unwrap();
    open(&copy).await.world().machines.len()
}

#[tokio::test]
async fn the_log_is_carried_over_beside_the_writer() {
    let data = TempDir::new().unwrap();
    let store = open(&data).await;
    store.commit(created(&machine("one", &[]))).await.unwrap();
    assert_eq!(machines_in_the_file_alone(&data).await, 0);
    for i in 1..checkpoints::JOBS {
        store.commit(Changeset::default().event(event("test.a", &format!("n:{i}")))).await.unwrap();
    }
    let until = Instant::now() + Duration::from_secs(20);
    while machines_in_the_file_alone(&data).await == 0 {
        assert!(Instant::now() < until, "no checkpoint after as many jobs as make it due");
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_damaged_event_hides_no_other_and_keeps_its_place() {
    let data = TempDir::new().unwrap();
    let store = open(&data).await;
    let changeset = Changeset::default().event(event("test.a", "x")).event(event("test.b", "x"));
    store.commit(changeset).await.unwrap();
    tamper(&data, "UPDATE event SET data = '{' WHERE seq = 1").await;
    let left = store.events(EventQuery::default()).await.unwrap();
    assert_eq!(left.iter().map(|event| event.body.kind_name()).collect::<Vec<_>>(), ["test.a", "test.b"]);
    assert!(serde_json::to_value(&left[0].body).unwrap()["damaged"].is_string(), "{left:?}");
    assert_eq!(seqs(&store, EventQuery { limit: 1, ..EventQuery::default() }).await, [1]);
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
    let full = StoreError::LogFull { bytes: LOG_BYTES_MAX - 1 };
    assert_eq!(store.write_log(job, LOG_BYTES_MAX - 1, vec![1, 2]).await, Err(full));
    assert_eq!(store.write_log(job, LOG_BYTES_MAX - 2, vec![0, 1]).await, Ok(LOG_BYTES_MAX));
    assert_eq!(store.read_log(job, LOG_BYTES_MAX - 2, 100).await.unwrap(), [0, 1]);
}
