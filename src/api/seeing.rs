//! What documents are made from, and how they change: variables, differences, and documents that a write
//! broke.

use axum::Extension;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Value, json};

use super::ApiState;
use super::body;
use super::boot_preview::shown;
use super::error::ApiError;
use super::operation::{Operation, number, text};
use super::query::UrlQuery;
use super::resources::ROOT;
use super::schema;
use crate::insight::document_diff::MachineDiff;
use crate::insight::fleet_diff::{FLEET_LIMIT_DEFAULT, FLEET_LIMIT_MAX, FleetDiff, FleetPage};
use crate::insight::param_levels::VariableRow;
use crate::kernel::Caller;
use crate::kernel::scope::RequiredScope;
use crate::model::Kind;
use crate::objects::view::ObjectView;

/// What a template can use.
#[derive(Serialize, JsonSchema)]
struct VariableList {
    items: Vec<VariableRow>,
}

pub fn operations() -> Vec<Operation> {
    let variables = Operation::get(format!("{ROOT}/machines/{{ref}}/variables"), "variables_of_machine")
        .summary("Everything that a template can use for the machine, and where it comes from")
        .answers(200, "The variables, then the params, by name.", schema::of::<VariableList>)
        .refuses(&[404])
        .runs(variables);
    let diff = Operation::get(format!("{ROOT}/machines/{{ref}}/diff"), "diff_machine")
        .summary("What the machine was served in its last run, against what it would be served now")
        .description(
            "Secrets stand as `(sealed)` in both texts, and URLs have the word `preview` in place of the \
             capability. The documents of runs that the caller may not read are left out. 503 means that no \
             render worker was free.",
        )
        .answers(200, "The documents, with their differences.", schema::of::<MachineDiff>)
        .refuses(&[404])
        .runs(diff);
    let fleet = Operation::get(format!("{ROOT}/diff"), "diff_fleet")
        .summary("The same of many machines, those with the same difference together")
        .description(
            "A request looks at some machines; `next` is the `cursor` of the request that goes on. A group \
             has the same `key` in each answer.",
        )
        .query("limit", number(1, u64::from(FLEET_LIMIT_MAX)), "Most machines of one answer: 25.")
        .query("cursor", text(), "`next` of the answer before.")
        .answers(200, "The groups, those that fail first.", schema::of::<FleetDiff>)
        .refuses(&[400])
        .runs(fleet);
    let all = [variables, diff, fleet].into_iter();
    all.map(|operation| operation.tag("machines").needs(RequiredScope::Read("machines"))).collect()
}

async fn variables(
    State(state): State<ApiState>,
    Extension(caller): Extension<Caller>,
    Path(reference): Path<String>,
) -> Result<Response, ApiError> {
    shown(&state, move |houses| {
        houses.insight.variables(&caller, &reference).map(|items| VariableList { items })
    })
    .await
}

async fn diff(
    State(state): State<ApiState>,
    Extension(caller): Extension<Caller>,
    Path(reference): Path<String>,
) -> Result<Response, ApiError> {
    let diff = state.houses.insight.document_diff(&caller, &reference).await?;
    Ok(body::json(StatusCode::OK, &json!(diff)))
}

async fn fleet(
    State(state): State<ApiState>,
    Extension(caller): Extension<Caller>,
    Extension(query): Extension<UrlQuery>,
) -> Result<Response, ApiError> {
    let limit = query.get_as::<u32>("limit", "a number of machines")?.unwrap_or(FLEET_LIMIT_DEFAULT);
    let after = query.get("cursor").unwrap_or_default().to_owned();
    let diff = state.houses.insight.fleet_diff(&caller, FleetPage { after, limit }).await?;
    Ok(body::json(StatusCode::OK, &json!(diff)))
}

/// The view of an object that was written, with the documents that cannot be rendered now among its problems.
pub async fn with_broken_documents(
    (state, caller): (&ApiState, &Caller),
    kind: Kind,
    mut view: ObjectView,
) -> ObjectView {
    let broken = state.houses.insight.broken_by(caller, (kind, &view.key)).await;
    if let Some(Value::Array(problems)) = view.body.get_mut("problems").filter(|_| !broken.is_empty()) {
        problems.extend(broken.iter().map(|problem| json!(problem)));
    }
    view
}
