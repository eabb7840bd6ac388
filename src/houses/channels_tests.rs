//! Tests of channels: what machines get that follow one, and what promotions and rollbacks change.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::catalog::content_copy::ContentBasis;
use crate::channels::moves::ChannelAction;
use crate::houses::{Houses, testing};
use crate::insight::preview::ParamScope;
use crate::insight::upgrade_check::UpgradeQuestion;
use crate::kernel::{Caller, Error, EventQuery};
use crate::model::{
    Channel, ContentView, EventKind, Machine, Noun, Object, Pack, Profile, RefusalCode, Setting, Stored,
    open_run,
};
use crate::objects::patch::Patch;
use crate::objects::write::{ExpectedRevision, WriteTarget};
use crate::pack_files::{PackFile, write_archive};
use crate::runs::actions::{AcceptedFaults, RunAction, RunCheck};

/// A pack with the task `say`, the param `word` and the workflow `talk`, which say this word.
async fn push(houses: &Houses, (name, version): (&str, &str), word: &str) {
    let file = |path: &str, body: String| PackFile { path: path.to_owned(), body: body.into_bytes() };
    let files = [
        file("pack.yaml", format!("name: {name}\nversion: {version}\n")),
        file(
            "workflows/tasks/say.yaml",
            format!(
                "name: say\ntemplates: [{{name: run, inline: \"echo {word} {{{{ machine.name }}}}\\n\"}}]\n"
            ),
        ),
        file("workflows/params/word.yaml", format!("name: word\ndefault: \"{word}\"\n")),
        file("workflows/stages/talk.yaml", "name: talk\ntasks: [say]\n".to_owned()),
        file("workflows/workflows/talk.yaml", "name: talk\nstages: [talk]\n".to_owned()),
    ];
    let archive = write_archive(&files).unwrap();
    houses.catalog.add_pack(&testing::caller(), archive).await.unwrap();
}

/// Houses whose channel `prod` has `core` 1.0.0, which says `one`; 1.1.0 says `two` and is on `dev`.
async fn site() -> Arc<Houses> {
    let houses = testing::houses();
    push(&houses, ("core", "1.0.0"), "one").await;
    push(&houses, ("core", "1.1.0"), "two").await;
    houses.channels.start(&Caller::server(testing::caller().now), "1.0.0").await.unwrap();
    let dev = json!({"name": "dev", "packs": {"core": "1.1.0"}});
    houses.objects.create::<Channel>(&testing::caller(), dev).await.unwrap();
    houses
}

async fn machine(houses: &Houses, body: Value) -> String {
    houses.objects.create::<Machine>(&testing::caller(), body).await.unwrap().key
}

async fn start(houses: &Houses, machine: &str) {
    let workflow = Some("talk".to_owned());
    let action = RunAction::Start { workflow, reason: String::new(), stop_before: None };
    houses.runs.act(&testing::caller(), machine, &action).await.unwrap();
}

/// What the task of a machine's open run says.
fn said(houses: &Houses, machine: &str) -> String {
    houses.kernel.read(|world| {
        let machine = world.machines.get(machine).unwrap();
        let run = open_run(world, &machine.status).unwrap();
        let task = ContentView::of_run(world, Some(&run.spec)).task("say").unwrap();
        task.spec.templates[0].inline.clone().unwrap()
    })
}

/// What the task in the tables says.
fn shown(houses: &Houses) -> String {
    houses.kernel.read(|world| world.tasks.get("say").unwrap().spec.templates[0].inline.clone().unwrap())
}

fn promote(version: &str) -> ChannelAction {
    ChannelAction::Promote { pack: "core".to_owned(), version: version.to_owned() }
}

async fn act(houses: &Houses, channel: &str, action: ChannelAction) -> Result<Arc<Stored<Channel>>, Error> {
    houses.channels.act(&testing::caller(), channel, &action).await
}

