//! JSON Merge Patch (RFC 7396) and JSON Patch (RFC 6902), within bounds.

use json_patch::jsonptr::Pointer;
use json_patch::{PatchErrorKind, PatchOperation};
use serde_json::Value;

use crate::kernel::Error;
use crate::model::bounds::{self, CONTENT_BYTES_MAX, DEPTH_MAX, quoted};
use crate::model::{Problem, RefusalCode, nearest};
use crate::objects::work_size::WorkSize;

/// Most operations of one JSON Patch.
pub const OPERATIONS_MAX: usize = 1024;
/// Most bytes that the operations of one patch add in all, as JSON without escapes: each `copy` can double a
/// document.
pub const MADE_BYTES_MAX: usize = 2 * CONTENT_BYTES_MAX;

/// A change of parts of an object.
#[derive(Debug, Clone)]
pub enum Patch {
    /// RFC 7396: sets the given fields; `null` removes one.
    Merge(Value),
    /// RFC 6902: applies all operations in order, or none.
    Operations(json_patch::Patch),
}

impl Patch {
    /// Parses the operations of a JSON Patch.
    ///
    /// # Errors
    /// [`Error::BadRequest`] for what is no list of operations, or is too long; [`Error::Invalid`] with every
    /// operation that is none.
    pub fn operations(body: Value) -> Result<Self, Error> {
        if body.as_array().is_none_or(|operations| operations.len() > OPERATIONS_MAX) {
            let what = format!("a JSON Patch is a list of at most {OPERATIONS_MAX} operations");
            return Err(Error::BadRequest(what));
        }
        let operations = body.as_array().into_iter().flatten().enumerate();
        let faults: Vec<Problem> =
            operations.filter_map(|(index, operation)| operation_fault(index, operation)).collect();
        if !faults.is_empty() {
            return Err(Error::Invalid(faults.into_iter().take(FAULTS_MAX).collect()));
        }
        let patch = serde_json::from_value(body);
        patch.map(Patch::Operations).map_err(|error| {
            Error::BadRequest(format!("not a JSON Patch: {error}; operations look like {EXAMPLE}"))
        })
    }

    /// How much work it is to apply the patch to a small document. One operation can double it, so a list of
    /// operations has no bound here.
    pub fn size(&self) -> WorkSize {
        match self {
            Patch::Merge(fields) => WorkSize::of_document(fields),
            Patch::Operations(_) => WorkSize::Unknown,
        }
    }

    /// Applies the patch to a document.
    ///
    /// # Errors
    /// [`Error::Conflict`] if a `test` fails; [`Error::Invalid`] if an operation cannot be applied, or would
    /// break a bound, which is checked before.
    pub fn apply(&self, before: &Value) -> Result<Value, Error> {
        let mut document = before.clone();
        match self {
            Patch::Merge(fields) => json_patch::merge(&mut document, fields),
            Patch::Operations(operations) => {
                let mut left = MADE_BYTES_MAX;
                for (index, operation) in operations.0.iter().enumerate() {
                    left = bytes_left_after(&document, operation, left)
                        .map_err(|what| Error::invalid(format!("/{index}"), what))?;
                    apply_one(&mut document, index, operation)?;
                }
            }
        }
        Ok(document)
    }
}

/// Checks the bounds of an operation. Returns how many bytes the operations after it may still add.
fn bytes_left_after(document: &Value, operation: &PatchOperation, left: usize) -> Result<usize, String> {
    let (path, value, made) = match operation {
        PatchOperation::Add(add) => (&add.path, &add.value, true),
        PatchOperation::Replace(replace) => (&replace.path, &replace.value, true),
        PatchOperation::Copy(copy) => (&copy.path, at(document, &copy.from), true),
        PatchOperation::Move(moved) => (&moved.path, at(document, &moved.from), false),
        PatchOperation::Remove(_) | PatchOperation::Test(_) => return Ok(left),
    };
    // The document is level one; each step of the path except the last enters another level.
    let levels = path.count() + bounds::depth(value, DEPTH_MAX);
    if levels > DEPTH_MAX {
        return Err(format!(
            "`{}`: nested deeper than {DEPTH_MAX} levels, the most that is admitted",
            clip(path)
        ));
    }
    let bytes = if made { bounds::size(value, left) } else { 0 };
    left.checked_sub(bytes).ok_or_else(|| {
        format!(
            "`{}`: too large: the operations up to this one make more than {MADE_BYTES_MAX} bytes, the most \
             that is admitted",
            clip(path)
        )
    })
}

/// The value at a place; null if there is nothing, which the operation itself refuses.
fn at<'a>(document: &'a Value, pointer: &Pointer) -> &'a Value {
    document.pointer(pointer.as_str()).unwrap_or(&Value::Null)
}

/// Most faults in one answer.
const FAULTS_MAX: usize = 64;
/// The operations (RFC 6902 section 4), with the member that each needs besides `path`.
const OPERATIONS: [(&str, Option<&str>); 6] = [
    ("add", Some("value")),
    ("remove", None),
    ("replace", Some("value")),
    ("move", Some("from")),
    ("copy", Some("from")),
    ("test", Some("value")),
];

