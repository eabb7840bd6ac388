//! How long the tokens of a machine's agent live, and what they show; and what comes with a failure.

use std::net::IpAddr;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use uuid::Uuid;

use crate::houses::deletion_tests::{ADDRESS, at_work, made};
use crate::houses::{Houses, testing};
use crate::kernel::scope::agent_scope;
use crate::kernel::{Caller, Error, EventQuery};
use crate::model::{Environment, Machine, Noun, Param, Stored, Token, sha256_hex};
use crate::netboot::reports::{InstallerReport, ReportKind};

const DAY: SignedDuration = SignedDuration::from_hours(24);

/// A machine whose installation is under way, with its attempt.
async fn installing(houses: &Houses) -> (Arc<Stored<Machine>>, Uuid) {
    let machine = made(houses).await;
    let (attempt, _) = at_work(houses, &machine).await;
    (houses.kernel.get::<Machine>(&machine.key).unwrap(), attempt.id)
}

fn signed_in(houses: &Houses, token: &str, at: Timestamp) -> Result<Caller, Error> {
    houses.access.sign_in(token, at)
}

#[tokio::test]
async fn the_life_of_a_first_token_begins_when_an_agent_asks_for_work() {
    let houses = testing::houses();
    let (machine, attempt) = installing(&houses).await;
    let first = houses.access.agent_token(&machine).await.unwrap();
    let now = houses.kernel.now();
    assert!(signed_in(&houses, &first, now + DAY * 89).is_ok(), "installed long before it was cabled");
    assert!(signed_in(&houses, &first, now + DAY * 91).is_err());
    let mut agent = signed_in(&houses, &first, now + DAY * 60).unwrap();
    assert_eq!(agent.attempt, Some(attempt));
    houses.access.begin_life(&agent, Environment::Installer).await.unwrap();
    assert!(signed_in(&houses, &first, now + DAY * 62).is_ok(), "the installed system has yet to use it");

    // The agent renews its token before it asks for work.
    let renewed = houses.access.renew_agent_token(&agent, &machine.key).await.unwrap();
    agent = signed_in(&houses, &renewed.token, now + DAY * 60).unwrap();
    assert_eq!(agent.attempt, Some(attempt), "what it is exchanged for knows the attempt too");
    for _ in 0..2 {
        houses.access.begin_life(&agent, Environment::Installed).await.unwrap();
    }
    assert!(signed_in(&houses, &first, now + DAY * 60 + SignedDuration::from_hours(23)).is_ok());
    assert!(signed_in(&houses, &first, now + DAY * 62).is_err());
    assert!(signed_in(&houses, &renewed.token, now + DAY * 62).is_ok());
    assert_eq!(houses.access.agent_token(&machine).await.unwrap(), first, "a second fetch gets the same");
}

#[tokio::test]
async fn a_token_of_an_earlier_version_ends_when_it_was_going_to() {
    let houses = testing::houses();
    let (machine, _) = installing(&houses).await;
    let now = houses.kernel.now();
    let text = format!("mw_{}", "a".repeat(43));
    let spec = Token {
        sha256: sha256_hex(&text),
        ..Token::expiring(format!("agent-{}", machine.key), vec![agent_scope(&machine.key)], now + DAY)
    };
    let stored = json!(spec);
    assert!(stored.get("attempt").is_none() && stored.get("first_use_by").is_none(), "{stored}");
    testing::put(&houses, Token::object(Arc::new(Stored::new(spec.name.clone(), spec, now)))).await;
    let agent = signed_in(&houses, &text, now).unwrap();
    houses.access.begin_life(&agent, Environment::Installed).await.unwrap();
    assert!(signed_in(&houses, &text, now + DAY - SignedDuration::from_secs(1)).is_ok());
    assert!(signed_in(&houses, &text, now + DAY).is_err());
}

#[tokio::test]
async fn a_reissued_token_ends_all_others_and_belongs_to_no_installation() {
    let houses = testing::houses();
    let (machine, _) = installing(&houses).await;
    let first = houses.access.agent_token(&machine).await.unwrap();
    let now = houses.kernel.now();
    let agent = signed_in(&houses, &first, now).unwrap();
    let renewed = houses.access.renew_agent_token(&agent, &machine.key).await.unwrap().token;
    let admin = Caller { now, ..testing::caller() };
    let made = houses.access.reissue_agent_token(&admin, "name:web1").await.unwrap();
    assert_eq!((made.machine.to_string(), made.ended.len()), (machine.key.clone(), 2));
    for old in [&first, &renewed] {
        assert!(signed_in(&houses, old, now).is_err());
    }
    let again = signed_in(&houses, &made.token, now + DAY * 80).unwrap();
    assert_eq!(again.attempt, None);
    houses.access.begin_life(&again, Environment::Installed).await.unwrap();
    assert!(signed_in(&houses, &made.token, now + DAY * 82).is_err(), "its life began too");
    let said = EventQuery { kind: Some("machine.agent_token_reissued".into()), ..EventQuery::default() };
    let said = houses.kernel.events(said).await.unwrap();
    assert_eq!((said.len(), said[0].actor.as_str()), (1, "token:admin"));
    assert!(!json!(said[0]).to_string().contains(&made.token));
    let reader = Caller { scopes: vec!["machines:write".into(), "tokens:write".into()], ..admin };
    let refused = houses.access.reissue_agent_token(&reader, "name:web1").await;
    assert!(matches!(refused, Err(Error::Forbidden(..) | Error::NotFound { .. })), "{refused:?}");
}

#[tokio::test]
async fn the_installers_log_is_kept_with_the_run_without_secrets() {
    let houses = testing::houses();
    houses.access.start(&testing::caller()).await.unwrap();
    let secret = json!({"name": "door_code", "schema": {"type": "string"}, "secret": true});
    houses.objects.create::<Param>(&testing::caller(), secret).await.unwrap();
    let (machine, attempt) = installing(&houses).await;
    let target = crate::objects::write::WriteTarget {
        reference: "name:web1",
        expected: crate::objects::write::ExpectedRevision::Any,
    };
    let patch = crate::objects::patch::Patch::Merge(json!({"params": {"door_code": "opensesame"}}));
    houses.objects.patch::<Machine>(&testing::caller(), &target, &patch).await.unwrap();
    let attempt = machine.status.boot_attempt.clone().filter(|open| open.id == attempt).unwrap();
    let capability = houses.catalog.capability(&attempt);
    let text = format!("{}opensesame at /m/{capability}/late.sh: no space left", "x".repeat(300 << 10));
    let peer = IpAddr::V4(ADDRESS);
    let log = InstallerReport { kind: ReportKind::InstallerLog, text, peer };
    houses.netboot.report(&capability, log.clone()).await.unwrap();
    houses.records.write_queued().await;
    let run = machine.status.run.as_ref().unwrap().id;
    let kept = houses.records.document(&testing::caller(), run, ("installer.log", None)).await.unwrap();
    let (document, kept) = kept.unwrap();
    assert!(kept.ends_with("(sealed) at /m/preview/late.sh: no space left"), "{}", &kept[kept.len() - 90..]);
    assert!(kept.len() <= 256 << 10 && document.covered, "{document:?}");
    let mut refused = None;
    for _ in 0..8 {
        refused = houses.netboot.report(&capability, log.clone()).await.err().or(refused);
    }
    assert!(matches!(refused, Some(Error::TooMuch { .. })), "a machine has a budget: {refused:?}");
}
