//! The OpenAPI 3.1 document, made from the registry; it is the same text every time.

use serde_json::{Map, Value, json};

use super::body::JSON;
use super::error::{PROBLEM_JSON, ProblemDetails};
use super::operation::{BodyContent, Operation, QueryParameter, QueryPlace, SuccessReply, text};
use super::resources::operations;
use super::{schema, session_cookie};
use crate::kernel::scope::RequiredScope;
use crate::model::{Kind, bound_integers};

/// The parts of the document, in order.
const PARTS: [&str; 6] = ["openapi", "info", "servers", "tags", "paths", "components"];

/// The document as YAML, as it is served and stored in the repository.
pub fn openapi() -> String {
    let mut document = document();
    bound_integers(&mut document);
    let document = sorted(document);
    PARTS
        .map(|name: &str| {
            let value = document.get(name).cloned().unwrap_or_default();
            serde_saphyr::to_string(&json!({name: value})).unwrap_or_default()
        })
        .concat()
}

/// The document as a value.
fn document() -> Value {
    let mut generator = schema::generator();
    let refusals = refusal_bodies(&mut generator);
    let mut paths: Map<String, Value> = Map::new();
    let mut tags: Vec<&str> = Vec::new();
    for operation in operations() {
        if !tags.contains(&operation.tag) {
            tags.push(operation.tag);
        }
        let entry = describe(&operation, &mut generator);
        let path = paths.entry(operation.path.clone()).or_insert_with(|| json!({}));
        if let Some(methods) = path.as_object_mut() {
            methods.insert(operation.method.as_str().to_ascii_lowercase(), entry);
        }
    }
    let schemas: Map<String, Value> = generator.take_definitions(true).into_iter().collect();
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Metalwright",
            "description": ABOUT,
            "version": env!("CARGO_PKG_VERSION"),
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "tags": tags.into_iter().map(describe_tag).collect::<Vec<_>>(),
        "paths": paths,
        "components": {
            "schemas": schemas,
            "responses": refusals,
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer", "description": ABOUT_TOKENS},
                "session": {"type": "apiKey", "in": "cookie", "name": session_cookie::NAME,
                    "description": ABOUT_SESSIONS},
            },
        },
    })
}

/// The tag of a noun with its description, or of another part of the API.
fn describe_tag(name: &str) -> Value {
    match Kind::ALL.into_iter().find(|kind| kind.plural() == name) {
        Some(kind) => json!({"name": name, "description": format!("{}.", kind.row().about)}),
        None => json!({"name": name}),
    }
}

const ABOUT: &str = "Boot provisioner: machines, what they boot and install, and what happened. \
    `{ref}` is an object's key, or `index:value` such as `name:web1` or `mac:52:54:00:aa:00:01`. \
    Lists take any field as a filter, with an operator in brackets: `?name=web*`, \
    `?status.state[ne]=failed`, `?param.rack=a1`, `?label.role=db`; the operators are eq, ne, in, nin, \
    gt, gte, lt, lte, like and exists. \
    A write may carry `If-Match` with the revision that it means to change. \
    Every answer to a GET has the headers `Metalwright-Commit` and `Metalwright-Epoch`: who has read it has \
    seen every write up to that commit, and `GET /api/v1/changes` says what was written since.";

const ABOUT_TOKENS: &str = "A token with the scope that the operation names, as `x-scope`.";
const ABOUT_SESSIONS: &str = "The session of a browser, which `POST /api/v1/session` begins. The cookie \
    counts only in requests of pages of this server, and not beside an `Authorization` header.";

/// Statuses that any operation may refuse with.
const COMMON: [u16; 2] = [500, 503];

/// Statuses of refusals, each with its response among the components.
const REFUSALS: [(u16, &str, &str); 14] = [
    (400, "BadRequest", "The request cannot be understood."),
    (401, "Unauthorized", "There is no valid token or session."),
    (403, "Forbidden", "The token lacks the scope, or the cookie is in a request of another page."),
    (404, "NotFound", "There is no such object."),
    (408, "TooSlow", "The body did not arrive in time."),
    (409, "Conflict", "It is not possible in the present state: taken, in use, locked."),
    (410, "ReadAgain", "The changes since then are no longer known: read everything again."),
    (412, "Stale", "The object has another revision than `If-Match` says."),
    (413, "TooLarge", "The body is too large."),
    (415, "WrongType", "The body has a media type that is not accepted here."),
    (422, "Invalid", "The input has faults; all of them are listed."),
    (429, "TooMuch", "More than may be written in so short a time; `Retry-After` says when to try again."),
    (500, "Failed", "Something in the server failed."),
    (503, "Busy", "Not now; try again."),
];

fn refusal_bodies(generator: &mut schemars::SchemaGenerator) -> Map<String, Value> {
    let problem = schema::of::<ProblemDetails>(generator);
    REFUSALS
        .iter()
        .map(|(_, name, about): &(u16, &str, &str)| {
            let body = json!({"description": about, "content": {PROBLEM_JSON: {"schema": problem}}});
            ((*name).to_owned(), body)
        })
        .collect()
}

