//! Operations on leases besides reading them: ending and deleting them, importing another server's, and the
//! history of an address.

use axum::Extension;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::ApiState;
use super::body;
use super::error::ApiError;
use super::operation::{Operation, event_number, text_like};
use super::query::UrlQuery;
use super::resources::{FORCE, ROOT, refuse_used};
use super::schema;
use crate::dhcp::lease_actions::LeaseEnding;
use crate::dhcp::lease_history::LeaseHistory;
use crate::dhcp::lease_import::{ImportReport, LeaseImport};
use crate::kernel::scope::RequiredScope;
use crate::kernel::{Caller, Error};
use crate::model::Lease;
use crate::objects::write::WriteTarget;

/// Largest body of an import, in bytes: some hundred thousand leases.
const IMPORT_BYTES_MAX: usize = 64 << 20;
/// Most imports at a time.
pub const IMPORTS_MAX: usize = 2;

pub fn operations() -> Vec<Operation> {
    let one = format!("{ROOT}/leases/{{ref}}");
    let ends = [
        ("release", "End a lease as if its client had released it", LeaseEnding::Release),
        ("expire", "End a lease as if it had expired", LeaseEnding::Expire),
    ];
    let ends = ends.map(|(verb, about, ending)| {
        Operation::post(format!("{one}/actions/{verb}"), format!("{verb}_lease"))
            .summary(about)
            .needs(RequiredScope::Write("leases"))
            .query("force", json!({"type": "boolean", "default": false}), FORCE)
            .answers(200, "The lease afterwards.", schema::view::<Lease>)
            .refuses(&[400, 404, 409, 412])
            .runs(
                move |State(state): State<ApiState>,
                      Extension(caller): Extension<Caller>,
                      Path(reference): Path<String>,
                      Extension(query): Extension<UrlQuery>,
                      headers: HeaderMap| async move {
                    let target = WriteTarget { reference: &reference, expected: body::expected(&headers)? };
                    end(&state, &caller, &target, ending, &query).await?;
                    let view = state.houses.objects.get::<Lease>(&caller, &reference).await?;
                    Ok::<_, ApiError>(body::object(StatusCode::OK, &view))
                },
            )
    });
    let delete = Operation::new(Method::DELETE, one.as_str(), "delete_lease")
        .summary("Delete a lease: its address is free, and its client's claim to it is gone")
        .needs(RequiredScope::Write("leases"))
        .query("force", json!({"type": "boolean", "default": false}), FORCE)
        .answers_empty(204, "Gone.")
        .refuses(&[400, 404, 409, 412])
        .runs(delete);
    let history = Operation::get(format!("{one}/history"), "history_of_lease")
        .summary(
            "Who had an address, or which addresses a MAC had (`mac:52:54:00:aa:00:01`), the latest first",
        )
        .needs(RequiredScope::Read("leases"))
        .reference(address_or_mac(), "An IPv4 address, or `mac:` and a MAC address.")
        .query("before", event_number(), "`next` of the page before.")
        .answers(200, "A page.", schema::of::<LeaseHistory>)
        .refuses(&[400])
        .runs(history);
    let import = Operation::post(format!("{ROOT}/leases/import"), "import_leases")
        .summary("Import the leases of ISC dhcpd or Kea; newer leases here stay")
        .needs(RequiredScope::Write("leases"))
        .takes(schema::of::<LeaseImport>)
        .answers(200, "The result of each lease.", schema::of::<ImportReport>)
        .refuses(&[400, 413, 415, 422])
        .runs(import);
    let all = ends.into_iter().chain([delete, history, import]);
    all.map(|operation| operation.tag("leases")).collect()
}

/// Whose leases: `10.0.0.5`, `mac:52:54:00:aa:00:01`.
fn address_or_mac() -> Value {
    let byte = "(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])";
    text_like(&format!("^(({byte}\\.){{3}}{byte}|mac:([0-9A-Fa-f]{{2}}:){{5}}[0-9A-Fa-f]{{2}})$"))
}

async fn end(
    state: &ApiState,
    caller: &Caller,
    target: &WriteTarget<'_>,
    ending: LeaseEnding,
    query: &UrlQuery,
) -> Result<(), ApiError> {
    refuse_used::<Lease>((state, caller), target, query)?;
    Ok(state.houses.dhcp.end_lease(caller, target, ending).await?)
}

async fn delete(
    State(state): State<ApiState>,
    Extension(caller): Extension<Caller>,
    Path(reference): Path<String>,
    Extension(query): Extension<UrlQuery>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let target = WriteTarget { reference: &reference, expected: body::expected(&headers)? };
    end(&state, &caller, &target, LeaseEnding::Delete, &query).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

async fn history(
    State(state): State<ApiState>,
    Extension(caller): Extension<Caller>,
    Path(reference): Path<String>,
    Extension(query): Extension<UrlQuery>,
) -> Result<Response, ApiError> {
    let before = query.get_as::<u64>("before", "the number of an event")?;
    let history = state.houses.dhcp.lease_history(&caller, &reference, before).await?;
    Ok(body::json(StatusCode::OK, &json!(history)))
}

async fn import(
    State(state): State<ApiState>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let Ok(_turn) = state.imports.try_acquire() else {
        let why = format!("{IMPORTS_MAX} imports are being read: wait for the end of one");
        return Err(Error::Busy(why).into());
    };
    let import: LeaseImport = body::read_as_up_to(&headers, body, IMPORT_BYTES_MAX).await?;
    let houses = std::sync::Arc::clone(&state.houses);
    // It continues when the client disconnects, so that a file is never imported in part without a report.
    let importing = tokio::spawn(async move { houses.dhcp.import_leases(&caller, &import).await });
    let report = importing.await.map_err(|error| Error::Failed(format!("the import failed: {error}")))??;
    Ok(body::json(StatusCode::OK, &json!(report)))
}
