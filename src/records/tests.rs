//! Tests of served documents and of pruning, on a store of their own.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::houses::{Houses, testing};
use crate::kernel::{Caller, Changeset, Error, EventQuery};
use crate::model::event::BootLog;
use crate::model::{
    EventBody, HistoryPruneReport, Job, JobState, Machine, NewEvent, Noun, PruneMode, Run, RunResult,
    Setting, Stored,
};
use crate::objects::patch::Patch;
use crate::objects::write::{ExpectedRevision, WriteTarget};
use crate::records::documents::DocumentServing;

const PATH: &str = "preseed.cfg";

fn caller() -> Caller {
    Caller::server(testing::caller().now)
}

fn days_ago(days: i64) -> Timestamp {
    testing::caller().now - SignedDuration::from_hours(24 * days)
}

async fn set(houses: &Houses, name: &str, value: Value) {
    let target = WriteTarget { reference: name, expected: ExpectedRevision::Any };
    let patch = Patch::Merge(json!({"value": value}));
    houses.objects.patch::<Setting>(&caller(), &target, &patch).await.unwrap();
}

async fn houses() -> Arc<Houses> {
    let houses = testing::houses();
    houses.access.start(&caller()).await.unwrap();
    houses
}

fn serving(run: Uuid, sha256: &str) -> DocumentServing<'_> {
    let bytes = 4;
    let machine = Uuid::nil();
    DocumentServing { run, machine, attempt: None, job: None, path: PATH, sha256, bytes, is_secret: false }
}

/// Serves a text during a run and writes it.
async fn serve(houses: &Houses, run: Uuid, text: &str) {
    let own = text.to_owned();
    houses.records.keep(&serving(run, text), || Box::new(move || Ok(own)));
    houses.records.write_queued().await;
}

async fn text_of(houses: &Houses, run: Uuid) -> Result<Option<String>, Error> {
    Ok(houses.records.document(&caller(), run, (PATH, None)).await?.map(|(_, text)| text))
}

/// A run that ended so many days ago, or has not ended.
async fn run_of(houses: &Houses, (id, machine): (Uuid, Uuid), ended_days_ago: Option<i64>) {
    let body = json!({"machine": machine, "machine_name": "web1", "macs": ["52:54:00:aa:00:01"],
        "workflow": "w", "started_at": "2026-01-01T00:00:00Z"});
    let mut run: Run = serde_json::from_value(body).unwrap();
    if let Some(days) = ended_days_ago {
        run.end(RunResult::Complete, days_ago(days));
    }
    testing::put(houses, Run::object(Arc::new(Stored::new(id.to_string(), run, caller().now)))).await;
}

/// A machine in a run.
async fn machine_in(houses: &Houses, run: Uuid) {
    let made = houses.objects.create::<Machine>(&caller(), json!({"name": "web1"})).await.unwrap();
    run_of(houses, (run, Uuid::nil()), None).await;
    let status = json!({"id": run, "workflow": "w", "started_at": "2026-01-01T00:00:00Z"});
    let changed = houses.kernel.change::<Machine>(&made.key, caller().now, |next| {
        next.status.run = Some(serde_json::from_value(status.clone()).unwrap());
        Ok(Vec::new())
    });
    changed.await.unwrap();
}

async fn ended_job(houses: &Houses, run: Uuid, days: i64) -> Uuid {
    let id = Uuid::now_v7();
    let mut job: Job = serde_json::from_value(json!({
        "machine": Uuid::nil(), "run": run, "step": 0, "stage": "s", "task": "t", "state": "finished",
        "attempt": 1, "deadline": days_ago(days), "digest": "", "log_bytes": 5,
    }))
    .unwrap();
    job.ended_at = Some(days_ago(days));
    let stored = Stored::new(id.to_string(), job, days_ago(days));
    testing::put(houses, Job::object(Arc::new(stored))).await;
    houses.kernel.write_log(id, 0, b"hello".to_vec()).await.unwrap();
    id
}

fn count(report: &HistoryPruneReport, kind: &str) -> u64 {
    report.items.iter().find(|row| row.kind == kind).unwrap().count
}

#[tokio::test]
async fn a_document_that_was_served_is_read_again_and_each_text_is_kept_once() {
    let houses = houses().await;
    let (first, second) = (Uuid::now_v7(), Uuid::now_v7());
    serve(&houses, first, "d-i one").await;
    let once = houses.records.known_kept_bytes();
    serve(&houses, second, "d-i one").await;
    assert_eq!(houses.records.known_kept_bytes(), once);
    serve(&houses, first, "d-i two").await;
    assert_eq!(text_of(&houses, first).await.unwrap().as_deref(), Some("d-i two"), "the last one");
    let documents = houses.records.documents_of(&caller(), first).await.unwrap();
    let digest = documents[0].digest.clone().unwrap();
    let (document, text) =
        houses.records.document(&caller(), first, (PATH, Some(&digest))).await.unwrap().unwrap();
    assert_eq!((documents.len(), text.as_str(), document.bytes), (2, "d-i one", 4));
    assert_eq!(text_of(&houses, second).await.unwrap().as_deref(), Some("d-i one"));
    assert_eq!(text_of(&houses, Uuid::nil()).await.unwrap(), None);
}

