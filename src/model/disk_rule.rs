//! The rule by which an installation chooses its disks: the value of the param `disk`, in words, and as the
//! shell scripts of the installers read it. `templates/snippets/shell/choose-disk.sh` carries it out.

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

/// The param with the rule.
pub const DISK: &str = "disk";
/// The param that names one disk by its path. It is older than the rule, and is still read.
pub const INSTALL_DISK: &str = "install_disk";

/// Most values of one condition.
const VALUES_MAX: usize = 64;
/// Longest text of a condition, in bytes.
const TEXT_BYTES_MAX: usize = 256;
/// Most disks that one installation may take.
const COUNT_MAX: u32 = 64;
/// The least size, in sectors of 512 bytes, of a disk that is chosen without a size or a path: 4 GiB.
const LEAST_SECTORS: u64 = 8_388_608;
/// Sectors of a gigabyte (10^9 bytes).
const SECTORS_PER_GB: f64 = 1_953_125.0;
/// A disk that is sold as 480 GB has 480.1 GB, and a virtual disk of 20 GiB has 21.5 GB.
const MOST_TOLERANCE: f64 = 1.01;

/// Which of several disks that fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DiskPick {
    Smallest,
    Largest,
}

/// How a disk is connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DiskBus {
    Nvme,
    Sata,
    Sas,
    /// Parallel SCSI, virtio-scsi, and the volumes of RAID controllers.
    Scsi,
    Virtio,
    Xen,
    Usb,
    /// SD cards and eMMC.
    Sd,
    /// Fibre Channel, FCoE.
    Fc,
    Iscsi,
    /// SCSI RDMA.
    Srp,
    /// NVMe over a network.
    Nvmeof,
    Pmem,
    Firewire,
}

/// The buses of disks that are chosen though the rule names no bus.
const LOCAL: [DiskBus; 6] =
    [DiskBus::Nvme, DiskBus::Sata, DiskBus::Sas, DiskBus::Scsi, DiskBus::Virtio, DiskBus::Xen];
/// The buses whose disks are usually removable.
const REMOVABLE: [DiskBus; 3] = [DiskBus::Usb, DiskBus::Sd, DiskBus::Firewire];

/// The conditions that a disk must meet, all of them. Of a list of values one must fit.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DiskRule {
    /// Devices: `/dev/sda`, `/dev/disk/by-id/…`.
    #[serde(deserialize_with = "one_or_many")]
    pub path: Vec<String>,
    pub pick: Option<DiskPick>,
    /// Gigabytes (10^9 bytes).
    pub least_gb: Option<f64>,
    pub most_gb: Option<f64>,
    /// `*` stands for any text, `?` for one character; upper and lower case are alike. So in serial and WWN.
    #[serde(deserialize_with = "one_or_many")]
    pub model: Vec<String>,
    #[serde(deserialize_with = "one_or_many")]
    pub serial: Vec<String>,
    #[serde(deserialize_with = "one_or_many")]
    pub wwn: Vec<String>,
    #[serde(deserialize_with = "one_or_many")]
    pub bus: Vec<DiskBus>,
    pub rotational: Option<bool>,
    /// How many disks; without it as many as there are paths, or one.
    pub count: Option<u32>,
}

/// A rule for the scripts of the installers.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct DiskConditions {
    /// The rule in words.
    pub words: String,
    /// Whether a param is set. Without one, disks of earlier arrays are left alone.
    pub given: bool,
    pub count: u32,
    /// Empty for none.
    pub pick: String,
    /// Size in sectors of 512 bytes, and in words.
    pub least_sectors: u64,
    pub least: String,
    /// 0 for none.
    pub most_sectors: u64,
    pub most: String,
    /// `0`, `1`, or empty for both.
    pub rotational: String,
    /// Empty for all.
    pub buses: Vec<DiskBus>,
    /// Whether the rule names no bus, and local ones fit.
    pub is_local: bool,
    /// Whether a removable disk fits.
    pub removable: bool,
    /// Patterns of the shell, in lower case.
    pub models: Vec<String>,
    pub serials: Vec<String>,
    pub wwns: Vec<String>,
    pub paths: Vec<String>,
}

