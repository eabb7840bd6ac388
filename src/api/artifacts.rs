//! Operations on artifacts besides reading and writing them: fetch, verify, prune.

use axum::Extension;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::ApiState;
use super::body;
use super::error::ApiError;
use super::operation::Operation;
use super::resources::ROOT;
use super::schema;
use crate::artifacts::care::ArtifactPruneReport;
use crate::kernel::scope::RequiredScope;
use crate::kernel::{Caller, Error};
use crate::model::{Artifact, ArtifactWork, PruneMode};

/// Whether things are deleted.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct PruneInput {
    /// `false` deletes; otherwise the answer says what would go, and nothing is deleted.
    #[serde(default = "only_tell")]
    dry_run: bool,
}

fn only_tell() -> bool {
    true
}

pub fn operations() -> Vec<Operation> {
    let works = [
        ("fetch", "Fetch an artifact's source again, or read its files again", ArtifactWork::Fetch),
        (
            "verify",
            "Hash an artifact's files again and compare them with the earlier hashes",
            ArtifactWork::Verify,
        ),
    ];
    let works = works.map(|(verb, about, work)| {
        Operation::post(format!("{ROOT}/artifacts/{{ref}}/actions/{verb}"), format!("{verb}_artifact"))
            .summary(about)
            .needs(RequiredScope::Write("artifacts"))
            .answers(202, "The work will begin; `status` shows its progress.", schema::view::<Artifact>)
            .refuses(&[400, 404, 409])
            .runs(
                move |State(state): State<ApiState>,
                      Extension(caller): Extension<Caller>,
                      Path(reference): Path<String>| async move {
                    state.houses.artifacts.ask_of_artifact(&caller, &reference, work).await?;
                    let view = state.houses.objects.get::<Artifact>(&caller, &reference).await?;
                    Ok::<_, ApiError>(body::object(StatusCode::ACCEPTED, &view))
                },
            )
    });
    let prune = Operation::post(format!("{ROOT}/artifacts/actions/prune"), "prune_artifacts")
        .summary("Delete trees and downloads that no artifact refers to, or say what would go")
        .needs(RequiredScope::Write("artifacts"))
        .takes(schema::of::<PruneInput>)
        .answers(200, "What was deleted, or would be deleted.", schema::of::<ArtifactPruneReport>)
        .refuses(&[400, 413, 415, 422])
        .runs(prune);
    works.into_iter().chain([prune]).map(|operation| operation.tag("artifacts")).collect()
}

async fn prune(
    State(state): State<ApiState>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let input: PruneInput = body::read_as(&headers, body).await?;
    let prune = if input.dry_run { PruneMode::DryRun } else { PruneMode::Delete };
    let houses = std::sync::Arc::clone(&state.houses);
    // It continues when the client disconnects: half a deletion would be of no use.
    let pruning = tokio::spawn(async move { houses.artifacts.prune_artifacts(&caller, prune).await });
    let report = pruning.await.map_err(|error| Error::Failed(format!("pruning failed: {error}")))??;
    Ok(body::json(StatusCode::OK, &json!(report)))
}
