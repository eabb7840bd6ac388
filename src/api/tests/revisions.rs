//! Tests of the two revisions: that of what people write, and that of what the server writes.

use jiff::Timestamp;

use super::*;
use crate::model::Machine;

const ROUNDS: usize = 40;

/// Does what an agent's poll does.
async fn poll(client: &Client, id: &str) {
    let now = Timestamp::now();
    let seen = client.houses.kernel.change::<Machine>(id, now, |machine| {
        machine.status.last_seen = Some(now);
        machine.status.cursor += 1;
        Ok(Vec::new())
    });
    seen.await.unwrap();
}

async fn rename(client: &Client, serial: &str, revision: &Value) -> Got {
    let tag = format!("If-Match: \"{revision}\"");
    let headers = ["Content-Type: application/merge-patch+json", &tag];
    let body = json!({"serial": serial}).to_string();
    client.send("PATCH /api/v1/machines/name:web1", &headers, body).await
}

#[tokio::test]
async fn a_write_of_the_status_is_no_new_revision() {
    let client = Client::new().await;
    let made = client.machine("web1").await;
    assert_eq!((&made["status_revision"], &made["status_updated_at"]), (&json!(0), &Value::Null));
    poll(&client, made["id"].as_str().unwrap()).await;
    let got = client.get("machines/name:web1").await;
    assert_eq!(got.header("etag"), "\"1\"");
    let polled = got.ok();
    for field in ["revision", "updated_at", "created_at"] {
        assert_eq!(polled[field], made[field], "{field}");
    }
    assert_eq!(polled["status_revision"], 1);
    assert!(polled["status_updated_at"].is_string() && polled["commit"].as_u64() > made["commit"].as_u64());
    let renamed = rename(&client, "A", &json!(1)).await.ok();
    assert_eq!((&renamed["revision"], &renamed["status_revision"]), (&json!(2), &json!(1)));
    assert_eq!(renamed["status_updated_at"], polled["status_updated_at"]);
    rename(&client, "B", &json!(1)).await.refused(412);
    // The revision does not cover the status.
    let got = client.send("GET /api/v1/machines/name:web1", &["If-None-Match: \"2\""], Body::empty()).await;
    assert_eq!(got.ok()["serial"], "A");
    let changed = client.merge("machines/name:web1", json!({"status_revision": 7})).await.refused(422);
    assert!(changed.contains("`status_revision` is read-only"), "{changed}");
    let listed = client.get("machines?status_revision=1&sort=-status_updated_at").await.ok();
    assert_eq!(listed["total"], 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_patch_and_polls_at_the_same_moment_lose_neither() {
    let client = Client::new().await;
    let made = client.machine("web1").await;
    let id = made["id"].as_str().unwrap();
    for round in 1..=ROUNDS {
        let (serial, revision) = (format!("S{round}"), json!(round));
        let patch = rename(&client, &serial, &revision);
        let (patched, (), ()) = tokio::join!(patch, poll(&client, id), poll(&client, id));
        assert_eq!(patched.ok()["serial"], json!(serial), "nobody else edited");
        let now = client.get("machines/name:web1").await.ok();
        assert_eq!((&now["serial"], &now["revision"]), (&json!(serial), &json!(round + 1)));
        assert_eq!(now["status_revision"], json!(2 * round));
    }
    let machine = client.houses.kernel.get::<Machine>(id).unwrap();
    assert_eq!(machine.status.cursor as usize, 2 * ROUNDS, "no poll is lost");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_two_people_who_edit_one_revision_one_is_refused() {
    let client = Client::new().await;
    let made = client.machine("web1").await;
    let id = made["id"].as_str().unwrap();
    for round in 1..=ROUNDS {
        let (one, other) = (format!("A{round}"), format!("B{round}"));
        let revision = json!(round);
        let (first, second, ()) = tokio::join!(
            rename(&client, &one, &revision),
            rename(&client, &other, &revision),
            poll(&client, id)
        );
        let mut statuses = [first.status.as_u16(), second.status.as_u16()];
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 412], "round {round}");
        let winner = if first.status.is_success() { one } else { other };
        assert_eq!(client.get("machines/name:web1").await.ok()["serial"], json!(winner));
    }
}
