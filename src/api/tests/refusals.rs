//! Refusals as programs read them: a code for the whole and for each fault, and where each fault is.

use std::fs;
use std::path::Path;

use super::*;
use crate::model::{CODE_ROWS, refusal_codes_markdown};

const JSON: &str = "Content-Type: application/json";
const MERGE: &str = "Content-Type: application/merge-patch+json";
const PATCH: &str = "Content-Type: application/json-patch+json";

/// Pointer and code of each fault.
fn faults(got: &Got) -> Vec<(&str, &str)> {
    let problems = got.body["problems"].as_array().unwrap();
    problems
        .iter()
        .map(|fault| (fault["pointer"].as_str().unwrap(), fault["code"].as_str().unwrap()))
        .collect()
}

#[tokio::test]
async fn each_reason_of_a_refusal_has_a_code_of_its_own() {
    let client = Client::new().await;
    let web1 = client.machine("web1").await;
    client.post("profiles", json!({"name": "base"})).await.ok();
    client.post("machines", json!({"name": "web2", "profiles": ["base"], "locked": true})).await.ok();
    client.post("subnets", json!({"name": "lan", "cidr": "10.0.0.0/24"})).await.ok();
    let failed = r#"[{"op": "test", "path": "/name", "value": "db1"}]"#;
    for (request, header, body, code) in [
        ("POST /api/v1/machines", JSON, r#"{"name": "web1"}"#, "taken"),
        ("POST /api/v1/profiles", JSON, r#"{"name": "base"}"#, "taken"),
        ("POST /api/v1/subnets", JSON, r#"{"name": "a", "cidr": "10.0.0.128/25"}"#, "overlaps"),
        ("DELETE /api/v1/profiles/base", JSON, "", "in_use"),
        ("DELETE /api/v1/machines/name:web2", JSON, "", "locked"),
        ("PATCH /api/v1/machines/name:web2", MERGE, r#"{"labels": {"a": "b"}}"#, "locked"),
        ("DELETE /api/v1/tokens/admin", JSON, "", "last_administrator"),
        ("PATCH /api/v1/machines/name:web1", PATCH, failed, "test_failed"),
        ("PATCH /api/v1/machines/name:web1", JSON, "{}", "wrong_media_type"),
        ("POST /api/v1/machines/name:web1/actions/pause", JSON, "", "no_run"),
        ("POST /api/v1/machines/name:web1/actions/start", JSON, "", "not_usable"),
        ("POST /api/v1/machines", JSON, "{", "not_json"),
        ("POST /api/v1/machines", JSON, "{}", "invalid"),
        ("GET /api/v1/machines/name:web3", JSON, "", "not_found"),
        ("GET /api/v1/machines?colour=red", JSON, "", "bad_request"),
        ("GET /api/v1/machine", JSON, "", "no_such_path"),
        ("DELETE /api/v1/machines", JSON, "", "method_not_allowed"),
    ] {
        let got = client.send(request, &[header], body).await;
        let status = CODE_ROWS.iter().find(|row| row.name == code).unwrap().status;
        assert_eq!(
            (&got.body["code"], Some(got.status.as_u16())),
            (&json!(code), status),
            "{request}: {got:?}"
        );
    }
    let stale = client
        .send(&format!("DELETE /api/v1/machines/{}", web1["id"].as_str().unwrap()), &["If-Match: \"7\""], "")
        .await;
    assert_eq!(stale.body["code"], "stale");
    let pack = crate::model::Kind::Workflow;
    let shipped = client.get(&format!("{}?source[ne]=site", pack.plural())).await.ok();
    if let Some(name) = shipped["items"][0]["name"].as_str() {
        assert_eq!(client.delete(&format!("workflows/{name}")).await.body["code"], "read_only");
    }
}

#[tokio::test]
async fn a_refused_token_says_why_and_is_counted() {
    let client = Client::new().await;
    let ended = json!({"name": "old", "scopes": ["*:read"], "expires_at": "2026-01-01T00:00:00Z"});
    let ended = client.post("tokens", ended).await.ok()["token"].as_str().unwrap().to_owned();
    let ended = format!("Authorization: Bearer {ended}");
    for (header, code) in [
        (ended.as_str(), "token_expired"),
        ("Authorization: Bearer mw_wrong", "token_unknown"),
        ("Authorization: Basic eDp5", "token_missing"),
    ] {
        let got = client.send("GET /api/v1/machines", &[header], "").await;
        assert_eq!((got.status.as_u16(), &got.body["code"]), (401, &json!(code)));
    }
    let page = client.send("GET /metrics", &[], "").await.ok();
    let page = page.as_str().unwrap();
    for reason in ["token_expired", "token_unknown", "token_missing"] {
        let line = format!("metalwright_api_tokens_refused_total{{reason=\"{reason}\"}} 1\n");
        assert!(page.contains(&line), "{page}");
    }
}

#[tokio::test]
async fn a_typed_body_is_told_every_fault_with_its_place_as_nouns_are() {
    let client = Client::new().await;
    client.machine("web1").await;
    let got = client
        .post("machines/name:web1/actions/start", json!({"workflw": "x", "reason": 7, "stop_before": {}}))
        .await;
    let mut told = faults(&got);
    told.sort_unstable();
    assert_eq!(
        told,
        [("/reason", "wrong_type"), ("/stop_before", "not_one_of"), ("/workflw", "unknown_field")]
    );
    let text = got.refused(422);
    assert!(text.contains("did you mean `workflow`?") && text.contains("7 is not text"), "{text}");
    let render = client.post("render", json!({"file": 1, "inlin": "x"})).await;
    let mut told = faults(&render);
    told.sort_unstable();
    assert_eq!(told, [("", "missing"), ("/file", "wrong_type"), ("/inlin", "unknown_field")]);
    let import = json!({"format": "keaa", "files": [{"name": "a"}], "dry_run": "yes"});
    let import = client.post("leases/import", import).await;
    let mut told = faults(&import);
    told.sort_unstable();
    assert_eq!(told, [("/dry_run", "wrong_type"), ("/files/0", "missing"), ("/format", "not_one_of")]);
    assert!(import.refused(422).contains("did you mean `kea`?"));
    let plain = client.post("machines/name:web1/actions/resume", json!({"now": true})).await;
    assert_eq!(faults(&plain), [("/now", "unknown_field")]);
    let token = client.post("tokens", json!({"name": "a b", "scopes": ["machine:read"]})).await;
    assert_eq!(faults(&token), [("/name", "malformed")]);
    let setting =
        client.put("settings/default_workflow", json!({"value": 7, "name": "default_workflow"})).await;
    assert_eq!(faults(&setting)[0].0, "/value");
}

#[tokio::test]
async fn the_faults_of_a_patch_point_at_its_operations() {
    let client = Client::new().await;
    client.machine("web1").await;
    let body = r#"[{"op": "set", "path": "/a"}, {"op": "add", "path": "/locked"}]"#;
    let got = client.send("PATCH /api/v1/machines/name:web1", &[PATCH], body).await;
    assert_eq!(faults(&got), [("/0/op", "not_one_of"), ("/1", "missing")]);
}

#[tokio::test]
async fn names_in_a_pointer_are_escaped() {
    let client = Client::new().await;
    let body = json!({"name": "web1", "labels": {"a/b/~c": 7, "d\u{0}": "x"}});
    let got = client.post("machines", body).await;
    let pointers: Vec<&str> = faults(&got).into_iter().map(|(pointer, _)| pointer).collect();
    assert!(pointers.contains(&"/labels/a~1b~1~0c"), "{pointers:?}");
    client.post("params", json!({"name": "disk/size", "schema": {"type": "integer"}})).await.ok();
    let got = client.post("machines", json!({"name": "web1", "params": {"disk/size": "x"}})).await;
    assert_eq!(faults(&got), [("/params/disk~1size", "wrong_type")]);
}

#[tokio::test]
async fn the_place_in_a_template_is_not_in_the_pointer() {
    let client = Client::new().await;
    let got = client.post("templates", json!({"name": "a.cfg", "body": "one\n{% if %}"})).await;
    let fault = &got.body["problems"][0];
    assert_eq!((&fault["pointer"], &fault["code"]), (&json!("/body"), &json!("template")));
    assert_eq!((&fault["template"], &fault["line"]), (&json!("a.cfg"), &json!(2)), "{fault}");
    assert!(fault["column"].is_u64(), "{fault}");
}

#[tokio::test]
async fn every_word_that_a_field_takes_is_named() {
    let client = Client::new().await;
    let got = client.post("machines", json!({"name": "web1", "arch": "amd46"})).await;
    assert_eq!(faults(&got), [("/arch", "not_one_of")]);
    let text = got.refused(422);
    assert!(!text.contains("other candidates"), "{text}");
    assert!(text.contains("i386") && text.contains("did you mean `amd64`?"), "{text}");
}

#[tokio::test]
async fn a_whole_number_may_be_written_with_a_fraction_of_zero() {
    let client = Client::new().await;
    client.machine("web1").await;
    let body = json!({"environment": "live", "boot": "b1", "wait_seconds": 0.0});
    let got = client.post("machines/name:web1/jobs/next", body).await;
    assert_eq!(got.status.as_u16(), 204, "{got:?}");
    let got =
        client.post("subnets", json!({"name": "lan", "cidr": "10.0.0.0/24", "lease_seconds": 600.0})).await;
    assert_eq!(got.ok()["lease_seconds"], 600);
}

#[tokio::test]
async fn the_events_of_a_request_have_its_id_and_are_found_by_it() {
    let client = Client::new().await;
    let own = "X-Request-Id: deploy-7";
    client.send("POST /api/v1/machines", &[JSON, own], r#"{"name": "web1"}"#).await.ok();
    client.machine("web2").await;
    let found = client.get("events?request_id=deploy-7").await.ok();
    let items = found["items"].as_array().unwrap();
    assert_eq!((items.len(), &items[0]["kind"]), (1, &json!("machine.created")));
    assert_eq!(items[0]["request_id"], "deploy-7");
    assert_eq!(client.get("events?request_id=deploy-7&kind=profile.*").await.ok()["items"], json!([]));
    assert_eq!(client.get("events?request_id=deploy").await.ok()["items"], json!([]));
    // What the server does by itself has none.
    let server = crate::kernel::Caller::server(jiff::Timestamp::UNIX_EPOCH);
    let body = crate::model::event::OtherEvent { kind: "test.a".to_owned(), data: json!({}) };
    let own = server.event(crate::model::EventBody::Other(body)).numbered(1);
    assert!(json!(own).get("request_id").is_none(), "{own:?}");
}

#[test]
fn the_page_of_errors_is_written_from_the_table() {
    let written = include_str!("../../../docs/operating/errors.md");
    let how = "`metalwright errors -o markdown > docs/operating/errors.md` writes it anew";
    assert!(written == refusal_codes_markdown(), "{how}");
}

/// The text of all sources below a folder but the table of codes and the tests.
fn sources(folder: &Path, text: &mut String) {
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let (path, name) = (entry.path(), entry.file_name().into_string().unwrap());
        match path.is_dir() {
            true if name != "tests" => sources(&path, text),
            false if name.ends_with(".rs") && name != "refusal_code.rs" && !name.ends_with("tests.rs") => {
                let source = fs::read_to_string(&path).unwrap();
                text.push_str(source.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default());
            }
            _ => {}
        }
    }
}

#[test]
fn every_code_of_the_table_is_used() {
    let mut text = String::new();
    sources(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src")), &mut text);
    for row in CODE_ROWS {
        let used = format!("RefusalCode::{:?}", row.code);
        assert!(text.contains(&used), "nothing is refused with `{}`", row.name);
    }
}
