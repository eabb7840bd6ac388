//! Bounds on the cost of evaluating a declared JSON Schema, computed without evaluating it.
//!
//! A schema without recursion unfolds into a finite tree, in which each `$ref` is replaced by its target.
//! Each keyword of the tree is evaluated at most once for each value inside of the instance, so the product
//! of keywords and values bounds the work ([`SchemaCost::admits`]). Keywords that break this rule are
//! refused: recursion, `$dynamicRef`, `unevaluatedProperties` and `unevaluatedItems` (which evaluate their
//! neighbours again), and keywords that change the meaning of `#` in a `$ref`. Start with [`SchemaCost::of`].

use std::collections::{HashMap, HashSet};

use serde_json::{Map, Value};

use super::bounds::{escape, quoted, size};
use super::{Problem, RefusalCode};

/// Largest schema of a param, in bytes of its JSON without escapes.
pub const SCHEMA_BYTES_MAX: usize = 64 << 10;
/// Most keywords of a schema, after unfolding each `$ref` and counting each entry of an `enum`.
pub const SCHEMA_KEYWORDS_MAX: u64 = 8192;
/// Most patterns and formats of a schema, after unfolding each `$ref`.
pub const SCHEMA_PATTERNS_MAX: u64 = 256;
/// Deepest nesting of schemas, after unfolding each `$ref`.
pub const SCHEMA_DEPTH_MAX: usize = 32;
/// Most steps of the walk from the top to a schema: a schema is at most four steps below the one around it.
const STEPS_MAX: usize = 4 * SCHEMA_DEPTH_MAX;
/// Longest pattern, in bytes.
pub const PATTERN_BYTES_MAX: usize = 1024;
/// Largest compiled pattern, in bytes.
pub const PATTERN_PROGRAM_BYTES_MAX: usize = 64 << 10;
/// Most steps of one validation: keywords of the schema times values of the instance.
pub const VALIDATION_STEPS_MAX: u64 = 1 << 20;
/// Most bytes that one validation matches: patterns of the schema times bytes of text in the instance.
pub const MATCHED_BYTES_MAX: u64 = 4 << 20;

/// Keywords whose value is a map of schemas with freely chosen names.
const MAPS: [&str; 6] =
    ["properties", "patternProperties", "dependentSchemas", "dependencies", "$defs", "definitions"];
/// The maps whose schemas are only evaluated where a `$ref` refers to them.
const SHELVES: [&str; 2] = ["$defs", "definitions"];
/// Keywords whose value does not affect validity.
const NOTES: [&str; 3] = ["default", "examples", "example"];
/// Keywords whose cost this module's rule does not bound, or that change the meaning of a `$ref`.
const REFUSED: [&str; 6] = [
    "$dynamicRef",
    "$recursiveRef",
    "unevaluatedProperties",
    "unevaluatedItems",
    "$anchor",
    "$dynamicAnchor",
];

/// The number of keywords and patterns of the unfolded schema, and its depth.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SchemaCost {
    keywords: u64,
    patterns: u64,
    depth: usize,
}

/// The cost of one keyword.
const ONE: SchemaCost = SchemaCost { keywords: 1, patterns: 0, depth: 0 };
/// The cost of a keyword that matches a pattern.
const PATTERN: SchemaCost = SchemaCost { keywords: 1, patterns: 1, depth: 0 };

impl SchemaCost {
    /// The cost of a schema.
    ///
    /// # Errors
    /// The first bound that it breaks, with a pointer into the schema.
    pub fn of(schema: &Value) -> Result<Self, Problem> {
        let bytes = size(schema, SCHEMA_BYTES_MAX);
        if bytes > SCHEMA_BYTES_MAX {
            let what = format!(
                "the schema has more than {SCHEMA_BYTES_MAX} bytes, the largest size that is admitted"
            );
            return Err(Problem::new("", what).coded(RefusalCode::TooLarge));
        }
        let mut unfolding = SchemaUnfolding { root: schema, known: HashMap::new(), open: HashSet::new() };
        let cost = unfolding.schema(schema, &SchemaPlace::Root(""))?;
        cost.check(&SchemaPlace::Root(""))?;
        Ok(cost)
    }

