//! The table of events for readers: the JSON Schema of an event, and `docs/operating/events.md`.

use std::borrow::Cow;
use std::fmt::Write as _;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::{Map, Value, json};

use super::{EVENT_ROWS, Event, EventKind, EventRow, SERVER, written_nouns};
use crate::model::Kind;

/// How deep the description of a field goes into its types.
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
                "data": {"type": "object", "required": ["damaged"]},
            },
        }));
        shapes.push(json!({
            "description": "A kind of another version of the server, as it was written.",
            "properties": {"kind": {"not": {"enum": known}}},
        }));
        let text = |about: &str| json!({"type": "string", "description": about});
        let schema = json!({
            "description": "Something that happened. One of an older version may have other fields in `data`.",
            "type": "object",
            "properties": {
                "seq": {"type": "integer", "minimum": 0, "description":
                    "One more than the event before it; readers resume from it."},
                "time": {"type": "string", "format": "date-time"},
                "kind": text("What happened: `<area>.<what>`."),
                "subject": text("What it is about: `machine:0192…`, `subnet:lan`, `server`."),
                "actor": text("Who did it: `token:admin`, `machine:0192…`, `server`."),
                "attempt": {"type": ["string", "null"], "format": "uuid", "description":
                    "The boot attempt it belongs to."},
                "data": {"description": "The fields of its kind."},
            },
            "required": ["seq", "time", "kind", "subject", "actor", "data"],
            "additionalProperties": false,
            "oneOf": shapes,
        });
        schema.try_into().unwrap_or_default()
    }
}

/// What an event of a row looks like: its kind, its subject, its data.
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

/// The page of the documentation that has all kinds, made from the table.
pub fn event_kinds_markdown() -> String {
    let mut page = INTRODUCTION.to_owned();
    let mut generator = SchemaGenerator::default();
    let schemas: Vec<Value> = EVENT_ROWS.iter().map(|row| (row.schema)(&mut generator).to_value()).collect();
    let types = Types(generator.take_definitions(true));
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
        write_row(&mut page, row, (schema, &types));
    }
    page
}

const INTRODUCTION: &str = "\
# Events

<!-- Made by `metalwright events kinds -o markdown`. Change src/model/event/kinds.rs instead. -->

An event says what happened, when (`time`, in UTC), about what (`subject`) and who did it (`actor`). It never
changes. `metalwright events list` and `metalwright events watch` show events, `GET /api/v1/events` and
`GET /api/v1/events/stream` give them to programs. `seq` counts all events; a reader that stopped goes on after
the last number that it saw. An event that belongs to a boot of a machine has the id of the boot attempt in
`attempt`. The fields of this page stand in `data`.

To see fewer events, filter: `--kind run.failed`, `--kind 'machine.*'`, `--subject machine:web1`
(`?kind=…&subject=…`). A kind that does not exist is refused, and the answer names kinds that are near.

A token needs the scope `events:read` to read events, and sees only those about objects that it may read: an
event about a machine needs `machines:read` as well, one about a lease `leases:read`, and so on. Events about
the server itself or about a pack need nothing else. The tables below name what each kind can be about. A token
with `*:read` or `*` sees all events. The timeline of a machine needs `machines:read` alone, and leaves out
events about other objects that the token may not read.

An event of an older or newer version of the server may have a kind or fields that are not on this page. It is
shown as it was written. One that cannot be read any more has `{\"damaged\": WHY}` as its data.
";

fn write_row(page: &mut String, row: &EventRow, (schema, types): (&Value, &Types)) {
    let about: Vec<String> = row.about.iter().map(|about| about_text(about)).collect();
    // Writing to a string does not fail.
    let _ = write!(page, "\n### `{}`\n\n{}\n\nAbout: {}\n", row.name, row.meaning.trim(), about.join(", "));
    for (title, fields) in types.shapes(schema) {
        if !title.is_empty() {
            let _ = write!(page, "\n{title}\n");
        }
        if fields.is_empty() {
            continue;
        }
        page.push_str("\n| field | type | meaning |\n|---|---|---|\n");
        for (name, of, meaning) in fields {
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
        let name = schema.get("$ref").and_then(Value::as_str).and_then(|place| place.rsplit('/').next());
        name.and_then(|name| self.0.get(name)).unwrap_or(schema)
    }

    /// The shapes that the data can have, each with a title and its fields: name, type, meaning.
    fn shapes(&self, schema: &Value) -> Vec<(String, Vec<(String, String, String)>)> {
        let schema = self.resolve(schema);
        let variants = ["oneOf", "anyOf"].iter().find_map(|word| schema.get(word)?.as_array());
        match variants {
            Some(variants) => {
                variants.iter().map(|variant| (meaning(variant), self.fields(variant))).collect()
            }
            None => vec![(String::new(), self.fields(schema))],
        }
    }

    fn fields(&self, schema: &Value) -> Vec<(String, String, String)> {
        let schema = self.resolve(schema);
        let fields = schema.get("properties").and_then(Value::as_object);
        let required =
            schema.get("required").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let told = fields.into_iter().flatten().map(|(name, field)| {
            let is_required = required.iter().any(|known| known.as_str() == Some(name));
            let of = self.type_of(field, TYPE_DEPTH_MAX);
            let optional = if is_required || of.contains("null") { "" } else { ", may be absent" };
            (name.clone(), format!("{of}{optional}"), meaning(field))
        });
        told.collect()
    }

    /// A type in words.
    fn type_of(&self, schema: &Value, depth: usize) -> String {
        let meant = self.resolve(schema);
        if depth == 0 {
            return "object".to_owned();
        }
        if let Some(word) = meant.get("const") {
            return format!("`{}`", word.as_str().unwrap_or_default());
        }
        if let Some(words) = meant.get("enum").and_then(Value::as_array) {
            return join(words.iter().filter_map(Value::as_str).map(|word| format!("`{word}`")));
        }
        if let Some(variants) = ["oneOf", "anyOf"].iter().find_map(|word| meant.get(word)?.as_array()) {
            return join(variants.iter().map(|variant| self.type_of(variant, depth - 1)));
        }
        let format = meant.get("format").and_then(Value::as_str).map(|format| match format {
            "date-time" => "time",
            "uuid" => "UUID",
            "ipv4" => "IPv4 address",
            "ip" => "IP address",
            _ => "",
        });
        let named = |word: &str| match (word, format) {
            ("string", Some(format)) if !format.is_empty() => format.to_owned(),
            ("array", _) => {
                let item = meant.get("items").map(|items| self.type_of(items, depth - 1));
                format!("list of {}", item.unwrap_or_else(|| "any".to_owned()))
            }
            _ => word.to_owned(),
        };
        match meant.get("type") {
            Some(Value::String(word)) => named(word),
            Some(Value::Array(words)) => join(words.iter().filter_map(Value::as_str).map(named)),
            _ => "any".to_owned(),
        }
    }
}

/// `a, b or c`, each once.
fn join(words: impl Iterator<Item = String>) -> String {
    let mut all: Vec<String> = Vec::new();
    for word in words {
        if !all.contains(&word) {
            all.push(word);
        }
    }
    match all.pop() {
        Some(last) if all.is_empty() => last,
        Some(last) => format!("{} or {last}", all.join(", ")),
        None => String::new(),
    }
}

fn meaning(schema: &Value) -> String {
    let text = schema.get("description").and_then(Value::as_str).unwrap_or_default();
    text.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|")
}
