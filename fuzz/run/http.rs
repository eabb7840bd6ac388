//! Differential fuzzing of the boot side's request reader: the same bytes go to it and to hyper, and both say
//! which requests they read. They must agree on each request that both read: its method, path, query and
//! range, and by its body where the next one begins. Where one of them reads on and the other does not, a
//! row of [`DIFFERENCES`] must say why.
//!
//! Start at [`check`].

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

use hyper::body::{Body, Incoming};
use hyper::header::RANGE;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, Uri};
use metalwright::http_boot::replay::{ReplayEnd, ReplayedRequest, RequestReplay, read_requests};
use metalwright::http_boot::request::{BodyLength, RequestFault, RequestMethod};

/// How often hyper is asked to go on. It yields now and then although nothing is awaited.
const POLLS_MAX: usize = 10_000;
/// Most header lines that are looked at to find out why a request was refused.
const HEADERS_MAX: usize = 512;
/// A request behind every text: whoever loses the boundary between requests reads another one.
const SENTINEL: &[u8] = b"GET /sentinel?a=b HTTP/1.1\r\nHost: x\r\nRange: bytes=1-2\r\n\r\n";

/// A request as both tell of it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct ReadRequest {
    method: String,
    /// As it was written, for a path that one of the two does not take apart.
    target: Option<(String, String)>,
    range: Option<Vec<u8>>,
    body: Vec<u8>,
}

/// What is known where the two differ.
struct ReaderDivergence<'a> {
    ours: &'a RequestReplay,
    /// How many requests hyper read.
    theirs: usize,
    /// The bytes from the request on that only one of them read.
    rest: &'a [u8],
    /// The bytes from the last request on that both read.
    last: &'a [u8],
}

/// One way in which the boot side reads otherwise than hyper, on purpose.
struct ReaderDifference {
    why: &'static str,
    is_meant: fn(&ReaderDivergence<'_>) -> bool,
}

/// Stricter first, then looser.
const DIFFERENCES: &[ReaderDifference] = &[
    ReaderDifference {
        why: "stricter: a head has at most 16 KiB and 100 lines (hyper: 400 KiB)",
        is_meant: |it| it.ours.end == ReplayEnd::Head(RequestFault::TooLong),
    },
    ReaderDifference {
        why: "stricter: a target has no fragment (hyper: what is behind `#` is cut off, which may be the path)",
        is_meant: |it| it.ours.end == ReplayEnd::Head(RequestFault::Fragment),
    },
    ReaderDifference {
        why: "stricter: framing headers, Connection and Host are ASCII (hyper: Connection, Host, Transfer-Encoding \
              may have any byte)",
        is_meant: |it| refused(it) && values(it.rest, &FRAMING).iter().any(|value| !value.is_ascii()),
    },
    ReaderDifference {
        why: "stricter: Transfer-Encoding is `chunked`, once, without Content-Length (hyper: the last coding is \
              chunked, and Content-Length is passed over)",
        is_meant: |it| refused(it) && !values(it.rest, &["transfer-encoding"]).is_empty(),
    },
    ReaderDifference {
        why: "stricter: several Content-Length are the same text (hyper: the same number, `5` and `05`)",
        is_meant: |it| refused(it) && values(it.rest, &["content-length"]).len() > 1,
    },
    ReaderDifference {
        why: "stricter: the body of a report has at most 1 MiB, lines of chunks 1 KiB, trailers 32 lines",
        is_meant: |it| matches!(it.ours.end, ReplayEnd::Body(_)),
    },
    ReaderDifference {
        why: "stricter: the body of a GET is not read, the connection ends (hyper reads it)",
        is_meant: |it| it.ours.end == ReplayEnd::Closed && last_has_unread_body(it.ours),
    },
    ReaderDifference {
        why: "looser: a target of old firmware may have bytes that RFC 3986 has not, like `\\` (hyper: 400)",
        is_meant: |it| {
            it.theirs < it.ours.requests.len() && target(it.rest).is_some_and(|it| it.parse::<Uri>().is_err())
        },
    },
    ReaderDifference {
        why: "looser: a request to upgrade or to tunnel is a request like others (hyper hands the connection over)",
        is_meant: |it| {
            let is_tunnel = is_connect(it.last) || !values(it.last, &["upgrade"]).is_empty();
            is_tunnel && it.theirs < it.ours.requests.len()
        },
    },
];
const FRAMING: [&str; 4] = ["content-length", "transfer-encoding", "connection", "host"];

/// Which ways a text takes through the two readers: hashes that are the same for the same outcome.
///
/// # Panics
/// The two differ, and no row says why.
pub fn check(text: &[u8]) -> Vec<u64> {
    let bytes = [text, SENTINEL].concat();
    let ours = read_requests(&bytes);
    let theirs = hyper_requests(&bytes);
    for (own, other) in ours.requests.iter().zip(&theirs) {
        let own = told(own);
        let same_target = own.target == other.target || own.target.is_none() || other.target.is_none();
        let same = (&own.method, &own.range, &own.body) == (&other.method, &other.range, &other.body);
        assert!(same && same_target, "ours {own:?}\nhyper {other:?}\nof {}", bytes.escape_ascii());
    }
    let (read, both) = (ours.requests.len(), ours.requests.len().min(theirs.len()));
    if read != theirs.len() {
        let at = ours.requests.get(both).map_or(ours.end_at, |request| request.at);
        let rest = bytes.get(at..).unwrap_or_default();
        let last =
            both.checked_sub(1).and_then(|last| ours.requests.get(last)).map_or(0, |request| request.at);
        let last = bytes.get(last..).unwrap_or_default();
        let divergence = ReaderDivergence { ours: &ours, theirs: theirs.len(), rest, last };
        let row = DIFFERENCES.iter().find(|row| (row.is_meant)(&divergence));
        let (end, hyper) = (ours.end, theirs.len());
        let row = row.unwrap_or_else(|| {
            panic!(
                "ours reads {read} ({end:?}), hyper {hyper}, and no row says why: {}",
                bytes.escape_ascii()
            )
        });
        return vec![way(&ours, row.why)];
    }
    vec![way(&ours, "")]
}

/// The outcome as a number.
fn way(ours: &RequestReplay, row: &str) -> u64 {
    let shape: Vec<String> = ours
        .requests
        .iter()
        .map(|it| {
            let request = &it.request;
            let body = it.body.len().min(3);
            let conditions = &request.conditions;
            format!(
                "{:?} {} {} {:?} {body} {} {}",
                request.method,
                request.persistent,
                request.old,
                request.length,
                conditions.range.is_some(),
                request.path.len().min(40)
            )
        })
        .collect();
    let digest = metalwright::model::sha256_hex(format!("{shape:?} {:?} {row}", ours.end));
    u64::from_str_radix(&digest[..16], 16).unwrap_or_default()
}

fn told(read: &ReplayedRequest) -> ReadRequest {
    let request = &read.request;
    let method = match request.method {
        RequestMethod::Get => "GET",
        RequestMethod::Head => "HEAD",
        RequestMethod::Post => "POST",
        RequestMethod::Other => "",
    };
    // What is no path to hyper is the name of a host: old firmware means a file by it.
    let is_path = request.path.starts_with('/') && request.method != RequestMethod::Other;
    ReadRequest {
        method: method.to_owned(),
        target: is_path.then(|| (request.path.clone(), request.query.clone())),
        range: request.conditions.range.clone().map(String::into_bytes),
        body: read.body.to_vec(),
    }
}

/// What hyper reads of the bytes.
fn hyper_requests(bytes: &[u8]) -> Vec<ReadRequest> {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let service = service_fn(|request: Request<Incoming>| {
        let seen = Arc::clone(&seen);
        async move {
            let read = whole(request).await?;
            seen.lock().unwrap_or_else(PoisonError::into_inner).push(read);
            Ok::<_, hyper::Error>(Response::new(String::new()))
        }
    });
    let io = SentBytes { bytes: bytes.to_vec(), at: 0 };
    let mut connection = pin!(http1::Builder::new().half_close(true).serve_connection(io, service));
    let mut context = Context::from_waker(Waker::noop());
    for _ in 0..POLLS_MAX {
        if connection.as_mut().poll(&mut context).is_ready() {
            break;
        }
    }
    let seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
    seen.clone()
}

async fn whole(request: Request<Incoming>) -> Result<ReadRequest, hyper::Error> {
    let (head, mut body) = request.into_parts();
    let mut bytes = Vec::new();
    while let Some(frame) = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
        if let Ok(data) = frame?.into_data() {
            bytes.extend_from_slice(&data);
        }
    }
    let is_known = [Method::GET, Method::HEAD, Method::POST].contains(&head.method);
    let mut ranges = head.headers.get_all(RANGE).iter().map(|value| value.as_bytes().trim_ascii().to_vec());
    let range = ranges.next().filter(|range| ranges.next().is_none() && std::str::from_utf8(range).is_ok());
    let is_path = head.uri.path().starts_with('/') && is_known;
    Ok(ReadRequest {
        method: if is_known { head.method.to_string() } else { String::new() },
        target: is_path
            .then(|| (head.uri.path().to_owned(), head.uri.query().unwrap_or_default().to_owned())),
        range,
        // A body that the boot side does not read ends its connection.
        body: if head.method == Method::POST { bytes } else { Vec::new() },
    })
}

