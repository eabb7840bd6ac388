//! Tests of how sessions end, and that nothing of them is left then.

use std::time::Duration;

use futures_util::StreamExt as _;
use jiff::{SignedDuration, Timestamp};
use tokio::sync::Notify;

use super::sessions::{Browser, OWN_PAGE, cookie_of, log_in, send_plain};
use super::*;
use crate::access::sessions::SESSIONS_OF_TOKEN_MAX;
use crate::model::{SESSION_IDLE_MAX, Token};
use crate::objects::write::{ExpectedRevision, WriteTarget};

/// Why sessions ended, oldest first.
async fn ends(client: &Client) -> Vec<String> {
    let events = client.get("events?kind=session.ended").await.ok();
    let whys = events["items"].as_array().unwrap().iter().map(|event| event["data"]["why"].as_str().unwrap());
    whys.map(str::to_owned).collect()
}

#[tokio::test]
async fn a_cookie_that_was_stolen_is_worth_nothing_after_the_logout() {
    let browser = Browser::new().await;
    let got = browser.send("DELETE /api/v1/session", &[OWN_PAGE], "").await;
    assert!(got.status == 204 && got.header("set-cookie").contains("Max-Age=0"), "{got:?}");
    let again = browser.get("machines").await;
    again.refused(401);
    assert_eq!(again.body["code"], "session_unknown");
    assert_eq!(browser.client.get("sessions").await.ok()["total"], 0);
    assert_eq!(ends(&browser.client).await, ["logged_out"]);
}

#[tokio::test]
async fn a_session_ends_with_its_token_and_not_with_another_of_the_name() {
    let client = Client::new().await;
    let reader = json!({"name": "reader", "scopes": ["machines:read"]});
    let made = client.post("tokens", reader.clone()).await.ok();
    let got = log_in(&client, made["token"].as_str().unwrap(), &[OWN_PAGE]).await;
    let cookie = cookie_of(&got);
    assert_eq!(send_plain(&client, &[&cookie]).await, 200);
    client.delete("tokens/reader").await.ok();
    assert_eq!(send_plain(&client, &[&cookie]).await, 401);
    client.post("tokens", reader).await.ok();
    assert_eq!(send_plain(&client, &[&cookie]).await, 401, "another token has the name now");
    assert_eq!(client.get("sessions").await.ok()["total"], 0);
    assert_eq!(ends(&client).await, ["token_deleted"]);
}

#[tokio::test]
async fn an_operator_sees_the_sessions_and_ends_one() {
    let browser = Browser::new().await;
    let client = &browser.client;
    let list = client.get("sessions?token=admin").await.ok();
    let id = list["items"][0]["id"].as_str().unwrap().to_owned();
    let reader = client.post("tokens", json!({"name": "r", "scopes": ["sessions:read"]})).await.ok();
    let reader = format!("Authorization: Bearer {}", reader["token"].as_str().unwrap());
    client.send(&format!("DELETE /api/v1/sessions/{id}"), &[&reader], "").await.refused(403);
    client.delete("sessions/0192d4a0-0000-7000-8000-000000000001").await.refused(404);
    let stale = client.send(&format!("DELETE /api/v1/sessions/{id}"), &["If-Match: \"9\""], "").await;
    stale.refused(412);
    for dry_run in [true, false] {
        let body =
            json!({"kind": "session", "verb": "delete", "filter": ["browser=none"], "dry_run": dry_run});
        client.post("bulk", body).await.ok();
    }
    browser.get("machines").await.ok();
    client.delete(&format!("sessions/{id}")).await.ok();
    browser.get("machines").await.refused(401);
    assert_eq!(ends(client).await, ["by_operator"]);
    client.post("sessions", json!({"token": "admin"})).await.refused(405);
    client.put(&format!("sessions/{id}"), json!({"token": "admin"})).await.refused(405);
}

#[tokio::test]
async fn who_logs_in_anew_leaves_no_session_behind() {
    let browser = Browser::new().await;
    let token = browser.client.token.clone();
    let got = log_in(&browser.client, &token, &[OWN_PAGE, &browser.cookie]).await;
    assert_eq!(send_plain(&browser.client, &[&browser.cookie]).await, 401);
    assert_eq!(send_plain(&browser.client, &[&cookie_of(&got)]).await, 200);
    assert_eq!(ends(&browser.client).await, ["logged_in_anew"]);
}

#[tokio::test]
async fn a_token_has_so_many_sessions_and_then_the_oldest_ends() {
    let browser = Browser::new().await;
    let (client, access) = (&browser.client, &browser.client.houses.access);
    for second in 0..SESSIONS_OF_TOKEN_MAX as i64 {
        let login = crate::access::sessions::BrowserLogin {
            token: &client.token,
            now: Timestamp::now() + SignedDuration::from_secs(second),
            peer: None,
            browser: "",
            request_id: "",
        };
        access.begin_session(login).await.unwrap();
    }
    assert_eq!(client.get("sessions").await.ok()["total"], SESSIONS_OF_TOKEN_MAX);
    browser.get("machines").await.refused(401);
    assert_eq!(ends(client).await, ["too_many"]);
}

