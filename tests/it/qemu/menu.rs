//! The console menu of an unregistered machine, on real firmware: keys on the serial console choose an entry,
//! which is booted; without keys it is the disk.

use std::path::Path;
use std::time::Duration;

use serde_json::json;

use super::{Firmware, Vm};
use crate::net::{self, Lan};
use crate::program::Program;
use crate::scene;
use crate::world::World;

const MENU_WITHIN: Duration = Duration::from_secs(200);
const KERNEL_WITHIN: Duration = Duration::from_secs(200);
const DISK_WITHIN: Duration = Duration::from_secs(200);
/// The machine at whose menu nobody presses a key.
const LONELY_MAC: &str = "52:54:00:aa:00:02";
/// The command line of the chosen kernel.
const CHOSEN: &str = "chosen-at-its-console";
/// The entry that cannot be started from a menu, below the harmless ones.
const ERASING: &str = "debian-12-install (erases disks: how to start it)";
/// The bytes of the keys on a serial line.
const DOWN: &str = "\x1b[B";
const ENTER: &str = "\r";

/// A server whose unknown machines get a menu with a harmless bootenv: a kernel alone.
fn world_with_a_menu() -> World {
    let world = World::on_the_lan();
    let api = world.api();
    api.post("/subnets", net::subnet()).expect(201);
    api.patch("/settings/unknown_machine", json!({"value": "menu"})).expect(200);
    scene::add_installer(&api, Path::new(scene::INSTALLER));
    let files = json!({"artifact": "debian-12-amd64", "kernel": "linux"});
    let bootenv = json!({"name": "rescue", "kind": "live", "arches": {"amd64": files},
        "boot_params": format!("console=ttyS0 no_timer_check {CHOSEN}")});
    api.post("/bootenvs", bootenv).expect(201);
    world
}

/// Chooses the entry below the disk, and waits for its kernel.
fn choose_the_first(console: &mut Program) {
    console.wait_for_text(ERASING, MENU_WITHIN);
    console.press(DOWN);
    console.press(ENTER);
    let line = console.wait_for_line("Command line: ", KERNEL_WITHIN);
    assert!(line.contains(CHOSEN), "{line}");
}

#[test]
fn seabios_boots_what_is_chosen_at_its_menu_and_by_itself_the_disk() {
    net::on_a_lan(|lan: &Lan| {
        let _world = world_with_a_menu();
        let vm = Vm::plug(lan, Firmware::Bios, scene::MAC);
        let lonely = Vm::plug(lan, Firmware::Bios, LONELY_MAC);
        let (mut console, mut nobodys) = (vm.power_on(), lonely.power_on());
        choose_the_first(&mut console);
        drop(console);
        nobodys.wait_for_text(ERASING, MENU_WITHIN);
        lonely.expect_disk(nobodys, DISK_WITHIN);
    });
}

#[test]
fn a_signed_grub_boots_what_is_chosen_at_its_menu() {
    net::on_a_lan(|lan: &Lan| {
        let world = world_with_a_menu();
        world.api().patch("/settings/secure_boot", json!({"value": true})).expect(200);
        let vm = Vm::plug(lan, Firmware::SecurePxe, scene::MAC);
        choose_the_first(&mut vm.power_on());
    });
}
