//! The DHCP options that people write into subnets, pools, reservations, machines and client classes: checks
//! and encoding.
//!
//! `{"routers": ["10.0.0.1"], "domain_name": "example.org", "interface_mtu": 9000}`, or under any other name
//! a code and one typed value, `{"code": 224, "text": "rack 7"}`. `proto::dhcp4::codes` defines names and
//! types. `scopes` decides which scope wins.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use serde_json::{Map, Value};

use crate::model::{OptionSet, Problem, ReadyOption, ReadyValue, RefusalCode, is_template, nearest};
use crate::proto::dhcp4::ValueType;
use crate::proto::dhcp4::codes::{self, OPTION_TYPES, OptionType};

/// Longest value of one option; a reply rarely has room for more.
pub const OPTION_BYTES_MAX: usize = 1024;
/// Most options of one object.
pub const OPTIONS_MAX: usize = 64;

/// Codes that follow from the protocol or from other settings, each with what decides it instead.
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

/// The types of a value that is given with its type, for a code or as a sub-option: `{"u16": 9000}`.
pub const TYPES: [(&str, ValueType); 9] = [
    ("text", ValueType::Text),
    ("hex", ValueType::Bytes),
    ("addresses", ValueType::Addresses),
    ("names", ValueType::Names),
    ("flag", ValueType::Flag),
    ("u8", ValueType::U8),
    ("u16", ValueType::U16),
    ("u32", ValueType::U32),
    ("i32", ValueType::I32),
];
const SUB_OPTIONS: &str = "sub_options";
const TYPES_LISTED: &str =
    "`text`, `hex`, `addresses`, `names`, `flag`, `u8`, `u16`, `u32`, `i32`, `sub_options`";

/// Whether an option is not for people to set.
pub fn is_decided_elsewhere(code: u8) -> bool {
    DECIDED_ELSEWHERE.iter().any(|(decided, _)| *decided == code)
}

/// The faults of `options`, which are at `pointer` in their object.
pub fn check_options(options: &OptionSet, pointer: &str) -> Vec<Problem> {
    if options.len() > OPTIONS_MAX {
        return vec![
            Problem::new(pointer, format!("at most {OPTIONS_MAX} options")).coded(RefusalCode::TooLarge),
        ];
    }
    let mut seen: BTreeMap<u8, &str> = BTreeMap::new();
    let mut problems = Vec::new();
    for (name, value) in options.iter() {
        let pointer = format!("{pointer}/{}", name.replace('~', "~0").replace('/', "~1"));
        match read_option(name, value) {
            Err(message) => problems.push(Problem::new(pointer, message).coded(RefusalCode::Malformed)),
            Ok((code, _)) => {
                if let Some(other) = seen.insert(code, name) {
                    let message = format!("option {code} is already given by `{other}`");
                    problems.push(Problem::new(pointer, message).coded(RefusalCode::Duplicate));
                }
            }
        }
    }
    problems
}

/// The options in encoded form. Options that [`check_options`] would refuse are left out. Encoding is done
/// once per stored object.
pub fn ready_options(options: &OptionSet) -> &[ReadyOption] {
    options.ready(|options| {
        options
            .iter()
            .take(OPTIONS_MAX)
            .filter_map(|(name, value): (&String, &Value)| {
                let (code, value) = read_option(name, value).ok()?;
                Some(ReadyOption { code, name: name.clone(), value })
            })
            .collect()
    })
}

