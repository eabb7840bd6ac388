//! `apply -f DIR`: creates and updates objects from files, and reports what changed.
//!
//! Everything is read before anything is written. Objects that others refer to are written first.

use std::collections::BTreeSet;

use anyhow::Result;
use serde_json::Value;

use crate::cli::command::ApplyArgs;
use crate::cli::diff::{changes, show};
use crate::cli::documents::{ObjectDocument, read_all};
use crate::cli::nouns::{name_of, normalize, object_path, written_fields};
use crate::cli::objects::FailureCount;
use crate::cli::output;
use crate::client::{ApiClient, ListRequest, ObjectPath};
use crate::model::Kind;

/// What to do with one document.
#[derive(Debug)]
enum ApplyPlan {
    Create,
    /// The differences, for people.
    Update(String),
    Nothing,
}

/// Creates and updates the objects in the files; with `--dry-run` only reports what it would do.
///
/// # Errors
/// Files that cannot be read (then nothing was written), or some objects that the server refused.
pub async fn apply(client: &ApiClient, noun: Option<Kind>, args: &ApplyArgs) -> Result<()> {
    let mut documents = read_all(&args.file, noun)?;
    documents.sort_by_key(|document| document.kind.row().apply_order);
    let secrets = secret_params(client, &documents).await?;
    let mut failed = FailureCount::of(documents.len());
    for document in &documents {
        let name = name_of(document.kind, &document.body);
        let what = format!("{} {name}", document.kind);
        let done = match args.dry_run {
            true => try_out(client, document, &secrets).await.map(|plan| (plan, " (dry run)")),
            false => write(client, document, &secrets).await.map(|plan| (plan, "")),
        };
        match done {
            Ok((ApplyPlan::Create, note)) => output::print(&format!("{what} created{note}\n"))?,
            Ok((ApplyPlan::Update(diff), note)) => output::print(&format!("{what} updated{note}\n{diff}"))?,
            Ok((ApplyPlan::Nothing, _)) => output::print(&format!("{what} unchanged\n"))?,
            Err(error) => failed.add(&document.origin, error.context(what))?,
        }
    }
    failed.finish()
}

/// What would be done, and the faults that can be found without the server.
async fn try_out(
    client: &ApiClient,
    document: &ObjectDocument,
    secrets: &BTreeSet<String>,
) -> Result<ApplyPlan> {
    normalize(document.kind, &document.body).map_err(|problems| {
        let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
        anyhow::anyhow!("{}", lines.join("\n  "))
    })?;
    Ok(plan(client, document, secrets).await?.0)
}

async fn write(
    client: &ApiClient,
    document: &ObjectDocument,
    secrets: &BTreeSet<String>,
) -> Result<ApplyPlan> {
    let (plan, present) = plan(client, document, secrets).await?;
    match (&plan, present) {
        (ApplyPlan::Update(_), Some((path, revision))) => {
            client.replace(&path, &document.body, revision).await?;
        }
        (ApplyPlan::Create, _) => drop(client.create(document.kind, &document.body).await?),
        _ => {}
    }
    Ok(plan)
}

type PresentObject = (ObjectPath, Option<u64>);

async fn plan(
    client: &ApiClient,
    document: &ObjectDocument,
    secrets: &BTreeSet<String>,
) -> Result<(ApplyPlan, Option<PresentObject>)> {
    let (kind, body) = (document.kind, &document.body);
    // Without its key it cannot exist; the server reports what is missing.
    let Some(key) = body.get(kind.row().name_field).and_then(Value::as_str) else {
        return Ok((ApplyPlan::Create, None));
    };
    let path = match kind {
        Kind::Machine => object_path(kind, &format!("name:{key}"))?,
        _ => object_path(kind, key)?,
    };
    let Some(view) = client.find(&path).await? else { return Ok((ApplyPlan::Create, None)) };
    // The server decides on a document that this version cannot read.
    let wanted = normalize(kind, body).unwrap_or_else(|_| body.clone());
    let found = changes((&written_fields(&view), &wanted));
    let diff: String = found.iter().map(|change| show(kind, change, secrets)).collect();
    let revision = view.get("revision").and_then(Value::as_u64);
    let plan = if found.is_empty() { ApplyPlan::Nothing } else { ApplyPlan::Update(diff) };
    Ok((plan, Some((path, revision))))
}

/// The names of params whose values must not be shown: those on the server, and those that will be written.
async fn secret_params(client: &ApiClient, documents: &[ObjectDocument]) -> Result<BTreeSet<String>> {
    let terms = vec![("secret".to_owned(), "true".to_owned()), ("fields".to_owned(), "name".to_owned())];
    let stored = client.list(Kind::Param, &ListRequest { terms, limit: None }).await?.items;
    let own = documents.iter().filter(|document| document.kind == Kind::Param).map(|document| &document.body);
    let names =
        stored.iter().chain(own.filter(|param: &&Value| param.get("secret") == Some(&Value::Bool(true))));
    Ok(names.map(|param| name_of(Kind::Param, param).to_owned()).collect())
}
