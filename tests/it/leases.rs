//! Leases as operators use them, through the command line of the real program.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use metalwright::model::Mac;
use metalwright::proto::dhcp4::{DhcpPacket, MessageType};
use serde_json::{Value, json};

use crate::relay::{self, LISTENERS, Relay};
use crate::world::World;

const ANSWER_WITHIN: Duration = Duration::from_secs(20);

/// Written by ISC dhcpd 4.4.3 and by Kea 2.2: the same three clients in both; the second one released its
/// address.
fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/leases").join(name)
}

fn world() -> World {
    let world = World::on_loopback();
    let pools = json!([{"start": "10.0.0.100", "end": "10.0.0.110"}]);
    world.api().post("/subnets", json!({"name": "lan", "cidr": "10.0.0.0/24", "pools": pools})).expect(201);
    world
}

fn clients(world: &World) -> Vec<(String, String)> {
    let leases = world.api().get("/leases").expect(200);
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    let leases = leases["items"].as_array().expect("a list").clone();
    leases.iter().map(|lease| (text(&lease["address"]), text(&lease["client"]))).collect()
}

#[test]
fn leases_of_dhcpd_are_imported_from_the_file_as_it_writes_it() {
    let world = world();
    let path = file("dhcpd.leases").display().to_string();
    let said = world.cli(&["leases", "import", "--format", "isc", &path, "--dry-run"]);
    assert!(said.ends_with("3 would be taken, 0 here already, 0 skipped\n"), "{said}");
    assert_eq!(clients(&world), []);
    let said = world.cli(&["leases", "import", "--format", "isc", &path, "--all"]);
    assert!(said.contains("10.0.0.100") && said.ends_with("3 taken, 0 here already, 0 skipped\n"), "{said}");
    let client = |last: u8| (format!("10.0.0.10{}", last - 1), format!("1/02:00:00:00:00:0{last}"));
    assert_eq!(clients(&world), [client(1), client(2), client(3)]);
    let said = world.cli(&["leases", "import", "--format", "isc", &path]);
    assert!(said.ends_with("0 taken, 3 here already, 0 skipped\n"), "{said}");
    let said = world.cli(&["leases", "history", "02:00:00:00:00:02"]);
    assert!(said.contains("10.0.0.101") && said.contains("2026-11-20 12:51:14Z"), "{said}");
}

#[test]
fn leases_of_kea_are_imported_and_those_it_deleted_are_not() {
    let world = world();
    let path = file("kea-leases4.csv").display().to_string();
    let said = world.cli(&["leases", "import", "--format", "kea", &path]);
    assert!(said.ends_with("2 taken, 0 here already, 0 skipped\n"), "{said}");
    let wrong = world.try_cli(&["leases", "import", "--format", "isc", &path]);
    assert_eq!(wrong.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&wrong.stdout).contains("dhcpd did not write it"));
    let isc = file("dhcpd.leases").display().to_string();
    let wrong = world.try_cli(&["leases", "import", "--format", "kea", &isc]);
    assert_eq!(wrong.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&wrong.stdout).contains("must name the columns"));
}

#[test]
fn an_operator_ends_a_lease_and_finds_who_had_it() {
    let world = world();
    let text = "lease 10.0.0.105 { starts epoch 1700000000; ends never; binding state active; \
                hardware ethernet 52:54:00:aa:00:01; }";
    let api = world.api();
    let id = api.post("/machines", json!({"name": "web1", "macs": ["52:54:00:aa:00:01"]})).expect(201)["id"]
        .take();
    let files = json!([{"name": "x", "text": text}]);
    let report = api.post("/leases/import", json!({"format": "isc", "files": files})).expect(200);
    assert_eq!((&report["taken"], &report["lines"][0]["outcome"]), (&json!(1), &json!("taken")));
    let listed = world.cli(&["leases", "list", "--filter", "machine=web1", "--filter", "state=bound"]);
    assert!(listed.contains("10.0.0.105") && listed.contains("web1"), "{listed}");
    let machine = || api.get(&format!("/machines/{}", id.as_str().expect("an id"))).expect(200);
    assert_eq!(machine()["status"]["address"], "10.0.0.105");
    assert_eq!(world.cli(&["leases", "release", "10.0.0.105"]), "lease 10.0.0.105 released\n");
    assert_eq!(machine()["status"].get("address"), None);
    let again = api.post("/leases/10.0.0.105/actions/expire", json!({}));
    assert!(again.expect(409)["detail"].as_str().expect("a reason").contains("ended already"));
    assert_eq!(world.cli(&["leases", "delete", "10.0.0.105"]), "lease 10.0.0.105 deleted\n");
    let history = api.get("/leases/10.0.0.105/history").expect(200);
    let tenure = &history["items"][0];
    let told =
        ["from", "machine", "ended", "ended_by"].map(|field| tenure[field].as_str().unwrap_or_default());
    assert_eq!(told, ["2023-11-14T22:13:20Z", "web1", "released", "token:admin"], "{history:#}");
    api.get("/leases/web1/history").expect(400);
    let answer = api.post("/leases/import", json!({"format": "isc", "files": []})).expect(422);
    assert_eq!(answer["problems"][0]["pointer"], "/files");
}

