//! The filters for templates, besides those of the template engine.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tera::value::Key;
use tera::{Kwargs, Map, State, Tera, TeraResult, Value};

use crate::model::Mac;
use crate::render::functions::check_arguments;
use crate::render::scope::{self, RenderScope};
use crate::render::{dates, digests, inner, lists, password, patterns, quote, urls, versions};

type FilterBody = fn(&Value, &Kwargs, &RenderScope) -> TeraResult<Value>;

/// Name, arguments, implementation.
pub(super) const FILTERS: [(&str, &[&str], FilterBody); 36] = [
    ("sh", &[], sh),
    ("json", &["pretty"], json),
    ("yaml", &[], yaml),
    ("b64encode", &[], b64encode),
    ("b64decode", &[], b64decode),
    ("urlencode", &[], urls::urlencode),
    ("password_hash", &["salt"], password_hash),
    ("netmask", &[], netmask),
    ("prefix_length", &[], prefix_length),
    ("one_line", &[], one_line),
    ("preseed", &[], preseed),
    ("ipxe", &[], ipxe),
    ("grub", &[], grub),
    ("pxelinux", &[], pxelinux),
    ("hex_ip", &[], hex_ip),
    ("dashed", &[], dashed),
    ("group_by", &["attribute"], group_by),
    ("map", &["attribute", "default"], lists::map),
    ("filter", &["attribute", "value"], lists::filter),
    ("slice", &["start", "end"], lists::slice),
    ("concat", &["with"], lists::concat),
    ("regex_match", &["pattern"], patterns::regex_match),
    ("regex_replace", &["pattern", "with"], patterns::regex_replace),
    ("regex_capture", &["pattern"], patterns::regex_capture),
    ("regex_find", &["pattern"], patterns::regex_find),
    ("date", &["format", "timezone"], dates::date),
    ("timestamp", &[], dates::timestamp),
    ("sha256", &[], digests::sha256),
    ("sha512", &[], digests::sha512),
    ("md5", &[], digests::md5),
    ("urlencode_path", &[], urls::urlencode_path),
    ("urldecode", &[], urls::urldecode),
    ("parse_url", &[], urls::parse_url),
    ("version_compare", &["with"], versions::version_compare),
    ("version_matches", &["range"], versions::version_matches),
    ("expand", &[], inner::expand),
];

pub(super) fn register(tera: &mut Tera) {
    for (name, takes, body) in FILTERS {
        tera.register_filter(name, move |value: Value, arguments: Kwargs, _: &State| -> TeraResult<Value> {
            let scope = scope::current()?;
            check_arguments(name, takes, &arguments)?;
            if value.is_undefined() {
                return Err(tera::Error::message(format!("`{name}` was given a value that is not defined")));
            }
            body(&value, &arguments, &scope)
        });
    }
}

/// What a filter says about what it was given.
pub(super) fn wrong(message: impl Into<String>) -> tera::Error {
    tera::Error::message(message.into())
}

/// The text of a scalar. Messages do not quote values, because they may be secret.
pub(super) fn text_of(filter: &str, value: &Value) -> TeraResult<String> {
    match value.as_str() {
        Some(text) => Ok(text.to_owned()),
        None if value.is_number() || value.is_bool() => Ok(value.to_string()),
        None => Err(wrong(format!("`{filter}` takes text, not {}", value.name()))),
    }
}

/// Shell words: a text becomes one word, a list becomes several.
fn sh(value: &Value, _: &Kwargs, _: &RenderScope) -> TeraResult<Value> {
    let words = match value.as_array() {
        Some(values) => values.iter().map(|value| text_of("sh", value)).collect::<TeraResult<Vec<_>>>()?,
        None => vec![text_of("sh", value)?],
    };
    if words.iter().any(|word| word.contains('\0')) {
        return Err(wrong("`sh` cannot quote a NUL byte: no shell can carry one"));
    }
    Ok(Value::from(words.iter().map(|word| quote::shell_word(word)).collect::<Vec<_>>().join(" ")))
}

fn json(value: &Value, arguments: &Kwargs, _: &RenderScope) -> TeraResult<Value> {
    let written = match arguments.get::<bool>("pretty")?.unwrap_or(false) {
        true => serde_json::to_string_pretty(value),
        false => serde_json::to_string(value),
    };
    written.map(Value::from).map_err(|_| wrong("`json` cannot write this value"))
}

/// A text stays on one line, quoted if YAML 1.1 or 1.2 would read something else, so that the result can be
/// indented as a whole.
fn yaml(value: &Value, _: &Kwargs, _: &RenderScope) -> TeraResult<Value> {
    let options = serde_saphyr::ser_options! { prefer_block_scalars: false };
    let written = serde_saphyr::to_string_with_options(value, options)
        .map_err(|_| wrong("`yaml` cannot write this value"))?;
    Ok(Value::from(written.trim_end_matches('\n')))
}

fn b64encode(value: &Value, _: &Kwargs, _: &RenderScope) -> TeraResult<Value> {
    let text = text_of("b64encode", value)?;
    Ok(Value::from(STANDARD.encode(text)))
}

fn b64decode(value: &Value, _: &Kwargs, _: &RenderScope) -> TeraResult<Value> {
    let text: String = text_of("b64decode", value)?.split_ascii_whitespace().collect();
    let bytes = STANDARD.decode(text).map_err(|error| wrong(format!("`b64decode`: {error}")))?;
    let text = String::from_utf8(bytes).map_err(|_| wrong("`b64decode`: what it holds is not UTF-8 text"))?;
    Ok(Value::from(text))
}

