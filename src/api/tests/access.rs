//! Tests of which caller may do what.

use super::*;

/// A path of an operation with its braces filled in.
fn filled(path: &str) -> String {
    path.split('/').map(|part| if part.starts_with('{') { "x" } else { part }).collect::<Vec<_>>().join("/")
}

fn media(entry: &Value) -> String {
    let content = entry["requestBody"]["content"].as_object();
    let media = content.and_then(|content| content.keys().next()).cloned().unwrap_or_default();
    format!("Content-Type: {media}")
}

#[tokio::test]
async fn every_operation_but_health_refuses_whoever_has_no_token() {
    let client = Client::new().await;
    for (method, path, entry) in CONTRACT.operations() {
        let is_login = (method.as_str(), path.as_str()) == ("POST", "/api/v1/session");
        let open = is_login || ["/healthz", "/readyz"].contains(&path.as_str());
        let request = format!("{method} {}", filled(&path));
        for nobody in ["Authorization: Basic eDp5", "Authorization: Bearer mw_wrong"] {
            let got = client.send(&request, &[nobody, &media(&entry)], Body::empty()).await;
            assert_eq!(got.status.as_u16() == 401, !open, "{request}: {}", got.status);
            if !open {
                assert!(got.header("www-authenticate").starts_with("Bearer"), "{request}");
                assert_eq!(got.body["status"], 401);
            }
        }
    }
}

#[tokio::test]
async fn every_operation_with_a_scope_refuses_a_token_without_it() {
    let client = Client::new().await;
    let given = client.post("tokens", json!({"name": "none", "scopes": ["leases:read"]})).await.ok();
    let bearer = format!("Authorization: Bearer {}", given["token"].as_str().unwrap());
    let mut refused = 0;
    for (method, path, entry) in CONTRACT.operations() {
        let Some(scope) = entry["x-scope"].as_str().filter(|scope| *scope != "leases:read") else { continue };
        let request = format!("{method} {}", filled(&path));
        let got = client.send(&request, &[&bearer, &media(&entry)], Body::empty()).await;
        assert!(got.refused(403).contains(scope), "{request}");
        refused += 1;
    }
    assert!(refused > 60, "{refused}");
}

#[tokio::test]
async fn an_unknown_path_and_a_wrong_method_are_problems_and_need_a_token_too() {
    let client = Client::new().await;
    let nobody = "Authorization: Bearer mw_wrong";
    client.send("GET /api/v1/machine", &[nobody], Body::empty()).await.refused(401);
    let got = client.send("GET /api/v1/machine", &[], Body::empty()).await;
    assert!(got.refused(404).contains("openapi.yaml"));
    assert_eq!(got.header("content-type"), "application/problem+json");
    client.send("DELETE /api/v1/machines", &[nobody], Body::empty()).await.refused(401);
    let got = client.send("DELETE /api/v1/machines", &[], Body::empty()).await;
    assert!(got.refused(405).contains("does not take DELETE"));
    assert!(got.header("allow").contains("POST"), "{:?}", got.headers);
}

#[tokio::test]
async fn options_tell_what_a_path_takes() {
    let client = Client::new().await;
    let got = client.send("OPTIONS /api/v1/machines/x", &[], Body::empty()).await;
    assert_eq!((got.status.as_u16(), got.header("allow")), (204, "GET, PUT, PATCH, DELETE, HEAD, OPTIONS"));
}

#[tokio::test]
async fn the_text_of_a_token_is_shown_once_and_a_deleted_token_is_refused() {
    let client = Client::new().await;
    let made = client.post("tokens", json!({"name": "ci", "scopes": ["machines:read"]})).await;
    assert_eq!(made.header("location"), "/api/v1/tokens/ci");
    let bearer = format!("Authorization: Bearer {}", made.ok()["token"].as_str().unwrap());
    let listed = client.get("tokens").await.ok().to_string();
    assert!(!listed.contains("sha256") && !listed.contains("mw_"), "{listed}");
    let events = client.get("events").await.ok().to_string();
    assert!(!events.contains("sha256") && !events.contains("mw_"), "{events}");
    client.send("GET /api/v1/machines", &[&bearer], Body::empty()).await.ok();
    assert_eq!(client.delete("tokens/ci").await.status.as_u16(), 204);
    client.send("GET /api/v1/machines", &[&bearer], Body::empty()).await.refused(401);
}

#[tokio::test]
async fn health_needs_nobody_and_tells_nothing() {
    let client = Client::new().await;
    for path in ["/healthz", "/readyz"] {
        let got = client.send(&format!("GET {path}"), &["Authorization: none"], Body::empty()).await;
        assert_eq!(got.ok(), json!({"status": "ok"}));
    }
}

#[tokio::test]
async fn metrics_count_requests_and_objects() {
    let client = Client::new().await;
    client.machine("web1").await;
    client.get("machines/none").await.refused(404);
    let text = client.send("GET /metrics", &[], Body::empty()).await.body.to_string();
    for line in ["metalwright_objects{noun=\\\"machine\\\"} 1", "requests_total{status=\\\"4xx\\\"} 1"] {
        assert!(text.contains(line), "{line} in {text}");
    }
}
