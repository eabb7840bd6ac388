//! A small blocking client of the REST API. It runs on the thread that uses it, so it works inside of a
//! network namespace. Every response is checked against `openapi.yaml`.

use std::time::Duration;

use futures_util::StreamExt;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{Client, Method};
use serde_json::Value;
use tokio::runtime::{Builder, Runtime};
use tokio::time::{Instant, timeout_at};

use crate::contract;

const ANSWER_WITHIN: Duration = Duration::from_secs(30);

/// A caller of the API with a token.
pub struct Api {
    base: String,
    token: String,
    http: Client,
    runtime: Runtime,
}

/// A response. `body` is null if there was none, and text if it was not JSON.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Value,
}

impl Reply {
    /// The body, if the status is the expected one.
    pub fn expect(self, status: u16) -> Value {
        assert_eq!(self.status, status, "{:#}", self.body);
        self.body
    }

    /// A header as text, empty if it is missing.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }
}

impl Api {
    /// `base` is the URL in the server's ready line, `https://127.0.0.1:8443`.
    pub fn new(base: &str, token: &str) -> Api {
        // If another caller in this process installed it already, that is fine.
        let _ = rustls::crypto::ring::default_provider().install_default();
        // The pin is tested with the client; here any certificate is accepted.
        // Nothing sees that the server has closed a silent connection before the next request.
        let http = Client::builder().tls_danger_accept_invalid_certs(true).no_proxy();
        let http = http.pool_idle_timeout(Duration::from_secs(30)).build();
        Api {
            base: base.to_owned(),
            token: token.to_owned(),
            http: http.expect("an HTTP client"),
            runtime: Builder::new_current_thread().enable_all().build().expect("a runtime"),
        }
    }

    /// The same server with another token; an empty one is not sent.
    pub fn with_token(&self, token: &str) -> Api {
        Api::new(&self.base, token)
    }

    pub fn get(&self, path: &str) -> Reply {
        self.send(Method::GET, path, None)
    }

    pub fn post(&self, path: &str, body: Value) -> Reply {
        self.send(Method::POST, path, Some(body))
    }

    pub fn put(&self, path: &str, body: Value) -> Reply {
        self.send(Method::PUT, path, Some(body))
    }

    /// A JSON Merge Patch.
    pub fn patch(&self, path: &str, body: Value) -> Reply {
        let kind = ("content-type", "application/merge-patch+json");
        self.send_with(Method::PATCH, path, Some(body), &[kind])
    }

    pub fn delete(&self, path: &str) -> Reply {
        self.send(Method::DELETE, path, None)
    }

    /// `path` is below `/api/v1`, or from the root if it begins with two slashes.
    pub fn send(&self, method: Method, path: &str, body: Option<Value>) -> Reply {
        self.send_with(method, path, body, &[("content-type", "application/json")])
    }

    /// Like [`Api::send`], with these headers as they are.
    pub fn send_with(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
        headers: &[(&str, &str)],
    ) -> Reply {
        let reply = self.runtime.block_on(self.exchange(method.clone(), path, (body, headers)));
        contract::check(method.as_str(), &full_path(path), &reply);
        reply
    }

    /// The event stream after event `seq`; 0 is the beginning.
    pub fn events_after(&self, seq: u64) -> Events<'_> {
        let request = self.request(Method::GET, "/events/stream").header("last-event-id", seq.to_string());
        let response = self.runtime.block_on(request.send()).expect("the event stream");
        assert_eq!(response.status(), 200, "the event stream");
        let chunks = response.bytes_stream().map(|chunk| chunk.expect("a piece of the stream").to_vec());
        Events { api: self, chunks: chunks.boxed_local(), text: String::new() }
    }

    fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        let request = self.http.request(method, format!("{}{}", self.base, full_path(path)));
        if self.token.is_empty() { request } else { request.bearer_auth(&self.token) }
    }

    async fn exchange(&self, method: Method, path: &str, sent: (Option<Value>, &[(&str, &str)])) -> Reply {
        let (body, headers) = sent;
        let mut request = self.request(method, path).timeout(ANSWER_WITHIN);
        for (name, value) in headers {
            let name = HeaderName::from_bytes(name.as_bytes()).expect("the name of a header");
            request = request.header(name, HeaderValue::from_str(value).expect("the value of a header"));
        }
        if let Some(body) = body {
            request = request.body(body.to_string());
        }
        let response = request.send().await.unwrap_or_else(|error| panic!("{path}: {error:?}"));
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let text = response.text().await.expect("a body in UTF-8");
        let body = match text.as_str() {
            "" => Value::Null,
            text => serde_json::from_str(text).unwrap_or_else(|_| Value::from(text)),
        };
        Reply { status, headers, body }
    }
}

/// A stream of events, read as they happen.
pub struct Events<'a> {
    api: &'a Api,
    chunks: futures_util::stream::LocalBoxStream<'a, Vec<u8>>,
    text: String,
}

impl Events<'_> {
    /// Waits for an event for which `is_it` is true, and returns it. Panics if none came `within` the time.
    pub fn wait_for(&mut self, within: Duration, is_it: impl Fn(&Value) -> bool) -> Value {
        let deadline = Instant::now() + within;
        loop {
            while let Some(event) = self.take_event() {
                if is_it(&event) {
                    return event;
                }
            }
            let next = self.api.runtime.block_on(async { timeout_at(deadline, self.chunks.next()).await });
            let chunk = next.expect("the event came in time").expect("the event stream goes on");
            self.text.push_str(&String::from_utf8_lossy(&chunk));
        }
    }

    /// The first complete event that was received and not returned yet (HTML standard, 9.2.6). Comments are
    /// skipped.
    fn take_event(&mut self) -> Option<Value> {
        while let Some(end) = self.text.find("\n\n") {
            let block: String = self.text.drain(..end + 2).collect();
            let data: String = block.lines().filter_map(|line| line.strip_prefix("data:")).collect();
            if !data.is_empty() {
                let event = serde_json::from_str(data.trim()).expect("an event in JSON");
                contract::check_event(&event);
                return Some(event);
            }
        }
        None
    }
}

fn full_path(path: &str) -> String {
    match path.strip_prefix("//") {
        Some(rest) => format!("/{rest}"),
        None => format!("/api/v1{path}"),
    }
}
