//! Parses the head of a request. Pure.
//!
//! `httparse` reads the lines; this module interprets them for the boot side. It accepts what old clients
//! send: HTTP/1.0, no `Host`, absolute URLs, `//`, back-slashes.

use httparse::{EMPTY_HEADER, Header, Status};

/// Longest head of a request, in bytes.
pub const HEAD_BYTES_MAX: usize = 16 * 1024;
/// Most header lines of a request.
const HEADERS_MAX: usize = 100;
/// Headers that say where a request ends, whether the connection persists and whose server is meant. In them
/// a byte that is not ASCII refuses the request.
const FRAMING: [&str; 4] = ["content-length", "transfer-encoding", "connection", "host"];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestMethod {
    Get,
    Head,
    Post,
    Other,
}

/// The length of a request's body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyLength {
    Bytes(u64),
    Chunked,
}

/// The headers that make a request conditional or partial (RFC 9110 §13, §14), unparsed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RequestConditions {
    pub if_match: Option<String>,
    pub if_none_match: Option<String>,
    pub if_modified_since: Option<String>,
    pub if_range: Option<String>,
    pub range: Option<String>,
}

/// One request, without its body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BootRequest {
    pub method: RequestMethod,
    /// The path of the URL, still percent-encoded.
    pub path: String,
    /// The part after the `?`; empty if there is none.
    pub query: String,
    /// Whether the client may send another request on this connection.
    pub persistent: bool,
    /// Whether the answer must say that the connection persists: HTTP/1.0.
    pub old: bool,
    pub length: BodyLength,
    /// The client waits for `100 Continue` before it sends the body.
    pub expects_continue: bool,
    pub conditions: RequestConditions,
}

/// Why bytes are not a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestFault {
    Malformed,
    TooLong,
    /// The target has a fragment, which is never sent (RFC 9112 §3.2, RFC 3986 §4.3): one reader takes a `#`
    /// for the end of the host or path, another for a part of them.
    Fragment,
}

impl RequestFault {
    /// The status and the text for the client.
    pub fn answer(self) -> (u16, &'static str) {
        match self {
            RequestFault::Malformed => (400, "this is not a request of HTTP/1.0 or HTTP/1.1"),
            RequestFault::TooLong => (431, "the head of the request is longer than 16 KiB or 100 lines"),
            RequestFault::Fragment => (400, "a request has no fragment: write `#` of a path as %23"),
        }
    }
}

/// The request at the beginning of `bytes`, and the length of its head. `None` while it is incomplete.
///
/// # Errors
/// Bytes that no further bytes can make a request.
pub fn parse(bytes: &[u8]) -> Result<Option<(BootRequest, usize)>, RequestFault> {
    let mut headers = [EMPTY_HEADER; HEADERS_MAX];
    let mut parsed = httparse::Request::new(&mut headers);
    match parsed.parse(bytes) {
        Ok(Status::Complete(head)) if head <= HEAD_BYTES_MAX => Ok(Some((meaning(&parsed)?, head))),
        Ok(Status::Partial) if bytes.len() < HEAD_BYTES_MAX => Ok(None),
        Ok(_) | Err(httparse::Error::TooManyHeaders) => Err(RequestFault::TooLong),
        Err(_) => Err(RequestFault::Malformed),
    }
}

fn meaning(parsed: &httparse::Request<'_, '_>) -> Result<BootRequest, RequestFault> {
    let headers = HeaderFields(parsed.headers);
    if FRAMING.iter().any(|name| headers.has_foreign_bytes(name)) {
        return Err(RequestFault::Malformed);
    }
    let target = parsed.path.ok_or(RequestFault::Malformed)?;
    if target.contains('#') {
        return Err(RequestFault::Fragment);
    }
    let (path, query) = split(target);
    let old = parsed.version == Some(0);
    Ok(BootRequest {
        method: match parsed.method {
            Some("GET") => RequestMethod::Get,
            Some("HEAD") => RequestMethod::Head,
            Some("POST") => RequestMethod::Post,
            _ => RequestMethod::Other,
        },
        path: path.to_owned(),
        query: query.to_owned(),
        persistent: headers.keep_the_connection(old),
        old,
        length: headers.length(old)?,
        expects_continue: !old && headers.list("expect").is_some_and(|list| has_word(&list, "100-continue")),
        conditions: RequestConditions {
            if_match: headers.list("if-match"),
            if_none_match: headers.list("if-none-match"),
            if_modified_since: headers.only("if-modified-since"),
            if_range: headers.only("if-range"),
            range: headers.only("range"),
        },
    })
}

