//! The fields by which lists can be filtered, sorted and trimmed. The noun's schema lists them; a value is
//! read without building the JSON of the whole object.

use std::any::TypeId;
use std::cell::OnceCell;
use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::{Value, json};

use crate::kernel::{Error, secrets};
use crate::model::{Stored, nearest};
use crate::objects::rules::NounRules;

/// One field of a noun: `name`, `status.state`, `params.rack`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// The name as the client wrote it.
    pub text: String,
    place: FieldPlace,
    /// The remaining names of the path, below `place`.
    rest: Vec<String>,
}

/// The part of a stored object that a field belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum FieldPlace {
    Id,
    Spec,
    Status,
    Labels,
    Source,
    Revision,
    StatusRevision,
    StatusUpdatedAt,
    Commit,
    CreatedAt,
    UpdatedAt,
}

/// Most names in a dotted path.
const STEPS_MAX: usize = 8;

impl Field {
    /// Parses the name of a field of noun `T`.
    ///
    /// # Errors
    /// [`Error::BadRequest`], which names the existing fields.
    pub fn parse<T: NounRules>(text: &str) -> Result<Self, Error> {
        if let Some(label) = name_behind(text, "label.").or_else(|| name_behind(text, "labels.")) {
            return Ok(whole_field(text, FieldPlace::Labels, vec![label]));
        }
        let schemas = schemas::<T>();
        if let Some(param) = name_behind(text, "param.").or_else(|| name_behind(text, "params."))
            && knows(&schemas.spec, &["params"])
        {
            return Ok(whole_field(text, FieldPlace::Spec, vec!["params".to_owned(), param]));
        }
        let steps: Vec<&str> = text.split('.').take(STEPS_MAX + 1).collect();
        match (steps.first().copied().unwrap_or_default(), steps.len()) {
            ("id", 1) if T::KIND.row().has_id => Ok(whole_field(text, FieldPlace::Id, Vec::new())),
            ("labels", 1) => Ok(whole_field(text, FieldPlace::Labels, Vec::new())),
            ("source", 1) => Ok(whole_field(text, FieldPlace::Source, Vec::new())),
            ("revision", 1) => Ok(whole_field(text, FieldPlace::Revision, Vec::new())),
            ("status_revision", 1) if T::HAS_STATUS => {
                Ok(whole_field(text, FieldPlace::StatusRevision, Vec::new()))
            }
            ("status_updated_at", 1) if T::HAS_STATUS => {
                Ok(whole_field(text, FieldPlace::StatusUpdatedAt, Vec::new()))
            }
            ("commit", 1) => Ok(whole_field(text, FieldPlace::Commit, Vec::new())),
            ("created_at", 1) => Ok(whole_field(text, FieldPlace::CreatedAt, Vec::new())),
            ("updated_at", 1) => Ok(whole_field(text, FieldPlace::UpdatedAt, Vec::new())),
            ("status", 2..=STEPS_MAX)
                if T::HAS_STATUS && knows(&schemas.status, steps.get(1..).unwrap_or_default()) =>
            {
                Ok(whole_field(
                    text,
                    FieldPlace::Status,
                    steps.iter().skip(1).map(ToString::to_string).collect::<Vec<_>>(),
                ))
            }
            (first, ..=STEPS_MAX) if !T::HIDDEN.contains(&first) && knows(&schemas.spec, &steps) => {
                Ok(whole_field(
                    text,
                    FieldPlace::Spec,
                    steps.iter().map(ToString::to_string).collect::<Vec<_>>(),
                ))
            }
            _ => Err(unknown::<T>(text, &schemas)),
        }
    }
}

fn whole_field(text: &str, place: FieldPlace, rest: Vec<String>) -> Field {
    Field { text: text.to_owned(), place, rest }
}

fn name_behind(text: &str, prefix: &str) -> Option<String> {
    text.strip_prefix(prefix).map(str::to_owned).filter(|name| !name.is_empty())
}

/// A stored object whose parts are turned into JSON only when one of their fields is read.
pub struct FieldReader<'a, T: NounRules> {
    stored: &'a Stored<T>,
    spec: OnceCell<Value>,
    status: OnceCell<Value>,
}

