//! Tests of actions on single steps: their refusals, and their effects on events and jobs.

use serde_json::json;

use super::{Site, exit, refused, running};
use crate::kernel::Error;
use crate::model::{EventKind, JobState, MachineState, Run, StepState};
use crate::runs::actions::{REASON_BYTES_MAX, RunAction};
use crate::runs::flow::StepReference;

fn name(name: &str) -> Option<StepReference> {
    Some(StepReference::Name(name.to_owned()))
}

fn skip(reason: &str) -> RunAction {
    RunAction::Skip { step: None, reason: reason.to_owned() }
}

async fn invalid(site: &Site, action: RunAction) -> String {
    match site.act(action).await {
        Err(Error::Invalid(problems)) => problems[0].to_string(),
        other => panic!("not invalid: {other:?}"),
    }
}

#[tokio::test]
async fn skip_ends_the_job_and_keeps_who_and_why() {
    let site = Site::new(json!({"name": "web1"})).await;
    site.start("work").await.unwrap();
    let work = site.work("a", None).await;
    site.report(work.id, running()).await.unwrap();
    let machine = site.act(skip("the disk is new")).await.unwrap();
    let run = machine.status.run.as_ref().unwrap().id.to_string();
    let run = site.houses.kernel.get::<Run>(&run).unwrap();
    let step = &run.spec.steps[1];
    assert_eq!(
        (step.state, step.note.as_str()),
        (StepState::Skipped, "skipped by token:admin: the disk is new")
    );
    let job = site.job(work.id);
    assert_eq!((job.state, job.reason.as_str()), (JobState::Cancelled, step.note.as_str()));
    let events = site.events().await;
    for kind in [EventKind::RunStepSkipped, EventKind::RunStepDone, EventKind::JobCancelled] {
        assert!(events.contains(&kind), "{kind} in {events:?}");
    }
    let next = site.work("a", None).await;
    assert_eq!(next.task, "after");
    site.report(next.id, exit(1)).await.unwrap();
    assert_eq!(site.state().0, MachineState::Failed);
    site.act(RunAction::MarkDone { reason: "done by hand".into() }).await.unwrap();
    assert_eq!(site.state().0, MachineState::Complete);
}

#[tokio::test]
async fn a_reason_is_one_line_within_its_bound() {
    let site = Site::new(json!({"name": "web1"})).await;
    site.start("work").await.unwrap();
    assert_eq!(invalid(&site, skip(" ")).await, "/reason: say why: the run keeps the reason");
    let long = "x".repeat(REASON_BYTES_MAX + 1);
    assert!(invalid(&site, skip(&long)).await.contains("513 bytes, at most 512"));
    let pause = |reason: &str| RunAction::Pause { before: None, reason: reason.to_owned() };
    assert!(invalid(&site, pause("two\nlines")).await.contains("one line of text"));
    let machine = site.act(pause(&long[1..])).await.unwrap();
    assert!(machine.status.reason.contains(&long[1..]));
}

#[tokio::test]
async fn a_run_stops_before_a_step_and_goes_on_after_resume() {
    let site = Site::new(json!({"name": "web1"})).await;
    let start =
        |stop| RunAction::Start { workflow: Some("work".into()), reason: String::new(), stop_before: stop };
    let unknown = invalid(&site, start(name("aftr"))).await;
    assert!(unknown.starts_with("/stop_before: there is no step `aftr`"), "{unknown}");
    site.act(start(name("after"))).await.unwrap();
    let work = site.work("a", None).await;
    site.report(work.id, exit(0)).await.unwrap();
    assert_eq!(site.state(), (MachineState::Held, 2));
    assert!(site.ask("a", None).await.is_none());
    site.act(RunAction::Resume).await.unwrap();
    assert_eq!(site.work("a", None).await.task, "after");
    let pause = |before| RunAction::Pause { before, reason: "look first".to_owned() };
    assert!(refused(site.act(pause(name("after"))).await).contains("is under way"));
    assert!(invalid(&site, pause(name("quick"))).await.contains("the steps are step 2 (task after of work)"));
}

#[tokio::test]
async fn restart_needs_an_earlier_run_and_no_boot_under_way() {
    let site = Site::new(json!({"name": "web1", "params": {"disk": "/dev/sda"}})).await;
    let restart = |from| RunAction::Restart { from, reason: "the disk is new".into(), stop_before: None };
    assert!(refused(site.act(restart(None)).await).contains("has had no run"));
    site.start("work").await.unwrap();
    let work = site.work("a", None).await;
    let first = site.act(restart(name("after"))).await.unwrap();
    assert_eq!(site.job(work.id).state, JobState::Cancelled);
    let begun = first.status.run.as_ref().unwrap();
    assert_eq!((first.status.cursor, begun.from_step), (2, Some(2)));
    assert_eq!(site.houses.kernel.get::<Run>(&begun.id.to_string()).unwrap().spec.reason, "the disk is new");
    assert!(invalid(&site, restart(name("work2"))).await.starts_with("/from: there is no step `work2`"));
    site.act(RunAction::Cancel).await.unwrap();
    let again = site.act(restart(None)).await.unwrap();
    assert_ne!(again.status.run.as_ref().unwrap().id, first.status.run.as_ref().unwrap().id);
    site.act(RunAction::Cancel).await.unwrap();
    let machine = site.start("install").await.unwrap();
    let caller = &site.caller;
    let boot = |flow: &mut crate::runs::flow::Flow<'_>| {
        flow.attempt_started(machine.status.run.as_ref().unwrap().id, Some("debian".into()));
        flow.kernel_fetched();
    };
    site.houses.runs.flow(caller, &site.key(), boot).await.unwrap();
    assert!(refused(site.act(restart(None)).await).contains("a boot is under way"));
    assert!(refused(site.act(skip("no time")).await).contains("`mark-done` says that it is done"));
    site.act(RunAction::MarkDone { reason: "seen on its screen".into() }).await.unwrap();
    assert_eq!(site.state().0, MachineState::Complete);
    let machine = site.act(restart(None)).await.unwrap();
    assert!(machine.status.armed_until.is_some(), "it is armed as by `start`");
}

#[tokio::test]
async fn a_locked_machine_is_not_restarted_or_moved_on() {
    let site = Site::new(json!({"name": "web1", "locked": true})).await;
    for action in [
        RunAction::Restart { from: None, reason: String::new(), stop_before: None },
        skip("no time"),
        RunAction::MarkDone { reason: "done".into() },
    ] {
        assert!(refused(site.act(action).await).contains("is locked"));
    }
}
