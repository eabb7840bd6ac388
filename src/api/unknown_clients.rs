//! The list of the clients that asked for something to boot and are not a machine here.

use axum::Extension;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::json;

use super::error::ApiError;
use super::operation::Operation;
use super::query::UrlQuery;
use super::resources::{ROOT, paged};
use super::{ApiState, body, schema};
use crate::kernel::Caller;
use crate::kernel::scope::RequiredScope;
use crate::model::UnknownClient;
use crate::objects::record_list::{ListedRecord, RecordQuery};

impl ListedRecord for UnknownClient {
    const PLURAL: &'static str = "unknown_clients";

    fn key(&self) -> String {
        let mac = self.mac.map(|mac| mac.to_string());
        mac.or_else(|| self.address.map(|address| address.to_string())).unwrap_or_default()
    }
}

pub fn operations() -> Vec<Operation> {
    let row = Operation::get(format!("{ROOT}/unknown_clients"), "list_unknown_clients")
        .tag("dhcp")
        .summary("List the clients that asked for something to boot and are not registered")
        .description(
            "They are kept in memory for a week after their last request, 1,024 at most; a restart of the \
             server forgets them. `POST /machines` with the `mac` of one in `macs` and its `arch` registers \
             it. `similar` is a machine with almost the same MAC, if the token may read it.",
        )
        .needs(RequiredScope::Read("dhcp"));
    let row = paged(row).answers(200, "A page.", schema::records::<UnknownClient>).refuses(&[400]);
    vec![row.runs(list)]
}

async fn list(
    State(state): State<ApiState>,
    Extension(caller): Extension<Caller>,
    Extension(query): Extension<UrlQuery>,
) -> Result<Response, ApiError> {
    let query = RecordQuery::parse::<UnknownClient>(&query.0, caller.now)?;
    let clients = state.houses.insight.unknown_clients(&caller);
    let page = state.houses.objects.list_records(clients, query).await?;
    Ok(body::json(StatusCode::OK, &json!(page)))
}
