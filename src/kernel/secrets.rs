//! Seals the values of secret params, so that neither the database nor the API shows them.
//!
//! A sealed value is stored as `{"sealed": "<base64>"}` and shown as `{"sealed": true}`. Start with
//! [`SecretKey::seal`]. `rules::params` decides which params are secret.

use std::fs::{self, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chacha20poly1305::aead::{Aead, Payload};
use chacha20poly1305::{KeyInit, XChaCha20Poly1305, XNonce};
use hmac::{Hmac, Mac};
use serde_json::{Map, Value, json};
use sha2::Sha256;

use crate::model::{Kind, World};

const KEY_BYTES: usize = 32;
const NONCE_BYTES: usize = 24;
/// Name of the key file in the data directory.
const KEY_FILE: &str = "secret.key";

/// The key that seals secret values.
#[derive(Clone)]
pub struct SecretKey {
    key: [u8; KEY_BYTES],
    cipher: XChaCha20Poly1305,
}

/// The place of a value. A sealed value can only be opened in the place that it was sealed for.
#[derive(Debug, Clone, Copy)]
pub struct SecretPlace<'a> {
    pub kind: Kind,
    pub key: &'a str,
    pub param: &'a str,
}

/// The error for a value that cannot be opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the sealed value does not open: it was sealed for another object or with another key")]
pub struct CannotOpen;

impl SecretKey {
    /// Reads `secret.key` from the data directory. The first start creates it, readable by its owner only.
    /// `sealed` is the number of sealed values in the database: if there are any, a missing key is not
    /// created again, because it could not open them.
    ///
    /// # Errors
    /// The file cannot be read or written, does not have 32 bytes, or is missing although there are sealed
    /// values.
    pub fn load(directory: &Path, sealed: usize) -> io::Result<Self> {
        let path = directory.join(KEY_FILE);
        match sealed == 0 && !path.try_exists()? {
            true => make_key(&path),
            false => SecretKey::read(directory, sealed),
        }
    }

    /// As [`SecretKey::load`], and makes none.
    ///
    /// # Errors
    /// The file cannot be read, has not 32 bytes, or is missing.
    pub fn read(directory: &Path, sealed: usize) -> io::Result<Self> {
        let path = directory.join(KEY_FILE);
        match fs::File::open(&path) {
            Ok(file) => read_key(file),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let place = path.display();
                Err(io::Error::other(format!(
                    "{place} is missing, and {sealed} secret values in the database are sealed with it. \
                     Restore the file from the backup (docs/operating/backup.md). If there is no copy, make \
                     another key with `(umask 077; head -c {KEY_BYTES} /dev/urandom > {place})`, start the \
                     server, and set those values anew"
                )))
            }
            Err(error) => Err(error),
        }
    }

    pub fn from_key(key: [u8; KEY_BYTES]) -> Self {
        SecretKey { key, cipher: XChaCha20Poly1305::new(&key.into()) }
    }

    /// A key for another purpose, derived from this one.
    pub fn derive(&self, purpose: &str) -> [u8; KEY_BYTES] {
        self.mac(purpose.as_bytes())
    }

    /// A hash of a value, with a separate key: it only shows whether two values are equal.
    pub fn keyed_hash(&self, value: &[u8]) -> [u8; KEY_BYTES] {
        SecretKey::from_key(self.derive("hashes of secret values")).mac(value)
    }

    fn mac(&self, text: &[u8]) -> [u8; KEY_BYTES] {
        let mut derived = [0; KEY_BYTES];
        if let Ok(mut mac) = <Hmac<Sha256> as hmac::KeyInit>::new_from_slice(&self.key) {
            mac.update(text);
            derived = mac.finalize().into_bytes().into();
        }
        derived
    }

    /// The sealed form of a value.
    ///
    /// # Errors
    /// The system gave no random numbers.
    pub fn seal(&self, place: SecretPlace<'_>, value: &Value) -> io::Result<Value> {
        let mut nonce = [0u8; NONCE_BYTES];
        getrandom::fill(&mut nonce).map_err(io::Error::other)?;
        let text = value.to_string();
        let payload = Payload { msg: text.as_bytes(), aad: &place.bytes() };
        let sealed = self.cipher.encrypt(&XNonce::from(nonce), payload);
        let sealed = sealed.map_err(|_| io::Error::other("a value too large to seal"))?;
        Ok(json!({"sealed": STANDARD.encode([&nonce[..], &sealed].concat())}))
    }

    /// The value of a sealed form; any other value is returned unchanged.
    ///
    /// # Errors
    /// [`CannotOpen`].
    pub fn open(&self, place: SecretPlace<'_>, value: &Value) -> Result<Value, CannotOpen> {
        let Some(text) = sealed_text(value) else { return Ok(value.clone()) };
        let bytes = STANDARD.decode(text).map_err(|_| CannotOpen)?;
        let (nonce, sealed) = bytes.split_first_chunk::<NONCE_BYTES>().ok_or(CannotOpen)?;
        let payload = Payload { msg: sealed, aad: &place.bytes() };
        let opened = self.cipher.decrypt(&XNonce::from(*nonce), payload).map_err(|_| CannotOpen)?;
        serde_json::from_slice(&opened).map_err(|_| CannotOpen)
    }
}

impl std::fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secrets")
    }
}

impl SecretPlace<'_> {
    fn bytes(&self) -> Vec<u8> {
        json!([self.kind.as_str(), self.key, self.param]).to_string().into_bytes()
    }
}

