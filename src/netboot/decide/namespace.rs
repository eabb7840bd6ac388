//! The boot namespace: the meaning of a path, for TFTP and HTTP alike.
//!
//! Loaders and artifacts are static; the loaders' scripts and everything below a machine's capability are
//! rendered. [`super::decide()`] decides whether a client may have them.

use std::net::{IpAddr, Ipv4Addr};

use crate::model::Mac;
use crate::netboot::decide::signed::STARTS;

/// Longest path before it is cleaned, in bytes: Linux' own limit. TFTP's packets have a smaller one.
pub const PATH_BYTES_MAX: usize = 4096;

/// The meaning of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NamespaceEntry {
    /// A loader binary, or a module of a loader, by its name in the namespace.
    Loader(String),
    /// The script or menu that a loader looks for, and what its name says about the client.
    Script(ScriptKind, ClientHint),
    /// The script of a bootenv that a person chose from a console menu.
    Choice {
        kind: ScriptKind,
        bootenv: String,
    },
    /// A file of one machine.
    Machine {
        capability: String,
        file: String,
    },
    /// A file of an artifact.
    Artifact {
        name: String,
        file: String,
    },
    /// The agent program for an architecture.
    Agent(String),
    Absent,
}

/// The loader whose language a script is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScriptKind {
    Ipxe,
    Grub,
    Pxelinux,
}

impl ScriptKind {
    /// Folder and file extension of the templates in this language.
    pub fn template(self, what: &str) -> String {
        match self {
            ScriptKind::Ipxe => format!("ipxe/{what}.ipxe"),
            ScriptKind::Grub => format!("grub/{what}.cfg"),
            ScriptKind::Pxelinux => format!("pxelinux/{what}.cfg"),
        }
    }
}

/// What the name of a file says about the client.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientHint {
    pub mac: Option<Mac>,
    pub address: Option<IpAddr>,
}

/// The path in its normal form: no leading slash, single forward slashes. Firmware and Windows loaders send
/// `\Boot\BCD`, shim asks for `dir//grubx64.efi`; `::` before a path makes it absolute for PXELINUX, and
/// other readers of its menus send it along.
///
/// # Errors
/// The reason why the path is invalid or leaves the tree, for the log and the client.
pub fn clean(path: &str) -> Result<String, &'static str> {
    if path.len() > PATH_BYTES_MAX {
        return Err("the path is too long");
    }
    if path.chars().any(char::is_control) {
        return Err("the path has control characters");
    }
    let mut parts = Vec::new();
    for part in path.strip_prefix("::").unwrap_or(path).split(['/', '\\']) {
        match part {
            "" | "." => {}
            ".." => return Err("the path leaves the tree"),
            part => parts.push(part),
        }
    }
    Ok(parts.join("/"))
}

/// What a client may have meant by a path that leads to nothing, in the order in which it is tried:
///
/// - The part before the first character that no name has: firmware that ignores the length of DHCP option 67
///   sends the bytes behind it along.
/// - The part after a `//` or `::`: readers of a PXELINUX menu put their own folder in front of a path that
///   is absolute in it.
/// - The longest name of a loader that the last part begins with: the bytes behind option 67 may be
///   characters.
pub fn likely_paths<'a>(path: &str, loaders: impl Iterator<Item = &'a str>) -> Vec<String> {
    let end = path.find(|next: char| !next.is_ascii_graphic()).unwrap_or(path.len());
    let printable = path.get(..end).unwrap_or_default();
    let absolute = ["//", "::"].iter().find_map(|mark| Some(printable.rsplit_once(mark)?.1));
    let base = printable.rsplit(['/', '\\']).next().unwrap_or_default();
    let cleaned = clean(printable).unwrap_or_default();
    let begun = loaders.filter(|name| {
        let tail = cleaned.strip_prefix(name).or_else(|| base.strip_prefix(name));
        tail.is_some_and(|tail| !tail.is_empty() && !tail.contains('/'))
    });
    let loader = begun.max_by_key(|name| name.len());
    let likely = [Some(printable), absolute, loader].into_iter().flatten();
    likely.filter(|name| !name.is_empty() && *name != path).map(str::to_owned).collect()
}

/// The meaning of a cleaned path. `is_loader` says whether a name is that of a loader.
pub fn resolve(path: &str, is_loader: impl Fn(&str) -> bool) -> NamespaceEntry {
    let (first, rest) = path.split_once('/').unwrap_or((path, ""));
    match first {
        "m" => machine_file(rest),
        "artifacts" => match rest.split_once('/') {
            Some((name, file)) => NamespaceEntry::Artifact { name: name.to_owned(), file: file.to_owned() },
            None => NamespaceEntry::Absent,
        },
        "menu" => choice(rest).unwrap_or(NamespaceEntry::Absent),
        "agent" if !rest.is_empty() && !rest.contains('/') => NamespaceEntry::Agent(rest.to_owned()),
        _ => script(path).unwrap_or_else(|| {
            let name = path.rsplit('/').next().unwrap_or(path);
            // A file that a chain of signed loaders lacks cannot be replaced by that of another distribution.
            if is_loader(path) {
                NamespaceEntry::Loader(path.to_owned())
            } else if is_loader(name)
                && !STARTS.iter().any(|start| is_loader(&format!("{first}/{}", start.first)))
            {
                NamespaceEntry::Loader(name.to_owned())
            } else {
                NamespaceEntry::Absent
            }
        }),
    }
}

