//! The menus as their readers take them: a file in one format has several, and each knows a part of it.
//!
//! - PXELINUX takes all of it. A path without `::` or a scheme is put behind its folder, which is the top
//!   here.
//! - U-Boot (`boot/pxe_utils.c`) puts a path behind the folder of its boot file, takes one initrd, passes
//!   over words that it does not know, and needs `localcmd` to be set for LOCALBOOT.
//! - SLOF on POWER and the firmware of s390x (`lib/libnet/pxelinux.c`) know DEFAULT, LABEL, KERNEL, INITRD
//!   and APPEND, take one initrd, and load the kernel of the default entry without looking whether it has
//!   one. Their buffer has 2048 bytes.
//! - GRUB's `syslinux_configfile` takes `/x` below the device that it was loaded from.
//! - iPXE's scripts end at a command that fails and has no `||` behind it; a build may lack a command.
//! - GRUB goes on after a command that it does not have; what follows must not depend on it.

use std::process::Command;

use metalwright::netboot::decide::namespace::{ScriptKind, likely_paths};
use metalwright::netboot::documents::BootDocument;

use super::checkers::tool;
use super::content::{cases, known, render};

/// Bytes of the buffer of the readers with the smallest one, with the NUL at its end.
const BUFFER_BYTES: usize = 2048;

/// The entry that a small reader starts.
#[derive(Debug, Default, PartialEq)]
struct MenuEntry {
    kernel: Option<String>,
    initrd: Option<String>,
    append: Option<String>,
}

/// Reads a menu as SLOF and the firmware of s390x do.
fn small_reader(menu: &str) -> MenuEntry {
    assert!(menu.len() < BUFFER_BYTES, "{} bytes", menu.len());
    let (mut entries, mut chosen, mut default) = (Vec::<MenuEntry>::new(), 0, "");
    for line in menu.lines().map(str::trim).filter(|line| !line.starts_with('#')) {
        let Some((word, rest)) = line.split_once(' ') else { continue };
        let rest = rest.trim().to_owned();
        match (word.to_ascii_lowercase().as_str(), entries.last_mut()) {
            ("default", _) => default = line.split_once(' ').unwrap().1,
            ("label", _) => {
                chosen = if rest == default { entries.len() } else { chosen };
                entries.push(MenuEntry::default());
            }
            ("kernel", Some(entry)) => entry.kernel = Some(rest),
            ("initrd", Some(entry)) => entry.initrd = Some(rest),
            ("append", Some(entry)) => entry.append = Some(rest),
            _ => {}
        }
    }
    entries.remove(chosen)
}

fn menus() -> Vec<String> {
    let install = cases().into_iter().filter(|case| case.is_install());
    let scripts = install.flat_map(|case| case.loader_scripts());
    scripts.filter(|(name, _)| name.starts_with("pxelinux/boot")).map(|(_, text)| text).collect()
}

#[test]
fn the_smallest_readers_of_a_pxelinux_menu_find_kernel_and_initrd() {
    for menu in menus() {
        let entry = small_reader(&menu);
        for path in [entry.kernel, entry.initrd] {
            let path = path.unwrap_or_else(|| panic!("{menu}"));
            assert!(path.starts_with("/m/") && !path.contains([',', ' ']), "{path}");
            // U-Boot and PXELINUX put the folder that they were loaded from in front of it.
            let below = format!("boot/{path}");
            let meant = likely_paths(&below, std::iter::empty());
            assert!(meant.iter().any(|meant| format!("/{meant}") == path), "{below}: {meant:?}");
        }
        assert!(entry.append.is_some_and(|append| !append.is_empty()), "{menu}");
    }
}

#[test]
fn a_menu_without_a_kernel_names_one_that_there_is_not_for_readers_that_need_one() {
    let local = render(&known(), &BootDocument::LocalScript(ScriptKind::Pxelinux));
    let message = "the artifact debian-12-amd64 is missing".to_owned();
    let screen = render(&known(), &BootDocument::Screen { kind: ScriptKind::Pxelinux, message });
    for (menu, kernel, last) in [
        (&local, "/leave-to-the-disk", "LOCALBOOT 0"),
        (&screen, "/stopped-see-the-timeline", "CONFIG /pxelinux.cfg/01-52-54-00-aa-00-01"),
    ] {
        let entry = small_reader(menu);
        assert_eq!((entry.kernel.as_deref(), entry.initrd), (Some(kernel), None), "{menu}");
        // PXELINUX, U-Boot and GRUB take the last of the two words.
        assert_eq!(menu.lines().last().map(str::trim), Some(last), "{menu}");
    }
    let title = "MENU TITLE Metalwright: the artifact debian-12-amd64 is missing";
    assert!(screen.lines().any(|line| line == title), "U-Boot shows it: {screen}");
}

#[test]
fn grubs_own_parser_of_pxelinux_menus_takes_them() {
    let parser = tool("grub-syslinux2cfg", "install the Debian package grub-common");
    let folder = tempfile::TempDir::new().unwrap();
    let path = folder.path().join("menu");
    for menu in menus() {
        let entry = small_reader(&menu);
        std::fs::write(&path, &menu).unwrap();
        let done = Command::new(&parser).args(["--pxelinux"]).arg(&path).output().unwrap();
        let said = String::from_utf8_lossy(&done.stdout);
        assert!(done.status.success() && !said.contains("UNSUPPORTED"), "{said}");
        for path in [entry.kernel, entry.initrd].into_iter().flatten() {
            assert!(said.contains(&format!("'{path}'")), "{path} in:\n{said}");
        }
    }
}

/// Commands that every iPXE has.
const IPXE_ALWAYS: [&str; 6] = ["echo", "exit", "goto", "iseq", "isset", "sleep"];

#[test]
fn an_ipxe_that_lacks_a_command_does_not_end_in_the_middle_of_a_script() {
    let boots = cases().into_iter().flat_map(|case| case.loader_scripts());
    let boots = boots.filter(|(name, _)| name.starts_with("ipxe/")).map(|(_, text)| text);
    let local = render(&known(), &BootDocument::LocalScript(ScriptKind::Ipxe));
    for script in boots.chain([local]) {
        let commands = script.lines().filter(|line| !line.starts_with(['#', ':']) && !line.is_empty());
        for line in commands {
            let word = line.split(' ').next().unwrap();
            let is_last = script.trim_end().ends_with(line);
            let is_guarded = line.contains(" || ") || line.ends_with(" ||");
            assert!(IPXE_ALWAYS.contains(&word) || is_guarded || is_last, "{line} in:\n{script}");
        }
    }
}

#[test]
fn a_grub_that_lacks_a_command_neither_asks_without_end_nor_misses_the_disk() {
    let message = "x".to_owned();
    let screen = render(&known(), &BootDocument::Screen { kind: ScriptKind::Grub, message });
    let (before, loops) = screen.split_once("if sleep 0; then\n").unwrap_or_else(|| panic!("{screen}"));
    assert!(!before.contains("configfile") && loops.trim_end().ends_with("fi\nreboot"), "{screen}");
    let local = render(&known(), &BootDocument::LocalScript(ScriptKind::Grub));
    assert!(!local.contains("regexp --"), "{local}");
    let named = local.lines().find(|line| line.contains("for part in ")).unwrap_or_else(|| panic!("{local}"));
    assert!(named.contains("(hd*,*) (hd0,gpt1)"), "the pattern, and names for a GRUB without it: {named}");
}
