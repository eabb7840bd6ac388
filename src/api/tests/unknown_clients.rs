//! Tests of the list of clients that are not registered.

use std::net::Ipv4Addr;

use jiff::Timestamp;

use super::*;
use crate::model::{Machine, MachineState, Noun};
use crate::netboot::unknown_clients::{DHCP, UnknownRequest};

fn asks(client: &Client, mac: &str, more: UnknownRequest<'_>) {
    let request = UnknownRequest { mac: Some(mac.parse().unwrap()), asked: DHCP, reason: "unknown", ..more };
    client.houses.netboot.record_unknown_client(&request, Timestamp::now());
}

fn macs(list: &Value) -> Vec<&str> {
    list["items"].as_array().unwrap().iter().map(|item| item["mac"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn clients_that_asked_are_listed_until_they_are_registered() {
    let client = Client::new().await;
    let first = UnknownRequest {
        address: Some(Ipv4Addr::new(10, 0, 0, 101).into()),
        vendor: Some("PXEClient:Arch:00007"),
        arch: Some(7),
        circuit: Some(b"Eth1/7"),
        subnet: Some("lan"),
        ..UnknownRequest::default()
    };
    asks(&client, "52:54:00:00:00:01", first);
    asks(&client, "52:54:00:00:00:0f", UnknownRequest::default());
    let list = client.get("unknown_clients?sort=-mac").await.ok();
    assert_eq!(macs(&list), ["52:54:00:00:00:0f", "52:54:00:00:00:01"]);
    let one = client.get("unknown_clients?vendor=PXE*&requests[gte]=1").await.ok();
    let of = &one["items"][0];
    for (field, value) in
        [("address", "10.0.0.101"), ("arch", "amd64"), ("circuit", "Eth1/7"), ("asked", "dhcp")]
    {
        assert_eq!(of[field], value, "{of}");
    }
    let trimmed = client.get("unknown_clients?fields=mac&limit=1").await.ok();
    assert_eq!(trimmed["items"], json!([{"mac": "52:54:00:00:00:01"}]));
    assert!(trimmed["next"].is_string() && trimmed["total"] == 2, "{trimmed}");
    let near = client.get("unknown_clients?vendr=x").await.refused(400);
    assert!(near.contains("did you mean `vendor`?"), "{near}");
    client.post("machines", json!({"name": "web1", "macs": ["52:54:00:00:00:01"]})).await.ok();
    assert_eq!(macs(&client.get("unknown_clients").await.ok()), ["52:54:00:00:00:0f"]);
}

/// The machine `node1` waits for a boot with the MAC …:1c.
async fn waiting(client: &Client) {
    client.post("machines", json!({"name": "node1", "macs": ["52:54:00:00:00:1c"]})).await.ok();
    let machine = client.houses.kernel.find::<Machine>(&testing::caller(), "name:node1").unwrap();
    let mut waits = machine.next(testing::caller().now);
    waits.status.state = MachineState::Waiting;
    let changeset = crate::kernel::Changeset::default().update(Machine::object(Arc::new(waits)));
    client.houses.kernel.try_commit(changeset).await.unwrap();
}

#[tokio::test]
async fn a_machine_that_waits_is_told_of_a_client_with_almost_its_mac() {
    let client = Client::new().await;
    waiting(&client).await;
    asks(&client, "52:54:00:00:00:1b", UnknownRequest::default());
    asks(&client, "52:54:00:00:77:77", UnknownRequest::default());
    let list = client.get("unknown_clients?similar.name=node1").await.ok();
    assert_eq!(macs(&list), ["52:54:00:00:00:1b"]);
    assert_eq!(list["items"][0]["similar"]["mac"], "52:54:00:00:00:1c");
    for of in ["machine=name:node1", "mac=52:54:00:00:00:1b"] {
        let explained = client.get(&format!("explain?{of}")).await.ok();
        let similar = &explained["similar_clients"][0];
        assert_eq!(similar["mac"], "52:54:00:00:00:1b", "{explained}");
        assert_eq!(similar["machine"]["name"], "node1");
    }
}

#[tokio::test]
async fn a_caller_that_may_not_read_machines_does_not_learn_of_the_similar_one() {
    let client = Client::new().await;
    waiting(&client).await;
    asks(&client, "52:54:00:00:00:1b", UnknownRequest::default());
    let token = client.post("tokens", json!({"name": "dhcp", "scopes": ["dhcp:read"]})).await.ok();
    let header = format!("Authorization: Bearer {}", token["token"].as_str().unwrap());
    let list = client.send("GET /api/v1/unknown_clients", &[&header], Body::empty()).await.ok();
    assert_eq!(macs(&list), ["52:54:00:00:00:1b"]);
    assert!(list["items"][0].get("similar").is_none(), "{list}");
    let token = client.post("tokens", json!({"name": "m", "scopes": ["machines:write"]})).await.ok();
    let header = format!("Authorization: Bearer {}", token["token"].as_str().unwrap());
    client.send("GET /api/v1/unknown_clients", &[&header], Body::empty()).await.refused(403);
}
