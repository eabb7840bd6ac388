//! Encodes a changeset for the writer. The sender does this, because it takes time and needs no order.

use std::collections::HashSet;

use super::events;
use crate::model::{Kind, Object, ObjectRow};
use crate::store::{Changeset, ChangesetRead, ChangesetWrite, StoreError};

/// A unique value of an object: `("mac", "52:54:…")`.
pub(super) type UniqueValue = (&'static str, String);

/// A changeset in the form that the writer gets.
pub(super) struct EncodedChangeset {
    pub(super) reads: Vec<ChangesetRead>,
    pub(super) writes: Vec<EncodedWrite>,
    pub(super) events: Vec<events::EncodedEvent>,
}

pub(super) struct EncodedWrite {
    pub(super) write: ChangesetWrite,
    /// The object as JSON; empty for a deletion.
    pub(super) document: String,
    /// The unique values that the object has after the write.
    pub(super) unique: Vec<UniqueValue>,
    /// The unique values as JSON.
    pub(super) held: String,
}

impl EncodedWrite {
    pub(super) fn id(&self) -> (Kind, &str) {
        match &self.write {
            ChangesetWrite::Create(object) | ChangesetWrite::Update(object) => (object.kind(), object.key()),
            ChangesetWrite::Delete { kind, key, .. } => (*kind, key),
        }
    }

    /// The version that must be stored before; none if there must be no object.
    pub(super) fn expected(&self) -> Option<u64> {
        match &self.write {
            ChangesetWrite::Create(_) => None,
            ChangesetWrite::Update(object) => Some(object.version().wrapping_sub(1)),
            ChangesetWrite::Delete { version, .. } => Some(*version),
        }
    }

    /// The version that is stored afterwards; none after a deletion.
    pub(super) fn version(&self) -> Option<u64> {
        match &self.write {
            ChangesetWrite::Create(object) | ChangesetWrite::Update(object) => Some(object.version()),
            ChangesetWrite::Delete { .. } => None,
        }
    }
}

/// Encodes objects as rows.
///
/// # Errors
/// [`StoreError::Damaged`] for a key whose row could not be read; [`StoreError::Unreadable`] for an object
/// that the next start could not read; [`StoreError::Failed`] if JSON cannot hold a value.
pub(super) fn encode(
    changeset: Changeset,
    damaged: &HashSet<(Kind, String)>,
) -> Result<EncodedChangeset, StoreError> {
    let writes = changeset.writes.into_iter().map(|write| encode_write(write, damaged));
    let writes = writes.collect::<Result<_, _>>()?;
    Ok(EncodedChangeset {
        reads: changeset.reads,
        writes,
        events: changeset.events.into_iter().map(events::EncodedEvent::new).collect(),
    })
}

fn encode_write(
    write: ChangesetWrite,
    damaged: &HashSet<(Kind, String)>,
) -> Result<EncodedWrite, StoreError> {
    let (document, unique) = match &write {
        ChangesetWrite::Create(object) | ChangesetWrite::Update(object) => (object.encode(), object.unique()),
        ChangesetWrite::Delete { .. } => (Ok(String::new()), Vec::new()),
    };
    let held = serde_json::to_string(&unique);
    let mut encoded = EncodedWrite { write, document: String::new(), unique, held: String::new() };
    let (kind, key) = encoded.id();
    if !damaged.is_empty() && damaged.contains(&(kind, key.to_owned())) {
        return Err(StoreError::Damaged { kind, key: key.to_owned() });
    }
    let refused = |error: serde_json::Error| StoreError::Failed(format!("{kind} {key}: {error}"));
    let (document, held) = (document.map_err(refused)?, held.map_err(refused)?);
    read_back((kind, key), &document)?;
    (encoded.document, encoded.held) = (document, held);
    Ok(encoded)
}

/// Reads the document back, so that nothing is acknowledged that the next start could not read. Release
/// builds skip leases: clients do not choose their shape, and there are too many writes of them.
fn read_back((kind, key): (Kind, &str), document: &str) -> Result<(), StoreError> {
    if document.is_empty() || (kind == Kind::Lease && !cfg!(debug_assertions)) {
        return Ok(());
    }
    let read = Object::decode(kind, ObjectRow { key, version: u64::MAX, document });
    read.map(drop).map_err(|error| StoreError::Unreadable {
        kind,
        key: key.to_owned(),
        why: error.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use jiff::Timestamp;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;
    use crate::model::bounds::STORED_DEPTH_MAX;
    use crate::model::{Machine, Noun, Stored, parse_input};

    fn write(levels: usize) -> Result<EncodedChangeset, StoreError> {
        let nested = (1..levels).fold(json!([]), |inner, _| json!([inner]));
        let mut spec: Machine = serde_json::from_value(json!({"name": "web1"})).unwrap();
        spec.params.insert("x".into(), nested);
        let object = Machine::object(Arc::new(Stored::new("id".into(), spec, Timestamp::UNIX_EPOCH)));
        encode(Changeset::default().create(object), &HashSet::new())
    }

    #[test]
    fn what_the_next_start_could_not_read_is_not_written() {
        // Three levels are around the value: the document, its spec and the params.
        assert!(write(STORED_DEPTH_MAX - 3).is_ok());
        let refused = write(STORED_DEPTH_MAX - 2).map(|_| ()).unwrap_err();
        assert!(
            matches!(&refused, StoreError::Unreadable { why, .. } if why.contains("301 levels")),
            "{refused}"
        );
    }

    /// JSON of any shape, to the depth that is admitted and beyond.
    fn json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            proptest::num::f64::NORMAL.prop_map(Value::from),
            any::<String>().prop_map(Value::from),
        ];
        let nested = leaf.prop_recursive(80, 96, 3, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
                proptest::collection::btree_map(any::<String>(), inner, 0..3)
                    .prop_map(|fields| fields.into_iter().collect()),
            ]
        });
        (0..80_usize, nested).prop_map(|(levels, value)| (0..levels).fold(value, |inner, _| json!([inner])))
    }

    proptest! {
        #[test]
        fn what_is_admitted_is_read_again_as_it_was(
            params in proptest::collection::btree_map(any::<String>(), json(), 0..4),
            serial in proptest::option::of(any::<String>()),
        ) {
            let mut body = json!({"name": "web1", "params": params});
            if let Some(serial) = serial {
                body["serial"] = serial.into();
            }
            // What breaks a bound is refused with its place, and not stored.
            let Ok(input) = parse_input::<Machine>(body) else { return Ok(()) };
            let stored = Stored::new("id".into(), input.spec, Timestamp::UNIX_EPOCH);
            let object = Machine::object(Arc::new(stored));
            let encoded = encode(Changeset::default().create(object.clone()), &HashSet::new());
            let encoded = encoded.map_err(|error| TestCaseError::fail(error.to_string()))?;
            let document = &encoded.writes[0].document;
            let row = ObjectRow { key: "id", version: object.version(), document };
            prop_assert_eq!(Object::decode(Kind::Machine, row).unwrap(), object);
        }
    }

    #[test]
    fn what_was_written_before_there_was_a_bound_is_read() {
        let encoded = write(249).unwrap();
        let document = &encoded.writes[0].document;
        let read = Object::decode(Kind::Machine, ObjectRow { key: "id", version: 1, document }).unwrap();
        let Object::Machine(read) = read else { panic!("a machine") };
        assert!(matches!(&read.spec.params["x"], Value::Array(_)));
    }
}
