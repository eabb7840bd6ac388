//! What browsers are told of the console's files: types, how long they may be kept, which copy they get, and
//! what pages may do.

use axum::body::Body;
use axum::http::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, CONTENT_TYPE,
    ETAG, IF_NONE_MATCH, REFERRER_POLICY, VARY, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

use super::ConsoleFile;

/// Letters of the hash in the name of a file, as esbuild writes it: `app-5ZK2QJ7R.js`.
const HASH_LETTERS: usize = 8;
/// Bytes of a tag that are compared.
const TAG_BYTES: usize = 16;
const NONCE_BYTES: usize = 18;
const FOR_GOOD: &str = "public, max-age=31536000, immutable";
const ASK_FIRST: &str = "no-cache";
const OPENER_POLICY: HeaderName = HeaderName::from_static("cross-origin-opener-policy");
const RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");
const PERMISSIONS_POLICY: HeaderName = HeaderName::from_static("permissions-policy");
const FRAME_OPTIONS: HeaderName = HeaderName::from_static("x-frame-options");

/// The media types of the files that a console has.
const TYPES: [(&str, &str); 10] = [
    ("html", "text/html; charset=utf-8"),
    ("js", "text/javascript; charset=utf-8"),
    ("css", "text/css; charset=utf-8"),
    ("svg", "image/svg+xml"),
    ("png", "image/png"),
    ("ico", "image/x-icon"),
    ("json", "application/json"),
    ("map", "application/json"),
    ("txt", "text/plain; charset=utf-8"),
    ("woff2", "font/woff2"),
];

/// A number that a page's styles carry, so that those that somebody else puts into it do not count.
pub struct Nonce(String);

impl Nonce {
    /// A nonce of one answer; none without random numbers.
    pub fn fresh() -> Option<Self> {
        let mut bytes = [0; NONCE_BYTES];
        getrandom::fill(&mut bytes).ok()?;
        Some(Nonce(URL_SAFE_NO_PAD.encode(bytes)))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A file with what identifies its content.
#[derive(Debug)]
pub struct FileCopy {
    pub about: ConsoleFile,
    tag: String,
}

impl FileCopy {
    pub fn new(about: ConsoleFile) -> Self {
        let digest = Sha256::digest(about.bytes);
        let tag = URL_SAFE_NO_PAD.encode(digest.iter().copied().take(TAG_BYTES).collect::<Vec<u8>>());
        FileCopy { about, tag }
    }

    /// The file, compressed if the client takes that, or nothing if the client has it.
    pub fn response(&self, request: &HeaderMap) -> Response {
        let gzip = self.about.gzip.filter(|_| takes_gzip(request));
        let tag = match gzip {
            Some(_) => format!("\"{}-gzip\"", self.tag),
            None => format!("\"{}\"", self.tag),
        };
        let is_known = knows(request, &tag);
        let bytes = gzip.unwrap_or(self.about.bytes);
        let mut response = match is_known {
            true => StatusCode::NOT_MODIFIED.into_response(),
            false => (StatusCode::OK, Body::from(bytes)).into_response(),
        };
        let headers = response.headers_mut();
        let keep = if is_of_a_build(self.about.path) { FOR_GOOD } else { ASK_FIRST };
        headers.insert(CACHE_CONTROL, HeaderValue::from_static(keep));
        headers.insert(VARY, HeaderValue::from_static("accept-encoding"));
        if let Ok(tag) = HeaderValue::from_str(&tag) {
            headers.insert(ETAG, tag);
        }
        if !is_known {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type(self.about.path)));
            headers.insert(CONTENT_LENGTH, HeaderValue::from(bytes.len()));
            if gzip.is_some() {
                headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
            }
        }
        add_security(headers, None);
        response
    }
}

/// A page with its nonce.
pub fn of_page(text: String, nonce: &Nonce) -> Response {
    let length = HeaderValue::from(text.len());
    let mut response = (StatusCode::OK, Body::from(text)).into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type("index.html")));
    headers.insert(CONTENT_LENGTH, length);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static(ASK_FIRST));
    add_security(headers, Some(nonce));
    response
}

/// Adds what bounds pages and scripts. Nothing from elsewhere is loaded, nothing in line is run.
fn add_security(headers: &mut HeaderMap, nonce: Option<&Nonce>) {
    let nonce = nonce.map(|nonce| format!(" 'nonce-{}'", nonce.as_str())).unwrap_or_default();
    let policy = format!(
        "default-src 'none'; script-src 'self'; style-src 'self'{nonce}; img-src 'self' data:; connect-src \
         'self'; font-src 'self'; worker-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors \
         'none'"
    );
    if let Ok(policy) = HeaderValue::from_str(&policy) {
        headers.insert(CONTENT_SECURITY_POLICY, policy);
    }
    let others = [
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "no-referrer"),
        (OPENER_POLICY, "same-origin"),
        (RESOURCE_POLICY, "same-origin"),
        (FRAME_OPTIONS, "DENY"),
        (PERMISSIONS_POLICY, "camera=(), geolocation=(), microphone=(), payment=(), usb=()"),
    ];
    headers.extend(others.map(|(name, value)| (name, HeaderValue::from_static(value))));
}

/// Whether a path is that of a file with a hash in its name: other content has another name.
pub fn is_of_a_build(path: &str) -> bool {
    let name = path.strip_prefix("assets/").unwrap_or(path);
    let Some((stem, extension)) = name.rsplit_once('.') else { return false };
    let stem = stem.strip_suffix(".js").or_else(|| stem.strip_suffix(".css")).unwrap_or(stem);
    let Some((_, hash)) = stem.rsplit_once('-') else { return false };
    let is_hash = hash.len() == HASH_LETTERS
        && hash.bytes().all(|letter| letter.is_ascii_uppercase() || letter.is_ascii_digit());
    is_hash && !name.contains('/') && TYPES.iter().any(|(known, _)| *known == extension)
}

fn media_type(path: &str) -> &'static str {
    let extension = path.rsplit_once('.').map(|(_, extension)| extension).unwrap_or_default();
    let known = TYPES.iter().find(|(known, _)| *known == extension);
    known.map_or("application/octet-stream", |(_, media)| media)
}

/// Whether `Accept-Encoding` has gzip and does not rule it out (RFC 9110 §12.5.3).
fn takes_gzip(request: &HeaderMap) -> bool {
    let lines = request.get_all(ACCEPT_ENCODING).iter().filter_map(|line| line.to_str().ok());
    lines.flat_map(|line| line.split(',')).any(|coding| {
        let mut parts = coding.split(';').map(str::trim);
        let is_gzip = parts.next().is_some_and(|name| name.eq_ignore_ascii_case("gzip"));
        let weight = parts.find_map(|part| part.strip_prefix("q=")?.parse::<f32>().ok());
        is_gzip && weight.is_none_or(|weight| weight > 0.0)
    })
}

/// Whether `If-None-Match` has the tag. Tags are compared weakly (RFC 9110 §13.1.2).
fn knows(request: &HeaderMap, tag: &str) -> bool {
    let lines = request.get_all(IF_NONE_MATCH).iter().filter_map(|line| line.to_str().ok());
    let mut tags = lines.flat_map(|line| line.split(',')).map(str::trim);
    tags.any(|known| known == "*" || known.strip_prefix("W/").unwrap_or(known) == tag)
}
