//! Answers: the head, and which bytes follow. The readers are firmware, boot loaders and installers, so there
//! are no redirects, no compression and no chunks; the length comes first, and HEAD gives the same head as
//! GET.

use std::borrow::Cow;
use std::fmt::Display;
use std::io::Write;
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;

use super::client_socket::FilePart;
use super::ranges::{ByteRange, RangeVerdict, wanted};
use super::request::{BootRequest, RequestConditions, RequestMethod};
use crate::artifacts::opened::{self, OpenedFile};

/// An answer before it is sent.
#[derive(Debug)]
pub struct HttpAnswer {
    pub head: AnswerHead,
    pub body: AnswerContent,
}

#[derive(Debug)]
pub enum AnswerContent {
    Nothing,
    /// A text in place of a file.
    Text(Bytes),
    Document(Bytes),
    File(FilePart),
}

/// Status line and header lines.
#[derive(Debug)]
pub struct AnswerHead(Vec<u8>);

/// Initial capacity for a head.
const HEAD_BYTES: usize = 512;

impl AnswerHead {
    /// shim 15.8 reads the headers in order and needs the length before any header that resembles it.
    fn new(status: u16, length: u64) -> AnswerHead {
        let head = AnswerHead(Vec::with_capacity(HEAD_BYTES)).status(status);
        head.line("Content-Length", length)
    }

    fn status(self, status: u16) -> AnswerHead {
        self.put(format_args!("HTTP/1.1 {status} {}\r\n", reason(status)))
    }

    fn line(self, name: &str, value: impl Display) -> AnswerHead {
        self.put(format_args!("{name}: {value}\r\n"))
    }

    fn put(mut self, text: std::fmt::Arguments<'_>) -> AnswerHead {
        // Writing to a vector cannot fail.
        let _ = self.0.write_fmt(text);
        self
    }

    /// The complete head, with the headers about the connection.
    pub fn end(self, now: Timestamp, connection: ConnectionPersistence) -> Vec<u8> {
        let date = jiff::fmt::rfc2822::DateTimePrinter::new().timestamp_to_rfc9110_string(&now);
        let head = match date {
            Ok(date) => self.line("Date", date),
            Err(_) => self,
        };
        let head = match connection {
            ConnectionPersistence::GoesOn => head,
            ConnectionPersistence::GoesOnThough10 => head.line("Connection", "keep-alive"),
            ConnectionPersistence::Ends => head.line("Connection", "close"),
        };
        head.put(format_args!("\r\n")).0
    }
}

/// Whether a connection persists after an answer (RFC 9112 section 9.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectionPersistence {
    GoesOn,
    /// The connection persists: an HTTP/1.0 client asked for it.
    GoesOnThough10,
    Ends,
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        206 => "Partial Content",
        304 => "Not Modified",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        409 => "Conflict",
        412 => "Precondition Failed",
        413 => "Content Too Large",
        429 => "Too Many Requests",
        416 => "Range Not Satisfiable",
        431 => "Request Header Fields Too Large",
        _ => "Service Unavailable",
    }
}

/// A short answer in plain text, which GRUB and iPXE show.
pub fn text(status: u16, message: &str) -> HttpAnswer {
    let body = format!("{message}\n");
    let head = AnswerHead::new(status, body.len() as u64).line("Content-Type", "text/plain");
    let head = head.line("Cache-Control", "no-store");
    HttpAnswer { head, body: AnswerContent::Text(body.into()) }
}

/// 405, with the methods that the path takes (RFC 9110 §15.5.6).
pub fn not_allowed((methods, message): (&str, &str)) -> HttpAnswer {
    let mut answer = text(405, message);
    answer.head = answer.head.line("Allow", methods);
    answer
}

/// 429, and when to try again.
pub fn too_much(message: &str, retry_after: Duration) -> HttpAnswer {
    let mut answer = text(429, message);
    answer.head = answer.head.line("Retry-After", retry_after.as_secs().max(1));
    answer
}

/// The answer that sends an opened file.
pub fn file(request: &BootRequest, opened: OpenedFile) -> HttpAnswer {
    let size = opened.body.bytes();
    let whole = ByteRange { first: 0, length: size };
    let Some(version) = opened.version else {
        let head = AnswerHead::new(200, size).line("Content-Type", opened.content_type);
        return HttpAnswer { head: head.line("Cache-Control", "no-store"), body: part(opened.body, whole) };
    };
    // Ranges apply to GET only (RFC 9110 §14.2).
    let conditions = match request.method {
        RequestMethod::Get => Cow::Borrowed(&request.conditions),
        _ => Cow::Owned(RequestConditions { range: None, if_range: None, ..request.conditions.clone() }),
    };
    let (status, span) = match wanted(&conditions, size, &version) {
        RangeVerdict::Whole => (200, whole),
        RangeVerdict::Part(span) => (206, span),
        RangeVerdict::Unchanged => {
            let head = AnswerHead(Vec::with_capacity(HEAD_BYTES)).status(304).line("ETag", &version.tag);
            return HttpAnswer { head, body: AnswerContent::Nothing };
        }
        RangeVerdict::Changed => return text(412, "it is not the version that was asked for"),
        RangeVerdict::Outside => {
            let HttpAnswer { head, body } = text(416, "the range lies beyond the end");
            let head = head.line("Content-Range", format_args!("bytes */{size}"));
            return HttpAnswer { head, body };
        }
    };
    let head = AnswerHead::new(status, span.length).line("Content-Type", opened.content_type);
    let head = head.line("ETag", &version.tag).line("Accept-Ranges", "bytes");
    let head = match http_date(version.modified) {
        Some(date) => head.line("Last-Modified", date),
        None => head,
    };
    let head = match status {
        206 => {
            let last = span.end().saturating_sub(1);
            head.line("Content-Range", format_args!("bytes {}-{last}/{size}", span.first))
        }
        _ => head,
    };
    HttpAnswer { head, body: part(opened.body, span) }
}

fn http_date(seconds: i64) -> Option<String> {
    let time = Timestamp::from_second(seconds).ok()?;
    jiff::fmt::rfc2822::DateTimePrinter::new().timestamp_to_rfc9110_string(&time).ok()
}

fn part(body: opened::FileBody, span: ByteRange) -> AnswerContent {
    match body {
        opened::FileBody::File { file, coming, .. } => AnswerContent::File(FilePart { file, span, coming }),
        opened::FileBody::Bytes(bytes) => {
            AnswerContent::Document(bytes.slice(offset_in(&bytes, span.first)..offset_in(&bytes, span.end())))
        }
    }
}

fn offset_in(bytes: &Bytes, offset: u64) -> usize {
    usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len())
}
