//! The check of an upgrade: `POST /packs/{name}/actions/check`.

use axum::Extension;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::error::ApiError;
use super::operation::{Operation, text};
use super::resources::ROOT;
use super::{ApiState, body, schema};
use crate::insight::upgrade_check::{UpgradeQuestion, UpgradeReport};
use crate::kernel::Caller;
use crate::kernel::scope::RequiredScope;

/// What is checked.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct UpgradeInput {
    /// The version; by default the newest that is loaded.
    #[serde(default)]
    to: Option<String>,
    /// The channel whose machines are checked; by default `prod`.
    #[serde(default)]
    channel: Option<String>,
    /// So many machines, evenly taken from all; by default all.
    #[serde(default)]
    #[schemars(range(min = 1))]
    sample: Option<u32>,
    /// Go on after this machine: `next` of the last answer.
    #[serde(default)]
    after: Option<String>,
}

pub fn operations() -> Vec<Operation> {
    let check = Operation::post(format!("{ROOT}/packs/{{ref}}/actions/check"), "check_pack")
        .tag("packs")
        .summary("Say what another version of a pack would change for the machines of a channel")
        .description(
            "Every script and file of each machine's workflow is rendered with the present content of the \
             channel and with that of the other version; secrets stay sealed, and nothing is changed. \
             Machines with equal differences are one group, with the same `digest` in every answer; groups \
             with failures come first. One call checks at most 100 machines, for a few seconds; `next` is \
             where the next call goes on. Only machines that the token may read are checked.",
        )
        .reference(text(), "The name of a pack: `core`.")
        .needs(RequiredScope::Read("packs"))
        .takes(schema::of::<UpgradeInput>)
        .answers(200, "What changes for these machines.", schema::of::<UpgradeReport>)
        .refuses(&[400, 404, 409, 413, 415, 422])
        .runs(check);
    vec![check]
}

async fn check(
    State(state): State<ApiState>,
    Extension(caller): Extension<Caller>,
    Path(pack): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let UpgradeInput { to, channel, sample, after } = body::read_as(&headers, body).await?;
    let sample = sample.map(|sample| sample as usize);
    let question = UpgradeQuestion { pack, to, channel, sample, after };
    let report = state.houses.insight.check_upgrade(&caller, question).await?;
    Ok(body::json(StatusCode::OK, &json!(report)))
}
