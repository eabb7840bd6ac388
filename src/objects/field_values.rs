//! What the schema of a field says about its values, so that a filter that no value can match is refused.

use jiff::Timestamp;
use serde_json::Value;
use uuid::Uuid;

use crate::kernel::Error;
use crate::model::{nearest, parse_moment};

/// The values that a field can have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FieldValues {
    /// Any text, or values of several types.
    Any,
    Time,
    Flag,
    Number,
    /// The id of an object.
    Id,
    /// One of these words.
    Words(Vec<String>),
}

impl FieldValues {
    /// The values that a schema allows; those of its items if it is the schema of a list.
    pub fn of(schema: &Value) -> Self {
        if let Some(items) = schema.get("items") {
            return FieldValues::of(items);
        }
        let mut words = Vec::new();
        if names_all(schema, &mut words) && !words.is_empty() {
            return FieldValues::Words(words);
        }
        let schema = present(schema);
        match (type_of(schema), schema.get("format").and_then(Value::as_str)) {
            (_, Some("date-time")) => FieldValues::Time,
            (_, Some("uuid")) => FieldValues::Id,
            (Some("boolean"), _) => FieldValues::Flag,
            (Some("integer" | "number"), _) => FieldValues::Number,
            _ => FieldValues::Any,
        }
    }

    /// Refuses a value that no object can have. Text with `*` is a pattern, empty text is no value.
    ///
    /// # Errors
    /// [`Error::BadRequest`], which names the nearest word, or how to write the value.
    pub fn check(&self, (field, value): (&str, &str), now: Timestamp) -> Result<(), Error> {
        let refused = match self {
            FieldValues::Number if value.parse::<f64>().is_err() => format!("`{value}` is not a number"),
            _ if value.is_empty() || value.contains('*') => return Ok(()),
            FieldValues::Time => return self.time((field, value), now).map(|_| ()),
            FieldValues::Id if value.parse::<Uuid>().is_err() => format!("`{value}` is not an id"),
            FieldValues::Flag if !matches!(value, "true" | "false") => "write `true` or `false`".to_owned(),
            FieldValues::Words(words) if !words.iter().any(|word| word == value) => {
                let near = nearest(value, words.iter().map(String::as_str));
                let near = near.map(|near| format!("did you mean `{near}`? ")).unwrap_or_default();
                let words = words.join(", ");
                return Err(Error::BadRequest(format!(
                    "`{field}` is never `{value}`; {near}there are: {words}"
                )));
            }
            _ => return Ok(()),
        };
        Err(Error::BadRequest(format!("`{field}`: {refused}")))
    }

    /// The time that a client wrote for this field; none if the field does not hold times.
    ///
    /// # Errors
    /// [`Error::BadRequest`], which says how to write a time.
    pub fn time(&self, (field, value): (&str, &str), now: Timestamp) -> Result<Option<Timestamp>, Error> {
        match self {
            FieldValues::Time => parse_moment(value, now)
                .map(Some)
                .map_err(|why: String| Error::BadRequest(format!("`{field}`: {why}"))),
            _ => Ok(None),
        }
    }
}

/// Collects the words of an enumeration; false if other values are allowed as well.
fn names_all(schema: &Value, words: &mut Vec<String>) -> bool {
    if let Some(word) = schema.get("const") {
        words.extend(word.as_str().map(str::to_owned));
        return word.is_string();
    }
    if let Some(named) = schema.get("enum").and_then(Value::as_array) {
        words.extend(named.iter().filter_map(Value::as_str).map(str::to_owned));
        return named.iter().all(|word| word.is_string() || word.is_null());
    }
    let choices = ["anyOf", "oneOf"].into_iter().find_map(|word| schema.get(word)?.as_array());
    match choices {
        Some(choices) => choices.iter().all(|choice: &Value| names_all(choice, words)),
        None => type_of(schema) == Some("null"),
    }
}

/// The schema of the value, for a value that can be null.
fn present(schema: &Value) -> &Value {
    let choices = ["anyOf", "oneOf"].into_iter().find_map(|word| schema.get(word)?.as_array());
    let mut present = choices.into_iter().flatten().filter(|choice| type_of(choice) != Some("null"));
    match (present.next(), present.next()) {
        (Some(only), None) => only,
        _ => schema,
    }
}

/// The type of a schema, besides null.
fn type_of(schema: &Value) -> Option<&str> {
    match schema.get("type")? {
        Value::Array(types) => {
            let mut present = types.iter().filter_map(Value::as_str).filter(|word| *word != "null");
            present.next().filter(|_| present.next().is_none())
        }
        word => word.as_str(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_schema_says_which_values_there_are() {
        let words = |words: &[&str]| FieldValues::Words(words.iter().map(ToString::to_string).collect());
        for (schema, values) in [
            (json!({"type": "string"}), FieldValues::Any),
            (json!({"type": ["string", "null"], "format": "date-time"}), FieldValues::Time),
            (json!({"type": ["string", "null"], "format": "uuid"}), FieldValues::Id),
            (json!({"type": "boolean"}), FieldValues::Flag),
            (json!({"type": ["integer", "null"], "minimum": 0}), FieldValues::Number),
            (json!({"type": ["integer", "string"]}), FieldValues::Any),
            (json!({"type": "string", "enum": ["a", "b"]}), words(&["a", "b"])),
            (json!({"type": "array", "items": {"enum": ["a"]}}), words(&["a"])),
            (
                json!({"anyOf": [{"oneOf": [{"const": "a"}, {"enum": ["b"]}]}, {"type": "null"}]}),
                words(&["a", "b"]),
            ),
            (json!({"anyOf": [{"enum": ["a"]}, {"type": "string"}]}), FieldValues::Any),
            (json!(true), FieldValues::Any),
        ] {
            assert_eq!(FieldValues::of(&schema), values, "{schema}");
        }
    }
}
