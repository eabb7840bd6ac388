//! Operations that show the server: its background work, and its settings with what they mean.

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
    vec![status, settings]
}

async fn status(State(state): State<ApiState>) -> Response {
    body::json(StatusCode::OK, &json!(state.houses.background.status()))
}

async fn settings(State(state): State<ApiState>, Extension(caller): Extension<Caller>) -> Response {
    body::json(StatusCode::OK, &json!(state.houses.objects.describe_settings(&caller)))
}
