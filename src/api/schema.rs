//! JSON Schemas of the API's bodies: nouns as they are read (`Machine`), as they are written
//! (`MachineInput`), in a list (`MachineList`), and plain types.

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Map, Value, json};

use crate::model::bounds::{
    LABEL_NAME_BYTES_MAX, LABEL_PREFIX_BYTES_MAX, LABEL_VALUE_BYTES_MAX, LABELS_MAX, PARAMS_MAX,
};
use crate::model::{Kind, NAME_BYTES_MAX, Problem};
use crate::objects::rules::document::written_rules;
use crate::objects::rules::{NounRules, option_document};

/// Where the document has its schemas.
const COMPONENTS: &str = "#/components/schemas/";

/// A generator that puts definitions below `components`.
pub fn generator() -> SchemaGenerator {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.definitions_path = "/components/schemas".into();
        settings.meta_schema = None;
    });
    settings.into_generator()
}

/// The schema of a type.
pub fn of<T: JsonSchema>(generator: &mut SchemaGenerator) -> Value {
    generator.subschema_for::<T>().to_value()
}

/// The schema of a noun as it is read.
pub fn view<T: NounRules>(generator: &mut SchemaGenerator) -> Value {
    let mut schema = fields::<T>(generator);
    let ours = ours::<T>(generator);
    let own_names: Vec<Value> = ours.iter().map(|(name, _)| json!(name)).collect();
    if let Some(properties) = map_at(&mut schema, "properties") {
        properties.extend(ours);
        if properties.contains_key("params") {
            properties.insert("params".to_owned(), shown_params());
        }
    }
    if let Some(keywords) = schema.as_object_mut() {
        let required = keywords.entry("required").or_insert_with(|| json!([]));
        required.as_array_mut().into_iter().for_each(|names| names.extend(own_names.clone()));
    }
    define(generator, type_name::<T>(), schema)
}

/// The schema of a noun as it is written: its own fields and the labels. Fields that the server sets are
/// ignored, so that a client can send back an object that it read.
pub fn input<T: NounRules>(generator: &mut SchemaGenerator) -> Value {
    let mut schema = fields::<T>(generator);
    let ours = ours::<T>(generator);
    if let Some(properties) = map_at(&mut schema, "properties") {
        for (name, mut field) in ours {
            if let (true, Some(keywords)) = (name != "labels", field.as_object_mut()) {
                keywords.clear();
                keywords.insert("description".to_owned(), json!("Read-only; ignored."));
            }
            properties.insert(name, field);
        }
        properties.insert("labels".to_owned(), labels_input());
        if let Some(options) = properties.get_mut("options") {
            for (name, schema) in option_document::definitions(COMPONENTS) {
                define(generator, name.to_owned(), schema);
            }
            *options = json!({"$ref": format!("{COMPONENTS}{}", option_document::OPTIONS)});
        }
        if let Some(params) = properties.get_mut("params").and_then(Value::as_object_mut) {
            params.insert("maxProperties".to_owned(), json!(PARAMS_MAX));
        }
        let name = properties.get_mut(T::KIND.row().name_field).and_then(Value::as_object_mut);
        if let (Some(pattern), Some(name)) = (name_pattern(T::KIND), name) {
            name.extend([
                ("pattern".to_owned(), json!(pattern)),
                ("maxLength".to_owned(), json!(NAME_BYTES_MAX)),
            ]);
        }
    }
    if let (Kind::Reservation, Some(keywords)) = (T::KIND, schema.as_object_mut()) {
        keywords.insert("oneOf".to_owned(), reservation_ways());
    }
    merge(&mut schema, written_rules(T::KIND));
    define(generator, format!("{}Input", type_name::<T>()), schema)
}

/// Adds keywords to a schema and to those within it.
fn merge(schema: &mut Value, rules: Value) {
    match (schema, rules) {
        (Value::Object(keywords), Value::Object(rules)) => {
            for (word, rule) in rules {
                merge(keywords.entry(word).or_insert(Value::Null), rule);
            }
        }
        (schema, rule) => *schema = rule,
    }
}

/// What the names of a noun's objects look like, as `check_name` and `check_host_name` have it.
fn name_pattern(kind: Kind) -> Option<&'static str> {
    match kind {
        Kind::Machine => Some(
            r"^[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?)*$",
        ),
        Kind::Artifact => Some(r"^[A-Za-z0-9][A-Za-z0-9._-]*$"),
        Kind::Pack => Some(r"^[A-Za-z0-9][A-Za-z0-9._-]*@[0-9A-Za-z.+-]+$"),
        Kind::Lease | Kind::Reservation | Kind::Job | Kind::Run | Kind::Session => None,
        _ => Some(r"^[A-Za-z0-9][A-Za-z0-9._-]*(/(\.?[A-Za-z0-9_-][A-Za-z0-9._-]*|\.\.[A-Za-z0-9._-]+))*$"),
    }
}

