//! `metalwright restore`: a data directory from a backup. Everything is unpacked, checked and brought up to
//! date in a folder beside; the renames at the end are all that is seen of it. What was there before stays
//! beside.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use jiff::Timestamp;
use nix::unistd::{Gid, Uid};

use super::data::DataDir;
use super::offline::{OpenedData, WorkFolder, explain_open, new_folder};
use super::ownership::{self, FileOwner};
use crate::archive::{BackupFacts, file, read};
use crate::cli::data_verbs::RestoreArgs;
use crate::cli::output::note;
use crate::maintenance::ArtifactCheck;
use crate::model::event::ServerRestored;
use crate::model::{CheckedPart, DataCheckReport, LOCK_FILE};
use crate::store::SqliteStore;

/// Most findings that a refusal names.
const NAMED_MAX: usize = 5;

/// Makes a data directory from a backup.
///
/// # Errors
/// A server runs on it, it holds data, or the backup is not whole, of a later version, or does not open. Then
/// nothing was changed.
pub async fn restore(path: &Path, args: &RestoreArgs) -> Result<()> {
    let passphrase = args.secret.read()?;
    let target = RestoreTarget::at(path)?;
    let _lock = target.lock()?;
    if target.holds_data()? && !args.force {
        bail!(
            "{} is not empty: name another directory, or --force, which moves it to {} first",
            target.place.display(),
            target.before().display()
        );
    }
    let stage = new_folder(target.beside("restoring"))?;
    let from = file::open(&args.file, passphrase.as_ref())?;
    let facts = read::unpack(from, &stage.0, SqliteStore::newest_schema());
    let facts = facts.with_context(|| args.file.display().to_string())?;
    let found = try_out(&stage.0, &facts).await?;
    refuse_broken(&found, args)?;
    if let Some(owner) = target.owner {
        ownership::give(&stage.0, owner).context("giving the files to the owner of the directory")?;
    }
    let moved = target.put(stage)?;
    tell(&facts, &target, moved.as_deref());
    Ok(())
}

/// Opens what was unpacked, as a server would: its database is brought up to date, and looked at.
async fn try_out(folder: &Path, facts: &BackupFacts) -> Result<DataCheckReport> {
    let data = DataDir::open(folder)?;
    let opened = OpenedData::of(&data, folder).await?;
    let found = opened.check(ArtifactCheck::Skipped).await;
    let restored = ServerRestored { backup_at: facts.created_at, program: facts.program.clone() };
    let told = opened.tell(restored).await;
    let ended = opened.end_sessions().await;
    crate::store::Store::close(&*opened.store).await;
    told?;
    ended.context("the sessions of browsers")?;
    found
}

/// A backup that has lost its keys or its database is refused; what was broken in the server that it was made
/// of is said.
fn refuse_broken(found: &DataCheckReport, args: &RestoreArgs) -> Result<()> {
    let lost = |part: CheckedPart| matches!(part, CheckedPart::Database | CheckedPart::Keys);
    let (lost, other): (Vec<_>, Vec<_>) = found.findings.iter().partition(|finding| lost(finding.part));
    for finding in other.iter().take(NAMED_MAX) {
        note(&format!("{}: {}", finding.subject, finding.message));
    }
    let named: Vec<String> = lost
        .iter()
        .take(NAMED_MAX)
        .map(|finding| format!("{}: {}", finding.subject, finding.message))
        .collect();
    match (named.is_empty(), args.force) {
        (true, _) => Ok(()),
        (false, true) => {
            note(&named.join("\n"));
            Ok(())
        }
        (false, false) => {
            bail!(
                "the backup is broken, {} errors ({}); --force restores it all the same",
                lost.len(),
                named.join("; ")
            )
        }
    }
}

fn tell(facts: &BackupFacts, target: &RestoreTarget, moved: Option<&Path>) {
    if let Some(moved) = moved {
        note(&format!("what was there before is in {}", moved.display()));
    }
    for artifact in facts.artifacts.iter().filter(|artifact| !artifact.included) {
        note(&format!("artifact {}: its files are not in the backup ({})", artifact.name, artifact.origin));
    }
    note(&format!(
        "{} is as it was at {}. Before you start the server: docs/operating/backup.md, \"After a restore\"",
        target.place.display(),
        facts.created_at
    ));
}

/// Where a backup goes.
struct RestoreTarget {
    place: PathBuf,
    /// Whose the directory is, where it is there and somebody else's.
    owner: Option<FileOwner>,
    exists: bool,
}

impl RestoreTarget {
    fn at(path: &Path) -> Result<Self> {
        let place = std::path::absolute(path).with_context(|| path.display().to_string())?;
        match fs::symlink_metadata(&place) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                Ok(RestoreTarget { place, owner: None, exists: false })
            }
            Err(error) => Err(error).with_context(|| path.display().to_string()),
            Ok(about) if about.is_dir() => {
                let own = about.uid() == Uid::effective().as_raw();
                let owner = FileOwner { user: Uid::from_raw(about.uid()), group: Gid::from_raw(about.gid()) };
                Ok(RestoreTarget { place, owner: (!own).then_some(owner), exists: true })
            }
            Ok(_) => bail!("{} is not a directory: name the directory itself", place.display()),
        }
    }

    /// Keeps a server from starting on it meanwhile.
    fn lock(&self) -> Result<Option<File>> {
        match self.place.join(LOCK_FILE).exists() {
            true => Ok(Some(SqliteStore::lock(&self.place).map_err(explain_open)?)),
            false => Ok(None),
        }
    }

    fn holds_data(&self) -> Result<bool> {
        if !self.exists {
            return Ok(false);
        }
        let mut entries = fs::read_dir(&self.place).with_context(|| self.place.display().to_string())?;
        Ok(entries.next().is_some())
    }

    /// A name beside the directory, so that a rename is all it takes.
    fn beside(&self, what: &str) -> PathBuf {
        let mut name = self.place.as_os_str().to_owned();
        name.push(format!(".{what}"));
        PathBuf::from(name)
    }

    fn before(&self) -> PathBuf {
        self.beside(&format!("before-{}", Timestamp::now().strftime("%Y%m%d-%H%M%S")))
    }

    /// Puts what was unpacked in its place. Gives where what was there before is now.
    fn put(&self, stage: WorkFolder) -> Result<Option<PathBuf>> {
        let moved = match self.exists {
            false => None,
            true => {
                let before = self.before();
                fs::rename(&self.place, &before).with_context(|| {
                    format!(
                        "{} cannot be moved aside: where a file system is mounted at it, restore to a \
                         directory below",
                        self.place.display()
                    )
                })?;
                Some(before)
            }
        };
        if let Err(error) = fs::rename(&stage.0, &self.place) {
            if let Some(before) = &moved {
                fs::rename(before, &self.place).context("what was there before cannot be put back")?;
            }
            return Err(error).with_context(|| self.place.display().to_string());
        }
        if let Some(above) = self.place.parent() {
            File::open(above).and_then(|folder| folder.sync_all()).context("writing the directory")?;
        }
        // An empty directory is of no interest.
        Ok(moved.filter(|before| fs::remove_dir(before).is_err()))
    }
}
