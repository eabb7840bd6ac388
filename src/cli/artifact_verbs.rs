//! The verbs of artifacts; `artifacts` carries them out.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};

use crate::cli::command::{OutputArgs, parse_duration};
use crate::model::{ArtifactMount, Checksum, SourceFile};

/// Flags about files that are fetched as a whole.
const WHOLE: [&str; 4] = ["checksum", "unverified", "single", "get"];
/// Flags of files on the server's host, with which nothing is fetched.
const IN_PLACE: [&str; 4] = ["dir", "file", "iso", "tar"];

#[derive(Args, Clone, Debug)]
pub(super) struct AddArgs {
    pub name: String,
    #[command(flatten)]
    pub from: AddFrom,
    /// The digest that the file at the URL, ISO image or tarball must have: sha256:HEX or sha512:HEX.
    #[arg(long, value_name = "SUM", conflicts_with_all = ["dir", "file", "get"])]
    pub checksum: Option<Checksum>,
    /// Accept files that come over the network without a checksum.
    #[arg(long, conflicts_with_all = IN_PLACE)]
    pub unverified: bool,
    /// Serve the file at the URL as a single file, whatever it is.
    #[arg(long, conflicts_with_all = IN_PLACE, conflicts_with = "get")]
    pub single: bool,
    /// A file below the URL, with its checksum: linux=sha256:HEX; repeat for more.
    #[arg(long, conflicts_with_all = IN_PLACE, value_name = "PATH=SUM", value_parser = parse_source_file)]
    pub get: Vec<SourceFile>,
    /// Most bytes of a mirror that are kept, such as 50GiB.
    #[arg(long, value_name = "SIZE", requires = "mirror", value_parser = parse_bytes)]
    pub keep: Option<u64>,
    /// An apt suite in the mirrored tree: bookworm; repeat for more.
    #[arg(long, value_name = "NAME", requires = "mirror")]
    pub suite: Vec<String>,
    /// A yum repository in the mirrored tree: BaseOS/x86_64/os; repeat for more.
    #[arg(long, value_name = "PATH", requires = "mirror")]
    pub repository: Vec<String>,
    /// A folder of the boot namespace where machines find the files too, / for its top: for firmware that
    /// chooses its names itself. Behind = the serial numbers or MAC addresses of the only machines that do;
    /// repeat for more.
    #[arg(long, value_name = "PATH[=MACHINE,...]", value_parser = parse_mount)]
    pub mount: Vec<ArtifactMount>,
    /// The HTTP proxy to fetch through.
    #[arg(long, conflicts_with_all = IN_PLACE, value_name = "URL")]
    pub proxy: Option<String>,
    /// How long the server may take.
    #[arg(long, value_name = "TIME", default_value = "2h", value_parser = parse_duration)]
    pub timeout: Duration,
}

/// The place of the files.
#[derive(Args, Clone, Debug)]
#[group(required = true, multiple = false)]
pub(super) struct AddFrom {
    /// A folder of boot files, or an install tree, that is served as it is.
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
    /// A single file that is served as it is.
    #[arg(long, value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// An ISO image on the server that is unpacked.
    #[arg(long, value_name = "FILE")]
    pub iso: Option<PathBuf>,
    /// A tarball on the server (plain, gzip, xz, zstd) that is unpacked.
    #[arg(long, value_name = "FILE")]
    pub tar: Option<PathBuf>,
    /// An ISO image or tarball to fetch and unpack; with --single a file, with --get the folder of files.
    #[arg(long)]
    pub url: Option<String>,
    /// A remote tree to mirror: its files are fetched one by one as machines ask for them.
    #[arg(long, value_name = "URL", conflicts_with_all = WHOLE)]
    pub mirror: Option<String>,
}

/// An artifact, and how long its work may take.
#[derive(Args, Clone, Debug)]
pub(super) struct WorkArgs {
    #[arg(value_name = "REF")]
    pub reference: String,
    /// How long the server may take.
    #[arg(long, value_name = "TIME", default_value = "2h", value_parser = parse_duration)]
    pub timeout: Duration,
}

#[derive(Args, Clone, Debug)]
pub(super) struct PruneArgs {
    /// Delete it; without this, say what would go.
    #[arg(long)]
    pub yes: bool,
    /// Say what would go, as is done without --yes.
    #[arg(long, conflicts_with = "yes")]
    pub dry_run: bool,
    #[command(flatten)]
    pub output: OutputArgs,
}

#[derive(Subcommand, Clone, Debug)]
pub(super) enum ArtifactVerb {
    /// Register files of the server's host, or have files fetched and unpacked, and wait until they are
    /// ready.
    Add(Box<AddArgs>),
    /// Fetch the source again, or read the files again, and wait until that is done.
    Fetch(WorkArgs),
    /// Hash the files again, and report whether they have changed.
    Verify(WorkArgs),
    /// Say which trees and downloads no artifact refers to; with --yes, delete them.
    Prune(PruneArgs),
}

/// Parses a size with or without a unit: 1500000, 512MiB, 50G.
fn parse_bytes(text: &str) -> Result<u64, String> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at_checked(digits).ok_or_else(|| size_error(text))?;
    let shift = match unit.trim_end_matches('B').trim_end_matches('i') {
        "" => 0,
        "K" => 10,
        "M" => 20,
        "G" => 30,
        "T" => 40,
        _ => return Err(size_error(text)),
    };
    let number: u64 = number.parse().map_err(|_| size_error(text))?;
    number.checked_mul(1 << shift).ok_or_else(|| size_error(text))
}

fn size_error(text: &str) -> String {
    format!("`{text}` is not a size: write it like 512MiB, 50GiB or 2TiB")
}

fn parse_mount(text: &str) -> Result<ArtifactMount, String> {
    let (path, machines) = text.split_once('=').unwrap_or((text, ""));
    let machines = machines.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect();
    Ok(ArtifactMount { path: path.trim_matches('/').to_owned(), machines })
}

fn parse_source_file(text: &str) -> Result<SourceFile, String> {
    let (path, checksum) = match text.split_once('=') {
        Some((path, checksum)) => (path, Some(checksum.parse()?)),
        None => (text, None),
    };
    Ok(SourceFile { path: path.to_owned(), checksum })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mount_is_a_folder_and_perhaps_the_machines_it_is_for() {
        let mount = |text: &str| {
            let ArtifactMount { path, machines } = parse_mount(text).unwrap();
            (path, machines.join(" "))
        };
        let cases = [
            ("/", ("", "")),
            ("etc", ("etc", "")),
            ("/grub/fonts/", ("grub/fonts", "")),
            ("/=34695052,dc:a6:32:00:00:01", ("", "34695052 dc:a6:32:00:00:01")),
        ];
        for (text, (path, machines)) in cases {
            assert_eq!(mount(text), (path.to_owned(), machines.to_owned()), "{text}");
        }
    }
}
