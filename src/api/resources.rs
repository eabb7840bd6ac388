//! The registry of all operations: those made from one row per noun, and those of the modules for everything
//! besides create, read, change and delete.
//!
//! To add a noun see `docs/adding-a-noun.md`; to add an operation, add its row to [`operations`].

use axum::Extension;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::body::{self, JSON_PATCH, MERGE_PATCH};
use super::error::ApiError;
use super::operation::{Operation, number, text, text_like};
use super::query::UrlQuery;
use super::{
    ApiState, actions, artifacts, background, boot_preview, bulk, changes, channels, dhcp, events, jobs,
    layers, leases, maintenance, packs, param_migration, records, runs, schema, seeing, service, sessions,
    summary, timeline, tokens, unknown_clients, upgrade_check,
};
use crate::kernel::Caller;
use crate::kernel::scope::RequiredScope;
use crate::model::*;
use crate::objects::list::{LIMIT_DEFAULT, LIMIT_MAX, ListQuery};
use crate::objects::rules::NounRules;
use crate::objects::write::WriteTarget;

/// The path below which the API is.
pub const ROOT: &str = "/api/v1";

/// All operations.
pub fn operations() -> Vec<Operation> {
    let mut operations: Vec<Operation> =
        Kind::ALL.into_iter().flat_map(|kind| with_noun!(kind, T => crud::<T>())).collect();
    operations.extend(tokens::operations());
    operations.extend(sessions::operations());
    operations.extend(actions::operations());
    operations.extend(runs::operations());
    operations.extend(leases::operations());
    operations.extend(artifacts::operations());
    operations.extend(packs::operations());
    operations.extend(param_migration::operations());
    operations.extend(channels::operations());
    operations.extend(upgrade_check::operations());
    operations.extend(layers::operations());
    operations.extend(boot_preview::operations());
    operations.extend(seeing::operations());
    operations.extend(bulk::operations());
    operations.extend(background::operations());
    operations.extend(summary::operations());
    operations.extend(records::operations());
    operations.extend(maintenance::operations());
    operations.extend(dhcp::operations());
    operations.extend(unknown_clients::operations());
    operations.extend(jobs::operations());
    operations.extend(timeline::operations());
    operations.extend(events::operations());
    operations.extend(changes::operations());
    operations.extend(service::operations());
    operations
}

/// The operations that all nouns have. Tokens are created by an operation of their own, because the text of a
/// new token is shown only once. Leases are deleted by one of their own, because the machine with the address
/// loses it, and so are sessions, which nothing refers to.
fn crud<T: NounRules>() -> Vec<Operation>
where
    World: HasTable<T>,
{
    let own =
        [(NounVerb::Create, Kind::Token), (NounVerb::Delete, Kind::Lease), (NounVerb::Delete, Kind::Session)];
    let verbs = T::KIND.row().verbs.iter().filter(|verb| !own.contains(&(**verb, T::KIND)));
    verbs.map(|verb| operation::<T>(*verb)).collect()
}

fn operation<T: NounRules>(verb: NounVerb) -> Operation
where
    World: HasTable<T>,
{
    let (one, many) = (T::KIND.as_str(), T::KIND.plural());
    let collection = format!("{ROOT}/{many}");
    let object = format!("{collection}/{{ref}}");
    let (read, write) = (RequiredScope::Read(many), RequiredScope::Write(many));
    let operation = match verb {
        NounVerb::List => list_row::<T>(collection, many),
        NounVerb::Create => Operation::post(collection, format!("create_{one}"))
            .summary(format!("Make a {one}"))
            .needs(write)
            .takes(schema::input::<T>)
            .answers(201, "Created; `Location` has its URL.", schema::view::<T>)
            .refuses(&[400, 409, 413, 415, 422])
            .runs(create::<T>),
        NounVerb::Get => Operation::get(object, format!("get_{one}"))
            .summary(format!("Read a {one}"))
            .needs(read)
            .answers(200, "The object; `ETag` is its revision.", schema::view::<T>)
            .answers_empty(304, "The object still has the revision in `If-None-Match`, and has no status.")
            .refuses(&[400, 404])
            .runs(get::<T>),
        NounVerb::Replace => Operation::new(Method::PUT, object, format!("replace_{one}"))
            .summary(format!("Replace a {one}"))
            .needs(write)
            .takes(schema::input::<T>)
            .answers(200, "The object afterwards.", schema::view::<T>)
            .refuses(&[400, 404, 409, 412, 413, 415, 422])
            .runs(replace::<T>),
        NounVerb::Patch => Operation::new(Method::PATCH, object, format!("patch_{one}"))
            .summary(format!("Change parts of a {one}"))
            .needs(write)
            .takes_media(MERGE_PATCH, schema::any_object)
            .takes_media(JSON_PATCH, schema::json_patch)
            .answers(200, "The object afterwards.", schema::view::<T>)
            .refuses(&[400, 404, 409, 412, 413, 415, 422])
            .runs(patch::<T>),
        NounVerb::Delete => Operation::new(Method::DELETE, object, format!("delete_{one}"))
            .summary(format!("Delete a {one} that nothing refers to"))
            .needs(write)
            .query("force", json!({"type": "boolean", "default": false}), FORCE)
            .answers_empty(204, "Gone.")
            .refuses(&[400, 404, 409, 412])
            .runs(delete::<T>),
    };
    operation.tag(many)
}

