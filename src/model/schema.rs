//! Reads a noun from untrusted JSON and reports every fault at once.

use std::any::TypeId;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use jsonschema::error::ValidationErrorKind;
use jsonschema::{PatternOptions, ValidationError, Validator};
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value};

use super::bounds::{self, escape, quoted};
use super::schema_cost::{PATTERN_PROGRAM_BYTES_MAX, SchemaCost};
use super::{Noun, Problem, READ_ONLY_FIELDS, nearest, sha256_hex};

/// Most faults in one answer.
const PROBLEMS_MAX: usize = 64;
/// Most compiled schemas of params that are kept.
const VALIDATORS_MAX: usize = 4096;
/// Longest message, in characters: messages quote text of clients.
const MESSAGE_CHARS_MAX: usize = 400;

/// What a writer sent: the noun's own fields, and the labels.
#[derive(Debug, Clone)]
pub struct Input<T> {
    pub spec: T,
    pub labels: BTreeMap<String, String>,
}

/// Reads a noun from what a client sent. Fields that the server sets (`status`, `revision` …) are ignored, so
/// that a client can send back an object that it read.
///
/// # Errors
/// Every fault with a pointer to it: broken bounds, unknown fields with the nearest known name, wrong types,
/// missing fields, and what the noun's own check finds.
pub fn parse_input<T: Noun>(body: Value) -> Result<Input<T>, Vec<Problem>> {
    parse_changed(body, &Value::Null)
}

/// Like [`parse_input`], for an object that replaces a stored one. A bound that the stored object breaks in
/// the same way does not count: an object that is older than the bound can still be changed elsewhere.
///
/// # Errors
/// As [`parse_input`].
pub fn parse_changed<T: Noun>(body: Value, stored: &Value) -> Result<Input<T>, Vec<Problem>> {
    let Value::Object(mut fields) = body else {
        return Err(vec![Problem::new("", format!("a {} is a JSON object", T::KIND))]);
    };
    for field in READ_ONLY_FIELDS {
        fields.remove(field);
    }
    let mut broken = bounds::faults(&fields, T::BYTES_MAX);
    if let (false, Value::Object(stored)) = (broken.is_empty(), stored) {
        let known = bounds::faults(stored, T::BYTES_MAX);
        broken.retain(|fault| !known.contains(fault));
    }
    if !broken.is_empty() {
        return Err(broken);
    }
    let (labels, mut problems) = take_labels(&mut fields);
    let body = Value::Object(fields);
    let schema = noun_schema::<T>();
    problems.extend(schema.problems(&body));
    if !problems.is_empty() {
        return Err(problems);
    }
    let spec: T = serde_json::from_value(body).map_err(|error| vec![Problem::new("", error.to_string())])?;
    let mut problems = spec.check();
    problems.truncate(PROBLEMS_MAX);
    if problems.is_empty() { Ok(Input { spec, labels }) } else { Err(problems) }
}

fn take_labels(fields: &mut Map<String, Value>) -> (BTreeMap<String, String>, Vec<Problem>) {
    let mut labels = BTreeMap::new();
    let mut problems = Vec::new();
    match fields.remove("labels") {
        None | Some(Value::Null) => {}
        Some(Value::Object(given)) => {
            for (name, value) in given {
                match value {
                    Value::String(text) => drop(labels.insert(name, text)),
                    _ => {
                        let pointer = format!("/labels/{}", escape(&name));
                        problems.push(Problem::new(pointer, "a label's value is text"));
                    }
                }
            }
        }
        Some(_) => problems.push(Problem::new("/labels", "labels are an object of texts")),
    }
    (labels, problems)
}

/// A declared schema, ready for use. It is compiled when it is first asked for, and cached.
#[derive(Clone)]
pub struct DeclaredSchema(Arc<CompiledSchema>);

impl DeclaredSchema {
    pub fn of(schema: &Value) -> Self {
        DeclaredSchema(compiled(schema))
    }

    /// Why the schema cannot be used: it breaks a bound, or is not a JSON Schema. The pointer is relative to
    /// the schema.
    pub fn fault(&self) -> Option<&Problem> {
        self.0.validator.as_ref().err()
    }

    /// The faults of a value, each with a pointer below `pointer`.
    ///
    /// # Errors
    /// Why the value was not validated: the fault of the schema, or a bound on the work of the validation.
    pub fn validate(&self, value: &Value, pointer: &str) -> Result<Vec<Problem>, Problem> {
        let refused = |problem: &Problem| {
            let place = problem.pointer.as_str();
            let what = &problem.message;
            Problem::new(
                pointer,
                format!(
                    "the declared schema is not usable: {place}{sep}{what}",
                    sep = if place.is_empty() { "" } else { ": " }
                ),
            )
        };
        if let Some(fault) = self.fault() {
            return Err(refused(fault));
        }
        self.0.cost.admits(value).map_err(|problem| problem.below(pointer))?;
        Ok(self.0.problems(value).into_iter().map(|problem| problem.below(pointer)).collect())
    }

