//! Seals secret values, so that neither the database nor the API shows them: the values of secret params,
//! and the fields that a noun lists in [`Noun::SECRETS`](crate::model::Noun::SECRETS).
//!
//! A sealed value is stored as `{"sealed": "<base64>"}` and shown as `{"sealed": true}`. Of a map the names
//! of its members are stored beside it, and each member is shown as `{"sealed": true}`. Start with
//! [`SecretKey::seal`]. `rules::params` decides which params are secret, `sealed_values` finds the values of
//! a world, `rotation` replaces the key.

pub mod rotation;
mod sealed_values;

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

use crate::model::Kind;
use crate::model::bounds::escape;
pub use sealed_values::{SealedValue, is_there, sealed_values};

const KEY_BYTES: usize = 32;
const NONCE_BYTES: usize = 24;
/// Name of the key file in the data directory.
const KEY_FILE: &str = "secret.key";
/// Most members of a map whose names are stored beside the sealed value, and most bytes of them. The members
/// of a larger map are not shown.
const MEMBERS_MAX: usize = 256;
const MEMBERS_BYTES_MAX: usize = 16 << 10;
/// Levels of nested maps in which members may be kept.
const KEPT_DEPTH_MAX: usize = 32;

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
    /// JSON pointer to the value in the object: `/params/root_password` (RFC 6901).
    pub pointer: &'a str,
}

/// The pointer to a param's value in the object that sets it.
pub fn param_pointer(param: &str) -> String {
    format!("{PARAMS}{}", escape(param))
}

const PARAMS: &str = "/params/";

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
        let text = STANDARD.encode([&nonce[..], &sealed].concat());
        Ok(match member_names(value) {
            Some(names) => json!({"sealed": text, "members": names}),
            None => json!({"sealed": text}),
        })
    }

    /// Makes a new key. It is not written anywhere.
    ///
    /// # Errors
    /// The system gave no random numbers.
    pub fn random() -> io::Result<Self> {
        let mut key = [0u8; KEY_BYTES];
        getrandom::fill(&mut key).map_err(io::Error::other)?;
        Ok(SecretKey::from_key(key))
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
    /// What is authenticated with the value. That of a param names the param alone, as earlier versions did.
    fn bytes(&self) -> Vec<u8> {
        let (kind, key) = (self.kind.as_str(), self.key);
        match self.pointer.strip_prefix(PARAMS).filter(|name| !name.contains('/')) {
            Some(param) => json!([kind, key, param.replace("~1", "/").replace("~0", "~")]),
            None => json!([kind, key, "at", self.pointer]),
        }
        .to_string()
        .into_bytes()
    }
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
    only_sealed(value).is_some() || is_sealed(value)
}

/// Whether a map has a member that refers to the stored one. Lists are not looked into.
pub fn keeps_members(value: &Value) -> bool {
    keeps_members_within(value, KEPT_DEPTH_MAX)
}

fn keeps_members_within(value: &Value, depth: usize) -> bool {
    let Some(members) = value.as_object().filter(|_| depth > 0) else { return false };
    members.get("sealed") == Some(&Value::Bool(true))
        || members.values().any(|member| keeps_members_within(member, depth - 1))
}

/// A stored secret, opened.
#[derive(Clone, Copy)]
pub struct KeptSecret<'a>(pub &'a Value);

impl KeptSecret<'_> {
    /// The value that a writer means: each `{"sealed": true}` is the stored member in its place, and a map
    /// with `sealed: true` and other members is the stored map with those changed. What was not stored stays
    /// as it was given ([`keeps_members`] is still true of it).
    pub fn changed_to(&self, given: &Value) -> Value {
        merged(given, (Some(self.0), KEPT_DEPTH_MAX))
    }
}

fn merged(given: &Value, (kept, depth): (Option<&Value>, usize)) -> Value {
    let Some(members) = given.as_object().filter(|_| depth > 0) else { return given.clone() };
    if means_stored(given) {
        return kept.unwrap_or(given).clone();
    }
    let stored = kept.and_then(Value::as_object);
    let (mut whole, changed) = match (members.get("sealed"), stored) {
        (Some(Value::Bool(true)), Some(stored)) => (stored.clone(), true),
        _ => (Map::new(), false),
    };
    for (name, member) in members.iter().filter(|(name, _)| !(changed && *name == "sealed")) {
        let kept = stored.and_then(|stored| stored.get(name));
        whole.insert(name.clone(), merged(member, (kept, depth - 1)));
    }
    Value::Object(whole)
}

/// A stored value as readers see it.
pub fn masked(value: &Value) -> Value {
    covered(value, json!({"sealed": true}))
}

/// A sealed value with `cover` in its place, or in the place of each member of a map.
pub fn covered(value: &Value, cover: impl Into<Value>) -> Value {
    let cover: Value = cover.into();
    let members = value.as_object().and_then(|fields| fields.get("members")?.as_array());
    let Some(members) = members.filter(|_| is_sealed(value)) else { return cover };
    let names = members.iter().filter_map(Value::as_str);
    Value::Object(names.map(|name| (name.to_owned(), cover.clone())).collect())
}

