//! The user's configuration of the command line: named servers, and trusted certificates.
//!
//! `config.toml` holds the contexts, `known_servers` a line for each thing that is trusted of a server: `URL
//! sha256:…`, its certificate or the key of its authority. Both are in `$XDG_CONFIG_HOME/metalwright` or
//! `~/.config/metalwright`, for their owner's eyes only.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, anyhow};
use serde::{Deserialize, Serialize};

use crate::cli::command::ContextVerb;
use crate::cli::connection::ConnectionArgs;
use crate::cli::output::{self, UsageError};
use crate::client::Fingerprint;
use crate::model::nearest;

/// Most lines of `known_servers`; beyond that the oldest is dropped.
const KNOWN_SERVERS_MAX: usize = 1000;
/// Most lines of one server that are read.
const PINS_MAX: usize = 8;

/// A named server: a URL with a token, or the data directory of a server on this host.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServerContext {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<PathBuf>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ContextFile {
    /// The context in use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    current: Option<String>,
    #[serde(default)]
    contexts: BTreeMap<String, ServerContext>,
}

/// The folder of both files.
#[derive(Clone, Debug)]
pub struct ConfigFolder(PathBuf);

impl ConfigFolder {
    /// The folder of the user.
    ///
    /// # Errors
    /// The user has no home directory.
    pub fn of_user() -> Result<Self> {
        let base = path_variable("XDG_CONFIG_HOME")
            .or_else(|| path_variable("HOME").map(|home| home.join(".config")));
        let base = base.ok_or_else(|| {
            anyhow!("neither HOME nor XDG_CONFIG_HOME is set, so there is no place for what is trusted")
        })?;
        Ok(ConfigFolder(base.join("metalwright")))
    }

    #[cfg(test)]
    fn at(path: &Path) -> Self {
        ConfigFolder(path.to_path_buf())
    }

    pub fn known_servers(&self) -> PathBuf {
        self.0.join("known_servers")
    }

    /// What is trusted of a server: nothing where it was never seen.
    ///
    /// # Errors
    /// A file that cannot be read, or a line in it that cannot be what it should be.
    pub fn pinned(&self, url: &str) -> Result<Vec<Fingerprint>> {
        let path = self.known_servers();
        let text = read(&path)?;
        let lines = text.lines().filter_map(|line| line.trim().strip_prefix(url)?.strip_prefix(' '));
        let pinned = lines.take(PINS_MAX).map(|pin| pin.trim().parse().map_err(|why: String| anyhow!(why)));
        pinned.collect::<Result<_>>().with_context(|| format!("{}, at {url}", path.display()))
    }

    /// Trusts a server's certificate or authority from now on, besides what is trusted of it already.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn pin(&self, url: &str, fingerprint: Fingerprint) -> Result<()> {
        let path = self.known_servers();
        let text = read(&path)?;
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        lines.push(format!("{url} {fingerprint}"));
        let keep = lines.len().saturating_sub(KNOWN_SERVERS_MAX);
        let text = lines.iter().skip(keep).map(|line| format!("{line}\n")).collect::<String>();
        self.write(&path, &text)
    }

    /// The context with this name, or the one in use.
    ///
    /// # Errors
    /// A file that cannot be read, or an unknown name.
    pub fn context(&self, name: Option<&str>) -> Result<Option<ServerContext>> {
        let contexts = self.contexts()?;
        let Some(name) = name.or(contexts.current.as_deref()) else { return Ok(None) };
        contexts.find(name).map(|context| Some(context.clone()))
    }

    /// The names of all contexts.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn context_names(&self) -> Result<Vec<String>> {
        Ok(self.contexts()?.contexts.into_keys().collect())
    }

    fn contexts(&self) -> Result<ContextFile> {
        let path = self.0.join("config.toml");
        toml::from_str(&read(&path)?).with_context(|| path.display().to_string())
    }

    fn keep(&self, contexts: &ContextFile) -> Result<()> {
        self.write(&self.0.join("config.toml"), &toml::to_string(contexts)?)
    }

    /// Writes to a file beside it and renames that, so that readers see the old or the new file.
    fn write(&self, path: &Path, text: &str) -> Result<()> {
        let write = || {
            DirBuilder::new().recursive(true).mode(0o700).create(&self.0)?;
            let new = path.with_extension(format!("{}.new", std::process::id()));
            let mut options = OpenOptions::new();
            let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(&new)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            fs::rename(&new, path)
        };
        write().with_context(|| format!("{} cannot be written", path.display()))
    }
}

