//! Tests of what an overview and an audit ask for: the summary, saved views, events by who caused them.

use super::*;

#[tokio::test]
async fn the_summary_is_described_and_names_what_waits() {
    let client = Client::new().await;
    client.post("machines", json!({"name": "web1"})).await.ok();
    let summary = client.get("summary").await.ok();
    assert_eq!(summary["machines"]["states"]["registered"], 1, "{summary}");
    assert_eq!(summary["runs"]["hours"].as_array().map(Vec::len), Some(24), "{summary}");
    assert_eq!(summary["recent"][0]["name"], "web1", "{summary}");
}

fn machines_view(query: &str, columns: Value) -> Value {
    json!({"name": "a", "kind": "machines", "query": query, "columns": columns})
}

#[tokio::test]
async fn a_view_is_saved_if_its_list_takes_the_query_and_has_the_columns() {
    let client = Client::new().await;
    for (query, columns, words) in [
        ("status.stat=failed", json!([]), "/query"),
        ("limit=5", json!([]), "belongs to a page"),
        ("?name=a", json!([]), "begins with"),
        ("", json!(["nmae"]), "/columns"),
    ] {
        let text = client.post("views", machines_view(query, columns)).await.refused(422);
        assert!(text.contains(words), "{query}: {text}");
    }
    let columns = json!(["name", "status.state", "label.rack"]);
    client
        .post("views", machines_view("status.state=failed&label.rack=r%201&sort=-updated_at", columns))
        .await
        .ok();
    let events = json!({"name": "b", "kind": "events", "query": "kind=machine.*&actor=token:admin"});
    client.post("views", events).await.ok();
    let text =
        client.post("views", json!({"name": "c", "kind": "events", "query": "knd=x"})).await.refused(422);
    assert!(text.contains("did you mean `kind`"), "{text}");
    let text = client.post("views", json!({"name": "c", "kind": "machine"})).await.refused(422);
    assert!(text.contains("did you mean `machines`"), "{text}");
    let list = client.get("views?kind=machines").await.ok();
    assert_eq!((&list["total"], &list["items"][0]["name"]), (&json!(1), &json!("a")));
}

#[tokio::test]
async fn events_are_found_by_the_token_of_whoever_caused_them() {
    let client = Client::new().await;
    client.post("machines", json!({"name": "web1"})).await.ok();
    let body = crate::model::EventBody::DhcpOffered(Default::default());
    let packet = crate::model::NewEvent::new(testing::caller().now, body);
    client.houses.kernel.try_commit(crate::kernel::Changeset::default().event(packet)).await.unwrap();
    let kinds = |page: &Value| -> Vec<String> {
        let items = page["items"].as_array().unwrap().iter();
        items.map(|event| event["kind"].as_str().unwrap().to_owned()).collect()
    };
    let all = client.get("events?actor=token:*&order=newest").await.ok();
    assert!(kinds(&all).contains(&"machine.created".to_owned()), "{all}");
    assert!(!kinds(&all).contains(&"dhcp.offered".to_owned()), "{all}");
    let actor = all["items"][0]["actor"].as_str().unwrap();
    let own = client.get(&format!("events?actor={actor}&kind=machine.*")).await.ok();
    assert_eq!(kinds(&own), ["machine.created"]);
    assert_eq!(kinds(&client.get("events?actor=token:nobody").await.ok()), Vec::<String>::new());
    let created = "machine.created".to_owned();
    assert!(!kinds(&client.get("events?until=-1h").await.ok()).contains(&created));
    assert!(kinds(&client.get("events?until=2100-01-01").await.ok()).contains(&created));
    let text = client.get("events?actor=server").await.refused(400);
    assert!(text.contains("token:NAME"), "{text}");
}

#[tokio::test]
async fn every_setting_is_described_with_its_default_and_whether_it_was_changed() {
    let client = Client::new().await;
    let all = client.get("server/settings").await.ok();
    let items = all["items"].as_array().unwrap();
    assert!(items.iter().all(|item| item["about"] != ""), "{all}");
    assert!(items.iter().all(|item| item["is_changed"] == false), "{all}");
    client.put("settings/unknown_machine", json!({"name": "unknown_machine", "value": "menu"})).await.ok();
    let all = client.get("server/settings").await.ok();
    let found = all["items"].as_array().unwrap().iter().find(|item| item["name"] == "unknown_machine");
    let (value, default) = (&found.unwrap()["value"], &found.unwrap()["default"]);
    assert_eq!(
        (value, default, &found.unwrap()["is_changed"]),
        (&json!("menu"), &json!("local"), &json!(true))
    );
}

#[tokio::test]
async fn every_area_of_scopes_is_described() {
    let client = Client::new().await;
    let scopes = client.get("server/scopes").await.ok();
    let areas = scopes["items"].as_array().unwrap();
    assert!(areas.iter().any(|area| area["name"] == "views" && area["read"] != ""), "{scopes}");
}
