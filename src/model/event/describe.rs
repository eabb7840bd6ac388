//! The description of events for readers: the JSON Schema of an event, and `docs/operating/events.md`.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::{Map, Value, json};

use super::{EVENT_ROWS, Event, EventKind, EventRow, SERVER, written_nouns};
use crate::model::Kind;

/// How many levels of nested types the description of a field shows.
const TYPE_DEPTH_MAX: usize = 4;

impl JsonSchema for Event {
    fn schema_name() -> Cow<'static, str> {
        "Event".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mut shapes: Vec<Value> = EVENT_ROWS.iter().map(|row| shape(row, generator)).collect();
        let known: Vec<String> = EventKind::all().map(|kind| kind.to_string()).collect();
        shapes.push(json!({
            "description": "An event that was damaged in the database.",
            "properties": {
                "kind": {"enum": known},
                "data": {
                    "type": "object",
                    "required": ["damaged"],
                    "properties": {"damaged": {"type": "string"}},
                },
            },
        }));
        shapes.push(json!({
            "description": "An event of a kind that this version does not know, as it was written.",
            "properties": {"kind": {"not": {"enum": known}}},
        }));
        let text = |about: &str| json!({"type": "string", "description": about});
        let schema = json!({
            "description": "Something that happened. An event of an older version may have other fields \
                in `data`.",
            "type": "object",
            "properties": {
                "seq": {"type": "integer", "minimum": 0, "description":
                    "One more than the event before it; readers resume from it."},
                "time": {"type": "string", "format": "date-time"},
                "kind": text("What happened: `<area>.<what>`."),
                "subject": text("The object that it is about: `machine:0192…`, `subnet:lan`, `server`."),
                "actor": text("Who or what caused it: `token:admin`, `machine:0192…`, `server`."),
                "attempt": {"type": ["string", "null"], "format": "uuid", "description":
                    "The boot attempt that the event belongs to."},
                "request_id": {"type": "string", "description":
                    "The request of the API that brought it about; absent where none did."},
                "data": {"description": "The fields of the event's kind."},
            },
            "required": ["seq", "time", "kind", "subject", "actor", "data"],
            "additionalProperties": false,
            "oneOf": shapes,
        });
        schema.try_into().unwrap_or_default()
    }
}

/// The JSON Schema of a row's events: kind, subject, data.
fn shape(row: &EventRow, generator: &mut SchemaGenerator) -> Value {
    let kind = match row.name.strip_prefix('*') {
        Some(what) => {
            json!({"enum": written_nouns().map(|noun| format!("{noun}{what}")).collect::<Vec<_>>()})
        }
        None => json!({"const": row.name}),
    };
    let subjects: Vec<String> = row.about.iter().map(|about| subject_pattern(about)).collect();
    let data = (row.schema)(generator).to_value();
    json!({
        "description": row.meaning.trim(),
        "properties": {
            "kind": kind,
            "subject": {"pattern": subjects.join("|")},
            "data": data,
        },
    })
}

fn subject_pattern(about: &str) -> String {
    match about {
        SERVER => format!("^{SERVER}$"),
        "*" => "^[a-z_]+:".to_owned(),
        noun => format!("^{noun}:"),
    }
}

/// The page of the documentation that lists all kinds, generated from the table.
pub fn event_kinds_markdown() -> String {
    let mut page = INTRODUCTION.to_owned();
    let mut generator = SchemaGenerator::default();
    let schemas: Vec<Value> = EVENT_ROWS.iter().map(|row| (row.schema)(&mut generator).to_value()).collect();
    let types = Types(generator.take_definitions(true));
    let mut written = BTreeMap::new();
    let mut area = "";
    for (row, schema) in EVENT_ROWS.iter().zip(&schemas) {
        let own_area = row.name.split('.').next().unwrap_or_default();
        if own_area != area {
            area = own_area;
            let _ = write!(
                page,
                "\n## {}\n",
                if area == "*" { "Objects".to_owned() } else { format!("`{area}.*`") }
            );
        }
        write_row(&mut page, (row, schema), (&types, &mut written));
    }
    page
}

const INTRODUCTION: &str = "\
# Events

<!-- Made by `metalwright events kinds -o markdown`. Change src/model/event/kinds.rs instead. -->

An event says what happened, when (`time`, in UTC), about what (`subject`) and who did it (`actor`). It never
changes. `metalwright events list` and `metalwright events watch` show events, `GET /api/v1/events` and
`GET /api/v1/events/stream` give them to programs. `seq` counts all events; a reader that stopped goes on
after the last number that it saw. An event that belongs to a boot of a machine has the id of the boot
attempt in `attempt`. One that a request of the API brought about has the id of the request in `request_id`,
which stands in the answer and in the access log as well. The fields of this page stand in `data`.

To see fewer events, filter: `--kind run.failed`, `--kind 'machine.*'`, `--machine web1`,
`--subject subnet:lan`, `--since -1h` (`?kind=…&machine=…&since=-1h`), `--request-id ID` (`?request_id=…`). A
kind or a machine that does not exist is refused, and the answer names what is near.

A token needs the scope `events:read` to read events, and sees only those about objects that it may read: an
event about a machine needs `machines:read` as well, one about a lease `leases:read`, and so on. Events about
the server itself need nothing else. The tables below name what each kind can be about. A
token with `*:read` or `*` sees all events. The timeline of a machine needs `machines:read` alone, and
leaves out events about other objects that the token may not read.

An event of an older or newer version of the server may have a kind or fields that are not on this page. It is
shown as it was written. One that cannot be read any more has `{\"damaged\": WHY}` as its data.
";