#[tokio::test]
async fn two_versions_on_two_channels_are_promoted_and_rolled_back_while_runs_are_under_way() {
    let houses = site().await;
    let on_dev = machine(&houses, json!({"name": "web1", "channel": "dev"})).await;
    let on_prod = machine(&houses, json!({"name": "web2"})).await;
    start(&houses, &on_dev).await;
    start(&houses, &on_prod).await;
    assert!(said(&houses, &on_dev).contains("two"), "{}", said(&houses, &on_dev));
    assert!(said(&houses, &on_prod).contains("one"), "{}", said(&houses, &on_prod));

    act(&houses, "prod", promote("1.1.0")).await.unwrap();
    assert!(shown(&houses).contains("two"), "the tables show what prod has");
    assert!(said(&houses, &on_prod).contains("one"), "a run that has begun stays as it is");
    let again = machine(&houses, json!({"name": "web3"})).await;
    start(&houses, &again).await;
    assert!(said(&houses, &again).contains("two"), "a run that begins gets the new version");

    let rolled = act(&houses, "prod", ChannelAction::RollBack { pack: None }).await.unwrap();
    assert_eq!(rolled.spec.packs["core"], "1.0.0");
    assert!(shown(&houses).contains("one"));
    assert!(said(&houses, &again).contains("two"), "its run has begun");
    assert!(said(&houses, &on_dev).contains("two"), "dev has not moved");
    let events = houses.kernel.events(EventQuery::default()).await.unwrap();
    let moves: Vec<_> = events
        .iter()
        .filter(|event| event.subject == "channel:prod")
        .map(|event| (event.body.kind().unwrap(), event.actor.clone()))
        .collect();
    let by = || "token:admin".to_owned();
    assert_eq!(moves, [(EventKind::ChannelPromoted, by()), (EventKind::ChannelRolledBack, by())]);
}

#[tokio::test]
async fn a_rollback_without_history_is_refused_and_so_is_a_version_that_is_not_there() {
    let houses = site().await;
    let refused = act(&houses, "dev", ChannelAction::RollBack { pack: None }).await.unwrap_err();
    assert!(matches!(&refused, Error::Conflict(RefusalCode::WrongState, _)), "{refused}");
    let refused = act(&houses, "dev", promote("9.0.0")).await.unwrap_err();
    assert!(refused.to_string().contains("core@9.0.0"), "{refused}");
    let refused = act(&houses, "none", promote("1.0.0")).await.unwrap_err();
    assert!(matches!(refused, Error::NotFound { .. }), "{refused}");
    assert!(shown(&houses).contains("one"));
}

#[tokio::test]
async fn a_pack_that_a_channel_names_cannot_be_deleted_and_one_that_none_names_can() {
    let houses = site().await;
    let delete = async |reference: &str| {
        let target = WriteTarget { reference, expected: ExpectedRevision::Any };
        houses.objects.delete::<Pack>(&testing::caller(), &target).await
    };
    let refused = delete("core@1.1.0").await.unwrap_err();
    assert!(refused.to_string().contains("channel dev"), "{refused}");
    act(&houses, "dev", promote("1.0.0")).await.unwrap();
    delete("core@1.1.0").await.unwrap();
    let refused = act(&houses, "dev", ChannelAction::RollBack { pack: None }).await.unwrap_err();
    assert!(refused.to_string().contains("core@1.1.0"), "{refused}");
}

#[tokio::test]
async fn a_channel_names_packs_that_are_there_and_changes_them_by_actions_alone() {
    let houses = site().await;
    let caller = testing::caller();
    let absent = json!({"name": "lab", "packs": {"core": "3.0.0"}});
    let refused = houses.objects.create::<Channel>(&caller, absent).await.unwrap_err();
    assert!(refused.to_string().contains("there is no pack core@3.0.0"), "{refused}");
    let target = |reference| WriteTarget { reference, expected: ExpectedRevision::Any };
    let patch = Patch::Merge(json!({"packs": {"core": "1.0.0"}}));
    let refused = houses.objects.patch::<Channel>(&caller, &target("dev"), &patch).await.unwrap_err();
    assert!(refused.to_string().contains("channels promote dev"), "{refused}");
    let refused = houses.objects.delete::<Channel>(&caller, &target("prod")).await.unwrap_err();
    assert!(refused.to_string().contains("cannot be deleted"), "{refused}");
    machine(&houses, json!({"name": "web1", "channel": "dev"})).await;
    let refused = houses.objects.delete::<Channel>(&caller, &target("dev")).await.unwrap_err();
    assert!(refused.to_string().contains("web1"), "{refused}");
}

