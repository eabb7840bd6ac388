//! `apply -f DIR`: creates and updates objects from files, and reports what changed.
//!
//! Everything is read before anything is written. Objects that others refer to are written first.

use std::collections::BTreeSet;

use anyhow::{Result, anyhow};
use serde_json::Value;

use crate::cli::command::ApplyArgs;
use crate::cli::diff::{changes, show};
use crate::cli::documents::{ObjectDocument, read_all};
use crate::cli::nouns::{name_of, normalize, object_path, written_fields};
use crate::cli::objects::{FailureCount, note_problems, problems};
use crate::cli::output;
use crate::client::{ApiClient, ListRequest, ObjectPath};
use crate::model::{Kind, RefusalCode};

/// What to do with one document.
#[derive(Debug)]
enum ApplyPlan {
    Create,
    /// The differences, for people.
    Update(String),
    Nothing,
}

/// Creates and updates the objects in the files; with `--dry-run` only reports what it would do. What stands
/// against an object that was written is told at the end, when all that it names may be there.
///
/// # Errors
/// Files that cannot be read (then nothing was written), some objects that the server refused, or objects
/// that name what does not exist.
pub async fn apply(client: &ApiClient, noun: Option<Kind>, args: &ApplyArgs) -> Result<()> {
    let mut documents = read_all(&args.file, noun)?;
    documents.sort_by_key(|document| document.kind.row().apply_order);
    let secrets = secret_params(client, &documents).await?;
    let mut failed = FailureCount::of(documents.len());
    for document in &documents {
        let what = what(document);
        let done = match args.dry_run {
            true => try_out(client, document, &secrets).await.map(|plan| (plan, " (dry run)")),
            false => write(client, document, &secrets).await.map(|plan| (plan, "")),
        };
        match done {
            Ok((ApplyPlan::Create, note)) => output::print(&format!("{what} created{note}\n"))?,
            Ok((ApplyPlan::Update(diff), note)) => output::print(&format!("{what} updated{note}\n{diff}"))?,
            Ok((ApplyPlan::Nothing, _)) => output::print(&format!("{what} unchanged\n"))?,
            Err(error) => failed.add(&format!("{}: {what}", document.origin), error)?,
        }
    }
    let unusable = if args.dry_run { Ok(0) } else { note_all_problems(client, &documents).await };
    failed.finish()?;
    match unusable? {
        0 => Ok(()),
        1 => Err(anyhow!("1 object was written and names what does not exist")),
        more => Err(anyhow!("{more} objects were written and name what does not exist")),
    }
}

/// `machine web1`.
fn what(document: &ObjectDocument) -> String {
    format!("{} {}", document.kind, name_of(document.kind, &document.body))
}

/// Tells the problems of the objects of all documents; returns how many objects name something that does not
/// exist.
async fn note_all_problems(client: &ApiClient, documents: &[ObjectDocument]) -> Result<usize> {
    let mut unusable = 0;
    for document in documents {
        let Some(path) = path_of(document)? else { continue };
        let Some(view) = client.find(&path).await? else { continue };
        note_problems(&what(document), &view);
        if problems(&view).iter().any(|problem| problem.code == RefusalCode::NotFound) {
            unusable += 1;
        }
    }
    Ok(unusable)
}

/// What would be done, and the faults that can be found without the server.
async fn try_out(
    client: &ApiClient,
    document: &ObjectDocument,
    secrets: &BTreeSet<String>,
) -> Result<ApplyPlan> {
    normalize(document.kind, &document.body).map_err(|problems| {
        let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
        anyhow!("{}", lines.join("\n  "))
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

/// The object of a document, by its name; none without a name.
fn path_of(document: &ObjectDocument) -> Result<Option<ObjectPath>> {
    let (kind, body) = (document.kind, &document.body);
    let Some(key) = body.get(kind.row().name_field).and_then(Value::as_str) else { return Ok(None) };
    let path = match kind {
        Kind::Machine => object_path(kind, &format!("name:{key}"))?,
        _ => object_path(kind, key)?,
    };
    Ok(Some(path))
}

type PresentObject = (ObjectPath, Option<u64>);

async fn plan(
    client: &ApiClient,
    document: &ObjectDocument,
    secrets: &BTreeSet<String>,
) -> Result<(ApplyPlan, Option<PresentObject>)> {
    let (kind, body) = (document.kind, &document.body);
    // Without its key it cannot exist; the server reports what is missing.
    let Some(path) = path_of(document)? else { return Ok((ApplyPlan::Create, None)) };
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