    /// As [`DeclaredSchema::validate`], for a value that nobody may read: the faults have the place in the
    /// schema and nothing of the value, not even the names of its fields.
    ///
    /// # Errors
    /// As [`DeclaredSchema::validate`].
    pub fn validate_secret(&self, value: &Value, pointer: &str) -> Result<Vec<Problem>, Problem> {
        if self.fault().is_some() {
            return self.validate(&Value::Null, pointer);
        }
        self.0.cost.admits(value).map_err(|problem| problem.below(pointer))?;
        Ok(self.0.schema_paths(value).into_iter().map(|path| Problem::new(pointer, unfit(&path))).collect())
    }
}

impl std::fmt::Debug for DeclaredSchema {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Schema").field(&self.0.cost).finish()
    }
}

/// The faults of `value` under a JSON Schema, each below `pointer`. If the value cannot be validated, that is
/// reported as a fault as well.
pub fn check_schema(schema: &Value, value: &Value, pointer: &str) -> Vec<Problem> {
    DeclaredSchema::of(schema).validate(value, pointer).unwrap_or_else(|problem| vec![problem])
}

/// A compiled schema: its validator, and the schema itself for messages.
struct CompiledSchema {
    validator: Result<Validator, Problem>,
    cost: SchemaCost,
    schema: Value,
}

impl CompiledSchema {
    /// Compiles a schema of the server's own.
    fn build(schema: Value) -> Self {
        let validator = jsonschema::options().should_validate_formats(true).build(&schema);
        let validator = validator.map_err(|error| Problem::new("", error.to_string()));
        CompiledSchema { validator, cost: SchemaCost::default(), schema }
    }

    /// Compiles a schema of a client: it must be within the bounds, and the time of its patterns must be
    /// linear in the text.
    fn build_bounded(schema: &Value) -> Self {
        let cost = SchemaCost::of(schema);
        let patterns = PatternOptions::regex()
            .size_limit(PATTERN_PROGRAM_BYTES_MAX)
            .dfa_size_limit(16 * PATTERN_PROGRAM_BYTES_MAX);
        let options = jsonschema::options().should_validate_formats(true).with_pattern_options(patterns);
        let validator = cost.clone().and_then(|_| {
            options.build(schema).map_err(|error| {
                let at = error.instance_path().to_string();
                Problem::new(at, clipped(&error))
            })
        });
        // Messages need the schema only if there is a validator.
        let kept = if validator.is_ok() { schema.clone() } else { Value::Null };
        CompiledSchema { validator, cost: cost.unwrap_or_default(), schema: kept }
    }

    fn problems(&self, value: &Value) -> Vec<Problem> {
        match &self.validator {
            Ok(validator) if validator.is_valid(value) => Vec::new(),
            Ok(validator) => {
                let errors = validator.iter_errors(value);
                errors.flat_map(|error| self.explain(&error)).take(PROBLEMS_MAX).collect()
            }
            Err(error) => vec![Problem::new("", format!("the declared schema is not usable: {error}"))],
        }
    }

    /// Where in the schema the faults of a value are, each place once.
    fn schema_paths(&self, value: &Value) -> BTreeSet<String> {
        let errors = self.validator.iter().flat_map(|validator| validator.iter_errors(value));
        errors.take(PROBLEMS_MAX).map(|error| error.schema_path().to_string()).collect()
    }

    fn explain(&self, error: &ValidationError<'_>) -> Vec<Problem> {
        let at = error.instance_path().to_string();
        match error.kind() {
            ValidationErrorKind::AdditionalProperties { unexpected } => {
                let known = self.known_beside(&error.schema_path().to_string());
                unexpected.iter().map(|field| unknown_field(&at, field, &known)).collect()
            }
            ValidationErrorKind::Required { property } => {
                let field = property.as_str().unwrap_or_default();
                vec![Problem::new(at, format!("`{field}` is missing"))]
            }
            // Nobody knows yet which of these values are secret.
            _ if at.starts_with("/params") => {
                vec![Problem::new(at, clipped(&error.masked_with("the value")))]
            }
            _ => {
                let plain = self.in_plain_words(error);
                vec![Problem::new(at, plain.unwrap_or_else(|| explained(error)))]
            }
        }
    }

