//! The faults that a JSON Schema finds, in plain words and with their codes. `schema` asks.

use jsonschema::ValidationError;
use jsonschema::error::ValidationErrorKind;
use serde_json::Value;

use super::bounds::{escape, quoted};
use super::{Problem, RefusalCode, nearest};

/// Longest message, in characters: messages quote text of clients.
const MESSAGE_CHARS_MAX: usize = 400;

/// The words that one choice of a schema stands for; none if it is no list of words.
pub(super) fn words_of(choice: &Value) -> Option<Vec<&str>> {
    if let Some(words) = choice.get("enum").and_then(Value::as_array) {
        return words.iter().map(Value::as_str).collect();
    }
    if let Some(choices) = choice.get("oneOf").and_then(Value::as_array) {
        return Some(choices.iter().map(words_of).collect::<Option<Vec<_>>>()?.concat());
    }
    Some(vec![choice.get("const")?.as_str()?])
}

/// The JSON types of one choice of a schema.
pub(super) fn types_of(choice: &Value) -> Vec<&str> {
    let inner = ["anyOf", "oneOf"].iter().find_map(|word| choice.get(word)?.as_array());
    match (choice.get("type"), inner) {
        (Some(Value::String(one)), _) => vec![one.as_str()],
        (Some(Value::Array(several)), _) => several.iter().filter_map(Value::as_str).collect(),
        (_, Some(choices)) => choices.iter().flat_map(types_of).collect(),
        (_, None) => vec!["any"],
    }
}

/// A value that is none of some words, with the nearest.
pub(super) fn not_one_of(instance: &Value, words: &[&str]) -> String {
    let near = instance.as_str().and_then(|given| nearest(given, words.iter().copied()));
    let hint = near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
    format!("{} is not one of: {}{hint}", clipped(instance), words.join(", "))
}

/// JSON types in plain words: `text`, `a list or null`.
pub(super) fn type_words(known: &[&str]) -> Option<String> {
    let words = known.iter().map(|word: &&str| {
        Some(match *word {
            "string" => "text",
            "integer" => "a whole number",
            "number" => "a number",
            "boolean" => "true or false",
            "array" => "a list",
            "object" => "an object",
            "null" => "null",
            _ => return None,
        })
    });
    Some(words.collect::<Option<Vec<_>>>()?.join(" or "))
}

/// The code of a fault that a schema found.
pub(super) fn code_of(kind: &ValidationErrorKind) -> RefusalCode {
    match kind {
        ValidationErrorKind::Type { .. } => RefusalCode::WrongType,
        ValidationErrorKind::Pattern { .. } | ValidationErrorKind::Format { .. } => RefusalCode::Malformed,
        ValidationErrorKind::Enum { .. }
        | ValidationErrorKind::Constant { .. }
        | ValidationErrorKind::OneOfNotValid { .. }
        | ValidationErrorKind::AnyOf { .. } => RefusalCode::NotOneOf,
        ValidationErrorKind::Minimum { .. }
        | ValidationErrorKind::Maximum { .. }
        | ValidationErrorKind::ExclusiveMinimum { .. }
        | ValidationErrorKind::ExclusiveMaximum { .. }
        | ValidationErrorKind::MultipleOf { .. } => RefusalCode::OutOfRange,
        ValidationErrorKind::MaxItems { .. }
        | ValidationErrorKind::MaxLength { .. }
        | ValidationErrorKind::MaxProperties { .. } => RefusalCode::TooLarge,
        ValidationErrorKind::MinItems { .. }
        | ValidationErrorKind::MinLength { .. }
        | ValidationErrorKind::MinProperties { .. } => RefusalCode::Missing,
        ValidationErrorKind::UniqueItems => RefusalCode::Duplicate,
        _ => RefusalCode::Invalid,
    }
}

pub(super) fn unknown_field(at: &str, field: &str, known: &[String]) -> Problem {
    let hint = match nearest(field, known.iter().map(String::as_str)) {
        Some(near) => format!("did you mean `{near}`?"),
        None if known.is_empty() => "there are none here".to_owned(),
        None => format!("there are: {}", known.join(", ")),
    };
    let shown = if field.len() > MESSAGE_CHARS_MAX { quoted(field) } else { format!("`{field}`") };
    let what = format!("unknown field {shown}; {hint}");
    Problem::new(format!("{at}/{}", escape(field)), what).coded(RefusalCode::UnknownField)
}

/// The message of a fault, with long values cut.
pub(super) fn explained(error: &ValidationError<'_>) -> String {
    match clipped(error) {
        whole if !whole.ends_with('…') => whole,
        _ => clipped(&error.masked_with(quoted(&clipped(error.instance())))),
    }
}

/// A text, cut to the longest message.
pub(super) fn clipped(said: &impl std::fmt::Display) -> String {
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

/// A fault of a secret value, of which nothing is quoted.
pub(super) fn unfit(schema_path: &str) -> String {
    format!("the secret value does not fit the schema of the param at `{schema_path}`")
}