/// Masks the params for a reader.
pub fn mask(params: &mut Map<String, Value>) {
    params.values_mut().filter(|value| is_sealed(value)).for_each(|value| *value = masked(value));
}

/// Masks the secret fields of an object for a reader.
pub fn mask_fields(fields: &mut Value, pointers: &[&str]) {
    for pointer in pointers {
        if let Some(value) = fields.pointer_mut(pointer).filter(|value| is_sealed(value)) {
            *value = masked(value);
        }
    }
}

fn only_sealed(value: &Value) -> Option<&Value> {
    value.as_object().filter(|map| map.len() == 1)?.get("sealed")
}

fn sealed_text(value: &Value) -> Option<&str> {
    let fields = value.as_object()?;
    let is_alone = fields.len() == 1 || (fields.len() == 2 && fields.get("members")?.is_array());
    fields.get("sealed").filter(|_| is_alone)?.as_str()
}

/// The names of the members of a map; none if readers could take it for something else, or it is too large.
fn member_names(value: &Value) -> Option<Vec<&String>> {
    let members = value.as_object().filter(|map| !map.is_empty() && map.len() <= MEMBERS_MAX)?;
    let bytes: usize = members.keys().map(String::len).sum();
    (bytes <= MEMBERS_BYTES_MAX && !members.contains_key("sealed")).then(|| members.keys().collect())
}

fn read_key(file: fs::File) -> io::Result<SecretKey> {
    let mut bytes = Vec::with_capacity(KEY_BYTES + 1);
    file.take(KEY_BYTES as u64 + 1).read_to_end(&mut bytes)?;
    let key = <[u8; KEY_BYTES]>::try_from(bytes);
    key.map(SecretKey::from_key)
        .map_err(|_| io::Error::other(format!("{KEY_FILE} must have {KEY_BYTES} bytes")))
}

fn make_key(path: &Path) -> io::Result<SecretKey> {
    let key = SecretKey::random()?;
    key.write(path)?;
    Ok(key)
}

impl SecretKey {
    /// Writes the key to a new file, readable by its owner only.
    fn write(&self, path: &Path) -> io::Result<()> {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        file.write_all(&self.key)?;
        file.sync_all()
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    const HERE: SecretPlace<'static> =
        SecretPlace { kind: Kind::Profile, key: "global", pointer: "/params/root_password" };

    #[test]
    fn a_sealed_value_opens_in_its_own_place_only() {
        let secrets = SecretKey::from_key([7; 32]);
        let sealed = secrets.seal(HERE, &json!("hunter2")).unwrap();
        assert!(is_sealed(&sealed) && !sealed.to_string().contains("hunter2"));
        assert_eq!(secrets.open(HERE, &sealed), Ok(json!("hunter2")));
        let elsewhere = SecretPlace { key: "other", ..HERE };
        assert_eq!(secrets.open(elsewhere, &sealed), Err(CannotOpen));
        let field = SecretPlace { pointer: "/password", ..HERE };
        assert_eq!(secrets.open(field, &sealed), Err(CannotOpen));
        let of_field = secrets.seal(field, &json!("x")).unwrap();
        assert_eq!(secrets.open(field, &of_field), Ok(json!("x")));
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

    #[test]
    fn of_a_map_readers_see_the_members_and_writers_change_one_alone() {
        let secrets = SecretKey::from_key([7; 32]);
        let whole = json!({"corp": "one", "guest": {"pin": 2}});
        let sealed = secrets.seal(HERE, &whole).unwrap();
        assert!(is_sealed(&sealed) && !sealed.to_string().contains("one"));
        let shown = json!({"corp": {"sealed": true}, "guest": {"sealed": true}});
        assert_eq!(masked(&sealed), shown);
        assert_eq!(secrets.open(HERE, &sealed).unwrap(), whole);
        let means = |given: Value| KeptSecret(&whole).changed_to(&given);
        let changed = json!({"corp": "two", "guest": {"pin": 2}});
        assert_eq!(means(json!({"corp": "two", "guest": {"sealed": true}})), changed);
        assert_eq!(means(json!({"sealed": true, "corp": "two"})), changed);
        assert_eq!(means(json!({"guest": {"sealed": true}})), json!({"guest": {"pin": 2}}));
        assert_eq!(means(shown), whole);
        assert!(keeps_members(&means(json!({"other": {"sealed": true}}))), "a member that is not stored");
    }

    #[test]
    fn what_resembles_a_sealed_value_is_none_of_a_writers() {
        for value in [json!({"sealed": 1}), json!({"sealed": "x", "members": ["a"]}), json!({"sealed": true})]
        {
            assert!(looks_sealed(&value), "{value}");
        }
        assert!(!looks_sealed(&json!({"sealed": true, "corp": "x"})));
        let hidden = SecretKey::from_key([7; 32]).seal(HERE, &json!({"sealed": true, "a": 1})).unwrap();
        assert_eq!(masked(&hidden), json!({"sealed": true}));
    }
}
