//! Operations that show the server: its background work, its settings and scopes with what they mean.

use axum::Extension;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::json;

use super::operation::Operation;
use super::resources::ROOT;
use super::{ApiState, body, schema};
use crate::kernel::Caller;
use crate::kernel::scope::RequiredScope;
use crate::kernel::scope_areas::{SCOPE_AREAS, ScopeList};
use crate::model::BackgroundStatus;
use crate::model::settings::SettingDescriptions;

pub fn operations() -> Vec<Operation> {
    let status = Operation::get(format!("{ROOT}/server/background"), "background_status")
        .tag("server")
        .summary("The server's background work: how often it runs, and the result of the last round")
        .needs(RequiredScope::Read("server"))
        .answers(200, "The present status.", schema::of::<BackgroundStatus>)
        .runs(status);
    let settings = Operation::get(format!("{ROOT}/server/settings"), "describe_settings")
        .tag("server")
        .summary("Every setting: what it decides, the values that it may have, its default and its value")
        .description("`PATCH /settings/{ref}` with `value` changes one.")
        .needs(RequiredScope::Read("settings"))
        .answers(200, "All settings.", schema::of::<SettingDescriptions>)
        .runs(settings);
    let scopes = Operation::get(format!("{ROOT}/server/scopes"), "describe_scopes")
        .tag("server")
        .summary("What tokens can be allowed: what `:read` and `:write` of each area give")
        .needs(RequiredScope::Token)
        .answers(200, "All areas.", schema::of::<ScopeList>)
        .runs(scopes);
    vec![status, settings, scopes]
}

async fn status(State(state): State<ApiState>) -> Response {
    body::json(StatusCode::OK, &json!(state.houses.background.status()))
}

async fn settings(State(state): State<ApiState>, Extension(caller): Extension<Caller>) -> Response {
    body::json(StatusCode::OK, &json!(state.houses.objects.describe_settings(&caller)))
}

async fn scopes() -> Response {
    body::json(StatusCode::OK, &json!(ScopeList { items: &SCOPE_AREAS }))
}
