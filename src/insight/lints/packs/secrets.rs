//! Passwords, keys and tokens that stand in a pack, which everybody may read who reads the pack. No message
//! quotes them.

use regex::Regex;

use super::{LintFinding, LintRule, LintSeverity, LintedText, pattern};

const LITERAL: LintRule = LintRule {
    name: "literal-secret",
    severity: LintSeverity::Error,
    remedy: "declare a param with `secret: true`, read it here, and set its value on the server",
};

/// What is known by its form, whatever stands before it.
const FORMS: [(&str, &str); 7] = [
    (r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----", "a private key"),
    (r"\$(?:1|2[abxy]|5|6|7|y|gy)\$[./A-Za-z0-9$=,]{20,}", "the hash of a password"),
    (r"\$argon2(?:i|d|id)\$[./A-Za-z0-9+$=,]{20,}", "the hash of a password"),
    (r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b", "an access key of AWS"),
    (r"\bgh[pousr]_[A-Za-z0-9]{36,}\b", "a token of GitHub"),
    (r"\bglpat-[A-Za-z0-9_-]{20,}", "a token of GitLab"),
    (r"\bxox[abprs]-[A-Za-z0-9-]{10,}", "a token of Slack"),
];

/// Where a password stands in answer files, in plain text or hashed.
const ANSWERS: [&str; 4] = [
    r"^\s*\S+\s+\S*passw(?:or)?d\S*\s+password\s+(\S+)",
    r"^\s*(?:rootpw|grub-password)\b(?:\s+--\S+)*\s+(\S+)",
    r"\s--(?:password|passphrase)[= ](\S+)",
    r"://[^/\s:@{}]+:([^/\s@{}$]+)@",
];

/// A name and its value, where the value has letters and digits and no expression.
const NAMED: &str = concat!(
    r#"(?i)\b[A-Z0-9_-]*(?:password|passwd|secret|token|api[_-]?key)["']?"#,
    r#"\s*[:=]\s*["']?([^\s"'{}$()<>,;]{6,})"#
);

pub(super) fn findings(text: &LintedText) -> Vec<LintFinding> {
    let forms: Vec<(Regex, &str)> =
        FORMS.iter().filter_map(|(form, what)| Some((pattern(form)?, *what))).collect();
    let answers: Vec<Regex> = ANSWERS.iter().filter_map(|form| pattern(form)).collect();
    let named = pattern(NAMED);
    let mut found = Vec::new();
    for (line, written) in text.lines() {
        let form = forms.iter().find(|(form, _)| form.is_match(written)).map(|(_, what)| *what);
        let answer = answers.iter().find_map(|answer| answer.captures(written)?.get(1));
        let answer = answer.filter(|value| is_literal(value.as_str())).map(|_| "a password");
        let value = named.as_ref().and_then(|named| named.captures(written)?.get(1));
        let value = value.filter(|value| looks_made_up(value.as_str())).map(|_| "a password, key or token");
        if let Some(what) = form.or(answer).or(value) {
            found.push(LintFinding::of(&LITERAL, (&text.path, Some(line)), format!("{what} stands here")));
        }
    }
    found
}

/// Whether a value is no expression of a template or a shell, and locks no account.
fn is_literal(value: &str) -> bool {
    let value = value.trim_matches(['"', '\'']);
    let is_computed = value.contains("{{") || value.contains("{%") || value.contains('$');
    !is_computed && !value.is_empty() && !["!", "*", "!!", "\\", "--lock"].contains(&value)
}

/// Whether a value has letters and digits, as passwords and tokens have and words have not.
fn looks_made_up(value: &str) -> bool {
    let has = |is: fn(&u8) -> bool| value.bytes().any(|byte| is(&byte));
    has(u8::is_ascii_digit) && has(u8::is_ascii_alphabetic) && !value.contains("://") && !value.contains('/')
}