#[tokio::test]
async fn a_machines_own_channel_wins_then_its_profiles_in_order_then_global_then_prod() {
    let houses = site().await;
    let caller = testing::caller();
    push(&houses, ("core", "1.2.0"), "three").await;
    let lab = json!({"name": "lab", "packs": {"core": "1.2.0"}});
    houses.objects.create::<Channel>(&caller, lab).await.unwrap();
    for body in [
        json!({"name": "plain"}),
        json!({"name": "on-lab", "channel": "lab"}),
        json!({"name": "on-dev", "channel": "dev"}),
        json!({"name": "outer", "profiles": ["on-lab"]}),
    ] {
        houses.objects.create::<Profile>(&caller, body).await.unwrap();
    }
    let bodies = [
        (json!({"name": "a"}), "one"),
        (json!({"name": "b", "profiles": ["plain", "on-lab", "on-dev"]}), "three"),
        (json!({"name": "c", "profiles": ["outer", "on-dev"]}), "three"),
        (json!({"name": "d", "profiles": ["on-lab"], "channel": "dev"}), "two"),
        (json!({"name": "e", "profiles": ["on-lab"], "channel": "prod"}), "one"),
    ];
    for (body, word) in bodies {
        let key = machine(&houses, body.clone()).await;
        let params = houses.insight.params(&caller, &key, ParamScope::AllLevels).unwrap();
        assert_eq!(params["word"].value, word, "{body}");
    }
    houses.objects.create::<Profile>(&caller, json!({"name": "global", "channel": "dev"})).await.unwrap();
    let params = houses.insight.params(&caller, "name:a", ParamScope::AllLevels).unwrap();
    assert_eq!(params["word"].value, "two", "global is the last profile of every machine");
}

#[tokio::test]
async fn a_machine_whose_channel_does_not_exist_begins_no_run_and_says_so() {
    let houses = site().await;
    let key = machine(&houses, json!({"name": "web1", "channel": "nope"})).await;
    let action = RunAction::Start { workflow: Some("talk".into()), reason: String::new(), stop_before: None };
    let refused = houses.runs.act(&testing::caller(), &key, &action).await.unwrap_err();
    assert!(refused.to_string().contains("there is no channel `nope`"), "{refused}");
    let view = houses.objects.get::<Machine>(&testing::caller(), &key).await.unwrap();
    assert!(view.body["problems"].to_string().contains("there is no channel `nope`"), "{view:?}");
}

#[tokio::test]
async fn what_was_checked_on_one_version_does_not_begin_on_another() {
    let houses = site().await;
    let key = machine(&houses, json!({"name": "web1", "channel": "dev"})).await;
    let machine = houses.kernel.get::<Machine>(&key).unwrap();
    let content = houses.catalog.content_for(&machine.spec).unwrap();
    let check = RunCheck { basis: ContentBasis { content, machine }, accepted: AcceptedFaults::default() };
    act(&houses, "dev", promote("1.0.0")).await.unwrap();
    let action = RunAction::Start { workflow: Some("talk".into()), reason: String::new(), stop_before: None };
    let caller = testing::caller();
    let begun = houses.runs.act_checked(&caller, &key, (&action, Some(&check))).await.unwrap();
    assert!(begun.is_none(), "the channel was promoted after the check");
}

#[tokio::test]
async fn objects_of_the_site_stand_above_the_packs_of_every_channel() {
    let houses = site().await;
    let own = json!({"name": "motd", "templates": [{"name": "run", "inline": "true"}]});
    let own = crate::model::parse_input::<crate::model::Task>(own).unwrap().spec;
    let own = Stored::new("motd".to_owned(), own, testing::caller().now);
    testing::put(&houses, crate::model::Task::object(Arc::new(own))).await;
    let content = houses.catalog.content_of("dev").unwrap();
    assert!(content.tasks.get("motd").is_some() && content.tasks.get("say").is_some());
    assert!(Arc::ptr_eq(&content, &houses.catalog.content_of("dev").unwrap()), "made once");
    act(&houses, "prod", promote("1.1.0")).await.unwrap();
    let content = houses.catalog.content_of("dev").unwrap();
    assert!(!content.is_derived(), "the tables show the same packs");
}

