//! Packs: to load one from its archive, and to fetch its archive.

use axum::Extension;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};

use super::ApiState;
use super::body;
use super::boot_preview::shown;
use super::error::ApiError;
use super::operation::{BodyContent, Operation};
use super::resources::ROOT;
use super::schema;
use crate::catalog::pack_store::AddedPack;
use crate::insight::pack_content::{PackFileList, PackFindings};
use crate::kernel::scope::RequiredScope;
use crate::kernel::{Caller, Error};
use crate::model::Pack;
use crate::pack_files::{ARCHIVE_BYTES_MAX, write_archive};

const ZSTD: &str = "application/zstd";
const TAR: &str = "application/x-tar";

pub fn operations() -> Vec<Operation> {
    let load = Operation::post(format!("{ROOT}/packs"), "create_pack")
        .summary("Load a pack from its archive, whole or not at all")
        .description(
            "The body is a tar, plain or compressed with Zstandard, of at most 16 MiB. Its files are \
             `pack.yaml` and those of content, at most 8 MiB together. An answer 422 lists every fault, with \
             the file as `template`, its line and the pointer to the value. A pack never changes: another \
             archive with the same name and version is refused, the same one is answered with 200.",
        )
        .needs(RequiredScope::Write("packs"))
        .takes_media(ZSTD, schema::text)
        .takes_media(TAR, schema::text)
        .answers(201, "Loaded; `Location` has its URL.", schema::view::<Pack>)
        .answers(200, "It was loaded before, with the same files.", schema::view::<Pack>)
        .refuses(&[400, 409, 413, 422, 503])
        .runs(load);
    let archive = Operation::get(format!("{ROOT}/packs/{{ref}}/archive"), "get_pack_archive")
        .summary("Fetch the archive of a pack: the same bytes each time")
        .needs(RequiredScope::Read("packs"))
        .answers_media(200, "The archive, `.tar.zst`.", BodyContent { media: ZSTD, schema: schema::text })
        .refuses(&[400, 404])
        .runs(archive);
    let files = Operation::get(format!("{ROOT}/packs/{{ref}}/files"), "get_pack_files")
        .summary("The files of a pack, with their texts")
        .needs(RequiredScope::Read("packs"))
        .answers(200, "The files, by path.", schema::of::<PackFileList>)
        .refuses(&[400, 404])
        .runs(files);
    let findings = Operation::get(format!("{ROOT}/packs/{{ref}}/findings"), "get_pack_findings")
        .summary("What is wrong or doubtful in a pack")
        .description(
            "The lints of `metalwright packs lint`, on the packs of this server: of each pack that it \
             requires the newest that fits.",
        )
        .needs(RequiredScope::Read("packs"))
        .answers(200, "The findings, by file and line.", schema::of::<PackFindings>)
        .refuses(&[400, 404])
        .runs(findings);
    [load, archive, files, findings].into_iter().map(|operation| operation.tag("packs")).collect()
}

async fn load(
    State(state): State<ApiState>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let sent = body::read_bytes(&headers, body, ARCHIVE_BYTES_MAX).await?;
    let added = state.houses.catalog.add_pack(&caller, sent).await?;
    let view = state.houses.objects.get::<Pack>(&caller, &added.stored().key).await?;
    Ok(match added {
        AddedPack::New(_) => body::created(&format!("{ROOT}/packs"), &view),
        AddedPack::Known(_) => body::object(StatusCode::OK, &view),
    })
}

async fn archive(
    State(state): State<ApiState>,
    Extension(caller): Extension<Caller>,
    Path(reference): Path<String>,
) -> Result<Response, ApiError> {
    let stored = state.houses.kernel.find::<Pack>(&caller, &reference)?;
    let name = format!("attachment; filename=\"{}-{}.tar.zst\"", stored.spec.pack, stored.spec.version);
    let catalog = std::sync::Arc::clone(&state.houses.catalog);
    // To compress it takes time: not on a thread that packets wait for.
    let packing = tokio::task::spawn_blocking(move || {
        let files = catalog.pack_files(&stored)?;
        write_archive(&files).map_err(|error| Error::Failed(format!("pack {}: {error}", stored.key)))
    });
    let bytes =
        packing.await.map_err(|error| Error::Failed(format!("the pack was not packed: {error}")))??;
    let mut response = ([(CONTENT_TYPE, ZSTD)], bytes).into_response();
    if let Ok(name) = HeaderValue::from_str(&name) {
        response.headers_mut().insert(CONTENT_DISPOSITION, name);
    }
    Ok(response)
}

async fn files(
    State(state): State<ApiState>,
    Extension(caller): Extension<Caller>,
    Path(reference): Path<String>,
) -> Result<Response, ApiError> {
    shown(&state, move |houses| houses.insight.pack_file_list(&caller, &reference)).await
}

async fn findings(
    State(state): State<ApiState>,
    Extension(caller): Extension<Caller>,
    Path(reference): Path<String>,
) -> Result<Response, ApiError> {
    shown(&state, move |houses| houses.insight.pack_findings(&caller, &reference)).await
}
