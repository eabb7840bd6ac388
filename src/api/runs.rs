//! The runs of one machine: `GET /machines/{ref}/runs`. All runs together are a noun like any other.

use axum::Extension;
use axum::extract::{Path, State};
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};

use super::ApiState;
use super::body;
use super::error::ApiError;
use super::operation::Operation;
use super::query::UrlQuery;
use super::resources::{ROOT, listing};
use crate::kernel::Caller;
use crate::model::Run;
use crate::objects::list::ListQuery;

pub fn operations() -> Vec<Operation> {
    let path = format!("{ROOT}/machines/{{ref}}/runs");
    let operation = listing::<Run>(path, "list_machine_runs".to_owned());
    vec![operation.tag("runs").summary("List the runs of a machine").refuses(&[400, 404]).runs(list)]
}

async fn list(
    State(state): State<ApiState>,
    Path(reference): Path<String>,
    (Extension(caller), Extension(query)): (Extension<Caller>, Extension<UrlQuery>),
) -> Result<Response, ApiError> {
    let mut pairs = query.0;
    pairs.push(("machine".to_owned(), state.houses.runs.machine_of_runs(&caller, &reference)?));
    let query = ListQuery::parse::<Run>(&pairs, caller.now)?;
    let list = state.houses.objects.list_text::<Run>(caller, query).await?;
    Ok(body::read_at(([(CONTENT_TYPE, body::JSON)], list.json).into_response(), list.read_at))
}
