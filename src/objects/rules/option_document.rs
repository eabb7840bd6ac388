//! DHCP options as they are written, in the words of JSON Schema, for the document of the API.
//! `dhcp::decide::options` reads them.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::dhcp::decide::options::{OPTION_BYTES_MAX, OPTIONS_MAX, TYPES, is_decided_elsewhere};
use crate::proto::dhcp4::ValueType;
use crate::proto::dhcp4::codes::{self, OPTION_TYPES};

/// A value under a code: what it is in the document, and in a list of several.
const CODED: &str = "CodedDhcpOption";
const TYPED: &str = "TypedDhcpValue";
/// Options of an object.
pub const OPTIONS: &str = "DhcpOptions";
const ADDRESS: &str = "^((25[0-5]|(2[0-4]|1[0-9]|[1-9]?)[0-9])\\.){3}(25[0-5]|(2[0-4]|1[0-9]|[1-9]?)[0-9])$";
const NAME: &str = "^[A-Za-z0-9_-]{1,63}(\\.[A-Za-z0-9_-]{1,63})*$";
const PLAIN: &str = "^[^\\u0000-\\u001f\\u007f]+$";

/// The schemas that options need, each with its name; they refer to each other below `components`.
pub fn definitions(components: &str) -> [(&'static str, Value); 3] {
    [
        (TYPED, typed()),
        (CODED, coded()),
        (
            OPTIONS,
            options(
                &json!({"$ref": format!("{components}{TYPED}")}),
                &json!({"$ref": format!("{components}{CODED}")}),
            ),
        ),
    ]
}

/// The fields of a value that is given with its type.
fn typed_fields() -> Map<String, Value> {
    let mut fields: Map<String, Value> =
        TYPES.iter().map(|(word, kind)| ((*word).to_owned(), value_of(*kind))).collect();
    let code = "^([1-9]|[1-9][0-9]|1[0-9][0-9]|2[0-4][0-9]|25[0-4])$";
    let sub_options = json!({
        "type": "object", "description": "By code; each is one typed value of at most 255 bytes.",
        "minProperties": 1, "propertyNames": {"pattern": code}, "additionalProperties": {"type": "object"},
    });
    fields.insert("sub_options".to_owned(), sub_options);
    fields
}

fn typed() -> Value {
    json!({
        "type": "object", "description": "One value with its type.", "properties": typed_fields(),
        "additionalProperties": false, "minProperties": 1, "maxProperties": 1,
    })
}

fn coded() -> Value {
    let mut fields = typed_fields();
    let decided: Vec<u8> = (1..=254).filter(|code| is_decided_elsewhere(*code)).collect();
    let code = json!({"type": "integer", "minimum": 1, "maximum": 254, "not": {"enum": decided}});
    fields.insert("code".to_owned(), code);
    json!({
        "type": "object", "description": "An option by its code, and one value with its type.",
        "properties": fields, "required": ["code"], "additionalProperties": false,
        "minProperties": 2, "maxProperties": 2,
    })
}

/// Options by name, the names of one type together; any other name is for an option by its code.
fn options(typed: &Value, coded: &Value) -> Value {
    let mut by_type: BTreeMap<String, (Value, Vec<&str>)> = BTreeMap::new();
    let settable = OPTION_TYPES.iter().filter(|row| !is_decided_elsewhere(row.code));
    for row in settable {
        let value = match row.code {
            codes::HOST_NAME | codes::DOMAIN_NAME => json!({"type": "string", "anyOf": [
                {"pattern": NAME, "maxLength": 253},
                {"pattern": "\\{[{%]", "maxLength": OPTION_BYTES_MAX},
            ]}),
            codes::VENDOR_IDENTIFYING => json!({"type": ["string", "object", "array"]}),
            _ => value_of(row.kind),
        };
        let value = match row.kind {
            ValueType::Bytes => json!({"anyOf": [value, typed]}),
            _ => value,
        };
        by_type.entry(value.to_string()).or_insert_with(|| (value, Vec::new())).1.push(row.name);
    }
    let by_name: Map<String, Value> =
        by_type.into_values().map(|(value, names)| (format!("^({})$", names.join("|")), value)).collect();
    let decided = OPTION_TYPES.iter().filter(|row| is_decided_elsewhere(row.code));
    let decided: Vec<&str> = decided.map(|row| row.name).collect();
    json!({
        "type": "object",
        "description": "DHCP options by IANA name in snake_case (`routers`, `domain_name_servers`), or under \
                        any other name `{code, hex}`.",
        "maxProperties": OPTIONS_MAX,
        "propertyNames": {"not": {"enum": decided}},
        "patternProperties": by_name,
        "additionalProperties": coded,
    })
}

/// A value of a type. A list of one may be written without the list.
fn value_of(kind: ValueType) -> Value {
    match kind {
        ValueType::Empty => json!({"type": "array", "maxItems": 0}),
        ValueType::Flag => json!({"type": "boolean"}),
        ValueType::U8 => number(0, 255),
        ValueType::U16 => number(0, 65_535),
        ValueType::U32 => number(0, i64::from(u32::MAX)),
        ValueType::I32 => number(i64::from(i32::MIN), i64::from(i32::MAX)),
        ValueType::MessageType | ValueType::Text | ValueType::Opaque => text(PLAIN),
        ValueType::Address => text(ADDRESS),
        ValueType::Addresses => list(text(ADDRESS)),
        ValueType::AddressPairs => list(text("^[0-9.]{7,15}=[0-9.]{7,15}$")),
        ValueType::U16s => list(number(0, 65_535)),
        ValueType::Codes => list(number(0, 255)),
        ValueType::Interface => json!({
            "type": "array", "items": number(0, 255), "minItems": 3, "maxItems": 3,
        }),
        ValueType::Bytes => text("^([0-9A-Fa-f]{2}[:-]?)*$"),
        ValueType::Relay => list(text("^[0-9]{1,3}=([0-9A-Fa-f]{2})*$")),
        ValueType::Names => list(json!({"type": "string", "pattern": NAME, "maxLength": 253})),
        ValueType::Routes => list(json!({"anyOf": [
            text("^[0-9.]{7,15}/[0-9]{1,2}=[0-9.]{7,15}$"),
            {"type": "object", "required": ["destination", "router"], "additionalProperties": false,
             "properties": {"destination": {"type": "string"}, "router": text(ADDRESS)}},
        ]})),
    }
}

fn number(least: i64, most: i64) -> Value {
    json!({"type": "integer", "minimum": least, "maximum": most})
}

fn text(pattern: &str) -> Value {
    json!({"type": "string", "pattern": pattern, "maxLength": OPTION_BYTES_MAX})
}

fn list(item: Value) -> Value {
    json!({"anyOf": [item, {"type": "array", "items": item, "minItems": 1}]})
}
