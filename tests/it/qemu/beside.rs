//! Real firmware in a network whose addresses come from another DHCP server, dnsmasq; the subnet is `proxy`.

use std::process::Command;
use std::time::Duration;

use serde_json::json;

use super::timeline::{Step, assert_in_order, print};
use super::{Firmware, Vm};
use crate::net::{self, BRIDGE, CIDR, Host, Lan};
use crate::program::Program;
use crate::scene;
use crate::world::World;

const KERNEL_WITHIN: Duration = Duration::from_secs(240);
const DNSMASQ_WITHIN: Duration = Duration::from_secs(30);
/// The other server, and the one address it has.
const OTHER: &str = "10.77.0.9";
const ADDRESS: &str = "10.77.0.50";

/// From the firmware's own iPXE to the kernel.
const FROM_IPXE: &[Step] = &[
    ("boot.attempt_started", &["number=1", "bootenv=debian-12-install"]),
    ("boot.decided", &["verdict=netboot", "bootenv=debian-12-install"]),
    ("dhcp.offered", &["stage=ipxe", "address=null", "boot_file=http://10.77.0.1:8080/m/…/boot.ipxe"]),
    ("machine.address_changed", &["address=10.77.0.50"]),
    ("boot.script_fetched", &[]),
    ("boot.file_served", &["label=rendered:ipxe/boot.ipxe", "peer=10.77.0.50", "complete=true"]),
    ("machine.disarmed", &["reason=the kernel was fetched: the arming is used up"]),
    ("boot.kernel_fetched", &[]),
    ("boot.file_served", &["label=artifact:debian-12-amd64/linux", "complete=true"]),
];

/// UEFI firmware is sent to the boot server's port, and reads a loader from an address that this server never
/// gave.
const UEFI: &[Step] = &[
    ("dhcp.offered", &["stage=firmware", "arch=7", "address=null", "boot_file=snponly.efi"]),
    ("machine.address_changed", &["address=10.77.0.50"]),
    ("dhcp.boot_served", &["stage=firmware", "boot_file=snponly.efi"]),
    ("boot.file_served", &["label=loader:snponly.efi", "protocol=tftp", "complete=true"]),
    ("dhcp.offered", &["stage=ipxe", "address=null"]),
    ("boot.script_fetched", &[]),
    ("boot.kernel_fetched", &[]),
];

/// Another computer that gives one address to every client, without boot data.
fn other_server(lan: &Lan) -> (Host, Program) {
    let host = lan.plug_host("other", "02:00:00:00:00:09");
    let server = host.run(|| {
        net::ip(&format!("address add {OTHER}/24 dev eth0"));
        let mut dnsmasq = Command::new("dnsmasq");
        dnsmasq.args(["--keep-in-foreground", "--log-facility=-", "--log-dhcp", "--conf-file=/dev/null"]);
        dnsmasq.args(["--port=0", "--user=root", "--leasefile-ro", "--interface=eth0", "--pid-file="]);
        dnsmasq.arg(format!("--dhcp-range={ADDRESS},{ADDRESS},10m"));
        dnsmasq.arg("--dhcp-authoritative");
        let mut server = Program::spawn("dnsmasq", dnsmasq);
        server.wait_for_line("DHCP, IP range", DNSMASQ_WITHIN);
        server
    });
    (host, server)
}

fn boots_beside(lan: &Lan, firmware: Firmware, steps: &[Step]) {
    let _other = other_server(lan);
    let world = World::on_the_lan();
    let api = world.api();
    api.post("/subnets", json!({"name": "lan", "cidr": CIDR, "mode": "proxy"})).expect(201);
    scene::add_installer(&api, &scene::small_installer(world.scratch()));
    scene::start_web1(&api);
    let vm = Vm::plug(lan, firmware, scene::MAC);
    let mut events = api.events_after(0);
    let _console = vm.power_on();
    events.wait_for(KERNEL_WITHIN, |event| {
        event["kind"] == "boot.file_served" && event["data"]["label"] == "artifact:debian-12-amd64/linux"
    });
    let timeline = scene::timeline(&api);
    print(&format!("{firmware:?} beside dnsmasq on {BRIDGE}"), &timeline);
    assert_in_order(&timeline, steps);
    assert_eq!(api.get("/leases").expect(200)["total"], 0, "no address was ours to give");
}

#[test]
fn seabios_boots_from_a_proxy_beside_dnsmasq() {
    net::on_a_lan(|lan| boots_beside(lan, Firmware::Bios, FROM_IPXE));
}

#[test]
fn ovmf_asks_the_boot_server_beside_dnsmasq() {
    net::on_a_lan(|lan| boots_beside(lan, Firmware::UefiPxe, UEFI));
}