impl DiskRule {
    /// The rule that a value of the param `disk` states.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn from_value(value: &Value) -> Result<Self, String> {
        let rule = DiskRule::deserialize(value)
            .map_err(|error| format!("the param `{DISK}` is not a rule for disks: {error}"))?;
        match rule.fault() {
            Some(fault) => Err(format!("the param `{DISK}`: {fault}")),
            None => Ok(rule),
        }
    }

    /// The rule that a value of the param `install_disk` states.
    ///
    /// # Errors
    /// It is not the path of a device.
    pub fn from_path(value: &Value) -> Result<Self, String> {
        let path = value.as_str().unwrap_or_default().to_owned();
        let rule = DiskRule { path: vec![path], ..DiskRule::default() };
        match rule.fault() {
            Some(fault) => Err(format!("the param `{INSTALL_DISK}`: {fault}")),
            None => Ok(rule),
        }
    }

    /// How many disks are asked for.
    pub fn count(&self) -> u32 {
        let of_paths = u32::try_from(self.path.len()).unwrap_or(u32::MAX).max(1);
        self.count.unwrap_or(of_paths)
    }

    /// What is wrong with the rule as a whole; none if it can be carried out.
    pub fn fault(&self) -> Option<String> {
        let mut texts = [&self.path, &self.model, &self.serial, &self.wwn].into_iter().flatten();
        if let Some(text) = texts.find(|text| !is_plain(text)) {
            return Some(format!(
                "{text:?} is not 1 to {TEXT_BYTES_MAX} printable ASCII characters without `\\`"
            ));
        }
        if let Some(path) = self.path.iter().find(|path| !path.starts_with("/dev/")) {
            return Some(format!("`{path}` is not the path of a device: it begins with /dev/"));
        }
        let counts = [self.path.len(), self.model.len(), self.serial.len(), self.wwn.len(), self.bus.len()];
        if counts.iter().any(|count| *count > VALUES_MAX) || !(1..=COUNT_MAX).contains(&self.count()) {
            return Some(format!("at most {VALUES_MAX} values of a condition, and 1 to {COUNT_MAX} disks"));
        }
        if !self.path.is_empty() && self.pick.is_some() {
            return Some("`path` names the disks already: leave `pick` out".to_owned());
        }
        if !self.path.is_empty() && self.count() as usize != self.path.len() {
            let (count, paths) = (self.count(), self.path.len());
            return Some(format!("`count` is {count}, and `path` names {paths}: leave `count` out"));
        }
        match (self.least_gb, self.most_gb) {
            (Some(least), Some(most)) if least > most => {
                Some(format!("no disk has {least} GB or more and {most} GB or less"))
            }
            _ => None,
        }
    }

    /// The rule as the scripts of the installers read it.
    pub fn conditions(&self) -> DiskConditions {
        let is_named = !self.path.is_empty();
        let least = match (self.least_gb, is_named) {
            (Some(least), _) => ((least * SECTORS_PER_GB) as u64, format!("{least} GB")),
            (None, true) => (0, String::new()),
            (None, false) => (LEAST_SECTORS, "4 GiB".to_owned()),
        };
        let most = self.most_gb.unwrap_or_default();
        let removable = is_named || self.bus.iter().any(|bus| REMOVABLE.contains(bus));
        let buses = match (self.bus.is_empty(), is_named) {
            (false, _) => self.bus.clone(),
            (true, true) => Vec::new(),
            (true, false) => LOCAL.to_vec(),
        };
        DiskConditions {
            words: self.words(),
            given: *self != DiskRule::default(),
            count: self.count(),
            pick: self.pick.map_or_else(String::new, |pick| pick_word(pick).to_owned()),
            least_sectors: least.0,
            least: least.1,
            most_sectors: (most * MOST_TOLERANCE * SECTORS_PER_GB) as u64,
            most: format!("{most} GB"),
            rotational: self.rotational.map_or_else(String::new, |spins| u8::from(spins).to_string()),
            buses,
            is_local: self.bus.is_empty(),
            removable,
            models: self.model.iter().map(|text| shell_pattern(text)).collect(),
            serials: self.serial.iter().map(|text| shell_pattern(text)).collect(),
            wwns: self.wwn.iter().map(|text| shell_pattern(without_kind(text))).collect(),
            paths: self.path.clone(),
        }
    }

    /// The rule in words: `the smallest NVMe disk of 400 GB or more`.
    pub fn words(&self) -> String {
        if *self == DiskRule::default() {
            return "the only eligible disk".to_owned();
        }
        let count = self.count();
        let noun = if count == 1 { "disk" } else { "disks" };
        let kind = self.kind_words();
        let conditions = self.condition_words();
        if !self.path.is_empty() {
            let named = format!("the {noun} {}", self.path.join(" and "));
            let bare = kind.is_empty() && conditions.is_empty();
            let must = if count == 1 { "that is a" } else { "that are" };
            return if bare { named } else { format!("{named}, if {must} {kind}{noun}{conditions}") };
        }
        let which = match (self.pick, count) {
            (Some(pick), 1) => format!("the {}", pick_word(pick)),
            (Some(pick), _) => format!("the {count} {}", pick_word(pick)),
            (None, 1) => "the only".to_owned(),
            (None, _) => format!("the only {count}"),
        };
        format!("{which} {kind}{noun}{conditions}")
    }

    /// What kind of disk: adjectives, each followed by a space.
    fn kind_words(&self) -> String {
        let spins = self.rotational.map(|spins| if spins { "rotating" } else { "solid-state" });
        let buses: Vec<&str> = self.bus.iter().map(|bus| bus_words(*bus)).collect();
        let buses = buses.join(" or ");
        let words = [spins.unwrap_or_default(), &buses].into_iter().filter(|word| !word.is_empty());
        words.map(|word| format!("{word} ")).collect()
    }

    /// Size, model, serial number and WWN, each after a space.
    fn condition_words(&self) -> String {
        let mut words = match (self.least_gb, self.most_gb) {
            (Some(least), Some(most)) => format!(" of {least} to {most} GB"),
            (Some(least), None) => format!(" of {least} GB or more"),
            (None, Some(most)) => format!(" of {most} GB or less"),
            (None, None) => String::new(),
        };
        let texts = [("model", &self.model), ("serial number", &self.serial), ("WWN", &self.wwn)];
        let mut before = " with";
        for (name, values) in texts.into_iter().filter(|(_, values)| !values.is_empty()) {
            words.push_str(&format!("{before} {name} {}", values.join(" or ")));
            before = " and";
        }
        words
    }
}

