//! Checks every response against `openapi.yaml`: the operation is described, the status is one of its
//! statuses, and the body has the schema of that status. Start at [`check`].

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Mutex, OnceLock, PoisonError};

use jsonschema::Validator;
use metalwright::model::{EventKind, RefusalCode};
use rusqlite::{Connection, OpenFlags};
use serde_json::{Value, json};

use crate::api::Reply;

struct Contract {
    document: Value,
    validators: Mutex<HashMap<String, Option<&'static Validator>>>,
}

/// The committed description of the API.
pub fn document() -> &'static Value {
    &contract().document
}

/// Panics when a refusal has no code of the table, or another status than its code.
fn check_code(reply: &Reply) {
    if !reply.header("content-type").starts_with("application/problem+json") || reply.body.is_null() {
        return;
    }
    let code = RefusalCode::parse(reply.body["code"].as_str().unwrap_or_default());
    let status = code.unwrap_or_else(|| panic!("a refusal without a code: {:#}", reply.body)).row().status;
    assert_eq!(status, Some(reply.status), "the code has another status: {:#}", reply.body);
}

/// Panics if `reply` is not a described answer to `method path`.
pub fn check(method: &str, path: &str, reply: &Reply) {
    check_code(reply);
    let path = path.split('?').next().unwrap_or(path);
    let method = method.to_lowercase();
    if path == "/" || path == "/console" || path.starts_with("/console/") {
        // The console's files are no operations.
        return;
    }
    let Some((template, operation)) = operation(path, &method) else {
        assert!(matches!(reply.status, 404 | 405), "{method} {path} is not in openapi.yaml: {reply:?}");
        return;
    };
    let status = reply.status.to_string();
    let responses = &operation["responses"];
    let described = [status.as_str(), "default"].into_iter().find(|key| responses.get(key).is_some());
    let key =
        described.unwrap_or_else(|| panic!("{method} {template} may not answer {status}: {:#}", reply.body));
    let media_type = reply.header("content-type").split(';').next().unwrap_or_default().trim().to_owned();
    let response = resolved(&responses[key]);
    let Some(content) = response.get("content") else { return };
    let media = content.get(&media_type);
    let media = media.unwrap_or_else(|| panic!("{method} {template} {status} may not be {media_type:?}"));
    let name = format!("{method} {template} {key} {media_type}");
    let Some(validator) = contract().validator(name.clone(), media.get("schema")) else { return };
    let faults: Vec<String> = validator
        .iter_errors(&reply.body)
        .map(|fault| format!("{}: {fault}", fault.instance_path()))
        .collect();
    assert!(faults.is_empty(), "{name} against openapi.yaml:\n{}\n{:#}", faults.join("\n"), reply.body);
}

/// Panics if an event has an undescribed kind, or other fields than its kind.
pub fn check_event(event: &Value) {
    let kind = event["kind"].as_str().unwrap_or_default();
    assert!(EventKind::parse(kind).is_some(), "no event of this kind is described: {event:#}");
    let schema = json!({"$ref": "#/components/schemas/Event"});
    let Some(validator) = contract().validator("event".to_owned(), Some(&schema)) else { return };
    let shape = validator.iter_errors(event).next();
    assert!(shape.is_none(), "the event does not fit openapi.yaml: {}\n{event:#}", shape.unwrap());
}

/// Most events of one server that are checked.
const STORED_EVENTS_MAX: u32 = 500;

/// Panics if one of the newest events of a database is not as described. Rows that a test damaged, and
/// deleted databases, are skipped.
pub fn check_stored_events(database: &Path) {
    let Ok(database) = Connection::open_with_flags(database, OpenFlags::SQLITE_OPEN_READ_ONLY) else {
        return;
    };
    let newest = "SELECT seq, kind, subject, actor, data FROM event ORDER BY seq DESC LIMIT ?1";
    let Ok(mut rows) = database.prepare(newest) else { return };
    let event = |row: &rusqlite::Row<'_>| {
        let (seq, data): (i64, String) = (row.get("seq")?, row.get("data")?);
        let text = |column| row.get::<_, String>(column);
        let data: Option<Value> = serde_json::from_str(&data).ok();
        let header = json!({"seq": seq, "time": "2026-01-02T03:04:05Z", "kind": text("kind")?,
                            "subject": text("subject")?, "actor": text("actor")?});
        Ok(data.map(|data| {
            let mut event = header;
            event["data"] = data;
            event
        }))
    };
    let Ok(events) = rows.query_map([STORED_EVENTS_MAX], event) else { return };
    events.filter_map(|event| event.ok().flatten()).for_each(|event| check_event(&event));
}

fn contract() -> &'static Contract {
    static CONTRACT: OnceLock<Contract> = OnceLock::new();
    CONTRACT.get_or_init(|| {
        let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/openapi.yaml"));
        let document = serde_saphyr::from_str(&text.expect("openapi.yaml")).expect("openapi.yaml is YAML");
        Contract { document, validators: Mutex::default() }
    })
}

impl Contract {
    fn validator(&self, name: String, schema: Option<&Value>) -> Option<&'static Validator> {
        let mut validators = self.validators.lock().unwrap_or_else(PoisonError::into_inner);
        *validators.entry(name).or_insert_with(|| {
            let whole = json!({ "allOf": [schema?], "components": self.document["components"] });
            let validator = jsonschema::draft202012::new(&whole).expect("a schema of openapi.yaml");
            Some(Box::leak(Box::new(validator)))
        })
    }
}

/// The operation and its path as described; a described word takes precedence over a `{parameter}`.
fn operation(path: &str, method: &str) -> Option<(&'static str, &'static Value)> {
    let paths = document()["paths"].as_object().expect("paths in openapi.yaml");
    let matching =
        paths.iter().filter(|(template, item)| matches(template, path) && item.get(method).is_some());
    let (template, item) = matching.min_by_key(|(template, _)| template.matches('{').count())?;
    Some((template, &item[method]))
}

fn matches(template: &str, path: &str) -> bool {
    let (wanted, given) = (template.split('/'), path.split('/'));
    let same_length = template.matches('/').count() == path.matches('/').count();
    same_length && wanted.zip(given).all(|(wanted, given)| wanted.starts_with('{') || wanted == given)
}

fn resolved(value: &'static Value) -> &'static Value {
    let Some(reference) = value.get("$ref").and_then(Value::as_str) else { return value };
    document().pointer(reference.trim_start_matches('#')).expect("what a $ref of openapi.yaml names")
}
