//! Events: their history by number, and a stream.

use std::collections::BTreeSet;

use axum::Extension;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use axum::response::sse::Event as Message;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use super::ApiState;
use super::body;
use super::error::ApiError;
use super::event_streams::{EVENT_STREAM, MessageFeed, last_event_id, stream_response};
use super::operation::{BodyContent, Operation, event_number, text};
use super::query::UrlQuery;
use super::resources::{ROOT, limit};
use super::schema;
use crate::insight::timeline::{LIMIT_DEFAULT, LIMIT_MAX};
use crate::kernel::scope::RequiredScope;
use crate::kernel::{Caller, Error, EventBatch, EventFeed, EventQuery};
use crate::model::event::check_kind_filter;
use crate::model::{Event, EventKind, Kind, parse_moment};

/// A page of events.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct EventPage {
    pub items: Vec<Event>,
    /// The `after` of the next page, or its `before` if the newest are first; null on the last page.
    pub next: Option<u64>,
}

impl From<EventBatch> for EventPage {
    fn from(batch: EventBatch) -> Self {
        EventPage { items: batch.events, next: batch.next }
    }
}

impl EventPage {
    pub fn response(&self) -> Response {
        body::json(StatusCode::OK, &json!({"items": self.items, "next": self.next}))
    }
}

pub fn operations() -> Vec<Operation> {
    let order = json!({"enum": ["oldest", "newest"], "default": "oldest"});
    let history = Operation::get(format!("{ROOT}/events"), "list_events")
        .summary("The history of events, by number")
        .query("after", event_number(), "Only events after this number.")
        .query("before", event_number(), "Only events before this number.")
        .query("limit", limit(LIMIT_MAX), "Events on a page; 100 when not given.")
        .query("order", order, "`newest` gives the last ones first.")
        .answers(200, "A page.", schema::of::<EventPage>)
        .runs(list);
    let stream = Operation::get(format!("{ROOT}/events/stream"), "stream_events")
        .summary("Events as Server-Sent Events; resumes after `Last-Event-ID`")
        .query("after", event_number(), "Begin after this number instead of now; `since` begins at a time.")
        .answers_media(
            200,
            "One message per event: its number as `id`, the event as JSON in `data`.",
            BodyContent { media: EVENT_STREAM, schema: schema::text },
        )
        .refuses(&[503])
        .runs(stream);
    [history, stream].map(which).into()
}

/// Adds the query parameters that filter events.
fn which(operation: Operation) -> Operation {
    operation
        .tag("events")
        .needs(RequiredScope::Read("events"))
        .query("kind", kinds(), "A kind of event, or all of a noun's: `machine.*`.")
        .query("subject", text(), "The object that they are about: `machine:web1`, `subnet:lan`.")
        .query("since", text(), SINCE)
        .query("machine", text(), "The machine that they are about: its name, MAC, address or id.")
        .query(
            "attempt",
            json!({"type": "string", "format": "uuid"}),
            "The boot attempt that they belong to.",
        )
        .query("until", text(), "Only events before this time, as `since` has it.")
        .query(
            "actor",
            json!({"type": "string", "pattern": "^token:."}),
            "The token of whoever caused them: `token:admin`, or `token:*` for all.",
        )
        .query("request_id", text(), "The request that brought them about: the `X-Request-Id` of its answer.")
        .refuses(&[400])
}

/// The kinds of events, and the beginnings of kinds.
fn kinds() -> Value {
    let kinds: Vec<String> = EventKind::all().map(|kind| kind.to_string()).collect();
    let areas = kinds.iter().filter_map(|kind| Some(format!("{}.*", kind.split_once('.')?.0)));
    let areas: BTreeSet<String> = areas.collect();
    let known: Vec<String> = kinds.into_iter().chain(areas).collect();
    json!({"type": "string", "enum": known})
}

fn event_query((state, caller): (&ApiState, &Caller), query: &UrlQuery) -> Result<EventQuery, Error> {
    if let Some(kind) = query.get("kind") {
        check_kind_filter(kind).map_err(Error::BadRequest)?;
    }
    Ok(EventQuery {
        after: query.get_as::<u64>("after", "the number of an event")?.unwrap_or(0),
        before: query.get_as::<u64>("before", "the number of an event")?,
        kind: query.get("kind").map(str::to_owned),
        since: read_since(query, caller.now)?,
        until: read_time((query, "until"), caller.now)?,
        subject: read_subject((state, caller), query)?,
        attempt: query.get_as::<Uuid>("attempt", "the id of a boot attempt")?,
        request_id: query.get("request_id").map(str::to_owned),
        actor: read_actor(query)?,
        kinds: &[],
        hidden: Vec::new(),
        lease: None,
        limit: read_limit(query)?,
        newest_first: match query.get("order") {
            None | Some("oldest") => false,
            Some("newest") => true,
            Some(other) => {
                return Err(Error::BadRequest(format!("`order` is `oldest` or `newest`, not `{other}`")));
            }
        },
    })
}

