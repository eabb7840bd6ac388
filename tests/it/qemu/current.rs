//! A current iPXE in place of Debian 12's from 2019, and a current OVMF: those of Debian 13, which
//! `make deps` unpacked (`scripts/other-suite`). That iPXE fetches `autoexec.ipxe` before it has configured a
//! network interface. [`loaders`] has all pairs.

use std::time::Duration;

use serde_json::json;

use super::loaders::{self, TRIXIE};
use super::local::{SAID, server_of};
use super::{Firmware, Vm};
use crate::net::{self, CIDR};
use crate::scene;

const WITHIN: Duration = Duration::from_secs(300);
/// OVMF's output when it tries its next boot entry.
const NEXT_WAY: &str = "Start HTTP Boot";

#[test]
fn current_ovmf_boots_the_installer_over_pxe_with_a_current_ipxe() {
    loaders::ovmf_boots_the_installer(Firmware::UefiPxe, (TRIXIE, TRIXIE));
}

#[test]
fn a_current_ipxe_leaves_to_what_comes_next_in_the_boot_order() {
    net::on_a_lan(|lan| {
        let _other = server_of(lan, "snponly.efi");
        let world = loaders::world_with("snponly.efi", &loaders::snponly(TRIXIE));
        let subnet = json!({"name": "lan", "cidr": CIDR, "mode": "proxy"});
        world.api().post("/subnets", subnet).expect(201);
        let vm = Vm::plug(lan, Firmware::UefiPxe, scene::MAC);
        let mut console = vm.power_on();
        console.wait_for_line(SAID, WITHIN);
        // The firmware tries HTTP for minutes before it boots the disk.
        console.wait_for_text(NEXT_WAY, WITHIN);
    });
}
