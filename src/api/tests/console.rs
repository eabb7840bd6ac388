//! Tests of the console's files beside the API.

use super::*;

#[tokio::test]
async fn the_console_needs_no_token_and_the_api_beside_it_does() {
    let client = Client::new().await;
    let nobody = ["Authorization: Bearer mw_wrong"];
    for path in ["/console/", "/console/machines/web1", "/console/settings/tokens"] {
        let got = client.send(&format!("GET {path}"), &nobody, "").await;
        let text = got.body.as_str().unwrap_or_default().to_owned();
        assert!(got.status == 200 && text.starts_with("<!doctype html>"), "{path}: {} {text}", got.status);
        assert!(got.header("content-security-policy").contains("script-src 'self'"), "{path}");
        assert!(!got.header("x-request-id").is_empty(), "{path}");
    }
    client.send("GET /console", &nobody, "").await;
    client.send("GET /api/v1/machines", &nobody, "").await.refused(401);
    client.send("GET /consoles", &nobody, "").await.refused(401);
}

#[tokio::test]
async fn a_browser_at_the_root_gets_to_the_console_and_a_program_a_problem() {
    let client = Client::new().await;
    let got = client.send("GET /", &["Accept: text/html"], "").await;
    assert_eq!((got.status.as_u16(), got.header("location")), (307, "/console/"));
    client.send("GET /", &[], "").await.refused(404);
    client.send("GET /", &["Authorization: Bearer mw_wrong"], "").await.refused(401);
}

#[tokio::test]
async fn a_write_to_the_console_is_refused_as_a_problem() {
    let client = Client::new().await;
    for method in ["POST", "PUT", "DELETE"] {
        let got = client.send(&format!("{method} /console/"), &[], "").await;
        assert!(got.refused(405).contains("GET and HEAD"), "{method}");
        assert_eq!((got.header("allow"), &got.body["code"]), ("GET, HEAD", &json!("method_not_allowed")));
    }
}

#[tokio::test]
async fn an_answer_of_the_api_is_neither_kept_nor_shown_as_a_page() {
    let client = Client::new().await;
    for path in ["/api/v1/machines", "/api/v1/none", "/openapi.yaml", "/healthz"] {
        let got = client.send(&format!("GET {path}"), &[], "").await;
        assert_eq!(got.header("cache-control"), "no-store", "{path}");
        assert_eq!(got.header("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(got.header("cross-origin-resource-policy"), "same-origin", "{path}");
        assert!(got.header("content-security-policy").starts_with("default-src 'none'"), "{path}");
    }
}
