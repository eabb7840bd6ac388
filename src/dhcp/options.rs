//! The DHCP options people write into subnets and reservations: checked, and turned into bytes.
//!
//! `{"routers": ["10.0.0.1"], "domain_name": "example.org", "interface_mtu": 9000}`, or under any
//! other name `{"code": 224, "hex": "0102"}`. Names and types are those of `proto::dhcp4::codes`.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::model::{Problem, nearest, parse_hex};
use crate::proto::dhcp4::Kind;
use crate::proto::dhcp4::codes::{self, OPTION_TYPES, OptionType};

/// Longest value of one option; a whole reply rarely has more room.
const OPTION_BYTES_MAX: usize = 1024;
/// Options of one subnet or reservation.
const OPTIONS_MAX: usize = 64;

/// Codes that follow from the protocol or from other settings, with what decides them instead.
const DECIDED_ELSEWHERE: [(u8, &str); 19] = [
    (0, "it is padding"),
    (codes::SUBNET_MASK, "the subnet's `cidr` decides it"),
    (codes::BROADCAST_ADDRESS, "the subnet's `cidr` decides it"),
    (codes::REQUESTED_ADDRESS, "only clients send it"),
    (codes::LEASE_TIME, "the subnet's `lease_seconds` decides it"),
    (codes::OVERLOAD, "iPXE cannot read replies that have it"),
    (codes::MESSAGE_TYPE, "the protocol decides it"),
    (codes::SERVER_IDENTIFIER, "the protocol decides it"),
    (codes::PARAMETER_REQUEST_LIST, "only clients send it"),
    (codes::MESSAGE, "the protocol decides it"),
    (codes::MAX_MESSAGE_SIZE, "only clients send it"),
    (codes::RENEWAL_TIME, "the subnet's `lease_seconds` decides it"),
    (codes::REBINDING_TIME, "the subnet's `lease_seconds` decides it"),
    (codes::VENDOR_CLASS, "the boot decision sets it where a client needs it"),
    (codes::CLIENT_IDENTIFIER, "the client's own is echoed"),
    (codes::BOOTFILE_NAME, "the boot decision sets it"),
    (codes::RELAY_AGENT, "the relay's own is echoed"),
    (codes::CLIENT_MACHINE_ID, "the client's own is echoed"),
    (255, "it ends the options"),
];

/// What is wrong with `options`; pointers are relative to the object they are in.
pub fn check_options(options: &BTreeMap<String, Value>) -> Vec<Problem> {
    if options.len() > OPTIONS_MAX {
        return vec![Problem::new("/options", format!("at most {OPTIONS_MAX} options"))];
    }
    let mut seen: BTreeMap<u8, &str> = BTreeMap::new();
    let mut problems = Vec::new();
    for (name, value) in options {
        let pointer = format!("/options/{}", name.replace('~', "~0").replace('/', "~1"));
        match encode_option(name, value) {
            Err(message) => problems.push(Problem::new(pointer, message)),
            Ok((code, _)) => {
                if let Some(other) = seen.insert(code, name) {
                    let message = format!("option {code} is already given by `{other}`");
                    problems.push(Problem::new(pointer, message));
                }
            }
        }
    }
    problems
}

/// Code and bytes of each option. What [`check_options`] would refuse is left out.
pub fn encode_options(options: &BTreeMap<String, Value>) -> Vec<(u8, Vec<u8>)> {
    let encoded = options.iter().filter_map(|(name, value)| encode_option(name, value).ok());
    encoded.take(OPTIONS_MAX).collect()
}

fn encode_option(name: &str, value: &Value) -> Result<(u8, Vec<u8>), String> {
    let known = codes::by_name(name);
    let (code, bytes) = match (known, value.get("hex")) {
        (_, Some(_)) => encode_raw(known, value)?,
        (Some(row), None) => (row.code, encode_named(row, value)?),
        (None, None) => return Err(unknown(name)),
    };
    if let Some((_, why)) = DECIDED_ELSEWHERE.iter().find(|(decided, _)| *decided == code) {
        return Err(format!("option {code} cannot be set here: {why}"));
    }
    if bytes.len() > OPTION_BYTES_MAX {
        return Err(format!("{} bytes are more than the {OPTION_BYTES_MAX} an option may have", bytes.len()));
    }
    Ok((code, bytes))
}

