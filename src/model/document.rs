//! Conversion between stored objects and the documents that the store keeps.

use std::collections::BTreeMap;

use super::bounds::{STORED_DEPTH_MAX, text_depth};
use super::{CommitMark, Noun, Problem, Stored};

/// Initial capacity for a document: enough for most objects.
const DOCUMENT_BYTES: usize = 512;

/// A stored object in the form that the store keeps.
#[derive(Debug, Clone, Copy)]
pub struct ObjectRow<'a> {
    pub key: &'a str,
    /// Number of writes of the object.
    pub version: u64,
    pub document: &'a str,
}

#[derive(serde::Serialize, serde::Deserialize)]
struct StoredDocument<S, U, F, L, T, H: Default + AsRef<[String]>> {
    spec: S,
    status: U,
    #[serde(default)]
    faults: F,
    #[serde(default)]
    labels: L,
    source: T,
    #[serde(default, skip_serializing_if = "is_none")]
    hides: H,
    created_at: jiff::Timestamp,
    updated_at: jiff::Timestamp,
    /// Documents of earlier versions lack this number: each write was a revision then.
    #[serde(default, skip_serializing_if = "is_zero")]
    status_revision: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    status_updated_at: Option<jiff::Timestamp>,
}

fn is_none(hides: &impl AsRef<[String]>) -> bool {
    hides.as_ref().is_empty()
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl<T: Noun> Stored<T> {
    pub(super) fn encode(&self) -> Result<String, serde_json::Error> {
        let mut text = Vec::with_capacity(DOCUMENT_BYTES);
        serde_json::to_writer(
            &mut text,
            &StoredDocument {
                spec: &self.spec,
                status: &self.status,
                faults: &self.faults,
                labels: &self.labels,
                source: &self.source,
                hides: self.hides.as_slice(),
                created_at: self.created_at,
                updated_at: self.updated_at,
                status_revision: self.status_revision,
                status_updated_at: self.status_updated_at,
            },
        )?;
        String::from_utf8(text).map_err(serde::ser::Error::custom)
    }
}

/// Reads JSON that may be deeper than `serde_json` allows: objects may be older than the bound on depth.
fn read_deep<T: serde::de::DeserializeOwned>(json: &str) -> Result<T, serde_json::Error> {
    let levels = text_depth(json);
    if levels > STORED_DEPTH_MAX {
        let what = format!("nested {levels} levels deep, at most {STORED_DEPTH_MAX} are read");
        return Err(serde::de::Error::custom(what));
    }
    let mut reader = serde_json::Deserializer::from_str(json);
    reader.disable_recursion_limit();
    let read = T::deserialize(&mut reader)?;
    reader.end()?;
    Ok(read)
}

impl ObjectRow<'_> {
    pub(super) fn decode<T: Noun>(&self) -> Result<Stored<T>, serde_json::Error> {
        type Labels = BTreeMap<String, String>;
        type Read<T> = StoredDocument<T, <T as Noun>::Status, Vec<Problem>, Labels, String, Vec<String>>;
        let document: Read<T> = read_deep(self.document)?;
        let status_revision = document.status_revision;
        let revision = self.version.checked_sub(status_revision).ok_or_else(|| {
            serde::de::Error::custom(format!("version {} of status {status_revision}", self.version))
        })?;
        Ok(Stored {
            key: self.key.to_owned(),
            spec: document.spec,
            status: document.status,
            faults: document.faults,
            labels: document.labels,
            source: document.source,
            hides: document.hides,
            revision,
            status_revision,
            commit: CommitMark::default(),
            created_at: document.created_at,
            updated_at: document.updated_at,
            status_updated_at: document.status_updated_at,
        })
    }
}
