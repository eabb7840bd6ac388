//! Firmware that boots over HTTPS, from the URL in the DHCP reply: that of Debian 12, whose TLS has no
//! elliptic curves and which only trusts the exported certificate.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::json;

use super::timeline::{Step, assert_in_order, print};
use super::{Firmware, Vm};
use crate::net;
use crate::scene;
use crate::world::World;

const WITHIN: Duration = Duration::from_secs(300);
const HTTPS: [&str; 3] = ["--boot-https", "0.0.0.0:8444", "--boot-https-dhe"];

const STEPS: &[Step] = &[
    ("dhcp.offered", &["stage=http_firmware", "boot_file=https://10.77.0.1:8444/snponly.efi"]),
    ("boot.stopped", &["after=null"]),
    ("dhcp.offered", &["stage=http_firmware", "boot_file=https://10.77.0.1:8444/snponly.efi"]),
    ("boot.file_served", &["label=loader:snponly.efi", "protocol=http", "complete=true"]),
    ("dhcp.offered", &["stage=ipxe", "boot_file=http://10.77.0.1:8080/m/…/boot.ipxe"]),
];

/// A server's certificate as an operator exports it for firmware.
fn exported(world: &World) -> PathBuf {
    let list = world.scratch().join("boot.esl");
    world.cli(&["boot-certificate", "--form", "esl", "-o", list.to_str().expect("a path in UTF-8")]);
    list
}

#[test]
fn ovmf_boots_over_https_from_the_server_whose_certificate_was_enrolled_and_no_other() {
    net::on_a_lan(|lan| {
        let (world, other) = (World::on_the_lan_with(&HTTPS), another());
        let api = world.api();
        api.post("/subnets", net::subnet()).expect(201);
        let class = json!({"name": "tls-only", "match": {"vendor_class": "HTTPClient*"}, "https": true});
        api.post("/client_classes", class).expect(201);
        scene::add_installer(&api, &scene::small_installer(world.scratch()));
        scene::start_web1(&api);
        let mut vm = Vm::plug(lan, Firmware::UefiHttp, scene::MAC);
        let mut events = api.events_after(0);

        vm.trust(exported(&other));
        let console = vm.power_on();
        let event = events.wait_for(WITHIN, |event| event["kind"] == "boot.stopped");
        let reason = event["data"]["reason"].as_str().expect("a reason");
        assert!(reason.contains("the certificate is not enrolled"), "{reason}");
        drop(console);

        vm.trust(exported(&world));
        let _console = vm.power_on();
        events.wait_for(WITHIN, |event| event["kind"] == "dhcp.offered" && event["data"]["stage"] == "ipxe");
        let timeline = scene::timeline(&api);
        print("HTTPS boot, until the loader runs", &timeline);
        assert_in_order(&timeline, STEPS);
    });
}

/// A server with another certificate.
fn another() -> World {
    let on_loopback = ["--api-listen", "127.0.0.1:0", "--boot-http", "127.0.0.1:0"];
    World::with(&[&on_loopback[..], &["--tftp-listen", "off", "--boot-https", "127.0.0.1:0"]].concat())
}
