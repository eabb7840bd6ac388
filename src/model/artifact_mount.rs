//! Mounts: further places in the boot namespace where the files of an artifact are found.
//!
//! Most firmware is told the names of its files. Some chooses them itself: a Raspberry Pi asks for
//! `<serial>/start4.elf` and `config.txt`, OpenBSD's loader for `etc/boot.conf`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::name::check_file_path;
use super::{Mac, Machine, Problem, RefusalCode};

/// Most mounts of one artifact, and most machines of one mount.
pub const MOUNTS_MAX: usize = 16;
pub const MOUNTED_FOR_MAX: usize = 64;
/// Longest serial number of a machine that a mount names.
const SERIAL_BYTES_MAX: usize = 64;
/// Folders of the namespace with a meaning of their own.
const TAKEN: [&str; 4] = ["m", "artifacts", "menu", "agent"];

/// A place in the boot namespace where the files of an artifact are found besides `artifacts/<name>/`. What
/// the server has there already, such as a loader or `grub.cfg`, comes first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ArtifactMount {
    /// The folder in the namespace: `etc`. Empty for the top.
    #[serde(default)]
    pub path: String,
    /// MAC addresses and serial numbers. Only these machines find the files, by their address or below a
    /// folder with one of these names. Empty for all machines.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub machines: Vec<String>,
}

impl ArtifactMount {
    /// The part of a path that is the file's within the artifact, if the mount has it for this machine.
    pub fn file<'p>(&self, path: &'p str, machine: Option<&Machine>) -> Option<&'p str> {
        let own = path.split_once('/').filter(|(folder, _)| match self.machines.is_empty() {
            true => machine.is_some_and(|machine| is_named(machine, folder)),
            false => self.machines.iter().any(|name| is_same((name, folder))),
        });
        let is_for = self.machines.is_empty()
            || machine.is_some_and(|machine| self.machines.iter().any(|name| is_named(machine, name)));
        own.and_then(|(_, rest)| self.below(rest)).or_else(|| self.below(path).filter(|_| is_for))
    }

    /// The part of a path below the mount's folder.
    fn below<'p>(&self, path: &'p str) -> Option<&'p str> {
        match self.path.is_empty() {
            true => Some(path),
            false => path.strip_prefix(self.path.as_str())?.strip_prefix('/'),
        }
    }

    pub(super) fn problems(&self, pointer: &str) -> Vec<Problem> {
        let at = format!("{pointer}/path");
        let mut problems = if self.path.is_empty() { Vec::new() } else { check_file_path(&self.path, &at) };
        let first = self.path.split('/').next().unwrap_or_default();
        if TAKEN.contains(&first) {
            let what = format!(
                "`{first}/` of the boot namespace has a meaning of its own: nothing is mounted there"
            );
            problems.push(Problem::new(&at, what).coded(RefusalCode::Malformed));
        }
        let at = format!("{pointer}/machines");
        if self.machines.len() > MOUNTED_FOR_MAX {
            let what = format!("at most {MOUNTED_FOR_MAX} machines");
            problems.push(Problem::new(&at, what).coded(RefusalCode::Malformed));
        }
        if !self.machines.iter().all(|name| is_folder_name(name)) {
            let what = format!(
                "each is a MAC address or a serial number that can be a folder: letters, digits, `.`, `_`, \
                 `-` and `:`, at most {SERIAL_BYTES_MAX}"
            );
            problems.push(Problem::new(&at, what).coded(RefusalCode::Malformed));
        }
        problems
    }
}

fn is_folder_name(name: &str) -> bool {
    (1..=SERIAL_BYTES_MAX).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-:".contains(&byte))
}

/// Whether a name is one of the machine's MAC addresses, or its serial number.
fn is_named(machine: &Machine, name: &str) -> bool {
    let serial = machine.serial.as_deref().is_some_and(|serial| is_same((serial, name)));
    serial || name.parse::<Mac>().is_ok_and(|mac| machine.macs.contains(&mac))
}

/// Whether two names are the same MAC address in any spelling, or the same serial number.
fn is_same((name, folder): (&str, &str)) -> bool {
    let macs = (name.parse::<Mac>(), folder.parse::<Mac>());
    name.eq_ignore_ascii_case(folder) || matches!(macs, (Ok(name), Ok(folder)) if name == folder)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn mount(path: &str, machines: &[&str]) -> ArtifactMount {
        let machines = machines.iter().map(|name| (*name).to_owned()).collect();
        ArtifactMount { path: path.to_owned(), machines }
    }

    #[test]
    fn a_mount_is_found_where_firmware_looks() {
        let machine = json!({"name": "pi", "macs": ["dc:a6:32:00:00:01"], "serial": "34695052"});
        let machine: Machine = serde_json::from_value(machine).unwrap();
        let (all, etc) = (mount("", &[]), mount("etc", &[]));
        let own = mount("", &["34695052", "dc:a6:32:00:00:02"]);
        let cases = [
            (&all, "config.txt", Some("config.txt")),
            (&all, "34695052/start4.elf", Some("start4.elf")),
            (&all, "DC-A6-32-00-00-01/start4.elf", Some("start4.elf")),
            (&all, "overlays/x.dtbo", Some("overlays/x.dtbo")),
            (&etc, "etc/boot.conf", Some("boot.conf")),
            (&etc, "34695052/etc/boot.conf", Some("boot.conf")),
            (&etc, "etcetera/boot.conf", None),
            (&etc, "boot.conf", None),
            (&own, "config.txt", Some("config.txt")),
            (&own, "dc-a6-32-00-00-02/config.txt", Some("config.txt")),
        ];
        for (mount, path, file) in cases {
            assert_eq!(mount.file(path, Some(&machine)), file, "{path} in {mount:?}");
        }
        // A client that is not known is told by the folder alone.
        assert_eq!(own.file("config.txt", None), None);
        assert_eq!(own.file("34695052/config.txt", None), Some("config.txt"));
        assert_eq!(all.file("34695052/config.txt", None), Some("34695052/config.txt"));
    }

    #[test]
    fn a_mount_stays_out_of_what_is_taken() {
        for path in ["m", "artifacts/x", "menu", "agent", "../x", "/x", "a//b"] {
            assert!(!mount(path, &[]).problems("/mounts/0").is_empty(), "{path}");
        }
        assert!(mount("", &["a/b"]).problems("")[0].pointer.ends_with("/machines"));
        assert!(mount("grub/x86_64-efi", &["34695052"]).problems("").is_empty());
    }
}
