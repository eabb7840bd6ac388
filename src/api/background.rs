//! The operation that shows the server's background work.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::json;

use super::operation::Operation;
use super::resources::ROOT;
use super::{ApiState, body, schema};
use crate::kernel::scope::RequiredScope;
use crate::model::BackgroundStatus;

pub fn operations() -> Vec<Operation> {
    let status = Operation::get(format!("{ROOT}/server/background"), "background_status")
        .tag("server")
        .summary("The server's background work: how often it runs, and the result of the last round")
        .needs(RequiredScope::Read("server"))
        .answers(200, "The present status.", schema::of::<BackgroundStatus>)
        .runs(status);
    vec![status]
}

async fn status(State(state): State<ApiState>) -> Response {
    body::json(StatusCode::OK, &json!(state.houses.background.status()))
}
