//! `artifacts add`: tells the server where files are, and waits until it has read them.

use std::path::Path;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::cli::columns::bytes;
use crate::cli::command::{AddArgs, Output, WaitArgs};
use crate::cli::nouns::object_path;
use crate::cli::objects::Noun;
use crate::cli::output;
use crate::cli::sets::value_at;
use crate::cli::waiting;

/// Creates or changes the artifact, waits until it is ready, and says what is in it.
///
/// # Errors
/// What the server or the network says; files that cannot be read, with the reason.
pub async fn add(noun: &Noun, args: AddArgs) -> Result<()> {
    let (kind, path) = match (&args.dir, &args.file) {
        (Some(dir), _) => ("tree", absolute(dir)?),
        (None, Some(file)) => ("file", absolute(file)?),
        (None, None) => return Ok(()),
    };
    let object = object_path(noun.kind, &args.name)?;
    let body = json!({"name": args.name, "kind": kind, "path": path});
    match noun.client.find(&object).await? {
        Some(_) => noun.client.patch(&object, &json!({"kind": kind, "path": path}), None).await?,
        None => noun.client.create(noun.kind, &body).await?,
    };
    let goal = "status.state=ready".parse().map_err(output::Usage)?;
    let reference = args.name.clone();
    let wait = WaitArgs { reference, goal, timeout: args.timeout, output: Output { output: None } };
    let ready = waiting::until(noun, &object, &wait).await?;
    let count = |field: &str| value_at(&ready, field).and_then(Value::as_u64).unwrap_or_default();
    let (files, size) = (count("status.files"), bytes(count("status.size")));
    output::print(&format!("artifact {} is ready: {files} files, {size}\n", args.name))
}

/// The server reads the path itself, perhaps on another host: what is not there here may be there.
fn absolute(path: &Path) -> Result<String> {
    let path = std::path::absolute(path).with_context(|| path.display().to_string())?;
    let path = path.canonicalize().unwrap_or(path);
    path.into_os_string().into_string().map_err(|path| anyhow::anyhow!("{path:?} is not UTF-8 text"))
}
