//! `artifacts add`, `fetch`, `verify`, `prune`: tells the server where files are, or what to do with them,
//! and waits until that is done, showing the progress.

use std::io::IsTerminal;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use crate::cli::artifact_verbs::{AddArgs, ArtifactVerb, PruneArgs, WorkArgs};
use crate::cli::columns::{bytes, text};
use crate::cli::command::{OutputArgs, WaitArgs};
use crate::cli::nouns::object_path;
use crate::cli::objects::NounClient;
use crate::cli::output::{self, OutputFormat};
use crate::cli::sets::value_at;
use crate::cli::waiting;
use crate::client::{EventFilter, ObjectPath};
use crate::model::MIRROR_BYTES_DEFAULT;

/// Carries out a verb.
///
/// # Errors
/// An error of the server or the network; files that cannot be had, with the reason.
pub async fn run(noun: &NounClient, verb: ArtifactVerb) -> Result<()> {
    match verb {
        ArtifactVerb::Add(args) => add(noun, *args).await,
        ArtifactVerb::Fetch(args) => work(noun, &args, "fetch").await,
        ArtifactVerb::Verify(args) => work(noun, &args, "verify").await,
        ArtifactVerb::Prune(args) => prune(noun, &args).await,
    }
}

/// Creates or changes the artifact, waits until it is ready, and prints its content.
async fn add(noun: &NounClient, args: AddArgs) -> Result<()> {
    let object = object_path(noun.kind, &args.name)?;
    let mut fields = fields(&args)?;
    if !args.mount.is_empty() {
        fields["mounts"] = json!(args.mount);
    }
    match noun.client.find(&object).await? {
        Some(_) => noun.client.patch(&object, &fields, None).await?,
        None => {
            let mut body = fields;
            body["name"] = args.name.clone().into();
            // Fields that a patch would remove are absent in a new object.
            strip_nulls(&mut body);
            noun.client.create(noun.kind, &body).await?
        }
    };
    finished(noun, (&object, &args.name), args.timeout).await
}

fn strip_nulls(body: &mut Value) {
    if let Some(fields) = body.as_object_mut() {
        fields.retain(|_, value| !value.is_null());
        fields.values_mut().for_each(strip_nulls);
    }
}

/// The fields that say where the files are; null for the others.
fn fields(args: &AddArgs) -> Result<Value> {
    let from = &args.from;
    if let Some(dir) = &from.dir {
        return local_source("tree", dir);
    }
    if let Some(file) = &from.file {
        return local_source("file", file);
    }
    if let Some(url) = &from.mirror {
        return Ok(json!({"kind": "tree", "path": null, "fetch": mirror(url, args)}));
    }
    let (url, path) = match (from.iso.as_ref().or(from.tar.as_ref()), &from.url) {
        (Some(path), _) => (Value::Null, absolute(path)?.into()),
        (None, Some(url)) => (url.clone().into(), Value::Null),
        (None, None) => bail!("say where the files are: --dir, --file, --iso, --tar, --url or --mirror"),
    };
    let source = json!({
        "url": url, "path": path, "checksum": args.checksum, "unverified": args.unverified,
        "proxy": args.proxy,
        "files": args.get, "mirror": null,
    });
    let kind = if args.single { "file" } else { "tree" };
    Ok(json!({"kind": kind, "path": null, "fetch": source}))
}

fn local_source(kind: &str, path: &Path) -> anyhow::Result<Value> {
    anyhow::Ok(json!({"kind": kind, "path": absolute(path)?, "fetch": null}))
}

/// The source of a mirror; the fields of other sources are removed.
fn mirror(url: &str, args: &AddArgs) -> Value {
    let suites = args.suite.iter().map(|suite| json!({"distribution": suite}));
    let repositories = suites.chain(args.repository.iter().map(|path| json!({"path": path})));
    json!({
        "url": url, "path": null, "checksum": null, "unverified": false, "proxy": args.proxy, "files": [],
        "mirror": {
            "bytes_max": args.keep.unwrap_or(MIRROR_BYTES_DEFAULT),
            "repositories": repositories.collect::<Vec<Value>>(),
        },
    })
}

