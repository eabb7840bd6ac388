//! The objects that changed since a commit: pages, and a stream of changes.

use std::time::Instant;

use axum::Extension;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use axum::response::sse::Event as Message;
use serde_json::{Value, json};
use uuid::Uuid;

use super::ApiState;
use super::body;
use super::error::ApiError;
use super::event_streams::{EVENT_STREAM, KEEP_ALIVE, MessageFeed, last_event_id, stream_response};
use super::operation::{BodyContent, Operation, number, text, text_like};
use super::query::UrlQuery;
use super::resources::ROOT;
use super::schema;
use crate::kernel::scope::RequiredScope;
use crate::kernel::{Caller, Error};
use crate::model::{Kind, ObjectChange, ReadPosition};
use crate::objects::changes::{ChangeFeed, ChangeList, ChangeQuery, ChangeStart, LIMIT_DEFAULT, LIMIT_MAX};

/// What the cursors of changes look like: commit, epoch, kind and key.
const CURSOR: &str = r"^[0-9]{1,18}\.[0-9a-f]{32}\.[a-z_]+\..+$";
/// Most changes that one read for a stream returns.
const BATCH_MAX: usize = 256;

const ABOUT_PAGE: &str = "Each object is listed once, at its last change. Read pages until `next` is null, \
    then ask again with `after` and `epoch` set to the `commit` and `epoch` of the last page. Begin with \
    lists: a list has the `commit` and `epoch` that it was read at. 410 with the type `read_again` means \
    that the server does not know what was deleted since, or that the database was restored from a backup: \
    read the lists again.";

const ABOUT_STREAM: &str = "A message without a type has a change as JSON in `data`. A message of type \
    `position` comes first and behind the changes of each commit: its `data` has `commit` and `epoch`, and \
    its `id` is both (`COMMIT@EPOCH`), which `Last-Event-ID` takes.";

pub fn operations() -> Vec<Operation> {
    let page = Operation::get(format!("{ROOT}/changes"), "list_changes")
        .summary("Which objects were written or deleted after a commit")
        .description(ABOUT_PAGE)
        .query("after", commit_number(), "After this commit; without it nothing is listed but `commit`.")
        .query("limit", number(1, LIMIT_MAX as u64), "Changes on a page; 100 when not given.")
        .query("cursor", text_like(CURSOR), "`next` of the page before, in the place of `after` and `epoch`.")
        .answers(200, "A page.", schema::of::<ChangeList>)
        .runs(list);
    let stream = Operation::get(format!("{ROOT}/changes/stream"), "stream_changes")
        .summary("Changes of objects as Server-Sent Events; resumes after `Last-Event-ID`")
        .description(ABOUT_STREAM)
        .query("after", commit_number(), "Begin after this commit instead of now.")
        .answers_media(
            200,
            "Changes and positions.",
            BodyContent { media: EVENT_STREAM, schema: schema::text },
        )
        .refuses(&[503])
        .runs(stream);
    [page, stream].map(which).into()
}

/// Adds the query parameters that filter changes.
fn which(operation: Operation) -> Operation {
    operation
        .tag("changes")
        .needs(RequiredScope::Token)
        .query("epoch", json!({"type": "string", "format": "uuid"}), "The epoch in which `after` was read.")
        .query("kind", text(), "Only objects of these kinds, separated by commas: `machine,lease`.")
        .refuses(&[400, 403, 410])
}

fn commit_number() -> Value {
    json!({"type": "integer", "minimum": 0})
}

/// The `kind` of a query.
///
/// # Errors
/// 400 for a word that is not a kind.
fn kinds(query: &UrlQuery) -> Result<Vec<Kind>, Error> {
    let unknown = |word: &str| {
        let known = Kind::ALL.map(Kind::as_str).join(", ");
        Error::BadRequest(format!("there is no kind `{word}`; there are: {known}"))
    };
    let words = query.get("kind").into_iter().flat_map(|words| words.split(','));
    let words = words.map(str::trim).filter(|word| !word.is_empty()).take(Kind::ALL.len());
    words.map(|word| Kind::of_word(word).ok_or_else(|| unknown(word))).collect()
}

