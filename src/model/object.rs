//! The parts that every stored object has besides its own fields, and the JSON that readers see.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{CommitMark, Kind, Problem};

/// An object: the fields that its writer sets, and the fields that the server sets.
#[derive(Clone, Debug, PartialEq)]
pub struct Stored<T: Noun> {
    /// The id of a machine or job, or else the name (or address) that is the object's key.
    pub key: String,
    pub spec: T,
    pub status: T::Status,
    /// Faults that were found while the object was used: a failed render, a missing artifact. They disappear
    /// when they are repaired.
    pub faults: Vec<Problem>,
    pub labels: BTreeMap<String, String>,
    /// `site`, `pack NAME@VERSION` for read-only content from a pack, or `pack NAME@VERSION + site` if
    /// overrides apply to it.
    pub source: String,
    /// The sources of the objects with the same name that it stands in place of, the highest first.
    pub hides: Vec<String>,
    /// Counts the writes of the part that people write: spec and labels. It is the ETag.
    pub revision: u64,
    /// Counts the writes of the part that the server writes: status and faults.
    pub status_revision: u64,
    /// The commit that wrote the object last.
    pub commit: CommitMark,
    pub created_at: Timestamp,
    /// When `revision` last changed.
    pub updated_at: Timestamp,
    /// When `status_revision` last changed; none before the first write of a status.
    pub status_updated_at: Option<Timestamp>,
}

/// The source of everything that the site wrote itself.
pub const SITE: &str = "site";

impl<T: Noun> Stored<T> {
    /// The first revision of an object, written by the site.
    pub fn new(key: String, spec: T, now: Timestamp) -> Self {
        Stored {
            key,
            spec,
            status: T::Status::default(),
            faults: Vec::new(),
            labels: BTreeMap::new(),
            source: SITE.to_owned(),
            hides: Vec::new(),
            revision: 1,
            status_revision: 0,
            commit: CommitMark::default(),
            created_at: now,
            updated_at: now,
            status_updated_at: None,
        }
    }

    /// Counts all writes of the object. A write is committed only if the object still has the version that
    /// the write was decided on.
    pub fn version(&self) -> u64 {
        self.revision.saturating_add(self.status_revision)
    }

    /// A copy with the number of the next revision, to be changed and committed against the present version.
    pub fn next(&self, now: Timestamp) -> Self {
        let (revision, commit) = (self.revision.saturating_add(1), CommitMark::default());
        Stored { revision, updated_at: now, commit, ..self.clone() }
    }

    /// A copy with the number of the next status, to be changed and committed against the present version.
    /// Spec and labels must stay the same.
    pub fn next_status(&self, now: Timestamp) -> Self {
        let (status_revision, commit) = (self.status_revision.saturating_add(1), CommitMark::default());
        Stored { status_revision, status_updated_at: Some(now), commit, ..self.clone() }
    }

    /// Sets the numbers by what changed since `before`: only the number of the status if spec and labels are
    /// the same.
    pub fn numbered_after(self, before: &Self, now: Timestamp) -> Self {
        let has_spec_of_before = self.spec == before.spec && self.labels == before.labels;
        let Stored { revision, status_revision, updated_at, status_updated_at, .. } =
            if has_spec_of_before { before.next_status(now) } else { before.next(now) };
        Stored { revision, status_revision, updated_at, status_updated_at, ..self }
    }

    /// The JSON that readers get: the writer's fields at the top level, then the server's. `problems` are
    /// faults that follow from other objects; the object's own faults are added.
    pub fn view(&self, problems: &[Problem]) -> Value {
        let mut view = as_map(&self.spec);
        if T::KIND.row().has_id {
            view.insert("id".into(), self.key.clone().into());
        }
        if T::HAS_STATUS {
            view.insert("status".into(), Value::Object(as_map(&self.status)));
            view.insert("status_revision".into(), self.status_revision.into());
            let updated_at = self.status_updated_at.map(|time| time.to_string());
            view.insert("status_updated_at".into(), updated_at.into());
        }
        let problems: Vec<&Problem> = problems.iter().chain(&self.faults).collect();
        view.insert("problems".into(), serde_json::json!(problems));
        view.insert("labels".into(), serde_json::json!(self.labels));
        view.insert("source".into(), self.source.clone().into());
        if T::KIND.is_of_packs() {
            view.insert("hides".into(), self.hides.clone().into());
        }
        view.insert("revision".into(), self.revision.into());
        view.insert("commit".into(), self.commit.get().into());
        view.insert("created_at".into(), self.created_at.to_string().into());
        view.insert("updated_at".into(), self.updated_at.to_string().into());
        Value::Object(view)
    }