/// Asks the server for the work, waits, and prints the result.
async fn work(noun: &NounClient, args: &WorkArgs, verb: &str) -> Result<()> {
    let object = object_path(noun.kind, &args.reference)?;
    noun.client.artifact_action(&object, verb).await?;
    finished(noun, (&object, &args.reference), args.timeout).await
}

async fn finished(noun: &NounClient, (object, name): (&ObjectPath, &str), timeout: Duration) -> Result<()> {
    let goal = "status.state=ready".parse().map_err(output::UsageError)?;
    let wait = WaitArgs { reference: name.to_owned(), goal, timeout, output: OutputArgs { output: None } };
    let waiting = waiting::until(noun, object, &wait);
    tokio::pin!(waiting);
    let ready = tokio::select! {
        ready = &mut waiting => ready?,
        // It ends only when the server is gone, and then the waiting ends too.
        _ = tell(noun, (object, name)) => waiting.await?,
    };
    if let Some(reason) = value_at(&ready, "status.reason").map(text).filter(|reason| !reason.is_empty()) {
        bail!("artifact {name}: {reason}");
    }
    let (files, size) = (status_count(&ready, "status.files"), bytes(status_count(&ready, "status.size")));
    output::print(&format!("artifact {name} is ready: {files} files, {size}\n"))
}

fn status_count(ready: &Value, field: &str) -> u64 {
    value_at(ready, field).and_then(Value::as_u64).unwrap_or_default()
}

/// Prints the progress on stderr whenever it changes; on a terminal in one line.
async fn tell(noun: &NounClient, (object, name): (&ObjectPath, &str)) -> Result<()> {
    let terminal = std::io::stderr().is_terminal();
    let subject = EventFilter::subject(format!("{}:{name}", noun.kind));
    let mut stream = noun.client.follow(subject, None).await?;
    loop {
        stream.next().await?;
        let artifact = noun.client.get(object).await?;
        let Some(percent) = value_at(&artifact, "status.percent").and_then(Value::as_u64) else { continue };
        let reason = value_at(&artifact, "status.reason").map(text).unwrap_or_default();
        if terminal {
            eprint!("\r\x1b[K{name}: {reason}, {percent} %\r");
        } else {
            eprintln!("{name}: {reason}, {percent} %");
        }
    }
}

async fn prune(noun: &NounClient, args: &PruneArgs) -> Result<()> {
    let report = noun.client.prune_artifacts(&json!({"dry_run": !args.yes})).await?;
    if let Some(format @ (OutputFormat::Json | OutputFormat::Yaml)) = args.output.output {
        return noun.print_one(&report, format);
    }
    let items = report.get("items").and_then(Value::as_array).cloned().unwrap_or_default();
    for item in &items {
        let line = format!(
            "{} {} {}\n",
            item_field(item, "kind"),
            item_field(item, "id"),
            size_text(item.get("bytes"))
        );
        output::print(&line)?;
    }
    let word = if args.yes { "went" } else { "would go" };
    output::print(&format!("{} {word}, {}\n", items.len(), size_text(report.get("bytes"))))?;
    if !args.yes && !items.is_empty() {
        output::note("nothing was deleted; --yes deletes it");
    }
    Ok(())
}

fn size_text(value: Option<&Value>) -> String {
    bytes(value.and_then(Value::as_u64).unwrap_or_default())
}

fn item_field(item: &Value, name: &str) -> String {
    item.get(name).map(text).unwrap_or_default()
}

/// The server reads the path itself, possibly on another host, so it need not exist here.
fn absolute(path: &Path) -> Result<String> {
    let path = std::path::absolute(path).with_context(|| path.display().to_string())?;
    let path = path.canonicalize().unwrap_or(path);
    path.into_os_string().into_string().map_err(|path| anyhow::anyhow!("{path:?} is not UTF-8 text"))
}
