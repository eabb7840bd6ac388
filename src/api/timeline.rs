//! The timeline of a machine.

use axum::Extension;
use axum::extract::{Path, State};
use axum::response::Response;
use serde_json::json;
use uuid::Uuid;

use super::ApiState;
use super::error::ApiError;
use super::events::{EventPage, SINCE, read_limit, read_since};
use super::operation::{Operation, event_number, text};
use super::query::UrlQuery;
use super::resources::{ROOT, limit};
use super::schema;
use crate::insight::timeline::{LIMIT_MAX, TimelinePage};
use crate::kernel::Caller;
use crate::kernel::scope::RequiredScope;

pub fn operations() -> Vec<Operation> {
    let timeline = Operation::get(format!("{ROOT}/machines/{{ref}}/timeline"), "timeline_of_machine")
        .tag("machines")
        .summary("What happened to a machine and in its boot attempts, oldest first")
        .needs(RequiredScope::Read("machines"))
        .query("after", event_number(), "Only events after this number.")
        .query("since", text(), SINCE)
        .query("attempt", json!({"type": "string", "format": "uuid"}), "Only this boot attempt.")
        .query("limit", limit(LIMIT_MAX), "Events on a page; 100 when not given.")
        .answers(200, "A page.", schema::of::<EventPage>)
        .refuses(&[400, 404])
        .runs(timeline);
    vec![timeline]
}

async fn timeline(
    State(state): State<ApiState>,
    Extension(caller): Extension<Caller>,
    Path(reference): Path<String>,
    Extension(query): Extension<UrlQuery>,
) -> Result<Response, ApiError> {
    let page = TimelinePage {
        after: query.get_as::<u64>("after", "the number of an event")?.unwrap_or(0),
        since: read_since(&query, caller.now)?,
        attempt: query.get_as::<Uuid>("attempt", "the id of a boot attempt")?,
        limit: read_limit(&query)?,
    };
    let events = state.houses.insight.timeline(&caller, &reference, page).await?;
    Ok(EventPage::from(events).response())
}
