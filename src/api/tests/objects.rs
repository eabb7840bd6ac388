//! Tests of create, read, change and delete, which are the same for every noun.

use super::*;

#[tokio::test]
async fn a_created_object_says_where_it_is_and_has_its_revision_as_entity_tag() {
    let client = Client::new().await;
    let made = client.post("machines", json!({"name": "web1", "macs": ["52:54:00:aa:00:01"]})).await;
    assert_eq!((made.status.as_u16(), made.header("etag")), (201, "\"1\""));
    let place = made.header("location").to_owned();
    assert_eq!(place, format!("/api/v1/machines/{}", made.body["id"].as_str().unwrap()));
    let id = place.rsplit('/').next().unwrap();
    for reference in [id, "name:web1", "mac:52-54-00-AA-00-01"] {
        assert_eq!(client.get(&format!("machines/{reference}")).await.ok()["id"], id);
    }
    client.get("machines/web1").await.refused(404);
}

#[tokio::test]
async fn a_name_with_a_slash_is_found_percent_encoded() {
    let client = Client::new().await;
    let made = client.post("templates", json!({"name": "kickstart/base.ks", "body": "x"})).await;
    assert_eq!(made.header("location"), "/api/v1/templates/kickstart%2Fbase.ks");
    assert_eq!(client.get("templates/kickstart%2Fbase.ks").await.ok()["name"], "kickstart/base.ks");
}

#[tokio::test]
async fn every_fault_is_told_at_once_with_its_place() {
    let client = Client::new().await;
    let got = client.post("machines", json!({"naem": "x", "macs": ["zz"], "arch": "vax"})).await;
    let text = got.refused(422);
    for part in ["/naem", "did you mean `name`", "/macs/0", "/arch", "`name` is missing", "request_id"] {
        assert!(text.contains(part), "{part} in {text}");
    }
    assert_eq!(got.body["type"], "urn:metalwright:problem:unprocessable-entity");
    assert_eq!(got.header("x-request-id"), got.body["request_id"]);
}

#[tokio::test]
async fn broken_json_is_told_line_and_column() {
    let client = Client::new().await;
    let headers = ["Content-Type: application/json"];
    let got = client.send("POST /api/v1/machines", &headers, "{\n  \"name\": web1\n}").await;
    assert!(got.refused(400).contains("line 2 column 11"), "{}", got.body);
}

#[tokio::test]
async fn a_wrong_content_type_is_told_the_right_ones() {
    let client = Client::new().await;
    let form = ["Content-Type: application/x-www-form-urlencoded"];
    assert!(
        client.send("POST /api/v1/machines", &form, "a=b").await.refused(415).contains("application/json")
    );
    client.machine("web1").await;
    let plain = ["Content-Type: application/json"];
    let text = client.send("PATCH /api/v1/machines/name:web1", &plain, "{}").await.refused(415);
    assert!(text.contains("merge-patch+json") && text.contains("json-patch+json"), "{text}");
}

#[tokio::test]
async fn a_body_over_the_bound_is_refused() {
    let client = Client::new().await;
    let body = vec![b' '; crate::api::body::BODY_BYTES_MAX + 1];
    let got = client.send("POST /api/v1/machines", &["Content-Type: application/json"], body).await;
    assert!(got.refused(413).contains("4194304"));
}

