//! The cookie of a session. Its name begins with `__Host-`: browsers take it only over TLS, from this host
//! itself and for all paths (RFC 6265bis §4.1.3.2), so that no other host of the domain can set it.

use axum::http::HeaderMap;
use axum::http::header::COOKIE;
use jiff::{SignedDuration, Timestamp};

/// Its name.
pub const NAME: &str = "__Host-metalwright_session";
/// Most bytes of cookies that are looked through. A host has cookies of its other services too, and browsers
/// send them all.
const COOKIE_BYTES_MAX: usize = 64 << 10;

/// The value of the cookie in a request. None if there are several: only one of them is from this server.
pub fn read(headers: &HeaderMap) -> Option<&str> {
    let mut left = COOKIE_BYTES_MAX;
    let lines = headers.get_all(COOKIE).iter().map(|line| line.as_bytes());
    let lines = lines.take_while(|line| {
        let fits = line.len() <= left;
        left = left.saturating_sub(line.len());
        fits
    });
    let cookies = lines.flat_map(|line| line.split(|byte| *byte == b';'));
    let mut values = cookies.filter_map(|cookie| {
        let value = cookie.trim_ascii().strip_prefix(NAME.as_bytes())?.strip_prefix(b"=")?;
        std::str::from_utf8(value).ok()
    });
    let first = values.next()?;
    values.next().is_none().then_some(first)
}

/// The header that sets it until its session ends.
pub fn set(value: &str, (now, ends): (Timestamp, Timestamp)) -> String {
    let seconds = now.duration_until(ends).max(SignedDuration::ZERO).as_secs();
    format!("{NAME}={value}; Path=/; Max-Age={seconds}; HttpOnly; Secure; SameSite=Strict")
}

/// The header that removes it.
pub fn remove() -> String {
    format!("{NAME}=; Path=/; Max-Age=0; HttpOnly; Secure; SameSite=Strict")
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn read_from(lines: &[&[u8]]) -> Option<String> {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(COOKIE, HeaderValue::from_bytes(line).unwrap());
        }
        read(&headers).map(str::to_owned)
    }

    #[test]
    fn the_cookie_is_found_among_those_of_other_services() {
        let own: &[u8] = b"theme=dark; __Host-metalwright_session=abc ; lang=\xe9";
        assert_eq!(read_from(&[own]), Some("abc".to_owned()));
        assert_eq!(read_from(&[b"a=b", own]), Some("abc".to_owned()), "HTTP/2 sends them one by one");
        for other in [&b"metalwright_session=abc"[..], b"x__Host-metalwright_session=abc", b"", b";;=;"] {
            assert_eq!(read_from(&[other]), None);
        }
    }

    #[test]
    fn of_two_cookies_with_its_name_neither_counts() {
        assert_eq!(read_from(&[b"__Host-metalwright_session=a; __Host-metalwright_session=b"]), None);
        assert_eq!(read_from(&[b"__Host-metalwright_session=a", b"__Host-metalwright_session=b"]), None);
    }

    #[test]
    fn cookies_beyond_a_bound_are_not_looked_through() {
        let mut large = vec![b'x'; COOKIE_BYTES_MAX];
        large.extend(b"; __Host-metalwright_session=abc");
        assert_eq!(read_from(&[&large]), None);
        assert_eq!(read_from(&[&large, b"__Host-metalwright_session=abc"]), None);
    }

    #[test]
    fn it_lasts_as_long_as_its_session_and_only_for_this_host_over_tls() {
        let now = Timestamp::UNIX_EPOCH;
        let line = set("abc", (now, now + SignedDuration::from_hours(1)));
        assert!(line.starts_with("__Host-metalwright_session=abc; Path=/; Max-Age=3600; "), "{line}");
        for word in ["HttpOnly", "Secure", "SameSite=Strict"] {
            assert!(line.contains(word) && remove().contains(word), "{word}");
        }
        assert!(!line.contains("Domain"), "a cookie with a domain would go to other hosts");
    }
}
