//! Reads a noun from untrusted JSON and reports every fault at once.

use std::any::TypeId;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use jsonschema::error::ValidationErrorKind;
use jsonschema::{PatternOptions, ValidationError, Validator};
use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::bounds::{self, escape};
use super::schema_cost::{PATTERN_PROGRAM_BYTES_MAX, SchemaCost};
use super::schema_words::{
    clipped, code_of, explained, not_one_of, type_words, types_of, unfit, unknown_field, words_of,
};
use super::{Noun, Problem, READ_ONLY_FIELDS, RefusalCode, sha256_hex};

/// Most faults in one answer.
const PROBLEMS_MAX: usize = 64;
/// Most compiled schemas of params that are kept.
const VALIDATORS_MAX: usize = 4096;

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
        let what = format!("a {} is a JSON object", T::KIND);
        return Err(vec![Problem::new("", what).coded(RefusalCode::WrongType)]);
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
    let schema = type_schema::<T>();
    problems.extend(schema.problems(&body));
    if !problems.is_empty() {
        return Err(problems);
    }
    let spec: T = read_typed(&body)?;
    let mut problems = spec.check();
    problems.truncate(PROBLEMS_MAX);
    if problems.is_empty() { Ok(Input { spec, labels }) } else { Err(problems) }
}

/// Reads a body of a known type, which is no noun.
///
/// # Errors
/// Every fault with a pointer to it, as [`parse_input`].
pub fn parse_typed<T: DeserializeOwned + JsonSchema + 'static>(body: &Value) -> Result<T, Vec<Problem>> {
    let problems = match bounds::too_many_values(body) {
        Some(problem) => vec![problem],
        None => type_schema::<T>().problems(body),
    };
    if problems.is_empty() { read_typed(body) } else { Err(problems) }
}

/// A value that fits the schema of its type. A number such as `54.0` is a whole one for a schema, and none
/// for the type: it is read as 54, in a body that the type does not take as it is.
fn read_typed<T: DeserializeOwned>(body: &Value) -> Result<T, Vec<Problem>> {
    T::deserialize(body)
        .or_else(|_| T::deserialize(&with_whole_numbers(body)))
        .map_err(|error| vec![Problem::new("", error.to_string())])
}

