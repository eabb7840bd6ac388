//! The choice of the disk and what comes of it: the built-in scripts, run on made-up machines in the
//! installers' shells. Which disk is chosen is in `disk_table`.

use std::fs;

use serde_json::{Value, json};

use super::content::cases;
use super::made_up::{MadeUpMachine, OFF, Outcome, SHELLS, STOPPED, rocky_script};

fn at(path: &str) -> Value {
    json!({"disk": {"path": path}})
}

fn assert_stopped(outcome: &Outcome, why: &str) {
    assert_eq!((outcome.status, &*outcome.answers), (Some(STOPPED), ""), "{outcome:#?}");
    assert!(outcome.failure().contains(why), "{why}: {outcome:#?}");
    assert!(outcome.console.contains("Metalwright has stopped") && outcome.console.contains(why.trim_end()));
}

#[test]
fn the_list_has_what_tells_one_disk_from_another() {
    let machine = MadeUpMachine::new();
    machine.add(
        "sda",
        "sata",
        &[("device/model", "INTEL SSDSC2KB24"), ("device/vpd_pg80", "\0\u{1}\0\u{8}BTYF01AB")],
    );
    let nvme = [
        ("device/model", "SAMSUNG MZQL27T6"),
        ("device/serial", "S64GNE0R"),
        ("size", "15002931888"),
        ("device/transport", "pcie"),
    ];
    machine.add("nvme0n1", "nvme", &nvme);
    machine.add("vda", "virtio", &[("serial", "disk-1")]);
    machine.add("mmcblk0", "sd", &[("size", "61071360"), ("device/name", "BJTD4R")]);
    machine.link("disk/by-id/nvme-SAMSUNG_MZQL27T6_S64GNE0R", "nvme0n1");
    let expected = "the installation takes the only eligible disk: 3 disks fit. Set the param `disk` so \
        that it fits one \
        of them. The disks:\n\
        /dev/mmcblk0: 31.2 GB, sd, BJTD4R: sd is taken only where the rule names it\n\
        /dev/nvme0n1: 7681.5 GB, nvme, SAMSUNG MZQL27T6, serial S64GNE0R, \
        /dev/disk/by-id/nvme-SAMSUNG_MZQL27T6_S64GNE0R: eligible\n\
        /dev/sda: 500.1 GB, sata, INTEL SSDSC2KB24, serial BTYF01AB: eligible\n\
        /dev/vda: 500.1 GB, virtio, serial disk-1: eligible\n";
    let outcome = machine.debian(&json!({}));
    assert_stopped(&outcome, expected);
    assert_eq!(outcome.told, format!("failed: {expected}"));
    let chosen = machine.debian(&json!({"disk": {"bus": "sata"}}));
    assert_eq!(
        chosen.told,
        "log: installing on /dev/sda: 500.1 GB, sata, INTEL SSDSC2KB24, serial BTYF01AB\n"
    );
    assert!(chosen.answers.contains("grub-installer/bootdev /dev/sda\n"), "{chosen:#?}");
}

#[test]
fn the_older_param_names_the_same_disk() {
    let machine = MadeUpMachine::with(&[("sda", "sata"), ("sdb", "sata"), ("mmcblk0", "sd")]);
    machine.link("disk/by-id/mmc-BJTD4R_0x5a1c", "mmcblk0");
    for (path, disk) in [("/dev/sdb", "/dev/sdb"), ("/dev/disk/by-id/mmc-BJTD4R_0x5a1c", "/dev/mmcblk0")] {
        let older = machine.debian(&json!({"install_disk": path}));
        assert_eq!(older.disks(), Some(disk), "{older:#?}");
        assert_eq!(machine.debian(&at(path)).answers, older.answers);
    }
}

#[test]
fn what_reaches_over_other_disks_stops_the_installation() {
    let machine = MadeUpMachine::with(&[("sda", "sata"), ("sdb", "sata"), ("sdaa", "sas")]);
    for part in ["sda/sda5", "sda/sda1", "sdb/sdb1", "sdaa/sdaa1"] {
        machine.add_part(part, "kept");
    }
    machine.add("md0", "virtual", &[("slaves/sda5/dev", "8:5"), ("slaves/sdb1/dev", "8:17")]);
    let groups: &[(&[(&str, &str)], &str)] = &[
        (&[("data", "sda5"), ("data", "sdb1")], "the group data is on /dev/sda5 and on /dev/sdb1"),
        (&[("data", "sda"), ("data", "sdb")], "the group data is on /dev/sda and on /dev/sdb"),
        (&[("data", "md0")], "the group data is on /dev/md0 and on /dev/md0"),
        (
            &[("other", "sda5"), ("vg_web1", "sdaa1")],
            "the group vg_web1 is on /dev/sdaa1, and the new system",
        ),
    ];
    for (lines, expected) in groups {
        machine.pvs(lines);
        assert_stopped(&machine.debian(&at("/dev/sda")), expected);
        assert_eq!((machine.read("sda5"), machine.commands()), (b"kept".to_vec(), String::new()));
    }
    machine.pvs(&[("vg_web1", "sda5"), ("data", "sdaa1")]);
    let outcome = machine.debian(&at("/dev/sda"));
    assert_eq!(outcome.disks(), Some("/dev/sda"), "{outcome:#?}");
    assert_eq!(machine.read("sdaa1"), b"kept", "/dev/sdaa1 is no part of /dev/sda");
    assert!(machine.commands().starts_with("-an vg_web1\n"));
    for (kind, name) in [("linux_raid_member", "array"), ("btrfs", "btrfs"), ("zfs_member", "pool")] {
        for part in ["sda1", "sdb1"] {
            machine.udev(part, &format!("ID_FS_TYPE={kind}\nID_FS_UUID=12:34\nID_FS_LABEL=12:34\n"));
        }
        let expected =
            format!("the {name} 12:34 is on /dev/sda1 and on /dev/sdb1: remove it, or wipe /dev/sdb1");
        assert_stopped(&machine.debian(&at("/dev/sda")), &expected);
    }
}

