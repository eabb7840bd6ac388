//! Rules for stages.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::model::Stage;
use crate::objects::rules::NounRules;

impl NounRules for Stage {
    fn params(&self) -> Option<&BTreeMap<String, Value>> {
        Some(&self.params)
    }

    fn params_mut(&mut self) -> Option<&mut BTreeMap<String, Value>> {
        Some(&mut self.params)
    }

    fn required_params(&self) -> &[String] {
        &self.required_params
    }
}
