//! Filters for URLs and their parts (RFC 3986).

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use tera::value::Key;
use tera::{Kwargs, Map, TeraResult, Value};
use url::Url;

use crate::render::filters::{text_of, wrong};
use crate::render::scope::RenderScope;

/// What is no unreserved character of a URL (section 2.3).
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
/// The same, but for the slashes between the segments of a path.
const RESERVED_IN_PATHS: &AsciiSet = &RESERVED.remove(b'/');

/// One part of a URL, of whatever kind.
pub(super) fn urlencode(value: &Value, _: &Kwargs, _: &RenderScope) -> TeraResult<Value> {
    Ok(Value::from(utf8_percent_encode(&text_of("urlencode", value)?, RESERVED).to_string()))
}

/// A path of a URL: its slashes stay.
pub(super) fn urlencode_path(value: &Value, _: &Kwargs, _: &RenderScope) -> TeraResult<Value> {
    let text = text_of("urlencode_path", value)?;
    Ok(Value::from(utf8_percent_encode(&text, RESERVED_IN_PATHS).to_string()))
}

/// A `+` stays a `+`: only forms use it for a space.
pub(super) fn urldecode(value: &Value, _: &Kwargs, _: &RenderScope) -> TeraResult<Value> {
    let text = text_of("urldecode", value)?;
    let decoded = percent_decode_str(&text).decode_utf8();
    let decoded = decoded.map_err(|_| wrong("`urldecode`: what it holds is not UTF-8 text"))?;
    Ok(Value::from(decoded.into_owned()))
}

/// The parts of a URL. `port` is the scheme's own if the URL has none, and 0 if that is unknown.
pub(super) fn parse_url(value: &Value, _: &Kwargs, _: &RenderScope) -> TeraResult<Value> {
    let text = text_of("parse_url", value)?;
    let url = Url::parse(&text).map_err(|error| wrong(format!("`parse_url`: {error}")))?;
    let texts = [
        ("scheme", url.scheme()),
        ("user", url.username()),
        ("host", url.host_str().unwrap_or_default()),
        ("path", url.path()),
        ("query", url.query().unwrap_or_default()),
        ("fragment", url.fragment().unwrap_or_default()),
    ];
    let mut parts: Map = texts.into_iter().map(|(name, text)| (Key::from(name), Value::from(text))).collect();
    parts.insert(Key::from("port"), Value::from(url.port_or_known_default().unwrap_or_default()));
    Ok(Value::from(parts))
}
