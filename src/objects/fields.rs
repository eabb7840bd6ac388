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
use crate::model::{Kind, Stored, nearest};
use crate::objects::field_values::FieldValues;
use crate::objects::rules::NounRules;

/// One field of a noun: `name`, `status.state`, `params.rack`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// The name as the client wrote it.
    pub text: String,
    place: FieldPlace,
    /// The remaining names of the path, below `place`.
    rest: Vec<String>,
    /// The values that it can have.
    pub values: FieldValues,
    /// The kind of the objects that it names.
    pub names: Option<Kind>,
}

/// The part of a stored object that a field belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum FieldPlace {
    Id,
    Spec,
    Status,
    Labels,
    Source,
    Hides,
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
            && schema_at(&schemas.spec, &["params"]).is_some()
        {
            return Ok(whole_field(text, FieldPlace::Spec, vec!["params".to_owned(), param]));
        }
        if let Some((place, values)) = header_field::<T>(text) {
            return Ok(Field { values, ..whole_field(text, place, Vec::new()) });
        }
        let steps: Vec<&str> = text.split('.').take(STEPS_MAX + 1).collect();
        let (place, schema, path) = match steps.as_slice() {
            ["status", path @ ..] if T::HAS_STATUS => (FieldPlace::Status, &schemas.status, path),
            path if T::HIDDEN.iter().any(|hidden| path.first() == Some(hidden)) => {
                return Err(unknown::<T>(text, &schemas));
            }
            path => (FieldPlace::Spec, &schemas.spec, path),
        };
        let found = schema_at(schema, path).filter(|_| !path.is_empty() && steps.len() <= STEPS_MAX);
        let values = FieldValues::of(found.ok_or_else(|| unknown::<T>(text, &schemas))?);
        let rest = path.iter().map(ToString::to_string).collect();
        Ok(Field { values, names: named_kind(&steps), ..whole_field(text, place, rest) })
    }
}

/// The fields that every object has.
fn header_field<T: NounRules>(text: &str) -> Option<(FieldPlace, FieldValues)> {
    match text {
        "id" if T::KIND.row().has_id => Some((FieldPlace::Id, FieldValues::Any)),
        "labels" => Some((FieldPlace::Labels, FieldValues::Any)),
        "source" => Some((FieldPlace::Source, FieldValues::Any)),
        "hides" if T::KIND.is_of_packs() => Some((FieldPlace::Hides, FieldValues::Any)),
        "revision" => Some((FieldPlace::Revision, FieldValues::Number)),
        "status_revision" if T::HAS_STATUS => Some((FieldPlace::StatusRevision, FieldValues::Number)),
        "status_updated_at" if T::HAS_STATUS => Some((FieldPlace::StatusUpdatedAt, FieldValues::Time)),
        "commit" => Some((FieldPlace::Commit, FieldValues::Number)),
        "created_at" => Some((FieldPlace::CreatedAt, FieldValues::Time)),
        "updated_at" => Some((FieldPlace::UpdatedAt, FieldValues::Time)),
        _ => None,
    }
}

/// The kind of the objects that a field names: its last word is that kind's, as in `machine`, `profiles` and
/// `status.stage`.
fn named_kind(steps: &[&str]) -> Option<Kind> {
    let last = steps.last()?;
    Kind::ALL.into_iter().find(|kind| kind.as_str() == *last || kind.plural() == *last)
}

fn whole_field(text: &str, place: FieldPlace, rest: Vec<String>) -> Field {
    Field { text: text.to_owned(), place, rest, values: FieldValues::Any, names: None }
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
            FieldPlace::Hides => found.extend(stored.hides.iter().map(|source| Value::from(source.as_str()))),
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
        (value, Some(_)) if secrets::is_sealed(value) => collect(&secrets::masked(value), path, found),
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

/// The schema of the field at this path, if there is such a field.
pub(super) fn schema_at<'s>(schema: &'s Value, path: &[&str]) -> Option<&'s Value> {
    let Some((first, rest)) = path.split_first() else { return Some(schema) };
    let Value::Object(keywords) = schema else { return (schema == &Value::Bool(true)).then_some(schema) };
    if let Some(property) = keywords.get("properties").and_then(|properties| properties.get(first)) {
        return schema_at(property, rest);
    }
    if let Some(items) = keywords.get("items") {
        return schema_at(items, path);
    }
    if let Some(values) = keywords.get("additionalProperties").filter(|values| **values != Value::Bool(false))
    {
        return schema_at(values, rest);
    }
    let choices = ["anyOf", "oneOf", "allOf"].into_iter().filter_map(|word| keywords.get(word)?.as_array());
    let mut choices = choices.flatten();
    let describes_nothing = !["type", "properties", "anyOf", "oneOf", "allOf", "enum", "const"]
        .iter()
        .any(|word| keywords.contains_key(*word));
    if describes_nothing { Some(&ANYTHING) } else { choices.find_map(|choice| schema_at(choice, path)) }
}

/// The schema of any value.
static ANYTHING: Value = Value::Bool(true);

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
    if T::KIND.is_of_packs() {
        names.push("hides".to_owned());
    }
    if schema_at(&schemas.spec, &["params"]).is_some() {
        names.push("param.NAME".to_owned());
    }
    no_field(T::KIND.plural(), text, &names)
}

/// The refusal of a field that there is not, with those that there are.
pub(super) fn no_field(plural: &'static str, text: &str, names: &[String]) -> Error {
    // The last part of a name alone is the most frequent slip.
    let ending = names.iter().find(|name| name.strip_suffix(text).is_some_and(|start| start.ends_with('.')));
    let near = ending.map(String::as_str).or_else(|| nearest(text, names.iter().map(String::as_str)));
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
    fn a_field_knows_its_values_and_what_it_names() {
        let machine = |field| Field::parse::<Machine>(field).unwrap();
        let FieldValues::Words(states) = machine("status.state").values else { panic!() };
        assert_eq!((states.len(), states[0].as_str()), (7, "registered"));
        assert_eq!(machine("status.armed_until").values, FieldValues::Time);
        assert_eq!(machine("updated_at").values, FieldValues::Time);
        assert_eq!(machine("status.run.paused").values, FieldValues::Flag);
        assert_eq!(machine("status.cursor").values, FieldValues::Number);
        assert_eq!((machine("name").values, machine("param.x").values), (FieldValues::Any, FieldValues::Any));
        assert_eq!(machine("profiles").names, Some(Kind::Profile));
        assert_eq!(machine("status.stage").names, Some(Kind::Stage));
        assert_eq!(machine("name").names, None);
        assert_eq!(Field::parse::<Reservation>("machine").unwrap().names, Some(Kind::Machine));
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

    #[test]
    fn of_a_sealed_value_a_filter_sees_that_it_is_there_and_no_more() {
        let sealed = json!({"sealed": "CANARY", "members": ["corp"]});
        let of = |path: &[&str]| {
            let (mut found, path): (_, Vec<String>) =
                (Vec::new(), path.iter().map(|step| (*step).into()).collect());
            collect(&sealed, &path, &mut found);
            found
        };
        assert_eq!(of(&[]), [json!({"sealed": true})]);
        assert_eq!(of(&["corp"]), [json!({"sealed": true})]);
        assert!(of(&["sealed"]).is_empty() && of(&["members"]).is_empty());
    }
}
