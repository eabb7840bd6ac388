//! A current iPXE in place of Debian 12's from 2019: that of Debian 13, which `make deps` unpacked
//! (`scripts/other-suite`). It fetches `autoexec.ipxe` before it has configured a network interface.

use std::fs;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use super::local::{SAID, server_of};
use super::timeline::{Step, assert_in_order, print};
use super::{Firmware, Vm};
use crate::net::{self, CIDR};
use crate::scene;
use crate::world::World;

const LOADER: &str = "suites/trixie/ipxe/usr/lib/ipxe/snponly.efi";
const WITHIN: Duration = Duration::from_secs(300);
/// iPXE's output when a script makes it configure an interface.
const CONFIGURES: &str = "Configuring (net0";
/// The kernel's output when it has unpacked iPXE's initrd.
const KERNEL_HAS_INITRD: &str = "Freeing initrd memory";

/// OVMF's output when it tries its next boot entry.
const NEXT_WAY: &str = "Start HTTP Boot";

const STEPS: &[Step] = &[
    ("dhcp.offered", &["stage=firmware", "arch=7", "boot_file=snponly.efi"]),
    ("boot.file_served", &["label=loader:snponly.efi", "protocol=tftp", "complete=true"]),
    ("boot.file_served", &["label=rendered:ipxe/boot.ipxe", "protocol=tftp", "complete=true"]),
    ("dhcp.leased", &["stage=ipxe"]),
    ("boot.kernel_fetched", &[]),
    ("boot.file_served", &["label=artifact:debian-12-amd64/linux", "protocol=http", "complete=true"]),
    ("boot.file_served", &["label=artifact:debian-12-amd64/initrd.gz", "protocol=http", "complete=true"]),
];

/// A server whose site put the loader into `loaders/`, which takes precedence over the packages'.
fn world_with_a_current_ipxe() -> World {
    let mut world = World::on_the_lan();
    world.stop();
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("the target directory");
    let (loader, loaders) = (target.join(LOADER), world.data().join("loaders"));
    fs::create_dir_all(&loaders).expect("a folder for loaders");
    fs::copy(&loader, loaders.join("snponly.efi"))
        .unwrap_or_else(|error| panic!("{}: {error}: run `make deps`", loader.display()));
    world.start();
    world
}

#[test]
fn ovmf_boots_the_installer_over_pxe_with_a_current_ipxe() {
    net::on_a_lan(|lan| {
        let world = world_with_a_current_ipxe();
        let api = world.api();
        api.post("/subnets", net::subnet()).expect(201);
        scene::add_installer(&api, Path::new(scene::INSTALLER));
        scene::start_web1(&api);
        let vm = Vm::plug(lan, Firmware::UefiPxe, scene::MAC);
        let mut console = vm.power_on();
        console.wait_for_line(CONFIGURES, WITHIN);
        console.wait_for_line(KERNEL_HAS_INITRD, WITHIN);
        let timeline = scene::timeline(&api);
        print("OVMF with a current iPXE, up to the kernel", &timeline);
        assert_in_order(&timeline, STEPS);
        let is_fault =
            |event: &&Value| ["boot.attempt_ended", "boot.denied"].iter().any(|k| event["kind"] == *k);
        let fault = timeline.iter().find(is_fault);
        assert!(fault.is_none(), "iPXE's own DHCP belongs to the same power-on: {fault:#?}");
    });
}

#[test]
fn a_current_ipxe_leaves_to_what_comes_next_in_the_boot_order() {
    net::on_a_lan(|lan| {
        let _other = server_of(lan, "snponly.efi");
        let world = world_with_a_current_ipxe();
        let subnet = json!({"name": "lan", "cidr": CIDR, "mode": "proxy"});
        world.api().post("/subnets", subnet).expect(201);
        let vm = Vm::plug(lan, Firmware::UefiPxe, scene::MAC);
        let mut console = vm.power_on();
        console.wait_for_line(SAID, WITHIN);
        // The firmware tries HTTP for minutes before it boots the disk.
        console.wait_for_text(NEXT_WAY, WITHIN);
    });
}
