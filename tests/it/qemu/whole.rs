//! An installation from a Debian mirror that `scripts/installer-mirror` makes and the server serves, with the
//! shipped content as an operator uses it, to the agent's word from the system that boots from its disk. The
//! machine has a small disk that it could boot, one on NVMe with a file system, and one on SATA that is
//! named: the Debian installer writes to the last alone.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::timeline::{Step, assert_in_order, print};
use super::{Firmware, Vm};
use crate::api::Api;
use crate::disk_image::{assert_untouched, installer_mirror, partition_types, written};
use crate::net::{self, SERVER_ADDRESS};
use crate::scene;
use crate::world::{World, run};

/// On a free core it is a quarter of it.
const COMPLETE_WITHIN: Duration = Duration::from_secs(2 * 3600);
const DISK_BYTES: u64 = 6 << 30;
/// The serial number of the disk to install on.
const SERIAL: &str = "system";

/// The types in a table of the kind msdos: the boot partition, and the extended one, in which that of LVM is.
const TYPES: [u8; 2] = [0x83, 0x05];

/// How far an installation has come, by what is first seen of it: a kind of event, and the beginning of its
/// label, text or name.
const STAGES: &[(&str, &str, &str)] = &[
    ("the installer's kernel", "boot.kernel_fetched", ""),
    ("its answers", "boot.file_served", "rendered:preseed.cfg"),
    ("its scripts", "boot.log", "the installer has read its answer file"),
    ("its components", "boot.file_served", "artifact:debian/pool/udebs/"),
    ("the disk", "boot.log", "installing on /dev/sd"),
    ("the base system", "boot.file_served", "artifact:debian/pool/debs/"),
    ("the kernel", "boot.file_served", "artifact:debian/pool/debs/linux-image-"),
    ("what is installed beside it", "boot.file_served", "artifact:debian/pool/debs/openssh-server_"),
    ("GRUB", "boot.file_served", "artifact:debian/pool/debs/grub-pc_"),
    ("the last script", "boot.file_served", "rendered:agent.toml"),
    ("done", "boot.done", ""),
    ("the disk's boot, and the agent", "run.step_done", "record-os"),
    ("the end", "run.completed", ""),
];

const STEPS: &[Step] = &[
    ("boot.file_served", &["label=rendered:preseed.cfg", "complete=true"]),
    ("boot.file_served", &["label=rendered:early.sh", "complete=true"]),
    ("boot.file_served", &["label=rendered:disk.sh", "complete=true"]),
    ("boot.file_served", &["label=rendered:late.sh", "complete=true"]),
    ("boot.log", &["text=the installer has read its answer file"]),
    ("boot.file_served", &["label=artifact:debian/dists/bookworm/Release", "complete=true"]),
    ("boot.log", &[]),
    ("boot.done", &["peer=10.77.0.100"]),
    ("run.step_done", &["kind=bootenv", "name=debian-12-install", "state=done"]),
    ("run.step_done", &["kind=task", "name=record-os", "state=done"]),
    ("run.step_done", &["kind=task", "name=check-ssh-access", "state=done"]),
    ("run.completed", &["workflow=install-debian-12"]),
];

/// The mirror as the repository to install from.
fn params() -> Value {
    let debian = json!({"tag": "debian", "artifact": "debian", "package_type": "apt", "install_source": true,
        "unsigned": true, "components": ["main"]});
    json!({
        "kernel_console": "ttyS0",
        // On a busy host the emulated timers are late, and the kernel would consider them broken.
        "kernel_options": "no_timer_check",
        "disk": {"serial": SERIAL},
        "ssh_keys": [scene::KEY],
        "repositories": [debian],
        "debian_services": [],
        // Two initial RAM disks are made: with the modules of all hardware each takes a quarter of an hour.
        "preseed_extra": "d-i base-installer/initramfs-tools/driver-policy select dep",
    })
}

/// A subnet whose machines ask this server for names: there is no answer, and they know it at once.
fn subnet() -> Value {
    let mut subnet = net::subnet();
    subnet["options"] = json!({"routers": [SERVER_ADDRESS], "domain_name_servers": [SERVER_ADDRESS]});
    // Nothing in the installer renews its lease.
    subnet["lease_seconds"] = json!(86400);
    subnet
}

