//! From power-on to a finished workflow, on real firmware and with the real Debian installer: the whole
//! path, once for each way that firmware boots. The machine rehearses, so that nothing is installed; what
//! is left out is what the installer would do to the disk.

use std::time::Duration;

use serde_json::{Value, json};

use super::{Firmware, Vm};
use crate::net::{self, Lan};
use crate::world::World;

const MAC: &str = "52:54:00:aa:00:01";
const INSTALLER: &str = "/usr/lib/debian-installer/images/12/amd64/text/debian-installer/amd64";
const COMPLETE_WITHIN: &str = "8m";
const OFF_WITHIN: Duration = Duration::from_secs(60);
const DISK_WITHIN: Duration = Duration::from_secs(360);

/// One step of a timeline: the kind of event, and words that its data must contain.
type Step = (&'static str, &'static [&'static str]);

#[test]
fn seabios_rehearses_and_then_boots_its_disk() {
    net::on_a_lan(|lan| rehearse(lan, Firmware::Bios, &[]));
}

#[test]
fn ovmf_over_tftp_rehearses_and_then_boots_its_disk() {
    net::on_a_lan(|lan| rehearse(lan, Firmware::UefiPxe, &[]));
}

#[test]
fn ovmf_over_http_rehearses_and_then_boots_its_disk() {
    net::on_a_lan(|lan| rehearse(lan, Firmware::UefiHttp, &[]));
}

fn rehearse(lan: &Lan, firmware: Firmware, steps: &[Step]) {
    let world = World::on_the_lan();
    prepare(&world);
    let vm = Vm::plug(lan, firmware, MAC);
    let disk = vm.disk_bytes();
    let mut console = vm.power_on();
    world.cli(&["machines", "wait", "web1", "--for", "status.state=complete", "--timeout", COMPLETE_WITHIN]);
    console.wait_for_end(OFF_WITHIN);
    println!("{}", world.cli(&["timeline", "web1"]));
    let first = timeline(&world);
    assert_in_order(&first, steps);
    assert!(vm.disk_bytes() == disk, "a rehearsal writes nothing to the disk");

    vm.expect_disk(vm.power_on(), DISK_WITHIN);
    let second = timeline(&world).split_off(first.len());
    let kinds: Vec<&str> = second.iter().filter_map(|event| event["kind"].as_str()).collect();
    assert!(!kinds.contains(&"boot.file_served"), "nothing is served to a finished machine: {kinds:?}");
}

fn prepare(world: &World) {
    let api = world.api();
    api.post("/subnets", net::subnet()).expect(201);
    world.cli(&["artifacts", "add", "debian-12-amd64", "--dir", INSTALLER]);
    let params = json!({"rehearse": true, "kernel_console": "ttyS0"});
    api.post("/machines", json!({"name": "web1", "macs": [MAC], "params": params})).expect(201);
    world.cli(&["machines", "start", "web1", "install-debian-12"]);
}

fn timeline(world: &World) -> Vec<Value> {
    let mut body = world.api().get("/machines/name:web1/timeline").expect(200);
    serde_json::from_value(body["items"].take()).expect("the events of a timeline")
}

/// Every step is in the timeline, each after the one before; other events may stand between.
fn assert_in_order(timeline: &[Value], steps: &[Step]) {
    let mut rest = timeline.iter();
    for (kind, words) in steps {
        let is_it = |event: &&Value| {
            let data = event["data"].to_string();
            event["kind"] == *kind && words.iter().all(|word| data.contains(word))
        };
        assert!(
            rest.any(|event| is_it(&event)),
            "no {kind} with {words:?} where it should be:\n{timeline:#?}"
        );
    }
}