/// Whom a reservation can be for: one of these.
fn reservation_ways() -> Value {
    let way = |field: &str| json!({"required": [field], "properties": {field: {"type": "string"}}});
    let relay = json!({"anyOf": [way("circuit_id"), way("remote_id")]});
    json!([way("mac"), way("machine"), way("client_id"), relay])
}

/// The schema of a type, with keywords that say what the server checks beside its fields.
pub fn with_rules<T: JsonSchema>(generator: &mut SchemaGenerator, rules: &[(&str, Value)]) -> Value {
    let schema = of::<T>(generator);
    let name = schema.get("$ref").and_then(Value::as_str).and_then(|text| text.rsplit('/').next());
    let definition = name.and_then(|name| generator.definitions_mut().get_mut(name)?.as_object_mut());
    if let Some(keywords) = definition {
        keywords.extend(rules.iter().map(|(word, rule)| ((*word).to_owned(), rule.clone())));
    }
    schema
}

/// The rule that exactly one of some fields is set.
pub fn one_of(fields: &[&str]) -> Value {
    fields
        .iter()
        .map(|field| json!({"required": [field], "properties": {*field: {"not": {"type": "null"}}}}))
        .collect()
}

/// The schema of a page of a noun's list.
pub fn list<T: NounRules>(generator: &mut SchemaGenerator) -> Value {
    let whole = view::<T>(generator);
    let mut names =
        fields::<T>(generator).get("properties").and_then(Value::as_object).cloned().unwrap_or_default();
    names.extend(ours::<T>(generator));
    let names: Map<String, Value> = names.into_iter().map(|(name, _)| (name, json!({}))).collect();
    page(generator, whole, PageFields { type_name: type_name::<T>(), noun: T::KIND.to_string(), names })
}

/// The schema of a page of records that are not stored.
pub fn records<R: JsonSchema>(generator: &mut SchemaGenerator) -> Value {
    let whole = generator.subschema_for::<R>().to_value();
    let names = R::json_schema(generator).to_value();
    let names = names.get("properties").and_then(Value::as_object).cloned().unwrap_or_default();
    let names = names.into_iter().map(|(name, _)| (name, json!({}))).collect();
    let (type_name, noun) = (R::schema_name().into_owned(), "record".to_owned());
    page(generator, whole, PageFields { type_name, noun, names })
}

/// The names of what a page lists, and the fields to which it can be trimmed.
struct PageFields {
    type_name: String,
    noun: String,
    names: Map<String, Value>,
}

/// A page of objects, whole or trimmed to some of their fields.
fn page(generator: &mut SchemaGenerator, whole: Value, of: PageFields) -> Value {
    let PageFields { type_name, noun, names } = of;
    let trimmed = json!({
        "type": "object",
        "description": format!("A {noun} trimmed to the fields that `fields` named."),
        "properties": names,
        "additionalProperties": false,
    });
    let trimmed = define(generator, format!("{type_name}Fields"), trimmed);
    let about_commit = "The commit that the page was read at.";
    let schema = json!({
        "type": "object",
        "properties": {
            "items": {"type": "array", "items": {"anyOf": [whole, trimmed]}},
            "next": {"type": ["string", "null"], "description": "The `cursor` of the next page."},
            "total": {"type": "integer", "minimum": 0, "description": "Objects that pass the filters."},
            "commit": {"type": "integer", "minimum": 0, "description": about_commit},
            "epoch": {"type": "string", "format": "uuid", "description": "The epoch of `commit`."},
        },
        "required": ["items", "next", "total", "commit", "epoch"],
        "additionalProperties": false,
    });
    define(generator, format!("{type_name}List"), schema)
}

/// The schema of any JSON object.
pub fn any_object(_: &mut SchemaGenerator) -> Value {
    json!({"type": "object"})
}

/// RFC 6901 section 3.
const JSON_POINTER: &str = "^(/([^~/]|~[01])*)*$";