    /// A message that says what to write, in place of the validator's message in terms of schemas.
    fn in_plain_words(&self, error: &ValidationError<'_>) -> Option<String> {
        let instance = error.instance();
        let given = clipped(instance);
        match error.kind() {
            ValidationErrorKind::Format { format } if format == "ipv4" => {
                Some(format!("{given} is not an IPv4 address"))
            }
            ValidationErrorKind::Pattern { .. } => {
                let example = self.beside(error, "examples")?.get(0)?.as_str()?;
                Some(format!("{given} does not fit: write it like {example}"))
            }
            ValidationErrorKind::OneOfNotValid { .. } => {
                let words = self.beside(error, "oneOf")?.as_array()?.iter().map(words_of);
                let words: Vec<&str> = words.collect::<Option<Vec<_>>>()?.concat();
                let near = instance.as_str().and_then(|given| nearest(given, words.iter().copied()));
                let hint = near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
                Some(format!("{given} is not one of: {}{hint}", words.join(", ")))
            }
            _ => None,
        }
    }

    /// The value of another keyword in the schema object whose keyword failed.
    fn beside(&self, error: &ValidationError<'_>, word: &str) -> Option<&Value> {
        let keyword = error.schema_path().to_string();
        let parent = keyword.rsplit_once('/').map_or("", |(parent, _)| parent);
        self.schema.pointer(parent)?.get(word)
    }

    /// The names of the properties that are declared beside an `additionalProperties` keyword.
    fn known_beside(&self, keyword: &str) -> Vec<String> {
        let parent = keyword.rsplit_once('/').map_or("", |(parent, _)| parent);
        let properties = self.schema.pointer(parent).and_then(|schema| schema.get("properties"));
        properties.and_then(Value::as_object).map(|map| map.keys().cloned().collect()).unwrap_or_default()
    }
}

fn unfit(schema_path: &str) -> String {
    format!("the secret value does not fit the schema of the param at `{schema_path}`")
}

/// The words that one choice of a `oneOf` allows; none if it is not a list of words.
fn words_of(choice: &Value) -> Option<Vec<&str>> {
    let listed = choice.get("enum").and_then(Value::as_array);
    let listed = listed.map(|words| words.iter().map(Value::as_str).collect::<Option<Vec<_>>>());
    listed.unwrap_or_else(|| Some(vec![choice.get("const")?.as_str()?]))
}

fn unknown_field(at: &str, field: &str, known: &[String]) -> Problem {
    let hint = match nearest(field, known.iter().map(String::as_str)) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("there are: {}", known.join(", ")),
    };
    let shown = if field.len() > MESSAGE_CHARS_MAX { quoted(field) } else { format!("`{field}`") };
    Problem::new(format!("{at}/{}", escape(field)), format!("unknown field {shown}; {hint}"))
}

fn noun_schema<T: Noun>() -> Arc<CompiledSchema> {
    static NOUNS: LazyLock<Mutex<HashMap<TypeId, Arc<CompiledSchema>>>> = LazyLock::new(Mutex::default);
    let mut nouns = NOUNS.lock().unwrap_or_else(PoisonError::into_inner);
    Arc::clone(nouns.entry(TypeId::of::<T>()).or_insert_with(|| {
        let settings = SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true);
        let schema = settings.into_generator().into_root_schema_for::<T>().to_value();
        Arc::new(CompiledSchema::build(schema))
    }))
}

/// Gets the compiled schema. Nothing is locked while it compiles, so two callers may compile the same schema.
fn compiled(schema: &Value) -> Arc<CompiledSchema> {
    static PARAMS: LazyLock<Mutex<HashMap<String, Arc<CompiledSchema>>>> = LazyLock::new(Mutex::default);
    let known = || PARAMS.lock().unwrap_or_else(PoisonError::into_inner);
    let digest = sha256_hex(schema.to_string());
    if let Some(known) = known().get(&digest) {
        return Arc::clone(known);
    }
    let built = Arc::new(CompiledSchema::build_bounded(schema));
    let mut params = known();
    if params.len() >= VALIDATORS_MAX {
        params.clear();
    }
    params.insert(digest, Arc::clone(&built));
    built
}

/// The message of a fault, with long values cut.
fn explained(error: &ValidationError<'_>) -> String {
    match clipped(error) {
        whole if !whole.ends_with('…') => whole,
        _ => clipped(&error.masked_with(quoted(&clipped(error.instance())))),
    }
}