/// What `since` means.
pub const SINCE: &str = "Only events at or after this time: `2026-11-30T20:06:00Z`, `2026-11-30`, or \
    relative to now, as `-1h` and `-2d`.";

/// The `since` of a page of events.
///
/// # Errors
/// 400 if it is not a time.
pub fn read_since(query: &UrlQuery, now: Timestamp) -> Result<Option<Timestamp>, Error> {
    read_time((query, "since"), now)
}

fn read_time((query, name): (&UrlQuery, &str), now: Timestamp) -> Result<Option<Timestamp>, Error> {
    let time = query.get(name).map(|text| parse_moment(text, now));
    time.transpose().map_err(|why| Error::BadRequest(format!("`{name}`: {why}")))
}

/// The `actor` of events.
fn read_actor(query: &UrlQuery) -> Result<Option<String>, Error> {
    match query.get("actor") {
        Some(actor) if actor.strip_prefix("token:").is_none_or(str::is_empty) => {
            Err(Error::BadRequest(format!(
                "`actor` is a token, `token:NAME`, or `token:*` for all, not `{actor}`: what machines and \
                 the server did is found by `subject` and `kind`"
            )))
        }
        actor => Ok(actor.map(str::to_owned)),
    }
}

/// The `subject` of events, or the `machine`.
fn read_subject((state, caller): (&ApiState, &Caller), query: &UrlQuery) -> Result<Option<String>, Error> {
    let subject = match (query.get("subject"), query.get("machine")) {
        (Some(_), Some(_)) => {
            return Err(Error::BadRequest("give `subject` or `machine`, not both".to_owned()));
        }
        (subject, None) => subject.map(str::to_owned),
        (None, Some(machine)) => Some(Kind::Machine.subject(machine)),
    };
    subject.map(|subject| state.houses.objects.event_subject(caller, &subject)).transpose()
}

/// The `limit` of a page of events.
///
/// # Errors
/// 400 if it is out of bounds.
pub fn read_limit(query: &UrlQuery) -> Result<u32, Error> {
    let limit = query.get_as::<u32>("limit", "a number")?.unwrap_or(LIMIT_DEFAULT);
    if (1..=LIMIT_MAX).contains(&limit) {
        return Ok(limit);
    }
    Err(Error::BadRequest(format!("`limit` is from 1 to {LIMIT_MAX}, not {limit}")))
}

async fn list(
    State(state): State<ApiState>,
    Extension(caller): Extension<Caller>,
    Extension(query): Extension<UrlQuery>,
) -> Result<Response, ApiError> {
    let query = event_query((&state, &caller), &query)?;
    Ok(EventPage::from(state.houses.kernel.events_for(&caller, query).await?).response())
}

async fn stream(
    State(state): State<ApiState>,
    Extension(caller): Extension<Caller>,
    Extension(query): Extension<UrlQuery>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let place = state.streams.take(&caller.actor).map_err(Error::Busy)?;
    let mut wanted = event_query((&state, &caller), &query)?;
    match last_event_id(&headers) {
        Some(id) => {
            wanted.after = id.parse().map_err(|_| {
                Error::BadRequest(format!("`Last-Event-ID` is the number of an event, not `{id}`"))
            })?;
        }
        None if query.get("after").is_none() && wanted.since.is_none() => {
            wanted.after = state.houses.kernel.last_event()
        }
        None => {}
    }
    let feed = state.houses.kernel.feed_for(&caller, wanted);
    let feed = EventMessages { feed, state: state.clone(), caller: caller.clone() };
    Ok(stream_response(feed, (state, caller), Vec::new(), place))
}

/// The events that the caller may read, as messages. The stream ends if the database fails.
struct EventMessages {
    feed: EventFeed,
    state: ApiState,
    caller: Caller,
}

impl MessageFeed for EventMessages {
    async fn next(&mut self) -> Option<Vec<Message>> {
        let EventMessages { feed, state, caller } = self;
        let events = feed.next().await.ok()?;
        Some(state.houses.kernel.readable(caller, events).iter().map(message).collect())
    }
}

fn message(event: &Event) -> Message {
    let data = serde_json::to_string(event).unwrap_or_default();
    Message::default().id(event.seq.to_string()).data(data)
}