    /// The object's name in events: `machine:0192…`.
    pub fn subject(&self) -> String {
        T::KIND.subject(&self.key)
    }
}

fn as_map(value: &impl Serialize) -> Map<String, Value> {
    match serde_json::to_value(value) {
        Ok(Value::Object(map)) => map,
        _ => Map::new(),
    }
}

/// The fields of a view that the server sets. Writers may send them back; they are ignored.
pub const READ_ONLY_FIELDS: [&str; 11] = [
    "id",
    "status",
    "problems",
    "source",
    "hides",
    "revision",
    "status_revision",
    "commit",
    "created_at",
    "updated_at",
    "status_updated_at",
];

/// One kind of object: its fields, its identity, and the checks that need nothing else.
pub trait Noun:
    Serialize + DeserializeOwned + JsonSchema + Clone + std::fmt::Debug + PartialEq + Send + Sync + 'static
{
    const KIND: Kind;
    /// Whether objects of the kind have a `status`.
    const HAS_STATUS: bool = false;
    /// Whether the server creates an object of the kind for each thing that happens. There may be very many,
    /// so no rule walks through them.
    const IS_HISTORY: bool = false;
    /// Largest object of the kind, in bytes of its JSON without escapes.
    const BYTES_MAX: usize = super::bounds::OBJECT_BYTES_MAX;
    /// Names of the unique values, in the order of `unique`. Each is a way to refer to the object besides its
    /// key.
    const INDEXES: &'static [&'static str] = &[];
    /// The kinds that `references` may name. A search for referrers skips the other tables.
    const REFERS_TO: &'static [Kind] = &[];
    /// JSON pointers to the secret fields of the spec, like `/password`; their type is `serde_json::Value`.
    /// They are sealed when they are written, shown as `{"sealed": true}`, and sealed anew when the key
    /// changes.
    const SECRETS: &'static [&'static str] = &[];
    type Status: Serialize
        + DeserializeOwned
        + JsonSchema
        + Default
        + Clone
        + std::fmt::Debug
        + PartialEq
        + Send
        + Sync;

    /// The key, if the object contains it; `None` if the server gives an id.
    fn key(&self) -> Option<String>;

    /// Values that no two objects of the kind may share: `("mac", "52:54:…")`. Each is also a way to
    /// refer to the object: `mac:52:54:…`.
    fn unique(&self, _status: &Self::Status) -> Vec<(&'static str, String)> {
        Vec::new()
    }

    /// The objects that this object names, each with a pointer to the place.
    fn references(&self) -> Vec<ObjectReference> {
        Vec::new()
    }

    /// The faults that can be found without looking at other objects.
    fn check(&self) -> Vec<Problem> {
        Vec::new()
    }

    /// The object as an [`Object`](super::Object).
    fn object(stored: Arc<Stored<Self>>) -> super::Object;
}

/// A reference from one object to another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectReference {
    pub kind: Kind,
    pub key: String,
    /// Pointer to the name in the object that refers.
    pub pointer: String,
}

impl ObjectReference {
    pub fn new(kind: Kind, key: &str, pointer: impl Into<String>) -> Self {
        ObjectReference { kind, key: key.to_owned(), pointer: pointer.into() }
    }

    /// The references of a list of names of one kind: `/profiles/0`, `/profiles/1` …
    pub fn list(kind: Kind, keys: &[String], pointer: &str) -> Vec<Self> {
        keys.iter()
            .enumerate()
            .map(|(i, key)| ObjectReference::new(kind, key, format!("{pointer}/{i}")))
            .collect()
    }
}

/// The status of nouns that have none.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct NoStatus {}
