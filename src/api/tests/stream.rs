//! Tests of histories, timelines and streams of events.

use super::*;
use futures_util::StreamExt;

#[tokio::test]
async fn history_is_paged_by_number_and_narrowed_by_kind() {
    let client = Client::new().await;
    for name in ["a", "b", "c"] {
        client.post("profiles", json!({"name": name})).await.ok();
    }
    let first = client.get("events?kind=profile.*&limit=2").await.ok();
    assert_eq!(first["items"].as_array().unwrap().len(), 2);
    let next = first["next"].as_u64().unwrap();
    let rest = client.get(&format!("events?kind=profile.created&after={next}")).await.ok();
    assert_eq!((&rest["items"][0]["subject"], &rest["next"]), (&json!("profile:c"), &Value::Null));
    let newest = client.get("events?order=newest&limit=1").await.ok();
    assert_eq!(newest["items"][0]["subject"], "profile:c");
    let earlier = client.get(&format!("events?order=newest&limit=1&before={}", newest["next"])).await.ok();
    assert_eq!(earlier["items"][0]["subject"], "profile:b");
    client.get("events?limit=0").await.refused(400);
}

#[tokio::test]
async fn a_timeline_is_found_by_the_name_of_the_machine() {
    let client = Client::new().await;
    client.machine("web1").await;
    client.merge("machines/name:web1", json!({"serial": "S"})).await.ok();
    let page = client.get("machines/name:web1/timeline?limit=1").await.ok();
    assert_eq!(page["items"][0]["kind"], "machine.created");
    let rest = client.get(&format!("machines/name:web1/timeline?after={}", page["next"])).await.ok();
    assert_eq!(rest["items"][0]["kind"], "machine.updated");
    client.get("machines/name:none/timeline").await.refused(404);
}

/// Reads a stream until it ends.
async fn read_all(client: &Client, query: &str, headers: &[&str]) -> String {
    let mut request = Request::builder().uri(format!("/api/v1/events/stream{query}"));
    request = request.header(AUTHORIZATION, format!("Bearer {}", client.token));
    for (name, value) in headers.iter().filter_map(|line| line.split_once(": ")) {
        request = request.header(name, value);
    }
    let response = client.router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    assert_eq!(response.headers()[CONTENT_TYPE], "text/event-stream");
    let mut text = String::new();
    let mut body = response.into_body().into_data_stream();
    while let Some(piece) = body.next().await {
        text.push_str(std::str::from_utf8(&piece.unwrap()).unwrap());
        if text.contains("profile:last") {
            client.shutdown.cancel();
        }
    }
    text
}

#[tokio::test]
async fn a_stream_resumes_after_the_last_event_and_ends_when_the_server_stops() {
    let client = Client::new().await;
    for name in ["a", "b"] {
        client.post("profiles", json!({"name": name})).await.ok();
    }
    let seen = client.houses.kernel.last_event() - 1;
    let resume = format!("Last-Event-ID: {seen}");
    let headers = [resume.as_str()];
    let write = async {
        client.machine("web1").await;
        client.post("profiles", json!({"name": "last"})).await.ok();
    };
    let (text, ()) = tokio::join!(read_all(&client, "?kind=profile.*", &headers), write);
    let subjects: Vec<&str> =
        text.lines().filter_map(|line| line.split("\"subject\":\"").nth(1)?.split('"').next()).collect();
    assert_eq!(subjects, ["profile:b", "profile:last"], "{text}");
    assert!(text.contains(&format!("id: {}", seen + 1)), "{text}");
}

#[tokio::test]
async fn a_stream_has_only_what_the_token_may_read() {
    let client = Client::new().await;
    let scopes = json!({"name": "profiles", "scopes": ["events:read", "profiles:read"]});
    let made = client.post("tokens", scopes).await.ok();
    client.machine("web1").await;
    for name in ["a", "last"] {
        client.post("profiles", json!({"name": name})).await.ok();
    }
    let client = Client { token: made["token"].as_str().unwrap().to_owned(), ..client };
    let text = read_all(&client, "?after=0", &[]).await;
    assert!(text.contains("profile:a") && !text.contains("machine"), "{text}");
}

#[tokio::test]
async fn a_slow_reader_misses_nothing() {
    let client = Client::new().await;
    let wanted = 600;
    for i in 0..wanted {
        client.post("profiles", json!({"name": format!("p{i}")})).await.ok();
    }
    client.post("profiles", json!({"name": "last"})).await.ok();
    let text = read_all(&client, "?after=0&kind=profile.created", &[]).await;
    assert_eq!(text.matches("profile.created").count(), wanted + 1);
}

#[tokio::test]
async fn a_stream_begins_now_and_refuses_a_last_event_that_is_none() {
    let client = Client::new().await;
    client.post("profiles", json!({"name": "before"})).await.ok();
    let write = async { client.post("profiles", json!({"name": "last"})).await.ok() };
    let (text, _) = tokio::join!(read_all(&client, "", &[]), write);
    assert!(!text.contains("profile:before"), "{text}");
    let got = client.send("GET /api/v1/events/stream", &["Last-Event-ID: x"], Body::empty()).await;
    got.refused(400);
}

#[tokio::test]
async fn a_token_has_so_many_streams_and_another_token_gets_one_then() {
    let client = Client::new().await;
    let made = client.post("tokens", json!({"name": "other", "scopes": ["events:read"]})).await.ok();
    let open = async |token: &str| {
        let request = Request::builder().uri("/api/v1/events/stream");
        let request = request.header(AUTHORIZATION, format!("Bearer {token}")).body(Body::empty());
        client.router.clone().oneshot(request.unwrap()).await.unwrap()
    };
    let mut streams = Vec::new();
    for _ in 0..64 {
        let stream = open(&client.token).await;
        assert_eq!(stream.status(), StatusCode::OK);
        streams.push(stream);
    }
    assert_eq!(open(&client.token).await.status(), StatusCode::SERVICE_UNAVAILABLE);
    let other = made["token"].as_str().unwrap();
    assert_eq!(open(other).await.status(), StatusCode::OK);
    streams.pop();
    assert_eq!(open(&client.token).await.status(), StatusCode::OK);
}