    /// Whether a value may be validated at this cost.
    ///
    /// # Errors
    /// The bound that the validation would break.
    pub fn admits(&self, value: &Value) -> Result<(), Problem> {
        let (mut values, mut text) = (0, 0);
        count(value, &mut values, &mut text);
        let steps = self.keywords.saturating_mul(values);
        let matched = self.patterns.saturating_mul(text);
        if steps > VALIDATION_STEPS_MAX {
            return cost_error(format!(
                "not validated: {values} values times {} keywords of the schema make {steps} steps, at most \
                 {VALIDATION_STEPS_MAX} are made; make the value or the schema smaller",
                self.keywords
            ));
        }
        if matched > MATCHED_BYTES_MAX {
            return cost_error(format!(
                "not validated: {text} bytes of text times {} patterns of the schema make {matched}, at most \
                 {MATCHED_BYTES_MAX} bytes are matched; make the value smaller or use fewer patterns",
                self.patterns
            ));
        }
        Ok(())
    }

    fn add(&mut self, other: SchemaCost) {
        self.keywords = self.keywords.saturating_add(other.keywords);
        self.patterns = self.patterns.saturating_add(other.patterns);
        self.depth = self.depth.max(other.depth);
    }

    fn check(&self, at: &SchemaPlace<'_>) -> Result<(), Problem> {
        if self.depth > SCHEMA_DEPTH_MAX {
            return Err(at.problem(too_deep()));
        }
        if self.keywords > SCHEMA_KEYWORDS_MAX {
            let what = format!(
                "with each `$ref` unfolded the schema has more than {SCHEMA_KEYWORDS_MAX} keywords and \
                 `enum` entries, which is the most that is admitted"
            );
            return Err(at.problem(what));
        }
        if self.patterns > SCHEMA_PATTERNS_MAX {
            let what = format!(
                "with each `$ref` unfolded the schema has more than {SCHEMA_PATTERNS_MAX} patterns and \
                 formats, which is the most that is admitted"
            );
            return Err(at.problem(what));
        }
        Ok(())
    }
}

fn cost_error(what: String) -> Result<(), Problem> {
    Err(Problem::new("", what).coded(RefusalCode::TooLarge))
}

fn too_deep() -> String {
    format!(
        "with each `$ref` unfolded schemas are nested deeper than {SCHEMA_DEPTH_MAX} levels, which is the \
         most that is admitted"
    )
}

/// Counts the values inside of a value, including itself, and the bytes of their text.
fn count(value: &Value, values: &mut u64, text: &mut u64) {
    *values += 1;
    match value {
        Value::String(said) => *text += said.len() as u64,
        Value::Array(items) => items.iter().for_each(|item| count(item, values, text)),
        Value::Object(fields) => {
            for (name, field) in fields {
                *text += name.len() as u64;
                count(field, values, text);
            }
        }
        _ => {}
    }
}

/// A place in the schema. A new place begins at the target of each `$ref`.
enum SchemaPlace<'a> {
    Root(&'a str),
    Ref { to: &'a str, by: &'a SchemaPlace<'a> },
    Below { before: &'a SchemaPlace<'a>, step: &'a str },
    Item { before: &'a SchemaPlace<'a>, index: usize },
}

impl SchemaPlace<'_> {
    fn depth(&self) -> usize {
        match self {
            SchemaPlace::Root(_) => 0,
            SchemaPlace::Ref { by: before, .. }
            | SchemaPlace::Below { before, .. }
            | SchemaPlace::Item { before, .. } => 1 + before.depth(),
        }
    }

    fn pointer(&self) -> String {
        match self {
            SchemaPlace::Root(pointer) | SchemaPlace::Ref { to: pointer, .. } => (*pointer).to_owned(),
            SchemaPlace::Below { before, step } => format!("{}/{}", before.pointer(), escape(step)),
            SchemaPlace::Item { before, index } => format!("{}/{index}", before.pointer()),
        }
    }

    fn problem(&self, what: impl Into<String>) -> Problem {
        Problem::new(self.pointer(), what).coded(RefusalCode::BadSchema)
    }
}

/// A walk through the schema that follows each `$ref` and visits each place once.
struct SchemaUnfolding<'s> {
    root: &'s Value,
    /// Known costs, by the address of the schema in memory.
    known: HashMap<usize, SchemaCost>,
    /// Schemas that are being unfolded: a `$ref` to one of them is recursion.
    open: HashSet<usize>,
}

impl<'s> SchemaUnfolding<'s> {
    fn schema(&mut self, schema: &'s Value, at: &SchemaPlace<'_>) -> Result<SchemaCost, Problem> {
        let Value::Object(keywords) = schema else { return Ok(ONE) };
        let place = std::ptr::from_ref(schema).addr();
        if let Some(cost) = self.known.get(&place) {
            return Ok(*cost);
        }
        if at.depth() > STEPS_MAX {
            return Err(at.problem(too_deep()));
        }
        if !self.open.insert(place) {
            let at = if let SchemaPlace::Ref { by, .. } = at { by } else { at };
            return Err(at.problem("a `$ref` leads back to itself: recursive schemas are not admitted"));
        }
        let cost = self.keywords(keywords, at);
        self.open.remove(&place);
        let cost = cost?;
        self.known.insert(place, cost);
        Ok(cost)
    }

