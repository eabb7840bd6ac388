//! The DHCP options an object carries: what was written, and beside it what `dhcp` made of it.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

/// DHCP options by name. They are read into bytes once: an object that is stored is never changed, only
/// replaced, so what was made of it holds for its revision.
#[derive(Clone, Debug, Default)]
pub struct OptionSet {
    written: BTreeMap<String, Value>,
    ready: OnceLock<Arc<[ReadyOption]>>,
}

/// One option, ready to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadyOption {
    pub code: u8,
    /// What it was called where it was written.
    pub name: String,
    pub value: ReadyValue,
}

/// What an option is sent as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReadyValue {
    Bytes(Vec<u8>),
    /// A text that has to be rendered for each client first.
    Template(String),
}

impl OptionSet {
    pub fn is_empty(&self) -> bool {
        self.written.is_empty()
    }

    pub fn len(&self) -> usize {
        self.written.len()
    }

    /// Names and values as they were written, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&String, &Value)> {
        self.written.iter()
    }

    pub fn get(&self, name: &str) -> Option<&Value> {
        self.written.get(name)
    }

    /// What `read` makes of the options, kept for as long as they live. It must be the same `read` always.
    pub fn ready(&self, read: impl FnOnce(&Self) -> Vec<ReadyOption>) -> &[ReadyOption] {
        self.ready.get_or_init(|| read(self).into())
    }
}

impl PartialEq for OptionSet {
    fn eq(&self, other: &Self) -> bool {
        self.written == other.written
    }
}

impl From<BTreeMap<String, Value>> for OptionSet {
    fn from(written: BTreeMap<String, Value>) -> Self {
        OptionSet { written, ready: OnceLock::new() }
    }
}

impl Serialize for OptionSet {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.written.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for OptionSet {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        BTreeMap::deserialize(deserializer).map(OptionSet::from)
    }
}

impl JsonSchema for OptionSet {
    fn schema_name() -> Cow<'static, str> {
        "OptionSet".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        BTreeMap::<String, Value>::json_schema(generator)
    }
}
