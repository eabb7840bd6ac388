//! The DHCP options of an object: as they were written, and as `dhcp` encoded them.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

/// DHCP options by name. They are encoded once: a stored object is never changed, only replaced, so the
/// encoded form stays valid.
#[derive(Clone, Debug, Default)]
pub struct OptionSet {
    written: BTreeMap<String, Value>,
    ready: OnceLock<Arc<[ReadyOption]>>,
}

/// One option, ready to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadyOption {
    pub code: u8,
    /// The option's name where it was written.
    pub name: String,
    pub value: ReadyValue,
}

/// The value that is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReadyValue {
    Bytes(Vec<u8>),
    /// A template that has to be rendered for each client.
    Template(String),
}

impl OptionSet {
    pub fn is_empty(&self) -> bool {
        self.written.is_empty()
    }

    pub fn len(&self) -> usize {
        self.written.len()
    }

    /// Names and values as written, in the order of names.
    pub fn iter(&self) -> impl Iterator<Item = (&String, &Value)> {
        self.written.iter()
    }

    pub fn get(&self, name: &str) -> Option<&Value> {
        self.written.get(name)
    }

    /// The options as `read` encodes them. They are encoded once, so every call must pass the same `read`.
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