#[tokio::test]
async fn a_stale_write_is_refused_and_a_current_one_is_not() {
    let client = Client::new().await;
    client.post("profiles", json!({"name": "a"})).await.ok();
    let change = json!({"description": "x"}).to_string();
    let patch = |tag: &'static str| {
        let headers = ["Content-Type: application/merge-patch+json", tag];
        let (client, change) = (&client, change.clone());
        async move { client.send("PATCH /api/v1/profiles/a", &headers, change).await }
    };
    assert_eq!(patch("If-Match: \"1\"").await.header("etag"), "\"2\"");
    let text = patch("If-Match: \"1\"").await.refused(412);
    assert!(text.contains("revision 2, not 1"), "{text}");
    patch("If-Match: W/\"2\"").await.refused(412);
    patch("If-Match: 2").await.refused(400);
    patch("If-Match: *").await.ok();
    let gone = client.send("DELETE /api/v1/profiles/a", &["If-Match: \"7\""], Body::empty()).await;
    gone.refused(412);
    let gone = client.send("DELETE /api/v1/profiles/a", &["If-Match: \"7\", \"2\""], Body::empty()).await;
    assert_eq!(gone.status.as_u16(), 204);
}

#[tokio::test]
async fn a_client_that_has_the_revision_gets_no_body() {
    let client = Client::new().await;
    client.post("profiles", json!({"name": "a"})).await.ok();
    let got = client.send("GET /api/v1/profiles/a", &["If-None-Match: \"1\""], Body::empty()).await;
    assert_eq!((got.status.as_u16(), got.header("etag"), &got.body), (304, "\"1\"", &json!("")));
    client.send("GET /api/v1/profiles/a", &["If-None-Match: \"2\""], Body::empty()).await.ok();
    let head = client.send("HEAD /api/v1/profiles/a", &[], Body::empty()).await;
    assert_eq!((head.status.as_u16(), head.header("etag"), &head.body), (200, "\"1\"", &json!("")));
}

#[tokio::test]
async fn what_was_read_can_be_put_back_and_changes_nothing() {
    let client = Client::new().await;
    let made = client.machine("web1").await;
    let got = client.put("machines/name:web1", made.clone()).await;
    assert_eq!(got.header("etag"), "\"1\"");
    assert_eq!(got.ok(), made);
}

#[tokio::test]
async fn a_merge_patch_changes_fields_and_labels() {
    let client = Client::new().await;
    client.machine("web1").await;
    let got =
        client.merge("machines/name:web1", json!({"serial": "S1", "labels": {"role": "db"}})).await.ok();
    assert_eq!(
        (&got["serial"], &got["labels"]["role"], &got["revision"]),
        (&json!("S1"), &json!("db"), &json!(2))
    );
    let got = client.merge("machines/name:web1", json!({"serial": null})).await.ok();
    assert_eq!(got.get("serial"), None);
}