fn refused(it: &ReaderDivergence<'_>) -> bool {
    it.ours.end == ReplayEnd::Head(RequestFault::Malformed)
}

fn last_has_unread_body(ours: &RequestReplay) -> bool {
    ours.requests.last().is_some_and(|last| {
        last.request.method != RequestMethod::Post && last.request.length != BodyLength::Bytes(0)
    })
}

/// The values of the named headers of the request that the bytes begin with.
fn values<'a>(bytes: &'a [u8], names: &[&str]) -> Vec<&'a [u8]> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut parsed = httparse::Request::new(&mut headers);
    let _ = parsed.parse(bytes);
    let named =
        parsed.headers.iter().filter(|it| names.iter().any(|name| it.name.eq_ignore_ascii_case(name)));
    named.map(|header| header.value).collect()
}

fn is_connect(bytes: &[u8]) -> bool {
    let start = bytes.iter().position(|byte| !matches!(byte, b'\r' | b'\n')).unwrap_or_default();
    bytes.get(start..).is_some_and(|rest| rest.starts_with(b"CONNECT "))
}

/// The target of the request that the bytes begin with.
fn target(bytes: &[u8]) -> Option<String> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut parsed = httparse::Request::new(&mut headers);
    let _ = parsed.parse(bytes);
    parsed.path.map(str::to_owned)
}

/// A connection whose client has sent everything, and takes every answer.
struct SentBytes {
    bytes: Vec<u8>,
    at: usize,
}

impl hyper::rt::Read for SentBytes {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _context: &mut Context<'_>,
        mut buffer: hyper::rt::ReadBufCursor<'_>,
    ) -> Poll<std::io::Result<()>> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let take = rest.len().min(buffer.remaining());
        buffer.put_slice(rest.get(..take).unwrap_or_default());
        self.at += take;
        Poll::Ready(Ok(()))
    }
}

impl hyper::rt::Write for SentBytes {
    fn poll_write(
        self: Pin<&mut Self>,
        _context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