#[test]
fn an_array_that_lies_on_the_chosen_disks_alone_goes_with_them() {
    let machine = MadeUpMachine::with(&[("sda", "sata"), ("sdb", "sata"), ("sdc", "sata")]);
    for part in ["sda/sda1", "sdb/sdb1"] {
        machine.add_part(part, "kept");
        let holder = machine.path().join("sys/block").join(part).join("holders/md0/md");
        fs::create_dir_all(&holder).unwrap();
        fs::write(holder.join("metadata_version"), "1.2\n").unwrap();
        machine.udev(&part[4..], "ID_FS_TYPE=linux_raid_member\nID_FS_UUID=12:34\n");
    }
    machine.add("md0", "virtual", &[("slaves/sda1/dev", "8:1"), ("slaves/sdb1/dev", "8:17")]);
    machine.pvs(&[("vg_web1", "md0")]);
    let recipe = "boot-root :: 1 2 -1 ext4 in_vg{ vg_web1 } .";
    let both = json!({"path": ["/dev/sda", "/dev/sdb"]});
    let params = json!({"disk": both, "partitioning": "custom", "partitioning_recipe": recipe});
    let outcome = machine.debian(&params);
    assert_eq!(outcome.disks(), Some("/dev/sda /dev/sdb"), "{outcome:#?}");
    let root = machine.path().display().to_string();
    let stop = format!("--stop {root}/dev/md0\n");
    assert_eq!(machine.commands(), format!("-an vg_web1\n{stop}{stop}"));
    assert!(["sda1", "sdb1"].iter().all(|part| !machine.read(part).starts_with(b"kept")));
    assert_eq!(machine.read("sdc"), b"sdc");
    let config = fs::read_to_string(machine.path().join("etc/lvm/lvmlocal.conf")).unwrap();
    let disks =
        format!("\"a|^{root}/dev/sda((-part|p)?[0-9]+)?$|\", \"a|^{root}/dev/sdb((-part|p)?[0-9]+)?$|\"");
    assert!(config.contains(&format!("[ {disks}, \"r|.*|\" ]")), "{config}");
    // A group that the recipe names is not taken from another disk.
    machine.pvs(&[("vg_web1", "sdc")]);
    assert_stopped(&machine.debian(&params), "the group vg_web1 is on /dev/sdc, and the new system has one");
}

#[test]
fn arrays_are_made_of_the_partitions_of_the_chosen_disks() {
    let machine = MadeUpMachine::with(&[("sda", "sata"), ("nvme0n1", "nvme"), ("sdb", "usb")]);
    let mut params = json!({"disk": {"count": 2}, "partitioning": "custom", "partitioning_recipe": "x",
        "debian_raid_recipe": "1 2 0 ext4 /boot part1 .\n1 2 0 lvm - part5 ."});
    let answers = machine.debian(&params).answers;
    let arrays = "partman-auto-raid/recipe 1 2 0 ext4 /boot /dev/nvme0n1p1#/dev/sda1 . \
        1 2 0 lvm - /dev/nvme0n1p5#/dev/sda5 .\n";
    assert!(answers.contains(arrays), "{answers}");
    params.as_object_mut().unwrap().remove("debian_raid_recipe");
    assert!(!machine.debian(&params).answers.contains("raid"));
}

