//! A caller of the API over one persistent connection, with the durations of its calls.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use futures_util::future::try_join_all;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::{Client, Method, RequestBuilder};
use serde_json::Value;
use tokio::runtime::{Builder, Runtime};

const ANSWER_MAX: Duration = Duration::from_secs(30);
const PAGES_MAX: usize = 1_000;

pub struct Caller {
    root: String,
    http: Client,
    runtime: Runtime,
}

impl Caller {
    pub fn new(api: &str, token: &str) -> Result<Caller> {
        // Installed already if the server was started again.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut bearer = HeaderValue::from_str(&format!("Bearer {token}"))?;
        bearer.set_sensitive(true);
        // The client's tests check certificates; here the server is our child.
        let http = Client::builder()
            .tls_danger_accept_invalid_certs(true)
            .default_headers(HeaderMap::from_iter([(AUTHORIZATION, bearer)]))
            .timeout(ANSWER_MAX)
            .no_proxy()
            .build()?;
        let runtime = Builder::new_current_thread().enable_all().build()?;
        Ok(Caller { root: format!("{api}/api/v1"), http, runtime })
    }

    pub fn get(&self, path: &str) -> Result<Value> {
        let text = self.runtime.block_on(send(self.request(Method::GET, path)))?;
        Ok(serde_json::from_str(&text)?)
    }

    pub fn post(&self, path: &str, body: &Value) -> Result<String> {
        let request = self.request(Method::POST, path);
        self.runtime.block_on(send(with_body(request, "application/json", body)))
    }

    /// A JSON Merge Patch.
    pub fn patch(&self, path: &str, body: &Value) -> Result<String> {
        self.runtime.block_on(send(self.patch_request(path, body)))
    }

    /// All pages of a list, as text.
    pub fn pages(&self, path: &str) -> Result<Vec<String>> {
        let mut pages: Vec<String> = Vec::new();
        let mut next = String::new();
        for _ in 0..PAGES_MAX {
            let request = self.request(Method::GET, &format!("{path}{next}"));
            let page = self.runtime.block_on(send(request))?;
            let cursor = cursor(&page)?;
            pages.push(page);
            match cursor {
                Some(cursor) => next = format!("&cursor={cursor}"),
                None => break,
            }
        }
        Ok(pages)
    }

    /// Patches from several connections at the same time, each one after the other.
    pub fn patch_at_once(&self, calls: &[(String, Value)], connections: usize) -> Result<Sample> {
        self.at_once(calls, connections, |(path, body)| self.patch_request(path, body))
    }

    /// Posts from several connections at the same time, each one after the other.
    pub fn post_at_once(&self, calls: &[(String, Value)], connections: usize) -> Result<Sample> {
        let post = |(path, body): &(String, Value)| {
            with_body(self.request(Method::POST, path), "application/json", body)
        };
        self.at_once(calls, connections, post)
    }

    fn at_once(
        &self,
        calls: &[(String, Value)],
        connections: usize,
        request: impl Fn(&(String, Value)) -> RequestBuilder,
    ) -> Result<Sample> {
        let one = |calls: Vec<&(String, Value)>| {
            let requests: Vec<_> = calls.into_iter().map(&request).collect();
            async {
                let mut sample = Sample::default();
                for request in requests {
                    let begun = Instant::now();
                    send(request).await?;
                    sample.add(begun.elapsed());
                }
                anyhow::Ok(sample)
            }
        };
        let share = |connection: usize| calls.iter().skip(connection).step_by(connections).collect();
        let samples = self.runtime.block_on(try_join_all((0..connections).map(share).map(one)))?;
        Ok(Sample { took: samples.into_iter().flat_map(|sample| sample.took).collect() })
    }

    fn patch_request(&self, path: &str, body: &Value) -> RequestBuilder {
        with_body(self.request(Method::PATCH, path), "application/merge-patch+json", body)
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}/{path}", self.root))
    }
}

fn with_body(request: RequestBuilder, media: &'static str, body: &Value) -> RequestBuilder {
    request.header(CONTENT_TYPE, media).body(body.to_string())
}

async fn send(request: RequestBuilder) -> Result<String> {
    let response = request.send().await?;
    let (status, path) = (response.status(), response.url().path().to_owned());
    let text = response.text().await?;
    ensure!(status.is_success(), "{path}: {status}: {text}");
    Ok(text)
}

/// The cursor of the next page, without reading the objects of this one.
fn cursor(page: &str) -> Result<Option<String>> {
    #[derive(serde::Deserialize)]
    struct Page {
        next: Option<String>,
    }
    Ok(serde_json::from_str::<Page>(page).context("a page")?.next)
}

/// The durations of a number of calls.
#[derive(Default)]
pub struct Sample {
    took: Vec<Duration>,
}

impl Sample {
    pub fn add(&mut self, took: Duration) {
        self.took.push(took);
    }

    /// Calls per second, one after the other.
    pub fn rate(&self) -> f64 {
        self.count() as f64 / self.took.iter().sum::<Duration>().as_secs_f64()
    }

    pub fn count(&self) -> usize {
        self.took.len()
    }

    pub fn percentile(&self, percent: usize) -> Duration {
        let mut sorted = self.took.clone();
        sorted.sort_unstable();
        sorted
            .get((sorted.len() * percent / 100).min(sorted.len().saturating_sub(1)))
            .copied()
            .unwrap_or_default()
    }
}
