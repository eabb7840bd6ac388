//! The checks before every operation: the caller's token or the cookie of its session, its scope, and the
//! names in the query.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, Method};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;

use super::access_log::RequestActor;
use super::body;
use super::error::ApiError;
use super::operation::Operation;
use super::query::UrlQuery;
use super::{ApiState, RequestId, same_origin, session_cookie};
use crate::kernel::Caller;
use crate::kernel::scope::RequiredScope;
use crate::model::RefusalCode;

/// The checks of one operation.
#[derive(Debug, Clone)]
pub struct OperationGate {
    pub state: ApiState,
    pub need: RequiredScope,
    /// Names that its query may have; none if the handler reads filters.
    pub query: Option<Arc<[String]>>,
}

impl OperationGate {
    pub fn of(operation: &Operation, state: &ApiState) -> Self {
        let query = (!operation.filters).then(|| operation.query_names().collect());
        OperationGate { state: state.clone(), need: operation.need, query }
    }
}

/// Lets a request through with its [`Caller`] and its decoded query, or refuses it with 401, 403 or 400.
pub async fn check(State(gate): State<OperationGate>, mut request: Request, next: Next) -> Response {
    if gate.need == RequiredScope::Nothing {
        return admit(gate, request, next).await.into_response();
    }
    let caller = match sign_in(&gate.state, &request) {
        Ok(caller) => caller,
        Err(refused) => return refused.into_response(),
    };
    gate.state.houses.access.note_session_use(&caller).await;
    let actor = RequestActor::of(&caller, gate.need);
    let mut response = match caller.needs(gate.need) {
        Ok(()) => {
            request.extensions_mut().insert(caller);
            admit(gate, request, next).await.into_response()
        }
        Err(refused) => ApiError::from(refused).into_response(),
    };
    response.extensions_mut().insert(actor);
    response
}

async fn admit(gate: OperationGate, mut request: Request, next: Next) -> Result<Response, ApiError> {
    let query = UrlQuery::parse(request.uri().query().unwrap_or_default())?;
    if let Some(known) = &gate.query {
        query.only(known)?;
    }
    request.extensions_mut().insert(query);
    if gate.need == RequiredScope::Nothing || request.method() != Method::GET {
        return Ok(next.run(request).await);
    }
    // Anything that is read later is at least as new. A handler that knows the position exactly sets it.
    let position = gate.state.houses.objects.position();
    Ok(body::read_at(next.run(request).await, position))
}

/// Refuses a request, which a client without a valid token is not told the reason of.
pub fn refuse(state: &ApiState, request: &Request, why: ApiError) -> Response {
    match sign_in(state, request) {
        Ok(caller) => {
            let mut response = why.into_response();
            response.extensions_mut().insert(RequestActor::of(&caller, RequiredScope::Token));
            response
        }
        Err(refused) => refused.into_response(),
    }
}

/// The caller of a request.
///
/// # Errors
/// 401 without a valid token or session, 403 for a cookie in a request of another page. A token counts more
/// than a cookie.
fn sign_in(state: &ApiState, request: &Request) -> Result<Caller, ApiError> {
    let (access, headers, now) = (&state.houses.access, request.headers(), Timestamp::now());
    let cookie = session_cookie::read(headers).filter(|_| !headers.contains_key(AUTHORIZATION));
    let mut caller = match cookie {
        Some(cookie) => {
            same_origin::check_with_cookie(request)?;
            access.sign_in_session(cookie, now)?
        }
        None => access.sign_in(bearer(headers)?, now)?,
    };
    if let Some(RequestId(id)) = request.extensions().get::<RequestId>() {
        caller.request_id.clone_from(id);
    }
    Ok(caller)
}

/// The token in `Authorization: Bearer …` (RFC 6750 §2.1).
fn bearer(headers: &HeaderMap) -> Result<&str, ApiError> {
    let Some(header) = headers.get(AUTHORIZATION) else {
        return Err(ApiError::unauthorized(
            RefusalCode::TokenMissing,
            "send a token, `Authorization: Bearer mw_…`, or log in at /console/",
        ));
    };
    let text = header.to_str().ok().and_then(|text| text.split_once(' '));
    match text {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => Ok(token.trim()),
        _ => {
            let why = "the `Authorization` header must be `Bearer` and a token";
            Err(ApiError::unauthorized(RefusalCode::TokenMissing, why))
        }
    }
}
