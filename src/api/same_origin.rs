//! Which page of a browser sent a request. A browser adds the cookie of a session by itself, whoever made it
//! send the request, so the cookie counts only in requests of pages of this server.
//!
//! Browsers say it in `Sec-Fetch-Site` (Fetch Metadata), which no page can set. Older ones send `Origin` with
//! writes (RFC 6454 §7), which has to be this server then.

use axum::extract::Request;
use axum::http::header::{HOST, ORIGIN};
use axum::http::{HeaderMap, HeaderName, Method};

use super::error::ApiError;
use crate::model::RefusalCode;

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Refuses a request with a cookie that another page than one of this server made the browser send.
///
/// # Errors
/// 403.
pub fn check_with_cookie(request: &Request) -> Result<(), ApiError> {
    let reads = [Method::GET, Method::HEAD, Method::OPTIONS].contains(request.method());
    match RequestSource::of(request) {
        RequestSource::Own => Ok(()),
        // An address that somebody typed, and what browsers without either header read.
        RequestSource::User | RequestSource::Unsaid if reads => Ok(()),
        RequestSource::Other | RequestSource::User | RequestSource::Unsaid => Err(foreign(
            "a session's cookie counts only in requests of the console itself: `Sec-Fetch-Site: \
             same-origin`, or an `Origin` that is this server; send a token instead",
        )),
    }
}

/// Refuses a login that another page than one of this server sent. Programs say neither and may log in: they
/// have to have the token.
///
/// # Errors
/// 403.
pub fn check_login(request: &Request) -> Result<(), ApiError> {
    match RequestSource::of(request) {
        RequestSource::Own | RequestSource::Unsaid => Ok(()),
        RequestSource::Other | RequestSource::User => Err(foreign("a page of another site may not log in")),
    }
}

fn foreign(why: &str) -> ApiError {
    ApiError::new(RefusalCode::ForeignPage, why)
}

/// What made a browser send a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum RequestSource {
    /// A page of this server.
    Own,
    /// The user, who typed the address or chose a bookmark.
    User,
    /// Another page.
    Other,
    /// The request does not say.
    Unsaid,
}

impl RequestSource {
    fn of(request: &Request) -> Self {
        let headers = request.headers();
        match only(headers, &SEC_FETCH_SITE) {
            Some(Ok("same-origin")) => RequestSource::Own,
            Some(Ok("none")) => RequestSource::User,
            Some(_) => RequestSource::Other,
            None => match only(headers, &ORIGIN) {
                None => RequestSource::Unsaid,
                Some(Ok(origin)) if is_this_server(origin, request) => RequestSource::Own,
                Some(_) => RequestSource::Other,
            },
        }
    }
}

/// The only value of a header; an error if it is there twice or is no text.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<Result<&'a str, ()>> {
    let mut values = headers.get_all(name).iter();
    let first = values.next()?;
    Some(match values.next() {
        None => first.to_str().map_err(|_| ()),
        Some(_) => Err(()),
    })
}

/// Whether an origin is the host that the request was sent to. HTTP/2 has it in the URL, HTTP/1.1 in `Host`.
fn is_this_server(origin: &str, request: &Request) -> bool {
    let host = match request.uri().authority() {
        Some(authority) => Some(Ok(authority.as_str())),
        None => only(request.headers(), &HOST),
    };
    let Some(Ok(host)) = host else { return false };
    origin.strip_prefix("https://").is_some_and(|named| named.eq_ignore_ascii_case(host))
}

#[cfg(test)]
mod tests {
    use axum::body::Body;

    use super::*;

    fn request(method: &str, uri: &str, headers: &[(&str, &str)]) -> Request {
        let mut request = Request::builder().method(method).uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(Body::empty()).unwrap()
    }

    fn passes(method: &str, headers: &[(&str, &str)]) -> bool {
        check_with_cookie(&request(method, "/x", &[&[("Host", "boot:8443")], headers].concat())).is_ok()
    }

    #[test]
    fn a_write_with_a_cookie_comes_from_a_page_of_this_server() {
        let site = |value| passes("POST", &[("Sec-Fetch-Site", value)]);
        let sites =
            ["same-origin", "same-site", "cross-site", "none", "", "Same-Origin", "same-origin, none"];
        assert_eq!(sites.map(site), [true, false, false, false, false, false, false]);
        let twice = [("Sec-Fetch-Site", "same-origin"), ("Sec-Fetch-Site", "cross-site")];
        assert!(!passes("POST", &twice) && !passes("DELETE", &[]));
        let origins = [
            "https://boot:8443",
            "https://BOOT:8443",
            "http://boot:8443",
            "https://boot",
            "https://boot:8443.evil",
            "https://evil",
            "null",
            "",
        ];
        let origin = |value| passes("PATCH", &[("Origin", value)]);
        assert_eq!(origins.map(origin), [true, true, false, false, false, false, false, false]);
        let both = [("Sec-Fetch-Site", "cross-site"), ("Origin", "https://boot:8443")];
        assert!(!passes("PUT", &both), "what no page can set decides");
    }

    #[test]
    fn a_read_with_a_cookie_may_be_typed_and_comes_from_no_other_page() {
        let site = |value| passes("GET", &[("Sec-Fetch-Site", value)]);
        assert_eq!(["same-origin", "none", "same-site", "cross-site"].map(site), [true, true, false, false]);
        assert!(passes("GET", &[]) && passes("OPTIONS", &[]) && passes("HEAD", &[]));
        assert!(!passes("GET", &[("Origin", "https://evil")]));
    }

    #[test]
    fn over_http_2_the_host_is_that_of_the_url() {
        let with = |origin| request("POST", "https://boot:8443/x", &[("Origin", origin), ("Host", "evil")]);
        assert!(check_with_cookie(&with("https://boot:8443")).is_ok());
        assert!(check_with_cookie(&with("https://evil")).is_err());
    }

    #[test]
    fn a_program_may_log_in_and_a_page_of_another_site_may_not() {
        let login = |headers: &[(&str, &str)]| {
            check_login(&request("POST", "/x", &[&[("Host", "boot")], headers].concat())).is_ok()
        };
        assert!(login(&[]) && login(&[("Sec-Fetch-Site", "same-origin")]));
        assert!(login(&[("Origin", "https://boot")]) && !login(&[("Origin", "https://evil")]));
        assert!(!login(&[("Sec-Fetch-Site", "cross-site")]) && !login(&[("Sec-Fetch-Site", "same-site")]));
    }
}
