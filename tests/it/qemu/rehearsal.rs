//! From power-on to a finished workflow, on real firmware and with the real Debian installer: the whole
//! path, once for each way that firmware boots. The machine rehearses, so that nothing is installed; what
//! is left out is what the installer would do to the disk.

use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use super::{Firmware, Vm};
use crate::net::{self, Lan};
use crate::scene;
use crate::world::World;

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
    let world = World::on_the_lan(&[]);
    let api = world.api();
    api.post("/subnets", net::subnet()).expect(201);
    scene::add_installer(&api, Path::new(scene::INSTALLER));
    scene::start_web1(&api);
    let vm = Vm::plug(lan, firmware, scene::MAC);
    let disk = vm.disk_bytes();
    let mut events = api.events_after(0);
    let mut console = vm.power_on();
    events.wait_for(COMPLETE_WITHIN, |event| event["kind"] == "run.completed");
    console.wait_for_end(OFF_WITHIN);
    let first = scene::timeline(&api);
    first.iter().for_each(|event| println!("{}", line(event)));
    assert_in_order(&first, steps);
    assert!(vm.disk_bytes() == disk, "a rehearsal writes nothing to the disk");

    vm.expect_disk(vm.power_on(), DISK_WITHIN);
    let second = scene::timeline(&api).split_off(first.len());
    second.iter().for_each(|event| println!("{}", line(event)));
    let kinds: Vec<&str> = second.iter().filter_map(|event| event["kind"].as_str()).collect();
    assert!(!kinds.contains(&"boot.file_served"), "nothing is served to a finished machine: {kinds:?}");
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
