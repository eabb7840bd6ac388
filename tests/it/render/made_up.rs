//! Machines that are made up: the kernel's view of their disks in a folder, and the installers' scripts run
//! on it in the installers' shells.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

use super::content::case;
use super::scripts::sections;

/// A shell that knows only POSIX, and that of Debian's installer.
pub const SHELLS: [&[&str]; 2] = [&["dash"], &["busybox", "sh"]];
/// Exit status of a script that stopped the installer for good; see `STUBS`.
pub const STOPPED: i32 = 9;
/// Exit status of a script that switched the machine off.
pub const OFF: i32 = 7;

/// Replaces commands that only an installer has. Only a script that stops for good calls `sleep`. `dd` never
/// reaches a disk of the computer that runs the test.
const STUBS: &str = r#"
report() { printf '%s\n' "$1: $2" >>"$reports"; }
udevadm() { name=${3-} && cat "$machine/udev/${name##*[/=]}" 2>/dev/null; }
pvs() { cat "$machine/pvs" 2>/dev/null; }
vgchange() { echo "$*" >>"$machine/commands"; }
mdadm() { echo "$*" >>"$machine/commands"; }
dd() {
    case "$*" in
    *" of=$machine/dev/"*) command dd conv=notrunc "$@" 2>/dev/null ;;
    *) echo "dd $* is not for this machine" >&2 && exit 8 ;;
    esac
}
sleep() { exit 9; }
poweroff() { exit 7; }
"#;

/// A machine: the kernel's view of its disks, in a folder.
pub struct MadeUpMachine {
    root: TempDir,
}

/// The result of a script.
#[derive(Debug)]
pub struct Outcome {
    pub status: Option<i32>,
    /// The reports to the server, each `KIND: TEXT`.
    pub told: String,
    /// The answers to the installer: the calls of `debconf-set`, or the included kickstart.
    pub answers: String,
    /// The text on the console.
    pub console: String,
}

impl Outcome {
    /// The chosen disks, from Debian's answers.
    pub fn disks(&self) -> Option<&str> {
        self.answers.lines().find_map(|line| line.strip_prefix("partman-auto/disk "))
    }

    pub fn failure(&self) -> &str {
        self.told.split_once("failed: ").map_or("", |(_, text)| text)
    }
}

/// The folder below /sys/devices of a disk that is connected in a way; any other text is such a folder.
pub fn place_of(bus: &str, name: &str) -> String {
    let at = match bus {
        "sata" => "pci0000:00/0000:00:17.0/ata1/host0/target0:0:0/0:0:0:0",
        "sas" => "pci0000:00/0000:01:00.0/host2/port-2:0/end_device-2:0/target2:0:0/2:0:0:0",
        "scsi" => "pci0000:00/0000:02:00.0/host3/target3:2:0/3:2:0:0",
        "nvme" => "pci0000:00/0000:05:00.0/nvme/nvme0",
        "virtio" => "pci0000:00/0000:00:04.0/virtio1",
        "xen" => "vbd-768",
        "sd" => "pci0000:00/0000:00:1a.0/mmc_host/mmc0/mmc0:0001",
        "usb" => "pci0000:00/0000:00:14.0/usb1/1-1/1-1:1.0/host6/target6:0:0/6:0:0:0",
        "fc" => "pci0000:00/0000:04:00.0/host7/rport-7:0-0/target7:0:0/7:0:0:0",
        "iscsi" => "platform/host8/session1/target8:0:0/8:0:0:1",
        "srp" => "pci0000:00/0000:06:00.0/host9/port-9:1/target9:0:0/9:0:0:0",
        "pmem" => "LNXSYSTM:00/ACPI0012:00/ndbus0/region0/namespace0.0",
        "nvmeof" => "virtual/nvme-fabrics/ctl/nvme1",
        other => other,
    };
    format!("sys/devices/{at}/block/{name}")
}

impl MadeUpMachine {
    pub fn new() -> MadeUpMachine {
        let root = TempDir::new().unwrap();
        for folder in
            ["sys/block", "sys/class/tty/console", "dev/disk/by-id", "dev/mapper", "tmp", "udev", "bin"]
        {
            fs::create_dir_all(root.path().join(folder)).unwrap();
        }
        fs::write(root.path().join("sys/class/tty/console/active"), "ttyS0\n").unwrap();
        let program = root.path().join("bin/debconf-set");
        fs::write(&program, "#!/bin/sh\nprintf '%s %s\\n' \"$1\" \"$2\" >>\"$machine/answers\"\n").unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        MadeUpMachine { root }
    }

    pub fn with(disks: &[(&str, &str)]) -> MadeUpMachine {
        let machine = MadeUpMachine::new();
        disks.iter().for_each(|(name, bus)| machine.add(name, bus, &[]));
        machine
    }

    pub fn path(&self) -> &Path {
        self.root.path()
    }