#[test]
fn what_was_on_the_disk_is_forgotten_and_other_disks_are_left_alone() {
    const MIB: usize = 1 << 20;
    let machine = MadeUpMachine::with(&[("sdb", "sata")]);
    machine.add("sda", "sata", &[("size", "8192"), ("sda1/size", "6144"), ("sda2/size", "2")]);
    for (name, bytes) in [("sda", 4 * MIB), ("sda1", 3 * MIB), ("sda2", 1024), ("sdb", MIB)] {
        fs::write(machine.path().join("dev").join(name), vec![b'x'; bytes]).unwrap();
    }
    assert_eq!(machine.debian(&at("/dev/sda")).disks(), Some("/dev/sda"));
    let is_zero = |part: &[u8]| part.iter().all(|byte| *byte == 0);
    for (name, size) in [("sda", 4 * MIB), ("sda1", 3 * MIB)] {
        let bytes = machine.read(name);
        assert_eq!(bytes.len(), size);
        assert!(is_zero(&bytes[..MIB]) && is_zero(&bytes[size - MIB..]), "{name}");
        assert!(bytes[MIB..size - MIB].iter().all(|byte| *byte == b'x'), "{name}");
    }
    assert!(machine.read("sdb").iter().all(|byte| *byte == b'x'));
    // LVM in the installer only sees this disk.
    let config = fs::read_to_string(machine.path().join("etc/lvm/lvmlocal.conf")).unwrap();
    let root = machine.path().display();
    assert!(
        config.contains(&format!("[ \"a|^{root}/dev/sda((-part|p)?[0-9]+)?$|\", \"r|.*|\" ]")),
        "{config}"
    );
}

#[test]
fn a_kickstart_clears_the_chosen_disks_and_nothing_when_none_was_chosen() {
    for shell in [SHELLS[0], &["bash"]] {
        let one = MadeUpMachine::with(&[("mmcblk0", "sd"), ("nvme0n1", "nvme")]);
        let one = one.run(shell, &rocky_script(&json!({})));
        assert_eq!(one.status, Some(0), "{one:#?}");
        for line in [
            "ignoredisk --only-use=nvme0n1\n",
            "clearpart --all --initlabel --drives=nvme0n1\n",
            "bootloader --boot-drive=nvme0n1 ",
        ] {
            assert!(one.answers.contains(line), "{one:#?}");
        }
        let machine = MadeUpMachine::with(&[("sda", "sata"), ("nvme0n1", "nvme")]);
        assert_stopped(&machine.run(shell, &rocky_script(&json!({}))), "2 disks fit");
        let recipe = "part raid.1 --size=1 --ondisk=sda\nvolgroup data pv.1\n";
        let two = json!({"disk": {"count": 2}, "partitioning": "custom", "partitioning_recipe": recipe});
        let both = machine.run(shell, &rocky_script(&two));
        assert!(both.answers.starts_with("ignoredisk --only-use=nvme0n1,sda\n"), "{both:#?}");
        assert!(both.answers.contains("clearpart --all --initlabel --drives=nvme0n1,sda\n"), "{both:#?}");
        machine.add("sdb", "usb", &[]);
        machine.pvs(&[("data", "sdb")]);
        assert_stopped(
            &machine.run(shell, &rocky_script(&two)),
            "the group data is on /dev/sdb, and the new",
        );
        machine.pvs(&[("old", "sda"), ("old", "nvme0n1")]);
        assert_stopped(
            &machine.run(shell, &rocky_script(&at("/dev/sda"))),
            "the group old is on /dev/sda and on",
        );
    }
}

#[test]
fn a_rehearsal_says_which_disk_it_would_be_and_writes_nothing() {
    let one = MadeUpMachine::with(&[("sda", "sata"), ("sdb", "usb")]);
    let two = MadeUpMachine::with(&[("sda", "sata"), ("sdb", "sata")]);
    let params = json!({"rehearse": true});
    for (machine, told) in [
        (&one, "log: rehearsal: the installation would take /dev/sda: 500.1 GB, sata\ndone: rehearsal: "),
        (
            &two,
            "failed: rehearsal: the installation would stop: the installation takes the only eligible disk: ",
        ),
    ] {
        let rocky = machine.run(&["bash"], &rocky_script(&params));
        for outcome in [machine.debian(&params), rocky] {
            assert_eq!((outcome.status, &*outcome.answers), (Some(OFF), ""), "{outcome:#?}");
            assert!(outcome.told.starts_with(told), "{outcome:#?}");
            assert_eq!((machine.read("sda"), machine.commands()), (b"sda".to_vec(), String::new()));
        }
    }
}

#[test]
fn volume_groups_are_named_after_the_machine() {
    let params = json!({"partitioning": "multi"});
    let document = |bootenv, file| super::made_up::document(bootenv, file, &params);
    let preseed = document("debian-12-install", "preseed.cfg");
    assert!(preseed.contains("d-i partman-auto-lvm/new_vg_name string vg_web1\n"), "{preseed}");
    assert!(document("debian-12-install", "disk.sh").contains("groups='vg_web1'\n"));
    let kickstart = document("rocky-9-install", "rocky.ks");
    assert!(kickstart.contains("volgroup vg_web1 pv.01\n"), "{kickstart}");
    assert!(kickstart.contains("logvol / --vgname=vg_web1 --name=root"), "{kickstart}");
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
}
