//! What the server checks of an object as it is written, beside the types of its fields, in the words of JSON
//! Schema: for the document of the API. What depends on other objects, on the host or on two fields'
//! arithmetic has no word there.

use serde_json::{Value, json};

use crate::kernel::scope_areas::SCOPE_AREAS;
use crate::model::{Kind, MACS_MAX, TEMPLATE_BYTES_MAX, settings};

/// A relative path without `.` and `..`, as `check_file_path` has it.
const FILE_PATH: &str = "^(\\.{0,2}[A-Za-z0-9_+-][A-Za-z0-9._+-]*|\\.{3}[A-Za-z0-9._+-]*)\
    (/(\\.{0,2}[A-Za-z0-9_+-][A-Za-z0-9._+-]*|\\.{3}[A-Za-z0-9._+-]*))*$";
const FILE_PATH_CHARACTERS_MAX: usize = 256;
/// A name of content, as `check_name` has it.
const NAME: &str = "^[A-Za-z0-9][A-Za-z0-9._-]*(/(\\.?[A-Za-z0-9_-][A-Za-z0-9._-]*|\\.\\.[A-Za-z0-9._-]+))*$";
const NAME_CHARACTERS_MAX: usize = 128;
const UUID: &str = "[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}";

/// Keywords that are merged into the schema of a noun as it is written.
pub fn written_rules(kind: Kind) -> Value {
    match kind {
        Kind::Machine => json!({"properties": {
            "macs": {"maxItems": MACS_MAX, "uniqueItems": true, "items": one_interface()},
            "profiles": {"uniqueItems": true},
        }}),
        Kind::Profile => json!({"properties": {"profiles": {"uniqueItems": true}}}),
        Kind::Stage => {
            json!({"properties": {"profiles": {"uniqueItems": true}, "tasks": {"uniqueItems": true}}})
        }
        Kind::Task => {
            json!({"properties": {"interpreter": {"pattern": "^/"}, "templates": {"items": one_body()}}})
        }
        Kind::Workflow => json!({"properties": {"stages": {"minItems": 1}}}),
        Kind::Template => json!({"properties": {"body": {"maxLength": TEMPLATE_BYTES_MAX}}}),
        Kind::Param => json!({"properties": {"schema": {"type": ["object", "boolean"]}}}),
        Kind::Token => json!({"properties": {"scopes": {"minItems": 1, "items": scope()}}}),
        Kind::Subnet => {
            let name = json!({"pattern": NAME, "maxLength": NAME_CHARACTERS_MAX});
            json!({"properties": {"shared_network": name}})
        }
        Kind::Channel => json!({"required": ["packs"], "properties": {"packs": {"required": ["core"]}}}),
        Kind::Setting => known_settings(),
        Kind::Bootenv => bootenv(),
        Kind::ClientClass => client_class(),
        Kind::Artifact => artifact(),
        _ => json!({}),
    }
}

/// A MAC address of one interface: neither all zero nor of a group.
fn one_interface() -> Value {
    json!({"allOf": [{"pattern": "^[0-9A-Fa-f][02468ACEace]"}, {"not": {"pattern": "^[0:.-]*$"}}]})
}

/// Either the name of a template, or its text.
fn one_body() -> Value {
    let (text, nothing) = (json!({"type": "string"}), json!({"type": "null"}));
    json!({"oneOf": [
        {"required": ["template"], "properties": {"template": text, "inline": nothing}},
        {"required": ["inline"], "properties": {"inline": text, "template": nothing}},
    ]})
}

fn scope() -> Value {
    let areas = SCOPE_AREAS.map(|area| area.name).join("|");
    json!({"pattern": format!("^(\\*|(\\*|{areas}):(read|write)|agent:{UUID})$")})
}

/// Each setting with its own values.
fn known_settings() -> Value {
    let known = settings::known();
    let rows: Vec<Value> = known
        .iter()
        .map(|row| json!({"properties": {"name": {"const": row.name}, "value": row.schema}}))
        .collect();
    json!({"oneOf": rows})
}