#[tokio::test]
async fn a_body_says_each_name_once_and_numbers_that_are_kept() {
    let client = Client::new().await;
    let post = async |body: &'static str| {
        client.send("POST /api/v1/machines", &["content-type: application/json"], body).await.refused(422)
    };
    let twice = post(r#"{"name": "web1", "params": {"a": 1, "a": 2}}"#).await;
    assert!(twice.contains("/params/a") && twice.contains("stands twice"), "{twice}");
    let large = post(r#"{"name": "web1", "params": {"a": 18446744073709551616}}"#).await;
    assert!(large.contains("/params/a") && large.contains("beyond 64 bits"), "{large}");
    client.get("machines/name:web1").await.refused(404);
}

#[tokio::test]
async fn a_patch_of_what_is_ours_is_refused() {
    let client = Client::new().await;
    client.machine("web1").await;
    let text = client.merge("machines/name:web1", json!({"status": {"state": "held"}, "revision": 9})).await;
    let text = text.refused(422);
    assert!(text.contains("`status` is read-only") && text.contains("`revision` is read-only"), "{text}");
}

#[tokio::test]
async fn a_json_patch_with_a_failed_test_is_a_conflict() {
    let client = Client::new().await;
    client.machine("web1").await;
    let patch = |test: Value| {
        let body = json!([
            {"op": "test", "path": "/arch", "value": test},
            {"op": "replace", "path": "/arch", "value": "arm64"},
        ]);
        let headers = ["Content-Type: application/json-patch+json"];
        let client = &client;
        async move { client.send("PATCH /api/v1/machines/name:web1", &headers, body.to_string()).await }
    };
    assert!(patch(json!("i386")).await.refused(409).contains("`/arch`"));
    assert_eq!(patch(json!("amd64")).await.ok()["arch"], "arm64");
}

#[tokio::test]
async fn the_key_of_an_object_cannot_change() {
    let client = Client::new().await;
    client.post("profiles", json!({"name": "a"})).await.ok();
    assert!(
        client.merge("profiles/a", json!({"name": "b"})).await.refused(422).contains("cannot be changed")
    );
    let got = client.merge("machines/nobody", json!({})).await;
    assert!(got.refused(404).contains("there is no machine `nobody`"));
}

#[tokio::test]
async fn what_is_taken_names_the_holder_as_a_person_knows_it() {
    let client = Client::new().await;
    client.post("machines", json!({"name": "web1", "macs": ["52:54:00:aa:00:01"]})).await.ok();
    let text =
        client.post("machines", json!({"name": "web2", "macs": ["52:54:00:aa:00:01"]})).await.refused(409);
    assert!(text.contains("mac 52:54:00:aa:00:01 belongs to machine `web1`"), "{text}");
    assert!(client.post("machines", json!({"name": "web1"})).await.refused(409).contains("`web1`"));
    client.post("profiles", json!({"name": "a"})).await.ok();
    assert!(
        client.post("profiles", json!({"name": "a"})).await.refused(409).contains("there is a profile `a`")
    );
}

#[tokio::test]
async fn a_noun_whose_key_is_its_name_is_found_by_the_name_with_its_word_too() {
    let client = Client::new().await;
    client.post("profiles", json!({"name": "site/row"})).await.ok();
    for reference in ["site%2Frow", "name:site%2Frow"] {
        assert_eq!(client.get(&format!("profiles/{reference}")).await.ok()["name"], "site/row");
    }
    client.merge("profiles/name:site%2Frow", json!({"description": "x"})).await.ok();
    assert_eq!(client.get("profiles/site%2Frow").await.ok()["description"], "x");
    for reference in ["name:other", "mac:site%2Frow", "name:"] {
        client.get(&format!("profiles/{reference}")).await.refused(404);
    }
    assert_eq!(client.get("settings/name:secure_boot").await.ok()["value"], false);
    client.delete("profiles/name:site%2Frow").await;
    client.get("profiles/name:site%2Frow").await.refused(404);
}

#[tokio::test]
async fn every_write_leaves_an_event_with_its_change_and_its_actor() {
    let client = Client::new().await;
    let id = client.machine("web1").await["id"].as_str().unwrap().to_owned();
    client.merge("machines/name:web1", json!({"serial": "S1"})).await.ok();
    client.delete("machines/name:web1").await;
    let page = client.get(&format!("events?subject=machine:{id}")).await.ok();
    let items = page["items"].as_array().unwrap();
    let kinds: Vec<&str> = items.iter().map(|event| event["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["machine.created", "machine.updated", "machine.deleted"]);
    assert_eq!(items[1]["data"]["diff"], json!([{"op": "add", "path": "/serial", "value": "S1"}]));
    assert_eq!((&items[1]["actor"], &items[1]["data"]["name"]), (&json!("token:admin"), &json!("web1")));
}

#[tokio::test]
async fn what_cannot_be_written_has_no_such_operation() {
    let client = Client::new().await;
    client.post("jobs", json!({})).await.refused(405);
    client.delete("settings/unknown_machine").await.refused(405);
    client.merge("tokens/admin", json!({})).await.refused(405);
    assert_eq!(client.get("settings/unknown_machine").await.ok()["value"], "local");
    client.merge("settings/unknown_machine", json!({"value": "ignore"})).await.ok();
    let text = client.merge("settings/unknown_machine", json!({"value": "no"})).await.refused(422);
    assert!(text.contains("discover"), "{text}");
}