fn choice(rest: &str) -> Option<NamespaceEntry> {
    let (bootenv, name) = rest.rsplit_once('/')?;
    let kind = match name {
        "boot.ipxe" => ScriptKind::Ipxe,
        "grub.cfg" => ScriptKind::Grub,
        _ => return None,
    };
    Some(NamespaceEntry::Choice { kind, bootenv: bootenv.to_owned() })
}

fn machine_file(rest: &str) -> NamespaceEntry {
    match rest.split_once('/') {
        Some((capability, file)) if !file.is_empty() => {
            NamespaceEntry::Machine { capability: capability.to_owned(), file: file.to_owned() }
        }
        _ => NamespaceEntry::Absent,
    }
}

/// Whether this is the script that iPXE looks for by itself, beside the place that it was loaded from.
pub fn is_autoexec(path: &str) -> bool {
    path.rsplit(['/', '\\']).next() == Some("autoexec.ipxe")
}

/// Whether loaders always look for this file, and go on without it: GRUB for the lists of its modules, shim
/// for revocations, PXELINUX for a configuration by UUID or by a part of the address, readers of our own
/// menus for the kernels that there are not.
pub fn is_usual_probe(path: &str) -> bool {
    let (folder, name) = path.rsplit_once(['/', '\\']).unwrap_or(("", path));
    matches!(name, "leave-to-the-disk" | "stopped-see-the-timeline")
        || name.ends_with(".lst")
        || name.ends_with(".efi") && (name.starts_with("revocations") || name.starts_with("shim_certificate"))
        || folder.ends_with("pxelinux.cfg")
            && (name.len() < 8 || name.len() == 36)
            && name.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-')
}

/// The names of scripts that loaders look for, wherever they were loaded from.
fn script(path: &str) -> Option<NamespaceEntry> {
    let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
    if matches!(name, "boot.ipxe" | "autoexec.ipxe") {
        return Some(NamespaceEntry::Script(ScriptKind::Ipxe, ClientHint::default()));
    }
    if let Some(rest) = name.strip_prefix("grub.cfg") {
        let hint = rest.strip_prefix('-').map_or_else(|| Some(ClientHint::default()), hint)?;
        return Some(NamespaceEntry::Script(ScriptKind::Grub, hint));
    }
    if folder == "pxelinux.cfg" || folder.ends_with("/pxelinux.cfg") {
        let hint = if name == "default" { ClientHint::default() } else { hint(name)? };
        return Some(NamespaceEntry::Script(ScriptKind::Pxelinux, hint));
    }
    None
}