/// All sealed values of a world, each with its place.
pub fn sealed_values(world: &World) -> impl Iterator<Item = (SecretPlace<'_>, &Value)> {
    let machines = world.machines.iter().map(|row| (Kind::Machine, row.key.as_str(), &row.spec.params));
    let profiles = world.profiles.iter().map(|row| (Kind::Profile, row.key.as_str(), &row.spec.params));
    let stages = world.stages.iter().map(|row| (Kind::Stage, row.key.as_str(), &row.spec.params));
    let all = machines.chain(profiles).chain(stages);
    let values = all.flat_map(|(kind, key, params)| {
        params.iter().map(move |(param, value)| (SecretPlace { kind, key, param }, value))
    });
    values.filter(|(_, value)| is_sealed(value))
}

/// The value that a world has at a place.
pub fn value_at<'w>(world: &'w World, place: SecretPlace<'_>) -> Option<&'w Value> {
    let params = match place.kind {
        Kind::Machine => &world.machines.get(place.key)?.spec.params,
        Kind::Profile => &world.profiles.get(place.key)?.spec.params,
        Kind::Stage => &world.stages.get(place.key)?.spec.params,
        _ => return None,
    };
    params.get(place.param)
}

/// Whether a stored value is sealed.
pub fn is_sealed(value: &Value) -> bool {
    sealed_text(value).is_some()
}

/// Whether a writer refers to the stored value: `{"sealed": true}`, as reads show it.
pub fn means_stored(value: &Value) -> bool {
    only_sealed(value) == Some(&Value::Bool(true))
}

/// Whether a value resembles a sealed one in any way: writers may not send such values.
pub fn looks_sealed(value: &Value) -> bool {
    only_sealed(value).is_some()
}

/// Masks the params for a reader.
pub fn mask(params: &mut Map<String, Value>) {
    for value in params.values_mut().filter(|value| is_sealed(value)) {
        *value = json!({"sealed": true});
    }
}

fn only_sealed(value: &Value) -> Option<&Value> {
    value.as_object().filter(|map| map.len() == 1)?.get("sealed")
}

fn sealed_text(value: &Value) -> Option<&str> {
    only_sealed(value)?.as_str()
}

fn read_key(file: fs::File) -> io::Result<SecretKey> {
    let mut bytes = Vec::with_capacity(KEY_BYTES + 1);
    file.take(KEY_BYTES as u64 + 1).read_to_end(&mut bytes)?;
    let key = <[u8; KEY_BYTES]>::try_from(bytes);
    key.map(SecretKey::from_key)
        .map_err(|_| io::Error::other(format!("{KEY_FILE} must have {KEY_BYTES} bytes")))
}

fn make_key(path: &Path) -> io::Result<SecretKey> {
    let mut key = [0u8; KEY_BYTES];
    getrandom::fill(&mut key).map_err(io::Error::other)?;
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(&key)?;
    file.sync_all()?;
    Ok(SecretKey::from_key(key))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    const HERE: SecretPlace<'static> =
        SecretPlace { kind: Kind::Profile, key: "global", param: "root_password" };

    #[test]
    fn a_sealed_value_opens_in_its_own_place_only() {
        let secrets = SecretKey::from_key([7; 32]);
        let sealed = secrets.seal(HERE, &json!("hunter2")).unwrap();
        assert!(is_sealed(&sealed) && !sealed.to_string().contains("hunter2"));
        assert_eq!(secrets.open(HERE, &sealed), Ok(json!("hunter2")));
        let elsewhere = SecretPlace { key: "other", ..HERE };
        assert_eq!(secrets.open(elsewhere, &sealed), Err(CannotOpen));
        assert_eq!(SecretKey::from_key([8; 32]).open(HERE, &sealed), Err(CannotOpen));
    }

    #[test]
    fn the_key_is_made_once_and_is_private() {
        let directory = tempfile::tempdir().unwrap();
        let sealed = SecretKey::load(directory.path(), 0).unwrap().seal(HERE, &json!([1, 2])).unwrap();
        let again = SecretKey::load(directory.path(), 0).unwrap();
        assert_eq!(again.open(HERE, &sealed), Ok(json!([1, 2])));
        let mode = fs::metadata(directory.path().join(KEY_FILE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_key_that_is_missing_beside_sealed_values_is_not_made_anew() {
        let directory = tempfile::tempdir().unwrap();
        let error = SecretKey::load(directory.path(), 3).err().unwrap().to_string();
        assert!(error.contains("secret.key is missing, and 3 secret values"), "{error}");
        assert!(error.contains("docs/operating/backup.md"), "{error}");
        assert!(!directory.path().join(KEY_FILE).exists());
        SecretKey::load(directory.path(), 0).unwrap();
        SecretKey::load(directory.path(), 3).unwrap();
    }

    #[test]
    fn a_cut_off_key_file_is_told() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join(KEY_FILE), b"short").unwrap();
        assert!(SecretKey::load(directory.path(), 0).unwrap_err().to_string().contains("32 bytes"));
    }

    #[test]
    fn readers_see_that_a_value_is_sealed_and_nothing_else() {
        let sealed = SecretKey::from_key([7; 32]).seal(HERE, &json!(1)).unwrap();
        let mut params = Map::from_iter([("a".to_owned(), sealed), ("b".to_owned(), json!(2))]);
        mask(&mut params);
        assert_eq!(Value::Object(params), json!({"a": {"sealed": true}, "b": 2}));
    }
}
