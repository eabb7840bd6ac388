//! The Debian installer's own partitioner, run in the installer's system on disks that are files, with the
//! answers and the script that are rendered for a machine. The machine has LVM no more than the computer that
//! runs the test, so the partitions are plain.

use std::fs::{self, File};
use std::os::unix::fs::{FileExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::made_up::{document, place_of};
use super::questions::unpacked_installer;
use crate::disk_image::{assert_untouched, installer_mirror, partition_types, written};
use crate::net;

const SECTORS: u64 = 10 << 21;
/// How long the partitioner may take on a busy host before all of it is killed.
const KILLED_AFTER: &str = "300";
/// The types of the root file system's partition and of the extended one, in which that of swap is.
const TYPES: [u8; 2] = [0x83, 0x05];

/// Gives the installer's system in `$1` the devices of its machine, and runs the script `$2` in it. All that
/// is mounted and started ends with it.
const OUTSIDE: &str = r#"
set -eu
mount -t proc proc "$1/proc"
mount -t tmpfs -o mode=755 dev "$1/dev"
mkdir -p "$1/kernel"
mount --bind -o ro /sys "$1/kernel"
mknod -m 666 "$1/dev/null" c 1 3
mknod -m 666 "$1/dev/zero" c 1 5
mknod -m 666 "$1/dev/urandom" c 1 9
mkfifo "$1/dev/ttyS0" "$1/dev/answers"
while read -r disk loop; do
    mknod "$1/dev/$disk" b $(tr : ' ' <"/sys/block/$loop/dev")
done <"$1/tmp/disks"
exec chroot "$1" /bin/sh -c "$2"
"#;

/// In the installer's system: what stands for udev, for libparted's list of disks, for the network, and for
/// swap space, which would be that of the computer. `partman` is what the installer's menu would run.
const INSIDE: &str = r#"
export PATH=/bin:/sbin:/usr/bin:/usr/sbin
rm -rf /var/lib/partman /var/lib/cdebconf/*.dat /var/run/parted_server.pid /tmp/told
mkdir -p /var/run /var/log /var/lib/partman /target
replace() { rm -f "$1" && cat >"$1" && chmod 755 "$1"; }
replace /bin/update-dev <<'END'
#!/bin/sh
while read -r disk loop; do
    for part in "/kernel/block/$loop/${loop}p"*; do
        node=/dev/$disk${part##*p}
        [ ! -e "$part/dev" ] || [ -b "$node" ] || mknod "$node" b $(tr : ' ' <"$part/dev")
    done
done </tmp/disks
END
replace /bin/parted_devices <<'END'
#!/bin/sh
while read -r disk loop; do
    printf '/dev/%s\t%s\tDISK\t\n' "$disk" "$(($(cat "/sys/block/$disk/size") * 512))"
done </tmp/disks
END
replace /usr/bin/wget <<'END'
#!/bin/sh
for word in "$@"; do
    case $word in
    --post-data=*) echo "told: ${word#*=}" >>/tmp/told ;;
    esac
done
END
replace /sbin/swapon <<'END'
#!/bin/sh
echo "told: swapon $*" >>/tmp/told
END
syslogd -O /var/log/syslog
debconf-loadtemplate d-i /var/lib/dpkg/info/*.templates
debconf-set-selections /tmp/preseed.cfg
touch /var/lib/partman/loaded-extra
partman() { DEBIAN_FRONTEND=text DEBIAN_PRIORITY=critical debconf -o d-i /bin/partman </dev/null 2>&1; }
"#;

/// The partitioner comes to its end.
const ENDS: &str = r#"
partman
echo "partman: $?"
cat /target/etc/fstab
umount /target && sync
cat /tmp/told
"#;

/// A person presses keys at the console where the script has stopped, and then kills it from another one, so
/// that the partitioner goes on. It ends where it asks for a file system.
const GOES_ON: &str = r#"
process() {
    for process in /proc/[0-9]*; do
        [ "$(tr '\0' ' ' <"$process/cmdline")" != "$1" ] || echo "${process#/proc/}"
    done
}
sed '/root file system/q' </dev/answers &
last=$!
partman >/dev/answers &
sed '/has stopped/q' /dev/ttyS0
until sleep=$(process 'sleep 600 ') && [ "$sleep" ]; do :; done
script=$(process 'sh /tmp/metalwright-disk.sh ')
for signal in HUP INT QUIT TERM TSTP; do
    kill -s "$signal" "$script"
done
kill -s KILL "$script" "$sleep"
wait "$last"
cat /tmp/told
"#;

/// What is planned where a recipe makes parts of arrays: each partition with what it is for. The component
/// that makes arrays of them is not there, so the partitioner ends where it asks for a file system.
const PLANS: &str = r#"
sed '/root file system/q' </dev/answers &
last=$!
partman >/dev/answers &
wait "$last"
cd /var/lib/partman/devices
for part in */*/method; do echo "planned: $part $(cat "$part")"; done
"#;

/// The script that names the disks has not run, as if a person had gone past it.
const WITHOUT_THE_SCRIPT: &str = "touch /var/lib/partman/early_command";

/// A disk: a file that the kernel of this computer shows as a device.
struct LoopDisk {
    name: &'static str,
    file: PathBuf,
    device: String,
}

impl LoopDisk {
    fn new(folder: &Path, name: &'static str) -> LoopDisk {
        let file = folder.join(name);
        let made = File::create(&file).expect("a file");
        made.set_len(SECTORS * 512)
            .and_then(|()| made.write_all_at(name.as_bytes(), 3 << 20))
            .expect("a disk");
        let done = Command::new("losetup").args(["--find", "--show", "--partscan"]).arg(&file).output();
        let done = done.expect("losetup (package mount)");
        assert!(done.status.success(), "losetup: {}", String::from_utf8_lossy(&done.stderr));
        let device = String::from_utf8_lossy(&done.stdout).trim().to_owned();
        LoopDisk { name, file, device }
    }
}

impl Drop for LoopDisk {
    fn drop(&mut self) {
        let _ = Command::new("losetup").args(["--detach", &self.device]).status();
    }
}

/// The rendered documents of a machine.
struct InstallerDocuments {
    preseed: String,
    script: String,
}

fn documents(params: &Value) -> InstallerDocuments {
    let of = |file| document("debian-12-install", file, params);
    InstallerDocuments { preseed: of("preseed.cfg"), script: of("disk.sh") }
}

/// Plain partitions on the disk with a serial number.
fn plain(serial: &str) -> Value {
    json!({"disk": {"serial": serial}, "partitioning": "atomic"})
}

/// The installer's system with its partitioner.
struct InstallerRoot {
    root: TempDir,
}

impl InstallerRoot {
    fn new() -> InstallerRoot {
        let root = unpacked_installer();
        for component in installer_mirror(&["partitioner"]) {
            let unpacked = Command::new("dpkg-deb").arg("--extract").args([&component, root.path()]).status();
            assert!(unpacked.is_ok_and(|status| status.success()), "{}", component.display());
            let templates = Command::new("dpkg-deb").arg("--info").arg(&component).arg("templates").output();
            let name = component.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let file = root.path().join("var/lib/dpkg/info").join(name + ".templates");
            fs::write(file, templates.expect("dpkg-deb").stdout).unwrap();
        }
        InstallerRoot { root }
    }

    /// The kernel's view of the machine's disks.
    fn write_sys(&self, disks: &[LoopDisk]) {
        let at = |path: String| self.root.path().join(path);
        for folder in ["sys", "tmp"] {
            fs::remove_dir_all(at(folder.to_owned())).unwrap();
            fs::create_dir_all(at(folder.to_owned())).unwrap();
        }
        for folder in ["sys/block", "sys/class/tty/console"] {
            fs::create_dir_all(at(folder.to_owned())).unwrap();
        }
        fs::write(at("sys/class/tty/console/active".to_owned()), "ttyS0\n").unwrap();
        for (number, disk) in disks.iter().enumerate() {
            let block = place_of("sata", disk.name).replace("ata1", &format!("ata{}", number + 1));
            fs::create_dir_all(at(format!("{block}/device"))).unwrap();
            let serial = format!("serial-{}", disk.name);
            let size = SECTORS.to_string();
            for (attribute, value) in [("removable", "0"), ("ro", "0"), ("size", &size), ("serial", &serial)]
            {
                fs::write(at(format!("{block}/{attribute}")), format!("{value}\n")).unwrap();
            }
            symlink(format!("/{block}"), at(format!("sys/block/{}", disk.name))).unwrap();
        }
    }

    /// Runs the partitioner on a machine with these disks; returns what it and the reports said.
    fn partition(&self, disks: &[LoopDisk], documents: &InstallerDocuments, steps: &str) -> String {
        self.write_sys(disks);
        let tmp = self.root.path().join("tmp");
        let rows = disks.iter().map(|disk| format!("{} {}\n", disk.name, &disk.device[5..]));
        fs::write(tmp.join("disks"), rows.collect::<String>()).unwrap();
        fs::write(tmp.join("preseed.cfg"), &documents.preseed).unwrap();
        fs::write(tmp.join("metalwright-disk.sh"), &documents.script).unwrap();
        let mut command = Command::new("timeout");
        command
            .args(["--signal=KILL", KILLED_AFTER, "unshare", "--mount", "--net", "--pid", "--fork"])
            .args(["--kill-child", "sh", "-c", OUTSIDE, "sh"])
            .arg(self.root.path())
            .arg(format!("{INSIDE}\n{steps}"));
        let done = command.stdin(Stdio::null()).output().unwrap();
        let said = String::from_utf8_lossy(&done.stdout) + String::from_utf8_lossy(&done.stderr);
        assert!(done.status.success(), "{}: {said}", done.status);
        said.into_owned()
    }
}

#[track_caller]
fn assert_says(said: &str, texts: &[&str]) {
    texts.iter().for_each(|text| assert!(said.contains(text), "{text}: {said}"));
}

#[test]
fn the_installers_partitioner_writes_to_the_disk_that_is_named_of_three_alone() {
    if !net::may_make_namespaces() {
        return;
    }
    let (installer, folder) = (InstallerRoot::new(), TempDir::new().unwrap());
    let disks = ["sda", "sdb", "sdc"].map(|name| LoopDisk::new(folder.path(), name));
    let before = disks.each_ref().map(|disk| written(&disk.file));
    let said = installer.partition(&disks, &documents(&plain("serial-sdb")), ENDS);
    assert_says(&said, &["partman: 0\n", "told: installing on /dev/sdb: ", "told: swapon /dev/sdb5\n"]);
    assert_says(&said, &["# / was on /dev/sdb1 during installation\n"]);
    assert_eq!(partition_types(&disks[1].file), TYPES);
    assert!(written(&disks[1].file) != before[1]);
    for other in [0, 2] {
        assert_untouched(&disks[other].file, &before[other]);
    }
}

/// Where no disk is answered the installer takes the only one.
#[test]
fn where_no_disk_was_chosen_the_installers_partitioner_writes_nothing_whoever_goes_on() {
    if !net::may_make_namespaces() {
        return;
    }
    let (installer, folder) = (InstallerRoot::new(), TempDir::new().unwrap());
    let disks = [LoopDisk::new(folder.path(), "sda")];
    let before = written(&disks[0].file);
    let mut documents = documents(&plain("another"));
    let said = installer.partition(&disks, &documents, GOES_ON);
    assert_says(&said, &["Metalwright has stopped this installation"]);
    // Neither a hangup nor a key ended the script.
    assert_says(
        &said,
        &["told: the installation takes ", "no disk fits", "code 137.", "No root file system"],
    );
    assert_untouched(&disks[0].file, &before);
    documents.preseed = documents.preseed.replace("d-i partman-auto/disk ", "# ");
    let said = installer.partition(&disks, &documents, &format!("{WITHOUT_THE_SCRIPT}\n{ENDS}"));
    assert_says(&said, &["partman: 0\n"]);
    assert_eq!(partition_types(&disks[0].file), TYPES);
}

#[test]
fn a_recipe_of_arrays_divides_all_of_the_chosen_disks_alike() {
    if !net::may_make_namespaces() {
        return;
    }
    let (installer, folder) = (InstallerRoot::new(), TempDir::new().unwrap());
    let disks = ["sda", "sdb", "sdc"].map(|name| LoopDisk::new(folder.path(), name));
    let recipe = "mirror :: 512 1 512 raid $primary{ } $lvmignore{ } method{ raid } . \
        3072 2 -1 raid $lvmignore{ } method{ raid } . \
        2048 1 -1 ext4 $defaultignore{ } $lvmok{ } method{ format } format{ } use_filesystem{ } \
        filesystem{ ext4 } mountpoint{ / } .";
    let params = json!({
        "disk": {"serial": ["serial-sda", "serial-sdc"], "count": 2}, "partitioning": "custom",
        "partitioning_recipe": recipe, "debian_raid_recipe": "1 2 0 ext4 /boot part1 . 1 2 0 lvm - part5 .",
    });
    let said = installer.partition(&disks, &documents(&params), PLANS);
    let plan = |disk: &str| -> Vec<&str> {
        let begin = format!("planned: =dev={disk}/");
        said.lines().filter_map(|line| line.strip_prefix(&begin)).collect()
    };
    assert_eq!(plan("sda").len(), 2, "{said}");
    assert!(plan("sda").iter().all(|part| part.ends_with("/method raid")), "{said}");
    assert_eq!((plan("sda"), plan("sdb")), (plan("sdc"), Vec::new()), "{said}");
}
