//! What objects of the site hide, and overrides that copies can become.

use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde_json::json;

use super::error::ApiError;
use super::operation::Operation;
use super::resources::ROOT;
use super::{ApiState, body, schema};
use crate::kernel::Caller;
use crate::kernel::scope::RequiredScope;
use crate::objects::adoption::{AdoptionInput, AdoptionProposal, HiddenList};

pub fn operations() -> Vec<Operation> {
    vec![
        Operation::get(format!("{ROOT}/catalog/hidden"), "list_hidden_objects")
            .tag("overrides")
            .summary("List the objects of packs that others stand in place of")
            .needs(RequiredScope::Read("overrides"))
            .answers(200, "Those whose place the token may read.", schema::of::<HiddenList>)
            .runs(hidden),
        Operation::post(format!("{ROOT}/overrides/actions/adopt"), "adopt_copy")
            .tag("overrides")
            .summary("Say which override does what a copy of an object of a pack does")
            .description(
                "Nothing is written: `override` is the body for POST /overrides. `left` has what no override \
                 can have. The copy stays as it is.",
            )
            .needs(RequiredScope::Read("overrides"))
            .takes(schema::of::<AdoptionInput>)
            .answers(200, "The override, and what it lacks.", schema::of::<AdoptionProposal>)
            .refuses(&[400, 404, 413, 415, 422])
            .runs(adopt),
    ]
}

async fn hidden(State(state): State<ApiState>, Extension(caller): Extension<Caller>) -> Response {
    body::json(StatusCode::OK, &json!(state.houses.objects.hidden(&caller)))
}

async fn adopt(
    State(state): State<ApiState>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let input: AdoptionInput = body::read_as(&headers, body).await?;
    let proposal = state.houses.objects.propose_override(&caller, input).await?;
    Ok(body::json(StatusCode::OK, &json!(proposal)))
}