#[tokio::test]
async fn a_document_that_is_served_again_is_not_taken_again() {
    let houses = houses().await;
    let run = Uuid::now_v7();
    serve(&houses, run, "same").await;
    houses.records.keep(&serving(run, "same"), || panic!("it is known"));
    houses.records.write_queued().await;
    assert_eq!(houses.records.documents_of(&caller(), run).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_text_beyond_a_bound_is_recorded_without_itself_and_says_why() {
    let houses = houses().await;
    let run = Uuid::now_v7();
    set(&houses, "document_bytes_max", json!(10)).await;
    serve(&houses, run, "longer than ten").await;
    let refused = text_of(&houses, run).await.unwrap_err().to_string();
    assert!(refused.contains("15 bytes, more than document_bytes_max"), "{refused}");
    set(&houses, "documents_kept_bytes", json!(1)).await;
    let other = Uuid::now_v7();
    serve(&houses, other, "short").await;
    let refused = text_of(&houses, other).await.unwrap_err().to_string();
    assert!(refused.contains("have reached documents_kept_bytes"), "{refused}");
    let third = Uuid::now_v7();
    houses.records.keep(&serving(third, "x"), || Box::new(|| Err("no worker was free".to_owned())));
    houses.records.write_queued().await;
    let refused = text_of(&houses, third).await.unwrap_err().to_string();
    assert!(refused.contains("is not kept: no worker was free"), "{refused}");
}

#[tokio::test]
async fn old_runs_make_room_for_new_documents_and_the_present_run_of_a_machine_stays() {
    let houses = houses().await;
    let (present, old, new) = (Uuid::now_v7(), Uuid::now_v7(), Uuid::now_v7());
    machine_in(&houses, present).await;
    serve(&houses, present, "of the present run").await;
    serve(&houses, old, "of an old run").await;
    let two = houses.records.known_kept_bytes().unwrap();
    set(&houses, "documents_kept_bytes", json!(two + 4)).await;
    serve(&houses, new, "of a new run").await;
    assert!(text_of(&houses, present).await.unwrap().is_some());
    let gone = text_of(&houses, old).await.unwrap_err().to_string();
    assert!(gone.contains("is not kept: it was pruned"), "{gone}");
    assert_eq!(text_of(&houses, new).await.unwrap().as_deref(), Some("of a new run"));
}

#[tokio::test]
async fn what_would_go_is_what_goes_and_a_present_run_keeps_its_details() {
    let houses = houses().await;
    let (present, old) = (Uuid::now_v7(), Uuid::now_v7());
    machine_in(&houses, present).await;
    for run in [present, old] {
        serve(&houses, run, &format!("of {run}")).await;
    }
    let (kept, gone) = (ended_job(&houses, present, 100).await, ended_job(&houses, old, 100).await);
    let silent = ended_job(&houses, old, 20).await;
    for (name, days) in [("jobs_kept_days", 90), ("logs_kept_days", 10)] {
        set(&houses, name, json!(days)).await;
    }
    let later = Caller { now: houses.kernel.now() + SignedDuration::from_hours(24 * 60), ..caller() };
    set(&houses, "documents_kept_days", json!(30)).await;
    let told = houses.records.prune(&caller(), PruneMode::DryRun).await.unwrap();
    assert_eq!((count(&told, "jobs"), count(&told, "logs"), count(&told, "documents")), (1, 1, 0));
    let jobs = told.items.iter().find(|row| row.kind == "jobs").unwrap();
    assert_eq!((jobs.oldest, &jobs.settings["jobs_kept_days"]), (Some(days_ago(100)), &json!(90)));
    assert!(houses.kernel.get::<Job>(&gone.to_string()).is_ok(), "nothing went");
    let done = houses.records.prune(&caller(), PruneMode::Delete).await.unwrap();
    assert_eq!((&done.items, done.complete, done.dry_run), (&told.items, true, false));
    assert!(houses.kernel.get::<Job>(&gone.to_string()).is_err());
    assert_eq!(houses.kernel.get::<Job>(&kept.to_string()).unwrap().spec.log_bytes, 5);
    let without_log = houses.kernel.get::<Job>(&silent.to_string()).unwrap();
    assert_eq!((without_log.spec.state, without_log.spec.log_bytes), (JobState::Finished, 0));
    let refused =
        houses.runs.read_job_log(&caller(), &silent.to_string(), (0, 100)).await.unwrap_err().to_string();
    assert!(refused.contains("logs_kept_days"), "{refused}");
    assert_eq!(houses.runs.read_job_log(&caller(), &kept.to_string(), (0, 100)).await.unwrap(), b"hello");
    let done = houses.records.prune(&later, PruneMode::Delete).await.unwrap();
    assert_eq!(count(&done, "documents"), 1);
    assert!(text_of(&houses, present).await.unwrap().is_some() && text_of(&houses, old).await.is_err());
    assert!(
        houses.records.documents_of(&caller(), old).await.unwrap()[0].digest.is_some(),
        "what it was is known"
    );
    let query = EventQuery { kind: Some("server.pruned".into()), limit: 10, ..EventQuery::default() };
    let told = houses.kernel.events(query).await.unwrap();
    assert_eq!((told.len(), told[0].actor.as_str()), (2, "server"));
    let pruned = &told[0].body;
    assert!(matches!(pruned, EventBody::ServerPruned(pruned) if pruned.jobs == 1), "{pruned:?}");
}

#[tokio::test]
async fn jobs_beyond_their_number_go_oldest_first_and_open_ones_stay() {
    let houses = houses().await;
    let ended = [ended_job(&houses, Uuid::nil(), 3).await, ended_job(&houses, Uuid::nil(), 2).await];
    let mut open = (*houses.kernel.get::<Job>(&ended[1].to_string()).unwrap()).clone();
    open.key = Uuid::now_v7().to_string();
    open.spec.state = JobState::Running;
    testing::put(&houses, Job::object(Arc::new(open.clone()))).await;
    set(&houses, "jobs_kept_max", json!(2)).await;
    assert_eq!(count(&houses.records.prune(&caller(), PruneMode::Delete).await.unwrap(), "jobs"), 1);
    assert!(houses.kernel.get::<Job>(&ended[0].to_string()).is_err());
    set(&houses, "jobs_kept_max", json!(1)).await;
    houses.records.prune(&caller(), PruneMode::Delete).await.unwrap();
    assert_eq!(
        houses.kernel.read(|world| world.jobs.iter().map(|job| job.key.clone()).collect::<Vec<_>>()),
        [open.key]
    );
}

#[tokio::test]
async fn events_go_by_their_age_without_a_gap_and_more_than_one_piece_in_one_round() {
    let houses = houses().await;
    let event = |days: i64| NewEvent::new(days_ago(days), BootLog { text: String::new() });
    let before = houses.kernel.last_event();
    // The old events are written after the event of the start, whose time is the present.
    let all = (0..5000).map(|_| event(40)).chain((0..10).map(|_| event(1)));
    houses.kernel.commit(Changeset { events: all.collect(), ..Changeset::default() }).await.unwrap();
    set(&houses, "events_kept_days", json!(30)).await;
    let told = houses.records.prune(&caller(), PruneMode::DryRun).await.unwrap();
    let events = told.items.iter().find(|row| row.kind == "events").unwrap();
    assert_eq!((events.count, events.oldest), (before + 5000, Some(days_ago(40))));
    assert!(events.bytes > 5000);
    assert!(houses.records.prune(&caller(), PruneMode::Delete).await.unwrap().complete);
    let left = houses.kernel.events(EventQuery { limit: 1000, ..EventQuery::default() }).await.unwrap();
    assert_eq!(left[0].seq, before + 5001);
    assert_eq!(left.len(), 12, "those of a day ago, the setting, the pruning");
}

#[tokio::test]
async fn a_run_outlives_its_details_and_takes_what_is_left_of_them_along() {
    let houses = houses().await;
    let (present, old, young) = (Uuid::now_v7(), Uuid::now_v7(), Uuid::now_v7());
    machine_in(&houses, present).await;
    for (run, days) in [(old, 100), (young, 10)] {
        run_of(&houses, (run, Uuid::nil()), Some(days)).await;
        serve(&houses, run, &format!("of {run}")).await;
    }
    let (of_old, of_young) = (ended_job(&houses, old, 100).await, ended_job(&houses, young, 10).await);
    set(&houses, "jobs_kept_days", json!(1)).await;
    let done = houses.records.prune(&caller(), PruneMode::Delete).await.unwrap();
    assert_eq!((count(&done, "runs"), count(&done, "jobs")), (0, 2), "the details went, the summary stays");
    assert!(houses.kernel.get::<Job>(&of_young.to_string()).is_err());
    let left = ended_job(&houses, old, 0).await;
    set(&houses, "runs_kept_days", json!(90)).await;
    let done = houses.records.prune(&caller(), PruneMode::Delete).await.unwrap();
    assert_eq!((count(&done, "runs"), count(&done, "jobs")), (1, 1));
    for job in [of_old, left] {
        assert!(houses.kernel.get::<Job>(&job.to_string()).is_err());
    }
    assert_eq!(houses.records.documents_of(&caller(), old).await.unwrap(), []);
    assert!(houses.kernel.get::<Run>(&old.to_string()).is_err());
    assert!(text_of(&houses, young).await.unwrap().is_some());
    set(&houses, "runs_kept_max", json!(1)).await;
    assert_eq!(count(&houses.records.prune(&caller(), PruneMode::Delete).await.unwrap(), "runs"), 1);
    let runs: Vec<String> =
        houses.kernel.read(|world| world.runs.iter().map(|run| run.key.clone()).collect());
    assert_eq!(runs, [present.to_string()], "the machine shows it");
}
