//! Rewriting values of params that have a newer name.

use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::error::ApiError;
use super::operation::Operation;
use super::resources::ROOT;
use super::{ApiState, body, schema};
use crate::kernel::Caller;
use crate::kernel::scope::RequiredScope;
use crate::objects::param_migration::{MigrationMode, ParamMigration};

/// Whether values are written.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct MigrationInput {
    /// `false` writes; otherwise the answer says what would be written.
    #[serde(default = "only_report")]
    dry_run: bool,
}

fn only_report() -> bool {
    true
}

pub fn operations() -> Vec<Operation> {
    vec![
        Operation::post(format!("{ROOT}/params/actions/migrate"), "migrate_params")
            .tag("params")
            .summary("Rewrite values of params that have a newer name, or say what would be written")
            .description(
                "`install_disk: PATH` becomes `disk: {path: PATH}`, on the machines, profiles and stages \
                 that the token may read. Each is written as by a PATCH, for which the token needs the \
                 scope of its kind. An object that cannot be written has the reason in `fault`.",
            )
            .needs(RequiredScope::Read("params"))
            .takes(schema::of::<MigrationInput>)
            .answers(200, "What was written, or would be.", schema::of::<ParamMigration>)
            .refuses(&[400, 413, 415, 422])
            .runs(migrate),
    ]
}

async fn migrate(
    State(state): State<ApiState>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let input: MigrationInput = body::read_as(&headers, body).await?;
    let mode = if input.dry_run { MigrationMode::DryRun } else { MigrationMode::Write };
    let report = state.houses.objects.migrate_params(&caller, mode).await?;
    Ok(body::json(StatusCode::OK, &json!(report)))
}
