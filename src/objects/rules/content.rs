//! Rules for kept content: only the workflow writes it, and readers see no sealed value.

use serde_json::{Map, Value, json};

use crate::kernel::secrets::is_sealed;
use crate::model::Content;
use crate::objects::rules::NounRules;

impl NounRules for Content {
    fn show_defaults(&self, fields: &mut Map<String, Value>) {
        fields.values_mut().for_each(mask);
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
