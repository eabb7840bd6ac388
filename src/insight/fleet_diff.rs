//! The differences of many machines between what they were served and what they would be served now, those
//! that are alike together. A request looks at some machines and says where the next one goes on.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::stream::{self, StreamExt};
use jiff::SignedDuration;
use schemars::JsonSchema;
use serde::Serialize;

use crate::insight::Insight;
use crate::insight::document_diff::{ComparedDocument, DocumentChange, MachineDiff};
use crate::kernel::{Caller, Error};
use crate::model::{Kind, Machine, Stored, sha256_hex};

/// Machines of one page: the default and the largest number.
pub const FLEET_LIMIT_DEFAULT: u32 = 25;
pub const FLEET_LIMIT_MAX: u32 = 100;
/// Machines that are looked at at once: as many as there are turns for previews.
const AT_ONCE_MAX: usize = 2;
/// A page ends early after this time.
const PAGE_TIME_MAX: SignedDuration = SignedDuration::from_secs(10);

/// Machines whose documents differ in the same way.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct DiffGroup {
    /// The same in every answer for the same difference: what distinguishes the machines themselves (name,
    /// id, MAC and IP addresses) does not count.
    pub key: String,
    /// Whether a document cannot be rendered any more.
    pub fails: bool,
    /// The machines, by name.
    pub machines: Vec<String>,
    /// The documents that differ, as they are for the first machine.
    pub documents: Vec<ComparedDocument>,
}