/// Path and query of a request's target: `/x?y`, or the absolute form `http://host/x?y`. The host is ignored:
/// the client is identified by its address. The empty path of an absolute URL is `/` (RFC 9110 §4.2.3).
fn split(target: &str) -> (&str, &str) {
    let after_host = target_after(target, "http://").or_else(|| target_after(target, "https://"));
    let target = match after_host {
        Some(rest) => rest.find(['/', '?']).and_then(|at| rest.get(at..)).unwrap_or_default(),
        None => target,
    };
    match target.split_once('?').unwrap_or((target, "")) {
        ("", query) if after_host.is_some() => ("/", query),
        parts => parts,
    }
}

fn target_after<'a>(target: &'a str, scheme: &str) -> Option<&'a str> {
    let (start, rest) = target.split_at_checked(scheme.len())?;
    start.eq_ignore_ascii_case(scheme).then_some(rest)
}

fn has_word(list: &str, word: &str) -> bool {
    list.split(',').any(|item| item.trim().eq_ignore_ascii_case(word))
}

struct HeaderFields<'a>(&'a [Header<'a>]);

impl<'a> HeaderFields<'a> {
    /// The values of a header that are text, trimmed of spaces and tabs (RFC 9110 §5.5).
    fn all(&self, name: &str) -> impl Iterator<Item = &'a str> {
        self.values(name).filter_map(text_of)
    }

    fn values(&self, name: &str) -> impl Iterator<Item = &'a [u8]> {
        let named = self.0.iter().filter(move |header| header.name.eq_ignore_ascii_case(name));
        named.map(|header| header.value)
    }

    /// Whether a header has a byte that is not ASCII. Such a value is not text here but may be a number for a
    /// proxy.
    fn has_foreign_bytes(&self, name: &str) -> bool {
        self.values(name).any(|value| !value.is_ascii())
    }

    /// The value of a header that may appear once; none if it appears twice, or is not text.
    fn only(&self, name: &str) -> Option<String> {
        let mut values = self.values(name);
        let value = values.next()?;
        values.next().is_none().then(|| text_of(value).map(str::to_owned))?
    }

    /// A header that is a list, joined from all its lines.
    fn list(&self, name: &str) -> Option<String> {
        let mut values = self.all(name);
        let first = values.next()?.to_owned();
        Some(values.fold(first, |list, value| list + "," + value))
    }

    /// RFC 9112 §9.3. `close` wins over `keep-alive`, in whichever order they come.
    fn keep_the_connection(&self, is_http_1_0: bool) -> bool {
        let list = self.list("connection").unwrap_or_default();
        !has_word(&list, "close") && (!is_http_1_0 || has_word(&list, "keep-alive"))
    }

    /// RFC 9112 §6.3. Anything ambiguous is refused.
    fn length(&self, is_http_1_0: bool) -> Result<BodyLength, RequestFault> {
        let mut lengths = self.all("content-length");
        if let Some(coding) = self.list("transfer-encoding") {
            // HTTP/1.0 has no transfer codings: such a message is malformed (RFC 9112 §6.1).
            let chunked = coding.eq_ignore_ascii_case("chunked") && lengths.next().is_none();
            return if chunked && !is_http_1_0 {
                Ok(BodyLength::Chunked)
            } else {
                Err(RequestFault::Malformed)
            };
        }
        let Some(first) = lengths.next() else { return Ok(BodyLength::Bytes(0)) };
        let digits = !first.is_empty() && first.bytes().all(|byte| byte.is_ascii_digit());
        let same = lengths.all(|other| other == first);
        match first.parse() {
            Ok(length) if digits && same => Ok(BodyLength::Bytes(length)),
            _ => Err(RequestFault::Malformed),
        }
    }
}