/// The addresses that an option names to clients: routers, name servers and the like, and the routers of
/// routes.
pub fn addresses_named(option: &ReadyOption) -> impl Iterator<Item = Ipv4Addr> + '_ {
    let bytes = match &option.value {
        ReadyValue::Bytes(bytes) => bytes.as_slice(),
        ReadyValue::Template(_) => &[],
    };
    let (listed, routes) = match codes::by_code(option.code).map(|row| row.kind) {
        Some(ValueType::Address | ValueType::Addresses) => (bytes, Vec::new()),
        Some(ValueType::Routes) => (&[][..], ValueType::Routes.decode(bytes).unwrap_or_default()),
        _ => (&[][..], Vec::new()),
    };
    let listed = listed.chunks_exact(4).filter_map(|four| <[u8; 4]>::try_from(four).ok().map(Ipv4Addr::from));
    // A route is DESTINATION=ROUTER.
    listed.chain(routes.into_iter().filter_map(|route| route.rsplit('=').next()?.parse().ok()))
}

/// Encodes an option from the rendered text of its template.
///
/// # Errors
/// The text does not fit the option.
pub fn encode_text(code: u8, text: &str) -> Result<Vec<u8>, String> {
    let row =
        OptionType { code, name: codes::by_code(code).map_or("text", |row| row.name), kind: ValueType::Text };
    let bytes = encode_named(&row, &Value::from(text))?;
    if bytes.len() > OPTION_BYTES_MAX { Err(too_long(bytes.len())) } else { Ok(bytes) }
}

fn read_option(name: &str, value: &Value) -> Result<(u8, ReadyValue), String> {
    let known = codes::by_name(name);
    let fields = value.as_object().filter(|fields| {
        fields.keys().any(|key: &String| key == "code" || key == SUB_OPTIONS || type_of(key).is_some())
            && !fields.contains_key("enterprise")
    });
    let (code, value) = match (known, fields) {
        (_, Some(fields)) => read_coded(known, fields)?,
        (Some(row), None) => (row.code, read_named(row, value)?),
        (None, None) => return Err(unknown(name)),
    };
    if let Some((_, why)) = DECIDED_ELSEWHERE.iter().find(|(decided, _)| *decided == code) {
        return Err(format!("option {code} cannot be set here: {why}"));
    }
    match &value {
        ReadyValue::Bytes(bytes) if bytes.len() > OPTION_BYTES_MAX => Err(too_long(bytes.len())),
        ReadyValue::Template(text) if text.len() > OPTION_BYTES_MAX => Err(too_long(text.len())),
        _ => Ok((code, value)),
    }
}

fn too_long(length: usize) -> String {
    format!("{length} bytes are more than the {OPTION_BYTES_MAX} an option may have")
}

fn type_of(word: &str) -> Option<ValueType> {
    TYPES.iter().find(|(known, _)| *known == word).map(|(_, kind)| *kind)
}

/// Reads `{code, TYPE: value}`. Under the name of a known option `code` may be left out; otherwise it must
/// agree.
fn read_coded(known: Option<&OptionType>, fields: &Map<String, Value>) -> Result<(u8, ReadyValue), String> {
    let code = match fields.get("code") {
        Some(code) => {
            whole_number(code).and_then(|code| u8::try_from(code).ok()).ok_or("`code` must be 1 to 254")?
        }
        None => known.map(|row| row.code).ok_or("say which option it is: `code`, 1 to 254")?,
    };
    if let Some(row) = known.filter(|row| row.code != code) {
        return Err(format!("`{}` is option {}, not {code}", row.name, row.code));
    }
    let typed = fields.iter().filter(|(key, _)| *key != "code").collect::<Vec<_>>();
    let [(word, value)] = typed.as_slice() else {
        return Err(format!("besides `code` give one value: {TYPES_LISTED}"));
    };
    if known.is_some_and(|row| row.kind != ValueType::Bytes) && *word != "hex" {
        return Err("give this option's value directly, or as `{\"hex\": …}`".to_owned());
    }
    read_typed(word, value).map(|value| (code, value))
}

/// `54`, or `54.0`, which JSON Schema takes for the same.
fn whole_number(value: &Value) -> Option<u64> {
    let float = value.as_f64().filter(|float| float.fract() == 0.0 && (0.0..=255.0).contains(float));
    value.as_u64().or(float.map(|float| float as u64))
}