/// Whether every shell reads a text as the same pattern.
fn is_plain(text: &str) -> bool {
    text.len() <= TEXT_BYTES_MAX
        && text.bytes().all(|byte| (b' '..=b'~').contains(&byte) && byte != b'\\')
        && !shell_pattern(text).is_empty()
}

fn pick_word(pick: DiskPick) -> &'static str {
    match pick {
        DiskPick::Smallest => "smallest",
        DiskPick::Largest => "largest",
    }
}

fn bus_words(bus: DiskBus) -> &'static str {
    match bus {
        DiskBus::Nvme => "NVMe",
        DiskBus::Sata => "SATA",
        DiskBus::Sas => "SAS",
        DiskBus::Scsi => "SCSI",
        DiskBus::Virtio => "virtio",
        DiskBus::Xen => "Xen",
        DiskBus::Usb => "USB",
        DiskBus::Sd => "SD or eMMC",
        DiskBus::Fc => "Fibre Channel",
        DiskBus::Iscsi => "iSCSI",
        DiskBus::Srp => "SRP",
        DiskBus::Nvmeof => "NVMe-over-network",
        DiskBus::Pmem => "persistent-memory",
        DiskBus::Firewire => "FireWire",
    }
}

/// A pattern of the shell in which only `*` and `?` have a meaning, in the form in which the scripts compare:
/// lower case, `_` as a space, single spaces.
fn shell_pattern(text: &str) -> String {
    let text = text.to_ascii_lowercase().replace('_', " ");
    let words: Vec<&str> = text.split(' ').filter(|word| !word.is_empty()).collect();
    words.join(" ").replace('[', "[[]")
}

/// A WWN without the word for its kind, of which the kernel and udev use different ones.
fn without_kind(wwn: &str) -> &str {
    let kinds = ["wwn-0x", "0x", "naa.", "eui.", "uuid.", "nvme.", "t10."];
    let wwn = wwn.trim();
    let found = kinds
        .iter()
        .find(|kind| wwn.get(..kind.len()).is_some_and(|start: &str| start.eq_ignore_ascii_case(kind)));
    found.and_then(|kind| wwn.get(kind.len()..)).unwrap_or(wwn)
}

