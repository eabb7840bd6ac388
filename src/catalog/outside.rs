//! Reads secrets that are kept outside of the server, for a render that a machine was armed for, a job that
//! runs, or a log in which they are covered. `model::SecretSources` says which may be read.
//!
//! Nothing of them is stored: a value is kept in memory for the time that the configuration says. A store
//! that does not answer is left alone for a moment, so that renders which do not need it are not held up.
//! Start at [`Catalog::read_outside`].

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::Read;
use std::path::Path;
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::runtime::Handle;
use zeroize::Zeroizing;

use crate::catalog::{Catalog, vault};
use crate::model::{DeclaredSchema, Param, SecretReference, SecretSources, Stored};
use crate::render::LayeredParams;

/// Most secrets that are remembered at a time.
const CACHED_MAX: usize = 4096;
/// Most secrets outside that one machine may have.
const REFERENCES_MAX: usize = 64;
/// Largest secret, in bytes.
pub(super) const SECRET_BYTES_MAX: usize = 64 << 10;
/// How long all stores together may take for one render.
const READ_WITHIN: Duration = Duration::from_secs(5);
/// How long it is not tried again after it failed.
const FAILED_FOR: Duration = Duration::from_secs(5);

/// What a secret outside is, or why it cannot be read. The reason has no secret in it.
pub(super) type ReadSecret = Result<Zeroizing<String>, String>;

/// The secrets outside of the server, and those that were read of late.
pub(super) struct OutsideSecrets {
    sources: Arc<SecretSources>,
    cached: Mutex<BTreeMap<SecretReference, (Instant, ReadSecret)>>,
}

impl Catalog {
    /// Reads the secret params of a machine that are references, from where they are kept. One that cannot be
    /// read is refused when a template reads it, and says why. Blocks.
    pub(super) fn read_outside(&self, params: &mut LayeredParams) {
        let named = params.secrets_where(SecretReference::is_one);
        if named.is_empty() {
            return;
        }
        let (mut wanted, mut parsed) = (BTreeSet::new(), Vec::new());
        for (name, value) in named {
            let reference = SecretReference::of(&value).unwrap_or_else(|| Err("it is none".to_owned()));
            wanted.extend(reference.clone());
            parsed.push((name, reference));
        }
        let found = self.secrets.outside.read(wanted);
        for (name, reference) in parsed {
            let text = reference.and_then(|reference| of(&found, &reference));
            let declared = self.kernel.read(|world| world.params.get(&name).cloned());
            params.replace(&name, text.and_then(|text| fitting(text, declared.as_deref())));
        }
    }

    /// Secret values, where each reference to a secret outside is replaced by what it names. Blocks.
    ///
    /// # Errors
    /// One cannot be read.
    pub(super) fn with_outside_values(&self, values: Vec<Value>) -> Result<Vec<Value>, String> {
        let references = values.iter().filter_map(|value| SecretReference::of(value)?.ok()).collect();
        let found = self.secrets.outside.read(references);
        let values = values.into_iter().map(|value| match SecretReference::of(&value) {
            Some(Ok(reference)) => of(&found, &reference).map(|text| Value::from(text.as_str())),
            _ => Ok(value),
        });
        values.collect()
    }
}

fn of(found: &BTreeMap<SecretReference, ReadSecret>, reference: &SecretReference) -> ReadSecret {
    found.get(reference).cloned().unwrap_or_else(|| Err(format!("`{reference}` was not read")))
}

/// The text as a value of the param, if its declaration allows it.
fn fitting(text: Zeroizing<String>, declared: Option<&Stored<Param>>) -> Result<Value, String> {
    let value = Value::from(text.as_str());
    let Some(declared) = declared else { return Ok(value) };
    match DeclaredSchema::of(&declared.spec.schema).validate_secret(&value, "") {
        Ok(problems) if problems.is_empty() => Ok(value),
        Ok(problems) => {
            Err(problems.iter().map(|problem| problem.message.clone()).collect::<Vec<_>>().join("; "))
        }
        Err(problem) => Err(problem.message),
    }
}

