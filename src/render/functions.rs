//! The functions for templates. Each checks the deadline first and refuses unknown arguments, so that a
//! misspelt `default=` is not silently ignored.

use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use serde::Serialize;
use tera::{Kwargs, State, Tera, TeraResult, Value};

use crate::model::disk_rule::{DISK, INSTALL_DISK};
use crate::model::nearest;
use crate::render::context::PackageRepository;
use crate::render::dates::now;
use crate::render::include_calls::{INCLUDE_FROM, INCLUDE_OPTIONAL};
use crate::render::inner::{include_from, include_optional};
use crate::render::params::{ParamLevel, UnreadableSecret};
use crate::render::problem::ProblemKind;
use crate::render::scope::{self, RenderScope};

/// Most numbers that one call of `range` returns.
pub(super) const RANGE_NUMBERS_MAX: u64 = 100_000;
/// Most levels that the message about a missing param names.
const LEVELS_NAMED_MAX: usize = 16;
/// The reports that an installer may send: the last segment of its callback URL.
const CALLBACK_EVENTS: [&str; 5] = ["done", "failed", "log", "asks", "installer.log"];
/// The characters that a path segment of a URL must encode (RFC 3986 section 3.3).
const SEGMENT: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'%')
    .add(b'<')
    .add(b'>')
    .add(b'?')
    .add(b'[')
    .add(b'\\')
    .add(b']')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');

type FunctionBody = fn(&Kwargs, &RenderScope) -> TeraResult<Value>;

/// Name, arguments, implementation.
pub(super) const FUNCTIONS: [(&str, &[&str], FunctionBody); 14] = [
    ("param", &["name", "default", "unless_set"], param),
    ("param_keys", &["name"], param_keys),
    ("has_param", &["name"], has_param),
    ("compose", &["name", "default"], compose),
    ("disk_rule", &[], disk_rule),
    ("repos", &["tag", "package_type", "install_source", "url"], repos),
    ("callback_url", &["event"], callback_url),
    ("file_url", &["path"], file_url),
    ("agent_token", &[], agent_token),
    ("range", &["start", "end", "step", "step_by"], range),
    ("throw", &["message"], throw),
    ("now", &[], now),
    (INCLUDE_FROM, &["folder", "name", "default", "with"], include_from),
    (INCLUDE_OPTIONAL, &["name", "with"], include_optional),
];

pub(super) fn register(tera: &mut Tera) {
    for (name, takes, body) in FUNCTIONS {
        tera.register_function(name, move |arguments: Kwargs, _: &State| -> TeraResult<Value> {
            let scope = scope::current()?;
            check_arguments(name, takes, &arguments)?;
            body(&arguments, &scope)
        });
    }
}

/// Refuses arguments that a function or filter does not have.
pub(super) fn check_arguments(name: &str, takes: &[&str], arguments: &Kwargs) -> TeraResult<()> {
    for (given, _) in arguments.iter() {
        let given = given.as_str().unwrap_or_default();
        if !takes.contains(&given) {
            let known = if takes.is_empty() { "none".to_owned() } else { takes.join(", ") };
            return Err(tera::Error::message(format!(
                "`{name}` has no argument `{given}`: it takes {known}"
            )));
        }
    }
    Ok(())
}

/// The template engine's value of anything that can be serialised.
pub(super) fn to_value<T: Serialize + ?Sized>(value: &T) -> TeraResult<Value> {
    Value::try_from_serializable(value)
}

fn param(arguments: &Kwargs, scope: &RenderScope) -> TeraResult<Value> {
    let name = arguments.must_get::<&str>("name")?;
    match scope.params.get(name).map_err(|sealed| refuse_secret(scope, sealed))? {
        Some(found) => {
            // What the family of a system prefers, where nobody has said anything.
            let preferred = arguments.get::<Value>("unless_set")?;
            let preferred = preferred.filter(|_| *found.level == ParamLevel::Default);
            match preferred {
                Some(_) => scope.record_passed_over(name, found.level),
                None => scope.record(name, Some(found.level)),
            }
            if found.secret {
                read_secret(name, scope)?;
            }
            match preferred {
                Some(preferred) => Ok(preferred),
                None => to_value(found.value),
            }
        }
        None => fallback(name, arguments, scope),
    }
}

