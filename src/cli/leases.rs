//! The verbs of leases: end them, import another server's, show the history of an address.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use crate::cli::action_verbs::DeletionArgs;
use crate::cli::command::{ImportArgs, LeaseFormat, LeaseVerb};
use crate::cli::many;
use crate::cli::nouns::object_path;
use crate::cli::objects::NounClient;
use crate::cli::output::{self, OutputFormat};
use crate::client::{ApiClient, LeaseAction, ObjectPath};
use crate::model::{CellFormat, Column};
use crate::model::{Kind, Mac};

/// Most pages of one history.
const PAGES_MAX: usize = 1000;
const HISTORY: &[Column] = &[
    ("ADDRESS", "address", CellFormat::Text),
    ("MAC", "mac", CellFormat::Text),
    ("FROM", "from", CellFormat::Text),
    ("UNTIL", "until", CellFormat::Text),
    ("ENDED", "ended", CellFormat::Text),
    ("BY", "ended_by", CellFormat::Text),
    ("MACHINE", "machine", CellFormat::Text),
    ("HOSTNAME", "hostname", CellFormat::Text),
];
const REPORT: &[Column] = &[
    ("FILE", "file", CellFormat::Text),
    ("LINE", "line", CellFormat::Text),
    ("ADDRESS", "address", CellFormat::Text),
    ("OUTCOME", "outcome", CellFormat::Text),
    ("REASON", "reason", CellFormat::Text),
];

pub async fn run(noun: &NounClient, verb: LeaseVerb) -> Result<()> {
    match verb {
        LeaseVerb::Release(args) => end(noun, args, LeaseAction::Release).await,
        LeaseVerb::Expire(args) => end(noun, args, LeaseAction::Expire).await,
        LeaseVerb::History { of, output } => history(&noun.client, &of, output.output).await,
        LeaseVerb::Import(args) => import(&noun.client, args).await,
    }
}

async fn end(noun: &NounClient, args: DeletionArgs, action: LeaseAction) -> Result<()> {
    if let [reference] = args.references.as_slice()
        && !args.many.is_for(&args.references)
    {
        let lease = noun.client.end_lease(&object_path(noun.kind, reference)?, action, args.used()).await?;
        let state = lease.get("state").and_then(Value::as_str).unwrap_or_default();
        return output::print(&format!("lease {reference} {state}\n"));
    }
    many::run(noun, args.call(action.as_str())).await
}

async fn history(client: &ApiClient, of: &str, format: Option<OutputFormat>) -> Result<()> {
    let bare = of.strip_prefix("mac:").unwrap_or(of);
    let of = bare.parse::<Mac>().map_or_else(|_| of.to_owned(), |mac| format!("mac:{mac}"));
    let path = ObjectPath::new(Kind::Lease, &of)?;
    let (mut items, mut before) = (Vec::new(), None);
    for _ in 0..PAGES_MAX {
        let mut page = client.lease_history(&path, before).await?;
        if let Some(Value::Array(page)) = page.get_mut("items").map(Value::take) {
            items.extend(page);
        }
        before = page.get("next").and_then(Value::as_u64);
        if before.is_none() {
            break;
        }
    }
    output::print_all(&items, HISTORY, format)
}

async fn import(client: &ApiClient, args: ImportArgs) -> Result<()> {
    let paths = match args.format {
        LeaseFormat::Isc => vec![args.file.clone()],
        LeaseFormat::Kea => kea_files(&args.file),
    };
    let mut files = Vec::new();
    for path in &paths {
        let bytes = fs::read(path).with_context(|| path.display().to_string())?;
        // Client names may not be UTF-8; the fields that matter always are.
        files.push(json!({"name": path.display().to_string(), "text": String::from_utf8_lossy(&bytes)}));
    }
    let format = match args.format {
        LeaseFormat::Isc => "isc",
        LeaseFormat::Kea => "kea",
    };
    let report =
        client.import_leases(&json!({"format": format, "files": files, "dry_run": args.dry_run})).await?;
    if let Some(format @ (OutputFormat::Json | OutputFormat::Yaml)) = args.output.output {
        output::print_value(&report, format)?;
    } else {
        let lines = report.get("lines").and_then(Value::as_array).cloned().unwrap_or_default();
        let lines: Vec<Value> = lines
            .iter()
            .filter(|line: &&Value| args.all || line.get("outcome").is_none_or(|outcome| outcome != "taken"))
            .cloned()
            .collect();
        if !lines.is_empty() {
            output::print_all(&lines, REPORT, None)?;
        }
        let taken = if args.dry_run { "would be taken" } else { "taken" };
        let (present, skipped) = (report_count(&report, "present"), report_count(&report, "skipped"));
        output::print(&format!(
            "{} {taken}, {present} here already, {skipped} skipped\n",
            report_count(&report, "taken")
        ))?;
    }
    match report_count(&report, "unread") {
        0 => Ok(()),
        unread => bail!("what could not be read: {unread}; its lines are `unread`"),
    }
}

fn report_count(report: &Value, name: &str) -> u64 {
    report.get(name).and_then(Value::as_u64).unwrap_or_default()
}

/// Kea's file together with those of an unfinished clean-up, in the order in which Kea itself reads them.
fn kea_files(path: &Path) -> Vec<PathBuf> {
    // A completed clean-up contains everything that the files before it contain.
    let older = match file_beside(path, ".completed") {
        Some(completed) => vec![completed],
        None => [file_beside(path, ".2"), file_beside(path, ".1")].into_iter().flatten().collect(),
    };
    older.into_iter().chain([path.to_owned()]).collect()
}

fn file_beside(path: &Path, ending: &str) -> Option<PathBuf> {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    Some(PathBuf::from(name)).filter(|path| path.exists())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_kea_are_read_in_the_order_in_which_they_were_written() {
        let folder = tempfile::TempDir::new().unwrap();
        let path = folder.path().join("kea-leases4.csv");
        let names = || -> Vec<String> {
            let name = |path: &PathBuf| path.file_name().unwrap().to_string_lossy().into_owned();
            kea_files(&path).iter().map(name).collect()
        };
        let put = |ending: &str| fs::write(format!("{}{ending}", path.display()), "").unwrap();
        put("");
        assert_eq!(names(), ["kea-leases4.csv"]);
        put(".1");
        put(".2");
        assert_eq!(names(), ["kea-leases4.csv.2", "kea-leases4.csv.1", "kea-leases4.csv"]);
        put(".completed");
        assert_eq!(names(), ["kea-leases4.csv.completed", "kea-leases4.csv"]);
    }
}