/// Why something is no operation.
fn operation_fault(index: usize, operation: &Value) -> Option<Problem> {
    let fault = |code, place: &str, what: String| {
        Some(Problem::new(format!("/{index}{place}"), format!("{what}; it looks like {EXAMPLE}")).coded(code))
    };
    let Some(members) = operation.as_object() else {
        return fault(RefusalCode::WrongType, "", "an operation is an object".to_owned());
    };
    let known = OPERATIONS.map(|(name, _)| name);
    let Some(name) = members.get("op").and_then(Value::as_str) else {
        return fault(RefusalCode::Missing, "", format!("`op` says what to do: {}", known.join(", ")));
    };
    let Some((_, needed)) = OPERATIONS.iter().find(|(known, _)| *known == name) else {
        let near = nearest(name, known).map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
        let what = format!("{} is not one of: {}{near}", quoted(name), known.join(", "));
        return fault(RefusalCode::NotOneOf, "/op", what);
    };
    for place in ["path"].into_iter().chain(needed.filter(|needed| *needed == "from")) {
        let pointer = members.get(place).and_then(Value::as_str);
        if pointer.is_none_or(|pointer| Pointer::parse(pointer).is_err()) {
            let what = format!("`{place}` is a JSON pointer (RFC 6901), like /labels/role");
            return fault(RefusalCode::Malformed, &format!("/{place}"), what);
        }
    }
    let missing = needed.filter(|needed| !members.contains_key(*needed))?;
    fault(RefusalCode::Missing, "", format!("`{missing}` is missing"))
}

/// A path, cut for a message.
fn clip(path: &Pointer) -> &str {
    let text = path.as_str();
    text.char_indices().nth(PATH_CHARS_MAX).map_or(text, |(end, _)| &text[..end])
}

/// Longest part of a path in a message, in characters.
const PATH_CHARS_MAX: usize = 200;

const EXAMPLE: &str = r#"{"op": "replace", "path": "/locked", "value": true}"#;

fn apply_one(document: &mut Value, index: usize, operation: &PatchOperation) -> Result<(), Error> {
    let applied = json_patch::patch(document, std::slice::from_ref(operation));
    applied.map_err(|error| match error.kind {
        PatchErrorKind::TestFailed => {
            let path = clip(operation.path());
            let why = format!("operation {index}: the test of `{path}` failed: it has another value");
            Error::Conflict(RefusalCode::TestFailed, why)
        }
        kind => Error::invalid(format!("/{index}"), format!("`{}`: {kind}", clip(operation.path()))),
    })
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
        assert!(matches!(&error, Error::Conflict(_, why) if why.contains("`/a`")), "{error}");
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
        let text = error.to_string();
        assert!(text.contains("too large") || text.contains("deeper than 64"), "{error}");
    }

    #[test]
    fn what_the_operations_make_is_bounded_before_it_is_made() {
        let large = json!({"labels": {"a": "x".repeat(100_000)}, "to": {}});
        let copies: Vec<Value> =
            (0..1000).map(|i| json!({"op": "copy", "from": "/labels", "path": format!("/to/{i}")})).collect();
        let Error::Invalid(problems) = operations(json!(copies)).apply(&large).unwrap_err() else { panic!() };
        assert_eq!(problems[0].pointer, format!("/{}", MADE_BYTES_MAX / 100_012));
        let small = json!({"a": "twelve bytes", "to": {}});
        let copies: Vec<Value> =
            (0..1000).map(|i| json!({"op": "copy", "from": "/a", "path": format!("/to/{i}")})).collect();
        assert!(operations(json!(copies)).apply(&small).is_ok());
    }

    #[test]
    fn no_operation_nests_deeper_than_objects_may_be() {
        let nested = (1..40).fold(json!({}), |inner, _| json!({"a": inner}));
        let path = "/a".repeat(40);
        for operation in [
            json!({"op": "copy", "from": "/a", "path": path}),
            json!({"op": "add", "path": path, "value": nested}),
            json!({"op": "move", "from": "/b", "path": path}),
        ] {
            let document = json!({"a": nested, "b": nested});
            let error = operations(json!([operation])).apply(&document).unwrap_err().to_string();
            assert!(error.contains("deeper than 64 levels"), "{operation}: {error}");
        }
        assert!(Patch::operations(json!(vec![json!({"op": "remove", "path": ""}); 1025])).is_err());
    }

    #[test]
    fn what_is_no_patch_is_told_how_one_looks() {
        let error = Patch::operations(json!([{"op": "set", "path": "/a"}])).unwrap_err();
        assert!(error.to_string().contains("replace"), "{error}");
        let all = json!([
            {"op": "ad", "path": "/a", "value": 1}, 7, {"path": "/a"}, {"op": "add", "path": "/a"},
            {"op": "copy", "path": "/a", "from": "b"}, {"op": "remove", "path": "/a~2"},
            {"op": "remove", "path": "/a"},
        ]);
        let Error::Invalid(faults) = Patch::operations(all).unwrap_err() else { panic!() };
        let told: Vec<_> = faults.iter().map(|fault| (fault.pointer.as_str(), fault.code.name())).collect();
        assert_eq!(
            told,
            [
                ("/0/op", "not_one_of"),
                ("/1", "wrong_type"),
                ("/2", "missing"),
                ("/3", "missing"),
                ("/4/from", "malformed"),
                ("/5/path", "malformed"),
            ]
        );
        assert!(faults[0].message.contains("did you mean `add`?"), "{}", faults[0]);
        assert!(Patch::operations(json!({"op": "add"})).is_err());
    }
}
