//! What is answered: the head, and which bytes follow. Firmware, boot loaders and installers read it, so
//! there are no redirects, no compression, no chunks; the length comes first, and HEAD says what GET does.

use std::borrow::Cow;
use std::fmt::Display;
use std::io::Write;

use bytes::Bytes;
use jiff::Timestamp;

use super::ranges::{Span, Wanted, wanted};
use super::request::{Conditions, Method, Request};
use super::wire::Part;
use crate::artifacts::opened::{self, Opened};

/// An answer before it is sent.
#[derive(Debug)]
pub struct Answer {
    pub head: Head,
    pub body: Body,
}

#[derive(Debug)]
pub enum Body {
    Nothing,
    /// What is said instead of a file.
    Text(Bytes),
    Document(Bytes),
    File(Part),
}

/// Status line and header lines.
#[derive(Debug)]
pub struct Head(Vec<u8>);

/// What an average head needs.
const HEAD_BYTES: usize = 512;

impl Head {
    /// shim 15.8 reads the headers in order and wants the length before anything that looks like it.
    fn new(status: u16, length: u64) -> Head {
        let head = Head(Vec::with_capacity(HEAD_BYTES)).status(status);
        head.line("Content-Length", length)
    }

    fn status(self, status: u16) -> Head {
        self.put(format_args!("HTTP/1.1 {status} {}\r\n", reason(status)))
    }

    fn line(self, name: &str, value: impl Display) -> Head {
        self.put(format_args!("{name}: {value}\r\n"))
    }

    fn put(mut self, text: std::fmt::Arguments<'_>) -> Head {
        // A vector takes everything.
        let _ = self.0.write_fmt(text);
        self
    }

    /// The bytes, with what is said of the connection.
    pub fn end(self, now: Timestamp, connection: Connection) -> Vec<u8> {
        let date = jiff::fmt::rfc2822::DateTimePrinter::new().timestamp_to_rfc9110_string(&now);
        let head = match date {
            Ok(date) => self.line("Date", date),
            Err(_) => self,
        };
        let head = match connection {
            Connection::GoesOn => head,
            Connection::GoesOnThough10 => head.line("Connection", "keep-alive"),
            Connection::Ends => head.line("Connection", "close"),
        };
        head.put(format_args!("\r\n")).0
    }
}

/// What becomes of a connection after an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Connection {
    GoesOn,
    /// A client of HTTP/1.0 that asked for it.
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
        416 => "Range Not Satisfiable",
        431 => "Request Header Fields Too Large",
        _ => "Service Unavailable",
    }
}

/// A short answer in plain text: GRUB and iPXE show it.
pub fn text(status: u16, message: &str) -> Answer {
    let body = format!("{message}\n");
    let head = Head::new(status, body.len() as u64).line("Content-Type", "text/plain");
    let head = head.line("Cache-Control", "no-store");
    let head = if status == 405 { head.line("Allow", "GET, HEAD, POST") } else { head };
    Answer { head, body: Body::Text(body.into()) }
}

/// The answer with a file that was opened.
pub fn file(request: &Request, opened: Opened) -> Answer {
    let size = opened.body.bytes();
    let whole = Span { first: 0, length: size };
    let Some(version) = opened.version else {
        let head = Head::new(200, size).line("Content-Type", opened.content_type);
        return Answer { head: head.line("Cache-Control", "no-store"), body: part(opened.body, whole) };
    };
    // Ranges are of GET alone (RFC 9110 §14.2).
    let no_range = || Conditions { range: None, if_range: None, ..request.conditions.clone() };
    let conditions = match request.method {
        Method::Get => Cow::Borrowed(&request.conditions),
        _ => Cow::Owned(no_range()),
    };
    let (status, span) = match wanted(&conditions, size, &version) {
        Wanted::Whole => (200, whole),
        Wanted::Part(span) => (206, span),
        Wanted::Unchanged => {
            let head = Head(Vec::with_capacity(HEAD_BYTES)).status(304).line("ETag", &version.tag);
            return Answer { head, body: Body::Nothing };
        }
        Wanted::Changed => return text(412, "it is not the version that was asked for"),
        Wanted::Outside => {
            let Answer { head, body } = text(416, "the range lies beyond the end");
            let head = head.line("Content-Range", format_args!("bytes */{size}"));
            return Answer { head, body };
        }
    };
    let head = Head::new(status, span.length).line("Content-Type", opened.content_type);
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
    Answer { head, body: part(opened.body, span) }
}

fn http_date(seconds: i64) -> Option<String> {
    let time = Timestamp::from_second(seconds).ok()?;
    jiff::fmt::rfc2822::DateTimePrinter::new().timestamp_to_rfc9110_string(&time).ok()
}

fn part(body: opened::Body, span: Span) -> Body {
    match body {
        opened::Body::File { file, coming, .. } => Body::File(Part { file, span, coming }),
        opened::Body::Bytes(bytes) => {
            let place = |offset: u64| usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
            Body::Document(bytes.slice(place(span.first)..place(span.end())))
        }
    }
}