/// The same value, with integers in the place of floats that have no fraction.
fn with_whole_numbers(value: &Value) -> Value {
    /// Floats up to here stand for one integer each.
    const WHOLE_MAX: f64 = 9_007_199_254_740_992.0;
    match value {
        Value::Number(number) => match number.as_f64() {
            Some(float) if number.is_f64() && float.fract() == 0.0 && float.abs() <= WHOLE_MAX => {
                Value::from(float as i64)
            }
            _ => value.clone(),
        },
        Value::Array(items) => items.iter().map(with_whole_numbers).collect(),
        Value::Object(fields) => {
            let fields = fields.iter().map(|(name, value)| (name.clone(), with_whole_numbers(value)));
            Value::Object(fields.collect())
        }
        other => other.clone(),
    }
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
                        problems.push(
                            Problem::new(pointer, "a label's value is text").coded(RefusalCode::WrongType),
                        );
                    }
                }
            }
        }
        Some(_) => {
            let what = "labels are an object of texts";
            problems.push(Problem::new("/labels", what).coded(RefusalCode::WrongType));
        }
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
            .coded(RefusalCode::BadSchema)
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
        let validator =
            validator.map_err(|error| Problem::new("", error.to_string()).coded(RefusalCode::BadSchema));
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
                Problem::new(at, clipped(&error)).coded(RefusalCode::BadSchema)
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
                errors.flat_map(|error| self.explain(&error, value)).take(PROBLEMS_MAX).collect()
            }
            Err(error) => {
                let what = format!("the declared schema is not usable: {error}");
                vec![Problem::new("", what).coded(RefusalCode::BadSchema)]
            }
        }
    }

    /// Where in the schema the faults of a value are, each place once.
    fn schema_paths(&self, value: &Value) -> BTreeSet<String> {
        let errors = self.validator.iter().flat_map(|validator| validator.iter_errors(value));
        errors.take(PROBLEMS_MAX).map(|error| error.schema_path().to_string()).collect()
    }

    fn explain(&self, error: &ValidationError<'_>, whole: &Value) -> Vec<Problem> {
        let at = error.instance_path().to_string();
        match error.kind() {
            ValidationErrorKind::AdditionalProperties { unexpected } => {
                let known = self.known_beside(&error.schema_path().to_string());
                unexpected.iter().map(|field| unknown_field(&at, field, &known)).collect()
            }
            // An object that has no fields at all.
            ValidationErrorKind::FalseSchema => {
                let fields = whole.pointer(&at).and_then(Value::as_object).into_iter().flatten();
                fields.map(|(field, _)| unknown_field(&at, field, &[])).collect()
            }
            ValidationErrorKind::Required { property } => {
                let field = property.as_str().unwrap_or_default();
                vec![Problem::new(at, format!("`{field}` is missing")).coded(RefusalCode::Missing)]
            }
            // Nobody knows yet which of these values are secret.
            kind if at.starts_with("/params") => {
                vec![Problem::new(at, clipped(&error.masked_with("the value"))).coded(code_of(kind))]
            }
            kind => {
                let plain = self.in_plain_words(error).unwrap_or_else(|| explained(error));
                vec![Problem::new(at, plain).coded(code_of(kind))]
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
            ValidationErrorKind::Format { format } if format == "uuid" => {
                Some(format!("{given} is not a UUID"))
            }
            ValidationErrorKind::Pattern { .. } => {
                let example = self.beside(error, "examples")?.get(0)?.as_str()?;
                Some(format!("{given} does not fit: write it like {example}"))
            }
            ValidationErrorKind::Enum { options } => {
                let words = options.as_array()?.iter().filter(|word| !word.is_null()).map(Value::as_str);
                Some(not_one_of(instance, &words.collect::<Option<Vec<_>>>()?))
            }
            ValidationErrorKind::OneOfNotValid { .. } => self.choice(error, "oneOf"),
            ValidationErrorKind::AnyOf { .. } => self.choice(error, "anyOf"),
            ValidationErrorKind::Type { .. } => {
                let known = match self.beside(error, "type")? {
                    Value::String(one) => vec![one.as_str()],
                    several => several.as_array()?.iter().filter_map(Value::as_str).collect(),
                };
                Some(format!("{given} is not {}", type_words(&known)?))
            }
            ValidationErrorKind::Minimum { limit } => Some(format!("{given} is too small: at least {limit}")),
            ValidationErrorKind::Maximum { limit } => Some(format!("{given} is too large: at most {limit}")),
            ValidationErrorKind::MinItems { limit } => Some(format!("at least {limit} must be listed")),
            ValidationErrorKind::MaxItems { limit } => Some(format!("at most {limit} may be listed")),
            ValidationErrorKind::MinLength { limit } => Some(format!("at least {limit} characters")),
            ValidationErrorKind::MaxLength { limit } => Some(format!("at most {limit} characters")),
            _ => None,
        }
    }

    /// A value that fits none of several choices: words, or one type that may be left out.
    fn choice(&self, error: &ValidationError<'_>, keyword: &str) -> Option<String> {
        let choices = self.beside(error, keyword)?.as_array()?;
        let not_null = choices.iter().filter(|choice| choice.get("type").is_none_or(|of| of != "null"));
        match not_null.map(words_of).collect::<Option<Vec<_>>>() {
            Some(words) => Some(not_one_of(error.instance(), &words.concat())),
            None => {
                let types: Vec<&str> = choices.iter().flat_map(types_of).collect();
                Some(format!("{} is not {}", clipped(error.instance()), type_words(&types)?))
            }
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

/// The schema of a type that clients send, compiled.
fn type_schema<T: JsonSchema + 'static>() -> Arc<CompiledSchema> {
    static TYPES: LazyLock<Mutex<HashMap<TypeId, Arc<CompiledSchema>>>> = LazyLock::new(Mutex::default);
    let mut types = TYPES.lock().unwrap_or_else(PoisonError::into_inner);
    Arc::clone(types.entry(TypeId::of::<T>()).or_insert_with(|| {
        let settings = SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true);
        let mut schema = settings.into_generator().into_root_schema_for::<T>().to_value();
        bound_integers(&mut schema);
        Arc::new(CompiledSchema::build(schema))
    }))
}

/// Says in a schema what the integer types of Rust hold, of which the generator writes only the name.
pub fn bound_integers(schema: &mut Value) {
    match schema {
        Value::Object(keywords) => {
            let bounds = match keywords.get("format").and_then(Value::as_str) {
                Some("uint32") => Some((0, i64::from(u32::MAX))),
                Some("int32") => Some((i64::from(i32::MIN), i64::from(i32::MAX))),
                _ => None,
            };
            if let Some((least, most)) = bounds {
                keywords.entry("minimum").or_insert_with(|| least.into());
                keywords.entry("maximum").or_insert_with(|| most.into());
            }
            keywords.values_mut().for_each(bound_integers);
        }
        Value::Array(items) => items.iter_mut().for_each(bound_integers),
        _ => {}
    }
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
    fn a_number_beyond_its_type_is_told_the_bound() {
        let stage = faults::<Stage>(json!({"name": "a", "timeout_seconds": 4_294_967_296_u64}));
        assert_eq!(stage, ["/timeout_seconds: 4294967296 is too large: at most 4294967295"]);
    }

    #[test]
    fn what_was_read_can_be_sent_back() {
        let input = parse_input::<Machine>(json!({"name": "web1"})).unwrap();
        let stored = super::super::Stored::new("x".into(), input.spec.clone(), jiff::Timestamp::UNIX_EPOCH);
        assert_eq!(parse_input::<Machine>(stored.view(&[])).unwrap().spec, input.spec);
    }

    #[test]
    fn every_noun_has_a_schema_that_compiles() {
        assert!(type_schema::<Machine>().validator.is_ok());
        assert!(type_schema::<Bootenv>().validator.is_ok());
        assert!(type_schema::<Stage>().validator.is_ok());
        assert!(type_schema::<Subnet>().validator.is_ok());
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
