//! Kept content is written by the workflow. Readers see no sealed value of it.

use serde_json::{Map, Value, json};

use crate::kernel::secrets::is_sealed;
use crate::model::Content;
use crate::objects::rules::NounRules;

impl NounRules for Content {
    fn show_defaults(&self, fields: &mut Map<String, Value>) {
        fields.values_mut().for_each(mask);
    }
}

/// Shows that values are sealed, however deep they stand.
fn mask(value: &mut Value) {
    match value {
        sealed if is_sealed(sealed) => *sealed = json!({"sealed": true}),
        Value::Array(items) => items.iter_mut().for_each(mask),
        Value::Object(fields) => fields.values_mut().for_each(mask),
        _ => {}
    }
}