/// The place where a query begins.
///
/// # Errors
/// 400 if it is not a number, epoch or cursor.
fn start(query: &UrlQuery) -> Result<Option<ChangeStart>, Error> {
    if let Some(cursor) = query.get("cursor") {
        return cursor.parse().map(Some);
    }
    let after = query.get_as::<u64>("after", "the number of a commit")?;
    let epoch = query.get_as::<Uuid>("epoch", "the `epoch` of an answer")?;
    Ok(after.map(|after| ChangeStart::after(after, epoch)))
}

/// The position of a reader that has seen everything so far.
fn present(state: &ApiState) -> ChangeStart {
    let ReadPosition { commit, epoch } = state.houses.objects.position();
    ChangeStart::after(commit, Some(epoch))
}

async fn list(
    State(state): State<ApiState>,
    Extension(caller): Extension<Caller>,
    Extension(query): Extension<UrlQuery>,
) -> Result<Response, ApiError> {
    let limit = query.get_as::<usize>("limit", "a number")?.unwrap_or(LIMIT_DEFAULT);
    if !(1..=LIMIT_MAX).contains(&limit) {
        return Err(Error::BadRequest(format!("`limit` is from 1 to {LIMIT_MAX}, not {limit}")).into());
    }
    let start = start(&query)?.unwrap_or_else(|| present(&state));
    let changes =
        state.houses.objects.changes(&caller, &ChangeQuery { kinds: kinds(&query)?, start, limit })?;
    let position = ReadPosition { commit: changes.commit, epoch: changes.epoch };
    Ok(body::read_at(body::json(StatusCode::OK, &json!(changes)), position))
}

async fn stream(
    State(state): State<ApiState>,
    Extension(caller): Extension<Caller>,
    Extension(query): Extension<UrlQuery>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let place = state.streams.take(&caller.actor).map_err(Error::Busy)?;
    let start = match last_event_id(&headers) {
        Some(id) => Some(resume(id)?),
        None => start(&query)?,
    };
    let start = start.unwrap_or_else(|| present(&state));
    let begins = ReadPosition { commit: start.commit(), ..state.houses.objects.position() };
    let query = ChangeQuery { kinds: kinds(&query)?, start, limit: BATCH_MAX };
    let feed = state.houses.objects.change_feed(caller.clone(), query)?;
    let feed = ChangeMessages { feed, told: Instant::now() };
    Ok(stream_response(feed, (state, caller), vec![position(begins)], place))
}

/// The position in the id of a message: `COMMIT@EPOCH`, or the number alone.
fn resume(id: &str) -> Result<ChangeStart, Error> {
    parse_message_id(id).ok_or_else(|| {
        Error::BadRequest(format!("`Last-Event-ID` is the id of a message, COMMIT@EPOCH, not `{id}`"))
    })
}

fn parse_message_id(id: &str) -> Option<ChangeStart> {
    let (commit, epoch) = match id.split_once('@') {
        Some((commit, epoch)) => (commit, Some(epoch.parse().ok()?)),
        None => (id, None),
    };
    Some(ChangeStart::after(commit.parse().ok()?, epoch))
}

/// The changes that a reader may see, as messages. The stream ends when the reader has fallen so far behind
/// that it has to read everything again: it then reconnects with its position and gets that answer.
struct ChangeMessages {
    feed: ChangeFeed,
    /// When the reader last got its position.
    told: Instant,
}

impl MessageFeed for ChangeMessages {
    async fn next(&mut self) -> Option<Vec<Message>> {
        let changes = self.feed.next().await.ok()?;
        // A reader that may see nothing of the changes gets its position at intervals.
        if changes.items.is_empty() && self.told.elapsed() < KEEP_ALIVE {
            return Some(Vec::new());
        }
        self.told = Instant::now();
        Some(batch(&changes))
    }
}

/// The changes, and the position after them if they end with a commit.
fn batch(changes: &ChangeList) -> Vec<Message> {
    changes
        .items
        .iter()
        .map(|change: &ObjectChange| Message::default().data(json!(change).to_string()))
        .chain(
            changes
                .next
                .is_none()
                .then(|| position(ReadPosition { commit: changes.commit, epoch: changes.epoch })),
        )
        .collect()
}

fn position(position: ReadPosition) -> Message {
    let id = format!("{}@{}", position.commit, position.epoch);
    Message::default().event("position").id(id).data(json!(position).to_string())
}
