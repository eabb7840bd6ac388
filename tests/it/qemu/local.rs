//! Each loader boots a real disk in its own way: if another server hands out the loader in any case, the
//! script from this server boots the disk. PXELINUX also boots a kernel.

use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::json;

use super::timeline::{Step, assert_in_order};
use super::{Firmware, Vm};
use crate::net::{self, CIDR, Host, Lan, SERVER_ADDRESS};
use crate::program::Program;
use crate::scene;
use crate::world::World;

const DISK_WITHIN: Duration = Duration::from_secs(400);
/// The text of each script.
pub(super) const SAID: &str = "Metalwright: booting from the disk";
const DNSMASQ_WITHIN: Duration = Duration::from_secs(30);

/// Another computer that gives addresses, and this loader to every client.
pub(super) fn server_of(lan: &Lan, loader: &'static str) -> (Host, Program) {
    let host = lan.plug_host("other", "02:00:00:00:00:09");
    let server = host.run(move || {
        net::ip("address add 10.77.0.9/24 dev eth0");
        let mut dnsmasq = Command::new("dnsmasq");
        dnsmasq.args(["--keep-in-foreground", "--log-facility=-", "--log-dhcp", "--conf-file=/dev/null"]);
        dnsmasq.args(["--port=0", "--user=root", "--leasefile-ro", "--interface=eth0", "--pid-file="]);
        dnsmasq.args(["--dhcp-range=10.77.0.50,10.77.0.60,10m", "--dhcp-authoritative"]);
        dnsmasq.arg(format!("--dhcp-boot={loader},,{SERVER_ADDRESS}"));
        let mut server = Program::spawn("dnsmasq", dnsmasq);
        server.wait_for_line("DHCP, IP range", DNSMASQ_WITHIN);
        server
    });
    (host, server)
}

/// An unknown machine boots its disk through `loader`, which read this server's script.
fn leaves_to_its_disk(firmware: Firmware, loader: &'static str) {
    net::on_a_lan(|lan| {
        let _other = server_of(lan, loader);
        let world = World::on_the_lan();
        let subnet = json!({"name": "lan", "cidr": CIDR, "mode": "proxy"});
        world.api().post("/subnets", subnet).expect(201);
        let vm = Vm::plug(lan, firmware, scene::MAC);
        let mut console = vm.power_on();
        console.wait_for_line(SAID, DISK_WITHIN);
        vm.expect_disk(console, DISK_WITHIN);
    });
}

#[test]
fn pxelinux_leaves_to_the_disk() {
    leaves_to_its_disk(Firmware::Bios, "pxelinux.0");
}

#[test]
fn a_signed_grub_leaves_to_the_disk_of_firmware_with_secure_boot() {
    leaves_to_its_disk(Firmware::SecurePxe, "debian/shimx64.efi");
}

/// A server on the LAN, and a machine with OVMF that it knows and has nothing for.
pub(super) fn idle_machine(lan: &Lan) -> (World, Vm) {
    let world = World::on_the_lan();
    let api = world.api();
    api.post("/subnets", net::subnet()).expect(201);
    api.post("/machines", json!({"name": "web1", "macs": [scene::MAC]})).expect(201);
    (world, Vm::plug(lan, Firmware::UefiPxe, scene::MAC))
}

/// Without the loader OVMF waits a minute and more for each of its ways to boot (`leave_by_loader` false).
#[test]
fn a_known_uefi_machine_with_nothing_to_do_leaves_for_its_disk_by_a_loader() {
    net::on_a_lan(|lan| {
        let (world, vm) = idle_machine(lan);
        let began = Instant::now();
        let mut console = vm.power_on();
        console.wait_for_line(SAID, DISK_WITHIN);
        vm.expect_disk(console, DISK_WITHIN);
        println!("OVMF came from power-on to its disk in {:.0} s", began.elapsed().as_secs_f64());
        let steps: &[Step] = &[
            ("boot.decided", &["verdict=local_disk"]),
            ("boot.file_served", &["label=loader:snponly.efi", "complete=true"]),
            ("boot.rendered", &["label=rendered:ipxe/local.ipxe"]),
        ];
        assert_in_order(&scene::timeline(&world.api()), steps);
    });
}

#[test]
fn ipxe_of_an_unknown_machine_leaves_to_the_disk() {
    net::on_a_lan(|lan| {
        let world = World::on_the_lan();
        let api = world.api();
        api.post("/subnets", net::subnet()).expect(201);
        let vm = Vm::plug(lan, Firmware::Bios, scene::MAC);
        let mut console = vm.power_on();
        console.wait_for_line(SAID, DISK_WITHIN);
        vm.expect_disk(console, DISK_WITHIN);
    });
}

#[test]
fn pxelinux_is_selected_by_a_client_class_and_boots_the_installer() {
    net::on_a_lan(|lan| {
        let world = World::on_the_lan();
        let api = world.api();
        api.post("/subnets", net::subnet()).expect(201);
        // QEMU's BIOS has no other PXE than iPXE, which runs PXELINUX like the ROM of a network card.
        let class = json!({"name": "pxelinux", "order": 100, "match": {"user_class": "iPXE"},
            "boot_file": "pxelinux.0"});
        api.post("/client_classes", class).expect(201);
        scene::add_installer(&api, &scene::small_installer(world.scratch()));
        scene::start_web1(&api);
        let vm = Vm::plug(lan, Firmware::Bios, scene::MAC);
        let mut events = api.events_after(0);
        let _console = vm.power_on();
        events.wait_for(DISK_WITHIN, |event| event["kind"] == "boot.kernel_fetched");
        let timeline = scene::timeline(&api);
        let steps: &[Step] = &[
            ("dhcp.leased", &["stage=ipxe", "boot_file=pxelinux.0"]),
            ("boot.file_served", &["label=loader:pxelinux.0", "complete=true"]),
            ("boot.file_served", &["label=loader:ldlinux.c32", "complete=true"]),
            ("boot.rendered", &["label=rendered:pxelinux/boot.cfg"]),
            ("boot.kernel_fetched", &[]),
        ];
        assert_in_order(&timeline, steps);
    });
}
