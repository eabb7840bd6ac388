//! The server's data as a whole: a backup of it, and the check of what is stored.

use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use serde_json::json;
use tokio_stream::wrappers::ReceiverStream;

use super::error::ApiError;
use super::operation::{BodyContent, Operation};
use super::query::UrlQuery;
use super::resources::ROOT;
use super::{ApiState, body, schema};
use crate::archive::ArtifactContents;
use crate::kernel::Caller;
use crate::kernel::scope::RequiredScope;
use crate::maintenance::ArtifactCheck;
use crate::model::DataCheckReport;

const GZIP: &str = "application/gzip";
const TRUE_OR_FALSE: &str = "`true` or `false`";

pub fn operations() -> Vec<Operation> {
    let off_by_default = || json!({"type": "boolean", "default": false});
    vec![
        Operation::post(format!("{ROOT}/server/backup"), "backup")
            .tag("server")
            .summary("Make a backup of everything that a restore needs, with all secrets")
            .description(
                "A gzip'd tar with `backup.json`, a snapshot of the database, the keys and certificates, \
                 and `SHA256SUMS` as its last member: without that it was cut short. It is sent while it is \
                 made. An event `server.backed_up` says that it was sent whole. `metalwright backup` writes \
                 it to a file, encrypted if asked.",
            )
            .needs(RequiredScope::Everything)
            .query("artifacts", off_by_default(), "`true` adds the files of artifacts in the data directory.")
            .answers_media(200, "The backup.", BodyContent { media: GZIP, schema: schema::text })
            .refuses(&[400, 503])
            .runs(backup),
        Operation::get(format!("{ROOT}/server/check"), "check")
            .tag("server")
            .summary("Look for what is broken in everything that is stored")
            .description(
                "The file of the database, rows that cannot be read, objects that are named and not there, \
                 secrets that do not open. Nothing is changed.",
            )
            .needs(RequiredScope::Everything)
            .query("artifacts", off_by_default(), "`true` hashes the files of artifacts, which takes long.")
            .answers(200, "What was found.", schema::of::<DataCheckReport>)
            .refuses(&[400, 503])
            .runs(check),
    ]
}

async fn backup(
    State(state): State<ApiState>,
    Extension(caller): Extension<Caller>,
    Extension(query): Extension<UrlQuery>,
) -> Result<Response, ApiError> {
    let contents = match query.get_as::<bool>("artifacts", TRUE_OR_FALSE)? {
        Some(true) => ArtifactContents::Included,
        _ => ArtifactContents::Listed,
    };
    let pieces = state.houses.maintenance.begin_backup(&caller, contents).await?;
    let body = Body::from_stream(ReceiverStream::new(pieces));
    Ok(([(CONTENT_TYPE, GZIP)], body).into_response())
}

async fn check(
    State(state): State<ApiState>,
    Extension(caller): Extension<Caller>,
    Extension(query): Extension<UrlQuery>,
) -> Result<Response, ApiError> {
    let artifacts = match query.get_as::<bool>("artifacts", TRUE_OR_FALSE)? {
        Some(true) => ArtifactCheck::Hashed,
        _ => ArtifactCheck::Skipped,
    };
    let report = state.houses.maintenance.check(&caller, artifacts).await?;
    Ok(body::json(StatusCode::OK, &json!(report)))
}
