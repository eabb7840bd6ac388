//! Operations on records: the documents that machines were served during their runs, and pruning.

use axum::Extension;
use axum::extract::{Path, State};
use axum::http::header::{CONTENT_TYPE, ETAG};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use schemars::SchemaGenerator;
use serde_json::{Value, json};
use uuid::Uuid;

use super::ApiState;
use super::body;
use super::error::ApiError;
use super::operation::{BodyContent, Operation, text};
use super::query::UrlQuery;
use super::resources::ROOT;
use super::schema;
use crate::kernel::Caller;
use crate::kernel::scope::RequiredScope;
use crate::model::{HistoryPruneReport, PruneMode, RefusalCode, ServedDocuments};

const PLAIN: &str = "text/plain";
/// Most paths that an error message names.
const PATHS_NAMED_MAX: usize = 32;

pub fn operations() -> Vec<Operation> {
    let documents = format!("{ROOT}/runs/{{ref}}/documents");
    vec![
        Operation::get(documents.clone(), "documents_of_run")
            .tag("runs")
            .summary("The documents that the machine was served during a run")
            .needs(RequiredScope::Read("runs"))
            .reference(run_id(), "The id of a run.")
            .answers(200, "The documents, by path and then by time.", schema::of::<ServedDocuments>)
            .refuses(&[400])
            .runs(list),
        Operation::get(format!("{documents}/{{path}}"), "document_of_run")
            .tag("runs")
            .summary("The text of a document that the machine was served during a run")
            .description(
                "A slash in the path is written as `%2F`. It is the text that was served, but that secrets \
                 stand as `(sealed)` and that the URLs have the word `preview` in place of the capability. \
                 `ETag` is the digest. A text that is not kept is answered with 409 and the reason.",
            )
            .needs(RequiredScope::Read("runs"))
            .reference(run_id(), "The id of a run.")
            .query("digest", text(), "The text with this digest; without it the last one that was served.")
            .answers_media(200, "The text.", BodyContent { media: PLAIN, schema: plain })
            .refuses(&[400, 404, 409])
            .runs(show),
        Operation::post(format!("{ROOT}/server/prune"), "prune")
            .tag("server")
            .summary("Delete history that is older than the settings allow, or report what would be deleted")
            .description(
                "What the present run of a machine refers to is never deleted. Where much is due the answer \
                 is not `complete`: ask again.",
            )
            .needs(RequiredScope::Write("server"))
            .query("dry_run", json!({"type": "boolean", "default": true}), "`false` deletes.")
            .answers(200, "What was deleted, or would be.", schema::of::<HistoryPruneReport>)
            .refuses(&[400, 503])
            .runs(prune),
    ]
}

fn run_id() -> Value {
    json!({"type": "string", "format": "uuid"})
}

fn plain(_: &mut SchemaGenerator) -> Value {
    json!({"type": "string"})
}

fn run_of(reference: &str) -> Result<Uuid, ApiError> {
    reference
        .parse()
        .map_err(|_| ApiError::new(RefusalCode::BadRequest, format!("`{reference}` is not the id of a run")))
}

async fn list(
    State(state): State<ApiState>,
    Extension(caller): Extension<Caller>,
    Path(reference): Path<String>,
) -> Result<Response, ApiError> {
    let items = state.houses.records.documents_of(&caller, run_of(&reference)?).await?;
    Ok(body::json(StatusCode::OK, &json!(ServedDocuments { items })))
}

async fn show(
    State(state): State<ApiState>,
    Extension(caller): Extension<Caller>,
    Path((reference, path)): Path<(String, String)>,
    Extension(query): Extension<UrlQuery>,
) -> Result<Response, ApiError> {
    let run = run_of(&reference)?;
    let Some((document, text)) =
        state.houses.records.document(&caller, run, (&path, query.get("digest"))).await?
    else {
        let mut known: Vec<String> = state
            .houses
            .records
            .documents_of(&caller, run)
            .await?
            .into_iter()
            .map(|document| document.path)
            .collect();
        known.dedup();
        known.truncate(PATHS_NAMED_MAX);
        let known = if known.is_empty() { "none is kept".to_owned() } else { known.join(", ") };
        let detail = format!("run `{run}` was served no such document `{path}`; its documents: {known}");
        return Err(ApiError::new(RefusalCode::NotFound, detail));
    };
    let mut response = ([(CONTENT_TYPE, PLAIN)], text).into_response();
    let digest = document.digest.unwrap_or_default();
    if let Ok(tag) = HeaderValue::from_str(&format!("\"{digest}\"")) {
        response.headers_mut().insert(ETAG, tag);
    }
    Ok(response)
}

async fn prune(
    State(state): State<ApiState>,
    Extension(caller): Extension<Caller>,
    Extension(query): Extension<UrlQuery>,
) -> Result<Response, ApiError> {
    let mode = match query.get_as::<bool>("dry_run", "`true` or `false`")? {
        Some(false) => PruneMode::Delete,
        _ => PruneMode::DryRun,
    };
    let report = state.houses.records.prune(&caller, mode).await?;
    Ok(body::json(StatusCode::OK, &json!(report)))
}
