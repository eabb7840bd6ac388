//! The content that runs keep, by digest, so that it stays the same when somebody edits or deletes it later.
//!
//! A [`ContentSet`] names everything that a run may need by digest. Each digest is the key of an object, so
//! that runs with the same content share it. These objects never change: other content has another digest.
//! Secret values stay sealed. `content_view` shows the content to a run.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use super::{Bootenv, Kind, NoStatus, Noun, Object, Profile, Stage, Stored, Task, sha256_hex};

/// One piece of content. Its key is its digest: the SHA-256 of its JSON.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", content = "value", rename_all = "snake_case")]
pub enum Content {
    /// Everything that one run may need, by digest.
    Set(ContentSet),
    /// The digests of all templates, by name.
    Templates(BTreeMap<String, String>),
    /// The sources of the templates that come from packs, by name: `pack core@1.0.0`.
    Sources(BTreeMap<String, String>),
    /// The declarations of all params.
    Declarations(Vec<ParamDeclaration>),
    /// The params that a machine sets for itself, and its profiles.
    Values(MachineValues),
    Template(TemplateBody),
    #[serde(with = "as_spec")]
    #[schemars(schema_with = "fields_of::<Bootenv>")]
    Bootenv(Arc<Stored<Bootenv>>),
    #[serde(with = "as_spec")]
    #[schemars(schema_with = "fields_of::<Stage>")]
    Stage(Arc<Stored<Stage>>),
    #[serde(with = "as_spec")]
    #[schemars(schema_with = "fields_of::<Task>")]
    Task(Arc<Stored<Task>>),
    #[serde(with = "as_spec")]
    #[schemars(schema_with = "fields_of::<Profile>")]
    Profile(Arc<Stored<Profile>>),
    /// The files of a pack, by path. Readers see the size and the digest of each.
    #[schemars(with = "BTreeMap<String, Value>")]
    PackFiles(BTreeMap<String, PackText>),
}

/// The schema of a noun's own fields. A reference would be to the noun as it is read, with what the server
/// sets.
fn fields_of<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    T::json_schema(generator)
}

/// The text of a file of a pack.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct PackText(pub String);

/// The content of a run: names, each with the digest of a piece.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ContentSet {
    #[serde(default)]
    pub bootenvs: BTreeMap<String, String>,
    #[serde(default)]
    pub stages: BTreeMap<String, String>,
    #[serde(default)]
    pub tasks: BTreeMap<String, String>,
    #[serde(default)]
    pub profiles: BTreeMap<String, String>,
    /// The digest of the piece that lists all templates.
    pub templates: String,
    /// The digest of the piece that declares all params.
    pub declarations: String,
    /// The digest of the piece with the sources of the templates; content of before has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sources: Option<String>,
}

/// The parts of a param's declaration that renders need.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ParamDeclaration {
    pub name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<Value>,
    #[serde(default)]
    pub secret: bool,
}

/// A machine's own params and its list of profiles.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MachineValues {
    #[serde(default)]
    pub params: BTreeMap<String, Value>,
    #[serde(default)]
    pub profiles: Vec<String>,
}

/// The text of a template.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TemplateBody {
    pub body: String,
    /// The body is no template.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub verbatim: bool,
}

impl Content {
    /// The SHA-256 of its JSON, in lower-case hex.
    pub fn digest(&self) -> String {
        // No piece has a value that JSON cannot hold.
        sha256_hex(serde_json::to_string(self).unwrap_or_default())
    }

    /// The content as an object with its digest as key.
    pub fn stored(self, now: Timestamp) -> Arc<Stored<Content>> {
        Arc::new(Stored::new(self.digest(), self, now))
    }

    /// The digests of the pieces that this piece names.
    pub fn named(&self) -> Vec<&str> {
        match self {
            Content::Set(set) => {
                let maps = [&set.bootenvs, &set.stages, &set.tasks, &set.profiles];
                let pieces = maps.into_iter().flat_map(BTreeMap::values).map(String::as_str);
                let others = [set.templates.as_str(), set.declarations.as_str()];
                pieces.chain(others).chain(set.sources.as_deref()).collect()
            }
            Content::Templates(templates) => templates.values().map(String::as_str).collect(),
            _ => Vec::new(),
        }
    }
}

impl Noun for Content {
    const KIND: Kind = Kind::Content;
    const IS_HISTORY: bool = true;
    type Status = NoStatus;

    fn key(&self) -> Option<String> {
        None
    }

    fn object(stored: Arc<Stored<Self>>) -> Object {
        Object::Content(stored)
    }
}

/// Serializes an object as its spec alone: the rest of an object is not content.
mod as_spec {
    use super::*;

    pub fn serialize<T: Noun, S: Serializer>(
        stored: &Arc<Stored<T>>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        stored.spec.serialize(serializer)
    }

    pub fn deserialize<'de, T: Noun, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Arc<Stored<T>>, D::Error> {
        let spec = T::deserialize(deserializer)?;
        Ok(Arc::new(Stored::new(spec.key().unwrap_or_default(), spec, Timestamp::UNIX_EPOCH)))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_piece_is_read_back_with_the_digest_it_was_written_under() {
        let stage = json!({"name": "install", "params": {"b": 1, "a": {"sealed": "x"}}});
        let piece: Content = serde_json::from_value(json!({"kind": "stage", "value": stage})).unwrap();
        let text = serde_json::to_string(&piece).unwrap();
        let read: Content = serde_json::from_str(&text).unwrap();
        assert_eq!((read.digest(), &read), (piece.digest(), &piece));
        let Content::Stage(stage) = read else { panic!("a stage") };
        assert_eq!(stage.key, "install");
    }
}
