//! Logging in and out, who one is, and ending the sessions of others.
//!
//! `access::sessions` has what a session is. A browser's request is authenticated in `auth`; `session_cookie`
//! has the cookie, `same_origin` the check that a page of this server sent the request.

use axum::Extension;
use axum::extract::{Path, Request, State};
use axum::http::header::{SET_COOKIE, USER_AGENT};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use uuid::Uuid;

use super::access_log::{PeerAddress, RequestActor};
use super::error::ApiError;
use super::operation::Operation;
use super::resources::ROOT;
use super::{ApiState, RequestId, body, same_origin, schema, session_cookie};
use crate::access::sessions::{BrowserLogin, NewSession};
use crate::kernel::scope::RequiredScope;
use crate::kernel::{Actor, Caller, Error};
use crate::model::SessionEnd;
use crate::objects::write::WriteTarget;

/// Largest body of a login, in bytes.
const LOGIN_BYTES_MAX: usize = 4096;

/// What a browser logs in with.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LoginInput {
    /// The text of a token.
    #[schemars(length(min = 1, max = 256))]
    token: String,
}

/// Who a caller is, and what it may do.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct PresentSession {
    /// The session; null for a request with a token.
    pub id: Option<Uuid>,
    /// The name of the token, or `machine:ID` for an agent.
    pub name: String,
    /// What the token may do.
    pub scopes: Vec<String>,
    /// When the session began, or the token was made; null for an agent.
    pub created_at: Option<Timestamp>,
    /// When it ends at the latest; null for a token without an end. A session that is not used for twelve
    /// hours ends before.
    pub expires_at: Option<Timestamp>,
    pub server: ServerIdentity,
}

/// The server that answers.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct ServerIdentity {
    /// The name of its host.
    pub name: String,
    pub version: String,
    /// Its clock.
    pub time: Timestamp,
    /// Its time zone: `Europe/Berlin`, `UTC`.
    pub zone: String,
}

pub fn operations() -> Vec<Operation> {
    let own = format!("{ROOT}/session");
    let login = Operation::post(own.as_str(), "begin_session")
        .summary("Log a browser in with a token; the answer sets the cookie of the session")
        .description(
            "The session may do what the token may, and ends with it, after twelve hours without a request, \
             or after seven days. Its cookie counts only in requests of pages of this server.",
        )
        .needs(RequiredScope::Nothing)
        .takes(schema::of::<LoginInput>)
        .answers(201, "Logged in.", schema::of::<PresentSession>)
        .refuses(&[400, 401, 403, 413, 415, 422, 429])
        .runs(login);
    let present = Operation::get(own.as_str(), "get_present_session")
        .summary("Say who the caller is, and what it may do")
        .needs(RequiredScope::Token)
        .answers(200, "The session, or the token.", schema::of::<PresentSession>)
        .runs(present);
    let logout = Operation::new(Method::DELETE, own.as_str(), "end_present_session")
        .summary("Log out: end the session of the request's cookie")
        .needs(RequiredScope::Token)
        .answers_empty(204, "Logged out; the cookie is removed.")
        .refuses(&[409])
        .runs(logout);
    let delete = Operation::new(Method::DELETE, format!("{ROOT}/sessions/{{ref}}"), "delete_session")
        .summary("End a session: its browser is logged out")
        .needs(RequiredScope::Write("sessions"))
        .answers_empty(204, "Gone.")
        .refuses(&[400, 404, 412])
        .runs(delete);
    [login, present, logout, delete].map(|operation| operation.tag("sessions")).into()
}

async fn login(State(state): State<ApiState>, request: Request) -> Result<Response, ApiError> {
    same_origin::check_login(&request)?;
    let (parts, sent) = request.into_parts();
    let peer = parts.extensions.get::<PeerAddress>().map(|peer| peer.0);
    let access = &state.houses.access;
    access.admit_login(peer)?;
    let input: LoginInput = body::read_as_up_to(&parts.headers, sent, LOGIN_BYTES_MAX).await?;
    let browser = parts.headers.get(USER_AGENT).and_then(|name| name.to_str().ok()).unwrap_or_default();
    let request_id = parts.extensions.get::<RequestId>().map(|id| id.0.as_str()).unwrap_or_default();
    let now = Timestamp::now();
    let login = BrowserLogin { token: input.token.trim(), now, peer, browser, request_id };
    let NewSession { caller, cookie, session } = access.begin_session(login).await?;
    // The browser forgets the cookie of the session that it had.
    let before = session_cookie::read(&parts.headers).and_then(|old| access.sign_in_session(old, now).ok());
    if let Some(before) = before {
        access.end_own_session(&before, SessionEnd::LoggedInAnew).await?;
    }
    let mut response = body::json(StatusCode::CREATED, &json!(describe(&state, &caller)));
    set_cookie(&mut response, &session_cookie::set(&cookie, (now, session.spec.expires_at)))?;
    response.extensions_mut().insert(RequestActor::of(&caller, RequiredScope::Token));
    Ok(response)
}

async fn present(State(state): State<ApiState>, Extension(caller): Extension<Caller>) -> Response {
    body::json(StatusCode::OK, &json!(describe(&state, &caller)))
}

async fn logout(
    State(state): State<ApiState>,
    Extension(caller): Extension<Caller>,
) -> Result<Response, ApiError> {
    state.houses.access.end_own_session(&caller, SessionEnd::LoggedOut).await?;
    let mut response = StatusCode::NO_CONTENT.into_response();
    set_cookie(&mut response, &session_cookie::remove())?;
    Ok(response)
}

async fn delete(
    State(state): State<ApiState>,
    Extension(caller): Extension<Caller>,
    Path(reference): Path<String>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let target = WriteTarget { reference: &reference, expected: body::expected(&headers)? };
    state.houses.access.end_session(&caller, &target).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

fn describe(state: &ApiState, caller: &Caller) -> PresentSession {
    let term = state.houses.access.term(caller);
    let name = match &caller.actor {
        Actor::Token(name) => name.clone(),
        other => other.to_string(),
    };
    PresentSession {
        id: caller.session,
        name,
        scopes: caller.scopes.clone(),
        created_at: term.map(|term| term.created_at),
        expires_at: term.and_then(|term| term.expires_at),
        server: ServerIdentity {
            name: host_name(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            time: caller.now,
            zone: TimeZone::system().iana_name().unwrap_or("UTC").to_owned(),
        },
    }
}

fn host_name() -> String {
    let name = nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok());
    name.unwrap_or_else(|| "localhost".to_owned())
}

fn set_cookie(response: &mut Response, line: &str) -> Result<(), Error> {
    let line = HeaderValue::from_str(line).map_err(|error| Error::Failed(error.to_string()))?;
    response.headers_mut().insert(SET_COOKIE, line);
    Ok(())
}
