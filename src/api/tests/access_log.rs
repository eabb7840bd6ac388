//! The access log, as a log collector reads it.

use std::io::Write;
use std::sync::Mutex;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

use super::*;
use crate::api::PeerAddress;

/// A log in memory.
#[derive(Clone, Default)]
struct LogText(Arc<Mutex<Vec<u8>>>);

impl Write for LogText {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for LogText {
    type Writer = LogText;

    fn make_writer(&'a self) -> LogText {
        self.clone()
    }
}

impl LogText {
    fn lines(&self) -> Vec<Value> {
        let text = String::from_utf8(self.0.lock().unwrap().clone()).unwrap();
        let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        lines.filter(|line| line["target"] == "metalwright::api::access_log").collect()
    }
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
    let filter = EnvFilter::new("info");
    let subscriber =
        tracing_subscriber::fmt().json().with_env_filter(filter).with_writer(log.clone()).finish();
    let _guard = crate::telemetry::testing::log_to(subscriber);
    let client = client_from([10, 0, 0, 7]).await;
    let own = "X-Request-Id: deploy-7";
    let json = "Content-Type: application/json";
    client.send("POST /api/v1/machines", &[json, own], r#"{"name": "web1"}"#).await.ok();
    client.get("machines?name=web1").await.ok();
    client.get("machines/name:web9?CANARY=1").await.refused(400);
    client.send("GET /api/v1/machines", &["Authorization: Bearer mw_CANARY"], "").await.refused(401);
    let lines: Vec<Value> = log.lines();
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
    let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(!text.contains("CANARY") && !text.contains(&client.token), "{text}");
}

#[tokio::test]
async fn strangers_cannot_fill_the_log() {
    let log = LogText::default();
    let filter = EnvFilter::new("info");
    let subscriber =
        tracing_subscriber::fmt().json().with_env_filter(filter).with_writer(log.clone()).finish();
    let _guard = crate::telemetry::testing::log_to(subscriber);
    let client = client_from([10, 0, 0, 7]).await;
    for _ in 0..200 {
        client.send("GET /api/v1/machines", &["Authorization: Bearer mw_x"], "").await.refused(401);
    }
    let lines = log.lines();
    assert_eq!(lines.iter().filter(|line| line["level"] == "INFO").count(), 60);
}
