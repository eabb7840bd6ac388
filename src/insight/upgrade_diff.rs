//! What an upgrade changes of the documents of machines: their differences, and groups of machines with the
//! same ones. Pure.

use std::collections::BTreeMap;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Serialize;
use similar::{ChangeTag, TextDiff};

use crate::model::{Machine, Stored, sha256_hex};

/// Most documents of one group that are shown, and most lines of a difference.
pub const SHOWN_DOCUMENTS_MAX: usize = 32;
pub const SHOWN_LINES_MAX: usize = 200;
/// Largest text that is compared line by line, in bytes.
const COMPARED_BYTES_MAX: usize = 1 << 20;
/// Longest time to compare two texts; what is found later is a coarser difference.
const COMPARE_MAX: Duration = Duration::from_millis(500);
const CONTEXT_LINES: usize = 3;

/// What became of a document: its text, or why there is none.
pub type DocumentOutcome = Result<String, String>;

/// The documents of a machine, by their paths: `debian-12-install/preseed.cfg`.
pub type MachineDocuments = BTreeMap<String, DocumentOutcome>;

/// A document that an upgrade changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ChangedDocument {
    /// `BOOTENV/PATH`, `TASK/NAME`, or `start` for what prevents a start of the workflow.
    pub path: String,
    /// The difference, in the unified format; its first lines.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub diff: String,
    /// Why the document cannot be made after the upgrade.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<String>,
}

/// Machines whose documents change in the same way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct UpgradeGroup {
    /// The same for all machines with this change, on every page.
    pub digest: String,
    /// Whether a document cannot be made that could be made before.
    pub fails: bool,
    /// The names of the machines.
    pub machines: Vec<String>,
    /// What changes for the first of them.
    pub documents: Vec<ChangedDocument>,
    /// Number of documents that change.
    pub document_count: usize,
}

/// The change of one machine.
#[derive(Debug)]
pub struct MachineChanges {
    digest: String,
    fails: bool,
    documents: Vec<ChangedDocument>,
}

/// What changes between the documents of a machine; none if nothing does.
pub fn changes(
    machine: &Stored<Machine>,
    (before, after): (&MachineDocuments, &MachineDocuments),
) -> Option<MachineChanges> {
    let mask = OwnWords::of(machine);
    let (mut lines, mut documents, mut fails) = (String::new(), Vec::new(), false);
    let paths: Vec<&String> = before.keys().chain(after.keys()).collect();
    let mut paths: Vec<&String> =
        paths.into_iter().filter(|path| before.get(*path) != after.get(*path)).collect();
    paths.sort();
    paths.dedup();
    for path in paths {
        let changed = match (before.get(path), after.get(path)) {
            // What could not be made, and is not asked for any more.
            (Some(Err(_)), None) => continue,
            (_, Some(Err(fault))) => {
                lines.push_str(&format!("fault {path} {}\n", mask.cover(fault)));
                fails = true;
                ChangedDocument { path: path.clone(), diff: String::new(), fault: Some(fault.clone()) }
            }
            (old, new) => {
                let [old, new] =
                    [old, new].map(|text| text.and_then(|text| text.as_deref().ok()).unwrap_or(""));
                let (diff, marks) = compare(path, (old, new));
                lines.push_str(&format!("change {path}\n{}\n", mask.cover(&marks)));
                ChangedDocument { path: path.clone(), diff, fault: None }
            }
        };
        documents.push(changed);
    }
    let digest = sha256_hex(&lines);
    (!documents.is_empty()).then_some(MachineChanges { digest, fails, documents })
}

/// The difference for people, and the changed lines alone, by which machines are grouped.
fn compare(path: &str, (old, new): (&str, &str)) -> (String, String) {
    if old.len().max(new.len()) > COMPARED_BYTES_MAX {
        let told = format!("{path}: {} bytes before, {} bytes after\n", old.len(), new.len());
        return (told, sha256_hex(format!("{}{}", sha256_hex(old), sha256_hex(new))));
    }
    let diff = TextDiff::configure().timeout(COMPARE_MAX).diff_lines(old, new);
    let changed = diff.iter_all_changes().filter(|change| change.tag() != ChangeTag::Equal);
    let marks: String = changed.map(|change| format!("{}{}", change.tag(), change.value())).collect();
    let unified = diff.unified_diff().context_radius(CONTEXT_LINES).to_string();
    let mut shown: String = unified.split_inclusive('\n').take(SHOWN_LINES_MAX).collect();
    if unified.lines().count() > SHOWN_LINES_MAX {
        shown.push_str("…\n");
    }
    (shown, marks)
}

