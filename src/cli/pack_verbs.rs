//! The verbs of packs. `packs` carries out those that ask a server, the server's own code the others.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::cli::command::OutputArgs;
use crate::cli::output::OutputFormat;
use crate::cli::upgrades::UpgradeArgs;

#[derive(Subcommand, Clone, Debug)]
pub(super) enum PackVerb {
    /// Load a pack from its folder or archive, whole or not at all.
    Push(PushArgs),
    /// Fetch a pack: to a file NAME.tar.zst, or into a folder.
    Export(ExportArgs),
    /// Show what differs between two packs, object by object.
    Diff(PackDiffArgs),
    /// Give the machines of a channel another version of a pack; with --check, say what that would change.
    Upgrade(UpgradeArgs),
    /// Render a pack for its sample machines, compare the texts with those in tests/golden, lint it, and run
    /// the checkers that are installed. Needs no server.
    Test(PackTestArgs),
    /// Look for what is wrong or doubtful in a pack. Needs no server.
    Lint(PackLintArgs),
    /// Say what the lints find in a pack of the server.
    Findings(PackFindingsArgs),
    /// Print the list of files that a signature signs: metalwright packs files DIR > files, minisign -Sm
    /// files -x DIR/pack.minisig. Needs no server.
    Files(PackFilesArgs),
}

#[derive(Args, Clone, Debug)]
pub(super) struct PushArgs {
    /// The folder with pack.yaml, or an archive of it, .tar or .tar.zst.
    #[arg(value_name = "DIR|FILE")]
    pub source: PathBuf,
    #[command(flatten)]
    pub output: OutputArgs,
}

#[derive(Args, Clone, Debug)]
pub(super) struct ExportArgs {
    /// The pack: NAME@VERSION.
    #[arg(value_name = "REF")]
    pub reference: String,
    /// A file that ends in .tar.zst, or a folder that is empty or not there [default: NAME-VERSION.tar.zst].
    #[arg(value_name = "FILE|DIR")]
    pub target: Option<PathBuf>,
}

#[derive(Args, Clone, Debug)]
pub(super) struct PackFindingsArgs {
    /// The pack: NAME@VERSION.
    #[arg(value_name = "REF")]
    pub reference: String,
    #[command(flatten)]
    pub output: OutputArgs,
}

#[derive(Args, Clone, Debug)]
pub(super) struct PackDiffArgs {
    /// The pack before: NAME@VERSION, or a folder or archive of this host.
    #[arg(value_name = "A")]
    pub before: String,
    /// The pack after.
    #[arg(value_name = "B")]
    pub after: String,
    #[command(flatten)]
    pub output: OutputArgs,
}

/// A pack of this host, and those that it stands on.
#[derive(Args, Clone, Debug)]
pub struct PackOnDisk {
    /// The folder with pack.yaml.
    #[arg(value_name = "DIR")]
    pub folder: PathBuf,
    /// The folder or archive of a pack that it requires, besides core; repeat for more.
    #[arg(long, value_name = "DIR|FILE")]
    pub with: Vec<PathBuf>,
}

#[derive(Args, Clone, Debug)]
pub struct PackTestArgs {
    #[command(flatten)]
    pub pack: PackOnDisk,
    /// Write the rendered texts to tests/golden instead of comparing them.
    #[arg(long)]
    pub bless: bool,
    /// Fail for warnings too.
    #[arg(long)]
    pub strict: bool,
}

#[derive(Args, Clone, Debug)]
pub struct PackLintArgs {
    #[command(flatten)]
    pub pack: PackOnDisk,
    /// Fail for warnings too.
    #[arg(long)]
    pub strict: bool,
    #[command(flatten)]
    pub(super) output: OutputArgs,
}

impl PackLintArgs {
    /// The chosen format.
    pub fn format(&self) -> Option<OutputFormat> {
        self.output.output
    }
}

#[derive(Args, Clone, Debug)]
pub(super) struct PackFilesArgs {
    /// The folder with pack.yaml, or an archive of it.
    #[arg(value_name = "DIR|FILE")]
    pub source: PathBuf,
}

/// What is done with a pack of this host, without a server.
#[derive(Clone, Debug)]
pub enum PackTask {
    Test(PackTestArgs),
    Lint(PackLintArgs),
}