/// Writes the section of a row. A list of fields that several kinds share is written once; `written` says
/// where.
fn write_row(
    page: &mut String,
    (row, schema): (&'static EventRow, &Value),
    (types, written): (&Types, &mut BTreeMap<String, &'static str>),
) {
    let about: Vec<String> = row.about.iter().map(|about| about_text(about)).collect();
    // Writing to a string cannot fail.
    let _ = write!(page, "\n### `{}`\n\n{}\n\nAbout: {}\n", row.name, row.meaning.trim(), about.join(", "));
    for shape in types.shapes(schema) {
        if !shape.title.is_empty() {
            let _ = write!(page, "\n{}\n", shape.title);
        }
        if shape.fields.is_empty() {
            continue;
        }
        if let Some(name) = shape.name {
            let first = written.entry(name).or_insert(row.name);
            if *first != row.name {
                let _ = write!(page, "\nFields: those of `{first}`.\n");
                continue;
            }
        }
        page.push_str("\n| field | type | meaning |\n|---|---|---|\n");
        for FieldText { name, of, meaning } in shape.fields {
            let _ = writeln!(page, "| `{name}` | {of} | {meaning} |");
        }
    }
}

fn about_text(about: &str) -> String {
    let scope = Kind::ALL.into_iter().find(|noun| noun.as_str() == about);
    match (about, scope) {
        ("*", _) => "any object that clients write (scope `<plural>:read`)".to_owned(),
        (_, Some(noun)) => format!("{about} (scope `{}:read`)", noun.plural()),
        (_, None) => about.to_owned(),
    }
}

/// The named types that fields refer to.
struct Types(Map<String, Value>);

impl Types {
    fn resolve<'a>(&'a self, schema: &'a Value) -> &'a Value {
        type_name(schema).and_then(|name| self.0.get(name)).unwrap_or(schema)
    }

    /// The shapes that the data of a kind can have.
    fn shapes(&self, schema: &Value) -> Vec<Shape> {
        let own = [schema];
        let variants = variants(self.resolve(schema));
        let shapes = variants.map_or(own.to_vec(), |variants| variants.iter().collect());
        let is_one = variants.is_none();
        shapes
            .into_iter()
            .map(|schema| Shape {
                title: if is_one { String::new() } else { meaning(schema) },
                name: type_name(schema).map(str::to_owned),
                fields: self.fields(schema),
            })
            .collect()
    }

    fn fields(&self, schema: &Value) -> Vec<FieldText> {
        let schema = self.resolve(schema);
        let fields = schema.get("properties").and_then(Value::as_object);
        let required =
            schema.get("required").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let told = fields.into_iter().flatten().map(|(name, field)| {
            let is_required = required.iter().any(|known| known.as_str() == Some(name));
            let of = self.types_of(field, TYPE_DEPTH_MAX);
            let optional = if is_required || of.contains("null") { "" } else { ", may be absent" };
            let of = format!("{}{optional}", of.into_iter().collect::<Vec<_>>().join(", "));
            FieldText { name: name.clone(), of, meaning: meaning(field) }
        });
        told.collect()
    }

    /// The types that a field can have, in words.
    fn types_of(&self, schema: &Value, depth: usize) -> BTreeSet<String> {
        let meant = self.resolve(schema);
        let one = |word: String| BTreeSet::from([word]);
        if depth == 0 {
            return one("object".to_owned());
        }
        if let Some(word) = meant.get("const") {
            return one(format!("`{}`", word.as_str().unwrap_or_default()));
        }
        if let Some(words) = meant.get("enum").and_then(Value::as_array) {
            return words.iter().filter_map(Value::as_str).map(|word| format!("`{word}`")).collect();
        }
        if let Some(variants) = variants(meant) {
            return variants.iter().flat_map(|variant| self.types_of(variant, depth - 1)).collect();
        }
        match meant.get("type") {
            Some(Value::String(word)) => one(self.named(word, (meant, depth))),
            Some(Value::Array(words)) => {
                words.iter().filter_map(Value::as_str).map(|word| self.named(word, (meant, depth))).collect()
            }
            _ => one("any".to_owned()),
        }
    }

    /// A plain type in words, by its format or by its items.
    fn named(&self, word: &str, (schema, depth): (&Value, usize)) -> String {
        let format = schema.get("format").and_then(Value::as_str).unwrap_or_default();
        match (word, format) {
            ("string", "date-time") => "time".to_owned(),
            ("string", "uuid") => "UUID".to_owned(),
            ("string", "ipv4") => "IPv4 address".to_owned(),
            ("string", "ip") => "IP address".to_owned(),
            ("array", _) => {
                let items = schema.get("items").map(|items| self.types_of(items, depth - 1));
                let items: Vec<String> = items.unwrap_or_default().into_iter().collect();
                format!("list of {}", items.join(", "))
            }
            _ => word.to_owned(),
        }
    }
}

/// One shape of the data of an event.
struct Shape {
    /// The shape's description, if there are several shapes.
    title: String,
    /// The name of the shape's type.
    name: Option<String>,
    fields: Vec<FieldText>,
}

/// The description of a field, in words.
struct FieldText {
    name: String,
    of: String,
    meaning: String,
}

/// The alternative schemas of a schema.
fn variants(schema: &Value) -> Option<&Vec<Value>> {
    ["oneOf", "anyOf"].iter().find_map(|word| schema.get(word)?.as_array())
}

/// The name of the type that a schema refers to.
fn type_name(schema: &Value) -> Option<&str> {
    schema.get("$ref")?.as_str()?.rsplit('/').next()
}

fn meaning(schema: &Value) -> String {
    let text = schema.get("description").and_then(Value::as_str).unwrap_or_default();
    text.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|")
}