/// Reads a value with its type.
fn read_typed(word: &str, value: &Value) -> Result<ReadyValue, String> {
    if word == SUB_OPTIONS {
        return encode_sub_options(value).map(ReadyValue::Bytes);
    }
    let kind =
        type_of(word).ok_or_else(|| format!("`{word}` is not a type of a value: use {TYPES_LISTED}"))?;
    if let (ValueType::Text, Some(text)) = (kind, value.as_str().filter(|text| is_template(text))) {
        return Ok(ReadyValue::Template(text.to_owned()));
    }
    let expected = || format!("`{word}` must be {}", kind.expects());
    let words = to_words(value).ok_or_else(expected)?;
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let bytes = kind.encode(&words).ok_or_else(expected)?;
    if kind == ValueType::Text && !is_plain(&bytes) {
        return Err(format!("`{word}` must not be empty or hold control characters"));
    }
    Ok(ReadyValue::Bytes(bytes))
}

/// Encodes `{"1": {"text": "x"}, "241": {"addresses": ["10.0.0.1"]}}` as codes, lengths and values, in the
/// order of the codes (RFC 2132 8.4).
fn encode_sub_options(value: &Value) -> Result<Vec<u8>, String> {
    let fields = value.as_object().filter(|fields| !fields.is_empty()).ok_or_else(|| {
        "`sub_options` must be an object of codes and values, like {\"1\": {\"text\": \"x\"}}".to_owned()
    })?;
    let mut pieces: BTreeMap<u8, Vec<u8>> = BTreeMap::new();
    for (code, value) in fields {
        let number = code.parse::<u8>().ok().filter(|number| (1..=254).contains(number));
        let number = number.ok_or_else(|| format!("`{code}` is not a code of a sub-option: use 1 to 254"))?;
        let typed = value.as_object().filter(|typed| typed.len() == 1).and_then(|typed| typed.iter().next());
        let (word, value) = typed.ok_or_else(|| format!("sub-option {code} must be one typed value"))?;
        let bytes = match read_typed(word, value).map_err(|why| format!("sub-option {code}: {why}"))? {
            ReadyValue::Bytes(bytes) => bytes,
            ReadyValue::Template(_) => {
                return Err(format!("sub-option {code}: templates are not for sub-options"));
            }
        };
        let length = u8::try_from(bytes.len());
        let length = length.map_err(|_| format!("sub-option {code}: {} bytes, at most 255", bytes.len()))?;
        if pieces.insert(number, [vec![number, length], bytes].concat()).is_some() {
            return Err(format!("sub-option {number} is given twice"));
        }
    }
    Ok(pieces.into_values().flatten().collect())
}

/// Encodes `{"enterprise": 42623, "sub_options": {…}}`, or a list of them (RFC 3925 4).
fn encode_vendors(value: &Value) -> Result<Vec<u8>, String> {
    let vendors = match value {
        Value::Array(vendors) => vendors.as_slice(),
        one => std::slice::from_ref(one),
    };
    let mut bytes = Vec::new();
    for vendor in vendors {
        let fields = vendor.as_object().filter(|fields| fields.len() == 2).ok_or_else(vendor_option_error)?;
        let number =
            fields.get("enterprise").and_then(Value::as_u64).and_then(|number| u32::try_from(number).ok());
        let number = number.ok_or("`enterprise` must be a vendor's number of IANA, 0 to 4294967295")?;
        let data =
            fields.iter().find(|(key, _)| key.as_str() != "enterprise").ok_or_else(vendor_option_error)?;
        let data = match read_typed(data.0, data.1)? {
            ReadyValue::Bytes(data) => data,
            ReadyValue::Template(_) => return Err("templates are not for vendors' data".to_owned()),
        };
        let length = u8::try_from(data.len()).map_err(|_| "more than 255 bytes for one vendor".to_owned())?;
        bytes.extend(number.to_be_bytes());
        bytes.push(length);
        bytes.extend(data);
    }
    if bytes.is_empty() { Err("name at least one vendor".to_owned()) } else { Ok(bytes) }
}

