//! The web console: files that are compiled into the program and served below `/console/`.
//!
//! `build.rs` lists what `make console` made; a build without it has one page that says how to get it. What
//! is served here is the same for everybody and shows nothing of the server, so that no request needs a
//! token: the console logs in and reads through the API. Start at [`ConsoleSite::answer`]; `headers` has
//! what a browser is told about each file.

mod headers;

use std::sync::LazyLock;

use axum::body::Body;
use axum::extract::Request;
use axum::http::header::{ACCEPT, ALLOW, LOCATION};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};

use headers::{FileCopy, Nonce};

/// The path below which the console is.
pub const BASE: &str = "/console/";
/// The page of every view: a script finds out by the path which one it is.
const INDEX: &str = "index.html";
/// What stands in a page in the place of its nonce.
const NONCE_PLACE: &str = "__CSP_NONCE__";

/// A file of the console.
#[derive(Clone, Copy, Debug)]
pub struct ConsoleFile {
    /// Below [`BASE`]: `app-5ZK2QJ7R.js`.
    pub path: &'static str,
    pub bytes: &'static [u8],
    /// The same, compressed.
    pub gzip: Option<&'static [u8]>,
}

include!(concat!(env!("OUT_DIR"), "/console_files.rs"));

/// The page of a program that was built without the console.
static ABSENT: &[ConsoleFile] =
    &[ConsoleFile { path: INDEX, bytes: include_bytes!("absent.html"), gzip: None }];

/// The files of a console, with their tags.
#[derive(Debug)]
pub struct ConsoleSite(Vec<FileCopy>);

impl ConsoleSite {
    /// The files that this program was built with.
    pub fn embedded() -> &'static Self {
        static SITE: LazyLock<ConsoleSite> = LazyLock::new(|| {
            let has_page = CONSOLE_FILES.iter().any(|file| file.path == INDEX);
            ConsoleSite::of(if has_page { CONSOLE_FILES } else { ABSENT })
        });
        &SITE
    }

    fn of(files: &[ConsoleFile]) -> Self {
        ConsoleSite(files.iter().map(|file| FileCopy::new(*file)).collect())
    }

    /// The answer to a request for [`BASE`] or a path below it. A path is looked up in the list of files and
    /// nowhere else, as it was sent.
    pub fn answer(&self, request: &Request) -> Response {
        if ![Method::GET, Method::HEAD].contains(request.method()) {
            let why = "the console takes GET and HEAD";
            return (StatusCode::METHOD_NOT_ALLOWED, [(ALLOW, "GET, HEAD")], why).into_response();
        }
        let Some(path) = request.uri().path().strip_prefix(BASE) else { return to_console() };
        let wanted = if path.is_empty() { INDEX } else { path };
        let file = self.0.iter().find(|file| file.about.path == wanted && wanted != INDEX);
        let mut response = match (file, self.0.iter().find(|file| file.about.path == INDEX)) {
            (Some(file), _) => file.response(request.headers()),
            (None, _) if headers::is_of_a_build(wanted) => {
                let why = "this file belongs to another version of the console: load the page again";
                (StatusCode::NOT_FOUND, why).into_response()
            }
            (None, Some(index)) => page(&index.about),
            (None, None) => StatusCode::NOT_FOUND.into_response(),
        };
        if request.method() == Method::HEAD {
            *response.body_mut() = Body::empty();
        }
        response
    }
}

/// Where a browser that asks for `/` is sent; none for other clients.
pub fn home(headers: &HeaderMap) -> Option<Response> {
    let mut accepted = headers.get_all(ACCEPT).iter().filter_map(|line| line.to_str().ok());
    accepted.any(|line| line.contains("text/html")).then(to_console)
}

fn to_console() -> Response {
    (StatusCode::TEMPORARY_REDIRECT, [(LOCATION, HeaderValue::from_static(BASE))]).into_response()
}

/// The page with a nonce of its own. A copy of it would have an old one, so it has no tag.
fn page(index: &ConsoleFile) -> Response {
    let Some(nonce) = Nonce::fresh() else { return StatusCode::INTERNAL_SERVER_ERROR.into_response() };
    let text = String::from_utf8_lossy(index.bytes).replace(NONCE_PLACE, nonce.as_str());
    headers::of_page(text, &nonce)
}

#[cfg(test)]
mod tests;
