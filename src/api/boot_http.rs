//! The boot side over HTTP: plain, read-only, no API on it. Firmware, boot loaders and installers are its
//! clients, so it never redirects, compresses or sends chunks, and it answers HEAD exactly as GET.
//!
//! Paths mean what they mean over TFTP: both go through `App::open`. Installers report with
//! `POST m/<capability>/done|failed|log`.

use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::connect_info::Connected;
use axum::extract::{ConnectInfo, DefaultBodyLimit, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::Response;
use axum::serve::IncomingStream;
use futures_util::Stream;
use percent_encoding::percent_decode_str;
use tokio::io::{AsyncReadExt, AsyncSeekExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::io::ReaderStream;
use tokio_util::sync::CancellationToken;

use crate::app::App;
use crate::app::files::{self, Fetch, Opened, Protocol, Refused, Served};
use crate::app::reports::{Report, ReportKind};
use crate::boot::namespace::Hint;

/// Bytes read from a file at a time.
const CHUNK_BYTES: usize = 256 * 1024;
/// Largest report of an installer.
const REPORT_BYTES_MAX: usize = 1 << 20;
/// How long transfers may go on after the server was told to stop.
const DRAIN: Duration = Duration::from_secs(5);

/// The two ends of a connection: URLs in what is rendered carry the address that faces the client.
#[derive(Clone, Copy, Debug)]
pub struct Ends {
    peer: SocketAddr,
    local: SocketAddr,
}

impl Connected<IncomingStream<'_, TcpListener>> for Ends {
    fn connect_info(stream: IncomingStream<'_, TcpListener>) -> Self {
        // Scripts are small and wait for nothing; a socket that cannot be set so still serves.
        drop(stream.io().set_nodelay(true));
        let unspecified = SocketAddr::from(([0, 0, 0, 0], 0));
        let local = TcpStream::local_addr(stream.io()).unwrap_or(unspecified);
        Ends { peer: *stream.remote_addr(), local }
    }
}

/// Serves until `shutdown`.
///
/// # Errors
/// The listener failed.
pub async fn run(app: Arc<App>, listener: TcpListener, shutdown: CancellationToken) -> std::io::Result<()> {
    let service = router(app).into_make_service_with_connect_info::<Ends>();
    let stop = shutdown.clone();
    let serve = axum::serve(listener, service).with_graceful_shutdown(async move { stop.cancelled().await });
    let deadline = async {
        shutdown.cancelled().await;
        tokio::time::sleep(DRAIN).await;
    };
    tokio::select! {
        served = serve => served,
        () = deadline => Ok(()),
    }
}

fn router(app: Arc<App>) -> Router {
    Router::new().fallback(answer).layer(DefaultBodyLimit::max(REPORT_BYTES_MAX)).with_state(app)
}

async fn answer(
    State(app): State<Arc<App>>,
    ConnectInfo(ends): ConnectInfo<Ends>,
    request: axum::extract::Request,
) -> Response {
    let (parts, body) = request.into_parts();
    match parts.method {
        Method::GET | Method::HEAD => get(&app, ends, &parts).await,
        Method::POST => match axum::body::to_bytes(body, REPORT_BYTES_MAX).await {
            Ok(body) => post(&app, ends, &parts.uri, body).await,
            Err(_) => text(StatusCode::PAYLOAD_TOO_LARGE, "a report is at most 1 MiB"),
        },
        _ => text(StatusCode::METHOD_NOT_ALLOWED, "this listener answers GET, HEAD and POST of reports"),
    }
}

fn ip(address: SocketAddr) -> IpAddr {
    address.ip().to_canonical()
}

async fn get(app: &Arc<App>, ends: Ends, parts: &axum::http::request::Parts) -> Response {
    let Ok(path) = percent_decode_str(parts.uri.path()).decode_utf8() else {
        return text(StatusCode::BAD_REQUEST, "the path is not UTF-8");
    };
    let fetch = Fetch {
        path: path.into_owned(),
        peer: ip(ends.peer),
        local: ip(ends.local),
        protocol: Protocol::Http,
        hint: hint(&parts.uri),
    };
    let started = Instant::now();
    match app.open(&fetch).await {
        Ok(opened) => {
            let served = Served::of(&fetch, &opened);
            let report = Reporter { app: Arc::clone(app), served, started };
            respond(parts, opened, report).await
        }
        Err(Refused::Absent) => text(StatusCode::NOT_FOUND, "not found"),
        Err(Refused::BadPath(why)) => text(StatusCode::BAD_REQUEST, why),
        Err(Refused::Denied(why)) => text(StatusCode::FORBIDDEN, &why),
        Err(Refused::Failed(why)) => text(StatusCode::SERVICE_UNAVAILABLE, &why),
    }
}

/// Who asks, where the URL says so: `boot.ipxe?mac=52:54:…`.
fn hint(uri: &Uri) -> Hint {
    let pairs = uri.query().unwrap_or_default().split('&');
    let mac = pairs
        .filter_map(|pair| pair.strip_prefix("mac="))
        .find_map(|value| percent_decode_str(value).decode_utf8().ok()?.parse().ok());
    Hint { mac, address: None }
}

async fn post(app: &Arc<App>, ends: Ends, uri: &Uri, body: Bytes) -> Response {
    let path = uri.path().trim_start_matches('/');
    let parsed = path.strip_prefix("m/").and_then(|rest| rest.split_once('/'));
    let Some((capability, kind)) = parsed.and_then(|(cap, kind)| Some((cap, ReportKind::parse(kind)?)))
    else {
        return text(StatusCode::NOT_FOUND, "reports go to m/<capability>/done, failed or log");
    };
    let report = Report { kind, text: String::from_utf8_lossy(&body).into_owned(), peer: ip(ends.peer) };
    match app.report(capability, report).await {
        Ok(answer) => text(StatusCode::OK, &answer),
        Err(crate::app::Error::Unauthorized(why)) => text(StatusCode::UNAUTHORIZED, &why),
        Err(crate::app::Error::Conflict(why)) => text(StatusCode::CONFLICT, &why),
        Err(error) => text(StatusCode::SERVICE_UNAVAILABLE, &error.to_string()),
    }
}

/// A short answer in plain text: GRUB and iPXE show it.
fn text(status: StatusCode, message: &str) -> Response {
    let body = format!("{message}\n");
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_LENGTH, body.len().into());
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    *response.body_mut() = Body::from(body);
    response
}