fn path_variable(name: &str) -> Option<PathBuf> {
    std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from)
}

impl ContextFile {
    fn find(&self, name: &str) -> Result<&ServerContext> {
        self.contexts.get(name).ok_or_else(|| {
            let names = self.contexts.keys().map(String::as_str);
            let hint = match nearest(name, names) {
                Some(near) => format!("did you mean `{near}`?"),
                None => "make it with `metalwright context set NAME --server URL --token TOKEN`".to_owned(),
            };
            UsageError(format!("there is no context `{name}`; {hint}")).into()
        })
    }
}

fn read(path: &Path) -> Result<String> {
    match fs::read_to_string(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(String::new()),
        done => done.with_context(|| path.display().to_string()),
    }
}

/// `metalwright context …`.
///
/// # Errors
/// A file that cannot be read or written, an unknown name, or no server to name.
pub fn run(verb: ContextVerb, connection: &ConnectionArgs) -> Result<()> {
    let folder = ConfigFolder::of_user()?;
    let mut contexts = folder.contexts()?;
    match verb {
        ContextVerb::List => return list(&contexts),
        ContextVerb::Use { name } => {
            contexts.find(&name)?;
            contexts.current = Some(name);
        }
        ContextVerb::Set { name } => {
            let context = connection.as_context()?;
            contexts.contexts.insert(name.clone(), context);
            contexts.current.get_or_insert(name);
        }
        ContextVerb::Delete { name } => {
            contexts.find(&name)?;
            contexts.contexts.remove(&name);
            contexts.current.take_if(|current| *current == name);
        }
    }
    folder.keep(&contexts)?;
    list(&contexts)
}

fn list(contexts: &ContextFile) -> Result<()> {
    let rows: Vec<Vec<String>> = contexts
        .contexts
        .iter()
        .map(|(name, context)| {
            let current = if contexts.current.as_ref() == Some(name) { "*" } else { "" };
            let data = context.data.as_ref().map(|data| data.display().to_string());
            let place = context.server.clone().or(data).unwrap_or_default();
            vec![current.to_owned(), name.clone(), place]
        })
        .collect();
    output::print(&output::table(&["", "NAME", "SERVER"], &rows))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_pin_is_kept_for_its_server_alone_and_for_its_owner_alone() {
        let home = tempfile::tempdir().unwrap();
        let folder = ConfigFolder::at(&home.path().join("metalwright"));
        let (one, two) = (Fingerprint::of(b"1"), Fingerprint::of(b"2"));
        assert_eq!(folder.pinned("https://a:1").unwrap(), []);
        folder.pin("https://a:1", one).unwrap();
        folder.pin("https://a:12", two).unwrap();
        assert_eq!(folder.pinned("https://a:1").unwrap(), [one]);
        assert_eq!(folder.pinned("https://a:12").unwrap(), [two]);
        folder.pin("https://a:1", two).unwrap();
        assert_eq!(folder.pinned("https://a:1").unwrap(), [one, two]);
        let mode = fs::metadata(folder.known_servers()).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        fs::write(folder.known_servers(), "https://a:1 sha256:xx\n").unwrap();
        let error = format!("{:#}", folder.pinned("https://a:1").unwrap_err());
        assert!(error.contains("known_servers, at https://a:1"), "{error}");
    }

    #[test]
    fn the_context_in_use_is_found_and_a_misspelt_one_is_told() {
        let home = tempfile::tempdir().unwrap();
        let folder = ConfigFolder::at(home.path());
        assert_eq!(folder.context(None).unwrap(), None);
        let lab = ServerContext { server: Some("https://a:1".into()), ..ServerContext::default() };
        let contexts = [("lab".to_owned(), lab.clone())].into_iter().collect();
        folder.keep(&ContextFile { current: Some("lab".into()), contexts }).unwrap();
        assert_eq!(folder.context(None).unwrap(), Some(lab));
        let error = folder.context(Some("lba")).unwrap_err();
        assert!(error.is::<UsageError>());
        assert!(error.to_string().contains("did you mean `lab`?"), "{error}");
    }
}