fn refusal(status: u16) -> Value {
    let known = REFUSALS.iter().find(|(known, ..)| *known == status);
    let name = known.map_or("Failed", |(_, name, _)| name);
    json!({"$ref": format!("#/components/responses/{name}")})
}

fn describe(operation: &Operation, generator: &mut schemars::SchemaGenerator) -> Value {
    let mut responses = Map::new();
    for reply in &operation.replies {
        responses.insert(reply.status.to_string(), describe_reply(reply, generator));
    }
    for status in refusals(operation) {
        responses.entry(status.to_string()).or_insert_with(|| refusal(status));
    }
    let callers = match operation.need {
        RequiredScope::Nothing => json!([]),
        _ => json!([{"token": []}, {"session": []}]),
    };
    let mut entry = json!({
        "operationId": operation.id,
        "summary": operation.summary,
        "tags": [operation.tag],
        "parameters": parameters(operation),
        "responses": responses,
        "security": callers,
    });
    let Some(fields) = entry.as_object_mut() else { return entry };
    if !operation.description.is_empty() {
        fields.insert("description".to_owned(), json!(operation.description));
    }
    if let Some(scope) = operation.need.scope() {
        fields.insert("x-scope".to_owned(), json!(scope));
    }
    if !operation.takes.is_empty() {
        let content = content(&operation.takes, generator);
        let required = operation.takes.iter().any(|taken| is_needed(taken, generator));
        fields.insert("requestBody".to_owned(), json!({"required": required, "content": content}));
    }
    entry
}

/// Whether a body has to be sent. An empty one stands for `{}`, which is enough where no field is required.
fn is_needed(taken: &BodyContent, generator: &mut schemars::SchemaGenerator) -> bool {
    let schema = (taken.schema)(generator);
    let name = schema.get("$ref").and_then(Value::as_str).and_then(|text| text.rsplit('/').next());
    let of_fields = |schema: &Value| {
        ["required", "oneOf", "anyOf"].iter().any(|word| schema.get(word).is_some())
            || schema.get("properties").is_none()
    };
    let named = name.and_then(|name| generator.definitions().get(name));
    taken.media != JSON || of_fields(named.unwrap_or(&schema))
}

fn refusals(operation: &Operation) -> Vec<u16> {
    // A cookie in a request of another page is refused with 403, whatever the scope.
    let has_caller = operation.need != RequiredScope::Nothing;
    let of_callers: &[u16] = if has_caller { &[401, 403, 400] } else { &[] };
    let body = (!operation.takes.is_empty()).then_some(408);
    let own = operation.refusals.iter().copied().chain(body);
    own.chain(of_callers.iter().copied()).chain(COMMON).collect()
}

fn describe_reply(reply: &SuccessReply, generator: &mut schemars::SchemaGenerator) -> Value {
    let mut entry = json!({"description": reply.about});
    if let (Some(content_of), Some(fields)) = (reply.content, entry.as_object_mut()) {
        fields.insert("content".to_owned(), content(&[content_of], generator));
    }
    entry
}

fn content(contents: &[BodyContent], generator: &mut schemars::SchemaGenerator) -> Value {
    contents
        .iter()
        .map(|content| (content.media.to_owned(), json!({"schema": (content.schema)(generator)})))
        .collect::<Map<String, Value>>()
        .into()
}

fn parameters(operation: &Operation) -> Vec<Value> {
    let path = operation.path_parameters().map(|name| {
        let (schema, about) = match name {
            "ref" => operation.reference.clone(),
            _ => (text(), ""),
        };
        json!({"name": name, "in": "path", "required": true, "description": about, "schema": schema})
    });
    let query = operation.query.iter().map(|parameter| {
        let QueryParameter { name, about, schema, place } = parameter;
        let mut entry = json!({"name": name, "in": "query", "description": about, "schema": schema});
        match (place, entry.as_object_mut()) {
            (QueryPlace::Optional, _) | (_, None) => {}
            (QueryPlace::Required, Some(fields)) => drop(fields.insert("required".to_owned(), json!(true))),
            (QueryPlace::Spread, Some(fields)) => fields.extend([
                ("required".to_owned(), json!(true)),
                ("style".to_owned(), json!("form")),
                ("explode".to_owned(), json!(true)),
            ]),
        }
        entry
    });
    let filters = operation.filters.then(|| {
        json!({
            "name": "filter", "in": "query", "style": "form", "explode": true,
            "description": "Any field, with or without an operator: `name=web*`, `revision[gt]=3`.",
            "schema": {"type": "object", "additionalProperties": {"type": "string"}},
        })
    });
    path.chain(query).chain(filters).collect()
}

/// The value with sorted keys, whatever order the JSON library keeps.
fn sorted(value: Value) -> Value {
    match value {
        Value::Object(fields) => {
            let mut fields: Vec<(String, Value)> = fields.into_iter().collect();
            fields.sort_by(|(a, _), (b, _)| a.cmp(b));
            fields.into_iter().map(|(name, value)| (name, sorted(value))).collect::<Map<_, _>>().into()
        }
        Value::Array(items) => items.into_iter().map(sorted).collect(),
        other => other,
    }
}
