//! Reads requests: JSON within a bound, patches of both kinds, and the expected revision.

use std::time::{Duration, Instant};

use axum::body::Body;
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE, ETAG, IF_MATCH, IF_NONE_MATCH, LOCATION};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt as _;
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::time::timeout;

use super::body_budget;
use super::error::ApiError;
use super::strict_json::{self, JsonFault, VALUES_MAX};
use crate::kernel::Error;
use crate::model::{ReadPosition, RefusalCode, parse_typed};
use crate::objects::patch::Patch;
use crate::objects::view::ObjectView;
use crate::objects::write::ExpectedRevision;

/// Largest body of a request, in bytes.
pub const BODY_BYTES_MAX: usize = 4 << 20;
/// Largest body that is parsed on the request's own thread, in bytes.
const PARSED_AT_ONCE_MAX: usize = 32 << 10;
/// How long a client may take to send its body: so many seconds, and one more for each so many bytes that
/// arrived. A slow link is accepted; a body that is sent in tiny pieces is not.
const BODY_SECONDS_MAX: u64 = 30;
const BODY_BYTES_PER_SECOND_MIN: u64 = 4096;
pub const JSON: &str = "application/json";
pub const MERGE_PATCH: &str = "application/merge-patch+json";
pub const JSON_PATCH: &str = "application/json-patch+json";
/// Most entity tags in one header.
const TAGS_MAX: usize = 32;

/// The bytes of a body.
///
/// # Errors
/// 413 if it is too large, 408 if it arrives too slowly, 503 if the bodies of all requests are too large.
pub async fn read_bytes(headers: &HeaderMap, body: Body, bytes_max: usize) -> Result<Vec<u8>, ApiError> {
    read_pieces(headers, (body, bytes_max), body_budget::take).await
}

/// The bytes of a body. `admit` is asked before a piece of so many bytes is added.
async fn read_pieces(
    headers: &HeaderMap,
    (body, bytes_max): (Body, usize),
    admit: fn(usize) -> Result<(), ApiError>,
) -> Result<Vec<u8>, ApiError> {
    let announced =
        headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    if announced.is_some_and(|bytes| bytes > bytes_max) {
        return Err(body_too_large(bytes_max));
    }
    let begun = Instant::now();
    let (mut bytes, mut pieces) = (Vec::new(), body.into_data_stream());
    loop {
        let left = time_to_send(bytes.len()).saturating_sub(begun.elapsed());
        let piece = match timeout(left, pieces.next()).await {
            Ok(Some(Ok(piece))) => piece,
            Ok(Some(Err(error))) => {
                return Err(ApiError::new(
                    RefusalCode::NotJson,
                    format!("the body was interrupted: {error}"),
                ));
            }
            Ok(None) => return Ok(bytes),
            Err(_) => {
                return Err(ApiError::new(RefusalCode::BodyTimeout, "the body did not arrive in time"));
            }
        };
        if piece.len() > bytes_max - bytes.len() {
            return Err(body_too_large(bytes_max));
        }
        admit(piece.len())?;
        bytes.extend_from_slice(&piece);
    }
}

fn body_too_large(bytes_max: usize) -> ApiError {
    ApiError::new(RefusalCode::TooLarge, format!("a body here has at most {bytes_max} bytes"))
}

/// How long a client may take for so many bytes and the next ones.
fn time_to_send(bytes: usize) -> Duration {
    Duration::from_secs(BODY_SECONDS_MAX + bytes as u64 / BODY_BYTES_PER_SECOND_MIN)
}

/// A JSON body.
///
/// # Errors
/// 415 for another media type, 400 with line and column if it is not JSON.
pub async fn read_json(headers: &HeaderMap, body: Body) -> Result<Value, ApiError> {
    match media_type(headers) {
        None | Some(JSON) => parse(read_bytes(headers, body, BODY_BYTES_MAX).await?).await,
        Some(other) => Err(unsupported(other, &[JSON])),
    }
}

