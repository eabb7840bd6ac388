//! What every stored object has besides its own fields, and the shape readers see.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{CommitMark, Kind, Problem};

/// Fields of an object that its writer may set, with what is ours beside them.
#[derive(Clone, Debug, PartialEq)]
pub struct Stored<T: Noun> {
    /// The id of a machine or job, else the name (or address) that is its key.
    pub key: String,
    pub spec: T,
    pub status: T::Status,
    /// Faults found while it was used: a failed render, a missing artifact. They go when they are mended.
    pub faults: Vec<Problem>,
    pub labels: BTreeMap<String, String>,
    /// `site`, or `pack NAME@VERSION` for content that came in a pack and is read-only.
    pub source: String,
    /// One more with each write of what people write, which is the spec and the labels: the ETag.
    pub revision: u64,
    /// One more with each write of what the server says of it, which is the status and the faults.
    pub status_revision: u64,
    /// The commit that wrote it.
    pub commit: CommitMark,
    pub created_at: Timestamp,
    /// When `revision` became what it is.
    pub updated_at: Timestamp,
    /// When `status_revision` became what it is; none before its first write.
    pub status_updated_at: Option<Timestamp>,
}

/// The source of everything the site wrote itself.
pub const SITE: &str = "site";

impl<T: Noun> Stored<T> {
    /// A first revision, written by the site.
    pub fn new(key: String, spec: T, now: Timestamp) -> Self {
        Stored {
            key,
            spec,
            status: T::Status::default(),
            faults: Vec::new(),
            labels: BTreeMap::new(),
            source: SITE.to_owned(),
            revision: 1,
            status_revision: 0,
            commit: CommitMark::default(),
            created_at: now,
            updated_at: now,
            status_updated_at: None,
        }
    }

    /// How often it was written: one more with each write, whatever that changed. A write is good for the
    /// version that it was decided on.
    pub fn version(&self) -> u64 {
        self.revision.saturating_add(self.status_revision)
    }

    /// The next revision, to be changed and then committed against the present version.
    pub fn next(&self, now: Timestamp) -> Self {
        let (revision, commit) = (self.revision.saturating_add(1), CommitMark::default());
        Stored { revision, updated_at: now, commit, ..self.clone() }
    }

    /// The next status, to be changed and then committed against the present version. Spec and labels stay.
    pub fn next_status(&self, now: Timestamp) -> Self {
        let (status_revision, commit) = (self.status_revision.saturating_add(1), CommitMark::default());
        Stored { status_revision, status_updated_at: Some(now), commit, ..self.clone() }
    }

    /// The same with the numbers that follow from what was changed since `before`: those of a status where
    /// spec and labels are as they were.
    pub fn numbered_after(self, before: &Self, now: Timestamp) -> Self {
        let has_spec_of_before = self.spec == before.spec && self.labels == before.labels;
        let Stored { revision, status_revision, updated_at, status_updated_at, .. } =
            if has_spec_of_before { before.next_status(now) } else { before.next(now) };
        Stored { revision, status_revision, updated_at, status_updated_at, ..self }
    }

    /// What a reader gets: the writer's fields at the top level, then ours. `problems` are those
    /// that follow from other objects; the object's own faults are added to them.
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
        view.insert("revision".into(), self.revision.into());
        view.insert("commit".into(), self.commit.get().into());
        view.insert("created_at".into(), self.created_at.to_string().into());
        view.insert("updated_at".into(), self.updated_at.to_string().into());
        Value::Object(view)
    }

    /// How events name it: `machine:0192…`.
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

/// The fields of a view that are ours; a writer may send them back and they are passed over.
pub const READ_ONLY_FIELDS: [&str; 10] = [
    "id",
    "status",
    "problems",
    "source",
    "revision",
    "status_revision",
    "commit",
    "created_at",
    "updated_at",
    "status_updated_at",
];

/// One kind of object: its fields, what identifies it, and what can be said of it alone.
pub trait Noun:
    Serialize + DeserializeOwned + JsonSchema + Clone + std::fmt::Debug + PartialEq + Send + Sync + 'static
{
    const KIND: Kind;
    /// Whether it has a `status`.
    const HAS_STATUS: bool = false;
    /// Whether the server makes its objects, one for each thing that happens. There may be very many of them,
    /// so no rule goes through them all.
    const IS_HISTORY: bool = false;
    /// Largest object of the kind that is admitted, in bytes of its JSON without escapes.
    const BYTES_MAX: usize = super::bounds::OBJECT_BYTES_MAX;
    /// Names of its unique values, in the order of `unique`: the ways to refer to it besides its key.
    const INDEXES: &'static [&'static str] = &[];
    /// The kinds that `references` may name: who looks for referrers passes over the other tables.
    const REFERS_TO: &'static [Kind] = &[];
    type Status: Serialize
        + DeserializeOwned
        + JsonSchema
        + Default
        + Clone
        + std::fmt::Debug
        + PartialEq
        + Send
        + Sync;

    /// The key, where the object carries it; `None` where the server gives an id.
    fn key(&self) -> Option<String>;

    /// Values that no two objects of the kind may share: `("mac", "52:54:…")`. Each is also a way to
    /// refer to the object: `mac:52:54:…`.
    fn unique(&self, _status: &Self::Status) -> Vec<(&'static str, String)> {
        Vec::new()
    }

    /// Other objects it names, each with a pointer to the place.
    fn references(&self) -> Vec<ObjectReference> {
        Vec::new()
    }

    /// Faults that need nothing but the object to be seen.
    fn check(&self) -> Vec<Problem> {
        Vec::new()
    }

    /// Itself among all kinds.
    fn object(stored: Arc<Stored<Self>>) -> super::Object;
}

/// One object naming another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectReference {
    pub kind: Kind,
    pub key: String,
    /// Where the name stands in the object that refers.
    pub pointer: String,
}

impl ObjectReference {
    pub fn new(kind: Kind, key: &str, pointer: impl Into<String>) -> Self {
        ObjectReference { kind, key: key.to_owned(), pointer: pointer.into() }
    }

    /// A list of names of one kind: `/profiles/0`, `/profiles/1` …
    pub fn list(kind: Kind, keys: &[String], pointer: &str) -> Vec<Self> {
        keys.iter()
            .enumerate()
            .map(|(i, key)| ObjectReference::new(kind, key, format!("{pointer}/{i}")))
            .collect()
    }
}

/// For nouns that have nothing of ours to show.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct NoStatus {}
