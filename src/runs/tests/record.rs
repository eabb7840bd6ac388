//! Tests of what runs leave behind: their record, and the content that they keep.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{Site, exit, refused, running, stored};
use crate::kernel::{Changeset, Error};
use crate::model::{
    AgentReport, Content, Environment, JobOffer, Kind, Machine, MachineState, Noun, Param, Profile,
    PruneMode, Run, Setting, Stage, Stored, Task, Template, Workflow,
};
use crate::objects::patch::Patch;
use crate::objects::write::{ExpectedRevision, WriteTarget};
use crate::runs::actions::RunAction;
use crate::runs::jobs::WorkRequest;

/// A machine whose task writes the values of a template, a profile and a secret param of its own.
pub(super) async fn site() -> Site {
    let site = Site::new(json!({"name": "web1", "macs": ["52:54:00:aa:00:01"]})).await;
    let now = site.caller.now;
    let templates = json!([{"name": "run", "template": "say"}]);
    let changeset = Changeset::default()
        .create(Template::object(Arc::new(stored(json!({"name": "say", "body": BODY}), now))))
        .create(Profile::object(Arc::new(stored(json!({"name": "p", "params": {"word": "first"}}), now))))
        .create(Task::object(Arc::new(stored(json!({"name": "tell", "templates": templates}), now))))
        .create(Stage::object(Arc::new(stored(json!({"name": "telling", "tasks": ["tell"]}), now))))
        .create(Workflow::object(Arc::new(stored(json!({"name": "tell", "stages": ["telling"]}), now))));
    site.houses.kernel.commit(changeset).await.unwrap();
    site.houses.objects.create::<Param>(&site.caller, json!({"name": "pass", "secret": true})).await.unwrap();
    patch::<Machine>(&site, "name:web1", json!({"profiles": ["p"], "params": {"pass": "sesame"}})).await;
    site
}

const BODY: &str = "{{ param(name='word') }} {{ param(name='pass') }}";

pub(super) async fn patch<T: crate::objects::rules::NounRules>(site: &Site, reference: &str, fields: Value)
where
    crate::model::World: crate::model::HasTable<T>,
{
    let target = WriteTarget { reference, expected: ExpectedRevision::Any };
    site.houses.objects.patch::<T>(&site.caller, &target, &Patch::Merge(fields)).await.unwrap();
}

/// The script that the machine's agent gets.
async fn rendered(site: &Site) -> String {
    let report =
        AgentReport { environment: Environment::Installed, boot: "a".into(), job: None, wait_seconds: 0 };
    let asking = WorkRequest { machine: &site.key(), report: &report, renderer: &site.houses.runs };
    match site.houses.runs.jobs_next(&site.caller, &asking).await.unwrap() {
        Some(JobOffer::Run(work)) => work.files[0].body.clone(),
        other => panic!("no work: {other:?}"),
    }
}

pub(super) fn present(site: &Site) -> Arc<Stored<Run>> {
    let machine = site.houses.kernel.get::<Machine>(&site.key()).unwrap();
    site.houses.kernel.get::<Run>(&machine.status.run.as_ref().unwrap().id.to_string()).unwrap()
}

pub(super) fn count(site: &Site, kind: Kind) -> usize {
    site.houses.kernel.read(|world| world.count(kind))
}

/// Prunes with so many runs kept; returns how many runs and pieces of content were deleted.
async fn prune(site: &Site, keep: u64) -> u64 {
    let setting = Setting { name: "runs_kept_max".to_owned(), value: json!(keep) };
    let present = site.houses.kernel.read(|world| world.settings.get("runs_kept_max").cloned());
    let changeset = match present {
        Some(present) => {
            let next = Stored { spec: setting, ..present.next(site.caller.now) };
            Changeset::default().update(Setting::object(Arc::new(next)))
        }
        None => {
            let first = Stored::new(setting.name.clone(), setting, site.caller.now);
            Changeset::default().create(Setting::object(Arc::new(first)))
        }
    };
    site.houses.kernel.commit(changeset).await.unwrap();
    let report = site.houses.records.prune(&site.caller, PruneMode::Delete).await.unwrap();
    let kinds = report.items.iter().filter(|row| ["runs", "contents"].contains(&row.kind.as_str()));
    kinds.map(|row| row.count).sum()
}