fn text_of(value: &[u8]) -> Option<&str> {
    Some(str::from_utf8(value).ok()?.trim_matches([' ', '\t']))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(text: &str) -> BootRequest {
        let (request, head) = parse(text.as_bytes()).unwrap().unwrap();
        assert_eq!(head, text.len());
        request
    }

    #[test]
    fn targets_mean_the_same_in_every_form() {
        let cases = [
            ("/x.efi", "/x.efi", ""),
            ("//x.efi", "//x.efi", ""),
            ("\\Boot\\BCD", "\\Boot\\BCD", ""),
            ("http://10.0.0.1:8080//x.efi?a=b", "//x.efi", "a=b"),
            ("HTTP://10.0.0.1", "/", ""),
            ("/boot.ipxe?mac=02%3A00", "/boot.ipxe", "mac=02%3A00"),
            ("HTTP://10.0.0.1?a=b?c", "/", "a=b?c"),
            ("/x?", "/x", ""),
            ("x.efi", "x.efi", ""),
        ];
        for (target, path, query) in cases {
            let request = request(&format!("GET {target} HTTP/1.1\r\n\r\n"));
            assert_eq!((request.path.as_str(), request.query.as_str()), (path, query), "{target}");
        }
    }

    #[test]
    fn a_target_with_a_fragment_is_refused_wherever_it_stands() {
        for target in ["/x#y", "/x?y#z", "/#", "#", "x#y", "http://h#y/x", "http://h/x#y", "http://#h/x"] {
            let read = parse(format!("GET {target} HTTP/1.1\r\n\r\n").as_bytes());
            assert_eq!(read, Err(RequestFault::Fragment), "{target}");
        }
        assert_eq!(RequestFault::Fragment.answer().0, 400);
        assert_eq!(request("GET /x%23y HTTP/1.1\r\n\r\n").path, "/x%23y");
    }

    #[test]
    fn a_connection_goes_on_as_the_version_and_the_client_say() {
        let persistent = |version, connection| {
            request(&format!("GET / {version}\r\nConnection: {connection}\r\n\r\n")).persistent
        };
        assert!(persistent("HTTP/1.1", "Foo"));
        assert!(!persistent("HTTP/1.1", "Foo, Close"));
        assert!(!persistent("HTTP/1.0", "foo"));
        assert!(persistent("HTTP/1.0", "Keep-Alive"));
        assert!(!persistent("HTTP/1.0", "close, keep-alive"));
        assert!(!persistent("HTTP/1.0", "keep-alive\r\nConnection: close"));
    }

    #[test]
    fn lengths_that_could_be_read_in_two_ways_are_refused() {
        let length = |lines: &str| parse(format!("POST / HTTP/1.1\r\n{lines}\r\n").as_bytes());
        let bytes = |lines: &[u8]| parse(&[b"POST / HTTP/1.1\r\n", lines, b"\r\n"].concat());
        let of = |lines| length(lines).unwrap().unwrap().0.length;
        assert_eq!(of(""), BodyLength::Bytes(0));
        assert_eq!(of("Content-Length: 5\r\nContent-Length: 5\r\n"), BodyLength::Bytes(5));
        assert_eq!(of("Transfer-Encoding: Chunked\r\n"), BodyLength::Chunked);
        for lines in [
            "Content-Length: 5\r\nContent-Length: 6\r\n",
            "Content-Length: +5\r\n",
            "Content-Length: 99999999999999999999999\r\n",
            "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
            "Transfer-Encoding: gzip, chunked\r\n",
            "Transfer-Encoding: chunked, chunked\r\n",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
            "Transfer-Encoding: \r\n",
            "Content-Length:\r\n",
            "Content-Length: 5, 5\r\n",
            "Content-Length: 5\r\nContent-Length: 05\r\n",
            "Content-Length: 0x5\r\n",
            "Content-Length: -5\r\n",
            "Content-Length: 5 5\r\n",
            "Content-Length : 5\r\n",
            " Content-Length: 5\r\n",
            "Content-Length: 5\r\n 6\r\n",
            "Content-Length: 5\r6\r\n",
            "X: a\rContent-Length: 5\r\n",
            "Content-Length: 5\0\r\n",
            "Content-Length: \u{a0}5\r\n",
            "Content-Length: 5\u{2003}\r\n",
            "Content-Length: 5\x0b\r\n",
            "Content-Length: \u{661}\r\n",
            "Transfer-Encoding: \u{a0}chunked\r\n",
        ] {
            assert_eq!(length(lines), Err(RequestFault::Malformed), "{lines:?}");
        }
        for lines in [
            &b"Content-Length: 45\xff\r\n"[..],
            b"Content-Length: 0\r\nContent-Length: 45\xff\r\n",
            b"Transfer-Encoding: chunked\xff\r\n",
            b"Content-Length: 5\r\nTransfer-Encoding: \xffchunked\r\n",
            b"Connection: close\xff\r\n",
            b"Connection: keep-alive\r\nConnection: \x80\r\n",
            b"Host: a\xffb\r\n",
        ] {
            assert_eq!(bytes(lines), Err(RequestFault::Malformed), "{}", lines.escape_ascii());
        }
        assert!(bytes(b"X-Name: \xff\r\nContent-Length: 5\r\n").is_ok(), "other headers may have any byte");
    }

    #[test]
    fn http_1_0_has_no_transfer_codings() {
        let post = |lines: &str| parse(format!("POST / HTTP/1.0\r\n{lines}\r\n").as_bytes());
        assert_eq!(post("Transfer-Encoding: chunked\r\n"), Err(RequestFault::Malformed));
        assert_eq!(post("Content-Length: 5\r\n").unwrap().unwrap().0.length, BodyLength::Bytes(5));
    }

    #[test]
    fn a_head_is_waited_for_within_its_bound_and_not_beyond() {
        assert_eq!(parse(b""), Ok(None));
        assert_eq!(parse(b"GET / HTT"), Ok(None));
        assert_eq!(parse(b"\r\n\r\nGET / HTT"), Ok(None));
        assert_eq!(parse(&vec![b'A'; HEAD_BYTES_MAX - 1]), Ok(None));
        let long = format!("GET /{} HTTP/1.1\r\n\r\n", "a".repeat(HEAD_BYTES_MAX));
        assert_eq!(parse(long.as_bytes()), Err(RequestFault::TooLong));
        let many = format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(HEADERS_MAX + 1));
        assert_eq!(parse(many.as_bytes()), Err(RequestFault::TooLong));
        for noise in [&b"\x16\x03\x01\x02\0\x01"[..], b"GET /\r\n\r\n", b"GET / HTTP/2.0\r\n\r\n", b"\0\r\n"]
        {
            assert_eq!(parse(noise), Err(RequestFault::Malformed), "{noise:?}");
        }
    }

    #[test]
    fn a_header_that_may_come_once_says_nothing_when_it_comes_twice() {
        let twice =
            request("GET / HTTP/1.1\r\nRange: bytes=0-1\r\nRange: bytes=2-3\r\nIf-Range: \"a\"\r\n\r\n");
        assert_eq!((twice.conditions.range, twice.conditions.if_range.as_deref()), (None, Some("\"a\"")));
        let half =
            parse(b"GET / HTTP/1.1\r\nRange: bytes=0-1\r\nRange: bytes=\xff\r\n\r\n").unwrap().unwrap();
        assert_eq!(half.0.conditions.range, None);
        let list = request("GET / HTTP/1.1\r\nIf-None-Match: \"a\"\r\nIf-None-Match: \"b\"\r\n\r\n");
        assert_eq!(list.conditions.if_none_match.as_deref(), Some("\"a\",\"b\""));
    }
}
