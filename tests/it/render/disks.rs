//! The choice of the disk: the built-in scripts, run on made-up machines in the installers' shells.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use super::content::cases;
use super::scripts::sections;

/// The shell of Debian's installer (busybox), and a shell that knows only POSIX.
const SHELLS: [&[&str]; 2] = [&["/bin/sh"], &["busybox", "sh"]];
/// Exit status of a script that stopped the installer for good; see `STUBS`.
const STOPPED: i32 = 9;
const SECTORS_4_GIB: u64 = 8_388_608;

/// Replaces commands that only an installer has. Only a script that stops for good calls `sleep`. `dd` never
/// reaches a disk of the computer that runs the test.
const STUBS: &str = r#"
report() { printf '%s\n' "$1: $2" >>"$reports"; }
udevadm() { name=${3-} && cat "$machine/udev/${name##*[/=]}" 2>/dev/null; }
pvs() { cat "$machine/pvs" 2>/dev/null; }
vgchange() { echo "$*" >>"$machine/vgchange"; }
dd() {
    case "$*" in
    *" of=$machine/dev/"*) command dd conv=notrunc "$@" 2>/dev/null ;;
    *) echo "dd $* is not for this machine" >&2 && exit 8 ;;
    esac
}
sleep() { exit 9; }
"#;

/// A machine: the kernel's view of its disks, in a folder.
struct Machine {
    root: TempDir,
}

/// The result of a script.
#[derive(Debug)]
struct Outcome {
    status: Option<i32>,
    /// The reports to the server, each `KIND: TEXT`.
    told: String,
    /// The answers to the installer: the calls of `debconf-set`, or the included kickstart.
    answers: String,
    /// The text on the console.
    console: String,
}

impl Outcome {
    /// The chosen disk, from Debian's answers.
    fn disk(&self) -> Option<&str> {
        self.answers.lines().find_map(|line| line.strip_prefix("partman-auto/disk "))
    }

    fn failure(&self) -> &str {
        self.told.split_once("failed: ").map_or("", |(_, text)| text)
    }
}

impl Machine {
    fn new() -> Machine {
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
        Machine { root }
    }

    fn with(disks: &[(&str, &str)]) -> Machine {
        let machine = Machine::new();
        disks.iter().for_each(|(name, place)| machine.add(name, place, &[]));
        machine
    }

    fn path(&self) -> &Path {
        self.root.path()
    }

    /// A disk at `place` below the machine's devices. Attributes are files in its folder, or below it.
    fn add(&self, name: &str, place: &str, attributes: &[(&str, &str)]) {
        let block = self.path().join("sys/devices").join(place).join("block").join(name);
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
        fs::write(device, "").unwrap();
    }

    /// udev's data about a device.
    fn udev(&self, name: &str, properties: &str) {
        fs::write(self.path().join("udev").join(name), properties).unwrap();
    }

    /// The output of `pvs`.
    fn pvs(&self, lines: &[(&str, &str)]) {
        let dev = self.path().join("dev");
        let text: String =
            lines.iter().map(|(group, device)| format!("  {group} {}/{device}\n", dev.display())).collect();
        fs::write(self.path().join("pvs"), text).unwrap();
    }

