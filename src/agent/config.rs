//! The configuration of an agent: flags, the environment, or a TOML file.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use serde::Deserialize;
use uuid::Uuid;

use crate::agent::step::{AgentPolicy, PowerPolicy, StopCondition};
use crate::model::Environment;

/// The directory of jobs and of the newest token.
pub const STATE_DIR: &str = "/var/lib/metalwright-agent";
/// Longest configuration or token file, in bytes.
const FILE_BYTES_MAX: u64 = 64 << 10;

/// Where the agent runs, as a flag.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AgentPlace {
    /// In an installer's post script.
    Installer,
    /// In an image that runs from memory.
    Live,
    /// In the system on the disk.
    Installed,
}

impl From<AgentPlace> for Environment {
    fn from(place: AgentPlace) -> Self {
        match place {
            AgentPlace::Installer => Environment::Installer,
            AgentPlace::Live => Environment::Live,
            AgentPlace::Installed => Environment::Installed,
        }
    }
}

/// Run jobs on this machine.
#[derive(Args, Clone, Debug, Default)]
pub struct AgentArgs {
    /// A TOML file with `server`, `fingerprint`, `machine`, `token`; flags go before it
    #[arg(long, env = "METALWRIGHT_AGENT_CONFIG")]
    pub config: Option<PathBuf>,
    /// The server's API: https://HOST:PORT
    #[arg(long, env = "METALWRIGHT_SERVER")]
    pub server: Option<String>,
    /// SHA-256 of the server's certificate or of its authority's key, in hex
    #[arg(long, env = "METALWRIGHT_FINGERPRINT")]
    pub fingerprint: Option<String>,
    /// The id of this machine
    #[arg(long, env = "METALWRIGHT_MACHINE")]
    pub machine: Option<Uuid>,
    /// The machine's token; better in the file, where other users cannot see it
    #[arg(long, env = "METALWRIGHT_TOKEN", hide_env_values = true)]
    pub token: Option<String>,
    /// Where the agent runs
    #[arg(long, env = "METALWRIGHT_ENVIRONMENT", value_enum)]
    pub environment: Option<AgentPlace>,
    /// Where jobs and the newest token are kept
    #[arg(long, env = "METALWRIGHT_AGENT_STATE")]
    pub state_dir: Option<PathBuf>,
    /// End when there is nothing to do at the moment
    #[arg(long)]
    pub once: bool,
    /// Reboot and power off when a task or the server asks for it
    #[arg(long)]
    pub allow_power: bool,
}

/// The configuration file.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct AgentFile {
    server: Option<String>,
    fingerprint: Option<String>,
    machine: Option<Uuid>,
    token: Option<String>,
    environment: Option<AgentPlace>,
    state_dir: Option<PathBuf>,
    allow_power: bool,
}

/// The checked configuration.
#[derive(Clone, PartialEq, Eq)]
pub struct AgentConfig {
    pub server: String,
    pub fingerprint: String,
    pub machine: Uuid,
    /// The newest known token: a renewed one of an earlier process, or the configured one.
    pub token: String,
    /// The configured token; the newest one is stored beside it.
    pub written: String,
    pub environment: Environment,
    pub state_dir: PathBuf,
    pub manner: AgentPolicy,
}

/// A fault of the configuration.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ConfigError {
    #[error("{0}: {1}")]
    File(PathBuf, String),
    #[error("the agent needs {0}: give {1}")]
    Missing(&'static str, &'static str),
}

impl AgentConfig {
    /// Combines the flags and the file; flags take precedence.
    ///
    /// # Errors
    /// A file that cannot be read or has an unknown key, or a missing value.
    pub fn load(args: AgentArgs) -> Result<Self, ConfigError> {
        let file = match &args.config {
            Some(path) => parse(path)?,
            None => AgentFile::default(),
        };
        let needs = |what, how| move || ConfigError::Missing(what, how);
        let state_dir = args.state_dir.or(file.state_dir).unwrap_or_else(|| STATE_DIR.into());
        let written = args.token.or(file.token);
        let token = kept_token(&state_dir, written.as_deref()).or_else(|| written.clone());
        let allowed = args.allow_power || file.allow_power;
        Ok(AgentConfig {
            server: args
                .server
                .or(file.server)
                .ok_or_else(needs("a server", "--server https://HOST:PORT"))?,
            fingerprint: args
                .fingerprint
                .or(file.fingerprint)
                .ok_or_else(needs("the server's fingerprint", "--fingerprint HEX"))?,
            machine: args.machine.or(file.machine).ok_or_else(needs("its machine", "--machine ID"))?,
            token: token.ok_or_else(needs("a token", "`token` in the file, or METALWRIGHT_TOKEN"))?,
            written: written.unwrap_or_default(),
            environment: args.environment.or(file.environment).unwrap_or(AgentPlace::Installed).into(),
            state_dir,
            manner: AgentPolicy {
                power: if allowed { PowerPolicy::Allowed } else { PowerPolicy::Forbidden },
                until: if args.once { StopCondition::Idle } else { StopCondition::Stopped },
            },
        })
    }
}

