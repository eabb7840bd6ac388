//! The REST API: translates between HTTP and use cases. It decides nothing itself.
//!
//! `resources` is the registry of all operations, one row each. The router, the access checks and the OpenAPI
//! document are made from it. Start there, then read `operation`. The router is [`router`]; `server` has TLS
//! and the listener.

mod access_log;
mod actions;
mod artifacts;
mod auth;
mod background;
pub mod body;
mod body_budget;
mod boot_preview;
mod bulk;
mod changes;
mod channels;
mod dhcp;
pub mod error;
mod event_streams;
mod events;
mod jobs;
mod layers;
mod leases;
mod maintenance;
pub mod metrics;
pub mod openapi;
pub mod operation;
mod packs;
mod param_migration;
pub mod query;
mod records;
pub mod resources;
mod runs;
mod same_origin;
pub mod schema;
mod seeing;
mod service;
mod session_cookie;
mod sessions;
pub mod starting;
mod strict_json;
mod summary;
#[cfg(test)]
mod tests;
mod timeline;
mod tokens;
mod unknown_clients;
mod upgrade_check;

pub use access_log::PeerAddress;
pub use openapi::openapi;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::header::{ALLOW, CACHE_CONTROL, CONTENT_SECURITY_POLICY, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderName, HeaderValue, Method, StatusCode};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, any, get, options};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tower_http::catch_panic::CatchPanicLayer;
use uuid::Uuid;

use crate::console::{self, ConsoleSite};
use crate::houses::Houses;
use crate::kernel::scope::RequiredScope;
use crate::model::RefusalCode;
use access_log::{AccessLine, AccessLog};
use auth::OperationGate;
use body_budget::BodyBudget;
use error::ApiError;
use event_streams::EventStreams;
use operation::Operation;