#[tokio::test]
async fn prod_follows_a_new_program_until_an_operator_chooses() {
    let houses = testing::houses();
    let server = Caller::server(testing::caller().now);
    for (version, word) in [("1.0.0", "one"), ("1.1.0", "two"), ("1.2.0", "three")] {
        push(&houses, ("core", version), word).await;
    }
    let first = houses.channels.start(&server, "1.0.0").await.unwrap();
    assert_eq!((first.core.as_str(), first.not_promoted), ("1.0.0", None));
    let followed = houses.channels.start(&server, "1.1.0").await.unwrap();
    assert_eq!((followed.core.as_str(), followed.not_promoted), ("1.1.0", None));
    assert!(shown(&houses).contains("two"));
    act(&houses, "prod", ChannelAction::RollBack { pack: None }).await.unwrap();
    let stayed = houses.channels.start(&server, "1.2.0").await.unwrap();
    assert_eq!((stayed.core.as_str(), stayed.not_promoted.as_deref()), ("1.0.0", Some("1.2.0")));
    assert!(shown(&houses).contains("one"));
    let setting: Setting =
        serde_json::from_value(json!({"name": "core_follows_program", "value": true})).unwrap();
    let setting = Stored::new("core_follows_program".to_owned(), setting, server.now);
    testing::put(&houses, Object::Setting(Arc::new(setting))).await;
    let told = houses.channels.start(&server, "1.2.0").await.unwrap();
    assert_eq!(told.core, "1.2.0", "the setting says so");
}

#[tokio::test]
async fn a_start_with_packs_that_are_not_there_leaves_the_tables_as_they_are() {
    let houses = site().await;
    let prod = houses.kernel.get::<Channel>("prod").unwrap();
    let mut next = prod.next(testing::caller().now);
    next.spec.packs.insert("core".to_owned(), "7.0.0".to_owned());
    let changeset = crate::kernel::Changeset::default().update(Channel::object(Arc::new(next)));
    houses.kernel.commit(changeset).await.unwrap();
    let found = houses.channels.start(&Caller::server(testing::caller().now), "1.1.0").await.unwrap();
    assert!(found.fault.is_some_and(|fault| fault.contains("core@7.0.0")));
    assert!(shown(&houses).contains("one"));
}

fn question(sample: Option<usize>) -> UpgradeQuestion {
    UpgradeQuestion { pack: "core".into(), to: None, channel: None, sample, after: None }
}

#[tokio::test]
async fn a_check_of_an_upgrade_groups_machines_by_what_changes_and_changes_nothing() {
    let houses = site().await;
    for number in 0..6 {
        machine(&houses, json!({"name": format!("web{number}"), "workflow": "talk"})).await;
    }
    machine(&houses, json!({"name": "idle"})).await;
    machine(&houses, json!({"name": "other", "workflow": "talk", "channel": "dev"})).await;
    let caller = testing::caller();
    let report = houses.insight.check_upgrade(&caller, question(None)).await.unwrap();
    assert_eq!((report.from.as_deref(), report.to.as_str()), (Some("1.0.0"), "1.1.0"), "{report:?}");
    assert_eq!((report.total, report.checked, report.without_workflow), (7, 7, 1), "{report:?}");
    let [group] = report.groups.as_slice() else { panic!("one group: {report:?}") };
    assert_eq!((group.machines.len(), group.fails), (6, false));
    assert!(group.documents[0].diff.contains("-echo one web0\n+echo two web0\n"), "{group:?}");
    assert!(shown(&houses).contains("one") && report.next.is_none());
    let sample = houses.insight.check_upgrade(&caller, question(Some(3))).await.unwrap();
    assert_eq!((sample.total, sample.checked), (3, 3));
}

#[tokio::test]
async fn an_upgrade_after_which_a_document_fails_is_told_first() {
    let houses = site().await;
    push(&houses, ("core", "2.0.0"), "{{ nothing }}").await;
    machine(&houses, json!({"name": "web1", "workflow": "talk"})).await;
    let report = houses.insight.check_upgrade(&testing::caller(), question(None)).await.unwrap();
    let group = &report.groups[0];
    assert!(group.fails && group.documents[0].path == "say/run", "{report:?}");
    assert!(group.documents[0].fault.as_ref().is_some_and(|fault| fault.contains("nothing")), "{report:?}");
}