#[tokio::test]
async fn a_session_that_is_over_is_told_so_and_deleted() {
    let browser = Browser::new().await;
    let (client, access) = (&browser.client, &browser.client.houses.access);
    let cookie = browser.cookie.split_once('=').unwrap().1;
    let begun = Timestamp::now();
    let later = begun + SESSION_IDLE_MAX - SignedDuration::from_mins(1);
    let caller = access.sign_in_session(cookie, later).unwrap();
    access.note_session_use(&caller).await;
    let used = client.get("sessions").await.ok()["items"][0]["status"]["last_used_at"].clone();
    assert_eq!(used, json!(later));
    let idle = later + SESSION_IDLE_MAX;
    access.expire_sessions(idle - SignedDuration::from_mins(1)).await.unwrap();
    assert!(access.sign_in_session(cookie, idle - SignedDuration::from_mins(1)).is_ok());
    let refused = access.sign_in_session(cookie, idle).unwrap_err();
    assert!(refused.to_string().contains("log in again"), "{refused}");
    access.expire_sessions(idle).await.unwrap();
    assert_eq!(
        (client.get("sessions").await.ok()["total"].clone(), ends(client).await),
        (json!(0), vec!["idle".to_owned()])
    );
}

#[tokio::test]
async fn a_session_lasts_no_longer_than_its_token() {
    let client = Client::new().await;
    let ends_at = Timestamp::now() + SignedDuration::from_hours(2);
    let body = json!({"name": "short", "scopes": ["machines:read"], "expires_at": ends_at});
    let token = client.post("tokens", body).await.ok()["token"].as_str().unwrap().to_owned();
    let got = log_in(&client, &token, &[OWN_PAGE]).await;
    assert_eq!(got.body["expires_at"], json!(ends_at));
    let cookie = cookie_of(&got);
    let value = cookie.split_once('=').unwrap().1;
    assert!(client.houses.access.sign_in_session(value, ends_at).is_err());
    client.houses.access.expire_sessions(ends_at).await.unwrap();
    assert_eq!(ends(&client).await, ["expired"]);
}

/// The texts of a stream until it ends. Says so when the first message is there.
async fn read_to_the_end(client: &Client, path: &str, (cookie, begun): (&str, &Notify)) -> String {
    let request = Request::builder().uri(path);
    let (name, value) = cookie.split_once(": ").unwrap();
    let request = request.header(name, value).header("sec-fetch-site", "same-origin");
    let response = client.router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    assert_eq!(response.status(), 200);
    let (mut text, mut body) = (String::new(), response.into_body().into_data_stream());
    while let Some(piece) = body.next().await {
        text.push_str(std::str::from_utf8(&piece.unwrap()).unwrap());
        if text.contains("data:") {
            begun.notify_one();
        }
    }
    text
}

#[tokio::test]
async fn streams_take_the_cookie_and_end_with_the_session() {
    let browser = Browser::new().await;
    let (client, cookie) = (&browser.client, browser.cookie.as_str());
    let id = client.get("sessions").await.ok()["items"][0]["id"].as_str().unwrap().to_owned();
    client.post("profiles", json!({"name": "base"})).await.ok();
    let (events, changes) = (Notify::new(), Notify::new());
    let end = async {
        events.notified().await;
        changes.notified().await;
        // Nothing happens afterwards that a stream would be woken by.
        client.delete(&format!("sessions/{id}")).await.ok();
    };
    let ended = tokio::time::timeout(Duration::from_secs(30), async {
        tokio::join!(
            read_to_the_end(client, "/api/v1/events/stream?after=0&kind=profile.*", (cookie, &events)),
            read_to_the_end(client, "/api/v1/changes/stream?kind=profile", (cookie, &changes)),
            end
        )
    });
    let (text, ..) = ended.await.expect("a stream goes on without its session");
    assert!(text.contains("profile.created"), "{text}");
    assert_eq!(send_plain(client, &[cookie]).await, 401);
}

#[tokio::test]
async fn a_session_of_a_backup_does_not_come_back_to_life() {
    let browser = Browser::new().await;
    let kernel = &browser.client.houses.kernel;
    let changeset =
        kernel.read(|world| crate::access::sessions::end_of_all_sessions(world, Timestamp::now()));
    kernel.commit(changeset).await.unwrap();
    browser.get("machines").await.refused(401);
    assert_eq!(ends(&browser.client).await, ["restored"]);
    assert!(kernel.read(|world| world.sessions.is_empty()));
}

#[tokio::test]
async fn a_login_and_the_deletion_of_its_token_cannot_overtake_each_other() {
    let client = Client::new().await;
    let made = client.post("tokens", json!({"name": "reader", "scopes": ["machines:read"]})).await.ok();
    let target = WriteTarget { reference: "reader", expected: ExpectedRevision::Any };
    // It was decided while the token had no session.
    let deletion = client.houses.objects.prepare_delete::<Token>(&testing::caller(), &target).unwrap();
    let cookie = cookie_of(&log_in(&client, made["token"].as_str().unwrap(), &[]).await);
    assert!(client.houses.kernel.commit(deletion).await.is_err(), "the session would have stayed");
    client.delete("tokens/reader").await.ok();
    assert_eq!(send_plain(&client, &[&cookie]).await, 401);
    assert_eq!(client.get("sessions").await.ok()["total"], 0);
}
