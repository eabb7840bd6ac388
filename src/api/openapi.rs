//! The OpenAPI 3.1 document, made from the registry: the same text every time.

use serde_json::{Map, Value, json};

use super::error::{Details, PROBLEM_JSON};
use super::operation::{Content, Operation, Reply};
use super::resources::operations;
use super::schema;
use crate::app::auth::Need;

/// The document as YAML, as it is served and as it stands in the repository.
pub fn openapi() -> String {
    let document = sorted(document());
    serde_saphyr::to_string(&document).unwrap_or_default()
}

/// The document as a value.
fn document() -> Value {
    let mut generator = schema::generator();
    let problem = schema::of::<Details>(&mut generator);
    let mut paths: Map<String, Value> = Map::new();
    let mut tags: Vec<&str> = Vec::new();
    for operation in operations() {
        if !tags.contains(&operation.tag) {
            tags.push(operation.tag);
        }
        let entry = describe(&operation, &mut generator, &problem);
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
        "tags": tags.into_iter().map(|name| json!({"name": name})).collect::<Vec<_>>(),
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer", "description": ABOUT_TOKENS}},
        },
    })
}

const ABOUT: &str = "Boot provisioner: machines, what they boot and install, and what happened. \
    `{ref}` is an object's key, or `index:value` such as `name:web1` or `mac:52:54:00:aa:00:01`. \
    Lists take any field as a filter, with an operator in brackets: `?name=web*`, `?status.state[ne]=failed`, \
    `?param.rack=a1`, `?label.role=db`; the operators are eq, ne, in, nin, gt, gte, lt, lte, like and exists. \
    A write may carry `If-Match` with the revision that it means to change.";

const ABOUT_TOKENS: &str = "A token with the scope that the operation names, as `x-scope`.";

/// Statuses that any operation may refuse with.
const COMMON: [u16; 2] = [500, 503];

fn describe(operation: &Operation, generator: &mut schemars::SchemaGenerator, problem: &Value) -> Value {
    let mut responses = Map::new();
    for reply in &operation.replies {
        responses.insert(reply.status.to_string(), describe_reply(reply, generator));
    }
    for status in refusals(operation) {
        responses.entry(status.to_string()).or_insert_with(
            || json!({"description": reason(status), "content": {PROBLEM_JSON: {"schema": problem}}}),
        );
    }
    let mut entry = json!({
        "operationId": operation.id,
        "summary": operation.summary,
        "tags": [operation.tag],
        "parameters": parameters(operation),
        "responses": responses,
        "security": if operation.need == Need::Nothing { json!([]) } else { json!([{"token": []}]) },
    });
    let Some(fields) = entry.as_object_mut() else { return entry };
    if let Some(scope) = operation.need.scope() {
        fields.insert("x-scope".to_owned(), json!(scope));
    }
    if !operation.takes.is_empty() {
        let content = content(&operation.takes, generator);
        fields.insert("requestBody".to_owned(), json!({"required": true, "content": content}));
    }
    entry
}

fn refusals(operation: &Operation) -> Vec<u16> {
    let signed_in = [(operation.need != Need::Nothing).then_some(401), operation.need.scope().map(|_| 403)];
    let asked = (operation.need != Need::Nothing).then_some(400);
    let own = operation.refusals.iter().copied();
    own.chain(signed_in.into_iter().flatten()).chain(asked).chain(COMMON).collect()
}

fn reason(status: u16) -> &'static str {
    match status {
        400 => "The request cannot be understood.",
        401 => "No valid token.",
        403 => "The token lacks the scope.",
        404 => "There is no such object.",
        409 => "It cannot be done as things are: taken, in use, locked.",
        412 => "The object has another revision than `If-Match` says.",
        413 => "The body is too large.",
        415 => "The body has a type that is not taken here.",
        422 => "What was sent is at fault; every fault is listed.",
        503 => "Not now; try again.",
        _ => "Something of ours failed.",
    }
}

fn describe_reply(reply: &Reply, generator: &mut schemars::SchemaGenerator) -> Value {
    let mut entry = json!({"description": reply.about});
    if let (Some(content_of), Some(fields)) = (reply.content, entry.as_object_mut()) {
        fields.insert("content".to_owned(), content(&[content_of], generator));
    }
    entry
}

fn content(contents: &[Content], generator: &mut schemars::SchemaGenerator) -> Value {
    contents
        .iter()
        .map(|content| (content.media.to_owned(), json!({"schema": (content.schema)(generator)})))
        .collect::<Map<String, Value>>()
        .into()
}

fn parameters(operation: &Operation) -> Vec<Value> {
    let path = operation.path_parameters().map(|name| {
        let about = match name {
            "ref" => "The object's key, or `index:value`.",
            _ => "",
        };
        json!({"name": name, "in": "path", "required": true, "description": about, "schema": {"type": "string"}})
    });
    let query = operation.query.iter().map(|parameter| {
        let (name, about) = (parameter.name, parameter.about);
        json!({"name": name, "in": "query", "description": about, "schema": parameter.schema})
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

/// With keys in order, whatever the JSON library keeps.
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
