//! An installation from a Debian mirror that `scripts/installer-mirror` makes and the server serves, with the
//! shipped content as an operator uses it. The machine has a small disk that it could boot, one on NVMe with
//! data, and one on SATA that is named: the Debian installer writes to the last alone.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

use super::timeline::{Step, assert_in_order, print};
use super::{Firmware, Vm};
use crate::net::{self, SERVER_ADDRESS};
use crate::scene;
use crate::world::World;

const BASE_SYSTEM_WITHIN: Duration = Duration::from_secs(3600);
const DISK_BYTES: u64 = 6 << 30;
/// The serial number of the disk to install on.
const SERIAL: &str = "system";

/// What is on the NVMe disk: enough that a file system's beginning would replace it.
const DATA_BYTES: usize = 4 << 20;

/// The types in a table of the kind msdos: the boot partition, and the extended one, in which that of LVM is.
const TYPES: [u8; 2] = [0x83, 0x05];

const STEPS: &[Step] = &[
    ("boot.file_served", &["label=rendered:preseed.cfg", "complete=true"]),
    ("boot.file_served", &["label=rendered:early.sh", "complete=true"]),
    ("boot.file_served", &["label=rendered:disk.sh", "complete=true"]),
    ("boot.file_served", &["label=rendered:late.sh", "complete=true"]),
    ("boot.log", &["text=the installer has read its answer file"]),
    ("boot.file_served", &["label=artifact:debian/dists/bookworm/Release", "complete=true"]),
    ("boot.log", &[]),
];

/// The folder of the mirror. What it has from before is not made again.
fn installer_mirror() -> String {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("the target directory");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/installer-mirror");
    let made = Command::new("bash").arg(script).env("CARGO_TARGET_DIR", target).output().expect("bash runs");
    let said = String::from_utf8_lossy(&made.stderr);
    assert!(made.status.success(), "scripts/installer-mirror: {}", crate::program::tail(&said));
    String::from_utf8(made.stdout).expect("a path in UTF-8").trim().to_owned()
}

/// The mirror as the repository to install from.
fn params() -> Value {
    let debian = json!({"tag": "debian", "artifact": "debian", "package_type": "apt", "install_source": true,
        "unsigned": true, "components": ["main"]});
    json!({
        "kernel_console": "ttyS0",
        // On a busy host the emulated timers are late, and the kernel would consider them broken.
        "installer_options": "no_timer_check",
        "disk": {"serial": SERIAL},
        "repositories": [debian],
        "debian_services": [],
    })
}

/// The partition types in the table of a disk of the kind msdos.
fn partition_types(disk: &[u8]) -> Vec<u8> {
    assert_eq!(disk.get(510..512), Some(&[0x55, 0xaa][..]), "there is a partition table");
    let entries = disk.get(446..510).unwrap_or_default().chunks(16);
    entries.filter_map(|entry| entry.get(4).copied()).filter(|kind| *kind != 0).collect()
}

fn beginning(path: &Path) -> Vec<u8> {
    use std::io::Read;
    let mut bytes = vec![0; DATA_BYTES];
    fs::File::open(path).and_then(|mut file| file.read_exact(&mut bytes)).expect("a disk image");
    bytes
}

fn add_artifact(api: &crate::api::Api, name: &str, folder: &str) {
    let mut events = api.events_after(0);
    api.post("/artifacts", json!({"name": name, "path": folder})).expect(201);
    events.wait_for(scene::EVENT_WITHIN, |event| {
        event["kind"] == "artifact.state_changed" && event["data"]["state"] == "ready"
    });
}

#[test]
fn the_debian_installer_partitions_the_disk_that_is_named_of_three() {
    let mirror = installer_mirror();
    net::on_a_lan(|lan| {
        let roots = format!("/usr/lib/debian-installer,{mirror}");
        let world = World::on_the_lan_with(&["--artifacts-root", &roots]);
        let api = world.api();
        let mut subnet = net::subnet();
        // DNS queries get no answer there, and fail at once.
        subnet["options"] = json!({"routers": [SERVER_ADDRESS], "domain_name_servers": [SERVER_ADDRESS]});
        api.post("/subnets", subnet).expect(201);
        scene::add_installer(&api, Path::new(scene::INSTALLER));
        add_artifact(&api, "debian", &mirror);
        api.post("/machines", json!({"name": "web1", "macs": [scene::MAC], "params": params()})).expect(201);
        api.post("/machines/name:web1/actions/start", json!({"workflow": "install-debian-12"})).expect(200);

        let mut vm = Vm::plug(lan, Firmware::Bios, scene::MAC);
        let data = vm.add_disk("nvme,serial=data", DISK_BYTES);
        let system = vm.add_disk(&format!("ide-hd,bus=ahci.0,serial={SERIAL}"), DISK_BYTES);
        let file = fs::File::options().write(true).open(&data);
        let pattern: Vec<u8> = (0..=u8::MAX).cycle().take(DATA_BYTES).collect();
        file.and_then(|mut file| std::io::Write::write_all(&mut file, &pattern)).expect("data on a disk");
        let small = vm.disk_bytes();
        let mut events = api.events_after(0);
        let console = vm.power_on();
        // The base system comes when file systems are made and mounted.
        events.wait_for(BASE_SYSTEM_WITHIN, |event| {
            let label = event["data"]["label"].as_str().unwrap_or_default();
            let ends_it = ["boot.failed", "boot.installer_asks"].iter().any(|kind| event["kind"] == *kind);
            assert!(!ends_it, "{event:#}");
            event["kind"] == "boot.file_served" && label.starts_with("artifact:debian/pool/debs/")
        });
        drop(console);
        let timeline = scene::timeline(&api);
        print("up to the base system", &timeline);
        assert_in_order(&timeline, STEPS);
        assert!(vm.disk_bytes() == small, "nothing is written to the small disk");
        assert!(beginning(&data) == pattern, "nothing is written to the disk with data");
        assert_eq!(partition_types(&beginning(&system)), TYPES);
    });
}
