//! Firmware and loaders of two releases of Debian, each with each: OVMF and AAVMF (64-bit ARM) with iPXE. The
//! next change of one of them is seen here, in `make loaders`, a step of `make acceptance`. `scripts/deps
//! loaders` gets the packages; `qemu::current` and the other modules have one pair of each release for
//! `make qemu`.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::local::idle_machine;
use super::timeline::{Step, assert_in_order, print};
use super::{Firmware, FirmwareBuild, Vm};
use crate::api::Api;
use crate::net;
use crate::program::{Program, target_directory};
use crate::scene;
use crate::world::World;

pub const BOOKWORM: &str = "bookworm";
pub const TRIXIE: &str = "trixie";

const WITHIN: Duration = Duration::from_secs(300);
const DISK_WITHIN: Duration = Duration::from_secs(600);
/// The kernel's output when it has unpacked the initrd that the loader gave it.
const KERNEL_HAS_INITRD: &str = "Freeing initrd memory";
/// Debian's installer for 64-bit ARM, for its kernel and initrd.
const ARM_INSTALLER: (&str, &str) = (
    "debian-installer-12-netboot-arm64",
    "usr/lib/debian-installer/images/12/arm64/text/debian-installer/arm64",
);

/// The loader by TFTP. The newer one fetches a script in the same way.
const LOADER: [Step; 2] =
    [("dhcp.offered", &["stage=firmware"]), ("boot.file_served", &["protocol=tftp", "complete=true"])];
const AUTOEXEC: [Step; 1] =
    [("boot.file_served", &["label=rendered:ipxe/boot.ipxe", "protocol=tftp", "complete=true"])];
const KERNEL: [Step; 4] = [
    ("dhcp.leased", &["stage=ipxe"]),
    ("boot.kernel_fetched", &[]),
    ("boot.file_served", &["label=artifact:debian-12-amd64/linux", "protocol=http", "complete=true"]),
    ("boot.file_served", &["label=artifact:debian-12-amd64/initrd.gz", "protocol=http", "complete=true"]),
];

/// A file of a package of this suite, which `scripts/other-suite` unpacked.
fn unpacked(suite: &str, (package, path): (&str, &str)) -> PathBuf {
    let file = target_directory().join("suites").join(suite).join(package).join(path);
    assert!(
        file.exists(),
        "{} is not there: run `scripts/deps test` or `scripts/deps loaders`",
        file.display()
    );
    file
}

/// The iPXE for UEFI on x86 that works with the firmware's own network driver.
pub fn snponly(suite: &str) -> PathBuf {
    unpacked(suite, ("ipxe", "usr/lib/ipxe/snponly.efi"))
}

fn ovmf(suite: &str) -> FirmwareBuild {
    let file = |name: &str| unpacked(suite, ("ovmf", &format!("usr/share/OVMF/{name}")));
    FirmwareBuild { code: file("OVMF_CODE_4M.fd"), variables: file("OVMF_VARS_4M.fd") }
}

fn aavmf(suite: &str) -> FirmwareBuild {
    let file = |name: &str| unpacked(suite, ("qemu-efi-aarch64", &format!("usr/share/AAVMF/{name}")));
    FirmwareBuild { code: file("AAVMF_CODE.fd"), variables: file("AAVMF_VARS.fd") }
}

/// A server whose site put a loader into `loaders/`, which takes precedence over the packages'.
pub fn world_with(name: &str, loader: &Path) -> World {
    let roots = format!("{},{}", scene::INSTALLER, target_directory().display());
    let mut world = World::on_the_lan_with(&["--artifacts-root", &roots]);
    world.stop();
    let loaders = world.data().join("loaders");
    fs::create_dir_all(&loaders).expect("a folder for loaders");
    fs::copy(loader, loaders.join(name)).unwrap_or_else(|error| panic!("{}: {error}", loader.display()));
    world.start();
    world
}

/// Waits for the kernel, and checks that everything belonged to one power-on.
fn comes_to_its_kernel(api: &Api, (mut console, title): (Program, &str), steps: &[Step]) {
    console.wait_for_line(KERNEL_HAS_INITRD, WITHIN);
    let timeline = scene::timeline(api);
    print(title, &timeline);
    assert_in_order(&timeline, steps);
    let is_fault = |event: &&Value| ["boot.attempt_ended", "boot.denied"].iter().any(|k| event["kind"] == *k);
    let fault = timeline.iter().find(is_fault);
    assert!(fault.is_none(), "the loader's own DHCP belongs to the same power-on: {fault:#?}");
}