/// The keys of a map: of a secret one too, so that a message can name an entry. Empty if it is no map, as a
/// secret is in a preview.
fn param_keys(arguments: &Kwargs, scope: &RenderScope) -> TeraResult<Value> {
    let name = arguments.must_get::<&str>("name")?;
    let found = scope.params.get(name).map_err(|sealed| refuse_secret(scope, sealed))?;
    scope.record(name, found.as_ref().map(|found| found.level));
    let map = found.and_then(|found| found.value.as_object());
    let keys: Vec<&str> = map.into_iter().flatten().map(|(key, _)| key.as_str()).collect();
    to_value(&keys)
}

/// Notes that a secret was read, which only a template may do.
fn read_secret(name: &str, scope: &RenderScope) -> TeraResult<()> {
    if scope.inner.is_expanding() {
        let message = format!(
            "`{name}` is secret and is not read by a value that is expanded: read it in the template"
        );
        return Err(scope.refuse(ProblemKind::Sealed, message));
    }
    scope.record_secret();
    Ok(())
}

fn compose(arguments: &Kwargs, scope: &RenderScope) -> TeraResult<Value> {
    let name = arguments.must_get::<&str>("name")?;
    match scope.params.compose(name).map_err(|sealed| refuse_secret(scope, sealed))? {
        Some(found) => {
            scope.record_composed(name, &found.levels);
            if found.secret {
                read_secret(name, scope)?;
            }
            to_value(&found.value)
        }
        None => fallback(name, arguments, scope),
    }
}

fn has_param(arguments: &Kwargs, scope: &RenderScope) -> TeraResult<Value> {
    let name = arguments.must_get::<&str>("name")?;
    let level = scope.params.level_of(name);
    scope.record(name, level);
    Ok(Value::from(level.is_some()))
}

/// The conditions for the disks of an installation (`model::disk_rule::DiskConditions`).
fn disk_rule(_: &Kwargs, scope: &RenderScope) -> TeraResult<Value> {
    for name in [DISK, INSTALL_DISK] {
        scope.record(name, scope.params.level_of(name));
    }
    let rule = scope.params.disk_rule().map_err(|why| scope.refuse(ProblemKind::Template, why))?;
    to_value(&rule.conditions())
}

fn refuse_secret(scope: &RenderScope, unreadable: UnreadableSecret) -> tera::Error {
    match unreadable {
        UnreadableSecret::Sealed(_) => scope.refuse(ProblemKind::Sealed, unreadable.to_string()),
        UnreadableSecret::Outside { .. } => scope.refuse_absent(unreadable.to_string()),
    }
}

fn fallback(name: &str, arguments: &Kwargs, scope: &RenderScope) -> TeraResult<Value> {
    if let Some(default) = arguments.get::<Value>("default")? {
        scope.record(name, None);
        return Ok(default);
    }
    let levels: Vec<&ParamLevel> = scope.params.levels().collect();
    let searched: Vec<String> = levels.iter().take(LEVELS_NAMED_MAX).map(|level| level.to_string()).collect();
    let searched = match (searched.is_empty(), levels.len().saturating_sub(LEVELS_NAMED_MAX)) {
        (true, _) => "there are no params here".to_owned(),
        (false, 0) => format!("looked in {}", searched.join(", ")),
        (false, more) => format!("looked in {} and {more} more levels", searched.join(", ")),
    };
    let names = scope.params.names();
    let meant = nearest(name, names.iter().copied())
        .map_or_else(String::new, |meant| format!(" Did you mean `{meant}`?"));
    let message = format!(
        "param `{name}` has no value: {searched}.{meant} Set it at one of these levels, or write \
         param(name=\"{name}\", default=…)"
    );
    let names = names.into_iter().map(str::to_owned).collect();
    Err(scope.refuse_naming(ProblemKind::Missing, message, names))
}

fn repos(arguments: &Kwargs, scope: &RenderScope) -> TeraResult<Value> {
    let tag = arguments.get::<&str>("tag")?;
    let package_type = arguments.get::<&str>("package_type")?;
    let install_source = arguments.get::<bool>("install_source")?;
    let url = arguments.get::<&str>("url")?.map(|url| url.trim_end_matches('/'));
    let chosen = scope.repositories.iter().filter(|repository| {
        tag.is_none_or(|tag| repository.tag == tag)
            // A repository without a type counts as one of the requested type.
            && package_type.is_none_or(|kind| ["", kind].contains(&repository.package_type.as_str()))
            && install_source.is_none_or(|install| repository.install_source == install)
            && url.is_none_or(|url| repository.url.trim_end_matches('/') == url)
    });
    let shown: Vec<_> = chosen.map(RepositoryParts::of).collect();
    to_value(&shown)
}