fn vendor_option_error() -> String {
    "give the vendor's number and its data: {\"enterprise\": 42623, \"sub_options\": {…}} or `hex`".to_owned()
}

/// Reads a value under the option's own name.
fn read_named(row: &OptionType, value: &Value) -> Result<ReadyValue, String> {
    if row.code == codes::VENDOR_IDENTIFYING && (value.is_object() || value.is_array()) {
        return encode_vendors(value).map(ReadyValue::Bytes);
    }
    match (row.kind, value.as_str()) {
        (ValueType::Text, Some(text)) if is_template(text) => Ok(ReadyValue::Template(text.to_owned())),
        _ => encode_named(row, value).map(ReadyValue::Bytes),
    }
}

fn is_plain(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.iter().all(|byte| *byte >= 0x20 && *byte != 0x7f)
}

fn encode_named(row: &OptionType, value: &Value) -> Result<Vec<u8>, String> {
    let expected = || format!("`{}` must be {}", row.name, row.kind.expects());
    let words = to_words(value).ok_or_else(expected)?;
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let bytes = row.kind.encode(&words).ok_or_else(expected)?;
    if matches!(row.kind, ValueType::Text | ValueType::Opaque) && !is_plain(&bytes) {
        return Err(format!("`{}` must not be empty or hold control characters", row.name));
    }
    let is_name = matches!(row.code, codes::HOST_NAME | codes::DOMAIN_NAME);
    if is_name && ValueType::Names.encode(&words).is_none() {
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
            format!("there is no DHCP option `{name}` by name; give it as {{\"code\": N, \"text\": \"…\"}}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn options(value: Value) -> OptionSet {
        serde_json::from_value(value).unwrap()
    }

    fn bytes(value: Value) -> Vec<(u8, Vec<u8>)> {
        let options = options(value);
        assert_eq!(check_options(&options, ""), []);
        let encoded = ready_options(&options).iter().map(|option| match &option.value {
            ReadyValue::Bytes(bytes) => (option.code, bytes.clone()),
            ReadyValue::Template(text) => panic!("a template: {text}"),
        });
        encoded.collect()
    }

    /// The fault of a single option.
    fn fault(name: &str, value: Value) -> String {
        let problems = check_options(&options(json!({ name: value })), "");
        problems.first().map_or_else(String::new, |problem| problem.message.clone())
    }

    #[test]
    fn typed_values_become_bytes() {
        let encoded = bytes(json!({
            "routers": ["10.0.0.1", "10.0.0.2"],
            "domain_name": "example.org",
            "domain_search": ["example.org"],
            "interface_mtu": 9000,
            "ip_forwarding": false,
            "classless_static_routes": [{"destination": "10.1.0.0/16", "router": "10.0.0.1"}],
            "vendor_encapsulated_options": {"hex": "06:01:08"},
            "phone": {"code": 224, "hex": "ff"},
        }));
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
        let problems = check_options(
            &options(json!({
                "router": ["10.0.0.1"],
                "domain_name_servers": "ns1",
                "interface_mtu": 90000,
                "lease_time": 60,
                "domain_name": "not a name",
                "x": {"code": 3, "hex": "0"},
                "y": {"code": 300, "hex": "00"},
                "routers": ["10.0.0.1"],
                "z": {"code": 3, "hex": "0a000001"},
            })),
            "/options",
        );
        let shown: Vec<String> = problems.iter().map(ToString::to_string).collect();
        assert_eq!(shown.len(), 8, "{shown:#?}");
        assert!(
            shown.iter().any(|p| p.contains("/options/router: ") && p.contains("`routers`")),
            "{shown:#?}"
        );
        assert!(shown.iter().any(|p| p.contains("/options/lease_time: ") && p.contains("lease_seconds")));
        assert!(shown.iter().any(|p| p.contains("/options/z: ") && p.contains("already given by `routers`")));
    }

    #[test]
    fn sub_options_of_vendors_are_written_by_type() {
        let controller = json!({"addresses": ["10.0.0.9"]});
        let of_43 = json!({"sub_options": {"241": controller, "1": {"text": "ap"}, "20": {"u16": 258}}});
        assert_eq!(
            bytes(json!({"vendor_encapsulated_options": of_43})),
            [(43, vec![1, 2, b'a', b'p', 20, 2, 1, 2, 241, 4, 10, 0, 0, 9])]
        );
        let onie = json!({"enterprise": 42623, "sub_options": {"1": {"text": "u"}}});
        let expected = vec![0, 0, 0xa6, 0x7f, 3, 1, 1, b'u'];
        assert_eq!(bytes(json!({"vendor_identifying_options": onie.clone()})), [(125, expected.clone())]);
        let other = json!({"enterprise": 9, "hex": "ff"});
        let both = [expected, vec![0, 0, 0, 9, 1, 0xff]].concat();
        assert_eq!(bytes(json!({"vendor_identifying_options": [onie, other]})), [(125, both)]);
        assert_eq!(bytes(json!({"x": {"code": 224, "names": ["a.b"]}})), [(224, b"\x01a\x01b\0".to_vec())]);
    }

    #[test]
    fn what_no_sub_option_can_be_is_said_with_its_code() {
        let of = |subs: Value| fault("vendor_encapsulated_options", json!({ "sub_options": subs }));
        assert!(of(json!({"0": {"text": "x"}})).contains("`0` is not a code"));
        assert!(of(json!({"1": {"u8": 256}})).contains("sub-option 1: `u8` must be"));
        assert!(of(json!({"1": {"text": "x".repeat(256)}})).contains("256 bytes, at most 255"));
        assert!(of(json!({"1": "x"})).contains("one typed value"));
        assert!(of(json!({})).contains("must be an object"));
        assert!(fault("vendor_identifying_options", json!({"enterprise": -1, "hex": "00"})).contains("IANA"));
        assert!(fault("x", json!({"code": 224, "txt": "y"})).contains("`txt` is not a type"));
    }

    #[test]
    fn values_reach_the_wire_whole_around_the_255_byte_border() {
        for length in [254, 255, 256, 510, 511] {
            let hex = "61".repeat(length);
            for (name, code) in [("vendor_encapsulated_options", 43), ("vendor_identifying_options", 125)] {
                assert_eq!(bytes(json!({ name: {"hex": hex} })), [(code, vec![b'a'; length])]);
            }
        }
        // 13 bytes per name: 19 names are 247 bytes, 20 are 260.
        let names: Vec<String> = (10..30).map(|n| format!("host{n}.lab.x")).collect();
        let (_, long) = bytes(json!({ "domain_search": names })).remove(0);
        assert!(long.len() > 255 && ValueType::Names.decode(&long).unwrap() == names);
        assert!(fault("root_path", json!("x".repeat(1025))).contains("1025 bytes"));
    }

    #[test]
    fn a_text_with_placeholders_is_a_template_and_other_values_are_not() {
        let options = options(json!({
            "host_name": "{{ machine.name }}",
            "x": {"code": 224, "text": "{% if machine %}y{% endif %}"},
        }));
        assert_eq!(check_options(&options, ""), []);
        assert!(ready_options(&options).iter().all(|option| matches!(option.value, ReadyValue::Template(_))));
        assert!(fault("routers", json!("{{ x }}")).contains("must be a list of IPv4 addresses"));
        assert_eq!(encode_text(12, "web1"), Ok(b"web1".to_vec()));
        assert!(encode_text(12, "not a name").is_err() && encode_text(17, "").is_err());
    }
}
