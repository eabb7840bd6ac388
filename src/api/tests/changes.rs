//! Tests of changes: pages, streams, and how they fit with lists.

use std::collections::BTreeMap;

use futures_util::StreamExt;

use super::*;

/// The objects of the tested kinds, by kind and key, with the commits that wrote them.
type Objects = BTreeMap<(String, String), u64>;

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("{value} is no number"))
}

fn position(answer: &Value) -> String {
    format!("after={}&epoch={}", answer["commit"], answer["epoch"].as_str().unwrap())
}

/// Applies all changes after a position to a follower's objects; returns the position after them.
async fn follow(client: &Client, from: &str, objects: &mut Objects) -> String {
    let mut query = from.to_owned();
    loop {
        let page = client.get(&format!("changes?{query}&limit=3&kind=profile,param")).await.ok();
        for change in page["items"].as_array().unwrap() {
            let id = ["kind", "key"].map(|field| change[field].as_str().unwrap().to_owned());
            let [kind, key] = id;
            match change["what"].as_str().unwrap() {
                "written" => objects.insert((kind, key), number(&change["commit"])),
                _ => objects.remove(&(kind, key)),
            };
        }
        match page["next"].as_str() {
            Some(next) => query = format!("cursor={next}"),
            None => return position(&page),
        }
    }
}

async fn listed(client: &Client) -> Objects {
    let mut objects = Objects::new();
    for kind in ["profile", "param"] {
        let list = client.get(&format!("{kind}s?limit=1000")).await.ok();
        for item in list["items"].as_array().unwrap() {
            let name = item["name"].as_str().unwrap().to_owned();
            objects.insert((kind.to_owned(), name), number(&item["commit"]));
        }
    }
    objects
}

#[tokio::test]
async fn a_follower_of_random_writes_has_what_a_list_has() {
    let client = Client::new().await;
    let list = client.get("profiles").await.ok();
    let (mut from, mut objects) = (position(&list), listed(&client).await);
    let mut random = 2463534242_u32;
    for round in 0..30 {
        for _ in 0..6 {
            random ^= random << 13;
            random ^= random >> 17;
            random ^= random << 5;
            let (kind, name) = (["profiles", "params"][random as usize % 2], format!("x{}", random % 7));
            match random % 3 {
                0 => drop(client.delete(&format!("{kind}/{name}")).await),
                1 => drop(client.post(kind, json!({"name": name})).await),
                _ => drop(
                    client.merge(&format!("{kind}/{name}"), json!({"description": round.to_string()})).await,
                ),
            }
        }
        from = follow(&client, &from, &mut objects).await;
        assert_eq!(objects, listed(&client).await, "round {round}");
    }
}

#[tokio::test]
async fn a_change_is_told_once_with_its_last_commit_and_revision() {
    let client = Client::new().await;
    let before = client.get("profiles").await.ok();
    client.post("profiles", json!({"name": "a"})).await.ok();
    client.post("profiles", json!({"name": "b"})).await.ok();
    client.merge("profiles/a", json!({"description": "x"})).await.ok();
    client.delete("profiles/b").await.ok();
    let changes = client.get(&format!("changes?{}", position(&before))).await.ok();
    let first = number(&before["commit"]);
    let expected = json!([
        {"commit": first + 3, "kind": "profile", "key": "a", "revision": 2, "what": "written"},
        {"commit": first + 4, "kind": "profile", "key": "b", "revision": 1, "what": "deleted"},
    ]);
    assert_eq!((&changes["items"], number(&changes["commit"])), (&expected, first + 4));
    assert_eq!(changes["next"], Value::Null);
    let got = client.get("profiles/a").await;
    assert_eq!(got.body["commit"], first + 3);
    assert_eq!(got.header("metalwright-commit"), (first + 4).to_string());
    assert_eq!(got.header("metalwright-epoch"), changes["epoch"].as_str().unwrap());
    let now = client.get("changes").await.ok();
    assert_eq!((&now["items"], number(&now["commit"])), (&json!([]), first + 4));
}

#[tokio::test]
async fn every_read_says_which_commit_it_was_read_at() {
    let client = Client::new().await;
    client.machine("web1").await;
    let reads =
        ["machines", "machines?name=web1", "machines/name:web1", "machines/name:web1/timeline", "events"];
    for path in reads {
        let got = client.get(path).await;
        assert!(got.status.is_success(), "{path}: {}", got.body);
        let commit: u64 = got.header("metalwright-commit").parse().unwrap();
        assert_eq!(commit, client.houses.kernel.commit_counts().0, "{path}");
        assert_eq!(got.header("metalwright-epoch").len(), 36, "{path}");
    }
    let made = client.post("machines", json!({"name": "web2"})).await;
    assert_eq!(made.header("metalwright-commit"), made.body["commit"].to_string());
    let list = client.get("machines?sort=-commit&fields=name,commit").await.ok();
    assert_eq!(list["items"][0]["name"], "web2");
    assert_eq!(list["items"][0]["commit"], list["commit"]);
}