/// OVMF of a suite boots the Debian installer through the iPXE of a suite.
pub fn ovmf_boots_the_installer(firmware: Firmware, (of_firmware, of_loader): (&str, &str)) {
    net::on_a_lan(|lan| {
        let world = world_with("snponly.efi", &snponly(of_loader));
        let api = world.api();
        api.post("/subnets", net::subnet()).expect(201);
        scene::add_installer(&api, Path::new(scene::INSTALLER));
        scene::start_web1(&api);
        let vm = Vm::plug_with(lan, (firmware, ovmf(of_firmware)), scene::MAC);
        let title = format!("{firmware:?}: OVMF of {of_firmware}, iPXE of {of_loader}");
        let by_tftp = firmware == Firmware::UefiPxe;
        let loader = LOADER.iter().filter(|_| by_tftp);
        let autoexec = AUTOEXEC.iter().filter(|_| by_tftp && of_loader == TRIXIE);
        let steps: Vec<Step> = loader.chain(autoexec).chain(&KERNEL).copied().collect();
        comes_to_its_kernel(&api, (vm.power_on(), &title), &steps);
    });
}

/// AAVMF of a suite boots a kernel for 64-bit ARM through Debian 13's iPXE. Debian 12 has none for it.
fn aavmf_boots_a_kernel(of_firmware: &str) {
    net::on_a_lan(|lan| {
        let loader = unpacked(TRIXIE, ("ipxe", "usr/lib/ipxe/ipxe-arm64.efi"));
        let world = world_with("snponly-arm64.efi", &loader);
        let api = world.api();
        api.post("/subnets", net::subnet()).expect(201);
        scene::add_installer(&api, &unpacked(BOOKWORM, ARM_INSTALLER));
        let files = json!({"artifact": "debian-12-amd64", "kernel": "linux", "initrds": ["initrd.gz"]});
        let bootenv = json!({"name": "arm", "kind": "live", "arches": {"arm64": files},
            "boot_params": "console=ttyAMA0"});
        api.post("/bootenvs", bootenv).expect(201);
        api.post("/stages", json!({"name": "arm", "bootenv": "arm"})).expect(201);
        api.post("/workflows", json!({"name": "arm", "stages": ["arm"]})).expect(201);
        api.post("/machines", json!({"name": "web1", "macs": [scene::MAC], "arch": "arm64"})).expect(201);
        api.post("/machines/name:web1/actions/start", json!({"workflow": "arm"})).expect(200);
        let vm = Vm::plug_with(lan, (Firmware::ArmPxe, aavmf(of_firmware)), scene::MAC);
        let title = format!("AAVMF of {of_firmware}, iPXE of {TRIXIE}");
        let steps: Vec<Step> = LOADER.iter().chain(&AUTOEXEC).chain(&KERNEL).copied().collect();
        comes_to_its_kernel(&api, (vm.power_on(), &title), &steps);
    });
}

#[test]
fn ovmf_of_debian_12_boots_the_installer_with_ipxe_of_debian_12() {
    ovmf_boots_the_installer(Firmware::UefiPxe, (BOOKWORM, BOOKWORM));
}

#[test]
fn ovmf_of_debian_12_boots_the_installer_with_ipxe_of_debian_13() {
    ovmf_boots_the_installer(Firmware::UefiPxe, (BOOKWORM, TRIXIE));
}

#[test]
fn ovmf_of_debian_13_boots_the_installer_with_ipxe_of_debian_12() {
    ovmf_boots_the_installer(Firmware::UefiPxe, (TRIXIE, BOOKWORM));
}

#[test]
fn ovmf_of_debian_13_boots_the_installer_over_http_with_ipxe_of_debian_12() {
    ovmf_boots_the_installer(Firmware::UefiHttp, (TRIXIE, BOOKWORM));
}

#[test]
fn ovmf_of_debian_13_boots_the_installer_over_http_with_ipxe_of_debian_13() {
    ovmf_boots_the_installer(Firmware::UefiHttp, (TRIXIE, TRIXIE));
}

#[test]
fn aavmf_of_debian_12_boots_a_kernel_with_ipxe_of_debian_13() {
    aavmf_boots_a_kernel(BOOKWORM);
}

#[test]
fn aavmf_of_debian_13_boots_a_kernel_with_ipxe_of_debian_13() {
    aavmf_boots_a_kernel(TRIXIE);
}

/// Prints how long OVMF takes from power-on to its disk: with the loader that leaves for the disk, with the
/// firmware's own time-outs, and without a network.
#[test]
fn ovmf_comes_to_its_disk_without_a_network_by_the_loader_that_leaves_and_by_its_time_outs() {
    net::on_a_lan(|lan| {
        let (world, mut vm) = idle_machine(lan);
        let seconds_to_disk = |vm: &Vm, way: &str| {
            let began = Instant::now();
            vm.expect_disk(vm.power_on(), DISK_WITHIN);
            println!("OVMF, from power-on to its disk, {way}: {:.0} s", began.elapsed().as_secs_f64());
        };
        seconds_to_disk(&vm, "by the loader that leaves");
        world.api().patch("/settings/leave_by_loader", json!({"value": false})).expect(200);
        seconds_to_disk(&vm, "by the firmware's time-outs");
        vm.remove_network();
        seconds_to_disk(&vm, "without a network");
    });
}
