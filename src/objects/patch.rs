//! JSON Merge Patch (RFC 7396) and JSON Patch (RFC 6902), within bounds.

use json_patch::{PatchErrorKind, PatchOperation};
use serde_json::Value;

use crate::kernel::Error;

/// Most operations of one JSON Patch.
pub const OPERATIONS_MAX: usize = 1024;
/// Largest document a patch may lead to, in bytes: `copy` can double one with every operation.
const RESULT_BYTES_MAX: usize = 8 << 20;

/// A change to parts of an object.
#[derive(Debug, Clone)]
pub enum Patch {
    /// RFC 7396: the given fields are set, `null` takes one away.
    Merge(Value),
    /// RFC 6902: all operations in order, or none.
    Operations(json_patch::Patch),
}

impl Patch {
    /// Reads the operations of a JSON Patch.
    ///
    /// # Errors
    /// [`Error::BadRequest`] for what is no list of operations, or is too long.
    pub fn operations(body: Value) -> Result<Self, Error> {
        if body.as_array().is_none_or(|operations| operations.len() > OPERATIONS_MAX) {
            let what = format!("a JSON Patch is a list of at most {OPERATIONS_MAX} operations");
            return Err(Error::BadRequest(what));
        }
        let patch = serde_json::from_value(body);
        patch.map(Patch::Operations).map_err(|error| {
            Error::BadRequest(format!("not a JSON Patch: {error}; operations look like {EXAMPLE}"))
        })
    }

    /// The document after the patch.
    ///
    /// # Errors
    /// [`Error::Conflict`] when a `test` fails, [`Error::Invalid`] when an operation cannot be done.
    pub fn apply(&self, before: &Value) -> Result<Value, Error> {
        let mut document = before.clone();
        match self {
            Patch::Merge(fields) => json_patch::merge(&mut document, fields),
            Patch::Operations(operations) => {
                for (index, operation) in operations.0.iter().enumerate() {
                    apply_one(&mut document, index, operation)?;
                }
            }
        }
        Ok(document)
    }
}

const EXAMPLE: &str = r#"{"op": "replace", "path": "/locked", "value": true}"#;

fn apply_one(document: &mut Value, index: usize, operation: &PatchOperation) -> Result<(), Error> {
    let applied = json_patch::patch(document, std::slice::from_ref(operation));
    applied.map_err(|error| match error.kind {
        PatchErrorKind::TestFailed => {
            let path = operation.path();
            Error::Conflict(format!("operation {index}: the test of `{path}` failed: it has another value"))
        }
        kind => Error::invalid(format!("/{index}"), format!("`{}`: {kind}", operation.path())),
    })?;
    let grew = matches!(operation, PatchOperation::Copy(_));
    if grew && document.to_string().len() > RESULT_BYTES_MAX {
        return Err(Error::invalid(format!("/{index}"), "the patched object would be too large"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn operations(body: Value) -> Patch {
        Patch::operations(body).unwrap()
    }

    #[test]
    fn a_merge_patch_sets_fields_and_takes_nulls_away() {
        let after = Patch::Merge(json!({"a": 1, "b": null})).apply(&json!({"b": 2, "c": 3})).unwrap();
        assert_eq!(after, json!({"a": 1, "c": 3}));
    }

    #[test]
    fn a_failed_test_is_a_conflict_that_names_the_path() {
        let patch = operations(json!([{"op": "test", "path": "/a", "value": 1}]));
        let error = patch.apply(&json!({"a": 2})).unwrap_err();
        assert!(matches!(&error, Error::Conflict(why) if why.contains("`/a`")), "{error}");
    }

    #[test]
    fn an_operation_that_cannot_be_done_is_named_by_its_index() {
        let patch = operations(json!([
            {"op": "add", "path": "/x", "value": 1},
            {"op": "remove", "path": "/nothing/here"}
        ]));
        let Error::Invalid(problems) = patch.apply(&json!({})).unwrap_err() else { panic!() };
        assert_eq!(problems[0].pointer, "/1");
    }

    #[test]
    fn copies_that_double_the_document_are_stopped() {
        let copies: Vec<Value> =
            (0..60).map(|i| json!({"op": "copy", "from": "", "path": format!("/{i}")})).collect();
        let error = operations(json!(copies)).apply(&json!({"seed": "x".repeat(100)})).unwrap_err();
        assert!(error.to_string().contains("too large"), "{error}");
    }

    #[test]
    fn what_is_no_patch_is_told_how_one_looks() {
        let error = Patch::operations(json!([{"op": "set", "path": "/a"}])).unwrap_err();
        assert!(error.to_string().contains("replace"), "{error}");
        assert!(Patch::operations(json!({"op": "add"})).is_err());
    }
}