fn bootenv() -> Value {
    let path = json!({"pattern": FILE_PATH, "maxLength": FILE_PATH_CHARACTERS_MAX});
    let name = json!({"pattern": NAME, "maxLength": NAME_CHARACTERS_MAX});
    let files = json!({"properties": {"kernel": path, "initrds": {"items": path}, "secure_boot": name}});
    let mut file = one_body();
    file["properties"] = json!({"path": path});
    json!({
        "properties": {
            "arches": {"allOf": [{"additionalProperties": files}]},
            "templates": {"items": file},
        },
        "anyOf": [
            {"properties": {"kind": {"const": "local"}}},
            {"required": ["arches"], "properties": {"arches": {"minProperties": 1}}},
        ],
    })
}

fn client_class() -> Value {
    let list = json!({"maxItems": 64});
    let nothing = json!({"type": "null"});
    let name_or_url = json!([
        {"type": "null"},
        {"pattern": "\\{[{%]", "maxLength": 1024},
        {"pattern": "^(https?|tftp)://", "maxLength": 255},
        {"not": {"pattern": "://"}, "maxLength": 127},
    ]);
    json!({
        "properties": {
            "pxe_menu": {"pattern": "^[ -~]*$", "minLength": 1, "maxLength": 128},
            "boot_file": {
                "pattern": "^[^\\u0000-\\u001f\\u007f\\\\]*$", "minLength": 1, "anyOf": name_or_url,
            },
            "match": {"properties": {
                "arches": list, "mac_prefixes": list, "htypes": list, "relays": list, "subnets": list,
            }},
        },
        "allOf": [
            {"anyOf": [
                {"properties": {"pxe_menu": nothing}},
                {"required": ["boot_data"], "properties": {"boot_data": {"const": "server"}}},
            ]},
            {"anyOf": [
                {"properties": {"boot_file": nothing}},
                {"properties": {"boot_data": {"enum": [null, "loader"]}}},
            ]},
            {"anyOf": [
                {"properties": {"https": {"enum": [null, false]}}},
                {"properties": {"boot_file": {"not": {"pattern": "^http://"}}}},
            ]},
        ],
    })
}

fn artifact() -> Value {
    let own_path = json!({
        "pattern": "^/", "maxLength": 4096, "not": {"pattern": "(/\\.\\.(/|$))|\\u0000"},
    });
    let nothing = json!({"maxLength": 0});
    let digest = json!({"required": ["checksum"], "properties": {"checksum": {"type": "string"}}});
    let url = "^https?://[!-\"$->A-~][!-~]*$";
    let source = json!({
        "type": "object",
        "properties": {
            "proxy": {"pattern": "^https?://[!-~]+$"},
            "files": {"uniqueItems": true, "items": {"properties": {
                "path": {"pattern": FILE_PATH, "maxLength": FILE_PATH_CHARACTERS_MAX},
            }}},
        },
        "oneOf": [
            {"required": ["url"], "properties": {
                "url": {"pattern": url, "maxLength": 2048, "not": {"pattern": "^https?://([/?#]|[^/?#]*@)"}},
                "path": nothing,
            }},
            {"required": ["path"], "properties": {
                "path": own_path, "url": nothing, "mirror": {"type": "null"},
            }},
        ],
        "anyOf": [
            {"required": ["unverified"], "properties": {"unverified": {"const": true}}},
            {"required": ["path"], "properties": {"path": {"minLength": 1}}},
            {"required": ["mirror"], "properties": {"mirror": {"type": "object"}}},
            {"required": ["files"], "properties": {"files": {"minItems": 1, "items": digest}}},
            {"required": ["checksum"], "properties": {
                "checksum": {"type": "string"}, "files": {"maxItems": 0},
            }},
        ],
        "allOf": [{"anyOf": [
            {"properties": {"mirror": {"type": "null"}}},
            {"properties": {
                "checksum": {"type": "null"}, "files": {"maxItems": 0}, "url": {"pattern": "^[^?#]*$"},
            }},
        ]}],
    });
    let single = json!({"properties": {"files": {"maxItems": 0}, "mirror": {"type": "null"}}});
    json!({
        "properties": {"fetch": {"allOf": [{"anyOf": [{"type": "null"}, source]}]}},
        "oneOf": [
            {"required": ["path"], "properties": {"path": own_path, "fetch": {"type": "null"}}},
            {"required": ["fetch"], "properties": {"fetch": {"type": "object"}, "path": nothing}},
        ],
        "anyOf": [
            {"properties": {"kind": {"const": "tree"}}},
            {"properties": {"fetch": {"anyOf": [{"type": "null"}, single]}}},
        ],
    })
}
