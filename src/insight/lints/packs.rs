//! What is wrong or doubtful in a pack: each finding with its file, its line and what to do.
//!
//! All lints read the texts as they are written; none renders. `server::pack_check` adds what outside
//! checkers find. Start at [`findings`].

mod blocks;
mod params;
mod secrets;
mod shell;
mod templates;
mod urls;

use std::collections::BTreeSet;

use regex::Regex;
use schemars::JsonSchema;
use serde::Serialize;

use crate::insight::lints::documents::{self, DocumentText};
use crate::pack_files::{PackFile, is_content};

/// Most findings of one pack.
pub const FINDINGS_MAX: usize = 1000;
/// The folder of texts that are no templates.
const VERBATIM: &str = "verbatim/";
/// The folders of texts.
const TEXTS: [&str; 2] = ["templates/", VERBATIM];

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LintSeverity {
    Note,
    Warning,
    /// It does not work, or gives a secret away.
    Error,
}

impl std::fmt::Display for LintSeverity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            LintSeverity::Note => "note",
            LintSeverity::Warning => "warning",
            LintSeverity::Error => "error",
        })
    }
}

/// A rule: its name, how bad what it finds is, and what to do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LintRule {
    pub name: &'static str,
    pub severity: LintSeverity,
    pub remedy: &'static str,
}

/// What a rule found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct LintFinding {
    pub severity: LintSeverity,
    /// The name of the rule.
    pub rule: &'static str,
    pub path: String,
    /// From 1; none for a finding about the whole file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<usize>,
    pub message: String,
    /// What to do about it.
    pub remedy: &'static str,
}

impl LintFinding {
    /// A finding of a rule at a place.
    pub fn of(rule: &LintRule, (path, line): (&str, Option<usize>), message: impl Into<String>) -> Self {
        let LintRule { name, severity, remedy } = *rule;
        LintFinding { severity, rule: name, path: path.to_owned(), line, message: message.into(), remedy }
    }
}

impl std::fmt::Display for LintFinding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let line = self.line.map(|line| format!(":{line}")).unwrap_or_default();
        let LintFinding { severity, rule, path, message, remedy, .. } = self;
        write!(f, "{path}{line}: {severity}: {message} [{rule}]: {remedy}")
    }
}

/// A pack, and the packs that it stands on.
#[derive(Clone, Copy, Debug)]
pub struct LintedPack<'a> {
    pub files: &'a [PackFile],
    /// The files of `core` and of the packs that it requires.
    pub base: &'a [PackFile],
}

/// A file with its text.
#[derive(Clone, Debug)]
struct LintedText {
    path: String,
    text: String,
}

impl LintedText {
    /// The lines, counted from 1.
    fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.text.lines().enumerate().map(|(i, line)| (i + 1, line))
    }

    fn is_text_file(&self) -> bool {
        TEXTS.iter().any(|folder| self.path.starts_with(folder))
    }

    /// The name of the template in the file.
    fn template(&self) -> Option<&str> {
        TEXTS.iter().find_map(|folder| self.path.strip_prefix(folder))
    }
}

fn texts(files: &[PackFile]) -> Vec<LintedText> {
    let content = files.iter().filter(|file| is_content(&file.path));
    let texts = content.map(|file| LintedText {
        path: file.path.clone(),
        text: String::from_utf8_lossy(&file.body).into_owned(),
    });
    texts.collect()
}

/// A pattern of this module. One that does not compile finds nothing, which a test excludes.
fn pattern(text: &str) -> Option<Regex> {
    Regex::new(text).ok()
}

const DOCUMENT: LintRule = LintRule {
    name: "document",
    severity: LintSeverity::Error,
    remedy: "correct it: the installer or the shell stops here",
};

/// Everything that the lints find, by file and line.
pub fn findings(of: LintedPack<'_>) -> Vec<LintFinding> {
    let (own, base) = (texts(of.files), texts(of.base));
    let mut found = params::findings(of, (&own, &base));
    found.extend(templates::findings(&own, &base));
    found.extend(blocks::findings(&own, &base));
    for text in &own {
        found.extend(secrets::findings(text));
        found.extend(urls::findings(text));
        found.extend(shell::findings(text));
        if text.path.starts_with(VERBATIM) {
            found.extend(document_findings(&DocumentText { path: &text.path, text: &text.text }));
        }
    }
    let seen: BTreeSet<LintKey> = found.iter().map(key).collect();
    let mut unique: Vec<LintFinding> = Vec::new();
    for wanted in seen.into_iter().take(FINDINGS_MAX) {
        unique.extend(found.iter().find(|finding| key(finding) == wanted).cloned());
    }
    unique
}

type LintKey = (String, (Option<usize>, String));

fn key(finding: &LintFinding) -> LintKey {
    (finding.path.clone(), (finding.line, format!("{} {}", finding.rule, finding.message)))
}

/// What in a document would stop who reads it: of a text that is no template, or a rendered one.
pub fn document_findings(of: &DocumentText<'_>) -> Vec<LintFinding> {
    let faults = documents::faults(of).into_iter();
    faults.map(|(line, what)| LintFinding::of(&DOCUMENT, (of.path, Some(line)), what)).collect()
}

#[cfg(test)]
mod tests;
