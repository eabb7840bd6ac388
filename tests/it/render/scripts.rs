//! The shell scripts that ship: that a shell can read them, and that the choice of a disk is the safe one.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use super::content::{cases, task_scripts};

/// The bodies of a kickstart's script sections.
fn sections(kickstart: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut open: Option<String> = None;
    for line in kickstart.lines() {
        let begins = ["%pre", "%post", "%onerror"].iter().any(|name| line.starts_with(name));
        match (&mut open, line) {
            (None, _) if begins => open = Some(String::new()),
            (Some(_), "%end") => found.extend(open.take()),
            (Some(body), _) => *body += &format!("{line}\n"),
            (None, _) => {}
        }
    }
    assert!(open.is_none(), "a section does not end");
    found
}

fn scripts() -> Vec<(String, String)> {
    let mut scripts = task_scripts();
    for case in cases() {
        for (name, text) in case.documents() {
            let place = format!("{}/{}/{name}", case.bootenv, case.variant);
            if name.ends_with(".sh") {
                scripts.push((place, text));
            } else if name.ends_with(".ks") {
                scripts.extend(sections(&text).into_iter().map(|body| (place.clone(), body)));
            }
        }
    }
    scripts
}

#[test]
fn a_shell_can_read_every_script() {
    let scripts = scripts();
    assert!(scripts.len() > 20, "{}", scripts.len());
    for (name, text) in scripts {
        let done = Command::new("/bin/sh").args(["-n", "-c", &text]).output().unwrap();
        assert!(done.status.success(), "{name}: {}\n{text}", String::from_utf8_lossy(&done.stderr));
    }
}

/// A disk as the kernel shows it, at `place` below the machine's devices.
fn add_disk(root: &Path, (name, place): (&str, &str), attributes: &[(&str, &str)]) {
    let device = root.join("devices").join(place).join("block").join(name);
    fs::create_dir_all(device.join("device")).unwrap();
    for (attribute, value) in
        [("removable", "0"), ("ro", "0"), ("size", "976773168")].iter().chain(attributes)
    {
        fs::write(device.join(attribute), format!("{value}\n")).unwrap();
    }
    fs::create_dir_all(root.join("block")).unwrap();
    symlink(&device, root.join("block").join(name)).unwrap();
}

/// What `choose_disk` of the Debian installer's disk.sh says about the disks below `root`.
fn choose_disk(root: &Path) -> Result<String, String> {
    let case = cases()
        .into_iter()
        .find(|case| case.bootenv == "debian-12-install" && case.variant == "bios")
        .unwrap();
    let (_, script) = case.documents().into_iter().find(|(name, _)| name == "disk.sh").unwrap();
    let (functions, _) = script.split_once("if disk=").unwrap();
    let script = functions.replace("/sys/block", root.join("block").to_str().unwrap()) + "choose_disk";
    let done = Command::new("/bin/sh").args(["-c", &script]).output().unwrap();
    match done.status.success() {
        true => Ok(String::from_utf8(done.stdout).unwrap().trim().to_owned()),
        false => Err(String::from_utf8(done.stderr).unwrap()),
    }
}

#[test]
fn the_first_fixed_disk_is_chosen_and_a_stick_is_passed_over() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    add_disk(root, ("loop0", "virtual"), &[]);
    add_disk(root, ("mmcblk0boot0", "platform/mmc"), &[]);
    add_disk(root, ("sda", "pci0000:00/usb1/1-1"), &[]);
    add_disk(root, ("sdb", "pci0000:00/ata1"), &[("removable", "1")]);
    add_disk(root, ("sdc", "pci0000:00/ata2"), &[("ro", "1")]);
    add_disk(root, ("sdd", "pci0000:00/ata3"), &[("size", "1000")]);
    add_disk(root, ("nvme0c0n1", "pci0000:00/nvme/nvme0"), &[("hidden", "1")]);
    let none = choose_disk(root).unwrap_err();
    assert!(
        none.contains("no fixed disk") && none.contains("sdb") && none.contains("install_disk"),
        "{none}"
    );
    add_disk(root, ("sde", "pci0000:00/ata4"), &[]);
    add_disk(root, ("sdf", "pci0000:00/ata5"), &[]);
    assert_eq!(choose_disk(root).unwrap(), "/dev/sde");
    add_disk(root, ("cciss!c0d0", "pci0000:00/raid"), &[]);
    assert_eq!(choose_disk(root).unwrap(), "/dev/cciss/c0d0");
}
