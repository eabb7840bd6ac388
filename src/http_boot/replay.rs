//! The requests that a connection reads from given bytes, without a socket: what the differential fuzzer of
//! `fuzz/run` and tests compare with other readers. The framing is that of `connection`: the same head, the
//! same body, the same reasons to end.

use std::io;

use bytes::{Buf, Bytes, BytesMut};
use futures_util::FutureExt;

use super::body::{BodyFault, BodyReader, ByteSource};
use super::request::{self, BodyLength, BootRequest, RequestFault, RequestMethod};

/// Most requests that are read of one text.
pub const REQUESTS_MAX: usize = 64;

/// A request and the body that was read with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplayedRequest {
    pub request: BootRequest,
    pub body: Bytes,
    /// Where its head begins.
    pub at: usize,
}

/// Why no further request was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplayEnd {
    /// The bytes are at their end.
    Exhausted,
    /// The connection ends after this request: it says so, or has a body that is not read.
    Closed,
    Head(RequestFault),
    Body(BodyFault),
}

/// All that is read of given bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestReplay {
    pub requests: Vec<ReplayedRequest>,
    pub end: ReplayEnd,
    /// Where the request begins that was not read.
    pub end_at: usize,
}

/// A client that has sent everything.
struct SilentSource;

impl ByteSource for SilentSource {
    async fn read_more(&mut self, _buffer: &mut BytesMut) -> io::Result<usize> {
        Ok(0)
    }
}

/// Reads requests until the bytes end or the connection would.
pub fn read_requests(bytes: &[u8]) -> RequestReplay {
    let mut requests = Vec::new();
    let mut buffer = BytesMut::from(bytes);
    let mut end_at = 0;
    let mut end = ReplayEnd::Exhausted;
    while requests.len() < REQUESTS_MAX {
        end_at = bytes.len() - buffer.len();
        match read_one(&mut buffer) {
            Ok(Some((request, body))) => {
                let is_unread =
                    request.method != RequestMethod::Post && request.length != BodyLength::Bytes(0);
                let closes = is_unread || !request.persistent;
                requests.push(ReplayedRequest { request, body, at: end_at });
                if closes {
                    end = ReplayEnd::Closed;
                    break;
                }
            }
            Ok(None) => break,
            Err(fault) => {
                end = fault;
                break;
            }
        }
    }
    RequestReplay { requests, end, end_at }
}

fn read_one(buffer: &mut BytesMut) -> Result<Option<(BootRequest, Bytes)>, ReplayEnd> {
    let Some((request, head)) = request::parse(buffer).map_err(ReplayEnd::Head)? else { return Ok(None) };
    buffer.advance(head);
    if request.method != RequestMethod::Post {
        return Ok(Some((request, Bytes::new())));
    }
    let mut reader = BodyReader { wire: &mut SilentSource, buffer };
    match reader.read(request.length).now_or_never() {
        Some(Ok(body)) => Ok(Some((request, body))),
        Some(Err(BodyFault::Gone)) | None => Ok(None),
        Some(Err(fault)) => Err(ReplayEnd::Body(fault)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEXT: &[u8] = b"GET /next HTTP/1.1\r\n\r\n";

    /// The paths of the requests that are read of a text with another request behind it, and the end.
    fn paths(text: &[u8]) -> (Vec<String>, ReplayEnd) {
        let replay = read_requests(&[text, NEXT].concat());
        (replay.requests.into_iter().map(|read| read.request.path).collect(), replay.end)
    }

    #[test]
    fn the_next_request_begins_behind_the_body_in_every_framing() {
        for text in [
            &b"POST /a HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello"[..],
            b"POST /a HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
            b"POST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5;x=y\r\nhello\r\n0\r\nx: y\r\n\r\n",
            b"POST /a HTTP/1.0\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n",
            b"\r\nPOST /a HTTP/1.1\r\n\r\n\r\n",
        ] {
            let read = (vec!["/a".to_owned(), "/next".to_owned()], ReplayEnd::Exhausted);
            assert_eq!(paths(text), read, "{}", text.escape_ascii());
        }
    }

    #[test]
    fn what_could_hide_a_request_is_refused_and_nothing_behind_it_is_read() {
        for text in [
            &b"POST /a HTTP/1.1\r\nContent-Length: 45\xff\r\n\r\n"[..],
            b"POST /a HTTP/1.1\r\nContent-Length: 0\r\nContent-Length: 45\xff\r\n\r\n",
            b"POST /a HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            b"POST /a HTTP/1.1\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
            b"POST /a HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            b"POST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n\r\n\r\n",
            b"POST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5;x\nhello\r\n0\r\n\r\n",
            b"POST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nx: y\n\r\n",
            b"POST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nno header\r\n\r\n",
            b"POST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFF1\r\n",
            b"POST /a HTTP/1.1\r\nContent-Length: 5\r\n 6\r\n\r\nhello",
            b"POST /a HTTP/1.1\r\nContent-Length : 5\r\n\r\nhello",
            b"POST /a HTTP/1.1\r\nX: a\rContent-Length: 5\r\n\r\nhello",
            b"GET /a HTTP/1.1\r\nHost: a\xffb\r\n\r\n",
        ] {
            let (read, end) = paths(text);
            assert!(read.is_empty(), "{}: {read:?}", text.escape_ascii());
            assert!(
                matches!(end, ReplayEnd::Head(_) | ReplayEnd::Body(_)),
                "{}: {end:?}",
                text.escape_ascii()
            );
        }
    }

    #[test]
    fn a_body_that_is_not_read_ends_the_connection() {
        for text in [
            &b"GET /a HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc"[..],
            b"GET /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            b"GET /a HTTP/1.1\r\nConnection: close\r\n\r\n",
            b"GET /a HTTP/1.0\r\nConnection: close, keep-alive\r\n\r\n",
            b"GET /a HTTP/1.0\r\n\r\n",
        ] {
            assert_eq!(paths(text), (vec!["/a".to_owned()], ReplayEnd::Closed), "{}", text.escape_ascii());
        }
    }
}