    fn keywords(
        &mut self,
        keywords: &'s Map<String, Value>,
        at: &SchemaPlace<'_>,
    ) -> Result<SchemaCost, Problem> {
        let mut cost = ONE;
        for (word, value) in keywords {
            let here = SchemaPlace::Below { before: at, step: word };
            cost.add(self.keyword(word, value, &here)?);
        }
        cost.depth += 1;
        // Costs beyond the bound need not be exact. The first place that exceeds it is reported.
        cost.check(at)?;
        Ok(cost)
    }

    fn keyword(&mut self, word: &str, value: &'s Value, at: &SchemaPlace<'_>) -> Result<SchemaCost, Problem> {
        match value {
            _ if NOTES.contains(&word) => Ok(SchemaCost::default()),
            _ if word == "enum" || word == "const" => Ok(SchemaCost { keywords: 1 + entries(value), ..ONE }),
            _ if REFUSED.contains(&word) => {
                Err(at.problem(format!("`{word}` is not admitted in a param's schema")))
            }
            Value::String(text) => self.text_keyword((word, text), at),
            Value::Object(map) if MAPS.contains(&word) => self.map((word, map), at),
            Value::Object(_) => self.schema(value, at),
            Value::Array(items) => self.items(items, at),
            _ => Ok(ONE),
        }
    }

