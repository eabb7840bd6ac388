//! Tests of DHCP options and client classes, from the write to the packet.

use super::*;
use crate::houses::testing::dhcp_options;

fn lan(options: Value) -> Value {
    let pools = json!([{"start": "10.0.0.100", "end": "10.0.0.200"}]);
    json!({"name": "lan", "cidr": "10.0.0.0/24", "pools": pools, "options": options})
}

#[tokio::test]
async fn options_are_checked_in_every_scope_with_their_place() {
    let client = Client::new().await;
    let wrong = json!({"router": ["10.0.0.1"], "host_name": "{{ machine.name", "ok": {"code": 224, "u8": 1}});
    let pools = json!([{"start": "10.0.0.100", "end": "10.0.0.200", "options": wrong}]);
    for (noun, body, place) in [
        ("subnets", lan(wrong.clone()), "/options"),
        ("subnets", json!({"name": "lan", "cidr": "10.0.0.0/24", "pools": pools}), "/pools/0/options"),
        ("reservations", json!({"address": "10.0.0.5", "machine": "a", "options": wrong}), "/options"),
        ("machines", json!({"name": "web1", "options": wrong}), "/options"),
        ("client_classes", json!({"name": "a", "match": {}, "options": wrong}), "/options"),
    ] {
        let text = client.post(noun, body).await.refused(422);
        assert!(text.contains(&format!("\"{place}/router\"")), "{noun}: {text}");
        assert!(text.contains(&format!("\"{place}/host_name\"")), "{noun}: {text}");
        assert!(!text.contains("/ok"), "{noun}: {text}");
    }
}

#[tokio::test]
async fn a_client_class_is_an_object_like_all_others() {
    let client = Client::new().await;
    let body = json!({"name": "lab", "match": {"subnets": ["lan"]}, "boot_file": "a\\b"});
    assert!(client.post("client_classes", body).await.refused(422).contains("/boot_file"));
    let body = json!({"name": "lab", "match": {"subnets": ["lan"], "mac_prefixes": ["B8-27-EB"]}});
    let got = client.post("client_classes", body).await.ok();
    assert!(got["problems"].to_string().contains("/match/subnets/0"), "{got}");
    assert_eq!((&got["order"], &got["match"]["mac_prefixes"][0]), (&json!(100), &json!("b8:27:eb")));
    client.post("subnets", lan(json!({}))).await.ok();
    assert!(client.delete("subnets/lan").await.refused(409).contains("client_class lab"));
    assert_eq!(client.get("client_classes").await.ok()["total"], 1);
    client.delete("client_classes/lab").await.ok();
    client.delete("subnets/lan").await.ok();
}