impl<'a, T: NounRules> FieldReader<'a, T> {
    pub fn new(stored: &'a Stored<T>) -> Self {
        FieldReader { stored, spec: OnceCell::new(), status: OnceCell::new() }
    }

    /// The values of a field: none if it is absent or null, several if the path goes through a list.
    pub fn values(&self, field: &Field) -> Vec<Value> {
        let mut found = Vec::new();
        let stored = self.stored;
        match field.place {
            FieldPlace::Id => found.push(Value::from(stored.key.as_str())),
            FieldPlace::Source => found.push(Value::from(stored.source.as_str())),
            FieldPlace::Revision => found.push(Value::from(stored.revision)),
            FieldPlace::StatusRevision => found.push(Value::from(stored.status_revision)),
            FieldPlace::StatusUpdatedAt => {
                found.extend(stored.status_updated_at.map(|time| Value::from(time.to_string())));
            }
            FieldPlace::Commit => found.push(Value::from(stored.commit.get())),
            FieldPlace::CreatedAt => found.push(Value::from(stored.created_at.to_string())),
            FieldPlace::UpdatedAt => found.push(Value::from(stored.updated_at.to_string())),
            FieldPlace::Labels => match field.rest.first() {
                Some(name) => found.extend(stored.labels.get(name).map(|text| Value::from(text.as_str()))),
                None if stored.labels.is_empty() => {}
                None => found.push(json!(stored.labels)),
            },
            FieldPlace::Spec => self.spec_values(&field.rest, &mut found),
            FieldPlace::Status => {
                collect(self.status.get_or_init(|| as_json(&stored.status)), &field.rest, &mut found)
            }
        }
        found
    }

    /// Reads names and params, the most common filters, without building the JSON of the rest.
    fn spec_values(&self, path: &[String], found: &mut Vec<Value>) {
        let spec = &self.stored.spec;
        match (path, spec.params()) {
            ([field], _) if field == T::KIND.row().name_field => found.push(T::label(self.stored).into()),
            ([field, param], Some(params)) if field == "params" => {
                params.get(param).into_iter().for_each(|value| collect(value, &[], found));
            }
            _ => collect(self.spec.get_or_init(|| shown_spec(spec)), path, found),
        }
    }
}

fn shown_spec<T: NounRules>(spec: &T) -> Value {
    let mut shown = as_json(spec);
    if let Some(fields) = shown.as_object_mut() {
        spec.show_defaults(fields);
    }
    shown
}

fn as_json(part: &impl serde::Serialize) -> Value {
    serde_json::to_value(part).unwrap_or_default()
}

/// Collects the values below `value` at a path; a list on the path gives one for each item. Of a sealed value
/// only its existence counts.
pub(super) fn collect(value: &Value, path: &[String], found: &mut Vec<Value>) {
    match (value, path.split_first()) {
        (Value::Null, _) => {}
        (Value::Array(items), _) => items.iter().for_each(|item| collect(item, path, found)),
        (value, None) if secrets::is_sealed(value) => found.push(json!({"sealed": true})),
        (value, None) => found.push(value.clone()),
        (Value::Object(fields), Some((first, rest))) => {
            if let Some(inner) = fields.get(first) {
                collect(inner, rest, found);
            }
        }
        _ => {}
    }
}

/// The schemas of the writer's fields and of the server's fields.
struct NounSchemas {
    spec: Value,
    status: Value,
}

fn schemas<T: NounRules>() -> Arc<NounSchemas> {
    static KNOWN: LazyLock<Mutex<HashMap<TypeId, Arc<NounSchemas>>>> = LazyLock::new(Mutex::default);
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    Arc::clone(known.entry(TypeId::of::<T>()).or_insert_with(|| {
        Arc::new(NounSchemas { spec: schema_of::<T>(), status: schema_of::<T::Status>() })
    }))
}

pub(super) fn schema_of<S: JsonSchema>() -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true);
    settings.into_generator().into_root_schema_for::<S>().to_value()
}