/// A client behind a relay, and the number of its last message.
struct Client {
    relay: Relay,
    mac: Mac,
    xid: u32,
}

impl Client {
    fn ask(&mut self, make: impl FnOnce((Mac, u32)) -> DhcpPacket) -> (Option<MessageType>, Ipv4Addr) {
        self.xid += 1;
        let answer = self.relay.ask(&make((self.mac, self.xid)), ANSWER_WITHIN).expect("an answer");
        (answer.message_type(), answer.yiaddr)
    }

    fn discover(&mut self) -> (Option<MessageType>, Ipv4Addr) {
        self.ask(|who| relay::message(who, MessageType::Discover))
    }

    /// Renews the present address.
    fn renew(&mut self, address: Ipv4Addr) -> (Option<MessageType>, Ipv4Addr) {
        self.ask(|who| DhcpPacket { ciaddr: address, ..relay::message(who, MessageType::Request) })
    }
}

#[test]
fn who_is_moved_to_a_reserved_address_has_the_other_no_longer() {
    let world = World::with(&LISTENERS);
    let api = world.api();
    api.post("/subnets", relay::subnet()).expect(201);
    let mut client = Client { relay: Relay::to(&world), mac: Mac([2, 0, 0, 0, 0, 1]), xid: 0 };
    let mut take = |xid| {
        let offer =
            client.relay.ask(&relay::message((client.mac, xid), MessageType::Discover), ANSWER_WITHIN);
        client.ask(|who| relay::request_of(who, &offer.expect("an offer"))).1
    };
    let first = take(90);
    api.post("/reservations", json!({"mac": "02:00:00:00:00:01", "address": "127.1.0.5"})).expect(201);
    assert_eq!(take(91), Ipv4Addr::new(127, 1, 0, 5));
    let history = api.get(&format!("/leases/{first}/history")).expect(200);
    let tenure = &history["items"][0];
    assert_eq!((&tenure["ended"], tenure["until"].is_string()), (&json!("moved"), true), "{history:#}");
    let said = world.cli(&["events", "list", "--kind", "dhcp.released"]);
    assert!(said.contains("its client has 127.1.0.5 now"), "{said}");
}

#[test]
fn a_lease_goes_on_when_its_subnet_joins_another_wire_or_is_made_again_under_another_name() {
    let world = World::with(&LISTENERS);
    let api = world.api();
    api.post("/subnets", relay::subnet()).expect(201);
    let mut client = Client { relay: Relay::to(&world), mac: Mac([2, 0, 0, 0, 0, 1]), xid: 0 };
    let discover = relay::message((client.mac, 99), MessageType::Discover);
    let offer = client.relay.ask(&discover, ANSWER_WITHIN).expect("an offer");
    let (_, address) = client.ask(|who| relay::request_of(who, &offer));
    let goes_on = (Some(MessageType::Ack), address);
    assert_eq!(client.renew(address), goes_on);

    let mut is_as_before = |when: &str| {
        assert_eq!(client.discover(), (Some(MessageType::Offer), address), "{when}");
        assert_eq!(client.renew(address), goes_on, "{when}");
    };
    api.patch("/subnets/load", json!({"shared_network": "wire"})).expect(200);
    is_as_before("on a wire with a name");
    api.patch("/subnets/load", json!({"shared_network": null})).expect(200);
    is_as_before("on its own again");
    api.delete("/subnets/load").expect(409);
    api.delete("/subnets/load?force=true").expect(204);
    let mut again = relay::subnet();
    again["name"] = json!("again");
    api.post("/subnets", again).expect(201);
    is_as_before("under another name");
    let lease = api.get(&format!("/leases/{address}")).expect(200);
    assert_eq!((&lease["subnet"], &lease["network"]), (&json!("again"), &json!("again")));
}
