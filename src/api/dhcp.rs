//! The operation that shows the status of DHCP.

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
use crate::model::DhcpStatus;

pub fn operations() -> Vec<Operation> {
    let status = Operation::get(format!("{ROOT}/dhcp/status"), "dhcp_status")
        .tag("dhcp")
        .summary("The status of DHCP: interfaces, pools, relays, other servers, clients that no subnet fits")
        .needs(RequiredScope::Read("dhcp"))
        .answers(200, "The present status.", schema::of::<DhcpStatus>)
        .runs(status);
    vec![status]
}

async fn status(State(state): State<ApiState>, Extension(caller): Extension<Caller>) -> Response {
    body::json(StatusCode::OK, &json!(state.houses.dhcp.dhcp_status(&caller)))
}
