//! Tests of sessions of browsers: logging in, and what a cookie may and may not do.

use super::*;
use crate::api::session_cookie::NAME;

pub const JSON: &str = "Content-Type: application/json";
/// What a page of this server makes a browser send.
pub const OWN_PAGE: &str = "Sec-Fetch-Site: same-origin";
const HOST: &str = "Host: boot.example:8443";

/// A server, and a browser without a token.
pub struct Browser {
    pub client: Client,
    /// The line `Cookie: …` of the session.
    pub cookie: String,
}

impl Browser {
    /// A browser that logged in with the administrator's token.
    pub async fn new() -> Self {
        let client = Client::new().await;
        let token = client.token.clone();
        let got = log_in(&client, &token, &[OWN_PAGE]).await;
        let cookie = cookie_of(&got);
        Browser { client, cookie }
    }

    /// Sends a request with the cookie, and without a token.
    pub async fn send(&self, request: &str, headers: &[&str], body: &str) -> Got {
        let headers: Vec<&str> = headers.iter().copied().chain([self.cookie.as_str(), HOST]).collect();
        send(&self.client, request, &headers, body).await
    }

    pub async fn get(&self, path: &str) -> Got {
        self.send(&format!("GET /api/v1/{path}"), &[OWN_PAGE], "").await
    }
}

/// Sends a request without a token.
pub async fn send(client: &Client, request: &str, headers: &[&str], body: &str) -> Got {
    let nobody = Client {
        houses: Arc::clone(&client.houses),
        router: client.router.clone(),
        token: String::new(),
        shutdown: client.shutdown.clone(),
    };
    nobody.send(request, headers, body.to_owned()).await
}

pub async fn log_in(client: &Client, token: &str, headers: &[&str]) -> Got {
    let headers: Vec<&str> = headers.iter().copied().chain([JSON, HOST]).collect();
    send(client, "POST /api/v1/session", &headers, &json!({"token": token}).to_string()).await
}

/// The line `Cookie: …` that a browser sends after this answer.
pub fn cookie_of(got: &Got) -> String {
    assert_eq!(got.status, 201, "{}", got.body);
    format!("Cookie: {}", got.header("set-cookie").split(';').next().unwrap())
}

