//! Questions at which the Debian installer would stop, and their answers: the questions of priority
//! `critical`, which `priority=critical` does not suppress, from the sources of netcfg 1.187, choose-mirror
//! 2.123 and hw-detect 1.159.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use super::content::{Case, cases};
use crate::{net, scene};

/// Most variables that the kernel passes to the installer; it stops at one more.
const BOOT_VARIABLES_MAX: usize = 32;

fn installations() -> impl Iterator<Item = Case> {
    cases().into_iter().filter(|case| case.bootenv == "debian-12-install" && !case.rehearses())
}

/// Answers of a machine's preseed, by question.
fn answers(case: &Case) -> BTreeMap<String, String> {
    answers_in(&case.answer_file().1)
}

/// Answers of a preseed, by question.
pub fn answers_in(preseed: &str) -> BTreeMap<String, String> {
    let lines = preseed.replace("\\\n", "");
    let fields = |line: &str| {
        let mut fields = line.strip_prefix("d-i ")?.splitn(3, ' ').map(str::to_owned);
        Some((fields.next()?, fields.nth(1).unwrap_or_default()))
    };
    lines.lines().filter_map(fields).collect()
}

/// The words of a kernel's command line before those that the installed system keeps.
fn boot_variables(case: &Case) -> BTreeMap<String, String> {
    let cmdline = case.cmdline();
    let (installers, _) = cmdline.split_once(" --- ").unwrap_or((&cmdline, ""));
    let pairs = installers.split(' ').filter_map(|word| word.split_once('='));
    pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

#[test]
fn what_is_asked_before_the_preseed_is_answered_on_the_command_line() {
    for case in cases().into_iter().filter(|case| case.bootenv == "debian-12-install") {
        let said = boot_variables(&case);
        for (question, answer) in [
            ("priority", "critical"),
            ("auto", "true"),
            // The interface that the machine booted from, of several.
            ("interface", "auto"),
            ("BOOTIF", "01-52-54-00-aa-00-01"),
            ("netcfg/no_default_route", "true"),
            ("hw-detect/load_firmware", "false"),
            ("netcfg/hostname", "web1"),
            ("domain", "example.org"),
        ] {
            assert_eq!(said.get(question).map(String::as_str), Some(answer), "{} {question}", case.variant);
        }
        for question in ["locale", "keymap", "url", "netcfg/get_nameservers", "netcfg/dhcp_timeout"] {
            assert!(said.get(question).is_some_and(|answer| !answer.is_empty()), "{question}: {said:#?}");
        }
        assert!(said.len() < BOOT_VARIABLES_MAX, "{said:#?}");
    }
}

#[test]
fn the_mirror_is_answered_in_full_whatever_the_params_say() {
    for case in installations() {
        let said = answers(&case);
        let answer = |question: &str| said.get(question).map(String::as_str).unwrap_or_default();
        assert_eq!(answer("mirror/country"), "manual", "{}", case.variant);
        let protocol = answer("mirror/protocol");
        assert!(["http", "https"].contains(&protocol), "{said:#?}");
        let host = answer(&format!("mirror/{protocol}/hostname"));
        assert!(!host.is_empty() && !host.contains('/'), "{}: {said:#?}", case.variant);
        assert!(answer(&format!("mirror/{protocol}/directory")).starts_with('/'), "{}", case.variant);
        assert!(said.contains_key(&format!("mirror/{protocol}/proxy")), "{}", case.variant);
        for question in ["mirror/suite", "mirror/udeb/suite"] {
            assert_eq!(answer(question), "bookworm", "{}", case.variant);
        }
        let expected = match case.variant.as_str() {
            "uefi-site" => ("https", "mirror.example.org"),
            "uefi-tree" => ("http", "10.0.0.1:8080"),
            _ => ("http", "deb.debian.org"),
        };
        assert_eq!((protocol, host), expected, "{}", case.variant);
    }
}

/// Runs `choose-mirror` of the installer in the folder `$1` with the answers of a preseed, in a network of
/// its own that serves the folder `$2`. With nobody at its console it reports again and again that a mirror
/// is bad.
const CHOOSE_MIRROR: &str = r#"
ip link set lo up && busybox httpd -p 80 -h "$2" && chroot "$1" /bin/sh -c '
    rm -f /var/lib/cdebconf/*.dat
    debconf-loadtemplate d-i /var/lib/dpkg/info/*.templates
    debconf-set-selections /tmp/preseed.cfg
    DEBIAN_FRONTEND=text DEBIAN_PRIORITY=critical debconf -o d-i /bin/choose-mirror -n
    echo "choose-mirror: $?"' | head -c 4000
"#;

/// The system of the installer, unpacked.
pub fn unpacked_installer() -> TempDir {
    let root = TempDir::new().unwrap();
    let initrd = Path::new(scene::INSTALLER).join("initrd.gz");
    let unpack = "zcat \"$1\" | cpio --extract --make-directories --quiet -f 'lib/modules/*'; \
        test -x bin/choose-mirror";
    let done =
        Command::new("sh").args(["-c", unpack, "sh"]).arg(initrd).current_dir(root.path()).output().unwrap();
    assert!(done.status.success(), "unpack the installer (packages debian-installer-12-netboot-amd64, cpio)");
    root
}

/// The files of a Debian mirror that `choose-mirror` reads.
fn small_mirror() -> TempDir {
    let mirror = TempDir::new().unwrap();
    for suite in ["bookworm", "stable"] {
        let folder = mirror.path().join("debian/dists").join(suite);
        fs::create_dir_all(folder.join("main/binary-amd64")).unwrap();
        fs::write(folder.join("Release"), "Suite: stable\nCodename: bookworm\nArchitectures: amd64\n")
            .unwrap();
        fs::write(folder.join("main/binary-amd64/Release"), "Architecture: amd64\n").unwrap();
    }
    mirror
}

#[test]
fn the_installers_own_choose_mirror_asks_nothing() {
    if !net::may_make_namespaces() {
        return;
    }
    let (root, mirror) = (unpacked_installer(), small_mirror());
    fs::write(root.path().join("etc/hosts"), "127.0.0.1 deb.debian.org\n").unwrap();
    // The preseed is the same under each firmware.
    for case in installations().filter(|case| case.variant != "uefi") {
        fs::write(root.path().join("tmp/preseed.cfg"), case.answer_file().1).unwrap();
        let mut command = Command::new("unshare");
        command
            .args(["--net", "--pid", "--fork", "sh", "-c", CHOOSE_MIRROR, "sh"])
            .arg(root.path())
            .arg(mirror.path());
        let done = command.stdin(std::process::Stdio::null()).output().unwrap();
        let said = String::from_utf8_lossy(&done.stdout);
        // A failure to reach something is an error and not a question.
        let before_errors = said.split("!! ERROR").next().unwrap_or_default();
        assert!(!before_errors.contains("Please enter"), "{}: {said}", case.variant);
        if ["bios", "uefi-hooks"].contains(&case.variant.as_str()) {
            assert!(said.ends_with("choose-mirror: 0\n"), "{}: {said}", case.variant);
            assert!(!said.contains("Prompt:") && !said.contains("ERROR"), "{}: {said}", case.variant);
        } else {
            assert!(said.contains("Bad archive mirror"), "{}: {said}", case.variant);
        }
    }
}
