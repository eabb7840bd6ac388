//! Refusals as HTTP. Each is a problem document (RFC 9457).
//!
//! A handler returns [`ApiError`]; the outermost layer ([`finish`]) writes the document, with the request's
//! id. It does the same for refusals of the router.

use axum::body::{Body, to_bytes};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};

use crate::kernel::Error;
use crate::model::{CODE_ROWS, CodeRow, Problem, RefusalCode, code_schema};
use crate::rate_limit::warn_limited;

pub const PROBLEM_JSON: &str = "application/problem+json";
/// Longest text of a refusal that came from elsewhere, in bytes.
const FOREIGN_TEXT_MAX: usize = 4096;

/// The document of a refusal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ProblemDetails {
    /// The kind of refusal: `urn:metalwright:problem:conflict`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The HTTP status in words.
    pub title: String,
    /// The HTTP status.
    #[schemars(range(min = 400, max = 599))]
    pub status: u16,
    /// Why, for programs. `docs/operating/errors.md` has the cause and the remedy of each.
    #[schemars(schema_with = "answer_code_schema")]
    pub code: RefusalCode,
    /// What is wrong here, and what to do.
    pub detail: String,
    /// Every fault, with a JSON pointer (RFC 6901) into what was sent.
    pub problems: Vec<Problem>,
    /// The id of the request, as in the server's log.
    pub request_id: String,
}

fn answer_code_schema(_: &mut SchemaGenerator) -> Schema {
    let about = "Why, for programs. `docs/operating/errors.md` has the cause and the remedy of each.";
    code_schema(about, |row| row.status.is_some())
}

/// A refusal that will be sent.
#[derive(Debug, Clone)]
pub struct ApiError {
    code: RefusalCode,
    detail: String,
    problems: Vec<Problem>,
    /// Name and value.
    header: Option<(&'static str, &'static str)>,
}

impl ApiError {
    /// The status is that of the code.
    pub fn new(code: RefusalCode, detail: impl Into<String>) -> Self {
        ApiError { code, detail: detail.into(), problems: Vec::new(), header: None }
    }

    pub fn code(&self) -> RefusalCode {
        self.code
    }

    pub fn status(&self) -> StatusCode {
        status_of(self.code)
    }

    /// The detail and the problems.
    pub fn into_parts(self) -> (String, Vec<Problem>) {
        (self.detail, self.problems)
    }

    pub fn with_header(self, name: &'static str, value: &'static str) -> Self {
        ApiError { header: Some((name, value)), ..self }
    }

    /// 401, with the authentication scheme.
    pub fn unauthorized(code: RefusalCode, detail: impl Into<String>) -> Self {
        ApiError::new(code, detail).with_header("www-authenticate", "Bearer realm=\"metalwright\"")
    }
}

impl From<Error> for ApiError {
    fn from(error: Error) -> Self {
        let (code, detail) = (error.code(), error.to_string());
        match error {
            Error::Invalid(problems) | Error::Unready { problems, .. } => {
                ApiError { problems, ..ApiError::new(code, detail) }
            }
            Error::Unauthorized(..) => ApiError::unauthorized(code, detail),
            Error::Busy(_) => ApiError::new(code, detail).with_header("retry-after", "1"),
            Error::TooMuch { .. } => ApiError::new(code, detail).with_header("retry-after", "60"),
            _ => ApiError::new(code, detail),
        }
    }
}

impl From<Problem> for ApiError {
    fn from(problem: Problem) -> Self {
        Error::from(problem).into()
    }
}

/// The status that answers with a code have.
fn status_of(code: RefusalCode) -> StatusCode {
    let status = code.row().status.and_then(|status| StatusCode::from_u16(status).ok());
    status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

/// The code of a refusal that did not come from us.
fn code_of(status: StatusCode) -> RefusalCode {
    let rows = CODE_ROWS.iter().find(|row: &&CodeRow| row.status == Some(status.as_u16()));
    rows.map_or(RefusalCode::Failed, |row| row.code)
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = self.status().into_response();
        if let Some((name, value)) = self.header {
            response.headers_mut().insert(name, HeaderValue::from_static(value));
        }
        response.extensions_mut().insert(self);
        response
    }
}

/// The last word of a kind of refusal: `urn:metalwright:problem:conflict`.
fn slug(code: RefusalCode, status: StatusCode) -> String {
    if code == RefusalCode::ReadAgain {
        return code.name().to_owned();
    }
    let words = status.canonical_reason().unwrap_or("refused");
    words.to_ascii_lowercase().replace(|c: char| !c.is_ascii_alphanumeric(), "-")
}

/// Writes the document of a refusal. Other responses pass unchanged.
pub async fn finish(response: Response, request_id: &str) -> Response {
    let status = response.status();
    if !(status.is_client_error() || status.is_server_error()) {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    if parts.headers.get(CONTENT_TYPE).is_some_and(|media| media == PROBLEM_JSON) {
        return Response::from_parts(parts, body);
    }
    let error = match parts.extensions.get::<ApiError>() {
        Some(error) => error.clone(),
        None => ApiError::new(code_of(status), foreign_text(status, body).await),
    };
    if status == StatusCode::SERVICE_UNAVAILABLE {
        // Requests for readiness may be frequent.
        warn_limited!(request_id, detail = error.detail, "a request could not be answered at present");
    } else if status.is_server_error() {
        tracing::error!(%status, request_id, detail = error.detail, "request failed");
    }
    let details = ProblemDetails {
        kind: format!("urn:metalwright:problem:{}", slug(error.code, status)),
        title: status.canonical_reason().unwrap_or("Refused").to_owned(),
        status: status.as_u16(),
        code: error.code,
        detail: error.detail,
        problems: error.problems,
        request_id: request_id.to_owned(),
    };
    let text = serde_json::to_vec(&details).unwrap_or_default();
    parts.headers.insert(CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
    parts.headers.remove(axum::http::header::CONTENT_LENGTH);
    Response::from_parts(parts, Body::from(text))
}

async fn foreign_text(status: StatusCode, body: Body) -> String {
    let bytes = to_bytes(body, FOREIGN_TEXT_MAX).await.unwrap_or_default();
    match String::from_utf8_lossy(&bytes).trim() {
        "" => status.canonical_reason().unwrap_or("refused").to_owned(),
        text => text.to_owned(),
    }
}