#[tokio::test]
async fn a_second_start_makes_a_second_run_and_overwrites_nothing() {
    let mut site = Site::new(json!({"name": "web1", "macs": ["52:54:00:aa:00:01"]})).await;
    let reason = "disk replaced".to_owned();
    site.act(RunAction::Start { workflow: Some("work".into()), reason, stop_before: None }).await.unwrap();
    let first = present(&site);
    let (spec, key) = (&first.spec, first.key.clone());
    assert_eq!((spec.started_by.as_str(), spec.reason.as_str()), ("token:admin", "disk replaced"));
    assert_eq!((spec.machine_name.as_str(), spec.macs.len(), spec.steps.len()), ("web1", 1, 3));
    assert!(spec.steps.iter().all(|step| step.digest.len() == 64 && step.params.len() == 64));
    let work = site.work("a", None).await;
    site.report(work.id, running()).await.unwrap();
    site.later(30);
    site.report(work.id, exit(7)).await.unwrap();
    site.later(2).expire().await;
    let again = site.work("a", None).await;
    site.report(again.id, exit(7)).await.unwrap();
    assert_eq!(site.state().0, MachineState::Failed);
    assert!(present(&site).spec.is_open(), "a run that stopped has not ended");
    site.start("work").await.unwrap();
    let second = present(&site);
    assert_ne!(second.key, key);
    let first = site.houses.kernel.get::<Run>(&key).unwrap();
    let shown = serde_json::to_value(&first.spec).unwrap();
    assert_eq!((&shown["result"], &shown["seconds"]), (&json!("superseded"), &json!(32)), "{shown:#}");
    assert_eq!((&shown["steps"][1]["state"], &shown["steps"][1]["seconds"]), (&json!("failed"), &json!(32)));
    let jobs = shown["jobs"].as_array().unwrap().iter().map(|job| job["state"].clone());
    assert_eq!(jobs.collect::<Vec<_>>(), ["failed", "failed"]);
    let entries = shown["entries"].as_array().unwrap().iter().map(|entry| entry["what"].clone());
    assert_eq!(entries.collect::<Vec<_>>(), ["run.started", "run.failed", "run.ended"]);
    assert_eq!(shown["entries"][1]["text"], "task `quick` failed: exit code 7");
}

#[tokio::test]
async fn an_agent_that_asks_does_not_write_its_run() {
    let mut site = Site::new(json!({"name": "web1"})).await;
    site.start("work").await.unwrap();
    let work = site.work("a", None).await;
    site.report(work.id, running()).await.unwrap();
    let before = present(&site).revision;
    for _ in 0..3 {
        site.later(100);
        site.work("a", Some(work.id)).await;
    }
    assert_eq!(present(&site).revision, before);
    let seen = site.houses.kernel.get::<Machine>(&site.key()).unwrap().status.last_seen;
    assert_eq!(seen, Some(site.caller.now), "the machine was heard of");
}

#[tokio::test]
async fn a_run_renders_from_what_it_kept_after_edits_and_deletions() {
    let site = site().await;
    site.start("tell").await.unwrap();
    patch::<Template>(&site, "say", json!({"body": "edited"})).await;
    patch::<Profile>(&site, "p", json!({"params": {"word": "second"}})).await;
    patch::<Machine>(&site, "name:web1", json!({"params": {"pass": "other"}})).await;
    let target = |reference| WriteTarget { reference, expected: ExpectedRevision::Any };
    site.houses.objects.delete::<Workflow>(&site.caller, &target("tell")).await.unwrap();
    site.houses.objects.delete::<Stage>(&site.caller, &target("telling")).await.unwrap();
    site.houses.objects.delete::<Task>(&site.caller, &target("tell")).await.unwrap();
    prune(&site, 0).await;
    assert_eq!(rendered(&site).await, "first sesame");
}

#[tokio::test]
async fn retry_goes_on_with_what_was_kept_and_refresh_takes_the_content_of_now() {
    let site = site().await;
    patch::<Template>(&site, "say", json!({"body": "{{ param(name='missing') }}"})).await;
    site.start("tell").await.unwrap();
    let kept = present(&site).spec.clone();
    let report =
        AgentReport { environment: Environment::Installed, boot: "a".into(), job: None, wait_seconds: 0 };
    let asking = WorkRequest { machine: &site.key(), report: &report, renderer: &site.houses.runs };
    assert!(site.houses.runs.jobs_next(&site.caller, &asking).await.unwrap().is_none(), "it does not render");
    patch::<Template>(&site, "say", json!({"body": BODY})).await;
    patch::<Profile>(&site, "p", json!({"params": {"word": "second"}})).await;
    site.act(RunAction::Retry).await.unwrap();
    assert!(site.houses.runs.jobs_next(&site.caller, &asking).await.unwrap().is_none(), "it is what it was");
    site.act(RunAction::RetryRefreshed).await.unwrap();
    assert_eq!(rendered(&site).await, "second sesame");
    let run = present(&site).spec.clone();
    assert_eq!(run.former_content, [kept.content.clone().unwrap()]);
    assert_ne!(run.steps[1].digest, kept.steps[1].digest);
    assert_eq!(run.steps[0].digest, kept.steps[0].digest, "a step that is done stays as it was");
    let entry = run.entries.iter().find(|entry| entry.what == "run.refreshed").unwrap();
    assert_eq!(entry.text, format!("content {} until here", kept.content.unwrap()));
    let reason = refused(site.act(RunAction::RetryRefreshed).await);
    assert!(reason.contains("no step has failed"), "a job is under way: {reason}");
}

