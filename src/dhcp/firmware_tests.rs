//! Tests of firmware's conversations with the whole server: what it says is kept, and one power-on is one
//! boot attempt.

use std::sync::Arc;

use serde_json::json;

use crate::houses::Houses;
use crate::houses::testing::{caller, dhcp_options, houses};
use crate::model::{BootAttempt, BootProgress, ClientClass, Machine, Subnet};

const MAC: &str = "52:54:00:aa:00:01";
const MTU: u8 = 26;

async fn lan() -> Arc<Houses> {
    let (houses, caller) = (houses(), caller());
    let pools = json!([{"start": "10.0.0.100", "end": "10.0.0.110"}]);
    let lan = json!({"name": "lan", "cidr": "10.0.0.0/24", "pools": pools});
    houses.objects.create::<Subnet>(&caller, lan).await.unwrap();
    houses
}

#[tokio::test]
async fn a_request_without_its_vendor_class_gets_what_its_discover_asked_for() {
    let houses = lan().await;
    let class =
        json!({"name": "pxe", "match": {"vendor_class": "PXEClient*"}, "options": {"interface_mtu": 1400}});
    houses.objects.create::<ClientClass>(&caller(), class).await.unwrap();
    let head = |xid: u32| format!("xid {xid}\nchaddr {MAC}\n");
    let request = "message_type request\nserver_identifier 10.0.0.1\nrequested_address 10.0.0.100";
    let discover = "message_type discover\nvendor_class_identifier \"PXEClient:Arch:00000\"";
    let offer = dhcp_options(&houses, &(head(1) + discover)).await;
    let ack = dhcp_options(&houses, &(head(1) + request)).await;
    assert!(offer.contains_key(&MTU) && offer.get(&MTU) == ack.get(&MTU), "{ack:?}");
    let of_another = dhcp_options(&houses, &(head(2) + request)).await;
    assert_eq!(of_another.get(&MTU), None, "it is another conversation");
}

#[tokio::test]
async fn a_copy_of_a_discover_and_a_late_request_belong_to_the_attempt_of_their_conversation() {
    let houses = lan().await;
    let machine = json!({"name": "web1", "macs": [MAC]});
    let key = houses.objects.create::<Machine>(&caller(), machine).await.unwrap().key.clone();
    let firmware = "message_type discover\nvendor_class_identifier \"PXEClient:Arch:00007\"\n\
                    client_architectures 7";
    let loader = format!("{firmware}\nuser_class \"iPXE\"\nipxe_encapsulated_options 130101");
    let request = "message_type request\nserver_identifier 10.0.0.1\nrequested_address 10.0.0.100";
    let mut seen = Vec::new();
    // The firmware's second DISCOVER was repeated, and is overtaken by its loader.
    for (xid, says) in
        [(1, firmware), (2, loader.as_str()), (1, firmware), (2, request), (2, &loader), (3, firmware)]
    {
        assert!(!dhcp_options(&houses, &format!("xid {xid}\nchaddr {MAC}\n{says}")).await.is_empty());
        let machine = houses.kernel.get::<Machine>(&key).unwrap();
        let attempt = machine.status.boot_attempt.as_ref().unwrap();
        seen.push((attempt.number, attempt.progress));
    }
    let (begun, runs) = (BootProgress::Firmware, BootProgress::Loader);
    assert_eq!(seen, [(1, begun), (1, runs), (1, runs), (1, runs), (1, runs), (2, begun)]);
}

#[tokio::test]
async fn pxe_and_then_http_boot_of_one_power_on_is_one_attempt() {
    let houses = lan().await;
    let machine = json!({"name": "web1", "macs": [MAC]});
    let key = houses.objects.create::<Machine>(&caller(), machine).await.unwrap().key.clone();
    let mut seen = Vec::new();
    for (xid, vendor, arch) in
        [(1, "PXEClient", 7), (2, "HTTPClient", 16), (3, "HTTPClient", 16), (4, "PXEClient", 7)]
    {
        let discover = format!(
            "xid {xid}\nchaddr {MAC}\nmessage_type discover\n\
             vendor_class_identifier \"{vendor}:Arch:{arch:05}\"\nclient_architectures {arch}"
        );
        assert!(!dhcp_options(&houses, &discover).await.is_empty());
        let machine = houses.kernel.get::<Machine>(&key).unwrap();
        let BootAttempt { number, client_arch, other_arch, .. } =
            machine.status.boot_attempt.clone().unwrap();
        seen.push((number, client_arch, other_arch));
    }
    let (pxe, http) = (Some(7), Some(16));
    assert_eq!(seen, [(1, pxe, None), (1, pxe, http), (1, pxe, http), (2, pxe, None)]);
}