/// `{code, hex}`; under the name of a known option `code` may be left out and must not differ.
fn encode_raw(known: Option<&OptionType>, value: &Value) -> Result<(u8, Vec<u8>), String> {
    let fields = value.as_object().map(|fields| fields.keys().map(String::as_str).collect::<Vec<_>>());
    if let Some(other) = fields.unwrap_or_default().into_iter().find(|key| !matches!(*key, "code" | "hex")) {
        return Err(format!("`{other}` is not a field of a raw option: it has `code` and `hex`"));
    }
    let bytes = value.get("hex").and_then(Value::as_str).and_then(parse_hex);
    let bytes = bytes.ok_or("`hex` must be bytes in hex, like 0104c0a80001")?;
    let code = match value.get("code") {
        Some(code) => {
            code.as_u64().and_then(|code| u8::try_from(code).ok()).ok_or("`code` must be 1 to 254")?
        }
        None => known.map(|row| row.code).ok_or("say which option it is: `code`, 1 to 254")?,
    };
    match known.filter(|row| row.code != code) {
        Some(row) => Err(format!("`{}` is option {}, not {code}", row.name, row.code)),
        None => Ok((code, bytes)),
    }
}

fn encode_named(row: &OptionType, value: &Value) -> Result<Vec<u8>, String> {
    let expected = || format!("`{}` must be {}", row.name, row.kind.expects());
    let words = to_words(value).ok_or_else(expected)?;
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let bytes = row.kind.encode(&words).ok_or_else(expected)?;
    if matches!(row.kind, Kind::Text | Kind::Opaque) && (bytes.is_empty() || bytes.iter().any(|b| *b < 0x20))
    {
        return Err(format!("`{}` must not be empty or hold control characters", row.name));
    }
    let is_name = matches!(row.code, codes::HOST_NAME | codes::DOMAIN_NAME);
    if is_name && Kind::Names.encode(&words).is_none() {
        return Err(format!("`{}` must be a host or domain name, like web1.example.org", row.name));
    }
    Ok(bytes)
}

fn to_words(value: &Value) -> Option<Vec<String>> {
    match value {
        Value::Array(items) => items.iter().map(to_word).collect(),
        single => Some(vec![to_word(single)?]),
    }
}

fn to_word(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        Value::Object(route) if route.len() == 2 => {
            Some(format!("{}={}", route.get("destination")?.as_str()?, route.get("router")?.as_str()?))
        }
        _ => None,
    }
}

fn unknown(name: &str) -> String {
    match nearest(name, OPTION_TYPES.iter().map(|row| row.name)) {
        Some(near) => format!("there is no DHCP option `{name}`; did you mean `{near}`?"),
        None => {
            format!("there is no DHCP option `{name}` by name; give it as {{\"code\": N, \"hex\": \"…\"}}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn options(value: Value) -> BTreeMap<String, Value> {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn typed_values_become_bytes() {
        let encoded = encode_options(&options(json!({
            "routers": ["10.0.0.1", "10.0.0.2"],
            "domain_name": "example.org",
            "domain_search": ["example.org"],
            "interface_mtu": 9000,
            "ip_forwarding": false,
            "classless_static_routes": [{"destination": "10.1.0.0/16", "router": "10.0.0.1"}],
            "vendor_encapsulated_options": {"hex": "06:01:08"},
            "phone": {"code": 224, "hex": "ff"},
        })));
        let expected: Vec<(u8, Vec<u8>)> = vec![
            (121, vec![16, 10, 1, 10, 0, 0, 1]),
            (15, b"example.org".to_vec()),
            (119, b"\x07example\x03org\0".to_vec()),
            (26, vec![0x23, 0x28]),
            (19, vec![0]),
            (224, vec![0xff]),
            (3, vec![10, 0, 0, 1, 10, 0, 0, 2]),
            (43, vec![6, 1, 8]),
        ];
        assert_eq!(encoded, expected);
    }

    #[test]
    fn all_mistakes_are_reported_at_once_with_their_place() {
        let problems = check_options(&options(json!({
            "router": ["10.0.0.1"],
            "domain_name_servers": "ns1",
            "interface_mtu": 90000,
            "lease_time": 60,
            "domain_name": "not a name",
            "x": {"code": 3, "hex": "0"},
            "y": {"code": 300, "hex": "00"},
            "routers": ["10.0.0.1"],
            "z": {"code": 3, "hex": "0a000001"},
        })));
        let shown: Vec<String> = problems.iter().map(ToString::to_string).collect();
        assert_eq!(shown.len(), 8, "{shown:#?}");
        assert!(
            shown.iter().any(|p| p.contains("/options/router: ") && p.contains("`routers`")),
            "{shown:#?}"
        );
        assert!(shown.iter().any(|p| p.contains("/options/lease_time: ") && p.contains("lease_seconds")));
        assert!(shown.iter().any(|p| p.contains("/options/z: ") && p.contains("already given by `routers`")));
    }
}