/// Parses `01-52-54-00-aa-00-01` (hardware type and MAC) or `0A000005` (an address in hex). Shortened
/// addresses and UUIDs give nothing: the loader then tries the next name.
fn hint(name: &str) -> Option<ClientHint> {
    if let Some(mac) = name.strip_prefix("01-").and_then(|mac| mac.parse().ok()) {
        return Some(ClientHint { mac: Some(mac), address: None });
    }
    if name.len() == 8 {
        let bits = u32::from_str_radix(name, 16).ok()?;
        return Some(ClientHint { mac: None, address: Some(Ipv4Addr::from_bits(bits).into()) });
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meaning(path: &str) -> NamespaceEntry {
        resolve(&clean(path).unwrap(), |name| matches!(name, "undionly.kpxe" | "grubx64.efi"))
    }

    #[test]
    fn loaders_ask_for_the_same_file_in_many_ways() {
        for path in
            ["undionly.kpxe", "/undionly.kpxe", "//undionly.kpxe", "\\undionly.kpxe", "x/./undionly.kpxe"]
        {
            assert_eq!(meaning(path), NamespaceEntry::Loader("undionly.kpxe".into()), "{path}");
        }
    }

    #[test]
    fn paths_that_leave_the_tree_are_refused_in_every_spelling() {
        for path in ["../x", "/etc/../../x", "a\\..\\..\\x", "..", "a/../b"] {
            assert!(clean(path).is_err(), "{path}");
        }
        assert!(clean("a\0b").is_err());
        assert!(clean(&"a".repeat(PATH_BYTES_MAX)).is_ok());
        assert!(clean(&"a".repeat(PATH_BYTES_MAX + 1)).is_err());
    }

    #[test]
    fn scripts_say_who_asks_where_their_name_does() {
        let mac = ClientHint { mac: Some(Mac([0x52, 0x54, 0, 0xaa, 0, 1])), address: None };
        let choice = |kind| NamespaceEntry::Choice { kind, bootenv: "site/rescue".into() };
        let cases = [
            ("boot.ipxe", NamespaceEntry::Script(ScriptKind::Ipxe, ClientHint::default())),
            ("autoexec.ipxe", NamespaceEntry::Script(ScriptKind::Ipxe, ClientHint::default())),
            ("grub/grub.cfg", NamespaceEntry::Script(ScriptKind::Grub, ClientHint::default())),
            ("grub/grub.cfg-01-52-54-00-aa-00-01", NamespaceEntry::Script(ScriptKind::Grub, mac.clone())),
            ("pxelinux.cfg/01-52-54-00-aa-00-01", NamespaceEntry::Script(ScriptKind::Pxelinux, mac)),
            ("pxelinux.cfg/default", NamespaceEntry::Script(ScriptKind::Pxelinux, ClientHint::default())),
            (
                "pxelinux.cfg/0A000005",
                NamespaceEntry::Script(
                    ScriptKind::Pxelinux,
                    ClientHint { mac: None, address: Some(Ipv4Addr::new(10, 0, 0, 5).into()) },
                ),
            ),
            ("menu/site/rescue/boot.ipxe", choice(ScriptKind::Ipxe)),
            ("menu/site/rescue/grub.cfg", choice(ScriptKind::Grub)),
            ("menu/boot.cfg", NamespaceEntry::Absent),
            ("pxelinux.cfg/0A0000", NamespaceEntry::Absent),
            ("pxelinux.cfg/b8945908-d6a6-41a9-611d-74a6ab80b83d", NamespaceEntry::Absent),
        ];
        for (path, expected) in cases {
            assert_eq!(meaning(path), expected, "{path}");
        }
    }

    #[test]
    fn rubbish_behind_a_name_is_cut_off_for_a_second_look() {
        let loaders = ["undionly.kpxe", "debian/shimx64.efi", "ipxe.pxe", "snponly.efi"];
        let likely = |path: &str| likely_paths(path, loaders.into_iter());
        let cases: [(&str, &[&str]); 10] = [
            ("undionly.kpxe", &[]),
            ("undionly.kpxe\u{fffd}", &["undionly.kpxe"]),
            ("undionly.kpxea\u{11}", &["undionly.kpxea", "undionly.kpxe"]),
            ("/undionly.kpxe:\u{4}", &["/undionly.kpxe:", "undionly.kpxe"]),
            ("debian/shimx64.efia", &["debian/shimx64.efi"]),
            ("dir//grubx64.efi", &["grubx64.efi"]),
            ("pxe//m/0a-0b/linux", &["m/0a-0b/linux"]),
            ("pxe::m/0a-0b/linux", &["m/0a-0b/linux"]),
            ("snponly.efi/x", &[]),
            ("\u{1}", &[]),
        ];
        for (path, expected) in cases {
            assert_eq!(likely(path), expected, "{path:?}");
        }
        assert_eq!(clean("::m/0a-0b/linux").as_deref(), Ok("m/0a-0b/linux"));
    }

    #[test]
    fn what_every_loader_looks_for_is_no_news() {
        for path in [
            "/grub/x86_64-efi/command.lst",
            "debian/revocations.efi",
            "/leave-to-the-disk",
            "pxelinux.cfg/0A0000",
            "/pxelinux.cfg/b8945908-d6a6-41a9-611d-74a6ab80b83d",
        ] {
            assert!(is_usual_probe(path), "{path}");
        }
        for path in
            ["config.txt", "pxelinux.cfg/default-arm", "grub/x86_64-efi/tftp.mod", "34695052/start4.elf"]
        {
            assert!(!is_usual_probe(path), "{path}");
        }
    }

    #[test]
    fn what_a_chain_lacks_is_not_taken_from_another_distribution() {
        let is_loader = |name: &str| {
            matches!(name, "debian/shimx64.efi" | "debian/grubx64.efi" | "rocky/shimx64.efi" | "grubx64.efi")
        };
        let meaning = |path: &str| resolve(&clean(path).unwrap(), is_loader);
        assert_eq!(meaning("/debian//grubx64.efi"), NamespaceEntry::Loader("debian/grubx64.efi".into()));
        assert_eq!(meaning("rocky/grubx64.efi"), NamespaceEntry::Absent);
        assert_eq!(meaning("elsewhere/grubx64.efi"), NamespaceEntry::Loader("grubx64.efi".into()));
        for probe in ["debian/revocations.efi", "debian/shim_certificate.efi", "grub/x86_64-efi/fs.lst"] {
            assert_eq!(meaning(probe), NamespaceEntry::Absent, "{probe}");
        }
    }

    #[test]
    fn artifacts_and_machine_files_have_their_own_folders() {
        assert_eq!(
            meaning("artifacts/debian-12-amd64/linux"),
            NamespaceEntry::Artifact { name: "debian-12-amd64".into(), file: "linux".into() }
        );
        assert_eq!(
            meaning("m/0a-0b/autoinstall/user-data"),
            NamespaceEntry::Machine { capability: "0a-0b".into(), file: "autoinstall/user-data".into() }
        );
        assert_eq!(meaning("m/x"), NamespaceEntry::Absent);
        assert_eq!(meaning("nothing"), NamespaceEntry::Absent);
    }
}