#[tokio::test]
async fn a_number_that_says_nothing_of_this_database_is_410_read_again() {
    let client = Client::new().await;
    let commit = client.houses.kernel.commit_counts().0;
    for path in [
        format!("changes?after={}", commit + 1),
        format!("changes?after={commit}&epoch={}", uuid::Uuid::new_v4()),
        "changes?after=0".to_owned(),
        format!("changes/stream?after={}", commit + 1),
    ] {
        let text = client.get(&path).await.refused(410);
        assert!(text.contains("urn:metalwright:problem:read_again"), "{text}");
    }
    for path in
        ["changes?after=x", "changes?kind=machines", "changes?cursor=1", "changes?epoch=1", "changes?limit=0"]
    {
        client.get(path).await.refused(400);
    }
}

#[tokio::test]
async fn changes_of_what_a_token_may_not_read_are_not_shown() {
    let client = Client::new().await;
    let before = position(&client.get("profiles").await.ok());
    let machine = client.machine("web1").await;
    client.machine("web2").await;
    client.post("profiles", json!({"name": "a"})).await.ok();
    let token = |name: &str, scope: &str| json!({"name": name, "scopes": [scope]});
    let agent = format!("agent:{}", machine["id"].as_str().unwrap());
    let seen = async |name: &str, scope: &str, query: &str| {
        let made = client.post("tokens", token(name, scope)).await.ok();
        let header = format!("Authorization: Bearer {}", made["token"].as_str().unwrap());
        client.send(&format!("GET /api/v1/changes?{before}{query}"), &[&header], Body::empty()).await
    };
    let keys = |got: Got| -> Vec<String> {
        let items = got.ok()["items"].take();
        let items = items.as_array().unwrap().iter();
        items.map(|item| item["key"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(keys(seen("profiles", "profiles:read", "").await), ["a"]);
    assert_eq!(keys(seen("own", &agent, "").await), [machine["id"].as_str().unwrap()]);
    assert_eq!(keys(seen("tokens", "tokens:read", "").await).last().unwrap(), "tokens");
    assert_eq!(keys(seen("none", "events:read", "").await), [""; 0]);
    assert_eq!(keys(seen("one", "*", "&kind=profile").await), ["a"]);
    let text = seen("other", "profiles:read", "&kind=machine").await.refused(403);
    assert!(text.contains("machines:read"), "{text}");
}

/// The messages of a stream, up to one that contains a text.
async fn read_until(client: &Client, query: &str, headers: &[&str], end: &str) -> String {
    let mut request = Request::builder().uri(format!("/api/v1/changes/stream{query}"));
    request = request.header(AUTHORIZATION, format!("Bearer {}", client.token));
    for (name, value) in headers.iter().filter_map(|line| line.split_once(": ")) {
        request = request.header(name, value);
    }
    let response = client.router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    assert_eq!(response.headers()[CONTENT_TYPE], "text/event-stream");
    let (mut text, mut body) = (String::new(), response.into_body().into_data_stream());
    while !text.split(end).nth(1).is_some_and(|rest| rest.contains("event: position")) {
        let piece = body.next().await.expect("the stream goes on").unwrap();
        text.push_str(std::str::from_utf8(&piece).unwrap());
    }
    text
}

fn keys(text: &str) -> Vec<&str> {
    text.lines().filter_map(|line| line.split("\"key\":\"").nth(1)?.split('"').next()).collect()
}

#[tokio::test]
async fn a_stream_of_changes_resumes_after_its_last_position() {
    let client = Client::new().await;
    let write = async |names: &[&str]| {
        for name in names {
            client.post("profiles", json!({"name": name})).await.ok();
        }
    };
    let (text, ()) = tokio::join!(read_until(&client, "?kind=profile", &[], "\"b\""), write(&["a", "b"]));
    assert_eq!(keys(&text), ["a", "b"], "{text}");
    let last = text.lines().filter_map(|line| line.strip_prefix("id: ")).next_back().unwrap();
    assert!(last.contains('@'), "{text}");
    write(&["c"]).await;
    client.machine("unseen").await;
    let resume = format!("Last-Event-ID: {last}");
    let headers = [resume.as_str()];
    let (text, ()) = tokio::join!(read_until(&client, "?kind=profile", &headers, "\"d\""), write(&["d"]));
    assert_eq!(keys(&text), ["c", "d"], "{text}");
    assert!(text.starts_with("event: position"), "{text}");
    let got = client.send("GET /api/v1/changes/stream", &["Last-Event-ID: x"], Body::empty()).await;
    got.refused(400);
}
