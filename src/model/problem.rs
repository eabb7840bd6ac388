//! A fault of an input, with its place and what to do about it.

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};

use super::{RefusalCode, code_schema};

/// One fault: what it is, where it is, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("required" = ["code", "message", "pointer"]))]
pub struct Problem {
    /// What it is, for programs.
    #[serde(default = "uncoded")]
    #[schemars(schema_with = "fault_code_schema")]
    pub code: RefusalCode,
    /// JSON pointer (RFC 6901) to the faulty value; empty for the whole document.
    pub pointer: String,
    /// What is wrong, and what to do.
    pub message: String,
    /// The template at fault, where it is one: the included one, not the one that was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template: Option<String>,
    /// The line in that template, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
    /// The column in that line, from 1, in characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub column: Option<u32>,
}

/// The code of a problem that was stored before there were codes.
fn uncoded() -> RefusalCode {
    RefusalCode::Invalid
}

fn fault_code_schema(_: &mut SchemaGenerator) -> Schema {
    code_schema("What it is, for programs.", |row| row.is_of_faults)
}

impl Problem {
    pub fn new(pointer: impl Into<String>, message: impl Into<String>) -> Self {
        let (pointer, message) = (pointer.into(), message.into());
        Problem { code: uncoded(), pointer, message, template: None, line: None, column: None }
    }

    /// With the code that says what it is.
    pub fn coded(self, code: RefusalCode) -> Self {
        Problem { code, ..self }
    }

    /// The same fault, of the value at another place.
    pub fn at(self, pointer: impl Into<String>) -> Self {
        Problem { pointer: pointer.into(), ..self }
    }

    /// The same fault with a pointer below `prefix`, for a larger document.
    pub fn below(mut self, prefix: &str) -> Self {
        self.pointer.insert_str(0, prefix);
        self
    }
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if !self.pointer.is_empty() {
            write!(f, "{}: ", self.pointer)?;
        }
        if let Some(template) = &self.template {
            f.write_str(template)?;
            for number in [self.line, self.column].into_iter().flatten() {
                write!(f, ":{number}")?;
            }
            f.write_str(": ")?;
        }
        f.write_str(&self.message)
    }
}

/// Longest word for which a similar one is searched, in bytes: the work grows with the product of both
/// lengths.
const WORD_BYTES_MAX: usize = 128;
/// Bound on the sum, over all known words, of the bytes of the word times the bytes of the known word: enough
/// for a thousand words of sixteen bytes. Known words beyond the bound are skipped.
const COMPARED_MAX: usize = 1 << 18;

/// The known word that is most similar to `word`, if one is similar enough. The work is bounded: beyond the
/// bound the answer is the best of the words that were compared.
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if word.len() > WORD_BYTES_MAX {
        return None;
    }
    let mut compared = 0;
    known
        .into_iter()
        // Words whose lengths differ so much cannot be similar. A letter has up to four bytes.
        .filter(|candidate| candidate.len().abs_diff(word.len()) <= 4 * distance_max(word, candidate))
        .take_while(|candidate| {
            compared += (word.len() + 1) * (candidate.len() + 1);
            compared <= COMPARED_MAX
        })
        .map(|candidate| (strsim::damerau_levenshtein(word, candidate), candidate))
        .min()
        .filter(|(distance, candidate)| *distance <= distance_max(word, candidate))
        .map(|(_, candidate)| candidate)
}

fn distance_max(word: &str, candidate: &str) -> usize {
    1 + candidate.len().min(word.len()) / 3
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn a_misspelt_word_finds_its_neighbour_and_a_stranger_does_not() {
        assert_eq!(nearest("naem", ["name", "macs", "arch"]), Some("name"));
        assert_eq!(nearest("colour", ["name", "macs", "arch"]), None);
    }

    #[test]
    fn no_number_of_known_words_makes_the_search_longer_than_its_bound() {
        let known: Vec<String> = (0..100_000).map(|n| format!("{n:0128}")).collect();
        let mut looked_at = 0;
        let counted = known.iter().map(String::as_str).inspect(|_| looked_at += 1);
        assert_eq!(nearest(&"x".repeat(128), counted), None);
        assert!(looked_at < 20, "{looked_at}");
        // Words that are too long or too short to be similar cost nothing.
        let unlike = known.iter().map(String::as_str).chain(["name"]);
        assert_eq!(nearest("naem", unlike), Some("name"));
    }
}