#[tokio::test]
async fn refresh_is_refused_when_what_is_to_come_does_not_exist_any_more() {
    let site = Site::new(json!({"name": "web1"})).await;
    site.start("bad").await.unwrap();
    assert!(site.ask("a", None).await.is_none());
    let target = |reference| WriteTarget { reference, expected: ExpectedRevision::Any };
    site.houses.objects.delete::<Workflow>(&site.caller, &target("bad")).await.unwrap();
    site.houses.objects.delete::<Stage>(&site.caller, &target("bad")).await.unwrap();
    site.houses.objects.delete::<Task>(&site.caller, &target("broken")).await.unwrap();
    let reason = refused(site.act(RunAction::RetryRefreshed).await);
    assert!(reason.contains("`broken` does not exist any more"), "{reason}");
    site.act(RunAction::Retry).await.unwrap();
}

#[tokio::test]
async fn runs_of_the_same_content_share_it_and_it_goes_with_the_last_of_them() {
    let mut site = site().await;
    site.start("tell").await.unwrap();
    let first = present(&site);
    let pieces = count(&site, Kind::Content);
    site.act(RunAction::Cancel).await.unwrap();
    site.later(1).start("tell").await.unwrap();
    let second = present(&site);
    assert_eq!(first.spec.content, second.spec.content);
    assert_eq!((count(&site, Kind::Run), count(&site, Kind::Content)), (2, pieces));
    site.act(RunAction::Cancel).await.unwrap();
    patch::<Profile>(&site, "p", json!({"params": {"word": "third"}})).await;
    site.later(1).start("tell").await.unwrap();
    assert_eq!(count(&site, Kind::Content), pieces + 2, "another profile, another set");
    assert_eq!(prune(&site, 2).await, 1);
    assert_eq!((count(&site, Kind::Run), count(&site, Kind::Content)), (2, pieces + 2), "still needed");
    assert_eq!(prune(&site, 1).await, 3);
    assert_eq!((count(&site, Kind::Run), count(&site, Kind::Content)), (1, pieces));
    assert_eq!(prune(&site, 0).await, 0, "the machine shows it");
    assert_eq!(rendered(&site).await, "third sesame");
}

#[tokio::test]
async fn what_is_kept_shows_no_secret_and_two_machines_with_the_same_have_the_same_digests() {
    let mut site = site().await;
    site.start("tell").await.unwrap();
    let first = present(&site).spec.clone();
    let values = site.houses.kernel.get::<Content>(first.values.as_ref().unwrap()).unwrap();
    let shown = crate::objects::view::without_problems(&values);
    assert_eq!(shown["value"]["params"]["pass"], json!({"sealed": true}), "{shown}");
    site.act(RunAction::Cancel).await.unwrap();
    // The same value, sealed again.
    patch::<Machine>(&site, "name:web1", json!({"params": {"pass": null}})).await;
    patch::<Machine>(&site, "name:web1", json!({"params": {"pass": "sesame"}})).await;
    site.later(1).start("tell").await.unwrap();
    let second = present(&site).spec.clone();
    let params = |run: &Run| run.steps.iter().map(|step| step.params.clone()).collect::<Vec<_>>();
    assert_ne!(first.values, second.values, "another sealed form");
    assert_eq!(params(&first), params(&second));
    site.act(RunAction::Cancel).await.unwrap();
    patch::<Machine>(&site, "name:web1", json!({"params": {"pass": "another"}})).await;
    site.later(1).start("tell").await.unwrap();
    assert_ne!(params(&first), params(&present(&site).spec));
}

#[tokio::test]
async fn a_reason_has_its_bound() {
    let site = Site::new(json!({"name": "web1"})).await;
    let reason = "x".repeat(1001);
    let started =
        site.act(RunAction::Start { workflow: Some("work".into()), reason, stop_before: None }).await;
    assert!(matches!(started, Err(Error::Invalid(_))), "{started:?}");
}