/// One value or a list of values.
fn one_or_many<'de, D: Deserializer<'de>, T: Deserialize<'de>>(from: D) -> Result<Vec<T>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum OneOrMany<T> {
        One(T),
        Many(Vec<T>),
    }
    Ok(match OneOrMany::deserialize(from)? {
        OneOrMany::One(value) => vec![value],
        OneOrMany::Many(values) => values,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn rule(value: Value) -> DiskRule {
        DiskRule::from_value(&value).unwrap()
    }

    #[test]
    fn a_rule_is_said_in_words() {
        let by_id = "/dev/disk/by-id/nvme-A";
        for (value, words) in [
            (json!({}), "the only eligible disk"),
            (
                json!({"pick": "smallest", "bus": "nvme", "least_gb": 400}),
                "the smallest NVMe disk of 400 GB or more",
            ),
            (json!({"pick": "largest", "rotational": true}), "the largest rotating disk"),
            (json!({"bus": ["sata", "sas"], "rotational": false}), "the only solid-state SATA or SAS disk"),
            (
                json!({"model": "INTEL*", "serial": ["A", "B"]}),
                "the only disk with model INTEL* and serial number A or B",
            ),
            (json!({"least_gb": 400, "most_gb": 480.5}), "the only disk of 400 to 480.5 GB"),
            (json!({"count": 2, "most_gb": 500}), "the only 2 disks of 500 GB or less"),
            (json!({"count": 2, "pick": "smallest"}), "the 2 smallest disks"),
            (json!({"path": by_id}), "the disk /dev/disk/by-id/nvme-A"),
            (json!({"path": ["/dev/a", "/dev/b"]}), "the disks /dev/a and /dev/b"),
            (
                json!({"path": by_id, "bus": "nvme"}),
                "the disk /dev/disk/by-id/nvme-A, if that is a NVMe disk",
            ),
        ] {
            assert_eq!(rule(value.clone()).words(), words, "{value}");
        }
    }

    #[test]
    fn a_rule_that_cannot_be_carried_out_is_refused_with_the_reason() {
        for (value, why) in [
            (json!("/dev/sda"), "is not a rule for disks"),
            (json!({"size": 1}), "unknown field `size`"),
            (json!({"path": "/dev/sda", "pick": "smallest"}), "leave `pick` out"),
            (json!({"path": ["/dev/sda", "/dev/sdb"], "count": 1}), "`path` names 2"),
            (json!({"path": "sda"}), "begins with /dev/"),
            (json!({"least_gb": 500, "most_gb": 400}), "no disk has 500 GB or more and 400 GB or less"),
            (json!({"model": "a\nb"}), "printable"),
            (json!({"serial": "a\\b"}), "printable"),
            (json!({"wwn": ""}), "printable"),
            (json!({"count": 0}), "1 to 64 disks"),
        ] {
            let refused = DiskRule::from_value(&value).unwrap_err();
            assert!(refused.contains(why), "{value}: {refused}");
        }
        assert!(DiskRule::from_path(&json!(7)).unwrap_err().contains("`install_disk`"));
    }

    #[test]
    fn a_disk_is_as_large_as_it_is_sold() {
        let found = rule(json!({"least_gb": 480, "most_gb": 480})).conditions();
        // SFF-8447: a disk of 480 GB has 937,703,088 sectors.
        assert!((found.least_sectors..=found.most_sectors).contains(&937_703_088), "{found:?}");
        assert!(!(found.least_sectors..=found.most_sectors).contains(&976_773_168), "{found:?}");
    }

    #[test]
    fn values_become_patterns_in_which_nothing_but_star_and_question_mark_is_special() {
        let found =
            rule(json!({"model": "SAMSUNG_MZ[a-z]*", "wwn": ["0x5000C5", "naa.5000c5*", "eui.0025"]}));
        let found = found.conditions();
        assert_eq!(found.models, ["samsung mz[[]a-z]*"]);
        assert_eq!(found.wwns, ["5000c5", "5000c5*", "0025"]);
    }
}