/// Groups the changes of machines, those that fail first, then the largest groups.
pub fn group(changes: impl IntoIterator<Item = (String, MachineChanges)>) -> Vec<UpgradeGroup> {
    let mut groups: BTreeMap<String, UpgradeGroup> = BTreeMap::new();
    for (name, changed) in changes {
        let MachineChanges { digest, fails, mut documents } = changed;
        let document_count = documents.len();
        let group = groups.entry(digest.clone()).or_insert_with(|| {
            documents.truncate(SHOWN_DOCUMENTS_MAX);
            UpgradeGroup { digest, fails, machines: Vec::new(), documents, document_count }
        });
        group.machines.push(name);
    }
    let mut groups: Vec<UpgradeGroup> = groups.into_values().collect();
    groups.sort_by_key(|group| (!group.fails, std::cmp::Reverse(group.machines.len())));
    groups
}

/// The words that only one machine has: a change is the same for two machines if it differs in them alone.
struct OwnWords(Vec<String>);

impl OwnWords {
    fn of(machine: &Stored<Machine>) -> Self {
        let spec = &machine.spec;
        let macs = spec.macs.iter().map(ToString::to_string);
        let dashed = spec.macs.iter().map(|mac| mac.to_string().replace(':', "-"));
        let address = machine.status.address.map(|address| address.to_string());
        let uuid = spec.smbios_uuid.map(|uuid| uuid.to_string());
        let short = spec.name.split('.').next().map(str::to_owned);
        let words =
            [Some(machine.key.clone()), Some(spec.name.clone()), short, spec.serial.clone(), address, uuid];
        let words = words.into_iter().flatten().chain(macs).chain(dashed);
        OwnWords(words.filter(|word| !word.is_empty()).collect())
    }

    fn cover(&self, text: &str) -> String {
        self.0.iter().fold(text.to_owned(), |text, word| text.replace(word, "\u{1}"))
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use serde_json::json;

    use super::*;

    fn machine(name: &str) -> Stored<Machine> {
        let spec = serde_json::from_value(json!({"name": name})).unwrap();
        Stored::new(format!("id-of-{name}"), spec, Timestamp::UNIX_EPOCH)
    }

    fn documents(texts: &[(&str, Result<&str, &str>)]) -> MachineDocuments {
        let owned = |text: Result<&str, &str>| text.map(str::to_owned).map_err(str::to_owned);
        texts.iter().map(|(path, text)| ((*path).to_owned(), owned(*text))).collect()
    }

    #[test]
    fn machines_with_the_same_change_but_for_their_names_are_one_group_and_failures_come_first() {
        let changed = |name: &str, after: Result<&str, &str>| {
            let before = documents(&[("i/preseed.cfg", Ok(&format!("a\nhost {name}\nz\n")))]);
            let changed = changes(&machine(name), (&before, &documents(&[("i/preseed.cfg", after)])));
            changed.map(|changed| (name.to_owned(), changed))
        };
        let found = [
            changed("web1", Ok("a\nhostname web1\nz\n")),
            changed("web2", Ok("a\nhostname web2\nz\n")),
            changed("same", Ok("a\nhost same\nz\n")),
            changed("web3", Err("line 2: no param `disk`")),
        ];
        let groups = group(found.into_iter().flatten());
        let told: Vec<(bool, Vec<String>)> =
            groups.iter().map(|group| (group.fails, group.machines.clone())).collect();
        assert_eq!(
            told,
            [(true, vec!["web3".to_owned()]), (false, vec!["web1".to_owned(), "web2".to_owned()])]
        );
        assert_eq!(groups[0].documents[0].fault.as_deref(), Some("line 2: no param `disk`"));
        assert!(groups[1].documents[0].diff.contains("-host web1\n+hostname web1\n"), "{groups:?}");
    }

    #[test]
    fn a_fault_that_was_there_before_is_no_change() {
        let both = documents(&[("t/run", Err("the template fails"))]);
        assert!(changes(&machine("web1"), (&both, &both)).is_none());
    }

    #[test]
    fn a_document_that_comes_or_goes_is_a_change() {
        let (with, without) = (documents(&[("t/run", Ok("x\n"))]), documents(&[]));
        let comes = changes(&machine("web1"), (&without, &with)).unwrap();
        let goes = changes(&machine("web1"), (&with, &without)).unwrap();
        assert!(comes.documents[0].diff.contains("+x"), "{comes:?}");
        assert!(goes.documents[0].diff.contains("-x"), "{goes:?}");
        assert_ne!(comes.digest, goes.digest);
    }
}