/// A JSON Patch (RFC 6902).
pub fn json_patch(generator: &mut SchemaGenerator) -> Value {
    let schema = json!({
        "type": "array",
        "maxItems": crate::objects::patch::OPERATIONS_MAX,
        "items": {
            "type": "object",
            "properties": {
                "op": {"enum": ["add", "remove", "replace", "move", "copy", "test"]},
                "path": {"type": "string", "pattern": JSON_POINTER},
                "from": {"type": "string", "pattern": JSON_POINTER},
                "value": {},
            },
            "required": ["op", "path"],
            "oneOf": [
                {"properties": {"op": {"enum": ["add", "replace", "test"]}}, "required": ["value"]},
                {"properties": {"op": {"enum": ["move", "copy"]}}, "required": ["from"]},
                {"properties": {"op": {"const": "remove"}, "path": {"minLength": 1}}},
            ],
        },
    });
    define(generator, "JsonPatch".to_owned(), schema)
}

/// Plain text.
pub fn text(_: &mut SchemaGenerator) -> Value {
    json!({"type": "string"})
}

/// Adds a schema to the components.
pub fn define(generator: &mut SchemaGenerator, name: String, schema: Value) -> Value {
    let reference = json!({"$ref": format!("{COMPONENTS}{name}")});
    generator.definitions_mut().insert(name, schema);
    reference
}

fn type_name<T: NounRules>() -> String {
    let word = T::KIND.as_str();
    word.chars().take(1).map(|first| first.to_ascii_uppercase()).chain(word.chars().skip(1)).collect()
}

/// The fields that a writer sets, as an object schema of their own.
fn fields<T: NounRules>(generator: &mut SchemaGenerator) -> Value {
    let mut schema = T::json_schema(generator).to_value();
    for hidden in T::HIDDEN {
        map_at(&mut schema, "properties").map(|properties| properties.remove(*hidden));
    }
    schema
}

fn map_at<'a>(schema: &'a mut Value, keyword: &str) -> Option<&'a mut Map<String, Value>> {
    schema.get_mut(keyword)?.as_object_mut()
}

fn shown_params() -> Value {
    json!({
        "type": "object",
        "description": "Values of params. Secret values are shown as `{\"sealed\": true}`.",
        "additionalProperties": true,
    })
}

/// Labels as they are written. Labels that are older than a bound are read as they are.
fn labels_input() -> Value {
    json!({
        "type": ["object", "null"],
        "description": "Keys are `[PREFIX/]NAME` as in Kubernetes.",
        "maxProperties": LABELS_MAX,
        "propertyNames": {
            "pattern": LABEL_KEY,
            "maxLength": LABEL_PREFIX_BYTES_MAX + 1 + LABEL_NAME_BYTES_MAX,
        },
        "additionalProperties": {
            "type": "string", "maxLength": LABEL_VALUE_BYTES_MAX,
            "pattern": "^[^\\u0000-\\u001f\\u007f-\\u009f]*$",
        },
    })
}

/// What the keys of labels look like, as `bounds` checks them.
const LABEL_KEY: &str =
    "^([A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?/)?[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$";

const SOURCE: &str = "`site`, `pack NAME@VERSION` for a read-only object of a pack, or \
                      `pack NAME@VERSION + site` if overrides change it.";

/// The fields that every object has besides its own.
fn ours<T: NounRules>(generator: &mut SchemaGenerator) -> Vec<(String, Value)> {
    let problem = of::<Problem>(generator);
    let about_revision = "Counts the writes of the fields and labels; it is the ETag.";
    let about_time = "When `revision` last changed.";
    let mut ours = vec![
        (
            "problems",
            json!({"type": "array", "items": problem, "description": "Why it cannot be used at present."}),
        ),
        ("labels", json!({"type": "object", "additionalProperties": {"type": "string"}})),
        ("source", json!({"type": "string", "description": SOURCE})),
        ("revision", json!({"type": "integer", "minimum": 1, "description": about_revision})),
        (
            "commit",
            json!({"type": "integer", "minimum": 1, "description": "The commit that wrote the object last."}),
        ),
        ("created_at", json!({"type": "string", "format": "date-time"})),
        ("updated_at", json!({"type": "string", "format": "date-time", "description": about_time})),
    ];
    if T::KIND.is_of_packs() {
        let about = "The packs whose object with this name it stands in place of.";
        ours.push(("hides", json!({"type": "array", "items": {"type": "string"}, "description": about})));
    }
    if T::KIND.row().has_id {
        ours.push(("id", json!({"type": "string", "format": "uuid"})));
    }
    if T::HAS_STATUS {
        ours.push(("status", of::<T::Status>(generator)));
        let about = "Counts the writes of `status` alone, without the fields and labels.";
        ours.push(("status_revision", json!({"type": "integer", "minimum": 0, "description": about})));
        let about = "When `status_revision` last changed.";
        let time = json!({"type": ["string", "null"], "format": "date-time", "description": about});
        ours.push(("status_updated_at", time));
    }
    ours.into_iter().map(|(name, schema)| (name.to_owned(), schema)).collect()
}
