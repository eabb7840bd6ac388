//! From power-on to a finished workflow, on real firmware and with the real Debian installer: the whole path,
//! once for each way in which firmware boots. The machine rehearses, so nothing is installed; only the
//! installer's work on the disk is missing.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

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

/// SeaBIOS has its own iPXE and asks for nothing before it.
const BIOS: &[Step] = &[];

const UEFI_HTTP: &[Step] = &[
    ("dhcp.offered", &["stage=http_firmware", "arch=16", "boot_file=http://10.77.0.1:8080/snponly.efi"]),
    ("dhcp.leased", &["stage=http_firmware", "arch=16", "boot_file=http://10.77.0.1:8080/snponly.efi"]),
    ("boot.file_served", &["label=loader:snponly.efi", "protocol=http", "complete=true"]),
];

/// Debian's signed shim and GRUB, from its packages.
const SECURE_PXE: &[Step] = &[
    ("dhcp.offered", &["stage=firmware", "arch=7", "address=10.77.0.100", "boot_file=debian/shimx64.efi"]),
    ("dhcp.leased", &["stage=firmware", "arch=7", "boot_file=debian/shimx64.efi"]),
    ("boot.file_served", &["label=loader:debian/shimx64.efi", "protocol=tftp", "complete=true"]),
    ("boot.file_served", &["label=loader:debian/grubx64.efi", "protocol=tftp", "complete=true"]),
    ("boot.script_fetched", &[]),
    ("boot.rendered", &["label=rendered:grub/boot.cfg"]),
    ("boot.file_served", &["label=rendered:grub/boot.cfg", "protocol=tftp", "complete=true"]),
];

/// The same on a disk that the firmware makes of an image.
const SECURE_HTTP: &[Step] = &[
    ("dhcp.offered", &["stage=http_firmware", "boot_file=http://10.77.0.1:8080/debian/efi.img"]),
    ("boot.file_served", &["label=loader:debian/efi.img", "protocol=http", "complete=true"]),
    ("dhcp.leased", &["stage=system", "address=10.77.0.100", "boot_file=null"]),
    ("boot.script_fetched", &[]),
    ("boot.file_served", &["label=rendered:grub/boot.cfg", "protocol=tftp", "complete=true"]),
    ("machine.disarmed", &["reason=the kernel was fetched: the arming is used up"]),
    ("boot.file_served", &["label=artifact:debian-12-amd64/linux", "protocol=tftp", "complete=true"]),
    ("boot.file_served", &["label=artifact:debian-12-amd64/initrd.gz", "complete=true"]),
];

/// The steps of iPXE between the firmware and the kernel.
const IPXE: &[Step] = &[
    ("dhcp.offered", &["stage=ipxe", "address=10.77.0.100", "boot_file=http://10.77.0.1:8080/m/…/boot.ipxe"]),
    ("dhcp.leased", &["stage=ipxe", "address=10.77.0.100", "boot_file=http://10.77.0.1:8080/m/…/boot.ipxe"]),
    ("boot.script_fetched", &[]),
    ("boot.rendered", &["label=rendered:ipxe/boot.ipxe"]),
    ("boot.file_served", &["label=rendered:ipxe/boot.ipxe", "path=/m/…/boot.ipxe", "complete=true"]),
];