/// Whether the event is the first sign of a stage.
fn begins(event: &Value, (_, kind, text): &(&str, &str, &str)) -> bool {
    let said = ["label", "text", "name"].map(|field| event["data"][field].as_str().unwrap_or_default());
    event["kind"] == *kind && said.iter().any(|said| said.starts_with(text))
}

/// Follows an installation to its end, and prints each stage when it is reached. A failure, a question on the
/// console, and the end of the time fail the test, with what is known of it.
fn follow(api: &Api) {
    let (power_on, reached) = (Instant::now(), RefCell::new(BTreeSet::new()));
    let mut events = api.events_after(0);
    let last = events.wait_for(COMPLETE_WITHIN, |event| {
        for stage in STAGES.iter().filter(|stage| begins(event, stage)) {
            if reached.borrow_mut().insert(stage.0) {
                println!("{:>5} s  {}", power_on.elapsed().as_secs(), stage.0);
            }
        }
        let is_question = event["kind"] == "boot.installer_asks" && event["data"]["question"] != "";
        is_question
            || ["boot.failed", "run.failed", "run.completed"].iter().any(|kind| event["kind"] == *kind)
    });
    print("the Debian installer, from power-on", &scene::timeline(api));
    if last["kind"] != "run.completed" {
        let run = api.get("/runs").expect(200)["items"][0]["id"].as_str().unwrap_or_default().to_owned();
        let log = api.get(&format!("/runs/{run}/documents/installer.log"));
        panic!("{last:#}\n{}", log.body.as_str().unwrap_or_default());
    }
    let missed: Vec<&str> =
        STAGES.iter().map(|stage| stage.0).filter(|name| !reached.borrow().contains(name)).collect();
    assert!(missed.is_empty(), "stages that were not seen: {missed:?}");
}

/// What the first task in the installed system said of it.
fn assert_installed(api: &Api) {
    let jobs = api.get("/jobs?task=record-os").expect(200);
    let id = jobs["items"][0]["id"].as_str().expect("a job").to_owned();
    let log = api.get(&format!("/jobs/{id}/log")).expect(200);
    let log = log.as_str().expect("text");
    for said in ["os: Debian GNU/Linux 12 (bookworm)\n", "booted: bios\n", "root: /dev/mapper/vg_web1-root "]
    {
        assert!(log.contains(said), "{said}: {log}");
    }
}

#[test]
fn the_debian_installer_makes_a_system_that_boots_of_the_disk_that_is_named_of_three() {
    let mirror = installer_mirror(&[]).remove(0);
    net::on_a_lan(|lan| {
        let roots = format!("/usr/lib/debian-installer,{}", mirror.display());
        let listeners = ["--api-listen", "0.0.0.0:8443", "--boot-http", "0.0.0.0:8080", "--tftp-listen"];
        let more = ["0.0.0.0:69", "--dhcp-interface", net::BRIDGE, "--artifacts-root", roots.as_str()];
        let world = World::with(&[&listeners[..], &more].concat());
        let api = world.api();
        api.post("/subnets", subnet()).expect(201);
        scene::add_installer(&api, Path::new(scene::INSTALLER));
        scene::add_artifact(&api, json!({"name": "debian", "path": mirror}));
        api.post("/machines", json!({"name": "web1", "macs": [scene::MAC], "params": params()})).expect(201);
        api.post("/machines/name:web1/actions/start", json!({"workflow": "install-debian-12"})).expect(200);

        let mut vm = Vm::plug(lan, Firmware::Bios, scene::MAC);
        let data = vm.add_disk("nvme,serial=data", DISK_BYTES);
        let system = vm.add_disk(&format!("ide-hd,bus=ahci.0,serial={SERIAL},bootindex=2"), DISK_BYTES);
        run("mkfs.ext4", &["-q", "-F", data.to_str().expect("a path in UTF-8")]);
        let (small, before) = (vm.disk_bytes(), written(&data));
        let console = vm.power_on();
        follow(&api);
        drop(console);
        assert_in_order(&scene::timeline(&api), STEPS);
        assert_installed(&api);
        assert!(vm.disk_bytes() == small, "nothing is written to the small disk");
        assert_untouched(&data, &before);
        assert_eq!(partition_types(&system), TYPES);
    });
}