    /// A disk of 500 GB. Attributes are files in its folder, or below it.
    pub fn add(&self, name: &str, bus: &str, attributes: &[(&str, &str)]) {
        let block = self.path().join(place_of(bus, name));
        fs::create_dir_all(block.join("device")).unwrap();
        for (attribute, value) in
            [("removable", "0"), ("ro", "0"), ("size", "976773168")].iter().chain(attributes)
        {
            let file = block.join(attribute);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, format!("{value}\n")).unwrap();
        }
        let link = self.path().join("sys/block").join(name);
        let _ = fs::remove_file(&link);
        symlink(&block, link).unwrap();
        let device = self.path().join("dev").join(name.replace('!', "/"));
        fs::create_dir_all(device.parent().unwrap()).unwrap();
        fs::write(device, name).unwrap();
    }

    /// A partition `sda/sda1`, whose device has this text.
    pub fn add_part(&self, part: &str, text: &str) {
        let (_, name) = part.split_once('/').unwrap();
        let folder = self.path().join("sys/block").join(part);
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("size"), "8\n").unwrap();
        fs::write(self.path().join("dev").join(name), text).unwrap();
    }

    /// A link below /dev.
    pub fn link(&self, link: &str, to: &str) {
        symlink(self.path().join("dev").join(to), self.path().join("dev").join(link)).unwrap();
    }

    /// udev's data about a device.
    pub fn udev(&self, name: &str, properties: &str) {
        fs::write(self.path().join("udev").join(name), properties).unwrap();
    }

    /// The output of `pvs`.
    pub fn pvs(&self, lines: &[(&str, &str)]) {
        let dev = self.path().join("dev");
        let text: String =
            lines.iter().map(|(group, device)| format!("  {group} {}/{device}\n", dev.display())).collect();
        fs::write(self.path().join("pvs"), text).unwrap();
    }

    /// What a device of the machine has on it.
    pub fn read(&self, device: &str) -> Vec<u8> {
        fs::read(self.path().join("dev").join(device)).unwrap()
    }

    /// The calls of `vgchange` and `mdadm`.
    pub fn commands(&self) -> String {
        fs::read_to_string(self.path().join("commands")).unwrap_or_default()
    }

    /// Runs a script with the machine's folders in place of the real ones.
    pub fn run(&self, shell: &[&str], script: &str) -> Outcome {
        let root = self.path().to_str().unwrap();
        let mut script =
            script.replace("/dev/null", "NULL").replace("/dev/zero", "ZERO").replace("[ ! -b ", "[ ! -e ");
        for folder in ["/dev/", "/sys/", "/tmp/metalwright", "/etc/lvm"] {
            script = script.replace(folder, &format!("{root}{folder}"));
        }
        let script = script.replace("NULL", "/dev/null").replace("ZERO", "/dev/zero");
        let (functions, main) = script.split_once("if ! disks=").expect("where the work begins");
        let script = format!("{functions}{STUBS}if ! disks={main}");
        for file in ["told", "answers", "commands", "dev/ttyS0", "tmp/metalwright-disk.ks"] {
            let _ = fs::remove_file(self.path().join(file));
        }
        let path = format!("{root}/bin:{}", std::env::var("PATH").unwrap_or_default());
        let done = Command::new(shell[0])
            .args(&shell[1..])
            .args(["-c", &script])
            .env("PATH", path)
            .env("machine", root)
            .env("reports", format!("{root}/told"))
            .output()
            .unwrap();
        let read = |file: &str| fs::read_to_string(self.path().join(file)).unwrap_or_default();
        let clean = |text: String| text.replace(root, "");
        let answers = read("answers") + &read("tmp/metalwright-disk.ks");
        let outcome = Outcome {
            status: done.status.code(),
            told: clean(read("told")),
            answers: clean(answers),
            console: clean(read("dev/ttyS0")),
        };
        let said = String::from_utf8_lossy(&done.stderr);
        assert!([Some(0), Some(STOPPED), Some(OFF)].contains(&outcome.status), "{outcome:?}: {said}");
        outcome
    }

    /// The result of Debian's disk.sh, which must be the same in each shell.
    pub fn debian(&self, params: &Value) -> Outcome {
        let script = debian_script(params);
        let [first, second] = SHELLS.map(|shell| self.run(shell, &script));
        assert_eq!((&first.told, &first.answers), (&second.told, &second.answers));
        first
    }
}

pub fn document(bootenv: &str, file: &str, params: &Value) -> String {
    let documents = case(bootenv, params.clone()).documents();
    documents.into_iter().find(|(name, _)| name == file).unwrap().1
}

pub fn debian_script(params: &Value) -> String {
    document("debian-12-install", "disk.sh", params)
}

pub fn rocky_script(params: &Value) -> String {
    let kickstart = document("rocky-9-install", "rocky.ks", params);
    let script = sections(&kickstart).into_iter().find(|body| body.contains("choose_disks")).unwrap();
    let read = "report log 'the installer has read its answer file' || true\n";
    assert!(script.contains(read));
    script.replace(read, "")
}