/// Longest request id that a client may send.
const REQUEST_ID_MAX: usize = 64;
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// The paths of the console, which is no operation of the API.
const CONSOLE_ROOT: &str = "/console";
const CONSOLE_FILES: &str = "/console/{*path}";
/// What browsers are told of every answer that does not say something else: not to keep it, not to run or
/// show it as a page, not to give it to pages of others.
const HEADERS_OF_ALL: [(HeaderName, HeaderValue); 4] = [
    (CACHE_CONTROL, HeaderValue::from_static("no-store")),
    (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'")),
    (HeaderName::from_static("cross-origin-resource-policy"), HeaderValue::from_static("same-origin")),
];

/// The state that handlers share.
#[derive(Debug, Clone)]
pub struct ApiState {
    pub houses: Arc<Houses>,
    /// Cancelled when the server stops: open streams end.
    pub shutdown: CancellationToken,
    /// Set once all listeners are bound.
    pub ready: Arc<AtomicBool>,
    requests: Arc<metrics::RequestCounters>,
    access_log: Arc<AccessLog>,
    counters: metrics::ServiceCounters,
    streams: Arc<EventStreams>,
    /// The turns of imports of leases, whose bodies are large.
    imports: Arc<Semaphore>,
    /// The calls for many objects.
    bulk: Arc<bulk::BulkDesk>,
    bodies: BodyBudget,
}

impl ApiState {
    pub fn new(houses: Arc<Houses>, shutdown: CancellationToken, ready: Arc<AtomicBool>) -> Self {
        let requests = Arc::new(metrics::RequestCounters::new(&resources::operations()));
        let counters = metrics::ServiceCounters::default();
        ApiState {
            houses,
            shutdown,
            ready,
            requests,
            access_log: Arc::default(),
            counters,
            streams: Arc::default(),
            imports: Arc::new(Semaphore::new(leases::IMPORTS_MAX)),
            bulk: Arc::default(),
            bodies: BodyBudget::default(),
        }
    }

    /// Adds counters for metrics.
    pub fn with_counters(self, counters: metrics::ServiceCounters) -> Self {
        ApiState { counters, ..self }
    }
}

/// The id of a request: the client's, or a generated one. It is in every response and in the log.
#[derive(Debug, Clone)]
pub struct RequestId(pub String);

/// Every route of the API.
pub fn router(state: ApiState) -> Router {
    let mut methods: BTreeMap<String, Vec<Method>> = BTreeMap::new();
    let mut router = Router::new();
    for operation in resources::operations() {
        methods.entry(operation.path.clone()).or_default().push(operation.method.clone());
        router = router.route(&operation.path.clone(), gated(operation, &state));
    }
    for (path, methods) in methods {
        router = router.route(&path, allowed(&methods, &state));
    }
    router
        .route("/", get(root))
        .route(CONSOLE_ROOT, any(console_file))
        .route(console::BASE, any(console_file))
        .route(CONSOLE_FILES, any(console_file))
        .fallback(no_such_path)
        .method_not_allowed_fallback(no_such_method)
        .layer(CatchPanicLayer::custom(panicked))
        .layer(from_fn_with_state(state.clone(), wrap))
        .with_state(state)
}

fn gated(operation: Operation, state: &ApiState) -> MethodRouter<ApiState> {
    let gate = OperationGate::of(&operation, state);
    let timer =
        RouteTimer { requests: Arc::clone(&state.requests), route: state.requests.route_of(&operation) };
    operation
        .handler
        .route_layer(from_fn_with_state(gate, auth::check))
        .route_layer(from_fn_with_state(timer, timed))
}

/// Where the durations of one operation are counted.
#[derive(Clone)]
struct RouteTimer {
    requests: Arc<metrics::RequestCounters>,
    route: Option<usize>,
}

async fn timed(State(timer): State<RouteTimer>, request: Request, next: Next) -> Response {
    let begun = Instant::now();
    let response = next.run(request).await;
    if let Some(route) = timer.route.and_then(|at| timer.requests.route(at)) {
        route.took.record_since(begun);
    }
    response
}

/// The answer to OPTIONS: the allowed methods of the path.
fn allowed(methods: &[Method], state: &ApiState) -> MethodRouter<ApiState> {
    let mut names: Vec<&str> = methods.iter().map(Method::as_str).collect();
    if methods.contains(&Method::GET) {
        names.push("HEAD");
    }
    names.push("OPTIONS");
    let names = names.join(", ");
    let gate = OperationGate { state: state.clone(), need: RequiredScope::Token, query: None };
    options(move || async move { (StatusCode::NO_CONTENT, [(ALLOW, names)]) })
        .route_layer(from_fn_with_state(gate, auth::check))
}

/// The outermost layer: gives each request an id and a line in the access log, and each refusal its document.
async fn wrap(State(state): State<ApiState>, mut request: Request, next: Next) -> Response {
    let id = request_id(&request);
    request.extensions_mut().insert(RequestId(id.clone()));
    let line = AccessLine::begin(&request);
    let response = state.bodies.answer(next.run(request)).await;
    state.requests.count(response.status());
    let mut response = error::finish(response, &id).await;
    line.end(&state.access_log, &id, &response);
    for (name, value) in HEADERS_OF_ALL {
        response.headers_mut().entry(name).or_insert(value);
    }
    if let Ok(id) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    response
}

fn request_id(request: &Request) -> String {
    let given = request.headers().get(&REQUEST_ID).and_then(|id| id.to_str().ok());
    given
        .filter(|id: &&str| {
            (1..=REQUEST_ID_MAX).contains(&id.len())
                && id.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
        })
        .map_or_else(|| Uuid::now_v7().to_string(), str::to_owned)
}

/// A browser that asks for the root gets to the console.
async fn root(State(state): State<ApiState>, request: Request) -> Response {
    match console::home(request.headers()) {
        Some(response) => response,
        None => no_such_path(State(state), request).await,
    }
}

async fn console_file(request: Request) -> Response {
    ConsoleSite::embedded().answer(&request)
}

async fn no_such_path(State(state): State<ApiState>, request: Request) -> Response {
    let detail = format!("there is nothing at {}; /openapi.yaml lists all paths", request.uri().path());
    auth::refuse(&state, &request, ApiError::new(RefusalCode::NoSuchPath, detail))
}

async fn no_such_method(State(state): State<ApiState>, request: Request) -> Response {
    let detail = format!("{} does not take {}", request.uri().path(), request.method());
    auth::refuse(&state, &request, ApiError::new(RefusalCode::MethodNotAllowed, detail))
}

fn panicked(_: Box<dyn std::any::Any + Send + 'static>) -> Response {
    ApiError::new(RefusalCode::Failed, "a fault in the server stopped this request").into_response()
}
