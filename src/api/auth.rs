//! The checks before every operation: the caller's token, its scope, and the names in the query.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, Method};
use axum::middleware::Next;
use axum::response::Response;
use jiff::Timestamp;

use super::body;
use super::error::ApiError;
use super::operation::Operation;
use super::query::UrlQuery;
use super::{ApiState, RequestId};
use crate::kernel::Caller;
use crate::kernel::scope::RequiredScope;

/// The checks of one operation.
#[derive(Debug, Clone)]
pub struct OperationGate {
    pub state: ApiState,
    pub need: RequiredScope,
    /// Names that its query may have; none if the handler reads filters.
    pub query: Option<Arc<[&'static str]>>,
}

impl OperationGate {
    pub fn of(operation: &Operation, state: &ApiState) -> Self {
        let query =
            (!operation.filters).then(|| operation.query.iter().map(|parameter| parameter.name).collect());
        OperationGate { state: state.clone(), need: operation.need, query }
    }
}

/// Passes a request on with its [`Caller`] and its decoded query, or refuses it.
///
/// # Errors
/// 401, 403, 400.
pub async fn check(
    State(gate): State<OperationGate>,
    mut request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    if gate.need != RequiredScope::Nothing {
        let caller = sign_in(&gate.state, &request)?;
        caller.needs(gate.need)?;
        request.extensions_mut().insert(caller);
    }
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

/// The caller of a request.
///
/// # Errors
/// 401 without a valid token.
pub fn sign_in(state: &ApiState, request: &Request) -> Result<Caller, ApiError> {
    let token = bearer(request.headers())?;
    let mut caller = state.houses.access.sign_in(token, Timestamp::now())?;
    if let Some(RequestId(id)) = request.extensions().get::<RequestId>() {
        caller.request_id.clone_from(id);
    }
    Ok(caller)
}

/// The token in `Authorization: Bearer …` (RFC 6750 §2.1).
fn bearer(headers: &HeaderMap) -> Result<&str, ApiError> {
    let Some(header) = headers.get(AUTHORIZATION) else {
        return Err(ApiError::unauthorized("send a token: `Authorization: Bearer mw_…`"));
    };
    let text = header.to_str().ok().and_then(|text| text.split_once(' '));
    match text {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => Ok(token.trim()),
        _ => Err(ApiError::unauthorized("the `Authorization` header must be `Bearer` and a token")),
    }
}