#[tokio::test]
async fn explain_says_which_scope_an_option_is_of_and_why_a_class_does_not_hold() {
    let client = Client::new().await;
    client.post("subnets", lan(json!({"routers": ["10.0.0.254"], "interface_mtu": 1400}))).await.ok();
    let macs = json!(["52:54:00:aa:00:01"]);
    client
        .post("machines", json!({"name": "web1", "macs": macs, "options": {"interface_mtu": 9000}}))
        .await
        .ok();
    client.post("reservations", json!({"address": "10.0.0.5", "machine": "web1"})).await.ok();
    for (name, order, vendor) in [("switches", 1, "onie*"), ("pxe", 2, "PXEClient*")] {
        let options = json!({"root_path": format!("/{name}")});
        let matching = json!({"vendor_class": vendor, "subnets": ["lan"]});
        let class = json!({"name": name, "order": order, "match": matching, "options": options});
        client.post("client_classes", class).await.ok();
    }
    let got = client.get("machines/name:web1/explain").await.ok();
    let from = |code: u64| {
        let options = got["options"].as_array().unwrap();
        let line = options.iter().find(|line| line["code"] == code).unwrap();
        format!("{} {} {}", line["value"].as_str().unwrap(), line["scope"], line["from"])
    };
    assert_eq!(from(3), r#"10.0.0.254 "subnet" "lan""#);
    assert_eq!(from(26), r#"9000 "machine" "web1""#);
    assert_eq!(from(17), r#"/pxe "client_class" "pxe""#);
    assert_eq!(got["client_classes"][0]["name"], "switches");
    let reason = got["client_classes"][0]["reason"].as_str().unwrap();
    assert_eq!(reason, "vendor_class: the client has `PXEClient:Arch:00007:UNDI:003016`");
    assert_eq!(got["client_classes"][1]["matched"], true);
    let switch = client.get("explain?mac=52:54:00:aa:00:01&vendor_class=onie_vendor:x").await.ok();
    assert_eq!(switch["client_classes"][0]["matched"], true);
}

#[tokio::test]
async fn templates_are_rendered_for_the_client_and_those_that_fail_are_left_out() {
    let client = Client::new().await;
    client.post("params", json!({"name": "rack", "default": "r7"})).await.ok();
    client.post("params", json!({"name": "pw", "secret": true})).await.ok();
    client.post("profiles", json!({"name": "global", "params": {"pw": "hunter2"}})).await.ok();
    let options = json!({
        "host_name": "{{ machine.short_name }}",
        "root_path": "/{{ param(name='rack') }}/{{ mac | replace(from=':', to='-') }}/{{ address }}",
        "domain_name": "not a {{ subnet.name }}",
        "nis_domain": "{{ param(name='pw') }}",
        "rack": {"code": 224, "text": "{{ subnet.name }}"},
        "loop": {"code": 225, "text": "{% for i in range(end=100000) %}x{% endfor %}"},
    });
    client.post("subnets", lan(options)).await.ok();
    client.post("machines", json!({"name": "web1.example.org", "macs": ["52:54:00:aa:00:01"]})).await.ok();
    let offer = dhcp_options(&client.houses, "chaddr 52:54:00:aa:00:01\nmessage_type discover").await;
    let text = |code: u8| offer.get(&code).map(|bytes| String::from_utf8_lossy(bytes).into_owned());
    assert_eq!(text(12).as_deref(), Some("web1"));
    assert_eq!(text(17).as_deref(), Some("/r7/52-54-00-aa-00-01/10.0.0.100"));
    assert_eq!(text(224).as_deref(), Some("lan"));
    for code in [15, 40, 225] {
        assert_eq!(text(code), None, "{code}");
    }

    let request = "message_type request\nserver_identifier 10.0.0.1\nrequested_address 10.0.0.100";
    dhcp_options(&client.houses, &format!("chaddr 52:54:00:aa:00:01\n{request}")).await;
    let events = client.get("events?kind=dhcp.leased").await.ok();
    let reason = events["items"][0]["data"]["reason"].as_str().unwrap();
    for told in ["domain_name of subnet lan is left out", "nis_domain of subnet lan", "loop of subnet lan"] {
        assert!(reason.contains(told), "{told} in {reason}");
    }
    assert!(!reason.contains("hunter2"));

    let stranger = dhcp_options(&client.houses, "chaddr 52:54:00:aa:00:02\nmessage_type discover").await;
    assert!(
        stranger.contains_key(&53) && !stranger.contains_key(&12),
        "it is no machine, and still answered"
    );
}

#[tokio::test]
async fn a_boot_file_may_be_a_template_and_goes_only_to_who_is_to_boot() {
    let client = Client::new().await;
    client.post("subnets", lan(json!({}))).await.ok();
    let class = json!({
        "name": "onie", "match": {"vendor_class": "onie*"}, "firmware": true,
        "boot_file": "http://{{ server.address }}/{{ subnet.name }}.bin",
    });
    client.post("client_classes", class).await.ok();
    let macs = json!(["52:54:00:aa:00:01"]);
    client.post("machines", json!({"name": "switch1", "macs": macs})).await.ok();
    let discover =
        "chaddr 52:54:00:aa:00:01\nmessage_type discover\nvendor_class_identifier \"onie_vendor:x\"";
    assert!(!dhcp_options(&client.houses, discover).await.contains_key(&67));
    // A missing bootenv gives a screen, for which a client boots as for any other bootenv.
    client.put("settings/default_bootenv", json!({"name": "default_bootenv", "value": "nowhere"})).await.ok();
    let booted = dhcp_options(&client.houses, discover).await;
    assert_eq!(booted.get(&67).map(Vec::as_slice), Some(&b"http://10.0.0.1/lan.bin\0"[..]));
}

#[tokio::test]
async fn a_packet_that_cannot_be_explained_is_refused_with_its_place() {
    let client = Client::new().await;
    for (asked, place) in [
        (json!({"packet": "0101"}), "/packet"),
        (json!({"packet": "op reply\nchaddr 52:54:00:aa:00:01"}), "/packet"),
        (json!({"packet": "chaddr 52:54:00:aa:00:01", "interface": "none"}), "/interface"),
    ] {
        let text = client.post("explain/packet", asked).await.refused(422);
        assert!(text.contains(&format!("\"{place}\"")), "{text}");
    }
}
