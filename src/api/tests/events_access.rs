//! Tests of which events a token may read.

use super::*;

/// The same server with another token.
async fn with_scopes(client: &Client, scopes: &[&str]) -> Client {
    let name = scopes.join("-").replace([':', '*'], "x");
    let made = client.post("tokens", json!({"name": name, "scopes": scopes})).await.ok();
    let (houses, router) = (Arc::clone(&client.houses), client.router.clone());
    let token = made["token"].as_str().unwrap().to_owned();
    Client { houses, router, token, shutdown: client.shutdown.clone() }
}

/// Kinds and numbers on all pages of a history.
async fn history(client: &Client, query: &str) -> Vec<(String, u64)> {
    let (mut seen, mut next) = (Vec::new(), json!(0));
    while !next.is_null() {
        let page = client.get(&format!("events?limit=2&after={next}{query}")).await.ok();
        let items = page["items"].as_array().unwrap();
        let told =
            |event: &Value| (event["kind"].as_str().unwrap().to_owned(), event["seq"].as_u64().unwrap());
        seen.extend(items.iter().map(told));
        next = page["next"].clone();
    }
    seen
}

#[tokio::test]
async fn a_token_sees_events_about_objects_that_it_may_read_and_no_others() {
    let client = Client::new().await;
    for n in 0..5 {
        client.machine(&format!("web{n}")).await;
        client.post("profiles", json!({"name": format!("p{n}")})).await.ok();
    }
    let kinds = |seen: &[(String, u64)]| seen.iter().map(|(kind, _)| kind.clone()).collect::<Vec<_>>();
    let all = history(&client, "").await;
    let events_alone = with_scopes(&client, &["events:read"]).await;
    assert_eq!(kinds(&history(&events_alone, "").await), [""; 0]);
    let of_profiles = with_scopes(&client, &["events:read", "profiles:write"]).await;
    let seen = history(&of_profiles, "").await;
    let expected: Vec<_> = all.iter().filter(|(kind, _)| kind.starts_with("profile.")).cloned().collect();
    assert_eq!((seen.len(), &seen), (5, &expected), "pages neither lose nor repeat");
    let reads_all = with_scopes(&client, &["*:read"]).await;
    let later = history(&client, "").await;
    assert_eq!(history(&reads_all, "").await, later);
    let newest = of_profiles.get("events?order=newest&limit=1").await.ok();
    assert_eq!(newest["items"][0]["subject"], "profile:p4");
    let hidden = of_profiles.get("events?kind=machine.*").await.ok();
    assert_eq!((&hidden["items"], &hidden["next"]), (&json!([]), &Value::Null));
}

#[tokio::test]
async fn a_filter_of_kinds_that_are_not_there_is_refused_with_those_that_are_near() {
    let client = Client::new().await;
    let refused = client.get("events?kind=machine.update").await.refused(400);
    assert!(refused.contains("did you mean `machine.updated`?"), "{refused}");
    let refused = client.get("events/stream?kind=dhcp.lost").await.refused(400);
    assert!(refused.contains("dhcp.leased"), "{refused}");
    client.get("events?kind=dhcp.*").await.ok();
}
