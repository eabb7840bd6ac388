//! What operators set of secrets that are kept outside of the server: which of them it may read, and how.

use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

use crate::model::{SecretSources, UrlPlace, VaultAccess};

/// Every key of the section.
pub(super) const KEYS: &[&str] =
    &["env", "files", "vault_address", "vault_token_file", "vault_namespace", "vault_paths", "cache_seconds"];

/// Most entries of one list.
const LISTED_MAX: usize = 256;
/// Longest time that a value is used again, in seconds.
const CACHE_SECONDS_MAX: u64 = 24 * 3600;

#[derive(Clone, Debug, Default, clap::Args)]
pub struct SecretFlags {
    /// How the variables of the server's environment begin that secret params may be taken from, such as
    /// MW_SECRET_; repeat for more [default: none].
    #[arg(
        long = "secrets-env",
        env = "METALWRIGHT_SECRETS_ENV",
        value_name = "PREFIX",
        value_delimiter = ','
    )]
    pub secrets_env: Vec<String>,
    /// A folder whose files secret params may be taken from; repeat for more [default: none].
    #[arg(
        long = "secrets-files",
        env = "METALWRIGHT_SECRETS_FILES",
        value_name = "DIR",
        value_delimiter = ','
    )]
    pub secrets_files: Vec<PathBuf>,
    /// A HashiCorp Vault or OpenBao that secret params may be taken from: https://HOST:PORT.
    #[arg(long, env = "METALWRIGHT_SECRETS_VAULT_ADDRESS", value_name = "URL")]
    pub secrets_vault_address: Option<String>,
    /// The file with its token.
    #[arg(long, env = "METALWRIGHT_SECRETS_VAULT_TOKEN_FILE", value_name = "FILE")]
    pub secrets_vault_token_file: Option<PathBuf>,
    /// The namespace in it.
    #[arg(long, env = "METALWRIGHT_SECRETS_VAULT_NAMESPACE", value_name = "NAME")]
    pub secrets_vault_namespace: Option<String>,
    /// How the paths begin that may be read: MOUNT/PATH; repeat for more.
    #[arg(
        long = "secrets-vault-path",
        env = "METALWRIGHT_SECRETS_VAULT_PATHS",
        value_name = "PATH",
        value_delimiter = ','
    )]
    pub secrets_vault_paths: Vec<String>,
    /// How long a value that was read there is used again [default: 60].
    #[arg(long, env = "METALWRIGHT_SECRETS_CACHE_SECONDS", value_name = "SECONDS")]
    pub secrets_cache_seconds: Option<u64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct SecretSection {
    env: Option<Vec<String>>,
    files: Option<Vec<PathBuf>>,
    vault_address: Option<String>,
    vault_token_file: Option<PathBuf>,
    vault_namespace: Option<String>,
    vault_paths: Option<Vec<String>>,
    cache_seconds: Option<u64>,
}

/// Puts flags and file together; what is wrong is added to `faults`.
pub(super) fn load(flags: SecretFlags, file: SecretSection, faults: &mut Vec<String>) -> SecretSources {
    let SecretFlags { secrets_env, secrets_files, secrets_vault_paths, .. } = flags;
    let env = chosen("env", (secrets_env, file.env), faults);
    let files = chosen("files", (secrets_files, file.files), faults);
    let paths = chosen("vault_paths", (secrets_vault_paths, file.vault_paths), faults);
    for prefix in env.iter().filter(|prefix| prefix.is_empty()) {
        faults.push(format!("secrets.env: `{prefix}` would allow every variable: name how they begin"));
    }
    for folder in files.iter().filter(|folder| !folder.is_absolute() || folder.parent().is_none()) {
        let folder = folder.display();
        faults.push(format!("secrets.files: `{folder}` is no absolute path of a folder below /"));
    }
    for path in paths.iter().filter(|path| path.trim_matches('/').is_empty()) {
        faults
            .push(format!("secrets.vault_paths: `{path}` names no mount: write it like secret/metalwright"));
    }
    let address = flags.secrets_vault_address.or(file.vault_address);
    let token_file = flags.secrets_vault_token_file.or(file.vault_token_file);
    let namespace = flags.secrets_vault_namespace.or(file.vault_namespace);
    let vault = vault((address, token_file), (namespace, paths), faults);
    let default = SecretSources::default();
    let seconds = flags.secrets_cache_seconds.or(file.cache_seconds);
    if seconds.is_some_and(|seconds| seconds > CACHE_SECONDS_MAX) {
        faults.push(format!("secrets.cache_seconds: {CACHE_SECONDS_MAX} at most"));
    }
    let cached_for = seconds.map_or(default.cached_for, Duration::from_secs);
    SecretSources { env, files, vault, cached_for }
}

fn chosen<T>(key: &str, (flag, file): (Vec<T>, Option<Vec<T>>), faults: &mut Vec<String>) -> Vec<T> {
    let list = if flag.is_empty() { file.unwrap_or_default() } else { flag };
    if list.len() > LISTED_MAX {
        faults.push(format!("secrets.{key}: {} entries, and {LISTED_MAX} at most", list.len()));
    }
    list
}

fn vault(
    (address, token_file): (Option<String>, Option<PathBuf>),
    (namespace, paths): (Option<String>, Vec<String>),
    faults: &mut Vec<String>,
) -> Option<VaultAccess> {
    let Some(address) = address else {
        if token_file.is_some() || namespace.is_some() || !paths.is_empty() {
            faults.push(
                "secrets.vault_address: name the store, like https://vault.example.com:8200".to_owned(),
            );
        }
        return None;
    };
    let address = address.trim_end_matches('/').to_owned();
    let is_url = ["https://", "http://"].iter().any(|scheme| address.starts_with(scheme));
    if !is_url || UrlPlace::of_url(&address).is_none() {
        faults.push(format!(
            "secrets.vault_address: `{address}` is no URL like https://vault.example.com:8200"
        ));
    }
    let Some(token_file) = token_file else {
        faults.push("secrets.vault_token_file: name the file with the token of the store".to_owned());
        return None;
    };
    if paths.is_empty() {
        faults.push("secrets.vault_paths: name what may be read, like secret/metalwright".to_owned());
    }
    Some(VaultAccess { address, token_file, namespace, paths })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_needs_a_token_and_the_paths_that_may_be_read() {
        let load = |text: &str| {
            let mut faults = Vec::new();
            let section: SecretSection = toml::from_str(text).unwrap();
            let sources = super::load(SecretFlags::default(), section, &mut faults);
            (sources, faults.join("\n"))
        };
        assert_eq!(load(""), (SecretSources::default(), String::new()));
        let (sources, faults) = load(
            "env = [\"MW_\"]\nfiles = [\"/run/secrets\"]\nvault_address = \"https://vault:8200/\"\n\
             vault_token_file = \"/t\"\nvault_paths = [\"secret/metal\"]\ncache_seconds = 5\n",
        );
        assert_eq!(faults, "");
        assert_eq!(sources.vault.unwrap().address, "https://vault:8200");
        assert_eq!(sources.cached_for, Duration::from_secs(5));
        let faults = load("env = [\"\"]\nfiles = [\"/\", \"x\"]\nvault_address = \"vault\"\n").1;
        for what in ["every variable", "`/` is no", "`x` is no", "`vault` is no URL", "vault_token_file"] {
            assert!(faults.contains(what), "{faults}");
        }
        assert!(load("vault_paths = [\"secret\"]\n").1.contains("vault_address"));
    }
}