impl OutsideSecrets {
    pub(super) fn new(sources: Arc<SecretSources>) -> Self {
        OutsideSecrets { sources, cached: Mutex::default() }
    }

    /// Reads secrets, each one once. Blocks, for [`READ_WITHIN`] at most.
    fn read(&self, wanted: BTreeSet<SecretReference>) -> BTreeMap<SecretReference, ReadSecret> {
        let (mut found, mut remote) = (BTreeMap::new(), Vec::new());
        for (n, reference) in wanted.into_iter().enumerate() {
            let known = match self.sources.admit(&reference) {
                _ if n >= REFERENCES_MAX => Some(Err(format!("more than {REFERENCES_MAX} outside secrets"))),
                Err(why) => Some(Err(why)),
                Ok(()) => self.cached(&reference).or_else(|| read_here(&reference, &self.sources)),
            };
            match known {
                Some(known) => drop(found.insert(reference, known)),
                None => remote.push(reference),
            }
        }
        if !remote.is_empty() {
            let fetched = self.fetch(remote);
            self.remember(&fetched);
            found.extend(fetched);
        }
        found
    }

    /// What is remembered of a secret and still holds.
    fn cached(&self, reference: &SecretReference) -> Option<ReadSecret> {
        let cached = self.cached.lock().unwrap_or_else(PoisonError::into_inner);
        let (read_at, known) = cached.get(reference)?;
        let holds_for = if known.is_ok() { self.sources.cached_for } else { FAILED_FOR };
        (read_at.elapsed() < holds_for).then(|| known.clone())
    }

    /// If there are too many, all are forgotten first.
    fn remember(&self, fetched: &[(SecretReference, ReadSecret)]) {
        let mut cached = self.cached.lock().unwrap_or_else(PoisonError::into_inner);
        if cached.len() + fetched.len() > CACHED_MAX {
            cached.clear();
        }
        let now = Instant::now();
        cached.extend(fetched.iter().map(|(reference, known)| (reference.clone(), (now, known.clone()))));
    }

    /// Asks the store, on the runtime of this thread.
    fn fetch(&self, references: Vec<SecretReference>) -> Vec<(SecretReference, ReadSecret)> {
        let failed = |why: &str| {
            let all =
                references.iter().map(|reference| (reference.clone(), Err(format!("`{reference}`: {why}"))));
            all.collect()
        };
        let (Ok(runtime), Some(vault)) = (Handle::try_current(), self.sources.vault.clone()) else {
            return failed("there is no store");
        };
        let (sender, receiver) = sync_channel(1);
        let wanted = references.clone();
        runtime.spawn(async move {
            let read = tokio::time::timeout(READ_WITHIN, vault::read(&vault, wanted)).await;
            drop(sender.send(read));
        });
        match receiver.recv_timeout(READ_WITHIN + Duration::from_secs(1)) {
            Ok(Ok(read)) => read,
            _ => failed(&format!("the store did not answer within {} s", READ_WITHIN.as_secs())),
        }
    }
}

/// A secret of this host; none for one that a store has.
fn read_here(reference: &SecretReference, sources: &SecretSources) -> Option<ReadSecret> {
    let read = match reference {
        SecretReference::Env(name) => {
            std::env::var(name).map_err(|error| error.to_string()).map(Zeroizing::new)
        }
        SecretReference::File(path) => read_file(path, &sources.files),
        SecretReference::Vault { .. } => return None,
    };
    Some(read.and_then(usable).map_err(|why| format!("`{reference}`: {why}")))
}

/// Nothing is rendered with an empty secret.
pub(super) fn usable(text: Zeroizing<String>) -> ReadSecret {
    if text.is_empty() { Err("it is empty".to_owned()) } else { Ok(text) }
}

