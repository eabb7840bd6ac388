//! What can be typed of the server's data as a whole: `backup`, `restore`, `check`. They are carried out by
//! `backups`, or on a data directory that nobody serves by the server's own code.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::Args;

use crate::archive::ArtifactContents;
use crate::archive::cipher::{PASSPHRASE_BYTES_MAX, Passphrase};
use crate::archive::file::ExistingFile;
use crate::cli::command::OutputArgs;
use crate::cli::output::UsageError;
use crate::model::LOCK_FILE;

#[derive(Args, Clone, Debug)]
pub struct BackupArgs {
    /// The file to write, readable for you only; - is standard output.
    #[arg(short, long, value_name = "FILE")]
    pub output: PathBuf,
    /// Put the files of artifacts into it that are in the data directory.
    #[arg(long)]
    pub artifacts: bool,
    #[command(flatten)]
    pub secret: PassphraseArgs,
    /// Replace the file where it is there already.
    #[arg(long)]
    pub force: bool,
}

#[derive(Args, Clone, Debug)]
pub struct RestoreArgs {
    /// The backup; - is standard input. The directory is named by --data.
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    #[command(flatten)]
    pub secret: PassphraseArgs,
    /// Restore although the directory holds data, which is moved beside it, or the check finds errors.
    #[arg(long)]
    pub force: bool,
}

#[derive(Args, Clone, Debug)]
pub struct CheckArgs {
    /// Say which rows that cannot be read would be moved out of the database of a server that is stopped.
    #[arg(long)]
    pub repair: bool,
    /// With --repair, move them to a file in the data directory.
    #[arg(long, requires = "repair")]
    pub yes: bool,
    #[command(flatten)]
    pub(super) output: OutputArgs,
}

#[derive(Args, Clone, Debug)]
pub struct RotateKeyArgs {
    /// Do it; without it only report what would be done.
    #[arg(long)]
    pub yes: bool,
}

/// A passphrase never stands on a command line, where every user of the host reads it.
#[derive(Args, Clone, Debug)]
pub struct PassphraseArgs {
    /// A file with the passphrase that the backup is encrypted with.
    #[arg(long, value_name = "FILE")]
    pub passphrase_file: Option<PathBuf>,
}

impl PassphraseArgs {
    /// The passphrase, where one is named.
    ///
    /// # Errors
    /// The file cannot be read, is empty or too long.
    pub fn read(&self) -> Result<Option<Passphrase>> {
        let Some(path) = &self.passphrase_file else { return Ok(None) };
        let place = || path.display().to_string();
        let mut text = zeroize::Zeroizing::new(Vec::new());
        let file = File::open(path).with_context(place)?;
        let longest = PASSPHRASE_BYTES_MAX as u64 + 2;
        io::Read::read_to_end(&mut io::Read::take(file, longest), &mut text).with_context(place)?;
        let passphrase = Passphrase::of_text(&text).map_err(UsageError).with_context(place)?;
        Ok(Some(passphrase))
    }
}

impl BackupArgs {
    pub fn contents(&self) -> ArtifactContents {
        if self.artifacts { ArtifactContents::Included } else { ArtifactContents::Listed }
    }

    pub fn existing(&self) -> ExistingFile {
        if self.force { ExistingFile::Replaced } else { ExistingFile::Kept }
    }
}

/// What is done on a data directory that nobody serves, without a server.
#[derive(Clone, Debug)]
pub enum OfflineTask {
    /// `tokens recover`.
    RecoverToken,
    Backup(BackupArgs),
    Restore(RestoreArgs),
    Check(CheckArgs),
    /// `server rotate-key`.
    RotateKey(RotateKeyArgs),
}

/// Whether a server runs on a data directory of this host.
///
/// # Errors
/// That cannot be seen.
pub fn is_served(data: &Path) -> Result<bool> {
    let path = data.join(LOCK_FILE);
    let lock = match fs::File::open(&path) {
        Ok(lock) => lock,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error).with_context(|| path.display().to_string()),
    };
    match lock.try_lock_shared() {
        Ok(()) => Ok(false),
        Err(TryLockError::WouldBlock) => Ok(true),
        Err(TryLockError::Error(error)) => Err(error).with_context(|| path.display().to_string()),
    }
}
