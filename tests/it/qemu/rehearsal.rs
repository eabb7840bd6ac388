//! From power-on to a finished workflow, on real firmware and with the real Debian installer: the whole
//! path, once for each way that firmware boots. The machine rehearses, so that nothing is installed; what
//! is left out is what the installer would do to the disk.

use std::time::Duration;

use serde_json::{Value, json};

use super::{Firmware, Vm};
use crate::api::Api;
use crate::net::{self, Lan};
use crate::world::World;

const MAC: &str = "52:54:00:aa:00:01";
const INSTALLER: &str = "/usr/lib/debian-installer/images/12/amd64/text/debian-installer/amd64";
const COMPLETE_WITHIN: Duration = Duration::from_secs(480);
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
    let api = world.api();
    prepare(&api);
    let vm = Vm::plug(lan, firmware, MAC);
    let disk = vm.disk_bytes();
    let mut events = api.events_after(0);
    let mut console = vm.power_on();
    events.wait_for(COMPLETE_WITHIN, |event| event["kind"] == "run.completed");
    console.wait_for_end(OFF_WITHIN);
    let first = timeline(&api);
    first.iter().for_each(|event| println!("{}", line(event)));
    assert_in_order(&first, steps);
    assert!(vm.disk_bytes() == disk, "a rehearsal writes nothing to the disk");

    vm.expect_disk(vm.power_on(), DISK_WITHIN);
    let second = timeline(&api).split_off(first.len());
    second.iter().for_each(|event| println!("{}", line(event)));
    let kinds: Vec<&str> = second.iter().filter_map(|event| event["kind"].as_str()).collect();
    assert!(!kinds.contains(&"boot.file_served"), "nothing is served to a finished machine: {kinds:?}");
}

fn prepare(api: &Api) {
    api.post("/subnets", net::subnet()).expect(201);
    api.post("/artifacts", json!({"name": "debian-12-amd64", "path": INSTALLER})).expect(201);
    let params = json!({"rehearse": true, "kernel_console": "ttyS0"});
    api.post("/machines", json!({"name": "web1", "macs": [MAC], "params": params})).expect(201);
    api.post("/machines/name:web1/actions/start", json!({"workflow": "install-debian-12"})).expect(200);
}

fn timeline(api: &Api) -> Vec<Value> {
    let mut body = api.get("/machines/name:web1/timeline?limit=1000").expect(200);
    serde_json::from_value(body["items"].take()).expect("the events of a timeline")
}

/// An event as one line, for whoever reads the test's output.
fn line(event: &Value) -> String {
    format!("{} {} {}", event["time"].as_str().unwrap_or_default(), event["kind"], event["data"])
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
