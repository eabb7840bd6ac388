//! Health, readiness, metrics, and the OpenAPI document.

use std::sync::LazyLock;
use std::sync::atomic::Ordering;

use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::error::ApiError;
use super::operation::{BodyContent, Operation};
use super::{ApiState, body, schema};
use crate::kernel::EventQuery;
use crate::kernel::scope::RequiredScope;
use crate::model::RefusalCode;

/// The state of the server.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct ServerHealth {
    /// `ok`, or `degraded` if a render worker was lost recently, a row of the database cannot be read, or
    /// secret values do not open: everything else is served, but an operator should look.
    pub status: String,
    /// Warnings for an operator although the server works, for example about another DHCP server.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

pub fn operations() -> Vec<Operation> {
    let ok = Operation::get("/healthz", "health")
        .summary("Whether the server runs")
        .needs(RequiredScope::Nothing)
        .answers(200, "It runs.", schema::of::<ServerHealth>)
        .runs(health);
    let ready = Operation::get("/readyz", "ready")
        .summary(
            "Whether the server can do its work: listeners bound, database answering, templates rendering",
        )
        .needs(RequiredScope::Nothing)
        .answers(200, "It can.", schema::of::<ServerHealth>)
        .refuses(&[503])
        .runs(ready);
    let metrics = Operation::get("/metrics", "metrics")
        .summary("What the server counts, for Prometheus")
        .needs(RequiredScope::Read("metrics"))
        .answers_media(200, "OpenMetrics 1.0.", BodyContent { media: METRICS_TEXT, schema: schema::text })
        .runs(metrics);
    let document = Operation::get("/openapi.yaml", "openapi")
        .summary("This document")
        .needs(RequiredScope::Token)
        .answers_media(200, "OpenAPI 3.1.", BodyContent { media: "application/yaml", schema: schema::text })
        .runs(document);
    vec![ok, ready, metrics, document]
}

const METRICS_TEXT: &str = "application/openmetrics-text";

pub(super) async fn health() -> Response {
    body::json(StatusCode::OK, &json!({"status": "ok"}))
}

async fn ready(State(state): State<ApiState>) -> Result<Response, ApiError> {
    if !state.ready.load(Ordering::Acquire) {
        return Err(unavailable("the server is starting or stopping".to_owned()));
    }
    let query = EventQuery { limit: 1, ..EventQuery::default() };
    state.houses.kernel.events(query).await.map_err(|error| unavailable(error.to_string()))?;
    let store = state.houses.kernel.store_status();
    if let Some(why) = store.outage() {
        return Err(unavailable(why));
    }
    if let Some(outage) = state.houses.catalog.render_outage() {
        return Err(unavailable(outage));
    }
    let mut warnings = state.houses.catalog.render_warnings();
    warnings.extend(state.houses.kernel.data_warnings());
    let status = if warnings.is_empty() { "ok" } else { "degraded" }.to_owned();
    warnings.extend(state.houses.access.admin_warning());
    warnings.extend(store.space_warning());
    warnings.extend(state.houses.dhcp.dhcp_warnings());
    let health = ServerHealth { status, warnings };
    Ok(body::json(StatusCode::OK, &json!(health)))
}

fn unavailable(why: String) -> ApiError {
    ApiError::new(RefusalCode::Unavailable, why)
}

async fn metrics(State(state): State<ApiState>) -> Result<Response, ApiError> {
    let page = super::metrics::text(&state);
    let page = page.map_err(|_| unavailable("the page of metrics could not be written".to_owned()))?;
    Ok(([(CONTENT_TYPE, super::metrics::exposition::MEDIA_TYPE)], page).into_response())
}

async fn document() -> Response {
    static TEXT: LazyLock<String> = LazyLock::new(super::openapi);
    ([(CONTENT_TYPE, "application/yaml")], TEXT.as_str()).into_response()
}