/// Whether a schema has a field at this path.
pub(super) fn knows(schema: &Value, path: &[&str]) -> bool {
    let Some((first, rest)) = path.split_first() else { return true };
    let Value::Object(keywords) = schema else { return schema == &Value::Bool(true) };
    if let Some(property) = keywords.get("properties").and_then(|properties| properties.get(first)) {
        return knows(property, rest);
    }
    if let Some(items) = keywords.get("items") {
        return knows(items, path);
    }
    if let Some(values) = keywords.get("additionalProperties").filter(|values| **values != Value::Bool(false))
    {
        return knows(values, rest);
    }
    let choices = ["anyOf", "oneOf", "allOf"].into_iter().filter_map(|word| keywords.get(word)?.as_array());
    let mut choices = choices.flatten();
    let describes_nothing = !["type", "properties", "anyOf", "oneOf", "allOf", "enum", "const"]
        .iter()
        .any(|word| keywords.contains_key(*word));
    describes_nothing || choices.any(|choice| knows(choice, path))
}

fn unknown<T: NounRules>(text: &str, schemas: &NounSchemas) -> Error {
    let mut names = names_in(&schemas.spec, "");
    names.retain(|name| !T::HIDDEN.contains(&name.as_str()));
    if T::KIND.row().has_id {
        names.push("id".to_owned());
    }
    if T::HAS_STATUS {
        names.extend(names_in(&schemas.status, "status."));
        names.extend(["status_revision", "status_updated_at"].map(String::from));
    }
    let ours = ["labels", "label.NAME", "source", "revision", "commit", "created_at", "updated_at"];
    names.extend(ours.map(String::from));
    if knows(&schemas.spec, &["params"]) {
        names.push("param.NAME".to_owned());
    }
    no_field(T::KIND.plural(), text, &names)
}

/// The refusal of a field that there is not, with those that there are.
pub(super) fn no_field(plural: &'static str, text: &str, names: &[String]) -> Error {
    let near = nearest(text, names.iter().map(String::as_str));
    let near = near.map(|near| format!("did you mean `{near}`? ")).unwrap_or_default();
    Error::BadRequest(format!("{plural} have no field `{text}`; {near}there are: {}", names.join(", ")))
}

pub(super) fn names_in(schema: &Value, prefix: &str) -> Vec<String> {
    let properties = schema.get("properties").and_then(Value::as_object);
    properties.into_iter().flat_map(|map| map.keys()).map(|name| format!("{prefix}{name}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Bootenv, Machine, Reservation, Subnet, Token};

    #[test]
    fn fields_are_known_from_the_schema_of_the_noun() {
        for known in ["name", "status.state", "status.run.workflow", "macs", "param.rack", "label.a.b", "id"]
        {
            assert!(Field::parse::<Machine>(known).is_ok(), "{known}");
        }
        for unknown in ["nam", "status.stat", "status", "name.x", "bootenv", ""] {
            assert!(Field::parse::<Machine>(unknown).is_err(), "{unknown}");
        }
        assert!(Field::parse::<Bootenv>("os.family").is_ok());
        assert!(Field::parse::<Subnet>("pools.start").is_ok());
        assert!(Field::parse::<Reservation>("param.x").is_err());
        assert!(Field::parse::<Token>("sha256").is_err());
    }

    #[test]
    fn names_and_params_read_as_they_do_in_the_whole() {
        let spec = json!({"name": "web1", "params": {"a.b": ["x", null, {"y": 1}], "gone": null, "s": "t"}});
        let spec: Machine = serde_json::from_value(spec).unwrap();
        let stored = Stored::new("id".into(), spec, jiff::Timestamp::UNIX_EPOCH);
        let whole = stored.view(&[]);
        for (field, path) in [
            ("name", &["name"][..]),
            ("param.a.b", &["params", "a.b"]),
            ("param.gone", &["params", "gone"]),
            ("param.none", &["params", "none"]),
            ("params.s", &["params", "s"]),
        ] {
            let mut expected = Vec::new();
            let path: Vec<String> = path.iter().map(ToString::to_string).collect();
            collect(&whole, &path, &mut expected);
            let field = Field::parse::<Machine>(field).unwrap();
            assert_eq!(FieldReader::new(&stored).values(&field), expected, "{}", field.text);
        }
    }

    #[test]
    fn an_unknown_field_is_told_the_nearest_and_all() {
        let error = Field::parse::<Machine>("status.stat").unwrap_err().to_string();
        assert!(error.contains("did you mean `status.state`") && error.contains("smbios_uuid"), "{error}");
    }
}
