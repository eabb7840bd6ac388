//! References to secrets that are kept outside of the server: `{"from": "env:NAME"}` as the value of a secret
//! param. Which of them a site may use is in its configuration ([`SecretSources`]). Pure; `catalog::outside`
//! reads what they name.

use std::fmt;
use std::path::{Component, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use serde_json::Value;

/// Longest reference, in bytes.
const REFERENCE_BYTES_MAX: usize = 1024;
/// How long a value that was read is used again, if nothing else is configured.
const CACHE_SECONDS: u64 = 60;

/// The place of one secret outside of the server.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SecretReference {
    /// `env:NAME`: a variable of the server's environment.
    Env(String),
    /// `file:/PATH`: the text of a file, without the end of its last line.
    File(PathBuf),
    /// `vault:MOUNT/PATH#FIELD`: a field of a secret in a key-value store, version 2, of HashiCorp Vault or
    /// OpenBao.
    Vault { mount: String, path: String, field: String },
}

impl SecretReference {
    /// The reference that a value is: a map with the one member `from`, a text. None for any other value.
    pub fn of(value: &Value) -> Option<Result<Self, String>> {
        let members = value.as_object().filter(|members| members.len() == 1)?;
        Some(members.get("from")?.as_str()?.parse())
    }

    /// Whether a value is a reference, of whatever kind.
    pub fn is_one(value: &Value) -> bool {
        value
            .as_object()
            .is_some_and(|members| members.len() == 1 && members.get("from").is_some_and(Value::is_string))
    }
}

impl FromStr for SecretReference {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.len() > REFERENCE_BYTES_MAX {
            return Err(format!("longer than {REFERENCE_BYTES_MAX} bytes"));
        }
        let refused = || {
            format!("`{text}` names no outside secret: write env:NAME, file:/PATH or vault:MOUNT/PATH#FIELD")
        };
        match text.split_once(':').ok_or_else(refused)? {
            ("env", name) if is_variable(name) => Ok(SecretReference::Env(name.to_owned())),
            ("file", path) if is_plain_path(path) => Ok(SecretReference::File(path.into())),
            ("vault", place) => vault(place).ok_or_else(refused),
            _ => Err(refused()),
        }
    }
}

impl fmt::Display for SecretReference {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SecretReference::Env(name) => write!(to, "env:{name}"),
            SecretReference::File(path) => write!(to, "file:{}", path.display()),
            SecretReference::Vault { mount, path, field } => write!(to, "vault:{mount}/{path}#{field}"),
        }
    }
}

fn vault(place: &str) -> Option<SecretReference> {
    let (place, field) = place.split_once('#')?;
    let (mount, path) = place.split_once('/')?;
    let are_names = place.split('/').all(is_vault_name) && !field.is_empty();
    let of = || (mount.to_owned(), path.to_owned(), field.to_owned());
    are_names.then(of).map(|(mount, path, field)| SecretReference::Vault { mount, path, field })
}

/// A name that stands in a URL as it is.
fn is_vault_name(name: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    !matches!(name, "" | "." | "..") && name.bytes().all(is_plain)
}

fn is_variable(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// Absolute, and without a way up.
fn is_plain_path(path: &str) -> bool {
    let mut parts = std::path::Path::new(path).components();
    parts.next() == Some(Component::RootDir) && parts.all(|part| matches!(part, Component::Normal(_)))
}

/// The outside secrets that the configuration allows, section `secrets`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretSources {
    /// How names of variables begin.
    pub env: Vec<String>,
    /// Folders, of which all files below may be named.
    pub files: Vec<PathBuf>,
    pub vault: Option<VaultAccess>,
    /// How long a value that was read is used again.
    pub cached_for: Duration,
}

/// How the store is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VaultAccess {
    /// `https://vault.example.com:8200`, without a slash at the end.
    pub address: String,
    /// The file with the token, which is read again for each request.
    pub token_file: PathBuf,
    pub namespace: Option<String>,
    /// How `MOUNT/PATH` begins.
    pub paths: Vec<String>,
}

impl Default for SecretSources {
    fn default() -> Self {
        SecretSources {
            env: Vec::new(),
            files: Vec::new(),
            vault: None,
            cached_for: Duration::from_secs(CACHE_SECONDS),
        }
    }
}

impl SecretSources {
    /// Why a reference may not be used here, and what to do about it.
    ///
    /// # Errors
    /// The configuration does not allow it.
    pub fn admit(&self, reference: &SecretReference) -> Result<(), String> {
        let key = match reference {
            SecretReference::Env(name) if self.env.iter().any(|begin| name.starts_with(begin)) => {
                return Ok(());
            }
            SecretReference::File(path) if self.files.iter().any(|folder| path.starts_with(folder)) => {
                return Ok(());
            }
            SecretReference::Vault { mount, path, .. } => match &self.vault {
                None => "vault_address",
                Some(vault) if vault.allows(&format!("{mount}/{path}")) => return Ok(()),
                Some(_) => "vault_paths",
            },
            SecretReference::Env(_) => "env",
            SecretReference::File(_) => "files",
        };
        Err(format!(
            "`{reference}` is not among the outside secrets that this server may read: add its place to \
             `secrets.{key}` in the configuration of the server, and restart it"
        ))
    }
}

impl VaultAccess {
    /// `secret/metal` allows itself and what is below it.
    fn allows(&self, path: &str) -> bool {
        self.paths.iter().any(|allowed| {
            let rest = path.strip_prefix(allowed.trim_end_matches('/'));
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_reference_is_a_map_with_the_one_member_from() {
        let read = |from: &str| SecretReference::of(&json!({"from": from})).unwrap();
        for text in ["env:MW_ROOT", "file:/run/secrets/root", "vault:secret/metal/root#password"] {
            assert_eq!(read(text).unwrap().to_string(), text);
        }
        for text in [
            "MW_ROOT",
            "env:",
            "env:A=B",
            "file:secret",
            "file:/run/../etc/shadow",
            "vault:secret#x",
            "vault:secret/a",
            "vault:secret/../sys/raw#x",
            "vault:secret/a?b#x",
            "ldap:x",
        ] {
            assert!(read(text).unwrap_err().contains("names no outside secret"), "{text}");
        }
        for value in [json!({"from": 1}), json!({"from": "env:A", "x": 1}), json!("env:A"), json!({})] {
            assert!(SecretReference::of(&value).is_none() && !SecretReference::is_one(&value), "{value}");
        }
    }

    #[test]
    fn only_what_the_configuration_lists_is_read() {
        let nothing = SecretSources::default();
        let sources = SecretSources {
            env: vec!["MW_".to_owned()],
            files: vec!["/run/secrets".into()],
            vault: Some(VaultAccess {
                address: "https://vault:8200".to_owned(),
                token_file: "/etc/token".into(),
                namespace: None,
                paths: vec!["secret/metal".to_owned()],
            }),
            ..SecretSources::default()
        };
        let allowed = |text: &str| sources.admit(&text.parse().unwrap()).is_ok();
        for text in ["env:MW_ROOT", "file:/run/secrets/a/b", "vault:secret/metal/root#x"] {
            assert!(allowed(text), "{text}");
            assert!(nothing.admit(&text.parse().unwrap()).unwrap_err().contains("`secrets."), "{text}");
        }
        for text in ["env:PATH", "file:/run/secrets2", "file:/etc/shadow", "vault:secret/metals/x#x"] {
            assert!(!allowed(text), "{text}");
        }
    }
}
