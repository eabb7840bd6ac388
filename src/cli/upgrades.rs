//! `packs upgrade NAME`: the check of an upgrade, page by page, and the promotion.

use std::collections::BTreeMap;

use anyhow::{Result, bail};
use clap::Args;
use serde_json::{Value, json};

use crate::cli::columns::{number_at, text_at};
use crate::cli::command::OutputArgs;
use crate::cli::nouns::object_path;
use crate::cli::objects::NounClient;
use crate::cli::output::{self, OutputFormat, UsageError, plain};
use crate::client::{ApiClient, ChannelVerbCall};
use crate::model::{Kind, PROD_CHANNEL};

/// Most pages of one check.
const PAGES_MAX: usize = 10_000;
/// Most names of a group's machines that are printed.
const NAMES_MAX: usize = 10;

#[derive(Args, Clone, Debug)]
pub(super) struct UpgradeArgs {
    /// The name of the pack: core.
    #[arg(value_name = "NAME")]
    pub pack: String,
    /// Change nothing: render what the machines of the channel get with both versions, and report what
    /// differs, failures first. Exits with 1 if anything fails.
    #[arg(long)]
    pub check: bool,
    /// The version [default: the newest that is loaded].
    #[arg(long, value_name = "VERSION", required_unless_present = "check")]
    pub to: Option<String>,
    /// The channel.
    #[arg(long, value_name = "CHANNEL", default_value = PROD_CHANNEL)]
    pub channel: String,
    /// Check so many machines, evenly taken from all.
    #[arg(long, value_name = "N", requires = "check", value_parser = clap::value_parser!(u32).range(1..))]
    pub sample: Option<u32>,
    #[command(flatten)]
    pub output: OutputArgs,
}

/// Checks an upgrade, or promotes the version.
///
/// # Errors
/// An error of the server or the network; documents that cannot be made after the upgrade.
pub(super) async fn run(noun: &NounClient, args: UpgradeArgs) -> Result<()> {
    if !args.check {
        return promote(noun, args).await;
    }
    let report = whole_report(&noun.client, &args).await?;
    match args.output.output {
        Some(format @ (OutputFormat::Json | OutputFormat::Yaml)) => {
            output::print_value(&report.as_json(), format)?;
        }
        _ => output::print_foreign(report.told().as_bytes())?,
    }
    match report.failing() {
        0 => Ok(()),
        failing => bail!("{failing} machines would not get a document that they get now"),
    }
}

async fn promote(noun: &NounClient, args: UpgradeArgs) -> Result<()> {
    let Some(version) = args.to else {
        return Err(UsageError("name the version with --to, or check first with --check".to_owned()).into());
    };
    let channel = object_path(Kind::Channel, &args.channel)?;
    let details = json!({"pack": args.pack, "version": version});
    noun.client.move_channel(&channel, ChannelVerbCall::Promote, &details).await?;
    output::note(&format!("{} gets {}@{version} from now on", plain(&args.channel), plain(&args.pack)));
    Ok(())
}

async fn whole_report(client: &ApiClient, args: &UpgradeArgs) -> Result<MergedReport> {
    let mut merged = MergedReport::default();
    let mut after = Value::Null;
    for _ in 0..PAGES_MAX {
        let mut question = json!({"channel": args.channel});
        let given = [("to", args.to.clone().map(Value::from)), ("sample", args.sample.map(Value::from))];
        let given = given.into_iter().chain([("after", Some(after).filter(|after| !after.is_null()))]);
        if let Some(fields) = question.as_object_mut() {
            fields.extend(given.filter_map(|(name, value)| Some((name.to_owned(), value?))));
        }
        let page = client.check_upgrade(&args.pack, &question).await?;
        merged.add(&page);
        after = page.get("next").cloned().unwrap_or_default();
        if after.is_null() {
            return Ok(merged);
        }
    }
    bail!("the server has no end of machines")
}

/// The pages of a check together.
#[derive(Debug, Default)]
struct MergedReport {
    /// The first page, for what is the same on all.
    first: Value,
    checked: u64,
    unchanged: u64,
    without_workflow: u64,
    /// The groups by their digest.
    groups: BTreeMap<String, Value>,
}

