//! Tests of plans: what begins is what was planned and checked, whatever is written meanwhile.

use std::sync::Arc;

use serde_json::json;

use super::record::{count, patch, present, site};
use super::{Site, start, stored};
use crate::catalog::content_copy::ContentBasis;
use crate::kernel::Changeset;
use crate::model::{
    Artifact, ArtifactStatus, Kind, Machine, MachineState, Noun, Object, Profile, Stored, Template,
};
use crate::runs::actions::{AcceptedFaults, RunAction, RunCheck};
use crate::runs::begin::PlannedAction;

async fn plan(site: &Site) -> PlannedAction {
    let action = start(Some("tell"));
    let planned = site.houses.runs.plan(&site.caller, &site.key(), (&action, None), false).await;
    planned.unwrap().unwrap()
}

/// Whether the plan was committed.
async fn carry_out(site: &Site, planned: PlannedAction) -> bool {
    let moving = site.houses.kernel.read(|world| planned.carry_out((&site.caller, world)));
    let Some(moving) = moving else { return false };
    site.houses.runs.commit_held(&site.caller, moving, None).await.unwrap().is_some()
}

async fn create(site: &Site, object: Object) {
    site.houses.kernel.commit(Changeset::default().create(object)).await.unwrap();
}

#[tokio::test]
async fn a_plan_is_not_carried_out_after_its_content_or_machine_has_changed() {
    let site = site().await;
    let planned = plan(&site).await;
    patch::<Profile>(&site, "p", json!({"params": {"word": "second"}})).await;
    assert!(!carry_out(&site, planned).await, "a profile of the machine");
    let planned = plan(&site).await;
    let new: Stored<Template> = stored(json!({"name": "new", "body": "x"}), site.caller.now);
    create(&site, Template::object(Arc::new(new))).await;
    assert!(!carry_out(&site, planned).await, "a template that did not exist");
    let planned = plan(&site).await;
    patch::<Machine>(&site, "name:web1", json!({"arch": "arm64"})).await;
    assert!(!carry_out(&site, planned).await, "the machine");
    let planned = plan(&site).await;
    let other: Stored<Machine> = stored(json!({"name": "web2"}), site.caller.now);
    create(&site, Machine::object(Arc::new(Stored { key: "2".to_owned(), ..other }))).await;
    let artifact = site.houses.kernel.get::<Artifact>("debian").unwrap();
    let mut fetched = artifact.next_status(site.caller.now);
    fetched.status = ArtifactStatus { percent: Some(7), ..fetched.status };
    let changeset = Changeset::default().update(Artifact::object(Arc::new(fetched)));
    site.houses.kernel.commit(changeset).await.unwrap();
    assert!(carry_out(&site, planned).await, "neither another machine nor how far a fetch is");
    assert_eq!(site.state(), (MachineState::Waiting, 1));
}

#[tokio::test]
async fn content_that_is_deleted_after_the_plan_is_made_again() {
    let site = site().await;
    site.start("tell").await.unwrap();
    site.act(RunAction::Cancel).await.unwrap();
    // Another list of templates, of which one body is stored.
    let new: Stored<Template> = stored(json!({"name": "new", "body": "x"}), site.caller.now);
    create(&site, Template::object(Arc::new(new))).await;
    let planned = plan(&site).await;
    let stored = site.houses.kernel.read(|world| world.objects(Kind::Content).collect::<Vec<_>>());
    let all = stored.iter().fold(Changeset::default(), |changeset, piece| changeset.delete(piece));
    site.houses.kernel.commit(all).await.unwrap();
    assert!(!carry_out(&site, planned).await, "the body of `say` is gone");
    site.start("tell").await.unwrap();
    assert_eq!(count(&site, Kind::Content), stored.len() + 1, "with the body of `new`");
}

#[tokio::test]
async fn only_what_was_checked_begins() {
    let site = site().await;
    let check = || RunCheck {
        basis: ContentBasis {
            content: site.houses.catalog.content(),
            machine: site.houses.kernel.get::<Machine>(&site.key()).unwrap(),
        },
        accepted: AcceptedFaults::default(),
    };
    let action = start(Some("tell"));
    let begin = |check: RunCheck| {
        let (runs, caller, action) = (Arc::clone(&site.houses.runs), site.caller.clone(), action.clone());
        async move { runs.act_checked(&caller, "name:web1", (&action, Some(&check))).await.unwrap() }
    };
    let checked = check();
    patch::<Template>(&site, "say", json!({"body": "{{ nothing }}"})).await;
    assert!(begin(checked).await.is_none(), "a template was changed after the check");
    let checked = check();
    patch::<Profile>(&site, "p", json!({"params": {"word": "second"}})).await;
    assert!(begin(checked).await.is_none(), "a profile of the machine was");
    let checked = check();
    patch::<Machine>(&site, "name:web1", json!({"arch": "arm64"})).await;
    assert!(begin(checked).await.is_none(), "the machine was");
    assert_eq!(site.state().0, MachineState::Registered, "nothing has begun");
    let checked = check();
    let other: Stored<Profile> = stored(json!({"name": "of-another"}), site.caller.now);
    create(&site, Profile::object(Arc::new(other))).await;
    assert!(begin(checked).await.is_some(), "a profile of another machine is not checked again");
    assert!(present(&site).spec.is_open());
}

#[tokio::test]
async fn machines_that_start_at_once_share_their_content() {
    const MACHINES: usize = 64;
    let site = site().await;
    let machine = |number: usize| {
        let machine: Stored<Machine> = stored(json!({"name": format!("node-{number}")}), site.caller.now);
        Machine::object(Arc::new(Stored { key: number.to_string(), ..machine }))
    };
    let crowd = (0..MACHINES).fold(Changeset::default(), |changeset, n| changeset.create(machine(n)));
    site.houses.kernel.commit(crowd).await.unwrap();
    let starts = (0..MACHINES).map(|number| {
        let (runs, caller) = (Arc::clone(&site.houses.runs), site.caller.clone());
        async move { runs.act(&caller, &number.to_string(), &start(Some("work"))).await }
    });
    let started = futures_util::future::join_all(starts).await;
    started.into_iter().for_each(|started| drop(started.unwrap()));
    let contents = site.houses.kernel.read(|world| {
        let runs = world.runs.iter().map(|run| run.spec.content.clone());
        runs.collect::<std::collections::BTreeSet<_>>()
    });
    assert_eq!((count(&site, Kind::Run), contents.len()), (MACHINES, 1));
}