/// The text of a file below the folders, wherever links lead, without the end of its last line.
fn read_file(path: &Path, folders: &[std::path::PathBuf]) -> ReadSecret {
    let real = fs::canonicalize(path).map_err(|error| error.to_string())?;
    let is_below = folders.iter().filter_map(|folder| fs::canonicalize(folder).ok());
    if !is_below.into_iter().any(|folder| real.starts_with(folder)) {
        return Err("a link leads out of the folders of `secrets.files`".to_owned());
    }
    let file = File::open(&real).map_err(|error| error.to_string())?;
    if !file.metadata().map_err(|error| error.to_string())?.is_file() {
        return Err("it is no file".to_owned());
    }
    let mut text = Zeroizing::new(String::new());
    file.take(SECRET_BYTES_MAX as u64 + 1).read_to_string(&mut text).map_err(|error| error.to_string())?;
    if text.len() > SECRET_BYTES_MAX {
        return Err(format!("it has more than {SECRET_BYTES_MAX} bytes"));
    }
    let line = text.strip_suffix('\n').map(|text| text.strip_suffix('\r').unwrap_or(text));
    Ok(Zeroizing::new(line.unwrap_or(&text).to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(outside: &OutsideSecrets, reference: &str) -> Result<String, String> {
        let reference: SecretReference = reference.parse().unwrap();
        let found = outside.read(BTreeSet::from([reference.clone()]));
        of(&found, &reference).map(|text| text.as_str().to_owned())
    }

    #[test]
    fn a_file_is_read_below_the_allowed_folders_only_and_without_the_end_of_its_line() {
        let directory = tempfile::tempdir().unwrap();
        let (inside, outside_of_it) = (directory.path().join("secrets"), directory.path().join("elsewhere"));
        fs::create_dir(&inside).unwrap();
        fs::write(&outside_of_it, "CANARY").unwrap();
        for (name, text) in [("line", "s3cret\n"), ("two", "a\nb\n\n"), ("empty", "\n")] {
            fs::write(inside.join(name), text).unwrap();
        }
        std::os::unix::fs::symlink(&outside_of_it, inside.join("link")).unwrap();
        std::os::unix::fs::symlink("line", inside.join("near")).unwrap();
        let sources = SecretSources { files: vec![inside.clone()], ..SecretSources::default() };
        let outside = OutsideSecrets::new(Arc::new(sources));
        let read = |name: &str| text(&outside, &format!("file:{}", inside.join(name).display()));
        assert_eq!(read("line"), Ok("s3cret".to_owned()));
        assert_eq!(read("near"), Ok("s3cret".to_owned()));
        assert_eq!(read("two"), Ok("a\nb\n".to_owned()));
        assert!(read("empty").unwrap_err().contains("it is empty"));
        assert!(read("link").unwrap_err().contains("a link leads out"));
        assert!(read("absent").unwrap_err().contains("No such file"));
        let other = text(&outside, &format!("file:{}", outside_of_it.display())).unwrap_err();
        assert!(other.contains("`secrets.files`") && !other.contains("CANARY"), "{other}");
    }

    #[test]
    fn a_variable_that_is_absent_or_not_allowed_is_told() {
        let sources = SecretSources { env: vec!["PAT".to_owned()], ..SecretSources::default() };
        let outside = OutsideSecrets::new(Arc::new(sources));
        assert_eq!(text(&outside, "env:PATH").ok(), std::env::var("PATH").ok());
        assert!(text(&outside, "env:PATTERN_OF_NOTHING").unwrap_err().contains("not found"));
        assert!(text(&outside, "env:HOME").unwrap_err().contains("`secrets.env`"));
    }

    #[test]
    fn what_does_not_fit_the_declaration_is_refused_without_being_quoted() {
        let spec = serde_json::json!({"name": "pin", "secret": true, "schema": {"maxLength": 3}});
        let spec: Param = serde_json::from_value(spec).unwrap();
        let declared = Stored::new("pin".to_owned(), spec, jiff::Timestamp::UNIX_EPOCH);
        let why = fitting(Zeroizing::new("CANARY".to_owned()), Some(&declared)).unwrap_err();
        assert!(!why.is_empty() && !why.contains("CANARY"), "{why}");
        assert!(fitting(Zeroizing::new("abc".to_owned()), Some(&declared)).is_ok());
    }
}