impl MergedReport {
    fn add(&mut self, page: &Value) {
        if self.first.is_null() {
            self.first = page.clone();
        }
        self.checked += number_at(page, "checked");
        self.unchanged += number_at(page, "unchanged");
        self.without_workflow += number_at(page, "without_workflow");
        for group in page.get("groups").and_then(Value::as_array).into_iter().flatten() {
            let more = machines_of(group).to_vec();
            match self.groups.get_mut(&text_at(group, "digest")) {
                None => drop(self.groups.insert(text_at(group, "digest"), group.clone())),
                Some(known) => {
                    let known = known.get_mut("machines").and_then(Value::as_array_mut);
                    known.into_iter().for_each(|names| names.extend(more.clone()));
                }
            }
        }
    }

    /// The groups, those that fail first, then the largest ones.
    fn sorted(&self) -> Vec<&Value> {
        let mut groups: Vec<&Value> = self.groups.values().collect();
        groups.sort_by_key(|group| (!fails(group), std::cmp::Reverse(machines_of(group).len())));
        groups
    }

    fn failing(&self) -> usize {
        self.groups.values().filter(|group| fails(group)).map(|group| machines_of(group).len()).sum()
    }

    fn as_json(&self) -> Value {
        let of = |field: &str| self.first.get(field).cloned().unwrap_or_default();
        json!({
            "pack": of("pack"), "channel": of("channel"), "from": of("from"), "to": of("to"),
            "total": of("total"), "checked": self.checked, "unchanged": self.unchanged,
            "without_workflow": self.without_workflow, "groups": self.sorted(),
        })
    }

    fn told(&self) -> String {
        let first = &self.first;
        let from = Some(text_at(first, "from")).filter(|from| !from.is_empty());
        let mut told = format!(
            "{} {} -> {} for the {} machines of {}: {} checked, {} unchanged, {} without a workflow, \
             {} fail\n",
            text_at(first, "pack"),
            from.unwrap_or_else(|| "(none)".to_owned()),
            text_at(first, "to"),
            number_at(first, "total"),
            text_at(first, "channel"),
            self.checked,
            self.unchanged,
            self.without_workflow,
            self.failing()
        );
        self.sorted().into_iter().for_each(|group| told.push_str(&told_group(group)));
        told
    }
}

fn told_group(group: &Value) -> String {
    let machines = machines_of(group);
    let names: Vec<&str> = machines.iter().filter_map(Value::as_str).take(NAMES_MAX).collect();
    let more = machines.len().saturating_sub(NAMES_MAX);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    let what = if fails(group) { "FAILS" } else { "changes" };
    let mut told = format!("\n{what} on {} machines: {}{more}\n", machines.len(), names.join(", "));
    let documents = group.get("documents").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    for document in documents {
        told.push_str(&format!("--- {}\n", text_at(document, "path")));
        match document.get("fault").and_then(Value::as_str) {
            Some(fault) => told.push_str(&format!("{fault}\n")),
            None => told.push_str(&text_at(document, "diff")),
        }
    }
    let unseen = number_at(group, "document_count").saturating_sub(documents.len() as u64);
    if unseen > 0 {
        told.push_str(&format!("and {unseen} more documents\n"));
    }
    told
}

fn machines_of(group: &Value) -> &[Value] {
    group.get("machines").and_then(Value::as_array).map_or(&[][..], Vec::as_slice)
}

fn fails(group: &Value) -> bool {
    group.get("fails").and_then(Value::as_bool) == Some(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(digest: &str, fails: bool, machines: &[&str]) -> Value {
        let document = match fails {
            true => json!({"path": "i/preseed.cfg", "fault": "line 2: no param `disk`"}),
            false => json!({"path": "i/preseed.cfg", "diff": "@@ -1 +1 @@\n-a\n+b\n"}),
        };
        json!({
            "pack": "core", "channel": "prod", "from": "0.1.0", "to": "0.2.0", "total": 4,
            "checked": machines.len(), "unchanged": 0, "without_workflow": 0,
            "groups": [{
                "digest": digest, "fails": fails, "machines": machines, "documents": [document],
                "document_count": 1,
            }],
        })
    }

    #[test]
    fn groups_of_several_pages_are_one_and_failures_come_first() {
        let mut merged = MergedReport::default();
        merged.add(&page("x", false, &["web1", "web2"]));
        merged.add(&page("y", true, &["web3"]));
        merged.add(&page("x", false, &["web4"]));
        assert_eq!((merged.checked, merged.failing()), (4, 1));
        let told = merged.told();
        let places: Vec<Option<usize>> =
            ["FAILS on 1 machines: web3\n", "changes on 3 machines: web1, web2, web4\n", "-a\n+b\n"]
                .map(|words| told.find(words))
                .to_vec();
        assert!(places.iter().all(Option::is_some) && places.is_sorted(), "{told}");
    }
}
