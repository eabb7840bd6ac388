//! The installation of the README with the real Debian installer, as far as it gets without Debian's mirror:
//! it asks nothing, and the server learns where it stopped.

use std::path::Path;
use std::time::Duration;

use serde_json::json;

use super::timeline::{Step, assert_in_order, print};
use super::{Firmware, Vm};
use crate::net::{self, SERVER_ADDRESS};
use crate::scene;
use crate::world::World;

const FAILED_WITHIN: Duration = Duration::from_secs(600);

/// choose-mirror's log line when deb.debian.org cannot be reached. Otherwise it would have asked for a mirror
/// first.
const NO_MIRROR: &str = "mirror does not support the specified release (bookworm)";

const STEPS: &[Step] = &[
    ("boot.answer_fetched", &[]),
    ("boot.file_served", &["label=rendered:preseed.cfg", "complete=true"]),
    ("boot.file_served", &["label=rendered:disk.sh", "complete=true"]),
    ("boot.file_served", &["label=rendered:late.sh", "complete=true"]),
    ("boot.log", &["text=the installer has read its answer file"]),
    ("boot.installer_asks", &[]),
    ("boot.failed", &[]),
    ("boot.attempt_ended", &["number=1", "result=failed"]),
];

#[test]
fn a_machine_with_no_params_but_a_console_is_asked_for_no_mirror() {
    net::on_a_lan(|lan| {
        let world = World::on_the_lan();
        let api = world.api();
        let mut subnet = net::subnet();
        // DNS queries get no answer there, and fail at once.
        subnet["options"] = json!({"domain_name_servers": [SERVER_ADDRESS]});
        api.post("/subnets", subnet).expect(201);
        scene::add_installer(&api, Path::new(scene::INSTALLER));
        // On a busy host the emulated timers are late, and the kernel would consider them broken.
        let params = json!({"kernel_console": "ttyS0", "installer_options": "no_timer_check"});
        api.post("/machines", json!({"name": "web1", "macs": [scene::MAC], "params": params})).expect(201);
        api.post("/machines/name:web1/actions/start", json!({"workflow": "install-debian-12"})).expect(200);
        let vm = Vm::plug(lan, Firmware::Bios, scene::MAC);
        let disk = vm.disk_bytes();
        let mut events = api.events_after(0);
        let mut console = vm.power_on();
        let failed = events.wait_for(FAILED_WITHIN, |event| event["kind"] == "boot.failed");
        assert!(
            failed["data"]["reason"].as_str().is_some_and(|reason| reason.contains(NO_MIRROR)),
            "{failed:#}"
        );
        // The server was told what stands on the console, before the attempt ended.
        let seen = scene::timeline(&api);
        let asked = seen.iter().find(|event| event["kind"] == "boot.installer_asks");
        let question = asked.and_then(|event| event["data"]["question"].as_str()).unwrap_or_default();
        assert!(
            question.starts_with("choose-mirror: ") && question.contains("Bad archive mirror"),
            "{seen:#?}"
        );
        console.wait_for_text("Bad archive mirror", FAILED_WITHIN);
        assert!(!console.text().contains("Please enter"), "it asks: {}", console.text());
        let timeline = scene::timeline(&api);
        print("the README's installation, up to the mirror", &timeline);
        assert_in_order(&timeline, STEPS);
        assert!(vm.disk_bytes() == disk, "nothing is written to the disk");
    });
}
