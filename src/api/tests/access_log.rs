//! The access log, as a log collector reads it.

use super::*;
use crate::api::PeerAddress;
use crate::telemetry::testing::LogText;

/// The lines of the access log.
fn lines(log: &LogText) -> Vec<Value> {
    let lines = log.text();
    let lines = lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines.filter(|line| line["target"] == "metalwright::api::access_log").collect()
}

/// A client whose router sees an address, as the listener's does.
async fn client_from(peer: [u8; 4]) -> Client {
    let client = Client::new().await;
    let router = client.router.clone().layer(axum::Extension(PeerAddress(peer.into())));
    Client { router, ..client }
}

#[tokio::test]
async fn writes_and_refusals_have_a_line_with_who_and_what_and_nothing_secret() {
    let log = LogText::default();
    let _guard = log.start_json();
    let client = client_from([10, 0, 0, 7]).await;
    let own = "X-Request-Id: deploy-7";
    let json = "Content-Type: application/json";
    client.send("POST /api/v1/machines", &[json, own], r#"{"name": "web1"}"#).await.ok();
    client.get("machines?name=web1").await.ok();
    client.get("machines/name:web9?CANARY=1").await.refused(400);
    client.send("GET /api/v1/machines", &["Authorization: Bearer mw_CANARY"], "").await.refused(401);
    let lines: Vec<Value> = lines(&log);
    let told: Vec<_> = lines
        .iter()
        .map(|line| {
            let fields = &line["fields"];
            (fields["method"].as_str().unwrap(), fields["route"].as_str().unwrap(), fields["status"].as_u64())
        })
        .collect();
    assert_eq!(
        told,
        [
            ("POST", "/api/v1/machines", Some(201)),
            ("GET", "/api/v1/machines/{ref}", Some(400)),
            ("GET", "/api/v1/machines", Some(401)),
        ]
    );
    let first = &lines[0]["fields"];
    assert_eq!((&first["actor"], &first["request_id"]), (&json!("token:admin"), &json!("deploy-7")));
    assert_eq!((&first["peer"], &first["code"]), (&json!("10.0.0.7"), &json!("-")));
    assert!(first["ms"].is_u64() && first["bytes"].as_u64().is_some_and(|bytes| bytes > 100), "{first}");
    let last = &lines[2]["fields"];
    assert_eq!((&last["code"], &last["actor"]), (&json!("token_unknown"), &json!("-")));
    let text = log.text();
    assert!(!text.contains("CANARY") && !text.contains(&client.token), "{text}");
}

#[tokio::test]
async fn strangers_cannot_fill_the_log() {
    let log = LogText::default();
    let _guard = log.start_json();
    let client = client_from([10, 0, 0, 7]).await;
    for _ in 0..200 {
        client.send("GET /api/v1/machines", &["Authorization: Bearer mw_x"], "").await.refused(401);
    }
    let lines = lines(&log);
    assert_eq!(lines.iter().filter(|line| line["level"] == "INFO").count(), 60);
}