    fn text_keyword(
        &mut self,
        (word, text): (&str, &'s str),
        at: &SchemaPlace<'_>,
    ) -> Result<SchemaCost, Problem> {
        match word {
            "$ref" => self.reference(text, at),
            "$id" | "id" if at.depth() > 1 => {
                Err(at.problem(format!("`{word}` is admitted at the top of a schema only")))
            }
            "pattern" => check_pattern(text, at).map(|()| PATTERN),
            "format" if text == "regex" => Err(at.problem("the format `regex` is not admitted")),
            "format" => Ok(PATTERN),
            _ => Ok(ONE),
        }
    }

    fn reference(&mut self, to: &'s str, at: &SchemaPlace<'_>) -> Result<SchemaCost, Problem> {
        let refused = |why: &str| at.problem(format!("`$ref` {}: {why}", quoted(to)));
        let pointer = to.strip_prefix('#').filter(|pointer| pointer.is_empty() || pointer.starts_with('/'));
        let pointer =
            pointer.ok_or_else(|| refused("only places in the same schema, like #/$defs/x, are admitted"))?;
        let decoded = percent_encoding::percent_decode_str(pointer).decode_utf8();
        let decoded = decoded.map_err(|_| refused("it is not UTF-8"))?;
        let target = self.root.pointer(&decoded).ok_or_else(|| refused("there is nothing at that place"))?;
        let mut cost = self.schema(target, &SchemaPlace::Ref { to: &decoded, by: at })?;
        cost.add(ONE);
        Ok(cost)
    }

    fn map(
        &mut self,
        (word, map): (&str, &'s Map<String, Value>),
        at: &SchemaPlace<'_>,
    ) -> Result<SchemaCost, Problem> {
        let mut cost = ONE;
        for (name, schema) in map {
            let at = SchemaPlace::Below { before: at, step: name };
            if word == "patternProperties" {
                check_pattern(name, &at)?;
                cost.add(PATTERN);
            }
            cost.add(self.schema(schema, &at)?);
        }
        Ok(if SHELVES.contains(&word) { SchemaCost::default() } else { cost })
    }

    fn items(&mut self, items: &'s [Value], at: &SchemaPlace<'_>) -> Result<SchemaCost, Problem> {
        let mut cost = ONE;
        for (index, item) in items.iter().enumerate() {
            let at = SchemaPlace::Item { before: at, index };
            cost.add(match item {
                Value::Array(inner) => self.items(inner, &at)?,
                item => self.schema(item, &at)?,
            });
        }
        Ok(cost)
    }
}

fn entries(value: &Value) -> u64 {
    let (mut values, mut text) = (0, 0);
    count(value, &mut values, &mut text);
    values
}

fn check_pattern(pattern: &str, at: &SchemaPlace<'_>) -> Result<(), Problem> {
    if pattern.len() <= PATTERN_BYTES_MAX {
        return Ok(());
    }
    let bytes = pattern.len();
    Err(at.problem(format!("the pattern has {bytes} bytes, at most {PATTERN_BYTES_MAX} are admitted")))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn refusal(schema: Value) -> String {
        SchemaCost::of(&schema).unwrap_err().to_string()
    }

    /// A schema with `depth` definitions, each of which is `allOf` the next one twice.
    fn doubling(depth: usize) -> Value {
        let mut defs = Map::new();
        for n in 0..depth {
            let next = format!("#/$defs/d{}", n + 1);
            defs.insert(format!("d{n}"), json!({"allOf": [{"$ref": next}, {"$ref": next}]}));
        }
        defs.insert(format!("d{depth}"), json!({"type": "string"}));
        json!({"$ref": "#/$defs/d0", "$defs": defs})
    }

    #[test]
    fn a_schema_that_unfolds_without_end_is_refused_at_once() {
        assert!(refusal(doubling(64)).contains("deeper than 32 levels"), "{}", refusal(doubling(64)));
        assert!(refusal(doubling(20)).contains("more than 8192 keywords"), "{}", refusal(doubling(20)));
        assert!(SchemaCost::of(&doubling(6)).unwrap().keywords > 64);
    }

    #[test]
    fn what_a_schema_may_not_have_is_named_with_its_place() {
        let table = [
            (json!({"items": {"$ref": "#"}}), "/items/$ref", "leads back to itself"),
            (json!({"$defs": {"a": {"properties": {"x": {"$ref": "#/$defs/a"}}}}}), "/$defs/a", "leads back"),
            (json!({"$ref": "#x"}), "/$ref", "same schema"),
            (json!({"$ref": "http://example.org/s"}), "/$ref", "same schema"),
            (json!({"$ref": "#/$defs/none"}), "/$ref", "nothing at that place"),
            (json!({"items": {"$dynamicRef": "#"}}), "/items/$dynamicRef", "not admitted"),
            (json!({"unevaluatedProperties": false}), "/unevaluatedProperties", "not admitted"),
            (json!({"properties": {"default": {"$id": "x"}}}), "/properties/default/$id", "at the top"),
            (json!({"format": "regex"}), "/format", "not admitted"),
            (json!({"pattern": "a".repeat(1025)}), "/pattern", "1025 bytes, at most 1024"),
            (json!({"patternProperties": {"a".repeat(1025): true}}), "/patternProperties", "1025 bytes"),
            (json!({"enum": ["x".repeat(1 << 20)]}), "more than 65536", "bytes"),
            (json!({"enum": (0..9000).collect::<Vec<u32>>()}), "with each", "8192 keywords"),
        ];
        for (schema, pointer, message) in table {
            let refusal = refusal(schema.clone());
            assert!(refusal.starts_with(pointer) || refusal.contains(pointer), "{pointer}: {refusal}");
            assert!(refusal.contains(message), "{message}: {refusal}");
        }
    }

    #[test]
    fn schemas_as_people_write_them_are_admitted() {
        for schema in [
            json!(true),
            json!({"type": "object", "properties": {"$ref": {"type": "string"}, "enum": {"type": "array"}}}),
            json!({"$id": "https://example.org/s", "$defs": {"port": {"type": "integer"}},
                   "properties": {"a": {"$ref": "#/$defs/port"}, "b": {"$ref": "#/$defs/port"}}}),
            json!({"oneOf": [{"required": ["url"]}, {"required": ["artifact"]}], "uniqueItems": true}),
            json!({"$schema": "http://json-schema.org/draft-07/schema#", "if": {"const": 1}, "then": false,
                   "dependencies": {"a": ["b"], "c": {"minProperties": 2}}}),
        ] {
            assert!(SchemaCost::of(&schema).is_ok(), "{schema}: {:?}", SchemaCost::of(&schema));
        }
    }

    #[test]
    fn a_value_is_validated_as_long_as_schema_and_value_are_small_together() {
        let schema = json!({"items": {"enum": (0..1000).collect::<Vec<u32>>()}});
        let cost = SchemaCost::of(&schema).unwrap();
        assert!(cost.admits(&json!(vec![1; 1000])).is_ok());
        let refused = cost.admits(&json!(vec![1; 2000])).unwrap_err();
        assert!(refused.message.contains("2001 values") && refused.message.contains("1048576"), "{refused}");
        let patterned = SchemaCost::of(&json!({"items": {"pattern": "^a*$"}})).unwrap();
        assert!(patterned.admits(&json!(["a".repeat(5 << 20)])).is_err());
    }
}