fn password_hash(value: &Value, arguments: &Kwargs, scope: &RenderScope) -> TeraResult<Value> {
    let password = text_of("password_hash", value)?;
    if password::is_hash(&password) || password::is_locked(&password) {
        return Ok(Value::from(password));
    }
    if password.is_empty() {
        return Err(wrong("`password_hash` was given an empty password"));
    }
    let label = arguments.get::<&str>("salt")?.unwrap_or_default();
    password::sha512_crypt(&password, password::SaltInput { seed: &scope.salt_seed, label })
        .map(Value::from)
        .map_err(|error| wrong(format!("`password_hash`: {error}")))
}

/// The prefix length of `10.0.0.0/24`, `24` or `255.255.255.0`.
fn prefix_bits(filter: &str, value: &Value) -> TeraResult<u8> {
    let text = text_of(filter, value)?;
    let last = text.rsplit('/').next().unwrap_or_default().trim();
    let bits = match last.parse::<Ipv4Addr>() {
        Ok(mask) => {
            let bits = u32::from(mask).leading_ones();
            (u32::from(mask).count_ones() == bits).then_some(bits)
        }
        Err(_) => last.parse::<u32>().ok().filter(|bits| *bits <= 32),
    };
    bits.and_then(|bits| u8::try_from(bits).ok()).ok_or_else(|| {
        wrong(format!("`{filter}` takes an IPv4 network, prefix or mask: 10.0.0.0/24, 24 or 255.255.255.0"))
    })
}

fn netmask(value: &Value, _: &Kwargs, _: &RenderScope) -> TeraResult<Value> {
    let bits = prefix_bits("netmask", value)?;
    let mask = u32::MAX.checked_shl(32 - u32::from(bits)).unwrap_or(0);
    Ok(Value::from(Ipv4Addr::from(mask).to_string()))
}

fn prefix_length(value: &Value, _: &Kwargs, _: &RenderScope) -> TeraResult<Value> {
    Ok(Value::from(prefix_bits("prefix_length", value)?))
}

fn one_line(value: &Value, _: &Kwargs, _: &RenderScope) -> TeraResult<Value> {
    let lines = match value.as_array() {
        Some(values) => {
            values.iter().map(|value| text_of("one_line", value)).collect::<TeraResult<Vec<_>>>()?
        }
        None => vec![text_of("one_line", value)?],
    };
    Ok(Value::from(quote::one_line(lines.iter().map(String::as_str))))
}

fn preseed(value: &Value, _: &Kwargs, _: &RenderScope) -> TeraResult<Value> {
    Ok(Value::from(quote::preseed_value(&text_of("preseed", value)?)))
}

/// Words of an iPXE command that have no special meaning.
fn ipxe(value: &Value, _: &Kwargs, _: &RenderScope) -> TeraResult<Value> {
    Ok(Value::from(quote::ipxe_words(&text_of("ipxe", value)?)))
}

/// One quoted word of a GRUB command.
fn grub(value: &Value, _: &Kwargs, _: &RenderScope) -> TeraResult<Value> {
    Ok(Value::from(quote::grub_word(&text_of("grub", value)?)))
}

/// The rest of a line of a PXELINUX configuration.
fn pxelinux(value: &Value, _: &Kwargs, _: &RenderScope) -> TeraResult<Value> {
    Ok(Value::from(quote::pxelinux_text(&text_of("pxelinux", value)?)))
}

/// The name PXELINUX asks for: `10.0.0.5` is `0A000005`.
fn hex_ip(value: &Value, _: &Kwargs, _: &RenderScope) -> TeraResult<Value> {
    let address: Ipv4Addr =
        text_of("hex_ip", value)?.parse().map_err(|_| wrong("`hex_ip` takes an IPv4 address"))?;
    Ok(Value::from(format!("{:08X}", u32::from(address))))
}

fn dashed(value: &Value, _: &Kwargs, _: &RenderScope) -> TeraResult<Value> {
    let mac: Mac = text_of("dashed", value)?.parse().map_err(|_| wrong("`dashed` takes a MAC address"))?;
    Ok(Value::from(mac.dashed()))
}

/// Replaces the engine's filter, whose groups come in the order of a randomly seeded hash map, so that two
/// renders of one input would differ. Here groups come in the order of their first members.
fn group_by(value: &Value, arguments: &Kwargs, _: &RenderScope) -> TeraResult<Value> {
    let attribute = arguments.must_get::<&str>("attribute")?;
    let members =
        value.as_array().ok_or_else(|| wrong(format!("`group_by` takes a list, not {}", value.name())))?;
    let mut places: BTreeMap<String, usize> = BTreeMap::new();
    let mut groups: Vec<(Key<'static>, Vec<Value>)> = Vec::new();
    for (index, member) in members.iter().enumerate() {
        let Some(found) = member.get_from_path(attribute) else {
            return Err(wrong(format!("`group_by`: member {index} has no `{attribute}`")));
        };
        if found.is_none() {
            continue;
        }
        let key = group_key(found)?;
        let place = *places.entry(format!("{key:?}")).or_insert(groups.len());
        match groups.get_mut(place) {
            Some((_, group)) => group.push(member.clone()),
            None => groups.push((key, vec![member.clone()])),
        }
    }
    let groups: Map = groups.into_iter().map(|(key, group)| (key, Value::from(group))).collect();
    Ok(Value::from(groups))
}

fn group_key(value: &Value) -> TeraResult<Key<'static>> {
    if let Some(text) = value.as_str() {
        return Ok(Key::from(text.to_owned()));
    }
    if let Some(truth) = value.as_bool() {
        return Ok(Key::Bool(truth));
    }
    match value.as_i128() {
        Some(number) => Ok(Key::from(number)),
        None => Err(wrong("`group_by` groups by text, whole numbers and booleans")),
    }
}