/// A text, cut to the longest message.
fn clipped(said: &impl std::fmt::Display) -> String {
    struct ClippedText {
        text: String,
        left: usize,
    }
    impl std::fmt::Write for ClippedText {
        fn write_str(&mut self, piece: &str) -> std::fmt::Result {
            for character in piece.chars() {
                if self.left == 0 {
                    return Err(std::fmt::Error);
                }
                self.left -= 1;
                self.text.push(character);
            }
            Ok(())
        }
    }
    let mut clip = ClippedText { text: String::new(), left: MESSAGE_CHARS_MAX };
    if std::fmt::Write::write_fmt(&mut clip, format_args!("{said}")).is_err() {
        clip.text.push('…');
    }
    clip.text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::{Bootenv, Machine, Stage, Subnet};
    use super::*;

    fn faults<T: Noun>(body: Value) -> Vec<String> {
        parse_input::<T>(body).unwrap_err().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_misspelt_field_is_told_the_nearest_name() {
        assert_eq!(
            faults::<Machine>(json!({"name": "web1", "profils": []})),
            ["/profils: unknown field `profils`; did you mean `profiles`?"]
        );
        let nested =
            json!({"name": "lan", "cidr": "10.0.0.0/24", "pools": [{"start": "10.0.0.1", "stop": "x"}]});
        let faults = faults::<Subnet>(nested);
        assert!(faults.iter().any(|fault| fault.contains("/pools/0/stop: unknown field")), "{faults:?}");
        assert!(faults.iter().any(|fault| fault.contains("`end` is missing")), "{faults:?}");
    }

    #[test]
    fn a_wrong_value_is_told_what_to_write_instead() {
        let subnet = json!({"name": "lan", "cidr": "10.0.0.0", "mode": "manged",
            "pools": [{"start": "10.0.0.1", "end": "10.0.0.300"}]});
        assert_eq!(
            faults::<Subnet>(subnet),
            [
                "/cidr: \"10.0.0.0\" does not fit: write it like 10.0.0.0/24",
                "/mode: \"manged\" is not one of: managed, proxy, address_only; did you mean `managed`?",
                "/pools/0/end: \"10.0.0.300\" is not an IPv4 address",
            ]
        );
        let machine = faults::<Machine>(json!({"name": "web1", "macs": ["52:54:00:aa:00:gg"]}));
        assert_eq!(machine, ["/macs/0: \"52:54:00:aa:00:gg\" does not fit: write it like 52:54:00:aa:00:01"]);
    }

    #[test]
    fn every_fault_is_told_at_once() {
        let faults =
            faults::<Machine>(json!({"name": 7, "macs": ["52:54"], "arch": "amd46", "labels": {"a": 1}}));
        for pointer in ["/name", "/macs/0", "/arch", "/labels/a"] {
            assert!(faults.iter().any(|fault| fault.starts_with(pointer)), "{pointer} in {faults:?}");
        }
    }

    #[test]
    fn what_was_read_can_be_sent_back() {
        let input = parse_input::<Machine>(json!({"name": "web1"})).unwrap();
        let stored = super::super::Stored::new("x".into(), input.spec.clone(), jiff::Timestamp::UNIX_EPOCH);
        assert_eq!(parse_input::<Machine>(stored.view(&[])).unwrap().spec, input.spec);
    }

    #[test]
    fn every_noun_has_a_schema_that_compiles() {
        assert!(noun_schema::<Machine>().validator.is_ok());
        assert!(noun_schema::<Bootenv>().validator.is_ok());
        assert!(noun_schema::<Stage>().validator.is_ok());
        assert!(noun_schema::<Subnet>().validator.is_ok());
    }

    #[test]
    fn a_value_is_checked_against_its_declared_schema() {
        let schema = json!({"type": "integer", "minimum": 3});
        assert!(check_schema(&schema, &json!(3), "/params/x").is_empty());
        assert_eq!(check_schema(&schema, &json!("3"), "/params/x")[0].pointer, "/params/x");
        assert!(check_schema(&json!({"type": 5}), &json!(1), "/x")[0].message.contains("schema"));
    }

    #[test]
    fn a_fault_of_a_secret_value_says_where_in_the_schema_and_nothing_of_the_value() {
        let schema = json!({"type": "object", "additionalProperties": false,
            "properties": {"pin": {"type": "string", "maxLength": 3, "pattern": "^[0-9]*$"}}});
        for value in [json!({"pin": "CANARY"}), json!({"CANARY": 1}), json!("CANARY"), json!(["CANARY"])] {
            let problems = DeclaredSchema::of(&schema).validate_secret(&value, "/params/x").unwrap();
            assert!(!problems.is_empty(), "{value}");
            for problem in problems {
                assert_eq!(problem.pointer, "/params/x");
                assert!(!problem.message.contains("CANARY"), "{problem}");
            }
        }
        let unusable = DeclaredSchema::of(&json!({"type": 5})).validate_secret(&json!("CANARY"), "/params/x");
        assert!(!unusable.unwrap_err().to_string().contains("CANARY"));
        let misplaced = faults::<Machine>(json!({"name": "web1", "params": "CANARY"}));
        assert!(misplaced[0].starts_with("/params: ") && !misplaced[0].contains("CANARY"), "{misplaced:?}");
    }
}