/// The steps from the kernel to the end, the same for all firmware.
const FROM_KERNEL: &[Step] = &[
    ("machine.disarmed", &["reason=the kernel was fetched: the arming is used up"]),
    ("boot.kernel_fetched", &[]),
    ("boot.file_served", &["label=artifact:debian-12-amd64/linux", "complete=true"]),
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

/// The second power-on of a BIOS: an address, and nothing to boot.
const TO_THE_DISK: &[Step] = &[
    ("boot.attempt_started", &["number=2", "bootenv=null"]),
    ("boot.decided", &["verdict=local_disk", "reason=no workflow is under way"]),
    ("dhcp.offered", &["address=10.77.0.100", "boot_file=null"]),
];

/// The second power-on of UEFI: a loader that leaves for the disk.
const LEAVES_FOR_THE_DISK: &[Step] = &[
    ("boot.attempt_started", &["number=2", "bootenv=null"]),
    ("boot.decided", &["verdict=local_disk", "reason=no workflow is under way"]),
    ("boot.file_served", &["label=loader:snponly.efi", "complete=true"]),
    ("boot.rendered", &["label=rendered:ipxe/local.ipxe"]),
];

/// The kernel's log line when the firmware checked signatures all the way.
const SECURE: &str = "Secure boot enabled";

/// A network without a route to others, as provisioning networks often are.
#[test]
fn seabios_rehearses_without_a_router_and_then_boots_its_disk() {
    net::on_a_lan(|lan| {
        let world = World::on_the_lan();
        let mut subnet = net::subnet();
        subnet["options"].as_object_mut().expect("options").remove("routers");
        world.api().post("/subnets", subnet).expect(201);
        let (vm, first) = rehearse((lan, &world), Firmware::Bios, &[BIOS, IPXE].concat());
        let second = boots_its_disk(&world, &vm, (&first, TO_THE_DISK));
        assert_kinds_absent(&second, &["boot.file_served", "boot.rendered"]);
    });
}

#[test]
fn ovmf_over_http_boots_the_installer_and_without_a_run_its_disk() {
    net::on_a_lan(|lan| {
        let world = World::on_the_lan();
        let api = world.api();
        api.post("/subnets", net::subnet()).expect(201);
        scene::add_installer(&api, &scene::small_installer(world.scratch()));
        scene::start_web1(&api);
        let vm = Vm::plug(lan, Firmware::UefiHttp, scene::MAC);
        let mut events = api.events_after(0);
        let console = vm.power_on();
        events.wait_for(COMPLETE_WITHIN, |event| event["kind"] == "boot.kernel_fetched");
        drop(console);
        assert_in_order(&scene::timeline(&api), &[STARTED, UEFI_HTTP, IPXE].concat());
        api.post("/machines/name:web1/actions/cancel", json!({})).expect(200);
        let first = scene::timeline(&api);
        boots_its_disk(&world, &vm, (&first, LEAVES_FOR_THE_DISK));
    });
}

#[test]
fn secure_boot_over_tftp_rehearses_with_debians_signed_loaders() {
    net::on_a_lan(|lan| {
        let world = World::on_the_lan();
        require_secure_boot(&world);
        world.api().post("/subnets", net::subnet()).expect(201);
        rehearse((lan, &world), Firmware::SecurePxe, SECURE_PXE);
    });
}

#[test]
fn secure_boot_over_http_boots_the_installer_from_an_image() {
    net::on_a_lan(|lan| {
        let world = World::on_the_lan();
        require_secure_boot(&world);
        let api = world.api();
        api.post("/subnets", net::subnet()).expect(201);
        scene::add_installer(&api, Path::new(scene::INSTALLER));
        scene::start_web1(&api);
        let vm = Vm::plug(lan, Firmware::SecureHttp, scene::MAC);
        vm.power_on().wait_for_line(SECURE, COMPLETE_WITHIN);
        let timeline = scene::timeline(&api);
        print("secure HTTP boot, up to the kernel", &timeline);
        assert_in_order(&timeline, &[STARTED, SECURE_HTTP].concat());
        assert_kinds_absent(&timeline, &FAULTS);
    });
}

/// The site's profile makes every machine start with signed loaders.
fn require_secure_boot(world: &World) {
    let global = json!({"name": "global", "params": {"secure_boot": true}});
    world.api().post("/profiles", global).expect(201);
}

const FAULTS: [&str; 6] =
    ["boot.denied", "boot.screen", "boot.failed", "boot.render_failed", "boot.stopped", "boot.no_loader"];

fn rehearse((lan, world): (&Lan, &World), firmware: Firmware, loader: &[Step]) -> (Vm, Vec<Value>) {
    let api = world.api();
    scene::add_installer(&api, Path::new(scene::INSTALLER));
    scene::start_web1(&api);
    let vm = Vm::plug(lan, firmware, scene::MAC);
    let disk = vm.disk_bytes();
    let mut events = api.events_after(0);
    let power_on = Instant::now();
    let mut console = vm.power_on();
    if firmware == Firmware::SecurePxe {
        console.wait_for_line(SECURE, COMPLETE_WITHIN);
    }
    events.wait_for(COMPLETE_WITHIN, |event| event["kind"] == "run.completed");
    let took = power_on.elapsed();
    console.wait_for_end(OFF_WITHIN);
    let first = scene::timeline(&api);
    print(&format!("{firmware:?}, complete {} s after power-on", took.as_secs()), &first);
    assert_in_order(&first, &[STARTED, loader, FROM_KERNEL].concat());
    assert_kinds_absent(&first, &FAULTS);
    assert!(vm.disk_bytes() == disk, "a rehearsal writes nothing to the disk");
    (vm, first)
}

/// The machine has nothing more to do: at the next power-on it boots its disk. Returns what came after
/// `before`.
fn boots_its_disk(world: &World, vm: &Vm, (before, steps): (&[Value], &[Step])) -> Vec<Value> {
    vm.expect_disk(vm.power_on(), DISK_WITHIN);
    let second = scene::timeline(&world.api()).split_off(before.len());
    print("powered on again", &second);
    assert_in_order(&second, steps);
    assert_kinds_absent(&second, &["boot.kernel_fetched"]);
    second
}

fn assert_kinds_absent(timeline: &[Value], kinds: &[&str]) {
    let found = timeline.iter().find(|event| kinds.iter().any(|kind| event["kind"] == *kind));
    assert!(found.is_none(), "{found:#?}");
}
