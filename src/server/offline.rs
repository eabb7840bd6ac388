//! What is done on a data directory that nobody serves: `tokens recover`, `backup`, `restore`, `check`,
//! `server rotate-key`. Only one process writes to a database, so a server that runs is asked over its API,
//! or stopped first.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use jiff::Timestamp;
use nix::unistd::{Gid, Uid, setgid, setgroups, setuid};

use super::data::DataDir;
use crate::access::sessions::end_of_all_sessions;
use crate::access::tokens;
use crate::archive::file::BackupFile;
use crate::artifacts::contained_path::NameCase;
use crate::artifacts::roots::ArtifactRoots;
use crate::artifacts::{Artifacts, MediaFolder};
use crate::cli::backups;
use crate::cli::data_verbs::{BackupArgs, CheckArgs, OfflineTask};
use crate::cli::output::note;
use crate::kernel::secrets::{SecretKey, rotation, sealed_values};
use crate::kernel::{Caller, Changeset, Kernel, ServerEndpoints};
use crate::maintenance::{ArtifactCheck, DataFacts, Maintenance, backup};
use crate::model::event::ServerRowsSetAside;
use crate::model::{CheckedPart, DataCheckReport};
use crate::store::{OpenError, SqliteStore, Store};

/// Carries out a task on a data directory.
///
/// # Errors
/// A server runs on it, it has no database, or the task could not be done.
pub async fn work_offline(path: &Path, task: OfflineTask) -> Result<()> {
    if let OfflineTask::Restore(args) = task {
        return super::restore::restore(path, &args).await;
    }
    let place = path.display();
    if !path.join("metalwright.db").try_exists().with_context(|| place.to_string())? {
        bail!("there is no metalwright.db in {place}: name the data directory of the server with --data DIR");
    }
    become_owner(path)?;
    let data = DataDir::open(path)?;
    match task {
        OfflineTask::RecoverToken => recover(&data).await,
        OfflineTask::Backup(args) => make_backup(&data, &args).await,
        OfflineTask::Check(args) => check(&data, &args).await,
        OfflineTask::RotateKey(args) => super::key_rotation::rotate(&data, &args).await,
        OfflineTask::Restore(_) => Ok(()),
    }
}

/// Makes a token that may do everything, writes it to `admin.token`, and prints it once.
async fn recover(data: &DataDir) -> Result<()> {
    let store = open(data).await?;
    let token = tokens::recover_token(Timestamp::now())?;
    let committed = store.commit(token.changeset).await;
    store.close().await;
    committed.context("the token cannot be made")?;
    let file = data.write_admin_token(&token.secret)?;
    let name = &token.name;
    note(&format!(
        "token `{name}` may do everything; it is in {}. Delete those that are lost: metalwright tokens \
         delete NAME",
        file.display()
    ));
    crate::cli::print(&format!("{}\n", token.secret))
}

/// Backs up a directory as it is: a database of an earlier version is not brought up to date.
async fn make_backup(data: &DataDir, args: &BackupArgs) -> Result<()> {
    let passphrase = args.secret.read()?;
    let _lock = SqliteStore::lock(data.path()).map_err(explain_open)?;
    let stage = tempfile_in(data.path())?;
    let snapshot = stage.0.join("metalwright.db");
    let schema = SqliteStore::snapshot_of(data.path(), snapshot.clone()).await.map_err(explain_open)?;
    // What is in it is read from a database of this version only: to open it is to bring it up to date.
    let mut facts = None;
    if schema == SqliteStore::newest_schema() {
        let maintenance = OpenedData::of(data, &stage.0).await?;
        facts = Some(maintenance.house.facts(Timestamp::now(), args.contents()));
        maintenance.store.close().await;
    }
    let facts = facts.unwrap_or_else(|| backup::facts_of_older(schema, Timestamp::now()));
    let mut file = BackupFile::create(&args.output, args.existing(), passphrase.as_ref())?;
    let (path, contents) = (data.path().to_owned(), args.contents());
    let members = backup::write(&mut file, (&path, &snapshot), (&facts, contents))?;
    file.finish()?;
    note(&format!("{}: {members} files of {}", args.output.display(), path.display()));
    Ok(())
}

async fn check(data: &DataDir, args: &CheckArgs) -> Result<()> {
    let schema = SqliteStore::schema_of(data.path()).map_err(explain_open)?;
    if schema < SqliteStore::newest_schema() {
        bail!(
            "the database is of an earlier version (its schema is {schema}, this one's {}): start the server \
             once, which brings it up to date, or check it with that version",
            SqliteStore::newest_schema()
        );
    }
    let mut opened = OpenedData::of(data, data.path()).await?;
    let moved = if args.repair { opened.repair(data, args).await } else { Ok(false) };
    if !matches!(moved, Ok(false)) {
        opened.store.close().await;
        moved?;
        // Its lock goes with it; without the rows that were moved it is another world.
        drop(opened);
        opened = OpenedData::of(data, data.path()).await?;
    }
    let found = opened.check(ArtifactCheck::Hashed).await;
    opened.store.close().await;
    backups::report(&found?, args)
}

/// A data directory that is open, without a server on it.
pub(super) struct OpenedData {
    pub(super) store: Arc<SqliteStore>,
    pub(super) kernel: Arc<Kernel>,
    pub(super) house: Arc<Maintenance>,
    /// Why the key could not be read.
    pub(super) key_fault: Option<String>,
}

