//! Tests of one verb on many objects.

use super::*;
use crate::api::bulk::BULK_MAX;

async fn rack() -> Client {
    let client = Client::new().await;
    client.post("stages", json!({"name": "idle"})).await.ok();
    client.post("workflows", json!({"name": "idle", "stages": ["idle"]})).await.ok();
    for (name, rack) in [("web1", "r1"), ("web2", "r1"), ("web3", "r2")] {
        client.post("machines", json!({"name": name, "labels": {"rack": rack}})).await.ok();
    }
    client
}

/// Name and outcome of each result.
fn outcomes(report: &Value) -> Vec<(&str, &str)> {
    let items = report["items"].as_array().unwrap().iter();
    items
        .map(|item| {
            let name = item["name"].as_str().or(item["ref"].as_str()).unwrap();
            (name, item["outcome"].as_str().unwrap())
        })
        .collect()
}

async fn label_of(client: &Client, name: &str) -> Value {
    client.get(&format!("machines/name:{name}")).await.ok()["labels"].clone()
}

#[tokio::test]
async fn a_dry_run_is_the_default_and_changes_nothing() {
    let client = rack().await;
    let call = json!({"kind": "machine", "verb": "patch", "filter": ["label.rack=r1"],
        "details": {"labels": {"room": "a"}}});
    let report = client.post("bulk", call.clone()).await.ok();
    assert_eq!(outcomes(&report), [("web1", "done"), ("web2", "done")]);
    assert_eq!((&report["dry_run"], &report["total"]), (&json!(true), &json!(2)));
    assert_eq!(label_of(&client, "web1").await, json!({"rack": "r1"}));
    let mut call = call;
    call["dry_run"] = json!(false);
    let report = client.post("bulk", call).await.ok();
    assert_eq!(report["done"], 2, "{report}");
    assert_eq!(label_of(&client, "web2").await, json!({"rack": "r1", "room": "a"}));
    assert_eq!(label_of(&client, "web3").await, json!({"rack": "r2"}));
}

#[tokio::test]
async fn a_refused_object_has_its_reason_and_does_not_stop_the_others() {
    let client = rack().await;
    let call = |dry_run: bool| {
        let refs = ["name:web1", "name:nobody", "name:web2", "name:web1"];
        json!({"kind": "machine", "verb": "start", "refs": refs,
            "details": {"workflow": "idle"}, "dry_run": dry_run, "concurrency": 2})
    };
    client.merge("machines/name:web2", json!({"locked": true})).await.ok();
    let expected = [("web1", "done"), ("name:nobody", "refused"), ("web2", "refused")];
    let trial = client.post("bulk", call(true)).await.ok();
    assert_eq!(outcomes(&trial), expected, "{trial}");
    let report = client.post("bulk", call(false)).await.ok();
    assert_eq!(outcomes(&report), expected, "each once: {report}");
    assert_eq!(
        (&report["items"][1]["code"], &report["items"][1]["status"]),
        (&json!("not_found"), &json!(404))
    );
    let alone = client.post("machines/name:web2/actions/start", json!({"workflow": "idle"})).await;
    assert_eq!(report["items"][2]["code"], alone.body["code"], "as by a call of its own");
    assert_eq!(report["items"][2]["detail"], alone.body["detail"]);
    assert!(report["items"][0]["state"].is_string(), "{report}");
}

#[tokio::test]
async fn each_object_has_the_event_of_a_single_call_with_the_id_of_the_request() {
    let client = rack().await;
    let call = json!({"kind": "machine", "verb": "delete", "filter": ["name=web*"], "dry_run": false});
    let headers = ["Content-Type: application/json", "X-Request-Id: many-1"];
    let report = client.send("POST /api/v1/bulk", &headers, call.to_string()).await.ok();
    assert_eq!(report["done"], 3, "{report}");
    let events = client.get("events?kind=machine.deleted&request_id=many-1").await.ok();
    let events = events["items"].as_array().unwrap();
    assert_eq!(events.len(), 3);
    assert!(events.iter().all(|event| event["actor"] == "token:admin"), "{events:?}");
}

#[tokio::test]
async fn the_write_scope_of_the_kind_is_needed() {
    let client = rack().await;
    let scopes = ["machines:read", "profiles:write"];
    let token = client.post("tokens", json!({"name": "reader", "scopes": scopes})).await.ok();
    let header = format!("Authorization: Bearer {}", token["token"].as_str().unwrap());
    let call = json!({"kind": "machine", "verb": "delete", "filter": ["name=*"]});
    let headers = ["Content-Type: application/json", &header];
    let refused = client.send("POST /api/v1/bulk", &headers, call.to_string()).await.refused(403);
    assert!(refused.contains("machines:write"), "{refused}");
}

#[tokio::test]
async fn what_is_in_use_is_kept_unless_force_says_so() {
    let client = rack().await;
    client.post("profiles", json!({"name": "db"})).await.ok();
    client.merge("machines/name:web1", json!({"profiles": ["db"]})).await.ok();
    let call = json!({"kind": "profile", "verb": "delete", "refs": ["db"], "dry_run": false});
    let report = client.post("bulk", call).await.ok();
    assert_eq!(outcomes(&report), [("db", "refused")], "{report}");
    assert!(report["items"][0]["detail"].as_str().unwrap().contains("web1"), "{report}");
}

#[tokio::test]
async fn a_call_that_makes_no_sense_is_refused_with_its_place() {
    let client = rack().await;
    let too_many: Vec<String> = (0..=BULK_MAX).map(|number| format!("name:web{number}")).collect();
    let cases = [
        (json!({"verb": "delete"}), "/refs"),
        (json!({"verb": "delete", "refs": ["name:web1"], "filter": ["name=web1"]}), "/refs"),
        (json!({"verb": "delete", "refs": too_many}), "/refs"),
        (json!({"verb": "release", "refs": ["name:web1"]}), "/verb"),
        (json!({"verb": "patch", "refs": ["name:web1"]}), "/details"),
        (json!({"verb": "skip", "refs": ["name:web1"], "details": {}}), "/details"),
        (json!({"verb": "arm", "refs": ["name:web1"], "force": true}), "/force"),
        (json!({"verb": "arm", "refs": ["name:web1"], "concurrency": 17}), "/concurrency"),
        (json!({"verb": "arm", "filter": ["rack"]}), "/filter/0"),
        (json!({"verb": "arm", "filter": ["limit=1"]}), "/filter/0"),
        (
            json!({"verb": "patch", "refs": ["name:web1"], "details": {"comment": "x".repeat(1 << 17)}}),
            "/details",
        ),
    ];
    for (mut call, place) in cases {
        call["kind"] = json!("machine");
        let refused = client.post("bulk", call).await.refused(422);
        assert!(refused.contains(&format!("\"pointer\":\"{place}")), "{place}: {refused}");
    }
    let unknown = json!({"kind": "machine", "verb": "arm", "filter": ["lable.rack=r1"]});
    let refused = client.post("bulk", unknown).await.refused(400);
    assert!(refused.contains("have no field"), "{refused}");
}