/// A JSON body of a known shape; an empty body stands for `{}`.
///
/// # Errors
/// As [`read_json`], and 422 with every fault for JSON of another shape.
pub async fn read_as<T: DeserializeOwned + JsonSchema + Send + 'static>(
    headers: &HeaderMap,
    body: Body,
) -> Result<T, ApiError> {
    read_typed(headers, (body, BODY_BYTES_MAX), body_budget::take).await
}

/// A JSON body of a known shape and of at most so many bytes, for an operation that has few turns: the bound
/// on all bodies does not count it.
///
/// # Errors
/// Those of [`read_as`].
pub async fn read_as_up_to<T: DeserializeOwned + JsonSchema + Send + 'static>(
    headers: &HeaderMap,
    body: Body,
    bytes_max: usize,
) -> Result<T, ApiError> {
    read_typed(headers, (body, bytes_max), |_| Ok(())).await
}

async fn read_typed<T: DeserializeOwned + JsonSchema + Send + 'static>(
    headers: &HeaderMap,
    sent: (Body, usize),
    admit: fn(usize) -> Result<(), ApiError>,
) -> Result<T, ApiError> {
    let bytes = match media_type(headers) {
        None | Some(JSON) => read_pieces(headers, sent, admit).await?,
        Some(other) => return Err(unsupported(other, &[JSON])),
    };
    if bytes.len() <= PARSED_AT_ONCE_MAX {
        return typed(&bytes);
    }
    let reading = tokio::task::spawn_blocking(move || typed(&bytes)).await;
    reading.map_err(|error| Error::Failed(format!("the body was not read: {error}")))?
}

fn typed<T: DeserializeOwned + JsonSchema + 'static>(bytes: &[u8]) -> Result<T, ApiError> {
    let value = match bytes {
        [] => Value::Object(Default::default()),
        bytes => strict_json::read(bytes).map_err(json_error)?,
    };
    parse_typed(&value).map_err(|problems| Error::Invalid(problems).into())
}

/// A patch, of the kind of its media type.
///
/// # Errors
/// 415, which names both kinds; 400 if the body is neither.
pub async fn read_patch(headers: &HeaderMap, body: Body) -> Result<Patch, ApiError> {
    let known = [MERGE_PATCH, JSON_PATCH];
    match media_type(headers) {
        Some(MERGE_PATCH) => Ok(Patch::Merge(parse(read_bytes(headers, body, BODY_BYTES_MAX).await?).await?)),
        Some(JSON_PATCH) => {
            Ok(Patch::operations(parse(read_bytes(headers, body, BODY_BYTES_MAX).await?).await?)?)
        }
        other => Err(unsupported(other.unwrap_or("none"), &known)),
    }
}

fn media_type(headers: &HeaderMap) -> Option<&str> {
    let text = headers.get(CONTENT_TYPE)?.to_str().ok()?;
    Some(text.split(';').next().unwrap_or_default().trim())
}

fn unsupported(given: &str, known: &[&str]) -> ApiError {
    let known = known.join(" or ");
    let detail = format!("the body's content type is {given}: send {known}");
    ApiError::new(RefusalCode::WrongMediaType, detail)
}

/// A large body is parsed on a thread that packets do not wait for.
async fn parse(bytes: Vec<u8>) -> Result<Value, ApiError> {
    let parsed = if bytes.len() > PARSED_AT_ONCE_MAX {
        let reading = tokio::task::spawn_blocking(move || strict_json::read(&bytes)).await;
        reading.map_err(|error| Error::Failed(format!("the body was not read: {error}")))?
    } else {
        strict_json::read(&bytes)
    };
    parsed.map_err(json_error)
}

fn json_error(fault: JsonFault) -> ApiError {
    match fault {
        // The parser's message ends in line and column.
        JsonFault::Syntax(error) => {
            ApiError::new(RefusalCode::NotJson, format!("the body is not JSON: {error}"))
        }
        JsonFault::Twice(problem) => Error::Invalid(vec![problem]).into(),
        JsonFault::TooMany => {
            let what = format!("a body has at most {VALUES_MAX} values");
            ApiError::new(RefusalCode::TooLarge, what)
        }
    }
}

