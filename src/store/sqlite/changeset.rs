//! A changeset on its way to the writer: what takes time and needs no order is done by who sends it.

use std::collections::HashSet;

use super::events;
use crate::model::Kind;
use crate::store::{Changeset, Error, Read, Write};

/// What an object holds that no other of its kind may: `("mac", "52:54:…")`.
pub(super) type Unique = (&'static str, String);

/// A changeset as the writer gets it.
pub(super) struct Encoded {
    pub(super) reads: Vec<Read>,
    pub(super) writes: Vec<EncodedWrite>,
    pub(super) events: Vec<events::Encoded>,
}

pub(super) struct EncodedWrite {
    pub(super) write: Write,
    /// The object in JSON; empty for one that goes.
    pub(super) document: String,
    /// What the object holds from now on.
    pub(super) unique: Vec<Unique>,
    /// The same in JSON.
    pub(super) held: String,
}

impl EncodedWrite {
    pub(super) fn id(&self) -> (Kind, &str) {
        match &self.write {
            Write::Create(object) | Write::Update(object) => (object.kind(), object.key()),
            Write::Delete { kind, key, .. } => (*kind, key),
        }
    }

    /// The revision that must be there; none where there must be no object.
    pub(super) fn expected(&self) -> Option<u64> {
        match &self.write {
            Write::Create(_) => None,
            Write::Update(object) => Some(object.revision().wrapping_sub(1)),
            Write::Delete { revision, .. } => Some(*revision),
        }
    }

    /// The revision that is there afterwards; none when the object goes.
    pub(super) fn revision(&self) -> Option<u64> {
        match &self.write {
            Write::Create(object) | Write::Update(object) => Some(object.revision()),
            Write::Delete { .. } => None,
        }
    }
}

/// Turns objects into rows.
///
/// # Errors
/// [`Error::Damaged`] for a key whose row could not be read; [`Error::Failed`] when JSON cannot hold a value.
pub(super) fn encode(changeset: Changeset, damaged: &HashSet<(Kind, String)>) -> Result<Encoded, Error> {
    let writes = changeset.writes.into_iter().map(|write| encode_write(write, damaged));
    let writes = writes.collect::<Result<_, _>>()?;
    Ok(Encoded {
        reads: changeset.reads,
        writes,
        events: changeset.events.into_iter().map(events::Encoded::new).collect(),
    })
}

fn encode_write(write: Write, damaged: &HashSet<(Kind, String)>) -> Result<EncodedWrite, Error> {
    let (document, unique) = match &write {
        Write::Create(object) | Write::Update(object) => (object.encode(), object.unique()),
        Write::Delete { .. } => (Ok(String::new()), Vec::new()),
    };
    let held = serde_json::to_string(&unique);
    let mut encoded = EncodedWrite { write, document: String::new(), unique, held: String::new() };
    let (kind, key) = encoded.id();
    if !damaged.is_empty() && damaged.contains(&(kind, key.to_owned())) {
        return Err(Error::Damaged { kind, key: key.to_owned() });
    }
    let refused = |error: serde_json::Error| Error::Failed(format!("{kind} {key}: {error}"));
    (encoded.document, encoded.held) = (document.map_err(refused)?, held.map_err(refused)?);
    Ok(encoded)
}