fn parse(path: &Path) -> Result<AgentFile, ConfigError> {
    let text = read(path).map_err(|error| ConfigError::File(path.to_owned(), error.to_string()))?;
    toml::from_str(&text).map_err(|error| ConfigError::File(path.to_owned(), error.to_string()))
}

fn read(path: &Path) -> std::io::Result<String> {
    if std::fs::metadata(path)?.len() > FILE_BYTES_MAX {
        return Err(std::io::Error::other(format!("longer than {FILE_BYTES_MAX} bytes")));
    }
    std::fs::read_to_string(path)
}

/// The stored renewed token, unless another token was configured since.
fn kept_token(state_dir: &Path, written: Option<&str>) -> Option<String> {
    let kept = read(&state_dir.join("token")).ok()?;
    let (from, token) = kept.trim().split_once('\n')?;
    (written.is_none() || written == Some(from)).then(|| token.to_owned())
}

/// The key of the server's authority, as an earlier life learned it from a server that it trusted. It counts
/// as long as the agent's fingerprint is the one that it was learned by.
pub fn kept_authority(state_dir: &Path, fingerprint: &str) -> Option<String> {
    let kept = read(&state_dir.join("authority")).ok()?;
    let (from, key) = kept.trim().split_once('\n')?;
    (from == fingerprint).then(|| key.to_owned())
}

/// Keeps the key of the server's authority beside the fingerprint that it was learned by.
///
/// # Errors
/// The file cannot be written.
pub fn keep_authority(state_dir: &Path, (fingerprint, key): (&str, &str)) -> std::io::Result<()> {
    write_private((state_dir, "authority"), &format!("{fingerprint}\n{key}\n"))
}

/// Stores a renewed token, together with the configured token that it came from.
///
/// # Errors
/// The file cannot be written.
pub fn keep_token(state_dir: &Path, (written, renewed): (&str, &str)) -> std::io::Result<()> {
    write_private((state_dir, "token"), &format!("{written}\n{renewed}\n"))
}

/// Whole or not at all, and for the owner only.
fn write_private((folder, name): (&Path, &str), text: &str) -> std::io::Result<()> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let new = folder.join(format!("{name}.new"));
    let mut options = std::fs::OpenOptions::new();
    let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(&new)?;
    file.write_all(text.as_bytes())?;
    std::fs::rename(new, folder.join(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> (tempfile::TempDir, AgentArgs) {
        let dir = tempfile::TempDir::new().unwrap();
        let config = dir.path().join("agent.toml");
        std::fs::write(&config, text).unwrap();
        let state_dir = Some(dir.path().to_owned());
        (dir, AgentArgs { config: Some(config), state_dir, ..AgentArgs::default() })
    }

    const WHOLE: &str = r#"
        server = "https://10.0.0.1:8443"
        fingerprint = "ab"
        machine = "0192d1c0-0000-7000-8000-000000000000"
        token = "mw_first"
    "#;

    #[test]
    fn flags_go_before_the_file() {
        let (_dir, args) = file(WHOLE);
        let args = AgentArgs { server: Some("https://other".into()), once: true, ..args };
        let config = AgentConfig::load(args).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!((config.server.as_str(), config.token.as_str()), ("https://other", "mw_first"));
        assert_eq!(config.manner, AgentPolicy { power: PowerPolicy::Forbidden, until: StopCondition::Idle });
        assert_eq!(config.environment, Environment::Installed);
    }

    #[test]
    fn what_is_missing_or_unknown_is_said() {
        let (_dir, args) = file("server = \"https://x\"\nfingerprnt = \"ab\"");
        let error = AgentConfig::load(args).err().unwrap().to_string();
        assert!(error.contains("fingerprnt") && error.contains("fingerprint"), "{error}");
        let (_dir, args) = file("server = \"https://x\"");
        let error = AgentConfig::load(args).err().unwrap().to_string();
        assert_eq!(error, "the agent needs the server's fingerprint: give --fingerprint HEX");
    }

    #[test]
    fn a_renewed_token_counts_until_another_one_is_written() {
        let (dir, args) = file(WHOLE);
        keep_token(dir.path(), ("mw_first", "mw_second")).unwrap();
        let config = AgentConfig::load(args.clone()).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(config.token, "mw_second");
        let args = AgentArgs { token: Some("mw_other".into()), ..args };
        let config = AgentConfig::load(args).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(config.token, "mw_other");
    }

    #[test]
    fn an_authority_that_was_learned_counts_with_the_fingerprint_it_was_learned_by() {
        let dir = tempfile::TempDir::new().unwrap();
        keep_authority(dir.path(), ("aa", "sha256:bb")).unwrap();
        assert_eq!(kept_authority(dir.path(), "aa").as_deref(), Some("sha256:bb"));
        assert_eq!(kept_authority(dir.path(), "cc"), None);
    }
}
