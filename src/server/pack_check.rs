//! `packs test` and `packs lint`: a pack of this host is checked without a server.
//!
//! The test renders with the code that serves machines, on a store in a temporary folder. What is rendered
//! depends on the pack, on the packs below it and on its samples only: times, ids and addresses are fixed.

mod checkers;
mod golden;
mod rendered;
mod samples;

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, bail};
use jiff::Timestamp;

use crate::catalog::content::{ContentPack, core_files, read_checked_pack, read_pack};
use crate::cli::output;
use crate::cli::pack_verbs::{PackLintArgs, PackOnDisk, PackTask, PackTestArgs};
use crate::cli::packs::{read_pack_at, told};
use crate::insight::lints::documents::DocumentText;
use crate::insight::lints::packs::{LintFinding, LintSeverity, LintedPack, document_findings, findings};
use crate::model::{PackManifest, Problem};
use crate::pack_files::{FileFault, PackFile, read_tests};
use golden::GoldenMode;
use rendered::RenderedFile;

/// The time at which everything in a test happens.
const TEST_TIME: &str = "2026-01-01T00:00:00Z";

/// Carries out a task on a pack of this host.
///
/// # Errors
/// The pack is none, or the check found errors: exit code 1.
pub async fn check_pack(task: PackTask) -> Result<()> {
    match task {
        PackTask::Test(args) => test(&args).await,
        PackTask::Lint(args) => lint(&args),
    }
}

/// A pack of this host with those that it stands on, read.
struct ReadPack {
    files: Vec<PackFile>,
    base_files: Vec<PackFile>,
    manifest: PackManifest,
    /// The packs in the order in which they are installed: `core` first, the pack itself last.
    packs: Vec<ContentPack>,
}

fn read(of: &PackOnDisk, now: Timestamp) -> Result<ReadPack> {
    let files = read_pack_at(&of.folder)?;
    let (manifest, pack) = read_pack(&files, now).map_err(|faults| told(&of.folder, faults))?;
    let mut base_files = core_files(None);
    let core = read_checked_pack(&base_files, now).map_err(|faults| told(Path::new("core"), faults))?;
    let mut below = vec![core];
    for path in &of.with {
        let more = read_pack_at(path)?;
        below.push(read_pack(&more, now).map_err(|faults| told(path, faults))?);
        base_files.extend(more);
    }
    let versions: BTreeMap<String, String> =
        below.iter().map(|(base, _)| (base.name.clone(), base.version.clone())).collect();
    let unmet: Vec<FileFault> =
        manifest.unmet(&versions).into_iter().map(|problem| (String::new(), problem)).collect();
    if !unmet.is_empty() {
        return Err(told(&of.folder, unmet).context("name the packs that it requires with --with"));
    }
    // `core` is the first one.
    if let Some(others) = below.get_mut(1..) {
        others.sort_by(|(a, _), (b, _)| (a.priority, &a.name).cmp(&(b.priority, &b.name)));
    }
    let packs = below.into_iter().map(|(_, pack)| pack).chain([pack]).collect();
    Ok(ReadPack { files, base_files, manifest, packs })
}

fn now() -> Result<Timestamp> {
    TEST_TIME.parse().context("the time of tests")
}

fn lint(args: &PackLintArgs) -> Result<()> {
    let read = read(&args.pack, now()?)?;
    let found = lint_findings(&read);
    match args.format() {
        Some(format) if !format.is_table() => output::print_value(&serde_json::to_value(&found)?, format)?,
        _ => print_findings(&found)?,
    }
    end(&found, args.strict)
}

/// What the lints find, and the checkers of scripts that are no templates.
fn lint_findings(read: &ReadPack) -> Vec<LintFinding> {
    let mut found = findings(LintedPack { files: &read.files, base: &read.base_files });
    let scripts = read.files.iter().filter(|file| file.path.starts_with("verbatim/"));
    for file in scripts {
        let text = String::from_utf8_lossy(&file.body);
        found.extend(checkers::findings(&DocumentText { path: &file.path, text: &text }));
    }
    found
}

async fn test(args: &PackTestArgs) -> Result<()> {
    let read = read(&args.pack, now()?)?;
    let tests = read_tests(&args.pack.folder).map_err(|faults| told(&args.pack.folder, faults))?;
    let site = samples::TestSite::start(&read.packs, &tests).await?;
    let rendering = tokio::task::spawn_blocking(move || (rendered::render_all(&site), site));
    let (rendered, site) = rendering.await.context("the renders")?;
    site.stop().await;
    let (files, faults) = rendered?;
    let mut found = lint_findings(&read);
    found.extend(files.iter().flat_map(document_faults));
    print_findings(&found)?;
    for fault in &faults {
        output::print(&output::plain(&fault.to_string()))?;
        output::print("\n")?;
    }
    let mode = if args.bless { GoldenMode::Write } else { GoldenMode::Compare };
    let differing = golden::settle(&args.pack.folder, (&files, &tests), mode)?;
    let missing = checkers::missing();
    if !missing.is_empty() {
        output::note(&format!("not installed, so not run: {}", missing.join(", ")));
    }
    output::note(&format!(
        "pack {}: {} texts rendered, {differing} differ, {} failed",
        read.manifest.key(),
        files.len(),
        faults.len()
    ));
    if differing + faults.len() > 0 {
        bail!("the test of pack {} failed", read.manifest.key());
    }
    end(&found, args.strict)
}

/// What stops the installer or the shell in a rendered text, and what outside checkers say of it.
fn document_faults(file: &RenderedFile) -> Vec<LintFinding> {
    let of = DocumentText { path: &file.path, text: &file.text };
    let mut found = document_findings(&of);
    found.extend(checkers::findings(&of));
    found
}

fn print_findings(found: &[LintFinding]) -> Result<()> {
    for finding in found {
        output::print(&format!("{}\n", output::plain(&finding.to_string())))?;
    }
    Ok(())
}

/// Fails for errors, and if `strict` is set for warnings.
fn end(found: &[LintFinding], strict: bool) -> Result<()> {
    let of = |severity| found.iter().filter(|finding| finding.severity == severity).count();
    let (errors, warnings) = (of(LintSeverity::Error), of(LintSeverity::Warning));
    output::note(&format!("{errors} errors, {warnings} warnings, {} notes", of(LintSeverity::Note)));
    if errors > 0 || strict && warnings > 0 {
        bail!("the pack has {errors} errors and {warnings} warnings");
    }
    Ok(())
}

/// Faults of a sample, each with its file.
fn sample_faults(path: &str, faults: Vec<Problem>) -> anyhow::Error {
    let named = faults.into_iter().map(|problem| (format!("tests/{path}"), problem)).collect();
    told(Path::new("the samples"), named)
}
