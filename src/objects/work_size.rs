//! How much work an object makes, as far as that can be said before the work is done. Small work runs on the
//! thread of its request: to pass it to another thread takes longer than the work.

use std::io;

use serde::Serialize;
use serde_json::Value;

use crate::kernel::TrackedWorld;
use crate::model::{Noun, Param, Stored, bounds};
use crate::objects::rules::NounRules;

/// Largest object that makes small work, in bytes of its JSON.
const SMALL_BYTES_MAX: usize = 8 << 10;
/// Most params of an object whose checks are small work.
const SMALL_PARAMS_MAX: usize = 16;
/// Largest schema of a param whose checks are small work, in bytes of its JSON.
const SMALL_SCHEMA_BYTES_MAX: usize = 1 << 10;
/// Keywords that make the cost of a schema more than its length: it unfolds, or is compiled.
const COSTLY_KEYWORDS: [&str; 3] = ["$ref", "pattern", "patternProperties"];

/// How much work something makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WorkSize {
    /// Less than passing it to another thread and back.
    Small,
    /// Anything else. The deadline of a lane bounds it.
    Unknown,
}

impl WorkSize {
    fn small_if(is_small: bool) -> Self {
        if is_small { WorkSize::Small } else { WorkSize::Unknown }
    }

    /// Small if both are.
    pub fn and(self, other: Self) -> Self {
        WorkSize::small_if(self == WorkSize::Small && other == WorkSize::Small)
    }

    /// The work of reading a document.
    pub fn of_document(document: &Value) -> Self {
        WorkSize::small_if(bounds::size(document, SMALL_BYTES_MAX) <= SMALL_BYTES_MAX)
    }

    /// The work of writing the view of an object whose problems are known.
    pub fn of_view<T: Noun>(stored: &Stored<T>) -> Self {
        let mut left = BytesLeft(SMALL_BYTES_MAX);
        let parts = (&stored.spec, &stored.status, &stored.labels, &stored.faults);
        WorkSize::small_if(write_json(&mut left, &parts))
    }

    /// The work of all checks of an object.
    pub fn of_checks<T: NounRules>(stored: &Stored<T>, world: &TrackedWorld<'_>) -> Self {
        let set = stored.spec.params().into_iter().flat_map(|params| params.keys());
        let mut named = set.chain(stored.spec.required_params()).enumerate();
        let are_small = T::HAS_LINEAR_CHECKS
            && named.all(|(at, name)| {
                let declared = world.get::<Param>(name);
                at < SMALL_PARAMS_MAX && declared.is_some_and(|param| has_small_schema(&param.spec))
            });
        WorkSize::small_if(are_small).and(WorkSize::of_view(stored))
    }
}

fn has_small_schema(param: &Param) -> bool {
    bounds::size(&param.schema, SMALL_SCHEMA_BYTES_MAX) <= SMALL_SCHEMA_BYTES_MAX && is_cheap(&param.schema)
}

/// Whether a schema has none of the costly keywords.
fn is_cheap(schema: &Value) -> bool {
    match schema {
        Value::Array(items) => items.iter().all(is_cheap),
        Value::Object(fields) => {
            fields.iter().all(|(name, value)| !COSTLY_KEYWORDS.contains(&name.as_str()) && is_cheap(value))
        }
        _ => true,
    }
}

/// Writes nothing, and fails when more than so many bytes are written.
struct BytesLeft(usize);

impl io::Write for BytesLeft {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 = self.0.checked_sub(bytes.len()).ok_or(io::ErrorKind::FileTooLarge)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Whether the JSON of a value is not too long.
fn write_json(left: &mut BytesLeft, value: &impl Serialize) -> bool {
    serde_json::to_writer(left, value).is_ok()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use jiff::Timestamp;
    use serde_json::json;

    use super::*;
    use crate::houses::testing;
    use crate::kernel::Changeset;
    use crate::model::{Object, Profile, Template, parse_input};

    fn stored<T: Noun>(key: &str, body: Value) -> Stored<T> {
        Stored::new(key.to_owned(), parse_input::<T>(body).unwrap().spec, Timestamp::UNIX_EPOCH)
    }

    #[test]
    fn a_document_and_an_object_are_small_up_to_the_bound() {
        let text = |bytes| json!({"text": "x".repeat(bytes)});
        assert_eq!(WorkSize::of_document(&text(SMALL_BYTES_MAX - 100)), WorkSize::Small);
        assert_eq!(WorkSize::of_document(&text(SMALL_BYTES_MAX)), WorkSize::Unknown);
        let profile =
            |bytes| stored::<Profile>("a", json!({"name": "a", "params": {"motd": "x".repeat(bytes)}}));
        assert_eq!(WorkSize::of_view(&profile(SMALL_BYTES_MAX / 2)), WorkSize::Small);
        assert_eq!(WorkSize::of_view(&profile(SMALL_BYTES_MAX)), WorkSize::Unknown);
        assert_eq!(WorkSize::Small.and(WorkSize::Unknown), WorkSize::Unknown);
    }

    #[tokio::test]
    async fn checks_are_small_when_their_params_have_few_small_schemas_without_patterns() {
        let houses = testing::houses();
        let mut changeset = Changeset::default();
        let schemas = [
            ("plain", json!({"type": "string"})),
            ("pattern", json!({"items": [{"pattern": "^(a{9}){9}$"}]})),
            ("unfolds", json!({"$defs": {"a": {}}, "$ref": "#/$defs/a"})),
            ("large", json!({"enum": ["x".repeat(SMALL_SCHEMA_BYTES_MAX)]})),
        ];
        let many = (0..=SMALL_PARAMS_MAX).map(|n| (format!("many-{n}"), json!({"type": "string"})));
        for (name, schema) in schemas.map(|(name, schema)| (name.to_owned(), schema)).into_iter().chain(many)
        {
            let param = stored::<Param>(&name, json!({"name": name, "schema": schema}));
            changeset = changeset.create(Object::Param(Arc::new(param)));
        }
        houses.kernel.commit(changeset).await.unwrap();
        let size_with = |params: Value| {
            let profile = stored::<Profile>("a", json!({"name": "a", "params": params}));
            houses.kernel.read(|world| WorkSize::of_checks(&profile, &TrackedWorld::untracked(world)))
        };
        assert_eq!(size_with(json!({})), WorkSize::Small);
        assert_eq!(size_with(json!({"plain": "x"})), WorkSize::Small);
        for costly in ["pattern", "unfolds", "large", "undeclared"] {
            assert_eq!(size_with(json!({"plain": "x", costly: "x"})), WorkSize::Unknown, "{costly}");
        }
        let many =
            |count| (0..count).map(|n| (format!("many-{n}"), json!("x"))).collect::<serde_json::Map<_, _>>();
        assert_eq!(size_with(Value::Object(many(SMALL_PARAMS_MAX))), WorkSize::Small);
        assert_eq!(size_with(Value::Object(many(SMALL_PARAMS_MAX + 1))), WorkSize::Unknown);
        let template = stored::<Template>("a", json!({"name": "a", "body": "x"}));
        let size =
            houses.kernel.read(|world| WorkSize::of_checks(&template, &TrackedWorld::untracked(world)));
        assert_eq!(size, WorkSize::Unknown, "what a template includes says how long its check takes");
    }
}
