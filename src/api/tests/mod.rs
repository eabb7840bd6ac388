//! Tests of the API through its router, as its clients see it. Every response is checked against the
//! document.

mod access;
mod access_log;
mod bulk;
mod changes;
mod console;
mod contract;
mod costs;
mod desk;
mod dhcp;
mod document;
mod events_access;
mod in_use;
mod lists;
mod objects;
mod overrides;
mod packs;
mod preflight;
mod refusals;
mod revisions;
mod rules;
mod sessions;
mod sessions_end;
mod stream;
mod unknown_clients;
mod visibility;
mod written_rules;

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, LazyLock};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE};
use axum::http::{HeaderMap, Request, StatusCode};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use super::{ApiState, router};
use crate::houses::{Houses, testing};
use contract::{Answer, Contract};

static CONTRACT: LazyLock<Contract> = LazyLock::new(|| Contract::load(&super::openapi()));

/// An administrator of a fresh server.
pub struct Client {
    pub houses: Arc<Houses>,
    pub router: Router,
    pub token: String,
    pub shutdown: CancellationToken,
}

/// A response.
#[derive(Debug)]
pub struct Got {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Value,
}

impl Got {
    /// Checks the status; returns the whole body as text.
    pub fn refused(&self, status: u16) -> String {
        assert_eq!(self.status.as_u16(), status, "{}", self.body);
        self.body.to_string()
    }

    pub fn ok(self) -> Value {
        assert!(self.status.is_success(), "{} {}", self.status, self.body);
        self.body
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map(|value| value.to_str().unwrap()).unwrap_or_default()
    }
}

impl Client {
    pub async fn new() -> Self {
        let houses = testing::houses();
        let token = houses.access.start(&testing::caller()).await.unwrap().unwrap().secret;
        let shutdown = CancellationToken::new();
        let state = ApiState::new(Arc::clone(&houses), shutdown.clone(), Arc::new(AtomicBool::new(true)));
        Client { houses, router: router(state), token, shutdown }
    }

    /// `headers` are lines such as `If-Match: "1"`.
    pub async fn send(&self, request: &str, headers: &[&str], body: impl Into<Body>) -> Got {
        let (method, path) = request.split_once(' ').unwrap();
        let mut builder = Request::builder().method(method).uri(path);
        let has_own = headers.iter().any(|line| line.to_ascii_lowercase().starts_with("authorization"));
        if !has_own && !self.token.is_empty() {
            builder = builder.header(AUTHORIZATION, format!("Bearer {}", self.token));
        }
        for (name, value) in headers.iter().filter_map(|line| line.split_once(": ")) {
            builder = builder.header(name, value);
        }
        let response = self.router.clone().oneshot(builder.body(body.into()).unwrap()).await.unwrap();
        let (status, headers) = (response.status(), response.headers().clone());
        let bytes = to_bytes(response.into_body(), usize::MAX).await.unwrap();
        let media = headers.get(CONTENT_TYPE).map(|media| media.to_str().unwrap()).unwrap_or_default();
        let answer = Answer { status: status.as_u16(), media, body: &bytes };
        CONTRACT.check(method, path, answer).unwrap();
        let text = || Value::String(String::from_utf8_lossy(&bytes).into_owned());
        let body = serde_json::from_slice(&bytes).unwrap_or_else(|_| text());
        Got { status, headers, body }
    }

    pub async fn get(&self, path: &str) -> Got {
        self.send(&format!("GET /api/v1/{path}"), &[], Body::empty()).await
    }

    pub async fn post(&self, path: &str, body: Value) -> Got {
        let request = format!("POST /api/v1/{path}");
        self.send(&request, &["Content-Type: application/json"], body.to_string()).await
    }

    pub async fn put(&self, path: &str, body: Value) -> Got {
        let request = format!("PUT /api/v1/{path}");
        self.send(&request, &["Content-Type: application/json"], body.to_string()).await
    }

    pub async fn merge(&self, path: &str, body: Value) -> Got {
        let request = format!("PATCH /api/v1/{path}");
        self.send(&request, &["Content-Type: application/merge-patch+json"], body.to_string()).await
    }

    pub async fn delete(&self, path: &str) -> Got {
        self.send(&format!("DELETE /api/v1/{path}"), &[], Body::empty()).await
    }

    /// A machine that has only a name.
    pub async fn machine(&self, name: &str) -> Value {
        self.post("machines", json!({"name": name})).await.ok()
    }
}