#[tokio::test]
async fn a_browser_logs_in_with_a_token_and_may_what_the_token_may() {
    let client = Client::new().await;
    let made = client.post("tokens", json!({"name": "reader", "scopes": ["machines:read"]})).await.ok();
    let token = made["token"].as_str().unwrap();
    let got = log_in(&client, token, &[OWN_PAGE, "User-Agent: Test/1"]).await;
    let line = got.header("set-cookie").to_owned();
    for word in ["HttpOnly", "Secure", "SameSite=Strict", "Path=/", "Max-Age=604"] {
        assert!(line.contains(word), "{line}");
    }
    assert!(!got.body.to_string().contains(&line[NAME.len()..][..20]), "a script never sees the cookie");
    assert_eq!((&got.body["name"], &got.body["scopes"]), (&json!("reader"), &json!(["machines:read"])));
    let browser = Browser { cookie: cookie_of(&got), client };
    browser.get("machines").await.ok();
    assert!(browser.get("profiles").await.refused(403).contains("profiles:read"));
    let write = browser.send("POST /api/v1/machines", &[OWN_PAGE, JSON], r#"{"name": "web1"}"#).await;
    assert!(write.refused(403).contains("machines:write"));
    let present = browser.get("session").await.ok();
    assert_eq!((&present["name"], &present["id"]), (&json!("reader"), &got.body["id"]));
    assert_eq!(present["server"]["version"], env!("CARGO_PKG_VERSION"));
    for field in ["time", "zone", "name"] {
        assert!(present["server"][field].as_str().is_some_and(|text| !text.is_empty()), "{present}");
    }
}

#[tokio::test]
async fn what_a_session_does_is_noted_as_its_tokens_doing() {
    let browser = Browser::new().await;
    browser.send("POST /api/v1/profiles", &[OWN_PAGE, JSON], r#"{"name": "base"}"#).await.ok();
    let events = browser.get("events?kind=profile.created").await.ok();
    assert_eq!(events["items"][0]["actor"], "token:admin");
    let began = browser.get("events?kind=session.began").await.ok();
    assert_eq!(
        (&began["items"][0]["actor"], &began["items"][0]["data"]["token"]),
        (&json!("token:admin"), &json!("admin"))
    );
    let whole = browser.get("events").await.ok().to_string();
    let value = browser.cookie.split('=').nth(1).unwrap();
    assert!(!whole.contains(value), "the cookie is in no event");
    assert!(!browser.get("sessions").await.ok().to_string().contains("sha256"), "nor its digest in a list");
}

#[tokio::test]
async fn a_cookie_does_nothing_in_a_request_of_another_page() {
    let browser = Browser::new().await;
    let body = r#"{"name": "base"}"#;
    for foreign in [
        &["Sec-Fetch-Site: cross-site"][..],
        &["Sec-Fetch-Site: same-site"],
        &["Sec-Fetch-Site: none"],
        &["Sec-Fetch-Site: cross-site", "Origin: https://boot.example:8443"],
        &["Origin: https://evil.example"],
        &["Origin: http://boot.example:8443"],
        &["Origin: null"],
        &[],
        &["X-Requested-With: XMLHttpRequest"],
    ] {
        for media in [JSON, "Content-Type: text/plain"] {
            let headers: Vec<&str> = foreign.iter().copied().chain([media]).collect();
            let got = browser.send("POST /api/v1/profiles", &headers, body).await;
            got.refused(403);
            assert_eq!(got.body["code"], "foreign_page", "{headers:?}");
            let got = browser.send("DELETE /api/v1/session", &headers, "").await;
            got.refused(403);
        }
    }
    assert!(
        !browser.client.get("profiles").await.ok().to_string().contains("\"base\""),
        "nothing was written"
    );
    for reading in ["Sec-Fetch-Site: cross-site", "Sec-Fetch-Site: same-site", "Origin: https://evil.example"]
    {
        browser.send("GET /api/v1/machines", &[reading], "").await.refused(403);
    }
    browser.send("GET /api/v1/machines", &["Sec-Fetch-Site: none"], "").await.ok();
    browser.send("POST /api/v1/profiles", &["Origin: https://boot.example:8443", JSON], body).await.ok();
}

#[tokio::test]
async fn a_page_of_another_site_cannot_log_a_browser_in() {
    let client = Client::new().await;
    let token = client.token.clone();
    for foreign in ["Sec-Fetch-Site: cross-site", "Sec-Fetch-Site: same-site", "Origin: https://evil.example"]
    {
        let got = log_in(&client, &token, &[foreign]).await;
        got.refused(403);
        assert_eq!(got.header("set-cookie"), "", "{foreign}");
    }
    log_in(&client, &token, &[]).await.ok();
}

#[tokio::test]
async fn a_token_beside_a_cookie_decides_alone() {
    let browser = Browser::new().await;
    let reader = json!({"name": "reader", "scopes": ["machines:read"]});
    let made = browser.client.post("tokens", reader).await.ok();
    let bearer = format!("Authorization: Bearer {}", made["token"].as_str().unwrap());
    let present = browser.send("GET /api/v1/session", &[&bearer], "").await.ok();
    assert_eq!((&present["name"], &present["id"]), (&json!("reader"), &Value::Null));
    browser.send("GET /api/v1/profiles", &[&bearer, OWN_PAGE], "").await.refused(403);
    let wrong = browser.send("GET /api/v1/machines", &["Authorization: Bearer mw_no", OWN_PAGE], "").await;
    wrong.refused(401);
    // A page cannot add the token of somebody else, so its origin does not matter.
    browser.send("GET /api/v1/machines", &[&bearer, "Sec-Fetch-Site: cross-site"], "").await.ok();
    browser.send("DELETE /api/v1/session", &[&bearer], "").await.refused(409);
    browser.get("machines").await.ok();
}

#[tokio::test]
async fn a_cookie_that_is_none_of_ours_is_refused() {
    let browser = Browser::new().await;
    let value = browser.cookie.split_once('=').unwrap().1.to_owned();
    let long = format!("Cookie: {NAME}={}", "x".repeat(5000));
    for cookie in [
        format!("Cookie: metalwright_session={value}"),
        format!("Cookie: {NAME}={}", &value[1..]),
        format!("Cookie: {NAME}={value}x"),
        format!("Cookie: {NAME}={}", browser.client.token),
        format!("Cookie: {NAME}=; x=1"),
        format!("Cookie: {NAME}={value}; {NAME}={value}"),
        long,
    ] {
        let got = send(&browser.client, "GET /api/v1/machines", &[&cookie, OWN_PAGE], "").await;
        got.refused(401);
    }
    let among = format!("Cookie: a=b; theme=\"dark\"; {}; z", browser.cookie.split_once(' ').unwrap().1);
    let got = send_plain(&browser.client, &[&among, OWN_PAGE]).await;
    assert_eq!(got, 200);
    let bearer = format!("Authorization: Bearer {value}");
    send(&browser.client, "GET /api/v1/machines", &[&bearer], "").await.refused(401);
}

/// The status of a request without an `Authorization` header.
pub async fn send_plain(client: &Client, headers: &[&str]) -> u16 {
    let mut request = Request::builder().uri("/api/v1/machines");
    for (name, value) in headers.iter().filter_map(|line| line.split_once(": ")) {
        request = request.header(name, value);
    }
    let response = client.router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    response.status().as_u16()
}

#[tokio::test]
async fn a_login_needs_a_valid_token_of_a_person() {
    let client = Client::new().await;
    let wrong = log_in(&client, "mw_wrong", &[]).await;
    assert_eq!((wrong.refused(401).is_empty(), &wrong.body["code"]), (false, &json!("token_unknown")));
    let ended = json!({"name": "old", "scopes": ["*:read"], "expires_at": "2026-01-01T00:00:00Z"});
    let ended = client.post("tokens", ended).await.ok()["token"].as_str().unwrap().to_owned();
    assert_eq!(log_in(&client, &ended, &[]).await.body["code"], "token_expired");
    let machine = client.machine("web1").await["id"].as_str().unwrap().to_owned();
    for scopes in [json!([format!("agent:{machine}")]), json!([format!("agent:{machine}"), "machines:read"])]
    {
        let name = format!("agent-{}", scopes.as_array().unwrap().len());
        let made = client.post("tokens", json!({"name": name, "scopes": scopes})).await.ok();
        let got = log_in(&client, made["token"].as_str().unwrap(), &[]).await;
        got.refused(403);
        assert_eq!((&got.body["code"], got.header("set-cookie")), (&json!("agent_token"), ""));
    }
    for body in ["", "{}", r#"{"token": ""}"#, r#"{"token": 5}"#, r#"{"token": "x", "more": 1}"#] {
        send(&client, "POST /api/v1/session", &[JSON], body).await.refused(422);
    }
    let large = json!({"token": "x".repeat(5000)}).to_string();
    send(&client, "POST /api/v1/session", &[JSON], &large).await.refused(413);
    send(&client, "POST /api/v1/session", &["Content-Type: text/plain"], "token=x").await.refused(415);
}

#[tokio::test]
async fn an_address_that_logs_in_too_often_has_to_wait() {
    let client = Client::new().await;
    let mut refused = None;
    for _ in 0..200 {
        let got = log_in(&client, "mw_wrong", &[]).await;
        if got.status == 429 {
            refused = Some(got);
            break;
        }
        got.refused(401);
    }
    let refused = refused.expect("no bound on logins");
    assert_eq!(refused.body["code"], "too_much");
    assert!(!refused.header("retry-after").is_empty());
    let page = client.send("GET /metrics", &[], "").await.ok();
    let page = page.as_str().unwrap();
    assert!(page.contains("metalwright_logins_total{result=\"limited\"} 1"), "{page}");
}