/// The revision that `If-Match` (RFC 9110 §13.1.1) names.
///
/// # Errors
/// 400 if it is not an entity tag.
pub fn expected(headers: &HeaderMap) -> Result<ExpectedRevision, ApiError> {
    match tags(headers, &IF_MATCH)? {
        None => Ok(ExpectedRevision::Any),
        Some(tags) if tags.iter().any(|tag| tag == "*") => Ok(ExpectedRevision::Any),
        // A tag that this server never sent matches no revision; neither does a weak one.
        Some(tags) => Ok(ExpectedRevision::OneOf(tags.iter().filter_map(|tag| revision(tag)).collect())),
    }
}

/// Whether the client has this revision already: `If-None-Match` (RFC 9110 §13.1.2).
///
/// # Errors
/// 400 if it is not an entity tag.
pub fn is_known(headers: &HeaderMap, present: u64) -> Result<bool, ApiError> {
    let tags = tags(headers, &IF_NONE_MATCH)?.unwrap_or_default();
    Ok(tags.iter().any(|tag: &String| tag == "*" || revision(tag.trim_start_matches("W/")) == Some(present)))
}

fn revision(tag: &str) -> Option<u64> {
    tag.strip_prefix('"')?.strip_suffix('"')?.parse().ok()
}

fn tags(headers: &HeaderMap, name: &HeaderName) -> Result<Option<Vec<String>>, ApiError> {
    if !headers.contains_key(name) {
        return Ok(None);
    }
    let mut found = Vec::new();
    for value in headers.get_all(name) {
        for tag in value.to_str().map_err(|_| entity_tag_error(name))?.split(',').map(str::trim) {
            let opaque = tag.strip_prefix("W/").unwrap_or(tag);
            let quoted = opaque.len() >= 2 && opaque.starts_with('"') && opaque.ends_with('"');
            if !(quoted || tag == "*") || found.len() >= TAGS_MAX {
                return Err(entity_tag_error(name));
            }
            found.push(tag.to_owned());
        }
    }
    Ok(Some(found))
}

fn entity_tag_error(name: &HeaderName) -> ApiError {
    let detail = format!("`{name}` has entity tags like \"3\" (with the quotes), or *");
    ApiError::new(RefusalCode::BadRequest, detail)
}

/// A JSON response.
pub fn json(status: StatusCode, body: &Value) -> Response {
    (status, [(CONTENT_TYPE, JSON)], body.to_string()).into_response()
}

/// The headers with the position of a reader that has read the answer.
pub const COMMIT: HeaderName = HeaderName::from_static("metalwright-commit");
pub const EPOCH: HeaderName = HeaderName::from_static("metalwright-epoch");

/// Adds the commit that an answer was read at, unless the answer has one already.
pub fn read_at(mut response: Response, position: ReadPosition) -> Response {
    let (commit, epoch) = (HeaderValue::from(position.commit), position.epoch.to_string());
    if let (Ok(epoch), false) = (HeaderValue::from_str(&epoch), response.headers().contains_key(&COMMIT)) {
        response.headers_mut().insert(COMMIT, commit);
        response.headers_mut().insert(EPOCH, epoch);
    }
    response
}

/// An object with its entity tag.
pub fn object(status: StatusCode, view: &ObjectView) -> Response {
    let mut response = read_at(json(status, &view.body), view.read_at);
    if let Ok(tag) = HeaderValue::from_str(&format!("\"{}\"", view.revision)) {
        response.headers_mut().insert(ETAG, tag);
    }
    response
}

/// A new object, with its URL.
pub fn created(collection: &str, view: &ObjectView) -> Response {
    let mut response = object(StatusCode::CREATED, view);
    let key =
        percent_encoding::utf8_percent_encode(&view.key, percent_encoding::NON_ALPHANUMERIC).to_string();
    // Characters that need no encoding in a URL stay readable.
    let key = key.replace("%2D", "-").replace("%2E", ".").replace("%5F", "_");
    if let Ok(place) = HeaderValue::from_str(&format!("{collection}/{key}")) {
        response.headers_mut().insert(LOCATION, place);
    }
    response
}