    /// Runs a script with the machine's folders in place of the real ones.
    fn run(&self, shell: &[&str], script: &str) -> Outcome {
        let root = self.path().to_str().unwrap();
        let mut script =
            script.replace("/dev/null", "NULL").replace("/dev/zero", "ZERO").replace("[ ! -b ", "[ ! -e ");
        for folder in ["/dev/", "/sys/", "/tmp/metalwright", "/etc/lvm"] {
            script = script.replace(folder, &format!("{root}{folder}"));
        }
        let script = script.replace("NULL", "/dev/null").replace("ZERO", "/dev/zero");
        let (functions, main) = script.split_once("if ! disk=").expect("where the work begins");
        let script = format!("{functions}{STUBS}if ! disk={main}");
        for file in ["told", "answers", "dev/ttyS0", "tmp/metalwright-disk.ks"] {
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
        assert!([Some(0), Some(STOPPED)].contains(&outcome.status), "{outcome:?}: {said}");
        outcome
    }

    /// The result of Debian's disk.sh, which must be the same in each shell.
    fn debian(&self, install_disk: Option<&str>) -> Outcome {
        let script = debian_script(install_disk);
        let [first, second] = SHELLS.map(|shell| self.run(shell, &script));
        assert_eq!((&first.told, &first.answers), (&second.told, &second.answers));
        first
    }
}

const NAMED: &str = "/dev/disk/by-id/nvme-eui.0025385b71b0a1c2";

fn document(bootenv: &str, file: &str, install_disk: Option<&str>) -> String {
    let variant = if install_disk.is_some() { "uefi-site" } else { "bios" };
    let mut cases = cases().into_iter();
    let case = cases.find(|case| case.bootenv == bootenv && case.variant == variant).unwrap();
    let (_, text) = case.documents().into_iter().find(|(name, _)| name == file).unwrap();
    text.replace(NAMED, install_disk.unwrap_or_default())
}

fn debian_script(install_disk: Option<&str>) -> String {
    document("debian-12-install", "disk.sh", install_disk)
}

fn rocky_script(install_disk: Option<&str>) -> String {
    let kickstart = document("rocky-9-install", "rocky.ks", install_disk);
    let script = sections(&kickstart).into_iter().find(|body| body.contains("choose_disk")).unwrap();
    let read = "report log 'the installer has read its answer file' || true\n";
    assert!(script.contains(read));
    script.replace(read, "")
}

const SATA: &str = "pci0000:00/0000:00:17.0/ata1/host0/target0:0:0/0:0:0:0";
const SATA_2: &str = "pci0000:00/0000:00:17.0/ata2/host1/target1:0:0/1:0:0:0";
const SAS: &str = "pci0000:00/0000:01:00.0/host2/port-2:0/end_device-2:0/target2:0:0/2:0:0:0";
const RAID: &str = "pci0000:00/0000:02:00.0/host3/target3:2:0/3:2:0:0";
const NVME: &str = "pci0000:00/0000:05:00.0/nvme/nvme0";
const EMMC: &str = "pci0000:00/0000:00:1a.0/mmc_host/mmc0/mmc0:0001";
const USB: &str = "pci0000:00/0000:00:14.0/usb1/1-1/1-1:1.0/host6/target6:0:0/6:0:0:0";
const FIBRE: &str = "pci0000:00/0000:04:00.0/host7/rport-7:0-0/target7:0:0/7:0:0:0";
const ISCSI: &str = "platform/host8/session1/target8:0:0/8:0:0:1";
const SRP: &str = "pci0000:00/0000:06:00.0/host9/port-9:1/target9:0:0/9:0:0:0";
const PMEM: &str = "LNXSYSTM:00/ACPI0012:00/ndbus0/region0/namespace0.0";
const FABRIC: &str = "virtual/nvme-fabrics/ctl/nvme1";

#[test]
fn the_only_local_fixed_disk_is_installed_on() {
    let machines: &[(&[(&str, &str)], &str)] = &[
        (&[("sda", SATA)], "/dev/sda"),
        (&[("sda", SAS)], "/dev/sda"),
        (&[("sda", RAID)], "/dev/sda"),
        (&[("nvme0n1", NVME)], "/dev/nvme0n1"),
        (&[("vda", "pci0000:00/0000:00:04.0/virtio1")], "/dev/vda"),
        (&[("xvda", "vbd-768")], "/dev/xvda"),
        (&[("cciss!c0d0", "pci0000:00/0000:02:00.0/cciss0")], "/dev/cciss/c0d0"),
        (&[("mmcblk0", EMMC), ("nvme0n1", NVME)], "/dev/nvme0n1"),
        (&[("mmcblk0", EMMC), ("mmcblk0boot0", EMMC), ("sda", SATA)], "/dev/sda"),
        (&[("sda", FIBRE), ("sdb", SATA)], "/dev/sdb"),
        (&[("sda", ISCSI), ("sdb", SATA)], "/dev/sdb"),
        (&[("sda", SRP), ("sdb", SAS)], "/dev/sdb"),
        (&[("nvme0n1", FABRIC), ("sda", SATA)], "/dev/sda"),
        (&[("pmem0", PMEM), ("sda", SATA)], "/dev/sda"),
        (&[("sda", USB), ("sdb", SATA)], "/dev/sdb"),
        (
            &[
                ("loop0", "virtual"),
                ("zram0", "virtual"),
                ("dm-0", "virtual"),
                ("rbd0", "rbd"),
                ("sda", SATA),
            ],
            "/dev/sda",
        ),
    ];
    for (disks, expected) in machines {
        let outcome = Machine::with(disks).debian(None);
        assert_eq!(outcome.disk(), Some(*expected), "{disks:?}: {outcome:#?}");
        assert!(outcome.answers.contains(&format!("grub-installer/bootdev {expected}\n")), "{outcome:#?}");
        assert_eq!(outcome.told, format!("log: installing on {expected}\n"));
    }
}

#[test]
fn with_several_disks_the_installation_stops_and_reports_them() {
    let bays: Vec<String> = ('a'..='y').map(|letter| format!("sd{letter}")).collect();
    let bays: Vec<(&str, &str)> = bays.iter().map(|name| (name.as_str(), SAS)).collect();
    let machines: &[(&[(&str, &str)], &str)] = &[
        (&[("sda", SATA), ("nvme0n1", NVME)], "there are 2 disks"),
        (&[("sda", SATA), ("sdb", SATA_2)], "there are 2 disks"),
        (&bays, "there are 25 disks"),
        (&[("mmcblk0", EMMC)], "no local, fixed disk"),
        (&[("sda", FIBRE), ("sdb", ISCSI)], "no local, fixed disk"),
        (&[("sda", USB), ("sr0", USB)], "no local, fixed disk"),
        (&[], "no local, fixed disk"),
    ];
    for (disks, expected) in machines {
        let outcome = Machine::with(disks).debian(None);
        assert_eq!((outcome.status, &*outcome.answers), (Some(STOPPED), ""), "{disks:?}: {outcome:#?}");
        assert!(outcome.failure().contains(expected), "{disks:?}: {outcome:#?}");
        for (name, _) in disks.iter().filter(|(name, _)| !name.starts_with("sr")) {
            assert!(outcome.failure().contains(&format!("/dev/{name}: 500.1 GB")), "{name}: {outcome:#?}");
        }
        assert!(!outcome.told.contains("sr0"), "{outcome:#?}");
        assert!(outcome.console.contains("Metalwright has stopped") && outcome.console.contains(expected));
    }
}

#[test]
fn the_list_has_what_tells_one_disk_from_another() {
    let machine = Machine::new();
    machine.add(
        "sda",
        SATA,
        &[("device/model", "INTEL SSDSC2KB24"), ("device/vpd_pg80", "\0\u{1}\0\u{8}BTYF01AB")],
    );
    machine.add(
        "nvme0n1",
        NVME,
        &[
            ("device/model", "SAMSUNG MZQL27T6"),
            ("device/serial", "S64GNE0R"),
            ("size", "15002931888"),
            ("device/transport", "pcie"),
        ],
    );
    machine.add("vda", "pci0000:00/0000:00:04.0/virtio1", &[("serial", "disk-1")]);
    machine.add("mmcblk0", EMMC, &[("size", "61071360")]);
    let link = machine.path().join("dev/disk/by-id/nvme-SAMSUNG_MZQL27T6_S64GNE0R");
    symlink(machine.path().join("dev/nvme0n1"), link).unwrap();
    let outcome = machine.debian(None);
    let expected = "there are 3 disks to install on; set the param install_disk to one of these:\n\
        /dev/mmcblk0: 31.2 GB, SD card or eMMC (not local and fixed: only where it is named)\n\
        /dev/nvme0n1: 7681.5 GB, NVMe, SAMSUNG MZQL27T6, serial S64GNE0R, \
        /dev/disk/by-id/nvme-SAMSUNG_MZQL27T6_S64GNE0R\n\
        /dev/sda: 500.1 GB, ATA, INTEL SSDSC2KB24, serial BTYF01AB\n\
        /dev/vda: 500.1 GB, virtio, serial disk-1\n";
    assert_eq!(outcome.failure(), expected);
    assert_eq!(outcome.told, format!("failed: {expected}"));
}

#[test]
fn parts_of_arrays_paths_and_what_is_not_writable_are_passed_over() {
    let machine = Machine::new();
    machine.add("sda", SATA, &[("ro", "1")]);
    machine.add("sdb", SATA, &[("removable", "1")]);
    machine.add("sdc", SATA, &[("size", "1000")]);
    machine.add("sdd", SATA, &[("holders/md126/dev", "")]);
    machine.add("sde", SATA, &[("sde1/holders/md0/dev", "")]);
    machine.add("sdf", SATA, &[("holders/dm-0/dm/uuid", "mpath-36001405")]);
    machine.add("sdg", SAS, &[("device/wwid", "naa.5000")]);
    machine.add("sdh", SAS, &[("device/wwid", "naa.5000")]);
    machine.add("sdi", SATA, &[]);
    machine.udev("sdi", "DEVTYPE=disk\nID_FS_TYPE=isw_raid_member\n");
    machine.add("nvme0c0n1", NVME, &[("hidden", "1")]);
    machine.add("nvme1n1", "virtual/nvme-subsystem/nvme-subsys1", &[("device/nvme1/transport", "tcp")]);
    machine.add(
        "nvme2n1",
        "virtual/nvme-subsystem/nvme-subsys2",
        &[("device/nvme2/transport", "pcie"), ("ro", "1")],
    );
    let outcome = machine.debian(None);
    for (name, why) in [
        ("sda", "read-only"),
        ("sdb", "removable"),
        ("sdc", "smaller than 4 GiB"),
        ("sdd", "part of an array"),
        ("sde", "part of an array"),
        ("sdf", "one of several paths"),
        ("sdg", "one of several paths"),
        ("sdh", "one of several paths"),
        ("sdi", "part of an array"),
        ("nvme1n1", "not local and fixed"),
        ("nvme2n1", "read-only"),
    ] {
        let line = outcome.failure().lines().find(|line| line.starts_with(&format!("/dev/{name}:")));
        assert!(line.is_some_and(|line| line.contains(why)), "{name}: {line:?}");
    }
    assert!(!outcome.told.contains("nvme0c0n1"), "{outcome:#?}");
    // A volume group of the previous system also occupies a disk: it is the one to install on.
    machine.add("sdj", SATA, &[("sdj5/holders/dm-1/dm/uuid", "LVM-abc"), ("sdj5/size", "8")]);
    fs::write(machine.path().join("dev/sdj5"), "").unwrap();
    assert_eq!(machine.debian(None).disk(), Some("/dev/sdj"));
    machine.add("nvme2n1", "virtual/nvme-subsystem/nvme-subsys2", &[("ro", "0")]);
    assert!(machine.debian(None).failure().contains("there are 2 disks"));
}

#[test]
fn a_named_disk_is_taken_whatever_it_is_and_no_other_instead_of_it() {
    let machine = Machine::with(&[
        ("mmcblk0", EMMC),
        ("sda", FIBRE),
        ("sdb", SATA),
        ("sdc", SATA_2),
        ("dm-0", "virtual"),
    ]);
    machine.add("dm-0", "virtual", &[("dm/name", "mpatha")]);
    machine.add("sdd", SATA, &[("ro", "1"), ("sdd1/size", "8")]);
    let dev = machine.path().join("dev");
    fs::write(dev.join("sdd1"), "").unwrap();
    for (link, to) in [
        ("disk/by-id/mmc-BJTD4R_0x5a1c", "mmcblk0"),
        ("disk/by-id/scsi-a@b#c=d", "sdc"),
        ("mapper/mpatha", "dm-0"),
    ] {
        symlink(dev.join(to), dev.join(link)).unwrap();
    }
    for (named, taken) in [
        ("/dev/mmcblk0", "/dev/mmcblk0"),
        ("/dev/disk/by-id/mmc-BJTD4R_0x5a1c", "/dev/mmcblk0"),
        ("/dev/disk/by-id/scsi-a@b#c=d", "/dev/sdc"),
        ("/dev/sda", "/dev/sda"),
        ("/dev/mapper/mpatha", "/dev/mapper/mpatha"),
    ] {
        let outcome = machine.debian(Some(named));
        assert_eq!(outcome.disk(), Some(taken), "{named}: {outcome:#?}");
    }
    for (named, why) in [
        ("/dev/disk/by-id/ata-GONE", "there is no such disk"),
        ("/dev/sdd1", "that is no whole disk"),
        ("/dev/sdd", "that is read-only"),
    ] {
        let outcome = machine.debian(Some(named));
        assert_eq!((outcome.status, &*outcome.answers), (Some(STOPPED), ""), "{outcome:#?}");
        let expected = format!("the param install_disk says {named}, and ");
        assert!(outcome.failure().starts_with(&expected), "{outcome:#?}");
        assert!(
            outcome.failure().contains(why) && outcome.failure().contains("/dev/sdb: 500.1 GB"),
            "{outcome:#?}"
        );
    }
}

#[test]
fn what_reaches_over_several_disks_stops_the_installation() {
    let machine = Machine::with(&[("sda", SATA), ("sdb", SATA_2), ("sdaa", SAS)]);
    for part in ["sda/sda5", "sda/sda1", "sdb/sdb1", "sdaa/sdaa1"] {
        let (disk, name) = part.split_once('/').unwrap();
        fs::create_dir_all(machine.path().join("sys/block").join(part)).unwrap();
        fs::write(machine.path().join("sys/block").join(part).join("size"), "8\n").unwrap();
        fs::write(machine.path().join("dev").join(name), disk).unwrap();
    }
    let groups: &[(&[(&str, &str)], &str)] = &[
        (&[("data", "sda5"), ("data", "sdb1")], "the group data is on /dev/sda and on /dev/sdb1"),
        (&[("data", "sda"), ("data", "sdb")], "the group data is on /dev/sda and on /dev/sdb"),
        (
            &[("other", "sda5"), ("system", "sdaa1")],
            "the group system is on /dev/sdaa1, and that of the new system",
        ),
    ];
    for (lines, expected) in groups {
        machine.pvs(lines);
        let outcome = machine.debian(Some("/dev/sda"));
        assert_eq!((outcome.status, &*outcome.answers), (Some(STOPPED), ""), "{lines:?} {outcome:#?}");
        assert!(outcome.failure().contains(expected), "{outcome:#?}");
        assert_eq!(fs::read(machine.path().join("dev/sda5")).unwrap(), b"sda", "nothing is written");
    }
    machine.pvs(&[("system", "sda5"), ("data", "sdaa1")]);
    let outcome = machine.debian(Some("/dev/sda"));
    assert_eq!(outcome.disk(), Some("/dev/sda"), "{outcome:#?}");
    assert_eq!(
        fs::read(machine.path().join("dev/sdaa1")).unwrap(),
        b"sdaa",
        "/dev/sdaa1 is no part of /dev/sda"
    );
    assert!(fs::read_to_string(machine.path().join("vgchange")).unwrap().starts_with("-an system\n"));
    for name in ["sda1", "sdb1"] {
        machine.udev(name, "ID_FS_TYPE=linux_raid_member\nID_FS_UUID=12:34\n");
    }
    let outcome = machine.debian(Some("/dev/sda"));
    assert!(outcome.failure().contains("the array 12:34 is on /dev/sda and on /dev/sdb1"), "{outcome:#?}");
}

#[test]
fn what_was_on_the_disk_is_forgotten_and_other_disks_are_left_alone() {
    const MIB: usize = 1 << 20;
    let machine = Machine::with(&[("sdb", SATA_2)]);
    machine.add("sda", SATA, &[("size", "8192"), ("sda1/size", "6144"), ("sda2/size", "2")]);
    for (name, bytes) in [("sda", 4 * MIB), ("sda1", 3 * MIB), ("sda2", 1024), ("sdb", MIB)] {
        fs::write(machine.path().join("dev").join(name), vec![b'x'; bytes]).unwrap();
    }
    assert_eq!(machine.debian(Some("/dev/sda")).disk(), Some("/dev/sda"));
    let read = |name: &str| fs::read(machine.path().join("dev").join(name)).unwrap();
    for (name, size) in [("sda", 4 * MIB), ("sda1", 3 * MIB)] {
        let bytes = read(name);
        assert_eq!(bytes.len(), size);
        let is_zero = |part: &[u8]| part.iter().all(|byte| *byte == 0);
        assert!(is_zero(&bytes[..MIB]) && is_zero(&bytes[size - MIB..]), "{name}");
        assert!(bytes[MIB..size - MIB].iter().all(|byte| *byte == b'x'), "{name}");
    }
    assert!(read("sdb").iter().all(|byte| *byte == b'x'));
    // LVM in the installer only sees this disk.
    let config = fs::read_to_string(machine.path().join("etc/lvm/lvmlocal.conf")).unwrap();
    let root = machine.path().display();
    assert!(
        config.contains(&format!("[ \"a|^{root}/dev/sda((-part|p)?[0-9]+)?$|\", \"r|.*|\" ]")),
        "{config}"
    );
}

#[test]
fn a_kickstart_clears_the_chosen_disk_and_nothing_when_none_was_chosen() {
    for shell in [SHELLS[0], &["bash"]] {
        let one = Machine::with(&[("mmcblk0", EMMC), ("nvme0n1", NVME)]).run(shell, &rocky_script(None));
        assert_eq!(one.status, Some(0), "{one:#?}");
        for line in [
            "ignoredisk --only-use=nvme0n1\n",
            "clearpart --all --initlabel --drives=nvme0n1\n",
            "bootloader --boot-drive=nvme0n1 ",
        ] {
            assert!(one.answers.contains(line), "{one:#?}");
        }
        let machine = Machine::with(&[("sda", SATA), ("nvme0n1", NVME)]);
        let two = machine.run(shell, &rocky_script(None));
        assert_eq!((two.status, &*two.answers), (Some(STOPPED), ""), "{two:#?}");
        assert!(two.failure().contains("there are 2 disks"), "{two:#?}");
        let named = machine.run(shell, &rocky_script(Some("/dev/sda")));
        assert!(named.answers.starts_with("ignoredisk --only-use=sda\n"), "{named:#?}");
        machine.pvs(&[("data", "sda"), ("data", "nvme0n1")]);
        let spans = machine.run(shell, &rocky_script(Some("/dev/sda")));
        assert_eq!((spans.status, &*spans.answers), (Some(STOPPED), ""), "{spans:#?}");
    }
}

/// Tried with the installer's own scripts: with an answer that is not a disk nothing is partitioned, without
/// an answer the only disk is used. Debian uses the last answer, which is that of disk.sh.
#[test]
fn where_no_disk_was_chosen_the_debian_installer_is_answered_one_that_is_none() {
    for case in cases().into_iter().filter(|case| case.bootenv == "debian-12-install" && !case.rehearses()) {
        let (name, answers) = case.answer_file();
        for question in ["partman-auto/disk", "grub-installer/bootdev"] {
            let line = format!("d-i {question} string /dev/metalwright-none\n");
            assert!(answers.contains(&line), "{name}: {question}");
        }
        for question in ["partman-lvm/device_remove_lvm", "partman-md/device_remove_md"] {
            assert!(answers.contains(&format!("d-i {question} boolean false\n")), "{name}: {question}");
        }
    }
    assert!(
        SECTORS_4_GIB * 512 == 4 << 30 && debian_script(None).contains(&format!("-ge {SECTORS_4_GIB} ]"))
    );
}
