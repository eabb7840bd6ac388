//! Rules for kept content: only the workflow writes it, and readers see no sealed value.

use serde_json::{Map, Value, json};

use crate::kernel::secrets::is_sealed;
use crate::model::{Content, sha256_hex};
use crate::objects::rules::NounRules;

impl NounRules for Content {
    fn show_defaults(&self, fields: &mut Map<String, Value>) {
        match self {
            Content::PackFiles(_) => fields.values_mut().for_each(without_texts),
            _ => fields.values_mut().for_each(mask),
        }
    }
}

/// Shows the size and digest of each file of a pack: the texts are in its archive.
fn without_texts(files: &mut Value) {
    for text in files.as_object_mut().into_iter().flat_map(Map::values_mut) {
        if let Value::String(body) = text {
            *text = json!({"bytes": body.len(), "sha256": sha256_hex(body.as_bytes())});
        }
    }
}

/// Masks all sealed values, at any depth.
fn mask(value: &mut Value) {
    match value {
        sealed if is_sealed(sealed) => *sealed = json!({"sealed": true}),
        Value::Array(items) => items.iter_mut().for_each(mask),
        Value::Object(fields) => fields.values_mut().for_each(mask),
        _ => {}
    }
}
