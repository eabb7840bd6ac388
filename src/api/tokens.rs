//! Creates tokens: the only time that the text of a token is shown.

use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use schemars::SchemaGenerator;
use serde_json::{Value, json};

use super::ApiState;
use super::body;
use super::error::ApiError;
use super::operation::Operation;
use super::resources::ROOT;
use super::schema;
use crate::kernel::Caller;
use crate::kernel::scope::RequiredScope;
use crate::model::Token;

pub fn operations() -> Vec<Operation> {
    let create = Operation::post(format!("{ROOT}/tokens"), "create_token")
        .tag("tokens")
        .summary("Create a token; its text is in this answer and nowhere else")
        .needs(RequiredScope::Write("tokens"))
        .takes(schema::input::<Token>)
        .answers(201, "Created, with its text as `token`.", new_token)
        .refuses(&[400, 409, 413, 415, 422])
        .runs(create);
    vec![create]
}

fn new_token(generator: &mut SchemaGenerator) -> Value {
    let reference = schema::view::<Token>(generator);
    let whole = generator.definitions().get("Token").cloned().unwrap_or(reference);
    let mut schema = whole;
    if let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) {
        properties.insert("token".to_owned(), json!({"type": "string", "description": "Shown only once."}));
    }
    if let Some(required) = schema.get_mut("required").and_then(Value::as_array_mut) {
        required.push(json!("token"));
    }
    schema::define(generator, "NewToken".to_owned(), schema)
}

async fn create(
    State(state): State<ApiState>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let sent = body::read_json(&headers, body).await?;
    let mut made = state.houses.access.create_token(&caller, sent).await?;
    if let Some(fields) = made.view.body.as_object_mut() {
        fields.insert("token".to_owned(), json!(made.secret));
    }
    Ok(body::created(&format!("{ROOT}/tokens"), &made.view))
}