async fn respond(parts: &axum::http::request::Parts, opened: Opened, reporter: Reporter) -> Response {
    let size = opened.body.bytes();
    let tag = opened.tag.as_deref().and_then(|tag| HeaderValue::from_str(tag).ok());
    if let Some(tag) = &tag
        && matches(&parts.headers, header::IF_NONE_MATCH, tag)
    {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        response.headers_mut().insert(header::ETAG, tag.clone());
        return response;
    }
    let span = match range(&parts.headers, size, tag.as_ref()) {
        Wanted::Whole => None,
        Wanted::Part(span) => Some(span),
        Wanted::Outside => return outside(size),
    };
    let (first, length) = span.map_or((0, size), |span| (span.first, span.length));
    let mut response = Response::new(Body::empty());
    let headers = response.headers_mut();
    // shim 15.8 reads the headers in order and wants the length before anything that looks like it.
    headers.insert(header::CONTENT_LENGTH, length.into());
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(opened.content_type));
    match tag {
        Some(tag) => {
            headers.insert(header::ETAG, tag);
            headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
        }
        None => drop(headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))),
    }
    if span.is_some() {
        let value = format!("bytes {first}-{}/{size}", first + length.saturating_sub(1));
        headers.extend(HeaderValue::try_from(value).ok().map(|value| (header::CONTENT_RANGE, value)));
        *response.status_mut() = StatusCode::PARTIAL_CONTENT;
    }
    if parts.method == Method::GET {
        match body(opened.body, first, length, reporter).await {
            Ok(body) => *response.body_mut() = body,
            Err(error) => return text(StatusCode::SERVICE_UNAVAILABLE, &format!("cannot read it: {error}")),
        }
    }
    response
}

fn outside(size: u64) -> Response {
    let mut response = text(StatusCode::RANGE_NOT_SATISFIABLE, "the range lies beyond the end");
    let value = HeaderValue::try_from(format!("bytes */{size}"));
    response.headers_mut().extend(value.ok().map(|value| (header::CONTENT_RANGE, value)));
    response
}

