//! `diff`: what machines were served, against what they would be served now.

use std::collections::BTreeMap;

use anyhow::Result;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::cli::nouns::object_path;
use crate::cli::output::{self, DifferenceFound, OutputFormat, plain};
use crate::cli::seeing::DiffArgs;
use crate::client::ApiClient;
use crate::model::Kind;

/// Most requests of one command: each looks at up to a hundred machines.
const PAGES_MAX: usize = 10_000;
/// Most machines of a group that are named.
const NAMED_MAX: usize = 10;

/// A document in a difference; further fields are passed on.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
struct DocumentLines {
    path: String,
    change: String,
    #[serde(default)]
    diff: String,
    #[serde(default)]
    note: String,
}

/// Machines with the same difference.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
struct MachineGroup {
    key: String,
    #[serde(default)]
    fails: bool,
    machines: Vec<String>,
    documents: Vec<DocumentLines>,
}

/// The differences of all machines.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
struct FleetAnswer {
    groups: Vec<MachineGroup>,
    compared: usize,
    same: usize,
    without_documents: usize,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// `diff REF`, `diff --fleet`.
///
/// # Errors
/// An error of the server or the network; [`DifferenceFound`] if something differs.
pub(super) async fn diff(client: &ApiClient, args: DiffArgs) -> Result<()> {
    match args.reference {
        Some(machine) => of_machine(client, &machine, args.output.output).await,
        None => of_fleet(client, args.output.output).await,
    }
}

async fn of_machine(client: &ApiClient, machine: &str, format: Option<OutputFormat>) -> Result<()> {
    let answer = client.document_diff(&object_path(Kind::Machine, machine)?).await?;
    let documents = answer.get("documents").and_then(Value::as_array).into_iter().flatten();
    let documents: Vec<DocumentLines> =
        documents.filter_map(|document| DocumentLines::deserialize(document).ok()).collect();
    match format {
        Some(format @ (OutputFormat::Json | OutputFormat::Yaml)) => output::print_value(&answer, format)?,
        _ => documents.iter().try_for_each(|document| output::print(&shown(document)))?,
    }
    if documents.is_empty() {
        output::note(&format!("{machine} was served nothing that is kept: there is nothing to compare"));
    }
    match answer.get("differs").and_then(Value::as_bool) {
        Some(true) => Err(DifferenceFound(format!("{machine} would be served something else now")).into()),
        _ => Ok(()),
    }
}

async fn of_fleet(client: &ApiClient, format: Option<OutputFormat>) -> Result<()> {
    let mut fleet = FleetAnswer::default();
    let mut groups: BTreeMap<String, MachineGroup> = BTreeMap::new();
    let mut cursor = String::new();
    for _ in 0..PAGES_MAX {
        let page: FleetAnswer = serde_json::from_value(client.fleet_diff(&cursor).await?)?;
        fleet.compared += page.compared;
        fleet.same += page.same;
        fleet.without_documents += page.without_documents;
        page.groups.into_iter().for_each(|group| add(&mut groups, group));
        match page.next {
            Some(next) => cursor = next,
            None => break,
        }
    }
    fleet.groups = groups.into_values().collect();
    fleet.groups.sort_by_key(|group| (!group.fails, usize::MAX - group.machines.len()));
    match format {
        Some(format @ (OutputFormat::Json | OutputFormat::Yaml)) => {
            output::print_value(&json!(fleet), format)?
        }
        _ => output::print(&shown_fleet(&fleet))?,
    }
    let differ = fleet.compared - fleet.same.min(fleet.compared);
    match differ {
        0 => Ok(()),
        differ => {
            Err(DifferenceFound(format!("{differ} machines would be served something else now")).into())
        }
    }
}

fn add(groups: &mut BTreeMap<String, MachineGroup>, group: MachineGroup) {
    match groups.get_mut(&group.key) {
        Some(known) => known.machines.extend(group.machines),
        None => drop(groups.insert(group.key.clone(), group)),
    }
}

/// A difference in the unified format; a document that is the same is nothing.
fn shown(document: &DocumentLines) -> String {
    let DocumentLines { path, change, diff, note } = document;
    let path = plain(path);
    match change.as_str() {
        "same" => String::new(),
        "differs" => diff.lines().map(|line| plain(line) + "\n").collect(),
        "gone" => format!("{path}: there is no such file any more\n"),
        "fails" => format!("{path}: cannot be rendered now: {}\n", plain(note)),
        _ => format!("{path}: cannot be compared: {}\n", plain(note)),
    }
}

fn shown_fleet(fleet: &FleetAnswer) -> String {
    let mut text = String::new();
    for group in &fleet.groups {
        let named = group.machines.iter().take(NAMED_MAX).map(|name| plain(name)).collect::<Vec<_>>();
        let more = group.machines.len().saturating_sub(NAMED_MAX);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let fails = if group.fails { ", a document FAILS" } else { "" };
        let count = group.machines.len();
        text.push_str(&format!("== {count} machines{fails}: {}{more}\n", named.join(", ")));
        group.documents.iter().for_each(|document| text.push_str(&shown(document)));
        text.push('\n');
    }
    let FleetAnswer { compared, same, without_documents, .. } = fleet;
    text + &format!(
        "{compared} machines compared, {same} the same, {without_documents} were served nothing yet\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_of_the_same_difference_are_joined_and_failures_come_first() {
        let group = |key: &str, machine: &str, change: &str| MachineGroup {
            key: key.to_owned(),
            fails: change == "fails",
            machines: vec![machine.to_owned()],
            documents: vec![DocumentLines {
                path: "ks.cfg".to_owned(),
                change: change.to_owned(),
                diff: "-a\n+b\n".to_owned(),
                note: "no such template".to_owned(),
            }],
        };
        let mut groups = BTreeMap::new();
        for one in [group("a", "web1", "differs"), group("a", "web2", "differs"), group("b", "db1", "fails")]
        {
            add(&mut groups, one);
        }
        assert_eq!(groups["a"].machines, ["web1", "web2"]);
        let fleet =
            FleetAnswer { groups: groups.into_values().rev().collect(), compared: 3, ..Default::default() };
        let said = shown_fleet(&fleet);
        assert!(
            said.starts_with("== 1 machines, a document FAILS: db1\nks.cfg: cannot be rendered now"),
            "{said}"
        );
        assert!(said.contains("== 2 machines: web1, web2\n-a\n+b\n"), "{said}");
    }
}
