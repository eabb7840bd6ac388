//! `doctor catalog`: what objects of the site hide, which overrides change nothing, and which packs of the
//! channel `prod` have a newer version.

use anyhow::Result;
use semver::Version;
use serde_json::Value;

use super::findings::{Finding, Level, line};
use super::report;
use crate::cli::connection::ConnectionArgs;
use crate::cli::output::OutputFormat;
use crate::client::ListRequest;
use crate::model::{Kind, PROD_CHANNEL};

/// Prints what the catalog has to tell.
///
/// # Errors
/// The server cannot be asked.
pub async fn catalog(format: Option<OutputFormat>, connection: &ConnectionArgs) -> Result<()> {
    let client = connection.client().await?;
    let hidden = client.hidden_objects().await.map_err(|error| connection.advise(error.into()))?;
    let overrides = client.list(Kind::Override, &ListRequest::default()).await;
    let overrides = overrides.map_err(|error| connection.advise(error.into()))?.items;
    let mut found: Vec<Finding> =
        hidden.get("items").and_then(Value::as_array).into_iter().flatten().map(hides).collect();
    found.extend(overrides.iter().flat_map(unused_parts));
    let prod = client.list(Kind::Channel, &named(PROD_CHANNEL)).await;
    let prod = prod.map_err(|error| connection.advise(error.into()))?.items;
    let packs = client.list(Kind::Pack, &ListRequest::default()).await;
    let packs = packs.map_err(|error| connection.advise(error.into()))?.items;
    found.extend(prod.iter().flat_map(|channel| not_promoted(channel, &packs)));
    if found.is_empty() {
        let what = format!("nothing is hidden, and {} overrides are in force", overrides.len());
        found.push(line(Level::Ok, "catalog", what));
    }
    report(&found, format)
}

fn named(name: &str) -> ListRequest {
    ListRequest { terms: vec![("name".to_owned(), name.to_owned())], ..ListRequest::default() }
}

/// The packs of a channel of which a newer version is loaded. Pure.
fn not_promoted(channel: &Value, loaded: &[Value]) -> Vec<Finding> {
    let name = channel.get("name").and_then(Value::as_str).unwrap_or_default();
    let mut found = Vec::new();
    for (pack, present) in channel.get("packs").and_then(Value::as_object).into_iter().flatten() {
        let present = present.as_str().unwrap_or_default();
        let versions = loaded.iter().filter(|row| row.get("pack").and_then(Value::as_str) == Some(pack));
        let versions = versions.filter_map(|row| Version::parse(row.get("version")?.as_str()?).ok());
        let newest = versions.max().filter(|newest| Version::parse(present).is_ok_and(|old| old < *newest));
        found.extend(newest.map(|newest| {
            let what = format!(
                "{newest} is loaded and not promoted: metalwright packs upgrade {pack} --check --channel \
                 {name}"
            );
            line(Level::Warn, format!("channel {name} ({pack}@{present})"), what)
        }));
    }
    found
}

/// `hides core NAME`. Pure.
fn hides(item: &Value) -> Finding {
    let text = |field: &str| item.get(field).and_then(Value::as_str).unwrap_or_default();
    let (kind, name, source) = (text("kind"), text("name"), text("source"));
    let pack = source.strip_prefix("pack ").and_then(|release| release.split('@').next()).unwrap_or(source);
    let what = format!("hides {pack} {name}: what later versions of {source} change does not arrive");
    line(Level::Warn, format!("{kind} {name} ({})", text("hidden_by")), what)
}

/// The parts of an override that are not in force. Pure.
fn unused_parts(row: &Value) -> Vec<Finding> {
    let name = row.get("name").and_then(Value::as_str).unwrap_or_default();
    let problems = row.get("problems").and_then(Value::as_array).into_iter().flatten();
    let told = problems.map(|problem| {
        let text = |field: &str| problem.get(field).and_then(Value::as_str).unwrap_or_default();
        format!("{}: {}", text("pointer"), text("message"))
    });
    told.map(|what| line(Level::Warn, format!("override {name}"), what)).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_pack_of_which_a_newer_version_is_loaded_is_told_with_the_check() {
        let pack = |pack: &str, version: &str| json!({"pack": pack, "version": version});
        let loaded =
            [pack("core", "0.1.0"), pack("core", "0.10.0"), pack("core", "0.9.0"), pack("site", "1.0.0")];
        let channel = json!({"name": "prod", "packs": {"core": "0.9.0", "site": "1.0.0"}});
        let told = not_promoted(&channel, &loaded);
        assert_eq!(told.len(), 1, "{told:?}");
        assert_eq!(told[0].what, "channel prod (core@0.9.0)");
        assert!(told[0].found.starts_with("0.10.0 is loaded and not promoted: "), "{told:?}");
    }

    #[test]
    fn what_is_hidden_and_what_is_not_in_force_are_warnings_with_the_names() {
        let item = json!({"kind": "stage", "name": "sledgehammer", "source": "pack core@0.2.0",
            "hidden_by": "site"});
        let found = hides(&item);
        assert_eq!((found.level, found.what.as_str()), (Level::Warn, "stage sledgehammer (site)"));
        assert!(found.found.starts_with("hides core sledgehammer: "), "{}", found.found);
        let row = json!({"name": "o", "problems": [{"pointer": "/blocks/x", "message": "no block"}]});
        assert_eq!(unused_parts(&row)[0].found, "/blocks/x: no block");
        assert_eq!(unused_parts(&json!({"name": "o", "problems": []})), []);
    }
}
