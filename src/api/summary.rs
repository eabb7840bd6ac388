//! The operation that shows the summary of the server.

use axum::Extension;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::json;

use super::error::ApiError;
use super::operation::Operation;
use super::resources::ROOT;
use super::{ApiState, body, schema};
use crate::insight::summary::SummaryAsides;
use crate::kernel::Caller;
use crate::kernel::scope::RequiredScope;
use crate::model::ServerSummary;

pub fn operations() -> Vec<Operation> {
    let summary = Operation::get(format!("{ROOT}/summary"), "summary")
        .tag("server")
        .summary("Machines by state, what needs somebody, the runs of a day, health, the last changes")
        .description(
            "What an overview needs, in one read that costs little. A part is absent if the token may not \
             read what it is made of: `machines`, `artifacts`, `runs`, `dhcp`, `server`, `events`.",
        )
        .needs(RequiredScope::Token)
        .answers(200, "The present summary.", schema::of::<ServerSummary>)
        .runs(summary);
    vec![summary]
}

async fn summary(
    State(state): State<ApiState>,
    Extension(caller): Extension<Caller>,
) -> Result<Response, ApiError> {
    let background = state.houses.background.status();
    let asides = SummaryAsides { background, admin_warning: state.houses.access.admin_warning() };
    let summary = state.houses.insight.summary(&caller, asides).await?;
    Ok(body::json(StatusCode::OK, &json!(summary)))
}