/// The differences of some machines.
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
pub struct FleetDiff {
    /// Those that fail first, then the largest.
    pub groups: Vec<DiffGroup>,
    /// Machines that were compared.
    pub compared: usize,
    /// Machines among them whose documents would be the same.
    pub same: usize,
    /// Machines that were served nothing that is kept.
    pub without_documents: usize,
    /// Where the next request goes on; none at the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// The machines of one request.
#[derive(Clone, Debug, Default)]
pub struct FleetPage {
    /// `next` of the answer before.
    pub after: String,
    pub limit: u32,
}

impl Insight {
    /// The differences of the machines that the caller may see, from a place in their order on.
    ///
    /// # Errors
    /// [`Error::Busy`], or the database failed.
    pub async fn fleet_diff(self: &Arc<Self>, caller: &Caller, page: FleetPage) -> Result<FleetDiff, Error> {
        let limit = page.limit.clamp(1, FLEET_LIMIT_MAX) as usize;
        let machines: Vec<Arc<Stored<Machine>>> = self.kernel.read(|world| {
            let rows = world.machines.after(&page.after);
            rows.filter(|row| caller.may_read(world, (Kind::Machine, &row.key)))
                .take(limit + 1)
                .cloned()
                .collect()
        });
        let has_more = machines.len() > limit;
        let ends = caller.now.checked_add(PAGE_TIME_MAX).unwrap_or(caller.now);
        let mut diffs = stream::iter(machines.into_iter().take(limit))
            .map(|machine| {
                let insight = Arc::clone(self);
                async move {
                    let diff = insight.diff_of(caller, &machine).await;
                    (machine, diff)
                }
            })
            .buffered(AT_ONCE_MAX);
        let (mut fleet, mut groups) = (FleetDiff::default(), BTreeMap::new());
        let mut looked_at = 0;
        while let Some((machine, diff)) = diffs.next().await {
            add(&mut fleet, &mut groups, (&machine, diff?));
            looked_at += 1;
            let is_late = self.kernel.now() > ends;
            if (looked_at == limit && has_more) || is_late {
                fleet.next = Some(machine.key.clone());
            }
            if is_late {
                break;
            }
        }
        fleet.groups = groups.into_values().collect();
        fleet.groups.sort_by_key(|group: &DiffGroup| (!group.fails, usize::MAX - group.machines.len()));
        Ok(fleet)
    }
}

fn add(
    fleet: &mut FleetDiff,
    groups: &mut BTreeMap<String, DiffGroup>,
    (machine, diff): (&Stored<Machine>, MachineDiff),
) {
    if diff.documents.iter().all(|document| document.change == DocumentChange::NotKept) {
        fleet.without_documents += 1;
        return;
    }
    fleet.compared += 1;
    if !diff.differs {
        fleet.same += 1;
        return;
    }
    let documents: Vec<ComparedDocument> =
        diff.documents.into_iter().filter(ComparedDocument::is_change).collect();
    let key = key_of(machine, &documents);
    let fails = documents.iter().any(|document| document.change == DocumentChange::Fails);
    let group = groups.entry(key.clone()).or_insert_with(|| DiffGroup {
        key,
        fails,
        machines: Vec::new(),
        documents,
    });
    group.machines.push(diff.machine);
}

/// What is the same for all machines with the same difference: the changed lines, without what the machine is
/// called.
fn key_of(machine: &Stored<Machine>, documents: &[ComparedDocument]) -> String {
    let mut words = vec![(machine.key.clone(), "<id>"), (machine.spec.name.clone(), "<name>")];
    words.extend(machine.spec.macs.iter().map(|mac| (mac.to_string(), "<mac>")));
    words.extend(machine.status.address.map(|address| (address.to_string(), "<address>")));
    words.extend(machine.spec.name.split_once('.').map(|(short, _)| (short.to_owned(), "<name>")));
    let mut all = String::new();
    for document in documents {
        all.push_str(&format!("{} {:?} {}\n", document.path, document.change, document.note));
        let changed = document.diff.lines().skip(2).filter(|line| line.starts_with(['+', '-']));
        changed.for_each(|line| all.extend([line, "\n"]));
    }
    for (word, what) in words.iter().filter(|(word, _)| word.len() > 1) {
        all = all.replace(word.as_str(), what);
    }
    sha256_hex(all)
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use serde_json::json;

    use super::*;

    fn machine(name: &str) -> Stored<Machine> {
        let spec = serde_json::from_value(json!({"name": name, "macs": ["52:54:00:aa:00:01"]})).unwrap();
        Stored::new(format!("id-of-{name}"), spec, Timestamp::UNIX_EPOCH)
    }

    fn differs(diff: &str) -> ComparedDocument {
        ComparedDocument {
            path: "preseed.cfg".to_owned(),
            change: DocumentChange::Differs,
            served: None,
            now: None,
            diff: format!("--- a\n+++ b\n@@ -1 +1 @@\n{diff}"),
            note: String::new(),
        }
    }

    #[test]
    fn machines_are_together_whose_differences_are_the_same_but_for_their_names() {
        let web = key_of(&machine("web1"), &[differs(" host web1\n-ntp a web1\n+ntp b web1\n")]);
        let db = key_of(&machine("db7"), &[differs(" host db7\n-ntp a db7\n+ntp b db7\n")]);
        assert_eq!(web, db);
        let other = key_of(&machine("db7"), &[differs(" host db7\n-ntp a db7\n+ntp c db7\n")]);
        assert_ne!(web, other);
    }

    #[test]
    fn groups_hold_the_machines_and_those_that_are_the_same_are_counted() {
        let (mut fleet, mut groups) = (FleetDiff::default(), BTreeMap::new());
        for name in ["web1", "db7"] {
            let documents = vec![differs(&format!("-a {name}\n+b {name}\n"))];
            let diff = MachineDiff { machine: name.to_owned(), run: None, differs: true, documents };
            add(&mut fleet, &mut groups, (&machine(name), diff));
        }
        let same = ComparedDocument { change: DocumentChange::Same, ..differs("") };
        let diff = MachineDiff { machine: "x".into(), run: None, differs: false, documents: vec![same] };
        add(&mut fleet, &mut groups, (&machine("x"), diff));
        assert_eq!((fleet.compared, fleet.same, groups.len()), (3, 1, 1));
        assert_eq!(groups.into_values().next().unwrap().machines, ["web1", "db7"]);
    }
}
