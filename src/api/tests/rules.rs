//! Tests of the rules of each noun.

use super::*;
use crate::kernel::Changeset;
use crate::kernel::secrets::{SecretKey, SecretPlace};
use crate::model::{Bootenv, Kind, Machine, Noun, Profile, Stored};

#[tokio::test]
async fn an_unknown_reference_is_saved_and_shown_as_a_problem() {
    let client = Client::new().await;
    let got = client
        .post("machines", json!({"name": "web1", "workflow": "install", "profiles": ["db"]}))
        .await
        .ok();
    let problems = got["problems"].to_string();
    assert!(problems.contains("/workflow") && problems.contains("there is no profile `db`"), "{problems}");
    client.post("profiles", json!({"name": "db"})).await.ok();
    let got = client.get("machines/name:web1").await.ok();
    assert!(!got["problems"].to_string().contains("profile"), "{got}");
}

#[tokio::test]
async fn a_value_must_fit_the_schema_of_its_param() {
    let client = Client::new().await;
    client.post("params", json!({"name": "vlan", "schema": {"type": "integer", "maximum": 4094}})).await.ok();
    client.post("params", json!({"name": "zone", "schema": {"type": "string"}})).await.ok();
    for (noun, mut body) in [("machines", json!({})), ("profiles", json!({})), ("stages", json!({}))] {
        body["name"] = json!("a");
        body["params"] = json!({"vlan": 5000, "zone": 7});
        let text = client.post(noun, body).await.refused(422);
        assert!(text.contains("/params/vlan") && text.contains("/params/zone"), "{noun}: {text}");
    }
    let text =
        client.post("params", json!({"name": "x", "schema": {"type": "integer"}, "default": "1"})).await;
    assert!(text.refused(422).contains("/default"));
    let text = client.post("params", json!({"name": "x", "schema": {"type": 5}})).await;
    assert!(text.refused(422).contains("/schema"));
}

#[tokio::test]
async fn an_undeclared_value_is_a_problem_that_names_the_nearest_param() {
    let client = Client::new().await;
    client.post("params", json!({"name": "rack"})).await.ok();
    let got = client.post("machines", json!({"name": "web1", "params": {"rcak": 1}})).await.ok();
    assert!(got["problems"].to_string().contains("did you mean `rack`"), "{got}");
}