fn matches(headers: &HeaderMap, name: header::HeaderName, tag: &HeaderValue) -> bool {
    let held = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    held.flat_map(|value| value.split(',')).any(|value| value.trim().as_bytes() == tag.as_bytes())
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Span {
    first: u64,
    length: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wanted {
    Whole,
    Part(Span),
    Outside,
}

/// A single byte range (RFC 9110 §14.1.2). Several ranges, other units and a stale `If-Range` get the whole.
fn range(headers: &HeaderMap, size: u64, tag: Option<&HeaderValue>) -> Wanted {
    let Some(tag) = tag else { return Wanted::Whole };
    if headers.contains_key(header::IF_RANGE) && !matches(headers, header::IF_RANGE, tag) {
        return Wanted::Whole;
    }
    let spec = headers.get(header::RANGE).and_then(|value| value.to_str().ok());
    let Some((first, last)) = spec.and_then(|spec| spec.strip_prefix("bytes=")?.split_once('-')) else {
        return Wanted::Whole;
    };
    let (first, end) = match (first.trim(), last.trim()) {
        ("", suffix) => match suffix.parse::<u64>() {
            Ok(suffix) => (size.saturating_sub(suffix), size),
            Err(_) => return Wanted::Whole,
        },
        (first, "") => match first.parse() {
            Ok(first) => (first, size),
            Err(_) => return Wanted::Whole,
        },
        (first, last) => match (first.parse::<u64>(), last.parse::<u64>()) {
            (Ok(first), Ok(last)) if first <= last => (first, last.saturating_add(1).min(size)),
            _ => return Wanted::Whole,
        },
    };
    if first >= size || first >= end {
        return Wanted::Outside;
    }
    Wanted::Part(Span { first, length: end - first })
}

async fn body(body: files::Body, first: u64, length: u64, reporter: Reporter) -> std::io::Result<Body> {
    match body {
        files::Body::Bytes(bytes) => {
            let start = usize::try_from(first).unwrap_or(usize::MAX).min(bytes.len());
            let end = start.saturating_add(usize::try_from(length).unwrap_or(usize::MAX)).min(bytes.len());
            let part = bytes.slice(start..end);
            let stream = tokio_stream::once(Ok(part));
            Ok(Body::from_stream(Counted { inner: Box::pin(stream), left: length, reporter: Some(reporter) }))
        }
        files::Body::File { file, .. } => {
            let mut file = tokio::fs::File::from_std(file);
            if first > 0 {
                file.seek(std::io::SeekFrom::Start(first)).await?;
            }
            let stream = ReaderStream::with_capacity(file.take(length), CHUNK_BYTES);
            Ok(Body::from_stream(Counted { inner: Box::pin(stream), left: length, reporter: Some(reporter) }))
        }
    }
}

/// Tells the application what was sent, and how long it took, when the body is done or dropped.
struct Reporter {
    app: Arc<App>,
    served: Served,
    started: Instant,
}

struct Counted {
    inner: Pin<Box<dyn Stream<Item = std::io::Result<Bytes>> + Send>>,
    left: u64,
    reporter: Option<Reporter>,
}

impl Stream for Counted {
    type Item = std::io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let polled = self.inner.as_mut().poll_next(context);
        if let Poll::Ready(Some(Ok(chunk))) = &polled {
            let length = chunk.len() as u64;
            self.left = self.left.saturating_sub(length);
            if let Some(reporter) = &mut self.reporter {
                reporter.served.bytes += length;
            }
        }
        polled
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        if let Some(mut reporter) = self.reporter.take() {
            reporter.served.complete = self.left == 0;
            reporter.served.duration = reporter.started.elapsed();
            reporter.app.served(reporter.served);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(range_header: &str) -> Wanted {
        let mut headers = HeaderMap::new();
        headers.insert(header::RANGE, HeaderValue::from_str(range_header).unwrap());
        range(&headers, 1000, Some(&HeaderValue::from_static("\"a\"")))
    }

    #[test]
    fn single_ranges_are_cut_and_strange_ones_get_the_whole() {
        let part = |first, length| Wanted::Part(Span { first, length });
        let cases = [
            ("bytes=0-511", part(0, 512)),
            ("bytes=990-2000", part(990, 10)),
            ("bytes=500-", part(500, 500)),
            ("bytes=-10", part(990, 10)),
            ("bytes=1000-", Wanted::Outside),
            ("bytes=5-4", Wanted::Whole),
            ("bytes=0-1,5-6", Wanted::Whole),
            ("lines=0-1", Wanted::Whole),
            ("bytes=x-", Wanted::Whole),
        ];
        for (header, expected) in cases {
            assert_eq!(wanted(header), expected, "{header}");
        }
    }

    #[test]
    fn a_stale_if_range_gets_the_whole() {
        let mut headers = HeaderMap::new();
        headers.insert(header::RANGE, HeaderValue::from_static("bytes=0-1"));
        headers.insert(header::IF_RANGE, HeaderValue::from_static("\"old\""));
        assert_eq!(range(&headers, 10, Some(&HeaderValue::from_static("\"new\""))), Wanted::Whole);
    }
}
