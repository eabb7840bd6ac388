//! `metalwright tokens recover`: creates a new administrator's token for the owner of the data directory. The
//! server must be stopped meanwhile, because only one process may write to the database.

use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use anyhow::{Context, bail};
use nix::unistd::{Gid, Uid, setgid, setgroups, setuid};

use super::data::DataDir;
use crate::access::tokens;
use crate::store::{OpenError, SqliteStore, Store};

/// Creates a token that may do everything, writes it to `admin.token`, and prints it once.
///
/// # Errors
/// The server is running, there is no database, or it cannot be written.
pub async fn recover(path: &Path) -> anyhow::Result<()> {
    let place = path.display();
    if !path.join("metalwright.db").try_exists().with_context(|| place.to_string())? {
        bail!("there is no metalwright.db in {place}: name the data directory of the server with --data DIR");
    }
    become_owner(path)?;
    let data = DataDir::open(path)?;
    let store = match SqliteStore::open(data.path()).await {
        Err(OpenError::InUse { .. }) => bail!(
            "a server runs on {place}: stop it (systemctl stop metalwright), recover the token, and start it \
             again"
        ),
        opened => opened.context("the database does not open")?,
    };
    let token = tokens::recover_token(jiff::Timestamp::now())?;
    let committed = store.commit(token.changeset).await;
    store.close().await;
    committed.context("the token cannot be made")?;
    let file = data.write_admin_token(&token.secret)?;
    let name = &token.name;
    eprintln!(
        "token `{name}` may do everything; it is in {}. Delete those that are lost: \
         metalwright tokens delete NAME",
        file.display()
    );
    writeln!(std::io::stdout(), "{}", token.secret).context("standard output")
}

/// If this process is root, it becomes the owner of the directory, as the server does: the files then belong
/// to the server, and a link that the owner made leads to nothing that the owner could not write.
fn become_owner(path: &Path) -> anyhow::Result<()> {
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