/// A repository with its URL split, as the Debian installer needs it.
#[derive(Serialize)]
struct RepositoryParts<'a> {
    #[serde(flatten)]
    repository: &'a PackageRepository,
    protocol: &'a str,
    /// With the port, if there is one.
    host: &'a str,
    /// Begins with a slash.
    directory: &'a str,
}

impl<'a> RepositoryParts<'a> {
    fn of(repository: &'a PackageRepository) -> Self {
        let (protocol, rest) = repository.url.split_once("://").unwrap_or(("http", &repository.url));
        let at = rest.find('/').unwrap_or(rest.len());
        let (host, directory) = rest.split_at(at);
        let directory = if directory.is_empty() { "/" } else { directory };
        RepositoryParts { repository, protocol, host, directory }
    }
}

fn callback_url(arguments: &Kwargs, scope: &RenderScope) -> TeraResult<Value> {
    let event = arguments.must_get::<&str>("event")?;
    if !CALLBACK_EVENTS.contains(&event) {
        let events = CALLBACK_EVENTS.join(", ");
        return Err(tera::Error::message(format!("`{event}` is not something to report: use {events}")));
    }
    Ok(Value::from(format!("{}/{event}", callback_base("callback_url", scope)?)))
}

fn file_url(arguments: &Kwargs, scope: &RenderScope) -> TeraResult<Value> {
    let path = arguments.must_get::<&str>("path")?;
    let segments: Vec<&str> = path.trim_start_matches('/').split('/').collect();
    if segments.iter().any(|segment| matches!(*segment, "" | "." | "..")) {
        return Err(tera::Error::message(format!("`{path}` is not the path of a file: write `dir/name`")));
    }
    let segments: Vec<String> =
        segments.iter().map(|segment| utf8_percent_encode(segment, SEGMENT).to_string()).collect();
    Ok(Value::from(format!("{}/{}", callback_base("file_url", scope)?, segments.join("/"))))
}

/// The token of the machine's agent, which is a secret. Empty if none was issued, as in a preview.
fn agent_token(_: &Kwargs, scope: &RenderScope) -> TeraResult<Value> {
    let Some(token) = &scope.agent_token else { return Ok(Value::from("")) };
    read_secret("agent_token", scope)?;
    Ok(Value::from(token.as_str()))
}

fn callback_base<'a>(function: &str, scope: &'a RenderScope) -> TeraResult<&'a str> {
    match &scope.callbacks {
        Some(callbacks) => Ok(callbacks.base.trim_end_matches('/')),
        None => Err(tera::Error::message(format!(
            "`{function}` needs a machine that boots: this document belongs to no boot attempt"
        ))),
    }
}

fn range(arguments: &Kwargs, scope: &RenderScope) -> TeraResult<Value> {
    let start = arguments.get::<i64>("start")?.unwrap_or(0);
    let end = arguments.must_get::<i64>("end")?;
    let step = match arguments.get::<i64>("step")? {
        Some(step) => step,
        None => arguments.get::<i64>("step_by")?.unwrap_or(1),
    };
    if step == 0 {
        return Err(tera::Error::message("`range` cannot go by steps of 0"));
    }
    let distance = (i128::from(end) - i128::from(start)) * i128::from(step.signum());
    let steps = (distance.max(0) as u128).div_ceil(u128::from(step.unsigned_abs()));
    let count = u64::try_from(steps).unwrap_or(u64::MAX);
    if count > RANGE_NUMBERS_MAX {
        let message = format!("`range` would give {count} numbers: at most {RANGE_NUMBERS_MAX} are allowed");
        return Err(scope.refuse(ProblemKind::Limit, message));
    }
    scope.burn(count.max(1))?;
    let numbers = std::iter::successors(Some(start), |number| number.checked_add(step));
    Ok(Value::from(numbers.take(count as usize).collect::<Vec<i64>>()))
}

fn throw(arguments: &Kwargs, scope: &RenderScope) -> TeraResult<Value> {
    let message = arguments.must_get::<&str>("message")?;
    Err(scope.refuse(ProblemKind::Template, message))
}
