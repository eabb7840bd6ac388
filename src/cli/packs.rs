//! Packs: push, export, diff. `pack_diff` compares two of them.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};
use serde_json::Value;

use crate::cli::columns::text_at;
use crate::cli::connection::ConnectionArgs;
use crate::cli::nouns::object_path;
use crate::cli::objects::NounClient;
use crate::cli::output;
use crate::cli::pack_diff;
use crate::cli::pack_verbs::{ExportArgs, PackDiffArgs, PackFindingsArgs, PackVerb, PushArgs};
use crate::cli::upgrades;
use crate::model::Kind;
use crate::pack_files::{
    ARCHIVE_BYTES_MAX, FileFault, PackFile, file_list, manifest, problems, read_archive, read_folder,
    write_archive, write_folder,
};

/// Carries out a verb that asks a server.
///
/// # Errors
/// An error of the server, the network or the disk.
pub(super) async fn run(noun: &NounClient, verb: PackVerb) -> Result<()> {
    match verb {
        PackVerb::Push(args) => push(noun, &args).await,
        PackVerb::Export(args) => export(noun, args).await,
        PackVerb::Findings(args) => findings(noun, &args).await,
        PackVerb::Upgrade(args) => upgrades::run(noun, args).await,
        // These run before a server is chosen.
        PackVerb::Diff(_) | PackVerb::Test(_) | PackVerb::Lint(_) | PackVerb::Files(_) => Ok(()),
    }
}

/// Prints what a signature of the pack signs.
///
/// # Errors
/// The faults of the pack.
pub(super) fn files(source: &Path) -> Result<()> {
    output::print(&file_list(&read_pack_at(source)?))
}

async fn push(noun: &NounClient, args: &PushArgs) -> Result<()> {
    let archive = match args.source.is_dir() {
        true => {
            let files = read_pack_at(&args.source)?;
            manifest(&files).map_err(|faults| told(&args.source, faults))?;
            write_archive(&files)?
        }
        false => read_bounded(&args.source)?,
    };
    let view = noun.client.push_pack(archive).await?;
    match args.output.output {
        Some(format) => noun.print_one(&view, format),
        None => {
            let text = |field: &str| view.get(field).and_then(Value::as_str).unwrap_or_default();
            let (name, digest) = (text("name"), text("digest"));
            output::print(&output::plain(&format!("pack {name} is loaded, digest {digest}")))?;
            output::print("\n")
        }
    }
}

async fn export(noun: &NounClient, args: ExportArgs) -> Result<()> {
    let archive = noun.client.pack_archive(&object_path(Kind::Pack, &args.reference)?).await?;
    let named = || PathBuf::from(format!("{}.tar.zst", args.reference.replacen('@', "-", 1)));
    let target = args.target.unwrap_or_else(named);
    let is_file = target.to_string_lossy().ends_with(".tar.zst");
    if is_file && !target.is_dir() {
        let file =
            fs::File::create_new(&target).and_then(|mut file| std::io::Write::write_all(&mut file, &archive));
        file.with_context(|| target.display().to_string())?;
    } else {
        let files = read_archive(&archive).map_err(|faults| told(&target, faults))?;
        write_folder(&target, &files).with_context(|| target.display().to_string())?;
    }
    output::note(&format!("pack {}: {}", args.reference, target.display()));
    Ok(())
}

async fn findings(noun: &NounClient, args: &PackFindingsArgs) -> Result<()> {
    let found = noun.client.pack_findings(&object_path(Kind::Pack, &args.reference)?).await?;
    let rows = found.get("items").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    match args.output.output {
        Some(format) if !format.is_table() => output::print_value(&found, format)?,
        _ => {
            for row in rows {
                output::print(&format!("{}\n", output::plain(&finding_line(row))))?;
            }
        }
    }
    let errors = rows.iter().filter(|row| text_at(row, "severity") == "error").count();
    if errors > 0 {
        bail!("{errors} errors in pack {}", args.reference);
    }
    Ok(())
}

/// As `packs lint` prints it.
fn finding_line(row: &Value) -> String {
    let line = row.get("line").and_then(Value::as_u64).map(|line| format!(":{line}")).unwrap_or_default();
    let [path, severity, message] = ["path", "severity", "message"].map(|field| text_at(row, field));
    let [rule, remedy] = ["rule", "remedy"].map(|field| text_at(row, field));
    format!("{path}{line}: {severity}: {message} [{rule}]: {remedy}")
}

/// Shows what differs between two packs; a server is asked only for those that are not on this host.
///
/// # Errors
/// As [`run`].
pub(super) async fn diff(args: &PackDiffArgs, connection: &ConnectionArgs) -> Result<()> {
    let before = pack_of(&args.before, connection).await?;
    let after = pack_of(&args.after, connection).await?;
    pack_diff::print((&before, &after), args.output.output)
}

async fn pack_of(reference: &str, connection: &ConnectionArgs) -> Result<Vec<PackFile>> {
    let path = Path::new(reference);
    if path.exists() {
        return read_pack_at(path);
    }
    if !reference.contains('@') {
        bail!("`{reference}` is no folder or file of this host, and no pack of a server, like site@1.2.0");
    }
    let client = connection.client().await?;
    let fetched = client.pack_archive(&object_path(Kind::Pack, reference)?).await;
    let archive = fetched.map_err(|error| connection.advise(error.into()))?;
    read_archive(&archive).map_err(|faults| told(path, faults))
}

/// The files of a pack in a folder or archive of this host.
///
/// # Errors
/// All faults, one a line.
pub fn read_pack_at(path: &Path) -> Result<Vec<PackFile>> {
    let read = match path.is_dir() {
        true => read_folder(path),
        false => read_archive(&read_bounded(path)?),
    };
    read.map_err(|faults| told(path, faults))
}

fn read_bounded(path: &Path) -> Result<Vec<u8>> {
    let (mut bytes, most) = (Vec::new(), ARCHIVE_BYTES_MAX as u64);
    let file = fs::File::open(path).with_context(|| path.display().to_string())?;
    std::io::Read::read_to_end(&mut std::io::Read::take(file, most + 1), &mut bytes)?;
    if bytes.len() as u64 > most {
        bail!("{} is longer than {most} bytes", path.display());
    }
    Ok(bytes)
}

/// The faults of a pack of this host as an error, one a line.
pub fn told(path: &Path, faults: Vec<FileFault>) -> anyhow::Error {
    let lines: Vec<String> = problems(faults).iter().map(|problem| format!("\n  {problem}")).collect();
    anyhow!("{} is not a pack:{}", path.display(), lines.concat())
}
