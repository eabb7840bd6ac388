//! `backup` and `check` of a server that runs, over its API.

use std::io::Write;

use anyhow::{Context, Result, bail};

use crate::archive::file::BackupFile;
use crate::cli::columns::bytes;
use crate::cli::data_verbs::{BackupArgs, CheckArgs};
use crate::cli::output::{self, OutputFormat};
use crate::client::ApiClient;
use crate::model::{CellFormat, Column, DataCheckReport};

const FINDINGS: &[Column] = &[
    ("SEVERITY", "severity", CellFormat::Text),
    ("PART", "part", CellFormat::Text),
    ("SUBJECT", "subject", CellFormat::Text),
    ("MESSAGE", "message", CellFormat::Text),
];

/// Has the server make a backup and writes it to its file.
///
/// # Errors
/// What the server, the network or the disk says; nothing is left of a file that is not whole.
pub async fn backup(client: &ApiClient, args: &BackupArgs) -> Result<()> {
    let passphrase = args.secret.read()?;
    let mut file = BackupFile::create(&args.output, args.existing(), passphrase.as_ref())?;
    let mut download = client.backup(args.contents()).await?;
    let mut length = 0;
    while let Some(piece) = download.next().await.context("the backup is not whole, and is not kept")? {
        length += piece.len() as u64;
        file.write_all(&piece)?;
    }
    file.finish()?;
    output::note(&format!("{}: {}, made by the running server", args.output.display(), bytes(length)));
    Ok(())
}

/// Has the server check what is stored.
///
/// # Errors
/// As [`report`]; rows are moved out of the database of a server that is stopped only.
pub async fn check(client: &ApiClient, args: &CheckArgs) -> Result<()> {
    let found = client.check().await?;
    report(&serde_json::from_value(found)?, args)?;
    if args.repair {
        bail!("a server runs: stop it, so that rows can be moved out of its database");
    }
    Ok(())
}

/// Prints what a check found.
///
/// # Errors
/// There are errors among it: exit code 1.
pub fn report(found: &DataCheckReport, args: &CheckArgs) -> Result<()> {
    match args.output.output {
        Some(format @ (OutputFormat::Json | OutputFormat::Yaml)) => {
            output::print_value(&serde_json::to_value(found)?, format)?;
        }
        format => {
            let findings: Vec<_> =
                found.findings.iter().map(serde_json::to_value).collect::<Result<_, _>>()?;
            if !findings.is_empty() {
                output::print_all(&findings, FINDINGS, format)?;
            }
            let DataCheckReport { objects, secrets, artifacts, .. } = found;
            output::note(&format!(
                "{objects} objects, {secrets} secret values, {artifacts} artifacts checked"
            ));
        }
    }
    match found.errors() {
        0 => Ok(()),
        errors => bail!("{errors} errors were found"),
    }
}