fn list_row<T: NounRules>(collection: String, many: &'static str) -> Operation
where
    World: HasTable<T>,
{
    let listed = listing::<T>(collection, format!("list_{many}"));
    listed.summary(format!("List {many}")).runs(list::<T>)
}

/// The list of a noun's objects: its query and its answer.
pub(super) fn listing<T: NounRules>(path: String, id: String) -> Operation
where
    World: HasTable<T>,
{
    let many = T::KIND.plural();
    paged(Operation::get(path, id).needs(RequiredScope::Read(many)))
        .answers(200, "A page.", schema::list::<T>)
        .refuses(&[400])
}

/// Adds the query of a list.
pub(super) fn paged(operation: Operation) -> Operation {
    let limit = json!({"type": "integer", "minimum": 1, "maximum": LIMIT_MAX, "default": LIMIT_DEFAULT});
    operation
        .with_filters()
        .query("limit", limit, "Most objects on a page. A page of large ones ends sooner, at 8 MiB.")
        .query("cursor", text_like("^[A-Za-z0-9_-]+$"), "`next` of the page before.")
        .query(
            "sort",
            text(),
            "Fields to sort by, separated by commas; `-` before a field reverses its order.",
        )
        .query("fields", text(), "Fields to trim the objects to, separated by commas.")
}

async fn list<T: NounRules>(
    State(state): State<ApiState>,
    Extension(caller): Extension<Caller>,
    Extension(query): Extension<UrlQuery>,
) -> Result<Response, ApiError>
where
    World: HasTable<T>,
{
    let query = ListQuery::parse::<T>(&query.0, caller.now)?;
    // Filters and sorting read every object, which must not happen on a thread that packets wait for.
    let list = state.houses.objects.list_text::<T>(caller, query).await?;
    let response = ([(axum::http::header::CONTENT_TYPE, body::JSON)], list.json).into_response();
    Ok(body::read_at(response, list.read_at))
}

async fn create<T: NounRules>(
    State(state): State<ApiState>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError>
where
    World: HasTable<T>,
{
    let sent = body::read_json(&headers, body).await?;
    let view = state.houses.objects.create::<T>(&caller, sent).await?;
    let view = seeing::with_broken_documents((&state, &caller), T::KIND, view).await;
    Ok(body::created(&format!("{ROOT}/{}", T::KIND.plural()), &view))
}

async fn get<T: NounRules>(
    State(state): State<ApiState>,
    Extension(caller): Extension<Caller>,
    Path(reference): Path<String>,
    headers: HeaderMap,
) -> Result<Response, ApiError>
where
    World: HasTable<T>,
{
    let view = state.houses.objects.get::<T>(&caller, &reference).await?;
    // The revision does not cover the status: a reader that polls always gets the object.
    if body::is_known(&headers, view.revision)? && !T::HAS_STATUS {
        let mut response = body::object(StatusCode::NOT_MODIFIED, &view);
        *response.body_mut() = Body::empty();
        response.headers_mut().remove(axum::http::header::CONTENT_TYPE);
        return Ok(response);
    }
    Ok(body::object(StatusCode::OK, &view))
}

async fn replace<T: NounRules>(
    State(state): State<ApiState>,
    Extension(caller): Extension<Caller>,
    Path(reference): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError>
where
    World: HasTable<T>,
{
    let expected = body::expected(&headers)?;
    let sent: Value = body::read_json(&headers, body).await?;
    let view = state
        .houses
        .objects
        .replace::<T>(&caller, &WriteTarget { reference: &reference, expected }, &sent)
        .await?;
    let view = seeing::with_broken_documents((&state, &caller), T::KIND, view).await;
    Ok(body::object(StatusCode::OK, &view))
}

async fn patch<T: NounRules>(
    State(state): State<ApiState>,
    Extension(caller): Extension<Caller>,
    Path(reference): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError>
where
    World: HasTable<T>,
{
    let expected = body::expected(&headers)?;
    let patch = body::read_patch(&headers, body).await?;
    let view = state
        .houses
        .objects
        .patch::<T>(&caller, &WriteTarget { reference: &reference, expected }, &patch)
        .await?;
    let view = seeing::with_broken_documents((&state, &caller), T::KIND, view).await;
    Ok(body::object(StatusCode::OK, &view))
}

/// What `force` of a deletion does.
pub(super) const FORCE: &str =
    "`true` deletes the object although a machine that is armed or in a run, or a lease, uses it.";

async fn delete<T: NounRules>(
    State(state): State<ApiState>,
    Extension(caller): Extension<Caller>,
    Path(reference): Path<String>,
    Extension(query): Extension<UrlQuery>,
    headers: HeaderMap,
) -> Result<Response, ApiError>
where
    World: HasTable<T>,
{
    let target = WriteTarget { reference: &reference, expected: body::expected(&headers)? };
    refuse_used::<T>((&state, &caller), &target, &query)?;
    state.houses.objects.delete::<T>(&caller, &target).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// Refuses to end an object that is in use, unless the query says `force=true`.
pub(super) fn refuse_used<T: NounRules>(
    (state, caller): (&ApiState, &Caller),
    target: &WriteTarget<'_>,
    query: &UrlQuery,
) -> Result<(), ApiError>
where
    World: HasTable<T>,
{
    match query.get_as::<bool>("force", "`true` or `false`")? {
        Some(true) => Ok(()),
        _ => Ok(state.houses.objects.refuse_used::<T>(caller, target)?),
    }
}

/// The `limit` of a history.
pub fn limit(most: u32) -> Value {
    number(1, u64::from(most))
}