impl OpenedData {
    /// Opens the database in `folder`, which is that of the data directory or a snapshot of it.
    pub(super) async fn of(data: &DataDir, folder: &Path) -> Result<Self> {
        let store = SqliteStore::open(folder).await.map_err(explain_open)?;
        rotation::settle(data.path(), &store.world())?;
        let sealed = sealed_values(&store.world()).count();
        let key = SecretKey::read(data.path(), sealed);
        // Where nothing is sealed the next start makes one.
        let is_needed = sealed > 0 || data.path().join("secret.key").exists();
        let key_fault = key.as_ref().err().filter(|_| is_needed).map(ToString::to_string);
        // With another key nothing opens, which is what is to be told.
        let key = key.unwrap_or_else(|_| SecretKey::from_key([0; 32]));
        let (kernel, _) = Kernel::new(Arc::clone(&store) as Arc<dyn Store>, key, ServerEndpoints::default());
        let media = MediaFolder::at(data.path().join("media"));
        // Which roots the server has is in its configuration. Here files are hashed and served to nobody.
        let roots = ArtifactRoots::new(Some(vec!["/".into()]), data.path());
        let artifacts = Artifacts::new(Arc::clone(&kernel), (media, roots), NameCase::Exact);
        let facts = DataFacts {
            path: data.path().to_owned(),
            schema: SqliteStore::newest_schema(),
            ..DataFacts::default()
        };
        let house = Maintenance::new(Arc::clone(&kernel), artifacts, facts);
        Ok(OpenedData { store, kernel, house, key_fault })
    }

    pub(super) async fn check(&self, artifacts: ArtifactCheck) -> Result<DataCheckReport> {
        let mut found = self.house.check(&Caller::server(self.kernel.now()), artifacts).await?;
        if let Some(fault) = &self.key_fault {
            found.error(CheckedPart::Keys, ("secret.key", fault.clone()));
        }
        Ok(found)
    }

    /// Notes in the events what was done.
    pub(super) async fn tell(&self, body: impl Into<crate::model::EventBody>) -> Result<()> {
        let event = Caller::server(self.kernel.now()).event(body);
        self.kernel.commit(Changeset::default().event(event)).await?;
        Ok(())
    }

    /// Ends the sessions of browsers: one that was ended since the backup is not to come back.
    pub(super) async fn end_sessions(&self) -> Result<()> {
        let now = self.kernel.now();
        let changeset = self.kernel.read(|world| end_of_all_sessions(world, now));
        if !changeset.writes.is_empty() {
            self.kernel.commit(changeset).await?;
        }
        Ok(())
    }

    /// Moves rows that cannot be read to a file; only says so without `--yes`. Gives whether any were.
    async fn repair(&self, data: &DataDir, args: &CheckArgs) -> Result<bool> {
        let rows = self.store.damaged().len();
        if rows == 0 || !args.yes {
            note(&format!(
                "{rows} rows would be moved out of the database; nothing was changed without --yes"
            ));
            return Ok(false);
        }
        let name = format!("damaged-{}.jsonl", Timestamp::now().strftime("%Y%m%d-%H%M%S"));
        let file = data.path().join(&name);
        let rows = self.store.set_aside(file.clone()).await?;
        self.tell(ServerRowsSetAside { rows: rows as u64, file: name }).await?;
        note(&format!("{rows} rows were moved to {}; their names are free", file.display()));
        Ok(true)
    }
}

async fn open(data: &DataDir) -> Result<Arc<SqliteStore>> {
    SqliteStore::open(data.path()).await.map_err(explain_open)
}

pub(super) fn explain_open(error: OpenError) -> anyhow::Error {
    match error {
        OpenError::InUse { path } => anyhow::anyhow!(
            "a server runs on {}: stop it (systemctl stop metalwright), do this again, and start it",
            path.display()
        ),
        other => anyhow::Error::new(other).context("the database does not open"),
    }
}

/// A folder that goes with what is in it.
pub(super) struct WorkFolder(pub(super) std::path::PathBuf);

impl Drop for WorkFolder {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}

/// An empty folder in another one, for the owner only.
fn tempfile_in(folder: &Path) -> Result<WorkFolder> {
    new_folder(folder.join(format!("backup-{}", std::process::id())))
}

/// An empty folder, for the owner only; one that an earlier process of the same number left behind goes.
pub(super) fn new_folder(path: std::path::PathBuf) -> Result<WorkFolder> {
    use std::os::unix::fs::DirBuilderExt;
    match std::fs::remove_dir_all(&path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(error).with_context(|| path.display().to_string());
        }
        _ => {}
    }
    let made = std::fs::DirBuilder::new().mode(0o700).create(&path);
    made.with_context(|| path.display().to_string())?;
    Ok(WorkFolder(path))
}

/// Root becomes the owner of the directory, as the server does: what is written is the server's, and a link
/// that its user made leads to nothing that its user could not write.
fn become_owner(path: &Path) -> Result<()> {
    let owner = std::fs::metadata(path).with_context(|| path.display().to_string())?;
    if !Uid::effective().is_root() || owner.uid() == 0 {
        return Ok(());
    }
    let (user, group) = (Uid::from_raw(owner.uid()), Gid::from_raw(owner.gid()));
    setgroups(&[group])
        .and_then(|()| setgid(group))
        .and_then(|()| setuid(user))
        .with_context(|| format!("becoming the user {user}, who owns {}", path.display()))
}
