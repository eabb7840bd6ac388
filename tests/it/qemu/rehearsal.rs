//! From power-on to a finished workflow, on real firmware and with the real Debian installer: the whole
//! path, once for each way that firmware boots. The machine rehearses, so that nothing is installed; what
//! is left out is what the installer would do to the disk.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::timeline::{Step, assert_in_order, print};
use super::{Firmware, Vm};
use crate::net::{self, Lan};
use crate::scene;
use crate::world::World;

const COMPLETE_WITHIN: Duration = Duration::from_secs(600);
const OFF_WITHIN: Duration = Duration::from_secs(60);
const DISK_WITHIN: Duration = Duration::from_secs(360);

/// What starts the run.
const STARTED: &[Step] = &[
    ("machine.created", &["name=web1"]),
    ("run.started", &["workflow=install-debian-12", "rehearse=true"]),
    ("machine.armed", &["bootenv=debian-12-install"]),
    ("boot.attempt_started", &["number=1", "bootenv=debian-12-install"]),
    ("boot.decided", &["verdict=netboot", "bootenv=debian-12-install"]),
];

/// SeaBIOS has an iPXE of its own and asks for nothing before it.
const BIOS: &[Step] = &[];

const UEFI_PXE: &[Step] = &[
    ("dhcp.offered", &["stage=firmware", "arch=7", "address=10.77.0.100", "boot_file=snponly.efi"]),
    ("dhcp.leased", &["stage=firmware", "arch=7", "address=10.77.0.100", "boot_file=snponly.efi"]),
    ("boot.file_served", &["label=loader:snponly.efi", "protocol=tftp", "complete=true"]),
];

const UEFI_HTTP: &[Step] = &[
    ("dhcp.offered", &["stage=http_firmware", "arch=16", "boot_file=http://10.77.0.1:8080/snponly.efi"]),
    ("dhcp.leased", &["stage=http_firmware", "arch=16", "boot_file=http://10.77.0.1:8080/snponly.efi"]),
    ("boot.file_served", &["label=loader:snponly.efi", "protocol=http", "complete=true"]),
];

/// From iPXE to the end, the same for all firmware.
const FROM_IPXE: &[Step] = &[
    ("dhcp.offered", &["stage=ipxe", "address=10.77.0.100", "boot_file=http://10.77.0.1:8080/m/…/boot.ipxe"]),
    ("dhcp.leased", &["stage=ipxe", "address=10.77.0.100", "boot_file=http://10.77.0.1:8080/m/…/boot.ipxe"]),
    ("boot.script_fetched", &[]),
    ("boot.rendered", &["label=rendered:ipxe/boot.ipxe"]),
    ("boot.file_served", &["label=rendered:ipxe/boot.ipxe", "path=/m/…/boot.ipxe", "complete=true"]),
    ("machine.disarmed", &["reason=the kernel was fetched: the arming is used up"]),
    ("boot.kernel_fetched", &[]),
    ("boot.file_served", &["label=artifact:debian-12-amd64/linux", "path=/m/…/linux", "complete=true"]),
    ("boot.file_served", &["label=artifact:debian-12-amd64/initrd.gz", "complete=true"]),
    ("dhcp.leased", &["stage=system", "vendor=d-i", "address=10.77.0.100", "boot_file=null"]),
    ("boot.answer_fetched", &[]),
    ("boot.rendered", &["label=rendered:preseed.cfg"]),
    ("boot.file_served", &["label=rendered:preseed.cfg", "peer=10.77.0.100", "complete=true"]),
    ("boot.done", &["peer=10.77.0.100"]),
    ("boot.attempt_ended", &["number=1", "result=done"]),
    ("run.step_done", &["kind=bootenv", "name=debian-12-install", "state=done"]),
    ("run.step_done", &["kind=task", "name=check-ssh-access", "state=skipped"]),
    ("run.step_done", &["kind=stage", "name=complete", "state=done"]),
    ("run.completed", &["workflow=install-debian-12"]),
];

/// The second power-on: an address, and nothing to boot.
const TO_THE_DISK: &[Step] = &[
    ("boot.attempt_started", &["number=2", "bootenv=null"]),
    ("boot.decided", &["verdict=local_disk", "reason=no workflow is under way"]),
    ("dhcp.offered", &["address=10.77.0.100", "boot_file=null"]),
];

#[test]
fn seabios_rehearses_and_then_boots_its_disk() {
    net::on_a_lan(|lan| rehearse(lan, Firmware::Bios, BIOS));
}

#[test]
fn ovmf_over_tftp_rehearses_and_then_boots_its_disk() {
    net::on_a_lan(|lan| rehearse(lan, Firmware::UefiPxe, UEFI_PXE));
}

#[test]
fn ovmf_over_http_rehearses_and_then_boots_its_disk() {
    net::on_a_lan(|lan| rehearse(lan, Firmware::UefiHttp, UEFI_HTTP));
}

fn rehearse(lan: &Lan, firmware: Firmware, loader: &[Step]) {
    let world = World::on_the_lan();
    let api = world.api();
    api.post("/subnets", net::subnet()).expect(201);
    scene::add_installer(&api, Path::new(scene::INSTALLER));
    scene::start_web1(&api);
    let vm = Vm::plug(lan, firmware, scene::MAC);
    let disk = vm.disk_bytes();
    let mut events = api.events_after(0);
    let power_on = Instant::now();
    let mut console = vm.power_on();
    events.wait_for(COMPLETE_WITHIN, |event| event["kind"] == "run.completed");
    let took = power_on.elapsed();
    console.wait_for_end(OFF_WITHIN);
    let first = scene::timeline(&api);
    print(&format!("{firmware:?}, complete {} s after power-on", took.as_secs()), &first);
    assert_in_order(&first, &[STARTED, loader, FROM_IPXE].concat());
    assert_kinds_absent(&first, &["boot.denied", "boot.screen", "boot.failed", "boot.render_failed"]);
    assert!(vm.disk_bytes() == disk, "a rehearsal writes nothing to the disk");

    vm.expect_disk(vm.power_on(), DISK_WITHIN);
    let second = scene::timeline(&api).split_off(first.len());
    print(&format!("{firmware:?}, powered on again"), &second);
    assert_in_order(&second, TO_THE_DISK);
    assert_kinds_absent(&second, &["boot.file_served", "boot.rendered", "boot.kernel_fetched"]);
}

fn assert_kinds_absent(timeline: &[Value], kinds: &[&str]) {
    let found = timeline.iter().find(|event| kinds.iter().any(|kind| event["kind"] == *kind));
    assert!(found.is_none(), "{found:#?}");
}