#[tokio::test]
async fn a_secret_is_sealed_at_rest_and_in_every_view() {
    let client = Client::new().await;
    client
        .post("params", json!({"name": "pw", "schema": {"type": "string", "minLength": 3}, "secret": true}))
        .await
        .ok();
    let got = client.post("profiles", json!({"name": "a", "params": {"pw": "hunter2"}})).await.ok();
    assert_eq!(got["params"]["pw"], json!({"sealed": true}));
    let stored = client.houses.kernel.get::<Profile>("a").unwrap();
    assert!(!format!("{stored:?}").contains("hunter2"));
    let place = SecretPlace { kind: Kind::Profile, key: "a", pointer: "/params/pw" };
    assert_eq!(SecretKey::from_key([1; 32]).open(place, &stored.spec.params["pw"]), Ok(json!("hunter2")));

    let kept = client.put("profiles/a", got.clone()).await;
    assert_eq!(kept.header("etag"), "\"1\"", "writing the sealed form back keeps the value");
    client.merge("profiles/a", json!({"description": "x"})).await.ok();
    assert_eq!(client.houses.kernel.get::<Profile>("a").unwrap().spec.params, stored.spec.params);
    client.merge("profiles/a", json!({"params": {"pw": "correct horse"}})).await.ok();
    let events = client.get("events?kind=profile.*").await.ok().to_string();
    assert!(!events.contains("hunter2") && !events.contains("horse"), "{events}");
    assert!(events.contains(r#""secrets":["pw"]"#), "{events}");

    let right = client.merge("profiles/a", json!({"params": {"pw": "correct horse"}})).await;
    let wrong = client.merge("profiles/a", json!({"params": {"pw": "battery staple"}})).await;
    assert_eq!((right.header("etag"), wrong.header("etag")), ("\"4\"", "\"5\""), "no way to guess");

    let canary = json!({"pw": ["CANARY"]});
    let patch = json!([{"op": "add", "path": "/params/pw", "value": ["CANARY"]}]);
    let type_of_patch = "Content-Type: application/json-patch+json";
    for refused in [
        client.merge("profiles/a", json!({"params": canary})).await,
        client.put("profiles/a", json!({"name": "a", "params": canary})).await,
        client.post("machines", json!({"name": "web1", "params": canary})).await,
        client.send("PATCH /api/v1/profiles/a", &[type_of_patch], patch.to_string()).await,
    ] {
        let text = refused.refused(422);
        assert!(text.contains("/params/pw") && text.contains("`/type`"), "{text}");
        assert!(!text.contains("CANARY"), "{text}");
    }
    let made_up = client.post("profiles", json!({"name": "b", "params": {"pw": {"sealed": true}}})).await;
    assert!(made_up.refused(422).contains("give the value itself"));
    let forged = client.post("profiles", json!({"name": "b", "params": {"free": {"sealed": "AAAA"}}})).await;
    forged.refused(422);
}

#[tokio::test]
async fn a_secret_that_was_sealed_with_another_key_is_told_until_it_is_set_anew() {
    let client = Client::new().await;
    client.post("params", json!({"name": "pw", "secret": true})).await.ok();
    client.post("profiles", json!({"name": "a", "params": {"pw": "x"}})).await.ok();
    client.post("profiles", json!({"name": "b", "params": {"pw": "y"}})).await.ok();
    let (kernel, mut moved) = (&client.houses.kernel, client.houses.kernel.get::<Profile>("a").unwrap());
    let sealed = kernel.get::<Profile>("b").unwrap().spec.params["pw"].clone();
    // It opens in its own place only, as with its own key only.
    let next = Arc::make_mut(&mut moved);
    *next = next.next(testing::caller().now);
    next.spec.params.insert("pw".into(), sealed);
    kernel.commit(Changeset::default().update(Profile::object(moved))).await.unwrap();
    let shown = client.get("profiles/a").await.ok()["problems"].to_string();
    assert!(shown.contains("/params/pw") && shown.contains("secret.key"), "{shown}");
    let set = client.merge("profiles/a", json!({"params": {"pw": "x"}})).await.ok();
    assert_eq!(set["problems"], json!([]));
}

#[tokio::test]
async fn a_param_becomes_secret_only_while_it_has_no_values() {
    let client = Client::new().await;
    client.post("params", json!({"name": "pw"})).await.ok();
    client.post("profiles", json!({"name": "a", "params": {"pw": "x"}})).await.ok();
    let text = client.merge("params/pw", json!({"secret": true})).await.refused(409);
    assert!(text.contains("profile a"), "{text}");
    client.merge("profiles/a", json!({"params": null})).await.ok();
    client.merge("params/pw", json!({"secret": true})).await.ok();
    assert!(client.merge("params/pw", json!({"default": "x"})).await.refused(422).contains("/default"));
}

#[tokio::test]
async fn deleting_what_is_referred_to_names_the_referrers() {
    let client = Client::new().await;
    client.post("profiles", json!({"name": "db"})).await.ok();
    client.post("machines", json!({"name": "web1", "profiles": ["db"]})).await.ok();
    let text = client.delete("profiles/db").await.refused(409);
    assert!(text.contains("profile `db` is in use by machine web1"), "{text}");
    client.post("reservations", json!({"address": "10.0.0.5", "machine": "web1"})).await.ok();
    assert!(client.delete("machines/name:web1").await.refused(409).contains("reservation 10.0.0.5"));
    let renamed = client.merge("machines/name:web1", json!({"name": "web2"})).await;
    assert!(renamed.refused(409).contains("reservation 10.0.0.5"));
    client.post("params", json!({"name": "rack"})).await.ok();
    client.post("tasks", json!({"name": "t", "required_params": ["rack"]})).await.ok();
    assert!(client.delete("params/rack").await.refused(409).contains("task t"));
}

#[tokio::test]
async fn content_of_a_run_under_way_can_be_deleted_because_the_run_has_its_own() {
    let client = Client::new().await;
    client.post("bootenvs", json!({"name": "local", "kind": "local"})).await.ok();
    let id = client.machine("web1").await["id"].as_str().unwrap().to_owned();
    let now = testing::caller().now;
    let run = json!({"id": uuid::Uuid::now_v7(), "workflow": "w", "started_at": now});
    let begin = |machine: &mut Stored<Machine>| {
        machine.status.run = Some(serde_json::from_value(run.clone()).unwrap());
        machine.status.bootenv = Some("local".to_owned());
        Ok(Vec::new())
    };
    client.houses.kernel.change::<Machine>(&id, now, begin).await.unwrap();
    client.delete("bootenvs/local").await.ok();
}

#[tokio::test]
async fn a_locked_machine_can_be_unlocked_and_nothing_else() {
    let client = Client::new().await;
    client.post("machines", json!({"name": "web1", "locked": true})).await.ok();
    client.merge("machines/name:web1", json!({"serial": "S"})).await.refused(409);
    client.merge("machines/name:web1", json!({"serial": "S", "locked": false})).await.refused(409);
    assert!(client.delete("machines/name:web1").await.refused(409).contains("locked"));
    client.merge("machines/name:web1", json!({"locked": false})).await.ok();
    client.merge("machines/name:web1", json!({"serial": "S"})).await.ok();
}

#[tokio::test]
async fn content_of_a_pack_is_read_only() {
    let client = Client::new().await;
    let spec = Profile {
        name: "base".into(),
        params: [].into(),
        profiles: vec![],
        channel: None,
        description: String::new(),
    };
    let mut stored = Stored::new("base".into(), spec, testing::caller().now);
    stored.source = "pack core@1.0.0".into();
    testing::put(&client.houses, Profile::object(Arc::new(stored))).await;
    let text = client.merge("profiles/base", json!({"description": "mine"})).await.refused(409);
    assert!(text.contains("pack core@1.0.0") && text.contains("takes its place"), "{text}");
    client.delete("profiles/base").await.refused(409);
}

#[tokio::test]
async fn profiles_and_tasks_cannot_go_round_in_circles() {
    let client = Client::new().await;
    client.post("profiles", json!({"name": "a", "profiles": ["b"]})).await.ok();
    let text = client.post("profiles", json!({"name": "b", "profiles": ["a"]})).await.refused(422);
    assert!(text.contains("b -> a -> b"), "{text}");
    client.post("tasks", json!({"name": "a", "prerequisites": ["b"]})).await.ok();
    let text = client.post("tasks", json!({"name": "b", "prerequisites": ["a"]})).await.refused(422);
    assert!(text.contains("b -> a -> b"), "{text}");
}

#[tokio::test]
async fn subnets_that_overlap_are_refused_both_ways_naming_the_other() {
    let client = Client::new().await;
    client.post("subnets", json!({"name": "lan", "cidr": "10.0.0.0/16"})).await.ok();
    for cidr in ["10.0.3.0/24", "10.0.0.0/8", "10.0.0.0/16"] {
        let text = client.post("subnets", json!({"name": "new", "cidr": cidr})).await.refused(409);
        assert!(text.contains("`lan`"), "{text}");
    }
    client.post("subnets", json!({"name": "new", "cidr": "10.1.0.0/16"})).await.ok();
    client.merge("subnets/new", json!({"cidr": "10.0.0.0/24"})).await.refused(409);
}

#[tokio::test]
async fn a_relay_stands_for_one_wire_whichever_subnet_is_written_last() {
    let client = Client::new().await;
    client.post("subnets", json!({"name": "lan", "cidr": "10.0.0.0/24", "relays": ["192.0.2.1"]})).await.ok();
    let refused = [
        json!({"name": "new", "cidr": "192.0.2.0/24"}),
        json!({"name": "new", "cidr": "10.1.0.0/24", "relays": ["192.0.2.1"]}),
        json!({"name": "new", "cidr": "10.1.0.0/24", "relays": ["10.0.0.254"]}),
    ];
    for subnet in refused {
        let text = client.post("subnets", subnet).await.refused(409);
        assert!(text.contains("`lan`") && text.contains("shared_network"), "{text}");
    }
    client.merge("subnets/lan", json!({"shared_network": "wire"})).await.ok();
    let same =
        json!({"name": "new", "cidr": "10.1.0.0/24", "relays": ["192.0.2.1"], "shared_network": "wire"});
    client.post("subnets", same).await.ok();
}

#[tokio::test]
async fn a_reservation_is_inside_its_subnet_and_one_for_each_client() {
    let client = Client::new().await;
    client.post("subnets", json!({"name": "lan", "cidr": "10.0.0.0/24"})).await.ok();
    let mac = "52:54:00:aa:00:01";
    let reserve =
        |address: &str| client.post("reservations", json!({"address": address, "mac": mac, "subnet": "lan"}));
    assert!(reserve("10.0.1.5").await.refused(422).contains("10.0.0.0/24"));
    assert!(reserve("10.0.0.255").await.refused(422).contains("/address"));
    let anywhere = client.post("reservations", json!({"address": "10.0.0.255", "mac": mac})).await;
    assert!(anywhere.refused(422).contains("not a host's address in subnet `lan`"));
    reserve("10.0.0.5").await.ok();
    assert!(reserve("10.0.0.6").await.refused(409).contains("10.0.0.5"));
    client.merge("reservations/10.0.0.5", json!({"address": "10.0.0.7"})).await.refused(422);
    let elsewhere = client.post("reservations", json!({"address": "10.9.0.5", "mac": mac})).await.ok();
    assert!(elsewhere["problems"].to_string().contains("in no subnet"), "{elsewhere}");
}

#[tokio::test]
async fn a_bootenv_without_its_artifact_says_how_to_add_it() {
    let client = Client::new().await;
    let files = json!({"artifact": "debian-12", "kernel": "linux"});
    let body = json!({"name": "debian", "kind": "install", "arches": {"amd64": files}});
    let got = client.post("bootenvs", body).await.ok();
    let problems = got["problems"].to_string();
    assert!(
        problems.contains("metalwright artifacts add debian-12")
            && problems.contains("/arches/amd64/artifact")
    );
}

#[tokio::test]
async fn an_install_bootenv_is_destructive_unless_it_says_otherwise() {
    let client = Client::new().await;
    let arches = json!({"amd64": {"artifact": "a", "kernel": "k"}});
    let post = async |name: &str, kind: &str, said: Option<bool>| {
        let mut body = json!({"name": name, "kind": kind, "arches": arches});
        body["not_destructive_reason"] = json!("it erases nothing");
        body.as_object_mut().unwrap().extend(said.map(|said| ("destructive".to_owned(), json!(said))));
        client.post("bootenvs", body).await.ok()["destructive"].clone()
    };
    for (name, kind, said, shown) in [
        ("a", "install", None, true),
        ("b", "install", Some(false), false),
        ("c", "live", None, false),
        ("d", "live", Some(true), true),
    ] {
        assert_eq!(post(name, kind, said).await, shown, "{name}");
        assert_eq!(client.get(&format!("bootenvs/{name}")).await.ok()["destructive"], shown, "{name}");
        let stored = client.houses.kernel.get::<Bootenv>(name).unwrap();
        assert_eq!((stored.spec.destructive, stored.spec.is_destructive()), (said, shown), "{name}");
    }
    let found = client.get("bootenvs?destructive=true&fields=name,destructive").await.ok();
    let found: Vec<_> = found["items"].as_array().unwrap().iter().map(|item| item["name"].clone()).collect();
    assert_eq!(found, ["a", "d"]);
    // The default follows the kind, and `null` restores it.
    let patched = client.merge("bootenvs/c", json!({"kind": "install"})).await.ok();
    assert_eq!(patched["destructive"], true, "{patched}");
    let patched = client.merge("bootenvs/b", json!({"destructive": null})).await.ok();
    assert_eq!(patched["destructive"], true, "{patched}");
}
