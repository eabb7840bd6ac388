//! Firmware with Secure Boot refuses what it does not trust, and so does shim. Neither tells the server, but
//! the timeline reports it.

use std::fs;
use std::time::Duration;

use serde_json::{Value, json};

use super::{Firmware, Vm};
use crate::net;
use crate::scene;
use crate::world::World;

const REFUSED_WITHIN: Duration = Duration::from_secs(300);
/// The machine that is started with signed loaders.
const SIGNED_MAC: &str = "52:54:00:aa:00:02";
const SHIM: &str = "/usr/lib/shim/shimx64.efi.signed";
const UNSIGNED: &str = "/usr/lib/ipxe/snponly.efi";

/// A folder of signed loaders whose second one is not signed; it takes precedence over the packages'.
fn spoil_debians_chain(world: &World) {
    let chain = world.data().join("loaders/debian");
    fs::create_dir_all(&chain).expect("a folder for loaders");
    fs::copy(SHIM, chain.join("shimx64.efi")).expect("a shim (package shim-signed)");
    fs::copy(UNSIGNED, chain.join("grubx64.efi")).expect("a loader (package ipxe)");
}

#[test]
fn what_firmware_or_shim_refused_is_told_on_the_timeline() {
    net::on_a_lan(|lan| {
        let mut world = World::on_the_lan();
        world.stop();
        spoil_debians_chain(&world);
        world.start();
        let api = world.api();
        api.post("/subnets", net::subnet()).expect(201);
        scene::add_installer(&api, &scene::small_installer(world.scratch()));
        scene::start_web1(&api);
        let params = json!({"rehearse": true, "secure_boot": true});
        let web2 = json!({"name": "web2", "macs": [SIGNED_MAC], "params": params});
        api.post("/machines", web2).expect(201);
        let start = json!({"workflow": "install-debian-12"});
        api.post("/machines/name:web2/actions/start", start).expect(200);
        let plain = Vm::plug(lan, Firmware::SecurePxe, scene::MAC);
        let signed = Vm::plug(lan, Firmware::SecurePxe, SIGNED_MAC);
        let stopped = |machine: &str, after: &'static str| {
            let id = api.get(&format!("/machines/name:{machine}")).expect(200)["id"].clone();
            let subject = format!("machine:{}", id.as_str().expect("an id"));
            move |event: &Value| {
                event["kind"] == "boot.stopped"
                    && event["subject"] == subject
                    && event["data"]["after"] == after
            }
        };
        let said = |is_it: &dyn Fn(&Value) -> bool| {
            let event = api.events_after(0).wait_for(REFUSED_WITHIN, |event| is_it(event));
            event["data"]["reason"].as_str().expect("a reason").to_owned()
        };

        let (mut first, _second) = (plain.power_on(), signed.power_on());
        first.wait_for_line("Access Denied", REFUSED_WITHIN);
        let reason = said(&stopped("web1", "loader:snponly.efi"));
        assert!(reason.contains("not signed") && reason.contains("`secure_boot`"), "{reason}");

        // shim shows a box with "Security Violation" and waits for a key.
        let reason = said(&stopped("web2", "loader:debian/grubx64.efi"));
        assert!(reason.contains("did not start it") && reason.contains("Verification failed"), "{reason}");
    });
}
